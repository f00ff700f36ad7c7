package devas_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

const wikiID = "http://127.0.0.1:8002/mcp"

var ada = devas.User{Name: "ada", Roles: []string{devas.RoleAdmin}}

func wiki() devas.Resource {
	return devas.Resource{Identifier: wikiID, Name: "Wiki", Owner: "dev", Access: devas.AccessEveryone,
		Scopes: []devas.Scope{{Name: "wiki:read", Title: "Read"}, {Name: "wiki:write", Roles: []string{devas.RoleAdmin}}}}
}

// has reports whether the log has such an event; empty fields of want do not count.
func (e *env) has(want devas.Event) bool {
	return slices.ContainsFunc(e.srv.Events(), func(ev devas.Event) bool {
		return ev.Kind == want.Kind && ev.OK == want.OK && (want.User == "" || ev.User == want.User) && (want.Client == "" || ev.Client == want.Client) &&
			(want.Server == "" || ev.Server == want.Server) && (want.Scope == "" || ev.Scope == want.Scope)
	})
}

func (e *env) requireEvent(want devas.Event) {
	e.t.Helper()
	require.True(e.t, e.has(want), "no event %+v in %+v", want, e.srv.Events())
}

// wikiTokens runs the flow for the wiki.
func (e *env) wikiTokens(id, user, scope string) answer {
	e.t.Helper()
	code := e.code(request(id, "resource", wikiID, "scope", scope), browser.Decision{User: user})
	return e.token(exchange(id, code, "resource", wikiID))
}

// refused runs the authorization of a user who has no access to the end, and returns the page.
func (e *env) refused(q url.Values, user string) *browser.Page {
	e.t.Helper()
	b := &consenting{browser.New()}
	p := b.signIn(e, b.open(e, e.issuer+"/authorize?"+q.Encode()), user)
	require.Equal(e.t, http.StatusForbidden, p.Status, p.Body)
	return p
}

func TestServersCanBeAddedChangedAndRemovedWhileTheServerRuns(t *testing.T) {
	e := start(t)
	id := e.newClient()
	res, err := e.authorize(request(id, "resource", wikiID, "scope", "wiki:read"), asDev)
	require.NoError(t, err)
	require.Equal(t, "invalid_scope", res.Error, "the server knows neither resource nor scope yet")

	require.NoError(t, e.srv.SaveServer(ada, wiki()))
	m := e.get("/.well-known/oauth-authorization-server").JSON
	require.Equal(t, []any{resource, wikiID}, m["protected_resources"])
	require.Equal(t, []any{"notes:read", "notes:write", "wiki:read", "wiki:write"}, m["scopes_supported"])
	a := e.wikiTokens(id, "dev", "wiki:read wiki:write")
	require.Equal(t, "wiki:read", a.str("scope"), "wiki:write is for administrators")
	_, claims := decode(t, a.str("access_token"))
	require.Equal(t, wikiID, claims["aud"])
	require.Equal(t, "wiki:read wiki:write", e.wikiTokens(id, "ada", "wiki:read wiki:write").str("scope"))
	require.Equal(t, "wiki:read", e.wikiTokens(id, "rio", "wiki:read wiki:write").str("scope"))

	t.Run("what was issued before still works", func(t *testing.T) {
		require.Equal(t, true, e.introspect(a.str("access_token")).JSON["active"])
	})
	t.Run("a change counts at the next refresh: scope", func(t *testing.T) {
		b := e.wikiTokens(id, "ada", "wiki:read wiki:write")
		w := wiki()
		w.Scopes = w.Scopes[:1]
		require.NoError(t, e.srv.SaveServer(ada, w))
		c := e.token(refresh(id, b.str("refresh_token")))
		require.Equal(t, http.StatusOK, c.Status, c.Raw)
		require.Equal(t, "wiki:read", c.str("scope"))
		require.NoError(t, e.srv.SaveServer(ada, wiki()))
		c = e.token(refresh(id, c.str("refresh_token")))
		require.Equal(t, "wiki:read wiki:write", c.str("scope"), "the grant itself was not narrowed")
	})
	t.Run("a change counts at the next refresh: access", func(t *testing.T) {
		b := e.wikiTokens(id, "uma", "wiki:read")
		w := wiki()
		w.Access = devas.AccessOwner
		require.NoError(t, e.srv.SaveServer(ada, w))
		requireError(t, e.token(refresh(id, b.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		require.NoError(t, e.srv.SaveServer(ada, wiki()))
		require.Equal(t, http.StatusOK, e.token(refresh(id, b.str("refresh_token"))).Status)
	})
	t.Run("opaque tokens from now on", func(t *testing.T) {
		w := wiki()
		w.OpaqueTokens = true
		require.NoError(t, e.srv.SaveServer(ada, w))
		require.NotContains(t, e.wikiTokens(id, "dev", "wiki:read").str("access_token"), ".")
	})
	t.Run("removing it ends its grants and requests", func(t *testing.T) {
		b, page := e.consentPage(id, "dev", "resource", wikiID, "scope", "wiki:read")
		c := e.wikiTokens(id, "dev", "wiki:read")
		require.NoError(t, e.srv.RemoveServer(ada, wikiID))
		require.Equal(t, false, e.introspect(c.str("access_token")).JSON["active"])
		requireError(t, e.token(refresh(id, c.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		after, err := b.Submit(t.Context(), page, decisionForm(t, page), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, after.Status)
		for _, g := range e.srv.Grants() {
			require.NotEqual(t, wikiID, g.Server)
		}
		require.NoError(t, e.srv.SaveServer(ada, wiki()))
		requireError(t, e.token(refresh(id, c.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	})
	e.requireEvent(devas.Event{Kind: devas.EventServerSaved, OK: true, User: "ada", Server: wikiID})
	e.requireEvent(devas.Event{Kind: devas.EventServerRemoved, OK: true, User: "ada", Server: wikiID})

	t.Run("mistakes, all at once", func(t *testing.T) {
		err := e.srv.SaveServer(ada, devas.Resource{Identifier: "mcp#f", Owner: "nobody", Users: []string{"no-one"}, Access: "some",
			Scopes: []devas.Scope{{Name: "a b"}, {Name: "x"}, {Name: "x"}, {Name: "openid"}}})
		for _, want := range []string{"Identifier", "Owner", "no-one", `"some"`, `"a b"`, `"x" is there twice`, `"openid"`} {
			require.ErrorContains(t, err, want)
		}
		require.Error(t, e.srv.SaveServer(ada, devas.Resource{Identifier: wikiID, Access: devas.AccessOwner}))
		require.Error(t, e.srv.SaveServer(ada, devas.Resource{Identifier: wikiID, Name: "\xff"}))
		require.ErrorContains(t, e.srv.SaveServer(ada, devas.Resource{Identifier: wikiID + "/"}), "last slash")
		require.ErrorContains(t, e.srv.SaveServer(ada, notes()), "configured")
		require.ErrorContains(t, e.srv.RemoveServer(ada, resource), "configured")
		require.Error(t, e.srv.RemoveServer(ada, "http://unknown.example"))
	})
	t.Run("what is returned is a copy", func(t *testing.T) {
		list := e.srv.Servers()
		list[1].Scopes[0].Name, list[1].Scopes[1].Roles[0] = "changed", "changed"
		again := e.srv.Servers()
		require.Equal(t, "wiki:read", again[1].Scopes[0].Name)
		require.Equal(t, devas.RoleAdmin, again[1].Scopes[1].Roles[0])
		require.True(t, again[0].Configured)
		require.False(t, again[1].Configured)
	})
}

func TestAS63_WhoMayUseAServer(t *testing.T) {
	e := start(t)
	id := e.newClient()
	for _, c := range []struct {
		name   string
		change func(*devas.Resource)
		may    []string
		mayNot []string
	}{
		{"everyone", func(r *devas.Resource) { r.Access = devas.AccessEveryone }, []string{"dev", "uma", "ada", "rio"}, nil},
		{"the owner, administrators included in nothing", func(r *devas.Resource) { r.Access = devas.AccessOwner }, []string{"dev"}, []string{"uma", "ada"}},
		{"unsaid means the owner where there is one", func(r *devas.Resource) { r.Access = "" }, []string{"dev"}, []string{"uma"}},
		{"unsaid means everyone where there is none", func(r *devas.Resource) { r.Access, r.Owner = "", "" }, []string{"uma", "dev"}, nil},
		{"a list, and the owner", func(r *devas.Resource) { r.Access, r.Users = devas.AccessListed, []string{"uma"} }, []string{"uma", "dev"}, []string{"rio", "ada"}},
	} {
		t.Run("AS-63 "+c.name, func(t *testing.T) {
			w := wiki()
			c.change(&w)
			require.NoError(t, e.srv.SaveServer(ada, w))
			for _, u := range c.may {
				require.Equal(t, "wiki:read", e.wikiTokens(id, u, "wiki:read").str("scope"), u)
			}
			for _, u := range c.mayNot {
				p := e.refused(request(id, "resource", wikiID, "scope", "wiki:read"), u)
				b := &consenting{browser.New()}
				q := request(id, "resource", wikiID, "scope", "wiki:read")
				open := &openPage{b.signIn(e, b.open(e, e.issuer+"/authorize?"+q.Encode()), u), id}
				require.Equal(t, p.Title(), open.Title())
				after, err := b.Submit(t.Context(), open, decisionForm(t, open), url.Values{"decision": {"approve"}, "scope": {"wiki:read"}})
				require.NoError(t, err)
				require.Equal(t, http.StatusForbidden, after.Status, "a forged approval")
				e.requireEvent(devas.Event{Kind: devas.EventConsentRefused, User: u, Client: id, Server: wikiID})
			}
		})
	}
}

func TestApplicationsArePermittedPerServer(t *testing.T) {
	full, read := "notes:read notes:write", []string{"notes:read"}
	for _, c := range []struct {
		name    string
		options []func(*devas.Config)
		permit  func(t *testing.T, s *devas.Server, id string)
		scope   string // empty: invalid_scope
	}{
		{"open mode: every scope", nil, nil, full},
		{"open mode: an explicit permission bounds", nil, func(t *testing.T, s *devas.Server, id string) { require.NoError(t, s.Permit(ada, id, resource, read)) }, "notes:read"},
		{"open mode: shut out", nil, func(t *testing.T, s *devas.Server, id string) { require.NoError(t, s.Forbid(ada, id, resource)) }, ""},
		{"open mode: shut out elsewhere", []func(*devas.Config){withSecond}, func(t *testing.T, s *devas.Server, id string) { require.NoError(t, s.Forbid(ada, id, secondRes)) }, full},
		{"strict: nothing until permitted", []func(*devas.Config){strict}, nil, ""},
		{"strict: permitted", []func(*devas.Config){strict}, func(t *testing.T, s *devas.Server, id string) { require.NoError(t, s.Permit(ada, id, resource, read)) }, "notes:read"},
		{"strict: permitted elsewhere", []func(*devas.Config){strict, withSecond}, func(t *testing.T, s *devas.Server, id string) {
			require.NoError(t, s.Permit(ada, id, secondRes, []string{secondScope}))
		}, ""},
		{"strict: taken back", []func(*devas.Config){strict}, func(t *testing.T, s *devas.Server, id string) {
			require.NoError(t, s.Permit(ada, id, resource, read))
			require.NoError(t, s.ClearPermission(ada, id, resource))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := start(t, c.options...)
			id := e.newClient()
			if c.permit != nil {
				c.permit(t, e.srv, id)
			}
			res, err := e.authorize(request(id), asDev)
			require.NoError(t, err)
			if c.scope == "" {
				require.Equal(t, "invalid_scope", res.Error)
				e.requireEvent(devas.Event{Kind: devas.EventConsentRefused, Client: id, Server: resource})
				return
			}
			require.Equal(t, c.scope, e.token(exchange(id, res.Code)).str("scope"))
		})
	}
	t.Run("a permission that ends between page and decision", func(t *testing.T) {
		e := start(t)
		id := e.newClient()
		b, p := e.consentPage(id, "dev")
		require.NoError(t, e.srv.Forbid(ada, id, resource))
		after, err := b.Submit(t.Context(), p, decisionForm(t, p), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, after.Status)
	})
	t.Run("a permission that shrinks counts at the next refresh", func(t *testing.T) {
		e := start(t)
		id, a := e.tokens("dev")
		require.NoError(t, e.srv.Permit(ada, id, resource, read))
		b := e.token(refresh(id, a.str("refresh_token")))
		require.Equal(t, "notes:read", b.str("scope"), b.Raw)
		requireError(t, e.token(refresh(id, b.str("refresh_token"), "scope", "notes:write")), http.StatusBadRequest, "invalid_scope")
		requireError(t, e.token(refresh(id, b.str("refresh_token"), "scope", "notes:read unknown")), http.StatusBadRequest, "invalid_scope")
		require.NoError(t, e.srv.Forbid(ada, id, resource))
		requireError(t, e.token(refresh(id, b.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("mistakes", func(t *testing.T) {
		e := start(t)
		id := e.newClient()
		require.Error(t, e.srv.Permit(ada, "unknown", resource, read))
		require.Error(t, e.srv.Permit(ada, id, "http://unknown.example", read))
		require.ErrorContains(t, e.srv.Permit(ada, id, resource, []string{"files:read"}), "files:read")
		require.Error(t, e.srv.ClearPermission(ada, "unknown", resource))
		require.ErrorContains(t, e.srv.RemoveApplication(ada, confID), "configured")
		require.Error(t, e.srv.RemoveApplication(ada, "unknown"))
	})
	t.Run("removing an application ends its grants", func(t *testing.T) {
		e := start(t)
		id, a := e.tokens("dev")
		require.NoError(t, e.srv.RemoveApplication(ada, id))
		require.Equal(t, false, e.introspect(a.str("access_token")).JSON["active"])
		requireError(t, e.token(refresh(id, a.str("refresh_token"))), http.StatusUnauthorized, "invalid_client")
		_, ok := e.srv.Application(id)
		require.False(t, ok)
	})
	t.Run("the list", func(t *testing.T) {
		e := start(t)
		id := e.newClient()
		require.NoError(t, e.srv.Permit(ada, id, resource, read))
		apps := e.srv.Applications()
		require.Equal(t, []string{confID, limitedID, rsID, id}, []string{apps[0].ID, apps[1].ID, apps[2].ID, apps[3].ID})
		app := apps[3]
		require.Equal(t, devas.OriginRegistered, app.Origin)
		require.Equal(t, map[string][]string{resource: read}, app.Permissions)
		require.Equal(t, []string{callback}, app.RedirectURIs)
		require.Equal(t, []string{"authorization_code", "refresh_token"}, app.GrantTypes)
		require.Equal(t, "none", app.AuthMethod)
		require.False(t, app.Since.IsZero())
		require.Equal(t, "client_secret_basic or client_secret_post", apps[0].AuthMethod)
	})
}

func TestAS66_GrantsAreListedAndRevokedAtOnce(t *testing.T) {
	e := start(t, withSecond)
	id, a := e.tokens("dev")
	second := e.token(exchange(id, e.code(request(id, "scope", "notes:read"), asDev)))
	_, other := e.tokens("uma")
	rows := e.srv.Grants()
	require.Len(t, rows, 2, "one row per user, application and server")
	i := slices.IndexFunc(rows, func(g devas.GrantRow) bool { return g.User == "dev" })
	row := rows[i]
	require.Equal(t, devas.GrantKey{User: "dev", Client: id, Server: resource}, row.GrantKey)
	require.Equal(t, "Test client", row.ClientName)
	require.Equal(t, "Notes", row.ServerName)
	require.Equal(t, []string{"notes:read", "notes:write"}, row.Scopes)
	require.Equal(t, 2, row.Count)
	require.True(t, row.Refresh)
	require.False(t, row.LastUsed.IsZero())

	require.Equal(t, 2, e.srv.RevokeGrants(ada, row.GrantKey))
	for _, b := range []answer{a, second} {
		require.Equal(t, map[string]any{"active": false}, e.introspect(b.str("access_token")).JSON)
		requireError(t, e.token(refresh(id, b.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	}
	require.Equal(t, true, e.introspect(other.str("access_token")).JSON["active"], "nobody else's")
	require.Zero(t, e.srv.RevokeGrants(ada, row.GrantKey))
	require.Len(t, e.srv.Grants(), 1)
	e.requireEvent(devas.Event{Kind: devas.EventTokenRevoked, OK: true, User: "dev", Client: id, Server: resource})

	t.Run("issuances", func(t *testing.T) {
		list := e.srv.Issuances()
		require.Len(t, list, 3)
		require.Equal(t, "uma", list[0].Subject, "newest first")
		require.False(t, list[0].GrantRevoked)
		require.True(t, list[2].GrantRevoked)
		require.Equal(t, "Bearer", list[2].TokenType)
		require.Equal(t, resource, list[2].Server)
		require.Equal(t, "notes:read notes:write", list[2].Scope)
		require.True(t, list[2].Expires.After(list[2].At))
	})
	t.Run("what has expired is not listed", func(t *testing.T) {
		e.clock.Advance(25 * time.Hour)
		require.Empty(t, e.srv.Grants())
	})
	t.Run("an approval without a redeemed code is listed until the code expires", func(t *testing.T) {
		e := start(t)
		id := e.newClient()
		e.code(request(id), asDev)
		require.Len(t, e.srv.Grants(), 1)
		e.clock.Advance(2 * time.Minute)
		require.Empty(t, e.srv.Grants())
	})
}

// TestRevokingWaitsForTokenRequestsUnderWay: after RevokeGrants returned no refresh that began before may still win.
func TestRevokingWaitsForTokenRequestsUnderWay(t *testing.T) {
	e := start(t)
	reached, release := make(chan struct{}, 8), make(chan struct{})
	var hold sync.Once
	armed := make(chan struct{})
	e.srv.AfterRead(func() {
		select {
		case <-armed:
			hold.Do(func() { reached <- struct{}{}; <-release })
		default:
		}
	})
	id, a := e.tokens("dev")
	close(armed)
	var b answer
	var wg sync.WaitGroup
	wg.Go(func() { b = e.token(refresh(id, a.str("refresh_token"))) })
	<-reached
	done := make(chan int, 1)
	go func() { done <- e.srv.RevokeGrants(ada, devas.GrantKey{User: "dev", Client: id, Server: resource}) }()
	close(release)
	wg.Wait()
	require.Equal(t, 1, <-done)
	if b.Status == http.StatusOK {
		requireError(t, e.token(refresh(id, b.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		require.Equal(t, false, e.introspect(b.str("access_token")).JSON["active"])
	}
}

func TestEventsTellWhatHappened(t *testing.T) {
	e := start(t)
	id, a := e.tokens("dev")
	for _, want := range []devas.Event{
		{Kind: devas.EventClientRegistered, OK: true, Client: id},
		{Kind: devas.EventSignedIn, OK: true, User: "dev"},
		{Kind: devas.EventConsentGranted, OK: true, User: "dev", Client: id, Server: resource, Scope: "notes:read notes:write"},
		{Kind: devas.EventTokenIssued, OK: true, User: "dev", Client: id, Server: resource, Scope: "notes:read notes:write"},
	} {
		e.requireEvent(want)
	}
	res, err := e.authorize(request(id), browser.Decision{User: "dev", Deny: true})
	require.NoError(t, err)
	require.Equal(t, "access_denied", res.Error)
	e.requireEvent(devas.Event{Kind: devas.EventConsentDenied, OK: true, User: "dev", Client: id})

	requireError(t, e.token(exchange(id, "unknown")), http.StatusBadRequest, "invalid_grant")
	e.requireEvent(devas.Event{Kind: devas.EventTokenRefused, Client: id})
	e.register("{}")
	e.requireEvent(devas.Event{Kind: devas.EventClientRefused})
	require.Equal(t, http.StatusUnauthorized, e.post("/revoke", url.Values{"token": {"x"}, "client_id": {"unknown"}}, nil).Status)
	e.requireEvent(devas.Event{Kind: devas.EventRevocationRefused, Client: "unknown"})
	require.False(t, e.has(devas.Event{Kind: devas.EventTokenRevoked, OK: true}))
	require.Equal(t, http.StatusOK, e.post("/revoke", url.Values{"token": {a.str("refresh_token")}, "client_id": {id}}, nil).Status)
	e.requireEvent(devas.Event{Kind: devas.EventTokenRevoked, OK: true, User: "dev", Client: id, Server: resource})

	t.Run("a refresh token that is used again", func(t *testing.T) {
		id, a := e.tokens("uma")
		require.Equal(t, http.StatusOK, e.token(refresh(id, a.str("refresh_token"))).Status)
		e.token(refresh(id, a.str("refresh_token")))
		e.requireEvent(devas.Event{Kind: devas.EventTokenRevoked, OK: true, User: "uma", Client: id})
	})
	t.Run("a code that is used again", func(t *testing.T) {
		code := e.code(request(id), browser.Decision{User: "ada"})
		e.token(exchange(id, code))
		e.token(exchange(id, code))
		e.requireEvent(devas.Event{Kind: devas.EventTokenRevoked, OK: true, User: "ada", Client: id})
	})
	t.Run("newest first", func(t *testing.T) {
		events := e.srv.Events()
		require.True(t, slices.IsSortedFunc(events, func(a, b devas.Event) int { return b.At.Compare(a.At) }))
	})
}

func TestRefusalsCannotPushOutWhatWasGranted(t *testing.T) {
	var j devas.Journal
	j.Add(devas.Event{Kind: devas.EventConsentGranted, OK: true})
	for i := range 3 * devas.MaxEvents {
		j.Add(devas.Event{Kind: devas.EventTokenRefused, Detail: fmt.Sprint(i)})
	}
	require.Equal(t, devas.MaxEvents+1, j.Len())
}
