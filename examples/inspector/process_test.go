//go:build browser && unix

package inspector

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stopTimeout is how long a program may take to end; only a broken run meets it.
const stopTimeout = 5 * time.Second

// A program is what to start.
type program struct {
	path  string
	args  []string
	env   []string   // nil is that of the test
	files []*os.File // from descriptor 3 on
}

// A process is a running program in a process group of its own, which ends with the test.
type process struct {
	name   string
	output lockedBuffer // standard output and standard error
	cmd    *exec.Cmd
	exited chan struct{} // closed when the program has ended and its output is complete
}

// start starts a program that is stopped, with all that it started, when the test ends.
func start(t *testing.T, what program) *process {
	t.Helper()
	p := &process{name: filepath.Base(what.path), cmd: exec.Command(what.path, what.args...), exited: make(chan struct{})}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Env, p.cmd.ExtraFiles = what.env, what.files
	p.cmd.Stdout, p.cmd.Stderr = &p.output, &p.output
	p.cmd.WaitDelay = stopTimeout
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("output of %s:\n%s", p.name, p.output.String())
		}
	})
	return p
}

// stop asks the process group to end, makes it end if it does not, and waits for that. The group keeps its number while anything in it runs.
func (p *process) stop(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if p.ended() && p.groupEnded() {
			return
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, sig)
		if eventually(stopTimeout, p.ended) && eventually(stopTimeout, p.groupEnded) {
			return
		}
	}
	t.Errorf("%s does not end", p.name)
}

func (p *process) ended() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

func (p *process) groupEnded() bool {
	return errors.Is(syscall.Kill(-p.cmd.Process.Pid, 0), syscall.ESRCH)
}

// eventually waits until a condition holds that nobody tells us about.
func eventually(timeout time.Duration, condition func() bool) bool {
	for end := time.Now().Add(timeout); !condition(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// lockedBuffer is a bytes.Buffer that may be read while a process writes.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
