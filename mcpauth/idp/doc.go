// Package idp has presets for identity providers: how their access tokens look to an MCP server. A preset is a function that
// returns a plain [mcpauth.Issuer], to be used as it is, printed, or changed:
//
//	in := idp.Auth0("tenant.eu.auth0.com")
//	in.Grants.RoleClaims = []string{scopes.Pointer("https://acme.example/roles")}
//	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{in}})
//
// Nothing is asked of the provider, and nothing is special about the result: what a preset sets can be written by hand. The table
// presets.md shows what each sets, and where that is written down. docs/providers has a page for each: what to set in the console of
// the provider, and what goes wrong.
//
// # Evidence
//
// [Presets] lists for each preset the facts that it rests on, with their sources. A fact for which no source was read is marked
// unverified. Such a fact never makes a preset accept another typ than at+jwt or another audience than the resource; where the
// provider turns out to need that, every refusal is a log line that names the field to set.
//
// # Audiences
//
// Tokens must name the resource in aud. Where a provider cannot do that, the preset accepts the one audience that stands for the
// server there, which is an argument: the application id at Entra ID, the audience of the authorization server at Okta. At Stytch,
// Supabase, FusionAuth and ZITADEL that audience is shared by everything in one project, so the audience does not keep two servers
// of it apart; set ClientIDs, or use two projects.
//
// No preset sets a field whose name begins with Dangerously but CognitoClients, whose arguments are the clients that stand in.
//
// # Roles
//
// Groups and permissions count as roles. Where a provider leaves groups out because there are too many (Entra ID), they are
// unknown, which is not the same as none: a rule that needs one refuses, and [scopes.Grant.Unknown] says why.
//
// # Mistakes
//
// A preset panics if an argument could never be right, with a message that says what to write, as [scopes.All] does: it is called
// at start-up, with values from the source or the configuration. Everything else is reported by [mcpauth.New].
package idp
