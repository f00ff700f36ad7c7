package idp

import (
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Auth0 takes the domain of the tenant, or its custom domain: "tenant.eu.auth0.com". Register Config.Resource as an API and turn on
// the Resource Parameter Compatibility Profile; without it, clients get tokens for /userinfo or opaque ones.
//
// Both token profiles are accepted; the one of RFC 9068 is the better choice. Permissions, which an API with RBAC adds to tokens,
// are read as roles. Auth0 itself puts no roles into tokens; where an Action adds a claim with them, read it instead:
//
//	in.Grants.RoleClaims = []string{scopes.Pointer("https://acme.example/roles")}
func Auth0(domain string) mcpauth.Issuer {
	base := "https://" + preset("Auth0").host("domain", domain, "tenant.eu.auth0.com")
	return mcpauth.Issuer{
		URL:        base + "/", // the slash is part of it
		JWKSURI:    base + "/.well-known/jwks.json",
		TokenTypes: types("JWT"),
		Grants: scopes.Mapper{
			RoleClaims:   []string{"/permissions"},
			Applications: map[string][]string{"/gty": {"client-credentials"}},
		},
	}
}

// Okta is a custom authorization server of Okta: the domain of the organization, the id of the authorization server ("default" or
// one like "aus1abc..."), and the audience that is set on it. Okta ignores the resource parameter, so better set that audience to
// Config.Resource. Groups are read as roles, if the authorization server has a claim "groups".
func Okta(domain, server, audience string) mcpauth.Issuer {
	const p preset = "Okta"
	url := "https://" + p.host("domain", domain, "dev-123456.okta.com") + "/oauth2/" + p.id("server", server, "default")
	return mcpauth.Issuer{
		URL:        url,
		Audiences:  []string{p.text("audience", audience, "the audience of the authorization server, such as api://default")},
		TokenTypes: types(""),
		Grants:     scopes.Mapper{RoleClaims: []string{"/groups"}},
	}
}

// OktaOrg is the authorization server of an Okta organization itself. Its tokens are meant for Okta's own interfaces and seldom
// name the resource, so most are refused for their audience: use a custom authorization server, and [Okta].
func OktaOrg(domain string) mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:        "https://" + preset("OktaOrg").host("domain", domain, "dev-123456.okta.com"),
		TokenTypes: types(""),
		Grants:     scopes.Mapper{RoleClaims: []string{"/groups"}},
	}
}

// Cognito is a user pool of Amazon Cognito: "eu-central-1", "eu-central-1_EXAMPLE01", and the app clients whose tokens are
// accepted. Groups are read as roles.
//
// A token names the resource in aud only where the login was bound to it (resource binding, for logins of users by way of the
// managed login); all others have no audience and are refused: see [CognitoClients].
//
// Custom scopes are written with the identifier of the resource server before them. To have rules with short names, set
// Grants.TokenPrefix and Grants.ChallengePrefix to "<identifier>/".
func Cognito(region, pool string, clientIDs ...string) mcpauth.Issuer {
	const p preset = "Cognito"
	region = p.id("region", region, "eu-central-1")
	url := "https://cognito-idp." + region + ".amazonaws.com/" + p.id("pool", pool, region+"_EXAMPLE01")
	return mcpauth.Issuer{
		URL:        url,
		JWKSURI:    url + "/.well-known/jwks.json",
		ClientIDs:  p.texts("clientIDs", clientIDs, "the id of an app client"),
		TokenTypes: types(""),
		Grants:     scopes.Mapper{RoleClaims: []string{"/cognito:groups"}},
	}
}

// CognitoClients is [Cognito] for logins that are not bound to a resource. Their tokens have no audience; what lets them in is that
// they were issued to one of these app clients (DangerouslyAcceptNoAudience). Any token of theirs works here then, so name those that
// exist for this server alone. A token that is bound to another resource is refused, and so are ID tokens, which have no client id
// and another token_use.
func CognitoClients(region, pool string, clientIDs ...string) mcpauth.Issuer {
	if len(clientIDs) == 0 {
		preset("CognitoClients").refuse("clientIDs", "", "the ids of the app clients that exist for this server alone")
	}
	in := Cognito(region, pool, clientIDs...)
	in.DangerouslyAcceptNoAudience = true
	return in
}

// Asgardeo takes the name of the organization. JWT has to be selected as the token format of each application. Roles and groups are
// in tokens where they were added as attributes of the application's access token.
func Asgardeo(organization string) mcpauth.Issuer {
	base := "https://api.asgardeo.io/t/" + preset("Asgardeo").id("organization", organization, "acme")
	return wso2(base)
}

func wso2(base string) mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:     base + "/oauth2/token", // a token endpoint, and yet the issuer
		JWKSURI: base + "/oauth2/jwks",
		Grants: scopes.Mapper{
			RoleClaims:   []string{"/roles", "/groups"},
			Applications: map[string][]string{"/aut": {"APPLICATION"}},
		},
	}
}

// Clerk takes the Frontend API host of the instance. Register the URL of the MCP server, so that tokens name it: older setups write
// no audience, and their tokens are refused. Tokens hold no roles.
func Clerk(domain string) mcpauth.Issuer {
	url := "https://" + preset("Clerk").host("domain", domain, "clerk.example.com")
	return mcpauth.Issuer{URL: url, JWKSURI: url + "/.well-known/jwks.json"}
}

// WorkOS is AuthKit with Connect; it takes the AuthKit domain or a custom one. List Config.Resource as a resource indicator in the
// dashboard: otherwise the audience is the client id of the environment, which everything in it shares. Tokens hold no roles.
func WorkOS(domain string) mcpauth.Issuer {
	url := "https://" + preset("WorkOS").host("domain", domain, "acme.authkit.app")
	return mcpauth.Issuer{URL: url, JWKSURI: url + "/oauth2/jwks"}
}

// Descope takes the id of a project, whose inbound applications share an audience unless clients ask for the resource. Roles and
// permissions are those of the user in the project, and in the tenant that the token was issued for (dct), in no other.
func Descope(project string) mcpauth.Issuer {
	project = preset("Descope").id("project", project, "P2exampleproject")
	return descope(project, project)
}

// DescopeServer is one MCP server that is registered at Descope: the ids of the project and of the server. See [Descope].
func DescopeServer(project, server string) mcpauth.Issuer {
	const p preset = "DescopeServer"
	project = p.id("project", project, "P2exampleproject")
	return descope(project, "agentic/"+project+"/"+p.id("server", server, "MS2exampleserver"))
}

func descope(project, app string) mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://api.descope.com/v1/apps/" + app,
		JWKSURI:   "https://api.descope.com/" + project + "/.well-known/jwks.json", // outside the issuer
		Audiences: []string{project},
		Grants: scopes.Mapper{
			RoleClaims: []string{"/roles", "/permissions"},
			SelectedRoles: []scopes.Selection{
				{Claim: "/tenants", By: "/dct", Path: "/roles"}, {Claim: "/tenants", By: "/dct", Path: "/permissions"},
			},
		},
	}
}

// Scalekit takes the host of the environment and the id of the resource ("res_..."), which is the audience of its tokens. Tokens
// name the environment or the resource in it as their issuer, so there are two; clients are shown the second form, which comes first.
func Scalekit(domain, resource string) []mcpauth.Issuer {
	const p preset = "Scalekit"
	base := "https://" + p.host("domain", domain, "acme.scalekit.com")
	resource = p.id("resource", resource, "res_123456789")
	in := mcpauth.Issuer{
		URL:       base + "/resources/" + resource,
		JWKSURI:   base + "/keys",
		Audiences: []string{resource},
		Grants:    scopes.Mapper{ScopeClaims: []string{"/scope", "/scp", "/scopes"}},
	}
	env := in
	env.URL, env.AuthorizationServer = base, in.URL
	env.Audiences = []string{resource}
	env.Grants.ScopeClaims = []string{"/scope", "/scp", "/scopes"}
	return []mcpauth.Issuer{in, env}
}

// Logto takes the host of the tenant. Register Config.Resource as an API resource: a token for no resource is opaque. Tokens of an
// organization without an API resource have an audience of their own and are refused.
func Logto(domain string) mcpauth.Issuer {
	url := "https://" + preset("Logto").host("domain", domain, "acme.logto.app") + "/oidc"
	return mcpauth.Issuer{URL: url, JWKSURI: url + "/jwks"}
}

// PingOne takes the host of the region (or a custom domain) and the id of the environment. Set the audience of the custom resource
// to Config.Resource. Roles come from attributes that were mapped for the resource: name them in Grants.RoleClaims.
func PingOne(domain, environment string) mcpauth.Issuer {
	const p preset = "PingOne"
	url := "https://" + p.host("domain", domain, "auth.pingone.eu") + "/" + p.id("environment", environment, "the environment's GUID") + "/as"
	return mcpauth.Issuer{URL: url, TokenTypes: types("")}
}

// Stytch takes the domain of the project (a custom one, where there is one) and the project id, which is the audience of all its
// tokens: the audience does not tell two servers of one project apart. Set ClientIDs if that matters.
func Stytch(domain, project string) mcpauth.Issuer {
	const p preset = "Stytch"
	return mcpauth.Issuer{
		URL:       "https://" + p.host("domain", domain, "auth.example.com"),
		Audiences: []string{p.id("project", project, "project-live-00000000-0000-4000-8000-000000000000")},
	}
}

// Supabase takes the reference of the project, which must have asymmetric signing keys. All of its tokens have the audience
// "authenticated", so the audience does not tell servers of one project apart; what lets a token in is that it was issued to an OAuth
// client, which the sessions of the project's own pages are not. Set ClientIDs to the clients that may come in.
//
// Older tokens hold no scopes. Roles are those in app_metadata.roles, which the project has to keep there; the claim "role" is one of
// the database, and user_metadata is written by users.
func Supabase(project string) mcpauth.Issuer {
	url := "https://" + preset("Supabase").id("project", project, "abcdefghijkl") + ".supabase.co/auth/v1"
	return mcpauth.Issuer{
		URL:        url,
		JWKSURI:    url + "/.well-known/jwks.json",
		Audiences:  []string{"authenticated"},
		TokenTypes: types("JWT"),
		Grants:     scopes.Mapper{RoleClaims: []string{"/app_metadata/roles"}},
	}
}
