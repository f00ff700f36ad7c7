package mcpauthtest

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// An Issuer is an authorization server as an MCP server sees it: it publishes metadata (RFC 8414, OpenID
// Connect Discovery) and keys (RFC 7517), answers introspection (RFC 7662), and makes tokens without any
// login. It listens on loopback until its test ends, and what is wrong with its use ends that test: make one
// where it is used, in subtests too. Make it with [NewIssuer] or [NewIssuerLike]; the zero value does not
// work. Its methods are safe for concurrent use.
type Issuer struct {
	// URL is the iss claim of its tokens. It must not be changed.
	URL string

	// Resource is the aud claim of its tokens, where neither [Claims.Audience] nor the issuer's
	// configuration says otherwise. It must not be changed.
	Resource string

	// Now is the clock by which tokens are made and answers to introspection given. Nil: time.Now. Set it
	// before anything else is done with the issuer.
	Now func() time.Time

	t      testing.TB
	config mcpauth.Issuer
	alg    string
	server *httptest.Server
	ended  chan struct{} // closed when the test has ended

	secret, prefix string // of introspection

	mu      sync.Mutex
	keys    []signingKey // what is published; the last one signs
	made    int          // keys so far
	down    bool
	delay   time.Duration
	hostile Hostility
	fetches Fetches
	opaque  map[string]map[string]any
}

// A signingKey is a key under the name by which tokens refer to it.
type signingKey struct {
	id string
	*DPoPKey
}

// NewIssuer starts an issuer whose tokens are for a resource: the value of [mcpauth.Config].Resource. They
// are tokens as RFC 9068 wants them, signed with ES256, and their roles stand in the claim roles. When the
// test ends, the issuer does.
func NewIssuer(t testing.TB, resource string) *Issuer {
	t.Helper()
	return start(t, resource, "ES256", mcpauth.Issuer{Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}})
}

// NewIssuerLike starts an issuer that stands in for another one, such as a preset of package idp or the
// issuer of your own configuration: its tokens have the iss, the aud, the typ and the claims for scopes and
// roles that the other one's have, and [Issuer.Config] accepts what the other one accepts, hierarchies of
// scopes and other rules included. Only keys and introspection are the test's; the real provider is never
// asked anything, and tokens of the real one are not accepted.
//
// What the configuration leaves open is chosen so: of several TokenTypes and Audiences, the last type (in
// presets that is what the provider writes) and the first audience; no audience where that is what
// DangerouslyAcceptNoAudience is for; scopes as one string in the first of Grants.ScopeClaims, else in
// scope; roles in the first of Grants.RoleClaims, RoleKeys or SelectedRoles; the first of ClientIDs; the
// first of Algorithms, else RS256. The client is in client_id, whatever the provider calls it. Use
// [Claims.Extra] and [Claims.Header] for what your tokens have besides.
func NewIssuerLike(t testing.TB, resource string, like mcpauth.Issuer) *Issuer {
	t.Helper()
	if like.Introspection != nil && like.Introspection.Signed {
		t.Fatalf("mcpauthtest: NewIssuerLike: Introspection.Signed is set, and this issuer signs no answers (RFC 9701); set it to false for the test")
	}
	alg := "RS256"
	if len(like.Algorithms) > 0 {
		alg = like.Algorithms[0]
	}
	return start(t, resource, alg, like)
}

// start starts an issuer. One without a URL gets that of its server, where its metadata is.
func start(t testing.TB, resource, alg string, config mcpauth.Issuer) *Issuer {
	t.Helper()
	is := &Issuer{
		Resource: resource, t: t, config: config, alg: alg, ended: make(chan struct{}),
		secret: rand.Text(), prefix: "opaque-" + rand.Text()[:8] + "-", opaque: make(map[string]map[string]any),
	}
	is.Rotate()
	is.server = httptest.NewServer(is.handler())
	t.Cleanup(func() {
		close(is.ended) // before Close, which waits for answers
		is.server.Close()
	})
	if config.URL == "" {
		is.config.URL = is.server.URL
	} else {
		is.config.JWKSURI = is.server.URL + keysPath
	}
	is.URL = is.config.URL
	if in := config.Introspection; in != nil {
		if in.TokenPrefix != "" {
			is.prefix = in.TokenPrefix
		}
		is.config.Introspection = is.Introspection()
		is.config.Introspection.MaxAge = in.MaxAge
	}
	return is
}

// Config returns the configuration that accepts the issuer's tokens, for [mcpauth.Config].Issuers. The
// result may be changed, but for what says how tokens look: give that to [NewIssuerLike].
func (is *Issuer) Config() mcpauth.Issuer {
	out := is.config
	if in := out.Introspection; in != nil {
		own := *in
		out.Introspection = &own
	}
	out.Audiences, out.ClientIDs = slices.Clone(out.Audiences), slices.Clone(out.ClientIDs)
	out.Algorithms, out.TokenTypes = slices.Clone(out.Algorithms), slices.Clone(out.TokenTypes)
	return out
}

// Rotate makes a new key, which signs from now on. The former keys are still published, so that tokens that
// they signed stay good: see [Issuer.Retire]. A server that meets a key which it does not know fetches the keys
// again, but not within 10 s of the last time: advance its clock first.
func (is *Issuer) Rotate() {
	is.t.Helper()
	key, err := NewDPoPKey(is.alg)
	if err != nil {
		is.t.Fatalf("mcpauthtest: the issuer's key: %v", err)
	}
	is.mu.Lock()
	defer is.mu.Unlock()
	is.made++
	is.keys = append(is.keys, signingKey{fmt.Sprintf("key-%d", is.made), key})
}

// Retire withdraws every key but the one that signs now. A server refuses tokens of the others as soon as it
// has fetched the keys again.
func (is *Issuer) Retire() {
	is.mu.Lock()
	defer is.mu.Unlock()
	is.keys = slices.Clone(is.keys[len(is.keys)-1:])
}

func (is *Issuer) now() time.Time {
	if is.Now != nil {
		return is.Now()
	}
	return time.Now()
}

// signer is the key that signs now.
func (is *Issuer) signer() signingKey {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.keys[len(is.keys)-1]
}
