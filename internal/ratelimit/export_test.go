package ratelimit

import (
	"hash/maphash"
	"unsafe"
)

// EntrySize is what an entry takes of the table.
const EntrySize = int(unsafe.Sizeof(entry{}))

// Len returns how many entries there are, including those that have filled up.
func (s *Store) Len() (n int) {
	for i := range s.shards {
		n += s.shards[i].count
	}
	return n
}

// Table returns how many entries there is memory for.
func (s *Store) Table() (n int) {
	for i := range s.shards {
		n += len(s.shards[i].table)
	}
	return n
}

// Slots returns in which slot the owner is counted, for each shard.
func (s *Store) Slots(owner [32]byte) (slots []int) {
	for i := range s.shards {
		slots = append(slots, s.shards[i].slot(&owner))
	}
	return slots
}

// Check returns what is wrong inside: entries that would not be found, and counts that do not add up.
func (s *Store) Check() string {
	for i := range s.shards {
		sh := &s.shards[i]
		count, held := 0, make([]uint32, slots)
		for i := range sh.table {
			e := &sh.table[i]
			if e.free() {
				continue
			}
			count++
			held[e.key.slot()]++
			if sh.find(e.key) != i {
				return "an entry is not found"
			}
		}
		if count != sh.count || count > sh.capacity {
			return "the count is wrong"
		}
		for slot := range held {
			if sh.held != nil && held[slot] != sh.held[slot] {
				return "an owner's count is wrong"
			}
		}
	}
	return ""
}

// Shard returns which shard has the buckets of a key.
func (s *Store) Shard(key [32]byte) int {
	return int(maphash.Bytes(s.seed, key[:]) & uint64(len(s.shards)-1))
}
