// Package peers is what this library is compared with, and the tokens that all of them are sent: handlers
// that do the same work, each as its library's own documentation has it.
package peers

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer = "https://as.example.com/"
	keyID  = "k1"

	// Scope is one of those in every token.
	Scope = "notes:write"
)

// An Issuer makes access tokens.
type Issuer struct {
	algorithm string
	private   crypto.Signer
}

// NewIssuer makes one with a new key.
func NewIssuer(algorithm string) (Issuer, error) {
	private, err := NewKey(algorithm)
	return Issuer{algorithm, private}, err
}

// NewKey makes a key for ES256, RS256 or EdDSA.
func NewKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case "ES256":
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "EdDSA":
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fmt.Errorf("no algorithm %q", algorithm)
}

// Key is what servers know of the issuer.
func (in Issuer) Key() Key { return Key{in.algorithm, in.private.Public()} }

// Token returns the nth access token for a resource, which is bound to a client's key if there is a thumbprint.
func (in Issuer) Token(resource, thumbprint string, n int) (string, error) {
	t := jwt.NewWithClaims(jwt.GetSigningMethod(in.algorithm), Claims(issuer, resource, "36fa0f91-0000-4000-8000-000000000001", thumbprint, n, time.Now()))
	t.Header["typ"], t.Header["kid"] = "at+jwt", keyID
	return t.SignedString(in.private)
}

// Claims are those of the nth access token of an issuer for a resource and a subject: 17 in 1.0 to 1.2 KB, good for two hours
// from issued, and cnf besides if there is the thumbprint of a client's key.
func Claims(issuer, resource, subject, thumbprint string, n int, issued time.Time) jwt.MapClaims {
	claims := jwt.MapClaims{
		"iss": issuer, "aud": []string{resource}, "sub": subject,
		"client_id": "bbbbbbbb-0000-4000-8000-000000000001", "jti": fmt.Sprintf("cccccccc-0000-4000-8000-%012d", n),
		"iat": issued.Unix(), "nbf": issued.Unix(), "exp": issued.Add(2 * time.Hour).Unix(), "auth_time": issued.Unix(),
		"scope": "openid profile email notes:read " + Scope + " notes:share files:read files:write calendar:read",
		"acr":   "urn:example:mfa", "sid": "2a88c258-0000-4000-8000-000000000001",
		"email": "ada@example.com", "email_verified": true, "name": "Ada Example",
		"roles":        []string{"notes-editor", "tool-admin", "files-editor", "calendar-reader"},
		"realm_access": map[string]any{"roles": []string{"default-roles-acme", "uma_authorization"}},
	}
	if thumbprint != "" {
		claims["cnf"] = map[string]string{"jkt": thumbprint}
	}
	return claims
}

// A Key is the public key of an issuer.
type Key struct {
	Algorithm string
	Public    crypto.PublicKey
}

// RoundTrip answers every fetch with the key set.
func (k Key) RoundTrip(r *http.Request) (*http.Response, error) {
	jwk, err := k.JWK(keyID)
	if err != nil {
		return nil, err
	}
	return KeySet(r, jwk)
}

// JWK is the key as a JSON Web Key (RFC 7517).
func (k Key) JWK(kid string) (map[string]any, error) {
	enc := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"use": "sig", "alg": k.Algorithm, "kid": kid}
	switch public := k.Public.(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return nil, err
		}
		maps.Copy(jwk, map[string]any{"kty": "EC", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])})
	case *rsa.PublicKey:
		maps.Copy(jwk, map[string]any{"kty": "RSA", "n": enc(public.N.Bytes()), "e": enc(big.NewInt(int64(public.E)).Bytes())})
	case ed25519.PublicKey:
		maps.Copy(jwk, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": enc(public)})
	}
	return jwk, nil
}

// KeySet is the answer with a key set to a request for it.
func KeySet(r *http.Request, keys ...map[string]any) (*http.Response, error) {
	text, err := json.Marshal(map[string]any{"keys": keys})
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(text))), Request: r}, err
}
