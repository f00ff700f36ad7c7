package idp_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/scopes"
)

// made is a token of which there is no sample: times, a subject and a kid, and the given header and claims.
func made(t testing.TB, header, claims string) token {
	t.Helper()
	s := token{
		Header: map[string]any{"alg": "RS256", "kid": "k"},
		Claims: map[string]any{"sub": "ada", "iat": now.Unix(), "exp": now.Unix() + 600},
	}
	for text, into := range map[string]map[string]any{header: s.Header, claims: s.Claims} {
		var more map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &more), text)
		maps.Copy(into, more)
	}
	return s
}

const (
	zitadelProject = "69234237810729019"
	fusionApp      = "e9fdb985-9173-4e01-9d73-ac2d60d1dc8e"
)

// What else the providers are known to write.
func TestTokensWithoutASample(t *testing.T) {
	entra := one(idp.Entra(entraTenant, entraAPI))
	const entraBase = `"iss":"https://login.microsoftonline.com/` + entraTenant + `/v2.0","aud":"` + entraAPI + `","azp":"app"`
	const entraV1 = `"iss":"https://sts.windows.net/` + entraTenant + `/","appid":"app"`
	const jwt, at = `{"typ":"JWT"}`, `{"typ":"at+jwt"}`
	hydra := one(idp.Hydra("https://hydra.example.com/"))
	const hydraBase = `"iss":"https://hydra.example.com/","client_id":"app"`
	asgardeo := one(idp.Asgardeo("acme"))
	const asgardeoBase = `"iss":"https://api.asgardeo.io/t/acme/oauth2/token","client_id":"app","aud":"` + resource + `"`
	keycloak := one(idp.Keycloak("https://keycloak.example.com/realms/acme/", "team/mcp~1"))
	const keycloakBase = `"iss":"https://keycloak.example.com/realms/acme","azp":"app","aud":"` + resource + `"`
	descope := withTypes(idp.Descope("P2x"), "JWT")
	const descopeBase = `"iss":"https://api.descope.com/v1/apps/P2x","azp":"app","scope":"notes:read"`
	scalekit := idp.Scalekit("acme.scalekit.com", "res_1")
	zitadel := one(idp.ZITADEL("https://acme.zitadel.cloud/", zitadelProject))
	const zitadelBase = `"iss":"https://acme.zitadel.cloud","client_id":"app"`
	fusion := one(idp.FusionAuth("acme.com", "https://acme.fusionauth.io", fusionApp))
	const fusionBase = `"iss":"acme.com","applicationId":"` + fusionApp + `","tid":"t"`
	const fusionHeader = `{"typ":"JWT","gty":["authorization_code"]}`
	supabase := one(idp.Supabase("abc"))
	const supabaseBase = `"iss":"https://abc.supabase.co/auth/v1","aud":"authenticated","role":"authenticated"`

	tests := []struct {
		name           string
		issuers        []mcpauth.Issuer
		header, claims string
		scopes, roles  []string
		application    bool
		unknown        []string
		refused        mcpauth.Reason
	}{
		{name: "Entra ID: groups and directory roles", issuers: entra, header: jwt, claims: `{` + entraBase + `,"scp":"a","roles":["r"],"groups":["g-1"],"wids":["w-1"]}`,
			scopes: []string{"a"}, roles: []string{"r", "g-1", "w-1"}},
		{name: "Entra ID: too many groups, by hasgroups", issuers: entra, header: jwt, claims: `{` + entraBase + `,"scp":"a","roles":["r"],"hasgroups":true}`,
			scopes: []string{"a"}, roles: []string{"r"}, unknown: []string{"/groups"}},
		{name: "Entra ID: an application that says so", issuers: entra, header: jwt, claims: `{` + entraBase + `,"idtyp":"app"}`, application: true},
		{name: "Entra ID: an application by its roles", issuers: entra, header: jwt, claims: `{` + entraBase + `,"roles":["r"]}`, roles: []string{"r"}, application: true},
		{name: "Entra ID: the URI is no audience of v2.0", issuers: entra, header: jwt, claims: `{"iss":"https://login.microsoftonline.com/` + entraTenant + `/v2.0","azp":"app","aud":"api://` + entraAPI + `"}`,
			refused: mcpauth.ReasonAudience},
		{name: "Entra ID: a token for Graph", issuers: entra, header: jwt, claims: `{"iss":"https://login.microsoftonline.com/` + entraTenant + `/v2.0","azp":"app","scp":"User.Read","aud":"00000003-0000-0000-c000-000000000000"}`,
			refused: mcpauth.ReasonAudience},
		{name: "Entra ID: a v1.0 token", issuers: entra, header: `{"typ":"JWT","x5t":"k"}`, claims: `{` + entraV1 + `,"aud":"` + entraAPI + `"}`, refused: mcpauth.ReasonUnknownIssuer},
		{name: "Entra ID v1.0: the id", issuers: one(idp.EntraV1(entraTenant, entraAPI)), header: `{"typ":"JWT","x5t":"k"}`, claims: `{` + entraV1 + `,"scp":"a b","aud":"` + entraAPI + `"}`,
			scopes: []string{"a", "b"}},
		{name: "Entra ID v1.0: the URI", issuers: one(idp.EntraV1(entraTenant, entraAPI)), header: jwt, claims: `{` + entraV1 + `,"scp":"a","aud":"api://` + entraAPI + `"}`, scopes: []string{"a"}},
		{name: "Entra ID v1.0: without the slash", issuers: one(idp.EntraV1(entraTenant, entraAPI)), header: jwt, claims: `{"iss":"https://sts.windows.net/` + entraTenant + `","appid":"app","aud":"` + entraAPI + `"}`,
			refused: mcpauth.ReasonUnknownIssuer},

		{name: "Auth0: an application", issuers: one(idp.Auth0("acme.eu.auth0.com")), header: jwt,
			claims: `{"iss":"https://acme.eu.auth0.com/","sub":"x@clients","azp":"x","gty":"client-credentials","aud":"` + resource + `","scope":"a"}`, scopes: []string{"a"}, application: true},
		{name: "Auth0: a token for /userinfo only", issuers: one(idp.Auth0("acme.eu.auth0.com")), header: jwt,
			claims: `{"iss":"https://acme.eu.auth0.com/","azp":"x","aud":"https://acme.eu.auth0.com/userinfo"}`, refused: mcpauth.ReasonAudience},

		{name: "Okta: an application", issuers: one(idp.Okta("dev.okta.com", "aus1", resource)), header: `{}`,
			claims: `{"iss":"https://dev.okta.com/oauth2/aus1","sub":"0oa","cid":"0oa","scp":["a"],"aud":"` + resource + `"}`, scopes: []string{"a"}, application: true},
		{name: "Okta organization: its own audience", issuers: one(idp.OktaOrg("dev.okta.com")), header: `{}`,
			claims: `{"iss":"https://dev.okta.com","cid":"0oa","scp":["openid"],"aud":"https://dev.okta.com"}`, refused: mcpauth.ReasonAudience},
		{name: "Okta organization: ours", issuers: one(idp.OktaOrg("dev.okta.com")), header: `{}`,
			claims: `{"iss":"https://dev.okta.com","cid":"0oa","scp":["a"],"aud":"` + resource + `"}`, scopes: []string{"a"}},

		{name: "Keycloak: a client with a name like a path", issuers: keycloak, header: jwt,
			claims: `{` + keycloakBase + `,"resource_access":{"team/mcp~1":{"roles":["a"]},"team":{"mcp~1":{"roles":["x"]}},"account":{"roles":["y"]}}}`, roles: []string{"a"}},
		{name: "Keycloak: at+jwt", issuers: keycloak, header: at, claims: `{` + keycloakBase + `,"typ":"Bearer","scope":"a"}`, scopes: []string{"a"}},
		{name: "Keycloak: an ID token", issuers: keycloak, header: jwt, claims: `{` + keycloakBase + `,"typ":"ID"}`, refused: mcpauth.ReasonIDToken},
		{name: "Keycloak: a refresh token", issuers: keycloak, header: jwt, claims: `{` + keycloakBase + `,"typ":"Refresh"}`, refused: mcpauth.ReasonRefreshToken},
		{name: "Keycloak: no audience", issuers: keycloak, header: jwt, claims: `{"iss":"https://keycloak.example.com/realms/acme","azp":"app"}`, refused: mcpauth.ReasonNoAudience},

		{name: "Cognito: an ID token", issuers: anyAudience(idp.Cognito("eu-central-1", "eu-central-1_X"), "app"), header: `{}`,
			claims: `{"iss":"https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_X","aud":"app","token_use":"id","cognito:groups":["admin"]}`, refused: mcpauth.ReasonIDToken},
		{name: "Cognito: an application", issuers: one(idp.Cognito("eu-central-1", "eu-central-1_X", "app")), header: `{}`,
			claims: `{"iss":"https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_X","aud":"` + resource + `","token_use":"access","sub":"app","client_id":"app","scope":"api/a"}`,
			scopes: []string{"api/a"}, application: true},

		{name: "Asgardeo: scope as an array", issuers: asgardeo, header: at, claims: `{` + asgardeoBase + `,"scope":["a","b"],"groups":["g"]}`, scopes: []string{"a", "b"}, roles: []string{"g"}},
		{name: "Asgardeo: an application", issuers: asgardeo, header: at, claims: `{` + asgardeoBase + `,"aut":"APPLICATION"}`, application: true},
		{name: "Asgardeo: the audience is the client", issuers: asgardeo, header: at, claims: `{"iss":"https://api.asgardeo.io/t/acme/oauth2/token","client_id":"app","aud":"app"}`, refused: mcpauth.ReasonAudience},
		{name: "WSO2", issuers: one(idp.WSO2("https://is.example.com:9443/t/acme")), header: at,
			claims: `{"iss":"https://is.example.com:9443/t/acme/oauth2/token","client_id":"app","aud":["` + resource + `"],"scope":"a"}`, scopes: []string{"a"}},
		{name: "WSO2: the tenant beside", issuers: one(idp.WSO2("https://is.example.com:9443/t/acme")), header: at,
			claims: `{"iss":"https://is.example.com:9443/t/evil/oauth2/token","client_id":"app","aud":["` + resource + `"]}`, refused: mcpauth.ReasonUnknownIssuer},

		{name: "AuthPlane: an empty audience", issuers: one(idp.AuthPlane("https://auth.example.com")), header: at, claims: `{"iss":"https://auth.example.com","client_id":"a","aud":[]}`, refused: mcpauth.ReasonNoAudience},
		{name: "Hydra: scope as a string, roles in ext", issuers: hydra, header: jwt, claims: `{` + hydraBase + `,"aud":["` + resource + `"],"scope":"a b","ext":{"roles":["r"]}}`, scopes: []string{"a", "b"}, roles: []string{"r"}},
		{name: "Hydra: both forms", issuers: hydra, header: jwt, claims: `{` + hydraBase + `,"aud":["` + resource + `"],"scope":"a b","scp":["a","b"]}`, scopes: []string{"a", "b"}},
		{name: "Hydra: an empty audience", issuers: hydra, header: jwt, claims: `{` + hydraBase + `,"aud":[]}`, refused: mcpauth.ReasonNoAudience},

		{name: "ZITADEL: roles of another project", issuers: zitadel, header: jwt, claims: `{` + zitadelBase + `,"aud":["` + zitadelProject + `"],"urn:zitadel:iam:org:project:1:roles":{"admin":{"o":"d"}}}`},
		{name: "ZITADEL: roles granted by nobody", issuers: zitadel, header: jwt, claims: `{` + zitadelBase + `,"aud":"` + zitadelProject + `","urn:zitadel:iam:org:project:roles":{"admin":{},"viewer":{"o":"d"}}}`, roles: []string{"viewer"}},
		{name: "ZITADEL: another project", issuers: zitadel, header: jwt, claims: `{` + zitadelBase + `,"aud":["69234237810729020"]}`, refused: mcpauth.ReasonAudience},

		{name: "Descope: roles in the tenant of the token", issuers: descope, header: jwt,
			claims: `{` + descopeBase + `,"aud":"P2x","dct":"t2","roles":["base"],"permissions":["p"],"tenants":{"t1":{"roles":["admin"]},"t2":{"roles":["viewer"],"permissions":["q"]}}}`,
			scopes: []string{"notes:read"}, roles: []string{"base", "p", "viewer", "q"}},
		{name: "Descope: no tenant selected", issuers: descope, header: jwt, claims: `{` + descopeBase + `,"aud":["` + resource + `"],"tenants":{"t1":{"roles":["admin"]}}}`, scopes: []string{"notes:read"}},
		{name: "Descope: the typ that nobody told us", issuers: one(idp.Descope("P2x")), header: jwt, claims: `{` + descopeBase + `,"aud":"P2x"}`, refused: mcpauth.ReasonType},
		{name: "Descope: a registered server", issuers: one(idp.DescopeServer("P2x", "MS1")), header: at,
			claims: `{"iss":"https://api.descope.com/v1/apps/agentic/P2x/MS1","azp":"app","aud":["P2x","` + resource + `"],"scope":"a"}`, scopes: []string{"a"}},
		{name: "Descope: the server beside", issuers: one(idp.DescopeServer("P2x", "MS1")), header: at,
			claims: `{"iss":"https://api.descope.com/v1/apps/agentic/P2x/MS2","azp":"app","aud":["P2x"],"scope":"a"}`, refused: mcpauth.ReasonUnknownIssuer},

		{name: "Scalekit: the environment", issuers: scalekit, header: at, claims: `{"iss":"https://acme.scalekit.com","client_id":"app","aud":["res_1"],"scopes":["a","b"]}`, scopes: []string{"a", "b"}},
		{name: "Scalekit: the resource", issuers: scalekit, header: at, claims: `{"iss":"https://acme.scalekit.com/resources/res_1","client_id":"app","aud":["res_1","` + resource + `"],"scopes":["a"]}`, scopes: []string{"a"}},
		{name: "Scalekit: the resource beside", issuers: scalekit, header: at, claims: `{"iss":"https://acme.scalekit.com","client_id":"app","aud":["res_2"],"scopes":["a"]}`, refused: mcpauth.ReasonAudience},

		{name: "Logto: a token of an organization", issuers: one(idp.Logto("acme.logto.app")), header: at, claims: `{"iss":"https://acme.logto.app/oidc","client_id":"a","aud":"urn:logto:organization:org_1"}`, refused: mcpauth.ReasonAudience},
		{name: "PingOne: no typ, and a header of its own", issuers: one(idp.PingOne("auth.pingone.eu", "e")), header: `{"pi.atm":"x"}`, claims: `{"iss":"https://auth.pingone.eu/e/as","client_id":"a","aud":["` + resource + `"],"scope":"a","p1":{"rid":"r"},"memberOf":["g"]}`, scopes: []string{"a"}},
		{name: "PingFederate", issuers: one(idp.PingFederate("https://sso.example.com")), header: at, claims: `{"iss":"https://sso.example.com","client_id":"a","aud":"` + resource + `","scope":["a","b"]}`, scopes: []string{"a", "b"}},
		{name: "PingFederate: the absent typ that nobody told us", issuers: one(idp.PingFederate("https://sso.example.com")), header: `{}`, claims: `{"iss":"https://sso.example.com","client_id":"a","aud":"` + resource + `"}`, refused: mcpauth.ReasonType},
		{name: "WorkOS: the audience of the environment", issuers: one(idp.WorkOS("acme.authkit.app")), header: at, claims: `{"iss":"https://acme.authkit.app","client_id":"a","aud":"client_01ENV"}`, refused: mcpauth.ReasonAudience},

		{name: "FusionAuth: nothing tells it from an ID token", issuers: fusion, header: fusionHeader, claims: `{` + fusionBase + `,"aud":"` + fusionApp + `","scope":"a","roles":["r"]}`, refused: mcpauth.ReasonIDToken},
		{name: "FusionAuth: with the audience of the lambda", issuers: fusion, header: fusionHeader, claims: `{` + fusionBase + `,"aud":"` + resource + `","scope":"a","roles":["r"]}`, scopes: []string{"a"}, roles: []string{"r"}},
		{name: "FusionAuth: with the client of the lambda", issuers: fusion, header: fusionHeader, claims: `{` + fusionBase + `,"aud":"` + fusionApp + `","client_id":"` + fusionApp + `","scope":"a"}`, scopes: []string{"a"}},
		{name: "FusionAuth: another application", issuers: fusion, header: fusionHeader, claims: `{` + fusionBase + `,"aud":"00000000-9173-4e01-9d73-ac2d60d1dc8e","client_id":"x"}`, refused: mcpauth.ReasonAudience},

		{name: "Supabase: a session of the project's own pages", issuers: supabase, header: jwt, claims: `{` + supabaseBase + `,"app_metadata":{"roles":["admin"]}}`, refused: mcpauth.ReasonIDToken},
		{name: "Supabase: what users write themselves", issuers: supabase, header: jwt, claims: `{` + supabaseBase + `,"client_id":"c","user_metadata":{"roles":["admin"]},"roles":["x"]}`},
		{name: "Supabase: scopes of newer versions", issuers: supabase, header: jwt, claims: `{` + supabaseBase + `,"client_id":"c","scope":"openid a"}`, scopes: []string{"openid", "a"}},
		{name: "Supabase: an ID token", issuers: supabase, header: jwt, claims: `{"iss":"https://abc.supabase.co/auth/v1","aud":["c"],"client_id":"c","auth_time":1}`, refused: mcpauth.ReasonAudience},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := made(t, tt.header, tt.claims)
			if tt.refused != "" {
				refused(t, tt.issuers, s, tt.refused)
				return
			}
			g := accepted(t, tt.issuers, s, nil)
			require.ElementsMatch(t, tt.scopes, g.Scopes())
			require.ElementsMatch(t, tt.roles, g.Roles())
			require.ElementsMatch(t, tt.unknown, g.Unknown())
			require.Equal(t, tt.application, g.Application())
		})
	}
}

func TestEntraTenants(t *testing.T) {
	issuers := idp.EntraTenants(entraAPI, entraTenant, otherTenant)
	require.Len(t, issuers, 2)
	require.NotEqual(t, issuers[0].JWKSURI, issuers[1].JWKSURI, "each authority has its own keys")
	s := sample(t, "entra-v2")
	for _, tenant := range []string{entraTenant, otherTenant} {
		g := accepted(t, issuers, s.with(map[string]any{"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0"}), nil)
		require.ElementsMatch(t, s.Roles, g.Roles())
	}
	for _, tenant := range []string{"00000000-bbbb-cccc-dddd-eeeeeeeeeeee", "common", "organizations", "{tenantid}", "9188040d-6c67-4c5b-b112-36a304b66dad", entraTenant + "/../x"} {
		refused(t, issuers, s.with(map[string]any{"iss": "https://login.microsoftonline.com/" + tenant + "/v2.0"}), mcpauth.ReasonUnknownIssuer)
	}
	// Nothing is shared: what a server changes for one tenant is for that tenant.
	issuers[0].Grants.RoleClaims[0] = "/x"
	issuers[0].Grants.Overage["/x"] = "/y"
	issuers[0].Audiences[0] = "x"
	require.Equal(t, idp.Entra(otherTenant, entraAPI), issuers[1])
}

func TestEnforcedAndRequestedNamesDiffer(t *testing.T) {
	in := idp.Entra(entraTenant, entraAPI)
	mapping, err := in.Grants.Compile()
	require.NoError(t, err)
	require.Equal(t, []string{"api://" + entraAPI + "/notes.read"}, mapping.Challenge([]string{"notes.read"}))

	in = idp.Cognito("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")
	in.Grants.TokenPrefix, in.Grants.ChallengePrefix = resource+"/", resource+"/"
	g := accepted(t, one(in), sample(t, "cognito-resource"), nil)
	require.Equal(t, []string{"notes.read"}, g.Scopes())
}

func TestUnknownGroups(t *testing.T) {
	g := accepted(t, one(idp.Entra(entraTenant, entraAPI)), sample(t, "entra-groups-overage"), nil)
	require.Equal(t, []string{"/groups"}, g.Unknown())
	require.False(t, scopes.Role("g-1").Met(g))
	require.False(t, scopes.Role("g-1").Obtainable(g))
	require.True(t, scopes.All("notes.read").Met(g), "what is known still counts")
}
