package tokencache

import "fmt"

// EntryBytes is what each entry counts besides its size.
const EntryBytes = entryBytes

// Fair returns what one owner may have of the whole cache without being the first
// to give, in entries of the least weight.
func (c *Cache[V]) Fair() int {
	return int(c.shards[0].fair/c.shards[0].slot) * len(c.shards)
}

// Bucket tells which keys meet in one chain while the tables have their first size.
func (c *Cache[V]) Bucket(key [32]byte) uint32 {
	s, hash := c.place(key)
	for i := range c.shards {
		if s == &c.shards[i] {
			return uint32(i)*firstBuckets + hash%firstBuckets
		}
	}
	panic("a key without a shard")
}

// Each calls visit for every entry, dead ones included.
func (c *Cache[V]) Each(visit func(key [32]byte, value V)) {
	for i := range c.shards {
		if t := c.shards[i].table.Load(); t != nil {
			for i := range *t {
				for e := (*t)[i].Load(); e != nil; e = e.next.Load() {
					visit(e.key, e.value)
				}
			}
		}
	}
}

// Audit compares all accounts with what the chains and the rings really hold.
func (c *Cache[V]) Audit() error {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		err := s.audit(c)
		s.mu.Unlock()
		if err != nil {
			return fmt.Errorf("shard %d: %w", i, err)
		}
	}
	return nil
}

func (s *shard[V]) audit(c *Cache[V]) error {
	entries, bytes := 0, int64(0)
	linked := make(map[*entry[V]]bool)
	keys := make(map[[32]byte]bool)
	weights := make(map[*owner[V]]int64)
	var chains table[V]
	if t := s.table.Load(); t != nil {
		chains = *t
	}
	for i := range chains {
		for e := chains[i].Load(); e != nil; e = e.next.Load() {
			switch {
			case linked[e]:
				return fmt.Errorf("bucket %d: a chain has a cycle", i)
			case keys[e.key]:
				return fmt.Errorf("bucket %d: two entries with one key", i)
			}
			if owner, hash := c.place(e.key); owner != s || hash != e.hash || int(hash)&(len(chains)-1) != i {
				return fmt.Errorf("bucket %d: entry of another", i)
			}
			linked[e], keys[e.key] = true, true
			entries++
			bytes += e.bytes
			weights[e.owner] += s.weigh(e)
		}
	}
	if entries != s.entries || bytes != s.bytes {
		return fmt.Errorf("%d entries of %d bytes, accounts say %d of %d", entries, bytes, s.entries, s.bytes)
	}
	if entries > s.limits.entries || bytes > s.limits.bytes {
		return fmt.Errorf("%d entries of %d bytes, limits are %d and %d", entries, bytes, s.limits.entries, s.limits.bytes)
	}
	if len(weights) != len(s.owners) {
		return fmt.Errorf("%d owners, accounts say %d", len(weights), len(s.owners))
	}
	heavy := 0
	for id, o := range s.owners {
		if o.id != id || o.weight != weights[o] {
			return fmt.Errorf("owner %x weighs %d, account %x says %d", o.id, weights[o], id, o.weight)
		}
		if (o.weight > s.fair) != (o.heavy != 0) || o.heavy != 0 && s.heavy[o.heavy-1] != o {
			return fmt.Errorf("owner of %d with fair share %d has place %d among the heavy", o.weight, s.fair, o.heavy)
		}
		if o.heavy != 0 {
			heavy++
		}
		for e := o.oldest; ; {
			if !linked[e] || e.owner != o || e.newer.older != e {
				return fmt.Errorf("ring of owner %x is broken", id)
			}
			delete(linked, e)
			if e = e.newer; e == o.oldest {
				break
			}
		}
	}
	if len(linked) > 0 {
		return fmt.Errorf("%d entries in no ring", len(linked))
	}
	if heavy != len(s.heavy) || heavy > 64 {
		return fmt.Errorf("%d heavy owners, account has %d", heavy, len(s.heavy))
	}
	return nil
}
