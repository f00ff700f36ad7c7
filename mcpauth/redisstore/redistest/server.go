//go:build unix

package redistest

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A Server is a redis-server of this test. Its methods are for the goroutine of the test.
type Server struct {
	t       testing.TB
	dir     string
	port    int
	bus     int // of a node in a cluster; else 0
	durable bool
	process *exec.Cmd
	ended   chan struct{} // closed when the process has
}

const (
	attempts = 20               // at finding a port that nobody else takes meanwhile
	patience = 30 * time.Second // with a server that starts or ends, on a machine with other work
)

// Start starts a server on a port that was free, and stops it when the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	return start(t, false, false)
}

// StartDurable is Start for a server with appendonly yes and appendfsync always, as redisstore asks for the first: what
// it has answered, it still knows after Stop and Restart.
func StartDurable(t testing.TB) *Server {
	t.Helper()
	return start(t, false, true)
}

func start(t testing.TB, cluster, durable bool) *Server {
	t.Helper()
	s := &Server{t: t, dir: t.TempDir(), durable: durable}
	t.Cleanup(s.Stop)
	for range attempts {
		s.port = freePort(t)
		if cluster {
			s.bus = freePort(t)
		}
		output, ok := s.run()
		if ok {
			return s
		}
		if !strings.Contains(output, "in use") {
			t.Fatalf("redis-server did not start:\n%s", output)
		}
	}
	t.Fatalf("redis-server found no free port in %d attempts", attempts)
	return nil
}

// Addr is where the server listens, also while it is stopped.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Stop kills the server, paused or not, as a crash would: what it held is gone, unless StartDurable started it. It does
// nothing to one that is stopped.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	_ = s.process.Process.Kill()
	<-s.ended
	s.process = nil
}

// Restart stops the server and starts another one at the same address, which is empty, or knows what the former one
// wrote down where StartDurable started it.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if output, ok := s.run(); !ok {
		s.t.Fatalf("redis-server did not start again:\n%s", output)
	}
}

// Pause makes the server hang: the system still accepts connections for it, and nothing is answered.
func (s *Server) Pause() { s.signal(syscall.SIGSTOP) }

// Resume ends Pause. What was asked meanwhile is answered.
func (s *Server) Resume() { s.signal(syscall.SIGCONT) }

func (s *Server) signal(what syscall.Signal) {
	s.t.Helper()
	if s.process == nil {
		s.t.Fatal("the redis-server is stopped")
	}
	if err := s.process.Process.Signal(what); err != nil {
		s.t.Fatal(err)
	}
}

// run starts the process and returns once it accepts connections, or what it said instead.
func (s *Server) run() (output string, ok bool) {
	s.t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		s.t.Fatal("these tests need redis-server 7.0 or newer in the path; install it, for example with: apt-get install redis-server")
	}
	args := []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port), "--save", "", "--dir", s.dir}
	if s.durable {
		args = append(args, "--appendonly", "yes", "--appendfsync", "always")
	} else {
		args = append(args, "--appendonly", "no")
	}
	if s.bus != 0 {
		args = append(args, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(s.bus), "--cluster-config-file", fmt.Sprintf("nodes-%d.conf", s.port))
	}
	cmd := exec.Command(path, args...)
	cmd.SysProcAttr = dieWithParent()
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	// The log is read to its end, so that the server never waits for a reader.
	said, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		var log strings.Builder
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			fmt.Fprintln(&log, lines.Text())
			if strings.Contains(lines.Text(), "Ready to accept connections") {
				said <- ""
				break
			}
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
		select {
		case said <- log.String():
		default:
		}
	}()
	select {
	case output = <-said:
	case <-time.After(patience):
		output = "it said nothing for " + patience.String()
	}
	if output != "" {
		_ = cmd.Process.Kill()
		<-ended
		return output, false
	}
	s.process, s.ended = cmd, ended
	return "", true
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
