package discovery_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
)

func TestDISC01WellKnownURLs(t *testing.T) {
	for _, tt := range []struct {
		name, issuer string
		want         []string
	}{
		{"no path", "https://login.example.com", []string{
			"https://login.example.com/.well-known/oauth-authorization-server",
			"https://login.example.com/.well-known/openid-configuration",
		}},
		{"a slash after the host, as Auth0", "https://t.eu.auth0.com/", []string{
			"https://t.eu.auth0.com/.well-known/oauth-authorization-server",
			"https://t.eu.auth0.com/.well-known/openid-configuration",
		}},
		{"a path, as Keycloak", "https://sso.example.com:8443/realms/main", []string{
			"https://sso.example.com:8443/.well-known/oauth-authorization-server/realms/main",
			"https://sso.example.com:8443/.well-known/openid-configuration/realms/main",
			"https://sso.example.com:8443/realms/main/.well-known/openid-configuration",
		}},
		{"a path and a slash", "https://sso.example.com/tenant/", []string{
			"https://sso.example.com/.well-known/oauth-authorization-server/tenant",
			"https://sso.example.com/.well-known/openid-configuration/tenant",
			"https://sso.example.com/tenant/.well-known/openid-configuration",
		}},
		{"an escaped path", "https://sso.example.com/a%2Fb", []string{
			"https://sso.example.com/.well-known/oauth-authorization-server/a%2Fb",
			"https://sso.example.com/.well-known/openid-configuration/a%2Fb",
			"https://sso.example.com/a%2Fb/.well-known/openid-configuration",
		}},
		{"loopback", "http://127.0.0.1:9000", []string{
			"http://127.0.0.1:9000/.well-known/oauth-authorization-server",
			"http://127.0.0.1:9000/.well-known/openid-configuration",
		}},
		{"plain http", "http://login.example.com", nil},
		{"a bare word, as FusionAuth", "acme.com", nil},
		{"a query", "https://login.example.com/?tenant=a", nil},
		{"an empty query", "https://login.example.com/?", nil},
		{"a fragment", "https://login.example.com/#a", nil},
		{"user information", "https://a@login.example.com/", nil},
		{"nothing", "", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, discovery.URLs(tt.issuer))
			if tt.want == nil {
				_, err := discovery.Get(t.Context(), fetch.New(fetch.Config{}), tt.issuer)
				require.ErrorIs(t, err, discovery.ErrMetadata)
			}
		})
	}
}

// issuerServer serves documents by path and remembers what was asked.
type issuerServer struct {
	*httptest.Server
	mu    sync.Mutex
	docs  map[string]string // path to body; a body of digits is a status
	asked []string
}

func newIssuerServer(t *testing.T) *issuerServer {
	s := &issuerServer{docs: map[string]string{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.asked = append(s.asked, r.URL.EscapedPath())
		body, ok := s.docs[r.URL.EscapedPath()]
		s.mu.Unlock()
		var status int
		if n, err := fmt.Sscanf(body, "%d", &status); n == 1 && err == nil {
			w.WriteHeader(status)
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

func document(issuer string, extra map[string]any) string {
	m := map[string]any{"issuer": issuer, "jwks_uri": issuer + "/keys", "response_types_supported": []string{"code"}}
	for k, v := range extra {
		m[k] = v
	}
	b, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(b)
}

const (
	as   = "/.well-known/oauth-authorization-server"
	oidc = "/.well-known/openid-configuration"
)

func TestDISC01FirstGoodDocumentWins(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		docs       map[string]string // "ok", "other" (issuer) or a body
		asked      []string          // the last one gives the answer
		ok         bool
	}{
		{"RFC 8414 at the root", "", map[string]string{as: "ok", oidc: "ok"}, []string{as}, true},
		{"OpenID at the root", "", map[string]string{oidc: "ok"}, []string{as, oidc}, true},
		{"issuer with a slash", "/", map[string]string{oidc: "ok"}, []string{as, oidc}, true},
		{"RFC 8414 inserted", "/t", map[string]string{as + "/t": "ok"}, []string{as + "/t"}, true},
		{"OpenID inserted", "/t", map[string]string{oidc + "/t": "ok"}, []string{as + "/t", oidc + "/t"}, true},
		{"OpenID appended", "/t", map[string]string{"/t" + oidc: "ok"}, []string{as + "/t", oidc + "/t", "/t" + oidc}, true},
		{"RFC 8414 appended", "/t", map[string]string{"/t" + as: "ok"}, []string{as + "/t", oidc + "/t", "/t" + oidc, "/t" + as}, true},
		{"DISC-02 the first is of another issuer", "", map[string]string{as: "other", oidc: "ok"}, []string{as, oidc}, true},
		{"the first is broken", "", map[string]string{as: "<html>", oidc: "ok"}, []string{as, oidc}, true},
		{"the first is 500", "", map[string]string{as: "500", oidc: "ok"}, []string{as, oidc}, true},
		{"DISC-02 all are of another issuer", "", map[string]string{as: "other", oidc: "other"}, []string{as, oidc}, false},
		{"the document of the host is not that of a path", "/t", map[string]string{as: "ok", oidc: "ok"}, []string{as + "/t", oidc + "/t", "/t" + oidc, "/t" + as}, false},
		{"nothing", "", nil, []string{as, oidc}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := newIssuerServer(t)
			issuer := srv.URL + tt.path
			for path, body := range tt.docs {
				switch body {
				case "ok":
					body = document(issuer, nil)
				case "other":
					body = document(issuer+"x", nil)
				}
				srv.docs[path] = body
			}
			m, err := discovery.Get(t.Context(), fetch.New(fetch.Config{}), issuer)
			require.Equal(t, tt.asked, srv.asked)
			if !tt.ok {
				require.ErrorIs(t, err, discovery.ErrMetadata)
				require.NotContains(t, err.Error(), "\n")
				require.Nil(t, m)
				return
			}
			require.NoError(t, err)
			require.Equal(t, issuer, m.Issuer)
			require.Equal(t, issuer+"/keys", m.JWKSURI)
		})
	}
}

func TestDISC02IssuerIsComparedByteForByte(t *testing.T) {
	const issuer = "https://login.example.com/t"
	for _, in := range []string{
		issuer + "/", "https://login.example.com", "https://LOGIN.example.com/t", "https://login.example.com:443/t",
		"http://login.example.com/t", issuer + " ", issuer + "\x00", "https://login.example.com/%74", "",
	} {
		_, err := discovery.Parse([]byte(document(in, map[string]any{"jwks_uri": "https://login.example.com/keys"})), issuer)
		require.ErrorIs(t, err, discovery.ErrMetadata, in)
	}
	_, err := discovery.Parse([]byte(`{"issuer":""}`), "")
	require.ErrorIs(t, err, discovery.ErrMetadata, "no issuer at all")
}

// Whoever configures an issuer with a slash too many has to see both spellings to find the mistake.
func TestParseNamesTheOtherIssuer(t *testing.T) {
	for _, tt := range []struct{ name, got, configured, want string }{
		{"a slash too many", "https://login.example.com", "https://login.example.com/",
			`its issuer is "https://login.example.com", not the configured "https://login.example.com/": they differ in the slash at the end only`},
		{"another host", "http://localhost:9000", "http://127.0.0.1:9000",
			`its issuer is "http://localhost:9000", not the configured "http://127.0.0.1:9000"`},
		{"no issuer", "", "https://login.example.com", "it names no issuer"},
		{"text that forges a line", "a\nb\u202e", "https://login.example.com", `its issuer is "a\nb\u202e", not the configured "https://login.example.com"`},
		{"long text", strings.Repeat("a", 1<<16), "https://login.example.com",
			`its issuer is "` + strings.Repeat("a", 200) + `"..., not the configured "https://login.example.com"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := json.Marshal(map[string]string{"issuer": tt.got})
			require.NoError(t, err)
			_, err = discovery.Parse(doc, tt.configured)
			require.ErrorIs(t, err, discovery.ErrMetadata)
			require.EqualError(t, err, discovery.ErrMetadata.Error()+": "+tt.want)
		})
	}
}

func TestParse(t *testing.T) {
	const issuer = "https://login.example.com"
	m, err := discovery.Parse([]byte(document(issuer, map[string]any{
		"introspection_endpoint": "https://other.example.com/introspect",
		"protected_resources":    []string{"https://mcp.example.com/mcp"},
		"ISSUER":                 "https://evil.example",
		"mtls_endpoint_aliases":  map[string]string{"introspection_endpoint": "http://10.0.0.1/"},
	})), issuer)
	require.NoError(t, err)
	require.Equal(t, &discovery.Metadata{
		Issuer:                issuer,
		JWKSURI:               issuer + "/keys",
		IntrospectionEndpoint: "https://other.example.com/introspect",
		ProtectedResources:    []string{"https://mcp.example.com/mcp"},
	}, m)

	for _, tt := range []struct{ aliases, want string }{
		{`{"introspection_endpoint":"https://mtls.example.com/introspect"}`, "https://mtls.example.com/introspect"},
		{`{"token_endpoint":"https://mtls.example.com/token"}`, ""},
		{`{"introspection_endpoint":"/introspect"}`, ""},
		{`{"introspection_endpoint":7}`, ""},
		{`null`, ""},
		{`["introspection_endpoint"]`, ""},
	} {
		m, err := discovery.Parse([]byte(`{"issuer":"`+issuer+`","mtls_endpoint_aliases":`+tt.aliases+`}`), issuer)
		require.NoError(t, err, tt.aliases)
		require.Equal(t, tt.want, m.IntrospectionMTLSEndpoint, tt.aliases)
	}
	_, err = discovery.Parse([]byte(`{"issuer":"`+issuer+`","mtls_endpoint_aliases":{"a":1,"a":2}}`), issuer)
	require.ErrorIs(t, err, discovery.ErrMetadata, "duplicate")

	m, err = discovery.Parse([]byte(`{"issuer":"`+issuer+`","protected_resources":[]}`), issuer)
	require.NoError(t, err)
	require.Empty(t, m.JWKSURI)
	require.NotNil(t, m.ProtectedResources, "an empty list is present")

	for name, doc := range map[string]string{
		"empty":             ``,
		"an array":          `[]`,
		"null":              `null`,
		"HTML":              `<html></html>`,
		"data after it":     document(issuer, nil) + "{}",
		"duplicate issuer":  `{"issuer":"https://evil.example","issuer":"` + issuer + `"}`,
		"duplicate inside":  `{"issuer":"` + issuer + `","a":{"b":1,"b":2}}`,
		"issuer in capital": `{"Issuer":"` + issuer + `"}`,
		"issuer a number":   `{"issuer":1}`,
		"issuer an array":   `{"issuer":["` + issuer + `"]}`,
		"jwks_uri null":     `{"issuer":"` + issuer + `","jwks_uri":null}`,
		"resources string":  `{"issuer":"` + issuer + `","protected_resources":"a"}`,
		"resource a number": `{"issuer":"` + issuer + `","protected_resources":[1]}`,
		"invalid UTF-8":     `{"issuer":"` + issuer + "\",\"a\":\"\xff\"}",
		"deep":              `{"issuer":"` + issuer + `","a":` + strings.Repeat("[", 30) + strings.Repeat("]", 30) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := discovery.Parse([]byte(doc), issuer)
			require.ErrorIs(t, err, discovery.ErrMetadata)
		})
	}
}

func TestDISC03EndpointsAreHTTPS(t *testing.T) {
	for _, tt := range []struct {
		issuer, endpoint string
		ok               bool
	}{
		{"https://login.example.com", "https://keys.example.net/keys", true},
		{"https://login.example.com", "HTTPS://keys.example.net/keys", true},
		{"https://login.example.com", "http://login.example.com/keys", false},
		{"https://login.example.com", "http://127.0.0.1:8080/keys", false},
		{"https://login.example.com", "http://localhost/keys", false},
		{"https://login.example.com", "HTTP://localhost/keys", false},
		{"https://login.example.com", "/keys", false},
		{"https://login.example.com", "file:///keys", false},
		{"https://login.example.com", "https://user:pass@login.example.com/keys", false},
		{"https://login.example.com", "https://login.example.com/keys#a", false},
		{"https://login.example.com", "", false},
		{"http://localhost:9000", "http://127.0.0.1:9000/keys", true},
		{"http://localhost:9000", "http://10.0.0.1/keys", false},
		{"http://localhost:9000", "https://keys.example.net/keys", true},
	} {
		for _, member := range []string{"jwks_uri", "introspection_endpoint"} {
			t.Run(tt.issuer+" "+member+" "+tt.endpoint, func(t *testing.T) {
				_, err := discovery.Parse([]byte(document(tt.issuer, map[string]any{member: tt.endpoint})), tt.issuer)
				if tt.ok {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, discovery.ErrMetadata)
				require.ErrorContains(t, err, member)
			})
		}
	}
}

func TestDISC06HostileServers(t *testing.T) {
	other := newIssuerServer(t)
	for name, h := range map[string]http.HandlerFunc{
		"too large": func(w http.ResponseWriter, _ *http.Request) {
			chunk := []byte(strings.Repeat(" ", 64<<10))
			for range 64 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
		"another origin": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path, http.StatusFound)
		},
		"203 with a document": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusNonAuthoritativeInfo)
			fmt.Fprint(w, document("http://"+r.Host, nil))
		},
		"hanging": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(h)
			t.Cleanup(srv.Close)
			_, err := discovery.Get(t.Context(), fetch.New(fetch.Config{Timeout: 100 * time.Millisecond}), srv.URL)
			require.Error(t, err)
			require.Empty(t, other.asked)
		})
	}
}

// What Parse accepts says so itself, in JSON that every parser reads alike.
func FuzzParse(f *testing.F) {
	const issuer = "https://login.example.com"
	f.Add([]byte(document(issuer, nil)))
	f.Add([]byte(document(issuer, map[string]any{"introspection_endpoint": issuer, "protected_resources": []string{"a"}})))
	f.Add([]byte(`{"issuer":"https://login.example.com","jwks_uri":"http://localhost/"}`))
	f.Add([]byte(`{"issuer":"a","issuer":"https://login.example.com"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := discovery.Parse(data, issuer)
		if err != nil {
			require.Nil(t, m)
			return
		}
		var plain map[string]any
		require.NoError(t, json.Unmarshal(data, &plain))
		require.Equal(t, issuer, plain["issuer"])
		for member, got := range map[string]string{"jwks_uri": m.JWKSURI, "introspection_endpoint": m.IntrospectionEndpoint} {
			if got == "" {
				require.NotContains(t, plain, member)
				continue
			}
			require.Equal(t, plain[member], got)
			require.NoError(t, fetch.CheckURL(got))
			require.True(t, strings.EqualFold(got[:6], "https:"))
		}
		_, listed := plain["protected_resources"]
		require.Equal(t, listed, m.ProtectedResources != nil)
	})
}
