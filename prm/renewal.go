package prm

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// retryAfter spaces the attempts to sign after a failure, and bounds how long caches keep the unsigned document.
const retryAfter = time.Minute

// renewals makes the renewal of each document of a handler. Nil makes none.
type renewals struct {
	signer *signer
	now    func() time.Time
	log    *slog.Logger
}

func newRenewals(cfg Config) (*renewals, error) {
	if cfg.Signing == nil {
		return nil, nil
	}
	ready, err := cfg.Signing.check()
	if err != nil {
		return nil, err
	}
	out := &renewals{signer: ready, now: cfg.Now, log: cfg.Logger}
	if out.now == nil {
		out.now = time.Now
	}
	if out.log == nil {
		out.log = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

// attach has the document d of m signed when it is asked for. The key is not asked before.
func (rs *renewals) attach(d *document, m *Metadata, age time.Duration) error {
	if rs == nil {
		return nil
	}
	if err := rs.signer.refuses(m); err != nil {
		return err
	}
	r := &renewal{renewals: rs, resource: m.Resource, plain: d.body, age: int64(age / time.Second), turn: make(chan struct{}, 1)}
	r.unsigned = cacheControl(min(r.age, int64(retryAfter/time.Second)))
	d.renewal = r
	return nil
}

// A renewal keeps one document signed.
type renewal struct {
	*renewals
	resource string
	plain    []byte
	age      int64    // of Config.MaxAge, in seconds
	unsigned []string // Cache-Control of the document without a signature

	current atomic.Pointer[signedDocument]
	retry   atomic.Int64  // not before, in Unix seconds; 0 after a success
	turn    chan struct{} // held by the one request that signs
}

// A signedDocument is the document with one signature. Times are Unix seconds.
type signedDocument struct {
	*document
	from, renew, until int64
}

func (s *signedDocument) good(now int64) bool { return s != nil && s.from <= now && now < s.until }

// fresh is good and in no need of a successor.
func (s *signedDocument) fresh(now int64) bool { return s.good(now) && now < s.renew }

// now is what to serve at the moment: the document with a good signature, or as it is.
func (d *document) now(ctx context.Context) form {
	if d.renewal == nil {
		return form{d, d.cacheControl}
	}
	return d.renewal.form(ctx, d)
}

func (r *renewal) form(ctx context.Context, plain *document) form {
	now := r.now().Unix()
	s := r.current.Load()
	if !s.fresh(now) && !r.waits(now) {
		s = r.renewed(ctx, s.good(now))
		now = r.now().Unix() // the key may have taken its time
	}
	if !s.good(now) {
		return form{plain, r.unsigned}
	}
	if left := s.until - now; left < r.age {
		return form{s.document, cacheControl(left)}
	}
	return form{s.document, s.cacheControl}
}

// waits reports whether a failure is too recent. A clock that was put back does not prolong that.
func (r *renewal) waits(now int64) bool {
	left := r.retry.Load() - now
	return 0 < left && left <= int64(retryAfter/time.Second)
}

// renewed signs, or waits for the request that does so. Nobody waits while there is a good signature still.
func (r *renewal) renewed(ctx context.Context, good bool) *signedDocument {
	if good {
		select {
		case r.turn <- struct{}{}:
		default:
			return r.current.Load()
		}
	} else {
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done(): // the client is gone
			return nil
		}
	}
	defer func() { <-r.turn }()
	now := r.now().Unix()
	s := r.current.Load()
	if s.fresh(now) || r.waits(now) {
		return s // somebody was first
	}
	next, err := r.sign(now)
	if err != nil {
		r.retry.Store(r.now().Unix() + int64(retryAfter/time.Second))
		served := "the document without signed_metadata"
		if s.good(now) {
			served = "the last signature, until it expires"
		}
		r.log.WarnContext(ctx, "prm: the metadata cannot be signed", "resource", r.resource, "err", err, "served", served)
		return s
	}
	if r.retry.Swap(0) != 0 {
		r.log.InfoContext(ctx, "prm: the metadata is signed again", "resource", r.resource)
	}
	r.current.Store(next)
	return next
}

// sign makes the signature of the interval in which now is. Intervals are those of the clock, and not of the process: replicas with the same
// key then sign the same text.
func (r *renewal) sign(now int64) (*signedDocument, error) {
	lifetime := int64(r.signer.Lifetime / time.Second)
	interval := lifetime / 2
	from := now - (now%interval+interval)%interval // also before 1970
	body, err := r.signer.document(r.resource, r.plain, from)
	if err != nil {
		return nil, err
	}
	return &signedDocument{document: newDocument(body, time.Duration(r.age)*time.Second), from: from, renew: from + interval, until: from + lifetime}, nil
}
