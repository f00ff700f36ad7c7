package scopes_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestWithin(t *testing.T) {
	g := scopes.NewGrant([]string{"a", "b"}, []string{"x", "y"})
	limited := g.Within(scopes.NewGrant([]string{"c", "b"}, []string{"y", "z"}))
	require.Equal(t, []string{"b"}, limited.Scopes(), "what the limit alone holds is not granted")
	require.Equal(t, []string{"b"}, limited.Presented())
	require.Equal(t, []string{"y"}, limited.Roles())
	require.False(t, limited.HasScope("a"))
	require.False(t, limited.HasScope("c"))
	require.True(t, limited.HasScope("b"))
	require.False(t, limited.HasRole("x"))
	require.False(t, limited.HasRole("z"))
	require.True(t, limited.HasRole("y"))
	require.Equal(t, g, limited.Whole())
	require.True(t, scopes.Authenticated().Met(limited))

	require.Equal(t, scopes.Grant{}, g.Within(scopes.Grant{}), "within nothing there is nobody")
	require.Equal(t, scopes.Grant{}, scopes.Grant{}.Within(g))
	none := g.Within(scopes.NewGrant(nil, nil))
	require.Empty(t, none.Scopes())
	require.Empty(t, none.Roles())
	require.True(t, scopes.Authenticated().Met(none))
}

func TestSeveralLimitsAllCount(t *testing.T) {
	g := scopes.NewGrant([]string{"a", "b", "c"}, []string{"x", "y", "z"})
	one, two := scopes.NewGrant([]string{"a", "b"}, []string{"x", "y"}), scopes.NewGrant([]string{"b", "c"}, []string{"y", "z"})
	for _, limited := range []scopes.Grant{g.Within(one).Within(two), g.Within(two).Within(one), g.Within(one.Within(two))} {
		require.Equal(t, []string{"b"}, limited.Scopes())
		require.Equal(t, []string{"y"}, limited.Roles())
	}
}

// A step-up cannot lead out of a limit, and a challenge must not promise that it does.
func TestLimitAndStepUp(t *testing.T) {
	limit := scopes.NewGrant([]string{"read", "write"}, []string{"editor"})
	g := scopes.NewGrant([]string{"read"}, []string{"editor", "admin"}).Within(limit)
	for _, tt := range []struct {
		rule       scopes.Rule
		obtainable bool
		challenge  []string
	}{
		{scopes.All("write"), true, []string{"write"}},
		{scopes.All("purge"), false, nil},
		{scopes.All("write", "purge"), false, nil},
		{scopes.Any("purge", "write"), true, []string{"write"}}, // not the one named first
		{scopes.And(scopes.All("write"), scopes.Role("editor")), true, []string{"write"}},
		{scopes.And(scopes.All("write"), scopes.Role("admin")), false, nil},
		{scopes.Or(scopes.Role("admin"), scopes.All("write")), true, []string{"write"}},
	} {
		require.Equal(t, tt.obtainable, tt.rule.Obtainable(g), tt.rule)
		require.Equal(t, tt.challenge, tt.rule.Challenge(g), tt.rule)
		require.True(t, tt.rule.Obtainable(g.Whole()), tt.rule)
	}
}

func TestExtend(t *testing.T) {
	m, err := scopes.Mapper{
		ScopeImplies: map[string][]string{"write": {"read"}}, RoleImplies: map[string][]string{"admin": {"editor"}},
		RoleScopes: map[string][]string{"editor": {"write"}},
	}.Compile()
	require.NoError(t, err)
	g := scopes.NewGrant([]string{"own"}, []string{"admin"})
	extended := m.Extend(g)
	require.Equal(t, []string{"own", "write", "read"}, extended.Scopes())
	require.Equal(t, []string{"own"}, extended.Presented())
	require.Equal(t, []string{"admin", "editor"}, extended.Roles())
	require.Equal(t, []string{"own"}, g.Scopes(), "the Grant itself is not changed")
	require.Equal(t, []string{"admin"}, g.Roles())

	limited := m.Extend(g.Within(scopes.NewGrant([]string{"read"}, []string{"admin"})))
	require.Equal(t, []string{"read"}, limited.Scopes())
	require.Equal(t, []string{"admin"}, limited.Roles())
	require.Equal(t, scopes.Grant{}, m.Extend(scopes.Grant{}), "nobody stays nobody")
	require.Equal(t, g, (*scopes.Mapping)(nil).Extend(g))
}

// A Grant is shared by all requests of a token: what one hierarchy adds to a copy is not in the original, nor in another copy.
func TestExtend_LeavesTheGrantAlone(t *testing.T) {
	implies := func(name string) *scopes.Mapping {
		m, err := scopes.Mapper{
			ScopeImplies: map[string][]string{"s0": {"extra:" + name}}, RoleImplies: map[string][]string{"r0": {"role:" + name}},
		}.Compile()
		require.NoError(t, err)
		return m
	}
	one, two := implies("one"), implies("two")
	for n := 1; n < 50; n++ {
		var scopeNames, roleNames []string
		for i := range n {
			scopeNames, roleNames = append(scopeNames, fmt.Sprintf("s%d", i)), append(roleNames, fmt.Sprintf("r%d", i))
		}
		g := scopes.NewGrant(scopeNames, roleNames)
		a, b := one.Extend(g), two.Extend(g)
		require.Equal(t, append(slices.Clone(scopeNames), "extra:one"), a.Scopes())
		require.Equal(t, append(slices.Clone(scopeNames), "extra:two"), b.Scopes())
		require.Equal(t, append(slices.Clone(roleNames), "role:one"), a.Roles())
		require.True(t, a.HasScope("extra:one") && a.HasRole("role:one") && b.HasScope("extra:two") && b.HasRole("role:two"))
		require.False(t, a.HasScope("extra:two") || a.HasRole("role:two") || b.HasScope("extra:one") || b.HasRole("role:one"), n)
		require.False(t, g.HasScope("extra:one") || g.HasScope("extra:two") || g.HasRole("role:one") || g.HasRole("role:two"), n)
		require.Equal(t, scopeNames, g.Scopes())
	}
}

// Whatever the rule: what a limited caller may do, the caller and the limit could do alone, and the
// challenge leads to something that the limit allows.
func TestWithinOnlyTakesAway(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	grant := func() scopes.Grant { return scopes.NewGrant(randomNames(rng, scopeNames), randomNames(rng, roleNames)) }
	for range 5000 {
		r, g, limit := randomRule(rng, rng.IntN(4)), grant(), grant()
		both := g.Within(limit)
		if r.Met(both) {
			require.True(t, r.Met(g) && r.Met(limit), "%s %v %v", r, g, limit)
		}
		all := scopes.NewGrant(limit.Scopes(), g.Roles()).Within(limit)
		require.Equal(t, r.Met(all), r.Obtainable(both), "%s %v %v", r, g, limit)
		if r.Obtainable(both) {
			stepped := scopes.NewGrant(r.Challenge(both), g.Roles()).Within(limit)
			require.True(t, r.Met(stepped), "%s %v %v %v", r, g, limit, r.Challenge(both))
		} else {
			require.Nil(t, r.Challenge(both))
		}
	}
}
