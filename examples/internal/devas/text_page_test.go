package devas_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func TestAS45_Clean(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"plain text stays", "Notes & more", "Notes & more"},
		{"lines become one", "a\r\n\tb\u2028c\u0085d", "a b c d"},
		{"reversal goes", "a\u202eb\u2066c", "abc"},
		{"zero width goes", "ad\u200bmin\ufeff", "admin"},
		{"letters drawn as nothing go", "\u3164\u115f\u2800 ", ""},
		{"piled marks are cut", "e" + strings.Repeat("\u0301", 40) + "f", "e\u0301\u0301f"},
		{"invalid UTF-8 goes", "a\xffb", "ab"},
		{"long text is cut", strings.Repeat("x", 200), strings.Repeat("x", 100) + "…"},
		{"spaces at the ends and in rows go", "  a   b  ", "a b"},
		{"other scripts stay", "Заметки 笔记 ملاحظات", "Заметки 笔记 ملاحظات"},
	} {
		t.Run("AS-45 "+c.name, func(t *testing.T) { require.Equal(t, c.want, devas.Clean(c.in, 100)) })
	}
}

func FuzzClean(f *testing.F) {
	for _, s := range []string{"", "a", "a\u202eb", "\xff", strings.Repeat("\u0301", 9), "a\n\nb", "\u3164"} {
		f.Add(s, 10)
	}
	f.Fuzz(func(t *testing.T, in string, limit int) {
		limit = min(max(limit, 1), 500)
		got := devas.Clean(in, limit)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit+1 {
			t.Fatalf("%q is not UTF-8 or too long", got)
		}
		for _, r := range got {
			if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
				t.Fatalf("%q contains %U", got, r)
			}
		}
		if again := devas.Clean(got, limit+1); again != got {
			t.Fatalf("cleaning twice gives %q, then %q", got, again)
		}
	})
}
