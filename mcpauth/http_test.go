package mcpauth_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// HTTP-01: of two faults, the earlier check answers.
func TestHTTP01_OrderOfChecks(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.MaxBodyBytes = 1000 })
	good, poor := is.scoped(t, "mcp:read"), is.scoped(t, "")
	const origin = "Origin"
	for _, test := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"origin before the preflight", with(with(httptest.NewRequest("OPTIONS", testResource, nil), origin, "https://evil.example"), "Access-Control-Request-Method", "POST"), 403},
		{"origin before malformed credentials", with(with(post(call("whoami"), ""), "Authorization", "Bearer"), origin, "https://evil.example"), 403},
		{"preflight before credentials", with(with(httptest.NewRequest("OPTIONS", testResource, nil), origin, "https://mcp.example.com"), "Access-Control-Request-Method", "POST"), 204},
		{"credentials before the method", httptest.NewRequest("PATCH", testResource, nil), 401},
		{"credentials before the media type", with(post("x", ""), "Content-Type", "text/plain"), 401},
		{"token before the size of the body", post(strings.Repeat("x", 2000), "bad.token"), 401},
		{"token before the syntax of the body", post("{", "bad.token"), 401},
		{"media type before size", with(post(strings.Repeat("x", 2000), good), "Content-Type", "text/plain"), 415},
		{"size before syntax", post(strings.Repeat("x", 2000), good), 413},
		{"syntax before authorization", post(call("write")+"{", poor), 400},
		{"authorization before the handler", post(call("write"), good), 403},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := serve(h, test.r)
			require.Equal(t, test.status, w.Code, w.Body.String())
			require.Equal(t, w.Code == 401 || test.name == "authorization before the handler", w.Header().Get("Www-Authenticate") != "")
		})
	}
}

func TestHTTP02_ForeignOriginsAreRefused(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Origins = []string{"https://app.example.com"} })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for _, test := range []struct {
		origin  []string
		allowed bool
	}{
		{nil, true}, // HTTP-03
		{[]string{"https://mcp.example.com"}, true},
		{[]string{"https://app.example.com"}, true},
		{[]string{"null"}, false},
		{[]string{""}, false},
		{[]string{"https://app.example.com", "https://evil.example"}, false},
		{[]string{"https://app.example.com:443"}, false},
		{[]string{"http://app.example.com"}, false},
		{[]string{"https://app.example.com.evil.example"}, false},
		{[]string{"https://APP.example.com"}, false},
		{[]string{"https://app.example.com/"}, false},
		{[]string{"http://localhost:3000"}, false}, // HTTP-04: loopback only beside a loopback resource
		{[]string{"*"}, false},
	} {
		for _, token := range []string{"", is.token(t)} {
			for _, method := range []string{"POST", "GET", "DELETE", "HEAD", "OPTIONS"} {
				r := with(post(call("whoami"), token), "Origin", test.origin...)
				r.Method = method
				w := serve(h, r)
				require.Equal(t, !test.allowed, w.Code == http.StatusForbidden, "%s from %q: %d", method, test.origin, w.Code)
				allowed, _ := w.Header()["Access-Control-Allow-Origin"]
				if !test.allowed {
					require.Empty(t, w.Header()["Www-Authenticate"])
					require.Empty(t, allowed)
					require.Empty(t, w.Body.String())
				} else if test.origin != nil { // HTTP-08, HTTP-09
					require.Equal(t, test.origin, allowed)
					require.Contains(t, strings.Join(w.Header()["Vary"], ","), "Origin")
				}
				require.NotContains(t, w.Header(), "Access-Control-Allow-Credentials")
			}
		}
	}
}

func TestHTTP05_LoopbackRefusesForeignHosts(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Resource = "http://localhost:8080/mcp" })
	h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	for host, status := range map[string]int{
		"localhost:8080": 401, "127.0.0.1:8080": 401, "[::1]:8080": 401, "evil.example": 403, "evil.example:8080": 403, "localhost.evil.example": 403, "": 403,
	} {
		r := post(call("whoami"), "")
		r.Host = host
		w := serve(h, r)
		require.Equal(t, status, w.Code, host)
		require.Equal(t, status == 401, w.Header().Get("Www-Authenticate") != "", host)
	}
}

func TestHTTP06_PreflightIsAnsweredWithoutAToken(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
	r := with(httptest.NewRequest("OPTIONS", testResource, nil), "Origin", "https://mcp.example.com")
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization,mcp-param-region,mcp-protocol-version")
	w := serve(h, r)
	require.Equal(t, http.StatusNoContent, w.Code)
	for _, method := range []string{"POST", "GET", "DELETE"} {
		require.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), method)
	}
	allowed := strings.Split(strings.ReplaceAll(w.Header().Get("Access-Control-Allow-Headers"), " ", ""), ",")
	for _, name := range []string{ // HTTP-07
		"authorization", "dpop", "content-type", "accept", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id", "mcp-param-region",
	} {
		require.Contains(t, allowed, name)
	}
	require.NotContains(t, allowed, "*")
	require.Empty(t, w.Header()["Www-Authenticate"])

	w = serve(h, httptest.NewRequest("OPTIONS", testResource, nil))
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Equal(t, "GET, POST, DELETE", w.Header().Get("Allow"))
}

func TestHTTP08_RefusalsCanBeReadByPages(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, nil)
	for _, token := range []string{"", "x", is.scoped(t, ""), is.scoped(t, "mcp:read")} {
		w := serve(h, with(post(call("write"), token), "Origin", "https://mcp.example.com"))
		exposed := strings.Join(w.Header()["Access-Control-Expose-Headers"], ",")
		for _, name := range []string{"WWW-Authenticate", "DPoP-Nonce", "Mcp-Session-Id", "Retry-After"} {
			require.Contains(t, strings.ToLower(exposed), strings.ToLower(name), "%d", w.Code)
		}
	}
}

func TestHTTP11_OtherMethodsNeedTheirOwnToken(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for method, allow := range map[string]string{"GET": "POST", "DELETE": "POST", "HEAD": "GET, POST, DELETE", "PUT": "GET, POST, DELETE"} {
		r := httptest.NewRequest(method, testResource, nil)
		r.Header.Set("Accept", "text/event-stream")
		require.Equal(t, http.StatusUnauthorized, serve(h, r.Clone(r.Context())).Code, method)
		r.Header.Set("Authorization", "Bearer "+is.token(t))
		w := serve(h, r)
		require.Equal(t, http.StatusMethodNotAllowed, w.Code, method) // HTTP-12 for HEAD
		require.Equal(t, allow, w.Header().Get("Allow"), method)
	}
}

// TOK-01, threats 4, 55 and 70 to 72; HTTP-13; X-16.
func TestHTTP13_SessionsBelongToTheirOpener(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL})
	})
	h := auth.Wrap(sdkHandler(newServer(auth), false))
	ada := is.token(t)
	id := openSession(t, h, ada)
	in := func(token, body string) *httptest.ResponseRecorder {
		r := with(post(body, token), "Mcp-Session-Id", id)
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		return serve(h, r)
	}
	require.Contains(t, in(ada, call("whoami")).Body.String(), "whoami ada")

	require.Equal(t, http.StatusUnauthorized, in("", call("whoami")).Code, "a session id is no credential")
	for name, token := range map[string]string{
		"another subject":                    is.token(t, claims{"sub": "eve"}),
		"the same subject of another issuer": other.token(t), // SEC-07
		"another client of the same user":    is.token(t, claims{"client_id": "other"}),
		"no subject, so the client":          is.token(t, claims{"sub": nil, "client_id": "ada"}),
	} {
		for _, method := range []string{"POST", "GET", "DELETE"} {
			r := with(post(call("whoami"), token), "Mcp-Session-Id", id)
			r.Method = method
			w := serve(h, r)
			require.Equal(t, http.StatusForbidden, w.Code, "%s: %s %s", name, method, w.Body)
			require.Empty(t, w.Header()["Www-Authenticate"], "no step-up would help")
		}
	}
	w := serve(h, with(post(call("whoami"), ada), "Mcp-Session-Id", "unknown"))
	require.Equal(t, http.StatusNotFound, w.Code)

	// AUTHZ-16, COMPAT-04: rights are those of this request, both ways.
	require.Equal(t, http.StatusForbidden, in(ada, call("write")).Code)
	require.Contains(t, in(is.scoped(t, "files:write"), call("write")).Body.String(), "write ada")
	require.Equal(t, http.StatusForbidden, in(ada, call("write")).Code)

	clock.advance(11 * 60e9)
	require.Equal(t, http.StatusUnauthorized, in(ada, call("whoami")).Code, "an earlier success is not enough")
}

// SEC-01, TOK-20: what a tool sees of its request.
func TestSEC01_ToolsSeeTheCallerAndNoCredentials(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "x", Version: "1"}, nil)
	type sight struct {
		principal *mcpauth.Principal
		info      sdkauth.TokenInfo
		scopes    []string
		header    http.Header
	}
	var seen []sight
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "look"}, func(ctx context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		p, _ := mcpauth.FromContext(ctx)
		seen = append(seen, sight{p, *req.Extra.TokenInfo, slices.Clone(req.Extra.TokenInfo.Scopes), req.Extra.Header}) // judged outside: a tool cannot end a test
		req.Extra.TokenInfo.Scopes[0] = "changed"                                                                       // must not reach anybody else
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.All("a"))
	for _, stateless := range []bool{true, false} {
		h := auth.Wrap(sdkHandler(server, stateless))
		token := is.scoped(t, "a b")
		r := post(call("look"), token)
		if !stateless {
			r.Header.Set("Mcp-Session-Id", openSession(t, h, token))
		}
		for range 2 {
			r.Body = post(call("look"), "").Body
			r.Header.Set("DPoP", "proof")
			r.Header.Set("Proxy-Authorization", "Basic eDp5")
			r.Header.Set("X-Other", "kept")
			w := serve(h, r)
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			require.NotContains(t, w.Body.String(), `"error"`)
		}
		require.Equal(t, "Bearer "+token, r.Header.Get("Authorization"), "the caller's request is left alone")
	}
	require.Len(t, seen, 4)
	for _, s := range seen {
		require.NotNil(t, s.principal)
		require.Equal(t, s.principal.ID(), s.info.UserID)
		require.Equal(t, s.principal.Expiry(), s.info.Expiration)
		require.Equal(t, []string{"a", "b"}, s.scopes)
		for _, name := range []string{"Authorization", "Dpop", "Proxy-Authorization"} {
			require.NotContains(t, s.header, name)
		}
		require.Equal(t, "kept", s.header.Get("X-Other"))
	}
}

// AUTHZ-13: the handler reads what the client sent, byte for byte.
func TestHTTP_BodyReachesTheHandlerUnchanged(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("whoami", scopes.Authenticated())
	var got []byte
	var length int64
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got, _ = io.ReadAll(r.Body)
		length = r.ContentLength
	}))
	body := "  \r\n" + strings.Replace(call("whoami"), ":", " :\t", 3) + " \n"
	require.Equal(t, http.StatusOK, serve(h, post(body, is.token(t))).Code)
	require.Equal(t, body, string(got))
	require.EqualValues(t, len(body), length)

	r := post("", is.token(t)) // chunked
	r.Body, r.ContentLength = io.NopCloser(bytes.NewBufferString(body)), -1
	require.Equal(t, http.StatusOK, serve(h, r).Code)
	require.Equal(t, body, string(got))
}

// threat 65 and HTTP-20: neither rewriting headers nor odd paths get past the middleware.
func TestHTTP20_OddPathsDoNotGetPast(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("whoami", scopes.Authenticated())
	reached := 0
	mux := http.NewServeMux()
	auth.Mount(mux, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	for _, path := range []string{
		"/mcp", "//mcp", "/./mcp", "/a/../mcp", "/%6dcp", "/%6Dcp", "/mcp/", "/mcp//", "/mcp%2f", "/mcp;x", "/mcp/.", "/MCP", "/mcp%00", "/%2e/mcp", "/mcp/x",
		"/.well-known/../mcp", "/mcp?x=1", "http://evil.example/mcp", "", "/", "*",
	} {
		r := post(call("whoami"), "")
		u := *r.URL
		r.URL, r.RequestURI = &u, path
		parsed, err := r.URL.Parse(path)
		if err != nil {
			continue
		}
		r.URL = parsed
		w := serve(mux, r)
		require.Contains(t, []int{301, 307, 308, 401, 404, 400}, w.Code, path)
		require.Zero(t, reached, path)
	}
	require.Equal(t, http.StatusOK, serve(mux, post(call("whoami"), is.token(t))).Code)
	require.Equal(t, 1, reached)
}

// A resource whose path ends in a slash is that path, not all below it.
func TestHTTP20_MountServesOnePath(t *testing.T) {
	is := newIssuer(t)
	for resource, below := range map[string]string{
		"https://mcp.example.com": "/other", "https://mcp.example.com/": "/other", "https://mcp.example.com/mcp/": "/mcp/other", "https://mcp.example.com/mcp": "/mcp/",
	} {
		auth := newResource(t, is, resource, nil)
		mux := http.NewServeMux()
		auth.Mount(mux, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("reached") }))
		r := post(call("whoami"), is.token(t, claims{"aud": resource}))
		r.URL.Path = below
		require.Equal(t, http.StatusNotFound, serve(mux, r).Code, resource)
	}
}

func TestWrap_IsIdempotentAndKeepsTheResponseWriter(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("whoami", scopes.Authenticated())
	w := httptest.NewRecorder()
	h := auth.Wrap(http.HandlerFunc(func(got http.ResponseWriter, r *http.Request) {
		require.Same(t, w, got) // HTTP-16: Flusher and ResponseController work
		_, ok := mcpauth.FromContext(r.Context())
		require.True(t, ok)
		got.Header().Set("X-Accel-Buffering", "no")
	}))
	require.Same(t, h, auth.Wrap(h))
	h.ServeHTTP(w, post(call("whoami"), is.token(t)))
	require.Equal(t, "no", w.Header().Get("X-Accel-Buffering"))
}
