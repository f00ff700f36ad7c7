package mcpauth

import (
	"context"
	"net/netip"
	"time"
)

// Limits bound how often something may be asked, so that one caller cannot use up what is there for all. What
// is too much is answered 429 with Retry-After. The zero value has no limits.
//
// A request counts once, after its credentials were found good and before its body is read; each operation in
// it that Operations names counts once more, after its rule was met.
type Limits struct {
	Caller Rate // requests of one caller: issuer, subject and client together, as in Principal.ID
	Client Rate // requests of one application, those of all its users together; callers without a client id have none

	// Operations limits, for each caller by itself, single operations. A key is a method, "tools/list", or a
	// method and a name, "tools/call send_mail", either of which may end in an asterisk. The exact key wins
	// over a longer prefix, and that over a shorter one; operations under one key share its rate.
	Operations map[string]Rate

	// Failures limits requests with bad credentials from one address, or one IPv6 network of 64 bits. Whoever
	// has used them up is answered 429 without a look at new credentials until there is room again; tokens that
	// this process remembers as good still work. It is counted by each process for itself.
	Failures Rate

	// TrustedProxies are the addresses of proxies in front whose X-Forwarded-For is believed, for Failures. A
	// wrong entry lets anyone pass for another; behind a proxy that is not named all share its address.
	TrustedProxies []netip.Prefix

	// Store keeps the counts where all replicas share them. Nil: the memory of this process, for MaxBuckets.
	Store LimitStore

	// Open lets requests pass uncounted where the Store, or a full memory, cannot tell. By default they are
	// answered 503.
	Open bool

	// MaxBuckets bounds the memory, at about 40 bytes each: a caller's count needs one until its rate has
	// filled up again. Zero: 1,048,576.
	MaxBuckets int
}

// A Rate is how often something may happen: Events in each Per on average, and Burst at once. The zero Rate is
// no limit; every other one needs positive Events and Per.
type Rate struct {
	Events int           // 1 to 1,000,000,000
	Per    time.Duration // 1 ms to 30 days
	Burst  int           // 1 to 1,000,000,000; zero: Events
}

// A LimitBucket is one count in a [LimitStore].
type LimitBucket struct {
	Key  [32]byte // a hash that says whose and of what; nothing can be read from it
	Rate Rate     // never zero
}

// A LimitStore counts for all replicas. It must be safe for concurrent use.
type LimitStore interface {
	// Take takes one event from each bucket, or none from any if one of them has none left, and returns zero,
	// or how long until it could succeed. Buckets of different groups never meet in one call. A bucket that
	// is not known is full. A store that cannot tell must return an error: see [Limits].Open. ctx ends
	// after 2 s.
	Take(ctx context.Context, group [32]byte, buckets []LimitBucket) (wait time.Duration, err error)
}
