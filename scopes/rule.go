package scopes

import (
	"fmt"
	"slices"
)

// A Rule is a closed condition on what a caller holds: it can be met, printed, parsed, compared and challenged for. It is an
// immutable value and safe for concurrent use. The zero Rule, printed as "never", is met by no one.
//
// Rules are kept in a normal form: an And inside an And and an Or inside an Or are one, parts that say the same stand once,
// and an And or Or of one part is that part. So All("a", "b") and And(All("a"), All("b")) are the same Rule, and every Rule
// reads back from its text. A Rule is at most 32 levels deep and 16 KiB of text long; making a larger one panics, since
// Rules come from source code. Text from elsewhere goes through [Parse], which returns an error.
//
// Rules do not compile with ==; use [Rule.Equal].
type Rule struct {
	_    [0]func()
	node *node // nil: never
}

// Limits on a Rule, however it was made: recursion over it is bounded, and Parse accepts what String prints.
const (
	maxDepth = 32
	maxText  = 16 << 10
)

type kind uint8

const (
	kindAuthenticated kind = iota + 1
	kindScope
	kindRole
	kindAnd
	kindOr
)

// A node is never changed once it is made, so Rules share them. parts of an And are no Ands and parts of an Or no Ors; there
// are at least two, and no two have the same text.
type node struct {
	kind  kind
	name  string // of a scope or role
	parts []*node
	text  string // as String prints it; equal texts mean equal nodes
	depth int
}

// All is met by a caller who holds every one of the scopes. Without arguments it is the zero Rule. It panics if a name is not
// a scope (RFC 6749, Section 3.3).
func All(scopes ...string) Rule { return mustJoin("All", kindAnd, leaves("All", kindScope, scopes)) }

// Any is met by a caller who holds at least one of the scopes. Without arguments it is the zero Rule. It panics if a name is
// not a scope (RFC 6749, Section 3.3).
func Any(scopes ...string) Rule { return mustJoin("Any", kindOr, leaves("Any", kindScope, scopes)) }

// Role is met by a caller who holds at least one of the roles: where several are named, one suffices. For a caller who must
// hold two, write And(Role("a"), Role("b")). Without arguments it is the zero Rule. It panics if a name is empty, holds a
// control character or is not valid UTF-8.
func Role(names ...string) Rule { return mustJoin("Role", kindOr, leaves("Role", kindRole, names)) }

// And is met when every one of the rules is. Without arguments, and with a zero Rule among them, it is the zero Rule.
func And(rules ...Rule) Rule { return mustJoin("And", kindAnd, nodes(rules)) }

// Or is met when at least one of the rules is. Zero Rules among them are passed over; without any other it is the zero Rule.
func Or(rules ...Rule) Rule { return mustJoin("Or", kindOr, nodes(rules)) }

// Authenticated is met by every verified caller, whatever the scopes and roles. The zero [Grant] is no caller.
func Authenticated() Rule { return Rule{node: authenticated} }

var authenticated = &node{kind: kindAuthenticated, text: wordAuthenticated, depth: 1}

func leaves(function string, k kind, names []string) []*node {
	parts := make([]*node, len(names))
	for i, name := range names {
		part, err := leaf(k, name)
		if err != nil {
			panic(fmt.Sprintf("scopes: %s: %v", function, err))
		}
		parts[i] = part
	}
	return parts
}

func nodes(rules []Rule) []*node {
	parts := make([]*node, len(rules))
	for i, r := range rules {
		parts[i] = r.node
	}
	return parts
}

func mustJoin(function string, k kind, parts []*node) Rule {
	n, err := join(k, parts)
	if err != nil {
		panic(fmt.Sprintf("scopes: %s: %v", function, err))
	}
	return Rule{node: n}
}

// leaf makes the node of one scope or role.
func leaf(k kind, name string) (*node, error) {
	n := &node{kind: k, name: name, depth: 1}
	if k == kindScope {
		if err := checkScope(name); err != nil {
			return nil, err
		}
		n.text = quoteScope(name)
	} else {
		if err := checkRole(name); err != nil {
			return nil, err
		}
		n.text = roleText([]*node{n})
	}
	return n, checkText(n.text)
}

// join makes the normal form of an And or Or. A nil part stands for never, and so does a nil result.
func join(k kind, parts []*node) (*node, error) {
	n := &node{kind: k}
	seen := make(map[string]bool, len(parts))
	add := func(part *node) {
		if !seen[part.text] {
			seen[part.text] = true
			n.parts = append(n.parts, part)
			n.depth = max(n.depth, part.depth+1)
		}
	}
	for _, part := range parts {
		switch {
		case part == nil && k == kindAnd:
			return nil, nil // deny first: one part that nobody meets
		case part == nil:
		case part.kind == k:
			for _, inner := range part.parts {
				add(inner)
			}
		default:
			add(part)
		}
	}
	switch len(n.parts) {
	case 0:
		return nil, nil
	case 1:
		return n.parts[0], nil
	}
	if n.depth > maxDepth {
		return nil, fmt.Errorf("the rule is more than %d levels deep", maxDepth)
	}
	n.text = joinText(k, n.parts)
	return n, checkText(n.text)
}

func checkText(text string) error {
	if len(text) > maxText {
		return fmt.Errorf("the rule's text is %d bytes long, more than %d", len(text), maxText)
	}
	return nil
}

// Met reports whether the caller meets the rule. It does not allocate.
func (r Rule) Met(g Grant) bool { return r.node != nil && g.held != nil && r.node.met(g, false) }

// Obtainable reports whether more scopes alone could make the caller meet the rule, the roles being what they are: a step-up
// may help. It is true of a rule that is met. Scopes beyond a limit (see [Grant.Within]) cannot be had. For the zero Grant it
// tells whether a token without roles could be enough. It does not allocate.
func (r Rule) Obtainable(g Grant) bool {
	if g.held == nil {
		g.held = &nothing
	}
	return r.node != nil && r.node.met(g, true)
}

// met reports whether the grant meets the node. With anyScope every scope that the limit has room for counts as held.
func (n *node) met(g Grant, anyScope bool) bool {
	switch n.kind {
	case kindAuthenticated:
		return true
	case kindScope:
		return g.mayHaveScope(n.name) && (anyScope || g.held.scopes.has(n.name))
	case kindRole:
		return g.HasRole(n.name)
	case kindAnd:
		for _, part := range n.parts {
			if !part.met(g, anyScope) {
				return false
			}
		}
		return len(n.parts) > 0
	case kindOr:
		for _, part := range n.parts {
			if part.met(g, anyScope) {
				return true
			}
		}
	}
	return false
}

// IsZero reports whether r is the zero Rule, which no one meets.
func (r Rule) IsZero() bool { return r.node == nil }

// Equal reports whether both rules say the same in the same order, after the normal form described at [Rule]. It does not
// ask whether two different texts happen to admit the same callers.
func (r Rule) Equal(other Rule) bool { return r.String() == other.String() }

// Scopes returns every scope that the rule names, in its order, without duplicates.
func (r Rule) Scopes() []string { return r.named(kindScope) }

// Roles returns every role that the rule names, in its order, without duplicates.
func (r Rule) Roles() []string { return r.named(kindRole) }

func (r Rule) named(k kind) []string {
	var found names
	if r.node != nil {
		r.node.collect(k, &found)
	}
	return slices.Clip(found.list)
}

func (n *node) collect(k kind, into *names) {
	if n.kind == k {
		into.add(n.name)
	}
	for _, part := range n.parts {
		part.collect(k, into)
	}
}
