package idp_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
)

func onlyClients(in mcpauth.Issuer, ids ...string) mcpauth.Issuer {
	in.ClientIDs = ids
	return in
}

// The pages under docs/providers say what goes wrong with each provider and which reason stands in the log then. These are the tokens
// that somebody sends who has not done what the page says.
func TestTrapsOfTheProviderPages(t *testing.T) {
	const (
		tenant = entraTenant
		api    = entraAPI
		graph  = "00000003-0000-0000-c000-000000000000"
	)
	part := base64.RawURLEncoding.EncodeToString
	jwe := strings.Join([]string{part([]byte(`{"alg":"dir","enc":"A256GCM","iss":"https://acme.eu.auth0.com/"}`)), "", part([]byte("iv")), part([]byte("text")), part([]byte("tag"))}, ".")
	hmac := strings.Join([]string{part([]byte(`{"alg":"HS256","typ":"JWT","kid":"legacy"}`)),
		part([]byte(`{"iss":"https://abcdefghijkl.supabase.co/auth/v1","aud":"authenticated","sub":"ada","client_id":"c","exp":1767229200}`)), part([]byte("mac"))}, ".")
	opaque := func(text string) token {
		return token{Header: map[string]any{"alg": "RS256"}, Claims: map[string]any{"opaque": text}}
	}
	cognito := one(idp.Cognito("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789"))
	keycloak := one(idp.Keycloak("https://keycloak.example.com/realms/acme", "mcp-server"))
	entra := one(idp.Entra(tenant, api))
	auth0 := one(idp.Auth0("acme.eu.auth0.com"))
	noSlash := auth0[0]
	noSlash.URL = strings.TrimSuffix(noSlash.URL, "/")
	for _, tt := range []struct {
		what    string
		issuers []mcpauth.Issuer
		token   token
		want    mcpauth.Reason
	}{
		{"Auth0: no API was named, encrypted", auth0, opaque(jwe), mcpauth.ReasonTokenEncrypted},
		{"Auth0: no API was named, opaque", auth0, opaque("z1gt3xF2a8kq"), mcpauth.ReasonTokenOpaque},
		{"Auth0: userinfo alone", auth0, sample(t, "auth0").with(map[string]any{"aud": "https://acme.eu.auth0.com/userinfo"}), mcpauth.ReasonAudience},
		{"Auth0: an issuer without the slash", one(noSlash), sample(t, "auth0"), mcpauth.ReasonUnknownIssuer},
		{"Entra ID: v1.0 tokens", entra, sample(t, "entra-v2").with(map[string]any{"iss": "https://sts.windows.net/" + tenant + "/", "ver": "1.0"}), mcpauth.ReasonUnknownIssuer},
		{"Entra ID: another tenant", entra, sample(t, "entra-v2").with(map[string]any{"iss": "https://login.microsoftonline.com/ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee/v2.0"}), mcpauth.ReasonUnknownIssuer},
		{"Entra ID: Microsoft Graph", entra, sample(t, "entra-v2").with(map[string]any{"iss": "https://sts.windows.net/" + tenant + "/", "aud": graph}), mcpauth.ReasonUnknownIssuer},
		{"Entra ID: Microsoft Graph, for those who take v1.0", one(idp.EntraV1(tenant, api)), sample(t, "entra-v2").with(map[string]any{"iss": "https://sts.windows.net/" + tenant + "/", "aud": graph}), mcpauth.ReasonAudience},
		{"Entra ID: another API", entra, sample(t, "entra-v2").with(map[string]any{"aud": graph}), mcpauth.ReasonAudience},
		{"Okta: another audience", one(idp.Okta("dev-123456.okta.com", "default", "https://mcp.example.com/mcp")), sample(t, "okta"), mcpauth.ReasonAudience},
		{"Okta: the organization", one(idp.OktaOrg("dev-123456.okta.com")), sample(t, "okta").with(map[string]any{"iss": "https://dev-123456.okta.com", "aud": "https://dev-123456.okta.com"}), mcpauth.ReasonAudience},
		{"Keycloak: no mapper", keycloak, sample(t, "keycloak").with(map[string]any{"aud": "account"}), mcpauth.ReasonAudience},
		{"Keycloak: no audience", keycloak, sample(t, "keycloak").with(map[string]any{"aud": nil}), mcpauth.ReasonNoAudience},
		{"Keycloak: another host", keycloak, sample(t, "keycloak").with(map[string]any{"iss": "http://keycloak:8080/realms/acme"}), mcpauth.ReasonUnknownIssuer},
		{"Cognito: no resource", cognito, sample(t, "cognito"), mcpauth.ReasonNoAudience},
		{"Cognito: ID token", cognito, sample(t, "cognito").with(map[string]any{"token_use": "id", "aud": "1example23456789", "client_id": nil, "scope": nil}), mcpauth.ReasonIDToken},
		{"Cognito: ID token, without a resource", one(idp.CognitoClients("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")), sample(t, "cognito").with(map[string]any{"token_use": "id", "aud": "1example23456789", "client_id": nil, "scope": nil}), mcpauth.ReasonIDToken},
		{"Cognito: another app client", cognito, sample(t, "cognito-resource").with(map[string]any{"client_id": "another"}), mcpauth.ReasonClient},
		{"Asgardeo: opaque", one(idp.Asgardeo("acme")), opaque("c1c4b9d2-8a7e-3f43-9a5d-1a3c6d4e1f20"), mcpauth.ReasonTokenOpaque},
		{"Asgardeo: the client as audience", one(idp.Asgardeo("acme")), sample(t, "asgardeo").with(map[string]any{"aud": "exampleClient"}), mcpauth.ReasonAudience},
		{"AuthPlane: no resource", one(idp.AuthPlane("https://auth.example.com")), sample(t, "authplane").with(map[string]any{"aud": []string{}}), mcpauth.ReasonNoAudience},
		{"Hydra: opaque", one(idp.Hydra("https://hydra.example.com/")), opaque("ory_at_8Hh2kq"), mcpauth.ReasonTokenOpaque},
		{"Hydra: no audience", one(idp.Hydra("https://hydra.example.com/")), sample(t, "ory-hydra").with(map[string]any{"aud": []string{}}), mcpauth.ReasonNoAudience},
		{"Hydra: an issuer without the slash", one(idp.Hydra("https://hydra.example.com")), sample(t, "ory-hydra"), mcpauth.ReasonUnknownIssuer},
		{"ZITADEL: opaque", one(idp.ZITADEL("acme-abc123.zitadel.cloud", "69234237810729019")), opaque("V2_69234237813329048-at_69234237813329049"), mcpauth.ReasonTokenOpaque},
		{"ZITADEL: another project", one(idp.ZITADEL("acme-abc123.zitadel.cloud", "69234237810729019")), sample(t, "zitadel").with(map[string]any{"aud": []string{"69234237810729234"}}), mcpauth.ReasonAudience},
		{"Clerk: no MCP server was added", one(idp.Clerk("clerk.example.com")), sample(t, "clerk"), mcpauth.ReasonNoAudience},
		{"Clerk: a session token", one(idp.Clerk("clerk.example.com")), sample(t, "clerk").with(map[string]any{"aud": resource}).typed("JWT"), mcpauth.ReasonType},
		{"Clerk: opaque", one(idp.Clerk("clerk.example.com")), opaque("oat_exampleToken000000"), mcpauth.ReasonTokenOpaque},
		{"WorkOS: typ", one(idp.WorkOS("acme.authkit.app")), sample(t, "workos"), mcpauth.ReasonType},
		{"WorkOS: a resource that is not listed", one(idp.WorkOS("acme.authkit.app")), sample(t, "workos").with(map[string]any{"aud": "client_01EXAMPLE"}).typed("at+jwt"), mcpauth.ReasonAudience},
		{"Logto: opaque", one(idp.Logto("acme.logto.app")), opaque("hE1nW8zq0J"), mcpauth.ReasonTokenOpaque},
		{"Logto: an organization", one(idp.Logto("acme.logto.app")), sample(t, "logto").with(map[string]any{"aud": "urn:logto:organization:o1"}), mcpauth.ReasonAudience},
		{"PingOne: the name of the resource", one(idp.PingOne("auth.pingone.eu", "eeeeeeee-1111-4000-8000-000000000001")), sample(t, "pingone").with(map[string]any{"aud": []string{"MCP server"}}), mcpauth.ReasonAudience},
		{"PingOne: the API of PingOne", one(idp.PingOne("auth.pingone.eu", "eeeeeeee-1111-4000-8000-000000000001")), sample(t, "pingone").with(map[string]any{"aud": []string{"https://api.pingone.eu"}}), mcpauth.ReasonAudience},
		{"PingFederate: typ", one(idp.PingFederate("https://sso.example.com")), sample(t, "pingone").with(map[string]any{"iss": "https://sso.example.com", "aud": resource}).typed(""), mcpauth.ReasonType},
		{"PingFederate: no audience", one(idp.PingFederate("https://sso.example.com")), sample(t, "pingone").with(map[string]any{"iss": "https://sso.example.com", "aud": nil}).typed("at+jwt"), mcpauth.ReasonNoAudience},
		{"Stytch: typ", one(idp.Stytch("auth.example.com", "project-test-00000000-0000-4000-8000-000000000001")), sample(t, "stytch"), mcpauth.ReasonType},
		{"Stytch: the older issuer", one(idp.Stytch("auth.example.com", "project-test-00000000-0000-4000-8000-000000000001")), sample(t, "stytch").with(map[string]any{"iss": "stytch.com/project-test-00000000-0000-4000-8000-000000000001"}), mcpauth.ReasonUnknownIssuer},
		{"Supabase: a session of its own pages", one(idp.Supabase("abcdefghijkl")), sample(t, "supabase").with(map[string]any{"client_id": nil}), mcpauth.ReasonIDToken},
		{"Supabase: the legacy secret", one(idp.Supabase("abcdefghijkl")), opaque(hmac), mcpauth.ReasonAlgorithm},
		{"Supabase: another client", one(onlyClients(idp.Supabase("abcdefghijkl"), "desk")), sample(t, "supabase"), mcpauth.ReasonClient},
		{"Descope: typ", one(idp.Descope("P2exampleproject")), sample(t, "workos").with(map[string]any{"iss": "https://api.descope.com/v1/apps/P2exampleproject", "aud": "P2exampleproject"}), mcpauth.ReasonType},
		{"Descope: the issuer of a registered server", one(idp.Descope("P2exampleproject")), sample(t, "workos").with(map[string]any{"iss": "https://api.descope.com/v1/apps/agentic/P2exampleproject/MS2exampleserver"}), mcpauth.ReasonUnknownIssuer},
		{"Scalekit: typ", idp.Scalekit("acme.scalekit.com", "res_123456789"), sample(t, "workos").with(map[string]any{"iss": "https://acme.scalekit.com", "aud": "res_123456789"}), mcpauth.ReasonType},
		{"Thunder: typ", one(idp.Thunder("https://thunder.example.com:8090")), sample(t, "thunder").typed("JWT"), mcpauth.ReasonType},
		{"Thunder: no resource", one(idp.Thunder("https://thunder.example.com:8090")), sample(t, "thunder").with(map[string]any{"aud": "client"}), mcpauth.ReasonAudience},
		{"FusionAuth: access token as it comes", one(idp.FusionAuth("acme.com", "https://acme.fusionauth.io", fusionApp)), sample(t, "auth0").with(map[string]any{"iss": "acme.com", "aud": fusionApp, "azp": nil}), mcpauth.ReasonIDToken},
		{"FusionAuth: the issuer was changed", one(idp.FusionAuth("acme.com", "https://acme.fusionauth.io", fusionApp)), sample(t, "auth0").with(map[string]any{"iss": "https://acme.fusionauth.io"}), mcpauth.ReasonUnknownIssuer},
	} {
		t.Run(tt.what, func(t *testing.T) { refused(t, tt.issuers, tt.token, tt.want) })
	}
}

// RFC 7519, Section 4.1.3; threat 50: an audience is the same as a string and as an array of one. An ID token that the application
// of the API got for itself is one in both.
func TestTOK07_AnIDTokenWhoseAudienceIsAList(t *testing.T) {
	entra := one(idp.Entra(entraTenant, entraAPI))
	anyAudience := onlyClients(idp.Entra(entraTenant, entraAPI), entraAPI)
	anyAudience.DangerouslyAcceptAnyAudience = true
	id := sample(t, "entra-v2").with(map[string]any{"azp": entraAPI, "scp": nil})
	for _, issuers := range [][]mcpauth.Issuer{entra, one(anyAudience)} {
		for _, aud := range []any{entraAPI, []string{entraAPI}, []string{entraAPI, entraAPI}} {
			refused(t, issuers, id.with(map[string]any{"aud": aud}), mcpauth.ReasonIDToken)
		}
		accepted(t, issuers, id.with(map[string]any{"aud": []string{entraAPI}, "scp": "notes.read"}), nil)
	}
	accepted(t, entra, id.with(map[string]any{"aud": []string{entraAPI}, "azp": "99999999-8888-7777-6666-555555555555"}), nil)
}
