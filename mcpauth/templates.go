package mcpauth

import (
	"slices"
	"unicode/utf8"

	"github.com/yosida95/uritemplate/v3"

	"github.com/go-mcpauth/sdk/internal/prefix"
)

// templates finds those of many URI templates (RFC 6570) that match a URI. What a template says before its first
// variable has to stand at the beginning of the URI, byte for byte, so one look-up for each length of such beginnings
// passes over all that cannot match: reading a resource does not cost more where thousands are declared.
type templates[T any] struct {
	all    []template[T]     // in the order in which they were added
	begins prefix.Map[[]int] // which of them begin with a text
}

type template[T any] struct {
	*uritemplate.Template
	literal int // how many bytes stand before the first variable
	value   T
}

// add adds a template, of which checkTemplate says nothing bad.
func (ts *templates[T]) add(text string, value T) {
	literal := 0
	for literal < len(text) && text[literal] != '{' {
		literal++
	}
	// Only ASCII is looked up: a matcher takes a byte that is no UTF-8 for the replacement character.
	begin := text[:literal]
	for i := range len(begin) {
		if begin[i] >= utf8.RuneSelf {
			begin = begin[:i]
			break
		}
	}
	others, _ := ts.begins.Get(begin)
	ts.begins.Set(begin, append(others, len(ts.all)))
	ts.all = append(ts.all, template[T]{uritemplate.MustNew(text), literal, value})
}

// matching returns those that match, in the order in which they were added.
func (ts *templates[T]) matching(uri string) []template[T] {
	var room [8]int
	which := room[:0]
	for begun := range ts.begins.All(uri) {
		for _, i := range begun {
			if ts.all[i].Regexp().MatchString(uri) {
				which = append(which, i)
			}
		}
	}
	if len(which) == 0 {
		return nil
	}
	slices.Sort(which)
	out := make([]template[T], len(which))
	for i, w := range which {
		out[i] = ts.all[w]
	}
	return out
}
