package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
	"github.com/go-mcpauth/sdk/internal/prefix"
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
	// this process remembers as good still work. It is counted by each process for itself. Credentials count
	// while they are looked at, too, also where the client hangs up meanwhile, and tokens that expired, so leave room for clients that share an address:
	// no less than 30 at once. Without remembered tokens (CachedTokens) good ones are refused as well. Where an address cannot be told, as on a Unix socket, nothing is limited. (SEC-06)
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
	// Else wait is how long until it could succeed, and short which bucket takes that long, counted from 0.
	//
	// What one request has to ask at once is one call, of at most three buckets, so that it costs one round trip. Buckets
	// of different groups never meet in one call, and a bucket is always in the same group: where [Limits].Client is set,
	// one for each issuer, else one for each caller. One that is not known is full. A store that cannot tell must return
	// an error: see [Limits].Open. ctx ends after 2 s.
	Take(ctx context.Context, group [32]byte, buckets []LimitBucket) (wait time.Duration, short int, err error)
}

const (
	limitTimeout   = 2 * time.Second
	openReportedAt = 10 * time.Second // the least time between two reports that nobody counts
	maxBuckets     = 1 << 22
)

// A limiter counts.
type limiter struct {
	caller, client Rate
	operations     limitRules
	failures       Rate
	proxies        clientaddr.Proxies
	store          LimitStore // nil: memory
	memory         *ratelimit.Store
	failed         *ratelimit.Store
	open           bool
	reported       atomic.Int64 // when it was last said that nobody counts, in Unix nanoseconds
}

// limitRules are Limits.Operations.
type limitRules struct {
	exact    map[string]Rate
	prefixes prefix.Map[Rate]
}

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
		if err := rate.in().Valid(); err != nil {
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
		operations: limitRules{exact: make(map[string]Rate)},
	}
	for key, rate := range in.Operations {
		if beginning, ok := strings.CutSuffix(key, "*"); ok {
			l.operations.prefixes.Set(beginning, rate)
		} else {
			l.operations.exact[key] = rate
		}
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

func (r Rate) in() ratelimit.Rate { return ratelimit.Rate(r) }

// String says for a log how often that is.
func (r Rate) String() string {
	s := fmt.Sprintf("%d in %v", r.Events, r.Per)
	if r.Burst != 0 && r.Burst != r.Events {
		s += fmt.Sprintf(", %d at once", r.Burst)
	}
	return s
}

// keys are those of Limits.Operations, in order.
func (l *limiter) keys() (out []string) {
	if l == nil {
		return nil
	}
	for key := range l.operations.prefixes.Prefixes() {
		out = append(out, key+"*")
	}
	out = slices.AppendSeq(out, maps.Keys(l.operations.exact))
	slices.Sort(out)
	return out
}

// find returns the rate for an operation, and the key that it stands under.
func (l *limitRules) find(op Operation) (key string, rate Rate) {
	if len(l.exact)+l.prefixes.Len() == 0 {
		return "", Rate{}
	}
	names := []string{op.String()}
	if targetOf(op) == resourceTarget {
		for _, reading := range readings(op.Name) {
			names = append(names, Operation{Method: op.Method, Name: reading}.String())
		}
	}
	for _, name := range names {
		if rate, ok := l.exact[name]; ok {
			return name, rate
		}
	}
	for _, name := range names {
		// Of the readings of one URI, the one counts that an entry is closest to; of two as close, the first.
		if beginning, r, ok := l.prefixes.Longest(name); ok && len(beginning)+len("*") > len(key) {
			key, rate = beginning+"*", r
		}
	}
	return key, rate
}

// A count is a bucket with the words for it.
type count struct {
	bucket LimitBucket
	of     string
}

// countOfEvents joins by length, so that no two counts have one key.
func countOfEvents(kind, of string, rate Rate, whose ...string) count {
	var room [512]byte
	buf := append(append(room[:0], kind...), 0)
	for _, part := range whose {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(part)))
		buf = append(buf, part...)
	}
	return count{bucket: LimitBucket{Key: sha256.Sum256(buf), Rate: rate}, of: of}
}

// ofCaller is whom the counts of a caller are for. A user who registers another client stays the same, and a guest is
// known by the address alone.
func ofCaller(p *Principal, source string) []string {
	if p == guest {
		return []string{"guest", source}
	}
	return []string{"caller", p.sessionOwner(true)}
}

// requestCounts are what one request of a caller counts for.
func (l *limiter) requestCounts(p *Principal, source string) (out []count) {
	if l.caller != (Rate{}) {
		out = append(out, countOfEvents("request", "the caller", l.caller, ofCaller(p, source)...))
	}
	if l.client != (Rate{}) && p.ClientID() != "" {
		out = append(out, countOfEvents("client", "the application", l.client, p.Issuer(), p.ClientID()))
	}
	return out
}

// operationCount is what one operation counts for, if there is a limit for it.
func (l *limiter) operationCount(p *Principal, op Operation, source string) []count {
	key, rate := l.operations.find(op)
	if key == "" {
		return nil
	}
	return []count{countOfEvents("operation", "the caller, of "+key, rate, append(ofCaller(p, source), key)...)}
}

// group is what the counts of a caller have in common. A caller comes with several applications, and they have other
// callers, so where applications are counted it is the issuer of all of them.
func (l *limiter) group(p *Principal, source string) [32]byte {
	if p == guest || l.client == (Rate{}) {
		return countOfEvents("group", "", Rate{}, ofCaller(p, source)...).bucket.Key
	}
	return countOfEvents("group of issuer", "", Rate{}, p.Issuer()).bucket.Key
}

// take takes from all counts or, if one of them has nothing left, from none: who has used up his own takes nothing from the
// others of the application, and loses nothing where they have used up that. It is nil where the caller may go on.
func (m *Middleware) take(ctx context.Context, p *Principal, source string, counts []count) *Error {
	if len(counts) == 0 {
		return nil
	}
	l := m.limits
	wait, short, err := l.ask(ctx, p, source, counts)
	switch {
	case err != nil && l.open && ctx.Err() == nil: // whoever hangs up has to be counted, too
		now := m.now().UnixNano()
		if last := l.reported.Load(); (now < last || now-last > int64(openReportedAt)) && l.reported.CompareAndSwap(last, now) {
			m.log.ErrorContext(ctx, "mcpauth: nobody counts, and Limits.Open lets requests pass", "error", loggable(err.Error()))
		}
	case err != nil:
		return &Error{Status: http.StatusServiceUnavailable, Reason: ReasonLimitStore, Err: err, expected: "an answer from the store of limits", got: "an error"}
	case wait != 0:
		c := counts[min(max(short, 0), len(counts)-1)] // for whatever a store says
		wait = min(max(wait, time.Second), maxWait)
		return &Error{Status: http.StatusTooManyRequests, Reason: ReasonRateLimit, RetryAfter: wait,
			expected: "at most " + c.bucket.Rate.String() + " for " + c.of, got: "more; there is room again in " + wait.Round(time.Millisecond).String()}
	}
	return nil
}

const maxWait = 366 * 24 * time.Hour // what a Retry-After says at most

// ask takes from all counts at once, or says which one has nothing for the longest time.
func (l *limiter) ask(ctx context.Context, p *Principal, source string, counts []count) (wait time.Duration, short int, err error) {
	if l.store != nil {
		ctx, cancel := context.WithTimeout(ctx, limitTimeout)
		defer cancel()
		buckets := make([]LimitBucket, len(counts))
		for i, c := range counts {
			buckets[i] = c.bucket
		}
		return l.store.Take(ctx, l.group(p, source), buckets)
	}
	var few [3]ratelimit.Bucket // the stack has room for these
	buckets := few[:0]
	for _, c := range counts {
		buckets = append(buckets, ratelimit.Bucket{Key: c.bucket.Key, Rate: c.bucket.Rate.in()})
	}
	// Who makes many callers up are the clients of one user, where clients register themselves.
	return l.memory.Take(sha256.Sum256([]byte(p.sessionOwner(true))), buckets)
}

// limitRequest is nil where a request of this caller is not one too many.
func (m *Middleware) limitRequest(r *http.Request, p *Principal) *refusal {
	if m.limits == nil {
		return nil
	}
	source := m.limits.guestSource(r, p)
	e := m.take(r.Context(), p, source, m.limits.requestCounts(p, source))
	if e == nil {
		return nil
	}
	return &refusal{answer{status: e.Status, retryAfter: max(e.RetryAfter, time.Second)},
		explanation{reason: e.Reason, expected: e.expected, got: e.got, caller: p, err: e.Err}}
}

// limitOperation likewise for one operation of an HTTP request, or of none: then it is a request as well.
func (m *Middleware) limitOperation(ctx context.Context, r *http.Request, p *Principal, op Operation) *Error {
	if m.limits == nil {
		return nil
	}
	if r == nil {
		return m.take(ctx, p, "", append(m.limits.requestCounts(p, ""), m.limits.operationCount(p, op, "")...))
	}
	source := m.limits.guestSource(r, p)
	return m.take(ctx, p, source, m.limits.operationCount(p, op, source))
}

// guestSource is where a guest comes from; others are known by name.
func (l *limiter) guestSource(r *http.Request, p *Principal) string {
	if p != guest {
		return ""
	}
	return l.source(r)
}

// source is where a request comes from: an address, or a network where one subscriber has all of it. It is empty where
// that cannot be told.
func (l *limiter) source(r *http.Request) string {
	addr, err := l.proxies.Client(r.RemoteAddr, r.Header)
	if errors.Is(err, clientaddr.ErrUnsaid) {
		return ""
	}
	if err != nil {
		return "unreadable" // what somebody wrote into the field of a trusted proxy; all such are one source
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return ""
	}
	return prefix.String()
}

// A look is a request whose credentials somebody looks at, counted for its source from the beginning: who asks many times
// at once gets no more looks than who asks one after the other.
type look struct {
	limits *limiter
	bucket ratelimit.Bucket
	wait   time.Duration // until anything new is believed from there; zero: now
}

// look counts a request with credentials that are not known to be good. A memory that is full, and a source that cannot be
// told, limit nobody, or a flood from many addresses would shut out everyone.
func (m *Middleware) look(r *http.Request, c *presented) (l look) {
	if m.limits == nil || m.limits.failed == nil || m.credentialFields(r) == 0 && !m.holdsOther(r) {
		return l
	}
	source := m.limits.source(r)
	if source == "" {
		return l
	}
	if m.remembers(c) {
		return l
	}
	bucket := ratelimit.Bucket{Key: countOfEvents("failures", "", m.limits.failures, source).bucket.Key, Rate: m.limits.failures.in()}
	wait, _, err := m.limits.failed.Take(sha256.Sum256([]byte(source)), []ratelimit.Bucket{bucket})
	switch {
	case err != nil:
		return l
	case wait > 0:
		return look{wait: wait}
	}
	return look{limits: m.limits, bucket: bucket}
}

// good takes a look back: the credentials were no failure.
func (l *look) good() {
	if l.limits != nil {
		l.limits.failed.Give(l.bucket)
	}
}

// isFailure reports whether what was refused may have been a guess. A token in the URL was not looked at, and any page can
// have a browser send one; that a nonce is missing is how DPoP begins; nobody can guess a cookie by sending none. Who hangs up
// before anybody could tell has had a look taken all the same, and would else have any number of them.
func (m *Middleware) isFailure(r *http.Request, refused *refusal) bool {
	switch {
	case refused != nil && refused.answer.status == http.StatusServiceUnavailable:
		return errors.Is(r.Context().Err(), context.Canceled)
	case refused == nil || refused.answer.status != http.StatusUnauthorized, refused.answer.code == codeUseNonce, refused.why.reason == ReasonQueryToken:
		return false
	}
	return refused != m.anonymous || m.credentialFields(r) > 0
}

// tooManyFailures is the answer where new credentials are not looked at.
func tooManyFailures(l *limiter, wait time.Duration) *refusal {
	return &refusal{answer{status: http.StatusTooManyRequests, retryAfter: min(max(wait, time.Second), maxWait)}, explanation{
		reason: ReasonFailures, expected: "at most " + l.failures.String() + " requests with bad credentials from one address", got: "more",
	}}
}
