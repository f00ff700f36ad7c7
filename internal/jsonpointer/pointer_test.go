package jsonpointer_test

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal([]byte(text), &v))
	return v
}

// The document and the pointers of RFC 6901, Section 5.
func TestExamplesOfTheRFC(t *testing.T) {
	doc := decode(t, `{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}`)
	tests := []struct {
		pointer string
		want    any
	}{
		{"", doc},
		{"/foo", []any{"bar", "baz"}},
		{"/foo/0", "bar"},
		{"/", 0.0},
		{"/a~1b", 1.0},
		{"/c%d", 2.0},
		{"/e^f", 3.0},
		{"/g|h", 4.0},
		{"/i\\j", 5.0},
		{"/k\"l", 6.0},
		{"/ ", 7.0},
		{"/m~0n", 8.0},
	}
	for _, tt := range tests {
		t.Run(tt.pointer, func(t *testing.T) {
			p, err := jsonpointer.Parse(tt.pointer)
			require.NoError(t, err)
			require.Equal(t, tt.pointer, p.String())
			got, ok := p.Get(doc)
			require.True(t, ok)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestGet(t *testing.T) {
	doc := decode(t, `{"realm_access":{"roles":["a","b"]},"cognito:groups":["c"],"https://acme.example/roles":["d"],"p1.rid":"e",
		"null":null,"text":"f","~1":"g","list":[0,1,2,3,4,5,6,7,8,9,[10]],"obj":{"0":"x","01":"y","-":"z"}}`)
	tests := []struct {
		name, pointer string
		want          any
		found         bool
	}{
		{"a nested member", "/realm_access/roles", []any{"a", "b"}, true},
		{"an element of a nested array", "/realm_access/roles/1", "b", true},
		{"a name with a colon", "/cognito:groups/0", "c", true},
		{"a name that is a URL", "/https:~1~1acme.example~1roles/0", "d", true},
		{"the same URL without escapes is a path", "/https://acme.example/roles/0", nil, false},
		{"a name with a dot", "/p1.rid", "e", true},
		{"a null that is there", "/null", nil, true},
		{"nothing inside a null", "/null/x", nil, false},
		{"nothing inside a string", "/text/0", nil, false},
		{"~01 is ~1, not a slash", "/~01", "g", true},
		{"another case is another name", "/Realm_access/roles", nil, false},
		{"a missing member", "/nope", nil, false},
		{"index 10", "/list/10/0", 10.0, true},
		{"an index with a leading zero", "/list/01", nil, false},
		{"index 00", "/list/00", nil, false},
		{"the element after the last", "/list/-", nil, false},
		{"a negative index", "/list/-1", nil, false},
		{"a signed index", "/list/+1", nil, false},
		{"an index with a space", "/list/ 1", nil, false},
		{"an empty index", "/list/", nil, false},
		{"an index past the end", "/list/11", nil, false},
		{"an index that overflows", "/list/18446744073709551617", nil, false},
		{"an index in other digits", "/list/١", nil, false},
		{"0 as a name", "/obj/0", "x", true},
		{"01 as a name", "/obj/01", "y", true},
		{"- as a name", "/obj/-", "z", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := jsonpointer.Parse(tt.pointer)
			require.NoError(t, err)
			got, found := p.Get(doc)
			require.Equal(t, tt.found, found)
			require.Equal(t, tt.want, got)
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"scope", "#/scope", " /scope", "~0", "/~", "/a~", "/~2", "/a~x/b", "/~~0", "/\xff"} {
		t.Run(text, func(t *testing.T) {
			p, err := jsonpointer.Parse(text)
			require.Error(t, err)
			require.Zero(t, p)
		})
	}
}

func TestCovers(t *testing.T) {
	tests := []struct {
		p, q string
		want bool
	}{
		{"/scope", "/scope", true},
		{"/scope", "/scope/0", true},
		{"/scope/0", "/scope", false},
		{"/scope", "/scopes", false},
		{"", "/scope", true},
		{"/a~1b", "/a/b", false},
	}
	for _, tt := range tests {
		p, err := jsonpointer.Parse(tt.p)
		require.NoError(t, err)
		q, err := jsonpointer.Parse(tt.q)
		require.NoError(t, err)
		require.Equal(t, tt.want, p.Covers(q), "%s covers %s", tt.p, tt.q)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	p, err := jsonpointer.Parse("/realm_access/roles/0")
	require.NoError(t, err)
	doc := decode(t, `{"realm_access":{"roles":["a"]}}`)
	require.Zero(t, testing.AllocsPerRun(100, func() { p.Get(doc) }))
}

// Any member name, once escaped, is found under exactly its own name, at the top and nested.
func FuzzEscape(f *testing.F) {
	for _, name := range []string{"", "scope", "a/b", "m~n", "~01", "~1", "https://acme.example/roles", "cognito:groups", "-", "01"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		text := "/" + jsonpointer.Escape(name)
		p, err := jsonpointer.Parse(text + text)
		q, err2 := jsonpointer.Parse(text)
		if err != nil {
			require.Error(t, err2)
			require.False(t, utf8.ValidString(name), "only invalid UTF-8 is refused")
			return
		}
		got, ok := p.Get(map[string]any{name: map[string]any{name: "here"}, name + "x": "not here"})
		require.True(t, ok)
		require.Equal(t, "here", got)
		_, ok = q.Get(map[string]any{name + "x": 1, "x" + name: 2})
		require.False(t, ok)
	})
}
