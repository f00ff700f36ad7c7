package mcpauth_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Of two names that some reader takes for one, both rules count for the other spellings, and "never" is a rule, whichever
// stands first.
func TestLoadPolicy_NeverAmongSpellings(t *testing.T) {
	for name, file := range map[string]string{
		"exact":         `{"version": 1, "resources": {"notes://*": "authenticated", "notes://a/secret": "never", "notes://a/%73ecret": "authenticated"}}`,
		"exact, behind": `{"version": 1, "resources": {"notes://*": "authenticated", "notes://a/%73ecret": "authenticated", "notes://a/secret": "never"}}`,
		"both encoded":  `{"version": 1, "resources": {"notes://*": "authenticated", "notes://a/s%65cret": "never", "notes://a/%73ecret": "authenticated"}}`,
		"prefix":        `{"version": 1, "resources": {"notes://*": "authenticated", "notes://a/%73ec*": "never", "notes://a/s%65c*": "authenticated"}}`,
		"prefix, other": `{"version": 1, "resources": {"notes://*": "authenticated", "notes://a/s%65c*": "authenticated", "notes://a/%73ec*": "never"}}`,
	} {
		auth, _ := newAuth(t, newIssuer(t), nil)
		require.NoError(t, auth.LoadPolicy([]byte(file)), name)
		p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant(nil, nil)})
		reads := func(uri string) bool {
			return auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: "resources/read", Name: uri}}) == nil
		}
		require.True(t, reads("notes://a/open"), name)
		for _, uri := range []string{"notes://a/se%63ret", "notes://a/secret?", "notes://A/secret", "notes://a//secret"} {
			require.False(t, reads(uri), "%s %s", name, uri)
		}
	}
}
