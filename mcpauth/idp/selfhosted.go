package idp

import (
	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Keycloak takes the URL of a realm and the client that stands for this server, whose roles are read besides those of the realm;
// roles of other clients are not. Without such a client, leave it empty.
//
// Tokens name the server only where an audience mapper with Config.Resource was added to a client scope of the client; out of the
// box the audience is "account". Clients that register by a metadata document may get no audience at all.
func Keycloak(realm, client string) mcpauth.Issuer {
	url := preset("Keycloak").url("realm", realm, "https://keycloak.example.com/realms/acme")
	in := mcpauth.Issuer{
		URL:        url,
		JWKSURI:    url + "/protocol/openid-connect/certs",
		TokenTypes: types("JWT"),
		Grants:     scopes.Mapper{RoleClaims: []string{"/realm_access/roles"}},
	}
	if client != "" {
		in.Grants.RoleClaims = append(in.Grants.RoleClaims, scopes.Pointer("resource_access", client, "roles"))
	}
	return in
}

// WSO2 is WSO2 Identity Server: its URL, and for a tenant "/t/<name>" behind it. See [Asgardeo].
func WSO2(server string) mcpauth.Issuer {
	return wso2(preset("WSO2").url("server", server, "https://is.example.com:9443"))
}

// Thunder takes the URL of the server, which is its issuer.
func Thunder(server string) mcpauth.Issuer {
	return mcpauth.Issuer{URL: preset("Thunder").issuer("server", server, "https://thunder.example.com:8090")}
}

// AuthPlane takes the configured issuer (AUTHPLANE_SERVER_ISSUER). Register Config.Resource there, byte for byte; a client that leaves
// the resource parameter out gets a token without an audience, which is refused.
func AuthPlane(issuer string) mcpauth.Issuer {
	return mcpauth.Issuer{URL: preset("AuthPlane").issuer("issuer", issuer, "https://auth.example.com")}
}

// Hydra is Ory Hydra, or Ory Network: the configured issuer, often with a slash at its end. JWT access tokens have to be turned on
// (strategies.access_token: jwt). The audience comes from the parameter audience, not from resource, so clients or the consent
// application must ask for Config.Resource; tokens with an empty audience are refused. Roles are read from the claim "roles" that the
// consent application may add, be it in ext or mirrored.
func Hydra(issuer string) mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:        preset("Hydra").issuer("issuer", issuer, "https://hydra.example.com/"),
		TokenTypes: types("JWT"),
		Grants:     scopes.Mapper{RoleClaims: []string{"/ext/roles", "/roles"}},
	}
}

// ZITADEL takes the domain of the instance and the id of the project, which is in the audience of tokens that were asked for with the
// scope urn:zitadel:iam:org:project:id:<project>:aud. JWT has to be selected as the token type of each application. All applications
// of a project share its audience.
//
// Roles are the project's. The claim without a project id holds those of the project that the client belongs to: where clients of
// other projects may ask for this one's audience, keep only the second of Grants.RoleKeys. Tokens hold no scopes.
func ZITADEL(domain, project string) mcpauth.Issuer {
	const p preset = "ZITADEL"
	project = p.id("project", project, "69234237810729019")
	return mcpauth.Issuer{
		URL:        "https://" + p.host("domain", domain, "acme-abc123.zitadel.cloud"),
		Audiences:  []string{project},
		TokenTypes: types("JWT"),
		Grants: scopes.Mapper{RoleKeys: []string{
			"/urn:zitadel:iam:org:project:roles", "/urn:zitadel:iam:org:project:" + project + ":roles",
		}},
	}
}

// PingFederate takes the base URL. The access token manager must write JWT with Config.Resource as audience and the type at+jwt.
// Roles come from attributes that were mapped: name them in Grants.RoleClaims.
func PingFederate(server string) mcpauth.Issuer {
	return mcpauth.Issuer{URL: preset("PingFederate").issuer("server", server, "https://sso.example.com")}
}

// FusionAuth takes the issuer of the tenant, which may be any text ("acme.com"), the URL of the server, and the id of the
// application, which is the audience of its tokens; a tenant's issuer is the default "acme.com" until it is set.
//
// Tokens do not say which client they were issued to, and their audience is that of ID tokens, too. A JWT populate lambda of the
// application cures that; the first line is the better one:
//
//	jwt.aud = "https://mcp.example.com/mcp"; // Config.Resource
//	jwt.client_id = registration.applicationId;
func FusionAuth(issuer, server, application string) mcpauth.Issuer {
	const p preset = "FusionAuth"
	server = p.url("server", server, "https://acme.fusionauth.io")
	in := mcpauth.Issuer{
		URL:        p.text("issuer", issuer, "the issuer of the tenant, as it stands in iss"),
		JWKSURI:    server + "/.well-known/jwks.json",
		Audiences:  []string{p.guid("application", application, "the application's id, a GUID")},
		TokenTypes: types("JWT"),
		Grants: scopes.Mapper{
			RoleClaims:   []string{"/roles", "/permissions"},
			Applications: map[string][]string{"/gty": {"client_credentials"}},
		},
	}
	if fetch.CheckURL(issuer) != nil {
		in.AuthorizationServer = server // clients need a URL
	}
	return in
}
