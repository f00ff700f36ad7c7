package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Revocation takes tokens back before they expire. It is about the tokens of one issuer: of the one that
// JWTID, SessionID, Subject or ClientID names, or, where all four are empty, about every token issued before
// IssuedBefore.
type Revocation struct {
	Issuer string // Principal.Issuer, byte for byte, or nothing is revoked; required

	// At most one of these is set, for a reader must not wonder whether two of them mean both or either.
	JWTID     string // the jti claim: one token (RFC 7519, Section 4.1.7)
	SessionID string // the sid claim: what came of one login (OpenID Connect Back-Channel Logout 1.0, Section 2.1)
	Subject   string // Principal.Subject
	ClientID  string // Principal.ClientID

	// IssuedBefore spares tokens whose iat is this time or later, so that a user can sign in anew at once.
	// A token without iat is never spared. Zero spares none. As iat has whole seconds, a time within a second spares
	// none of that second.
	IssuedBefore time.Time

	// Until is when the last token concerned has expired, leeway included, and the revocation can be
	// forgotten: for one token its expiry, else the longest life of the issuer's tokens from now on.
	// Without IssuedBefore, new tokens are refused until then, too. Required.
	Until time.Time
}

// A RevocationID stands for an issuer and what a [Revocation] says of its tokens. Nothing can be read from it.
type RevocationID [sha256.Size]byte

// A RevocationStore keeps revocations where all replicas find them. It must be safe for concurrent use.
type RevocationStore interface {
	// Put records a revocation until the given time: tokens issued before a Unix time in seconds are
	// revoked, at least. Of several revocations with one id the latest before and the latest until count.
	// It returns once every later Find, at any replica, will know of it.
	Put(ctx context.Context, id RevocationID, before int64, until time.Time) error

	// Find returns, for each of the ids, what Put recorded: zero where there is nothing. A store that cannot
	// tell must return an error; the request is answered 503. ctx ends after 2 s.
	Find(ctx context.Context, ids []RevocationID) (before []int64, err error)
}

// Revocations are the tokens that were taken back. Give [Revocations.Revoked] to [Config].Revoked, which is asked
// for every request, so that a revocation counts at once, for remembered tokens too. Make them with
// [NewRevocations]: nil and the zero value refuse every caller with [ErrUnavailable]. They are safe for concurrent
// use.
type Revocations struct {
	store RevocationStore
	now   func() time.Time
}

const (
	everyToken        = 1 << 62 // no iat is later
	revocationTimeout = 2 * time.Second
)

// NewRevocations keeps revocations in a store; nil stands for the memory of this process, which ends with
// it, holds as many as there are, and forgets each at its Until. now is the clock; nil: time.Now.
func NewRevocations(store RevocationStore, now func() time.Time) *Revocations {
	if now == nil {
		now = time.Now
	}
	if store == nil {
		store = &revocationMemory{now: now, entries: make(map[RevocationID]revocationEntry)}
	}
	return &Revocations{store: store, now: now}
}

// Revoke takes tokens back. When it returns nil, no replica accepts them any more. An error says what is
// missing in the Revocation, or that the store could not be told: then nothing is certain, so try again.
func (l *Revocations) Revoke(ctx context.Context, r Revocation) error {
	if l == nil || l.store == nil {
		return errors.New("mcpauth: Revoke: these Revocations were not made by NewRevocations")
	}
	named := 0
	kind, name := revokedIssuer, ""
	for k, value := range map[byte]string{revokedToken: r.JWTID, revokedSession: r.SessionID, revokedSubject: r.Subject, revokedClient: r.ClientID} {
		if value != "" {
			named++
			kind, name = k, value
		}
	}
	switch {
	case r.Issuer == "":
		return errors.New("mcpauth: Revocation.Issuer is empty; subjects and ids are unique within one issuer only")
	case named > 1:
		return errors.New("mcpauth: Revocation: set at most one of JWTID, SessionID, Subject and ClientID; make one Revocation of each")
	case named == 0 && r.IssuedBefore.IsZero():
		return errors.New("mcpauth: Revocation: it names no tokens; set JWTID, SessionID, Subject, ClientID or IssuedBefore")
	case !r.Until.After(l.now()):
		return errors.New("mcpauth: Revocation.Until is empty or past; write when the last of the tokens has expired")
	}
	before := int64(everyToken)
	if !r.IssuedBefore.IsZero() {
		before = r.IssuedBefore.Unix()
		if r.IssuedBefore.Nanosecond() > 0 {
			before++ // a token of that second may be an earlier one
		}
		if before <= 0 || before >= everyToken {
			return errors.New("mcpauth: Revocation.IssuedBefore is no date of a token")
		}
	}
	if err := l.store.Put(ctx, revocationID(r.Issuer, kind, name), before, r.Until); err != nil {
		return fmt.Errorf("mcpauth: the revocation could not be recorded: %w", err)
	}
	return nil
}

// Revoked reports whether the credentials of a caller were taken back. An error wraps [ErrUnavailable].
func (l *Revocations) Revoked(ctx context.Context, p *Principal) (bool, error) {
	if l == nil || l.store == nil {
		return false, fmt.Errorf("%w: these Revocations were not made by NewRevocations", ErrUnavailable)
	}
	f := p.fields()
	var room [5]RevocationID
	ids := append(room[:0], revocationID(f.issuer, revokedIssuer, ""))
	for _, k := range [...]struct {
		kind byte
		name string
	}{
		{revokedToken, p.text("jti")}, {revokedSession, p.text("sid")}, {revokedSubject, f.subject}, {revokedClient, f.clientID},
	} {
		if k.name != "" {
			ids = append(ids, revocationID(f.issuer, k.kind, k.name))
		}
	}
	ctx, cancel := context.WithTimeout(ctx, revocationTimeout)
	defer cancel()
	before, err := l.store.Find(ctx, ids)
	if err == nil {
		err = ctx.Err() // what comes too late may have been looked up before a revocation that was made long ago
	}
	switch {
	case err != nil:
		return false, fmt.Errorf("%w: revocations: %w", ErrUnavailable, err)
	case len(before) != len(ids):
		return false, fmt.Errorf("%w: the revocation store answered %d of %d questions", ErrUnavailable, len(before), len(ids))
	}
	issued := int64(-1) // a token without iat is as old as can be
	if iat := (time.Time{}); f.claims != nil {
		if ok, err := p.Claim("/iat", &iat); ok && err == nil {
			issued = iat.Unix()
		}
	}
	for _, b := range before {
		if b > issued && b != 0 {
			return true, nil
		}
	}
	return false, nil
}

const (
	revokedIssuer byte = iota
	revokedToken
	revokedSession
	revokedSubject
	revokedClient
)

func revocationID(issuer string, kind byte, name string) RevocationID {
	buf := make([]byte, 0, 256)
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(issuer)))
	buf = append(buf, issuer...)
	buf = append(buf, kind)
	return sha256.Sum256(append(buf, name...))
}

type revocationEntry struct {
	before int64
	until  time.Time
}

// revocationMemory forgets what has ended when it has grown to twice what was left the last time.
type revocationMemory struct {
	now     func() time.Time
	mu      sync.RWMutex
	entries map[RevocationID]revocationEntry
	sweepAt int
}

const minSweep = 1 << 10

func (s *revocationMemory) Put(_ context.Context, id RevocationID, before int64, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if len(s.entries) >= max(s.sweepAt, minSweep) {
		for id, e := range s.entries {
			if !now.Before(e.until) {
				delete(s.entries, id)
			}
		}
		s.sweepAt = 2 * len(s.entries)
	}
	old, ok := s.entries[id]
	if ok && now.Before(old.until) {
		before = max(before, old.before)
		if old.until.After(until) {
			until = old.until
		}
	}
	s.entries[id] = revocationEntry{before, until}
	return nil
}

func (s *revocationMemory) Find(_ context.Context, ids []RevocationID) ([]int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]int64, len(ids))
	if len(s.entries) == 0 {
		return out, nil
	}
	now := s.now()
	for i, id := range ids {
		if e, ok := s.entries[id]; ok && now.Before(e.until) {
			out[i] = e.before
		}
	}
	return out, nil
}
