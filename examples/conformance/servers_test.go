//go:build conformance && unix

package conformance

import (
	"bytes"
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/process"
	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
)

const (
	everythingServer = "github.com/modelcontextprotocol/go-sdk/conformance/everything-server"
	startTimeout     = 20 * time.Second
)

// programs are the servers that the suite is run against.
type programs struct{ bare, inside, proxy string }

// build builds go-sdk's server twice, the second time with the middleware in it, and resource-server.
func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	p := programs{filepath.Join(dir, "bare"), filepath.Join(dir, "inside"), filepath.Join(dir, "proxy")}
	goTool(t, "build", "-o", p.bare, everythingServer)
	goTool(t, "build", "-o", p.proxy, "./resource-server")

	// That server's package cannot be imported. A package that is only an overlay has its source, as it is in the module cache, with one
	// call put around the handler.
	const serve, protect = "http.ListenAndServe(*httpAddr, handler)", "http.ListenAndServe(*httpAddr, protected(server, handler))"
	source, err := os.ReadFile(filepath.Join(strings.TrimSpace(goTool(t, "list", "-f", "{{.Dir}}", everythingServer)), "main.go"))
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(source), serve), "the everything-server has changed: look for where it serves")
	patched := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(patched, []byte(strings.Replace(string(source), serve, protect, 1)), 0o600))
	virtual, err := filepath.Abs("everything")
	require.NoError(t, err)
	ours, err := filepath.Abs(filepath.Join("testdata", "protect.go"))
	require.NoError(t, err)
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{
		filepath.Join(virtual, "main.go"): patched, filepath.Join(virtual, "protect.go"): ours,
	}})
	require.NoError(t, err)
	file := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(file, overlay, 0o600))
	goTool(t, "build", "-overlay", file, "-o", p.inside, "./conformance/everything")
	return p
}

// goTool runs the go command in the module of the examples and returns what it printed.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = ".."
	var problems strings.Builder
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, "go %s: %s", strings.Join(args, " "), problems.String())
	return string(out)
}

// everything starts an everything-server and returns its MCP endpoint. The server cannot choose a port, so it is given one that was free a
// moment ago; if somebody else was faster, another is tried.
func everything(t *testing.T, program string, args ...string) string {
	t.Helper()
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		address := l.Addr().String()
		require.NoError(t, l.Close())

		p := process.Start(t, process.Program{Path: program, Args: append([]string{"-http", address}, args...)})
		accepting := false
		require.True(t, process.Eventually(startTimeout, func() bool {
			if conn, err := net.Dial("tcp", address); err == nil {
				_ = conn.Close()
				accepting = true
			}
			return accepting || p.Ended()
		}), "no connection to %s", address)
		if accepting && !p.Ended() {
			return "http://" + address + "/mcp"
		}
		if !strings.Contains(p.Output(), "address already in use") {
			break
		}
	}
	require.Fail(t, "the server does not start", program)
	return ""
}

// behindProxy starts resource-server in front of an endpoint and returns its own.
func behindProxy(t *testing.T, program, endpoint, issuer string) string {
	t.Helper()
	p := process.Start(t, process.Program{Path: program, Args: []string{"-listen", "127.0.0.1:0", "-issuer", issuer, "-upstream", endpoint}})
	var base string
	require.True(t, process.Eventually(startTimeout, func() bool {
		for line := range strings.Lines(p.Output()) {
			base, _ = strings.CutPrefix(line, "listening on ")
			if strings.HasSuffix(base, "\n") && base != line {
				return true
			}
		}
		return p.Ended()
	}), "the server says nothing")
	require.False(t, p.Ended(), "the server does not start")
	return strings.TrimSpace(base) + "/mcp"
}

// withToken returns an endpoint that passes everything on to a protected one and adds a token, and nothing else. Host stays what the
// client sent: scenarios play with it.
func withToken(t *testing.T, endpoint string, is *testissuer.Issuer) string {
	t.Helper()
	res, err := http.Post(endpoint, "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "without a token")

	target, err := url.Parse(endpoint)
	require.NoError(t, err)
	token := is.Token(t, endpoint, "conformance", nil)
	forward := &httputil.ReverseProxy{
		FlushInterval: -1, // streams are passed on event by event
		ErrorLog:      log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
			r.Out.Header.Set("Authorization", "Bearer "+token)
		},
	}
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A stream may begin before the transport has seen the end of the body. net/http's server then takes the rest of it, the transport fails
		// to read on, and with it the stream. So the body is read first.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		proxy.CloseClientConnections() // streams stay open for as long as their clients like
		proxy.Close()
	})
	return proxy.URL + target.Path
}
