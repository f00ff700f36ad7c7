package devas_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// prover signs DPoP proofs. Nonces and the full matrix of AS-24 are not built yet; these tests hold what is.
type prover struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	jwk map[string]string
}

func newProver(t *testing.T) *prover {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	pub, err := key.PublicKey.ECDH()
	require.NoError(t, err)
	point := pub.Bytes() // 0x04, x, y
	enc := base64.RawURLEncoding.EncodeToString
	return &prover{t, key, map[string]string{"kty": "EC", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])}}
}

func (p *prover) thumbprint() string {
	d := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + p.jwk["x"] + `","y":"` + p.jwk["y"] + `"}`))
	return base64.RawURLEncoding.EncodeToString(d[:])
}

func (p *prover) proof(htu, jti string) string {
	p.t.Helper()
	enc := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(p.t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	input := enc(map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk}) + "." +
		enc(map[string]any{"htm": "POST", "htu": htu, "jti": jti, "iat": time.Now().Add(-time.Second).Unix()})
	d := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, d[:])
	require.NoError(p.t, err)
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func TestAS24_DPoPBoundToken(t *testing.T) {
	e := start(t)
	id := e.newClient()
	p := newProver(t)
	htu := e.issuer + "/token"
	withProofs := func(proofs ...string) http.Header { return http.Header{"Dpop": proofs} }

	first := p.proof(htu, "one")
	a := e.post("/token", exchange(id, e.code(request(id, "dpop_jkt", p.thumbprint()), asDev)), withProofs(first))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "DPoP", a.str("token_type"))
	_, claims := decode(t, a.str("access_token"))
	require.Equal(t, map[string]any{"jkt": p.thumbprint()}, claims["cnf"])

	t.Run("AS-24 a replayed proof", func(t *testing.T) {
		requireError(t, e.post("/token", exchange(id, e.code(request(id), asDev)), withProofs(first)), http.StatusBadRequest, "invalid_dpop_proof")
	})
	t.Run("AS-24 another key than dpop_jkt", func(t *testing.T) {
		code := e.code(request(id, "dpop_jkt", p.thumbprint()), asDev)
		requireError(t, e.post("/token", exchange(id, code), withProofs(newProver(t).proof(htu, "two"))), http.StatusBadRequest, "invalid_dpop_proof")
	})
	t.Run("AS-24 two proofs, and the code lives on", func(t *testing.T) {
		code := e.code(request(id), asDev)
		requireError(t, e.post("/token", exchange(id, code), withProofs(p.proof(htu, "three"), p.proof(htu, "four"))), http.StatusBadRequest, "invalid_dpop_proof")
		require.Equal(t, http.StatusOK, e.token(exchange(id, code)).Status)
	})
	t.Run("AS-23 the refresh is bound to the key", func(t *testing.T) {
		require.Equal(t, http.StatusBadRequest, e.token(refresh(id, a.str("refresh_token"))).Status)
		require.Equal(t, http.StatusBadRequest, e.post("/token", refresh(id, a.str("refresh_token")), withProofs(newProver(t).proof(htu, "five"))).Status)
		b := e.post("/token", refresh(id, a.str("refresh_token")), withProofs(p.proof(htu, "six")))
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
		require.Equal(t, "DPoP", b.str("token_type"))
	})
}
