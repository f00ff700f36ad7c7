// Package bench compares this library with others. It is a module of its own, so that they are no
// dependencies of the library.
package bench

import (
	"net/http"
	"testing"

	auth0 "github.com/auth0/go-jwt-middleware/v3"

	"github.com/go-mcpauth/sdk/examples/bench/internal/peers"
	"github.com/go-mcpauth/sdk/mcpauth"
)

const resource = "https://mcp.example.com/mcp"

var algorithms = []string{"ES256", "RS256", "EdDSA"}

// fewTokens is a memory that is full long before the tokens of a benchmark come round again, so that each
// of them is new, and is remembered in the place of another.
const fewTokens, manyTokens = 64, 512

// BenchmarkBearer sends tokens of 17 claims through ServeHTTP: tokens that mcpauth has seen before, and
// new ones. The others remember none. The metrics whose names begin with x- are ratios of mcpauth to what
// is named, run in turn; the target for auth0 is 0.7, with tokens that are new.
func BenchmarkBearer(b *testing.B) {
	for _, tokens := range []struct {
		name          string
		count, cached int
	}{{"new", manyTokens, fewTokens}, {"seen", 1, 0}} {
		for _, alg := range algorithms {
			b.Run(tokens.name+"/"+alg, func(b *testing.B) {
				in := newIssuer(b, alg)
				key, texts := in.Key(), mint(b, in, "", tokens.count)
				ours := contender{"mcpauth", sender(protect(b, key, tokens.cached), texts), nil}
				others := []contender{
					{"auth0", sender(withAuth0(b, key, auth0.DPoPDisabled), texts), nil},
					{"golang-jwt", sender(key.GolangJWT(resource, inner), texts), nil},
					{"go-oidc", sender(key.OIDC(resource, inner), texts), nil},
					{"jwx", sender(withJWX(b, key), texts), nil},
				}
				b.ReportAllocs()
				for b.Loop() {
					ours.send()
				}
				compare(b, ours, others...)
				for _, other := range others {
					b.ReportMetric(testing.AllocsPerRun(50, other.send), other.name+"-allocs")
				}
			})
		}
	}
}

// What does not verify is not worth comparing.
func TestEveryHandlerVerifies(t *testing.T) {
	in := newIssuer(t, "ES256")
	key := in.Key()
	good, bad := mint(t, in, "", 1)[0], mint(t, newIssuer(t, "ES256"), "", 1)[0]
	for name, h := range map[string]http.Handler{
		"mcpauth": protect(t, key, 0), "auth0": withAuth0(t, key, auth0.DPoPDisabled), "golang-jwt": key.GolangJWT(resource, inner),
		"go-sdk": key.SDK(resource, inner), "go-oidc": key.OIDC(resource, inner), "jwx": withJWX(t, key),
	} {
		t.Run(name, func(t *testing.T) {
			if status := newDriver(h).do("Bearer "+good, ""); status != http.StatusOK {
				t.Errorf("a good token was answered %d", status)
			}
			if status := newDriver(h).do("Bearer "+bad, ""); status != http.StatusUnauthorized {
				t.Errorf("a token signed with a foreign key was answered %d", status)
			}
		})
	}
}

var inner = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})

func protect(tb testing.TB, key peers.Key, cached int) http.Handler {
	m, err := key.MCPAuth(resource, mcpauth.DPoPOptional, cached)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Wrap(inner)
}

func withAuth0(tb testing.TB, key peers.Key, mode auth0.DPoPMode) http.Handler {
	h, err := key.Auth0(resource, mode, inner)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func withJWX(tb testing.TB, key peers.Key) http.Handler {
	h, err := key.JWX(resource, inner)
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func newIssuer(tb testing.TB, alg string) peers.Issuer {
	in, err := peers.NewIssuer(alg)
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

func mint(tb testing.TB, in peers.Issuer, thumbprint string, n int) []string {
	tokens := make([]string, n)
	for i := range tokens {
		var err error
		if tokens[i], err = in.Token(resource, thumbprint, i); err != nil {
			tb.Fatal(err)
		}
	}
	return tokens
}

// sender returns a function that sends one request with the next token.
func sender(h http.Handler, tokens []string) func() {
	d, fields, next := newDriver(h), make([]string, len(tokens)), 0
	for i, token := range tokens {
		fields[i] = "Bearer " + token
	}
	return func() {
		d.must(fields[next%len(fields)], "")
		next++
	}
}
