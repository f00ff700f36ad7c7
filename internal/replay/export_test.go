package replay

import "unsafe"

// EntrySize is what an entry takes of the table.
const EntrySize = int(unsafe.Sizeof(entry{}))

// Len returns how many entries there are, including dead ones.
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
func (s *Store) Slots(owner [32]byte) (slots []uint16) {
	for i := range s.shards {
		slots = append(slots, uint16(s.shards[i].slot(owner)))
	}
	return slots
}
