// Package nonce makes and checks the nonces that a server asks to see in DPoP
// proofs (RFC 9449, Sections 8 and 9), without remembering any.
//
// A nonce is the keyed hash of a period of time, 32 characters of base64url
// that mean nothing to anyone without the key. In each period there is one; it
// is accepted in its own period and in the next. Since so few are acceptable at
// any moment, [Source.Check] compares with those: it decodes nothing, hashes
// nothing and takes the same time for every nonce of the right length.
//
// Replicas that share keys, label and period accept each other's nonces, also
// after a restart, as long as their clocks agree to within a few seconds.
package nonce

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// size of a nonce in characters. Its 24 bytes fill them without padding and
	// without spare bits, so that each nonce has one spelling only, and make it
	// as hard to guess as a token.
	size = 32
	// maxKeys bounds the work of a comparison. Rotation needs two.
	maxKeys   = 8
	minKey    = 32 // bytes
	maxPeriod = time.Hour
	// maxAhead is by how many seconds the clocks of two replicas may differ:
	// each accepts the nonce of the next period so long before that begins. If
	// it did not, a client that is sent back and forth between a fast and a slow
	// replica would find its nonce refused each time.
	maxAhead = 10
	// domain keeps these hashes apart from whatever else may use the same keys.
	domain = "mcpauth DPoP nonce 1\x00"
)

// Config configures a [Source].
type Config struct {
	// Keys are secrets of at least 32 random bytes, at most 8 of them. The first
	// makes nonces, all are accepted. To change it, give the new one in second
	// place to every replica, then put it first, then remove the old one after
	// two periods. None means one random key, which no other process knows.
	Keys [][]byte
	// Label says what the nonces are for, as a rule the identifier of the
	// resource: those of another label are strangers, whatever the key. It may
	// be empty only without Keys.
	Label string
	// Period is how long one nonce is handed out, in whole seconds, at most an
	// hour; zero means 150 s. Replicas must agree on it.
	Period time.Duration
	Now    func() time.Time // nil means time.Now
}

// A Verdict is the answer of [Source.Check]. The zero Verdict is a refusal.
type Verdict struct {
	Accepted bool
	// Renew says that the nonce is accepted but not for long, as it belongs to
	// the previous period or to an older key: hand out [Source.Current] with the
	// answer (RFC 9449, Section 8.2).
	Renew bool
	// Until is when the nonce is accepted by no replica any more, allowing for
	// clocks that differ. The proof that holds it must be remembered so long.
	Until time.Time
}

// A Source makes and checks nonces. It is safe for concurrent use. Nil and a
// Source that was not made by [New] refuse everything and have nothing to hand
// out.
type Source struct {
	keys   [][]byte
	label  string
	period int64 // seconds
	ahead  int64 // seconds, less than a period
	now    func() time.Time
	epoch  atomic.Pointer[epoch] // of the last call
}

// An epoch holds what is acceptable in one period. It never changes.
type epoch struct {
	number  int64
	current string
	nonces  []candidate
}

type candidate struct {
	text   [size]byte
	number int64 // of the period that it was made for
	older  bool  // made with another key than the first
}

// New returns a Source, or every mistake in cfg. It starts no goroutine and
// keeps no reference to cfg.Keys.
func New(cfg Config) (*Source, error) {
	var errs []error
	switch {
	case cfg.Period == 0:
		cfg.Period = 150 * time.Second
	case cfg.Period < time.Second, cfg.Period > maxPeriod, cfg.Period%time.Second != 0:
		errs = append(errs, fmt.Errorf("nonce: Period: %v: write whole seconds from 1s to %v, or 0 for 150s", cfg.Period, maxPeriod))
	}
	if len(cfg.Keys) > 0 && cfg.Label == "" {
		errs = append(errs, errors.New("nonce: Label: empty: write the resource's identifier, so that servers that share a key do not accept each other's nonces"))
	}
	if len(cfg.Keys) > maxKeys {
		errs = append(errs, fmt.Errorf("nonce: Keys: %d: write at most %d, of which rotation needs two", len(cfg.Keys), maxKeys))
	}
	period := int64(cfg.Period / time.Second)
	s := &Source{label: cfg.Label, period: period, ahead: min(maxAhead, period/2), now: cfg.Now}
	if s.now == nil {
		s.now = time.Now
	}
	for i, key := range cfg.Keys {
		switch {
		case len(key) < minKey:
			errs = append(errs, fmt.Errorf("nonce: Keys[%d]: %d bytes: write at least %d random bytes", i, len(key), minKey))
		case uniform(key):
			errs = append(errs, fmt.Errorf("nonce: Keys[%d]: all bytes are the same: write at least %d random bytes", i, minKey))
		}
		s.keys = append(s.keys, append([]byte(nil), key...))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(s.keys) == 0 {
		key := make([]byte, minKey)
		rand.Read(key) // never fails
		s.keys = [][]byte{key}
	}
	return s, nil
}

// uniform reports whether a key was made but never filled.
func uniform(key []byte) bool {
	for _, b := range key {
		if b != key[0] {
			return false
		}
	}
	return true
}

// Current returns the nonce to hand out now, in the syntax of RFC 9449, Section
// 8.1, or "" where s was not made by [New].
func (s *Source) Current() string {
	if s == nil || len(s.keys) == 0 {
		return ""
	}
	return s.at(s.now().Unix()).current
}

// Check judges the nonce of a proof.
func (s *Source) Check(nonce string) Verdict {
	if s == nil || len(s.keys) == 0 || len(nonce) != size {
		return Verdict{}
	}
	var got [size]byte
	copy(got[:], nonce)
	now := s.now().Unix()
	e := s.at(now)
	// All are compared, whichever is equal, so that time tells nothing. Backwards,
	// so that a key given twice counts as the first.
	hit := -1
	for i := len(e.nonces) - 1; i >= 0; i-- {
		hit = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(got[:], e.nonces[i].text[:]), i, hit)
	}
	if hit < 0 {
		return Verdict{}
	}
	c := &e.nonces[hit]
	if c.number > e.number && now < c.number*s.period-s.ahead {
		return Verdict{} // of the next period, which is not near yet
	}
	return Verdict{
		Accepted: true,
		Renew:    c.number < e.number || c.older,
		Until:    time.Unix((c.number+2)*s.period+s.ahead, 0),
	}
}

// at returns the epoch of a time in Unix seconds, which is the one of the last
// call as a rule.
func (s *Source) at(now int64) *epoch {
	number := now / s.period
	if now < 0 && now%s.period != 0 {
		number-- // floor
	}
	if e := s.epoch.Load(); e != nil && e.number == number {
		return e
	}
	// Goroutines that meet here make the same epoch, each for itself, once in
	// a period; so does a clock that was set back.
	e := &epoch{number: number, nonces: make([]candidate, 0, 3*len(s.keys))}
	for i, key := range s.keys {
		for _, n := range [...]int64{number - 1, number, number + 1} {
			e.nonces = append(e.nonces, candidate{text: s.mint(key, n), number: n, older: i > 0})
		}
	}
	e.current = string(e.nonces[1].text[:])
	s.epoch.Store(e)
	return e
}

// mint returns the nonce of a period: what is hashed begins with parts of fixed
// length, so that no two of domain, period, number and label run together.
func (s *Source) mint(key []byte, number int64) (text [size]byte) {
	msg := binary.BigEndian.AppendUint64([]byte(domain), uint64(s.period))
	msg = binary.BigEndian.AppendUint64(msg, uint64(number))
	mac := hmac.New(sha256.New, key)
	mac.Write(append(msg, s.label...))
	base64.RawURLEncoding.Encode(text[:], mac.Sum(nil)[:base64.RawURLEncoding.DecodedLen(size)])
	return text
}
