package scopes_test

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestAUTHZ07_ChallengeIsTheCheapestSet(t *testing.T) {
	tests := []struct {
		name, rule string
		grant      scopes.Grant
		want       []string
	}{
		{"CH-08 every scope of the operation, held ones too", "files:read and files:write", grant("files:read"), []string{"files:read", "files:write"}},
		{"scopes held that the rule does not name stay out", "a", grant("b c"), []string{"a"}},
		{"any-of names one", "a or b", grant(""), []string{"a"}},
		{"any-of prefers what is held", "a or b", grant("b"), []string{"b"}},
		{"fewest missing beats fewest in all", "c or (a and b)", grant("a b"), []string{"a", "b"}},
		{"equally many missing: fewest in all", "(a and b) or c", grant("a"), []string{"c"}},
		{"fewest missing", "(a and b) or c", grant(""), []string{"c"}},
		{"equal cost: what is named first", "(a and b) or (c and d)", grant(""), []string{"a", "b"}},
		{"one scope that serves two choices", "(a or b) and (b or c)", grant(""), []string{"b"}},
		{"a choice is decided by what is needed anyway", "(a or b) and b", grant(""), []string{"b"}},
		{"a choice is decided by what a later part needs", "(a or b or c) and (x or (c and y)) and y", grant(""), []string{"c", "y"}},
		{"parts are joined without duplicates", "(a and b) and (b and c) and a", grant(""), []string{"a", "b", "c"}},
		{"a branch whose role is missing is not chosen", "(a and role(x)) or (b and c)", grant(""), []string{"b", "c"}},
		{"a branch whose role is held is", "(a and role(x)) or (b and c)", grant("", "x"), []string{"a"}},
		{"a role that is held leaves the scope", "role(x) and a", grant("", "x"), []string{"a"}},
		{"a role that is missing leaves nothing", "role(x) and a", grant("a"), nil},
		{"a role that suffices needs no scope", "role(x) or a", grant("", "x"), nil},
		{"only a role", "role(x)", grant("a"), nil},
		{"authentication alone", "authenticated", grant(""), nil},
		{"authentication or a scope needs no scope", "a or authenticated", grant(""), nil},
		{"authentication and a scope", "authenticated and a", grant(""), []string{"a"}},
		{"a rule that is met names what meets it", "a and (b or c)", grant("a c"), []string{"a", "c"}},
		{"no caller at all", "a and (b or role(x))", scopes.Grant{}, []string{"a", "b"}},
		{"never", "never", grant("a"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := scopes.Parse(tt.rule)
			require.NoError(t, err)
			for range 3 { // CH-09: the same each time
				require.Equal(t, tt.want, r.Challenge(tt.grant))
			}
		})
	}
}

// The challenge names what the rule names, not the broader scope that would imply it or that the caller holds.
func TestAUTHZ06_HierarchyDoesNotChangeTheChallenge(t *testing.T) {
	m, err := scopes.Mapper{ScopeImplies: map[string][]string{"files:admin": {"files:read", "files:write"}}}.Compile()
	require.NoError(t, err)
	reader := m.Grant(map[string]any{"scope": "files:read"})
	admin := m.Grant(map[string]any{"scope": "files:admin"})

	write := scopes.All("files:read", "files:write")
	require.False(t, write.Met(reader))
	require.Equal(t, []string{"files:read", "files:write"}, write.Challenge(reader))
	require.True(t, write.Met(admin))

	// A scope that is held by implication costs nothing.
	purge := scopes.Or(scopes.All("purge", "sure"), scopes.All("files:read", "files:write", "purge"))
	require.Equal(t, []string{"purge", "files:read", "files:write"}, purge.Challenge(admin))
	require.Equal(t, []string{"purge", "sure"}, purge.Challenge(reader))
}

var (
	scopeNames = []string{"a", "b", "c", "d", "e", "and"}
	roleNames  = []string{"x", "y", "chief editor"}
)

// randomRule makes a rule of few names, so that parts overlap.
func randomRule(rnd *rand.Rand, depth int) scopes.Rule {
	pick := func(from []string) []string {
		names := make([]string, rnd.IntN(4))
		for i := range names {
			names[i] = from[rnd.IntN(len(from))]
		}
		return names
	}
	if depth == 0 || rnd.IntN(4) == 0 {
		switch rnd.IntN(10) {
		case 0:
			return scopes.Authenticated()
		case 1, 2:
			return scopes.Role(pick(roleNames)...)
		case 3, 4, 5:
			return scopes.Any(pick(scopeNames)...)
		default:
			return scopes.All(pick(scopeNames)...)
		}
	}
	parts := make([]scopes.Rule, 1+rnd.IntN(3))
	for i := range parts {
		parts[i] = randomRule(rnd, depth-1)
	}
	if rnd.IntN(2) == 0 {
		return scopes.And(parts...)
	}
	return scopes.Or(parts...)
}

func randomNames(rnd *rand.Rand, from []string) []string {
	var names []string
	for _, name := range from {
		if rnd.IntN(3) == 0 {
			names = append(names, name)
		}
	}
	return names
}

// cheapest is the definition: of all sets of the rule's scopes that meet it with these roles, the one with the fewest missing,
// then the smallest, then the one that has the first scope in which two differ.
func cheapest(r scopes.Rule, g scopes.Grant) (best []string, found bool) {
	all := r.Scopes()
	bestCost, bestBits := -1, 0
	for subset := range 1 << len(all) {
		var names []string
		cost := 0
		for i, name := range all {
			if subset>>i&1 == 1 {
				names = append(names, name)
				cost++
				if !g.HasScope(name) {
					cost += 100
				}
			}
		}
		if !r.Met(scopes.NewGrant(names, g.Roles())) {
			continue
		}
		diff := subset ^ bestBits
		first := subset>>bits.TrailingZeros(uint(diff))&1 == 1
		if bestCost < 0 || cost < bestCost || cost == bestCost && first {
			best, bestCost, bestBits = names, cost, subset
		}
	}
	return best, bestCost >= 0
}

func TestPropertiesOfRandomRules(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var met, obtainable, zero int
	for range 4000 {
		r := randomRule(rnd, 3)
		held, roles := randomNames(rnd, scopeNames), randomNames(rnd, roleNames)
		g := scopes.NewGrant(held, roles)
		challenge := r.Challenge(g)
		where := fmt.Sprintf("%s | %v %v", r, held, roles)

		want, can := cheapest(r, g)
		require.Equal(t, can, r.Obtainable(g), where)
		require.Equal(t, want, challenge, where)
		if r.Met(g) {
			met++
			require.True(t, r.Obtainable(g), "met implies obtainable: %s", where)
			more := scopes.NewGrant(append(slices.Clone(held), scopeNames[rnd.IntN(len(scopeNames))], "other"), append(roles, "other"))
			require.True(t, r.Met(more), "more scopes never take away: %s", where)
		}
		if r.Obtainable(g) {
			obtainable++
			require.True(t, r.Met(scopes.NewGrant(append(slices.Clone(held), challenge...), roles)), where)
			require.True(t, r.Met(scopes.NewGrant(challenge, roles)), "the challenge alone suffices: %s", where)
		}
		if r.IsZero() {
			zero++
		}
		parsed, err := scopes.Parse(r.String())
		require.NoError(t, err, where)
		require.Equal(t, r, parsed, "the same tree, not only the same text: %s", where)
		require.True(t, parsed.Equal(r), where)
	}
	require.Greater(t, met, 500, "the sample says something")
	require.Greater(t, obtainable-met, 500)
	require.Greater(t, zero, 50)
}

// Past the number of sets that are compared the answer is still right, quick and the same each time.
func TestChallengeOfARuleWithVeryManySets(t *testing.T) {
	var parts []scopes.Rule
	for i := range 60 {
		parts = append(parts, scopes.Or(
			scopes.All(fmt.Sprint("a", i), fmt.Sprint("b", i)), scopes.All(fmt.Sprint("c", i), fmt.Sprint("s", i%7)), scopes.All(fmt.Sprint("d", i, "x"), "s1")))
	}
	r := scopes.And(parts...)
	challenge := r.Challenge(grant("s1 s2"))
	require.True(t, r.Met(scopes.NewGrant(challenge, nil)))
	require.Equal(t, challenge, r.Challenge(grant("s1 s2")))

	// The beam holds 32 sets, but the one scope that is needed anyway decides a choice among a hundred.
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprint("s", i))
	}
	require.Equal(t, []string{"s99"}, scopes.And(scopes.Any(many...), scopes.All("s99")).Challenge(grant("")))
	require.Equal(t, []string{"s98"}, scopes.Any(many...).Challenge(grant("s98")))

	// Which of more than 32 equally cheap sets is taken depends on the rule's order of names, not on the order of arrival.
	backwards := slices.Clone(many)
	slices.Reverse(backwards)
	require.Equal(t, []string{"s0"}, scopes.Or(scopes.And(scopes.All(many...), scopes.Role("missing")), scopes.Any(backwards...)).Challenge(grant("")))

	// One set that is reached in forty ways counts once, and does not crowd out the one that a later part prefers.
	var roles []string
	var ways []scopes.Rule
	for i := range 40 {
		role := fmt.Sprint("r", i)
		roles = append(roles, role)
		ways = append(ways, scopes.And(scopes.Role(role), scopes.All("a")))
	}
	crowded := scopes.And(scopes.Or(append(ways, scopes.All("b"))...), scopes.Or(scopes.All("c", "d"), scopes.And(scopes.Role("r0"), scopes.All("b"))))
	require.Equal(t, []string{"b"}, crowded.Challenge(scopes.NewGrant(nil, roles)))
}
