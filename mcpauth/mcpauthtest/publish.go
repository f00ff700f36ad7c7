package mcpauthtest

import (
	"encoding/json"
	"net/http"
)

const (
	keysPath       = "/jwks"
	introspectPath = "/introspect"
	elsewherePath  = "/elsewhere"
)

// Fetches counts the requests that an issuer has got.
type Fetches struct {
	Metadata      int // of RFC 8414 or OpenID Connect Discovery
	Keys          int
	Introspection int
	Elsewhere     int // to where RedirectElsewhere leads: nobody should go there
}

// Fetches returns how often the issuer was asked so far, answered or not.
func (is *Issuer) Fetches() Fetches {
	is.mu.Lock()
	defer is.mu.Unlock()
	return is.fetches
}

// handler serves what an MCP server asks of an authorization server.
func (is *Issuer) handler() http.Handler {
	mux := http.NewServeMux()
	for _, name := range []string{"oauth-authorization-server", "openid-configuration"} {
		mux.HandleFunc("/.well-known/"+name, is.answering(func(f *Fetches) { f.Metadata++ }, is.metadata))
	}
	mux.HandleFunc(keysPath, is.answering(func(f *Fetches) { f.Keys++ }, is.keySet))
	mux.HandleFunc(introspectPath, is.answering(func(f *Fetches) { f.Introspection++ }, is.introspect))
	mux.HandleFunc(elsewherePath, func(w http.ResponseWriter, r *http.Request) {
		is.mu.Lock()
		is.fetches.Elsewhere++
		is.mu.Unlock()
		http.NotFound(w, r)
	})
	return mux
}

// A document is what an endpoint answers when nothing is wrong: a status and what becomes JSON.
type document func(r *http.Request, h Hostility) (status int, members map[string]any)

// metadata is a document of RFC 8414, Section 2, and of OpenID Connect Discovery 1.0, Section 3.
func (is *Issuer) metadata(_ *http.Request, h Hostility) (int, map[string]any) {
	base := is.server.URL
	out := map[string]any{
		"issuer": is.URL, "jwks_uri": base + keysPath, "introspection_endpoint": base + introspectPath,
		"introspection_endpoint_auth_methods_supported": []string{"client_secret_basic"},
		// Required, and answered 404: this issuer has no login.
		"authorization_endpoint": base + "/authorize", "token_endpoint": base + "/token",
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
		"subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{is.alg},
	}
	if h == WrongIssuer {
		out["issuer"] = "https://evil.example"
	}
	return http.StatusOK, out
}

// keySet is a document of RFC 7517, Section 5.
func (is *Issuer) keySet(_ *http.Request, h Hostility) (int, map[string]any) {
	is.mu.Lock()
	defer is.mu.Unlock()
	keys := []any{}
	if h != NoKeys {
		for _, key := range is.keys {
			jwk := map[string]any{"kid": key.id, "alg": key.Algorithm(), "use": "sig"}
			for name, value := range key.PublicJWK() {
				jwk[name] = value
			}
			keys = append(keys, jwk)
		}
	}
	return http.StatusOK, map[string]any{"keys": keys}
}

// answering counts a request and answers it as the test wants.
func (is *Issuer) answering(count func(*Fetches), doc document) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		is.mu.Lock()
		count(&is.fetches)
		is.mu.Unlock()
		hostile, ok := is.weather(w, r)
		if !ok {
			return
		}
		status, members := doc(r, hostile)
		text, err := json.Marshal(members)
		if err != nil { // claims that are no JSON
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		hostile.write(w, r, status, text)
	}
}
