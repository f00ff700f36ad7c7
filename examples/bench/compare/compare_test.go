//go:build unix

package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A repository has one commit for each version of a tiny module, whose benchmark counts.
type repository struct {
	t      *testing.T
	folder string
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	// Temporary folders of this program show up in a place of the test's own.
	t.Setenv("TMPDIR", t.TempDir())
	for _, name := range []string{"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"} { // as hooks of git have them
		if value, ok := os.LookupEnv(name); ok {
			os.Unsetenv(name)
			t.Cleanup(func() { os.Setenv(name, value) })
		}
	}
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	r := &repository{t, t.TempDir()}
	r.git("init", "--quiet")
	return r
}

func (r *repository) git(args ...string) {
	r.t.Helper()
	args = append([]string{"-c", "user.name=Ada", "-c", "user.email=ada@example.com"}, args...)
	c := exec.Command("git", args...)
	c.Dir = r.folder
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("git %v: %v: %s", args, err, out)
	}
}

// write makes the benchmarks count to so many numbers.
func (r *repository) write(benchmarks map[string]int) {
	r.t.Helper()
	var body strings.Builder
	body.WriteString("package tiny\n\nimport \"testing\"\n\nvar sink int\n")
	for name, n := range benchmarks {
		fmt.Fprintf(&body, "\nfunc Benchmark%s(b *testing.B) {\n\tfor b.Loop() {\n\t\tfor i := range %d {\n\t\t\tsink ^= i * sink\n\t\t}\n\t}\n}\n", name, n)
	}
	r.file("go.mod", "module example.com/tiny\n\ngo 1.25.0\n")
	r.file("tiny/tiny_test.go", body.String())
}

func (r *repository) file(name, content string) {
	r.t.Helper()
	path := filepath.Join(r.folder, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repository) commit() {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--allow-empty", "--message", "a version")
}

// compare runs the program and makes sure that nothing stays behind.
func (r *repository) compare(benchmarks ...string) (string, error) {
	r.t.Helper()
	return r.compareIn(context.Background(), benchmarks...)
}

func (r *repository) compareIn(ctx context.Context, benchmarks ...string) (string, error) {
	r.t.Helper()
	var out strings.Builder
	err := compare(ctx, settings{
		repository: r.folder, suites: []suite{{"tiny", benchmarks}}, rounds: 5, benchtime: 5 * time.Millisecond, limit: time.Minute,
	}, &out)
	r.t.Logf("%s%v", out.String(), err)
	r.nothingLeft()
	return out.String(), err
}

func (r *repository) nothingLeft() {
	r.t.Helper()
	if left, err := filepath.Glob(filepath.Join(os.TempDir(), "compare-*")); err != nil || len(left) > 0 {
		r.t.Errorf("left behind: %v %v", left, err)
	}
	c := exec.Command("git", "worktree", "list", "--porcelain")
	c.Dir = r.folder
	if list, err := c.Output(); err == nil && strings.Count(string(list), "worktree ") > 1 {
		r.t.Errorf("a worktree is left behind: %s", list)
	}
}

func says(t *testing.T, out string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(line).MatchString(out) {
			t.Errorf("nothing matches %q in %s", line, out)
		}
	}
}

// twice makes two commits.
func twice(t *testing.T, before, after map[string]int) *repository {
	t.Helper()
	r := newRepository(t)
	r.write(before)
	r.commit()
	r.write(after)
	r.commit()
	return r
}

// Ten thousand times as slow is seen on any machine, and is not the fault of noise.
func TestSlowerFails(t *testing.T) {
	r := twice(t, map[string]int{"A": 100, "B": 1000}, map[string]int{"A": 1000_000, "B": 1000})
	out, err := r.compare("A", "B")
	if err == nil || !strings.Contains(err.Error(), "tiny A takes") || strings.Contains(err.Error(), "tiny B") || !strings.Contains(err.Error(), "when measured again") {
		t.Errorf("unexpected error %v", err)
	}
	says(t, out, `(?m)^tiny A takes .* times as long as before; once more$`)
	if n := len(regexp.MustCompile(`(?m)^tiny A  `).FindAllString(out, -1)); n != 2 {
		t.Errorf("measured %d times instead of twice", n)
	}
	if n := len(regexp.MustCompile(`(?m)^tiny B  `).FindAllString(out, -1)); n != 1 {
		t.Errorf("B was measured %d times", n)
	}
}

func TestEqualPasses(t *testing.T) {
	r := twice(t, map[string]int{"A": 1000}, map[string]int{"A": 1000})
	out, err := r.compare("A")
	if err != nil {
		t.Error(err)
	}
	says(t, out, "^the working tree, beside its previous commit [0-9a-f]+ .a version.", `(?m)^tiny A  .*\] +0 +0$`)
}

// Changes that are not committed are part of what is compared.
func TestWorkingTree(t *testing.T) {
	r := twice(t, map[string]int{"A": 100}, map[string]int{"A": 100})
	r.write(map[string]int{"A": 1000_000})
	if _, err := r.compare("A"); err == nil {
		t.Error("a slow working tree passed")
	}
}

func TestNothingToCompareWith(t *testing.T) {
	t.Run("no repository", func(t *testing.T) {
		r := newRepository(t)
		if err := os.RemoveAll(filepath.Join(r.folder, ".git")); err != nil {
			t.Fatal(err)
		}
		t.Setenv("GIT_CEILING_DIRECTORIES", filepath.Dir(r.folder))
		r.write(map[string]int{"A": 100})
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^nothing to compare with: no working tree of git")
	})
	t.Run("no git", func(t *testing.T) {
		r := twice(t, map[string]int{"A": 100}, map[string]int{"A": 100})
		t.Setenv("PATH", t.TempDir())
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^nothing to compare with: no working tree of git .*executable file not found")
	})
	t.Run("no commit", func(t *testing.T) {
		r := newRepository(t)
		r.write(map[string]int{"A": 100})
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^nothing to compare with: there is no commit before this one")
	})
	t.Run("the first commit", func(t *testing.T) {
		r := newRepository(t)
		r.write(map[string]int{"A": 100})
		r.commit()
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^nothing to compare with: there is no commit before this one")
	})
	t.Run("a shallow clone", func(t *testing.T) {
		r := twice(t, map[string]int{"A": 100}, map[string]int{"A": 1000_000})
		clone := &repository{t, t.TempDir()}
		r.git("clone", "--quiet", "--depth=1", "file://"+r.folder, clone.folder)
		out, err := clone.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^nothing to compare with: the clone is shallow")
	})
	t.Run("a previous commit that does not build", func(t *testing.T) {
		r := newRepository(t)
		r.write(map[string]int{"A": 100})
		r.file("tiny/tiny_test.go", "package tiny\n\nfunc {")
		r.commit()
		r.write(map[string]int{"A": 100})
		r.commit()
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^tiny: nothing to compare with: the previous commit cannot be built: .*")
	})
	t.Run("a package that is new", func(t *testing.T) {
		r := newRepository(t)
		r.file("go.mod", "module example.com/tiny\n\ngo 1.25.0\n")
		r.commit()
		r.write(map[string]int{"A": 100})
		r.commit()
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "^tiny: nothing to compare with: the previous commit cannot be built: there is no such package")
	})
	t.Run("a previous commit that fails", func(t *testing.T) {
		r := newRepository(t)
		r.write(map[string]int{"A": 100})
		r.file("tiny/tiny_test.go", "package tiny\n\nimport \"testing\"\n\nfunc BenchmarkA(*testing.B) { panic(\"broken\") }\n")
		r.commit()
		r.write(map[string]int{"A": 100})
		r.commit()
		out, err := r.compare("A")
		if err != nil {
			t.Error(err)
		}
		says(t, out, "(?m)^tiny A: nothing to compare with: the previous commit failed: ")
	})
}

// What is wrong with the working tree is no reason to pass.
func TestBrokenWorkingTreeFails(t *testing.T) {
	for name, content := range map[string]string{
		"does not build": "package tiny\n\nfunc {",
		"fails":          "package tiny\n\nimport \"testing\"\n\nfunc BenchmarkA(*testing.B) { panic(\"broken\") }\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := twice(t, map[string]int{"A": 100}, map[string]int{"A": 101})
			r.file("tiny/tiny_test.go", content)
			if _, err := r.compare("A"); err == nil {
				t.Error("it passed")
			}
		})
	}
}

func TestOnOneSideOnly(t *testing.T) {
	r := twice(t, map[string]int{"A": 1000_000, "Old": 100}, map[string]int{"A": 100, "New": 100, "Unasked": 100})
	out, err := r.compare("A", "Old", "New", "Nowhere")
	if err != nil {
		t.Error(err)
	}
	says(t, out, `(?m)^tiny A  .* 0\.\d+ \[0\.\d+, 0\.\d+\] +0 +0$`, "(?m)^tiny Old: gone$", "(?m)^tiny New: new$", "(?m)^tiny Nowhere: on neither side")
	if strings.Contains(out, "Unasked") {
		t.Error("a benchmark was run that nobody asked for")
	}
}

// An interrupt kills what runs, whatever it has started, and takes the folder away.
func TestInterrupt(t *testing.T) {
	r := newRepository(t)
	started := filepath.Join(t.TempDir(), "started")
	r.write(nil)
	r.file("tiny/tiny_test.go", fmt.Sprintf(`package tiny

import (
	"os"
	"os/exec"
	"strconv"
	"testing"
)

func BenchmarkA(b *testing.B) {
	c := exec.Command("sleep", "300")
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(%[1]q+".new", []byte(strconv.Itoa(os.Getpid())+" "+strconv.Itoa(c.Process.Pid)), 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.Rename(%[1]q+".new", %[1]q); err != nil {
		b.Fatal(err)
	}
	_ = c.Wait()
}
`, started))
	r.commit()
	r.file("more", "")
	r.commit()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var pids [2]int
	go func() {
		defer cancel()
		for range 6000 {
			if text, err := os.ReadFile(started); err == nil {
				fmt.Sscan(string(text), &pids[0], &pids[1])
				return
			}
			time.Sleep(10 * time.Millisecond) // for the program to get there
		}
	}()
	_, err := r.compareIn(ctx, "A")
	if err == nil || pids[1] == 0 {
		t.Fatal("it was not interrupted", err, pids)
	}
	for _, pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
}

// gone waits until a process is no more, or is a zombie, which somebody else has to bury.
func gone(pid int) bool {
	for range 500 {
		if syscall.Kill(pid, 0) != nil {
			return true
		}
		if text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && strings.Contains(string(text), ") Z ") {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

func TestJudging(t *testing.T) {
	results := func(values ...float64) []result {
		var out []result
		for _, v := range values {
			out = append(out, result{nanoseconds: v})
		}
		return out
	}
	ones := results(1, 1, 1, 1, 1)
	for _, test := range []struct {
		name          string
		before, after []result
		want          bool
	}{
		{"as before", ones, ones, false},
		{"twice", ones, results(2, 2, 2, 2, 2), false},
		{"more than twice", ones, results(2.1, 2.1, 2.1, 2.1, 2.1), true},
		{"more than twice, with one round in doubt", ones, results(9, 9, 9, 9, 1.9), false},
		{"a median that is good", ones, results(9, 9, 1, 1, 1), false},
		{"too few rounds", ones[:4], results(9, 9, 9, 9), false},
		{"both slow in the same rounds", results(1, 9, 1, 9, 1), results(1, 9, 1, 9, 1), false},
		{"new", nil, ones, false},
		{"gone", ones, nil, false},
		{"missing in one round", ones[:4], results(9, 9, 9, 9, 9), false},
	} {
		if got := (&row{before: test.before, after: test.after}).isTooSlow(); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestParse(t *testing.T) {
	suffix := ""
	if n := runtime.GOMAXPROCS(0); n > 1 {
		suffix = fmt.Sprint("-", n)
	}
	got := parse("goos: linux\nBenchmarkA/b=1" + suffix + " \t 20 \t 1234.5 ns/op \t 0.5 x-verify \t 56 B/op \t 7 allocs/op\nBenchmarkB" + suffix + "\t1\t2 ns/op\n" +
		"BenchmarkOnlyAMetric\t1\t2 x\nBenchmarkC\nBenchmarkD\tx\ty\tns/op\nPASS\n")
	if len(got) != 2 || got["A/b=1"] != (result{1234.5, 7}) || got["B"].nanoseconds != 2 || !math.IsNaN(got["B"].allocations) {
		t.Errorf("%v", got)
	}
}

func TestPattern(t *testing.T) {
	if got := pattern([]string{"A/b=1.5", "C"}); got != `^BenchmarkA$/^b=1\.5$|^BenchmarkC$` {
		t.Error(got)
	}
}

// Every hot path exists: a benchmark that was renamed would otherwise be compared no more.
func TestHotPaths(t *testing.T) {
	for _, s := range hotPaths {
		c := exec.Command("go", "test", "-run=^$", "-bench="+pattern(s.benchmarks), "-benchtime=1x", ".")
		c.Dir = filepath.Join("../../..", s.folder)
		text, err := output(c)
		if err != nil {
			t.Fatal(err)
		}
		found := parse(text)
		for _, b := range s.benchmarks {
			if _, ok := found[b]; !ok {
				t.Errorf("%s has no benchmark %s", s.folder, b)
			}
		}
		if len(found) != len(slices.Compact(slices.Sorted(slices.Values(s.benchmarks)))) {
			t.Errorf("%s: %d benchmarks were run for %d names", s.folder, len(found), len(s.benchmarks))
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range []string{"-rounds=4", "-rounds=101", "-benchtime=0", "-benchtime=2s", "-limit=0", "-nonsense", "more"} {
		if err := run(t.Context(), strings.Fields(args), new(strings.Builder), new(strings.Builder)); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}
