package mcpauth_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// OnlyProtected refuses a forgotten server before its first request, and one of another Middleware.
func TestOnlyProtected_TheFirstRequestToo(t *testing.T) {
	for _, stateless := range []bool{true, false} {
		for _, behind := range []bool{false, true} { // other middleware between Wrap and the SDK
			is := newIssuer(t)
			var logged bytes.Buffer
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
			other, _ := newAuth(t, is, nil)
			guarded, _ := newCounting(auth)
			auth.Protect(guarded)
			bare, runs := newCounting(nil)
			foreign, more := newCounting(other)
			other.Protect(foreign)
			choose := auth.OnlyProtected(func(r *http.Request) *mcp.Server {
				return map[string]*mcp.Server{"": guarded, "bare": bare, "foreign": foreign}[r.Header.Get("X-Tenant")]
			})
			var sdk http.Handler = mcp.NewStreamableHTTPHandler(choose, &mcp.StreamableHTTPOptions{Stateless: stateless, JSONResponse: true})
			if behind {
				inner := sdk
				sdk = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) })
			}
			h := auth.Wrap(sdk)
			token := is.token(t)
			session := ""
			send := func(tenant, body string) *httptest.ResponseRecorder {
				r := atRevision(legacy, post(body, token))
				if session != "" {
					inSession(session, r)
				}
				r.Header.Set("X-Tenant", tenant)
				return serve(h, r)
			}
			for round := range 3 { // the first of them before any good request
				for _, tenant := range []string{"bare", "foreign"} {
					for _, body := range []string{rpc("initialize", map[string]any{
						"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"},
					}), rpc("tools/list", nil), rpc("prompts/list", nil), call("open"), `{"jsonrpc":"2.0","method":"notifications/initialized"}`} {
						logged.Reset()
						w := send(tenant, body)
						require.Equal(t, http.StatusServiceUnavailable, w.Code, "%s %s %s", tenant, body, w.Body)
						require.NotEmpty(t, w.Header().Get("Retry-After"))
						require.Empty(t, w.Header().Get("Mcp-Session-Id"))
						require.NotContains(t, w.Body.String(), "open")
						require.Contains(t, logged.String(), "call auth.Protect(server)")
						require.NotContains(t, logged.String(), "reason="+string(mcpauth.ReasonPanic), "the probe is refused like the request, and breaks nothing")
					}
				}
				if !stateless && round == 0 {
					session = openSession(t, h, token)
				}
				require.Equal(t, http.StatusOK, send("", call("open")).Code)
				if stateless {
					require.Equal(t, http.StatusBadRequest, send("nobody", call("open")).Code, "the SDK's own answer where getServer returns nil")
				}
			}
			require.Zero(t, runs.Load())
			require.Zero(t, more.Load())
			auth.Protect(bare)
			session = ""
			if stateless {
				require.Equal(t, http.StatusOK, send("bare", call("open")).Code, "it recovers")
			}
		}
	}
	auth, _ := newAuth(t, newIssuer(t), nil)
	require.Panics(t, func() { auth.OnlyProtected(nil) })
	bare, _ := newCounting(nil)
	require.Nil(t, auth.OnlyProtected(func(*http.Request) *mcp.Server { return bare })(httptest.NewRequest("POST", testResource, nil)), "without Wrap as well")
}

// A panic of the handler stays that of the handler.
func TestWrap_PanicsOfTheHandlerPass(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, _ := newCounting(auth)
	auth.Protect(server)
	fail := false
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server {
		if fail {
			panic("of the user's")
		}
		return server
	}, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	require.Equal(t, http.StatusOK, serve(h, post(call("open"), is.token(t))).Code)
	fail = true
	require.PanicsWithValue(t, "of the user's", func() { serve(h, post(call("open"), is.token(t))) })
}
