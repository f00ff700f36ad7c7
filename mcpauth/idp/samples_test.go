package idp_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	entraTenant = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	otherTenant = "99999999-bbbb-cccc-dddd-eeeeeeeeeeee"
	entraAPI    = "11111111-2222-3333-4444-555555555555"
)

func one(in mcpauth.Issuer) []mcpauth.Issuer { return []mcpauth.Issuer{in} }

// withTypes is what somebody does who has seen the typ of a provider for which we have no source.
func withTypes(in mcpauth.Issuer, types ...string) []mcpauth.Issuer {
	in.TokenTypes = types
	return one(in)
}

func withRoles(in mcpauth.Issuer, claims ...string) []mcpauth.Issuer {
	in.Grants.RoleClaims = claims
	return one(in)
}

// samples says which preset is for which sample, and what the log would have told to change, where there is anything.
var samples = []struct {
	name    string
	issuers []mcpauth.Issuer
	sibling string // another tenant, pool or server of the same provider
	pinned  bool   // to clients
	noAud   bool   // has none, and was accepted by way of a dangerous field
}{
	{name: "asgardeo", issuers: one(idp.Asgardeo("acme")), sibling: "https://api.asgardeo.io/t/evil/oauth2/token"},
	{name: "auth0", issuers: one(idp.Auth0("acme.eu.auth0.com")), sibling: "https://evil.eu.auth0.com/"},
	{name: "auth0-rfc9068", issuers: withRoles(idp.Auth0("acme.eu.auth0.com"), scopes.Pointer("https://acme.example/roles")), sibling: "https://acme.eu.auth0.com"},
	{name: "auth0-dpop", issuers: one(idp.Auth0("acme.eu.auth0.com")), sibling: "https://evil.eu.auth0.com/"},
	{name: "authplane", issuers: one(idp.AuthPlane("https://auth.example.com")), sibling: "https://auth.example.com/"},
	{name: "authplane-dpop", issuers: one(idp.AuthPlane("https://auth.example.com")), sibling: "https://evil.example.com"},
	{name: "clerk", issuers: noAudience(idp.Clerk("clerk.example.com"), "exampleClerkClient"), sibling: "https://clerk.evil.example", pinned: true},
	{name: "cognito", issuers: one(idp.CognitoClients("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")),
		sibling: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE02", pinned: true},
	{name: "cognito-resource", issuers: one(idp.Cognito("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")),
		sibling: "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_EXAMPLE02", pinned: true},
	{name: "entra-v2", issuers: one(idp.Entra(entraTenant, entraAPI)), sibling: "https://login.microsoftonline.com/" + otherTenant + "/v2.0"},
	{name: "entra-app", issuers: one(idp.Entra(entraTenant, entraAPI)), sibling: "https://login.microsoftonline.com/common/v2.0"},
	{name: "entra-groups-overage", issuers: one(idp.Entra(entraTenant, entraAPI)), sibling: "https://login.microsoftonline.com/{tenantid}/v2.0"},
	{name: "keycloak", issuers: one(idp.Keycloak("https://keycloak.example.com/realms/acme", "mcp-server")), sibling: "https://keycloak.example.com/realms/evil"},
	{name: "keycloak-dpop", issuers: one(idp.Keycloak("https://keycloak.example.com/realms/acme", "")), sibling: "https://keycloak.example.com/realms/master"},
	{name: "keycloak-noaud", issuers: anyAudience(idp.Keycloak("https://keycloak.example.com/realms/acme", "mcp-server"), "mcp-client"),
		sibling: "https://keycloak.example.com/realms/evil", pinned: true, noAud: true},
	{name: "logto", issuers: one(idp.Logto("acme.logto.app")), sibling: "https://evil.logto.app/oidc"},
	{name: "okta", issuers: one(idp.Okta("dev-123456.okta.com", "default", "api://default")), sibling: "https://dev-123456.okta.com/oauth2/aus2"},
	{name: "okta-dpop", issuers: one(idp.Okta("dev-123456.okta.com", "default", "api://default")), sibling: "https://dev-123456.okta.com"},
	{name: "ory-hydra", issuers: one(idp.Hydra("https://hydra.example.com/")), sibling: "https://hydra.example.com"},
	{name: "pingone", issuers: withRoles(idp.PingOne("auth.pingone.eu", "eeeeeeee-1111-4000-8000-000000000001"), "/memberOf"),
		sibling: "https://auth.pingone.eu/eeeeeeee-1111-4000-8000-000000000002/as"},
	{name: "stytch", issuers: withTypes(idp.Stytch("auth.example.com", "project-test-00000000-0000-4000-8000-000000000001"), "JWT"), sibling: "https://auth.evil.example"},
	{name: "supabase", issuers: one(idp.Supabase("abcdefghijkl")), sibling: "https://abcdefghijkm.supabase.co/auth/v1"},
	{name: "thunder", issuers: one(idp.Thunder("https://thunder.example.com:8090")), sibling: "https://thunder.example.com"},
	{name: "workos", issuers: withTypes(idp.WorkOS("acme.authkit.app"), "JWT"), sibling: "https://evil.authkit.app"},
	{name: "zitadel", issuers: one(idp.ZITADEL("acme-abc123.zitadel.cloud", "69234237810729019")), sibling: "https://acme-abc124.zitadel.cloud"},
}

func anyAudience(in mcpauth.Issuer, clients ...string) []mcpauth.Issuer {
	in.DangerouslyAcceptAnyAudience, in.ClientIDs = true, clients
	return one(in)
}

func noAudience(in mcpauth.Issuer, clients ...string) []mcpauth.Issuer {
	in.DangerouslyAcceptNoAudience, in.ClientIDs = true, clients
	return one(in)
}

func TestEverySample(t *testing.T) {
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	for _, tt := range samples {
		t.Run(tt.name, func(t *testing.T) {
			s := sample(t, tt.name)
			proof := (*mcpauthtest.DPoPKey)(nil)
			if s.Claims["cnf"] != nil {
				s = s.with(map[string]any{"cnf": map[string]any{"jkt": key.Thumbprint()}})
				refused(t, tt.issuers, s, mcpauth.ReasonDPoPDowngrade)
				proof = key
			}
			g := accepted(t, tt.issuers, s, proof)
			require.ElementsMatch(t, s.Scopes, g.Scopes())
			require.ElementsMatch(t, s.Scopes, g.Presented())
			require.ElementsMatch(t, s.Roles, g.Roles())

			// What follows is the same with a proof or without: the token is judged first.
			refused(t, tt.issuers, s.with(map[string]any{"iss": tt.sibling}), mcpauth.ReasonUnknownIssuer)
			refused(t, tt.issuers, s.with(map[string]any{"iss": s.Claims["iss"].(string) + "x"}), mcpauth.ReasonUnknownIssuer)
			if !tt.noAud {
				refused(t, tt.issuers, s.with(map[string]any{"aud": foreign}), mcpauth.ReasonAudience)
				refused(t, tt.issuers, s.with(map[string]any{"aud": []string{foreign, resource + "/x", "https://mcp.example.com"}}), mcpauth.ReasonAudience)
				if !tt.issuers[0].DangerouslyAcceptNoAudience {
					refused(t, tt.issuers, s.with(map[string]any{"aud": []string{}}), mcpauth.ReasonNoAudience)
					refused(t, tt.issuers, s.with(map[string]any{"aud": nil}), mcpauth.ReasonNoAudience)
				}
			}
			if tt.pinned {
				other := map[string]any{"client_id": "another", "azp": nil}
				refused(t, tt.issuers, s.with(other), mcpauth.ReasonClient)
			}
			if s.Header["typ"] != "at+jwt" {
				refused(t, tt.issuers, s.with(map[string]any{"nonce": "n-0S6"}), mcpauth.ReasonIDToken)
				refused(t, tt.issuers, s.with(map[string]any{"at_hash": "x"}), mcpauth.ReasonIDToken)
			}
			refused(t, tt.issuers, s.typed("logout+jwt"), mcpauth.ReasonType)
		})
	}
}

// A preset that accepts what its provider does not write has been loosened.
func TestOtherTypesAreRefused(t *testing.T) {
	for _, tt := range samples {
		for _, typ := range []string{"", "JWT", "jose", "access+jwt"} {
			want := tt.issuers[0].TokenTypes
			if typ == sampleType(t, tt.name) || slices.Contains(want, typ) {
				continue
			}
			refused(t, tt.issuers, sample(t, tt.name).typed(typ), mcpauth.ReasonType)
		}
	}
}

func sampleType(t *testing.T, name string) string {
	typ, _ := sample(t, name).Header["typ"].(string)
	return typ
}

// Out of the box, these are refused, and the reason says which setting on which side repairs it.
func TestSamplesThatNeedADecision(t *testing.T) {
	for _, tt := range []struct {
		name    string
		issuers []mcpauth.Issuer
		want    mcpauth.Reason
	}{
		{"cognito", one(idp.Cognito("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")), mcpauth.ReasonNoAudience},
		{"clerk", one(idp.Clerk("clerk.example.com")), mcpauth.ReasonNoAudience},
		{"keycloak-noaud", one(idp.Keycloak("https://keycloak.example.com/realms/acme", "mcp-server")), mcpauth.ReasonAudience},
		{"stytch", one(idp.Stytch("auth.example.com", "project-test-00000000-0000-4000-8000-000000000001")), mcpauth.ReasonType},
		{"workos", one(idp.WorkOS("acme.authkit.app")), mcpauth.ReasonType},
	} {
		t.Run(tt.name, func(t *testing.T) { refused(t, tt.issuers, sample(t, tt.name), tt.want) })
	}
	t.Run("google, whose tokens are opaque", func(t *testing.T) {
		for _, text := range []string{"ya29.a0AfB_byExampleOfAnOpaqueToken", "opaque", "gho_16C7e42F292c6912E7710c838347Ae178B4a"} {
			opaque := token{Header: map[string]any{"alg": "RS256"}, Claims: map[string]any{"opaque": text}}
			refused(t, one(idp.Auth0("acme.eu.auth0.com")), opaque, mcpauth.ReasonTokenOpaque)
		}
	})
}

func TestEveryFileIsASampleOfSomething(t *testing.T) {
	files, err := os.ReadDir("testdata")
	require.NoError(t, err)
	seen := 0
	for _, f := range files {
		name := strings.TrimSuffix(f.Name(), ".json")
		known := name == "google"
		for _, tt := range samples {
			known = known || tt.name == name
		}
		require.True(t, known, name)
		seen++
	}
	require.Equal(t, 26, seen)
}

func TestEveryPresetInOneServer(t *testing.T) {
	var all []mcpauth.Issuer
	seen := make(map[string]bool)
	for _, p := range idp.Presets() {
		for _, in := range p.Issuers {
			if !seen[in.URL] {
				seen[in.URL] = true
				all = append(all, in)
			}
		}
	}
	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: all})
	require.NoError(t, err, "every preset is a valid configuration, beside all others")
	require.NotNil(t, auth)

	for _, name := range []string{"auth0", "entra-v2", "keycloak", "okta", "ory-hydra", "zitadel", "logto", "supabase"} {
		s := sample(t, name)
		i := slices.IndexFunc(all, func(in mcpauth.Issuer) bool { return in.URL == s.Claims["iss"] })
		require.GreaterOrEqual(t, i, 0, name)
		g := accepted(t, all, s, nil)
		require.ElementsMatch(t, s.Scopes, g.Scopes())
		require.ElementsMatch(t, s.Roles, g.Roles())
	}
}
