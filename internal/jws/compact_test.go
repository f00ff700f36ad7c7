package jws_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jws"
)

func TestSplit(t *testing.T) {
	for _, tt := range []struct {
		name, token string
		parts       []string
		dots        int
		foreign     bool
	}{
		{"three parts", "aa.bb.cc", []string{"aa", "bb", "cc"}, 2, false},
		{"three empty parts", "..", []string{"", "", ""}, 2, false},
		{"nothing", "", nil, 0, false},
		{"one part", "aa", nil, 0, false},
		{"two parts", "aa.bb", nil, 1, false},
		{"five parts", "a.b.c.d.e", nil, 4, false},
		{"padding", "aa=.bb.cc", nil, 2, true},
		{"a line break", "aa.bb\n.cc", nil, 2, true},
		{"two joined by a comma", "aa.bb.cc,aa.bb.cc", nil, 4, true},
		{"a comma at the end", "aa.bb.cc,", nil, 2, true},
		{"base64 of the other alphabet", "a+.b/.cc", nil, 2, true},
		{"a zero byte", "aa.bb.cc\x00", nil, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := jws.Split(tt.token)
			require.Equal(t, tt.dots, p.Dots)
			require.Equal(t, tt.foreign, p.Foreign)
			require.Equal(t, tt.parts != nil, p.OK())
			want := [3]string{}
			copy(want[:], tt.parts)
			require.Equal(t, want, [3]string{p.Header, p.Payload, p.Signature})
		})
	}
	require.False(t, jws.Parts{}.OK(), "the zero Parts")
	require.Zero(t, testing.AllocsPerRun(10, func() { jws.Split("aa.bb.cc") }))
}

// FuzzDecode: whatever is decoded has no other spelling.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "YQ", "YWI", "YWJj", "YR", "YQ==", "YQ\n", "Y\nQ", "YWJj\r", "YWJj\n\n\n\n", "Y", "YWJjZ", "-_-_", "+/+/", "\n", "\n\n\n\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := jws.Decode(text)
		if err != nil {
			require.ErrorIs(t, err, jws.ErrEncoding)
			require.Nil(t, got)
			// Refused is only what has another spelling or none at all.
			plain, err := base64.RawURLEncoding.DecodeString(text)
			require.False(t, err == nil && base64.RawURLEncoding.EncodeToString(plain) == text)
			return
		}
		require.Equal(t, text, base64.RawURLEncoding.EncodeToString(got))
		require.True(t, jws.Split(text+".."+strings.ToLower(text)).OK())
	})
}
