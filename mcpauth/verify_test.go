package mcpauth_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A logBuffer keeps log lines. Keys are refreshed, and that is logged, on goroutines of their own.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logBuffer) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
}

// take returns what has come since it was asked last.
func (l *logBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

func (l *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func newPaged(names ...string) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{PageSize: 1})
	for _, name := range names {
		offerTool(server, name)
		offerPrompt(server, name)
		offerResource(server, name+"://x")
		offerTemplate(server, name+"://x/{id}")
	}
	return server
}

func requireAll(auth *mcpauth.Middleware, name string, r scopes.Rule) {
	auth.RequireTool(name, r)
	auth.RequirePrompt(name, r)
	auth.RequireResource(name+"://x", r)
	auth.RequireResource(name+"://x/{id}", r)
}

func TestAUTHZ09_Verify(t *testing.T) {
	is := newIssuer(t)
	for _, c := range []struct {
		name   string
		config func(*mcpauth.Config)
		rules  func(*mcpauth.Middleware)
		want   []string // empty: nothing to report
	}{
		{"complete", nil, func(m *mcpauth.Middleware) {
			requireAll(m, "one", scopes.All("a"))
			requireAll(m, "two", scopes.Role("r"))
		}, nil},
		{"by patterns", nil, func(m *mcpauth.Middleware) {
			m.RequireTool("*", scopes.All("a"))
			m.RequirePrompt("o*", scopes.All("a"))
			m.RequirePrompt("two", scopes.All("a"))
			m.RequireResource("one://*", scopes.All("a"))
			m.RequireResource("two://x*", scopes.All("a"))
		}, nil},
		{"one without rules", nil, func(m *mcpauth.Middleware) { requireAll(m, "one", scopes.All("a")) }, []string{
			`tool "two" has no rule`, `prompt "two" has no rule`, `resource "two://x" has no rule`, `resource "two://x/{id}" has no rule`,
		}},
		{"one without rules, but Unlisted", func(c *mcpauth.Config) { c.Unlisted = scopes.All("a") },
			func(m *mcpauth.Middleware) { requireAll(m, "one", scopes.All("a")) }, nil},
		{"misspelled", nil, func(m *mcpauth.Middleware) {
			requireAll(m, "one", scopes.All("a"))
			requireAll(m, "two", scopes.All("a"))
			m.RequireTool("tow", scopes.All("a"))
			m.RequirePrompt("x*", scopes.All("a"))
			m.RequireResource("one://y", scopes.All("a"))
		}, []string{`the rule for tool "tow" has no target`, `the rule for prompt "x*" has no target`, `the rule for resource "one://y" has no target`}},
		{"met by nobody", nil, func(m *mcpauth.Middleware) {
			requireAll(m, "one", scopes.Rule{})
			requireAll(m, "two", scopes.All("a"))
		}, []string{`tool "one" can be met by nobody`}},
		{"a role that no issuer gives", func(c *mcpauth.Config) { c.Issuers[0].Grants.RoleClaims = nil }, func(m *mcpauth.Middleware) {
			requireAll(m, "one", scopes.And(scopes.All("a"), scopes.Role("r")))
			requireAll(m, "two", scopes.Or(scopes.All("a"), scopes.Role("r")))
		}, []string{`tool "one" can be met by nobody: no issuer's Grants.RoleClaims`}},
		{"a method needs no target", nil, func(m *mcpauth.Middleware) {
			requireAll(m, "one", scopes.All("a"))
			requireAll(m, "two", scopes.All("a"))
			m.RequireMethod("vendor/x", scopes.All("a"))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			auth, _ := newAuth(t, is, c.config)
			server := newPaged("one", "two")
			auth.Protect(server)
			c.rules(auth)
			err := auth.Verify(t.Context(), server)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestVerify_OfAServerThatIsNotProtected(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	require.ErrorContains(t, auth.Verify(t.Context(), newPaged("one")), "call Protect")
}

func TestVerify_AnEmptyServer(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newPaged()
	auth.Protect(server)
	require.NoError(t, auth.Verify(t.Context(), server))
	auth.RequireTool("one", scopes.All("a"))
	require.ErrorContains(t, auth.Verify(t.Context(), server), `tool "one"`)
}

// Verify opens a door of its own into the server. Nobody else may come through it, and it closes.
func TestVerify_LeavesNoDoorOpen(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newPaged("one")
	auth.Protect(server)
	_ = auth.Verify(t.Context(), server)
	for range server.Sessions() {
		require.Fail(t, "a session is left")
	}
	require.Contains(t, serve(sdkHandler(server, true), post(call("one"), is.token(t))).Body.String(), `"code":403`)
}

// What Verify finds is logged once, when the first request has come.
func TestAUTHZ09_VerifiedAtTheFirstRequest(t *testing.T) {
	is := newIssuer(t)
	var logged logBuffer
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Logger = logged.logger() })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	auth.RequireTool("misspelled", scopes.All("x"))
	require.Empty(t, logged.String())
	for range 3 {
		require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t))).Code)
	}
	require.Equal(t, 1, strings.Count(logged.String(), `tool \"forgotten\" has no rule`), logged.String())
	require.Equal(t, 1, strings.Count(logged.String(), `tool \"misspelled\" has no target`))
}

// What is verified at the first request is verified by way of that request: middleware of the server
// that counts on HTTP finds it. (A panic there, on a goroutine of the SDK's, would end the process.)
func TestAUTHZ09_VerifiedAsARequestOverHTTP(t *testing.T) {
	is := newIssuer(t)
	var logged logBuffer
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Logger = logged.logger() })
	var initialized []string
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		PageSize: 1,
		InitializedHandler: func(_ context.Context, r *mcp.InitializedRequest) {
			initialized = append(initialized, r.Session.InitializeParams().ClientInfo.Name)
		},
	})
	for _, name := range []string{"one", "open", "two"} {
		offerTool(server, name)
	}
	auth.RequireTool("open", scopes.Authenticated())
	seen := make(map[string]int)
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			seen[method+" "+req.GetExtra().Header.Get("X-Request-Id")]++
			return next(ctx, method, req)
		}
	})
	auth.Protect(server)
	h := auth.Wrap(sdkHandler(server, true))
	for range 2 {
		require.Equal(t, http.StatusOK, serve(h, with(post(call("open"), is.token(t)), "X-Request-Id", "r1")).Code)
	}
	require.Equal(t, 3, seen["tools/list r1"], "each page once")
	require.Equal(t, 2, seen["tools/call r1"])
	require.Empty(t, initialized, "there is no client of our own")
	for _, name := range []string{"one", "two"} {
		require.Equal(t, 1, strings.Count(logged.String(), `tool \"`+name+`\" has no rule`), logged.String())
	}
}

// getServer may make a server for each request. The first 16 say all that there is to say.
func TestAUTHZ09_VerifiedForSoManyServersOnly(t *testing.T) {
	is := newIssuer(t)
	var logged logBuffer
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Logger = logged.logger() })
	auth.RequireTool("open", scopes.Authenticated())
	listed := 0
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server {
		server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
		offerTool(server, "open")
		offerTool(server, "forgotten")
		server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				if method == "tools/list" {
					listed++
				}
				return next(ctx, method, req)
			}
		})
		auth.Protect(server)
		return server
	}, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	for range 40 {
		require.Equal(t, http.StatusOK, serve(h, post(call("open"), is.token(t))).Code)
	}
	require.Equal(t, 16, listed)
	require.Equal(t, 16, strings.Count(logged.String(), `tool \"forgotten\" has no rule`))
}

// What limits and audits nothing is misspelled, and a "never" that somebody wrote is meant.
func TestVerify_NamesThatNothingHas(t *testing.T) {
	is := newIssuer(t)
	rate := mcpauth.Rate{Events: 1, Per: time.Minute}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Operations = map[string]mcpauth.Rate{
			"tools/call write": rate, "tools/call pur*": rate, "tools/list": rate, "resources/read a://*": rate, "custom/open": rate,
			"write": rate, "tools/call wirte": rate, "prompts/get write": rate,
		}
		cfg.AuditArguments = map[string][]string{"write": {"path"}, "wirte": {"path"}}
	})
	server := newServer(auth)
	auth.RequireMethod("custom/open", scopes.Authenticated())
	auth.RequireTool("forgotten", scopes.Authenticated())
	err := auth.Verify(t.Context(), server)
	require.Error(t, err)
	var lines []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		lines = append(lines, line)
	}
	require.Len(t, lines, 4, err.Error())
	for i, want := range []string{`the limit for "prompts/get write"`, `the limit for "tools/call wirte"`, `the limit for "write"`, `AuditArguments names "wirte"`} {
		require.Contains(t, lines[i], want)
	}

	auth, _ = newAuth(t, is, nil)
	server = newServer(auth)
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"forgotten":"never"}}`)))
	require.NoError(t, auth.Verify(t.Context(), server))
}

// A reload is looked at as the rules were at the first request.
func TestLoadPolicy_SuspiciousRulesAreLoggedAgain(t *testing.T) {
	is := newIssuer(t)
	var text logBuffer
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	load := func(name string) string {
		text.Reset()
		require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"`+name+`":"authenticated"}}`)))
		return text.String()
	}
	require.Empty(t, load("forgoten"), "nobody knows yet what there is")
	serve(h, post(call("whoami"), is.token(t)))
	require.Contains(t, text.String(), "forgoten")
	require.Empty(t, load("forgotten"))
	require.Contains(t, load("forgoten"), "suspicious rules")
}
