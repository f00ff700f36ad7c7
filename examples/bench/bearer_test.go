// Package bench compares the bearer check with that of other libraries. It is a module of its own, so
// that they are no dependencies of the library.
package bench

import (
	"context"
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
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	auth0 "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/golang-jwt/jwt/v5"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const (
	resource = "https://mcp.example.com/mcp"
	issuer   = "https://as.example.com/"
)

// BenchmarkBearer sends tokens of 17 claims, each of them new, through ServeHTTP. The metrics whose names
// begin with x- are ratios of mcpauth to the named library, run in turn; the target for auth0 is 0.7.
func BenchmarkBearer(b *testing.B) {
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			key := newKey(b, alg)
			tokens := newTokens(b, alg, key, 512)
			ours := sender(protect(b, alg, key), tokens)
			peers := []struct {
				name string
				send func()
			}{
				{"auth0", sender(withAuth0(b, alg, key), tokens)},
				{"golang-jwt", sender(withGolangJWT(alg, key), tokens)},
			}
			b.ReportAllocs()
			for b.Loop() {
				ours()
			}
			t := interleave(ours, peers[0].send, peers[1].send)
			for i, peer := range peers {
				ratios := make([]float64, len(t[0]))
				for round := range ratios {
					ratios[round] = t[0][round] / t[i+1][round]
				}
				b.ReportMetric(median(ratios), "x-"+peer.name)
				b.ReportMetric(testing.AllocsPerRun(50, peer.send), peer.name+"-allocs")
			}
		})
	}
}

// What does not verify is not worth comparing.
func TestEveryHandlerVerifies(t *testing.T) {
	key, foreign := newKey(t, "ES256"), newKey(t, "ES256")
	good, bad := newTokens(t, "ES256", key, 1), newTokens(t, "ES256", foreign, 1)
	for name, h := range map[string]http.Handler{
		"mcpauth": protect(t, "ES256", key), "auth0": withAuth0(t, "ES256", key), "golang-jwt": withGolangJWT("ES256", key),
	} {
		t.Run(name, func(t *testing.T) {
			sender(h, good)()
			defer func() {
				if recover() != http.StatusUnauthorized {
					t.Error("a token signed with a foreign key was accepted")
				}
			}()
			sender(h, bad)()
		})
	}
}

var inner = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func protect(tb testing.TB, alg string, key crypto.Signer) http.Handler {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, HTTPClient: &http.Client{Transport: keySet(jwks(alg, key))},
		Issuers: []mcpauth.Issuer{{URL: issuer, JWKSURI: issuer + "jwks"}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return auth.Wrap(inner)
}

// custom are the claims that neither library knows by itself.
type custom struct {
	ClientID    string   `json:"client_id"`
	Scope       string   `json:"scope"`
	AuthTime    int64    `json:"auth_time"`
	ACR         string   `json:"acr"`
	SessionID   string   `json:"sid"`
	Email       string   `json:"email"`
	Verified    bool     `json:"email_verified"`
	Name        string   `json:"name"`
	Roles       []string `json:"roles"`
	RealmAccess struct {
		Roles []string `json:"roles"`
	} `json:"realm_access"`
}

type auth0Claims struct{ custom }

func (*auth0Claims) Validate(context.Context) error { return nil }

func withAuth0(tb testing.TB, alg string, key crypto.Signer) http.Handler {
	v, err := validator.New(
		validator.WithKeyFunc(func(context.Context) (any, error) { return key.Public(), nil }),
		validator.WithAlgorithm(validator.SignatureAlgorithm(alg)), validator.WithIssuer(issuer), validator.WithAudience(resource),
		validator.WithAllowedClockSkew(30*time.Second), validator.WithCustomClaims(func() *auth0Claims { return new(auth0Claims) }),
	)
	if err != nil {
		tb.Fatal(err)
	}
	m, err := auth0.New(auth0.WithValidator(v), auth0.WithDPoPMode(auth0.DPoPDisabled))
	if err != nil {
		tb.Fatal(err)
	}
	return m.CheckJWT(inner)
}

type typedClaims struct {
	jwt.RegisteredClaims
	custom
}

type claimsKey struct{}

func withGolangJWT(alg string, key crypto.Signer) http.Handler {
	public := key.Public()
	parser := jwt.NewParser(jwt.WithValidMethods([]string{alg}), jwt.WithIssuer(issuer), jwt.WithAudience(resource),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithLeeway(30*time.Second))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		claims := new(typedClaims)
		if _, err := parser.ParseWithClaims(token, claims, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		inner.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, claims)))
	})
}

func newKey(tb testing.TB, alg string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch alg {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "RS256":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	default:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func newTokens(tb testing.TB, alg string, key crypto.Signer, n int) []string {
	now := time.Now()
	out := make([]string, n)
	for i := range out {
		t := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims{
			"iss": issuer, "aud": []string{resource}, "sub": "36fa0f91-0000-4000-8000-000000000001",
			"client_id": "bbbbbbbb-0000-4000-8000-000000000001", "jti": fmt.Sprintf("cccccccc-0000-4000-8000-%012d", i),
			"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(),
			"scope": "openid profile email notes:read notes:write notes:share files:read files:write calendar:read",
			"acr":   "urn:example:mfa", "sid": "2a88c258-0000-4000-8000-000000000001",
			"email": "ada@example.com", "email_verified": true, "name": "Ada Example",
			"roles":        []string{"notes-editor", "tool-admin", "files-editor", "calendar-reader"},
			"realm_access": map[string]any{"roles": []string{"default-roles-acme", "uma_authorization"}},
		})
		t.Header["typ"], t.Header["kid"] = "at+jwt", "k1"
		signed, err := t.SignedString(key)
		if err != nil {
			tb.Fatal(err)
		}
		out[i] = "Bearer " + signed
	}
	return out
}

// A keySet answers every fetch.
type keySet string

func (s keySet) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(s))), Request: r}, nil
}

func jwks(alg string, key crypto.Signer) string {
	enc := base64.RawURLEncoding.EncodeToString
	jwk := map[string]any{"use": "sig", "alg": alg, "kid": "k1"}
	switch public := key.Public().(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic(err)
		}
		maps.Copy(jwk, map[string]any{"kty": "EC", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])})
	case *rsa.PublicKey:
		maps.Copy(jwk, map[string]any{"kty": "RSA", "n": enc(public.N.Bytes()), "e": enc(big.NewInt(int64(public.E)).Bytes())})
	case ed25519.PublicKey:
		maps.Copy(jwk, map[string]any{"kty": "OKP", "crv": "Ed25519", "x": enc(public)})
	}
	text, err := json.Marshal(map[string]any{"keys": []any{jwk}})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// sender returns a function that sends one request without a body, with the next token.
func sender(h http.Handler, tokens []string) func() {
	r := httptest.NewRequest(http.MethodDelete, resource, nil)
	w := &writer{header: make(http.Header)}
	next := 0
	return func() {
		r.Header["Authorization"] = tokens[next%len(tokens) : next%len(tokens)+1 : next%len(tokens)+1]
		next++
		clear(w.header)
		w.status = http.StatusOK
		if h.ServeHTTP(w, r); w.status != http.StatusOK {
			panic(w.status)
		}
	}
}

type writer struct {
	header http.Header
	status int
}

func (w *writer) Header() http.Header         { return w.header }
func (w *writer) WriteHeader(status int)      { w.status = status }
func (w *writer) Write(p []byte) (int, error) { return len(p), nil }

// interleave runs the functions in turn and returns the nanoseconds per call, round by round.
func interleave(functions ...func()) [][]float64 {
	const rounds, length = 25, 12 * time.Millisecond
	calls, times := make([]int, len(functions)), make([][]float64, len(functions))
	for i, f := range functions {
		for began := time.Now(); calls[i] == 0 || time.Since(began) < length; calls[i]++ {
			f()
		}
	}
	for range rounds {
		for i, f := range functions {
			start := time.Now()
			for range calls[i] {
				f()
			}
			times[i] = append(times[i], float64(time.Since(start).Nanoseconds())/float64(calls[i]))
		}
	}
	return times
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}
