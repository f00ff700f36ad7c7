package scopes

import "slices"

// Challenge returns the scopes to ask a client for: the cheapest set of scopes named by the rule that, held together and with
// the caller's roles as they are, meets it. Scopes of the set that the caller holds already are included, so that one
// challenge names everything the operation needs (RFC 6750, Section 3.1: the scope required to access the resource). A
// hierarchy never changes the names: they are the rule's own.
//
// Cheapest means the fewest scopes that the caller still lacks, then the fewest in all, then those that the rule names first.
// The result is in the rule's order, without duplicates, the same for the same rule and grant, and the caller's own to keep.
// It is nil where no set of scopes could meet the rule (see [Rule.Obtainable]) and where the rule needs none: refuse without
// insufficient_scope then. It is exact as long as no more than 32 sets compete at one point of the rule, and when more do,
// still a set that meets the rule.
func (r Rule) Challenge(g Grant) []string {
	if !r.Obtainable(g) {
		return nil
	}
	s := search{caller: g, index: make(map[string]int)}
	all := r.Scopes()
	for i, name := range all {
		s.index[name] = i
	}
	s.held = make(set, (len(all)+63)/64)
	for i, name := range all {
		if g.HasScope(name) {
			s.held.add(i)
		}
	}
	best := s.extend(r.node, []choice{{set: make(set, len(s.held))}})
	var scopes []string
	for i, name := range all {
		if best[0].set.has(i) {
			scopes = append(scopes, name)
		}
	}
	return scopes
}

// maxSets bounds how many competing sets a search carries along: the work is linear in the size of the rule, where an exact
// answer for any rule would be exponential (it is the hitting set problem).
const maxSets = 32

// search looks for the cheapest set of scopes that meets a rule.
type search struct {
	caller Grant
	index  map[string]int // of a scope among those that the rule names
	held   set            // scopes that cost nothing
}

// A choice is a set of scopes with what it costs. It is not changed once it is in a list.
type choice struct {
	set     set
	missing int // scopes not held
	size    int
}

// compare orders choices by the scopes missing, the scopes in all, and the first scope that only one of them has.
func (c choice) compare(other choice) int {
	if c.missing != other.missing {
		return c.missing - other.missing
	}
	if c.size != other.size {
		return c.size - other.size
	}
	for i := range c.set {
		if diff := c.set[i] ^ other.set[i]; diff != 0 {
			if c.set[i]&(diff&-diff) != 0 {
				return -1
			}
			return 1
		}
	}
	return 0
}

// extend returns supersets of the given choices that meet n, cheapest first; none where a role is missing or a limit is in the way. Working on all
// choices at once lets a scope that another part needs anyway decide the next choice.
func (s *search) extend(n *node, from []choice) []choice {
	switch n.kind {
	case kindAuthenticated:
		return from
	case kindRole:
		if s.caller.HasRole(n.name) {
			return from
		}
		return nil
	case kindScope:
		if !s.caller.mayHaveScope(n.name) {
			return nil
		}
		var to []choice
		for _, c := range from {
			to = insert(to, s.with(c, s.index[n.name]))
		}
		return to
	case kindAnd:
		// What is needed in any case comes first.
		for _, compound := range [...]bool{false, true} {
			for _, part := range n.parts {
				if (part.parts != nil) == compound {
					from = s.extend(part, from)
				}
			}
		}
		return from
	case kindOr:
		var to []choice
		for _, part := range n.parts {
			for _, c := range s.extend(part, from) {
				to = insert(to, c)
			}
		}
		return to
	}
	return nil
}

// with returns c and the scope i.
func (s *search) with(c choice, i int) choice {
	if c.set.has(i) {
		return c
	}
	c.set = slices.Clone(c.set)
	c.set.add(i)
	c.size++
	if !s.held.has(i) {
		c.missing++
	}
	return c
}

// insert puts c into a list ordered by cost, unless the list holds a part of it, and drops what holds all of c: whatever else is
// added to both, the larger one never becomes the cheaper.
func insert(list []choice, c choice) []choice {
	if len(list) == maxSets && list[maxSets-1].compare(c) <= 0 {
		return list
	}
	at := len(list)
	for i, have := range list {
		if c.compare(have) < 0 {
			at = i
			break // what costs more is no part of c
		}
		if have.set.within(c.set) {
			return list
		}
	}
	list = slices.Insert(list, at, c)
	kept := list[:at+1]
	for _, have := range list[at+1:] {
		if !c.set.within(have.set) {
			kept = append(kept, have)
		}
	}
	return kept[:min(len(kept), maxSets)]
}

// A set holds small numbers, one per bit. Sets of one search have the same length.
type set []uint64

func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s set) within(other set) bool {
	for i, word := range s {
		if word&^other[i] != 0 {
			return false
		}
	}
	return true
}
