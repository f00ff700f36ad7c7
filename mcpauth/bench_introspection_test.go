package mcpauth_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// An introspected is a bench whose issuer signs tokens and is asked about opaque ones.
type introspected struct {
	*bench
	answer string // about every opaque token
	asked  int
}

// RoundTrip answers the endpoint's questions, and every other fetch with the key set.
func (in *introspected) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodPost {
		return in.bench.RoundTrip(r)
	}
	in.asked++
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(in.answer)), Request: r,
	}, nil
}

// newIntrospected answers with the claims of bench.mint, so that both kinds of token say the same.
func newIntrospected(tb testing.TB, cachedTokens int) *introspected {
	tb.Helper()
	in := &introspected{bench: newBench(tb)}
	payload := strings.Split(in.tokens(tb, "ES256", 1)[0], ".")[1]
	all := map[string]any{}
	require.NoError(tb, json.Unmarshal(must(base64.RawURLEncoding.DecodeString(payload)), &all))
	all["active"], all["token_type"] = true, "Bearer"
	for _, date := range []string{"iat", "nbf", "exp", "auth_time"} {
		all[date] = int64(all[date].(float64))
	}
	in.answer = string(must(json.Marshal(all)))
	var err error
	in.auth, err = mcpauth.New(mcpauth.Config{
		Resource: testResource, BaseScopes: baseScopes, Now: func() time.Time { return epoch }, HTTPClient: &http.Client{Transport: in},
		CachedTokens: cachedTokens,
		Issuers: []mcpauth.Issuer{{
			URL: benchIssuer, JWKSURI: benchIssuer + "/jwks", Grants: scopes.Mapper{RoleClaims: []string{"/roles"}},
			Introspection: &mcpauth.Introspection{Endpoint: benchIssuer + "/introspect", ClientID: "notes", ClientSecret: "x"},
		}},
	})
	require.NoError(tb, err)
	require.NoError(tb, in.auth.Ready(context.Background()))
	in.auth.RequireTool("write_note", scopes.All("notes:write"))
	return in
}

// opaques are n tokens of that many characters which tell nothing.
func opaques(n, length int) []string {
	out := make([]string, n)
	for i := range out {
		head := fmt.Sprintf("op_%08d_", i)
		out[i] = head + strings.Repeat("x", length-len(head))
	}
	return out
}

// BenchmarkWrapIntrospected measures opaque tokens whose answer is remembered (RFC 7662, Section 4 allows that),
// beside JWTs that were seen before: both through the same middleware, in turn. The clock stands still, so that no
// answer grows old. Target: x-jwt <= 1.6. x-plain is the JWT's own ratio to one behind a middleware that
// introspects nothing. In answer-warm the middleware remembers no tokens at all (CachedTokens negative), and only the
// answers are remembered, which are judged with every request: no target, but what that switch costs.
func BenchmarkWrapIntrospected(b *testing.B) {
	in, forgetful := newIntrospected(b, 0), newIntrospected(b, -1)
	h := in.auth.Wrap(bare)
	plain := newBenchOf(b, in.keys, 0).auth.Wrap(bare)
	for _, request := range []struct{ name, method, body string }{
		{"check", http.MethodDelete, ""},
		{"call", http.MethodPost, call("write_note")},
	} {
		for _, n := range []int{1, 512} {
			jwts := bearers(in.tokens(b, "ES256", n))
			driven := func(h http.Handler, tokens []string) func() {
				send := newDriver(h, request.method, request.body, tokens, http.StatusOK).send
				for range 2 * n {
					send()
				}
				return send
			}
			b.Run(fmt.Sprintf("%s/jwt-seen/tokens=%d", request.name, n), func(b *testing.B) {
				seen, alone := driven(h, jwts), driven(plain, jwts)
				loop(b, seen)
				t := interleave(seen, alone)
				b.ReportMetric(ratio(t[0], t[1]), "x-plain")
			})
			for _, length := range []int{43, len(jwts[0]) - len("Bearer ")} { // 256 random bits, and as long as a JWT
				b.Run(fmt.Sprintf("%s/opaque-warm/tokens=%d/length=%d", request.name, n, length), func(b *testing.B) {
					opaque, seen := driven(h, bearers(opaques(n, length))), driven(h, jwts)
					asked := in.asked
					loop(b, opaque)
					t := interleave(opaque, seen)
					b.ReportMetric(ratio(t[0], t[1]), "x-jwt")
					if in.asked != asked {
						b.Fatalf("%d questions were asked: this is no warm cache", in.asked-asked)
					}
				})
			}
			b.Run(fmt.Sprintf("%s/answer-warm/tokens=%d", request.name, n), func(b *testing.B) {
				answer, seen := driven(forgetful.auth.Wrap(bare), bearers(opaques(n, 43))), driven(h, jwts)
				loop(b, answer)
				t := interleave(answer, seen)
				b.ReportMetric(ratio(t[0], t[1]), "x-jwt")
			})
		}
	}
}

// INTRO-07: a remembered answer costs no more memory than a remembered JWT, and no question.
func TestAllocationBudgets_Introspected(t *testing.T) {
	in := newIntrospected(t, 0)
	h := in.auth.Wrap(bare)
	for _, body := range []string{"", call("write_note")} {
		method := map[bool]string{true: http.MethodDelete, false: http.MethodPost}[body == ""]
		per := func(tokens []string) float64 {
			return testing.AllocsPerRun(500, newDriver(h, method, body, bearers(tokens), http.StatusOK).send)
		}
		jwt := per(in.tokens(t, "EdDSA", 1))
		opaque := per(opaques(1, 43))
		t.Logf("%v and %v allocations", jwt, opaque)
		require.LessOrEqual(t, opaque, jwt+1, "under -race either may have one more")
	}
	require.Equal(t, 1, in.asked)
}
