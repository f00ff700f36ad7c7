package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// An issuer makes access tokens with one of its keys.
type issuer struct {
	url  string
	keys []*ecdsa.PrivateKey
}

func newIssuer(number, keys int) (*issuer, error) {
	in := &issuer{url: fmt.Sprintf("https://as%03d.example.com", number)}
	for range keys {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		in.keys = append(in.keys, key)
	}
	return in, nil
}

func kid(key int) string { return fmt.Sprintf("key-%05d-of-a-usual-length", key) }

// token is the value of Authorization with the nth token: 17 claims in 1.0 to 1.2 KB.
func (in *issuer) token(key, n int, subject string) string {
	return "Bearer " + in.sign(key, n, subject, "")
}

// sign makes a token, which is bound to a client's key if there is a thumbprint.
func (in *issuer) sign(key, n int, subject, thumbprint string) string {
	claims := jwt.MapClaims{
		"iss": in.url, "aud": []string{resource}, "sub": subject,
		"client_id": "bbbbbbbb-0000-4000-8000-000000000001", "jti": fmt.Sprintf("cccccccc-0000-4000-8000-%012d", n),
		"iat": start.Unix(), "nbf": start.Unix(), "exp": start.Add(2 * time.Hour).Unix(), "auth_time": start.Unix(),
		"scope": "openid profile email notes:read notes:write notes:share files:read files:write calendar:read",
		"acr":   "urn:example:mfa", "sid": "2a88c258-0000-4000-8000-000000000001",
		"email": "ada@example.com", "email_verified": true, "name": "Ada Example",
		"roles":        []string{"notes-editor", "tool-admin", "files-editor", "calendar-reader"},
		"realm_access": map[string]any{"roles": []string{"default-roles-acme", "uma_authorization"}},
	}
	if thumbprint != "" {
		claims["cnf"] = map[string]string{"jkt": thumbprint}
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["typ"], t.Header["kid"] = "at+jwt", kid(key)
	text, err := t.SignedString(in.keys[key])
	if err != nil {
		panic(err) // the key and the claims are ours
	}
	return text
}

var start = time.Now()

// now is the clock where nothing may end, or fill up again, while it is measured.
func now() time.Time { return start }

// issuers answer every fetch with the key set of one of them.
type issuers []*issuer

func newIssuers(count, keys int) (issuers, error) {
	var all issuers
	for i := range count {
		in, err := newIssuer(i, keys)
		if err != nil {
			return nil, err
		}
		all = append(all, in)
	}
	return all, nil
}

// RoundTrip implements [http.RoundTripper].
func (all issuers) RoundTrip(r *http.Request) (*http.Response, error) {
	enc := base64.RawURLEncoding.EncodeToString
	for _, in := range all {
		if r.URL.String() != in.url+"/jwks" {
			continue
		}
		var set []any
		for i, key := range in.keys {
			point, err := key.PublicKey.Bytes()
			if err != nil {
				return nil, err
			}
			set = append(set, map[string]any{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid(i), "x": enc(point[1:33]), "y": enc(point[33:])})
		}
		text, err := json.Marshal(map[string]any{"keys": set})
		return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(text))), Request: r}, err
	}
	return nil, fmt.Errorf("nobody has keys at %s", r.URL)
}

// protect makes a middleware that accepts the tokens of all of them, and has their keys.
func (all issuers) protect(change func(*mcpauth.Config)) (*mcpauth.Middleware, error) {
	cfg := mcpauth.Config{Resource: resource, HTTPClient: &http.Client{Transport: all}, Now: now}
	for _, in := range all {
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: in.url, JWKSURI: in.url + "/jwks"})
	}
	if change != nil {
		change(&cfg)
	}
	m, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	return m, m.Ready(context.Background())
}
