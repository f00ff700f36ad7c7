package mcpauthtest

import (
	"crypto/rand"
	"crypto/subtle"
	"maps"
	"net/http"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const introspectionClient = "mcp-server"

// Introspection returns the configuration with which a server asks this issuer about opaque tokens (RFC
// 7662), for [mcpauth.Issuer].Introspection: the endpoint, a client with its secret, and a prefix that no
// other issuer's tokens have. The result may be changed; MaxAge is how late a revocation may be noticed.
func (is *Issuer) Introspection() *mcpauth.Introspection {
	return &mcpauth.Introspection{
		Endpoint: is.server.URL + introspectPath, ClientID: introspectionClient, ClientSecret: mcpauth.Secret(is.secret), TokenPrefix: is.prefix,
	}
}

// OpaqueToken makes a token that says nothing by itself, and of which the issuer says what [Issuer.Token]
// would say. [Claims.Header] has no effect.
func (is *Issuer) OpaqueToken(c Claims) string {
	is.t.Helper()
	claims := is.claims(c)
	claims["active"] = true
	if _, ok := claims["token_type"]; !ok {
		claims["token_type"] = "Bearer"
		if c.Key != nil {
			claims["token_type"] = "DPoP" // RFC 9449, Section 6.2
		}
	}
	token := is.prefix + rand.Text()
	is.mu.Lock()
	defer is.mu.Unlock()
	is.opaque[token] = claims
	return token
}

// RevokeToken makes an opaque token inactive. The test ends if the issuer does not know the token: nobody
// asks about JWTs, whose revocation is [mcpauth.Config].Revoked.
func (is *Issuer) RevokeToken(token string) {
	is.t.Helper()
	is.mu.Lock()
	_, ok := is.opaque[token]
	delete(is.opaque, token)
	is.mu.Unlock()
	if !ok {
		is.t.Fatalf("mcpauthtest: RevokeToken: not an opaque token of this issuer, or revoked already; for JWTs use mcpauth.Config.Revoked")
	}
}

// introspect is the endpoint of RFC 7662, Section 2. It tells nobody but its client.
func (is *Issuer) introspect(r *http.Request, h Hostility) (int, map[string]any) {
	id, secret, _ := r.BasicAuth()
	if id != introspectionClient || subtle.ConstantTimeCompare([]byte(secret), []byte(is.secret)) == 0 {
		return http.StatusUnauthorized, map[string]any{"error": "invalid_client"}
	}
	r.Body = http.MaxBytesReader(nil, r.Body, maxTokenBody)
	if r.Method != http.MethodPost || r.ParseForm() != nil || len(r.PostForm["token"]) != 1 {
		return http.StatusBadRequest, map[string]any{"error": "invalid_request"}
	}
	is.mu.Lock()
	claims := maps.Clone(is.opaque[r.PostForm.Get("token")])
	is.mu.Unlock()
	if exp, ok := claims["exp"].(int64); claims == nil || ok && is.now().Unix() >= exp {
		return http.StatusOK, map[string]any{"active": false} // Section 2.2
	}
	if h == WrongIssuer {
		claims["iss"] = "https://evil.example"
	}
	return http.StatusOK, claims
}
