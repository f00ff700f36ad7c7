package mcpauthtest_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// Whatever the names of claims, scopes and roles: what is written is what the Mapper reads, no more and no
// less, or it is refused.
func FuzzWriteGrant(f *testing.F) {
	f.Add("scope", "roles", "", "files:read", "admin", "", "", byte(0))
	f.Add("scp", "realm_access", "roles", "a", "é b", "api/", "acme/", byte(1))
	f.Add("https://x.example/a~b", "a/b", "~1", "a", "admin", "p", "", byte(2))
	f.Add("sub", "sub", "x", "a", "admin", "", "", byte(3))
	f.Add("a", "a", "b", "a", "b", "", "", byte(0))
	f.Add("0", "1", "0", "0", "0", "", "", byte(2))               // a selection by the claim of the scopes
	f.Add("scope", "_claim_names", "", "a", "b", "", "", byte(0)) // claims that are elsewhere
	f.Add("scope", "x", "iss", "a", "b", "", "", byte(2))
	f.Fuzz(func(t *testing.T, scopeClaim, first, second, scope, role, scopePrefix, rolePrefix string, form byte) {
		m := scopes.Mapper{ScopeClaims: []string{scopes.Pointer(scopeClaim)}, TokenPrefix: scopePrefix, RolePrefix: rolePrefix}
		place := scopes.Pointer(first)
		if second != "" {
			place = scopes.Pointer(first, second)
		}
		switch form % 3 {
		case 0:
			m.RoleClaims = []string{place}
		case 1:
			m.RoleKeys = []string{place}
		case 2:
			m.SelectedRoles = []scopes.Selection{{Claim: place, By: scopes.Pointer(second), Path: "/roles"}}
		}
		mapping, err := m.Compile()
		if err != nil || scopes.CheckRole(rolePrefix+role) != nil {
			return
		}
		claims := map[string]any{"sub": "ada"}
		if mcpauthtest.WriteGrant(claims, m, []string{scope}, []string{rolePrefix + role}, false) != nil {
			return
		}
		text, err := json.Marshal(claims)
		require.NoError(t, err)
		var read map[string]any
		require.NoError(t, json.Unmarshal(text, &read))
		g := mapping.Grant(read)
		require.Equal(t, []string{scope}, g.Scopes())
		require.Equal(t, []string{rolePrefix + role}, g.Roles())
	})
}
