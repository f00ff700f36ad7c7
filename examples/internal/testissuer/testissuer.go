// Package testissuer is an authorization server as a resource server sees it, keys and tokens alone,
// for tests that are not about signing in.
package testissuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// An Issuer publishes its metadata and one key at URL until the test ends.
type Issuer struct {
	URL string
	key *ecdsa.PrivateKey
}

var encode = base64.RawURLEncoding.EncodeToString

// New starts an issuer.
func New(t testing.TB) *Issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	is := &Issuer{key: key}
	mux := http.NewServeMux()
	publish := func(path string, document func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(document())
		})
	}
	publish("/.well-known/oauth-authorization-server", func() any {
		return map[string]any{"issuer": is.URL, "jwks_uri": is.URL + "/jwks"}
	})
	publish("/jwks", func() any {
		return map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": encode(point[1:33]), "y": encode(point[33:]),
		}}}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	is.URL = server.URL
	return is
}

// Token returns an access token (RFC 9068) for the resource, good for ten minutes. Claims are added or,
// where they are nil, left out.
func (is *Issuer) Token(t testing.TB, resource, subject string, claims map[string]any) string {
	t.Helper()
	return is.TokenOfType(t, "at+jwt", resource, subject, claims)
}

// TokenOfType is Token with another typ header.
func (is *Issuer) TokenOfType(t testing.TB, typ, resource, subject string, claims map[string]any) string {
	t.Helper()
	now := time.Now()
	all := map[string]any{
		"iss": is.URL, "aud": resource, "sub": subject, "client_id": "test", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": typ, "kid": "1"})
	require.NoError(t, err)
	payload, err := json.Marshal(all)
	require.NoError(t, err)
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, is.key, digest[:])
	require.NoError(t, err)
	signature := make([]byte, 64) // RFC 7518, Section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return signed + "." + encode(signature)
}
