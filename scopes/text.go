package scopes

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// The words of the text form. A scope of the same name, in whatever case, is written in quotes.
const (
	wordAnd           = "and"
	wordOr            = "or"
	wordRole          = "role"
	wordAuthenticated = "authenticated"
	wordNever         = "never"
)

// reserved returns the word of the text form that s is, whatever the case of its letters.
func reserved(s string) (word string, ok bool) {
	for _, word := range [...]string{wordAnd, wordOr, wordRole, wordAuthenticated, wordNever} {
		if strings.EqualFold(s, word) {
			return word, true
		}
	}
	return "", false
}

// String returns the text that [Parse] reads, such as `files:write and role(editor)`. It holds printable characters only and
// is made when the rule is, so it costs nothing to log. The zero Rule is "never".
func (r Rule) String() string {
	if r.node == nil {
		return wordNever
	}
	return r.node.text
}

// MarshalText returns the text of [Rule.String]. It never fails.
func (r Rule) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what [Parse] reads. After an error the rule is the zero Rule.
func (r *Rule) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	*r = parsed
	return err
}

// joinText prints the parts of an And or Or. An And and an Or inside each other stand in parentheses, except roles of which
// one suffices: they are role(a, b).
func joinText(k kind, parts []*node) string {
	word := " " + wordAnd + " "
	if k == kindOr {
		word = " " + wordOr + " "
	}
	var b strings.Builder
	for len(parts) > 0 {
		if b.Len() > 0 {
			b.WriteString(word)
		}
		roles := 0
		for k == kindOr && roles < len(parts) && parts[roles].kind == kindRole {
			roles++
		}
		if roles > 0 {
			b.WriteString(roleText(parts[:roles]))
			parts = parts[roles:]
			continue
		}
		if part := parts[0]; part.parts == nil || part.onlyRoles() {
			b.WriteString(part.text)
		} else {
			b.WriteString("(" + part.text + ")")
		}
		parts = parts[1:]
	}
	return b.String()
}

// onlyRoles reports whether an Or prints as one role(...).
func (n *node) onlyRoles() bool {
	for _, part := range n.parts {
		if part.kind != kindRole {
			return false
		}
	}
	return n.kind == kindOr
}

func roleText(roles []*node) string {
	quoted := make([]string, len(roles))
	for i, role := range roles {
		quoted[i] = quoteRole(role.name)
	}
	return wordRole + "(" + strings.Join(quoted, ", ") + ")"
}

// quoteScope needs no escapes: a scope holds neither quotes nor backslashes.
func quoteScope(name string) string {
	if _, clash := reserved(name); clash || strings.ContainsAny(name, "(),") {
		return `"` + name + `"`
	}
	return name
}

// quoteRole writes a role as it is where it looks like a scope, else as a JSON string in which everything that cannot be seen,
// or that changes how its surroundings are seen, is escaped.
func quoteRole(name string) string {
	if validScope(name) && !strings.ContainsAny(name, "(),") {
		return name
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range name {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case strconv.IsPrint(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
