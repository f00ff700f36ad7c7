package strictjson

import (
	"encoding/binary"
	"hash/maphash"
)

// few is how many names of one object are compared one by one before a nameSet takes over.
const few = 12

var seed = maphash.MakeSeed()

// keyOf stands for a name in comparisons. A name of up to seven bytes is its own key. The key of a
// longer one is a hash, marked by the highest bit: two such names with one key count as duplicates.
// The hash is keyed at random for each process, so nobody can aim for that, and among a million
// names it happens once in 10^7 bodies: doubt refuses.
func keyOf(name []byte) uint64 {
	n := len(name)
	key := uint64(n) << 56
	switch {
	case n > 7:
		return maphash.Bytes(seed, name) | 1<<63
	case n >= 4: // two halves that overlap where they agree
		key |= uint64(binary.LittleEndian.Uint32(name)) | uint64(binary.LittleEndian.Uint32(name[n-4:]))<<(8*(n-4))
	case n > 0:
		key |= uint64(name[0]) | uint64(name[n/2])<<(8*(n/2)) | uint64(name[n-1])<<(8*(n-1))
	}
	return key
}

// remember reports whether name is new in the object whose names begin at first.
func (s *Scanner) remember(name []byte, first int, seen *nameSet) bool {
	key := keyOf(name)
	if seen.used > 0 {
		return seen.add(key)
	}
	own := s.names[first:]
	for _, other := range own {
		if other == key {
			return false
		}
	}
	if len(own) < few {
		s.names = append(s.names, key)
		return true
	}
	for _, other := range own {
		seen.add(other)
	}
	return seen.add(key)
}

// A nameSet holds the keys of the names of one large object, eight bytes for each.
type nameSet struct {
	slots []uint64 // key + 1, since 0 marks a free slot; no key is the largest number but by chance
	used  int
}

func (n *nameSet) add(key uint64) bool {
	if 2*(n.used+1) > len(n.slots) {
		old := n.slots
		n.slots = make([]uint64, max(4*few, 2*len(old)))
		for _, k := range old {
			if k != 0 {
				n.insert(k)
			}
		}
	}
	if !n.insert(max(key+1, 1)) {
		return false
	}
	n.used++
	return true
}

func (n *nameSet) insert(slot uint64) bool {
	// The keys of short names can be chosen, so their places must not follow from them.
	i := maphash.Comparable(seed, slot) % uint64(len(n.slots))
	for n.slots[i] != 0 {
		if n.slots[i] == slot {
			return false
		}
		if i++; i == uint64(len(n.slots)) {
			i = 0
		}
	}
	n.slots[i] = slot
	return true
}
