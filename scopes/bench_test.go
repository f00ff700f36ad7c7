package scopes_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func manyScopes(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("tenant:files:%04d", i)
	}
	return list
}

func BenchmarkMet(b *testing.B) {
	for _, held := range []int{4, 8, 16, 1000} {
		list := manyScopes(held)
		g := scopes.NewGrant(list, []string{"viewer", "editor"})
		last := list[held-1]
		for _, bb := range []struct {
			name string
			rule scopes.Rule
			want bool
		}{
			{"one", scopes.All(last), true},
			{"denied", scopes.All("tenant:files:none"), false},
			{"nested", scopes.And(scopes.Any("tenant:files:none", last), scopes.Or(scopes.Role("owner", "editor"), scopes.All("tenant:admin"))), true},
		} {
			b.Run(fmt.Sprintf("%s/scopes=%d", bb.name, held), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if bb.rule.Met(g) != bb.want {
						b.Fatal("wrong decision")
					}
				}
			})
		}
	}
}

func BenchmarkChallenge(b *testing.B) {
	g := grant("files:read", "editor")
	for _, text := range []string{"files:read and files:write", "(a or b) and (b or c) and role(editor) and files:read"} {
		rule, err := scopes.Parse(text)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("scopes=%d", len(rule.Scopes())), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				rule.Challenge(g)
			}
		})
	}
}

func BenchmarkGrant(b *testing.B) {
	m, err := scopes.Mapper{
		RoleClaims:   []string{"/realm_access/roles"},
		ScopeImplies: map[string][]string{"files:admin": {"files:write"}, "files:write": {"files:read"}},
		RoleImplies:  map[string][]string{"Admin": {"Developer"}, "Developer": {"User"}},
		RoleScopes:   map[string][]string{"User": {"notes:read"}},
	}.Compile()
	require.NoError(b, err)
	for _, bb := range []struct{ name, scope string }{
		{"scopes=4", "openid profile email files:admin"},
		{"scopes=100", strings.Join(manyScopes(100), " ")},
		{"scopes=1000", strings.Join(manyScopes(1000), " ")},
	} {
		claims := map[string]any{"scope": bb.scope, "realm_access": map[string]any{"roles": []any{"Admin"}}}
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Grant(claims)
			}
		})
	}
}
