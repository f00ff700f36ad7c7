package devas_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

// member opens a page of the server as somebody who signs in for it.
func (e *env) member(user, path string) (*consenting, *browser.Page) {
	e.t.Helper()
	b := &consenting{browser.New()}
	p := b.open(e, e.issuer+path)
	if p.Title() == "Sign in" {
		p = b.signIn(e, p, user)
	}
	return b, p
}

func formTo(t *testing.T, p *browser.Page, action string) browser.Form {
	t.Helper()
	for _, f := range p.Forms {
		if f.Action == action {
			return f
		}
	}
	require.Fail(t, "no form", "%s on %q", action, p.Title())
	return browser.Form{}
}

// send submits a form and follows.
func (b *consenting) send(e *env, p *browser.Page, f browser.Form, values url.Values) *browser.Page {
	e.t.Helper()
	got, err := b.Browser.Submit(e.t.Context(), p, f, values)
	require.NoError(e.t, err)
	if got.Location != nil {
		require.Equal(e.t, http.StatusSeeOther, got.Status)
		return b.open(e, got.Location.String())
	}
	return got
}

func has(t *testing.T, p *browser.Page, texts ...string) {
	t.Helper()
	body := p.Body[strings.Index(p.Body, "<body"):]
	for _, want := range texts {
		require.True(t, strings.Contains(body, want), "%q is not on %q", want, p.Title())
	}
}

func lacks(t *testing.T, p *browser.Page, texts ...string) {
	t.Helper()
	for _, not := range texts {
		require.False(t, strings.Contains(p.Body, not), "%q is on %q", not, p.Title())
	}
}

var adminPaths = []string{"/admin/servers", "/admin/server", "/admin/applications", "/admin/application?id=reader", "/admin/grants", "/admin/issuances", "/admin/events"}

func TestAdministrationIsForAdministrators(t *testing.T) {
	e := start(t)
	for _, path := range adminPaths {
		t.Run(path, func(t *testing.T) {
			a := e.get(path)
			require.Equal(t, http.StatusSeeOther, a.Status)
			require.True(t, strings.HasPrefix(a.Header.Get("Location"), "/signin?to=%2Fadmin%2F"))
			b, _ := e.member("dev", "/signin")
			p := b.open(e, e.issuer+path)
			require.Equal(t, http.StatusForbidden, p.Status)
			require.Equal(t, "Only administrators can see this page.", p.Title())
			b, _ = e.member("ada", "/signin")
			p = b.open(e, e.issuer+path)
			require.Equal(t, http.StatusOK, p.Status, p.Title())
			require.Contains(t, p.Header.Get("Cache-Control"), "no-store")
			require.Contains(t, p.Header.Get("Content-Security-Policy"), "default-src 'none'")
			require.Empty(t, p.Header.Get("Access-Control-Allow-Origin"))
		})
	}
	t.Run("sign-in leads on to the page, and to no other place", func(t *testing.T) {
		_, p := e.member("ada", "/admin/events")
		require.Equal(t, "Events", p.Title())
		for _, to := range []string{"https://evil.example/", "//evil.example", "/authorize", "/admin/events?x", "javascript:1"} {
			_, p := e.member("ada", "/signin?to="+url.QueryEscape(to))
			require.Equal(t, "/", p.URL.Path, to)
		}
	})
}

func TestAS42_FormsOfThePagesNeedTheirToken(t *testing.T) {
	e := start(t)
	admin, p := e.member("ada", "/admin/servers")
	other, _ := e.member("ada", "/signin")
	stolen := formTo(t, other.open(e, e.issuer+"/admin/application?id="+limitedID), "/admin/application/permit").Fields[0].Value
	for _, path := range []string{"/admin/server/save", "/admin/server/remove", "/admin/application/permit", "/admin/application/remove", "/admin/grants/revoke", "/account/revoke"} {
		for name, token := range map[string]string{"no token": "", "junk": "x", "the token of another sign-in": stolen} {
			got, err := admin.Browser.Submit(t.Context(), p, browser.Form{Action: path}, url.Values{"csrf": {token}, "identifier": {"http://127.0.0.1:1/x"}, "client": {limitedID}, "server": {resource}, "confirm": {"yes"}})
			require.NoError(t, err)
			require.Equal(t, http.StatusForbidden, got.Status, path+" with "+name)
			require.Equal(t, "This form is out of date.", got.Title())
		}
		require.Equal(t, http.StatusUnauthorized, e.post(path, url.Values{"csrf": {stolen}}, nil).Status, path)
		require.Equal(t, http.StatusMethodNotAllowed, e.get(path).Status, path)
	}
	t.Run("the token of a member does not make an administrator", func(t *testing.T) {
		b, p := e.member("dev", "/signin")
		res, err := b.Authorize(t.Context(), e.issuer+"/authorize?"+request(e.newClient()).Encode(), browser.Decision{})
		require.NoError(t, err)
		require.NotEmpty(t, res.Code)
		csrf := formTo(t, b.open(e, e.issuer+"/account"), "/account/revoke").Fields[0].Value
		got, err := b.Browser.Submit(t.Context(), p, browser.Form{Action: "/admin/grants/revoke"}, url.Values{"csrf": {csrf}})
		require.NoError(t, err)
		require.Equal(t, http.StatusForbidden, got.Status)
		require.Equal(t, "Only administrators can see this page.", got.Title())
	})
}

func TestAS66_AccountListsAndRevokesOnesOwnGrants(t *testing.T) {
	e := start(t)
	devClient, dev := e.tokens("dev")
	umaClient, uma := e.tokens("uma")
	b, p := e.member("dev", "/account")
	has(t, p, "Test client", devClient, "Notes", "Read your notes")
	lacks(t, p, umaClient)

	t.Run("AS-66 a forged form ends nobody else's", func(t *testing.T) {
		got := b.send(e, p, formTo(t, p, "/account/revoke"), url.Values{"user": {"uma"}, "client": {umaClient}, "server": {resource}})
		has(t, got, "There was nothing left to revoke.")
		uma = e.token(refresh(umaClient, uma.str("refresh_token")))
		require.Equal(t, http.StatusOK, uma.Status, uma.Raw)
	})
	t.Run("AS-66 revoked, a refresh fails", func(t *testing.T) {
		got := b.send(e, p, formTo(t, p, "/account/revoke"), nil)
		has(t, got, "Access was revoked.", "You have not let any application in yet.")
		requireError(t, e.token(refresh(devClient, dev.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
		require.Equal(t, false, e.introspect(dev.str("access_token")).JSON["active"])
	})
	t.Run("AS-66 the administrator sees and revokes all", func(t *testing.T) {
		b, p := e.member("ada", "/admin/grants")
		has(t, p, umaClient, "uma")
		got := b.send(e, p, formTo(t, p, "/admin/grants/revoke"), nil)
		has(t, got, "Access was revoked.", "No grant is alive.")
		requireError(t, e.token(refresh(umaClient, uma.str("refresh_token"))), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("AS-66 sign-out", func(t *testing.T) {
		got := b.send(e, p, formTo(t, p, "/signout"), nil)
		require.Equal(t, "Sign in", got.Title())
		require.Equal(t, "/signin", b.open(e, e.issuer+"/account").URL.Path)
	})
	t.Run("the log tells it", func(t *testing.T) {
		b, p := e.member("ada", "/admin/events")
		has(t, p, "consent_granted", "token_issued", "token_revoked", "refused")
		lacks(t, p, dev.str("access_token"), dev.str("refresh_token"), uma.str("refresh_token"))
		p = b.open(e, e.issuer+"/admin/events?show=refused")
		has(t, p, "token_refused")
		lacks(t, p, "token_issued")
		p = b.open(e, e.issuer+"/admin/issuances")
		has(t, p, "Bearer", "notes:read notes:write", devClient, "revoked")
		lacks(t, p, dev.str("access_token"))
	})
}

func TestAdministratorsRegisterServers(t *testing.T) {
	const identifier = "http://127.0.0.1:9100/mcp"
	e := start(t)
	b, _ := e.member("ada", "/signin")
	p := b.open(e, e.issuer+"/admin/server")
	form := formTo(t, p, "/admin/server/save")
	entry := url.Values{"identifier": {identifier}, "name": {`<i>Files</i>`}, "owner": {"dev"}, "access": {"owner"},
		"scope0": {"files:read"}, "title0": {"Read files"}, "text0": {"Every file."}, "scope1": {"files:write"}, "role1": {"admin"}}

	t.Run("mistakes come back with the form as it was", func(t *testing.T) {
		bad := url.Values{"identifier": {"not a url"}, "name": {"Kept"}, "owner": {"nobody"}, "access": {"all"}, "scope0": {`a"b`}}
		got, err := b.Browser.Submit(t.Context(), p, form, bad)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, got.Status)
		has(t, got, "It was not saved.", "Identifier:", "Owner:", "Access", "Scopes:", `value="Kept"`, `value="not a url"`)
	})
	t.Run("saved, it is listed, escaped", func(t *testing.T) {
		got := b.send(e, p, form, entry)
		has(t, got, "The MCP server was saved.", "&lt;i&gt;Files&lt;/i&gt;", identifier, "Read files", "The owner")
		lacks(t, got, "<i>Files")
		got, err := b.Browser.Submit(t.Context(), p, form, entry)
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, got.Status, "a new one does not replace")
	})
	t.Run("AS-63 others than the owner are told so", func(t *testing.T) {
		id := e.newClient()
		_, p := e.consentPage(id, "uma", "resource", identifier, "scope", "files:read")
		require.Equal(t, http.StatusForbidden, p.Status)
		require.Equal(t, "You can only authorize connections to servers you created.", p.Title())
		has(t, p.Page, "Return to application", "Switch account", "Uma, user")
		_, p = e.consentPage(id, "dev", "resource", identifier, "scope", "files:read files:write")
		require.Equal(t, "Authorize Application", p.Title())
		has(t, p.Page, "Read files", "Every file.")
		lacks(t, p.Page, "files:write")
	})
	t.Run("changed and removed", func(t *testing.T) {
		edit := b.open(e, e.issuer+"/admin/server?id="+url.QueryEscape(identifier))
		has(t, edit, `value="files:read"`, "readonly")
		got := b.send(e, edit, formTo(t, edit, "/admin/server/save"), url.Values{"identifier": {identifier}, "name": {"Files"}, "access": {"listed"}, "user": {"uma"}, "scope0": {"files:read"}})
		has(t, got, "Listed users", "uma")
		remove := formTo(t, edit, "/admin/server/remove")
		got = b.send(e, edit, remove, nil)
		require.Equal(t, "Files", got.Title(), "without the box nothing happens")
		got = b.send(e, edit, remove, url.Values{"confirm": {"yes"}})
		has(t, got, "The MCP server was removed")
		lacks(t, got, identifier)
	})
	t.Run("a configured server cannot be changed", func(t *testing.T) {
		edit := b.open(e, e.issuer+"/admin/server?id="+url.QueryEscape(resource))
		lacks(t, edit, "Remove this server", ">Save<")
		got, err := b.Browser.Submit(t.Context(), edit, formTo(t, edit, "/admin/server/save"), url.Values{"identifier": {resource}, "name": {"Mine"}, "access": {"everyone"}})
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, got.Status)
		for _, unknown := range []string{"/admin/server?id=http://127.0.0.1:1/none", "/admin/application?id=none"} {
			require.Equal(t, http.StatusNotFound, b.open(e, e.issuer+unknown).Status)
		}
	})
}

func TestAdministratorsGrantScopesToApplications(t *testing.T) {
	for name, option := range map[string]func(*devas.Config){"open": func(*devas.Config) {}, "strict": strict} {
		t.Run(name, func(t *testing.T) {
			e := start(t, option)
			id := e.newClient()
			b, p := e.member("ada", "/admin/applications")
			has(t, p, "Test client", id, "Unverified", callback, "authorization_code", "Configured")
			p = b.open(e, e.issuer+"/admin/application?id="+id)
			allowed := func(p *browser.Page) (scopes []string) {
				for _, f := range formTo(t, p, "/admin/application/permit").Fields {
					if f.Name == "scope" && f.Checked {
						scopes = append(scopes, f.Value)
					}
				}
				return scopes
			}
			first := []string{"notes:read", "notes:write"}
			if name == "strict" {
				first = nil
			}
			require.Equal(t, first, allowed(p))

			p = b.send(e, p, formTo(t, p, "/admin/application/permit"), url.Values{"do": {"permit"}, "scope": {"notes:read"}})
			has(t, p, "The permissions were saved.", "Granted here")
			require.Equal(t, []string{"notes:read"}, allowed(p))
			a := e.token(exchange(id, e.code(request(id), browser.Decision{User: "dev"})))
			require.Equal(t, "notes:read", a.str("scope"))

			p = b.send(e, p, formTo(t, p, "/admin/application/permit"), url.Values{"do": {"permit"}})
			has(t, p, "Shut out")
			res, err := e.authorize(request(id), browser.Decision{User: "dev"})
			require.NoError(t, err)
			require.Equal(t, "invalid_scope", res.Error)

			p = b.send(e, p, formTo(t, p, "/admin/application/permit"), url.Values{"do": {"reset"}})
			has(t, p, "follow the default")
			require.Equal(t, first, allowed(p))

			got := b.send(e, p, formTo(t, p, "/admin/application/remove"), url.Values{"confirm": {"yes"}})
			has(t, got, "The application was removed")
			lacks(t, got, id)
		})
	}
}

func TestStartPageAndUnknownPages(t *testing.T) {
	e := start(t)
	a := e.get("/")
	require.Equal(t, http.StatusOK, a.Status)
	b, p := e.member("ada", "/signin")
	require.Equal(t, "Hello, Ada, administrator", p.Title())
	has(t, p, e.issuer, "/admin/servers")
	_, p = e.member("uma", "/signin")
	lacks(t, p, "/admin/")
	for _, path := range []string{"/nothing", "/admin", "/authorize/x/y"} {
		p := b.open(e, e.issuer+path)
		require.Equal(t, http.StatusNotFound, p.Status, path)
		has(t, p, "/.well-known/oauth-authorization-server")
	}
}
