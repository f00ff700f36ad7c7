package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

const (
	// spacing keeps failing attempts apart. It is shorter than the spacing of
	// those who ask in vain and come again, whose attempts must not fall into it.
	spacing = 500 * time.Millisecond
	// maxWaiting bounds the callers that wait for one attempt.
	maxWaiting = 64
)

var (
	errNoFetcher = errors.New("no way to fetch metadata is configured")
	errBusy      = errors.New("too many requests wait for the metadata already")
)

// Config configures a [Source]. Issuer and Fetch are required.
type Config struct {
	Issuer string
	Fetch  *fetch.Client
	// Resource, where not empty, is looked for in protected_resources; a log
	// line warns when that is present and lacks it (RFC 9728, Section 7.6).
	Resource string
	// Now must advance, or nothing is asked a second time. Where it is set
	// back, the metadata is read anew. Nil means time.Now.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
	// MaxAge is how long metadata is used without asking again; zero and
	// negative mean 1 h.
	MaxAge time.Duration
}

// A Source holds the metadata of one issuer. It fetches when it is first asked,
// one attempt for all who wait, and keeps the last good document until a better
// one arrives. It is safe for concurrent use.
type Source struct {
	cfg Config
	log *slog.Logger

	mu     sync.Mutex // never held during I/O
	last   *Metadata  // last good one
	read   time.Time  // when the attempt that gave it began
	forget bool       // it may be wrong: ask before using it
	flight *attempt   // nil when none is under way
	tried  time.Time  // when the last attempt began
	err    error      // of the last attempt
	warned bool       // that the resource is missing
}

type attempt struct {
	done    chan struct{}
	waiting int // guarded by Source.mu
}

// New returns a Source. It does no I/O and starts no goroutine.
func New(cfg Config) *Source {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = time.Hour
	}
	s := &Source{cfg: cfg, log: cfg.Logger}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Metadata returns the issuer's metadata. It waits, under ctx, only while there
// is none yet or after [Source.Forget]; metadata that is merely old is returned
// at once and read again in the background. A failed attempt never takes good
// metadata away.
func (s *Source) Metadata(ctx context.Context) (*Metadata, error) {
	if s.cfg.Fetch == nil || s.cfg.Now == nil {
		return nil, errNoFetcher
	}
	for again := false; ; again = true {
		f, own, last, err := s.join()
		if f == nil {
			return last, err
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			s.mu.Lock()
			f.waiting--
			s.mu.Unlock()
			return nil, fmt.Errorf("waiting for the metadata of the issuer: %w", ctx.Err())
		}
		s.mu.Lock()
		last, err = s.last, s.err
		s.mu.Unlock()
		switch {
		case last != nil:
			return last, nil
		case own || again:
			return nil, err
		}
		// Others began that attempt, to a server that may have come back since: a caller who comes as it gives up, as the
		// fetch of keys does that waited for it before, must not take that for an answer.
	}
}

// join decides without I/O: it returns metadata, an error, or an attempt on which the caller now counts as waiting, and
// whether that is the caller's own.
func (s *Source) join() (_ *attempt, own bool, _ *Metadata, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock() // the clock is foreign code, and may panic
	now := s.cfg.Now()
	last := s.last
	wait := last == nil || s.forget
	setBack := now.Before(s.tried) // then the clock says nothing about ages
	due := wait || setBack || now.Sub(s.read) >= s.cfg.MaxAge
	f := s.flight
	if due && f == nil && (s.tried.IsZero() || setBack || now.Sub(s.tried) >= s.retryAfter()) {
		f = &attempt{done: make(chan struct{})}
		s.flight, s.tried, s.forget = f, now, false
		go s.fly(f, now)
		own = true
	}
	if !wait || f == nil || f.waiting >= maxWaiting {
		err := s.err // the last attempt was just made
		if f != nil {
			err = errBusy
		}
		if last != nil {
			return nil, false, last, nil
		}
		return nil, false, nil, err
	}
	f.waiting++
	return f, own, nil, nil
}

// retryAfter is the spacing of attempts: a caller of Forget and those who have
// nothing come soon again, a reading by age that failed can wait.
func (s *Source) retryAfter() time.Duration {
	if s.last == nil || s.forget {
		return spacing
	}
	return min(time.Minute, s.cfg.MaxAge)
}

// Forget says that what the metadata names does not work. The next call of
// Metadata asks again before it answers, and answers the old when that fails.
func (s *Source) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget = true
}

// fly makes one attempt on a context of its own, so that the end of one request
// does not fail it for the others. All URLs are on one host and share the time
// of one fetch: when it hangs, the next attempt should not have to wait longer.
func (s *Source) fly(f *attempt, began time.Time) {
	m, err := fetch.Supervise(s.cfg.Fetch.Timeout(), func(ctx context.Context) (*Metadata, error) {
		return Get(ctx, s.cfg.Fetch, s.cfg.Issuer)
	})
	s.mu.Lock()
	s.flight, s.err = nil, err
	warn := false
	if err == nil {
		s.last, s.read = m, began
		missing := s.cfg.Resource != "" && m.ProtectedResources != nil && !slices.Contains(m.ProtectedResources, s.cfg.Resource)
		warn = missing && !s.warned
		s.warned = missing
	}
	s.mu.Unlock()
	close(f.done)
	if warn {
		// So may be the Handler of the Logger, and nobody else recovers here.
		defer func() { _ = recover() }()
		s.log.Warn("mcpauth: authorization server does not list this resource in protected_resources", "resource", s.cfg.Resource)
	}
}
