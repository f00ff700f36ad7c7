package scopes_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func grant(scopesHeld string, roles ...string) scopes.Grant {
	return scopes.NewGrant(strings.Fields(scopesHeld), roles)
}

func TestAUTHZ05_Met(t *testing.T) {
	a, b, c := scopes.All("a"), scopes.All("b"), scopes.All("c")
	tests := []struct {
		name       string
		rule       scopes.Rule
		grant      scopes.Grant
		met        bool
		obtainable bool
	}{
		{"one scope held", a, grant("a"), true, true},
		{"one scope missing", a, grant("b"), false, true},
		{"a part of a name is another name", scopes.All("files:read"), grant("files files:rea files:readx"), false, true},
		{"another case is another name", scopes.All("files:read"), grant("Files:Read FILES:READ"), false, true},
		{"a star is no pattern in a grant", scopes.All("files:read"), grant("* files:* files:"), false, true},
		{"a star is no pattern in a rule", scopes.All("files:*"), grant("files:read"), false, true},
		{"all of two with both", scopes.All("a", "b"), grant("b a"), true, true},
		{"all of two with one", scopes.All("a", "b"), grant("a"), false, true},
		{"any of two with the second", scopes.Any("a", "b"), grant("b"), true, true},
		{"any of two with neither", scopes.Any("a", "b"), grant("c"), false, true},
		{"one of several roles suffices", scopes.Role("x", "y"), grant("", "y"), true, true},
		{"no role is obtainable by scopes", scopes.Role("x"), grant("x"), false, false},
		{"a scope is no role", scopes.Role("admin"), grant("admin"), false, false},
		{"a role is no scope", scopes.All("admin"), grant("", "admin"), false, true},
		{"both of two roles with one", scopes.And(scopes.Role("x"), scopes.Role("y")), grant("", "y"), false, false},
		{"both of two roles with both", scopes.And(scopes.Role("x"), scopes.Role("y")), grant("", "y", "x"), true, true},
		{"scope and role with both", scopes.And(a, scopes.Role("x")), grant("a", "x"), true, true},
		{"scope and role without the role", scopes.And(a, scopes.Role("x")), grant("a"), false, false},
		{"scope and role without the scope", scopes.And(a, scopes.Role("x")), grant("", "x"), false, true},
		{"scope or role with the role", scopes.Or(a, scopes.Role("x")), grant("", "x"), true, true},
		{"scope or role with neither", scopes.Or(a, scopes.Role("x")), grant(""), false, true},
		{"any inside all", scopes.And(a, scopes.Or(b, c)), grant("a c"), true, true},
		{"any inside all, outer missing", scopes.And(a, scopes.Or(b, c)), grant("b c"), false, true},
		{"all inside any", scopes.Or(a, scopes.And(b, c)), grant("b c"), true, true},
		{"all inside any, half of it", scopes.Or(a, scopes.And(b, c)), grant("b"), false, true},
		{"an or inside an or", scopes.Or(a, scopes.Or(b, c)), grant("c"), true, true},
		{"an and inside an and", scopes.And(a, scopes.And(b, c)), grant("a b"), false, true},
		{"authenticated without any name", scopes.Authenticated(), grant(""), true, true},
		{"authenticated and a scope", scopes.And(scopes.Authenticated(), a), grant(""), false, true},
		{"authenticated or a scope", scopes.Or(scopes.Authenticated(), a), grant(""), true, true},
		{"no caller is not authenticated", scopes.Authenticated(), scopes.Grant{}, false, true},
		{"no caller and a scope", a, scopes.Grant{}, false, true},
		{"no caller and a role", scopes.Role("x"), scopes.Grant{}, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.met, tt.rule.Met(tt.grant))
			require.Equal(t, tt.obtainable, tt.rule.Obtainable(tt.grant))
		})
	}
}

// Empty and zero are never "everything".
func TestZeroRuleIsMetByNoOne(t *testing.T) {
	everything := scopes.NewGrant([]string{"a", "b", "never", "admin"}, []string{"admin", "never"})
	zero := scopes.Rule{}
	var none []string
	tests := []struct {
		name string
		rule scopes.Rule
	}{
		{"the zero Rule", zero},
		{"All of nothing", scopes.All()},
		{"All of a nil slice", scopes.All(none...)},
		{"Any of nothing", scopes.Any()},
		{"Role of nothing", scopes.Role()},
		{"And of nothing", scopes.And()},
		{"Or of nothing", scopes.Or()},
		{"And of the zero Rule", scopes.And(zero)},
		{"And with the zero Rule first", scopes.And(zero, scopes.All("a"))},
		{"And with the zero Rule last", scopes.And(scopes.All("a"), zero)},
		{"And with an empty All", scopes.And(scopes.All("a"), scopes.All())},
		{"And with an empty Or", scopes.And(scopes.Authenticated(), scopes.Or())},
		{"And with a zero And inside", scopes.And(scopes.All("a"), scopes.And(scopes.All("b"), zero))},
		{"Or of zero Rules", scopes.Or(zero, scopes.And(), scopes.All())},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.False(t, tt.rule.Met(everything))
			require.False(t, tt.rule.Obtainable(everything))
			require.Nil(t, tt.rule.Challenge(everything))
			require.True(t, tt.rule.IsZero())
			require.True(t, tt.rule.Equal(zero))
			require.Equal(t, "never", tt.rule.String())
			require.Empty(t, tt.rule.Scopes())
			require.Empty(t, tt.rule.Roles())
		})
	}
	require.True(t, scopes.Or(zero, scopes.All("a")).Equal(scopes.All("a")), "Or passes over zero Rules")
	require.False(t, scopes.All("a").IsZero())
}

func TestCH10_BadNamesPanicWhereTheRuleIsMade(t *testing.T) {
	tests := []struct {
		name  string
		make  func()
		inMsg string
	}{
		{"an empty scope", func() { scopes.All("") }, `""`},
		{"a scope with a space", func() { scopes.All("a", "b c") }, `"b c"`},
		{"a scope with a quote", func() { scopes.Any(`a"b`) }, `"a\"b"`},
		{"a scope with a backslash", func() { scopes.Any(`a\b`) }, `"a\\b"`},
		{"a scope with a line end", func() { scopes.All("a\r\nX: y") }, `"a\r\nX: y"`},
		{"a scope with a tab", func() { scopes.All("a\tb") }, `"a\tb"`},
		{"a scope with DEL", func() { scopes.All("a\x7f") }, `"a\x7f"`},
		{"a scope that is not ASCII", func() { scopes.All("é") }, `"é"`},
		{"an empty role", func() { scopes.Role("") }, `""`},
		{"a role with a control character", func() { scopes.Role("ok", "a\x00b") }, `"a\x00b"`},
		{"a role with a C1 control character", func() { scopes.Role("a\u0085b") }, `"a\u0085b"`},
		{"a role that is not UTF-8", func() { scopes.Role("a\xffb") }, `"a\xffb"`},
		{"a rule that is too deep", func() { deep(40) }, "32 levels"},
		{"a rule that is too long", func() { scopes.All(strings.Repeat("x", 20_000)) }, "16384"},
		{"a rule that is too long together", func() {
			scopes.And(scopes.All(strings.Repeat("x", 9000)), scopes.All(strings.Repeat("y", 9000)))
		}, "16384"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			defer func() {
				require.Contains(t, recover(), tt.inMsg)
			}()
			tt.make()
			require.Fail(t, "no panic")
		})
	}
	require.NotPanics(t, func() { scopes.All("!", "#", "[", "]", "~", "https://api.example.com/a,(b)?c=d;e'f") })
	require.NotPanics(t, func() { scopes.Role("Éditeur en chef", `CN=a\,b "c"`, " ", "\u202eevil", "😀") })
}

// deep makes a rule of the given number of levels, And and Or in turn.
func deep(levels int) scopes.Rule {
	r := scopes.All("leaf")
	for i := 1; i < levels; i++ {
		name := strings.Repeat("x", i)
		if i%2 == 0 {
			r = scopes.Or(r, scopes.All(name))
		} else {
			r = scopes.And(r, scopes.All(name))
		}
	}
	return r
}

func TestEqual(t *testing.T) {
	a, b, c := scopes.All("a"), scopes.All("b"), scopes.All("c")
	tests := []struct {
		name string
		x, y scopes.Rule
		want bool
	}{
		{"All and And of All", scopes.All("a", "b"), scopes.And(a, b), true},
		{"Any and Or of All", scopes.Any("a", "b"), scopes.Or(a, b), true},
		{"Role and Or of Role", scopes.Role("a", "b"), scopes.Or(scopes.Role("a"), scopes.Role("b")), true},
		{"nested And", scopes.And(a, scopes.And(b, c)), scopes.And(scopes.And(a, b), c), true},
		{"nested Or", scopes.Or(a, scopes.Or(b, c)), scopes.Any("a", "b", "c"), true},
		{"a part twice", scopes.And(a, b, a), scopes.All("a", "b"), true},
		{"a nested part twice", scopes.And(scopes.Any("a", "b"), scopes.Or(a, b)), scopes.Any("a", "b"), true},
		{"one part", scopes.And(scopes.Or(a)), a, true},
		{"another order", scopes.All("a", "b"), scopes.All("b", "a"), false},
		{"All and Any", scopes.All("a", "b"), scopes.Any("a", "b"), false},
		{"scope and role", scopes.All("a"), scopes.Role("a"), false},
		{"a scope that looks like a role", scopes.All("role(a)"), scopes.Role("a"), false},
		{"a scope that looks like two", scopes.All("a,b"), scopes.All("a", "b"), false},
		{"a role that looks like two", scopes.Role("a, b"), scopes.Role("a", "b"), false},
		{"a scope named never", scopes.All("never"), scopes.Rule{}, false},
		{"a scope named authenticated", scopes.All("authenticated"), scopes.Authenticated(), false},
		{"authenticated", scopes.Authenticated(), scopes.Authenticated(), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.x.Equal(tt.y), "%s | %s", tt.x, tt.y)
			require.Equal(t, tt.want, tt.y.Equal(tt.x))
		})
	}
}

func TestRulesDoNotAliasTheirArguments(t *testing.T) {
	names := []string{"a", "b"}
	all, role := scopes.All(names...), scopes.Role(names...)
	parts := []scopes.Rule{all, role}
	and := scopes.And(parts...)
	names[0], parts[0] = "x", scopes.Authenticated()
	require.Equal(t, "a and b", all.String())
	require.Equal(t, "role(a, b)", role.String())
	require.Equal(t, "a and b and role(a, b)", and.String())

	named := all.Scopes()
	named[0] = "x"
	require.Equal(t, []string{"a", "b"}, all.Scopes())
	challenge := all.Challenge(grant(""))
	challenge[0] = "x"
	require.Equal(t, []string{"a", "b"}, all.Challenge(grant("")))
}

func TestScopesAndRolesNamed(t *testing.T) {
	r := scopes.Or(scopes.And(scopes.All("b", "a"), scopes.Role("y", "x")), scopes.And(scopes.Any("a", "c"), scopes.Role("x", "z")))
	require.Equal(t, []string{"b", "a", "c"}, r.Scopes())
	require.Equal(t, []string{"y", "x", "z"}, r.Roles())
}

func TestDecisionsDoNotAllocate(t *testing.T) {
	r := scopes.And(scopes.Any("a", "b"), scopes.Or(scopes.Role("x"), scopes.All("c", "d")))
	g := grant("b c d")
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Met(g) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Obtainable(g) }))
	require.Zero(t, testing.AllocsPerRun(100, func() { r.Obtainable(scopes.Grant{}) }))
}
