//go:build browser && unix

package devas_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/chromium"
)

// arrivalTimeout is how long a browser may take to come back; only a broken run meets it.
const arrivalTimeout = 30 * time.Second

// program is an application that listens on this computer.
func program(t *testing.T) (callbackURL string, arrived chan url.Values) {
	arrived = make(chan url.Values, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/callback" {
			arrived <- r.URL.Query()
		}
		_, _ = w.Write([]byte("<!DOCTYPE html><html lang=en><title>App</title><h1>Back in the application</h1>"))
	}))
	t.Cleanup(s.Close)
	return s.URL + "/callback", arrived
}

func receive(t *testing.T, from chan url.Values) url.Values {
	t.Helper()
	select {
	case q := <-from:
		return q
	case <-time.After(arrivalTimeout):
		require.Fail(t, "the application got nothing")
		return nil
	}
}

func TestPagesInChromium(t *testing.T) {
	e := start(t, withTools)
	b := chromium.Start(t)
	target, arrived := program(t)
	a := e.register(`{"client_name":"MCP Inspector","redirect_uris":["` + target + `"]}`)
	id := a.str("client_id")
	ask := func(changes ...string) string {
		return e.issuer + "/authorize?" + request(id, append([]string{"redirect_uri", target}, changes...)...).Encode()
	}
	const consent, complete, back = "Authorize Application", "Authorization Complete", "Back in the application"

	t.Run("sign in, read, untick, approve, arrive", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.look("signin")
		v.signIn("ada", consent)
		v.look("consent")
		require.Contains(t, v.Text(), "write_note")
		require.NotContains(t, v.Text(), "not available without")
		v.click("#scope1")
		v.Wait("the scope unticked", "!document.querySelector('#scope1').checked")
		require.Contains(t, v.Text(), "not available without notes:write")
		v.look("consent-unticked")
		v.press("button[value=approve]", complete)
		require.Contains(t, v.Text(), "MCP Inspector can now use Example notebook as Ada, administrator.")
		require.NotContains(t, v.Eval("document.documentElement.outerHTML"), "code=", "AS-50")
		v.look("complete")
		v.Heading(back)
		q := receive(t, arrived)
		require.Equal(t, e.issuer, q.Get("iss"))
		tokens := e.token(exchange(id, q.Get("code"), "redirect_uri", target))
		require.Equal(t, http.StatusOK, tokens.Status, tokens.Raw)
		require.Equal(t, "notes:read", tokens.str("scope"))
	})
	t.Run("Approve says that it works, and takes no second click", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		// This listener comes after the page's own and keeps the form here.
		v.Eval(`window.sent = 0; document.querySelector('form[data-busy]').addEventListener('submit', e => { if (!e.defaultPrevented) window.sent++; e.preventDefault(); })`)
		v.click("button[value=approve]")
		v.Wait("a button that is busy", `document.querySelector('button[value=approve]').textContent === 'Authorizing…'`)
		require.Equal(t, "Authorizing…", v.Eval(`document.querySelector('[role=status]').textContent`), "for screen readers")
		v.look("consent-authorizing")
		v.click("button[value=approve]")
		v.click("button[value=deny]")
		require.EqualValues(t, 1, v.Eval("window.sent"))
	})
	t.Run("deny", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		v.press("button[value=deny]", back)
		require.Equal(t, "access_denied", receive(t, arrived).Get("error"))
	})
	t.Run("a program without a listener: the page stays and can close", func(t *testing.T) {
		private := e.register(`{"client_name":"Desk app","redirect_uris":["com.example.desk:/callback"]}`).str("client_id")
		v := newTab(t, b)
		v.Open(e.issuer + "/authorize?" + request(private, "redirect_uri", "com.example.desk:/callback").Encode())
		v.signIn("uma", consent)
		v.look("consent-private-scheme")
		v.press("button[value=approve]", complete)
		v.look("complete-private-scheme")
		v.click("#close")
		v.Wait("a hint to close it", `document.getElementById('closing').textContent.includes('close it yourself')`)
	})
	t.Run("hostile text", func(t *testing.T) {
		a := e.register(`{"client_name":"` + strings.Repeat("W", 90) + ` <b>\u202eevil","redirect_uris":["https://` + strings.Repeat("long-", 30) + `.example:8443/cb"]}`)
		v := newTab(t, b)
		v.Open(e.issuer + "/authorize?" + request(a.str("client_id"), "redirect_uri", "https://"+strings.Repeat("long-", 30)+".example:8443/cb").Encode())
		v.signIn("dev", consent)
		v.look("consent-hostile")
	})
	t.Run("no access", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask("scope", "notes:write"))
		v.signIn("rio", "You do not have access to this MCP server.")
		v.look("noaccess")
		v.press("button[form=switch]", "Sign in")
		v.signIn("dev", consent)
	})
	t.Run("return to application without access", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask("scope", "notes:write"))
		v.signIn("rio", "You do not have access to this MCP server.")
		v.press("button[value=deny]", back)
		require.Equal(t, "access_denied", receive(t, arrived).Get("error"))
	})
	t.Run("redirect URL no longer valid", func(t *testing.T) {
		gone := e.register(`{"client_name":"Mover","redirect_uris":["` + callback + `"]}`).str("client_id")
		v := newTab(t, b)
		v.Open(e.issuer + "/authorize?" + request(gone).Encode())
		v.signIn("dev", consent)
		e.srv.SetRedirectURIs(gone, "http://127.0.0.1/elsewhere")
		v.press("button[value=approve]", "The application redirect URL is no longer valid.")
		v.look("problem-redirect")
	})
	t.Run("unknown application", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(e.issuer + "/authorize?" + request("nobody").Encode())
		v.Heading("Unknown application")
		v.look("problem-unknown")
	})
	t.Run("signed out meanwhile: sign in, and back to the same request", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		issuer, err := url.Parse(e.issuer)
		require.NoError(t, err)
		v.Call("Network.deleteCookies", map[string]any{"name": "devas_" + issuer.Port() + "_login", "url": e.issuer})
		v.press("button[value=approve]", "You must be signed in to continue.")
		v.look("problem-signed-out")
		v.press(".button.primary", "Sign in")
		v.signIn("dev", consent)
	})
	t.Run("another browser", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		v.Call("Network.clearBrowserCookies", nil)
		v.Eval("0")
		v.press("button[value=approve]", "This request was opened in another browser.")
		v.look("problem-browser")
	})
	t.Run("expired", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		e.clock.Advance(11 * time.Minute)
		defer e.clock.Advance(-11 * time.Minute)
		v.press("button[value=approve]", "This authorization request expired.")
		v.look("problem-expired")
	})
	t.Run("an application with a metadata document", func(t *testing.T) {
		site := newPublisher(t)
		e := start(t, withTools, site.trusted)
		v := newTab(t, b)
		v.Open(e.issuer + "/authorize?" + request(site.id()).Encode())
		v.signIn("dev", consent)
		require.Contains(t, v.Text(), "From "+strings.TrimPrefix(site.URL, "https://"), "AS-40")
		require.NotContains(t, v.Text(), "Unverified")
		v.look("consent-document")
		v.Open(e.issuer + "/authorize?" + request(site.URL+"/other.json").Encode())
		v.Heading("Application information could not be loaded")
		v.look("problem-document")
	})
	t.Run("by keyboard alone", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		v.tabTo("#scope1")
		v.key(" ", "Space", 32)
		v.Wait("the scope unticked", "!document.querySelector('#scope1').checked")
		v.tabTo("button[value=approve]")
		v.key("\r", "Enter", 13)
		v.Heading(back)
		require.NotEmpty(t, receive(t, arrived).Get("code"))
	})
	t.Run("without scripts", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(ask())
		v.signIn("dev", consent)
		v.Call("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
		v.press("button[value=approve]", complete)
		require.NotContains(t, v.Text(), "Close Tab")
		require.Contains(t, v.Text(), "you can close this tab")
		v.Heading(back)
		require.NotEmpty(t, receive(t, arrived).Get("code"))
	})
	t.Run("start and account", func(t *testing.T) {
		e.token(exchange(id, e.code(request(id, "redirect_uri", target), browser.Decision{User: "dev"}), "redirect_uri", target))
		v := newTab(t, b)
		v.Open(e.issuer + "/")
		v.Heading("Development authorization server")
		v.look("welcome")
		v.press(".button.primary", "Sign in")
		v.signIn("dev", "Hello, Dev, developer")
		v.look("home-user")
		v.Open(e.issuer + "/account")
		v.look("account")
		v.click("button.danger")
		v.Wait("that access was revoked", `document.body.innerText.includes('Access was revoked.')`)
		v.Open(e.issuer + "/nothing")
		v.look("problem-404")
		v.Open(e.issuer + "/admin/events")
		v.look("problem-403")
	})
	t.Run("administration", func(t *testing.T) {
		v := newTab(t, b)
		v.Open(e.issuer + "/admin/servers")
		v.signIn("ada", "MCP servers")
		v.Open(e.issuer + "/")
		v.look("home-admin")
		v.Open(e.issuer + "/admin/server")
		v.Heading("New MCP server")
		v.look("admin-server-new")
		v.press("button.primary", "New MCP server") // nothing was entered: the browser points to the field
		v.Eval(`document.querySelector('#identifier').value = 'http://127.0.0.1:9100/mcp'; document.querySelector('#name').value = 'Team files';
			document.querySelector('#owner').value = 'dev'; document.querySelector('#access-owner').checked = true;
			document.querySelector('#scope0').value = 'files read'; document.querySelector('#title0').value = 'Read files';
			document.querySelector('#text0').value = 'Open every file of the team.'; document.querySelector('#role0-admin').checked = true`)
		v.click("form.form button.primary")
		v.Wait("what is wrong", `!!document.querySelector('[role=alert]')`)
		v.look("admin-server-mistakes")
		v.Eval(`document.querySelector('#scope0').value = 'files:read'; document.querySelector('#role0-admin').checked = false`)
		v.press("form.form button.primary", "MCP servers")
		v.look("admin-servers")
		v.press("tbody tr:nth-child(2) a", "Team files")
		v.look("admin-server-edit")
		v.Open(e.issuer + "/admin/applications")
		v.look("admin-applications")
		v.Open(e.issuer + "/admin/application?id=" + id)
		v.Heading("MCP Inspector")
		v.look("admin-application")
		v.Open(e.issuer + "/authorize?" + request(id, "redirect_uri", target, "resource", "http://127.0.0.1:9100/mcp", "scope", "files:read").Encode())
		v.Heading("You can only authorize connections to servers you created.")
		v.look("noaccess-owner")
		e.token(url.Values{"grant_type": {"refresh_token"}, "client_id": {id}, "refresh_token": {"stale"}})
		for _, name := range []string{"grants", "issuances", "events"} {
			v.Open(e.issuer + "/admin/" + name)
			v.look("admin-" + name)
		}
	})
}
