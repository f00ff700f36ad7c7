package mcpauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// An entry whose list of issuers is there and empty matches at no issuer, so its application falls to "*" and
// gets past its own cap. A list that accepts nobody must be a mistake, as Issuer.ClientIDs makes it.
func TestClients_AnEmptyListOfIssuersLiftsTheCap(t *testing.T) {
	is := newIssuer(t)
	t.Run("Config", func(t *testing.T) {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Clients: map[string]mcpauth.ClientLimit{
			"app": {Issuers: []string{}, Scopes: []string{"files:read"}}, "*": {Unlimited: true},
		}})
		require.Error(t, err)
	})
	t.Run("file", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		err := auth.LoadPolicy([]byte(`{"version":1,"clients":{"app":{"issuers":[],"scopes":["files:read"]},"*":{"unlimited":true}}}`))
		if err == nil {
			p := principalOf(t, auth, is.scoped(t, "files:read files:purge"))
			require.Equal(t, []string{"files:read"}, p.Grant().Scopes(), "the cap of the application")
		}
		require.Error(t, err)
	})
}

// What a cap stands for must be found in the order in which what a caller holds is: the issuer's hierarchy first, then the
// file's ("after what Issuer.Grants says"). It is the other way round.
func TestClients_HierarchiesInTheSameOrder(t *testing.T) {
	is := newIssuer(t)
	setup := func(t *testing.T, issuers map[string][]string, file string) *mcpauth.Middleware {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Issuers[0].Grants.ScopeImplies = issuers })
		require.NoError(t, auth.LoadPolicy([]byte(file)))
		return auth
	}
	t.Run("less than the cap says", func(t *testing.T) {
		auth := setup(t, map[string][]string{"x": {"y"}}, `{"version":1,"scopes":{"x":{},"y":{"implies":["z"]},"z":{}},"clients":{"app":{"scopes":["x"]}}}`)
		require.Equal(t, []string{"x", "y", "z"}, principalOf(t, auth, is.scoped(t, "x")).Grant().Scopes())
	})
	t.Run("more than the cap says", func(t *testing.T) {
		auth := setup(t, map[string][]string{"y": {"z"}}, `{"version":1,"scopes":{"x":{"implies":["y"]},"y":{},"z":{}},"clients":{"app":{"scopes":["x"]}}}`)
		require.Equal(t, []string{"x", "y"}, principalOf(t, auth, is.scoped(t, "x")).Grant().Scopes(), "x stands for no more than this, by itself")
		require.NotContains(t, principalOf(t, auth, is.scoped(t, "x z")).Grant().Scopes(), "z", "so the cap x must not leave z")
	})
}

// Config is the caller's, and a later change to its slices must not change a cap at the next reload, unchecked.
func TestClients_AreCopied(t *testing.T) {
	is := newIssuer(t)
	list := []string{"files:read"}
	auth, _ := newAuth(t, is, withClients(map[string]mcpauth.ClientLimit{"app": {Scopes: list}}))
	list[0] = "files:purge"
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1}`)))
	require.Equal(t, []string{"files:read"}, principalOf(t, auth, is.scoped(t, "files:read files:purge")).Grant().Scopes())
}

// Check shows a Policy what counts; Shows and Visible show a ListPolicy what the credentials say.
func TestShows_ListPolicySeesWhatCounts(t *testing.T) {
	is := newIssuer(t)
	var seen []string
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:read"}}}
		cfg.ListPolicy = func(_ context.Context, c *mcpauth.Call) error { seen = c.Principal.Grant().Scopes(); return nil }
	})
	auth.RequireTool("look", scopes.Authenticated())
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: is.URL, Subject: "ada", ClientID: "app", Grant: scopes.NewGrant([]string{"files:read", "files:purge"}, nil)})
	require.True(t, auth.Visible(p, tool("look")))
	require.Equal(t, []string{"files:read"}, seen)
}

// RolePrefix is there so that a rule can tell the administrators of one issuer from those of another. Nothing refuses
// prefixes with which it cannot.
func TestRolePrefix_OfOneIssuerImitatesAnother(t *testing.T) {
	acme, other := newIssuer(t), newIssuer(t)
	for _, tt := range []struct{ prefix, role string }{{"", "acme/admin"}, {"ac", "me/admin"}} {
		auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Now: newClock().Now, Issuers: []mcpauth.Issuer{
			{URL: acme.URL, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}, RolePrefix: "acme/"}},
			{URL: other.URL, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}, RolePrefix: tt.prefix}},
		}})
		if err != nil {
			continue // the right answer
		}
		auth.RequireMethod("custom/x", scopes.Role("acme/admin"))
		w := serve(auth.Wrap(&spy{}), post(rpc("custom/x", nil), other.token(t, claims{"roles": []string{tt.role}})))
		require.Equal(t, http.StatusForbidden, w.Code, "a caller of the other issuer, with prefix %q, passes for an administrator of acme", tt.prefix)
	}
}
