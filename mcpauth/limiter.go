package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
	"github.com/go-mcpauth/sdk/internal/prefix"
	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

// openReportEvery is the least time between two reports that nobody counts.
const openReportEvery = 10 * time.Second

// A limiter counts what callers ask for, and refuses what is too much.
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
	keys     []string // in order
	exact    map[string]limitRule
	prefixes prefix.Map[limitRule]
}

// A limitRule is an entry of Limits.Operations.
type limitRule struct {
	key  string
	rate Rate
}

// newLimitRules puts each entry under its key, and one for a resource also under the other spellings of its URI, where no
// entry has that for its key.
func newLimitRules(in map[string]Rate) limitRules {
	l := limitRules{keys: slices.Sorted(maps.Keys(in)), exact: make(map[string]limitRule)}
	for _, key := range l.keys {
		l.add(key, limitRule{key, in[key]})
	}
	for _, key := range l.keys {
		method, name, _ := strings.Cut(key, " ")
		if targetOf(Operation{Method: method, Name: name}) != resourceTarget {
			continue
		}
		beginning, open := strings.CutSuffix(name, "*")
		if open {
			beginning += "x" // a "?" at the end would else be that of an empty query
		}
		for _, spelling := range spellings(beginning) {
			if open {
				var whole bool
				if spelling, whole = strings.CutSuffix(spelling, "x"); !whole {
					continue
				}
				spelling += "*"
			}
			l.add(method+" "+spelling, limitRule{key, in[key]})
		}
	}
	return l
}

// add puts an entry under a key, unless there is one.
func (l *limitRules) add(key string, rule limitRule) {
	beginning, open := strings.CutSuffix(key, "*")
	if open {
		if _, has := l.prefixes.Get(beginning); !has {
			l.prefixes.Set(beginning, rule)
		}
		return
	}
	if _, has := l.exact[key]; !has {
		l.exact[key] = rule
	}
}

// keys are those of Limits.Operations, in order.
func (l *limiter) keys() []string {
	if l == nil {
		return nil
	}
	return l.operations.keys
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
		if rule, ok := l.exact[name]; ok {
			return rule.key, rule.rate
		}
	}
	var closest limitRule
	length := -1
	for _, name := range names {
		// Of the readings of one URI, the one counts that an entry is closest to; of two as close, the first.
		if beginning, rule, ok := l.prefixes.Longest(name); ok && len(beginning) > length {
			closest, length = rule, len(beginning)
		}
	}
	return closest.key, closest.rate
}

// A count is a bucket with the words for it.
type count struct {
	bucket LimitBucket
	of     string
}

// countOfEvents is the count of one kind for what the parts of whose name together. They are joined by length, so that no
// two counts have one key.
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

// take takes from all counts or, if one of them has nothing left, from none. So a caller who has used up a limit of his
// own takes nothing from that of the application, and loses nothing where others have used up that one. The Error is nil
// where the caller may go on. It reports false where that is so since nobody counts at the moment.
func (m *Middleware) take(ctx context.Context, p *Principal, source string, counts []count) (_ *Error, counted bool) {
	if len(counts) == 0 {
		return nil, true
	}
	l := m.limits
	wait, short, err := l.ask(ctx, p, source, counts)
	switch {
	case err != nil && l.open && ctx.Err() == nil: // whoever hangs up has to be counted, too
		now := m.now().UnixNano()
		if last := l.reported.Load(); (now < last || now-last > int64(openReportEvery)) && l.reported.CompareAndSwap(last, now) {
			m.log.ErrorContext(ctx, "mcpauth: nobody counts, and Limits.Open lets requests pass", "error", loggable(err.Error()))
		}
		return nil, false
	case err != nil:
		return &Error{Status: http.StatusServiceUnavailable, Reason: ReasonLimitStore, Err: err, expected: "an answer from the store of limits", got: "an error"}, true
	case wait != 0:
		c := counts[min(max(short, 0), len(counts)-1)] // a store may say anything
		wait = min(max(wait, time.Second), maxWait)
		return &Error{Status: http.StatusTooManyRequests, Reason: ReasonRateLimit, RetryAfter: wait,
			expected: "at most " + c.bucket.Rate.String() + " for " + c.of, got: "more; there is room again in " + wait.Round(time.Millisecond).String()}, true
	}
	return nil, true
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
		buckets = append(buckets, ratelimit.Bucket{Key: c.bucket.Key, Rate: ratelimit.Rate(c.bucket.Rate)})
	}
	// Where clients register themselves, one user can be many callers, so the user is to blame for their buckets.
	return l.memory.Take(sha256.Sum256([]byte(p.sessionOwner(true))), buckets)
}

// limitRequest is nil where a request of this caller is not one too many.
func (m *Middleware) limitRequest(r *http.Request, p *Principal) *refusal {
	if m.limits == nil {
		return nil
	}
	source := m.limits.guestSource(r, p)
	e, _ := m.take(r.Context(), p, source, m.limits.requestCounts(p, source))
	if e == nil {
		return nil
	}
	return &refusal{answer{status: e.Status, retryAfter: max(e.RetryAfter, time.Second)},
		explanation{reason: e.Reason, expected: e.expected, got: e.got, caller: p, err: e.Err}}
}

// limitOperations returns the first operation of a request that is one too many, and why; or -1. Where the store of limits
// is gone and that is let pass, it is asked once: a request that names a thousand resources does not wait for it as often.
func (m *Middleware) limitOperations(r *http.Request, p *Principal, ops []pending) (int, *Error) {
	if m.limits == nil {
		return -1, nil
	}
	source := m.limits.guestSource(r, p)
	for i, o := range ops {
		switch e, counted := m.take(r.Context(), p, source, m.limits.operationCount(p, o.op, source)); {
		case e != nil:
			return i, e
		case !counted:
			return -1, nil
		}
	}
	return -1, nil
}

// limitLocal is nil where an operation that came without HTTP is not one too many. It counts as a request as well.
func (m *Middleware) limitLocal(ctx context.Context, p *Principal, op Operation) *Error {
	if m.limits == nil {
		return nil
	}
	e, _ := m.take(ctx, p, "", append(m.limits.requestCounts(p, ""), m.limits.operationCount(p, op, "")...))
	return e
}

// guestSource is where a guest comes from; others are known by name.
func (l *limiter) guestSource(r *http.Request, p *Principal) string {
	if p != guest {
		return ""
	}
	return l.source(r)
}
