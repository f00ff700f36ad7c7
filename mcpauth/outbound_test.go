package mcpauth_test

import (
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// A hostRecorder notes whom the library asks.
type hostRecorder struct {
	mu    sync.Mutex
	hosts map[string]bool
}

func (h *hostRecorder) RoundTrip(r *http.Request) (*http.Response, error) {
	h.mu.Lock()
	h.hosts[r.URL.Host] = true
	h.mu.Unlock()
	return http.DefaultTransport.RoundTrip(r)
}

// SEC-04, SEC-03, threats 25 and 42: nothing in a token or request chooses whom the library asks, and a
// token of one resource is worth nothing at another that shares the issuer.
func TestSEC04_OnlyConfiguredHostsAreAsked(t *testing.T) {
	is, foreign := newIssuer(t), newIssuer(t)
	record := &hostRecorder{hosts: map[string]bool{}}
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.HTTPClient = &http.Client{Transport: record} })
	h := auth.Wrap(sdkHandler(newServer(auth), true))

	forged := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": is.URL, "aud": testResource, "sub": "eve", "client_id": "app", "exp": epoch.Unix() + 600,
	})
	forged.Header["typ"], forged.Header["kid"] = "at+jwt", foreign.URL+"/jwks"
	forged.Header["jku"], forged.Header["x5u"] = foreign.URL+"/jwks", foreign.URL+"/jwks"
	forged.Header["jwk"] = foreign.jwks()["keys"].([]any)[0]
	signed, err := forged.SignedString(foreign.key)
	require.NoError(t, err)

	r := post(call("whoami"), signed)
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("Forwarded", "host=evil.example")
	require.Equal(t, http.StatusUnauthorized, serve(h, r).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), foreign.token(t))).Code)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t))).Code)
	configured, err := url.Parse(is.URL)
	require.NoError(t, err)
	require.Equal(t, map[string]bool{configured.Host: true}, record.hosts)

	other, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/other" })
	require.Equal(t, http.StatusUnauthorized, serve(other.Wrap(sdkHandler(newServer(other), true)), post(call("whoami"), is.token(t))).Code)
}
