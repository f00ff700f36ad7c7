// Package jwks keeps the public keys of one issuer (RFC 7517).
//
// A [Set] fetches when it is first used and answers from an immutable index:
// looking up a key that it has takes no lock, waits for nobody and allocates
// nothing. All fetches are shared, at least a cooldown apart, whatever asks for
// them, and run on a context of their own. The last good keys are kept until
// better ones arrive or a limit of staleness passes; from then on everything is
// refused as unavailable.
//
// Each issuer has a Set of its own, so that no key of one can verify a token of
// another (RFC 8725, Section 3.8). Symmetric keys are never part of a Set.
package jwks

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

// ErrUnknownKey says that the set is good and has no key for this kid and
// algorithm. The token is not to be trusted.
var ErrUnknownKey = errors.New("no key for this kid and algorithm")

// ErrBusy is the cause within an [UnavailableError] when too many requests wait
// for the keys already. It is no outage: whoever waits may well be answered.
var ErrBusy = errors.New("too many requests wait for the keys already")

// An UnavailableError says that nobody can tell now whether there is such a
// key. The token may be good.
type UnavailableError struct {
	RetryAfter time.Duration // when it makes sense to ask again, at least 1 s
	Err        error         // what happened; safe to log
}

func (e *UnavailableError) Error() string { return "keys unavailable: " + e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

var (
	errNoFetcher = errors.New("no way to fetch keys is configured")
	errNotYet    = errors.New("waiting for the next attempt to fetch")
)

// Config configures a [Set]. URI and Fetch are required; without them the Set
// is never available. Zero and negative values of the others mean the default.
type Config struct {
	// URI resolves the jwks_uri, at each fetch and under its context. What it
	// returns must pass [fetch.CheckURL].
	URI func(context.Context) (string, error)
	// Failing is called after each failed fetch from the second in a row on, if
	// URI itself succeeded: perhaps the keys have moved. Nil does nothing.
	Failing func()
	Fetch   *fetch.Client
	// Now must advance: all times below are counted by it, and without them
	// there is neither a second fetch nor an end of old keys. Where it is set
	// back, the keys are fetched anew. Nil means the monotonic clock, which is
	// twice as fast to read.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
	// Cooldown is the least time between the beginnings of two fetches; zero
	// means 10 s. While there are no keys, the first retries come sooner: 1, 2,
	// 4, ... seconds after one another, up to the cooldown.
	Cooldown time.Duration
	// MinAge and MaxAge bound the max-age of the answer, 1 min and 1 h when
	// zero; without one the age is 5 min. Older keys are refreshed in the
	// background.
	MinAge, MaxAge time.Duration
	// MaxStale is how long beyond their age keys serve when no refresh
	// succeeds; zero means 24 h.
	MaxStale   time.Duration
	MaxKeys    int // entries of one document, usable or not; zero means 1024
	MaxWaiting int // requests that may wait for one fetch; zero means 64
}

// A Set is the key set of one issuer. It is safe for concurrent use. A Set
// that was not made by [New] is never available.
type Set struct {
	cfg  Config
	log  *slog.Logger
	base time.Time // of all times below, which are nanoseconds since

	index atomic.Pointer[index] // nil until the first good document
	// due is when a lookup that was answered should start a refresh:
	// never while one is under way.
	due  atomic.Int64
	last atomic.Int64 // when the last fetch began; written under mu

	mu       sync.Mutex // never held during I/O or a callback
	flight   *flight    // nil when no fetch is under way
	next     int64      // no fetch begins before
	failures int        // in a row
	lastErr  error      // of the last fetch, nil after a success
	trouble  trouble
}

// New returns a Set. It does no I/O and starts no goroutine.
func New(cfg Config) *Set {
	or := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	or(&cfg.Cooldown, 10*time.Second)
	or(&cfg.MinAge, time.Minute)
	or(&cfg.MaxAge, time.Hour)
	or(&cfg.MaxStale, 24*time.Hour)
	cfg.MaxAge = max(cfg.MaxAge, cfg.MinAge)
	if cfg.MaxKeys <= 0 {
		cfg.MaxKeys = 1024
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = 64
	}
	s := &Set{cfg: cfg, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		s.base = time.Now()
	} else {
		s.base = cfg.Now()
	}
	return s
}

func (s *Set) now() int64 {
	if s.cfg.Now == nil {
		return int64(time.Since(s.base))
	}
	return int64(s.cfg.Now().Sub(s.base))
}

// Lookup returns the keys that may have signed a token with this kid and alg:
// one as a rule, several where a kid is shared, at most 8. The empty kid stands
// for a token without one and gives every key that fits the algorithm. The
// slice is shared and must not be changed.
//
// Where the set has such a key, Lookup returns at once. Otherwise it may wait,
// under ctx, for a fetch; the error is [ErrUnknownKey] or an
// *[UnavailableError], the latter also when the last fetch failed, since the
// kid may be that of a new key.
func (s *Set) Lookup(ctx context.Context, kid, alg string) ([]*Key, error) {
	a := algorithmOf(alg)
	if a == noAlgorithm {
		return nil, ErrUnknownKey
	}
	if ix := s.index.Load(); ix != nil {
		if keys := ix.find(kid, a); len(keys) > 0 {
			now := s.now()
			if now < ix.stale {
				if s.isDue(now) {
					s.refresh()
				}
				return keys, nil
			}
		}
	}
	return s.await(ctx, query{kid: kid, alg: a})
}

// LookupAgain is for a caller for whom every key that [Set.Lookup] gave has
// failed: the issuer may have put a new key under an old kid, or sign without
// kid. It returns keys that are not among tried, and causes a fetch under the
// same rules as an unknown kid does.
func (s *Set) LookupAgain(ctx context.Context, kid, alg string, tried []*Key) ([]*Key, error) {
	a := algorithmOf(alg)
	if a == noAlgorithm {
		return nil, ErrUnknownKey
	}
	return s.await(ctx, query{kid: kid, alg: a, tried: tried})
}

// Current reports whether k is in the set now, so that a verification made
// with it still stands. A key keeps its pointer over refreshes until the
// document changes or drops it. Like Lookup it starts a refresh when one is
// due, for the case that all tokens are remembered ones. It never waits.
func (s *Set) Current(k *Key) bool {
	if k == nil || k.set != s || !k.live.Load() {
		return false
	}
	ix := s.index.Load()
	if ix == nil {
		return false
	}
	now := s.now()
	if now >= ix.stale {
		return false
	}
	if s.isDue(now) {
		s.refresh()
	}
	return true
}

// Ready returns nil when the set has good keys. Otherwise it fetches, unless
// the last attempt was just made, and returns an *[UnavailableError] when there
// are none then either.
func (s *Set) Ready(ctx context.Context) error {
	_, err := s.await(ctx, query{ready: true})
	return err
}

// A query is what one caller waits for.
type query struct {
	kid   string
	alg   algorithm
	tried []*Key
	ready bool // any good set will do
}

// answer looks for q in ix. It reports whether the waiting is over.
func (q query) answer(ix *index) ([]*Key, bool) {
	if q.ready {
		return nil, true
	}
	keys := ix.find(q.kid, q.alg)
	if q.tried != nil {
		keys = without(keys, q.tried)
	}
	return keys, len(keys) > 0
}

func without(keys, tried []*Key) []*Key {
	var left []*Key
next:
	for _, k := range keys {
		for _, t := range tried {
			if k == t {
				continue next
			}
		}
		left = append(left, k)
	}
	return left
}
