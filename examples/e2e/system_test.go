//go:build e2e && unix

package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	proc "github.com/go-mcpauth/sdk/examples/internal/process"
)

// Limits that only a broken run meets.
const (
	startTimeout = 20 * time.Second
	stopTimeout  = 5 * time.Second
	testTimeout  = 120 * time.Second
)

var programs string // the folder of the built binaries

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "mcpauth-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", dir+string(filepath.Separator), "./authserver", "./resource-server")
		build.Dir, build.Stdout, build.Stderr = "..", os.Stdout, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "building the example programs:", err)
			return 1
		}
		programs = dir
		return m.Run()
	}())
}

// A process is a running program in a process group of its own, which ends with the test.
type process struct {
	name   string
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr proc.Buffer
	cmd    *exec.Cmd
	exited chan struct{} // closed when the program has ended and its standard error is complete
}

// start starts a program that is stopped when the test ends.
func start(t *testing.T, path string, args ...string) *process {
	t.Helper()
	return startWith(t, nil, path, args...)
}

// startWith is start with an environment; nil is that of the test.
func startWith(t *testing.T, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(path), cmd: exec.Command(path, args...), exited: make(chan struct{})}
	p.cmd.Env = env
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = stopTimeout
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, in, err := os.Pipe() // not StdoutPipe: Wait would close it under the reader
	require.NoError(t, err)
	p.cmd.Stdout, p.stdout = in, bufio.NewReader(out)
	err = p.cmd.Start()
	_ = in.Close()
	require.NoError(t, err)
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() {
		p.stop()
		_ = out.Close()
		if t.Failed() {
			t.Logf("standard error of %s:\n%s", p.name, p.stderr.String())
		}
	})
	return p
}

// stop asks the program to end, makes it end if it does not, and waits for that.
func (p *process) stop() {
	_ = p.stdin.Close()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		select {
		case <-p.exited:
			return // its process group may be somebody else's by now
		default:
		}
		_ = syscall.Kill(-p.cmd.Process.Pid, sig)
		select {
		case <-p.exited:
		case <-time.After(stopTimeout):
		}
	}
}

// line reads a line of standard output.
func (p *process) line(timeout time.Duration) (string, error) {
	type result struct {
		text string
		err  error
	}
	read := make(chan result, 1)
	go func() {
		text, err := p.stdout.ReadString('\n')
		read <- result{strings.TrimSpace(text), err}
	}()
	select {
	case r := <-read:
		if r.err != nil {
			return "", fmt.Errorf("%s ended: %w", p.name, r.err)
		}
		return r.text, nil
	case <-time.After(timeout):
		return "", fmt.Errorf("%s said nothing for %s", p.name, timeout)
	}
}

// A system is an authorization server and a resource server that trust each other.
type system struct {
	resource, issuer string
	auth, server     *process
}

// An authority starts an authorization server for a resource. The process says where it listens, as the example programs do.
type authority func(t *testing.T, resource string) *process

func devAuthority(t *testing.T, resource string) *process {
	t.Helper()
	return start(t, filepath.Join(programs, "authserver"), "-resource", resource)
}

// newSystem starts both programs. Each must know the other's address before it listens, so the
// resource server's port is one that was free a moment ago; if somebody else was faster, another is tried.
func newSystem(t *testing.T, authority authority, flags ...string) *system {
	t.Helper()
	var err error
	for range 5 {
		address := freeAddress(t)
		sys := &system{resource: "http://" + address + "/mcp"}
		sys.auth = authority(t, sys.resource)
		sys.issuer, err = sys.auth.address()
		require.NoError(t, err)
		sys.server = start(t, filepath.Join(programs, "resource-server"),
			append([]string{"-listen", address, "-issuer", sys.issuer, "-log"}, flags...)...)
		var base string
		if base, err = sys.server.address(); err == nil {
			require.Equal(t, "http://"+address, base)
			return sys
		}
		sys.auth.stop()
		sys.server.stop()
		if !strings.Contains(sys.server.stderr.String(), "address already in use") {
			break
		}
	}
	require.NoError(t, err)
	return nil
}

// address is the URL in the line that a server prints when it accepts connections.
func (p *process) address() (string, error) {
	line, err := p.line(startTimeout)
	if err != nil {
		return "", err
	}
	address, ok := strings.CutPrefix(line, "listening on ")
	if !ok {
		return "", errors.New("unexpected output: " + line)
	}
	return address, nil
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// A decision is what the resource server's -log says about one request.
type decision struct {
	Event, Reason, Method, Name string
	Allowed                     bool
	Status                      int
	Needed, Granted             []string
	Subject                     string
}

// decisions stops the resource server and returns its audit events. Every line must be JSON.
func (s *system) decisions(t *testing.T) (events []decision, raw string) {
	t.Helper()
	s.server.stop()
	raw = s.server.stderr.String()
	for line := range strings.Lines(raw) {
		var d decision
		require.NoError(t, json.Unmarshal([]byte(line), &d), "a line of the log: %s", line)
		if d.Event == "decision" {
			events = append(events, d)
		}
	}
	return events, raw
}

// within is a context for one test, so that a client that waits for ever fails it before go test gives up and leaves processes behind.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), testTimeout)
	t.Cleanup(cancel)
	return ctx
}
