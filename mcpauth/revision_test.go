package mcpauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// REV-01: authentication is the same in every revision, to the byte.
func TestREV01_AuthenticationIsTheSameInEveryRevision(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	good := is.scoped(t, "mcp:read")
	cases := map[string]func() *http.Request{
		"no token":  func() *http.Request { return post(call("whoami"), "") },
		"bad token": func() *http.Request { return post(call("whoami"), "x.y.z") },
		"expired": func() *http.Request {
			return post(call("whoami"), is.token(t, claims{"exp": epoch.Add(-time.Hour).Unix()}))
		},
		"two tokens":  func() *http.Request { return with(post(call("whoami"), ""), "Authorization", "Bearer x", "Bearer y") },
		"GET":         func() *http.Request { return httptest.NewRequest("GET", testResource, nil) },
		"DELETE":      func() *http.Request { return httptest.NewRequest("DELETE", testResource, nil) },
		"origin":      func() *http.Request { return with(post(call("whoami"), good), "Origin", "https://evil.example") },
		"no role":     func() *http.Request { return post(call("purge"), good) },
		"initialize":  func() *http.Request { return post(rpc("initialize", nil), "") },
		"discover":    func() *http.Request { return post(rpc("server/discover", nil), "") },
		"ping":        func() *http.Request { return post(rpc("ping", nil), "") },
		"base scopes": func() *http.Request { return post(call("whoami"), is.scoped(t, "")) },
		"no scope": func() *http.Request {
			return post(call("write"), is.scoped(t, "")) // nothing is granted, so there is nothing to repeat
		},
		"a body that holds two messages": func() *http.Request { return post(call("whoami")+call("whoami"), good) },
	}
	for name, request := range cases {
		var want *httptest.ResponseRecorder
		for _, revision := range []string{"", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28", "2099-01-01", "junk"} {
			r := request()
			if revision != "" {
				r.Header.Set("Mcp-Protocol-Version", revision)
			}
			got := serve(h, r)
			if want == nil {
				want = got
				require.GreaterOrEqual(t, want.Code, 400, name)
			}
			require.Equal(t, want.Code, got.Code, "%s at %q: %s", name, revision, got.Body)
			require.Equal(t, want.Header(), got.Header(), "%s at %q", name, revision)
			require.Equal(t, want.Body.String(), got.Body.String(), "%s at %q", name, revision)
		}
	}
}

// which scopes a 403 names, by revision and by option.
func TestX01_GrantedScopesInTheChallenge(t *testing.T) {
	is := newIssuer(t)
	const base, needed, granted = "mcp:read", "files:write", "notes:read"
	for _, test := range []struct {
		mode     mcpauth.StepUp
		revision string
		want     string
	}{
		{mcpauth.StepUpByRevision, "", needed + " " + base + " " + granted},
		{mcpauth.StepUpByRevision, "2025-06-18", needed + " " + base + " " + granted},
		{mcpauth.StepUpByRevision, "2025-11-25", needed + " " + base + " " + granted},
		{mcpauth.StepUpByRevision, "2026-07-28", needed},
		{mcpauth.StepUpNeeded, "2025-11-25", needed},
		{mcpauth.StepUpWithGranted, "2026-07-28", needed + " " + base + " " + granted},
	} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.BaseScopes, cfg.StepUp = []string{base}, test.mode })
		auth.RequireTool("write", scopes.All(needed))
		auth.RequireTool("note", scopes.All(granted))
		r := post(call("write"), is.scoped(t, "mcp:read notes:read foreign:scope openid"))
		if test.revision != "" {
			r.Header.Set("Mcp-Protocol-Version", test.revision)
		}
		w := serve(auth.Wrap(http.NotFoundHandler()), r)
		require.Equal(t, http.StatusForbidden, w.Code)
		_, scope := parameters(t, w.Header().Get("Www-Authenticate"))
		if test.want == needed { // the base scopes are needed by every operation
			require.ElementsMatch(t, []string{base, needed}, scope, "%+v", test)
			continue
		}
		require.ElementsMatch(t, []string{base, needed, granted}, scope, "%+v: what this server does not know stays out", test)
	}
}

// parameters takes a challenge apart as clients do.
func parameters(t testing.TB, challenge string) (map[string]string, []string) {
	t.Helper()
	all := make(map[string]string)
	for _, m := range parameter.FindAllStringSubmatch(challenge, -1) {
		require.NotContains(t, all, m[1], "threat 7: no parameter twice")
		all[m[1]] = m[2]
	}
	return all, fields(all["scope"])
}

// HTTP-14, HTTP-15: what the SDK says about headers and methods passes through, for callers with a token.
func TestHTTP14_TheSDKSpeaksAfterAuthorization(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	good := is.scoped(t, "mcp:read")
	unknown := modern("no/such/method", "", nil, good)
	mismatch := with(modern("tools/call", "whoami", map[string]any{"name": "whoami", "arguments": map[string]any{}}, good), "Mcp-Name", "other")
	version := with(modern("tools/list", "", nil, good), "Mcp-Protocol-Version", "2099-01-01")
	for _, test := range []struct {
		r      *http.Request
		status int
		code   string
	}{
		{unknown, 404, `"code":-32601`},
		{mismatch, 400, `"code":-32020`},
		{version, 400, `"code":-32`},
	} {
		anonymous := with(test.r.Clone(test.r.Context()), "Authorization")
		w := serve(h, test.r)
		require.Equal(t, test.status, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), test.code)
		require.Empty(t, w.Header()["Www-Authenticate"])
		w = serve(h, anonymous)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.NotContains(t, w.Body.String(), test.code)
	}
}

// HTTP-05, on a machine of its own: a proxy there passes on the public host, and the SDK's check of
// loopback hosts, which knows no public name, must not stand in the way.
func TestHTTP05_ProxyOnTheSameMachine(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	for i := range 4 {
		stateless, handler := i&1 == 0, sdkHandler(server, i&1 == 0)
		if i&2 != 0 {
			handler = behind(handler)
		}
		s := httptest.NewServer(auth.Wrap(handler))
		t.Cleanup(s.Close)
		for host, status := range map[string]int{
			"mcp.example.com": 200, "MCP.example.com:443": 200, "localhost:1234": 200, "evil.example": 403, "mcp.example.com.evil.example": 403,
		} {
			body := call("whoami")
			if !stateless {
				body = rpc("initialize", map[string]any{
					"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "x", "version": "1"},
				})
			}
			in := post(body, is.token(t))
			r, err := http.NewRequest("POST", s.URL, in.Body)
			require.NoError(t, err)
			r.Header, r.Host = in.Header, host
			resp, err := s.Client().Do(r)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, status, resp.StatusCode, host)
		}
	}
}

// TOK-22: a machine's token passes the same checks; no user is assumed.
func TestTOK22_ClientCredentials(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	w := serve(h, post(call("whoami"), is.token(t, claims{"sub": "app"})))
	require.Contains(t, w.Body.String(), "whoami app")
	w = serve(h, post(call("whoami"), is.token(t, claims{"sub": nil})))
	require.Contains(t, w.Body.String(), "whoami app", "TOK-12: the client stands in")
	for name, c := range map[string]claims{
		"sub empty": {"sub": ""}, "sub a number": {"sub": 7}, "nobody": {"sub": nil, "client_id": nil}, "other audience": {"sub": "app", "aud": "app"},
	} {
		require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), is.token(t, c))).Code, name)
	}
	a, b := principalOf(t, auth, is.token(t, claims{"sub": nil})), principalOf(t, auth, is.token(t, claims{"sub": "app"}))
	require.NotEmpty(t, a.ID())
	require.NotEmpty(t, b.ID())
}

// SEC-09, threat 72: concurrent requests of one server never see each other's caller.
func TestSEC09_ConcurrentCallersStaySeparate(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	var server *mcp.Server = newServer(auth)
	h := auth.Wrap(sdkHandler(server, true))
	names := []string{"ada", "bob", "cy", "dan"}
	done := make(chan string, len(names))
	for _, name := range names {
		token := is.token(t, claims{"sub": name})
		go func() {
			for range 50 {
				if w := serve(h, post(call("whoami"), token)); w.Code != 200 || !contains(w, "whoami "+name) {
					done <- w.Body.String()
					return
				}
			}
			done <- ""
		}()
	}
	for range names {
		require.Empty(t, within(t, done))
	}
}
