package devas_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func opaque(c *devas.Config) { c.Resources[0].OpaqueTokens = true }

func TestAS03_OpaqueAccessTokens(t *testing.T) {
	e := start(t, opaque, withSecond)
	id, a := e.tokens("dev")
	token := a.str("access_token")
	require.NotContains(t, token, ".")
	require.GreaterOrEqual(t, len(token), 32)
	require.Equal(t, "Bearer", a.str("token_type"))

	i := e.introspect(token)
	require.Equal(t, true, i.JSON["active"], i.Raw)
	require.Equal(t, e.issuer, i.str("iss"))
	require.Equal(t, "dev", i.str("sub"))
	require.Equal(t, resource, i.str("aud"))
	require.Equal(t, id, i.str("client_id"))
	require.Equal(t, "notes:read notes:write", i.str("scope"))
	require.Equal(t, []any{"developer"}, i.JSON["roles"])
	require.NotContains(t, i.JSON, "cnf")

	t.Run("AS-03 per resource: the other one gets JWTs", func(t *testing.T) {
		b := e.token(exchange(id, e.code(request(id, "resource", secondRes, "scope", secondScope), asDev), "resource", secondRes))
		require.Equal(t, 2, strings.Count(b.str("access_token"), "."))
	})
	t.Run("AS-24 bound to a key", func(t *testing.T) {
		p := newProver(e)
		b := e.post("/token", exchange(id, e.code(request(id), asDev)), p.header())
		require.Equal(t, "DPoP", b.str("token_type"))
		i := e.introspect(b.str("access_token"))
		require.Equal(t, "DPoP", i.str("token_type"))
		require.Equal(t, map[string]any{"jkt": p.thumbprint()}, i.JSON["cnf"])
	})
	t.Run("AS-25 unknown ones, and the digest of one, are inactive", func(t *testing.T) {
		for _, other := range []string{"x", token + "x", token[1:], "sha256:" + token} {
			require.Equal(t, map[string]any{"active": false}, e.introspect(other).JSON)
		}
	})
	t.Run("AS-25 revoked with its grant", func(t *testing.T) {
		_, b := e.tokens("uma")
		require.Equal(t, http.StatusOK, e.post("/revoke", url.Values{"token": {b.str("access_token")}, "client_id": {id}}, nil).Status)
		require.Equal(t, true, e.introspect(b.str("access_token")).JSON["active"], "another client's token")
		require.NotEmpty(t, e.srv.Grants())
		for _, g := range e.srv.Grants() {
			if g.User == "uma" {
				require.Equal(t, 1, e.srv.RevokeGrants(devas.User{Name: "ada"}, g.GrantKey))
			}
		}
		require.Equal(t, map[string]any{"active": false}, e.introspect(b.str("access_token")).JSON)
		require.Equal(t, http.StatusOK, e.post("/revoke", url.Values{"token": {token}, "client_id": {id}}, nil).Status)
		require.Equal(t, map[string]any{"active": false}, e.introspect(token).JSON)
	})
	t.Run("AS-03 it expires", func(t *testing.T) {
		_, b := e.tokens("dev")
		e.clock.Advance(6 * time.Minute)
		require.Equal(t, map[string]any{"active": false}, e.introspect(b.str("access_token")).JSON)
	})
}

func TestOpaqueTokensAreBoundedAndKeptAsDigests(t *testing.T) {
	s, ctx := newStore(), context.Background()
	for i := range devas.MaxTokens + 10 {
		require.NoError(t, s.SaveToken(ctx, &goidc.Token{ID: fmt.Sprint("token-", i), ExpiresAt: later() + i}))
	}
	_, err := s.Token(ctx, "token-0")
	require.ErrorIs(t, err, goidc.ErrNotFound, "the one that expires first goes")
	kept, err := s.Token(ctx, fmt.Sprint("token-", devas.MaxTokens))
	require.NoError(t, err)
	require.NotContains(t, kept.ID, "token-")
	_, err = s.Token(ctx, kept.ID)
	require.ErrorIs(t, err, goidc.ErrNotFound, "a digest opens nothing")
}
