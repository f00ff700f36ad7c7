package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

// Limits bound how often something may be asked, so that one caller cannot use up what is there for all. What
// is too much is answered 429 with Retry-After. The zero value has no limits.
//
// A request counts once, after its credentials were found good and before its body is read; each operation in
// it that Operations names counts once more, after its rule was met. What is refused for one of Caller and Client
// counts for neither.
type Limits struct {
	Caller Rate // requests of one user, by issuer and subject, whatever the client; of an application without a user, its own
	Client Rate // requests of one application, those of all its users together; without Caller, one of them can use it up

	// Operations limits, for each such caller by itself, single operations. A key is a method, "tools/list", or a
	// method and a name, "tools/call send_mail", either of which may end in an asterisk. The exact key wins
	// over a longer prefix, and that over a shorter one; operations under one key share its rate. Other
	// spellings of a resource's URI count as that URI.
	Operations map[string]Rate

	// Failures limits requests with bad credentials from one address, or one IPv6 network of 64 bits. Whoever
	// has used them up is answered 429 without a look at new credentials until there is room again; tokens that
	// this process remembers as good still work, and where CachedTokens is negative there are none. Each process
	// counts for itself. Credentials count while they are looked at, too, also where the client hangs up meanwhile,
	// and tokens that expired, so leave room for clients that share an address: no less than 30 at once. Where an
	// address cannot be told, as on a Unix socket, nothing is limited.
	Failures Rate

	// Proxies are those in front whose word about a client's address is taken, for Failures. Behind a proxy that is
	// not named, all clients share its address.
	Proxies Proxies

	// Store keeps the counts where all replicas share them. Nil: the memory of this process, for MaxBuckets.
	Store LimitStore

	// Open lets requests pass uncounted where the Store, or a full memory, cannot tell. By default they are
	// answered 503.
	Open bool

	// MaxBuckets bounds the memory, at about 30 bytes each: a caller's count needs one until its rate has
	// filled up again. It goes with a nil Store, and bounds Failures as well. Zero: 1,048,576.
	MaxBuckets int
}

// Proxies are the reverse proxies whose word about a client's address is taken. The zero value takes nobody's: the
// client is the peer of the connection.
type Proxies struct {
	// Trusted are the addresses of the proxies, such as 10.0.0.5/32. Whoever can connect from one of them
	// can claim any address, so name the proxies and not the network that they share with clients.
	Trusted []netip.Prefix

	// Field is what the proxies add to: "X-Forwarded-For" or "Forwarded" (RFC 7239). Zero: "X-Forwarded-For". It
	// is read from the right, and the client is the first address that belongs to no trusted proxy.
	Field string
}

// A Rate is how often something may happen: Events in each Per on average, and Burst at once. The zero Rate is
// no limit; every other one needs positive Events and Per, at most ten million events a second, and a Burst that
// takes no longer than 366 days to come back.
type Rate struct {
	Events int           // how many in each Per
	Per    time.Duration // such as time.Minute
	Burst  int           // how many at once, after a pause; zero: Events
}

// A LimitBucket is one count in a [LimitStore].
type LimitBucket struct {
	Key  [32]byte // a hash that says whose and of what; nothing can be read from it
	Rate Rate     // never zero
}

// A LimitStore counts for all replicas. It must be safe for concurrent use.
type LimitStore interface {
	// Take takes one event from each bucket, or none from any if one of them has none left. If it took, wait is zero.
	// Else wait is how long until it could succeed, and short which bucket takes that long, counted from 0. A bucket
	// that the store does not know is full.
	//
	// What one request has to ask at once is one call, of at most three buckets, so that it costs one round trip. All of
	// them are in the group, and a bucket never changes its group, so that a store may keep each group in one place:
	// there is a group for each issuer where [Limits].Client is set, else one for each caller.
	//
	// A store that cannot tell must return an error: see [Limits].Open. ctx ends after 2 s.
	Take(ctx context.Context, group [32]byte, buckets []LimitBucket) (wait time.Duration, short int, err error)
}

const (
	limitTimeout = 2 * time.Second
	maxBuckets   = 1 << 22
)

// addLimits reads Config.Limits.
func (m *Middleware) addLimits(in Limits, errs *mistakes) {
	rates := map[string]Rate{"Caller": in.Caller, "Client": in.Client, "Failures": in.Failures}
	for key, rate := range in.Operations {
		name := fmt.Sprintf("Operations[%q]", key)
		rates[name] = rate
		if rate == (Rate{}) {
			errs.add("Limits."+name, "the Rate is zero; leave the entry out where there is no limit")
		}
		if err := checkLimitKey(key); err != nil {
			errs.add("Limits."+name, "%w", err)
		}
	}
	limited := false
	for _, name := range slices.Sorted(maps.Keys(rates)) {
		rate := rates[name]
		if rate == (Rate{}) {
			continue
		}
		limited = true
		if err := ratelimit.Rate(rate).Valid(); err != nil {
			errs.add("Limits."+name, "%w", err)
		}
	}
	proxies := clientaddr.Proxies(in.Proxies)
	if member, err := proxies.Check(); err != nil {
		errs.add("Limits.Proxies."+member, "%w", err)
	}
	switch {
	case in.MaxBuckets < 0 || in.MaxBuckets > maxBuckets:
		errs.add("Limits.MaxBuckets", "%d is not between 1 and %d; leave it 0 for 1,048,576", in.MaxBuckets, maxBuckets)
	case in.MaxBuckets > 0 && in.Store != nil && in.Failures == (Rate{}):
		errs.add("Limits.MaxBuckets", "is for a nil Store and for Failures; leave it out")
	}
	if !limited {
		if in.Store != nil || in.Open || in.MaxBuckets != 0 || len(in.Proxies.Trusted) > 0 {
			errs.add("Limits", "has no Rate, so leave the other members out")
		}
		return
	}
	l := &limiter{
		caller: in.Caller, client: in.Client, failures: in.Failures, proxies: proxies.Clone(), store: in.Store, open: in.Open,
		operations: newLimitRules(in.Operations),
	}
	if l.store == nil {
		l.memory = ratelimit.New(ratelimit.Config{Capacity: in.MaxBuckets, Now: m.now})
	}
	if l.failures != (Rate{}) {
		l.failed = ratelimit.New(ratelimit.Config{Capacity: in.MaxBuckets, Now: m.now})
	}
	m.limits = l
}

// checkLimitKey finds keys that no operation has.
func checkLimitKey(key string) error {
	method, name, named := strings.Cut(key, " ")
	hasNames := targetOf(Operation{Method: method, Name: "x"}) != methodTarget
	switch {
	case key == "":
		return errors.New("the key is empty; write a method, or a method and a name")
	case strings.Contains(strings.TrimSuffix(key, "*"), "*"):
		return errors.New("an asterisk may only stand at the end")
	case named && (!hasNames || name == ""):
		return fmt.Errorf("operations of %q have no names; write the method alone, and as the specification spells it", method)
	case !named && !strings.HasSuffix(key, "*") && targetOf(Operation{Method: method}) != methodTarget:
		return fmt.Errorf("write %q: operations of this method have names", method+" *")
	}
	return nil
}

// String says how often that is, for logs: "10 in 1m0s, 20 at once".
func (r Rate) String() string {
	s := fmt.Sprintf("%d in %v", r.Events, r.Per)
	if r.Burst != 0 && r.Burst != r.Events {
		s += fmt.Sprintf(", %d at once", r.Burst)
	}
	return s
}
