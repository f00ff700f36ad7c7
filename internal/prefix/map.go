// Package prefix finds which of many prefixes begin a name.
package prefix

import (
	"iter"
	"maps"
	"slices"
)

// A Map has values under prefixes. A look-up costs one probe for each different length, of which there are few, however many
// prefixes there are. The zero Map is empty. Once nothing is set any more, it may be used concurrently.
type Map[V any] struct {
	values  map[string]V
	lengths []int // of the prefixes, each once, the longest first
}

// Set puts a value under a prefix, in the place of an earlier one. The empty prefix begins every name.
func (m *Map[V]) Set(prefix string, value V) {
	if m.values == nil {
		m.values = make(map[string]V)
	}
	m.values[prefix] = value
	at, known := slices.BinarySearchFunc(m.lengths, len(prefix), func(have, want int) int { return want - have })
	if !known {
		m.lengths = slices.Insert(m.lengths, at, len(prefix))
	}
}

// Get returns the value of exactly this prefix.
func (m *Map[V]) Get(prefix string) (value V, ok bool) {
	value, ok = m.values[prefix]
	return value, ok
}

// Len is how many prefixes there are.
func (m *Map[V]) Len() int { return len(m.values) }

// Prefixes are all of them, in no order.
func (m *Map[V]) Prefixes() iter.Seq[string] { return maps.Keys(m.values) }

// Longest returns the longest prefix that begins name, and its value.
func (m *Map[V]) Longest(name string) (prefix string, value V, ok bool) {
	for _, n := range m.lengths {
		if n <= len(name) {
			if value, ok = m.values[name[:n]]; ok {
				return name[:n], value, true
			}
		}
	}
	return "", value, false
}

// All are the values of all prefixes that begin name, that of the shortest first.
func (m *Map[V]) All(name string) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, n := range slices.Backward(m.lengths) {
			if n > len(name) {
				return
			}
			if value, ok := m.values[name[:n]]; ok && !yield(value) {
				return
			}
		}
	}
}
