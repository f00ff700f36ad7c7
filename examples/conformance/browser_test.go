//go:build browser && unix

package conformance

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/chromium"
	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	nonce          = "a-nonce"
	browserTimeout = 40 * time.Second
)

// An attempt is what a page learned from one fetch.
type attempt struct {
	Status                 int
	Challenge, Nonce, Body string
	Blocked                string // what fetch threw
}

// read reports whether the page got to see anything of an answer.
func (a attempt) read() bool { return a.Blocked == "" }

// The protected server is on 127.0.0.1. Pages come from three names, all of which lead to another port of it: another origin in any case.
func TestE2E03_WhatPagesOfOtherOriginsRead(t *testing.T) {
	pages := newPages(t)
	port := pages.port(t)
	loopback := "http://127.0.0.1:" + port
	allowed := "http://app.example:" + port
	denied := "http://evil.localhost:" + port
	resource := newResource(t, allowed)

	for _, tt := range []struct {
		name, origin string
		allowed      bool
	}{
		{"another port on loopback, allowed since the server is on loopback", loopback, true},
		{"a foreign name, allowed by Config.Origins", allowed, true},
		{"a foreign name that leads to loopback, not allowed", denied, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls := resource.calls.Load()
			preflights := resource.preflights.Load()
			pages.plan.Store(resource.plan(t))
			got := pages.visit(t, tt.origin)

			// The metadata is public (RFC 9728, Section 3.1).
			require.Equal(t, http.StatusOK, got["metadata"].Status, got["metadata"].Blocked)
			require.Contains(t, got["metadata"].Body, `"resource":"`+resource.url+`"`)
			require.Greater(t, resource.preflights.Load(), preflights)

			// A page that asks for cookies to be sent is always blocked: nothing here says that it may (Fetch, "CORS check").
			require.False(t, got["with cookies"].read(), "%+v", got["with cookies"])
			if !tt.allowed {
				for _, name := range []string{"no token", "no token, GET", "no preflight", "bad token", "token"} {
					require.Contains(t, got, name)
					require.False(t, got[name].read(), "%s: %+v", name, got[name])
				}
				require.Equal(t, calls, resource.calls.Load(), "no call got through")
				return
			}
			for _, name := range []string{"no token", "no token, GET", "no preflight", "bad token"} {
				a := got[name]
				require.Equal(t, http.StatusUnauthorized, a.Status, "%s: %+v", name, a)
				require.Equal(t, nonce, a.Nonce)
				m := regexp.MustCompile(`^Bearer .*resource_metadata="([^"]+)"`).FindStringSubmatch(a.Challenge)
				require.NotNil(t, m, "%s: %+v", name, a)
				require.Equal(t, resource.metadata, m[1])
			}
			require.Contains(t, got["bad token"].Challenge, `error="invalid_token"`)
			require.Equal(t, http.StatusOK, got["token"].Status, "%+v", got["token"])
			require.Contains(t, got["token"].Body, "sunny in eu")
			require.Equal(t, calls+1, resource.calls.Load())
		})
	}
}

// A resource is a protected server with a tool that wants its argument in a header, too (MCP 2026-07-28, Custom Headers from Tool Parameters).
type resource struct {
	url, metadata     string
	issuer            *testissuer.Issuer
	calls, preflights atomic.Int64
}

func newResource(t *testing.T, origins ...string) *resource {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	base := "http://" + listener.Addr().String()
	r := &resource{url: base + "/mcp", metadata: base + "/.well-known/oauth-protected-resource/mcp", issuer: testissuer.New(t)}
	auth, err := mcpauth.New(mcpauth.Config{Resource: r.url, Issuers: []mcpauth.Issuer{{URL: r.issuer.URL}}, Origins: origins})
	require.NoError(t, err)

	server := mcp.NewServer(&mcp.Implementation{Name: "weather", Version: "1.0.0"}, nil)
	type in struct {
		Region string `json:"region"`
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "weather", InputSchema: json.RawMessage(
		`{"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}, "required": ["region"]}`,
	)}, func(_ context.Context, _ *mcp.CallToolRequest, in in) (*mcp.CallToolResult, any, error) {
		r.calls.Add(1)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "sunny in " + in.Region}}}, nil, nil
	}, scopes.Authenticated())
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))

	web := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodOptions {
			r.preflights.Add(1)
		}
		w.Header().Set("DPoP-Nonce", nonce) // as a server that hands out nonces would
		mux.ServeHTTP(w, req)
	}))
	require.NoError(t, web.Listener.Close())
	web.Listener = listener
	web.Start()
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	return r
}

// plan is what pages try: fetch options by name.
func (r *resource) plan(t *testing.T) map[string]any {
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"weather","arguments":{"region":"eu"},"_meta":{` +
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},` +
		`"io.modelcontextprotocol/clientInfo":{"name":"page","version":"1.0.0"}}}}`
	headers := func(more map[string]string) map[string]string {
		all := map[string]string{
			"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28",
			"Mcp-Method": "tools/call", "Mcp-Name": "weather", "Mcp-Param-Region": "eu",
		}
		for name, value := range more {
			all[name] = value
		}
		return all
	}
	post := func(headers map[string]string) map[string]any {
		return map[string]any{"url": r.url, "method": "POST", "headers": headers, "body": body}
	}
	token := "Bearer " + r.issuer.Token(t, r.url, "someone", nil)
	cookies := post(headers(nil))
	cookies["credentials"] = "include"
	return map[string]any{
		"metadata":      map[string]any{"url": r.metadata},
		"no token":      post(headers(nil)),
		"no token, GET": map[string]any{"url": r.url},
		"bad token":     post(headers(map[string]string{"Authorization": "Bearer x.y.z"})),
		"token":         post(headers(map[string]string{"Authorization": token})),
		"no preflight":  post(map[string]string{"Content-Type": "text/plain"}), // what a form could send
		"with cookies":  cookies,
	}
}

// pages serve one page under whatever name, and take its report.
type pages struct {
	server  *httptest.Server
	plan    atomic.Value
	reports chan map[string]attempt
}

func newPages(t *testing.T) *pages {
	t.Helper()
	p := &pages{reports: make(chan map[string]attempt, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join("testdata", "page.html"))
	})
	mux.HandleFunc("GET /plan.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(p.plan.Load())
	})
	mux.HandleFunc("POST /report", func(w http.ResponseWriter, r *http.Request) {
		var report map[string]attempt
		if json.NewDecoder(r.Body).Decode(&report) == nil {
			p.reports <- report
		}
	})
	p.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		p.server.CloseClientConnections()
		p.server.Close()
	})
	return p
}

func (p *pages) port(t *testing.T) string {
	t.Helper()
	_, port, err := net.SplitHostPort(p.server.Listener.Addr().String())
	require.NoError(t, err)
	return port
}

// visit opens the page in a browser of its own and returns the report.
func (p *pages) visit(t *testing.T, origin string) map[string]attempt {
	t.Helper()
	browser := chromium.Show(t, origin+"/", "app.example", "evil.localhost")
	select {
	case report := <-p.reports:
		return report
	case <-browser.Exited():
		require.Fail(t, "the browser ended without a report")
	case <-time.After(browserTimeout):
		require.Fail(t, "no report", "within %s", browserTimeout)
	}
	return nil
}
