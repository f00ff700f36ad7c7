package devas_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

const (
	agentID     = "agent"
	agentSecret = "agent-secret"
	keyAgentID  = "key-agent"
)

func credentials(changes ...string) url.Values {
	q := url.Values{"grant_type": {"client_credentials"}, "resource": {resource}, "scope": {"notes:read notes:write"}}
	change(q, changes)
	return q
}

// withAgents adds an agent with a secret, which may only read, and one with a key.
func withAgents(key *prover) func(*devas.Config) {
	return func(c *devas.Config) {
		jwks, _ := json.Marshal(map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "x": key.jwk["x"], "y": key.jwk["y"], "kid": "k", "alg": "ES256", "use": "sig"}}})
		c.Clients = append(c.Clients,
			devas.Client{ID: agentID, Secret: agentSecret, Agent: true, Scopes: []string{"notes:read"}, Roles: []string{"robot"}},
			devas.Client{ID: keyAgentID, JWKS: string(jwks), Agent: true, AllScopes: true})
	}
}

// assert makes the form fields of a client assertion. Changes are pairs of a claim's name and value.
func assert(t *testing.T, key *ecdsa.PrivateKey, form url.Values, id, aud string, changes ...any) url.Values {
	t.Helper()
	claims := map[string]any{"iss": id, "sub": id, "aud": aud, "jti": rand.Text(), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix()}
	for i := 0; i < len(changes); i += 2 {
		claims[changes[i].(string)] = changes[i+1]
	}
	form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
	form.Set("client_assertion", signES256(t, key, map[string]any{"alg": "ES256", "kid": "k", "typ": "JWT"}, claims))
	return form
}

func TestAS05_ClientCredentials(t *testing.T) {
	key := newProver(&env{t: t})
	e := start(t, withAgents(key))
	agent := basic(agentID, agentSecret)

	require.Contains(t, e.get("/.well-known/oauth-authorization-server").JSON["grant_types_supported"], "client_credentials")

	a := e.post("/token", credentials(), agent)
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.NotContains(t, a.JSON, "refresh_token")
	require.Equal(t, "notes:read", a.str("scope"), "bounded by what the client may have")
	header, claims := decode(t, a.str("access_token"))
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, agentID, claims["sub"])
	require.Equal(t, agentID, claims["client_id"])
	require.Equal(t, resource, claims["aud"])
	require.Equal(t, "notes:read", claims["scope"])
	require.Equal(t, []any{"robot"}, claims["roles"])
	require.Equal(t, true, e.introspect(a.str("access_token")).JSON["active"])

	t.Run("AS-05 private_key_jwt, audience issuer or token endpoint", func(t *testing.T) {
		for _, aud := range []string{e.issuer, e.issuer + "/token"} {
			b := e.token(assert(t, key.key, credentials(), keyAgentID, aud))
			require.Equal(t, http.StatusOK, b.Status, b.Raw)
			require.Equal(t, "notes:read notes:write", b.str("scope"))
		}
	})
	t.Run("AS-35 client assertions that are refused", func(t *testing.T) {
		stranger := newProver(e)
		once := assert(t, key.key, credentials(), keyAgentID, e.issuer)
		require.Equal(t, http.StatusOK, e.token(once).Status)
		for name, form := range map[string]url.Values{
			"used before":       once,
			"another key":       assert(t, stranger.key, credentials(), keyAgentID, e.issuer),
			"another audience":  assert(t, key.key, credentials(), keyAgentID, "https://other.example"),
			"expired":           assert(t, key.key, credentials(), keyAgentID, e.issuer, "exp", time.Now().Add(-time.Minute).Unix()),
			"no exp":            assert(t, key.key, credentials(), keyAgentID, e.issuer, "exp", nil),
			"another sub":       assert(t, key.key, credentials(), keyAgentID, e.issuer, "sub", agentID),
			"for a secret":      assert(t, key.key, credentials(), agentID, e.issuer),
			"client_id differs": assert(t, key.key, credentials("client_id", agentID), keyAgentID, e.issuer),
			"no type": func() url.Values {
				f := assert(t, key.key, credentials(), keyAgentID, e.issuer)
				f.Del("client_assertion_type")
				return f
			}(),
		} {
			t.Run(name, func(t *testing.T) { requireError(t, e.token(form), http.StatusUnauthorized, "invalid_client") })
		}
		both := assert(t, key.key, credentials(), keyAgentID, e.issuer)
		requireError(t, e.post("/token", both, basic(keyAgentID, "x")), http.StatusBadRequest, "invalid_request")
		both.Set("client_secret", "x")
		requireError(t, e.token(both), http.StatusBadRequest, "invalid_request")
	})
	t.Run("AS-05 confidential clients that are agents only", func(t *testing.T) {
		requireError(t, e.token(credentials("client_id", e.newClient())), http.StatusBadRequest, "unauthorized_client")
		requireError(t, e.post("/token", credentials(), basic(confID, confSecret)), http.StatusBadRequest, "unauthorized_client")
		requireError(t, e.token(credentials("client_id", agentID)), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.post("/token", credentials(), basic(agentID, "wrong")), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.register(`{"redirect_uris":["`+callback+`"],"grant_types":["authorization_code","client_credentials"],"token_endpoint_auth_method":"client_secret_basic"}`), http.StatusBadRequest, "invalid_client_metadata")
		off := start(t)
		requireError(t, off.post("/token", credentials(), basic(confID, confSecret)), http.StatusBadRequest, "unsupported_grant_type")
	})
	t.Run("AS-05 an agent cannot use the authorization endpoint", func(t *testing.T) {
		_, err := e.authorize(request(agentID), asDev)
		require.Error(t, err)
	})
	t.Run("AS-13 resource and scope", func(t *testing.T) {
		requireError(t, e.post("/token", credentials("resource", "https://unknown.example"), agent), http.StatusBadRequest, "invalid_target")
		requireError(t, e.post("/token", credentials("scope", "notes:write"), agent), http.StatusBadRequest, "invalid_scope")
		requireError(t, e.post("/token", credentials("scope", "unknown"), agent), http.StatusBadRequest, "invalid_scope")
		b := e.post("/token", credentials("resource", resource+"/", "scope", "-"), agent)
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
		require.Equal(t, "notes:read", b.str("scope"))
		b = e.post("/token", credentials("resource", "-"), agent)
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
		require.Contains(t, e.log.String(), "open mode")

		two := start(t, withAgents(key), withSecond)
		requireError(t, two.post("/token", credentials("resource", "-"), agent), http.StatusBadRequest, "invalid_target")
		both := credentials()
		both["resource"] = []string{resource, secondRes}
		requireError(t, two.post("/token", both, agent), http.StatusBadRequest, "invalid_target")

		hard := start(t, withAgents(key), strict)
		requireError(t, hard.post("/token", credentials("resource", "-"), agent), http.StatusBadRequest, "invalid_target")
		requireError(t, hard.post("/token", credentials("scope", "-"), agent), http.StatusBadRequest, "invalid_scope")
		require.Equal(t, http.StatusOK, hard.post("/token", credentials(), agent).Status)
	})
	t.Run("AS-24 a bound token for an agent", func(t *testing.T) {
		p := newProver(e)
		h := basic(agentID, agentSecret)
		h.Set("DPoP", p.proof())
		requireBound(t, e.post("/token", credentials(), h), p)
	})
	t.Run("administrators narrow, shut out and revoke an agent", func(t *testing.T) {
		ada := devas.User{Name: "ada"}
		require.NoError(t, e.srv.Forbid(ada, agentID, resource))
		requireError(t, e.post("/token", credentials(), agent), http.StatusBadRequest, "invalid_scope")
		require.NoError(t, e.srv.Permit(ada, agentID, resource, []string{"notes:write"}))
		require.Equal(t, "notes:write", e.post("/token", credentials(), agent).str("scope"))
		require.NoError(t, e.srv.ClearPermission(ada, agentID, resource))
		require.Equal(t, "notes:read", e.post("/token", credentials(), agent).str("scope"))

		require.Positive(t, e.srv.RevokeGrants(ada, devas.GrantKey{User: agentID, Client: agentID, Server: resource}))
		require.Equal(t, false, e.introspect(a.str("access_token")).JSON["active"])
	})
	t.Run("RFC 9068, Section 5: sub of an agent is nobody else's", func(t *testing.T) {
		_, err := devas.New(devas.Config{Issuer: "http://127.0.0.1:1", Resources: []devas.Resource{notes()}, Clients: []devas.Client{
			{ID: "uma", Secret: "s"}, {ID: "dev", Secret: "s", Agent: true}}})
		require.ErrorContains(t, err, `Clients[1].ID "dev" is the name of a user`)
		require.NotContains(t, err.Error(), "Clients[0]", "it gets no token for itself")

		// Nobody else becomes an agent: not by registration, see above, and not by a document, whatever it says.
		p := newPublisher(t)
		p.set("grant_types", []string{"authorization_code", "client_credentials"})
		p.set("token_endpoint_auth_method", "private_key_jwt")
		p.set("jwks", map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "x": key.jwk["x"], "y": key.jwk["y"], "kid": "k", "use": "sig", "alg": "ES256"}}})
		e := start(t, withAgents(key), p.trusted)
		e.code(request(p.id()), asDev)
		requireError(t, e.token(assert(t, key.key, credentials(), p.id(), e.issuer)), http.StatusBadRequest, "unauthorized_client")
	})
	t.Run("mistakes in the configuration", func(t *testing.T) {
		_, err := devas.New(devas.Config{Issuer: "http://127.0.0.1:1", Resources: []devas.Resource{notes()}, Clients: []devas.Client{
			{ID: "a", Agent: true}, {ID: "b", Secret: "s", JWKS: "{}"}, {ID: "c", Roles: []string{"r"}}}})
		for _, want := range []string{"Clients[0].Agent", "Clients[1] has a Secret and a JWKS", "Clients[1].JWKS", "Clients[2].Roles"} {
			require.ErrorContains(t, err, want)
		}
	})
}
