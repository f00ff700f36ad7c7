package mcpauthtest

import "container/list"

// recent is a map that remembers the most recently used entries up to a limit. The zero value is empty.
// It is not safe for concurrent use.
type recent[K comparable, V any] struct {
	entries map[K]*list.Element
	order   list.List // of *entry[K, V], the latest first
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func (r *recent[K, V]) get(key K) (value V, ok bool) {
	e, ok := r.entries[key]
	if !ok {
		return value, false
	}
	r.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// put stores a value and forgets what has not been used for longest, if there are more than limit.
func (r *recent[K, V]) put(key K, value V, limit int) {
	if e, ok := r.entries[key]; ok {
		e.Value.(*entry[K, V]).value = value
		r.order.MoveToFront(e)
		return
	}
	if r.entries == nil {
		r.entries = make(map[K]*list.Element)
	}
	r.entries[key] = r.order.PushFront(&entry[K, V]{key, value})
	if r.order.Len() > limit {
		last := r.order.Back()
		r.order.Remove(last)
		delete(r.entries, last.Value.(*entry[K, V]).key)
	}
}
