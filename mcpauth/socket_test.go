package mcpauth_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A rawConn speaks HTTP/1.1 byte by byte with a real server.
type rawConn struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func dial(t testing.TB, server *httptest.Server) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(30*time.Second)))
	return &rawConn{Conn: c, t: t, in: bufio.NewReader(c)}
}

// send writes lines of a request; each gets its CR LF.
func (c *rawConn) send(lines ...string) {
	c.t.Helper()
	_, err := io.WriteString(c.Conn, strings.Join(lines, "\r\n")+"\r\n")
	require.NoError(c.t, err)
}

// head reads a response up to the empty line, as it stands on the wire.
func (c *rawConn) head() []string {
	c.t.Helper()
	var lines []string
	for {
		line, err := c.in.ReadString('\n')
		require.NoError(c.t, err)
		line, ok := strings.CutSuffix(line, "\r\n")
		require.True(c.t, ok)
		if line == "" {
			return lines
		}
		lines = append(lines, line)
	}
}

// closed waits until the server closes the connection.
func (c *rawConn) closed() {
	c.t.Helper()
	_, err := io.Copy(io.Discard, c.in)
	if err != nil {
		require.NotErrorIs(c.t, err, net.ErrClosed)
		var timeout net.Error
		require.False(c.t, asTimeout(err, &timeout), "the server kept the connection open")
	}
}

func asTimeout(err error, target *net.Error) bool {
	e, ok := err.(net.Error)
	*target = e
	return ok && e.Timeout()
}

// newSocket serves the usual middleware with a handler that repeats the body.
func newSocket(t testing.TB) (*httptest.Server, *testIssuer) {
	t.Helper()
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.BaseScopes = []string{"mcp:read"} })
	auth.RequireTool("whoami", scopes.Authenticated())
	server := httptest.NewServer(auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	})))
	t.Cleanup(server.Close)
	return server, is
}

func TestSocket_CH13_TwoAuthorizationLines(t *testing.T) {
	server, is := newSocket(t)
	token := is.scoped(t, "mcp:read")
	body := call("whoami")
	for _, second := range []string{"Authorization: Bearer " + token, "authorization: Basic eDp5", "AUTHORIZATION:"} {
		c := dial(t, server)
		c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Authorization: Bearer "+token, second,
			"Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)), "", body)
		head := c.head()
		require.Equal(t, "HTTP/1.1 400 Bad Request", head[0])
		require.Contains(t, strings.Join(head, "\n"), `Www-Authenticate: Bearer error="invalid_request"`)
	}
	// A folded line is no second credential either: net/http joins or refuses it, and nothing gets in.
	c := dial(t, server)
	c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Authorization: Bearer "+token, " "+token, "Content-Length: 0", "", "")
	require.Contains(t, c.head()[0], " 400 ")
}

// CH-17: on the wire the Bearer line is the first challenge, and each header line holds one challenge.
func TestSocket_CH17_ChallengeOnTheWire(t *testing.T) {
	server, _ := newSocket(t)
	c := dial(t, server)
	body := call("whoami")
	c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)), "", body)
	head := c.head()
	require.Equal(t, "HTTP/1.1 401 Unauthorized", head[0])
	var challenges []string
	for _, line := range head[1:] {
		if name, value, _ := strings.Cut(line, ": "); strings.EqualFold(name, "WWW-Authenticate") {
			challenges = append(challenges, value)
		}
	}
	require.Equal(t, bothLines(plain+`, scope="mcp:read"`), challenges)
	require.Contains(t, head, "Cache-Control: no-store")
	require.Contains(t, head, "X-Content-Type-Options: nosniff")
}

// RFC 9110, Section 10.1.1: whoever waits for 100 Continue without a good token gets the refusal
// instead, and never sends the body.
func TestSocket_ExpectContinue(t *testing.T) {
	server, is := newSocket(t)
	body := call("whoami")
	for _, authorization := range []string{"X-None: 1", "Authorization: Bearer bad", "Authorization: Bearer " + is.token(t, claims{"aud": "x"})} {
		c := dial(t, server)
		c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", authorization, "Expect: 100-continue",
			"Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)), "", "")
		head := c.head()
		require.Equal(t, "HTTP/1.1 401 Unauthorized", head[0])
		require.Contains(t, head, "Connection: close", "what follows could be the body or not")
	}
	c := dial(t, server)
	c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Authorization: Bearer "+is.scoped(t, "mcp:read"), "Expect: 100-continue",
		"Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body)), "")
	require.Equal(t, []string{"HTTP/1.1 100 Continue"}, c.head())
	_, err := io.WriteString(c.Conn, body)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 200 OK", c.head()[0])
}

func TestSocket_ChunkedBodies(t *testing.T) {
	server, is := newSocket(t)
	body := call("whoami")
	chunked := func(c *rawConn, token string) {
		c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Authorization: Bearer "+token,
			"Content-Type: application/json", "Transfer-Encoding: chunked", "",
			"5;ext=1", body[:5], fmt.Sprintf("%x", len(body)-5), body[5:], "0", "Authorization: Bearer trailer", "")
	}
	c := dial(t, server)
	chunked(c, is.scoped(t, "mcp:read"))
	require.Equal(t, "HTTP/1.1 200 OK", c.head()[0])
	got := make([]byte, len(body))
	_, err := io.ReadFull(c.in, got)
	require.NoError(t, err)
	require.Equal(t, body, string(got))

	// No length is declared, so the body is not read for an id.
	c = dial(t, server)
	chunked(c, "bad")
	head := c.head()
	require.Equal(t, "HTTP/1.1 401 Unauthorized", head[0])
	require.Contains(t, head, "Content-Length: 0")

	// Chunks without end stop at the limit.
	c = dial(t, server)
	c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Authorization: Bearer "+is.scoped(t, "mcp:read"),
		"Content-Type: application/json", "Transfer-Encoding: chunked", "")
	go func() {
		chunk := "10000\r\n" + strings.Repeat(" ", 0x10000) + "\r\n"
		for {
			if _, err := io.WriteString(c.Conn, chunk); err != nil {
				return
			}
		}
	}()
	head = c.head()
	require.Equal(t, "HTTP/1.1 413 Request Entity Too Large", head[0])
	require.Contains(t, head, "Connection: close")
}

// HTTP-21: a gigabyte that was only announced is not waited for.
func TestSocket_HTTP21_HugeBodyIsAnsweredAtOnce(t *testing.T) {
	server, is := newSocket(t)
	for _, test := range []struct{ authorization, status string }{
		{"X-None: 1", "HTTP/1.1 401 Unauthorized"},
		{"Authorization: Bearer bad", "HTTP/1.1 401 Unauthorized"},
		{"Authorization: Bearer " + is.scoped(t, "mcp:read"), "HTTP/1.1 413 Request Entity Too Large"},
		{"Origin: https://evil.example", "HTTP/1.1 403 Forbidden"},
	} {
		c := dial(t, server)
		c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", test.authorization,
			"Content-Type: application/json", "Content-Length: 1073741824", "", "{")
		head := c.head()
		require.Equal(t, test.status, head[0])
		require.Contains(t, head, "Connection: close")
		c.closed()
	}
}

// HTTP-01: a client without a good token that sends its body slowly, or not at all, holds nothing for
// longer than the deadline of two seconds: neither its answer nor the connection.
func TestSocket_HTTP01_SlowBodyDoesNotHang(t *testing.T) {
	server, _ := newSocket(t)
	type outcome struct {
		name, status string
		took         time.Duration
	}
	cases := map[string][]string{
		"declared":            {"Content-Type: application/json", "Content-Length: 100"},
		"declared, too large": {"Content-Type: application/json", "Content-Length: 100000"},
		"of another type":     {"Content-Type: text/plain", "Content-Length: 100"},
		"chunked":             {"Content-Type: application/json", "Transfer-Encoding: chunked"},
		"of a foreign page":   {"Content-Type: application/json", "Content-Length: 100", "Origin: https://evil.example"},
		"of an OPTIONS":       {"Content-Type: application/json", "Content-Length: 100", "X-Method: OPTIONS"},
	}
	results := make(chan outcome, len(cases))
	for name, lines := range cases {
		method := "POST"
		if name == "of an OPTIONS" {
			method = "OPTIONS"
		}
		c := dial(t, server)
		c.send(append([]string{method + " /mcp HTTP/1.1", "Host: mcp.example.com"}, lines...)...)
		c.send("", "5") // and then nothing
		began := time.Now()
		go func() {
			status, _ := c.in.ReadString('\n')
			_, err := io.Copy(io.Discard, c.in) // until the server closes
			if e, ok := err.(net.Error); ok && e.Timeout() {
				status = "the connection stays open"
			}
			results <- outcome{name, status, time.Since(began)}
		}()
	}
	for range cases {
		got := <-results
		want := "HTTP/1.1 401 Unauthorized\r\n"
		switch got.name {
		case "of a foreign page":
			want = "HTTP/1.1 403 Forbidden\r\n"
		case "of an OPTIONS":
			want = "HTTP/1.1 204 No Content\r\n"
		}
		require.Equal(t, want, got.status, got.name)
		require.Less(t, got.took, 15*time.Second, got.name) // two, and a slow machine; the connection's own deadline is 30
	}
}
