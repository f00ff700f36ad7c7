//go:build unix

// Command compare runs the benchmarks of the hot paths as they are in the working tree beside those of the
// previous commit, in turn, and says by which ratio each has changed. It fails if one takes more than twice
// as long, and still does when it is measured again.
//
//	go -C examples/bench run ./compare
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() { os.Exit(dispatch(os.Args[1:])) }

func dispatch(args []string) int {
	// Whatever ends this early, the temporary folder and the processes go first.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err := run(ctx, args, os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case err != nil:
		fmt.Fprintln(os.Stderr, "compare:", err)
		return 1
	}
	return 0
}

// A suite is benchmarks of one package.
type suite struct {
	folder     string   // from the root of the repository
	benchmarks []string // names without "Benchmark", of leaves
}

// hotPaths are what a request passes through, and what anyone can send in any number.
var hotPaths = []suite{
	{"mcpauth", []string{
		"Wrap/bearer-seen/tokens=1", "Wrap/bearer-new/ES256", "Wrap/bearer-new-call/ES256", "Wrap/dpop-seen/ES256", "Wrap/dpop-new/ES256",
		"Wrap/denied-no-token", "Wrap/denied-no-token-call", "Wrap/denied-scope", "WrapIntrospected/call/opaque-warm/tokens=1/length=43",
		"Body/1KB", "Body/100KB", "ListFilter/tools=30",
	}},
	{"internal/tokencache", []string{"Get/hit_one_token", "Get/miss"}},
	{"internal/replay", []string{"Steady/mean"}},
}

const (
	tooSlow    = 2.0 // times as long as before
	leastJudge = 5   // rounds: with fewer, the interval holds the true ratio too seldom
)

// settings are the command line.
type settings struct {
	repository string // a folder in it
	suites     []suite
	rounds     int
	benchtime  time.Duration
	limit      time.Duration
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	s := settings{suites: hotPaths}
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&s.repository, "repository", ".", "a `folder` in the working tree")
	flags.IntVar(&s.rounds, "rounds", 7, "`rounds`, in each of which both sides have their turn")
	flags.DurationVar(&s.benchtime, "benchtime", 50*time.Millisecond, "how `long` each benchmark runs, in each round and on each side")
	flags.DurationVar(&s.limit, "limit", time.Minute, "the `time` after which no more rounds begin, builds included")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.rounds < leastJudge || s.rounds > 100:
		return fmt.Errorf("-rounds: write %d to 100", leastJudge)
	case s.benchtime <= 0 || s.benchtime > time.Second:
		return errors.New("-benchtime: write more than 0, and at most 1s")
	case s.limit <= 0:
		return errors.New("-limit: write more than 0")
	}
	return compare(ctx, s, stdout)
}

// compare is the whole comparison. Where there is nothing to compare with, it says so and returns nil.
func compare(ctx context.Context, s settings, out io.Writer) error {
	began := time.Now()
	h, err := previous(ctx, s.repository)
	if none := (*noHistory)(nil); errors.As(err, &none) {
		fmt.Fprintln(out, "nothing to compare with:", none)
		return nil
	} else if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "compare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	pairs, err := build(ctx, h, folder, s.suites, out)
	if err != nil || len(pairs) == 0 {
		return err
	}
	fmt.Fprintf(out, "the working tree, beside its previous commit %s\n", h.title)
	rows, err := measure(ctx, pairs, s, began)
	if err != nil {
		return err
	}
	report(out, rows)
	return judge(ctx, rows, s, out)
}

// judge fails for what is too slow, twice. What seems to be is measured again, together.
func judge(ctx context.Context, rows []*row, s settings, out io.Writer) error {
	var again []*pair
	first := make(map[string]*row)
	for _, r := range rows {
		if !r.isTooSlow() {
			continue
		}
		fmt.Fprintf(out, "\n%s takes %v times as long as before; once more\n", r.name, r.ratio())
		first[r.name] = r
		if n := len(again); n > 0 && again[n-1].folder == r.pair.folder {
			again[n-1].benchmarks = append(again[n-1].benchmarks, r.benchmark)
		} else {
			again = append(again, &pair{suite: suite{r.pair.folder, []string{r.benchmark}}, before: r.pair.before, after: r.pair.after})
		}
	}
	if len(again) == 0 {
		return nil
	}
	rows, err := measure(ctx, again, s, time.Now())
	if err != nil {
		return err
	}
	report(out, rows)
	var failed []error
	for _, r := range rows {
		if r.isTooSlow() {
			failed = append(failed, fmt.Errorf("%s takes %v times as long as before, and %v when measured again; at most %g is allowed", r.name, first[r.name].ratio(), r.ratio(), tooSlow))
		}
	}
	return errors.Join(failed...)
}
