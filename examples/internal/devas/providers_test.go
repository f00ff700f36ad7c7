package devas_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

func TestAS06_ScopeIsAnIntersection(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp), withSecond, func(c *devas.Config) {
		c.Resources = append(c.Resources, wiki())
	})
	for _, c := range []struct{ name, resource, asserted, requested, want string }{
		{"what was asserted", resource, "notes:read", "-", "notes:read"},
		{"less than that", resource, "notes:read notes:write", "notes:write", "notes:write"},
		{"more than that", resource, "notes:read", "notes:read notes:write", "notes:read"},
		{"something else", resource, "notes:read", "notes:write", ""},
		{"unknown ones on both sides", resource, "notes:read x", "notes:read x y", "notes:read"},
		{"of another resource", resource, "notes:read " + secondScope, secondScope, ""},
		{"of another resource, asserted for it alone", secondRes, "notes:read " + secondScope, "-", secondScope},
		{"openid and offline_access", resource, "openid offline_access notes:read", "openid offline_access notes:read", "notes:read"},
		{"of a role that nobody from there has", wikiID, "wiki:read wiki:write", "-", "wiki:read"},
		{"only that", wikiID, "wiki:write", "-", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := e.redeem(e.assertion(idp, "resource", c.resource, "scope", c.asserted), "scope", c.requested)
			if c.want == "" {
				requireError(t, a, http.StatusBadRequest, "invalid_scope")
				return
			}
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
			require.Equal(t, c.want, a.str("scope"))
			_, claims := decode(t, a.str("access_token"))
			require.Equal(t, c.want, claims["scope"])
			require.Equal(t, c.resource, claims["aud"])
			require.NotContains(t, a.JSON, "id_token")
		})
	}
	t.Run("administrators narrow the client", func(t *testing.T) {
		require.NoError(t, e.srv.Permit(ada, editorID, resource, []string{"notes:write"}))
		require.Equal(t, "notes:write", e.redeem(e.assertion(idp)).str("scope"))
		require.NoError(t, e.srv.Forbid(ada, editorID, resource))
		requireError(t, e.redeem(e.assertion(idp)), http.StatusBadRequest, "invalid_scope")
	})
	t.Run("roles of the provider", func(t *testing.T) {
		e := start(t, trusting(idp), func(c *devas.Config) {
			c.Resources = append(c.Resources, wiki())
			c.IdentityProviders[0].Roles = []string{devas.RoleAdmin, "staff"}
		})
		a := e.redeem(e.assertion(idp, "resource", wikiID, "scope", "wiki:read wiki:write"))
		require.Equal(t, "wiki:read wiki:write", a.str("scope"))
		_, claims := decode(t, a.str("access_token"))
		require.Equal(t, []any{devas.RoleAdmin, "staff"}, claims["roles"])

		none := start(t, trusting(idp), func(c *devas.Config) { c.IdentityProviders[0].Roles = []string{} })
		requireError(t, none.redeem(none.assertion(idp)), http.StatusBadRequest, "invalid_scope")
	})
}

func TestAS06_TheResourceIsTheAudience(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	const closed, listed, bare = "http://127.0.0.1:8003/mcp", "http://127.0.0.1:8004/mcp", "http://127.0.0.1:8005/mcp"
	e := start(t, trusting(idp), withSecond, func(c *devas.Config) {
		c.Resources = append(c.Resources,
			devas.Resource{Identifier: closed, Owner: "dev", Scopes: []devas.Scope{{Name: "a"}}},
			devas.Resource{Identifier: listed, Access: devas.AccessListed, Users: []string{"uma"}, Scopes: []devas.Scope{{Name: "b"}}},
			devas.Resource{Identifier: bare})
	})
	audience := func(a answer) any {
		t.Helper()
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		_, claims := decode(t, a.str("access_token"))
		return claims["aud"]
	}
	require.Equal(t, resource, audience(e.redeem(e.assertion(idp), "resource", resource)))
	require.Equal(t, resource, audience(e.redeem(e.assertion(idp), "resource", resource+"/")), "AS-13")
	require.Equal(t, resource, audience(e.redeem(e.assertion(idp, "resource", resource+"/"))), "AS-13")
	require.Equal(t, secondRes, audience(e.redeem(e.assertion(idp, "resource", secondRes, "scope", secondScope))))
	require.Equal(t, bare, audience(e.redeem(e.assertion(idp, "resource", bare, "scope", nil))))
	requireError(t, e.redeem(e.assertion(idp), "resource", secondRes), http.StatusBadRequest, "invalid_target")
	unknown := e.assertion(idp)
	e.requireRefused(e.redeem(unknown, "resource", "https://unknown.example"), unknown, "invalid_target", "another resource than the request")
	both := redemption(e.assertion(idp))
	both["resource"] = []string{resource, secondRes}
	requireError(t, e.post("/token", both, basic(editorID, editorSecret)), http.StatusBadRequest, "invalid_target")

	// Servers that are not for everyone are for users of this server, whom no provider can name.
	for _, who := range []string{employee, "dev", "uma"} {
		requireError(t, e.redeem(e.assertion(idp, "sub", who, "resource", closed, "scope", "a")), http.StatusBadRequest, "invalid_grant")
		requireError(t, e.redeem(e.assertion(idp, "sub", who, "resource", listed, "scope", "b")), http.StatusBadRequest, "invalid_grant")
	}
	require.NoError(t, e.srv.Forbid(ada, editorID, bare))
	requireError(t, e.redeem(e.assertion(idp, "resource", bare, "scope", nil)), http.StatusBadRequest, "invalid_target")
}

func TestAS06_NobodyIsTakenForAnother(t *testing.T) {
	idp, other := mcpauthtest.NewIssuer(t, ""), mcpauthtest.NewIssuer(t, "")
	key := newProver(&env{t: t})
	e := start(t, trusting(idp, other), withAgents(key))
	subject := func(a answer) string {
		t.Helper()
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		_, claims := decode(t, a.str("access_token"))
		require.Equal(t, []any{devas.RoleUser}, claims["roles"])
		return claims["sub"].(string)
	}
	require.Equal(t, idp.URL+"#ada", subject(e.redeem(e.assertion(idp, "sub", "ada"))))
	require.Equal(t, other.URL+"#ada", subject(e.redeem(e.assertion(other, "sub", "ada"))))
	require.Equal(t, idp.URL+"#"+editorID, subject(e.redeem(e.assertion(idp, "sub", editorID))))
	require.Equal(t, idp.URL+"#"+agentID, subject(e.redeem(e.assertion(idp, "sub", agentID))))
	// A provider cannot speak of another one's people, whatever it writes.
	require.Equal(t, idp.URL+"#"+other.URL+"#ada", subject(e.redeem(e.assertion(idp, "sub", other.URL+"#ada"))))
}

func TestAS06_DPoP(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp))
	p, q := newProver(e), newProver(e)
	with := func(p *prover) http.Header {
		h := basic(editorID, editorSecret)
		h.Set("DPoP", p.proof())
		return h
	}
	requireBound(t, e.post("/token", redemption(e.assertion(idp)), with(p)), p)
	bound := e.assertion(idp, "cnf", map[string]any{"jkt": p.thumbprint()})
	e.requireRefused(e.redeem(bound), bound, "invalid_grant", "bound to a key")
	e.requireRefused(e.post("/token", redemption(bound), with(q)), bound, "invalid_grant", "bound to a key")
	requireBound(t, e.post("/token", redemption(bound), with(p)), p)
}

func TestAS06_OutagesAndNewKeys(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp))
	idp.Down()
	kept := e.assertion(idp)
	a := e.redeem(kept)
	requireError(t, a, http.StatusServiceUnavailable, "temporarily_unavailable")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	idp.Up()
	e.clock.Advance(20 * time.Second)
	require.Equal(t, http.StatusOK, e.redeem(kept).Status, "an outage uses nothing up")

	idp.Rotate()
	e.clock.Advance(20 * time.Second)
	require.Equal(t, http.StatusOK, e.redeem(e.assertion(idp)).Status, "a new key under a new kid")
	require.Equal(t, http.StatusOK, e.redeem(e.assertion(idp, "header.kid", nil)).Status, "no kid")
	idp.Rotate()
	e.clock.Advance(20 * time.Second)
	require.Equal(t, http.StatusOK, e.redeem(e.assertion(idp, "header.kid", nil)).Status, "no kid, and a new key")
}

func TestAS06_MistakesInTheConfiguration(t *testing.T) {
	cfg := func(change func(*devas.Config)) error {
		c := devas.Config{Issuer: "http://127.0.0.1:1", Resources: []devas.Resource{notes()},
			Clients:           []devas.Client{{ID: "a", Secret: "s", Assertions: true}},
			IdentityProviders: []devas.IdentityProvider{{Issuer: "https://idp.example"}}}
		change(&c)
		_, err := devas.New(c)
		return err
	}
	require.NoError(t, cfg(func(*devas.Config) {}))
	for want, change := range map[string]func(*devas.Config){
		"https":                    func(c *devas.Config) { c.IdentityProviders[0].Issuer = "http://idp.example" },
		"a host is missing":        func(c *devas.Config) { c.IdentityProviders[0].Issuer = "https:" },
		"fragment":                 func(c *devas.Config) { c.IdentityProviders[0].Issuer = "https://idp.example#x" },
		"without query":            func(c *devas.Config) { c.IdentityProviders[0].Issuer = "https://idp.example?a=b" },
		"well-known":               func(c *devas.Config) { c.IdentityProviders[0].Issuer += "/.well-known/openid-configuration" },
		"this server itself":       func(c *devas.Config) { c.IdentityProviders[0].Issuer = c.Issuer },
		"listed twice":             func(c *devas.Config) { c.IdentityProviders = append(c.IdentityProviders, c.IdentityProviders[0]) },
		"JWKSURI":                  func(c *devas.Config) { c.IdentityProviders[0].JWKSURI = "http://idp.example/jwks" },
		"no client has Assertions": func(c *devas.Config) { c.Clients[0].Assertions = false },
		"confidential clients":     func(c *devas.Config) { c.Clients[0].Secret = "" },
		"none would be accepted":   func(c *devas.Config) { c.IdentityProviders = nil },
		"user or an agent":         func(c *devas.Config) { c.Users = []devas.User{{Name: "https://idp.example#ada"}} },
		`"https://idp.example#a"`: func(c *devas.Config) {
			c.Clients = append(c.Clients, devas.Client{ID: "https://idp.example#a", Secret: "s", Agent: true})
		},
	} {
		t.Run(want, func(t *testing.T) { require.ErrorContains(t, cfg(change), want) })
	}
}
