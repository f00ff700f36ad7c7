package devas_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

// prover signs DPoP proofs for the token endpoint.
type prover struct {
	t   *testing.T
	key *ecdsa.PrivateKey
	jwk map[string]string
	htu string
}

func newProver(e *env) *prover {
	e.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(e.t, err)
	pub, err := key.PublicKey.ECDH()
	require.NoError(e.t, err)
	point := pub.Bytes() // 0x04, x, y
	enc := base64.RawURLEncoding.EncodeToString
	return &prover{e.t, key, map[string]string{"kty": "EC", "crv": "P-256", "x": enc(point[1:33]), "y": enc(point[33:])}, e.issuer + "/token"}
}

func (p *prover) thumbprint() string {
	d := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + p.jwk["x"] + `","y":"` + p.jwk["y"] + `"}`))
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// proof makes a fresh proof. Changes are pairs of a claim's name and value.
func (p *prover) proof(changes ...any) string {
	p.t.Helper()
	claims := map[string]any{"htm": "POST", "htu": p.htu, "jti": rand.Text(), "iat": time.Now().Unix()}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	return signES256(p.t, p.key, map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk}, claims)
}

// header is the header of a request with a fresh proof.
func (p *prover) header(changes ...any) http.Header {
	p.t.Helper()
	return http.Header{"Dpop": {p.proof(changes...)}}
}

func signES256(t *testing.T, key *ecdsa.PrivateKey, header, claims any) string {
	t.Helper()
	enc := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	input := enc(header) + "." + enc(claims)
	d := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, d[:])
	require.NoError(t, err)
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func requireBound(t *testing.T, a answer, p *prover) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "DPoP", a.str("token_type"))
	_, claims := decode(t, a.str("access_token"))
	require.Equal(t, map[string]any{"jkt": p.thumbprint()}, claims["cnf"])
}

func TestAS24_DPoPBoundToken(t *testing.T) {
	e := start(t)
	id := e.newClient()
	p := newProver(e)
	first := p.header()
	a := e.post("/token", exchange(id, e.code(request(id, "dpop_jkt", p.thumbprint()), asDev)), first)
	requireBound(t, a, p)

	t.Run("AS-24 introspection says DPoP and names the key", func(t *testing.T) {
		i := e.introspect(a.str("access_token"))
		require.Equal(t, "DPoP", i.str("token_type"))
		require.Equal(t, map[string]any{"jkt": p.thumbprint()}, i.JSON["cnf"])
	})
	t.Run("AS-24 a replayed proof", func(t *testing.T) {
		code := e.code(request(id), asDev)
		requireError(t, e.post("/token", exchange(id, code), first), http.StatusBadRequest, "invalid_dpop_proof")
		require.Equal(t, http.StatusOK, e.token(exchange(id, code)).Status, "the code lives on")
	})
	t.Run("AS-24 without a proof the token is a bearer token", func(t *testing.T) {
		b := e.token(exchange(id, e.code(request(id), asDev)))
		require.Equal(t, "Bearer", b.str("token_type"))
		_, claims := decode(t, b.str("access_token"))
		require.NotContains(t, claims, "cnf")
	})
	for name, header := range map[string]http.Header{
		"two proofs":             {"Dpop": {p.proof(), p.proof()}},
		"two proofs in one":      {"Dpop": {p.proof() + ", " + p.proof()}},
		"empty":                  {"Dpop": {""}},
		"garbage":                {"Dpop": {"garbage"}},
		"another method":         p.header("htm", "GET"),
		"another URL":            p.header("htu", e.issuer+"/introspect"),
		"another port":           p.header("htu", "http://127.0.0.1:1/token"),
		"too old":                p.header("iat", time.Now().Add(-time.Hour).Unix()),
		"of the future":          p.header("iat", time.Now().Add(time.Hour).Unix()),
		"iat is a string":        p.header("iat", "now"),
		"no jti":                 p.header("jti", ""),
		"of a private key":       {"Dpop": {signES256(t, p.key, map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": map[string]string{"kty": "EC", "crv": "P-256", "x": p.jwk["x"], "y": p.jwk["y"], "d": "AA"}}, map[string]any{"htm": "POST", "htu": p.htu, "jti": "d", "iat": time.Now().Unix()})}},
		"another typ":            {"Dpop": {signES256(t, p.key, map[string]any{"typ": "jwt", "alg": "ES256", "jwk": p.jwk}, map[string]any{"htm": "POST", "htu": p.htu, "jti": "t", "iat": time.Now().Unix()})}},
		"signed with other keys": {"Dpop": {signES256(t, newProver(e).key, map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk}, map[string]any{"htm": "POST", "htu": p.htu, "jti": "s", "iat": time.Now().Unix()})}},
	} {
		t.Run("AS-24 "+name+" is refused, and the code lives on", func(t *testing.T) {
			code := e.code(request(id), asDev)
			requireError(t, e.post("/token", exchange(id, code), header), http.StatusBadRequest, "invalid_dpop_proof")
			require.Equal(t, http.StatusOK, e.token(exchange(id, code)).Status)
		})
	}
	t.Run("AS-24 a clock two seconds ahead is no fault", func(t *testing.T) {
		requireBound(t, e.post("/token", exchange(id, e.code(request(id), asDev)), p.header("iat", time.Now().Add(2*time.Second).Unix())), p)
	})
	t.Run("AS-16 dpop_jkt: another key, and none, are refused; the right one still works", func(t *testing.T) {
		code := e.code(request(id, "dpop_jkt", p.thumbprint()), asDev)
		requireError(t, e.post("/token", exchange(id, code), newProver(e).header()), http.StatusBadRequest, "invalid_dpop_proof")
		requireError(t, e.token(exchange(id, code)), http.StatusBadRequest, "invalid_dpop_proof")
		requireBound(t, e.post("/token", exchange(id, code), p.header()), p)
	})
	t.Run("AS-16 dpop_jkt that is no thumbprint", func(t *testing.T) {
		for _, jkt := range []string{"", "short", p.thumbprint() + "=", "!" + p.thumbprint()[1:]} {
			res, err := e.authorize(request(id, "dpop_jkt", jkt), asDev)
			require.NoError(t, err)
			require.Equal(t, "invalid_request", res.Error, jkt)
		}
	})
	t.Run("AS-23 the refresh of a public client is bound to the key", func(t *testing.T) {
		token := a.str("refresh_token")
		requireError(t, e.token(refresh(id, token)), http.StatusBadRequest, "invalid_dpop_proof")
		requireError(t, e.post("/token", refresh(id, token), newProver(e).header()), http.StatusBadRequest, "invalid_dpop_proof")
		b := e.post("/token", refresh(id, token), p.header())
		requireBound(t, b, p)
		requireError(t, e.token(refresh(id, b.str("refresh_token"))), http.StatusBadRequest, "invalid_dpop_proof")
	})
	t.Run("AS-23 a bearer grant becomes bound when a refresh brings a proof", func(t *testing.T) {
		b := e.token(exchange(id, e.code(request(id), asDev)))
		c := e.post("/token", refresh(id, b.str("refresh_token")), p.header())
		requireBound(t, c, p)
		requireError(t, e.token(refresh(id, c.str("refresh_token"))), http.StatusBadRequest, "invalid_dpop_proof")
	})
	t.Run("AS-23 a confidential client may change its key but not go without", func(t *testing.T) {
		form := func(f url.Values) url.Values { f.Del("client_id"); return f }
		with := func(p *prover) http.Header {
			h := basic(confID, confSecret)
			h.Set("DPoP", p.proof())
			return h
		}
		b := e.post("/token", form(exchange(confID, e.code(request(confID), asDev))), with(p))
		requireBound(t, b, p)
		requireError(t, e.post("/token", form(refresh(confID, b.str("refresh_token"))), basic(confID, confSecret)), http.StatusBadRequest, "invalid_dpop_proof")
		other := newProver(e)
		requireBound(t, e.post("/token", form(refresh(confID, b.str("refresh_token"))), with(other)), other)
	})
	t.Run("AS-24 dpop_bound_access_tokens is echoed and enforced", func(t *testing.T) {
		r := e.register(`{"redirect_uris":["` + callback + `"],"dpop_bound_access_tokens":true}`)
		require.Equal(t, http.StatusCreated, r.Status, r.Raw)
		require.Equal(t, true, r.JSON["dpop_bound_access_tokens"])
		bound := r.str("client_id")
		code := e.code(request(bound), asDev)
		requireError(t, e.token(exchange(bound, code)), http.StatusBadRequest, "invalid_dpop_proof")
		requireBound(t, e.post("/token", exchange(bound, code), p.header()), p)
		requireError(t, e.register(`{"redirect_uris":["`+callback+`"],"dpop_bound_access_tokens":"yes"}`), http.StatusBadRequest, "invalid_client_metadata")
	})
	t.Run("AS-24 proofs at other endpoints are nobody's business", func(t *testing.T) {
		require.Equal(t, http.StatusOK, e.post("/revoke", url.Values{"token": {"x"}, "client_id": {id}}, http.Header{"Dpop": {"a", "b"}}).Status)
	})
}

func TestAS24_DPoPNonces(t *testing.T) {
	e := start(t, func(c *devas.Config) { c.DPoPNonces = true })
	id := e.newClient()
	p := newProver(e)
	code := e.code(request(id), asDev)
	a := e.post("/token", exchange(id, code), p.header())
	requireError(t, a, http.StatusBadRequest, "use_dpop_nonce")
	nonce := a.Header.Get("DPoP-Nonce")
	require.NotEmpty(t, nonce)
	require.Contains(t, a.Header.Get("Access-Control-Expose-Headers"), "DPoP-Nonce")

	t.Run("AS-24 another server's nonce", func(t *testing.T) {
		b := e.post("/token", exchange(id, code), p.header("nonce", "x"+nonce[1:]+"y"))
		requireError(t, b, http.StatusBadRequest, "use_dpop_nonce")
		require.Equal(t, nonce, b.Header.Get("DPoP-Nonce"))
	})
	t.Run("AS-24 what is wrong otherwise is said without a nonce", func(t *testing.T) {
		b := e.post("/token", exchange(id, code), p.header("htm", "GET"))
		requireError(t, b, http.StatusBadRequest, "invalid_dpop_proof")
		require.Empty(t, b.Header.Get("DPoP-Nonce"))
	})
	b := e.post("/token", exchange(id, code), p.header("nonce", nonce))
	requireBound(t, b, p)

	t.Run("AS-24 with a nonce the client's clock does not matter", func(t *testing.T) {
		requireBound(t, e.post("/token", exchange(id, e.code(request(id), asDev)), p.header("nonce", nonce, "iat", 1)), p)
	})
	t.Run("AS-24 a nonce is used up by no proof, a proof by its first use", func(t *testing.T) {
		h := p.header("nonce", nonce)
		requireBound(t, e.post("/token", exchange(id, e.code(request(id), asDev)), h), p)
		requireError(t, e.post("/token", exchange(id, e.code(request(id), asDev)), h), http.StatusBadRequest, "invalid_dpop_proof")
	})
	t.Run("without a proof no nonce is needed", func(t *testing.T) {
		require.Equal(t, http.StatusOK, e.token(exchange(id, e.code(request(id), asDev))).Status)
	})
	t.Run("AS-24 an ageing nonce is renewed with the answer, an old one is refused", func(t *testing.T) {
		e.clock.Advance(151 * time.Second)
		c := e.post("/token", refresh(id, b.str("refresh_token")), p.header("nonce", nonce))
		requireBound(t, c, p)
		next := c.Header.Get("DPoP-Nonce")
		require.NotEmpty(t, next)
		require.NotEqual(t, nonce, next)
		e.clock.Advance(150 * time.Second)
		requireError(t, e.post("/token", refresh(id, c.str("refresh_token")), p.header("nonce", nonce)), http.StatusBadRequest, "use_dpop_nonce")
	})
}
