package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// newCounting has an open tool, one for a role and much without a rule, and counts every run of any.
func newCounting(auth *mcpauth.Middleware) (*mcp.Server, *atomic.Int64) {
	var runs atomic.Int64
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { runs.Add(1); return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { runs.Add(1); return nil },
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			runs.Add(1)
			return &mcp.CompleteResult{}, nil
		},
	})
	for _, name := range []string{"open", "purge", "forgotten"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
			runs.Add(1)
			return &mcp.CallToolResult{}, nil, nil
		})
	}
	offerPrompt(server, "secret")
	offerResource(server, "secret://x")
	offerTemplate(server, "secret://x/{id}")
	if auth != nil {
		auth.RequireTool("open", scopes.Authenticated())
		auth.RequireTool("purge", scopes.Role("admin"))
	}
	return server, &runs
}

// behind hides what a handler is, as a logging middleware would.
func behind(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(w, r) })
}

// AUTHZ-12: a request that reaches the SDK by another way than Wrap is nobody's.
func TestAUTHZ12_RequestsThatWrapHasNotSeen(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	other, _ := newAuth(t, is, nil)
	other.RequireTool("open", scopes.Authenticated())
	server, runs := newCounting(auth)
	auth.Protect(server)
	for _, stateless := range []bool{true, false} {
		for name, h := range map[string]http.Handler{
			"no middleware":                  sdkHandler(server, stateless),
			"that of another resource":       other.Wrap(behind(sdkHandler(server, stateless))),
			"that of another, which can see": other.Wrap(sdkHandler(server, stateless)),
		} {
			t.Run(fmt.Sprint(name, " stateless=", stateless), func(t *testing.T) {
				for _, body := range []string{
					call("open"), rpc("tools/list", nil), rpc("ping", nil),
					rpc("initialize", map[string]any{"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"}}),
				} {
					w := serve(h, post(body, is.token(t)))
					require.NotContains(t, w.Body.String(), `"result"`, body)
					if w.Code != http.StatusServiceUnavailable { // the second and third see that nobody guards it for them
						require.True(t, strings.Contains(w.Body.String(), `"code":403`) || strings.Contains(w.Body.String(), "invalid during session"), w.Body.String())
					}
				}
				require.Zero(t, runs.Load())
			})
		}
	}
}

// Threat 59: what one reader let through, the other refuses, if it reads something else.
func TestAUTHZ12_ReadersThatDisagree(t *testing.T) {
	is := newIssuer(t)
	log := &audit{}
	policies := 0
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.OnDecision = log.add
		c.Policy = func(context.Context, *mcpauth.Call) error { policies++; return nil }
	})
	server, runs := newCounting(auth)
	auth.Protect(server)
	vendor := 0
	require.NoError(t, mcp.AddReceivingCustomMethod(server, "vendor/search", func(context.Context, *mcp.ServerSession, *vendorParams) (*vendorResult, error) {
		vendor++
		return &vendorResult{}, nil
	}))
	sdk := sdkHandler(server, true)
	execute, rewriteMethod := "", ""
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rewriteMethod != "" {
			r.Header.Set("Mcp-Method", rewriteMethod)
		}
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(execute)), int64(len(execute))
		sdk.ServeHTTP(w, r)
	}))
	for name, c := range map[string]struct{ body, want string }{
		"a tool of a role":      {call("purge"), `"code":403`},
		"an undeclared tool":    {call("forgotten"), `unknown tool \"forgotten\"`},
		"an undeclared prompt":  {rpc("prompts/get", map[string]any{"name": "secret"}), `-32602`},
		"an undeclared URI":     {rpc("resources/read", map[string]any{"uri": "secret://x"}), `-32602`},
		"a template":            {rpc("resources/read", map[string]any{"uri": "secret://x/1"}), `-32602`},
		"another case, for Go":  {`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"purge","Name":"open"}}`, `"code":403`},
		"twice, the last wins":  {`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"open","name":"purge"}}`, `"code":403`},
		"data after the object": {call("purge") + call("open"), ``},
	} {
		t.Run(name, func(t *testing.T) {
			log.take()
			policies = 0
			execute = c.body
			w := serve(h, post(call("open"), is.token(t)))
			require.Contains(t, w.Body.String(), c.want)
			require.NotContains(t, w.Body.String(), `"result"`)
			require.Zero(t, runs.Load())
			require.Equal(t, 1, policies, "the policy ran once, in Wrap")
			all := log.take()
			require.True(t, all[0].Allowed)
			if c.want != "" {
				require.Len(t, all, 2)
				require.False(t, all[1].Allowed)
				require.Equal(t, mcpauth.ReasonReadersDisagree, all[1].Reason, "which is an alarm")
			}
		})
	}
	t.Run("methods that name something else", func(t *testing.T) {
		for _, body := range []string{
			rpc("resources/subscribe", map[string]any{"uri": "secret://x"}),
			rpc("resources/unsubscribe", map[string]any{"uri": "secret://x"}),
			rpc("completion/complete", map[string]any{"ref": map[string]any{"type": "ref/prompt", "name": "secret"}, "argument": map[string]any{"name": "x", "value": ""}}),
			rpc("completion/complete", map[string]any{"ref": map[string]any{"type": "ref/resource", "uri": "secret://x/{id}"}, "argument": map[string]any{"name": "id", "value": ""}}),
			rpc("vendor/search", map[string]any{}),
		} {
			execute = body
			w := serve(h, post(call("open"), is.token(t)))
			require.NotContains(t, w.Body.String(), `"result"`, body)
			require.Contains(t, w.Body.String(), `"code":-32`, body)
		}
		require.Zero(t, vendor)
		require.Zero(t, runs.Load())
		for _, uri := range []string{"secret://x", "other://x"} {
			listen := modern("subscriptions/listen", "", map[string]any{"notifications": map[string]any{"resourceSubscriptions": []string{uri}}}, "")
			body, err := io.ReadAll(listen.Body)
			require.NoError(t, err)
			execute = string(body)
			// The answer is a stream; a refusal ends it.
			r := modern("tools/call", "open", map[string]any{"name": "open"}, is.token(t))
			rewriteMethod = "subscriptions/listen"
			w := serve(h, r)
			rewriteMethod = ""
			require.Contains(t, w.Body.String(), `"code":-32602`)
		}
	})
	t.Run("they agree: one decision, one policy", func(t *testing.T) {
		log.take()
		policies = 0
		execute = call("open")
		require.Contains(t, serve(h, post(call("open"), is.token(t))).Body.String(), `"result"`)
		require.EqualValues(t, 1, runs.Load())
		require.Len(t, log.take(), 1)
		require.Equal(t, 1, policies)
	})
}

// The second guard finds the rule of everything that the first one let through.
func TestAUTHZ12_ReadersThatAgree(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, runs := newCounting(auth)
	auth.Protect(server)
	auth.RequirePrompt("secret", scopes.All("s"))
	auth.RequireResource("secret://x", scopes.All("s"))
	auth.RequireResource("secret://x/{id}", scopes.All("s"))
	h := auth.Wrap(sdkHandler(server, false))
	token := is.scoped(t, "s")
	id := openSession(t, h, token)
	completion := func(ref map[string]any) string {
		return rpc("completion/complete", map[string]any{"ref": ref, "argument": map[string]any{"name": "id", "value": ""}})
	}
	for i, body := range []string{
		rpc("resources/subscribe", map[string]any{"uri": "secret://x"}),
		rpc("resources/unsubscribe", map[string]any{"uri": "secret://x"}),
		completion(map[string]any{"type": "ref/prompt", "name": "secret"}),
		completion(map[string]any{"type": "ref/resource", "uri": "secret://x/{id}"}),
	} {
		w := serve(h, inSession(id, post(body, token)))
		require.Contains(t, w.Body.String(), `"result"`)
		require.EqualValues(t, i+1, runs.Load())
		require.Equal(t, http.StatusForbidden, serve(h, inSession(id, post(body, is.token(t)))).Code)
		require.EqualValues(t, i+1, runs.Load())
	}
}

// An SDK handler whose server was never given to Protect is not served.
func TestProtect_ForgottenFailsClosed(t *testing.T) {
	is := newIssuer(t)
	var logged logBuffer
	log := &audit{}
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Logger, c.OnDecision = logged.logger(), log.add })
	server, runs := newCounting(auth)
	for _, stateless := range []bool{true, false} {
		h := auth.Wrap(sdkHandler(server, stateless))
		for _, body := range []string{call("open"), rpc("tools/list", nil), rpc("prompts/list", nil), rpc("initialize", nil), `{"jsonrpc":"2.0","method":"notifications/initialized"}`} {
			log.take()
			w := serve(h, post(body, is.token(t)))
			require.Equal(t, http.StatusServiceUnavailable, w.Code, body)
			all := log.take()
			require.Len(t, all, 1, "one decision, and none that says allowed")
			require.Equal(t, mcpauth.ReasonUnprotected, all[0].Reason)
			require.NotEmpty(t, w.Header().Get("Retry-After"))
			require.Empty(t, w.Header()["Www-Authenticate"])
			require.NotContains(t, w.Body.String(), "forgotten")
		}
		require.Contains(t, logged.String(), "call auth.Protect(server)")
	}
	require.Zero(t, runs.Load())

	h := auth.Wrap(sdkHandler(server, true))
	require.Equal(t, http.StatusServiceUnavailable, serve(h, post(call("open"), is.token(t))).Code)
	auth.Protect(server)
	require.Equal(t, http.StatusOK, serve(h, post(call("open"), is.token(t))).Code, "it recovers")
	require.EqualValues(t, 1, runs.Load())
}

// getServer may choose a server for each request, and one of them may have been forgotten.
func TestProtect_ForgottenForSomeRequests(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	guarded, _ := newCounting(auth)
	auth.Protect(guarded)
	bare, runs := newCounting(nil)
	sdk := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		if r.Header.Get("X-Tenant") == "bare" {
			return bare
		}
		return guarded
	}, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
	h := auth.Wrap(sdk)
	send := func(tenant, body string) *httptest.ResponseRecorder {
		r := post(body, is.token(t))
		r.Header.Set("X-Tenant", tenant)
		return serve(h, r)
	}
	require.Equal(t, http.StatusOK, send("guarded", call("open")).Code)
	// The first such request cannot be told from others before it is served. What has no rule is
	// unknown all the same.
	require.Contains(t, send("bare", call("forgotten")).Body.String(), "-32602")
	require.Equal(t, http.StatusForbidden, send("bare", call("purge")).Code)
	require.Zero(t, runs.Load())
	send("bare", rpc("prompts/list", nil))
	for range 3 {
		require.Equal(t, http.StatusOK, send("guarded", call("open")).Code)
		for _, body := range []string{rpc("tools/list", nil), rpc("prompts/list", nil), call("open")} {
			w := send("bare", body)
			require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body.String())
		}
	}
	require.Zero(t, runs.Load())
}

// What has no id that could be echoed asks for something all the same, and is followed by a look at who answered.
func TestProtect_ForgottenForRequestsOfOddForm(t *testing.T) {
	is := newIssuer(t)
	for name, body := range map[string]string{
		"a long id": strings.Replace(rpc("tools/list", nil), `"id":7`, `"id":"`+strings.Repeat("x", 300)+`"`, 1),
		"a batch":   "[" + rpc("tools/list", nil) + "]",
	} {
		auth, _ := newAuth(t, is, nil)
		guarded, _ := newCounting(auth)
		auth.Protect(guarded)
		bare, _ := newCounting(nil)
		h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
			if r.Header.Get("X-Tenant") == "bare" {
				return bare
			}
			return guarded
		}, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
		send := func(tenant string) *httptest.ResponseRecorder {
			r := post(body, is.token(t))
			r.Header.Set("X-Tenant", tenant)
			return serve(h, r)
		}
		require.NotContains(t, send("guarded").Body.String(), "forgotten", name)
		send("bare") // the first one cannot be told from others before it is served
		for range 2 {
			w := send("bare")
			require.Equal(t, http.StatusServiceUnavailable, w.Code, name)
			require.NotContains(t, w.Body.String(), "forgotten", name)
			require.Equal(t, http.StatusOK, send("guarded").Code, name)
		}
	}
}

// In a session of the SDK the server is chosen once, whatever later requests say.
func TestProtect_ForgottenForSomeSessions(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	guarded, _ := newCounting(auth)
	auth.Protect(guarded)
	bare, runs := newCounting(nil)
	served := guarded
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server { return served }, &mcp.StreamableHTTPOptions{JSONResponse: true}))
	token := is.token(t)
	good := openSession(t, h, token)
	served = bare
	bad := serve(h, post(rpc("initialize", map[string]any{
		"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"},
	}), token)).Header().Get("Mcp-Session-Id")
	served = guarded
	for range 2 {
		for _, body := range []string{rpc("tools/list", nil), rpc("resources/list", nil), call("open"), `{"jsonrpc":"2.0","method":"notifications/initialized"}`} {
			require.Equal(t, http.StatusServiceUnavailable, serve(h, inSession(bad, post(body, token))).Code)
		}
		require.Equal(t, http.StatusOK, serve(h, inSession(good, post(call("open"), token))).Code)
	}
	require.Zero(t, runs.Load())
}

// A refusal of the SDK's own is no sign of a server without a guard.
func TestProtect_TheSDKsRefusalsChangeNothing(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, _ := newCounting(auth)
	auth.Protect(server)
	chosen := 0
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { chosen++; return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	cost := func() int {
		before := chosen
		require.Equal(t, http.StatusOK, serve(h, post(call("open"), is.token(t))).Code)
		return chosen - before
	}
	cost()
	usual := cost()
	r := modern("tools/call", "open", map[string]any{"name": "open"}, is.token(t))
	r.Header.Set("Mcp-Name", "other")
	require.Equal(t, http.StatusBadRequest, serve(h, r).Code)
	require.Equal(t, usual, cost(), "no probe with every request from now on")
}

func TestProtect_SSEHandlerIsRefused(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, runs := newCounting(auth)
	auth.Protect(server)
	bare, _ := newCounting(nil)
	sse := func(s *mcp.Server) http.Handler {
		return mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil)
	}
	for name, h := range map[string]http.Handler{
		"seen by Wrap":    auth.Wrap(sse(server)),
		"never protected": auth.Wrap(sse(bare)),
		"hidden":          auth.Wrap(behind(sse(server))),
	} {
		t.Run(name, func(t *testing.T) {
			web := httptest.NewServer(h)
			defer web.Close()
			defer web.CloseClientConnections()
			client := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil)
			_, err := client.Connect(t.Context(), &mcp.SSEClientTransport{Endpoint: web.URL, HTTPClient: bearer(is.token(t))}, nil)
			require.Error(t, err)
			require.Zero(t, runs.Load())
		})
	}
}

// bearer is a client that sends this token with every request.
func bearer(token string) *http.Client {
	return &http.Client{Transport: bearerTransport(func() string { return token })}
}

type bearerTransport func() string

func (b bearerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b())
	return http.DefaultTransport.RoundTrip(r)
}

// Without HTTP, the connection says who is calling, or nobody is.
func TestProtect_InMemory(t *testing.T) {
	is := newIssuer(t)
	log := &audit{}
	policies := 0
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.OnDecision = log.add
		c.Policy = func(_ context.Context, call *mcpauth.Call) error {
			policies++
			if string(call.Arguments) == `{"when":"night"}` {
				return errors.New("closed")
			}
			return nil
		}
	})
	server, runs := newCounting(auth)
	auth.Protect(server)
	connect := func(ctx context.Context) (*mcp.ClientSession, error) {
		near, far := mcp.NewInMemoryTransports()
		there, err := server.Connect(ctx, far, nil)
		require.NoError(t, err)
		t.Cleanup(func() { there.Close() })
		return mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), near, nil)
	}
	t.Run("nobody", func(t *testing.T) {
		_, err := connect(t.Context())
		require.Error(t, err)
		_, err = connect(mcpauth.NewContext(t.Context(), &mcpauth.Principal{}))
		require.Error(t, err, "the zero Principal is nobody")
	})
	p := principalOf(t, auth, is.token(t))
	session, err := connect(mcpauth.NewContext(t.Context(), p))
	require.NoError(t, err)
	defer session.Close()
	do := func(tool string, arguments any) error {
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: arguments})
		return err
	}
	log.take()
	policies = 0
	require.NoError(t, do("open", map[string]any{}))
	require.EqualValues(t, 1, runs.Load())
	require.Equal(t, 1, policies)
	all := log.take()
	require.Len(t, all, 1)
	require.True(t, all[0].Allowed)
	require.Equal(t, "tools/call open", all[0].Operation.String())

	var refused *jsonrpc.Error
	require.ErrorAs(t, do("purge", map[string]any{}), &refused)
	require.EqualValues(t, 403, refused.Code)
	require.ErrorAs(t, do("forgotten", map[string]any{}), &refused)
	require.EqualValues(t, -32602, refused.Code)
	require.ErrorAs(t, do("open", map[string]any{"when": "night"}), &refused)
	require.EqualValues(t, 403, refused.Code)
	require.NotContains(t, refused.Message, "closed")
	var reasons []mcpauth.Reason
	for _, d := range log.take() {
		reasons = append(reasons, d.Reason)
	}
	require.Equal(t, []mcpauth.Reason{"role_missing", "no_rule", "policy_refused"}, reasons)
	require.EqualValues(t, 1, runs.Load())

	list, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, list.Tools, 1)
	require.Equal(t, "private", list.CacheScope)
}

func TestProtect_KeepsWhatWasThere(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, runs := newCounting(auth)
	for range 3 {
		auth.Protect(server) // idempotent
	}
	h := auth.Wrap(auth.Wrap(sdkHandler(server, true)))
	require.Equal(t, http.StatusOK, serve(h, post(call("open"), is.token(t))).Code)
	require.EqualValues(t, 1, runs.Load())
}
