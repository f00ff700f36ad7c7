package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// newBehind answers 200 to every call of a tool with a valid token.
func newBehind(t testing.TB, is *testIssuer, change func(*mcpauth.Config)) (http.Handler, *mcpauth.Middleware, *testClock) {
	t.Helper()
	auth, clock := newAuth(t, is, change)
	auth.RequireTool("whoami", scopes.Authenticated())
	return auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), auth, clock
}

// lasting is a token for a year, so that only keys decide.
func (is *testIssuer) lasting(t testing.TB) string {
	return is.token(t, claims{"exp": epoch.AddDate(1, 0, 0).Unix()})
}

// requireUnavailable checks the answer to an outage: it must not make a client throw its token away.
func requireUnavailable(t testing.TB, w *httptest.ResponseRecorder) time.Duration {
	t.Helper()
	require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body.String())
	require.NotContains(t, w.Header(), "Www-Authenticate")
	require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":503,"message":"Service Unavailable"}}`, w.Body.String())
	seconds, err := strconv.Atoi(w.Header().Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, seconds)
	require.LessOrEqual(t, seconds, 60)
	return time.Duration(seconds) * time.Second
}

// CH-22, DISC-04, threats 90 and 91.
func TestCH22_IssuerDownAtTheStart(t *testing.T) {
	is := newIssuer(t)
	is.down.Store(true)
	h, auth, clock := newBehind(t, is, nil)
	token := is.lasting(t)

	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), "")).Code)
	require.Equal(t, http.StatusOK, serve(auth.Metadata(), httptest.NewRequest("GET", testPRM, nil)).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), "no.such.token")).Code)
	err := auth.Ready(t.Context())
	require.ErrorContains(t, err, is.URL)

	for range 3 {
		is.down.Store(true)
		wait := requireUnavailable(t, serve(h, post(call("whoami"), token)))
		is.down.Store(false)
		requireUnavailable(t, serve(h, post(call("whoami"), token))) // not sooner than promised
		is.down.Store(true)
		clock.advance(wait)
	}
	is.down.Store(false)
	clock.advance(time.Minute)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), token)).Code)
	require.NoError(t, auth.Ready(t.Context()))
}

// JWKS-06, threat 88: known keys outlive an outage, for a day and not for ever.
func TestJWKS06_KnownKeysOutliveAnOutage(t *testing.T) {
	is := newIssuer(t)
	h, auth, clock := newBehind(t, is, nil)
	token := is.lasting(t)
	require.NoError(t, auth.Ready(t.Context()))
	is.down.Store(true)
	for _, at := range []time.Duration{time.Minute, time.Hour, 12 * time.Hour, 23 * time.Hour} {
		clock.set(epoch.Add(at))
		require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), token)).Code, at)
	}
	// Another kid could be that of a new key: nobody can tell now.
	clock.advance(time.Minute)
	old := is.kid
	is.rotate(t, "key-2")
	requireUnavailable(t, serve(h, post(call("whoami"), is.lasting(t))))
	require.NotEqual(t, old, is.kid)

	clock.set(epoch.Add(26 * time.Hour))
	requireUnavailable(t, serve(h, post(call("whoami"), token)))
	require.Error(t, auth.Ready(t.Context()))

	is.down.Store(false)
	clock.advance(time.Minute)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.lasting(t))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), token)).Code, "its key has gone meanwhile")
}

// JWKS-05, threat 89.
func TestJWKS05_Rotation(t *testing.T) {
	is := newIssuer(t)
	h, _, clock := newBehind(t, is, nil)
	before := is.lasting(t)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), before)).Code)

	is.rotate(t, "key-2")
	after := is.lasting(t)
	clock.advance(10 * time.Second) // the cooldown
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), after)).Code, "within one cooldown, without a restart")
	w := serve(h, post(call("whoami"), before))
	require.Equal(t, http.StatusUnauthorized, w.Code, "a removed key stops working")
	require.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_token"`)

	// A new key under the old kid is found as well.
	is.rotate(t, "key-2")
	clock.advance(10 * time.Second)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.lasting(t))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), after)).Code)
}

// JWKS-04, SEC-06, threat 87: a flood of invented kids costs one fetch for each cooldown.
func TestJWKS04_UnknownKidsCauseFewFetches(t *testing.T) {
	is, foreign := newIssuer(t), newIssuer(t)
	h, _, clock := newBehind(t, is, nil)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.lasting(t))).Code)
	fetched := is.fetches.Load()
	for round := range int64(3) {
		clock.advance(10 * time.Second)
		var wg sync.WaitGroup
		for i := range 50 {
			foreign.rotate(t, fmt.Sprintf("kid-%d-%d", round, i))
			token := foreign.token(t, claims{"iss": is.URL, "exp": epoch.Add(time.Hour).Unix()})
			wg.Go(func() {
				w := serve(h, post(call("whoami"), token))
				if w.Code != http.StatusUnauthorized {
					t.Errorf("status %d", w.Code)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, is.fetches.Load(), fetched+round+1)
	}
	require.Zero(t, foreign.fetches.Load())
	clock.advance(10 * time.Second)
	is.rotate(t, "genuine")
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.lasting(t))).Code, "the flood has not delayed a new key")
}

// Threat 90: one issuer's trouble is not another's; TOK-06: nor are its keys.
func TestTOK06_IssuersAreSeparate(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	h, auth, _ := newBehind(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL})
	})
	other.down.Store(true)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t))).Code)
	requireUnavailable(t, serve(h, post(call("whoami"), other.token(t))))
	err := auth.Ready(t.Context())
	require.ErrorContains(t, err, other.URL)
	require.NotContains(t, err.Error(), is.URL)

	// Both have a key "key-1". Neither verifies the other's tokens.
	w := serve(h, post(call("whoami"), other.token(t, claims{"iss": is.URL})))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	for _, iss := range []any{is.URL + "/", "", nil, "HTTP" + is.URL[4:], []string{is.URL}} {
		require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), is.token(t, claims{"iss": iss}))).Code, iss)
	}
}

// TOK-21, TOK-23: what the hook says, and what its failure means.
func TestTOK21_RevocationHook(t *testing.T) {
	is := newIssuer(t)
	var gone bool
	var err error
	asked := 0
	h, _, _ := newBehind(t, is, func(cfg *mcpauth.Config) {
		cfg.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			asked++
			require.Equal(t, "ada", p.Subject())
			return gone, err
		}
	})
	token := is.token(t)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), token)).Code)
	gone = true
	w := serve(h, post(call("whoami"), token))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_token"`)
	err = errors.New("redis: connection refused")
	requireUnavailable(t, serve(h, post(call("whoami"), token)))
	gone = false
	requireUnavailable(t, serve(h, post(call("whoami"), token)))
	require.Equal(t, 4, asked, "it is asked for each request")
	serve(h, post(call("whoami"), is.token(t, claims{"aud": "x"})))
	require.Equal(t, 4, asked, "and only for tokens that are good")
}

// Threat 97, SEC-05: a panic in a check is a refusal.
func TestSEC05_PanicsRefuse(t *testing.T) {
	is := newIssuer(t)
	reached := false
	for name, change := range map[string]func(*mcpauth.Config){
		"Revoked": func(c *mcpauth.Config) {
			c.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { panic("x") }
		},
		"Policy":     func(c *mcpauth.Config) { c.Policy = func(context.Context, *mcpauth.Call) error { panic("x") } },
		"OnDecision": func(c *mcpauth.Config) { c.OnDecision = func(context.Context, mcpauth.Decision) { panic("x") } },
	} {
		auth, _ := newAuth(t, is, change)
		auth.RequireTool("whoami", scopes.Authenticated())
		h := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		w := serve(h, post(call("whoami"), is.token(t)))
		require.GreaterOrEqual(t, w.Code, 400, name)
		require.False(t, reached, name)
		require.NotContains(t, w.Header(), "Www-Authenticate", name)
	}
}
