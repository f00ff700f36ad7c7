package redisstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Options configure a [Store]. The zero value is refused: it has no Client.
type Options struct {
	// Client is the connection to Redis or Valkey: of redis.NewClient, redis.NewFailoverClient or
	// redis.NewClusterClient, with ContextTimeoutEnabled set, since without it go-redis waits for its own
	// timeouts, several times, whatever the context says. It stays the caller's, who closes it. Required.
	Client redis.UniversalClient

	// Prefix begins every key: 1 to 64 ASCII letters, digits and the signs : . _ - /. All replicas of one
	// server share it. Servers that share one Redis may share it, too, if they trust one another. Empty:
	// "mcpauth:".
	Prefix string

	// Timeout bounds each call, with whatever go-redis does anew in it, and the caller's context does so,
	// too: 1 ms to 5 s. Zero: 500 ms.
	Timeout time.Duration

	// Now is the clock of this process. It must be the one in mcpauth.Config.Now: from it follows how long,
	// not until when, something is to be remembered. Nil: time.Now.
	Now func() time.Time

	// DangerouslySkipRevocations has Find answer that nothing was taken back while Redis cannot be asked.
	// Whoever can cut the server off from Redis, or slow it down, can then use revoked tokens until they
	// expire. By default Find returns the error and the request is answered 503.
	DangerouslySkipRevocations bool

	// OnError is told of every call that failed, those included that DangerouslySkipRevocations hides. It
	// is called concurrently, while the request waits. Nil: nobody is told.
	OnError func(error)
}

const (
	defaultPrefix  = "mcpauth:"
	maxPrefix      = 64
	prefixAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:._-/"

	defaultTimeout = 500 * time.Millisecond
	minTimeout     = time.Millisecond
	maxTimeout     = 5 * time.Second // mcpauth waits no longer for any store

	// margin is added to every time to live. It makes up for a server whose clock is put forward, or
	// another one that takes over with a clock that is ahead, and for replicas whose clocks differ.
	margin = 10 * time.Second
)

// A Store keeps on Redis or Valkey what replicas share: it is a [mcpauth.ReplayStore], a [mcpauth.LimitStore]
// and a [mcpauth.RevocationStore]. Make it with [New]. It is safe for concurrent use and holds nothing itself.
// The zero value returns errors only.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
	now     func() time.Time
	skip    bool
	onError func(error)
}

var (
	_ mcpauth.ReplayStore     = (*Store)(nil)
	_ mcpauth.LimitStore      = (*Store)(nil)
	_ mcpauth.RevocationStore = (*Store)(nil)
)

// New makes a Store. It does no I/O: [Store.Check] does. Its error names every member of Options that will not do.
func New(o Options) (*Store, error) {
	s := &Store{client: o.Client, prefix: o.Prefix, timeout: o.Timeout, now: o.Now, skip: o.DangerouslySkipRevocations, onError: o.OnError}
	var errs []error
	if err := suits(o.Client); err != nil {
		errs = append(errs, err)
	}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	// Braces in it would decide in which slot of a cluster a key lies.
	if len(s.prefix) > maxPrefix || strings.Trim(s.prefix, prefixAlphabet) != "" {
		errs = append(errs, fmt.Errorf("redisstore: Options.Prefix %.80q is not 1 to %d letters, digits and : . _ - /", o.Prefix, maxPrefix))
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	if s.timeout < minTimeout || s.timeout > maxTimeout {
		errs = append(errs, fmt.Errorf("redisstore: Options.Timeout %v is not between %v and %v; leave it 0 for %v", o.Timeout, minTimeout, maxTimeout, defaultTimeout))
	}
	if s.now == nil {
		s.now = time.Now
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// suits refuses clients that would answer from a server that may not know, or would not stop when told to.
func suits(client redis.UniversalClient) error {
	var honoursContext bool
	var read, write time.Duration
	switch c := client.(type) {
	case nil:
		return errors.New("redisstore: Options.Client is nil; set it to a client of go-redis")
	case *redis.Client:
		if c == nil {
			return errors.New("redisstore: Options.Client is a nil *redis.Client")
		}
		o := c.Options()
		honoursContext, read, write = o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout
	case *redis.ClusterClient:
		if c == nil {
			return errors.New("redisstore: Options.Client is a nil *redis.ClusterClient")
		}
		o := c.Options()
		honoursContext, read, write = o.ContextTimeoutEnabled, o.ReadTimeout, o.WriteTimeout
		if o.ReadOnly { // as RouteByLatency and RouteRandomly make it
			return errors.New("redisstore: Options.Client reads from replicas, which learn of a revocation later; leave ReadOnly, RouteByLatency and RouteRandomly out")
		}
	case *redis.Ring:
		return errors.New("redisstore: Options.Client is a redis.Ring, which asks another server while one is down, so that a used proof would be new there; use a cluster or one server")
	default:
		return nil // a wrapper, whose author has to know
	}
	if !honoursContext {
		return errors.New("redisstore: Options.Client ignores the timeouts of contexts; set ContextTimeoutEnabled in its options")
	}
	if read < 0 || write < 0 {
		return errors.New("redisstore: Options.Client waits without end; set its ReadTimeout and WriteTimeout to 0 or more")
	}
	return nil
}

var errUnmade = errors.New("redisstore: this Store was not made by New")

// begin bounds a call.
func (s *Store) begin(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if s == nil || s.client == nil {
		return nil, nil, errUnmade
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	return ctx, cancel, nil
}

// life is how long Redis must remember something until the given time. Only the difference of two readings
// of one clock goes to Redis, which counts it down by its own: it does not matter what time either of them
// believes it is. Redis begins to count after this was computed, so what is remembered ends later rather
// than earlier. An absolute time (PXAT) would end at once on a server whose clock is ahead by the window,
// and every proof would be new for ever.
func (s *Store) life(until time.Time) (d time.Duration, past bool) {
	d = until.Sub(s.now())
	past = d <= 0
	const most = 100 * 365 * 24 * time.Hour // Redis refuses what does not fit into its clock
	return min(max(d, 0), most) + margin, past
}

// milliseconds rounds up.
func milliseconds(d time.Duration) int64 {
	return int64((d + time.Millisecond - 1) / time.Millisecond)
}
