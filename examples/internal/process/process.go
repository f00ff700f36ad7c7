//go:build unix

package process

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// StopTimeout is how long a program may take to end; only a broken run meets it.
const StopTimeout = 5 * time.Second

// A Program is what to start. The zero Program is none.
type Program struct {
	Path  string     // of the executable
	Args  []string   // without the name of the program
	Env   []string   // nil: that of the test
	Files []*os.File // those that the program has open from descriptor 3 on
}

// A Process is a running program in a process group of its own, which ends with the test.
type Process struct {
	Name   string // for people
	cmd    *exec.Cmd
	output Buffer
	exited chan struct{}
}

// Start starts a program. When the test ends it is stopped with all that it started, and if the test failed its output is
// in the log.
func Start(t testing.TB, what Program) *Process {
	t.Helper()
	p := &Process{Name: filepath.Base(what.Path), cmd: exec.Command(what.Path, what.Args...), exited: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env, p.cmd.ExtraFiles = what.Env, what.Files
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = StopTimeout
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.Stop(t)
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.Name, p.Output())
		}
	})
	return p
}

// Stop asks the process group to end, makes it end if it does not, and waits for that. The group keeps its number while
// anything in it runs.
func (p *Process) Stop(t testing.TB) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if p.Ended() && p.groupEnded() {
			return
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, sig)
		if Eventually(StopTimeout, p.Ended) && Eventually(StopTimeout, p.groupEnded) {
			return
		}
	}
	t.Errorf("%s does not end", p.Name)
}

// Output is what the program has written so far to standard output and standard error.
func (p *Process) Output() string { return p.output.String() }

// Exited is closed when the program has ended and its output is complete.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Ended reports whether Exited is closed.
func (p *Process) Ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func (p *Process) groupEnded() bool {
	return errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH)
}

// Eventually waits until a condition holds that nobody tells us about, and reports whether it does.
func Eventually(timeout time.Duration, condition func() bool) bool {
	for end := time.Now().Add(timeout); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
