package mcpauth

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"time"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

// A look is a request whose credentials are about to be checked. It is counted for its source beforehand, so that somebody
// who guesses many times at once gets no more looks than one who guesses in turn.
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
	if source == "" || m.remembers(c) {
		return l
	}
	bucket := ratelimit.Bucket{Key: countOfEvents("failures", "", m.limits.failures, source).bucket.Key, Rate: ratelimit.Rate(m.limits.failures)}
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
// have a browser send one; that a nonce is missing is how DPoP begins; nobody can guess a cookie by sending none. Who hangs
// up before anybody could tell has had a look taken all the same, and would else have any number of them.
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
