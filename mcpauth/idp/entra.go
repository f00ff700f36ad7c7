package idp

import (
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	microsoft = "https://login.microsoftonline.com/"
	aGUID     = "a GUID such as aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee; aliases and domains do not stand in tokens"
	aTenant   = aGUID + ". For several tenants use EntraTenants"
)

// Entra is Microsoft Entra ID with v2.0 tokens (requestedAccessTokenVersion 2 in the manifest of the app registration), for users
// and applications of one tenant. Both arguments are GUIDs: the tenant (directory) id, and the application (client) id of the API,
// which is the audience of its tokens.
//
// Tokens write scopes short ("notes.read"), clients must ask for them with the application's URI before them
// ("api://<id>/notes.read"): rules and BaseScopes use the short names, and Grants.ChallengePrefix adds the rest. Change it if the
// application ID URI is another one. Entra ID refuses a login whose resource parameter does not fit the scopes (AADSTS9010010):
// use an application ID URI that equals Config.Resource, or clients that leave resource out.
//
// Roles are app roles, groups and directory roles, the latter two by GUID. If the app registration emits groups by name, anybody
// who may create a group may choose a name that is also an app role: take "/groups" out of Grants.RoleClaims then.
func Entra(tenant, clientID string) mcpauth.Issuer {
	return entra("Entra", tenant, clientID)
}

// EntraTenants is [Entra] for the users of several tenants, which is an allow list: tokens of any other tenant are refused. It
// returns one issuer per tenant, each with the keys of its own authority, so that what is wrong with one does not touch the others.
// An application for all organizations has no other form: the issuer of its metadata is the template
// https://login.microsoftonline.com/{tenantid}/v2.0, which no token holds.
//
// The metadata lists the tenants in this order, and many clients use the first one only.
func EntraTenants(clientID string, tenants ...string) []mcpauth.Issuer {
	const p preset = "EntraTenants"
	if len(tenants) == 0 {
		p.refuse("tenants", "", aGUID+" for each tenant that may come in")
	}
	issuers := make([]mcpauth.Issuer, len(tenants))
	for i, tenant := range tenants {
		issuers[i] = entra(p, tenant, clientID)
	}
	return issuers
}

func entra(p preset, tenant, clientID string) mcpauth.Issuer {
	tenant = p.guid("tenant", tenant, aTenant)
	clientID = p.guid("clientID", clientID, aGUID)
	return mcpauth.Issuer{
		URL:        microsoft + tenant + "/v2.0",
		JWKSURI:    microsoft + tenant + "/discovery/v2.0/keys",
		Audiences:  []string{clientID},
		TokenTypes: types("JWT"),
		Grants: scopes.Mapper{
			RoleClaims:             []string{"/roles", "/groups", "/wids"},
			Overage:                map[string]string{"/groups": "/hasgroups"},
			Applications:           map[string][]string{"/idtyp": {"app"}},
			ApplicationsLackScopes: true,
			ChallengePrefix:        "api://" + clientID + "/",
		},
	}
}

// EntraV1 is [Entra] with v1.0 tokens, which app registrations issue unless their manifest says otherwise. Better change that: v1.0
// tokens name another issuer than the metadata that clients find. A server that gets both lists both presets.
func EntraV1(tenant, clientID string) mcpauth.Issuer {
	in := entra("EntraV1", tenant, clientID)
	client := in.Audiences[0]
	in.AuthorizationServer = in.URL
	in.URL = "https://sts.windows.net/" + preset("EntraV1").guid("tenant", tenant, aTenant) + "/"
	in.Audiences = []string{client, "api://" + client}
	return in
}
