package scopes_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

var goodTexts = []struct {
	name, text, want string
}{
	{"a scope", "files:read", "files:read"},
	{"both", "files:read and files:write", "files:read and files:write"},
	{"either", "a or b", "a or b"},
	{"three", "a and b and c", "a and b and c"},
	{"a role", "role(editor)", "role(editor)"},
	{"several roles", "role(editor,admin)", "role(editor, admin)"},
	{"a scope and a role", "files:write and role(editor)", "files:write and role(editor)"},
	{"authenticated", "authenticated", "authenticated"},
	{"never", "never", "never"},
	{"never beside or", "never or a", "a"},
	{"never beside and", "a and never", "never"},
	{"parentheses", "(files:write and (admin or role(editor)))", "files:write and (admin or role(editor))"},
	{"parentheses that say nothing", "((a) and ((b and c)))", "a and b and c"},
	{"many parentheses side by side", strings.Repeat("(a) and ", 40) + "(b)", "a and b"},
	{"an and inside an or", "a or (b and c)", "a or (b and c)"},
	{"roles gathered from an or", "role(a) or role(b) or x or role(c)", "role(a, b) or x or role(c)"},
	{"roles inside an and need no parentheses", "x and (role(a) or role(b))", "x and role(a, b)"},
	{"one part twice", "a or a", "a"},
	{"white space of a file", "\n  a\tand\r\n  b  ", "a and b"},
	{"no white space where none is needed", `("a")and("b")`, "a and b"},
	{"quotes that are not needed", `"a" and role("b")`, "a and role(b)"},
	{"a scope named and", `"and" and "or"`, `"and" and "or"`},
	{"scopes named as the other words", `"role" or "never" or "authenticated"`, `"role" or "never" or "authenticated"`},
	{"a scope named AND", `"AND"`, `"AND"`},
	{"a scope with parentheses", `"role(admin)"`, `"role(admin)"`},
	{"a scope with a comma", `"a,b"`, `"a,b"`},
	{"a scope that is a URL", "https://api.example.com/files.read", "https://api.example.com/files.read"},
	{"a role named as a word", "role(and, role, never)", "role(and, role, never)"},
	{"a role with a space", `role("chief editor")`, `role("chief editor")`},
	{"a role with a comma", `role("a, b", c)`, `role("a, b", c)`},
	{"a role with quotes", `role("\"x\" \\ \/")`, `role("\"x\" \\ /")`},
	{"a role of other letters", `role("Éditeur", "編集者")`, `role("Éditeur", "編集者")`},
	{"an escape that is not needed", `role("\u0061")`, "role(a)"},
	{"a no-break space is shown", `role("a\u00A0b")`, `role("a\u00a0b")`},
	{"a change of direction is shown", "role(\"a\u202eb\")", `role("a\u202eb")`},
	{"a pair of surrogates", `role("\ud83d\ude00")`, `role("😀")`},
	{"an invisible character above U+FFFF", "role(\"\U000e0001\")", `role("\udb40\udc01")`},
}

func TestParse(t *testing.T) {
	for _, tt := range goodTexts {
		t.Run(tt.name, func(t *testing.T) {
			r, err := scopes.Parse(tt.text)
			require.NoError(t, err)
			require.Equal(t, tt.want, r.String())
			again, err := scopes.Parse(r.String())
			require.NoError(t, err)
			require.Equal(t, r, again)
		})
	}
}

var badTexts = []struct {
	name, text string
	offset     int
	inMsg      string
}{
	{"nothing", "", 0, `write "never"`},
	{"white space only", " \n", 2, `write "never"`},
	{"two scopes side by side", "files:read files:write", 11, `expected "and", "or" or the end, got "files:write"`},
	{"a comma", "a, b", 1, `got ","`},
	{"an and that ends the text", "a and ", 6, "got the end"},
	{"an and that begins the text", "and a", 0, `got "and"`},
	{"two ands", "a and and b", 6, `got "and"`},
	{"and mixed with or", "a and b or c", 8, "parentheses"},
	{"or mixed with and", "a or b and c", 7, "parentheses"},
	{"AND in capitals after a scope", "a AND b", 2, `got "AND"`},
	{"NEVER in capitals", "a or NEVER", 5, `write "never" in lower case`},
	{"Authenticated with a capital", "Authenticated", 0, `write "authenticated" in lower case`},
	{"Role with a capital", "Role(admin)", 0, `write "role" in lower case`},
	{"a parenthesis that is not closed", "(a and b", 8, `expected "and", "or" or ")", got the end`},
	{"a parenthesis too many", "a)", 1, `got ")"`},
	{"empty parentheses", "()", 1, `got ")"`},
	{"a role without a name", "role()", 5, "name of a role"},
	{"a role with a trailing comma", "role(a,)", 7, "name of a role"},
	{"role alone", "role and a", 5, `expected "(" after "role"`},
	{"a role that is not closed", "role(a", 6, `expected "," or ")"`},
	{"a role with a space without quotes", "role(chief editor)", 11, "double quotes"},
	{"an empty role", `role(a, "")`, 8, "needs a name"},
	{"a role with a control character", `role("a\u0000")`, 5, "control character"},
	{"a role that is not UTF-8", "role(\"a\xff\")", 5, "UTF-8"},
	{"a role of other letters without quotes", "role(Éditeur)", 5, "double quotes"},
	{"an empty scope", `a or ""`, 5, "not a scope"},
	{"a scope with a space", `"a b"`, 0, "not a scope"},
	{"a scope with an escaped quote", `"a\"b"`, 0, "not a scope"},
	{"a backslash", `a\b`, 1, "cannot stand here"},
	{"another letter", "a or é", 5, "cannot stand here"},
	{"a no-break space", "a\u00a0and b", 1, "cannot stand here"},
	{"a zero byte", "a\x00", 1, "cannot stand here"},
	{"a vertical tab", "a\vand b", 1, "cannot stand here"},
	{"a quote that is not closed", `a or "b`, 5, "not closed"},
	{"a quote that ends in a backslash", `"a\`, 2, "expected"},
	{"an unknown escape", `role("a\n")`, 7, "expected"},
	{"a short escape", `role("\u12")`, 6, "expected"},
	{"a signed escape", `role("\u+123")`, 6, "expected"},
	{"an escape with an underscore", `role("\u0_61")`, 6, "expected"},
	{"a high surrogate alone", `role("\ud83dx")`, 6, "expected"},
	{"a low surrogate alone", `role("\ude00")`, 6, "expected"},
	{"two high surrogates", `role("\ud83d\ud83d")`, 6, "expected"},
	{"a scope beside a quote", `a"b"`, 1, `got "b"`},
	{"too long", strings.Repeat("x", 16<<10+1), 16 << 10, "16384"},
	{"too many parentheses", strings.Repeat("(", 40) + "a" + strings.Repeat(")", 40), 32, "32"},
	{"only parentheses", strings.Repeat("(", 16<<10), 32, "32"},
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range badTexts {
		t.Run(tt.name, func(t *testing.T) {
			r, err := scopes.Parse(tt.text)
			var syntax *scopes.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, tt.offset, syntax.Offset, err)
			require.Contains(t, err.Error(), tt.inMsg)
			require.Less(t, len(err.Error()), 400)
			require.True(t, r.IsZero())
		})
	}
}

// A text within the limit may print longer than it is, with escapes or a space after each comma. It could not be read back then.
func TestParseRefusesWhatWouldPrintTooLong(t *testing.T) {
	var list []string
	for i := range 3000 {
		list = append(list, fmt.Sprint(i))
	}
	for _, text := range []string{`role("` + strings.Repeat("\u00a0", 5000) + `")`, "role(" + strings.Join(list, ",") + ")"} {
		require.Less(t, len(text), 16<<10)
		r, err := scopes.Parse(text)
		require.ErrorContains(t, err, "16384")
		require.True(t, r.IsZero())
	}
}

func TestRulesAtTheLimitsReadBack(t *testing.T) {
	for _, r := range []scopes.Rule{deep(32), scopes.All(strings.Repeat("x", 16<<10)), scopes.All(strings.Repeat("(", 16<<10-2))} {
		again, err := scopes.Parse(r.String())
		require.NoError(t, err)
		require.Equal(t, r, again)
	}
}

func TestRuleInAConfigurationFile(t *testing.T) {
	var tools map[string]scopes.Rule
	require.NoError(t, json.Unmarshal([]byte(`{"read":"files:read","purge":"role(\"chief editor\")","off":"never"}`), &tools))
	require.True(t, tools["purge"].Equal(scopes.Role("chief editor")))
	require.True(t, tools["off"].IsZero())
	require.True(t, tools["missing"].IsZero())
	out, err := json.Marshal(tools)
	require.NoError(t, err)
	require.JSONEq(t, `{"read":"files:read","purge":"role(\"chief editor\")","off":"never"}`, string(out))

	r := scopes.Authenticated()
	require.Error(t, r.UnmarshalText([]byte("a and")))
	require.True(t, r.IsZero(), "a rule that could not be read is met by no one")
	require.Error(t, json.Unmarshal([]byte(`{"read":""}`), &tools))
}

// What can be read means the same once printed and read again, and is printed in visible characters.
func FuzzParse(f *testing.F) {
	for _, tt := range goodTexts {
		f.Add(tt.text, uint64(1))
	}
	for _, tt := range badTexts {
		f.Add(tt.text, uint64(2))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		r, err := scopes.Parse(text)
		if err != nil {
			require.True(t, r.IsZero())
			var syntax *scopes.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.LessOrEqual(t, syntax.Offset, len(text))
			return
		}
		again, err := scopes.Parse(r.String())
		require.NoError(t, err)
		require.True(t, again.Equal(r))
		require.Equal(t, r, again)
		require.Equal(t, -1, strings.IndexFunc(r.String(), func(c rune) bool { return c < ' ' || c == 0x7f || c == '\u202e' }))

		rnd := rand.New(rand.NewPCG(seed, 0))
		for range 8 {
			g := scopes.NewGrant(randomNames(rnd, r.Scopes()), randomNames(rnd, r.Roles()))
			require.Equal(t, r.Met(g), again.Met(g))
			require.Equal(t, r.Challenge(g), again.Challenge(g))
			if r.Met(g) {
				require.True(t, r.Obtainable(g))
			}
			if r.Obtainable(g) {
				require.True(t, r.Met(scopes.NewGrant(r.Challenge(g), g.Roles())))
			}
		}
	})
}
