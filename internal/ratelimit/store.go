// Package ratelimit limits how often each of many callers does something, in bounded memory.
//
// Each limit of each caller is a bucket that fills at its rate and from which each event takes
// something (a token bucket, kept as GCRA does: one timestamp for each). A bucket that has filled up
// says nothing and needs no memory, and one from which a single event was taken is full again after
// Per/Events. So what a [Store] holds is not who ever called, but who did lately. What is not full is
// never forgotten, or whoever makes many callers up would reset his own limit: a store without room
// refuses those it does not know.
package ratelimit

import (
	"errors"
	"hash/maphash"
	"math/bits"
	"time"
)

// ErrFull says that there is no room for a bucket that is not full. Nothing was taken from any: who
// lets the caller in all the same has no limit for it at all.
var ErrFull = errors.New("too many callers to keep count of")

var errTwice = errors.New("one Take has the same Key twice; give each limit of each caller a key of its own")

const (
	defaultCapacity = 1 << 20
	maxCapacity     = 1 << 22
	// shardCapacity is the least capacity of one of several shards. It bounds what one Take may have
	// to move where a table grows, about a millisecond's worth. Many more shards would be felt in each
	// garbage collection, which passes over their tables one by one.
	shardCapacity = 1 << 15
	maxShards     = 64 // bits of a set of shards

	// refused is the wait that goes with an error, so that who looks only at the wait refuses as well.
	refused = time.Second
)

// A Bucket is one limit of one caller.
type Bucket struct {
	// Key is a hash of whom the limit is for and of the limit itself. Nobody may be able to choose it.
	Key [32]byte

	// Rate may be another than the last time, as after a change of configuration. It holds from now
	// on, and a bucket never owes more than its Burst. Two Rates in turn for one key limit nothing:
	// give each a key of its own.
	Rate Rate
}

// Config configures a [Store].
type Config struct {
	// Capacity is how many buckets there are at most that are not full, each of 20 to 28 bytes, or 32 while
	// callers come and go. Zero and less mean 1,048,576; at most 4,194,304. A store of more than
	// 65,535 is full one or two per cent earlier, where the first of its shards is.
	Capacity int

	// Now is the time; nil means time.Now. It is called with locks held, so it must not use the Store.
	// Where it has a monotonic reading, like time.Now, it does not matter how the clock is set. Else a
	// clock that is put back only loses the time since the last Take, and one that is put forward fills
	// buckets, as if that time had passed.
	Now func() time.Time
}

// A Store is a set of buckets. It is safe for concurrent use. Nil and a Store that was not made by
// [New] are always full.
type Store struct {
	now    func() time.Time
	seed   maphash.Seed // so that nobody can aim at a shard, or at another one's bucket
	shards []shard      // a power of two
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
	for n < maxShards && cfg.Capacity/(2*n) >= shardCapacity {
		n *= 2
	}
	s := &Store{now: cfg.Now, seed: maphash.MakeSeed(), shards: make([]shard, n)}
	began := cfg.Now()
	for i := range s.shards {
		s.shards[i].init(cfg.Capacity/n, began)
	}
	return s
}

// A spot is where a bucket of a Take is, or would be.
type spot struct {
	shard  *shard
	key    key
	pace   pace
	before int64 // what to go back to
}

// Take takes one event from every bucket, or none from any. It returns zero if it did. Else wait is
// how long it takes until each of the buckets has an event to give, if nobody else takes it: the
// longest of their waits, to the nanosecond and never less, which is that of the bucket at short. It is
// never zero with an error, which is [ErrFull], or that of [Rate.Valid], or says that two buckets have
// the same key; short is zero then.
//
// Owner is who is to blame if there are too many new buckets: the person or machine behind them all,
// or its network, as narrowly as nobody can multiply at will. Once a shard is half full, nobody who
// has a sixteenth of it gets more, so that one cannot shut out the others. Buckets that are not full
// go on whatever happens, and may be shared by callers of several owners.
func (s *Store) Take(owner [32]byte, buckets []Bucket) (wait time.Duration, short int, err error) {
	if s == nil || len(s.shards) == 0 {
		return refused, 0, ErrFull
	}
	var few [4]spot // the stack has room for these
	spots, set := few[:0], uint64(0)
	for i := range buckets {
		b := &buckets[i]
		p, err := b.Rate.pace()
		if err != nil {
			return refused, 0, err
		}
		for j := range i {
			if buckets[j].Key == b.Key {
				return refused, 0, errTwice
			}
		}
		hash := maphash.Bytes(s.seed, b.Key[:])
		// The low bits choose the shard, where the high ones are all that is kept.
		n := hash & uint64(len(s.shards)-1)
		set |= 1 << n
		spots = append(spots, spot{shard: &s.shards[n], key: newKey(hash), pace: p})
	}
	s.lock(set)
	defer s.unlock(set)
	// Time is read with the locks held, or it would seem to go back where two Takes overtake each other.
	now := s.now()
	for rest := set; rest != 0; rest &= rest - 1 {
		s.shards[bits.TrailingZeros64(rest)].begin(now)
	}
	// No other Take sees a state between the first look and the last change, nor this one half done.
	for i := range spots {
		if w := spots[i].shard.wait(spots[i].key, spots[i].pace); w > wait {
			wait, short = w, i
		}
	}
	if wait > 0 {
		return wait, short, nil
	}
	for i := range spots {
		at, ok := &spots[i], false
		if at.before, ok = at.shard.take(at.key, at.pace, &owner); !ok {
			for j := range i {
				spots[j].shard.restore(spots[j].key, spots[j].before)
			}
			return refused, 0, ErrFull
		}
	}
	return 0, 0, nil
}

// Give gives back one event that [Store.Take] took from a bucket, for what turned out not to count. It does nothing where the
// bucket has filled up meanwhile, and never makes it more than full.
func (s *Store) Give(b Bucket) {
	p, err := b.Rate.pace()
	if err != nil || s == nil || len(s.shards) == 0 {
		return
	}
	hash := maphash.Bytes(s.seed, b.Key[:])
	n := hash & uint64(len(s.shards)-1)
	s.lock(1 << n)
	defer s.unlock(1 << n)
	sh := &s.shards[n]
	sh.begin(s.now())
	sh.give(newKey(hash), p)
}

// lock locks a set of shards, always the first one first, so that no two Takes wait for each other.
func (s *Store) lock(set uint64) {
	for rest := set; rest != 0; rest &= rest - 1 {
		s.shards[bits.TrailingZeros64(rest)].mu.Lock()
	}
}

func (s *Store) unlock(set uint64) {
	for rest := set; rest != 0; rest &= rest - 1 {
		s.shards[bits.TrailingZeros64(rest)].mu.Unlock()
	}
}
