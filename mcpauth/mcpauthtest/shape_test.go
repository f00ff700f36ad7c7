package mcpauthtest_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// A door is a server that lets every token in that is good, and says whose it is.
type door struct {
	handler http.Handler
	caller  *mcpauth.Principal
	reason  mcpauth.Reason // of the last decision
}

func newDoor(t testing.TB, is *mcpauthtest.Issuer, change func(*mcpauth.Config)) *door {
	t.Helper()
	d := new(door)
	cfg := mcpauth.Config{
		Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}, Unlisted: scopes.Authenticated(), Now: is.Now,
		OnDecision: func(_ context.Context, got mcpauth.Decision) { d.reason = got.Reason },
	}
	if change != nil {
		change(&cfg)
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	d.handler = auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.caller, _ = mcpauth.FromContext(r.Context())
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	}))
	return d
}

// knock calls with a token and returns the status.
func (d *door) knock(t testing.TB, is *mcpauthtest.Issuer, token string) int {
	t.Helper()
	d.caller, d.reason = nil, ""
	_, resp := mcpauthtest.NewClient(t, d.handler, is.Resource, token).CallTool("x", nil)
	return resp.StatusCode
}

// part decodes the header (0) or the claims (1) of a JWT.
func part(t testing.TB, token string, i int) (out map[string]any) {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &out))
	return out
}

// A stand-in makes tokens that every preset takes for those of its provider: with the scopes and roles asked
// for, the typ that the provider writes, and for this server only.
func TestNewIssuerLike_EveryPreset(t *testing.T) {
	seen := 0
	for _, p := range idp.Presets() {
		for _, like := range p.Issuers {
			seen++
			t.Run(p.Provider+" "+like.URL, func(t *testing.T) {
				t.Parallel()
				is := mcpauthtest.NewIssuerLike(t, resource, like)
				require.Equal(t, like.URL, is.URL)
				in := is.Config()
				in.JWKSURI = like.JWKSURI
				require.Equal(t, like, in, "nothing but the keys differs")

				d := newDoor(t, is, nil)
				c := mcpauthtest.Claims{Subject: "ada", Scope: "files:read files:write"}
				g := like.Grants
				if len(g.RoleClaims)+len(g.RoleKeys)+len(g.SelectedRoles) > 0 {
					c.Roles = []string{"admin", "Éditeur en chef"}
				}
				token := is.Token(c)
				require.Equal(t, http.StatusOK, d.knock(t, is, token), d.reason)
				require.Equal(t, "ada", d.caller.Subject())
				require.Equal(t, like.URL, d.caller.Issuer())
				require.ElementsMatch(t, []string{"files:read", "files:write"}, d.caller.Grant().Scopes())
				require.ElementsMatch(t, c.Roles, d.caller.Grant().Roles())
				require.False(t, d.caller.Application())
				header := part(t, token, 0)
				require.Equal(t, "RS256", header["alg"])
				types := like.TokenTypes
				if types == nil {
					types = []string{"at+jwt"}
				}
				typ, _ := header["typ"].(string)
				require.Equal(t, types[len(types)-1], typ)

				other := c
				other.Audience = []string{"https://other.example.com/mcp"}
				require.Equal(t, http.StatusUnauthorized, d.knock(t, is, is.Token(other)))
				require.Equal(t, mcpauth.ReasonAudience, d.reason)

				another := mcpauthtest.NewIssuerLike(t, resource, withAlgorithm(like, "ES256"))
				require.Equal(t, http.StatusUnauthorized, d.knock(t, is, another.Token(c)), "the keys are not shared")

				c = mcpauthtest.Claims{Scope: c.Scope, Roles: c.Roles}
				require.Equal(t, http.StatusOK, d.knock(t, is, is.Token(c)), d.reason)
				require.True(t, d.caller.Application())
				require.ElementsMatch(t, c.Roles, d.caller.Grant().Roles())

				caller := is.Caller("", c).Principal
				require.Equal(t, d.caller.ID(), caller.ID(), "Caller is whom a token makes")
				require.Equal(t, d.caller.Grant(), caller.Grant())
			})
		}
	}
	require.Equal(t, 28, seen, "Entra ID and Scalekit have two")
}

func withAlgorithm(in mcpauth.Issuer, alg string) mcpauth.Issuer {
	in.Algorithms = []string{alg}
	return in
}

// The claim names and places of some providers, written out.
func TestNewIssuerLike_Places(t *testing.T) {
	t.Parallel()
	const api = "11111111-2222-3333-4444-555555555555"
	c := mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Roles: []string{"admin"}}
	app := mcpauthtest.Claims{Scope: "files:read"}
	at := func(claims map[string]any, path ...string) any {
		var v any = claims
		for _, name := range path {
			v = v.(map[string]any)[name]
		}
		return v
	}
	for name, tt := range map[string]struct {
		like mcpauth.Issuer
		c    mcpauthtest.Claims
		path []string
		want any
	}{
		"Auth0: permissions":           {idp.Auth0("acme.eu.auth0.com"), c, []string{"permissions"}, []any{"admin"}},
		"Auth0: the slash of iss":      {idp.Auth0("acme.eu.auth0.com"), c, []string{"iss"}, "https://acme.eu.auth0.com/"},
		"Auth0: applications":          {idp.Auth0("acme.eu.auth0.com"), app, []string{"gty"}, "client-credentials"},
		"Keycloak: roles of the realm": {idp.Keycloak("https://k.example.com/realms/a", "c"), c, []string{"realm_access", "roles"}, []any{"admin"}},
		"Entra: aud":                   {idp.Entra("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", api), c, []string{"aud"}, api},
		"Entra: applications":          {idp.Entra("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", api), app, []string{"idtyp"}, "app"},
		"Okta: groups":                 {idp.Okta("a.okta.com", "default", "api://default"), c, []string{"groups"}, []any{"admin"}},
		"Cognito: groups":              {idp.Cognito("eu-central-1", "p"), c, []string{"cognito:groups"}, []any{"admin"}},
		"Cognito: the client":          {idp.CognitoClients("eu-central-1", "p", "one", "two"), c, []string{"client_id"}, "one"},
		"Cognito: no aud":              {idp.CognitoClients("eu-central-1", "p", "one", "two"), c, []string{"aud"}, nil},
		"ZITADEL: names of members":    {idp.ZITADEL("z.zitadel.cloud", "1"), c, []string{"urn:zitadel:iam:org:project:roles", "admin", "1"}, "test"},
		"a claim with slashes": {mcpauth.Issuer{URL: "https://x.example", Grants: scopes.Mapper{
			RoleClaims: []string{scopes.Pointer("https://acme.example/ro~les")}}}, c, []string{"https://acme.example/ro~les"}, []any{"admin"}},
		"roles of a tenant": {mcpauth.Issuer{URL: "https://x.example", Grants: scopes.Mapper{
			SelectedRoles: []scopes.Selection{{Claim: "/tenants", By: "/dct", Path: "/roles"}}}}, c, []string{"tenants", "test-tenant", "roles"}, []any{"admin"}},
		"a prefix of scopes": {mcpauth.Issuer{URL: "https://x.example", Grants: scopes.Mapper{
			TokenPrefix: "api/", ScopeClaims: []string{"/scopes"}, RoleClaims: []string{"/r"}}}, c, []string{"scopes"}, "api/files:read"},
		"a prefix of roles": {mcpauth.Issuer{URL: "https://x.example", Grants: scopes.Mapper{
			RolePrefix: "ad", RoleClaims: []string{"/r"}}}, c, []string{"r"}, []any{"min"}},
	} {
		t.Run(name, func(t *testing.T) {
			is := mcpauthtest.NewIssuerLike(t, resource, withAlgorithm(tt.like, "ES256"))
			token := is.Token(tt.c)
			require.Equal(t, tt.want, at(part(t, token, 1), tt.path...))
			d := newDoor(t, is, nil)
			require.Equal(t, http.StatusOK, d.knock(t, is, token), d.reason)
			require.Equal(t, []string{"files:read"}, d.caller.Grant().Scopes())
			require.ElementsMatch(t, tt.c.Roles, d.caller.Grant().Roles())
		})
	}
}

// What no token of an issuer could say is a mistake of the test, and not a token without it.
func TestNewIssuerLike_NoPlace(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		grants scopes.Mapper
		c      mcpauthtest.Claims
		says   string
	}{
		"no roles":               {scopes.Mapper{}, mcpauthtest.Claims{Roles: []string{"admin"}}, "a token of https://x.example: the issuer's Grants says of no claim that it holds roles; set RoleClaims"},
		"no scopes":              {scopes.Mapper{ScopeClaims: []string{}}, mcpauthtest.Claims{Scope: "a"}, "ScopeClaims reads no claim"},
		"a role of others":       {scopes.Mapper{RoleClaims: []string{"/r"}, RolePrefix: "acme/"}, mcpauthtest.Claims{Roles: []string{"admin"}}, `the role "admin" does not begin with the issuer's Grants.RolePrefix "acme/"`},
		"a role without a name":  {scopes.Mapper{RoleClaims: []string{"/r"}, RolePrefix: "acme/"}, mcpauthtest.Claims{Roles: []string{"acme/"}}, "RolePrefix"},
		"no scope":               {scopes.Mapper{}, mcpauthtest.Claims{Scope: `a"b`}, `"a\"b"`},
		"a claim in a string":    {scopes.Mapper{RoleClaims: []string{"/sub/x"}}, mcpauthtest.Claims{Roles: []string{"admin"}}, `"/sub/x" leads into a claim that is no object`},
		"a pointer to all of it": {scopes.Mapper{RoleClaims: []string{""}}, mcpauthtest.Claims{Roles: []string{"admin"}}, `"" leads to no claim`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, mint := range []func(*mcpauthtest.Issuer){
				func(is *mcpauthtest.Issuer) { is.Token(tt.c) }, func(is *mcpauthtest.Issuer) { is.OpaqueToken(tt.c) },
			} {
				says := watched(t, func(f testing.TB) {
					mint(mcpauthtest.NewIssuerLike(f, resource, mcpauth.Issuer{URL: "https://x.example", Algorithms: []string{"ES256"}, Grants: tt.grants}))
				})
				require.Contains(t, says, tt.says)
			}
		})
	}
	says := watched(t, func(f testing.TB) {
		mcpauthtest.NewIssuerLike(f, resource, mcpauth.Issuer{Introspection: &mcpauth.Introspection{Signed: true}})
	})
	require.Contains(t, says, "Introspection.Signed is set")
	says = watched(t, func(f testing.TB) {
		mcpauthtest.NewIssuerLike(f, resource, mcpauth.Issuer{Algorithms: []string{"HS256"}})
	})
	require.Contains(t, says, `the issuer's key: mcpauthtest: no algorithm "HS256"`)
}

// A user without scopes has none, and is neither an application (Entra ID) nor somebody of whose scopes nothing is
// known, for whom defaults stand.
func TestNewIssuerLike_NoScopes(t *testing.T) {
	t.Parallel()
	like := withAlgorithm(idp.Entra("aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "11111111-2222-3333-4444-555555555555"), "ES256")
	like.Grants.DangerouslyDefaultScopes = []string{"files:read"}
	is := mcpauthtest.NewIssuerLike(t, resource, like)
	d := newDoor(t, is, nil)
	require.Equal(t, http.StatusOK, d.knock(t, is, is.Token(mcpauthtest.Claims{Subject: "ada", Roles: []string{"admin"}})), d.reason)
	require.False(t, d.caller.Application())
	require.Empty(t, d.caller.Grant().Scopes())
}

// Every algorithm that an issuer may be restricted to is one that the stand-in can sign with.
func TestNewIssuerLike_Algorithms(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "ES384", "ES512", "PS256", "RS512", "EdDSA"} {
		is := mcpauthtest.NewIssuerLike(t, resource, mcpauth.Issuer{URL: "https://x.example", Algorithms: []string{alg}})
		d := newDoor(t, is, nil)
		require.Equal(t, http.StatusOK, d.knock(t, is, is.Token(mcpauthtest.Claims{Subject: "ada"})), alg)
		require.Equal(t, alg, part(t, is.Token(mcpauthtest.Claims{}), 0)["alg"])
	}
}

// The secret with which a server introspects in production is not sent to anybody, nor asked for.
func TestNewIssuerLike_Introspection(t *testing.T) {
	t.Parallel()
	like := withAlgorithm(mcpauth.Issuer{URL: "https://x.example", Introspection: &mcpauth.Introspection{
		Endpoint: "https://x.example/introspect", ClientID: "real", ClientSecret: "SECRET", TokenPrefix: "x_", MaxAge: -1,
	}}, "ES256")
	is := mcpauthtest.NewIssuerLike(t, resource, like)
	in := is.Config().Introspection
	u, err := url.Parse(in.Endpoint)
	require.NoError(t, err)
	require.Equal(t, "127.0.0.1", u.Hostname())
	require.NotEqual(t, mcpauth.Secret("SECRET"), in.ClientSecret)
	require.NotEqual(t, "real", in.ClientID)
	require.Equal(t, like.Introspection.MaxAge, in.MaxAge)
	token := is.OpaqueToken(mcpauthtest.Claims{Subject: "ada", Scope: "files:read"})
	require.True(t, strings.HasPrefix(token, "x_"))
	d := newDoor(t, is, nil)
	require.Equal(t, http.StatusOK, d.knock(t, is, token), d.reason)
	require.True(t, slices.Equal([]string{"files:read"}, d.caller.Grant().Scopes()))
}
