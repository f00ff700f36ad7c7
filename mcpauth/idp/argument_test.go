package idp_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
)

func TestArgumentsThatCannotBeRight(t *testing.T) {
	const guid = entraTenant
	tests := map[string]func(){
		`Auth0: domain ""`:                              func() { idp.Auth0("") },
		`Auth0: domain "acme.eu.auth0.com/x"`:           func() { idp.Auth0("acme.eu.auth0.com/x") },
		`Auth0: domain "http://acme.eu.auth0.com"`:      func() { idp.Auth0("http://acme.eu.auth0.com") },
		`Auth0: domain "user@acme.eu.auth0.com"`:        func() { idp.Auth0("user@acme.eu.auth0.com") },
		`Auth0: domain "a b"`:                           func() { idp.Auth0("a b") },
		`Entra: tenant "common"`:                        func() { idp.Entra("common", guid) },
		`Entra: tenant "acme.onmicrosoft.com"`:          func() { idp.Entra("acme.onmicrosoft.com", guid) },
		`Entra: tenant "{tenantid}"`:                    func() { idp.Entra("{tenantid}", guid) },
		`Entra: clientID "api://x"`:                     func() { idp.Entra(guid, "api://x") },
		`EntraTenants: tenants ""`:                      func() { idp.EntraTenants(guid) },
		`EntraTenants: tenant "organizations"`:          func() { idp.EntraTenants(guid, guid, "organizations") },
		`EntraV1: tenant ""`:                            func() { idp.EntraV1("", guid) },
		`Okta: server "default/x"`:                      func() { idp.Okta("a.okta.com", "default/x", "api://default") },
		`Okta: audience ""`:                             func() { idp.Okta("a.okta.com", "default", "") },
		`Cognito: pool ".."`:                            func() { idp.Cognito("eu-central-1", "..") },
		`Cognito: clientIDs ""`:                         func() { idp.Cognito("eu-central-1", "eu-central-1_X", "") },
		`CognitoClients: clientIDs ""`:                  func() { idp.CognitoClients("eu-central-1", "eu-central-1_X") },
		`Asgardeo: organization "a/../b"`:               func() { idp.Asgardeo("a/../b") },
		`Keycloak: realm "keycloak.example.com"`:        func() { idp.Keycloak("keycloak.example.com", "") },
		`Keycloak: realm "http://kc.example.com/r"`:     func() { idp.Keycloak("http://kc.example.com/r", "") },
		`Hydra: issuer "https://h/.well-known/x"`:       func() { idp.Hydra("https://h/.well-known/x") },
		`ZITADEL: project ""`:                           func() { idp.ZITADEL("a.zitadel.cloud", "") },
		`Scalekit: resource "res/1"`:                    func() { idp.Scalekit("a.scalekit.com", "res/1") },
		`DescopeServer: server ""`:                      func() { idp.DescopeServer("P2", "") },
		`Supabase: project "https://abc.supabase.co"`:   func() { idp.Supabase("https://abc.supabase.co") },
		`FusionAuth: issuer ""`:                         func() { idp.FusionAuth("", "https://a.fusionauth.io", guid) },
		`FusionAuth: application "x"`:                   func() { idp.FusionAuth("acme.com", "https://a.fusionauth.io", "x") },
		`PingOne: environment ""`:                       func() { idp.PingOne("auth.pingone.eu", "") },
		`Stytch: project "project test"`:                func() { idp.Stytch("auth.example.com", "project test") },
		`Thunder: server "https://t.example.com/?x=1"`:  func() { idp.Thunder("https://t.example.com/?x=1") },
		`Logto: domain "[::1"`:                          func() { idp.Logto("[::1") },
		`WSO2: server ""`:                               func() { idp.WSO2("") },
		`PingFederate: server "sso.example.com"`:        func() { idp.PingFederate("sso.example.com") },
		`OktaOrg: domain "dev.okta.com/oauth2/default"`: func() { idp.OktaOrg("dev.okta.com/oauth2/default") },
	}
	for says, call := range tests {
		t.Run(says, func(t *testing.T) {
			defer func() {
				message, ok := recover().(string)
				require.True(t, ok, "no panic")
				require.Contains(t, message, "idp: "+says+" cannot be right: write ")
			}()
			call()
		})
	}
}

// What consoles show may be pasted.
func TestArgumentsAsTheyArePasted(t *testing.T) {
	require.Equal(t, idp.Auth0("acme.eu.auth0.com"), idp.Auth0("https://acme.eu.auth0.com/"))
	require.Equal(t, idp.Entra(entraTenant, entraAPI), idp.Entra("AAAAAAAA-BBBB-CCCC-DDDD-EEEEEEEEEEEE", entraAPI))
	require.Equal(t, idp.Keycloak("https://k.example.com/realms/a", "c"), idp.Keycloak("https://k.example.com/realms/a/", "c"))
	require.Equal(t, "http://localhost:8080/realms/a", idp.Keycloak("http://localhost:8080/realms/a", "").URL)
	require.Equal(t, "https://hydra.example.com", idp.Hydra("https://hydra.example.com").URL, "here the slash is part of it")
	require.Equal(t, "https://hydra.example.com/", idp.Hydra("https://hydra.example.com/").URL)
}

// An issuer that is no URL needs another one that clients can find.
func TestFusionAuthIsFound(t *testing.T) {
	in := idp.FusionAuth("acme.com", "https://a.fusionauth.io/", fusionApp)
	require.Equal(t, "acme.com", in.URL)
	require.Equal(t, "https://a.fusionauth.io", in.AuthorizationServer)
	require.Empty(t, idp.FusionAuth("https://a.fusionauth.io", "https://a.fusionauth.io", fusionApp).AuthorizationServer)
	_, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{in}})
	require.NoError(t, err)
}
