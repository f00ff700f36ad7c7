package devas

import (
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

const maxIssuances = 1000

// grants lists what lives, one row per user, application and MCP server, the newest first.
func (s *Server) grants() []GrantRow {
	now := s.cfg.Now()
	rows := map[GrantKey]*GrantRow{}
	s.store.mu.Lock()
	for _, rec := range s.store.grants {
		if !rec.alive(now) {
			continue
		}
		k := rec.key()
		row := rows[k]
		if row == nil {
			row = &GrantRow{GrantKey: k}
			if c := s.store.clients[k.Client]; c != nil {
				row.ClientName = c.client.Name
			}
			rows[k] = row
		}
		row.Count++
		row.Scopes = append(row.Scopes, scopeList(rec.grant.Scopes)...)
		row.Refresh = row.Refresh || rec.grant.RefreshToken != ""
		row.Bound = row.Bound || boundKey(rec.grant) != ""
		if since := time.Unix(int64(rec.grant.CreatedAt), 0); row.Since.IsZero() || since.Before(row.Since) {
			row.Since = since
		}
		if rec.lastUsed.After(row.LastUsed) {
			row.LastUsed = rec.lastUsed
		}
	}
	s.store.mu.Unlock()

	out := make([]GrantRow, 0, len(rows))
	for _, row := range rows {
		slices.Sort(row.Scopes)
		row.Scopes = slices.Compact(row.Scopes)
		if r, ok := s.resource(row.Server); ok {
			row.ServerName = r.Name
		}
		out = append(out, *row)
	}
	slices.SortFunc(out, func(a, b GrantRow) int {
		if c := b.Since.Compare(a.Since); c != 0 {
			return c
		}
		return strings.Compare(a.User+"\x00"+a.Client+"\x00"+a.Server, b.User+"\x00"+b.Client+"\x00"+b.Server)
	})
	return out
}

// revokeGrants ends everything in a row at once and returns how many grants that were: refresh tokens and opaque access tokens stop working, and
// introspection says inactive. Only an access token that is a JWT lives on, at servers that do not introspect, until it expires.
func (s *Server) revokeGrants(by User, key GrantKey) int {
	n := s.revokeWhere(func(k GrantKey) bool { return k == key })
	if n > 0 {
		s.log(Event{Kind: EventTokenRevoked, OK: true, User: key.User, Client: key.Client, Server: key.Server, Detail: "revoked on the grants page by " + by.Name})
	}
	return n
}

// revokeWhere waits for token requests under way, so that none of them ends with a token after the revocation.
func (s *Server) revokeWhere(where func(GrantKey) bool) int {
	s.tokens.Lock()
	defer s.tokens.Unlock()
	now := s.cfg.Now()
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	n := 0
	for _, rec := range s.store.grants {
		if where(rec.key()) && rec.grant.RevokedAt == 0 {
			if rec.alive(now) {
				n++
			}
			rec.grant.RevokedAt = int(now.Unix())
		}
	}
	s.store.touch()
	return n
}

// issuances lists the latest access tokens, newest first.
func (s *Server) issuances() []Issuance {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	out := slices.Clone(s.store.issued)
	slices.Reverse(out)
	for i := range out {
		rec := s.store.grants[out[i].Grant]
		out[i].GrantRevoked = rec == nil || rec.grant.RevokedAt != 0
	}
	return out
}

// issued is called by the library for every access token, before it leaves.
func (s *Server) issued(i Issuance) {
	s.store.mu.Lock()
	if rec := s.store.grants[i.Grant]; rec != nil {
		rec.lastUsed, rec.tokenUntil = i.At, i.Expires
	}
	if len(s.store.issued) >= maxIssuances {
		s.store.issued = slices.Delete(s.store.issued, 0, len(s.store.issued)-maxIssuances+1)
	}
	s.store.issued = append(s.store.issued, i)
	s.store.touch()
	s.store.mu.Unlock()
	detail := i.TokenType
	if i.Opaque {
		detail += ", opaque"
	}
	s.log(Event{Kind: EventTokenIssued, OK: true, User: i.Subject, Client: i.Client, Server: i.Server, Scope: i.Scope, Detail: detail})
}

// key is the row that a grant belongs to.
func (r *grantRecord) key() GrantKey {
	k := GrantKey{User: r.grant.Subject, Client: r.grant.ClientID}
	if len(r.grant.Resources) > 0 {
		k.Server = r.grant.Resources[0]
	}
	return k
}

// alive reports whether something can still come of the grant: a code, a refresh or an access token.
func (r *grantRecord) alive(now time.Time) bool {
	g, t := r.grant, now.Unix()
	switch {
	case g.RevokedAt != 0:
		return false
	case g.AuthCode != "" && g.AuthCodeConsumedAt == 0:
		return t < int64(g.AuthCodeExpiresAt)
	case g.RefreshToken != "" && (g.RefreshTokenExpiresAt == 0 || t < int64(g.RefreshTokenExpiresAt)):
		return true
	}
	return now.Before(r.tokenUntil)
}

// boundKey is the thumbprint of the DPoP key that a grant is bound to, or empty.
func boundKey(g *goidc.Grant) string {
	jkt, _ := g.Store[storeKey].(string)
	return jkt
}
