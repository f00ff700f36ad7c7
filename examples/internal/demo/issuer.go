package demo

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"time"
)

// An Issuer makes access tokens (RFC 9068) of whatever is to be shown, without asking anybody to sign in. It is for demonstrations
// alone. It serves its key: put it at the JWKSURI of a mcpauth.Issuer with this URL.
type Issuer struct {
	url string
	key *ecdsa.PrivateKey
}

// NewIssuer makes an issuer with a fresh key.
func NewIssuer(url string) (*Issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Issuer{url: url, key: key}, nil
}

var encode = base64.RawURLEncoding.EncodeToString

// ServeHTTP serves the JSON Web Key Set.
func (is *Issuer) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	point, err := is.key.PublicKey.Bytes()
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": encode(point[1:33]), "y": encode(point[33:]),
	}}})
}

// Token returns a token for a resource that is good for a while. Claims are added, take the place of the usual ones, or, where
// they are nil, leave them out.
func (is *Issuer) Token(resource, subject string, life time.Duration, claims map[string]any) (string, error) {
	return is.TokenWithHeader(nil, resource, subject, life, claims)
}

// TokenWithHeader is Token with a header that is changed in the same way. The signature is ES256, whatever the header says.
func (is *Issuer) TokenWithHeader(header map[string]any, resource, subject string, life time.Duration, claims map[string]any) (string, error) {
	now := time.Now()
	head, err := changed(header, map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": "1"})
	if err != nil {
		return "", err
	}
	payload, err := changed(claims, map[string]any{
		"iss": is.url, "aud": resource, "sub": subject, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(life).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed := encode(head) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, is.key, digest[:])
	if err != nil {
		return "", err
	}
	signature := make([]byte, 64) // RFC 7518, Section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature), nil
}

// changed is a part of a token.
func changed(change, usual map[string]any) ([]byte, error) {
	maps.Copy(usual, change)
	maps.DeleteFunc(usual, func(_ string, v any) bool { return v == nil })
	return json.Marshal(usual)
}
