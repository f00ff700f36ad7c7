//go:build unix

package replicas_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/replicas/internal/issuer"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// program is the server, built once for all tests.
var program string

func TestMain(m *testing.M) { os.Exit(build(m)) }

func build(m *testing.M) int {
	dir, err := os.MkdirTemp("", "replicas")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "server")
	if out, err := exec.Command("go", "build", "-o", program, "./server").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

const patience = time.Minute // with what takes milliseconds on an idle machine

// A system is two processes of the server behind a balancer, with one Redis and one issuer.
type system struct {
	*testing.T
	resource string
	issuer   *issuer.Issuer
	redis    *redistest.Server
	replicas [2]*process
	client   *http.Client
}

// A process is one replica.
type process struct {
	url, admin *url.URL
	command    *exec.Cmd
	said       *lines
}

// choose is the field by which a test chooses the replica. Without it, they take turns.
const choose = "X-Replica"

func newSystem(t *testing.T, server *redistest.Server, args ...string) *system {
	s := &system{T: t, redis: server, client: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	t.Cleanup(s.client.CloseIdleConnections)
	var turn atomic.Int64
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		Rewrite: func(r *httputil.ProxyRequest) {
			i, err := strconv.Atoi(r.In.Header.Get(choose))
			if err != nil {
				i = int(turn.Add(1))
			}
			r.SetURL(s.replicas[i%2].url)
			r.Out.Host = r.In.Host // what clients call the resource
			r.Out.Header.Del(choose)
		},
	})
	t.Cleanup(balancer.Close)
	s.resource = balancer.URL + "/mcp"
	var err error
	s.issuer, err = issuer.Start()
	require.NoError(t, err)
	t.Cleanup(s.issuer.Close)
	secret := make([]byte, 32)
	rand.Read(secret)
	for i := range s.replicas {
		s.replicas[i] = s.start(base64.StdEncoding.EncodeToString(secret), args...)
	}
	return s
}

// start starts one process, which ends with the test. NONCE_KEYS is set where the arguments begin with "nonces".
func (s *system) start(secret string, args ...string) *process {
	s.Helper()
	environment := os.Environ()
	if len(args) > 0 && args[0] == "nonces" {
		environment, args = append(environment, "NONCE_KEYS="+secret), args[1:]
	}
	args = append([]string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-resource", s.resource, "-issuer", s.issuer.URL, "-redis", s.redis.Addr()}, args...)
	p := &process{command: exec.Command(program, args...), said: new(lines)}
	p.command.Env, p.command.SysProcAttr, p.command.Stderr = environment, dieWithParent(), p.said
	p.command.WaitDelay = patience
	out, err := p.command.StdoutPipe()
	require.NoError(s, err)
	require.NoError(s, p.command.Start())
	s.Cleanup(func() {
		_ = p.command.Process.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(patience, func() { _ = p.command.Process.Kill() })
		defer timer.Stop()
		if err := p.command.Wait(); err != nil {
			s.Errorf("a server did not end well: %v\n%s", err, p.said.text())
		}
		if s.Failed() {
			s.Logf("a server said:\n%s", p.said.text())
		}
	})
	reader := bufio.NewReader(out)
	address := func(what string) *url.URL {
		line, err := reader.ReadString('\n')
		require.NoError(s, err, p.said.text())
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), what+" on ")
		require.True(s, ok, line)
		u, err := url.Parse(rest)
		require.NoError(s, err)
		return u
	}
	p.url, p.admin = address("listening"), address("admin listening")
	return p
}

// lines keep the end of what a server says.
type lines struct {
	mu  sync.Mutex
	buf []byte
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf = append(l.buf, b...)
	const most = 8 << 10
	if len(l.buf) > 2*most {
		l.buf = append(l.buf[:0], l.buf[len(l.buf)-most:]...)
	}
	return len(b), nil
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(bytes.ToValidUTF8(l.buf, nil))
}

const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`

// An answer is what came back. Status 0: nothing did.
type answer struct {
	status                       int
	challenge, nonce, retryAfter string
	body                         string
}

// send makes one call, at replica 0 or 1, or at whichever has its turn with -1. An empty proof means a bearer token.
func (s *system) send(replica int, token, proof string) answer {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, s.resource, strings.NewReader(call))
	if err != nil {
		panic(err) // the URL is the balancer's
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + token}}
	if proof != "" {
		req.Header["Authorization"], req.Header["Dpop"] = []string{"DPoP " + token}, []string{proof}
	}
	if replica >= 0 {
		req.Header.Set(choose, strconv.Itoa(replica))
	}
	res, err := s.client.Do(req)
	if err != nil {
		return answer{body: err.Error()}
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return answer{res.StatusCode, strings.Join(res.Header.Values("WWW-Authenticate"), ", "), res.Header.Get("DPoP-Nonce"), res.Header.Get("Retry-After"), string(body)}
}

// wants fails unless the status is this, and, where it is 200, the tool has answered.
func (s *system) wants(status int, got answer) answer {
	s.Helper()
	require.Equal(s, status, got.status, "%+v", got)
	if status == http.StatusOK {
		require.Contains(s, got.body, `"text":`)
	}
	return got
}

// token is a good one of a subject; one for a key is bound to it.
func (s *system) token(subject, id string, key *mcpauthtest.DPoPKey) string {
	t := issuer.Token{Resource: s.resource, Subject: subject, ID: id}
	if key != nil {
		t.Thumbprint = key.Thumbprint()
	}
	signed, _ := s.issuer.Token(t)
	return signed
}

// A prover is a client with a key and a token that is bound to it.
type prover struct {
	s     *system
	key   *mcpauthtest.DPoPKey
	token string
}

func (s *system) prover(subject string) *prover {
	s.Helper()
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(s, err)
	return &prover{s, key, s.token(subject, "", key)}
}

func (p *prover) proof(nonce string) string {
	return p.key.Proof(http.MethodPost, p.s.resource, p.token, nonce)
}

// revoke asks the admin listener of a replica, and returns the status.
func (s *system) revoke(replica int, body string) int {
	s.Helper()
	res, err := s.client.Post(s.replicas[replica].admin.String()+"/revoke", "application/json", strings.NewReader(body))
	require.NoError(s, err)
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode
}
