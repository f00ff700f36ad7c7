package devas_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func listenEverywhere() (net.Listener, error) { return net.Listen("tcp", "0.0.0.0:0") }

func newStore() *devas.Store { return devas.NewStore(time.Now, "a b openid") }

func later() int { return int(time.Now().Add(time.Hour).Unix()) }

func TestStoreKeepsAndReturnsCopies(t *testing.T) {
	s, ctx := newStore(), context.Background()
	as := &goidc.AuthnSession{ID: "s", Status: goidc.StatusPending, ExpiresAt: later(), Store: map[string]any{"k": "v"}}
	as.Resources = goidc.Resources{"r"}
	require.NoError(t, s.SaveSession(ctx, as))
	as.Store["k"], as.Resources[0] = "changed", "changed"
	got, err := s.Session(ctx, "s")
	require.NoError(t, err)
	require.Equal(t, "v", got.Store["k"])
	require.Equal(t, goidc.Resources{"r"}, got.Resources)
	got.Store["k"] = "changed"
	again, _ := s.Session(ctx, "s")
	require.Equal(t, "v", again.Store["k"])

	g := &goidc.Grant{ID: "g", Store: map[string]any{"k": "v"}, Resources: goidc.Resources{"r"}}
	require.NoError(t, s.SaveGrant(ctx, g))
	g.Store["k"], g.Resources[0] = "changed", "changed"
	kept, err := s.Grant(ctx, "g")
	require.NoError(t, err)
	require.Equal(t, "v", kept.Store["k"])
	require.Equal(t, goidc.Resources{"r"}, kept.Resources)

	c := &goidc.Client{ID: "c", ClientMeta: goidc.ClientMeta{RedirectURIs: []string{"https://a/"}}}
	require.NoError(t, s.SaveClient(ctx, c))
	c.RedirectURIs[0] = "changed"
	stored, err := s.Client(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, []string{"https://a/"}, stored.RedirectURIs)
}

func TestStoreNeverUndoesARevocation(t *testing.T) {
	s, ctx := newStore(), context.Background()
	require.NoError(t, s.SaveGrant(ctx, &goidc.Grant{ID: "g", RefreshToken: "one"}))
	stale, err := s.GrantByRefreshToken(devas.AtToken(), "one")
	require.NoError(t, err)
	require.NoError(t, s.SaveGrant(ctx, &goidc.Grant{ID: "g", RefreshToken: "two"}))
	_, err = s.GrantByRefreshToken(devas.AtToken(), "one") // spent: revokes
	require.ErrorIs(t, err, goidc.ErrNotFound)
	require.NoError(t, s.SaveGrant(ctx, stale))
	g, err := s.Grant(ctx, "g")
	require.NoError(t, err)
	require.NotZero(t, g.RevokedAt)
}

func TestStoreDecidesASessionOnce(t *testing.T) {
	s, ctx := newStore(), context.Background()
	as := goidc.AuthnSession{ID: "s", Status: goidc.StatusPending, ExpiresAt: later()}
	require.NoError(t, s.SaveSession(ctx, &as))
	done := as
	done.Status = goidc.StatusSuccess
	require.NoError(t, s.SaveSession(ctx, &done))
	require.ErrorIs(t, s.SaveSession(ctx, &done), devas.ErrGone)
	require.NoError(t, s.SaveSession(ctx, &as), "a late page is ignored")
	_, err := s.Session(ctx, "s")
	require.ErrorIs(t, err, devas.ErrGone)
	require.NotErrorIs(t, err, goidc.ErrNotFound)
}

func TestStoreIsBounded(t *testing.T) {
	s, ctx := newStore(), context.Background()
	for i := range devas.MaxClients + 10 {
		require.NoError(t, s.SaveClient(ctx, &goidc.Client{ID: fmt.Sprint(i)}))
		require.NoError(t, s.SaveSession(ctx, &goidc.AuthnSession{ID: fmt.Sprint(i), Status: goidc.StatusPending, ExpiresAt: later()}))
	}
	clients, sessions := s.Lengths()
	require.Equal(t, devas.MaxClients, clients)
	require.Equal(t, devas.MaxSessions, sessions)
	_, err := s.Client(ctx, "0")
	require.ErrorIs(t, err, goidc.ErrNotFound, "the oldest went")
	_, err = s.Client(ctx, fmt.Sprint(devas.MaxClients+9))
	require.NoError(t, err)
}

func TestStoreHidesRefreshTokensFromIntrospection(t *testing.T) {
	s := newStore()
	require.NoError(t, s.SaveGrant(context.Background(), &goidc.Grant{ID: "g", RefreshToken: "one"}))
	_, err := s.GrantByRefreshToken(devas.AtIntrospect(), "one")
	require.ErrorIs(t, err, goidc.ErrNotFound)
	for _, empty := range []func() (*goidc.Grant, error){
		func() (*goidc.Grant, error) { return s.GrantByRefreshToken(devas.AtToken(), "") },
		func() (*goidc.Grant, error) { return s.GrantByAuthCode(devas.AtToken(), "") },
	} {
		_, err := empty()
		require.ErrorIs(t, err, goidc.ErrNotFound)
	}
}

func TestAS30_ADocumentIsGoodForItsOwnIDOnly(t *testing.T) {
	s := newStore()
	ctx := devas.WithDocument("https://app.example.com/a")
	c, err := s.Client(ctx, "https://app.example.com/a")
	require.NoError(t, err)
	require.Equal(t, "https://app.example.com/a", c.ID)
	_, err = s.Client(ctx, "https://app.example.com/b")
	require.ErrorIs(t, err, goidc.ErrNotFound)
	_, err = s.Client(ctx, "a")
	require.ErrorIs(t, err, goidc.ErrNotFound)
}
