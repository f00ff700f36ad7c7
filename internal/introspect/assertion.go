package introspect

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"time"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523, Section 2.2
	assertionLife = time.Minute
)

// PrivateKeyJWT signs an assertion for each request (RFC 7523, Section 2.2). All but KeyID and Algorithm are
// required.
type PrivateKeyJWT struct {
	ClientID string
	// Audience is how the authorization server names itself: its issuer identifier, unless it asks for
	// the URL of an endpoint.
	Audience string
	// Signer holds an RSA key from 2048 bits on, an ECDSA key on P-256, P-384 or P-521, or an Ed25519 key. Its
	// errors are logged by their type only.
	Signer crypto.Signer
	KeyID  string // kid header; empty: none
	// Algorithm must fit the key. Empty: RS256, ES256, ES384, ES512 or EdDSA, by the key.
	Algorithm string
}

// algorithmsOf returns what a key can sign, the default first.
func algorithmsOf(public crypto.PublicKey) []string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		if key == nil || key.N == nil || key.N.BitLen() < 2048 { // RFC 7518, Section 3.3
			return nil
		}
		return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	case *ecdsa.PublicKey:
		if key == nil || key.Curve == nil {
			return nil
		}
		switch key.Params().Name {
		case "P-256":
			return []string{"ES256"}
		case "P-384":
			return []string{"ES384"}
		case "P-521":
			return []string{"ES512"}
		}
	case ed25519.PublicKey:
		return []string{"EdDSA", "Ed25519"}
	}
	return nil
}

// An assertion is a PrivateKeyJWT made ready.
type assertion struct {
	PrivateKeyJWT
	now    func() time.Time
	header string // encoded
	size   int    // of R and S, for ECDSA
}

func (p *PrivateKeyJWT) compile(now func() time.Time) (*assertion, error) {
	a := &assertion{PrivateKeyJWT: *p, now: now}
	if p.Signer == nil {
		return nil, mistake("Auth.PrivateKey.Signer", "is nil; set the private key of this resource server")
	}
	public := p.Signer.Public()
	fit := algorithmsOf(public)
	if len(fit) == 0 {
		return nil, mistake("Auth.PrivateKey.Signer", "cannot be used; take RSA from 2048 bits on, P-256, P-384, P-521 or Ed25519")
	}
	if a.Algorithm == "" {
		a.Algorithm = fit[0]
	}
	if !slices.Contains(fit, a.Algorithm) {
		return nil, mistake("Auth.PrivateKey.Algorithm", "%q does not fit the key; choose from %q", a.Algorithm, fit)
	}
	if key, ok := public.(*ecdsa.PublicKey); ok {
		a.size = (key.Params().BitSize + 7) / 8
	}
	header, err := json.Marshal(struct {
		Alg string `json:"alg"`
		Typ string `json:"typ"`
		Kid string `json:"kid,omitempty"`
	}{a.Algorithm, "JWT", a.KeyID})
	if err != nil {
		return nil, mistake("Auth.PrivateKey.KeyID", "cannot be written as JSON")
	}
	a.header = base64.RawURLEncoding.EncodeToString(header)
	return a, nil
}

func (a *assertion) authenticate(_ context.Context, form url.Values, _ http.Header) error {
	now := a.now()
	claims, err := json.Marshal(struct {
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Aud string `json:"aud"`
		Jti string `json:"jti"`
		Iat int64  `json:"iat"`
		Exp int64  `json:"exp"`
	}{a.ClientID, a.ClientID, a.Audience, rand.Text(), now.Unix(), now.Add(assertionLife).Unix()})
	if err != nil {
		return errors.New("the client assertion cannot be written")
	}
	input := a.header + "." + base64.RawURLEncoding.EncodeToString(claims)
	signature, err := a.sign([]byte(input))
	if err != nil {
		return &hookError{"Auth.PrivateKey.Signer", err}
	}
	form.Set("client_id", a.ClientID)
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", input+"."+base64.RawURLEncoding.EncodeToString(signature))
	return nil
}

func (a *assertion) sign(input []byte) ([]byte, error) {
	var digest []byte
	var hash crypto.Hash
	switch a.Algorithm[2:] {
	case "256":
		sum := sha256.Sum256(input)
		digest, hash = sum[:], crypto.SHA256
	case "384":
		sum := sha512.Sum384(input)
		digest, hash = sum[:], crypto.SHA384
	case "512":
		sum := sha512.Sum512(input)
		digest, hash = sum[:], crypto.SHA512
	default: // EdDSA and Ed25519 sign the message itself
		return a.Signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
	if a.Algorithm[0] == 'P' { // RFC 7518, Section 3.5
		return a.Signer.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash})
	}
	signature, err := a.Signer.Sign(rand.Reader, digest, hash)
	if err != nil || a.size == 0 {
		return signature, err
	}
	// RFC 7518, Section 3.4: R and S at full length, not the sequence that crypto.Signer gives.
	var pair struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(signature, &pair); err != nil || len(rest) > 0 {
		return nil, errors.New("not an ECDSA signature in ASN.1")
	}
	if pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || pair.R.BitLen() > 8*a.size || pair.S.BitLen() > 8*a.size {
		return nil, errors.New("an ECDSA signature out of range")
	}
	out := make([]byte, 2*a.size)
	pair.R.FillBytes(out[:a.size])
	pair.S.FillBytes(out[a.size:])
	return out, nil
}
