//go:build conformance && unix

package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/process"
)

// suiteTimeout is for one run of the suite, which takes a few seconds.
const suiteTimeout = 60 * time.Second

// A suite is a release of the conformance suite with its arguments.
type suite struct {
	release string // a folder in ts/node_modules
	args    []string
}

// A check is one line of the verdict about a scenario.
type check struct {
	ID, Name, Status string
	ErrorMessage     string
}

func (c check) String() string { return c.ID + " " + c.Name + " " + c.Status }

// An outcome is what a run said about each scenario, in the order of the run.
type outcome struct {
	scenarios []string
	totals    map[string]string // the line of the summary
	checks    map[string][]check
}

var (
	summaryLine = regexp.MustCompile(`^[✓✗] ([a-z0-9-]+): (\d+ passed, \d+ failed)`)
	resultDir   = regexp.MustCompile(`^server-(.+)-\d{4}-\d\d-\d\dT[0-9-]+Z$`)
)

// run runs all scenarios against an endpoint.
func (s suite) run(t *testing.T, endpoint string) outcome {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err, "the conformance suite needs Node.js 20 or later")
	script := filepath.Join("ts", "node_modules", s.release, "dist", "index.js")
	_, err = os.Stat(script)
	require.NoError(t, err, "run: npm ci --prefix examples/conformance/ts")

	ctx, cancel := context.WithTimeout(t.Context(), suiteTimeout)
	defer cancel()
	results := t.TempDir()
	cmd := exec.CommandContext(ctx, node, append([]string{"--import", "./ts/globsync.mjs", script, "server",
		"--url", endpoint, "--suite", "all", "--output-dir", results}, s.args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = process.StopTimeout
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1 || ctx.Err() != nil) { // 1: a scenario failed
		require.NoError(t, err, output.String())
	}

	out := outcome{totals: map[string]string{}, checks: map[string][]check{}}
	_, summary, found := strings.Cut(output.String(), "=== SUMMARY ===")
	require.True(t, found, output.String())
	for line := range strings.Lines(summary) {
		if m := summaryLine.FindStringSubmatch(line); m != nil {
			require.NotContains(t, out.totals, m[1])
			out.scenarios = append(out.scenarios, m[1])
			out.totals[m[1]] = m[2]
		}
	}
	entries, err := os.ReadDir(results)
	require.NoError(t, err)
	for _, e := range entries {
		m := resultDir.FindStringSubmatch(e.Name())
		require.NotNil(t, m, e.Name())
		require.Contains(t, out.totals, m[1])
		text, err := os.ReadFile(filepath.Join(results, e.Name(), "checks.json"))
		require.NoError(t, err)
		var checks []check
		require.NoError(t, json.Unmarshal(text, &checks))
		out.checks[m[1]] = checks
	}
	return out
}

// verdict is everything about a scenario that two runs can be compared by.
func (o outcome) verdict(scenario string) string {
	total, ok := o.totals[scenario]
	if !ok {
		return "not run"
	}
	lines := []string{total}
	for _, c := range o.checks[scenario] {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

// explain is the verdict with what the suite has to say about it.
func (o outcome) explain(scenario string) string {
	var b strings.Builder
	fmt.Fprintln(&b, o.totals[scenario])
	for _, c := range o.checks[scenario] {
		fmt.Fprintln(&b, "   ", c, c.ErrorMessage)
	}
	return b.String()
}

// passed reports whether a scenario was judged, and nothing in it failed.
func (o outcome) passed(scenario string) bool {
	for _, c := range o.checks[scenario] {
		if c.Status == "FAILURE" {
			return false
		}
	}
	return len(o.checks[scenario]) > 0 && strings.HasSuffix(o.totals[scenario], " 0 failed")
}
