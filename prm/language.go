package prm

import "strings"

// maxTag bounds a language tag; RFC 5646, Section 4.4.1 finds 35 characters enough for all but the most unusual.
const maxTag = 64

// validTag reports whether s is a well-formed language tag (RFC 5646, Section 2.1: langtag or privateuse). Whether its parts are registered is
// not checked. The irregular grandfathered tags of the old grammar, such as i-klingon, are refused; each has a modern form or no use.
func validTag(s string) bool {
	if s == "" || len(s) > maxTag {
		return false
	}
	parts := strings.Split(strings.ToLower(s), "-")
	for _, p := range parts {
		if len(p) < 1 || len(p) > 8 || !all(p, alphanumeric) {
			return false
		}
	}
	if parts[0] == "x" {
		return len(parts) > 1
	}
	if n := len(parts[0]); n < 2 || !all(parts[0], letter) {
		return false
	} else if parts = parts[1:]; n <= 3 {
		for range 3 { // extended language subtags
			if len(parts) > 0 && len(parts[0]) == 3 && all(parts[0], letter) {
				parts = parts[1:]
			}
		}
	}
	if len(parts) > 0 && len(parts[0]) == 4 && all(parts[0], letter) { // script
		parts = parts[1:]
	}
	if len(parts) > 0 && (len(parts[0]) == 2 && all(parts[0], letter) || len(parts[0]) == 3 && all(parts[0], digit)) { // region
		parts = parts[1:]
	}
	seen := map[string]bool{} // Section 2.2.5 and 2.2.6: neither variants nor singletons may be repeated
	for len(parts) > 0 && (len(parts[0]) >= 5 || len(parts[0]) == 4 && digit(parts[0][0])) {
		if seen[parts[0]] {
			return false
		}
		seen[parts[0]], parts = true, parts[1:]
	}
	for len(parts) > 0 { // extensions, then private use
		singleton := parts[0]
		if len(singleton) != 1 || seen[singleton] {
			return false
		}
		seen[singleton], parts = true, parts[1:]
		if singleton == "x" {
			return len(parts) > 0
		}
		n := 0
		for n < len(parts) && len(parts[n]) >= 2 {
			n++
		}
		if n == 0 {
			return false
		}
		parts = parts[n:]
	}
	return true
}

func all(s string, is func(byte) bool) bool {
	for i := range len(s) {
		if !is(s[i]) {
			return false
		}
	}
	return true
}
