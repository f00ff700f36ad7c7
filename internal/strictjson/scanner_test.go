package strictjson_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// read decodes one whole text of any kind.
func read(text string) (any, error) {
	s := strictjson.NewScanner([]byte(text), strictjson.Limits{})
	v, err := s.Any()
	if err != nil {
		return nil, err
	}
	return v, s.End()
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func members(n int, last string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"name-%d":%d,`, i, i)
	}
	return "{" + b.String() + `"` + last + `":0}`
}

var texts = []struct {
	name string
	text string
	want error // nil: accepted
}{
	{"an empty object", `{}`, nil},
	{"white space around everything", " \t\r\n{ \"a\" : [ 1 , 2 ] } \n", nil},
	{"every kind", `{"o":{},"a":[],"s":"x","n":-1.5e+10,"t":true,"f":false,"z":null}`, nil},
	{"names that differ in case only", `{"exp":1,"EXP":2}`, nil},
	{"the same name in two objects", `{"a":{"x":1},"b":{"x":1},"x":1}`, nil},
	{"escapes of every kind", `"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"`, nil},
	{"a NUL escape", `{"a\u0000":1,"a":2}`, nil},
	{"many distinct names", members(500, "last"), nil},
	{"depth at the limit", nested(64), nil},
	{"long plain string", `"` + strings.Repeat("plain text ", 100) + `"`, nil},
	{"DEL is no control character", "\"\x7f\"", nil},

	{"nothing", ``, strictjson.ErrSyntax},
	{"white space only", `  `, strictjson.ErrSyntax},
	{"a byte order mark", "\ufeff{}", strictjson.ErrSyntax},
	{"two texts", `{}{}`, strictjson.ErrSyntax},
	{"garbage behind the text", `{} x`, strictjson.ErrSyntax},
	{"a NUL behind the text", "{}\x00", strictjson.ErrSyntax},
	{"trailing comma in an object", `{"a":1,}`, strictjson.ErrSyntax},
	{"trailing comma in an array", `[1,]`, strictjson.ErrSyntax},
	{"leading comma", `[,1]`, strictjson.ErrSyntax},
	{"missing colon", `{"a" 1}`, strictjson.ErrSyntax},
	{"name without quotes", `{a:1}`, strictjson.ErrSyntax},
	{"single quotes", `{'a':1}`, strictjson.ErrSyntax},
	{"a comment", `{/**/}`, strictjson.ErrSyntax},
	{"unclosed object", `{"a":1`, strictjson.ErrSyntax},
	{"unclosed string", `"abc`, strictjson.ErrSyntax},
	{"a wrong closing bracket", `[1}`, strictjson.ErrSyntax},
	{"leading zero", `01`, strictjson.ErrSyntax},
	{"plus sign", `+1`, strictjson.ErrSyntax},
	{"no digit after the point", `1.`, strictjson.ErrSyntax},
	{"no digit before the point", `.5`, strictjson.ErrSyntax},
	{"no digit in the exponent", `1e`, strictjson.ErrSyntax},
	{"hexadecimal", `0x10`, strictjson.ErrSyntax},
	{"NaN", `NaN`, strictjson.ErrSyntax},
	{"a word cut short", `tru`, strictjson.ErrSyntax},
	{"a word in another case", `True`, strictjson.ErrSyntax},
	{"raw line feed in a string", "\"a\nb\"", strictjson.ErrSyntax},
	{"raw NUL in a string", "\"a\x00b\"", strictjson.ErrSyntax},
	{"raw control character after eight plain bytes", "\"12345678\x1fb\"", strictjson.ErrSyntax},
	{"unknown escape", `"\x41"`, strictjson.ErrSyntax},
	{"short unicode escape", `"\u12"`, strictjson.ErrSyntax},
	{"unicode escape with a sign", `"\u+123"`, strictjson.ErrSyntax},
	{"invalid UTF-8", "\"\xff\"", strictjson.ErrUTF8},
	{"overlong UTF-8", "\"\xc0\xaf\"", strictjson.ErrUTF8},
	{"a surrogate in UTF-8", "\"\xed\xa0\x80\"", strictjson.ErrUTF8},
	{"invalid UTF-8 in a name", "{\"\xff\":1}", strictjson.ErrUTF8},
	{"a lone high surrogate", `"\ud800"`, strictjson.ErrUTF8},
	{"a lone low surrogate", `"\udc00"`, strictjson.ErrUTF8},
	{"two high surrogates", `"\ud800\ud800"`, strictjson.ErrUTF8},
	{"a high surrogate before another escape", `"\ud800\n"`, strictjson.ErrUTF8},
	{"a duplicate name", `{"a":1,"a":2}`, strictjson.ErrDuplicate},
	{"a duplicate name by escape", `{"name":1,"n\u0061me":2}`, strictjson.ErrDuplicate},
	{"a duplicate empty name", `{"":1,"":2}`, strictjson.ErrDuplicate},
	{"a duplicate name deep inside", `[{"x":[{"a":1,"b":2,"a":3}]}]`, strictjson.ErrDuplicate},
	{"a duplicate of an outer object's sibling name after nesting", `{"a":{"b":1},"c":2,"a":3}`, strictjson.ErrDuplicate},
	{"a duplicate in the thirteenth place", members(12, "name-0"), strictjson.ErrDuplicate},
	{"a duplicate among many", members(500, "name-250"), strictjson.ErrDuplicate},
	{"depth beyond the limit", nested(65), strictjson.ErrDepth},
	{"a million brackets", strings.Repeat("[", 1e6), strictjson.ErrDepth},
}

func TestScanner(t *testing.T) {
	for _, tt := range texts {
		t.Run(tt.name, func(t *testing.T) {
			v, err := read(tt.text)
			if tt.want != nil {
				require.ErrorIs(t, err, tt.want)
			} else {
				require.NoError(t, err)
				require.Equal(t, reference(t, tt.text), v)
			}

			// Passing over a value judges it exactly as decoding it does.
			s := strictjson.NewScanner([]byte(tt.text), strictjson.Limits{})
			skipped := s.Skip()
			if skipped == nil {
				skipped = s.End()
			}
			require.Equal(t, err, skipped)
		})
	}
}

func reference(t testing.TB, text string) any {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v))
	return v
}

func TestScanner_ObjectSkipsWhatTheCallbackLeaves(t *testing.T) {
	s := strictjson.NewScanner([]byte(`{"a":{"deep":[1,{"x":2}]},"b":"kept","c":[3]}`), strictjson.Limits{})
	var got string
	require.NoError(t, s.Object(func(name []byte) (err error) {
		if string(name) == "b" {
			got, err = s.String()
		}
		return err
	}))
	require.NoError(t, s.End())
	require.Equal(t, "kept", got)
}

func TestScanner_FirstErrorIsFinal(t *testing.T) {
	s := strictjson.NewScanner([]byte(`[1,"two",3]`), strictjson.Limits{})
	err := s.Array(func(i int) error {
		if i == 0 {
			_, _ = s.String() // a caller that ignores the error cannot go on
		}
		return nil
	})
	require.ErrorIs(t, err, strictjson.ErrType)
	require.ErrorIs(t, s.Skip(), strictjson.ErrType)
	require.ErrorIs(t, s.End(), strictjson.ErrType)

	s = strictjson.NewScanner([]byte(`{"a":1}`), strictjson.Limits{})
	require.ErrorIs(t, s.Object(func([]byte) error { return io.ErrShortBuffer }), io.ErrShortBuffer)
	require.ErrorIs(t, s.End(), io.ErrShortBuffer)
}

func TestScanner_ErrorsDoNotQuoteTheInput(t *testing.T) {
	for _, tt := range texts {
		if _, err := read(strings.ReplaceAll(tt.text, "name", "s3cret")); err != nil {
			require.NotContains(t, err.Error(), "s3cret")
		}
	}
}

func TestObject_RefusesEveryOtherKind(t *testing.T) {
	for _, text := range []string{`[]`, `"x"`, `1`, `true`, `null`} {
		_, err := strictjson.Object([]byte(text), strictjson.Limits{})
		require.ErrorIs(t, err, strictjson.ErrType, text)
	}
	_, err := strictjson.Object([]byte(`{"a":1} {}`), strictjson.Limits{})
	require.ErrorIs(t, err, strictjson.ErrSyntax)
}

func TestScanner_RawAliasesOnlyItsValue(t *testing.T) {
	data := []byte(`{"a": [1, 2] ,"b":3}`)
	s := strictjson.NewScanner(data, strictjson.Limits{})
	var raw []byte
	require.NoError(t, s.Object(func(name []byte) (err error) {
		if string(name) == "a" {
			raw, err = s.Raw()
		}
		return err
	}))
	require.Equal(t, `[1, 2]`, string(raw))
	_ = append(raw, "XXXX"...)
	require.Equal(t, `{"a": [1, 2] ,"b":3}`, string(data))
}

func TestEqualFold(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"exp", "exp", true},
		{"exp", "EXP", true},
		{"exp", "eXp", true},
		{"iss", "i\u017fs", true},
		{"kid", "\u212aid", true},
		{"kid", "kid ", false},
		{"kid", "ki", false},
		{"", "", true},
		{"iss", "i\xc5", false},
		{"\u00e9", "\u00c9", false}, // outside ASCII nothing of ours is named
	} {
		require.Equal(t, tt.want, strictjson.EqualFold(tt.a, tt.b), "%q %q", tt.a, tt.b)
		require.Equal(t, tt.want, strictjson.EqualFold(tt.b, []byte(tt.a)), "%q %q", tt.b, tt.a)
	}
}

// What the scanner accepts, encoding/json accepts with the same meaning; what it refuses has one of
// the faults that it is there to refuse.
func FuzzScanner(f *testing.F) {
	for _, tt := range texts {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 1<<16 {
			return
		}
		v, err := read(text)
		if err == nil {
			require.True(t, json.Valid([]byte(text)))
			require.Equal(t, reference(t, text), v)
			return
		}
		if json.Valid([]byte(text)) && utf8.ValidString(text) && !ambiguous(text) {
			t.Fatalf("refused a plain text: %v", err)
		}
	})
}

// ambiguous reports whether a valid text has duplicate names, surrogate escapes or much nesting.
func ambiguous(text string) bool {
	if strings.Contains(strings.ToLower(text), `\ud`) {
		return true
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	type frame struct {
		object, value bool
		names         map[string]bool
	}
	var stack []frame
	for {
		tok, err := dec.Token()
		if err != nil {
			return false
		}
		top := len(stack) - 1
		if top >= 0 && stack[top].object {
			name, isString := tok.(string)
			if isString && !stack[top].value {
				if stack[top].names[name] {
					return true
				}
				stack[top].names[name] = true
				stack[top].value = true
				continue
			}
			stack[top].value = false
		}
		switch tok {
		case json.Delim('{'):
			stack = append(stack, frame{object: true, names: map[string]bool{}})
		case json.Delim('['):
			stack = append(stack, frame{})
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if len(stack) > 64 {
			return true
		}
	}
}

func BenchmarkSkip(b *testing.B) {
	text := func(n int) []byte {
		return []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"write","arguments":{"text":"` +
			strings.Repeat("lorem ipsum dolor sit amet \\n", n/29) + `"}}}`)
	}
	for _, size := range []int{1 << 10, 100 << 10, 4 << 20} {
		data := text(size)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if err := strictjson.NewScanner(data, strictjson.Limits{}).Skip(); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("%dKB-encoding/json", size>>10), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if !json.Valid(bytes.TrimSpace(data)) {
					b.Fatal("invalid")
				}
			}
		})
	}
}
