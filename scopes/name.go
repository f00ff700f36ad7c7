package scopes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode"
	"unicode/utf8"
)

// checkScope holds a name against the grammar of one scope: 1*( %x21 / %x23-5B / %x5D-7E ) (RFC 6749, Section 3.3).
func checkScope(name string) error {
	if !validScope(name) {
		return fmt.Errorf("%q is not a scope: write one name for each, in ASCII, without space, quote or backslash (RFC 6749, Section 3.3)",
			cut(name))
	}
	return nil
}

func validScope(name string) bool { return name != "" && onlyScopeBytes(name) }

func onlyScopeBytes(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < 0x21 || c > 0x7E || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// checkRole refuses what could only be a mistake or an attempt to imitate another name in a log. Roles have no grammar of
// their own; any other text is one.
func checkRole(name string) error {
	switch {
	case name == "":
		return errors.New(`"" is not a role: a role needs a name`)
	case !utf8.ValidString(name):
		return fmt.Errorf("%q is not a role: it is not valid UTF-8", cut(name))
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return fmt.Errorf("%q is not a role: it holds the control character %U", cut(name), r)
		}
	}
	return nil
}

// cut keeps messages short; the names come from configuration.
func cut(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}

// walk is the number of names up to which looking at each costs a few nanoseconds at most, which a map's memory in every cached
// token is not worth.
const walk = 16

// names is a set that keeps the order in which names arrived.
type names struct {
	list  []string
	index map[string]struct{} // nil up to walk names
}

func (n *names) has(name string) bool {
	if n.index == nil {
		return slices.Contains(n.list, name)
	}
	_, ok := n.index[name]
	return ok
}

func (n *names) add(name string) {
	if n.has(name) {
		return
	}
	n.list = append(n.list, name)
	switch {
	case n.index != nil:
		n.index[name] = struct{}{}
	case len(n.list) > walk:
		n.index = make(map[string]struct{}, 4*walk)
		for _, have := range n.list {
			n.index[have] = struct{}{}
		}
	}
}

func (n *names) clone() names { return names{slices.Clone(n.list), maps.Clone(n.index)} }

// CheckScope says what is wrong with the name of a scope, nil if nothing is (RFC 6749, Section 3.3). [All] and [Any] panic for what
// it refuses; names from elsewhere than source code go through it first.
func CheckScope(name string) error { return checkScope(name) }

// CheckRole is [CheckScope] for roles: a name must not be empty, nor hold a control character, and be valid UTF-8.
func CheckRole(name string) error { return checkRole(name) }
