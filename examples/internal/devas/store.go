package devas

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// Bounds of the store. When one is reached the oldest entry goes; replay identifiers are refused instead, because forgetting one would allow a replay.
const (
	maxSessions = 1000
	maxGrants   = 5000
	maxClients  = 1000
	maxLogins   = 1000
	maxJTIs     = 20000
	maxSpent    = 200 // remembered refresh tokens of one grant
	jtiLifetime = 15 * time.Minute
)

// errRequestGone says that a pending authorization request is unknown, expired or decided already. It deliberately does not wrap goidc.ErrNotFound: the
// error page must recognise it.
var errRequestGone = errors.New("the authorization request is unknown, expired or decided already")

var errReplayed = errors.New("the identifier was used before, or too many are remembered")

// store keeps the state that the library and the pages need. It hands out and keeps copies only, because the library writes into what it is given.
type store struct {
	now    func() time.Time
	scopes string // every scope of the server

	// afterRead, if set, runs after a grant was looked up by code or refresh token: tests widen the gap between the library's check and write with it.
	afterRead func()

	mu       sync.Mutex
	seq      uint64 // order of arrival, for eviction
	clients  map[string]*clientRecord
	sessions map[string]*sessionRecord
	grants   map[string]*grantRecord
	codes    map[string]string // authorization code to grant ID
	refresh  map[string]string // current refresh token to grant ID
	spent    map[string]string // replaced refresh token to grant ID
	logins   map[string]loginRecord
	jtis     map[string]time.Time // to the time when it may be forgotten
}

type clientRecord struct {
	client        *goidc.Client // ScopeIDs is the bound on what it can be granted
	seq           uint64
	pinned        bool // configured, never evicted
	mayIntrospect bool
}

type sessionRecord struct {
	session *goidc.AuthnSession
	seq     uint64
}

type grantRecord struct {
	grant *goidc.Grant
	seq   uint64
	spent []string
}

// login is one browser's sign-in.
type login struct {
	ID   string
	User string
	At   time.Time
}

type loginRecord struct {
	login
	seq uint64
}

func newStore(now func() time.Time, scopes string) *store {
	return &store{
		now:      now,
		scopes:   scopes,
		clients:  map[string]*clientRecord{},
		sessions: map[string]*sessionRecord{},
		grants:   map[string]*grantRecord{},
		codes:    map[string]string{},
		refresh:  map[string]string{},
		spent:    map[string]string{},
		logins:   map[string]loginRecord{},
		jtis:     map[string]time.Time{},
	}
}

var (
	_ goidc.GrantManager        = (*store)(nil)
	_ goidc.AuthManager         = (*store)(nil)
	_ goidc.DCRManager          = (*store)(nil)
	_ goidc.RefreshTokenManager = (*store)(nil)
)

// next numbers entries in order of arrival. The caller holds mu.
func (s *store) next() uint64 {
	s.seq++
	return s.seq
}

// oldest finds the key with the smallest number among those that may go.
func oldest[V any](m map[string]V, seq func(V) (n uint64, mayGo bool)) (key string, ok bool) {
	var least uint64
	for k, v := range m {
		if n, mayGo := seq(v); mayGo && (!ok || n < least) {
			key, least, ok = k, n, true
		}
	}
	return key, ok
}

// --- clients

// SaveClient stores a registered client.
func (s *store) SaveClient(_ context.Context, c *goidc.Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.clients[c.ID]; old != nil && old.pinned {
		return errors.New("a configured client cannot be replaced")
	}
	if len(s.clients) >= maxClients {
		if k, ok := oldest(s.clients, func(r *clientRecord) (uint64, bool) { return r.seq, !r.pinned }); ok {
			delete(s.clients, k)
		}
	}
	s.clients[c.ID] = &clientRecord{client: cloneClient(c), seq: s.next()}
	return nil
}

func (s *store) pinClient(c *goidc.Client, mayIntrospect bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = &clientRecord{client: cloneClient(c), seq: s.next(), pinned: true, mayIntrospect: mayIntrospect}
}

// Client returns a copy of the client, fitted to the request that the context belongs to:
//
//   - A public client that sends a secret, and a client that may not introspect at the introspection endpoint, are not found, which the library turns
//     into invalid_client.
//   - The library compares redirect URIs by rules of its own, after parsing and printing them. The copy is called a web application, which gets the
//     simplest of these rules, and for a new authorization request it has one redirect URI if redirectAllowed accepts what was requested, else none.
//   - Its scopes are all scopes of the server. The library refuses what is beyond them; the policy narrows to clientScopes.
func (s *store) Client(ctx context.Context, id string) (*goidc.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.clients[id]
	if rec == nil {
		return nil, goidc.ErrNotFound
	}
	facts := factsFrom(ctx)
	if facts.secretSent && rec.client.IsPublic() {
		return nil, goidc.ErrNotFound
	}
	if facts.endpoint == pathIntrospect && !rec.mayIntrospect {
		return nil, goidc.ErrNotFound
	}
	c := cloneClient(rec.client)
	c.ApplicationType = goidc.ApplicationTypeWeb
	c.ScopeIDs = s.scopes
	if uri := facts.redirectURI; uri != "" {
		allowed := redirectAllowed(c.RedirectURIs, uri)
		c.RedirectURIs = nil
		if u, err := url.Parse(uri); err == nil && allowed {
			c.RedirectURIs = []string{u.String()}
		}
	}
	return c, nil
}

// clientScopes returns the scopes that bound a client's grants.
func (s *store) clientScopes(id string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.clients[id]; rec != nil {
		return scopeList(rec.client.ScopeIDs)
	}
	return nil
}

// DeleteClient forgets a registered client.
func (s *store) DeleteClient(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.clients[id]; rec != nil && !rec.pinned {
		delete(s.clients, id)
	}
	return nil
}

// --- pending authorization requests

// SaveSession stores a pending authorization request, or its one decision. The comparison with what is stored makes the decision single even when two
// arrive together (AS-61): the library mints a code only after this call succeeded.
func (s *store) SaveSession(_ context.Context, as *goidc.AuthnSession) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.sessions[as.ID]
	if old != nil && old.session.Status != goidc.StatusPending {
		if as.Status == goidc.StatusPending {
			return nil // a page was shown while another window decided: nothing to keep
		}
		return errRequestGone
	}
	seq := s.next()
	if old != nil {
		seq = old.seq
	} else if len(s.sessions) >= maxSessions {
		if k, ok := oldest(s.sessions, func(r *sessionRecord) (uint64, bool) { return r.seq, true }); ok {
			delete(s.sessions, k)
		}
	}
	s.sessions[as.ID] = &sessionRecord{session: cloneSession(as), seq: seq}
	return nil
}

// Session returns a request that still waits for its decision.
func (s *store) Session(_ context.Context, id string) (*goidc.AuthnSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.sessions[id]
	if rec == nil || rec.session.Status != goidc.StatusPending || s.now().Unix() >= int64(rec.session.ExpiresAt) {
		return nil, errRequestGone
	}
	return cloneSession(rec.session), nil
}

// --- grants

// SaveGrant stores a grant. A refresh token that disappears from it is remembered as spent, and a revocation is never undone.
func (s *store) SaveGrant(_ context.Context, g *goidc.Grant) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.grants[g.ID]
	if rec == nil {
		if len(s.grants) >= maxGrants {
			if k, ok := oldest(s.grants, func(r *grantRecord) (uint64, bool) { return r.seq, true }); ok {
				s.dropGrant(k)
			}
		}
		rec = &grantRecord{grant: &goidc.Grant{}, seq: s.next()}
		s.grants[g.ID] = rec
	}
	kept := cloneGrant(g)
	if rec.grant.RevokedAt != 0 {
		kept.RevokedAt = rec.grant.RevokedAt
	}
	if old := rec.grant.RefreshToken; old != "" && old != kept.RefreshToken {
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
		s.refresh[kept.RefreshToken] = g.ID
	}
	return nil
}

func (s *store) dropGrant(id string) {
	rec := s.grants[id]
	delete(s.grants, id)
	delete(s.codes, rec.grant.AuthCode)
	delete(s.refresh, rec.grant.RefreshToken)
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
	g, err := s.copyOf(s.codes[code])
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
	if id, ok := s.spent[token]; ok {
		if rec := s.grants[id]; rec != nil && rec.grant.RevokedAt == 0 && endpoint == pathToken {
			rec.grant.RevokedAt = int(s.now().Unix())
		}
		return nil, goidc.ErrNotFound
	}
	g, err := s.copyOf(s.refresh[token])
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

func (s *store) revokeGrant(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.grants[id]; rec != nil && rec.grant.RevokedAt == 0 {
		rec.grant.RevokedAt = int(s.now().Unix())
	}
}

// --- sign-ins and replay

func (s *store) saveLogin(l login) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.logins) >= maxLogins {
		if k, ok := oldest(s.logins, func(r loginRecord) (uint64, bool) { return r.seq, true }); ok {
			delete(s.logins, k)
		}
	}
	s.logins[l.ID] = loginRecord{login: l, seq: s.next()}
}

func (s *store) login(id string) (login, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.logins[id]
	if !ok || s.now().Sub(rec.At) >= loginLifetime {
		return login{}, false
	}
	return rec.login, true
}

func (s *store) deleteLogin(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.logins, id)
}

// consumeJTI refuses an identifier that it has seen within the life of a proof (RFC 9449, Section 11.1).
func (s *store) consumeJTI(_ context.Context, jti string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now() // proofs are judged by the library, on the real clock
	if until, ok := s.jtis[jti]; ok && now.Before(until) {
		return errReplayed
	}
	if len(s.jtis) >= maxJTIs {
		maps.DeleteFunc(s.jtis, func(_ string, until time.Time) bool { return !now.Before(until) })
		if len(s.jtis) >= maxJTIs {
			return errReplayed
		}
	}
	s.jtis[jti] = now.Add(jtiLifetime)
	return nil
}

// --- copies

func cloneClient(c *goidc.Client) *goidc.Client {
	cp := *c
	cp.RedirectURIs = slices.Clone(c.RedirectURIs)
	cp.GrantTypes = slices.Clone(c.GrantTypes)
	cp.ResponseTypes = slices.Clone(c.ResponseTypes)
	cp.CustomAttributes = maps.Clone(c.CustomAttributes)
	return &cp
}

func cloneSession(as *goidc.AuthnSession) *goidc.AuthnSession {
	cp := *as
	cp.Store = maps.Clone(as.Store)
	cp.Resources = slices.Clone(as.Resources)
	cp.GrantedResources = slices.Clone(as.GrantedResources)
	return &cp
}

func cloneGrant(g *goidc.Grant) *goidc.Grant {
	cp := *g
	cp.Store = maps.Clone(g.Store)
	cp.Resources = slices.Clone(g.Resources)
	cp.AuthParams.Resources = slices.Clone(g.AuthParams.Resources)
	return &cp
}
