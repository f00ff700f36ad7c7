package strictjson

import "unicode/utf8"

// EqualFold reports whether encoding/json, and decoders like it, would take a and b for the same
// member name: ASCII letters without case, and the two letters outside ASCII that Unicode folds
// onto ASCII ones, U+017F (long s) and U+212A (Kelvin sign). It is for comparing a foreign name
// with one of ours; other letters outside ASCII are compared as they are.
func EqualFold[A, B string | []byte](a A, b B) bool {
	i, j := 0, 0
	for i < len(a) && j < len(b) {
		x, n := foldNext(a, i)
		y, m := foldNext(b, j)
		if x != y {
			return false
		}
		i, j = i+n, j+m
	}
	return i == len(a) && j == len(b)
}

func foldNext[S string | []byte](s S, at int) (byte, int) {
	c := s[at]
	switch {
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A', 1
	case c < utf8.RuneSelf:
		return c, 1
	case c == 0xC5 && at+1 < len(s) && s[at+1] == 0xBF: // U+017F
		return 's', 2
	case c == 0xE2 && at+2 < len(s) && s[at+1] == 0x84 && s[at+2] == 0xAA: // U+212A
		return 'k', 3
	}
	return c, 1
}
