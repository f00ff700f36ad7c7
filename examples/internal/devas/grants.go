package devas

import (
	"context"
	"maps"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// This file is the store's part for grants and opaque access tokens.

// SaveGrant stores a grant. A refresh token that disappears from it is remembered as spent, and a revocation is never undone.
//
// At the token endpoint the grant becomes bound to the key of the request's DPoP proof (RFC 9449, Section 5).
func (s *store) SaveGrant(ctx context.Context, g *goidc.Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.grants[g.ID]
	if rec == nil {
		if len(s.grants) >= maxGrants {
			s.makeRoomForGrant()
		}
		rec = &grantRecord{grant: &goidc.Grant{}, seq: s.next()}
		s.grants[g.ID] = rec
	}
	kept := cloneGrant(g)
	kept.AuthCode = keep(g.AuthCode)
	if kept.AuthCode == "" || kept.AuthCodeConsumedAt != 0 {
		// Until then the library wants it back, to answer with it when the code is redeemed.
		kept.RefreshToken = keep(g.RefreshToken)
	}
	switch {
	case rec.grant.RevokedAt != 0:
		kept.RevokedAt = rec.grant.RevokedAt
	case kept.RevokedAt != 0 && factsFrom(ctx).endpoint == pathRevoke:
		s.ended(kept, "revoked by the application")
	case kept.RevokedAt != 0:
		s.ended(kept, "the authorization code was used again, or with something wrong")
	}
	if f := factsFrom(ctx); f.endpoint == pathToken && f.jkt != "" && kept.RevokedAt == 0 {
		if kept.Store == nil {
			kept.Store = map[string]any{}
		}
		kept.Store[storeKey] = f.jkt
	}
	s.touch()
	if old := keep(rec.grant.RefreshToken); old != "" && old != keep(kept.RefreshToken) {
		delete(s.refresh, old)
		s.spent[old] = g.ID
		rec.spent = append(rec.spent, old)
		if len(rec.spent) > maxSpent {
			delete(s.spent, rec.spent[0])
			rec.spent = rec.spent[1:]
		}
	}
	rec.grant = kept
	if kept.AuthCode != "" {
		s.codes[kept.AuthCode] = g.ID
	}
	if kept.RefreshToken != "" {
		s.refresh[keep(kept.RefreshToken)] = g.ID
	}
	return nil
}

// makeRoomForGrant drops what is dead, else the oldest grant that renews nothing, such as one of an agent: programs make those without a person. The
// caller holds mu.
func (s *store) makeRoomForGrant() {
	now := s.now()
	for id, rec := range s.grants {
		if !rec.alive(now) && (rec.grant.AuthCode != "" || !rec.tokenUntil.IsZero()) { // else it is about to get its first token
			s.dropGrant(id)
		}
	}
	if len(s.grants) < maxGrants {
		return
	}
	for _, any := range []bool{false, true} {
		if k, ok := oldest(s.grants, func(r *grantRecord) (uint64, bool) { return r.seq, any || r.grant.RefreshToken == "" }); ok {
			s.dropGrant(k)
			return
		}
	}
}

func (s *store) dropGrant(id string) {
	rec := s.grants[id]
	delete(s.grants, id)
	delete(s.codes, rec.grant.AuthCode)
	delete(s.refresh, keep(rec.grant.RefreshToken))
	for _, t := range rec.spent {
		delete(s.spent, t)
	}
}

// Grant returns the grant with the given ID.
func (s *store) Grant(_ context.Context, id string) (*goidc.Grant, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.copyOf(id)
}

// GrantByAuthCode returns the grant that a code belongs to, also after the code was used: the library then revokes the grant (RFC 6749, Section 4.1.2).
func (s *store) GrantByAuthCode(_ context.Context, code string) (*goidc.Grant, error) {
	if s.afterRead != nil {
		defer s.afterRead() // after the unlocking, which is deferred later
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g, err := s.copyOf(s.codes[hide(code)])
	if err != nil || code == "" {
		return nil, goidc.ErrNotFound
	}
	if g.AuthCodeConsumedAt == 0 && s.now().Unix() >= int64(g.AuthCodeExpiresAt) {
		return nil, goidc.ErrNotFound
	}
	return g, nil
}

// GrantByRefreshToken returns the grant of a current refresh token. At the token endpoint a spent one ends the whole grant: somebody holds a copy
// (RFC 9700, Section 4.14.2). The introspection endpoint never sees refresh tokens, so that none is taken for an access token.
func (s *store) GrantByRefreshToken(ctx context.Context, token string) (*goidc.Grant, error) {
	if s.afterRead != nil {
		defer s.afterRead()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	endpoint := factsFrom(ctx).endpoint
	if token == "" || endpoint == pathIntrospect {
		return nil, goidc.ErrNotFound
	}
	hidden := hide(token)
	if id, ok := s.spent[hidden]; ok {
		if rec := s.grants[id]; rec != nil && rec.grant.RevokedAt == 0 && endpoint == pathToken {
			rec.grant.RevokedAt = int(s.now().Unix())
			s.ended(rec.grant, "a refresh token was used again")
			s.touch()
		}
		return nil, goidc.ErrNotFound
	}
	g, err := s.copyOf(s.refresh[hidden])
	if err != nil {
		return nil, err
	}
	if g.RefreshTokenExpiresAt != 0 && s.now().Unix() >= int64(g.RefreshTokenExpiresAt) {
		return nil, goidc.ErrNotFound
	}
	return g, nil
}

// copyOf returns a copy of a grant. The caller holds mu.
func (s *store) copyOf(id string) (*goidc.Grant, error) {
	rec := s.grants[id]
	if rec == nil {
		return nil, goidc.ErrNotFound
	}
	return cloneGrant(rec.grant), nil
}

// ended notes, for the log, that a grant was revoked. The caller holds mu.
func (s *store) ended(g *goidc.Grant, why string) {
	k := (&grantRecord{grant: g}).key()
	s.revoked = append(s.revoked, Event{Kind: EventTokenRevoked, OK: true, User: k.User, Client: k.Client, Server: k.Server, Scope: g.Scopes, Detail: why})
}

// takeEnded returns what was noted since the last call.
func (s *store) takeEnded() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.revoked
	s.revoked = nil
	return out
}

// revokeGrant ends the grant of a code that was presented with a wrong verifier.
func (s *store) revokeGrant(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.grants[id]; rec != nil && rec.grant.RevokedAt == 0 {
		rec.grant.RevokedAt = int(s.now().Unix())
		s.ended(rec.grant, "a wrong code_verifier came with the code")
		s.touch()
	}
}

// --- opaque access tokens

// SaveToken stores an opaque access token, which is its own identifier. It is bound to the key of the request's DPoP proof, of which the library knows
// nothing.
func (s *store) SaveToken(ctx context.Context, t *goidc.Token) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := cloneToken(t)
	kept.ID = keep(t.ID)
	if f := factsFrom(ctx); f.endpoint == pathToken && f.jkt != "" {
		kept.JWKThumbprint, kept.Type = f.jkt, goidc.TokenTypeDPoP
	}
	if len(s.opaque) >= maxTokens {
		now := s.now().Unix()
		maps.DeleteFunc(s.opaque, func(_ string, t *goidc.Token) bool { return now >= int64(t.ExpiresAt) })
		if len(s.opaque) >= maxTokens {
			if k, ok := oldest(s.opaque, func(t *goidc.Token) (uint64, bool) { return uint64(max(0, t.ExpiresAt)), true }); ok {
				delete(s.opaque, k)
			}
		}
	}
	s.opaque[kept.ID] = kept
	s.touch()
	return nil
}

// Token returns an opaque access token that has not expired.
func (s *store) Token(_ context.Context, id string) (*goidc.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.opaque[hide(id)]
	if t == nil || s.now().Unix() >= int64(t.ExpiresAt) {
		return nil, goidc.ErrNotFound
	}
	return cloneToken(t), nil
}
