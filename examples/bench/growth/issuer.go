package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/go-mcpauth/sdk/examples/bench/internal/peers"
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

// token is the value of Authorization with the nth token.
func (in *issuer) token(key, n int, subject string) string {
	return "Bearer " + in.sign(key, n, subject, "")
}

// sign makes a token, which is bound to a client's key if there is a thumbprint.
func (in *issuer) sign(key, n int, subject, thumbprint string) string {
	t := jwt.NewWithClaims(jwt.SigningMethodES256, peers.Claims(in.url, resource, subject, thumbprint, n, start))
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
	for _, in := range all {
		if r.URL.String() != in.url+"/jwks" {
			continue
		}
		var set []map[string]any
		for i, key := range in.keys {
			jwk, err := peers.Key{Algorithm: "ES256", Public: key.Public()}.JWK(kid(i))
			if err != nil {
				return nil, err
			}
			set = append(set, jwk)
		}
		return peers.KeySet(r, set...)
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
