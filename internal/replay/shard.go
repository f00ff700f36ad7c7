package replay

import (
	"hash/maphash"
	"math/bits"
	"sync"
)

const (
	slots = 1 << 12 // that owners are counted in
	// minTable is the size of the smallest table.
	minTable = 32
)

// A shard is an open-addressing table with linear probing. Entries are never
// deleted one by one: the table is rebuilt without the dead ones, after inserts
// that are a third of the living at least, or once a second.
type shard struct {
	mu sync.Mutex

	capacity int // entries
	share    int // of one owner, once half the capacity is used
	seed     maphash.Seed

	table []entry  // without pointers: garbage collection never looks into it
	count int      // entries, those included that died since the last rebuild
	held  []uint32 // of count, by slot; nil while less than half the capacity is used
	// earliest is when the first entry dies, or less: before that, a rebuild
	// would free nothing.
	earliest uint32
	// turn is when everything has died that was there at the last rebuild, so
	// that a table which was large once does not stay so.
	turn uint32
	// dropped is the greatest last of all entries that were dropped. A proof
	// that is good until then may have been one of them: the clock was set back.
	dropped uint32
}

// An entry is 12 bytes, in words that need no padding between entries.
type entry struct {
	hi, lo uint32 // a key
	last   uint32 // Unix seconds: the entry lives while now <= last; 0: free
}

// A key is 52 bits of the hash, of which the high ones say where the entry
// belongs in the table, and 12 bits for the slot in which its owner is counted.
type key uint64

func newKey(hash uint64, slot uint64) key { return key(hash&^(slots-1) | slot) }

func (k key) slot() int     { return int(k % slots) }
func (k key) hi() uint32    { return uint32(k >> 32) }
func (k key) lo() uint32    { return uint32(k) }
func (e *entry) key() key   { return key(e.hi)<<32 | key(e.lo) }
func (e *entry) free() bool { return e.last == 0 }

func (sh *shard) init(capacity int) {
	sh.capacity = capacity
	sh.share = max(1, capacity/16)
	sh.seed = maphash.MakeSeed()
}

// slot returns where an owner is counted. Each shard has a seed of its own:
// whoever shares a slot with a greedy owner here does not elsewhere.
func (sh *shard) slot(owner [32]byte) uint64 {
	return maphash.Bytes(sh.seed, owner[:]) % slots
}

func (sh *shard) add(k key, now, last uint32) error {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if last <= sh.dropped {
		return ErrSeen
	}
	if now > sh.turn { // also at the very first
		sh.rebuild(now, last)
	}
	e := sh.find(k)
	if !e.free() && e.last >= now {
		return ErrSeen
	}
	// The same once more, after its end, is nothing special: an owner gets no
	// more room by using its old identifiers again.
	if !e.free() || sh.full(k) {
		if sh.earliest >= now {
			return ErrFull
		}
		if sh.rebuild(now, last); sh.full(k) {
			return ErrFull
		}
		e = sh.find(k)
	}
	if (sh.count+1)*5 > len(sh.table)*4 {
		sh.rebuild(now, last)
		e = sh.find(k)
	}
	sh.put(e, k, last)
	return nil
}

// find returns the entry of k or, if there is none, the free one for it.
func (sh *shard) find(k key) *entry {
	i, _ := bits.Mul64(uint64(k), uint64(len(sh.table)))
	for hi, lo := k.hi(), k.lo(); ; {
		e := &sh.table[i]
		if e.free() || e.lo == lo && e.hi == hi {
			return e
		}
		if i++; i == uint64(len(sh.table)) {
			i = 0
		}
	}
}

// full reports whether there is no room for one more of this owner's.
func (sh *shard) full(k key) bool {
	return sh.count >= sh.capacity || sh.held != nil && int(sh.held[k.slot()]) >= sh.share
}

// put fills a free entry.
func (sh *shard) put(e *entry, k key, last uint32) {
	*e = entry{hi: k.hi(), lo: k.lo(), last: last}
	sh.count++
	sh.earliest = min(sh.earliest, last)
	switch {
	case sh.held != nil:
		sh.held[k.slot()]++
	case 2*sh.count >= sh.capacity:
		sh.held = make([]uint32, slots)
		for i := range sh.table {
			if e := &sh.table[i]; !e.free() {
				sh.held[e.key().slot()]++
			}
		}
	}
}

// rebuild moves the living to a table of the right size, with room for the new
// entry that lives until last.
func (sh *shard) rebuild(now, last uint32) {
	old, live := sh.table, 0
	for i := range old {
		if !old[i].free() && old[i].last >= now {
			live++
		}
	}
	// From 4/7 to 4/5 of a table are in use. At its largest the latter is all
	// that the shard may hold.
	sh.table = make([]entry, min(max(live*7/4, minTable), sh.capacity*5/4+1))
	sh.count, sh.held, sh.earliest, sh.turn = 0, nil, ^uint32(0), last
	for i := range old {
		switch e := &old[i]; {
		case e.free():
		case e.last < now:
			sh.dropped = max(sh.dropped, e.last)
		default:
			sh.put(sh.find(e.key()), e.key(), e.last)
			sh.turn = max(sh.turn, e.last)
		}
	}
}
