// Package replay remembers which DPoP proofs were used, so that each is accepted
// once only (RFC 9449, Section 11.1).
//
// A [Store] keeps a keyed hash of each proof until the proof could not be
// accepted any more. What it forgets is never a matter of memory: a store that
// is full refuses. Two different proofs are taken for the same with a probability
// of at most one in 10^12 at a million live proofs, which costs a client one more
// attempt; the opposite does not happen.
package replay

import (
	"errors"
	"hash/maphash"
	"math"
	"time"
)

var (
	// ErrSeen says that the proof was used before, or that nobody can tell any
	// more because it is too old. It is not to be accepted.
	ErrSeen = errors.New("the proof was used before")
	// ErrFull says that the proof could not be remembered, for which reason it
	// is not to be accepted now. Another one may be later.
	ErrFull = errors.New("too many proofs to remember")
)

const (
	defaultCapacity = 1 << 22
	maxCapacity     = 1 << 30
	// shardCapacity is the least capacity of one of several shards; none has
	// twice as much. It bounds what one insert may have to move, about a
	// millisecond's worth. Many more shards would be felt in each garbage
	// collection, which passes over their tables one by one.
	shardCapacity = 1 << 16
)

// Config configures a [Store].
type Config struct {
	// Capacity is how many live entries there are at most, each of 15 to 23
	// bytes. Zero and less mean 4,194,304, which is what 300 s at 13,900
	// requests a second leave behind; at most 2^30. A store of more than 131,071
	// is full one or two per cent earlier, where the first of its shards is.
	Capacity int
	Now      func() time.Time // nil means time.Now
}

// A Store is a set of proofs. It is safe for concurrent use. Nil and a Store
// that was not made by [New] are always full.
type Store struct {
	now    func() time.Time
	seed   maphash.Seed
	shards []shard // a power of two
}

// New returns a Store. It starts no goroutine, and the memory grows with use.
func New(cfg Config) *Store {
	if cfg.Capacity <= 0 {
		cfg.Capacity = defaultCapacity
	}
	cfg.Capacity = min(cfg.Capacity, maxCapacity)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	n := 1
	for cfg.Capacity/(2*n) >= shardCapacity {
		n *= 2
	}
	s := &Store{now: cfg.Now, seed: maphash.MakeSeed(), shards: make([]shard, n)}
	for i := range s.shards {
		s.shards[i].init(cfg.Capacity / n)
	}
	return s
}

// Add records a proof until it could not be accepted any more; the moment itself
// is included. It returns nil if this is the first time, and then no other call
// with the same owner and id does, whatever its until, as long as the entry
// lives. Otherwise it returns [ErrSeen], also where until has passed, or
// [ErrFull].
//
// The id stands for the proof: for its key and its jti, both of which count.
// Owner is who is to blame if there are too many: the user, since anybody can
// make keys. Once a shard is half full, nobody who holds a sixteenth of it gets
// more, so that one owner cannot shut out the others.
func (s *Store) Add(owner, id [32]byte, until time.Time) error {
	if s == nil || len(s.shards) == 0 {
		return ErrFull
	}
	t := s.now()
	if until.Before(t) {
		// Too late to be accepted, and perhaps forgotten already.
		return ErrSeen
	}
	// Whole seconds, in favour of keeping: an entry lives while now <= last.
	now, last := t.Unix(), until.Unix()
	if until.Nanosecond() > 0 {
		last++
	}
	if now <= 0 || last > math.MaxUint32 {
		return ErrFull
	}
	var both [64]byte
	copy(both[:32], owner[:])
	copy(both[32:], id[:])
	hash := maphash.Bytes(s.seed, both[:])
	// The low bits choose the shard, where the high ones are all that is kept.
	sh := &s.shards[hash&uint64(len(s.shards)-1)]
	return sh.add(newKey(hash, sh.slot(owner)), uint32(now), uint32(last))
}
