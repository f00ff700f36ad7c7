package devas_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func TestAS01_MetadataIsTheSameAtAllURLs(t *testing.T) {
	e := start(t)
	one := e.get("/.well-known/oauth-authorization-server")
	two := e.get("/.well-known/openid-configuration") // both OpenID forms, since the issuer has no path
	require.Equal(t, http.StatusOK, one.Status)
	require.Equal(t, one.Raw, two.Raw)
	require.Equal(t, e.issuer, one.str("issuer"))
	require.Equal(t, "application/json", one.Header.Get("Content-Type"))
	require.Equal(t, "*", one.Header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, http.StatusOK, e.send("HEAD", "/.well-known/oauth-authorization-server", nil, "").Status)
}

func TestAS02_MetadataMembers(t *testing.T) {
	e := start(t)
	m := e.get("/.well-known/oauth-authorization-server").JSON
	require.Equal(t, []any{"code"}, m["response_types_supported"])
	require.Equal(t, []any{"query"}, m["response_modes_supported"])
	require.Equal(t, []any{"authorization_code", "refresh_token"}, m["grant_types_supported"])
	require.Equal(t, []any{"S256"}, m["code_challenge_methods_supported"])
	require.Contains(t, m["token_endpoint_auth_methods_supported"], "none")
	require.NotContains(t, m["introspection_endpoint_auth_methods_supported"], "none")
	require.Equal(t, []any{"notes:read", "notes:write"}, m["scopes_supported"])
	require.Equal(t, true, m["authorization_response_iss_parameter_supported"])
	require.Equal(t, true, m["client_id_metadata_document_supported"])
	require.Equal(t, []any{resource}, m["protected_resources"])
	require.Equal(t, []any{"ES256", "ES384", "PS256", "RS256", "EdDSA"}, m["dpop_signing_alg_values_supported"])
	for member, path := range map[string]string{"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/jwks",
		"registration_endpoint": "/register", "introspection_endpoint": "/introspect", "revocation_endpoint": "/revoke"} {
		require.Equal(t, e.issuer+path, m[member])
	}
	off := start(t, func(c *devas.Config) { c.NoRegistration = true })
	require.NotContains(t, off.get("/.well-known/oauth-authorization-server").JSON, "registration_endpoint")
	require.Equal(t, http.StatusNotFound, off.register(`{"redirect_uris":["`+callback+`"]}`).Status)
}

func TestAS03_AccessToken(t *testing.T) {
	e := start(t)
	clientID, a := e.tokens("dev")
	require.Equal(t, "Bearer", a.str("token_type"))
	require.Equal(t, "notes:read notes:write", a.str("scope"))
	require.NotContains(t, a.JSON, "resources")
	require.NotContains(t, a.JSON, "id_token")

	header, claims := decode(t, a.str("access_token"))
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, "ES256", header["alg"])
	require.Equal(t, e.issuer, claims["iss"])
	require.Equal(t, "dev", claims["sub"])
	require.Equal(t, resource, claims["aud"])
	require.Equal(t, clientID, claims["client_id"])
	require.Equal(t, "notes:read notes:write", claims["scope"])
	require.Equal(t, []any{"developer"}, claims["roles"])
	require.NotEmpty(t, claims["jti"])
	life := claims["exp"].(float64) - claims["iat"].(float64)
	require.Equal(t, 300.0, life)
	require.Equal(t, 300.0, a.JSON["expires_in"])

	t.Run("signed with the published key, and only its public half is published", func(t *testing.T) {
		keys := e.get("/jwks").JSON["keys"].([]any)
		require.Len(t, keys, 1)
		jwk := keys[0].(map[string]any)
		require.Equal(t, header["kid"], jwk["kid"])
		require.NotContains(t, jwk, "d")
		verifyES256(t, a.str("access_token"), jwk)
	})
	t.Run("AS-04 keys are fresh per start", func(t *testing.T) {
		require.NotEqual(t, e.get("/jwks").Raw, start(t).get("/jwks").Raw)
	})
}

func verifyES256(t *testing.T, token string, jwk map[string]any) {
	t.Helper()
	n := func(name string) *big.Int {
		raw, err := base64.RawURLEncoding.DecodeString(jwk[name].(string))
		require.NoError(t, err)
		return new(big.Int).SetBytes(raw)
	}
	key := &ecdsa.PublicKey{Curve: elliptic.P256(), X: n("x"), Y: n("y")}
	cut := strings.LastIndex(token, ".")
	sig, err := base64.RawURLEncoding.DecodeString(token[cut+1:])
	require.NoError(t, err)
	require.Len(t, sig, 64)
	sum := sha256.Sum256([]byte(token[:cut]))
	require.True(t, ecdsa.Verify(key, sum[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])))
}

// The issued scope is requested ∩ resource ∩ client ∩ role ∩ ticked. Each case removes one scope by one term alone.
func TestIssuedScopeIsTheIntersectionOfAllTerms(t *testing.T) {
	both := "notes:read notes:write"
	cases := []struct {
		name     string
		clientID string // empty: a registered client, which may have everything
		scope    string
		decision browser.Decision
		option   func(*devas.Config)
		want     string
	}{
		{"no term narrows", "", both, browser.Decision{User: "dev"}, nil, both},
		{"term requested: only what was asked", "", "notes:read", browser.Decision{User: "dev"}, nil, "notes:read"},
		{"term resource: a scope of another resource falls away", "", "notes:read " + secondScope, browser.Decision{User: "dev"}, withSecond, "notes:read"},
		{"term client: its bound narrows", limitedID, both, browser.Decision{User: "dev"}, nil, "notes:read"},
		{"term role: read-only may not write", "", both, browser.Decision{User: "rio"}, nil, "notes:read"},
		{"term role: a role absent from the map has nothing, another role of the user still counts", "", both, browser.Decision{User: "two"}, func(c *devas.Config) {
			c.Users = []devas.User{{Name: "two", Roles: []string{"stranger", "writer"}}}
			c.RoleScopes = map[string][]string{"writer": {"notes:write"}}
		}, "notes:write"},
		{"AS-44 term decision: the user unticked one", "", both, browser.Decision{User: "dev", Scopes: []string{"notes:write"}}, nil, "notes:write"},
		{"AS-15 repetitions in the scope are dropped", "", "notes:write  notes:read notes:write", browser.Decision{User: "dev"}, nil, both},
		{"openid is narrowed away", "", "openid notes:read", browser.Decision{User: "dev"}, nil, "notes:read"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var options []func(*devas.Config)
			if c.option != nil {
				options = append(options, c.option)
			}
			e := start(t, options...)
			if c.clientID == "" {
				c.clientID = e.newClient()
			}
			a := e.token(exchange(c.clientID, e.code(request(c.clientID, "scope", c.scope), c.decision)))
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
			_, claims := decode(t, a.str("access_token"))
			require.Equal(t, c.want, claims["scope"])
			require.Equal(t, c.want, a.str("scope"), "AS-15: the token response names the narrowed scope")

			r := e.token(refresh(c.clientID, a.str("refresh_token")))
			require.Equal(t, c.want, r.str("scope"), "a refresh does not widen")
		})
	}
	t.Run("a scope that the page did not offer is not granted when the form is forged", func(t *testing.T) {
		e := start(t)
		b, p := e.consentPage(e.newClient(), "rio")
		done, err := b.Submit(t.Context(), p, decisionForm(t, p), map[string][]string{"decision": {"approve"}, "scope": {"notes:write", "notes:read"}})
		require.NoError(t, err)
		code := b.arrive(e, done).Get("code")
		require.NotEmpty(t, code)
		a := e.token(exchange(p.clientID, code))
		require.Equal(t, "notes:read", a.str("scope"))
	})
	t.Run("all unticked is a refusal, not an empty token", func(t *testing.T) {
		e := start(t)
		res, err := e.authorize(request(e.newClient()), browser.Decision{User: "dev", Scopes: []string{}})
		require.NoError(t, err)
		require.Equal(t, "access_denied", res.Error)
	})
	t.Run("nothing left by the client's bound is invalid_scope", func(t *testing.T) {
		e := start(t)
		res, err := e.authorize(request(limitedID, "scope", "notes:write"), browser.Decision{User: "dev"})
		require.NoError(t, err)
		require.Equal(t, "invalid_scope", res.Error)
	})
}

func TestRefreshTokenIsNotIssuedWhenNotRegistered(t *testing.T) {
	e := start(t)
	a := e.register(`{"redirect_uris":["` + callback + `"],"grant_types":["authorization_code"]}`)
	require.Equal(t, http.StatusCreated, a.Status)
	id := a.str("client_id")
	tok := e.token(exchange(id, e.code(request(id), browser.Decision{User: "dev"})))
	require.Equal(t, http.StatusOK, tok.Status)
	require.NotContains(t, tok.JSON, "refresh_token")
}

func TestTokenLifetimeIsConfigurableUpToTenMinutes(t *testing.T) {
	e := start(t, func(c *devas.Config) { c.TokenLifetime = 2 * time.Minute })
	_, a := e.tokens("dev")
	require.Equal(t, 120.0, a.JSON["expires_in"])
}
