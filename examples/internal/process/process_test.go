//go:build unix

package process_test

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/process"
)

// What a program started ends with it, even where the program takes no notice of being asked.
func TestStopEndsAllOfThem(t *testing.T) {
	for name, script := range map[string]string{
		"asked":   "sleep 600 & echo $!; wait",
		"ended":   "sleep 600 >/dev/null 2>&1 & echo $!", // leaves a child behind
		"with fd": "read line <&3; sleep 600 & echo $!; wait",
	} {
		t.Run(name, func(t *testing.T) {
			var child int
			t.Run("inner", func(t *testing.T) {
				what := process.Program{Path: "/bin/sh", Args: []string{"-c", script}}
				if name == "with fd" {
					what.Files = append(what.Files, pipeWith(t, "go\n"))
				}
				p := process.Start(t, what)
				require.True(t, process.Eventually(process.StopTimeout, func() bool { return strings.HasSuffix(p.Output(), "\n") }), p.Output())
				var err error
				child, err = strconv.Atoi(strings.TrimSpace(p.Output()))
				require.NoError(t, err)
				require.NoError(t, syscall.Kill(child, 0), "it runs")
			})
			require.True(t, process.Eventually(process.StopTimeout, func() bool { return gone(child) }), "the child outlives the test")
		})
	}
}

func TestEnded(t *testing.T) {
	p := process.Start(t, process.Program{Path: "/bin/sh", Args: []string{"-c", "echo $GREETING; echo problems >&2"}, Env: []string{"GREETING=hello"}})
	<-p.Exited()
	require.True(t, p.Ended())
	require.Equal(t, "hello\nproblems\n", p.Output())
	require.Equal(t, "sh", p.Name)
	require.False(t, process.Eventually(0, func() bool { return false }))
}

// pipeWith is the end of a pipe that a program reads these bytes from.
func pipeWith(t *testing.T, text string) *os.File {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close() })
	_, err = w.WriteString(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return r
}

// gone reports whether a process has ended; one that nobody has waited for yet may still have its number.
func gone(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
