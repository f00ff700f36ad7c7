package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A keycloak is an authorization server with several tenants, as Keycloak is one: each realm is an issuer of its own, with keys of
// its own, under one host. It is reduced to its keys and to tokens for anybody who asks. The zero value has no realm.
type keycloak struct {
	URL    string
	keys   map[string]*rsa.PrivateKey // by realm
	routes http.ServeMux
	down   atomic.Bool
}

func newKeycloak(url string, realms ...string) (*keycloak, error) {
	k := &keycloak{URL: url, keys: make(map[string]*rsa.PrivateKey)}
	for _, realm := range realms {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			return nil, err
		}
		k.keys[realm] = key
	}
	k.routes.HandleFunc("GET /realms/{realm}/protocol/openid-connect/certs", k.serveKeys)
	k.routes.HandleFunc("GET /realms/{realm}/token", k.serveToken)
	return k, nil
}

func (k *keycloak) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k.down.Load() {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	k.routes.ServeHTTP(w, r)
}

func (k *keycloak) serveKeys(w http.ResponseWriter, r *http.Request) {
	key, ok := k.keys[r.PathValue("realm")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	encode := base64.RawURLEncoding.EncodeToString
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": keyID(r.PathValue("realm")),
		"n": encode(key.N.Bytes()), "e": encode(big.NewInt(int64(key.E)).Bytes()),
	}}})
}

// serveToken stands in for a login.
func (k *keycloak) serveToken(w http.ResponseWriter, r *http.Request) {
	realm := r.PathValue("realm")
	if k.keys[realm] == nil {
		http.NotFound(w, r)
		return
	}
	token, err := k.token(realm, realm, nil)
	if err != nil {
		http.Error(w, "no token", http.StatusInternalServerError)
		return
	}
	_, _ = w.Write([]byte(token))
}

func (k *keycloak) issuer(realm string) string { return k.URL + "/realms/" + realm }

func keyID(realm string) string { return "key-of-" + realm }

// token is an access token of a realm for its user ada, as Keycloak writes them, changed by these claims. It is signed with the key
// of signer, another realm in the hands of those who forge, and names the key of the realm.
func (k *keycloak) token(realm, signer string, changes map[string]any) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": k.issuer(realm), "sub": "ada", "aud": []string{audience, "account"}, "azp": "notes-app", "typ": "Bearer", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "scope": "openid notes:write",
		"realm_access": map[string]any{"roles": []string{"offline_access", "admin"}}, // of the tenant
	}
	maps.Copy(claims, changes)
	token := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	token.Header["kid"] = keyID(realm)
	return token.SignedString(k.keys[signer])
}
