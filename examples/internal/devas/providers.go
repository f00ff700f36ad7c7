package devas

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/replay"
)

// profileIDJAG stands in authorization_grant_profiles_supported (draft-ietf-oauth-identity-assertion-authz-grant, Section 7.2).
const profileIDJAG = "urn:ietf:params:oauth:grant-profile:id-jag"

// maxAssertions bounds the remembered assertions. When they are too many new ones are refused, because forgetting one would allow a replay.
const maxAssertions = 1 << 16

// codeUnavailable is for what is no fault of the client. It is not among the codes of the token endpoint, as 503 is not among its statuses.
const codeUnavailable = goidc.ErrorCode("temporarily_unavailable")

// An IdentityProvider is trusted to say who somebody is: configured clients exchange its identity assertions (ID-JAG) for access tokens, and nobody is
// asked to sign in or to consent here, because the provider has decided that already. Whoever holds its keys can act here as everyone it may speak of.
//
// The subject of such a token is Issuer, "#" and the assertion's sub: "https://idp.example#U019488227". So neither another provider, nor a user or client
// of this server, is ever the same person.
type IdentityProvider struct {
	// Issuer is its issuer identifier, exactly as in iss: https, or http on loopback, without query or fragment.
	Issuer string
	// JWKSURI is where its public keys are. Empty: what its metadata says, which is fetched when the first assertion comes.
	JWKSURI string
	// Roles are what everybody whom it asserts has here. They bound the scopes, as those of users do, and become the roles claim. Nil means [RoleUser].
	Roles []string
}

// providers are those of the configuration, with their keys and the assertions that were used.
type providers struct {
	byIssuer map[string]*trustedProvider
	audience string // this server
	used     *replay.Store
	now      func() time.Time
}

type trustedProvider struct {
	IdentityProvider
	keys *jwks.Set
}

// An assertedGrant is what an identity assertion says after it was verified, and what the client asked for along with it.
type assertedGrant struct {
	refusal error // nothing may come of it; the rest is empty then

	issuer, subject, client, resource, id string
	scopes                                string
	key                                   string // thumbprint of the DPoP key that it is bound to, if any
	until                                 time.Time

	wantedScopes    string
	wantedResources []string
}

func newProviders(cfg Config) *providers {
	p := &providers{byIssuer: map[string]*trustedProvider{}, audience: cfg.Issuer, now: cfg.Now, used: replay.New(replay.Config{Capacity: maxAssertions, Now: cfg.Now})}
	client := fetch.New(fetch.Config{})
	for _, in := range cfg.IdentityProviders {
		if in.Roles == nil {
			in.Roles = []string{RoleUser}
		}
		p.byIssuer[in.Issuer] = &trustedProvider{in, newProviderKeys(in, client, cfg.Now, cfg.Logger)}
	}
	return p
}

// newProviderKeys makes the key set of one provider. Each has its own, so that no key of one can speak for another (RFC 8725, Section 3.8).
func newProviderKeys(in IdentityProvider, client *fetch.Client, now func() time.Time, logger *slog.Logger) *jwks.Set {
	cfg := jwks.Config{Fetch: client, Now: now, Logger: logger.With("issuer", in.Issuer)}
	if in.JWKSURI != "" {
		cfg.URI = func(context.Context) (string, error) { return in.JWKSURI, nil }
		return jwks.New(cfg)
	}
	source := discovery.New(discovery.Config{Issuer: in.Issuer, Fetch: client, Now: now, Logger: logger})
	cfg.Failing = source.Forget
	cfg.URI = func(ctx context.Context) (string, error) {
		doc, err := source.Metadata(ctx)
		if err != nil {
			return "", err
		}
		if doc.JWKSURI == "" {
			return "", errors.New("the metadata of the identity provider names no jwks_uri")
		}
		return doc.JWKSURI, nil
	}
	return jwks.New(cfg)
}

// checkProviders reports the mistakes in Config.IdentityProviders.
func (c *Config) checkProviders(bad func(format string, args ...any)) {
	seen := map[string]bool{}
	for i, p := range c.IdentityProviders {
		u, err := url.Parse(p.Issuer)
		switch {
		case fetch.CheckURL(p.Issuer) != nil:
			bad("Config.IdentityProviders[%d].Issuer: %w", i, fetch.CheckURL(p.Issuer))
		case err != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(p.Issuer, "/.well-known/"):
			bad("Config.IdentityProviders[%d].Issuer %q must be the issuer as it stands in iss, without query and /.well-known/", i, p.Issuer)
		case p.Issuer == c.Issuer:
			bad("Config.IdentityProviders[%d].Issuer is this server itself, which must not exchange its own assertions", i)
		case seen[p.Issuer]:
			bad("Config.IdentityProviders[%d].Issuer %q is listed twice", i, p.Issuer)
		}
		seen[p.Issuer] = true
		if p.JWKSURI != "" {
			if err := fetch.CheckURL(p.JWKSURI); err != nil {
				bad("Config.IdentityProviders[%d].JWKSURI: %w", i, err)
			}
		}
		for _, name := range c.ownSubjects() {
			if strings.HasPrefix(name, p.Issuer+"#") {
				bad("Config.IdentityProviders[%d]: %q is the name of a user or an agent, and could be somebody whom this provider asserts", i, name)
			}
		}
	}
	if len(seen) > 0 && !slices.ContainsFunc(c.Clients, func(cl Client) bool { return cl.Assertions }) {
		bad("Config.IdentityProviders is set, but no client has Assertions: nobody could use them")
	}
}

// ownSubjects are those whom this server itself speaks of in tokens.
func (c *Config) ownSubjects() []string {
	var names []string
	for _, u := range c.Users {
		names = append(names, u.Name)
	}
	for _, cl := range c.Clients {
		if cl.Agent {
			names = append(names, cl.ID)
		}
	}
	return names
}

// hasProviders reports whether the grant for identity assertions is on.
func (s *Server) hasProviders() bool { return len(s.cfg.IdentityProviders) > 0 }

// person finds who a subject is: a user of this server, or somebody whom a trusted provider has asserted.
func (s *Server) person(subject string) (User, bool) {
	if u, ok := s.cfg.user(subject); ok {
		return u, true
	}
	issuer, _, asserted := strings.Cut(subject, "#")
	if p := s.providers.byIssuer[issuer]; asserted && p != nil {
		return User{Name: subject, Roles: p.Roles}, true
	}
	return User{}, false
}

// read verifies an identity assertion: everything but what depends on the client, which the library has not authenticated yet. It changes nothing and may wait for
// keys, so it comes before any lock.
func (p *providers) read(ctx context.Context, compact string) *assertedGrant {
	g, err := p.verify(ctx, compact)
	if err != nil {
		return &assertedGrant{refusal: err}
	}
	return g
}

func (p *providers) verify(ctx context.Context, compact string) (*assertedGrant, error) {
	a, err := parseAssertion(compact)
	if err != nil {
		return nil, err
	}
	issuer, _ := a.claims["iss"].(string)
	from := p.byIssuer[issuer]
	if from == nil {
		return nil, assertionFault("iss of the assertion is not an identity provider that this server trusts")
	}
	if err := from.verify(ctx, a); err != nil {
		return nil, err
	}
	g := &assertedGrant{issuer: issuer}
	if g.until, err = a.times(p.now()); err != nil {
		return nil, err
	}
	// One string and nothing else: whoever else is an audience could use the assertion here.
	if a.claims["aud"] != p.audience {
		return nil, assertionFault("aud of the assertion must be the issuer of this server, as one string, byte for byte")
	}
	if err := a.without("tenant", "aud_tenant"); err != nil {
		return nil, err
	}
	for _, claim := range []struct {
		name  string
		limit int
		into  *string
	}{{"sub", maxAssertionText, &g.subject}, {"client_id", maxAssertion, &g.client}, {"resource", maxAssertion, &g.resource}, {"jti", maxAssertionText, &g.id}} {
		if *claim.into, err = a.text(claim.name, claim.limit); err != nil {
			return nil, err
		}
	}
	g.subject = issuer + "#" + g.subject
	if _, ok := a.claims["scope"]; ok {
		if g.scopes, ok = a.claims["scope"].(string); !ok {
			return nil, assertionFault("scope of the assertion must be a string")
		}
	}
	g.key, err = a.key()
	return g, err
}

// verify checks the signature with the keys of this provider and no others.
func (p *trustedProvider) verify(ctx context.Context, a *assertion) error {
	signed := func(keys []*jwks.Key) bool {
		return slices.ContainsFunc(keys, func(k *jwks.Key) bool { return jws.MethodOf(a.alg).Verify(k, a.input, a.signature) })
	}
	keys, err := p.keys.Lookup(ctx, a.kid, a.alg)
	if err == nil {
		if signed(keys) {
			return nil
		}
		// The provider may have put a new key under an old kid.
		if keys, err = p.keys.LookupAgain(ctx, a.kid, a.alg, keys); err == nil && signed(keys) {
			return nil
		}
		if !errors.Is(err, jwks.ErrBusy) {
			return assertionFault("the signature of the assertion is not by a key of its issuer")
		}
	}
	if errors.Is(err, jwks.ErrUnknownKey) {
		return assertionFault("the issuer of the assertion has no such key: check kid and alg")
	}
	return goidc.WrapError(codeUnavailable, "the keys of the identity provider cannot be had at the moment", err)
}

// use marks an assertion as used, once.
func (p *providers) use(g *assertedGrant) error {
	// The client is part of the owner, so that one that uses up the room does not shut out the others.
	err := p.used.Add(sha256.Sum256([]byte(g.issuer+"\x00"+g.client)), sha256.Sum256([]byte(g.id)), g.until)
	switch {
	case errors.Is(err, replay.ErrSeen):
		return assertionFault("the assertion was used before: get a new one from the identity provider")
	case err != nil:
		return goidc.NewError(codeUnavailable, "too many assertions at the moment")
	}
	return nil
}

// subjectOf is what the library asks first about an assertion. The decision is grantAsserted's, where the client is known.
func (s *Server) subjectOf(ctx context.Context, _ string) (goidc.JWTBearerResult, error) {
	a := factsFrom(ctx).asserted
	if a == nil {
		return goidc.JWTBearerResult{}, errors.New("the assertion was not read")
	}
	return goidc.JWTBearerResult{Subject: a.subject}, nil
}

// grantAsserted decides what comes of an identity assertion (draft, Section 4.4). The library has authenticated the client. Whether the assertion
// was used before comes last, so that a client may correct its request.
func (s *Server) grantAsserted(ctx context.Context, g *goidc.Grant) error {
	f := factsFrom(ctx)
	a := f.asserted
	switch {
	case a == nil:
		return assertionFault("the assertion was not read")
	case a.refusal != nil:
		return a.refusal
	case a.client != g.ClientID:
		return assertionFault("client_id of the assertion is not the client that presents it")
	case a.key != "" && a.key != f.jkt:
		return assertionFault("the assertion is bound to a key; the DPoP proof is missing or by another one")
	}
	r, ok := s.resource(a.resource)
	if !ok {
		return goidc.NewError(goidc.ErrorCodeInvalidTarget, "resource of the assertion is not known here")
	}
	if slices.ContainsFunc(a.wantedResources, func(id string) bool { return id != r.Identifier }) {
		return goidc.NewError(goidc.ErrorCodeInvalidTarget, "the assertion is for another resource than the request")
	}
	if !s.admitted(g.ClientID, r) {
		return goidc.NewError(goidc.ErrorCodeInvalidTarget, "the resource is not allowed to the client")
	}
	user, ok := s.person(a.subject)
	if !ok || s.access(user, r) != accessGranted {
		return assertionFault("the user has no access to the resource")
	}
	scopes, err := s.assertedScopes(a, user, g.ClientID, r)
	if err != nil {
		return err
	}
	if err := s.providers.use(a); err != nil {
		return err
	}
	a.resource = r.Identifier // for the answer
	g.Subject, g.Username = a.subject, a.subject
	g.Resources, g.Scopes = goidc.Resources{r.Identifier}, scopes
	g.Store = map[string]any{storeRoles: slices.Clone(user.Roles), storeAsserted: true}
	return nil
}

// assertedScopes is what the assertion grants, the client wants and may have, the resource knows and the roles allow. An assertion without scope grants
// none: the provider has to include what it grants (draft, Section 4.3). A request without scope wants all of it.
func (s *Server) assertedScopes(a *assertedGrant, user User, client string, r *Resource) (string, error) {
	granted := possible(r, s.allowedScopes(client, r), a.scopes)
	wanted := scopeList(a.wantedScopes)
	granted = slices.DeleteFunc(granted, func(sc Scope) bool {
		return len(wanted) > 0 && !slices.Contains(wanted, sc.Name) || !s.roleAllows(user, sc)
	})
	if len(granted) == 0 && len(r.Scopes) > 0 {
		return "", goidc.NewError(goidc.ErrorCodeInvalidScope, "none of the scopes is granted by the assertion, belongs to the resource and is allowed to client and user")
	}
	return joinScopes(granted), nil
}

// refreshes reports whether a refresh token may come with an access token. For an assertion there is none: the identity provider is to be asked again
// (draft, Section 4.4.3).
func (s *Server) refreshes(_ context.Context, _ *goidc.Client, g *goidc.Grant) bool {
	return g.Store[storeAsserted] == nil
}

// readAsserted takes the identity assertion out of a token request, with the wishes that come along, which the library would judge without it.
func (s *Server) readAsserted(ctx context.Context, form url.Values) (*assertedGrant, error) {
	compact := form.Get("assertion")
	if compact == "" {
		return nil, errors.New("the assertion parameter is required")
	}
	c, err := s.store.Client(ctx, form.Get("client_id"))
	if err != nil || !slices.Contains(c.GrantTypes, goidc.GrantJWTBearer) {
		return nil, nil // the library refuses: no work for strangers
	}
	g := s.providers.read(ctx, compact)
	g.wantedScopes, g.wantedResources = form.Get("scope"), form["resource"]
	form.Del("scope")
	form.Del("resource")
	return g, nil
}
