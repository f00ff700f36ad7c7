package devas_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func serve(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// requireErrorRedirect checks an error that goes back to the application.
func requireErrorRedirect(t *testing.T, e *env, a answer, code string) url.Values {
	t.Helper()
	require.Equal(t, http.StatusSeeOther, a.Status, a.Raw)
	u, err := url.Parse(a.Header.Get("Location"))
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1:5555", u.Host, "AS-11: the error goes to the application")
	require.Empty(t, u.Fragment)
	q := u.Query()
	require.Equal(t, []string{code}, q["error"])
	require.Equal(t, []string{e.issuer}, q["iss"], "AS-14")
	require.NotContains(t, q, "code")
	return q
}

func requirePage(t *testing.T, a answer, status int) {
	t.Helper()
	require.Equal(t, status, a.Status, a.Raw)
	require.Empty(t, a.Header.Get("Location"))
	require.Equal(t, "text/html; charset=utf-8", a.Header.Get("Content-Type"))
}

func TestAS10_OnlyCodeWithS256(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for name, changes := range map[string][]string{
		"response_type token":          {"response_type", "token"},
		"response_type code id_token":  {"response_type", "code id_token"},
		"no response_type":             {"response_type", "-"},
		"no challenge":                 {"code_challenge", "-", "code_challenge_method", "-"},
		"plain":                        {"code_challenge_method", "plain"},
		"no method, which means plain": {"code_challenge_method", "-"},
		"short challenge":              {"code_challenge", "abc"},
		"response_mode fragment":       {"response_mode", "fragment"},
		"response_mode form_post":      {"response_mode", "form_post"},
	} {
		t.Run("AS-10 "+name, func(t *testing.T) {
			code := "invalid_request"
			if changes[0] == "response_type" && changes[1] != "-" {
				code = "unsupported_response_type" // RFC 6749, Section 4.1.2.1
			}
			q := requireErrorRedirect(t, e, e.get("/authorize?"+request(id, changes...).Encode()), code)
			require.Equal(t, []string{"st&te=1 ü"}, q["state"])
		})
	}
	require.Equal(t, http.StatusMethodNotAllowed, e.post("/authorize", request(id), nil).Status)
}

func TestAS11_NoRedirectWithoutAGoodTarget(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for name, q := range map[string]url.Values{
		"unknown client":           request("nobody"),
		"no client":                request(id, "client_id", "-"),
		"no redirect_uri":          request(id, "redirect_uri", "-"),
		"foreign redirect_uri":     request(id, "redirect_uri", "https://evil.example/cb"),
		"client_id repeated":       {"client_id": {id, "x"}, "redirect_uri": {callback}},
		"redirect_uri repeated":    {"client_id": {id}, "redirect_uri": {callback, "https://evil.example"}},
		"bad redirect, bad method": request(id, "redirect_uri", "https://evil.example/cb", "code_challenge_method", "plain"),
	} {
		t.Run("AS-11 "+name, func(t *testing.T) {
			a := e.get("/authorize?" + q.Encode())
			requirePage(t, a, http.StatusBadRequest)
			require.NotContains(t, a.Raw, "evil.example", "no echo of parameters")
		})
	}
	t.Run("AS-64 unknown application", func(t *testing.T) {
		require.Contains(t, e.get("/authorize?"+request("nobody").Encode()).Raw, "Unknown application")
	})
	t.Run("malformed and oversized queries", func(t *testing.T) {
		requirePage(t, e.get("/authorize?"+request(id).Encode()+"&x=%zz"), http.StatusBadRequest)
		requirePage(t, e.get("/authorize?"+request(id).Encode()+"&x="+strings.Repeat("a", 20000)), http.StatusBadRequest)
	})
}

func TestAS12_RedirectURIMatching(t *testing.T) {
	e := start(t)
	a := e.register(`{"redirect_uris":["http://127.0.0.1:5555/cb","http://localhost/cb","http://[::1]:1/cb?a=b","https://app.example/cb","com.example.app:/cb"]}`)
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	id := a.str("client_id")
	for uri, good := range map[string]bool{
		"http://127.0.0.1:5555/cb":           true,
		"http://127.0.0.1:6666/cb":           true,
		"http://127.0.0.1/cb":                true,
		"http://localhost:1234/cb":           true,
		"http://[::1]:9/cb?a=b":              true,
		"https://app.example/cb":             true,
		"com.example.app:/cb":                true,
		"http://127.0.0.1:6666/cb/":          false,
		"http://127.0.0.1:6666/CB":           false,
		"http://127.0.0.1:6666/cb?x=1":       false,
		"http://127.0.0.1:6666/cb#f":         false,
		"http://127.0.0.1:99999/cb":          false,
		"http://127.0.0.1:/cb":               false,
		"http://127.0.0.1@evil.example/cb":   false,
		"http://127.0.0.1.evil.example/cb":   false,
		"http://127.0.0.1:1@evil.example/cb": false,
		"http://127.0.0.2/cb":                false,
		"http://[::1]:9/cb":                  false,
		"https://127.0.0.1:5555/cb":          false,
		"https://app.example:444/cb":         false,
		"https://APP.example/cb":             false,
		"HTTPS://app.example/cb":             false,
		"https://app.example/cb/../cb":       false,
		"COM.example.app:/cb":                false,
		"javascript:alert(1)":                false,
	} {
		t.Run("AS-12 "+uri, func(t *testing.T) {
			got := e.get("/authorize?" + request(id, "redirect_uri", uri).Encode())
			if good {
				require.Equal(t, http.StatusSeeOther, got.Status, got.Raw)
				require.True(t, strings.HasPrefix(got.Header.Get("Location"), "/authorize/"))
			} else {
				requirePage(t, got, http.StatusBadRequest)
			}
		})
	}
	t.Run("AS-12 a native client gets its code on a free port", func(t *testing.T) {
		res, err := e.authorize(request(id, "redirect_uri", "http://127.0.0.1:61234/cb"), browser.Decision{User: "dev"})
		require.NoError(t, err)
		require.Equal(t, "127.0.0.1:61234", res.URL.Host)
		require.Equal(t, http.StatusOK, e.token(exchange(id, res.Code, "redirect_uri", "http://127.0.0.1:61234/cb")).Status)
	})
}

func TestAS12_WhatMayBeRegistered(t *testing.T) {
	for uri, good := range map[string]bool{
		"https://a.example/cb": true, "http://localhost/cb": true, "http://127.0.0.1:1/": true, "http://[::1]/": true, "com.example:/x": true, "com.example:x": true,
		"": false, "http://a.example/cb": false, "https:///cb": false, "https://u@a.example/": false, "https://a.example/#": false, "https://a.example/#f": false,
		"javascript:alert(1)": false, "data:text/html,x": false, "cursor://x/cb": false, "/cb": false, "https://a.example/ b": false, "https://a.example\\@b/": false,
		"http://127.0.0.1.evil.example/": false, "http://127.1/": false, "file:///etc/passwd": false, "https://a.example/\x00": false,
	} {
		require.Equal(t, good, devas.CheckURI(uri) == nil, "%q", uri)
	}
}

// Whatever is accepted goes to a registered origin: read by net/url, scheme, host name, path and query are those of one registered URI.
func FuzzAS12_AcceptedRedirectsGoToARegisteredOrigin(f *testing.F) {
	registered := []string{"http://127.0.0.1:5555/cb", "http://localhost/cb?a=b", "http://[::1]/", "https://app.example/cb"}
	for _, s := range append(registered, "http://127.0.0.1:1/cb", "http://127.0.0.1:1@evil/cb", "http://127.0.0.1:0/cb", "http://localhost\\@evil/cb?a=b", "http://[::1]:77/") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !devas.Allowed(registered, raw) {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Nil(t, u.User)
		for _, r := range registered {
			if w, _ := url.Parse(r); w.Scheme == u.Scheme && w.Hostname() == u.Hostname() && w.Path == u.Path && w.RawQuery == u.RawQuery && u.Fragment == "" {
				return
			}
		}
		t.Errorf("%q was accepted", raw)
	})
}

func TestAS13_Resource(t *testing.T) {
	t.Run("AS-13 strict: missing resource is invalid_target, missing scope invalid_scope", func(t *testing.T) {
		e := start(t, strict)
		id := e.newClient()
		requireErrorRedirect(t, e, e.get("/authorize?"+request(id, "resource", "-").Encode()), "invalid_target")
		requireErrorRedirect(t, e, e.get("/authorize?"+request(id, "scope", "-").Encode()), "invalid_scope")
		require.NotContains(t, e.log.String(), "open mode")
	})
	t.Run("AS-13 open mode fills both in and logs it", func(t *testing.T) {
		e := start(t)
		_, a := e.tokens("dev", "resource", "-", "scope", "-")
		_, claims := decode(t, a.str("access_token"))
		require.Equal(t, resource, claims["aud"])
		require.Equal(t, "notes:read notes:write", claims["scope"])
		require.Contains(t, e.log.String(), "open mode: the request named no resource")
		require.Contains(t, e.log.String(), "open mode: the request named no scope")
	})
	t.Run("AS-13 open mode with two resources does not guess", func(t *testing.T) {
		e := start(t, withSecond)
		requireErrorRedirect(t, e, e.get("/authorize?"+request(e.newClient(), "resource", "-").Encode()), "invalid_target")
	})
	t.Run("AS-13 unknown, relative, with fragment, two different", func(t *testing.T) {
		e := start(t, withSecond)
		id := e.newClient()
		for _, r := range []string{"https://other.example/mcp", "mcp", resource + "#f", "", resource + "?q", resource + "//", strings.ToUpper(resource)} {
			requireErrorRedirect(t, e, e.get("/authorize?"+request(id, "resource", r).Encode()), "invalid_target")
		}
		q := request(id)
		q["resource"] = []string{resource, secondRes}
		requireErrorRedirect(t, e, e.get("/authorize?"+q.Encode()), "invalid_target")
	})
	t.Run("AS-13 aud is the registered identifier whatever the slash, at both endpoints", func(t *testing.T) {
		origin := "http://127.0.0.1:8000"
		for configured, sent := range map[string]string{origin: origin + "/", origin + "/": origin, resource: resource + "/"} {
			e := start(t, func(c *devas.Config) { c.Resources[0].Identifier = configured })
			id := e.newClient()
			a := e.token(exchange(id, e.code(request(id, "resource", sent), browser.Decision{User: "dev"}), "resource", sent))
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
			_, claims := decode(t, a.str("access_token"))
			require.Equal(t, configured, claims["aud"])
		}
	})
	t.Run("AS-13 another resource at the token endpoint is refused and may be corrected", func(t *testing.T) {
		e := start(t, withSecond)
		id := e.newClient()
		code := e.code(request(id), browser.Decision{User: "dev"})
		requireError(t, e.token(exchange(id, code, "resource", secondRes)), http.StatusBadRequest, "invalid_target")
		requireError(t, e.token(exchange(id, code, "resource", "https://unknown.example")), http.StatusBadRequest, "invalid_target")
		a := e.token(exchange(id, code))
		require.Equal(t, http.StatusOK, a.Status)
		requireError(t, e.token(refresh(id, a.str("refresh_token"), "resource", secondRes)), http.StatusBadRequest, "invalid_target")
	})
}

func TestAS14_IssAndState(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for _, state := range []string{"simple", "st&te=1 ü", "a+b%20c", `"<>'\`, ""} {
		res, err := e.authorize(request(id, "state", state), browser.Decision{User: "dev"})
		require.NoError(t, err)
		q := res.URL.Query()
		require.Equal(t, []string{e.issuer}, q["iss"])
		require.Len(t, q["code"], 1)
		if state == "" {
			require.NotContains(t, q, "state")
		} else {
			require.Equal(t, []string{state}, q["state"])
		}
	}
}

func TestAS15_ParametersAtTheAuthorizationEndpoint(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for _, name := range []string{"scope", "code_challenge", "code_challenge_method", "response_type", "prompt", "anything"} {
		t.Run("AS-15 repeated "+name, func(t *testing.T) {
			q := request(id)
			if q.Get(name) == "" {
				q.Set(name, "x")
			}
			q.Add(name, q.Get(name))
			got := requireErrorRedirect(t, e, e.get("/authorize?"+q.Encode()), "invalid_request")
			require.Equal(t, "st&te=1 ü", got.Get("state"))
		})
	}
	t.Run("AS-15 repeated state is not returned", func(t *testing.T) {
		q := request(id)
		q.Add("state", "other")
		require.NotContains(t, requireErrorRedirect(t, e, e.get("/authorize?"+q.Encode()), "invalid_request"), "state")
	})
	t.Run("AS-16 wishes that this server does not know are ignored", func(t *testing.T) {
		for _, name := range []string{"acr_values", "display", "id_token_hint", "claims", "ui_locales", "prompt"} {
			e.code(request(id, name, "x"), asDev)
		}
	})
	t.Run("AS-15 unknown parameters are ignored", func(t *testing.T) {
		require.NotEmpty(t, e.code(request(id, "utm_source", "x", "nonce", "n"), browser.Decision{User: "dev"}))
	})
	t.Run("AS-15 unknown scope", func(t *testing.T) {
		requireErrorRedirect(t, e, e.get("/authorize?"+request(id, "scope", "notes:read nonsense").Encode()), "invalid_scope")
	})
}

func TestAS16_LoginHintComesFirstAndNobodyElseIsHidden(t *testing.T) {
	e := start(t)
	id := e.newClient()
	users := func(changes ...string) []string {
		b := &consenting{browser.New()}
		p := b.open(e, e.issuer+"/authorize?"+request(id, changes...).Encode())
		require.Equal(t, "Sign in", p.Title(), p.Body)
		var names []string
		for _, f := range p.Forms {
			for _, in := range f.Fields {
				if in.Name == "user" {
					names = append(names, in.Value)
				}
			}
		}
		return names
	}
	require.Equal(t, []string{"ada", "dev", "uma", "rio"}, users())
	require.Equal(t, []string{"uma", "ada", "dev", "rio"}, users("login_hint", "uma"))
	require.Equal(t, []string{"ada", "dev", "uma", "rio"}, users("login_hint", "nobody", "acr_values", "x"))
}

func TestAS17_CORS(t *testing.T) {
	e := start(t)
	preflight := http.Header{"Origin": {"https://inspector.example"}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"mcp-protocol-version"}}
	for _, path := range []string{"/token", "/register", "/revoke", "/jwks", "/.well-known/oauth-authorization-server"} {
		a := e.send("OPTIONS", path, preflight, "")
		require.Equal(t, http.StatusNoContent, a.Status, path)
		require.Equal(t, "*", a.Header.Get("Access-Control-Allow-Origin"), path)
		require.Contains(t, a.Header.Get("Access-Control-Allow-Headers"), "MCP-Protocol-Version", path)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Credentials"), path)
	}
	for _, path := range []string{"/authorize", "/authorize/x", "/signin", "/signout", "/introspect"} {
		a := e.send("OPTIONS", path, preflight, "")
		require.Equal(t, http.StatusMethodNotAllowed, a.Status, path)
		require.Empty(t, a.Header.Get("Access-Control-Allow-Origin"), path)
		require.NotEmpty(t, a.Header.Get("Allow"), path)
	}
	require.Equal(t, "*", e.token(url.Values{}).Header.Get("Access-Control-Allow-Origin"), "errors too")
}

func TestForeignHostNamesAreRefused(t *testing.T) {
	e := start(t)
	for host, status := range map[string]int{"evil.example": 403, "127.0.0.1.evil.example": 403, "localhost:1": 200, "[::1]:80": 200, "127.0.0.1": 200} {
		require.Equal(t, status, e.send("GET", "/jwks", http.Header{"Host": {host}}, "").Status, host)
	}
}

func TestLibraryEndpointsThatAreNotOffered(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for _, path := range []string{"/userinfo", "/register/" + id, "/register/" + rsID, "/authorize/a/b"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			require.Equal(t, http.StatusNotFound, e.send(method, path, http.Header{"Authorization": {"Bearer "}}, "{}").Status, method+" "+path)
		}
	}
}
