package main

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

// An issuer makes access tokens (RFC 9068) without asking anybody to sign in, good ones and bad ones. It is for
// this demonstration alone.
type issuer struct {
	url string // of iss; its key is at /jwks
	key *ecdsa.PrivateKey
}

func newIssuer(url string) (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &issuer{url: url, key: key}, nil
}

var encode = base64.RawURLEncoding.EncodeToString

func (is *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
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

type claims map[string]any

// token is good for a minute. Claims are added or, where they are nil, left out.
func (is *issuer) token(audience, subject, scope string, more claims) string {
	now := time.Now()
	all := claims{
		"iss": is.url, "aud": audience, "sub": subject, "client_id": "desk", "scope": scope, "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
	}
	maps.Copy(all, more)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return is.sign(claims{"alg": "ES256", "typ": "at+jwt", "kid": "1"}, all)
}

func (is *issuer) sign(header, payload claims) string {
	// Neither holds anything that cannot be JSON, and signing with a key of our own does not fail.
	h, _ := json.Marshal(header)
	p, _ := json.Marshal(payload)
	signed := encode(h) + "." + encode(p)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, is.key, digest[:])
	if err != nil {
		panic(err)
	}
	signature := make([]byte, 64) // RFC 7518, Section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature)
}
