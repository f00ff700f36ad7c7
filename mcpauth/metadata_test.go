package mcpauth_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

func newResource(t testing.TB, is *testIssuer, resource string, change func(*mcpauth.Config)) *mcpauth.Middleware {
	t.Helper()
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Resource = resource
		if change != nil {
			change(cfg)
		}
	})
	return auth
}

func document(t testing.TB, h http.Handler, url string) map[string]any {
	t.Helper()
	w := serve(h, httptest.NewRequest("GET", url, nil))
	require.Equal(t, http.StatusOK, w.Code, url)
	require.Equal(t, "application/json", w.Header().Get("Content-Type")) // PRM-02
	var doc map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
	return doc
}

// PRM-01 and PRM-03 at each form of resource, mounted and challenged for.
func TestPRM01_DocumentAtTheInsertedURL(t *testing.T) {
	is := newIssuer(t)
	for resource, want := range map[string]string{
		"https://mcp.example.com":            "https://mcp.example.com/.well-known/oauth-protected-resource",
		"https://mcp.example.com/":           "https://mcp.example.com/.well-known/oauth-protected-resource",
		"https://mcp.example.com:8443/a/mcp": "https://mcp.example.com:8443/.well-known/oauth-protected-resource/a/mcp",
		"https://mcp.example.com/mcp/":       "https://mcp.example.com/.well-known/oauth-protected-resource/mcp/",
		"https://mcp.example.com/mcp?t=1":    "https://mcp.example.com/.well-known/oauth-protected-resource/mcp?t=1",
		"https://mcp.example.com/a%20b/mcp":  "https://mcp.example.com/.well-known/oauth-protected-resource/a%20b/mcp",
		"http://localhost:8080/mcp":          "http://localhost:8080/.well-known/oauth-protected-resource/mcp",
	} {
		t.Run(resource, func(t *testing.T) {
			auth := newResource(t, is, resource, nil)
			auth.RequireTool("whoami", scopes.Authenticated())
			mux := http.NewServeMux()
			auth.Mount(mux, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

			request := func(body, token string) *http.Request {
				r := post(body, token)
				r.URL, _ = url.Parse(resource)
				r.Host = r.URL.Host
				if r.URL.Path == "" {
					r.URL.Path = "/" // as on the wire
				}
				return r
			}
			w := serve(mux, request("{}", ""))
			require.Equal(t, http.StatusUnauthorized, w.Code)
			require.Equal(t, `Bearer resource_metadata="`+want+`"`, w.Header().Get("Www-Authenticate")) // CH-03

			doc := document(t, mux, want)
			require.Equal(t, map[string]any{
				"resource": resource, "authorization_servers": []any{is.URL}, "bearer_methods_supported": []any{"header"},
				"dpop_signing_alg_values_supported": []any{"ES256", "ES384", "PS256", "RS256", "EdDSA"}, "dpop_bound_access_tokens_required": false,
			}, doc) // PRM-04, PRM-05, PRM-07, PRM-08, PRM-09
			require.Equal(t, doc, document(t, auth.Metadata(), want)) // PRM-25

			require.Equal(t, http.StatusOK, serve(mux, request(call("whoami"), is.token(t, claims{"aud": resource}))).Code)
		})
	}
}

func TestPRM06_ScopesSupportedIsTheBaseline(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.BaseScopes = []string{"mcp:read"}
		cfg.Metadata = &prm.Metadata{ResourceName: "Files", ScopesSupported: []string{"files:read", "mcp:read"}}
	})
	auth.RequireTool("purge", scopes.And(scopes.All("files:purge"), scopes.Role("admin")))
	doc := document(t, auth.Metadata(), testPRM)
	require.Equal(t, []any{"mcp:read", "files:read"}, doc["scopes_supported"])
	require.Equal(t, "Files", doc["resource_name"])
}

// PRM-16, PRM-17, PRM-18.
func TestPRM16_NeedsNoTokenAndNoOrigin(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	mux := http.NewServeMux()
	auth.Mount(mux, http.NotFoundHandler())
	for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
		r := with(httptest.NewRequest(method, testPRM, nil), "Origin", "https://anywhere.example")
		if method == "OPTIONS" {
			r.Header.Set("Access-Control-Request-Method", "GET")
			r.Header.Set("Access-Control-Request-Headers", "mcp-protocol-version")
		}
		r.Header.Set("Authorization", "Bearer junk") // looked at by nobody
		r.Host = "anything.example"
		w := serve(mux, r)
		require.Equal(t, map[string]int{"GET": 200, "HEAD": 200, "OPTIONS": 204}[method], w.Code)
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
		require.NotContains(t, w.Header(), "Access-Control-Allow-Credentials")
		require.NotContains(t, w.Header(), "Www-Authenticate")
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		w := serve(mux, httptest.NewRequest(method, testPRM, nil))
		require.Equal(t, http.StatusMethodNotAllowed, w.Code)
		require.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"))
	}
	w := serve(mux, httptest.NewRequest("GET", testPRM, nil)) // PRM-23
	require.Regexp(t, `^public, max-age=\d+$`, w.Header().Get("Cache-Control"))
	w = serve(mux, with(httptest.NewRequest("GET", testPRM, nil), "If-None-Match", w.Header().Get("Etag")))
	require.Equal(t, http.StatusNotModified, w.Code)
	require.Zero(t, is.fetches.Load())
}

func TestPRM19_OtherPathsAreUnknown(t *testing.T) {
	is := newIssuer(t)
	const host = "https://mcp.example.com"
	for _, root := range []bool{false, true} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.RootMetadata = root })
		mux := http.NewServeMux()
		auth.Mount(mux, http.NotFoundHandler())
		require.Equal(t, "/.well-known/oauth-protected-resource/mcp", auth.MetadataPath())
		for path, status := range map[string]int{
			auth.MetadataPath():                             200,
			auth.MetadataPath() + "/":                       200,
			"/.well-known/oauth-protected-resource/other":   404,
			"/.well-known/oauth-protected-resource/mcp/x":   404,
			"/.well-known/oauth-protected-resource/MCP":     404,
			"/.well-known/oauth-protected-resource/mcp%2f":  404,
			"/.well-known/oauth-protected-resource/mcp?x=1": 404,
			"/.well-known/oauth-protected-resources":        404,
			"/.well-known/oauth-authorization-server":       404,
			"/mcp/.well-known/oauth-protected-resource":     404,
			"/.well-known/oauth-protected-resource":         map[bool]int{false: 404, true: 200}[root], // PRM-20
			"/.well-known/oauth-protected-resource/":        map[bool]int{false: 404, true: 200}[root],
		} {
			require.Equal(t, status, serve(mux, httptest.NewRequest("GET", host+path, nil)).Code, "%s, root %v", path, root)
			require.Equal(t, status, serve(auth.Metadata(), httptest.NewRequest("GET", host+path, nil)).Code, "%s, root %v", path, root)
		}
		if root {
			require.Equal(t, testResource, document(t, mux, host+"/.well-known/oauth-protected-resource")["resource"])
		}
	}
}

// PRM-24: two resources of one host share nothing.
func TestPRM24_ResourcesOfOneHostDiffer(t *testing.T) {
	is := newIssuer(t)
	mux := http.NewServeMux()
	const host = "https://mcp.example.com"
	for _, name := range []string{"a", "b"} {
		auth := newResource(t, is, host+"/"+name, func(cfg *mcpauth.Config) { cfg.BaseScopes = []string{name + ":read"} })
		auth.RequireTool("whoami", scopes.Authenticated())
		auth.Mount(mux, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}
	for _, name := range []string{"a", "b"} {
		metadata := host + "/.well-known/oauth-protected-resource/" + name
		doc := document(t, mux, metadata)
		require.Equal(t, host+"/"+name, doc["resource"])
		require.Equal(t, []any{name + ":read"}, doc["scopes_supported"])
		for _, audience := range []string{"a", "b", ""} {
			r := post(call("whoami"), is.token(t, claims{"aud": host + "/" + audience, "scope": "a:read b:read"}))
			r.URL.Path = "/" + name
			w := serve(mux, r)
			if audience == name {
				require.Equal(t, http.StatusOK, w.Code)
				continue
			}
			require.Equal(t, http.StatusUnauthorized, w.Code, "%s with a token for %q", name, audience)
			require.Contains(t, w.Header().Get("Www-Authenticate"), `resource_metadata="`+metadata+`", scope="`+name+`:read"`)
		}
	}
	require.Equal(t, http.StatusNotFound, serve(mux, httptest.NewRequest("GET", host+"/.well-known/oauth-protected-resource", nil)).Code)
}

// Threat 17: what clients compare is the issuer itself, unless its URL is none.
func TestPRM_AuthorizationServersAreIssuers(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers = append(cfg.Issuers,
			mcpauth.Issuer{URL: "urn:example:issuer", AuthorizationServer: "https://login.example.com", JWKSURI: other.URL + "/jwks"},
			mcpauth.Issuer{URL: other.URL, AuthorizationServer: "https://login.example.com"})
	})
	require.Equal(t, []any{is.URL, "https://login.example.com"}, document(t, auth.Metadata(), testPRM)["authorization_servers"])
}
