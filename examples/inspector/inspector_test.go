//go:build browser && unix

package inspector

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/chromium"
)

// The paths of the system, in the order in which a client learns of them.
const (
	pathMCP      = "/mcp"
	pathResource = "/.well-known/oauth-protected-resource/mcp"
	pathServer   = "/.well-known/oauth-authorization-server"
	pathRegister = "/register"
	pathToken    = "/token"
)

// The authorization server's pages that stay until the person decides.
const (
	pageSignIn  = "Sign in"
	pageConsent = "Authorize Application"
)

// A newcomer starts quickstart and the Inspector, connects, signs in, reads what is asked for, approves, and calls tools: one at once, and one for which
// the Inspector has to ask for more.
func TestE2E01_InspectorInABrowser(t *testing.T) {
	resource := startQuickstart(t)
	browser := chromium.Start(t)

	t.Run("legacy", func(t *testing.T) { // revision 2025-11-25, which is what the Inspector chooses by itself
		s := startInspector(t, resource, "legacy")
		v := newTab(t, browser)
		v.Open(s.address)
		v.connect()
		v.signIn("uma")
		v.consent(s, "Uma, user", []string{"notes:read"}, "read_notes", "whoami")
		v.approve("Uma, user")
		v.connected()
		requireInOrder(t, s.exchanges(), []exchange{
			{http.MethodPost, pathMCP, 401},
			{http.MethodGet, pathResource, 200},
			{http.MethodGet, pathServer, 200},
			{http.MethodPost, pathRegister, 201},
			{http.MethodPost, pathToken, 200},
			{http.MethodPost, pathMCP, 200},
		})

		v.tools("read_notes", "whoami", "write_note") // purge_notes needs a role that uma lacks
		v.run("read_notes")
		v.reads("You have no notes yet.")

		before := len(s.exchanges())
		v.run("write_note", "text *", "Deny first.")
		v.stepUp("notes:read", "notes:write")
		requireInOrder(t, s.exchanges()[before:], []exchange{{http.MethodPost, pathMCP, 403}})
		v.press("[role=dialog] button", "Cancel") // and it is as if nothing had been called
		v.Wait("no dialog", "!document.querySelector('[role=dialog]')")
		v.connected()
		v.run("read_notes")
		v.reads("You have no notes yet.")

		before = len(s.exchanges())
		v.run("write_note", "text *", "Deny first.")
		v.stepUp("notes:read", "notes:write")
		v.press("[role=dialog] button", "Authorize")
		v.consent(s, "Uma, user", []string{"notes:read", "notes:write"}, "read_notes", "whoami", "write_note")
		v.approve("Uma, user")
		v.connected()
		v.press("button", "Execute Tool") // what was entered is still there
		v.reads("Noted.")
		v.picture("noted")
		v.run("read_notes")
		v.reads("Deny first.")
		requireInOrder(t, s.exchanges()[before:], []exchange{
			{http.MethodPost, pathMCP, 403}, {http.MethodPost, pathToken, 200}, {http.MethodPost, pathMCP, 200},
		})
		requireNone(t, s.exchanges()[before:], pathRegister)
	})

	t.Run("modern", func(t *testing.T) { // revision 2026-07-28
		s := startInspector(t, resource, "modern")
		v := newTab(t, browser)
		v.Open(s.address)
		v.connect()
		v.signIn("dev")
		v.consent(s, "Dev, developer", []string{"notes:read"}, "read_notes", "whoami")
		v.approve("Dev, developer")
		v.connected()
		v.tools("read_notes", "whoami", "write_note")
		v.run("read_notes")
		v.reads("You have no notes yet.")

		// A step-up that the person declines costs the Inspector its connection, but not its token: it connects again without a sign-in.
		v.run("write_note", "text *", "Ask again.")
		v.stepUp("notes:read", "notes:write")
		v.press("[role=dialog] button", "Authorize")
		v.Heading(pageConsent)
		before := len(s.exchanges())
		v.press("button[value=deny]", "Deny")
		v.reads("access_denied")
		v.picture("denied")
		v.connect()
		v.connected()
		requireNone(t, s.exchanges()[before:], pathToken)
		v.tools("read_notes", "whoami", "write_note")
		v.run("read_notes")
		v.reads("You have no notes yet.")

		v.run("write_note", "text *", "Ask again.")
		v.stepUp("notes:read", "notes:write")
		v.press("[role=dialog] button", "Authorize")
		v.consent(s, "Dev, developer", []string{"notes:read", "notes:write"}, "read_notes", "whoami", "write_note")
		v.approve("Dev, developer")
		v.connected()
		v.tools("read_notes", "whoami", "write_note")
		v.run("write_note", "text *", "Ask again.")
		v.reads("Noted.")
	})
}

// connect presses the switch of the one server in the Inspector's list.
func (v *tab) connect() {
	v.t.Helper()
	v.press(`input[role=switch][aria-label^="Connect or disconnect"]`, "")
}

// connected waits for what the Inspector's page says to programs that drive it.
func (v *tab) connected() {
	v.t.Helper()
	v.Wait("a connection", `document.querySelector('[data-testid=connection-status]')?.dataset.status === 'connected'`)
}

func (v *tab) signIn(user string) {
	v.t.Helper()
	v.Heading(pageSignIn)
	v.reads("To let MCP Inspector use Example notebook.")
	v.picture("sign-in")
	v.press(fmt.Sprintf("button[value=%s]", user), "")
}

// consent reads the consent page: who asks whom for what, where the answer goes, and which tools that opens for this user.
func (v *tab) consent(s *inspector, user string, scopes []string, tools ...string) {
	t := v.t
	t.Helper()
	v.Heading(pageConsent)
	v.picture("consent")
	v.reads("MCP Inspector asks to use Example notebook in your name.")
	v.reads(user)
	v.reads(s.host)
	v.reads("this computer")
	require.Equal(t, scopes, v.all("input[name=scope]:checked", "e.value"), v.Text())
	require.ElementsMatch(t, tools, v.all("[aria-labelledby=tools] li", "(e.querySelector('.name code') ?? e.querySelector('strong')).textContent"), v.Text())
}

// approve presses Approve and passes the page that says so. It goes away by itself.
func (v *tab) approve(user string) {
	v.t.Helper()
	v.forget()
	v.press("button[value=approve]", "Approve")
	v.passed("Authorization Complete", "MCP Inspector can now use Example notebook as "+user)
	v.picture("complete")
}

// tools opens the list of tools and reads it.
func (v *tab) tools(want ...string) {
	v.t.Helper()
	v.press("input[type=radio][value=Tools]", "")
	v.reads(fmt.Sprintf("Tools (%d)", len(want)))
	for _, name := range want {
		v.reads(name)
	}
	v.picture("tools")
}

// run chooses a tool, fills in a field, and executes it.
func (v *tab) run(tool string, field ...string) {
	v.t.Helper()
	v.Click("the tool "+tool, fmt.Sprintf(`[...document.querySelectorAll('[data-testid=tools-screen] button')]
		.find(b => [...b.querySelectorAll('*')].some(e => e.textContent.trim() === %q))`, tool)) // it may have a title, too
	if len(field) == 2 {
		v.write(field[0], field[1])
	}
	v.press("button", "Execute Tool")
}

// stepUp reads the dialog in which the Inspector asks whether to ask for more. It keeps what was granted.
func (v *tab) stepUp(granted, more string) {
	t := v.t
	t.Helper()
	v.reads("Additional permissions required")
	v.picture("step-up")
	require.Equal(t, []string{granted + "already granted", more + "new"}, v.all("[role=dialog] li", "e.textContent"), v.Text())
}

// all returns what an expression says about each element e that has this selector.
func (v *tab) all(selector, expression string) (values []string) {
	list, _ := v.Eval(fmt.Sprintf("[...document.querySelectorAll(%q)].map(e => (%s).trim())", selector, expression)).([]any)
	for _, value := range list {
		s, _ := value.(string)
		values = append(values, s)
	}
	return values
}

// requireInOrder checks that the wanted exchanges took place in this order; others may stand between them.
func requireInOrder(t *testing.T, got, want []exchange) {
	t.Helper()
	rest := want
	for _, e := range got {
		if len(rest) > 0 && e == rest[0] {
			rest = rest[1:]
		}
	}
	require.Empty(t, rest, "missing, or out of order, in %v", got)
}

func requireNone(t *testing.T, got []exchange, path string) {
	t.Helper()
	for _, e := range got {
		require.NotEqual(t, path, e.Path, "in %v", got)
	}
}
