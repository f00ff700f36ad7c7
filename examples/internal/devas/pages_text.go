package devas

import (
	"strings"
	"unicode"
)

// maxMarks is how many combining marks may follow one another: more would paint over the neighbouring lines.
const maxMarks = 2

// clean prepares foreign text for a page: one line, not too long, without characters that control, hide or reverse what is shown.
func clean(text string, limit int) string {
	var b strings.Builder
	n, marks, space := 0, 0, true
	for _, r := range text {
		if unicode.IsSpace(r) {
			r = ' '
		}
		if !isDisplayable(r) || r == ' ' && space {
			continue
		}
		if unicode.In(r, unicode.Mn, unicode.Me) {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		if n == limit {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
		space = r == ' '
		n++
	}
	return strings.TrimSuffix(b.String(), " ")
}

// isDisplayable shuts out controls, format characters (bidirectional overrides among them), private use, line separators and the letters that are
// drawn as nothing, with which a name can look empty.
func isDisplayable(r rune) bool {
	switch r {
	case unicode.ReplacementChar, '\u115f', '\u1160', '\u3164', '\uffa0', '\u2800', '\u034f':
		return false
	}
	return !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp)
}

// initial is the letter in the round picture of a user or application.
func initial(name string) string {
	for _, r := range name {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return string(unicode.ToUpper(r))
		}
	}
	return "?"
}
