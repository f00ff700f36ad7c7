// Package tokencache remembers verified access tokens for one resource, so that
// a token's signature is computed once and not with every request.
//
// A [Cache] has hard bounds on entries and on bytes. When it is full it
// takes from whoever has more than a fair share; only when nobody has does it
// drop what was not used for longest. So an owner with any number of
// valid tokens costs the others no more than that share. Looking up takes no
// lock, writes nothing as a rule and allocates nothing.
//
// The cache holds good tokens only: there are no negative answers. It knows time
// and nothing else. What may change while a token lives (its key, revocation,
// the rules) the caller judges anew on every hit: [Cache.RemoveFunc] gives memory
// back, but cannot stop a call of [Cache.Add] that is under way.
package tokencache

import (
	"hash/maphash"
	"math/bits"
	"time"
)

const (
	defaultEntries = 1 << 16
	defaultBytes   = 64 << 20
	mostEntries    = 1 << 24 // the table then takes 128 MiB

	// Only Add and the removals lock a shard, and an Add comes after a signature
	// of some 50 us, so that few shards do. Larger ones keep fair shares large.
	maxShards       = 16
	minShardEntries = 1 << 12
	minShardBytes   = 4 << 20
)

// Config configures a [Cache]. Zero and negative numbers mean the defaults.
type Config struct {
	// MaxEntries bounds the tokens held, dead ones that were not given back yet
	// included. Zero means 65536; more than 1<<24 means 1<<24.
	MaxEntries int
	// MaxBytes bounds the sum of all Item.Size and 208 bytes for each entry.
	// Zero means 64 MiB. Both bounds are split evenly between up to 16 shards, so
	// that a cache may drop entries slightly before it is full as a whole.
	MaxBytes int64
	// Now is the clock that [Item.Expiry] is compared with. Nil means time.Now.
	Now func() time.Time
}

// A Cache holds verified tokens of one resource. It is safe for concurrent use.
// A nil Cache, and one that was not made by [New], holds nothing and refuses
// nothing: it is the option switched off.
type Cache[V any] struct {
	now    func() time.Time
	seed   maphash.Seed // secret: nobody can choose tokens that meet in one chain or shard
	shards []shard[V]   // a power of two
	bits   int          // of the hash that choose the shard
}

// An Item is what the cache must know about a value.
type Item struct {
	// Owner names whose token this is, for fairness: choose what one person or
	// machine cannot have many of. Issuer and subject, that is; the client only
	// where there is no subject, since anyone may register many (RFC 7591).
	// Owners are compared by a keyed hash; the text is not kept.
	Owner string
	// Size is what the caller accounts for the value and all it points to, in
	// bytes. A negative one is not held, nor one of more than a fair share: 1/32
	// of a shard, 128 KiB by default.
	Size int
	// Expiry is the first moment at which the value is dead (exp and any leeway).
	// It is cut to milliseconds. Zero means dead already.
	Expiry time.Time
}

// New returns an empty cache. It starts no goroutine.
func New[V any](cfg Config) *Cache[V] {
	if cfg.MaxEntries <= 0 {
		cfg.MaxEntries = defaultEntries
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = defaultBytes
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	// More entries than the bytes have room for would only make the table larger.
	entries := int(max(1, min(int64(cfg.MaxEntries), mostEntries, cfg.MaxBytes/entryBytes)))
	shards := 1
	for shards < maxShards && entries/(shards*2) >= minShardEntries && cfg.MaxBytes/int64(shards*2) >= minShardBytes {
		shards *= 2
	}
	c := &Cache[V]{
		now:    cfg.Now,
		seed:   maphash.MakeSeed(),
		shards: make([]shard[V], shards),
		bits:   bits.TrailingZeros(uint(shards)),
	}
	for i := range c.shards {
		c.shards[i].limits = newLimits(entries/shards, cfg.MaxBytes/int64(shards))
		c.shards[i].owners = make(map[uint64]*owner[V])
	}
	return c
}

// Get returns the value that was added for key, the SHA-256 of the whole token,
// unless it has expired. The value is the one that was added, not a copy of what
// it points to.
func (c *Cache[V]) Get(key [32]byte) (value V, ok bool) {
	if c == nil || len(c.shards) == 0 {
		return value, false
	}
	s, hash := c.place(key)
	e := s.look(hash, key)
	if e == nil || e.dead(c.now().UnixMilli()) {
		return value, false
	}
	e.touch()
	return e.value, true
}

// Add holds value for key, in place of what was held for it before. It does
// nothing but forget the latter if the item is dead or too large. It never takes
// from an owner who has a fair share or less to give to one who has more.
func (c *Cache[V]) Add(key [32]byte, it Item, value V) {
	if c == nil || len(c.shards) == 0 {
		return
	}
	now := c.now()
	s, hash := c.place(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.find(hash, key); old != nil {
		s.drop(old)
	}
	s.sweepSome(now.UnixMilli())
	// Compared as times first: what lies outside the range of milliseconds wraps.
	if it.Size < 0 || !it.Expiry.After(now) {
		return
	}
	e := &entry[V]{key: key, hash: hash, expiry: it.Expiry.UnixMilli(), value: value}
	s.insert(e, maphash.String(c.seed, it.Owner), int64(it.Size))
}

// Remove forgets what is held for key.
func (c *Cache[V]) Remove(key [32]byte) {
	if c == nil || len(c.shards) == 0 {
		return
	}
	s, hash := c.place(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.find(hash, key); e != nil {
		s.drop(e)
	}
}

// RemoveFunc forgets every value for which drop reports true and returns how many
// those were. It looks at each value held throughout the call, without holding a
// lock while drop runs. Values that are added meanwhile may escape it.
func (c *Cache[V]) RemoveFunc(drop func(V) bool) int {
	if c == nil {
		return 0
	}
	removed := 0
	for i := range c.shards {
		removed += c.shards[i].removeFunc(drop)
	}
	return removed
}

// Len returns how many tokens are held, dead ones that were not given back yet
// included.
func (c *Cache[V]) Len() int {
	n := 0
	c.each(func(s *shard[V]) { n += s.entries })
	return n
}

// Bytes returns what counts against Config.MaxBytes.
func (c *Cache[V]) Bytes() int64 {
	n := int64(0)
	c.each(func(s *shard[V]) { n += s.bytes })
	return n
}

func (c *Cache[V]) each(visit func(*shard[V])) {
	if c == nil {
		return
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		visit(s)
		s.mu.Unlock()
	}
}

// place returns whose a key is, and the part of its hash that chooses the bucket there.
func (c *Cache[V]) place(key [32]byte) (*shard[V], uint32) {
	h := maphash.Bytes(c.seed, key[:])
	return &c.shards[h&uint64(len(c.shards)-1)], uint32(h >> c.bits)
}
