package idp_test

import (
	"fmt"
	"log"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/scopes"
)

// Three providers in one server. A preset is a plain value: read it, and change what is different in your tenant.
func Example() {
	auth0 := idp.Auth0("acme.eu.auth0.com")
	auth0.Grants.RoleClaims = []string{scopes.Pointer("https://acme.example/roles")} // added by an Action
	fmt.Println(auth0.URL, auth0.TokenTypes, auth0.Grants.RoleClaims)

	issuers := []mcpauth.Issuer{auth0, idp.Keycloak("https://keycloak.example.com/realms/acme", "mcp-server")}
	issuers = append(issuers, idp.EntraTenants("11111111-2222-3333-4444-555555555555",
		"aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee", "ffffffff-bbbb-cccc-dddd-eeeeeeeeeeee")...)
	_, err := mcpauth.New(mcpauth.Config{Resource: "https://mcp.example.com/mcp", Issuers: issuers})
	if err != nil {
		log.Fatal(err)
	}
	// Output:
	// https://acme.eu.auth0.com/ [at+jwt JWT] [/https:~1~1acme.example~1roles]
}

// A user pool whose logins are not bound to a resource: its tokens name no audience, so the app clients that exist for this server
// alone stand in for it. That is weaker, and the field says so.
func ExampleCognitoClients() {
	in := idp.CognitoClients("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789")
	in.Grants.TokenPrefix = "https://mcp.example.com/mcp/" // the identifier of the resource server
	in.Grants.ChallengePrefix = in.Grants.TokenPrefix
	fmt.Println(in.ClientIDs, in.DangerouslyAcceptNoAudience)
	// Output:
	// [1example23456789] true
}
