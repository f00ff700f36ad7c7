package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// outcome asks Check and says in a word what came out.
func outcome(auth *mcpauth.Middleware, p *mcpauth.Principal, method, name string) string {
	err := auth.Check(context.Background(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: method, Name: name}})
	var refused *mcpauth.Error
	switch {
	case err == nil:
		return "allowed"
	case errors.As(err, &refused) && refused.Code == "insufficient_scope":
		return "needs " + strings.Join(refused.Scopes, " ")
	case refused != nil:
		return string(refused.Reason)
	}
	return err.Error()
}

func TestAUTHZ03_PatternsAndPrecedence(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	p := principalOf(t, auth, is.token(t))
	auth.RequireTools(map[string]scopes.Rule{
		"*":            scopes.All("any"),
		"admin_*":      scopes.All("admin"),
		"admin_user_*": scopes.All("admin:users"),
		"admin_user_x": scopes.All("exact"),
		"admin_":       scopes.All("bare"),
		"shut":         {},
	})
	auth.RequirePrompt("plan*", scopes.All("plan"))
	auth.RequireResource("notes://*", scopes.All("prefix"))
	auth.RequireResource("notes://{user}/{id}", scopes.All("template"))
	auth.RequireResource("notes://ada/{id}", scopes.All("ada"))
	auth.RequireResource("notes://ada/1", scopes.All("exact"))
	auth.RequireResource("files:///pub/{+path}", scopes.All("files"))
	auth.RequireResource("files:///pub/a/../b", scopes.All("dots"))
	auth.RequireResource("Notes://Case", scopes.All("case"))

	for _, c := range []struct{ method, name, want string }{
		{"tools/call", "read", "needs any"},
		{"tools/call", "admin_add", "needs admin"},
		{"tools/call", "admin_user_add", "needs admin:users"},
		{"tools/call", "admin_user_x", "needs exact"},
		{"tools/call", "admin_user_xy", "needs admin:users"},
		{"tools/call", "admin_", "needs bare"},
		{"tools/call", "admin", "needs any"},
		{"tools/call", "Admin_add", "needs any"},
		{"tools/call", "shut", "role_missing"},
		{"tools/call", "*", "needs any"},
		{"prompts/get", "plan", "needs plan"},
		{"prompts/get", "planning", "needs plan"},
		{"prompts/get", "pla", "no_rule"},
		{"prompts/get", "admin_add", "no_rule"},
		{"resources/read", "notes://x", "needs prefix"},
		{"resources/read", "notes://bob/1", "needs template"},
		{"resources/read", "notes://bob/1/2", "needs prefix"},
		{"resources/read", "notes://ada/1", "needs exact"},
		{"resources/read", "notes://ada/2", "needs template ada"},
		{"resources/read", "notes://{user}/{id}", "needs template"},
		{"resources/read", "Notes://x", "no_rule"},
		{"resources/read", "Notes://Case", "needs case"},
		{"resources/read", "notes://Case", "needs prefix case"},
		{"resources/read", "files:///pub/a/b", "needs files"},
		{"resources/read", "files:///pub/a/../b", "needs dots"},
		{"resources/read", "files:///other", "no_rule"},
		{"resources/subscribe", "notes://ada/1", "needs exact"},
		{"resources/unsubscribe", "notes://ada/1", "needs exact"},
		{"subscriptions/listen", "notes://ada/1", "needs exact"},
	} {
		require.Equal(t, c.want, outcome(auth, p, c.method, c.name), c.method+" "+c.name)
	}
}

var dotSegments = []string{
	"files:///pub/../etc/passwd", "files:///pub/./x", "files:///pub/a/..", "files:///pub/..", "files:///pub/.",
	"files:///pub/%2e%2e/etc", "files:///pub/%2E./etc", "files:///pub/.%2e/etc", "files:///pub/..%2fetc", "files:///pub/a%2F..%2Fb",
	"files:///pub/%252e%252e/etc", "files:///pub/%25252e%25252e/etc", "files:///pub/%2525252e%2525252e/etc", "files:///pub/%252525252525252e/x",
	`files:///pub/..\etc`, `files:///pub\..\etc`, "files:///pub/..%5cetc", "files:///pub/..;/etc", "files:///pub/..;a=b/etc",
	"files:///pub/..?x", "files:///pub/..#x", "files:///pub/a?../b", "files:///pub/..%3fx", "files:///pub/..%23x", "files:///pub/..%3Bx/y",
	"files:///pub/.\t./etc", "files:///pub/.\n./etc", "files:///pub/.\r./etc", "files:///pub/.. ", " files:///pub/..", "files:///pub/..\x00", "files:///pub/..%00/x", "files:///pub/..%20/x", "files:///pub/.%0a./x",
}

// Dot segments lead out of what a pattern names; only a URI that is declared in full may hold them.
func TestAUTHZ03_DotSegmentsMatchNoPattern(t *testing.T) {
	is := newIssuer(t)
	for name, declare := range map[string]func(*mcpauth.Middleware){
		"prefix":   func(m *mcpauth.Middleware) { m.RequireResource("files:///pub/*", scopes.Authenticated()) },
		"all":      func(m *mcpauth.Middleware) { m.RequireResource("*", scopes.Authenticated()) },
		"template": func(m *mcpauth.Middleware) { m.RequireResource("files:///pub/{+path}", scopes.Authenticated()) },
		"simple":   func(m *mcpauth.Middleware) { m.RequireResource("files:///pub/{name}", scopes.Authenticated()) },
	} {
		t.Run(name, func(t *testing.T) {
			auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Unlisted = scopes.Authenticated() })
			declare(auth)
			p := principalOf(t, auth, is.token(t))
			for _, uri := range dotSegments {
				require.Equal(t, "unsafe_uri", outcome(auth, p, "resources/read", uri), "%q", uri)
			}
			for _, uri := range []string{
				"files:///pub/x", "files:///pub/a..b", "files:///pub/...", "files:///pub/.hidden", "files:///pub/x.", "files:///pub/100%25", "files:///pub/a%20b",
			} {
				require.Equal(t, "allowed", outcome(auth, p, "resources/read", uri), "%q", uri)
			}
		})
	}
	t.Run("over HTTP it is answered as unknown", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		auth.RequireResource("files:///pub/*", scopes.Authenticated())
		inner := &spy{}
		for _, uri := range dotSegments {
			w := serve(auth.Wrap(inner), post(rpc("resources/read", map[string]any{"uri": uri}), is.token(t)))
			require.Contains(t, w.Body.String(), "-32602", "%q", uri)
		}
		require.Zero(t, inner.runs())
	})
}

// Whatever a prefix rule lets through stays below the prefix, however often a reader behind decodes
// it and whichever slash it takes.
func FuzzResourcePrefix(f *testing.F) {
	for _, uri := range dotSegments {
		f.Add(uri)
	}
	f.Add("files:///pub/x/y.txt")
	is := newIssuer(f)
	auth, _ := newAuth(f, is, nil)
	auth.RequireResource("files:///pub/*", scopes.Authenticated())
	p := principalOf(f, auth, is.token(f))
	f.Fuzz(func(t *testing.T, uri string) {
		if outcome(auth, p, "resources/read", uri) != "allowed" {
			return
		}
		for range 6 {
			for _, form := range []string{uri, strings.ReplaceAll(uri, `\`, "/"), strings.TrimSpace(uri), strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(uri)} {
				form, _, _ = strings.Cut(form, "#")
				form, _, _ = strings.Cut(form, "?")
				rest, ok := strings.CutPrefix(form, "files://")
				require.True(t, ok)
				require.True(t, strings.HasPrefix(path.Clean(rest)+"/", "/pub/"), "%q", form)
			}
			next, err := url.PathUnescape(uri)
			if err != nil || next == uri {
				return
			}
			uri = next
		}
	})
}

func TestDeclare_MistakesPanic(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	some := scopes.All("a")
	auth.RequireTool("t", some)
	auth.RequireResource("n://{x}", some)
	for name, declare := range map[string]func(){
		"twice with different rules": func() { auth.RequireTool("t", scopes.All("b")) },
		"a template twice":           func() { auth.RequireResource("n://{x}", scopes.All("b")) },
		"a zero rule on top":         func() { auth.RequireTool("t", scopes.Rule{}) },
		"no name":                    func() { auth.RequireTool("", some) },
		"an asterisk in the middle":  func() { auth.RequireTool("a*b", some) },
		"two asterisks":              func() { auth.RequireTool("a**", some) },
		"not UTF-8":                  func() { auth.RequireTool("\xff", some) },
		"a broken template":          func() { auth.RequireResource("n://{x", some) },
		"an asterisk in a method":    func() { auth.RequireMethod("a/*/b", some) },
		"tools/call as a method":     func() { auth.RequireMethod("tools/call", some) },
		"prompts/get as a method":    func() { auth.RequireMethod("prompts/get", some) },
		"resources/read as a method": func() { auth.RequireMethod("resources/read", some) },
		"completion as a method":     func() { auth.RequireMethod("completion/complete", some) },
		"one of a table":             func() { auth.RequireTools(map[string]scopes.Rule{"t": scopes.All("b")}) },
	} {
		require.Panics(t, declare, name)
	}
	require.NotPanics(t, func() {
		auth.RequireTool("t", scopes.All("a")) // the same rule again
		auth.RequirePrompt("t", scopes.All("b"))
	})
	p := principalOf(t, auth, is.token(t))
	require.Equal(t, "needs a", outcome(auth, p, "tools/call", "t"), "the first declaration stands")
}

func TestAUTHZ05_AUTHZ07_RulesCombine(t *testing.T) {
	is := newIssuer(t)
	implies := func(c *mcpauth.Config) {
		c.Issuers[0].Grants.ScopeImplies = map[string][]string{"admin": {"write"}, "write": {"read"}, "loop": {"admin", "loop"}}
	}
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { implies(c); c.BaseScopes = []string{"base"} })
	baseless, _ := newAuth(t, is, implies) // lets everybody through, to see their principals
	auth.RequireTools(map[string]scopes.Rule{
		"all":    scopes.All("read", "write"),
		"any":    scopes.Any("x", "read"),
		"nested": scopes.Or(scopes.All("x", "y", "z"), scopes.And(scopes.All("read"), scopes.Any("x", "w"))),
		"mixed":  scopes.And(scopes.All("write"), scopes.Role("editor")),
		"either": scopes.Or(scopes.All("super"), scopes.Role("editor")),
	})
	for _, c := range []struct {
		name   string
		claims claims
		want   map[string]string
	}{
		{"nothing", claims{}, map[string]string{"all": "needs base read write", "any": "needs base x", "nested": "needs base x read", "mixed": "role_missing", "either": "needs base super"}},
		{"base", claims{"scope": "base"}, map[string]string{"all": "needs base read write", "any": "needs base x", "mixed": "role_missing"}},
		{"implied once", claims{"scope": "base write"}, map[string]string{"all": "allowed", "any": "allowed", "nested": "needs base x read"}},
		{"implied twice, in a cycle", claims{"scope": "base loop"}, map[string]string{"all": "allowed", "any": "allowed"}},
		{"implied, without base", claims{"scope": "admin"}, map[string]string{"all": "needs base read write"}},
		{"role and scope", claims{"scope": "base write", "roles": []string{"editor"}}, map[string]string{"mixed": "allowed", "either": "allowed"}},
		{"role, scope missing", claims{"scope": "base", "roles": []string{"editor"}}, map[string]string{"mixed": "needs base write", "either": "allowed"}},
		{"a scope with the name of the role", claims{"scope": "base write editor"}, map[string]string{"mixed": "role_missing"}},
		{"a role with the name of the scope", claims{"scope": "base", "roles": []string{"write", "read"}}, map[string]string{"all": "needs base read write"}},
		{"other case", claims{"scope": "base READ Write"}, map[string]string{"all": "needs base read write"}},
		{"a role as part of a string", claims{"scope": "base write", "roles": "chief editor"}, map[string]string{"mixed": "role_missing"}},
	} {
		p := principalOf(t, baseless, is.token(t, c.claims))
		for tool, want := range c.want {
			require.Equal(t, want, outcome(auth, p, "tools/call", tool), c.name+": "+tool)
		}
	}
}

// AUTHZ-06: a challenge names the rule's own scope, not the broader one that would do as well.
func TestAUTHZ06_ChallengeNamesTheRulesOwnScopes(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.Issuers[0].Grants.ScopeImplies = map[string][]string{"admin": {"write", "read"}}
	})
	auth.RequireTool("t", scopes.All("read", "write"))
	h := auth.Wrap(&spy{})
	first := ""
	for range 20 { // AUTHZ-07: the same each time
		w := serve(h, atRevision("2026-07-28", post(call("t"), is.token(t))))
		require.Equal(t, http.StatusForbidden, w.Code)
		challenge := w.Header().Get("Www-Authenticate")
		require.Contains(t, challenge, `scope="read write"`)
		if first == "" {
			first = challenge
		}
		require.Equal(t, first, challenge)
	}
	require.Equal(t, http.StatusOK, serve(h, post(call("t"), is.scoped(t, "admin"))).Code)
}

func TestAUTHZ09_Unlisted(t *testing.T) {
	is := newIssuer(t)
	for _, c := range []struct {
		name     string
		unlisted scopes.Rule
		want     string
	}{
		{"zero: denied", scopes.Rule{}, "no_rule"},
		{"any caller", scopes.Authenticated(), "allowed"},
		{"a scope", scopes.All("misc"), "needs misc"},
		{"a role", scopes.Role("admin"), "role_missing"},
		{"met by nobody, so as good as none", scopes.And(), "no_rule"},
	} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Unlisted = c.unlisted })
		auth.RequireTool("declared", scopes.All("own"))
		p := principalOf(t, auth, is.token(t))
		for _, method := range []string{"tools/call", "prompts/get", "resources/read", "resources/subscribe"} {
			require.Equal(t, c.want, outcome(auth, p, method, "x://other"), c.name)
		}
		require.Equal(t, "needs own", outcome(auth, p, "tools/call", "declared"))
		require.Equal(t, "no_rule", outcome(auth, p, "vendor/method", ""), "Unlisted opens no method")
	}
}

func TestRequireMethod(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	inner := &spy{}
	h := auth.Wrap(inner)
	auth.RequireMethod("tools/list", scopes.All("list"))
	auth.RequireMethod("vendor/search", scopes.All("search"))
	auth.RequireMethod("GET", scopes.All("stream"))
	auth.RequireMethod("subscriptions/listen", scopes.All("listen"))
	auth.RequireMethod("ping", scopes.Rule{})
	get := func(token string) *http.Request {
		r := post("", token)
		r.Method, r.Body = http.MethodGet, http.NoBody
		return r
	}
	for _, c := range []struct {
		name    string
		request func(token string) *http.Request
		scope   string
	}{
		{"tightened", func(token string) *http.Request { return post(rpc("tools/list", nil), token) }, "list"},
		{"opened", func(token string) *http.Request { return post(rpc("vendor/search", nil), token) }, "search"},
		{"GET", get, "stream"},
		{"listen", func(token string) *http.Request {
			return post(rpc("subscriptions/listen", map[string]any{"notifications": map[string]any{}}), token)
		}, "listen"},
	} {
		before := inner.runs()
		w := serve(h, c.request(is.token(t)))
		require.Equal(t, http.StatusForbidden, w.Code, c.name)
		require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="`+c.scope+`"`)
		require.Equal(t, before, inner.runs())
		require.Equal(t, http.StatusOK, serve(h, c.request(is.scoped(t, c.scope))).Code, c.name)
	}
	before := inner.runs()
	for _, method := range []string{"vendor/other", "vendor/Search", "tasks/get", "sampling/createMessage", "Tools/list", "tools/list "} {
		w := serve(h, post(rpc(method, nil), is.scoped(t, "list search")))
		require.Contains(t, w.Body.String(), "-32601", method)
		require.Equal(t, http.StatusBadRequest, w.Code)
		w = serve(h, atRevision("2026-07-28", post(rpc(method, nil), is.token(t))))
		require.Equal(t, http.StatusNotFound, w.Code)
	}
	w := serve(h, post(rpc("ping", nil), is.token(t)))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Empty(t, w.Header()["Www-Authenticate"])
	require.Equal(t, before, inner.runs())
}

type vendorParams struct{ mcp.ParamsBase }
type vendorResult struct{ mcp.ResultBase }

// A custom method is denied until RequireMethod opens it, and then runs for those who meet its rule.
func TestRequireMethod_OpensCustomMethodsOfTheSDK(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, _ := newCounting(auth)
	auth.Protect(server)
	runs := 0
	require.NoError(t, mcp.AddReceivingCustomMethod(server, "vendor/search", func(ctx context.Context, _ *mcp.ServerSession, _ *vendorParams) (*vendorResult, error) {
		if p, ok := mcpauth.FromContext(ctx); ok && p.Subject() == "ada" {
			runs++
		}
		return &vendorResult{}, nil
	}))
	h := auth.Wrap(sdkHandler(server, true))
	require.Contains(t, serve(h, post(rpc("vendor/search", nil), is.scoped(t, "search"))).Body.String(), "-32601")
	auth.RequireMethod("vendor/search", scopes.All("search"))
	require.Equal(t, http.StatusForbidden, serve(h, post(rpc("vendor/search", nil), is.token(t))).Code)
	require.Zero(t, runs)
	require.Contains(t, serve(h, post(rpc("vendor/search", nil), is.scoped(t, "search"))).Body.String(), `"result"`)
	require.Equal(t, 1, runs)
}

func TestManyRules(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	p := principalOf(t, auth, is.token(t))
	const n = 10_000
	for i := range n {
		auth.RequireTool(fmt.Sprintf("tool-%d", i), scopes.All(fmt.Sprintf("scope-%d", i)))
		if i%100 == 0 {
			auth.RequireTool(fmt.Sprintf("group-%d-*", i), scopes.All(fmt.Sprintf("group-%d", i)))
		}
	}
	for _, i := range []int{0, 1, 4_999, n - 1} {
		require.Equal(t, fmt.Sprintf("needs scope-%d", i), outcome(auth, p, "tools/call", fmt.Sprintf("tool-%d", i)))
	}
	require.Equal(t, "needs group-9900", outcome(auth, p, "tools/call", "group-9900-x"))
	require.Equal(t, "no_rule", outcome(auth, p, "tools/call", "tool-10000"))
}

// Rules may be declared while requests are served; each request sees all of a rule or nothing of it.
func TestSEC09_DeclaringWhileServing(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	p := principalOf(t, auth, is.token(t))
	var done sync.WaitGroup
	for worker := range 4 {
		done.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("tool-%d-%d", worker, i)
				if got := outcome(auth, p, "tools/call", name); got != "no_rule" {
					t.Errorf("before: %s", got)
				}
				auth.RequireTool(name, scopes.All("s"))
				if got := outcome(auth, p, "tools/call", name); got != "needs s" {
					t.Errorf("after: %s", got)
				}
			}
		})
	}
	done.Wait()
}
