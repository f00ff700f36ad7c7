package mcpauth

import (
	"context"
	"crypto"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jwt"
)

// Introspection configures the check of opaque access tokens by asking their authorization server (RFC
// 7662). What it says of an active token goes through the same checks as the claims of a JWT, audience and
// expiry included. JWTs are verified as ever, and never sent there.
//
// This server must be known at the authorization server. Exactly one of ClientSecret, Signer, MutualTLS and
// Bearer says how it proves who it is.
type Introspection struct {
	Endpoint string // zero: introspection_endpoint of the issuer's metadata

	ClientID     string // as which this server is registered; required, except with Bearer
	ClientSecret Secret // by HTTP Basic (RFC 6749, Section 2.3.1)
	SecretInBody bool   // client_secret_post instead of HTTP Basic

	// Signer makes private_key_jwt assertions (RFC 7523). KeyID may be empty; an empty Algorithm is the
	// usual one of the key.
	Signer    crypto.Signer `json:"-"`
	KeyID     string
	Algorithm string

	MutualTLS bool                                  // by the client certificate of Config.HTTPClient's Transport (RFC 8705)
	Bearer    func(context.Context) (string, error) `json:"-"` // by an access token of this server's own

	// TokenPrefix is what opaque tokens of this issuer begin with. Others are not sent there. Required where
	// several issuers have Introspection, since a token must not reach the wrong one.
	TokenPrefix string

	// Signed accepts only answers that the issuer has signed for ClientID or Resource (RFC 9701), by one of
	// Issuer.Algorithms and no older than Issuer.Leeway lets them be.
	Signed bool

	// MaxAge is how long an answer is used, and so how late a revocation may be noticed; never beyond the
	// token's expiry. Zero: 60 s; negative: the server is asked with every request.
	MaxAge time.Duration
}

// A Secret is a string that is written as "(secret)" by every verb of package fmt, by log/slog and in JSON. Write
// Secret(s) to make one; string(secret) is the secret itself. The zero Secret is none.
type Secret = introspect.Secret

// Format implements [fmt.Formatter]: as usual, but for Signer, which may be the bytes of a private key.
func (in Introspection) Format(f fmt.State, verb rune) {
	type plain Introspection
	in.Signer = nil
	fmt.Fprintf(f, fmt.FormatString(f, verb), plain(in))
}

// addIntrospection makes the client of one issuer. source is where its metadata comes from, or nil.
func (m *Middleware) addIntrospection(cfg Config, in *Introspection, out *issuer, keys *jwks.Set, source *discovery.Source, client *fetch.Client) error {
	auth := introspect.Auth{Bearer: in.Bearer}
	if in.ClientSecret != "" {
		secret := &introspect.ClientSecret{ClientID: in.ClientID, Secret: in.ClientSecret}
		if in.SecretInBody {
			auth.Post = secret
		} else {
			auth.Basic = secret
		}
	}
	if in.Signer != nil {
		auth.PrivateKey = &introspect.PrivateKeyJWT{ClientID: in.ClientID, Audience: out.url, Signer: in.Signer, KeyID: in.KeyID, Algorithm: in.Algorithm}
	}
	if in.MutualTLS {
		auth.MutualTLS = &introspect.MutualTLS{ClientID: in.ClientID}
	}
	var mistakes mistakes
	if in.SecretInBody && in.ClientSecret == "" {
		mistakes.add("SecretInBody", "goes with ClientSecret")
	}
	if !isKeyText(in.TokenPrefix) {
		mistakes.add("TokenPrefix", "write letters, digits and - . _ ~ only")
	}
	endpoint := func(context.Context) (string, error) { return in.Endpoint, nil }
	if in.Endpoint != "" {
		if err := fetch.CheckURL(in.Endpoint); err != nil {
			mistakes.add("Endpoint", "%w", err)
		}
	} else {
		endpoint = func(ctx context.Context) (string, error) {
			doc, err := source.Metadata(ctx)
			switch {
			case err != nil:
				return "", err
			case in.MutualTLS && doc.IntrospectionMTLSEndpoint != "":
				return doc.IntrospectionMTLSEndpoint, nil
			case doc.IntrospectionEndpoint == "":
				return "", errors.New("the metadata of the issuer names no introspection_endpoint; set Introspection.Endpoint")
			}
			return doc.IntrospectionEndpoint, nil
		}
	}
	var signed *introspect.Signed
	if in.Signed {
		audiences := []string{cfg.Resource}
		if in.ClientID != "" {
			audiences = append(audiences, in.ClientID)
		}
		issuer := cfg.Issuers[out.index]
		signed = &introspect.Signed{Issuer: out.url, Audiences: audiences, Algorithms: issuer.Algorithms, Keys: keys, Leeway: issuer.Leeway}
	}
	asked, err := introspect.New(introspect.Config{
		Endpoint: endpoint, Auth: auth, Fetch: client, Signed: signed, MaxAge: in.MaxAge, Now: m.now, Logger: m.log.With("issuer", out.url),
	})
	if err != nil {
		mistakes = append(mistakes, err)
	}
	out.introspection, out.endpoint, out.prefix = asked, endpoint, in.TokenPrefix
	m.introspecting = append(m.introspecting, out)
	return errors.Join(mistakes...)
}

// checkPrefixes makes sure that no opaque token could be meant for two issuers.
func (m *Middleware) checkPrefixes(errs *mistakes) {
	for i, a := range m.introspecting {
		for _, b := range m.introspecting[:i] {
			if strings.HasPrefix(a.prefix, b.prefix) || strings.HasPrefix(b.prefix, a.prefix) {
				errs.add("Issuers", "an opaque token could be meant for %q and for %q; give each Introspection a TokenPrefix of which neither begins with the other", b.url, a.url)
			}
		}
	}
}

// introspector returns the issuer to ask about a token, or nil: for a JWT, good or bad (INTRO-09), and where
// nobody issues tokens that look like this one.
func (m *Middleware) introspector(token string) *issuer {
	for _, in := range m.introspecting {
		if strings.HasPrefix(token, in.prefix) && !jwt.LooksLikeJWT(token) {
			if slices.ContainsFunc(m.apiKeys, func(a *apiKeys) bool { return a.claims(token, in.prefix) }) {
				return nil // in the wrong field, or under the wrong scheme: no business of the authorization server
			}
			return in
		}
	}
	return nil
}

// introspect asks in about an opaque token. The answer may be used until the time returned.
func (m *Middleware) introspect(ctx context.Context, in *issuer, token string, hash [sha256.Size]byte) (*jwt.Token, time.Time, error) {
	answer, err := in.introspection.Ask(ctx, token, hash)
	if err != nil {
		return nil, time.Time{}, err
	}
	t, err := m.tokens.Accept(in.index, answer.Claims)
	return t, answer.Until, err
}
