package mcpauth_test

import (
	"crypto/ed25519"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

func goodConfig() mcpauth.Config {
	return mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: "https://login.example.com"}}}
}

// mistakesOf returns each mistake that New reports, by itself.
func mistakesOf(t testing.TB, cfg mcpauth.Config) []string {
	t.Helper()
	auth, err := mcpauth.New(cfg)
	require.Error(t, err)
	require.Nil(t, auth)
	require.True(t, strings.HasPrefix(err.Error(), "mcpauth: "), err.Error())
	require.Contains(t, err.Error(), ": ")
	require.NotNil(t, errors.Unwrap(err), "the joined errors can be taken apart")
	return strings.Split(strings.TrimPrefix(err.Error(), "mcpauth: "), "\n")
}

func TestNew_ZeroConfig(t *testing.T) {
	got := mistakesOf(t, mcpauth.Config{})
	require.Len(t, got, 2)
	require.Regexp(t, `^Resource: .*write an absolute https URL`, got[0])
	require.Regexp(t, `^Issuers: name at least one`, got[1])
}

// Each row breaks one field. SEC-05: nothing is put right silently.
var brokenConfigs = []struct {
	field string // how the error begins
	spoil func(*mcpauth.Config)
}{
	{"Resource: ", func(c *mcpauth.Config) { c.Resource = "" }},
	{"Resource: ", func(c *mcpauth.Config) { c.Resource = "mcp.example.com/mcp" }},
	{"Resource: ", func(c *mcpauth.Config) { c.Resource = "http://mcp.example.com/mcp" }}, // HTTP-19, PRM-21
	{"Resource: ", func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/mcp#f" }},
	{"Resource: ", func(c *mcpauth.Config) { c.Resource = "https://user:hunter2@mcp.example.com/mcp" }},
	{"Resource: ", func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/a b" }},
	{"Issuers: ", func(c *mcpauth.Config) { c.Issuers = nil }},
	{"Issuers[0].URL: ", func(c *mcpauth.Config) { c.Issuers[0].URL = "" }},
	{"Issuers[0].URL: ", func(c *mcpauth.Config) { c.Issuers[0].URL = "http://login.example.com" }},
	{"Issuers[0].URL: ", func(c *mcpauth.Config) { c.Issuers[0].URL = "urn:example:issuer" }},
	{"Issuers[1].URL: ", func(c *mcpauth.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]) }},
	{"Issuers[0].JWKSURI: ", func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = "http://login.example.com/jwks" }}, // JWKS-01
	{"Issuers[0].JWKSURI: ", func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = "/jwks" }},
	{"Issuers[0].JWKSURI: ", func(c *mcpauth.Config) { c.Issuers[0].JWKSURI = "file:///etc/passwd" }},
	{"Issuers[0].AuthorizationServer: ", func(c *mcpauth.Config) { c.Issuers[0].AuthorizationServer = "login" }},
	{"Issuers[0].AuthorizationServer: ", func(c *mcpauth.Config) {
		c.Issuers[0].URL, c.Issuers[0].JWKSURI = "urn:example:issuer", "https://login.example.com/jwks"
	}},
	{"Issuers[0].Audiences: ", func(c *mcpauth.Config) { c.Issuers[0].Audiences = []string{""} }},
	{"Issuers[0].SoleAudience: ", func(c *mcpauth.Config) {
		c.Issuers[0].SoleAudience, c.Issuers[0].DangerouslyAcceptAnyAudience = true, true
	}},
	{"Issuers[0].ClientIDs: ", func(c *mcpauth.Config) { c.Issuers[0].ClientIDs = []string{} }},
	{"Issuers[0].ClientIDs: ", func(c *mcpauth.Config) { c.Issuers[0].ClientIDs = []string{""} }},
	{"Issuers[0].Algorithms: ", func(c *mcpauth.Config) { c.Issuers[0].Algorithms = []string{} }},
	{"Issuers[0].Algorithms: ", func(c *mcpauth.Config) { c.Issuers[0].Algorithms = []string{"none"} }}, // TOK-04
	{"Issuers[0].Algorithms: ", func(c *mcpauth.Config) { c.Issuers[0].Algorithms = []string{"HS256"} }},
	{"Issuers[0].Algorithms: ", func(c *mcpauth.Config) { c.Issuers[0].Algorithms = []string{"rs256"} }},
	{"Issuers[0].TokenTypes: ", func(c *mcpauth.Config) { c.Issuers[0].TokenTypes = []string{} }},
	{"Issuers[0].TokenTypes: ", func(c *mcpauth.Config) { c.Issuers[0].TokenTypes = []string{"application/DPoP+jwt"} }}, // TOK-03
	{"Issuers[0].TokenTypes: ", func(c *mcpauth.Config) { c.Issuers[0].TokenTypes = []string{"logout+jwt"} }},
	{"Issuers[0].Leeway: ", func(c *mcpauth.Config) { c.Issuers[0].Leeway = 5*time.Minute + 1 }},
	{"Issuers[0].Grants: ", func(c *mcpauth.Config) { c.Issuers[0].Grants = scopes.Mapper{ScopeClaims: []string{"scope"}} }},
	{"BaseScopes: ", func(c *mcpauth.Config) { c.BaseScopes = []string{"a b"} }}, // CH-10
	{"BaseScopes: ", func(c *mcpauth.Config) { c.BaseScopes = []string{`a"b`} }},
	{"BaseScopes: ", func(c *mcpauth.Config) { c.BaseScopes = []string{`a\b`} }},
	{"BaseScopes: ", func(c *mcpauth.Config) { c.BaseScopes = []string{""} }},
	{"BaseScopes: ", func(c *mcpauth.Config) { c.BaseScopes = []string{"caf\u00e9"} }},
	{"BaseScopes: ", func(c *mcpauth.Config) { c.BaseScopes = []string{"offline_access"} }}, // PRM-06
	{"Listing: ", func(c *mcpauth.Config) { c.Listing = 3 }},
	{"StepUp: ", func(c *mcpauth.Config) { c.StepUp = 3 }},
	{"MaxBodyBytes: ", func(c *mcpauth.Config) { c.MaxBodyBytes = -1 }},
	{"MaxBodyBytes: ", func(c *mcpauth.Config) { c.MaxBodyBytes = 1 << 40 }},
	{"Realm: ", func(c *mcpauth.Config) { c.Realm = `say "hi"` }},
	{"Realm: ", func(c *mcpauth.Config) { c.Realm = "a\r\nb" }},
	{"Origins: ", func(c *mcpauth.Config) { c.Origins = []string{"https://app.example.com/"} }},
	{"Origins: ", func(c *mcpauth.Config) { c.Origins = []string{"*", "https://app.example.com"} }},
	{"Origins: ", func(c *mcpauth.Config) { c.Origins = []string{"https://*.example.com"} }},
	{"Metadata.Resource: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{Resource: "https://other.example"} }},
	{"Metadata.AuthorizationServers: ", func(c *mcpauth.Config) {
		c.Metadata = &prm.Metadata{AuthorizationServers: []string{"https://other.example"}}
	}},
	{"Metadata.BearerMethodsSupported: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{BearerMethodsSupported: []string{"query"}} }},
	{"Metadata.DPoPSigningAlgValuesSupported: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{DPoPSigningAlgValuesSupported: []string{"ES256"}} }},
	{"Metadata.DPoPBoundAccessTokensRequired: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{DPoPBoundAccessTokensRequired: new(bool)} }},
	{"Metadata.TLSClientCertificateBoundAccessTokens: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{TLSClientCertificateBoundAccessTokens: true} }}, // PRM-12
	{"MetadataSigning: prm: Signing.Key is nil", func(c *mcpauth.Config) { c.MetadataSigning = &prm.Signing{} }},                                              // PRM-14
	{"MetadataSigning: ", func(c *mcpauth.Config) {
		c.Issuers, c.StdioOnly, c.MetadataSigning = nil, true, &prm.Signing{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	}},
	{"Metadata: prm: Resources[0]: extra member ", func(c *mcpauth.Config) {
		c.Metadata = &prm.Metadata{Extra: map[string]any{"exp": 1}}
		c.MetadataSigning = &prm.Signing{Key: ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))}
	}},
	{"Metadata: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{ScopesSupported: []string{"offline_access"}} }},
	{"Metadata: ", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{ResourceDocumentation: "docs"} }},
}

func TestNew_EachMistakeNamesItsField(t *testing.T) {
	_, err := mcpauth.New(goodConfig())
	require.NoError(t, err)
	for _, test := range brokenConfigs {
		cfg := goodConfig()
		test.spoil(&cfg)
		got := mistakesOf(t, cfg)
		require.Len(t, got, 1, "%q", got)
		require.True(t, strings.HasPrefix(got[0], test.field), "%q should begin with %q", got[0], test.field)
		require.Greater(t, len(got[0]), len(test.field)+15, "it says what to write instead")
		require.NotContains(t, got[0], "hunter2")
	}
}

// The URL inside of a container network is what people write first; it is neither safe nor what stands in iss.
func TestNew_IssuerInAContainer(t *testing.T) {
	cfg := goodConfig()
	cfg.Issuers[0].URL = "http://keycloak:8080/realms/acme"
	got := mistakesOf(t, cfg)
	require.Len(t, got, 1)
	require.Contains(t, got[0], "Config.HTTPClient")
}

// All mistakes come at once: nobody should have to run a program once for each.
func TestNew_AllMistakesAtOnce(t *testing.T) {
	cfg := goodConfig()
	cfg.Resource = "ftp://x"
	cfg.BaseScopes, cfg.Listing, cfg.StepUp, cfg.MaxBodyBytes, cfg.Realm = []string{"a b"}, 9, 9, -1, `"`
	cfg.Origins = []string{"nonsense"}
	cfg.Metadata = &prm.Metadata{BearerMethodsSupported: []string{"query"}, ResourceDocumentation: "docs"}
	cfg.Issuers = []mcpauth.Issuer{{}, {
		URL: "http://login.example.com", AuthorizationServer: "x", JWKSURI: "x", Audiences: []string{""}, ClientIDs: []string{},
		Algorithms: []string{"none"}, TokenTypes: []string{"dpop+jwt"}, Leeway: time.Hour, Grants: scopes.Mapper{RoleClaims: []string{"roles"}},
		SoleAudience: true, DangerouslyAcceptAnyAudience: true,
	}}
	all := strings.Join(mistakesOf(t, cfg), "\n") + "\n"
	for _, field := range []string{
		"Resource", "BaseScopes", "Listing", "StepUp", "MaxBodyBytes", "Realm", "Origins", "Metadata.BearerMethodsSupported", "Metadata",
		"Issuers[0].URL", "Issuers[1].AuthorizationServer", "Issuers[1].JWKSURI", "Issuers[1].Audiences", "Issuers[1].ClientIDs",
		"Issuers[1].Algorithms", "Issuers[1].TokenTypes", "Issuers[1].Leeway", "Issuers[1].Grants", "Issuers[1].SoleAudience",
	} {
		require.Contains(t, "\n"+all, "\n"+field+": ")
	}
	for range 5 {
		require.Equal(t, all, strings.Join(mistakesOf(t, cfg), "\n")+"\n", "always in the same order")
	}
}

type noTransport struct{ t testing.TB }

func (n noTransport) RoundTrip(*http.Request) (*http.Response, error) {
	n.t.Error("New or a request without a token fetched something")
	return nil, errors.New("no transport")
}

// DISC-04: New and everything that registers do no I/O and start nothing.
func TestNew_DoesNoIOAndStartsNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	cfg := goodConfig()
	cfg.HTTPClient = &http.Client{Transport: noTransport{t}}
	cfg.OnDecision = nil
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	server := newServer(auth)
	mux := http.NewServeMux()
	auth.Mount(mux, sdkHandler(server, true))
	require.Equal(t, http.StatusUnauthorized, serve(mux, post(call("whoami"), "")).Code)
	require.Equal(t, http.StatusUnauthorized, serve(mux, post(call("whoami"), "opaque")).Code)
	require.Equal(t, http.StatusOK, serve(mux, httptest.NewRequest("GET", testPRM, nil)).Code)
	require.LessOrEqual(t, runtime.NumGoroutine(), before)
}

// What the caller does to its Config afterwards changes nothing.
func TestNew_CopiesItsConfig(t *testing.T) {
	is := newIssuer(t)
	clock := newClock()
	cfg := mcpauth.Config{
		Resource: testResource, Now: clock.Now, BaseScopes: []string{"mcp:read"}, Origins: []string{"https://app.example.com"},
		Metadata: &prm.Metadata{ResourceName: "Files", ScopesSupported: []string{"files:read"}},
		Issuers: []mcpauth.Issuer{{
			URL: is.URL, Audiences: []string{"other"}, ClientIDs: []string{"app"}, Algorithms: []string{"ES256"}, TokenTypes: []string{"at+jwt"},
			Grants: scopes.Mapper{RoleClaims: []string{"/roles"}, RoleScopes: map[string][]string{"admin": {"mcp:read"}}},
		}},
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	auth.RequireTool("whoami", scopes.All("mcp:read"))
	h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	doc := document(t, auth.Metadata(), testPRM)

	in := &cfg.Issuers[0]
	cfg.BaseScopes[0], cfg.Origins[0], cfg.Metadata.ResourceName, cfg.Metadata.ScopesSupported[0] = "x", "https://evil.example", "x", "x"
	in.Audiences[0], in.ClientIDs[0], in.Algorithms[0], in.TokenTypes[0] = "evil", "evil", "RS256", "jwt"
	in.Grants.RoleClaims[0] = "/x"
	in.Grants.RoleScopes["evil"] = []string{"mcp:read"}
	in.Grants.RoleScopes["admin"][0] = "x"
	in.URL = "https://evil.example"

	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t, claims{"aud": "other", "roles": []string{"admin"}}))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), is.token(t, claims{"aud": "evil", "scope": "mcp:read"}))).Code)
	require.Equal(t, http.StatusForbidden, serve(h, post(call("whoami"), is.token(t, claims{"roles": []string{"evil"}}))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), is.token(t, claims{"client_id": "evil"}))).Code)
	require.Equal(t, `Bearer resource_metadata="`+testPRM+`", scope="mcp:read"`, serve(h, post(call("whoami"), "")).Header().Get("Www-Authenticate"))
	require.Equal(t, http.StatusForbidden, serve(h, with(post(call("whoami"), ""), "Origin", "https://evil.example")).Code)
	require.Equal(t, doc, document(t, auth.Metadata(), testPRM))
}
