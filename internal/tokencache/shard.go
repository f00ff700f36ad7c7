package tokencache

import (
	"sync"
	"sync/atomic"
)

// limits are those of one shard.
type limits struct {
	entries int
	bytes   int64
	slot    int64 // the least that an entry weighs
	fair    int64 // what an owner may weigh without being first to give
}

// Fair shares are 1/32 of a shard in weight. An entry weighs its bytes, or as many
// as it would have if all were equal, whichever is more: an owner is judged by the
// bound that it presses harder. In a very small cache four tokens are fair.
func newLimits(entries int, bytes int64) limits {
	slot := bytes / int64(entries)
	return limits{entries: entries, bytes: bytes, slot: slot, fair: max(bytes/32, 4*slot)}
}

// firstBuckets is where the table of a shard begins. What holds few tokens should cost little, with every
// collection of garbage.
const firstBuckets = 16

// A shard is a table with accounts of its own.
type shard[V any] struct {
	// table is nil before the first entry, and replaced by one of twice the size when that has as many entries
	// as buckets. moves is odd meanwhile: who has looked in vain then cannot be sure.
	table atomic.Pointer[table[V]]
	moves atomic.Uint32

	mu sync.Mutex
	limits
	owners  map[uint64]*owner[V]
	heavy   []*owner[V] // owners of more than a fair share: at most 64, since weights sum to at most twice the bytes
	entries int
	bytes   int64
	sweep   int // bucket where the search for dead entries goes on
	hand    int // bucket where the search for a victim goes on
}

// look is find for readers, who hold no lock.
func (s *shard[V]) look(hash uint32, key [32]byte) *entry[V] {
	moves := s.moves.Load()
	if e := s.find(hash, key); e != nil || moves&1 == 0 && s.moves.Load() == moves {
		return e
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(hash, key)
}

// find walks the chain of a hash. Comparing keys in varying time tells nothing of use: they are hashes.
func (s *shard[V]) find(hash uint32, key [32]byte) *entry[V] {
	t := s.table.Load()
	if t == nil {
		return nil
	}
	for e := t.chain(hash).Load(); e != nil; e = e.next.Load() {
		if e.key == key {
			return e
		}
	}
	return nil
}

// grow doubles the table, or makes the first. Entries move one by one, each to the front of its new chain,
// so a reader on the way may be led astray, but never in circles.
func (s *shard[V]) grow() {
	old := s.table.Load()
	if old == nil {
		first := make(table[V], firstBuckets)
		s.table.Store(&first)
		return
	}
	next := make(table[V], 2*len(*old))
	s.moves.Add(1)
	for i := range *old {
		for e := (*old)[i].Load(); e != nil; {
			rest := e.next.Load()
			next.link(e)
			e = rest
		}
	}
	s.table.Store(&next)
	s.moves.Add(1)
}

// insert makes room for e and links it. The owner is charged before room is made,
// so that one who comes to exceed its share pays from its own.
func (s *shard[V]) insert(e *entry[V], id uint64, size int64) {
	if size > s.limits.bytes-entryBytes {
		return
	}
	e.bytes = size + entryBytes
	if s.weigh(e) > s.fair {
		return // it would cost others more than a fair share
	}
	o := s.owners[id]
	if o == nil {
		o = &owner[V]{id: id}
		s.owners[id] = o
	}
	s.charge(o, s.weigh(e))
	for s.entries+1 > s.limits.entries || s.bytes+e.bytes > s.limits.bytes {
		s.drop(s.victim())
	}
	if t := s.table.Load(); t == nil || s.entries >= len(*t) {
		s.grow()
	}
	s.entries++
	s.bytes += e.bytes
	o.add(e)
	s.table.Load().link(e)
}

// drop unlinks e, which must be linked.
func (s *shard[V]) drop(e *entry[V]) {
	link := s.table.Load().chain(e.hash)
	for link.Load() != e {
		link = &link.Load().next
	}
	link.Store(e.next.Load())
	s.entries--
	s.bytes -= e.bytes
	e.owner.remove(e)
	s.charge(e.owner, -s.weigh(e))
}

func (s *shard[V]) weigh(e *entry[V]) int64 { return max(e.bytes, s.slot) }

// charge changes what an owner weighs, and forgets one that has nothing left.
func (s *shard[V]) charge(o *owner[V], weight int64) {
	o.weight += weight
	switch heavy := o.weight > s.fair; {
	case heavy && o.heavy == 0:
		s.heavy = append(s.heavy, o)
		o.heavy = len(s.heavy)
	case !heavy && o.heavy != 0:
		last := len(s.heavy) - 1
		s.heavy[o.heavy-1] = s.heavy[last]
		s.heavy[o.heavy-1].heavy = o.heavy
		s.heavy[last] = nil
		s.heavy = s.heavy[:last]
		o.heavy = 0
	}
	if o.weight == 0 {
		delete(s.owners, o.id)
	}
}

// victim returns the entry to give up next; the shard must have one. A heavy owner
// always has an entry, also the one that is being charged for one more, because
// that alone is no more than a fair share.
func (s *shard[V]) victim() *entry[V] {
	if len(s.heavy) > 0 {
		most := s.heavy[0]
		for _, o := range s.heavy[1:] {
			if o.weight > most.weight {
				most = o
			}
		}
		return most.victim()
	}
	chains := *s.table.Load()
	var pick chooser[V]
	for pick.best == nil || pick.seen < patience {
		for e := chains[s.hand].Load(); e != nil; e = e.next.Load() {
			if pick.offer(e) {
				return pick.best
			}
		}
		s.hand = (s.hand + 1) & (len(chains) - 1)
	}
	return pick.best
}

// sweepSome gives back the dead of a few buckets. All of them are visited within
// an eighth as many Adds, so that garbage is no more than about that, and no single
// Add waits for a sweep of everything.
func (s *shard[V]) sweepSome(now int64) {
	t := s.table.Load()
	if t == nil {
		return
	}
	for range 8 {
		for e := (*t)[s.sweep].Load(); e != nil; e = e.next.Load() {
			if e.dead(now) {
				s.drop(e)
			}
		}
		s.sweep = (s.sweep + 1) & (len(*t) - 1)
	}
}

func (s *shard[V]) removeFunc(drop func(V) bool) int {
	var all, condemned []*entry[V]
	s.mu.Lock()
	if t := s.table.Load(); t != nil {
		for i := range *t {
			for e := (*t)[i].Load(); e != nil; e = e.next.Load() {
				all = append(all, e)
			}
		}
	}
	s.mu.Unlock()
	for _, e := range all {
		if drop(e.value) {
			condemned = append(condemned, e)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := 0
	for _, e := range condemned {
		// Not what another goroutine has put in its place.
		if s.find(e.hash, e.key) == e {
			s.drop(e)
			removed++
		}
	}
	return removed
}
