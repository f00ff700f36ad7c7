package idp

//go:generate go test -run TestTableIsThatOfTheData -update .

import "github.com/go-mcpauth/sdk/mcpauth"

// A Preset describes a preset by an example: what it sets, and what that rests on.
type Preset struct {
	Provider string           // as people call it
	Call     string           // of the function, in Go
	Issuers  []mcpauth.Issuer // what that returns
	Facts    []Fact
}

// A Fact is one statement about a provider and its tokens.
type Fact struct {
	About    About  // what it is about
	Says     string // in words, with parts of values in angle brackets
	Source   string // where it was read; empty: nowhere
	Verified bool   // the source was read; false: general knowledge, which loosens nothing
}

// About says what a [Fact] is about.
type About string

// What facts are about.
const (
	AboutIssuer   About = "issuer"
	AboutKeys     About = "keys"
	AboutType     About = "typ"
	AboutAudience About = "aud"
	AboutScopes   About = "scopes"
	AboutRoles    About = "roles"
	AboutFormat   About = "format"   // JWT, or opaque
	AboutClients  About = "clients"  // how they become known: beforehand, by registration (RFC 7591), by a metadata document
	AboutResource About = "resource" // what becomes of the parameter (RFC 8707)
)

func read(about About, says, source string) Fact { return Fact{about, says, source, true} }
func heard(about About, says string) Fact        { return Fact{About: about, Says: says} }

// Presets returns every preset of this package, by the name of the provider. The result is the caller's own.
func Presets() []Preset {
	const (
		tenant = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
		other  = "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee"
		api    = "11111111-2222-3333-4444-555555555555"
		env    = "eeeeeeee-1111-4000-8000-000000000001"
		app    = "e9fdb985-9173-4e01-9d73-ac2d60d1dc8e"
		stytch = "project-test-00000000-0000-4000-8000-000000000001"
	)
	one := func(in mcpauth.Issuer) []mcpauth.Issuer { return []mcpauth.Issuer{in} }
	return []Preset{
		{"Amazon Cognito", `idp.Cognito("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")`,
			one(Cognito("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")), []Fact{
				read(AboutIssuer, "https://cognito-idp.<region>.amazonaws.com/<pool>", cognitoTokens),
				read(AboutKeys, "<issuer>/.well-known/jwks.json", cognitoTokens),
				read(AboutType, "absent", cognitoTokens),
				read(AboutAudience, "absent, but for logins that are bound to a resource", cognitoBinding),
				read(AboutScopes, "scope, a string; custom ones as <resource server>/<name>", cognitoBinding),
				read(AboutRoles, "cognito:groups", cognitoTokens),
				read(AboutFormat, "JWT", cognitoTokens),
				read(AboutClients, "registered beforehand; no registration", zuplo),
				read(AboutResource, "for logins of users by way of the managed login", cognitoBinding),
			}},
		{"Amazon Cognito, logins without a resource", `idp.CognitoClients("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")`,
			one(CognitoClients("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")), []Fact{
				read(AboutIssuer, "https://cognito-idp.<region>.amazonaws.com/<pool>", cognitoTokens),
				read(AboutKeys, "<issuer>/.well-known/jwks.json", cognitoTokens),
				read(AboutType, "absent", cognitoTokens),
				read(AboutAudience, "absent; the app client stands in for it", cognitoTokens),
				read(AboutScopes, "scope, a string; custom ones as <resource server>/<name>", cognitoBinding),
				read(AboutRoles, "cognito:groups", cognitoTokens),
				read(AboutFormat, "JWT", cognitoTokens),
				read(AboutClients, "registered beforehand; no registration", zuplo),
				heard(AboutResource, "not sent"),
			}},
		{"Asgardeo", `idp.Asgardeo("acme")`, one(Asgardeo("acme")), []Fact{
			read(AboutIssuer, "https://api.asgardeo.io/t/<organization>/oauth2/token", asgardeoIDTokens),
			read(AboutKeys, "/oauth2/jwks of the organization", asgardeoExpress),
			heard(AboutType, "at+jwt"),
			read(AboutAudience, "resource server or client", wso2Tokens),
			read(AboutScopes, "scope, a string, or an array by setting", wso2Scopes),
			heard(AboutRoles, "roles, groups, where added to the application"),
			read(AboutFormat, "opaque, or JWT by a setting of the application", wso2Tokens),
			read(AboutClients, "registered beforehand, from a template for MCP clients", asgardeoClients),
			heard(AboutResource, "the identifier of the MCP server that the scopes belong to is the audience"),
		}},
		{"Auth0", `idp.Auth0("acme.eu.auth0.com")`, one(Auth0("acme.eu.auth0.com")), []Fact{
			read(AboutIssuer, "https://<domain>/, with the slash", auth0Profiles),
			read(AboutKeys, "/.well-known/jwks.json", fastmcp+"auth0.py"),
			read(AboutType, "JWT, or at+jwt in the RFC 9068 profile", auth0Profiles),
			read(AboutAudience, "the API; a second one, /userinfo, with the scope openid", auth0Profiles),
			read(AboutScopes, "scope, a string", auth0Profiles),
			read(AboutRoles, "permissions, with RBAC; roles in claims of your own", auth0RBAC),
			read(AboutFormat, "JWT for an API, opaque without one", skybridge),
			read(AboutClients, "registered beforehand, or documents that an administrator imported; registration where it was turned on", auth0Clients),
			read(AboutResource, "where the compatibility profile was turned on", auth0Resource),
		}},
		{"AuthPlane", `idp.AuthPlane("https://auth.example.com")`, one(AuthPlane("https://auth.example.com")), []Fact{
			read(AboutIssuer, "the configured one", authplaneTokens),
			read(AboutKeys, "by RFC 8414", authplaneTokens),
			read(AboutType, "at+jwt", authplaneTokens),
			read(AboutAudience, "the registered resource, byte for byte; empty without resource", authplaneTokens),
			read(AboutScopes, "scope, a string", authplaneTokens),
			read(AboutRoles, "none", authplaneTokens),
			read(AboutFormat, "JWT", authplaneTokens),
			read(AboutClients, "registration, with dcr.mode open", authplaneClients),
			read(AboutResource, "known; without it there is no audience", authplaneTokens),
		}},
		{"Clerk", `idp.Clerk("clerk.example.com")`, one(Clerk("clerk.example.com")), []Fact{
			read(AboutIssuer, "the Frontend API URL", clerkOAuth),
			read(AboutKeys, "<issuer>/.well-known/jwks.json", clerkOAuth),
			read(AboutType, "at+jwt", clerkContext7),
			read(AboutAudience, "the registered URL of the MCP server; none in older setups", clerkContext7),
			heard(AboutScopes, "scope, a string"),
			read(AboutRoles, "none", clerkOAuth),
			read(AboutFormat, "JWT; opaque in applications from before January 2026", clerkJWT),
			read(AboutClients, "registration where it was turned on", clerkOAuth),
			read(AboutResource, "the URL of an MCP server that was added under Agents", clerkServers),
		}},
		{"Descope", `idp.Descope("P2exampleproject")`, one(Descope("P2exampleproject")), []Fact{
			read(AboutIssuer, "https://api.descope.com/v1/apps/<project>", fastmcp+"descope.py"),
			read(AboutKeys, "https://api.descope.com/<project>/.well-known/jwks.json", fastmcp+"descope.py"),
			heard(AboutType, "unknown; set TokenTypes if it is not at+jwt"),
			read(AboutAudience, "the project, or the resource", fastmcp+"descope.py"),
			heard(AboutScopes, "scope, a string"),
			heard(AboutRoles, "roles, permissions; tenants.<dct>.roles and .permissions"),
			heard(AboutFormat, "JWT"),
			read(AboutClients, "registration, for inbound applications", fastmcp+"descope.py"),
			heard(AboutResource, "not known"),
		}},
		{"Descope, registered MCP server", `idp.DescopeServer("P2exampleproject", "MS2exampleserver")`, one(DescopeServer("P2exampleproject", "MS2exampleserver")), []Fact{
			read(AboutIssuer, "https://api.descope.com/v1/apps/agentic/<project>/<server>", fastmcp+"descope.py"),
			read(AboutKeys, "https://api.descope.com/<project>/.well-known/jwks.json", fastmcp+"descope.py"),
			heard(AboutType, "unknown; set TokenTypes if it is not at+jwt"),
			read(AboutAudience, "the project, or the resource", fastmcp+"descope.py"),
			heard(AboutScopes, "scope, a string"),
			heard(AboutRoles, "roles, permissions; tenants.<dct>.roles and .permissions"),
			heard(AboutFormat, "JWT"),
			read(AboutClients, "registration; documents where they were turned on", descopeServers),
			read(AboutResource, "the MCP Server URL is added to the audience", descopeServers),
		}},
		{"FusionAuth", `idp.FusionAuth("acme.com", "https://acme.fusionauth.io", "` + app + `")`,
			one(FusionAuth("acme.com", "https://acme.fusionauth.io", app)), []Fact{
				read(AboutIssuer, "free text of the tenant", fusionExample),
				heard(AboutKeys, "/.well-known/jwks.json"),
				read(AboutType, "JWT always", fusionExample),
				read(AboutAudience, "the application; a JWT populate lambda may change it", fusionClaims),
				read(AboutScopes, "scope, a string, since 1.50", fusionClaims),
				read(AboutRoles, "roles; permissions of entities", fusionClaims),
				read(AboutFormat, "JWT", fusionExample),
				read(AboutClients, "registered beforehand; no registration", fusionClients),
				read(AboutResource, "among the authorizedResourceUris of the application, since 1.67", fusionMCP),
			}},
		{"Keycloak", `idp.Keycloak("https://keycloak.example.com/realms/acme", "mcp-server")`,
			one(Keycloak("https://keycloak.example.com/realms/acme", "mcp-server")), []Fact{
				read(AboutIssuer, "https://<host>/realms/<realm>", keycloakToken),
				read(AboutKeys, "<issuer>/protocol/openid-connect/certs", fastmcp+"keycloak.py"),
				read(AboutType, "JWT, or at+jwt by a setting of the client", keycloakSource),
				read(AboutAudience, "account; the resource by an audience mapper", keycloakAudience),
				read(AboutScopes, "scope, a string", keycloakToken),
				read(AboutRoles, "realm_access.roles, resource_access.<client>.roles", keycloakToken),
				read(AboutFormat, "JWT", keycloakToken),
				read(AboutClients, "registration from trusted hosts; documents with an experimental feature", keycloakMCP),
				read(AboutResource, "ignored without an experimental feature; an audience mapper instead", keycloakMCP),
			}},
		{"Logto", `idp.Logto("acme.logto.app")`, one(Logto("acme.logto.app")), []Fact{
			read(AboutIssuer, "https://<tenant>/oidc", logtoTenant),
			read(AboutKeys, "<issuer>/jwks", logtoTenant),
			heard(AboutType, "at+jwt"),
			read(AboutAudience, "the API resource", logtoClaims),
			read(AboutScopes, "scope, a string", logtoClaims),
			read(AboutRoles, "none, but for custom claims", logtoClaims),
			read(AboutFormat, "JWT for an API resource, opaque without one", logtoClaims),
			read(AboutClients, "documents where the dynamic app was turned on; else registered beforehand, as third-party applications", logtoDynamic),
			read(AboutResource, "the identifier of an API resource", logtoResources),
		}},
		{"Microsoft Entra ID, v2.0 tokens", `idp.Entra("` + tenant + `", "` + api + `")`, one(Entra(tenant, api)), []Fact{
			read(AboutIssuer, "https://login.microsoftonline.com/<tenant>/v2.0", entraClaims),
			read(AboutKeys, "/<tenant>/discovery/v2.0/keys", entraClaims),
			read(AboutType, "JWT always", entraClaims),
			read(AboutAudience, "the client id of the API", entraClaims),
			read(AboutScopes, "scp, a string, users only; clients ask with api://<id>/ before each", entraScopes),
			read(AboutRoles, "roles, groups, wids; groups may be elsewhere", entraClaims),
			read(AboutFormat, "JWT", entraClaims),
			read(AboutClients, "registered beforehand; no registration", entraClients),
			read(AboutResource, "must equal the application ID URI", entraServers),
		}},
		{"Microsoft Entra ID, v1.0 tokens", `idp.EntraV1("` + tenant + `", "` + api + `")`, one(EntraV1(tenant, api)), []Fact{
			read(AboutIssuer, "https://sts.windows.net/<tenant>/", entraClaims),
			heard(AboutKeys, "the same as for v2.0"),
			read(AboutType, "JWT always", entraClaims),
			read(AboutAudience, "the client id of the API or its api:// URI", entraClaims),
			read(AboutScopes, "scp, a string, users only", entraClaims),
			read(AboutRoles, "roles, groups, wids; groups may be elsewhere", entraClaims),
			read(AboutFormat, "JWT", entraClaims),
			read(AboutClients, "registered beforehand; no registration", entraClients),
			read(AboutResource, "works with v2.0 tokens only", entraServers),
		}},
		{"Microsoft Entra ID, several tenants", `idp.EntraTenants("` + api + `", "` + tenant + `", "` + other + `")`, EntraTenants(api, tenant, other), []Fact{
			read(AboutIssuer, "one per tenant", entraClaims),
			read(AboutKeys, "one set per tenant", entraClaims),
			read(AboutType, "JWT always", entraClaims),
			read(AboutAudience, "the client id of the API", entraClaims),
			read(AboutScopes, "scp, a string, users only", entraClaims),
			read(AboutRoles, "roles, groups, wids; groups may be elsewhere", entraClaims),
			read(AboutFormat, "JWT", entraClaims),
			read(AboutClients, "registered beforehand; no registration", entraClients),
			read(AboutResource, "must equal the application ID URI", entraServers),
		}},
		{"Okta, custom authorization server", `idp.Okta("dev-123456.okta.com", "default", "api://default")`, one(Okta("dev-123456.okta.com", "default", "api://default")), []Fact{
			read(AboutIssuer, "https://<domain>/oauth2/<server>", oktaDecoded),
			read(AboutKeys, "by discovery, appended to the issuer", oktaCustomAS),
			read(AboutType, "absent", oktaDecoded),
			read(AboutAudience, "the one that is set on the authorization server", oktaDecoded),
			read(AboutScopes, "scp, an array", oktaDecoded),
			read(AboutRoles, "groups, where configured", oktaCustomAS),
			read(AboutFormat, "JWT", oktaDecoded),
			read(AboutClients, "registered beforehand, or documents that an administrator registered; registration needs an API token", oktaClients),
			read(AboutResource, "ignored; the audience is that of the authorization server", gatewayAuth),
		}},
		{"Okta, organization", `idp.OktaOrg("dev-123456.okta.com")`, one(OktaOrg("dev-123456.okta.com")), []Fact{
			read(AboutIssuer, "https://<domain>", oktaOrgToken),
			read(AboutKeys, "by discovery", oktaOrgToken),
			read(AboutType, "absent", oktaOrgToken),
			heard(AboutAudience, "the organization itself, so most tokens are refused"),
			read(AboutScopes, "scp, an array", oktaDecoded),
			heard(AboutRoles, "groups, where configured"),
			read(AboutFormat, "JWT", oktaOrgToken),
			read(AboutClients, "registered beforehand; registration needs an API token", oktaClients),
			heard(AboutResource, "ignored"),
		}},
		{"Ory Hydra", `idp.Hydra("https://hydra.example.com/")`, one(Hydra("https://hydra.example.com/")), []Fact{
			read(AboutIssuer, "the configured one, often with a slash", hydraConfig),
			read(AboutKeys, "by discovery", hydraConfig),
			read(AboutType, "JWT", hydraType),
			read(AboutAudience, "from the parameter audience; may be empty", hydraAudience),
			read(AboutScopes, "scp, an array; scope, a string; or both, by setting", hydraConfig),
			read(AboutRoles, "custom claims under ext, or mirrored", hydraConfig),
			read(AboutFormat, "opaque, or JWT by strategies.access_token", hydraAudience),
			read(AboutClients, "registration where it was turned on", hydraClients),
			read(AboutResource, "not known; the parameter audience instead", hydraAudience),
		}},
		{"PingFederate", `idp.PingFederate("https://sso.example.com")`, one(PingFederate("https://sso.example.com")), []Fact{
			heard(AboutIssuer, "the base URL"),
			heard(AboutKeys, "by discovery"),
			heard(AboutType, "often absent; set TokenTypes if it is not at+jwt"),
			heard(AboutAudience, "as configured"),
			heard(AboutScopes, "scope, a string or an array"),
			heard(AboutRoles, "mapped attributes"),
			read(AboutFormat, "opaque or JWT, by the access token manager", pingFederateTokens),
			read(AboutClients, "registration where it was turned on; it needs a database", pingFederateClients),
			heard(AboutResource, "may select an access token manager"),
		}},
		{"PingOne", `idp.PingOne("auth.pingone.eu", "` + env + `")`, one(PingOne("auth.pingone.eu", env)), []Fact{
			heard(AboutIssuer, "https://auth.pingone.<tld>/<environment>/as"),
			heard(AboutKeys, "by discovery"),
			read(AboutType, "absent or at+jwt; always at+jwt from 2 March 2027", pingOneTokens),
			read(AboutAudience, "the audience of the resource, which is its name until one is set", pingOneResources),
			read(AboutScopes, "scope, a string", pingOneTokens),
			read(AboutRoles, "mapped attributes", pingOneTokens),
			read(AboutFormat, "JWT", pingOneAttributes),
			heard(AboutClients, "registered beforehand"),
			read(AboutResource, "the scopes decide on the resource", pingOneScopes),
		}},
		{"Scalekit", `idp.Scalekit("acme.scalekit.com", "res_123456789")`, Scalekit("acme.scalekit.com", "res_123456789"), []Fact{
			read(AboutIssuer, "the environment, or /resources/<id> in it", fastmcp+"scalekit.py"),
			read(AboutKeys, "/keys of the environment", fastmcp+"scalekit.py"),
			heard(AboutType, "unknown; set TokenTypes if it is not at+jwt"),
			read(AboutAudience, "the resource id; perhaps the URL, too", fastmcp+"scalekit.py"),
			heard(AboutScopes, "scopes, an array"),
			heard(AboutRoles, "none"),
			read(AboutFormat, "JWT", fastmcp+"scalekit.py"),
			read(AboutClients, "registration and documents, by settings of the MCP server", scalekitExample),
			read(AboutResource, "the issuer is that of one resource", fastmcp+"scalekit.py"),
		}},
		{"Stytch", `idp.Stytch("auth.example.com", "` + stytch + `")`, one(Stytch("auth.example.com", stytch)), []Fact{
			read(AboutIssuer, "https://<project domain>; stytch.com/<project> in older setups", stytchToken),
			heard(AboutKeys, "by discovery"),
			heard(AboutType, "JWT; set TokenTypes if it is not at+jwt"),
			read(AboutAudience, "the project", stytchToken),
			read(AboutScopes, "scope, a string", stytchToken),
			heard(AboutRoles, "custom claims"),
			read(AboutFormat, "JWT", stytchToken),
			read(AboutClients, "registration and documents where they were turned on", stytchClients),
			heard(AboutResource, "the audience is the project all the same"),
		}},
		{"Supabase", `idp.Supabase("abcdefghijkl")`, one(Supabase("abcdefghijkl")), []Fact{
			read(AboutIssuer, "https://<project>.supabase.co/auth/v1", fastmcp+"supabase.py"),
			read(AboutKeys, "<issuer>/.well-known/jwks.json", fastmcp+"supabase.py"),
			read(AboutType, "JWT", supabaseSource),
			read(AboutAudience, "the constant authenticated", fastmcp+"supabase.py"),
			read(AboutScopes, "none; scope, a string, in newer versions", supabaseSource),
			heard(AboutRoles, "app_metadata.roles, where the project keeps them"),
			read(AboutFormat, "JWT", supabaseTokens),
			read(AboutClients, "registration where it was turned on", supabaseServer),
			read(AboutResource, "not known", fastmcpSupabase),
		}},
		{"Thunder", `idp.Thunder("https://thunder.example.com:8090")`, one(Thunder("https://thunder.example.com:8090")), []Fact{
			read(AboutIssuer, "the base URL", thunderServers),
			read(AboutKeys, "by RFC 8414", thunderServers),
			read(AboutType, "at+jwt", thunderSource),
			read(AboutAudience, "the resource", thunderServers),
			read(AboutScopes, "scope, a string", thunderServers),
			heard(AboutRoles, "none"),
			read(AboutFormat, "JWT", thunderSource),
			read(AboutClients, "registration", thunderClients),
			read(AboutResource, "is the audience", thunderServers),
		}},
		{"WorkOS AuthKit", `idp.WorkOS("acme.authkit.app")`, one(WorkOS("acme.authkit.app")), []Fact{
			read(AboutIssuer, "the AuthKit domain", workosClaims),
			read(AboutKeys, "<issuer>/oauth2/jwks", fastmcp+"workos.py"),
			heard(AboutType, "JWT; set TokenTypes if it is not at+jwt"),
			read(AboutAudience, "the resource, if it is listed; else the environment's client id", workosClaims),
			read(AboutScopes, "scope, a string", workosClaims),
			read(AboutRoles, "none", workosClaims),
			read(AboutFormat, "JWT", workosClaims),
			read(AboutClients, "documents and registration where they were turned on", workosClients),
			read(AboutResource, "one that is listed", workosClaims),
		}},
		{"WSO2 Identity Server", `idp.WSO2("https://is.example.com:9443")`, one(WSO2("https://is.example.com:9443")), []Fact{
			read(AboutIssuer, "<server>/oauth2/token", wso2Tokens),
			read(AboutKeys, "<server>/oauth2/jwks", wso2Tokens),
			heard(AboutType, "at+jwt"),
			read(AboutAudience, "resource server or client", wso2Tokens),
			read(AboutScopes, "scope, a string, or an array by setting", wso2Scopes),
			heard(AboutRoles, "roles, groups, where added to the application"),
			read(AboutFormat, "opaque, or JWT by a setting of the application", wso2Tokens),
			read(AboutClients, "registered beforehand", asgardeoClients),
			heard(AboutResource, "the identifier of the resource that the scopes belong to is the audience"),
		}},
		{"ZITADEL", `idp.ZITADEL("acme-abc123.zitadel.cloud", "69234237810729019")`, one(ZITADEL("acme-abc123.zitadel.cloud", "69234237810729019")), []Fact{
			read(AboutIssuer, "the domain of the instance", zitadelClaims),
			read(AboutKeys, "by discovery", zitadelClaims),
			read(AboutType, "JWT", zitadelSource),
			read(AboutAudience, "the project and all its clients", zitadelClaims),
			read(AboutScopes, "none", zitadelClaims),
			read(AboutRoles, "names of members of urn:zitadel:iam:org:project:roles", zitadelRoles),
			read(AboutFormat, "opaque, or JWT by a setting of the application", zitadelClaims),
			read(AboutClients, "registration and documents where they were turned on", zitadelClients),
			read(AboutResource, "ignored; a scope asks for the project", zitadelDocuments),
		}},
	}
}
