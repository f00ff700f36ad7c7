package mcpauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	// testPRM is the metadata URL of testResource.
	testPRM = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	plain   = `Bearer resource_metadata="` + testPRM + `"`
)

// bothLines are a Bearer line and the DPoP line that goes with it where both schemes are accepted and the
// credentials came as a bearer token: plain (W1, W2), unless it is the request that is malformed (W6).
func bothLines(bearer string) []string {
	realm, failure, scope := "", "", ""
	for _, p := range parameter.FindAllStringSubmatch(bearer, -1) {
		switch malformed := strings.Contains(bearer, `"invalid_request"`); {
		case p[1] == "realm":
			realm = p[0] + ", "
		case p[1] == "scope":
			scope = ", " + p[0]
		case malformed && strings.HasPrefix(p[1], "error"):
			failure += p[0] + ", "
		}
	}
	return []string{bearer, "DPoP " + realm + failure + `algs="ES256 ES384 PS256 RS256 EdDSA", resource_metadata="` + testPRM + `"` + scope}
}

// newBased is the usual server with one base scope.
func newBased(t testing.TB, is *testIssuer, change func(*mcpauth.Config)) (http.Handler, *mcpauth.Middleware, *testClock) {
	t.Helper()
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.BaseScopes = []string{"mcp:read"}
		if change != nil {
			change(cfg)
		}
	})
	return auth.Wrap(sdkHandler(newServer(auth), true)), auth, clock
}

// with changes a header of a request; no value removes it.
func with(r *http.Request, name string, values ...string) *http.Request {
	if r.Header.Del(name); len(values) > 0 {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	return r
}

func TestCH01_EveryMethodNeedsAToken(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	for _, method := range []string{"GET", "POST", "DELETE", "HEAD", "PUT", "PATCH", "TRACE", "QUERY", "get"} {
		r := httptest.NewRequest(method, testResource, nil)
		w := serve(h, r)
		require.Equal(t, http.StatusUnauthorized, w.Code, method)
		// CH-02, CH-03, CH-04, CH-05, CH-24: W1, byte for byte.
		require.Equal(t, bothLines(plain+`, scope="mcp:read"`), w.Header()["Www-Authenticate"], method)
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"), method)
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"), method) // SEC-10
	}
	require.Zero(t, is.fetches.Load(), "nothing is fetched for requests without a token")
}

// Each row is one form of Authorization: what it is answered, and which error code the challenge has.
func TestCH_CredentialForms(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	good := is.token(t, claims{"scope": "mcp:read"})
	const w1 = plain + `, scope="mcp:read"`
	w2 := func(description string) string {
		return `Bearer error="invalid_token", error_description="` + description + `", resource_metadata="` + testPRM + `", scope="mcp:read"`
	}
	w6 := func(description string) string {
		return `Bearer error="invalid_request", error_description="` + description + `", resource_metadata="` + testPRM + `"`
	}
	const one = "Exactly one credential is expected in the Authorization header"
	for _, test := range []struct {
		name   string
		values []string
		status int
		want   string
	}{
		{"a good token", []string{"Bearer " + good}, 200, ""},
		{"CH-15 lower case", []string{"bearer " + good}, 200, ""},
		{"CH-15 upper case", []string{"BEARER " + good}, 200, ""},
		{"CH-16 several spaces", []string{"Bearer    " + good}, 200, ""},
		{"CH-15 Basic counts as no credentials", []string{"Basic dXNlcjpwYXNz"}, 401, w1},
		{"CH-15 an unknown scheme with parameters", []string{`Digest username="a", realm="b"`}, 401, w1},
		{"CH-13 two fields", []string{"Bearer " + good, "Bearer " + good}, 400, w6(one)},
		{"CH-13 two fields of different schemes", []string{"Basic dXNlcjpwYXNz", "Bearer " + good}, 400, w6(one)},
		{"threat 2 a list in one field", []string{"Bearer " + good + ", Bearer " + good}, 400, w6(one)},
		{"CH-16 scheme alone", []string{"Bearer"}, 400, w6(one)},
		{"CH-16 scheme and space", []string{"Bearer "}, 400, w6(one)},
		{"CH-16 empty", []string{""}, 400, w6(one)},
		{"CH-16 something after the token", []string{"Bearer " + good + " x"}, 400, w6(one)},
		{"threat 3 a tab is no separator", []string{"Bearer\t" + good}, 400, w6(one)},
		{"threat 3 a no-break space is no separator", []string{"Bearer\u00a0" + good}, 400, w6(one)},
		{"CH-16 bytes outside the grammar", []string{"Bearer a\"b"}, 400, w6(one)},
		{"CH-16 non-ASCII", []string{"Bearer t\u00f6ken"}, 400, w6(one)},
		{"CH-16 a well-formed opaque token", []string{"Bearer mF_9.B5f-4.1JqM"}, 401, w2("The access token is not a JWT")},
		{"CH-16 one letter", []string{"Bearer x"}, 401, w2("The access token is not a JWT")},
		{"CH-06 altered signature", []string{"Bearer " + good[:len(good)-4] + "AAAA"}, 401, w2("The signature of the access token could not be verified")},
		{"CH-06 expired", []string{"Bearer " + is.token(t, claims{"exp": epoch.Add(-time.Hour).Unix()})}, 401, w2("The access token expired")},
		{"CH-06 other audience", []string{"Bearer " + is.token(t, claims{"aud": "https://other.example"})}, 401, w2("The access token was not issued for this resource")},
		{"CH-06 no audience", []string{"Bearer " + is.token(t, claims{"aud": nil})}, 401, w2("The access token was not issued for this resource")},
		{"CH-06 unknown issuer", []string{"Bearer " + is.token(t, claims{"iss": "https://evil.example"})}, 401, w2("The issuer of the access token is not accepted")},
		{"TOK-15 longer than 16 KiB", []string{"Bearer " + strings.Repeat("a", 16<<10+1)}, 401, w2("The access token is too long")},
		{"TOK-15 16 KiB and many dots", []string{"Bearer " + strings.Repeat("a.", 8<<10)}, 401, w2("The access token is not a JWT")},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := serve(h, with(post(call("whoami"), ""), "Authorization", test.values...))
			require.Equal(t, test.status, w.Code, w.Body.String())
			if test.want == "" {
				require.Empty(t, w.Header()["Www-Authenticate"])
				return
			}
			require.Equal(t, bothLines(test.want), w.Header()["Www-Authenticate"])
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			// W9 repeats the challenge, with the request's id.
			var body struct {
				ID    int
				Error struct{ Code int }
			}
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
			require.Equal(t, 7, body.ID)
			require.Equal(t, test.status, body.Error.Code)
		})
	}
}

func TestCH14_TokenInQueryOrBodyIsNeverAccepted(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	good := is.token(t, claims{"scope": "mcp:read"})
	for _, name := range []string{"access_token", "%61ccess_token", "a=b&access_token", "a=b;access_token"} {
		r := post(call("whoami"), "")
		r.URL.RawQuery = name + "=" + good
		w := serve(h, r)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Equal(t, bothLines(plain+`, scope="mcp:read"`), w.Header()["Www-Authenticate"])

		r = post(call("whoami"), good) // CH-13
		r.URL.RawQuery = name + "=" + good
		w = serve(h, r)
		require.Equal(t, http.StatusBadRequest, w.Code)
		require.Contains(t, w.Header().Get("Www-Authenticate"), `Bearer error="invalid_request"`)
	}
	for _, cookie := range []string{"", "access_token=" + good} {
		r := with(with(post("access_token="+good, ""), "Content-Type", "application/x-www-form-urlencoded"), "Cookie", cookie)
		r.Header.Set("X-Access-Token", good)
		w := serve(h, r)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Equal(t, bothLines(plain+`, scope="mcp:read"`), w.Header()["Www-Authenticate"])
	}
	// Other parameters are none of our business, whatever they look like.
	r := post(call("whoami"), good)
	r.URL.RawQuery = "Access_Token=x&my_access_token=y&q=access_token"
	require.Equal(t, http.StatusOK, serve(h, r).Code)
}

// A 403 names everything that the operation needs, the base scopes included, in one order (CH-07..09).
func TestCH08_OneForbiddenListsEveryScope(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.BaseScopes = []string{"mcp:read"} })
	auth.RequireTool("both", scopes.All("b:write", "a:write", "b:write"))
	auth.RequireTool("either", scopes.Any("z:big", "a:small"))
	h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	for tool, want := range map[string]string{
		"both":   `scope="mcp:read b:write a:write"`,
		"either": `scope="mcp:read `,
	} {
		var first string
		for range 5 {
			w := serve(h, with(post(call(tool), is.scoped(t, "")), "Mcp-Protocol-Version", "2026-07-28"))
			require.Equal(t, http.StatusForbidden, w.Code)
			got := w.Header().Get("Www-Authenticate")
			require.Contains(t, got, `Bearer error="insufficient_scope", `+want)
			require.Contains(t, got, `, resource_metadata="`+testPRM+`", error_description="`)
			if first == "" {
				first = got
			}
			require.Equal(t, first, got, "CH-09: same request, same bytes")
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		}
	}
}

// One step-up must suffice: a token with exactly the scopes of the 403 gets in.
func TestCH08_WhatIsAskedForIsEnough(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.BaseScopes = []string{"mcp:read"} })
	reached := 0
	h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	for i, rule := range []scopes.Rule{
		scopes.All("a", "b", "c"), scopes.Any("a", "b"), scopes.And(scopes.Any("a", "b"), scopes.All("c")),
		scopes.Or(scopes.All("a", "b"), scopes.And(scopes.Role("admin"), scopes.All("c"))), scopes.Authenticated(),
	} {
		auth.RequireTool("t"+string(rune('0'+i)), rule)
		w := serve(h, post(call("t"+string(rune('0'+i))), is.scoped(t, "")))
		require.Equal(t, http.StatusForbidden, w.Code, rule.String())
		_, rest, ok := strings.Cut(w.Header().Get("Www-Authenticate"), `scope="`)
		require.True(t, ok)
		asked, _, _ := strings.Cut(rest, `"`)
		w = serve(h, post(call("t"+string(rune('0'+i))), is.scoped(t, asked)))
		require.Equal(t, http.StatusOK, w.Code, "%s: %s was asked for", rule, asked)
		require.Equal(t, i+1, reached)
	}
}

func TestCH11_HostileNamesStayOutOfTheHeader(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.All("files:write"))
	h := auth.Wrap(http.NotFoundHandler())
	for _, name := range []string{
		"a\"b", `a\b`, "a\r\nSet-Cookie: x=y", "a\", scope=\"admin", `x, Bearer error="invalid_token"`, "scope=admin", "\u202eevil", "caf\u00e9",
		"\x00\x1b[31m", strings.Repeat("long ", 200), "\xff",
	} {
		raw, err := json.Marshal(name)
		require.NoError(t, err)
		w := serve(h, post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":`+string(raw)+`}}`, is.scoped(t, "")))
		require.Equal(t, http.StatusForbidden, w.Code, w.Body.String())
		lines := w.Header()["Www-Authenticate"]
		require.Len(t, lines, 1)
		before, after, ok := strings.Cut(lines[0], `error_description="`)
		require.True(t, ok)
		require.Equal(t, `Bearer error="insufficient_scope", scope="files:write", resource_metadata="`+testPRM+`", `, before)
		text, rest, ok := strings.Cut(after, `"`)
		require.True(t, ok)
		require.Empty(t, rest, "nothing follows the description")
		require.LessOrEqual(t, len(text), 200)
		for _, c := range []byte(text) {
			require.True(t, c == 0x20 || c == 0x21 || 0x23 <= c && c <= 0x5b || 0x5d <= c && c <= 0x7e, "%q", text)
		}
		require.NotContains(t, text, "=", "clients search the whole line for scope=")
		require.Empty(t, w.Header()["Set-Cookie"])
	}
}

func TestCH23_WhatNoScopeRepairsIsABare403(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			if c.Name == "write" {
				return &mcpauth.Error{Description: "closed at night"}
			}
			return nil
		}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for _, tool := range []string{"purge", "write"} { // a role; the policy
		w := serve(h, post(call(tool), is.scoped(t, "files:write")))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Header(), "Www-Authenticate")
		require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
		require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"Forbidden"}}`, w.Body.String())
	}
}

func TestCH25_RealmIsTheConfiguredOne(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.Realm = "Files of Example" })
	w := serve(h, with(post(call("whoami"), ""), "X-Realm", "evil"))
	require.Equal(t, bothLines(`Bearer realm="Files of Example", resource_metadata="`+testPRM+`", scope="mcp:read"`), w.Header()["Www-Authenticate"])
}

func TestCH27_NothingFollowsHostOrForwardedHeaders(t *testing.T) {
	is := newIssuer(t)
	h, auth, _ := newBased(t, is, nil)
	spoof := func(r *http.Request) *http.Request {
		r.Host = "evil.example"
		for name, value := range map[string]string{
			"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http", "X-Forwarded-Port": "81", "X-Forwarded-Prefix": "/evil",
			"Forwarded": "host=evil.example;proto=http", "X-Original-Url": "/evil", "X-Rewrite-Url": "/evil", "X-Http-Method-Override": "OPTIONS",
		} {
			r.Header.Set(name, value)
		}
		return r
	}
	good := is.scoped(t, "mcp:read")
	for _, r := range []*http.Request{post(call("whoami"), ""), post(call("whoami"), "x"), post(call("write"), good), post(call("whoami"), good)} {
		want := serve(h, r.Clone(r.Context()))
		r.Body = post(call("whoami"), "").Body
		if strings.Contains(want.Body.String(), "write") {
			r.Body = post(call("write"), "").Body
		}
		got := serve(h, spoof(r))
		require.Equal(t, want.Code, got.Code)
		require.Equal(t, want.Header(), got.Header())
		require.Equal(t, want.Body.String(), got.Body.String())
		require.NotContains(t, got.Body.String(), "evil")
	}
	r := spoof(httptest.NewRequest("GET", testPRM, nil))
	require.NotContains(t, serve(auth.Metadata(), r).Body.String(), "evil")
}

// RFC 7800, Section 3.1: whatever stands in cnf, somebody has to satisfy it. A proof that is none does not.
func TestTOK18_EveryBoundTokenIsRefused(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	jkt := base64.RawURLEncoding.EncodeToString(make([]byte, 32))
	for _, cnf := range []any{
		claims{"jkt": jkt}, claims{"x5t#S256": jkt}, claims{"jwk": claims{"kty": "EC"}}, claims{"kid": "1"}, claims{"unknown": true},
		claims{}, claims{"jkt": 1}, claims{"jkt": ""}, []any{}, "", "text", 0, false, json.RawMessage("null"),
	} {
		token := is.token(t, claims{"scope": "mcp:read", "cnf": cnf})
		for _, scheme := range []string{"Bearer", "DPoP"} {
			r := with(post(call("whoami"), ""), "Authorization", scheme+" "+token)
			r.Header.Set("DPoP", token)
			w := serve(h, r)
			require.Equal(t, http.StatusUnauthorized, w.Code, "%v", cnf)
			lines := strings.Join(w.Header()["Www-Authenticate"], "\n")
			require.Contains(t, lines, scheme+` error="invalid_`, "%v", cnf)
			require.NotContains(t, w.Body.String(), "whoami")
		}
	}
	// DPOP-22: a proof beside an unbound bearer token is ignored.
	require.Equal(t, http.StatusOK, serve(h, with(post(call("whoami"), is.scoped(t, "mcp:read")), "DPoP", "junk")).Code)
}

// without a good token, the answer is the same whatever was asked for.
func TestX14_The401DoesNotDependOnTheOperation(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	for _, token := range []string{"", "x.y.z"} {
		want := serve(h, post(call("whoami"), token))
		for _, body := range []string{
			call("write"), call("purge"), call("forgotten"), call("nothing"), rpc("tools/list", nil), rpc("nothing/like/it", nil), rpc("initialize", nil),
			`{"jsonrpc":"2.0","id":7,"method":"tools/call","method":"ping"}`,
		} {
			got := serve(h, post(body, token))
			require.Equal(t, want.Code, got.Code)
			require.Equal(t, want.Header()["Www-Authenticate"], got.Header()["Www-Authenticate"])
		}
	}
}
