package tokencache

import "sync"

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

// A shard is a range of buckets with accounts of its own.
type shard[V any] struct {
	mu sync.Mutex
	limits
	chains  table[V]
	base    uint32 // of chains within the whole table
	owners  map[uint64]*owner[V]
	heavy   []*owner[V] // owners of more than a fair share: at most 64, since weights sum to at most twice the bytes
	entries int
	bytes   int64
	sweep   int // bucket where the search for dead entries goes on
	hand    int // bucket where the search for a victim goes on
}

func (s *shard[V]) init(l limits, chains table[V], base int) {
	s.mu.Lock() // for the sake of Len beside the first Add
	defer s.mu.Unlock()
	s.limits, s.chains, s.base = l, chains, uint32(base)
	s.owners = make(map[uint64]*owner[V])
}

func (s *shard[V]) find(bucket uint32, key [32]byte) *entry[V] {
	for e := s.chains[bucket-s.base].Load(); e != nil; e = e.next.Load() {
		if e.key == key {
			return e
		}
	}
	return nil
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
	s.entries++
	s.bytes += e.bytes
	o.add(e)
	chain := &s.chains[e.bucket-s.base]
	e.next.Store(chain.Load())
	chain.Store(e)
}

// drop unlinks e, which must be linked.
func (s *shard[V]) drop(e *entry[V]) {
	link := &s.chains[e.bucket-s.base]
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
	var pick chooser[V]
	for pick.best == nil || pick.seen < patience {
		for e := s.chains[s.hand].Load(); e != nil; e = e.next.Load() {
			if pick.offer(e) {
				return pick.best
			}
		}
		s.hand = (s.hand + 1) & (len(s.chains) - 1)
	}
	return pick.best
}

// sweepSome gives back the dead of a few buckets. All of them are visited within
// an eighth as many Adds, so that garbage is no more than about that, and no single
// Add waits for a sweep of everything.
func (s *shard[V]) sweepSome(now int64) {
	for range min(8, len(s.chains)) {
		for e := s.chains[s.sweep].Load(); e != nil; e = e.next.Load() {
			if e.dead(now) {
				s.drop(e)
			}
		}
		s.sweep = (s.sweep + 1) & (len(s.chains) - 1)
	}
}

func (s *shard[V]) removeFunc(drop func(V) bool) int {
	var condemned []*entry[V]
	for i := range s.chains {
		for e := s.chains[i].Load(); e != nil; e = e.next.Load() {
			if drop(e.value) {
				condemned = append(condemned, e)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	removed := 0
	for _, e := range condemned {
		// Not what another goroutine has put in its place.
		if s.find(e.bucket, e.key) == e {
			s.drop(e)
			removed++
		}
	}
	return removed
}
