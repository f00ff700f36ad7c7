package devas

import (
	"context"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// Bounds of the store. When one is reached the oldest entry goes; replay identifiers are refused instead, because forgetting one would allow a replay.
const (
	maxSessions = 1000
	maxGrants   = 5000
	maxClients  = 1000
	maxLogins   = 1000
	maxTokens   = 5000 // opaque access tokens
	maxJTIs     = 20000
	maxSpent    = 200 // remembered refresh tokens of one grant
	jtiLifetime = 15 * time.Minute
)

// errRequestGone says that a pending authorization request is unknown, expired or decided already. It deliberately does not wrap goidc.ErrNotFound: the
// error page must recognise it.
var errRequestGone = errors.New("the authorization request is unknown, expired or decided already")

var errReplayed = errors.New("the identifier was used before, or too many are remembered")

// store keeps the state that the library and the pages need. It hands out and keeps copies only, because the library writes into what it is given. What
// opens something (codes, refresh tokens, opaque access tokens, client secrets) is kept as a digest only.
type store struct {
	now     func() time.Time
	changes atomic.Uint64 // counts what has to be written to the file

	// afterRead, if set, runs after a grant was looked up by code or refresh token: tests widen the gap between the library's check and write with it.
	afterRead func()

	mu          sync.Mutex
	scopes      string // every scope of the server
	seq         uint64 // order of arrival, for eviction
	clients     map[string]*clientRecord
	permissions map[string]map[string][]string // client ID, then server identifier
	sessions    map[string]*sessionRecord
	grants      map[string]*grantRecord
	codes       map[string]string // digest of the authorization code to grant ID
	refresh     map[string]string // digest of the current refresh token to grant ID
	spent       map[string]string // digest of a replaced refresh token to grant ID
	opaque      map[string]*goidc.Token
	issued      []Issuance // oldest first
	revoked     []Event    // not in the log yet
	logins      map[string]loginRecord
	jtis        [2]map[string]time.Time // of strangers and of configured clients, to the time when it may be forgotten
}

type clientRecord struct {
	client        *goidc.Client
	seq           uint64
	since         time.Time
	bound         *configuredBound // configured, never evicted
	document      bool             // found by its metadata document
	anyMethod     bool             // a configured secret that may come in the header or in the body
	mayIntrospect bool
	roles         []string // of an agent
}

type sessionRecord struct {
	session *goidc.AuthnSession
	seq     uint64
}

type grantRecord struct {
	grant                *goidc.Grant
	seq                  uint64
	spent                []string
	lastUsed, tokenUntil time.Time // of the latest access token
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
		now:         now,
		scopes:      scopes,
		clients:     map[string]*clientRecord{},
		permissions: map[string]map[string][]string{},
		sessions:    map[string]*sessionRecord{},
		grants:      map[string]*grantRecord{},
		codes:       map[string]string{},
		refresh:     map[string]string{},
		spent:       map[string]string{},
		opaque:      map[string]*goidc.Token{},
		logins:      map[string]loginRecord{},
		jtis:        [2]map[string]time.Time{{}, {}},
	}
}

var (
	_ goidc.GrantManager        = (*store)(nil)
	_ goidc.AuthManager         = (*store)(nil)
	_ goidc.DCRManager          = (*store)(nil)
	_ goidc.RefreshTokenManager = (*store)(nil)
	_ goidc.OpaqueTokenManager  = (*store)(nil)
)

// stored marks a digest. What the library hands back unchanged begins with it and is not hashed again; it never begins a value that somebody presents,
// because that is hashed first.
const stored = "sha256:"

// hide returns the digest under which a secret is kept.
func hide(secret string) string {
	if secret == "" {
		return ""
	}
	return stored + digest(secret)
}

// keep is hide for a value that may be a digest from this store.
func keep(value string) string {
	if strings.HasPrefix(value, stored) {
		return value
	}
	return hide(value)
}

// touch says that the file is out of date.
func (s *store) touch() { s.changes.Add(1) }

func (s *store) setScopes(scopes string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scopes = scopes
}

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

// SaveClient stores a registered client. There is no management of registrations, so the token for it is not kept.
func (s *store) SaveClient(ctx context.Context, c *goidc.Client) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.clients[c.ID]
	if old != nil && old.bound != nil {
		return errors.New("a configured client cannot be replaced")
	}
	if old == nil {
		s.makeRoomForClient()
	}
	kept := cloneClient(c)
	kept.Secret, kept.RegistrationToken = keep(c.Secret), ""
	kept.DPoPTokenBindingRequired = kept.DPoPTokenBindingRequired || factsFrom(ctx).dpopRequired
	s.clients[c.ID] = &clientRecord{client: kept, seq: s.next(), since: s.now()}
	s.touch()
	return nil
}

// makeRoomForClient lets the oldest client go that nobody configured or gave permissions to. The caller holds mu.
func (s *store) makeRoomForClient() {
	if len(s.clients) < maxClients {
		return
	}
	used, now := map[string]bool{}, s.now()
	for _, rec := range s.grants {
		if rec.alive(now) {
			used[rec.grant.ClientID] = true
		}
	}
	// Anybody can register: one that nobody uses goes before one that somebody does.
	for _, evenUsed := range []bool{false, true} {
		if k, ok := oldest(s.clients, func(r *clientRecord) (uint64, bool) {
			return r.seq, r.bound == nil && s.permissions[r.client.ID] == nil && (evenUsed || !used[r.client.ID])
		}); ok {
			delete(s.clients, k)
			return
		}
	}
}

// pinClient stores a configured client.
func (s *store) pinClient(rec *clientRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec.client = cloneClient(rec.client)
	rec.client.Secret = keep(rec.client.Secret)
	rec.seq = s.next()
	s.clients[rec.client.ID] = rec
}

// Client returns a copy of the client, fitted to the request that the context belongs to:
//
//   - A public client that sends a secret, and a client that may not introspect at the introspection endpoint, are not found, which the library turns
//     into invalid_client.
//   - The library compares redirect URIs by rules of its own, after parsing and printing them. The copy is called a web application, which gets the
//     simplest of these rules, and for a new authorization request it has one redirect URI if redirectAllowed accepts what was requested, else none.
//   - Its scopes are all scopes of the server. The library refuses what is beyond them; the policy narrows to allowedScopes.
//   - A client with a secret that may come either way is one that sends it as this request does. The library knows one way for each client.
//   - A client that is identified by the URL of a metadata document is the one that the wrapper found there for this request.
func (s *store) Client(ctx context.Context, id string) (*goidc.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.clients[id]
	facts := factsFrom(ctx)
	if isDocumentURL(id) && (rec == nil || rec.document) {
		switch {
		case facts.documentID != id:
			return nil, goidc.ErrNotFound
		case facts.documentErr != nil:
			// Everything but ErrNotFound would be an internal error at the token endpoint.
			return nil, errors.Join(goidc.ErrNotFound, facts.documentErr)
		}
		rec = &clientRecord{client: facts.document}
	}
	if rec == nil || rec.client == nil {
		return nil, goidc.ErrNotFound
	}
	if facts.secretSent && rec.client.IsPublic() {
		return nil, goidc.ErrNotFound
	}
	if facts.endpoint == pathIntrospect && !rec.mayIntrospect {
		return nil, goidc.ErrNotFound
	}
	c := cloneClient(rec.client)
	c.ApplicationType = goidc.ApplicationTypeWeb
	c.ScopeIDs = s.scopes
	if rec.anyMethod && facts.secretInBody {
		c.TokenAuthnMethod = goidc.AuthnMethodSecretPost
	}
	if uri := facts.redirectURI; uri != "" {
		allowed := redirectAllowed(c.RedirectURIs, uri)
		c.RedirectURIs = nil
		if u, err := url.Parse(uri); err == nil && allowed {
			c.RedirectURIs = []string{u.String()}
		}
	}
	return c, nil
}

// DeleteClient forgets a registered client.
func (s *store) DeleteClient(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rec := s.clients[id]; rec != nil && rec.bound == nil {
		delete(s.clients, id)
		s.touch()
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
		// Any web site can make a browser open requests. Those that a person has seen go last.
		for _, evenSeen := range []bool{false, true} {
			if k, ok := oldest(s.sessions, func(r *sessionRecord) (uint64, bool) {
				seen, _ := r.session.Store[storeSeen].(bool)
				return r.seq, evenSeen || !seen || r.session.Status != goidc.StatusPending
			}); ok {
				delete(s.sessions, k)
				break
			}
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
func (s *store) consumeJTI(ctx context.Context, jti string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whoever publishes a metadata document can make identifiers: they must not use up the room of others, nor guess what others will send.
	client := factsFrom(ctx).clientID
	seen := s.jtis[0]
	if rec := s.clients[client]; rec != nil && rec.bound != nil {
		seen = s.jtis[1]
	}
	jti = digest(client + "\x00" + jti)
	now := time.Now() // proofs are judged by the library, on the real clock
	if until, ok := seen[jti]; ok && now.Before(until) {
		return errReplayed
	}
	if len(seen) >= maxJTIs {
		maps.DeleteFunc(seen, func(_ string, until time.Time) bool { return !now.Before(until) })
		if len(seen) >= maxJTIs {
			return errReplayed
		}
	}
	seen[jti] = now.Add(jtiLifetime)
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

func cloneToken(t *goidc.Token) *goidc.Token {
	cp := *t
	cp.Resources = slices.Clone(t.Resources)
	return &cp
}

func cloneGrant(g *goidc.Grant) *goidc.Grant {
	cp := *g
	cp.Store = maps.Clone(g.Store)
	cp.Resources = slices.Clone(g.Resources)
	cp.AuthParams.Resources = slices.Clone(g.AuthParams.Resources)
	return &cp
}
