package mcpauth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// testResource is the protected resource of most tests. Nothing listens there.
const testResource = "https://mcp.example.com/mcp"

// epoch is where test clocks start.
var epoch = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// A testIssuer is an authorization server as a resource server sees it: metadata, keys and tokens.
type testIssuer struct {
	URL     string
	server  *httptest.Server
	fetches atomic.Int64
	down    atomic.Bool

	mu  sync.Mutex
	key *ecdsa.PrivateKey
	kid string
}

func newIssuer(t testing.TB) *testIssuer {
	t.Helper()
	is := &testIssuer{}
	is.rotate(t, "key-1")
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": is.URL, "jwks_uri": is.URL + "/jwks",
			"authorization_endpoint": is.URL + "/authorize", "token_endpoint": is.URL + "/token",
			"response_types_supported": []string{"code"},
		})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, r *http.Request) {
		is.fetches.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(is.jwks())
	})
	is.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if is.down.Load() {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(is.server.Close)
	is.URL = is.server.URL
	return is
}

func (is *testIssuer) rotate(t testing.TB, kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	is.mu.Lock()
	defer is.mu.Unlock()
	is.key, is.kid = key, kid
}

func (is *testIssuer) jwks() map[string]any {
	is.mu.Lock()
	defer is.mu.Unlock()
	point, err := is.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	enc := base64.RawURLEncoding.EncodeToString
	return map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": is.kid,
		"x": enc(point[1:33]), "y": enc(point[33:]),
	}}}
}

type claims = map[string]any

// token mints an access token that is good in every respect, changed by the given claims; nil removes
// one.
func (is *testIssuer) token(t testing.TB, changes ...claims) string {
	t.Helper()
	all := jwt.MapClaims{
		"iss": is.URL, "aud": testResource, "sub": "ada", "client_id": "app", "jti": "1",
		"iat": epoch.Unix(), "exp": epoch.Add(10 * time.Minute).Unix(), "scope": "",
	}
	for _, c := range changes {
		maps.Copy(all, c)
	}
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	is.mu.Lock()
	defer is.mu.Unlock()
	tok := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	tok.Header["typ"], tok.Header["kid"] = "at+jwt", is.kid
	signed, err := tok.SignedString(is.key)
	require.NoError(t, err)
	return signed
}

// scoped mints a token with these scopes, separated by spaces.
func (is *testIssuer) scoped(t testing.TB, scope string) string {
	return is.token(t, claims{"scope": scope})
}

// A testClock is Config.Now in tests.
type testClock struct{ now atomic.Pointer[time.Time] }

func newClock() *testClock {
	c := new(testClock)
	c.set(epoch)
	return c
}

func (c *testClock) set(t time.Time)         { c.now.Store(&t) }
func (c *testClock) advance(d time.Duration) { c.set(c.Now().Add(d)) }
func (c *testClock) Now() time.Time          { return *c.now.Load() }

// rpc is the body of a JSON-RPC request.
func rpc(method string, params any) string {
	if params == nil {
		params = map[string]any{}
	}
	b, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// call is the body of a tools/call.
func call(tool string) string {
	return rpc("tools/call", map[string]any{"name": tool, "arguments": map[string]any{}})
}

// post makes a POST to the resource as clients do; an empty token leaves Authorization out.
func post(body, token string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, testResource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// serve runs one request through a handler.
func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
