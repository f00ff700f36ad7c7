package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
	"github.com/go-mcpauth/sdk/scopes"
)

const resource = "https://mcp.example.com/mcp"

// An issuer is an authorization server, as a resource server sees it.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	is := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": is.url, "jwks_uri": is.url + "/jwks", "response_types_supported": []string{"code"},
			"authorization_endpoint": is.url + "/authorize", "token_endpoint": is.url + "/token"})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		enc := base64.RawURLEncoding.EncodeToString
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "1", "x": enc(point[1:33]), "y": enc(point[33:])}}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	is.url = server.URL
	return is
}

// token is good in every respect; one for a key is bound to it.
func (is *issuer) token(t *testing.T, id string, key *mcpauthtest.DPoPKey) string {
	now := time.Now()
	claims := jwt.MapClaims{"iss": is.url, "aud": resource, "sub": "ada", "client_id": "app", "jti": id, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if key != nil {
		claims["cnf"] = map[string]any{"jkt": key.Thumbprint()}
	}
	tok := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	tok.Header["typ"], tok.Header["kid"] = "at+jwt", "1"
	signed, err := tok.SignedString(is.key)
	require.NoError(t, err)
	return signed
}

// A replica is a server with its own middleware, Store and connections.
type replica struct {
	url     string
	revoked *mcpauth.Revocations
	reached atomic.Int64 // requests that came to the handler

}

func newReplica(t *testing.T, is *issuer, redis string, timeout time.Duration) *replica {
	store := newStore(t, newClient(t, redis), func(o *redisstore.Options) { o.Timeout = timeout })
	r := &replica{revoked: mcpauth.NewRevocations(store, nil)}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{{URL: is.url}},
		DPoP: mcpauth.DPoP{Replay: store}, Revoked: r.revoked.Revoked,
		Unlisted: scopes.Authenticated(),
	})
	require.NoError(t, err)
	server := httptest.NewServer(auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { r.reached.Add(1) })))
	t.Cleanup(server.Close)
	r.url = server.URL + "/mcp"
	return r
}

// send returns the status of one call, with a proof or, where that is empty, as a bearer.
func (r *replica) send(t *testing.T, token, proof string) int {
	t.Helper()
	body := strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","arguments":{}}}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url, body)
	require.NoError(t, err)
	req.Host = "mcp.example.com"
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + token}}
	if proof != "" {
		req.Header["Authorization"], req.Header["Dpop"] = []string{"DPoP " + token}, []string{proof}
	}
	before := r.reached.Load()
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
	require.Equal(t, res.StatusCode == 200, r.reached.Load() > before, "the handler behind")
	return res.StatusCode
}

// DPOP-13, DPOP-15: two replicas with one Redis are one server. Without Redis there is nobody who could tell, so
// bound tokens are refused, and so are others, since they may be revoked.
func TestDPOP13_TwoReplicas(t *testing.T) {
	is := newIssuer(t)
	server := redistest.Start(t)
	a, b := newReplica(t, is, server.Addr(), patient), newReplica(t, is, server.Addr(), patient)
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	bound, plain := is.token(t, "bound", key), is.token(t, "plain", nil)
	prove := func() string { return key.Proof(http.MethodPost, resource, bound, "") }

	for range 3 {
		one, two := prove(), prove()
		require.Equal(t, 200, a.send(t, bound, one))
		require.Equal(t, 401, b.send(t, bound, one))
		require.Equal(t, 401, a.send(t, bound, one))
		require.Equal(t, 200, b.send(t, bound, two))
		require.Equal(t, 401, a.send(t, bound, two))
	}
	// The same at once, at both.
	for range 5 {
		proof := prove()
		var good atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				req := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"ping"}`))
				req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"DPoP " + bound}, "Dpop": {proof}}
				req.RequestURI, req.URL.Scheme, req.URL.Host = "", "http", strings.TrimPrefix(strings.TrimSuffix([]*replica{a, b}[i%2].url, "/mcp"), "http://")
				res, err := http.DefaultClient.Do(req)
				if err == nil && res.StatusCode == 200 {
					good.Add(1)
				}
				if err == nil {
					_ = res.Body.Close()
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, good.Load())
	}

	// A revocation made through one counts at the other at once, for tokens that it remembers, too.
	require.Equal(t, 200, a.send(t, plain, ""))
	require.Equal(t, 200, b.send(t, plain, ""))
	require.NoError(t, a.revoked.Revoke(t.Context(), mcpauth.Revocation{Issuer: is.url, JWTID: "plain", Until: time.Now().Add(time.Hour)}))
	require.Equal(t, 401, b.send(t, plain, ""))
	require.Equal(t, 401, a.send(t, plain, ""))
	require.Equal(t, 200, b.send(t, is.token(t, "other", nil), ""))
	require.NoError(t, b.revoked.Revoke(t.Context(), mcpauth.Revocation{Issuer: is.url, Subject: "ada", IssuedBefore: time.Now().Add(2 * time.Second), Until: time.Now().Add(time.Hour)}))
	require.Equal(t, 401, a.send(t, is.token(t, "third", nil), ""))
	require.Equal(t, 401, a.send(t, bound, prove()))

	server.Stop()
	a, b = newReplica(t, is, server.Addr(), 50*time.Millisecond), newReplica(t, is, server.Addr(), 50*time.Millisecond)
	for i, r := range []*replica{a, b, a, b} {
		require.Equal(t, 503, r.send(t, bound, prove()), i)
		require.Equal(t, 503, r.send(t, plain, ""), i)
		require.Error(t, r.revoked.Revoke(t.Context(), mcpauth.Revocation{Issuer: is.url, JWTID: fmt.Sprint(i), Until: time.Now().Add(time.Hour)}))
	}
	server.Restart()
	for _, r := range []*replica{a, b} {
		require.Eventually(t, func() bool { return r.send(t, bound, prove()) == 200 }, time.Minute, 10*time.Millisecond)
	}
	server.Pause()
	for _, r := range []*replica{a, b} {
		require.Equal(t, 503, r.send(t, bound, prove()))
	}
	server.Resume()
}

// With revocations left open, a replay is refused still: each feature decides for itself.
func TestOpenRevocationsLeaveProofsShut(t *testing.T) {
	is := newIssuer(t)
	server := redistest.Start(t)
	store := newStore(t, newClient(t, server.Addr()), func(o *redisstore.Options) { o.DangerouslySkipRevocations, o.Timeout = true, 50*time.Millisecond })
	server.Stop()
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{{URL: is.url}}, Unlisted: scopes.Authenticated(),
		DPoP: mcpauth.DPoP{Replay: store}, Revoked: mcpauth.NewRevocations(store, nil).Revoked,
	})
	require.NoError(t, err)
	r := new(replica)
	h := httptest.NewServer(auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { r.reached.Add(1) })))
	defer h.Close()
	r.url = h.URL + "/mcp"
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	bound := is.token(t, "bound", key)
	require.Equal(t, 503, r.send(t, bound, key.Proof(http.MethodPost, resource, bound, "")))
	require.Equal(t, 200, r.send(t, is.token(t, "plain", nil), ""))
}
