package scopes_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestNewGrant(t *testing.T) {
	g := scopes.NewGrant(
		[]string{"b", "a", "", "b", "a b", "a\tb", `q"`, "é", "c"},
		[]string{"y", "", "x", "y", "bad\x00", "bad\xff", "chief editor"})
	require.Equal(t, []string{"b", "a", "c"}, g.Scopes())
	require.Equal(t, []string{"b", "a", "c"}, g.Presented())
	require.Equal(t, []string{"y", "x", "chief editor"}, g.Roles())
	require.True(t, g.HasScope("a"))
	require.False(t, g.HasScope("A"))
	require.False(t, g.HasScope(""))
	require.True(t, g.HasRole("chief editor"))
	require.False(t, g.HasRole("chief"))
	require.False(t, g.HasRole(""))
}

func TestZeroGrantIsNoCaller(t *testing.T) {
	var g scopes.Grant
	require.False(t, g.HasScope("a"))
	require.False(t, g.HasScope(""))
	require.False(t, g.HasRole("x"))
	require.Empty(t, g.Scopes())
	require.Empty(t, g.Presented())
	require.Empty(t, g.Roles())
	require.False(t, scopes.Authenticated().Met(g))
	require.True(t, scopes.Authenticated().Met(scopes.NewGrant(nil, nil)), "a caller without any right is a caller")
}

func TestGrantIsImmutable(t *testing.T) {
	in, roles := []string{"a", "b"}, []string{"x"}
	g := scopes.NewGrant(in, roles)
	in[0], roles[0] = "evil", "evil"
	require.Equal(t, []string{"a", "b"}, g.Scopes())
	for _, names := range [][]string{g.Scopes(), g.Presented(), g.Roles()} {
		names[0] = "evil"
		_ = append(names[:1], "evil")
	}
	require.Equal(t, []string{"a", "b"}, g.Scopes())
	require.Equal(t, []string{"x"}, g.Roles())
	require.False(t, g.HasScope("evil"))
	require.False(t, g.HasRole("evil"))
}

// A set answers alike below and above the size at which it is indexed.
func TestGrantsOfEverySize(t *testing.T) {
	for _, size := range []int{0, 1, 7, 8, 9, 10, 100, scopes.MaxNames} {
		var in []string
		for i := range size {
			in = append(in, fmt.Sprintf("s%d", i), "s0") // with duplicates
		}
		g := scopes.NewGrant(in, in)
		require.Len(t, g.Scopes(), size)
		require.Len(t, g.Roles(), size)
		for i := range size {
			require.True(t, g.HasScope(fmt.Sprintf("s%d", i)))
			require.True(t, g.HasRole(fmt.Sprintf("s%d", i)))
		}
		require.False(t, g.HasScope(fmt.Sprintf("s%d", size)))
		require.False(t, g.HasRole(fmt.Sprintf("s%d", size)))
	}
}

func TestNamesBeyondTheLimitGrantNothing(t *testing.T) {
	var in []string
	for i := range scopes.MaxNames + 10 {
		in = append(in, fmt.Sprintf("s%d", i))
	}
	g := scopes.NewGrant(in, in)
	require.Equal(t, in[:scopes.MaxNames], g.Scopes())
	require.Equal(t, in[:scopes.MaxNames], g.Roles())
	require.False(t, g.HasScope(in[scopes.MaxNames]))
	require.False(t, g.HasRole(in[scopes.MaxNames]))

	// What a hierarchy adds is not counted, whatever the credentials hold.
	m, err := scopes.Mapper{ScopeImplies: map[string][]string{in[0]: {"implied"}}}.Compile()
	require.NoError(t, err)
	array := make([]any, len(in))
	for i, name := range in {
		array[i] = name
	}
	mapped := m.Grant(map[string]any{"scp": array})
	require.Equal(t, in[:scopes.MaxNames], mapped.Presented())
	require.True(t, mapped.HasScope("implied"))
}
