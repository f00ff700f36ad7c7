package tokencache

import "sync/atomic"

// entryBytes is what an entry takes besides its value: itself, its bucket, and
// its owner with the place in the map of owners, when each owner has one token.
// A test measures that it is no less.
const entryBytes = 208

// A table is the buckets of a shard, a power of two. Each is a chain that writers change under
// the shard's lock while readers walk it without: new entries go to the front,
// and an entry that was taken out keeps its next, so that a reader who stands on
// it comes to everything behind it. Entries are never used again.
type table[V any] []atomic.Pointer[entry[V]]

// chain returns the bucket of a hash.
func (t *table[V]) chain(hash uint32) *atomic.Pointer[entry[V]] {
	return &(*t)[hash&uint32(len(*t)-1)]
}

// link puts e before the others of its bucket.
func (t *table[V]) link(e *entry[V]) {
	chain := t.chain(e.hash)
	e.next.Store(chain.Load())
	chain.Store(e)
}

// An entry is immutable for readers but for next and heat.
type entry[V any] struct {
	key    [32]byte
	next   atomic.Pointer[entry[V]] // in the bucket
	expiry int64                    // Unix milliseconds
	value  V
	hash   uint32 // chooses the bucket
	heat   atomic.Uint32

	// What follows belongs to the shard and its lock.
	owner        *owner[V]
	older, newer *entry[V] // ring of the owner's entries
	bytes        int64     // counted against the bound of bytes
}

// An entry begins cold and becomes hot when it is used again. Each time that the
// search for a victim passes, it cools by one, and is taken when cold. So a flood
// of tokens that are used once passes through beside those in steady use, which
// outlast several rounds of the search.
const (
	cold uint32 = 0
	hot  uint32 = 3
)

func (e *entry[V]) dead(now int64) bool { return now >= e.expiry }

// touch writes only when it changes something: otherwise all cores that use one
// token would pass its cache line around.
func (e *entry[V]) touch() {
	if e.heat.Load() < hot {
		e.heat.Store(hot)
	}
}

// cool returns the heat found. That a touch at the same time is lost does not matter.
func (e *entry[V]) cool() uint32 {
	h := e.heat.Load()
	if h > cold {
		e.heat.Store(h - 1)
	}
	return h
}
