package jwks

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

const (
	// minFlight keeps a short cooldown from cutting off slow but sound servers.
	minFlight = 5 * time.Second
	// firstRetry doubles up to the cooldown while there are no keys at all.
	firstRetry = time.Second
	maxLogText = 600

	accept = "application/jwk-set+json, application/json;q=0.9"
)

// trouble is what the log was told last.
type trouble uint8

const (
	troubleNone  trouble = iota
	troubleStale         // refreshes fail, the old keys still serve
	troubleDown          // there are no keys to serve
)

// A flight is one fetch that any number of callers share.
type flight struct {
	done    chan struct{}
	waiting int   // guarded by Set.mu
	err     error // valid once done is closed
}

// good returns the index if it may be used at now.
func (s *Set) good(now int64) *index {
	if ix := s.index.Load(); ix != nil && now < ix.stale {
		return ix
	}
	return nil
}

// await answers q from the set, or from the result of a fetch if one is under
// way or may begin.
func (s *Set) await(ctx context.Context, q query) ([]*Key, error) {
	if s.cfg.URI == nil || s.cfg.Fetch == nil {
		return nil, unavailable(0, errNoFetcher)
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable(0, err)
	}
	f, keys, err := s.join(q)
	if f == nil {
		return keys, err
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		s.mu.Lock()
		f.waiting--
		s.mu.Unlock()
		return nil, unavailable(0, ctx.Err())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	ix := s.good(now)
	if ix != nil {
		if keys, ok := q.answer(ix); ok {
			return keys, nil
		}
	}
	if f.err != nil {
		return nil, unavailable(s.wait(now), f.err)
	}
	return nil, s.refusal(ix, now)
}

// join decides without I/O: it returns an answer, a refusal or a flight on
// which the caller now counts as waiting.
func (s *Set) join(q query) (*flight, []*Key, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	ix := s.good(now)
	if ix != nil {
		// A refresh may have ended since the caller looked.
		if keys, ok := q.answer(ix); ok {
			return nil, keys, nil
		}
	}
	f := s.flight
	if f == nil {
		if s.wait(now) > 0 {
			return nil, nil, s.refusal(ix, now)
		}
		f = s.begin(now)
	}
	if f.waiting >= s.cfg.MaxWaiting {
		return nil, nil, unavailable(0, ErrBusy)
	}
	f.waiting++
	return f, nil, nil
}

// refusal is the answer when there is no such key and nothing to wait for.
func (s *Set) refusal(ix *index, now int64) error {
	if ix != nil && s.lastErr == nil {
		return ErrUnknownKey
	}
	err := s.lastErr
	if err == nil {
		err = errNotYet
	}
	return unavailable(s.wait(now), err)
}

func unavailable(wait int64, err error) *UnavailableError {
	return &UnavailableError{RetryAfter: max(time.Duration(wait), time.Second), Err: err}
}

// wait is the time until a fetch may begin, 0 or less when it may now. A clock
// that was set back says nothing about the cooldown.
func (s *Set) wait(now int64) int64 {
	if now < s.last.Load() {
		return 0
	}
	return s.next - now
}

// isDue reports whether a lookup that was answered should start a refresh. Keys
// read at a time that is yet to come may be of any age.
func (s *Set) isDue(now int64) bool { return now >= s.due.Load() || now < s.last.Load() }

// refresh starts a fetch that nobody waits for.
func (s *Set) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.flight == nil && s.wait(now) <= 0 && s.isDue(now) {
		s.begin(now)
	}
}

// begin starts the one fetch. s.mu is held.
func (s *Set) begin(now int64) *flight {
	f := &flight{done: make(chan struct{})}
	s.flight = f
	s.last.Store(now)
	s.next = now + int64(s.cfg.Cooldown)
	s.due.Store(math.MaxInt64)
	go s.fly(f, now)
	return f
}

// A fetched is what one fetch gave.
type fetched struct {
	doc     *Document
	age     time.Duration
	located bool // URI succeeded
	err     error
}

// fly makes one fetch on a context of its own: the fetch belongs to all who
// wait, so the end of one request must not end it. Its time is bounded such
// that a server that hangs does not hold up the attempt after the next cooldown.
func (s *Set) fly(f *flight, began int64) {
	limit := min(2*s.cfg.Fetch.Timeout(), max(s.cfg.Cooldown, minFlight))
	r, err := fetch.Supervise(limit, func(ctx context.Context) (fetched, error) { return s.fetch(ctx), nil })
	if err != nil {
		r.err = err
	}
	if r.err != nil {
		s.failed(f, began, r.located, r.err)
		return
	}
	s.succeeded(f, began, r.doc, r.age)
}

// fetch gets and reads one document.
func (s *Set) fetch(ctx context.Context) fetched {
	uri, err := s.cfg.URI(ctx)
	if err != nil {
		return fetched{err: err}
	}
	resp, err := s.cfg.Fetch.Get(ctx, uri, accept)
	if err != nil {
		return fetched{located: true, err: err}
	}
	if resp.Status != http.StatusOK {
		return fetched{located: true, err: fmt.Errorf("%w: status %d", ErrDocument, resp.Status)}
	}
	doc, err := ParseDocument(resp.Body, s.cfg.MaxKeys)
	return fetched{doc: doc, age: freshness(resp.Header), located: true, err: err}
}

// succeeded publishes a new index. Only the one flight writes it.
func (s *Set) succeeded(f *flight, began int64, doc *Document, age time.Duration) {
	old := s.index.Load()
	keys, added, removed := old.merge(doc.Keys)
	for _, k := range keys {
		if k.set == nil {
			k.set = s
			k.live.Store(true)
		}
	}
	ix := newIndex(keys)
	age = min(max(age, s.cfg.MinAge), s.cfg.MaxAge)
	// Counted from the beginning: the document may have been made then.
	ix.due = began + int64(age)
	ix.stale = ix.due + int64(s.cfg.MaxStale)

	s.mu.Lock()
	s.index.Store(ix)
	for _, k := range removed {
		k.live.Store(false)
	}
	recovered := s.trouble != troubleNone
	s.failures, s.trouble, s.lastErr, s.flight = 0, troubleNone, nil, nil
	s.due.Store(max(ix.due, s.next))
	s.mu.Unlock()
	close(f.done)

	if recovered || added > 0 || len(removed) > 0 {
		attrs := []any{"recovered", recovered, "keys", len(keys), "added", added, "removed", len(removed), "ignored", doc.Ignored}
		if doc.Reason != nil {
			attrs = append(attrs, "reason", printable(doc.Reason.Error()))
		}
		guard(func() { s.log.Info("mcpauth: keys refreshed", attrs...) })
	}
}

// failed keeps the index as it is: a document that cannot be had or used never
// replaces a good one (RFC 7517, Section 5, requires the keys member).
func (s *Set) failed(f *flight, began int64, located bool, err error) {
	now := began
	guard(func() { now = s.now() })
	s.mu.Lock()
	ix := s.good(now)
	if ix == nil && s.failures < 16 {
		s.next = min(s.next, began+int64(firstRetry)<<s.failures)
	}
	s.failures++
	again := s.failures > 1
	trouble := troubleStale
	if ix == nil {
		trouble = troubleDown
	}
	changed := s.trouble != trouble
	s.trouble, s.lastErr, s.flight = trouble, err, nil
	f.err = err
	// Whatever asked for this fetch, any lookup may start the next one: until
	// a fetch succeeds nobody can tell an unknown kid from a new one.
	s.due.Store(s.next)
	wait := time.Duration(s.wait(now))
	s.mu.Unlock()
	close(f.done)

	if located && again && s.cfg.Failing != nil {
		guard(s.cfg.Failing)
	}
	// One line per change of state; a long outage is not repeated.
	if changed {
		guard(func() {
			s.log.Warn("mcpauth: key refresh failed", "error", printable(err.Error()), "keys_still_good", ix != nil, "retry_in", max(wait, 0).Round(time.Millisecond).String()) // as text: slog writes a Duration to JSON as a number of nanoseconds
		})
	}
}

// guard calls code that may be foreign, such as a clock or the Handler of the Logger, where
// nobody else would recover: its panic is not worth the process.
func guard(f func()) {
	defer func() { _ = recover() }()
	f()
}

// printable makes foreign text fit for one log line: short, printable ASCII.
func printable(s string) string {
	out := make([]byte, 0, min(len(s), maxLogText))
	for _, r := range s {
		if len(out) == maxLogText {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return string(out)
}
