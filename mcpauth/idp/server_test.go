package idp_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	resource = "https://mcp.example.com/mcp"
	foreign  = "https://other.example.com/mcp"
)

// now is a minute after the samples were issued.
var now = time.Date(2026, 1, 1, 0, 1, 0, 0, time.UTC)

// signers are the keys of every provider here, by algorithm.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	out := map[string]crypto.Signer{"RS256": rsaKey}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384()} {
		if out[alg], err = ecdsa.GenerateKey(curve, rand.Reader); err != nil {
			panic(err)
		}
	}
	return out
})

// jwk is the public key of an algorithm.
func jwk(kid, alg string) map[string]any {
	enc := base64.RawURLEncoding.EncodeToString
	out := map[string]any{"kid": kid, "use": "sig"}
	switch key := signers()[alg].Public().(type) {
	case *rsa.PublicKey:
		out["kty"], out["n"], out["e"] = "RSA", enc(key.N.Bytes()), enc(big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(point) - 1) / 2
		out["kty"], out["crv"], out["x"], out["y"] = "EC", key.Params().Name, enc(point[1:1+half]), enc(point[1+half:])
	}
	return out
}

// keyServer has one key set for each kid and algorithm, as if every provider lived there.
func keyServer(t testing.TB) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{jwk(r.URL.Query().Get("kid"), r.URL.Query().Get("alg"))}})
	}))
	t.Cleanup(server.Close)
	return server
}

// A token is a sample: what a provider signs.
type token struct {
	Provider string
	Header   map[string]any
	Claims   map[string]any
	Scopes   []string `json:"scopes_expected"`
	Roles    []string `json:"roles_expected"`
}

func sample(t testing.TB, name string) token {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name + ".json")
	require.NoError(t, err)
	var s token
	require.NoError(t, json.Unmarshal(text, &s))
	return s
}

// with returns the token with claims changed; nil removes one.
func (s token) with(changes map[string]any) token {
	s.Claims = maps.Clone(s.Claims)
	maps.Copy(s.Claims, changes)
	maps.DeleteFunc(s.Claims, func(_ string, v any) bool { return v == nil })
	return s
}

// typed returns the token with another typ; "" removes it.
func (s token) typed(typ string) token {
	s.Header = maps.Clone(s.Header)
	s.Header["typ"] = typ
	if typ == "" {
		delete(s.Header, "typ")
	}
	return s
}

func (s token) mint(t testing.TB) string {
	t.Helper()
	alg, _ := s.Header["alg"].(string)
	tok := jwt.NewWithClaims(jwt.GetSigningMethod(alg), jwt.MapClaims(s.Claims))
	tok.Header = s.Header
	signed, err := tok.SignedString(signers()[alg])
	require.NoError(t, err)
	return signed
}

// An outcome is what a server made of a token.
type outcome struct {
	status    int
	reason    mcpauth.Reason
	principal *mcpauth.Principal
}

func (o outcome) grant() scopes.Grant { return o.principal.Grant() }

// send sends the token to a server with these issuers, whose keys are at our server.
func send(t testing.TB, issuers []mcpauth.Issuer, s token, key *mcpauthtest.DPoPKey) outcome {
	t.Helper()
	kid, _ := s.Header["kid"].(string)
	alg, _ := s.Header["alg"].(string)
	keys := keyServer(t).URL + "/?" + url.Values{"kid": {kid}, "alg": {alg}}.Encode()
	issuers = slices.Clone(issuers)
	for i := range issuers {
		issuers[i].JWKSURI = keys
	}
	var out outcome
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Issuers: issuers, Unlisted: scopes.Authenticated(), Now: func() time.Time { return now },
		OnDecision: func(_ context.Context, d mcpauth.Decision) { out.reason = d.Reason },
	})
	require.NoError(t, err)
	handler := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		out.principal, _ = mcpauth.FromContext(r.Context())
	}))
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}`
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	text := s.Claims["opaque"]
	signed, ok := text.(string)
	if !ok {
		signed = s.mint(t)
	}
	if key != nil {
		r.Header.Set("Authorization", "DPoP "+signed)
		p := key.NewProof(http.MethodPost, resource, signed, "")
		p.Claims["iat"] = now.Unix()
		r.Header.Set("DPoP", key.Sign(p))
	} else {
		r.Header.Set("Authorization", "Bearer "+signed)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	out.status = w.Code
	return out
}

func accepted(t testing.TB, issuers []mcpauth.Issuer, s token, key *mcpauthtest.DPoPKey) scopes.Grant {
	t.Helper()
	out := send(t, issuers, s, key)
	require.Equal(t, http.StatusOK, out.status, "%s", out.reason)
	require.NotNil(t, out.principal)
	return out.grant()
}

func refused(t testing.TB, issuers []mcpauth.Issuer, s token, want mcpauth.Reason) {
	t.Helper()
	out := send(t, issuers, s, nil)
	require.Equal(t, http.StatusUnauthorized, out.status)
	require.Equal(t, want, out.reason)
	require.Nil(t, out.principal)
}
