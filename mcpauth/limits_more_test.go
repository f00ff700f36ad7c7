package mcpauth_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// SEC-06: what is no fault of the credentials does not count against an address.
func TestSEC06_OnlyBadCredentialsAreFailures(t *testing.T) {
	is := newIssuer(t)
	var answer error
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Failures = mcpauth.Rate{Events: 1, Per: time.Hour}
		cfg.Limits.Proxies.Trusted = proxies
		cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, answer }
	})
	proxies[0] = netip.MustParsePrefix("192.0.2.1/32") // what New has read stays as it is
	h := auth.Wrap(&spy{})
	fresh := func(id string) string { return is.token(t, claims{"jti": id}) }
	answer = errors.New("out of reach")
	for _, id := range []string{"1", "2", "3"} {
		require.Equal(t, http.StatusServiceUnavailable, serve(h, post(rpc("ping", nil), fresh(id))).Code, "an outage of ours")
	}
	answer = nil
	for range 3 {
		two := with(post(rpc("ping", nil), fresh("4")), "Authorization", "Bearer a", "Bearer b")
		require.Equal(t, http.StatusBadRequest, serve(h, two).Code, "a malformed request")
	}
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), fresh("5"))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("ping", nil), "nonsense")).Code)
	require.Equal(t, http.StatusTooManyRequests, serve(h, with(post(rpc("ping", nil), fresh("6")), "X-Forwarded-For", "198.51.100.1")).Code)
}

// SEC-06: what was remembered as good is worth no more than new credentials once it is over.
func TestSEC06_RememberedUntilTheyEnd(t *testing.T) {
	is := newIssuer(t)
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits.Failures = mcpauth.Rate{Events: 1, Per: 24 * time.Hour} })
	h := auth.Wrap(&spy{})
	known := is.token(t, claims{"exp": epoch.Add(time.Minute).Unix()})
	status := func(token string) int { return serve(h, post(rpc("ping", nil), token)).Code }
	require.Equal(t, http.StatusOK, status(known))
	require.Equal(t, http.StatusUnauthorized, status("nonsense"))
	require.Equal(t, http.StatusOK, status(known))
	clock.advance(time.Hour)
	require.Equal(t, http.StatusTooManyRequests, status(known), "nobody looks at it")
	require.Equal(t, http.StatusUnauthorized, status(""))

	auth, clock = newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Limits.Failures = mcpauth.Rate{Events: 1, Per: 24 * time.Hour} })
	h = auth.Wrap(&spy{})
	known = is.token(t)
	require.Equal(t, http.StatusOK, status(known))
	require.Equal(t, http.StatusUnauthorized, status("nonsense"))
	clock.set(epoch.Add(-time.Hour))
	require.Equal(t, http.StatusTooManyRequests, status(known), "nor where the clock was put back, and it has not been issued yet")
}

// SEC-06: a nonce that is missing is no failure, with whichever token.
func TestSEC06_NoncesOfManyTokens(t *testing.T) {
	h, is, k, _, _ := boundServer(t, func(cfg *mcpauth.Config) {
		cfg.DPoP.Nonces = true
		cfg.Limits.Failures = mcpauth.Rate{Events: 1, Per: time.Minute}
	})
	for _, id := range []string{"1", "2", "3"} {
		requireNonceAsked(t, serve(h, k.signed(post(call("whoami"), ""), k.bound(t, is, claims{"scope": "mcp:read", "jti": id}))))
	}
}

// AUTHZ-14: Conceal is about rights. Who comes too often, or in an outage, is told so.
func TestLimits_AreNotConcealed(t *testing.T) {
	is := newIssuer(t)
	var answer error
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Conceal = true
		cfg.Limits.Operations = map[string]mcpauth.Rate{"tools/call whoami": {Events: 1, Per: time.Second}}
		cfg.Policy = func(context.Context, *mcpauth.Call) error { return answer }
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t))).Code)
	requireLimited(t, serve(h, post(call("whoami"), is.token(t))), "1")
	answer = mcpauth.ErrUnavailable
	require.Equal(t, http.StatusServiceUnavailable, serve(h, post(call("whoami"), is.token(t))).Code)
}
