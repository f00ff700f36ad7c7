package jwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
)

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute

	accessTokenType = "at+jwt" // RFC 9068, Section 2.1
)

// A KeySource finds the keys of one issuer: in use, a *jwks.Set. An unknown key is
// [jwks.ErrUnknownKey]; every other error counts as an outage.
type KeySource interface {
	Lookup(ctx context.Context, kid, alg string) ([]*jwks.Key, error)
}

// A refresher is a KeySource that can look for keys that are newer than those it gave.
type refresher interface {
	LookupAgain(ctx context.Context, kid, alg string, tried []*jwks.Key) ([]*jwks.Key, error)
}

// An Issuer is one authorization server whose tokens are accepted, and what they must look like.
// URL, Keys (or Introspected) and Audiences (or AnyAudience) are required.
type Issuer struct {
	URL string // iss, compared byte for byte; need not be a URL
	// Audiences must hold aud, or a member of it, byte for byte; https://h and https://h/ are the same. The
	// first is the resource itself. Tokens for another one, which stands in for it, are looked at twice,
	// since ID tokens may have it too.
	Audiences  []string
	ClientIDs  []string // tokens issued to these clients only; nil accepts any client
	Algorithms []string // accepted alg values; nil accepts every one in [Algorithms]

	// Types are the accepted typ header values without the application/ prefix, in any case; ""
	// stands for an absent typ. Nil means at+jwt alone (RFC 9068, Section 4). A type that belongs to
	// another kind of JWT is refused by [New]. Accepting another type than at+jwt turns on the checks
	// that tell ID tokens apart.
	Types []string

	// Leeway is how far the clocks may differ. Zero means 30 s, a negative value none; more than
	// 5 min is refused by [New].
	Leeway time.Duration

	Keys KeySource

	// Introspected lets [Verifier.Accept] take what the issuer's introspection endpoint says of a token
	// (RFC 7662). Keys may then be nil, and a JWT that names the issuer is refused.
	Introspected bool

	// SoleAudience refuses a token that names any audience besides those listed (and so refuses
	// Auth0's second audience, /userinfo).
	SoleAudience bool

	// Strict requires sub, client_id (by that name), iat and jti (RFC 9068, Section 2.2).
	Strict bool

	// AnyAudience is dangerous: aud may be absent, empty or foreign, so a token issued for any other
	// service of this issuer works here. ClientIDs should then say whose tokens are meant.
	AnyAudience bool

	// NoAudience is dangerous: a token whose aud is absent or empty is accepted, if it was issued to one of
	// ClientIDs, which must then be listed. An audience that is there must still be ours.
	NoAudience bool

	// ClientAudience is dangerous: the client's own id counts as an audience, if the client is one of
	// ClientIDs, which must then be listed. Since ID tokens have that audience, the token must show in
	// another way that it is none: by typ at+jwt, a scope claim, or a claim that names its kind.
	ClientAudience bool
}

// foreignTypes are typ values of other kinds of JWT. None may ever be taken for an access token
// (RFC 8725, Sections 3.11 and 3.12), so they cannot be configured either.
var foreignTypes = []string{
	"dpop+jwt",                  // RFC 9449, Section 4.2
	"oauth-id-jag+jwt",          // identity assertion authorization grant
	"logout+jwt",                // OpenID Connect Back-Channel Logout 1.0, Section 2.4
	"token-introspection+jwt",   // RFC 9701, Section 5
	"secevent+jwt",              // RFC 8417, Section 2.3
	"oauth-authz-req+jwt",       // RFC 9101, Section 10.8
	"client-authentication+jwt", // private_key_jwt assertions
	"authorization-grant+jwt",   // RFC 7523 assertions
	"oauth-client-attestation+jwt",
	"oauth-client-attestation-pop+jwt",
	"entity-statement+jwt", // OpenID Federation 1.0
	"jwk-set+jwt",
	"kb+jwt", // RFC 9901, Section 4.3
	"sd+jwt",
	"dc+sd-jwt",
	"vc+sd-jwt",
	"vc+jwt",
	"vp+jwt",
	"openid4vci-proof+jwt",
	"statuslist+jwt",
	"id+jwt", // spellings that providers use for ID and refresh tokens
	"id_token",
	"id_token+jwt",
	"idtoken+jwt",
	"oidc-id-token+jwt",
	"rt+jwt",
	"refresh+jwt",
}

// issuer is an Issuer made ready for the hot path. It is never changed.
type issuer struct {
	Issuer
	leeway     time.Duration
	audiences  map[string]struct{} // with the twins of bare origins
	clients    map[string]struct{}
	algorithms map[string]bool
	types      []string
}

// compileIssuer checks an Issuer and makes it ready. The errors name its members under field.
func compileIssuer(in Issuer, field string) (*issuer, error) {
	c := compiler{field: field, out: &issuer{Issuer: in}}
	if in.URL == "" {
		c.refuse("URL", "is empty; write the issuer exactly as it stands in the iss claim")
	}
	if in.Keys == nil && !in.Introspected {
		c.refuse("Keys", "no source of keys; tokens of this issuer could never be verified")
	}
	c.audiences(in)
	c.clients(in)
	c.algorithms(in.Algorithms)
	c.types(in.Types)
	switch {
	case in.Leeway == 0:
		c.out.leeway = defaultLeeway
	case in.Leeway > maxLeeway:
		c.refuse("Leeway", "%v is more than %v; synchronize the clocks instead", in.Leeway, maxLeeway)
	case in.Leeway > 0:
		c.out.leeway = in.Leeway
	}
	return c.out, errors.Join(c.errs...)
}

// A compiler collects what is wrong with an Issuer.
type compiler struct {
	field string
	out   *issuer
	errs  []error
}

func (c *compiler) refuse(name, format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf(c.field+"."+name+": "+format, args...))
}

func (c *compiler) audiences(in Issuer) {
	c.out.audiences = make(map[string]struct{}, 2*len(in.Audiences))
	for _, aud := range in.Audiences {
		if aud == "" {
			c.refuse("Audiences", "holds an empty string; remove it")
			continue
		}
		c.out.audiences[aud] = struct{}{}
		if twin, ok := originTwin(aud); ok {
			c.out.audiences[twin] = struct{}{}
		}
	}
	if len(in.Audiences) == 0 && !in.AnyAudience {
		c.refuse("Audiences", "is empty; list the resource identifier that tokens must be issued for")
	}
	if in.AnyAudience && in.SoleAudience {
		c.refuse("SoleAudience", "contradicts accepting any audience; choose one")
	}
}

func (c *compiler) clients(in Issuer) {
	if in.ClientIDs == nil {
		for _, weak := range []struct {
			name string
			set  bool
		}{{"DangerouslyAcceptNoAudience", in.NoAudience}, {"DangerouslyAcceptClientAudience", in.ClientAudience}} {
			if weak.set {
				c.refuse("ClientIDs", "is empty, though %s is set; list the clients that exist for this resource", weak.name)
			}
		}
		return
	}
	if len(in.ClientIDs) == 0 {
		c.refuse("ClientIDs", "is an empty list, which accepts no client; leave it nil to accept any")
	}
	c.out.clients = make(map[string]struct{}, len(in.ClientIDs))
	for _, id := range in.ClientIDs {
		if id == "" {
			c.refuse("ClientIDs", "holds an empty string; remove it")
		}
		c.out.clients[id] = struct{}{}
	}
}

func (c *compiler) algorithms(list []string) {
	if list == nil {
		list = Algorithms()
	}
	if len(list) == 0 {
		c.refuse("Algorithms", "is an empty list; leave it nil for the default")
	}
	c.out.algorithms = make(map[string]bool, len(list))
	for _, alg := range list {
		if jws.MethodOf(alg) == nil {
			c.refuse("Algorithms", "%q cannot be accepted; choose from %s (names are case-sensitive, none and HMAC cannot be enabled)",
				alg, strings.Join(Algorithms(), ", "))
			continue
		}
		c.out.algorithms[alg] = true
	}
}

func (c *compiler) types(list []string) {
	if list == nil {
		list = []string{accessTokenType}
	}
	if len(list) == 0 {
		c.refuse("TokenTypes", "is an empty list; leave it nil for %s", accessTokenType)
	}
	for _, typ := range list {
		name := normalizeType(typ)
		if slices.Contains(foreignTypes, name) {
			c.refuse("TokenTypes", "%q is the type of another kind of token and cannot be accepted; remove it", typ)
			continue
		}
		c.out.types = append(c.out.types, name)
	}
}

// originTwin returns the other spelling of a bare origin: https://h for https://h/ and the reverse.
// JavaScript clients serialize a bare origin with a slash; nothing else about an audience is
// tolerated (RFC 9728, Section 6 asks for identical strings). http is for loopback resources.
func originTwin(s string) (string, bool) {
	host, ok := strings.CutPrefix(s, "https://")
	if !ok {
		host, ok = strings.CutPrefix(s, "http://")
	}
	if !ok {
		return "", false
	}
	bare := strings.TrimSuffix(host, "/")
	if bare == "" || strings.ContainsAny(bare, "/?#@") {
		return "", false
	}
	if bare == host {
		return s + "/", true
	}
	return s[:len(s)-1], true
}

// normalizeType lowers ASCII letters, since media types have no case, and removes the application/
// prefix that RFC 7515, Section 4.1.9 lets a producer leave out.
func normalizeType(typ string) string {
	name := lowerASCII(typ)
	if rest, ok := strings.CutPrefix(name, "application/"); ok && !strings.Contains(rest, "/") {
		return rest
	}
	return name
}

// lowerASCII leaves all other letters alone: U+212A is no k in a media type.
func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				if 'A' <= b[j] && b[j] <= 'Z' {
					b[j] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
