package policy_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

func is[T any](want T) func(T) bool {
	return func(got T) bool { return reflect.DeepEqual(want, got) }
}

func TestArgument(t *testing.T) {
	text := policy.Argument("to", is("ada"))
	cents := policy.Argument("amount", func(n int64) bool { return n <= 100 })
	deep := policy.Argument("/order/items/1/name", is("b"))
	for _, tt := range []struct {
		name      string
		c         policy.Condition
		arguments string
		want      string
	}{
		{"a string", text, `{"to":"ada"}`, "yes"},
		{"another string", text, `{"to":"eve"}`, "no"},
		{"escapes are undone", text, `{"t\u006f":"\u0061da"}`, "yes"},
		{"another type", text, `{"to":["ada"]}`, "doubt"},
		{"null", text, `{"to":null}`, "doubt"},
		{"missing", text, `{}`, "doubt"},
		{"no arguments", text, ``, "doubt"},
		{"null arguments", text, ` null `, "doubt"},
		{"an array", text, `["ada"]`, "doubt"},
		{"not JSON", text, `{"to":"ada"`, "doubt"},
		{"data after the end", text, `{"to":"ada"}{}`, "doubt"},
		{"twice", text, `{"to":"ada","to":"eve"}`, "doubt"},
		{"twice, once escaped", text, `{"to":"ada","t\u006f":"eve"}`, "doubt"},
		{"twice elsewhere, deep down", text, `{"to":"ada","x":[{"y":1,"y":2}]}`, "doubt"},
		{"another case alone", text, `{"To":"ada"}`, "doubt"},
		{"another case first", text, `{"TO":"eve","to":"ada"}`, "doubt"},
		{"another case last", text, `{"to":"ada","tO":"eve"}`, "doubt"},
		{"invalid UTF-8", text, "{\"to\":\"ada\",\"x\":\"\xff\"}", "doubt"},
		{"too deep", text, `{"to":"ada","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "doubt"},

		{"a number", cents, `{"amount":100}`, "yes"},
		{"more", cents, `{"amount":101}`, "no"},
		{"negative", cents, `{"amount":-1}`, "yes"},
		{"a fraction", cents, `{"amount":1.5}`, "doubt"},
		{"a fraction of nothing", cents, `{"amount":1.0}`, "doubt"},
		{"an exponent", cents, `{"amount":1e2}`, "doubt"},
		{"a number too large", cents, `{"amount":9223372036854775808}`, "doubt"},
		{"a number as a string", cents, `{"amount":"1"}`, "doubt"},
		{"a float", policy.Argument("x", is(0.5)), `{"x":5e-1}`, "yes"},
		{"a float too large", policy.Argument("x", func(float64) bool { return true }), `{"x":1e999}`, "doubt"},
		{"a float as a bool", policy.Argument("x", func(float64) bool { return true }), `{"x":true}`, "doubt"},
		{"true", policy.Argument("dry_run", is(true)), `{"dry_run":true}`, "yes"},
		{"false", policy.Argument("dry_run", is(true)), `{"dry_run":false}`, "no"},
		{"a bool as a string", policy.Argument("dry_run", is(true)), `{"dry_run":"true"}`, "doubt"},
		{"strings", policy.Argument("to", is([]string{"a", "b"})), `{"to":["a","b"]}`, "yes"},
		{"no strings", policy.Argument("to", is([]string{})), `{"to":[]}`, "yes"},
		{"strings and others", policy.Argument("to", func([]string) bool { return true }), `{"to":["a",1]}`, "doubt"},
		{"a string for strings", policy.Argument("to", func([]string) bool { return true }), `{"to":"a"}`, "doubt"},

		{"by pointer", deep, `{"order":{"items":[{"name":"a"},{"name":"b"}]}}`, "yes"},
		{"by pointer, missing", deep, `{"order":{"items":[{"name":"b"}]}}`, "doubt"},
		{"by pointer, through a string", deep, `{"order":"items"}`, "doubt"},
		{"by pointer, another case on the way", deep, `{"order":{"items":[{"name":"a"},{"name":"b","NAME":"c"}]}}`, "doubt"},
		{"by pointer, another case at its beginning", deep, `{"Order":{},"order":{"items":[{"name":"a"},{"name":"b"}]}}`, "doubt"},
		{"another case beside the way", deep, `{"order":{"x":{"NAME":1},"items":[{"NAME":"a"},{"name":"b"}]}}`, "yes"},
		{"an index with a zero", policy.Argument("/a/01", is("b")), `{"a":["x","b"]}`, "doubt"},
		{"a name that is a number", policy.Argument("/a/01", is("b")), `{"a":{"01":"b"}}`, "yes"},
		{"a name with a slash and a tilde", policy.Argument("/a~1b~01", is("c")), `{"a/b~1":"c"}`, "yes"},
		{"a name with a dot", policy.Argument("a.b", is("c")), `{"a.b":"c"}`, "yes"},

		{"has", policy.HasArgument("to"), `{"to":null}`, "yes"},
		{"has not", policy.HasArgument("to"), `{"from":1}`, "no"},
		{"has not, without arguments", policy.HasArgument("to"), ``, "no"},
		{"has not, and null arguments", policy.HasArgument("to"), `null`, "no"},
		{"has in another case", policy.HasArgument("to"), `{"To":1}`, "doubt"},
		{"has, malformed", policy.HasArgument("to"), `{"to":1`, "doubt"},
		{"has, in an array", policy.HasArgument("to"), `[]`, "doubt"},
		{"optional, there", policy.OptionalArgument("to", is("ada")), `{"to":"ada"}`, "yes"},
		{"optional, another", policy.OptionalArgument("to", is("ada")), `{"to":"eve"}`, "no"},
		{"optional, missing", policy.OptionalArgument("to", is("ada")), `{}`, "yes"},
		{"optional, no arguments", policy.OptionalArgument("to", is("ada")), ``, "yes"},
		{"optional, null", policy.OptionalArgument("to", is("ada")), `{"to":null}`, "doubt"},
		{"optional, in another case", policy.OptionalArgument("to", is("ada")), `{"TO":"ada"}`, "doubt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, verdict(t, tt.c, tool("t", tt.arguments)))
		})
	}
}

func TestArguments(t *testing.T) {
	for _, none := range []string{``, `null`, ` null `, `{}`} {
		got, err := policy.Arguments(tool("t", none))
		require.NoError(t, err)
		require.NotNil(t, got)
		require.Empty(t, got)
	}
	got, err := policy.Arguments(tool("t", `{"to":"ada","n":9007199254740993,"list":[{"to":1},{"To":2}]}`))
	require.NoError(t, err)
	require.Equal(t, "ada", got["to"])
	require.Equal(t, json.Number("9007199254740993"), got["n"])
	for _, bad := range []string{`[]`, `{"secret":1`, `{"a":1,"a":2}`, `{"a":1}x`, `{"to":1,"To":2}`, `{"x":[{"ask":1,"asK":2}]}`, "{\"s\":1,\"\u017f\":2}", "{\"x\":{\"k\":1,\"\u212a\":2}}"} {
		got, err := policy.Arguments(tool("t", bad))
		require.Error(t, err, bad)
		require.Nil(t, got)
		require.NotContains(t, err.Error(), "secret")
	}
}

// What a condition takes an argument for is what encoding/json, which is lenient, takes it for: two
// readers never see two values.
func FuzzArgument(f *testing.F) {
	for _, seed := range []string{`{"to":"ada"}`, `{"to":"ada","TO":"eve"}`, `{"to":"a","to":"b"}`, `{"t\u006f":"x"}`, `{"to":null}`, `{}`, `null`, `[]`,
		`{"a":{"to":"x"},"to":"y"}`, `{"to":"\ud800"}`, "{\"to\":\"\xff\"}", `{"to":1}`, ` {"to" : "x" } `, `{"ſ":1}`, `{"to":"x"}x`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := slices.Clone(raw)
		var got []string
		call := tool("t", string(raw))
		c := policy.Argument("to", func(s string) bool { got = append(got, s); return true })
		held := c.Check(t.Context(), call) == nil
		require.Equal(t, before, raw)
		require.Equal(t, held, len(got) == 1)
		arguments, err := policy.Arguments(call)
		if !held {
			return
		}
		if err == nil {
			require.Equal(t, arguments["to"], got[0])
		}
		var lenient struct{ To *string }
		var exact map[string]any
		require.NoError(t, json.Unmarshal(raw, &lenient))
		require.NoError(t, json.Unmarshal(raw, &exact))
		require.Equal(t, *lenient.To, got[0])
		require.Equal(t, exact["to"], got[0])
		require.NoError(t, policy.HasArgument("to").Check(t.Context(), call))
		require.NoError(t, policy.OptionalArgument("to", is(got[0])).Check(t.Context(), call))
	})
}
