package ratelimit

import (
	"hash/maphash"
	"math/bits"
	"sync"
	"time"
)

const (
	slots    = 1 << 12 // that owners are counted in
	minTable = 16      // size of the smallest table

	// sweepAlways is how many places each Take visits in search of buckets that have filled up, so
	// that what was full once does not stay large. sweepFull is how many before it refuses: all of a
	// small table, and of a larger one enough to find room unless hardly any is left.
	sweepAlways = 4
	sweepFull   = 256

	// horizon is how much time passes before it is counted anew: 100 years, which only a clock that
	// is put forward again and again ever sees.
	horizon = 100 * maxFill
)

// A shard is an open-addressing table with linear probing. Buckets that have filled up stay until
// the hand comes by, or until the table grows.
type shard struct {
	mu sync.Mutex

	capacity int // entries
	share    int // of one owner, once half the capacity is used
	seed     maphash.Seed

	clock time.Time // when it was read last
	time  int64     // nanoseconds that have passed, from 1; it never goes back

	table []entry  // without pointers: garbage collection never looks into it
	count int      // entries, those included that have filled up
	held  []uint32 // of count, by slot; nil until half the capacity is used
	hand  int      // where in the table the search for those goes on
}

// An entry is a bucket, in 16 bytes.
type entry struct {
	key
	tat int64 // when it is full (theoretical arrival time), in the shard's time; 0: the entry is free
}

func (e *entry) free() bool { return e.tat == 0 }

// A key is 52 bits of the hash, of which the high ones say where the entry belongs in the table, and
// 12 bits for the slot in which its owner is counted, which is whoever came first. A new caller shares
// the bucket of another with a probability of less than one in 10^10, and nobody can choose with whom.
type key uint64

func newKey(hash uint64) key       { return key(hash &^ (slots - 1)) }
func (k key) id() uint64           { return uint64(k) &^ (slots - 1) }
func (k key) slot() int            { return int(k % slots) }
func (k key) ownedBy(slot int) key { return key(k.id() | uint64(slot)) }

func (sh *shard) init(capacity int, now time.Time) {
	sh.capacity = capacity
	sh.share = max(1, capacity/16)
	sh.seed = maphash.MakeSeed()
	sh.clock, sh.time = now, 1
	sh.resize()
}

// begin is done first in each Take.
func (sh *shard) begin(now time.Time) {
	if sh.time > horizon {
		for i := range sh.table {
			if e := &sh.table[i]; !e.free() {
				e.tat = max(e.tat-sh.time+1, 1)
			}
		}
		sh.time = 1
	}
	// After maxFill everything has filled up, whatever more there is of it.
	sh.time += min(max(int64(now.Sub(sh.clock)), 0), maxFill)
	sh.clock = now
	sh.sweep(sweepAlways)
}

// wait returns how long until the bucket has an event to give; zero if it has one now.
func (sh *shard) wait(k key, p pace) time.Duration {
	e := &sh.table[sh.find(k)]
	if e.free() {
		return 0
	}
	// With another rate it may owe more than it holds now, and would not give anything for too long.
	e.tat = min(e.tat, sh.time+p.depth)
	return time.Duration(max(e.tat+p.interval-p.depth-sh.time, 0))
}

// take takes an event that is there to take, unless there is no room to remember that. It returns
// what [shard.restore] needs to undo it.
func (sh *shard) take(k key, p pace, owner *[32]byte) (before int64, ok bool) {
	i := sh.find(k)
	if sh.table[i].tat <= sh.time {
		if i, ok = sh.enter(i, k, owner); !ok {
			return 0, false
		}
	}
	e := &sh.table[i]
	before = e.tat
	e.tat += p.interval
	return before, true
}

// restore undoes a take of the same Take.
func (sh *shard) restore(k key, before int64) { sh.table[sh.find(k)].tat = before }

// give undoes a take of an earlier Take. What is full by now is left to the sweep.
func (sh *shard) give(k key, p pace) {
	if e := &sh.table[sh.find(k)]; !e.free() {
		e.tat = max(e.tat-p.interval, 1)
	}
}

// home returns the place where an entry belongs, at or behind which it is.
func (sh *shard) home(k key) int {
	i, _ := bits.Mul64(k.id(), uint64(len(sh.table)))
	return int(i)
}

// distance returns how many places b is behind a.
func (sh *shard) distance(a, b int) int {
	if b < a {
		b += len(sh.table)
	}
	return b - a
}

// find returns the place of k or, if there is none, the free one for it.
func (sh *shard) find(k key) int {
	for i := sh.home(k); ; {
		if e := &sh.table[i]; e.free() || e.id() == k.id() {
			return i
		}
		if i++; i == len(sh.table) {
			i = 0
		}
	}
}

// slot returns where an owner is counted. Each shard has a seed of its own: whoever shares a slot with
// a greedy owner here does not elsewhere.
func (sh *shard) slot(owner *[32]byte) int { return int(maphash.Bytes(sh.seed, owner[:]) % slots) }

// enter makes an entry for a bucket that is full at this moment, and returns its place; find returned i.
func (sh *shard) enter(i int, k key, owner *[32]byte) (place int, ok bool) {
	k = k.ownedBy(sh.slot(owner))
	// An owner gets no more room by filling the buckets of old again: they are new ones.
	if !sh.table[i].free() {
		sh.remove(i)
	}
	if sh.full(k) && !sh.makeRoom(k) {
		return 0, false
	}
	if (sh.count+1)*5 > len(sh.table)*4 {
		sh.resize()
	}
	i = sh.find(k)
	sh.put(i, entry{key: k, tat: sh.time})
	return i, true
}

// full reports whether there is no room for one more of this owner's.
func (sh *shard) full(k key) bool {
	return sh.count >= sh.capacity || 2*sh.count >= sh.capacity && int(sh.held[k.slot()]) >= sh.share
}

// makeRoom reports whether it found room for one more after all.
func (sh *shard) makeRoom(k key) bool {
	removed := sh.sweep(sweepFull)
	if sh.full(k) && 8*removed >= sweepFull {
		// It goes on like this, by and large, and all at once is quicker. This much must come before
		// it can happen again.
		sh.resize()
	}
	return !sh.full(k)
}

// put fills a free place.
func (sh *shard) put(i int, e entry) {
	sh.table[i] = e
	sh.count++
	switch {
	case sh.held != nil:
		sh.held[e.slot()]++
	case 2*sh.count >= sh.capacity:
		sh.held = make([]uint32, slots)
		for i := range sh.table {
			if e := &sh.table[i]; !e.free() {
				sh.held[e.slot()]++
			}
		}
	}
}

// remove frees a place, and fills it with one from behind that would not be found any more, and so on.
func (sh *shard) remove(i int) {
	sh.count--
	if sh.held != nil {
		sh.held[sh.table[i].slot()]--
	}
	for j := i; ; {
		if j++; j == len(sh.table) {
			j = 0
		}
		e := &sh.table[j]
		if e.free() {
			break
		}
		if sh.distance(sh.home(e.key), j) >= sh.distance(i, j) {
			sh.table[i] = *e
			i = j
		}
	}
	sh.table[i] = entry{}
}

// sweep removes what has filled up from the next n places, from all if there are fewer, and returns
// how many that were.
func (sh *shard) sweep(n int) (removed int) {
	for range min(n, len(sh.table)) {
		if sh.hand == len(sh.table) {
			sh.hand = 0
			// The last time round was as much work as this is.
			if 4*sh.count < len(sh.table) && len(sh.table) > minTable {
				sh.resize()
			}
		}
		for e := &sh.table[sh.hand]; !e.free() && e.tat <= sh.time; {
			sh.remove(sh.hand)
			removed++
		}
		sh.hand++
	}
	return removed
}

// resize moves what has not filled up to a table of the right size, with room for one more.
func (sh *shard) resize() {
	old, live := sh.table, 0
	for i := range old {
		if old[i].tat > sh.time {
			live++
		}
	}
	// 4/7 of a table are in use then, and 4/5 before the next time. At its largest the latter is all
	// that the shard may hold.
	sh.table = make([]entry, min(max(live*7/4, minTable), sh.capacity*5/4+1))
	sh.count, sh.held, sh.hand = 0, nil, 0
	for _, e := range old {
		if e.tat > sh.time {
			sh.put(sh.find(e.key), e)
		}
	}
}
