package mcpauth_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// An audit is an OnDecision hook that keeps what it gets.
type audit struct {
	mu  sync.Mutex
	all []mcpauth.Decision
}

func (a *audit) add(_ context.Context, d mcpauth.Decision) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, d)
}

// take returns the decisions since it was last called.
func (a *audit) take() []mcpauth.Decision {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.all
	a.all = nil
	return out
}

// A spy is a handler of another make behind Wrap. It keeps what reaches it.
type spy struct {
	mu     sync.Mutex
	bodies []string
	last   *http.Request
}

func (s *spy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies, s.last = append(s.bodies, string(body)), r
}

func (s *spy) runs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.bodies)
}

// principalOf is the verified caller of a token, as tools see it.
func principalOf(t testing.TB, auth *mcpauth.Middleware, token string) *mcpauth.Principal {
	t.Helper()
	inner := &spy{}
	w := serve(auth.Wrap(inner), post(rpc("ping", nil), token))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	p, ok := mcpauth.FromContext(inner.last.Context())
	require.True(t, ok)
	return p
}

// atRevision marks a request as one of a revision.
func atRevision(revision string, r *http.Request) *http.Request {
	r.Header.Set("Mcp-Protocol-Version", revision)
	return r
}

// modern makes a POST as 2026-07-28 wants it, header fields and _meta included.
func modern(method, name string, params map[string]any, token string) *http.Request {
	all := map[string]any{"_meta": map[string]any{
		"io.modelcontextprotocol/protocolVersion":    "2026-07-28",
		"io.modelcontextprotocol/clientInfo":         map[string]any{"name": "test", "version": "1"},
		"io.modelcontextprotocol/clientCapabilities": map[string]any{},
	}}
	for k, v := range params {
		all[k] = v
	}
	r := atRevision("2026-07-28", post(rpc(method, all), token))
	r.Header.Set("Mcp-Method", method)
	if name != "" {
		r.Header.Set("Mcp-Name", name)
	}
	return r
}

func TestAUTHZ01_HeadersNeverDecide(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	inner := &spy{}
	h := auth.Wrap(inner)
	auth.RequireTool("whoami", scopes.Authenticated())
	auth.RequireTool("purge", scopes.Role("admin"))

	for _, revision := range []string{"", "2025-06-18", "2025-11-25", "2026-07-28"} {
		t.Run("a safe name in the header, a dangerous one in the body "+revision, func(t *testing.T) {
			r := post(call("purge"), is.token(t))
			r.Header.Set("Mcp-Method", "tools/call")
			r.Header.Set("Mcp-Name", "whoami")
			r.Header.Set("Mcp-Param-Name", "whoami")
			if revision != "" {
				atRevision(revision, r)
			}
			require.Equal(t, http.StatusForbidden, serve(h, r).Code)
			require.Zero(t, inner.runs())
		})
	}
	t.Run("a dangerous name in the header, a safe one in the body", func(t *testing.T) {
		r := post(call("whoami"), is.token(t))
		r.Header.Set("Mcp-Name", "purge")
		require.Equal(t, http.StatusOK, serve(h, r).Code)
		require.Equal(t, 1, inner.runs())
	})
}

func TestAUTHZ02_AUTHZ15_RefusalComesBeforeTheHandler(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	ran := 0
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		ran++
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.All("files:write"))
	for _, mode := range []struct {
		name    string
		handler http.Handler
	}{
		{"JSON answers", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})},
		{"event streams", mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})},
	} {
		t.Run(mode.name, func(t *testing.T) {
			ran = 0
			h := auth.Wrap(mode.handler)
			w := serve(h, post(call("write"), is.token(t)))
			require.Equal(t, http.StatusForbidden, w.Code)
			require.Equal(t, "application/json", w.Header().Get("Content-Type"))
			require.Contains(t, w.Body.String(), `"id":7`)
			require.NotContains(t, w.Body.String(), "isError")
			require.Zero(t, ran)

			w = serve(h, post(call("write"), is.scoped(t, "files:write")))
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, 1, ran)
		})
	}
}

func TestAUTHZ04_MethodsAreGovernedByWhatTheyName(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	inner := &spy{}
	h := auth.Wrap(inner)
	auth.RequirePrompt("plan", scopes.All("plan:read"))
	auth.RequireResource("notes://open", scopes.Authenticated())
	auth.RequireResource("notes://secret", scopes.All("secret:read"))
	auth.RequireResource("users://{id}", scopes.All("users:read"))

	complete := func(ref map[string]any) string {
		return rpc("completion/complete", map[string]any{"ref": ref, "argument": map[string]any{"name": "x", "value": "y"}})
	}
	listen := func(uris ...string) string {
		return rpc("subscriptions/listen", map[string]any{"notifications": map[string]any{"resourceSubscriptions": uris}})
	}
	for _, c := range []struct {
		name, body, scope string
	}{
		{"get a prompt", rpc("prompts/get", map[string]any{"name": "plan"}), "plan:read"},
		{"complete for a prompt", complete(map[string]any{"type": "ref/prompt", "name": "plan"}), "plan:read"},
		{"read", rpc("resources/read", map[string]any{"uri": "notes://secret"}), "secret:read"},
		{"subscribe", rpc("resources/subscribe", map[string]any{"uri": "notes://secret"}), "secret:read"},
		{"unsubscribe", rpc("resources/unsubscribe", map[string]any{"uri": "notes://secret"}), "secret:read"},
		{"listen to one", listen("notes://secret"), "secret:read"},
		{"listen to one among others", listen("notes://open", "notes://secret"), "secret:read"},
		{"read by a template", rpc("resources/read", map[string]any{"uri": "users://7"}), "users:read"},
		{"complete for a template", complete(map[string]any{"type": "ref/resource", "uri": "users://{id}"}), "users:read"},
		{"complete for a URI", complete(map[string]any{"type": "ref/resource", "uri": "users://7"}), "users:read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := inner.runs()
			w := serve(h, post(c.body, is.token(t)))
			require.Equal(t, http.StatusForbidden, w.Code, w.Body.String())
			require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="`+c.scope+`"`)
			require.Equal(t, before, inner.runs())

			w = serve(h, post(c.body, is.scoped(t, c.scope)))
			require.Equal(t, http.StatusOK, w.Code)
			require.Equal(t, before+1, inner.runs())
		})
	}
	for _, c := range []struct{ name, body string }{
		{"an undeclared prompt", complete(map[string]any{"type": "ref/prompt", "name": "other"})},
		{"an undeclared resource", rpc("resources/subscribe", map[string]any{"uri": "notes://other"})},
		{"one undeclared among many", listen("notes://open", "notes://other")},
		{"a resource with the name of a prompt", complete(map[string]any{"type": "ref/resource", "uri": "plan"})},
		{"a prompt with the name of a resource", complete(map[string]any{"type": "ref/prompt", "name": "notes://open"})},
	} {
		t.Run("unknown: "+c.name, func(t *testing.T) {
			before := inner.runs()
			w := serve(h, post(c.body, is.scoped(t, "plan:read secret:read users:read")))
			require.Contains(t, w.Body.String(), `-32602`)
			require.Equal(t, before, inner.runs())
		})
	}
	t.Run("one challenge names what every URI needs", func(t *testing.T) {
		w := serve(h, post(listen("notes://secret", "users://7"), is.token(t)))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="secret:read users:read"`)
	})
}

func TestAUTHZ10_Batches(t *testing.T) {
	is := newIssuer(t)
	log := &audit{}
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.OnDecision = log.add })
	inner := &spy{}
	h := auth.Wrap(inner)
	auth.RequireTool("whoami", scopes.Authenticated())
	auth.RequireTool("write", scopes.All("files:write"))
	auth.RequireTool("mail", scopes.All("mail:send"))
	auth.RequireTool("purge", scopes.Role("admin"))
	batch := func(tools ...string) string {
		var all []string
		for i, name := range tools {
			all = append(all, strings.Replace(call(name), `"id":7`, fmt.Sprintf(`"id":%d`, i), 1))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	const bare, none = "", ""

	for _, c := range []struct {
		name      string
		tools     []string
		status    int
		challenge string
		reasons   []mcpauth.Reason
	}{
		{"all allowed", []string{"whoami", "whoami"}, 200, none, []mcpauth.Reason{"allowed", "allowed"}},
		{"the last one lacks a scope", []string{"whoami", "write"}, 403, `scope="files:write"`, []mcpauth.Reason{"batch_refused", "insufficient_scope"}},
		{"the first one lacks a scope", []string{"write", "whoami"}, 403, `scope="files:write"`, []mcpauth.Reason{"insufficient_scope", "batch_refused"}},
		{"two lack scopes: one step-up names both", []string{"write", "mail"}, 403, `scope="files:write mail:send"`, []mcpauth.Reason{"insufficient_scope", "insufficient_scope"}},
		{"no scope would help", []string{"write", "purge"}, 403, bare, []mcpauth.Reason{"insufficient_scope", "role_missing"}},
		{"one is undeclared", []string{"whoami", "other"}, 400, bare, []mcpauth.Reason{"batch_refused", "no_rule"}},
	} {
		for _, revision := range []string{"", "2025-03-26"} {
			t.Run(c.name+" "+revision, func(t *testing.T) {
				before := inner.runs()
				log.take()
				r := post(batch(c.tools...), is.token(t))
				if revision != "" {
					atRevision(revision, r)
				}
				w := serve(h, r)
				require.Equal(t, c.status, w.Code, w.Body.String())
				require.Contains(t, w.Header().Get("Www-Authenticate"), c.challenge)
				if c.challenge == bare {
					require.Empty(t, w.Header()["Www-Authenticate"])
				}
				if c.status != 200 {
					require.Equal(t, before, inner.runs(), "nothing of a refused batch runs")
				} else {
					require.Equal(t, before+1, inner.runs())
				}
				var reasons []mcpauth.Reason
				for _, d := range log.take() {
					reasons = append(reasons, d.Reason)
					require.Equal(t, d.Reason == mcpauth.ReasonAllowed, d.Allowed)
				}
				require.Equal(t, c.reasons, reasons, "one decision per operation")
			})
		}
	}
	for _, revision := range []string{"2025-06-18", "2025-11-25", "2026-07-28", "9999-01-01"} {
		t.Run("refused whatever is in it "+revision, func(t *testing.T) {
			before := inner.runs()
			w := serve(h, atRevision(revision, post(batch("whoami"), is.token(t))))
			require.Equal(t, http.StatusBadRequest, w.Code)
			require.Empty(t, w.Header()["Www-Authenticate"])
			require.Equal(t, before, inner.runs())
		})
	}
	t.Run("repeated ids are decided one by one", func(t *testing.T) {
		before := inner.runs()
		w := serve(h, post("["+call("whoami")+","+call("write")+"]", is.token(t)))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.Equal(t, before, inner.runs())
	})
	t.Run("notifications are operations too", func(t *testing.T) {
		before := inner.runs()
		w := serve(h, post(`[{"jsonrpc":"2.0","method":"tools/call","params":{"name":"write"}},`+call("whoami")+`]`, is.token(t)))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.Equal(t, before, inner.runs())
	})
}

func TestAUTHZ11_BodiesThatTwoParsersReadDifferently(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Unlisted = scopes.Authenticated() })
	inner := &spy{}
	h := auth.Wrap(inner)
	token := is.token(t)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":7,"method":"ping","method":"tools/call","params":{"name":"purge"}}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","Method":"tools/list","params":{"name":"purge"}}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","Name":"purge"}}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","name":"purge"}}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}}`,
		call("whoami") + call("purge"),
		call("whoami") + " garbage{",
		"\ufeff" + call("whoami"),
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":null}}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":["whoami"]}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call"}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + "\xff" + `"}}`,
		``,
	} {
		w := serve(h, post(body, token))
		require.Equal(t, http.StatusBadRequest, w.Code, body)
	}
	require.Zero(t, inner.runs())
}

func TestAUTHZ13_BodyArrivesAsItWas(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.MaxBodyBytes = 1 << 20 })
	auth.RequireTool("whoami", scopes.Authenticated())
	inner := &spy{}
	h := auth.Wrap(inner)
	body := " \t" + `{ "params":{"arguments":{"n":1e2,"s":"\u0041"},"name":"whoami"},"method":"tools/call" ,"id":"x","jsonrpc":"2.0"}` + "\r\n" + strings.Repeat(" ", 200_000)

	t.Run("with a length", func(t *testing.T) {
		require.Equal(t, http.StatusOK, serve(h, post(body, is.token(t))).Code)
		require.Equal(t, body, inner.bodies[len(inner.bodies)-1])
		require.EqualValues(t, len(body), inner.last.ContentLength)
	})
	t.Run("chunked", func(t *testing.T) {
		server := httptest.NewServer(h)
		defer server.Close()
		r, err := http.NewRequest(http.MethodPost, server.URL, struct{ io.Reader }{strings.NewReader(body)})
		require.NoError(t, err)
		r.Header = post("", is.token(t)).Header
		res, err := server.Client().Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, http.StatusOK, res.StatusCode)
		require.Equal(t, body, inner.bodies[len(inner.bodies)-1])
	})
	t.Run("too large", func(t *testing.T) {
		before := inner.runs()
		for _, length := range []int64{1<<20 + 1, -1} {
			r := post(call("whoami")+strings.Repeat(" ", 1<<20), is.token(t))
			if length < 0 {
				r.ContentLength = -1
			}
			require.Equal(t, http.StatusRequestEntityTooLarge, serve(h, r).Code)
		}
		require.Equal(t, before, inner.runs())
	})
}

func TestAUTHZ18_OneDecisionPerOperation(t *testing.T) {
	is := newIssuer(t)
	log := &audit{}
	auth, clock := newAuth(t, is, func(c *mcpauth.Config) { c.OnDecision, c.BaseScopes = log.add, []string{"mcp"} })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	good := is.scoped(t, "mcp files:read")

	for _, c := range []struct {
		name    string
		request *http.Request
		want    mcpauth.Decision
	}{
		{"allowed", post(call("whoami"), good), mcpauth.Decision{Allowed: true, Reason: "allowed",
			Rule: "mcp and authenticated", Needed: []string{"mcp"}}},
		{"a scope is missing", post(call("write"), good), mcpauth.Decision{Status: 403, Reason: "insufficient_scope",
			Rule: "mcp and files:write", Needed: []string{"mcp", "files:write"}}},
		{"a role is missing", post(call("purge"), good), mcpauth.Decision{Status: 403, Reason: "role_missing", Rule: "mcp and role(admin)"}},
		{"no rule", post(call("forgotten"), good), mcpauth.Decision{Status: 403, Reason: "no_rule"}},
		{"a list", post(rpc("tools/list", nil), good), mcpauth.Decision{Allowed: true, Reason: "allowed", Rule: "authenticated and mcp", Needed: []string{"mcp"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log.take()
			c.request.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
			serve(h, c.request)
			all := log.take()
			require.Len(t, all, 1)
			d := all[0]
			require.Equal(t, "ada", d.Principal.Subject())
			require.Equal(t, "app", d.Principal.ClientID())
			require.Equal(t, clock.Now(), d.Time)
			require.Equal(t, "7", d.RequestID)
			require.Equal(t, "0af7651916cd43dd8448eb211c80319c", d.TraceID)
			require.Equal(t, []string{"mcp", "files:read"}, d.Granted)
			require.Equal(t, c.want.Allowed, d.Allowed)
			require.Equal(t, c.want.Status, d.Status)
			require.Equal(t, c.want.Reason, d.Reason)
			require.Equal(t, c.want.Rule, d.Rule)
			require.Equal(t, c.want.Needed, d.Needed)
			require.NotContains(t, fmt.Sprintf("%+v", d), good)
		})
	}
	for name, r := range map[string]*http.Request{
		"no token":   post(call("whoami"), ""),
		"bad token":  post(call("whoami"), good[:len(good)-4]+"AAAA"),
		"bad body":   post("{", good),
		"bad method": httptest.NewRequest(http.MethodPut, testResource, nil),
	} {
		t.Run(name, func(t *testing.T) {
			log.take()
			serve(h, r)
			all := log.take()
			require.Len(t, all, 1)
			require.False(t, all[0].Allowed)
			require.NotEmpty(t, all[0].Reason)
			require.Zero(t, all[0].Operation)
		})
	}
}
