package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A partner signs its requests with a secret that both sides know, and never sends it:
//
//	Authorization: Notes-HMAC name:time:mac
//
// time is in seconds since 1970, and mac is HMAC-SHA256 in base64url, by the secret, of method, host, path, time and the SHA-256 of
// the body. Who sees a signed request can repeat it for as long as it is fresh, and change nothing in it. Where that is too much,
// use DPoP, whose proofs are good once.
type partner struct {
	Secret []byte // 32 random bytes; unlike the hash of an API key, whoever reads it can sign
	Scopes []string
	Roles  []string
}

const (
	scheme    = "Notes-HMAC"
	freshness = time.Minute // on either side of the server's clock
	maxBody   = 1 << 20
)

// A signatures is the scheme on the side of the server.
type signatures struct {
	Partners map[string]partner // by name
	Now      func() time.Time
}

// Authenticator accepts the signed requests that have come through Read.
func (s *signatures) Authenticator() mcpauth.Authenticator {
	return mcpauth.NewAuthenticator(s.authenticate, scheme+` realm="notes"`, "Authorization")
}

var errSignature = errors.New("the signature is not good")

func (s *signatures) authenticate(r *http.Request) (*mcpauth.Principal, error) {
	text, ok := signed(r)
	if !ok {
		return nil, mcpauth.ErrNoCredentials // an access token, perhaps: for others to judge
	}
	name, rest, _ := strings.Cut(text, ":")
	at, sent, ok := strings.Cut(rest, ":")
	seconds, err := strconv.ParseInt(at, 10, 64)
	mac, err2 := base64.RawURLEncoding.Strict().DecodeString(sent)
	known, found := s.Partners[name]
	body, read := r.Context().Value(bodyHash{}).([sha256.Size]byte)
	switch {
	case !ok || err != nil || err2 != nil:
		return nil, fmt.Errorf("%w: write name:time:mac", errSignature)
	case !found || len(known.Secret) < 32:
		return nil, fmt.Errorf("%w: nobody of this name may sign", errSignature)
	case !read:
		return nil, fmt.Errorf("%w: the body was not read; put Read in front", errSignature)
	case !hmac.Equal(mac, sum(known.Secret, r.Method, r.Host, r.URL.RequestURI(), at, body)): // in constant time
		return nil, fmt.Errorf("%w: it is not that of this request and this secret", errSignature)
	case s.Now().Sub(time.Unix(seconds, 0)).Abs() > freshness:
		return nil, fmt.Errorf("%w: it is more than %v old, or from the future", errSignature, freshness)
	}
	return mcpauth.NewPrincipal(mcpauth.Identity{
		Issuer: "urn:partners", ClientID: name, Scheme: scheme, Grant: scopes.NewGrant(known.Scopes, known.Roles),
	}), nil
}

type bodyHash struct{}

// Read goes in front of everything: an Authenticator is given no body, so it gets its hash in the context.
func (s *signatures) Read(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, ok := signed(r); ok {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
			if err != nil {
				http.Error(w, "the body is too large, or broken", http.StatusRequestEntityTooLarge)
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), bodyHash{}, sha256.Sum256(body)))
			r.Body = io.NopCloser(bytes.NewReader(body))
		}
		next.ServeHTTP(w, r)
	})
}

// signed returns what follows the scheme. Names of schemes are compared without case (RFC 9110, Section 11.1).
func signed(r *http.Request) (string, bool) {
	name, rest, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return rest, ok && strings.EqualFold(name, scheme)
}

// Every part ends with a line break, and none of them can hold one, so no two requests give the same text.
func sum(secret []byte, method, host, path, at string, body [sha256.Size]byte) []byte {
	h := hmac.New(sha256.New, secret)
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n%x\n", method, host, path, at, body)
	return h.Sum(nil)
}

// sign is the side of the partner.
func sign(r *http.Request, body []byte, name string, secret []byte, now time.Time) {
	at := strconv.FormatInt(now.Unix(), 10)
	mac := sum(secret, r.Method, r.URL.Host, r.URL.RequestURI(), at, sha256.Sum256(body))
	r.Header.Set("Authorization", scheme+" "+name+":"+at+":"+base64.RawURLEncoding.EncodeToString(mac))
}
