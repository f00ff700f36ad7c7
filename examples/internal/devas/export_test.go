package devas

import (
	"context"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// SetRedirectURIs changes the registration of a client behind its back, as an edited metadata document would.
func (s *Server) SetRedirectURIs(id string, uris ...string) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	s.store.clients[id].client.RedirectURIs = uris
}

// AfterRead widens the gap between reading and writing a grant. Call it before the first request.
func (s *Server) AfterRead(f func()) { s.store.afterRead = f }

// Unregister forgets a client.
func (s *Server) Unregister(id string) { _ = s.store.DeleteClient(context.Background(), id) }

// Store gives tests of the bounds access to the state.
type Store = store

var (
	NewStore     = newStore
	CheckURI     = checkRedirectURI
	Allowed      = redirectAllowed
	Clean        = clean
	FormAction   = formActionSource
	ErrGone      = errRequestGone
	MaxSessions  = maxSessions
	MaxClients   = maxClients
	PagesCSS     = pagesCSS
	PagesJS      = pagesJS
	AtToken      = func() context.Context { return withFacts(context.Background(), facts{endpoint: pathToken}) }
	WithDocument = func(id string) context.Context {
		return withFacts(context.Background(), facts{endpoint: pathToken, documentID: id, document: &goidc.Client{ID: id}})
	}
	AtIntrospect = func() context.Context { return withFacts(context.Background(), facts{endpoint: pathIntrospect}) }
)

// Lengths reports how much the store holds.
func (s *store) Lengths() (clients, sessions int) { return len(s.clients), len(s.sessions) }

var _ goidc.GrantManager = (*Store)(nil)

// ParseAssertion takes an identity assertion apart.
func ParseAssertion(compact string) (alg, kid string, claims map[string]any, err error) {
	a, err := parseAssertion(compact)
	if err != nil {
		return "", "", nil, err
	}
	return a.alg, a.kid, a.claims, nil
}

// AssertionUntil judges the times of claims.
func AssertionUntil(claims map[string]any, now time.Time) (time.Time, error) {
	return (&assertion{claims: claims}).times(now)
}

// The bounds of an identity assertion.
const (
	MaxAssertion     = maxAssertion
	MaxAssertionLife = maxAssertionLife
	AssertionLeeway  = assertionLeeway
)
