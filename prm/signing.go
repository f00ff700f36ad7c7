package prm

import (
	"crypto"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits on Signing.
const (
	defaultLifetime = 24 * time.Hour
	leastLifetime   = 10 * time.Minute
	mostLifetime    = 30 * 24 * time.Hour
	maxKeyID        = 256
)

// signedType is the typ of the JWT. RFC 9728 names none, and registers none; RFC 8725, Section 3.11 recommends that each kind of JWT has one,
// so that none is taken for another kind. Readers that do not look for a typ pass over it.
const signedType = "oauth-protected-resource+jwt"

// Signing says how a document is signed: its member signed_metadata is then a JWT with all other members as claims (RFC 9728, Section 2.2).
// The zero value is refused: Key is required.
//
// A reader that knows the JWT gives it precedence over the plain members. That protects the document where TLS ends before the server that
// wrote it, in a proxy or a content network, and lets somebody else than the resource vouch for it. The reader must know the issuer and its
// keys beforehand: an attacker who can change the document can take the signature away, or write one of his own with a jwks_uri of his own.
// MCP clients of today look at the plain members only.
type Signing struct {
	// Key signs. Its public half is an elliptic (P-256, P-384, P-521), Ed25519 or RSA key of 2048 bits or more. It may be in a key service,
	// which must limit the time that it takes: requests that find no good signature wait for it. It must be safe for concurrent use if the
	// Signing is used for several handlers. Required.
	Key crypto.Signer

	// KeyID (kid) is how readers find the public key. Empty: the thumbprint of the key (RFC 7638).
	KeyID string

	// Algorithm (alg) is one of ES256, ES384, ES512, EdDSA, Ed25519, RS256, RS384, RS512, PS256, PS384 and PS512, and fits the key. Empty: the
	// ES algorithm of an elliptic key's curve, EdDSA, or RS256. There is no none and no HS256.
	Algorithm string

	// Issuer (iss) is the party that vouches for the document, and whose key signs: a URL that its readers know. Empty: the resource itself,
	// by its identifier.
	Issuer string

	// Lifetime is how long a signature is good, in whole seconds: the time from iat to exp. A handler signs anew in the middle of it. Whoever
	// has an old document can show it until then. Zero: 24 h; 10 min to 30 days.
	Lifetime time.Duration
}

// Validate reports every mistake, joined; each names the field and what to write instead. It asks the key for its public half only.
func (s *Signing) Validate() error {
	_, err := s.check()
	return named("prm:", err)
}

// check reports every mistake, and completes what is zero.
func (s *Signing) check() (*signer, error) {
	if s == nil {
		return nil, errors.New("Signing is nil; write at least its Key")
	}
	out := &signer{Signing: *s}
	var errs []error
	add := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if s.Algorithm != "" {
		if out.alg = algorithmOf(s.Algorithm); out.alg == nil {
			add("Signing.Algorithm is %s; write one of %s", quote(s.Algorithm), strings.Join(algorithmNames(), ", "))
		}
	}
	switch {
	case s.Key == nil:
		add("Signing.Key is nil; write the private key, or the crypto.Signer of a key service")
	default:
		out.public = publicOf(s.Key)
		if out.alg != nil {
			if err := out.alg.fits(out.public); err != nil {
				add("Signing.Key: %w", err)
			}
		} else if out.alg = defaultAlgorithm(out.public); out.alg == nil {
			add("Signing.Key: %w", errKey)
		}
	}
	switch {
	case len(s.KeyID) > maxKeyID || !all(s.KeyID, printable):
		add("Signing.KeyID has more than %d bytes, or other characters than those of printable ASCII; write a short name", maxKeyID)
	case s.KeyID == "" && out.alg != nil && out.public != nil && out.alg.fits(out.public) == nil:
		out.KeyID = thumbprint(out.public)
	}
	if s.Issuer != "" {
		if l, err := parseLocation(s.Issuer); err != nil {
			errs = append(errs, named("Signing.Issuer", err))
		} else if l.hasHash {
			add("Signing.Issuer has a fragment; write the URL without # and what follows")
		}
	}
	switch {
	case s.Lifetime == 0:
		out.Lifetime = defaultLifetime
	case s.Lifetime < leastLifetime || s.Lifetime > mostLifetime || s.Lifetime%time.Second != 0:
		add("Signing.Lifetime is %v; write whole seconds from %v to %v, or leave it 0 for %v", s.Lifetime, leastLifetime, mostLifetime, defaultLifetime)
	}
	return out, errors.Join(errs...)
}

// publicOf asks a key for its public half. A nil pointer in the interface has none.
func publicOf(key crypto.Signer) (public crypto.PublicKey) {
	defer func() { _ = recover() }()
	return key.Public()
}

func algorithmNames() (names []string) {
	for _, a := range algorithms {
		names = append(names, a.name)
	}
	return names
}

// printable is a character of ASCII that can stand in a JSON string as it is.
func printable(c byte) bool { return ' ' <= c && c <= '~' && c != '"' && c != '\\' }

// A signer is a Signing made ready.
type signer struct {
	Signing
	alg    *algorithm
	public crypto.PublicKey
}

// registered are the claims of RFC 7519, Section 4.1. A member of such a name would say something about the JWT.
var registered = []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}

// claimNames reports names in Extra that would be taken for claims about the signature.
func (m *Metadata) claimNames() (errs []error) {
	for name := range m.Extra {
		if i := slices.IndexFunc(registered, func(claim string) bool { return strings.EqualFold(name, claim) }); i >= 0 {
			errs = append(errs, fmt.Errorf("extra member %s would be the claim %s in signed_metadata (RFC 7519, Section 4.1); write another name", quote(name), registered[i]))
		}
	}
	return errs
}

// Sign returns the document of m with a signature that is good from now, rounded down to seconds, for Lifetime. Its claims are iss, iat, exp
// and the members of the document, byte for byte, without signed_metadata. The error joins every mistake in s and m, or is that of the key;
// a signature that the public half of the key does not verify is an error, too. Equal arguments give equal bytes, unless the key or PSS adds
// chance.
//
// Use [NewHandler] to serve signed documents: it signs anew in time.
func (s *Signing) Sign(m *Metadata, now time.Time) ([]byte, error) {
	ready, err := s.check()
	if err != nil {
		return nil, named("prm:", err)
	}
	if err := errors.Join(m.mistakes(), ready.refuses(m)); err != nil {
		return nil, named("prm:", err)
	}
	plain, err := m.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return ready.document(m.Resource, plain, now.Unix())
}

// refuses says why m cannot be signed, besides its mistakes.
func (s *signer) refuses(m *Metadata) error {
	if m == nil {
		return nil
	}
	return errors.Join(m.claimNames()...)
}

// document adds signed_metadata to the text of a document.
func (s *signer) document(resource string, plain []byte, from int64) ([]byte, error) {
	issuer := s.Issuer
	if issuer == "" {
		issuer = resource
	}
	var header, claims encoder
	header.member("alg", s.alg.name, true)
	header.member("kid", s.KeyID, true)
	header.member("typ", signedType, true)
	claims.member("iss", issuer, true)
	claims.member("iat", from, true)
	claims.member("exp", from+int64(s.Lifetime/time.Second), true)
	claims.buf.WriteByte(',')
	claims.buf.Write(plain[1 : len(plain)-1]) // a document is never empty: it has a resource
	head, err := header.object()
	if err != nil {
		return nil, err
	}
	body, err := claims.object()
	if err != nil {
		return nil, err
	}
	input := base64.RawURLEncoding.EncodeToString(head) + "." + base64.RawURLEncoding.EncodeToString(body)
	sig, err := s.alg.sign(s.Key, []byte(input))
	if err != nil {
		return nil, fmt.Errorf("prm: signing: %w", err)
	}
	if !s.alg.verify(s.public, []byte(input), sig) {
		return nil, errors.New("prm: signing: the key returned a signature that its public half does not verify")
	}
	jwt := input + "." + base64.RawURLEncoding.EncodeToString(sig)
	return slices.Concat(plain[:len(plain)-1], []byte(`,"`+signedMetadata+`":"`+jwt+`"}`)), nil
}
