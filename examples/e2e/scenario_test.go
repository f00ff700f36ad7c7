//go:build e2e && unix

package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

const (
	pathMCP      = "/mcp"
	pathResource = "/.well-known/oauth-protected-resource/mcp"
	pathServer   = "/.well-known/oauth-authorization-server"
	pathRegister = "/register"
	pathToken    = "/token"
)

// A client is one MCP client with the person in front of it. Connecting and calling include signing in, where the server asks for that.
type client interface {
	connect(context.Context) (revision, session string, err error)
	list(context.Context) ([]string, error)
	call(ctx context.Context, tool string, arguments map[string]any) (string, error)
	close(context.Context) error
	exchanges() []exchange // over HTTP so far
	secrets() []string     // tokens so far
}

// An exchange is a request and its answer.
type exchange struct {
	Method, Path string
	Status       int
}

// A setting is a client and a server configuration, and what they agree on.
type setting struct {
	name      string
	open      func(*testing.T, *system, *person) client
	authority authority // nil is examples/authserver
	flags     []string
	revision  string
	session   bool
	asks      []string // scopes that the client asks for besides those of the resource
	once      bool     // the client asks no second time after its user declined
	vain      int      // authorizations that a step-up in vain may take, sign-in included; 0 means 2 exactly
	opens     int      // initialize requests of a client before revision 2026-07-28; 0 means 1, less any number
	unlisted  string   // what the client itself says of a tool that is not listed; empty: it asks the server
}

func (s setting) system(t *testing.T, flags ...string) *system {
	t.Helper()
	if s.authority == nil {
		s.authority = devAuthority
	}
	return newSystem(t, s.authority, append(flags, s.flags...)...)
}

// scopes returns what an authorization request must ask for, sorted.
func (s setting) scopes(ofResource ...string) []string {
	return slices.Sorted(slices.Values(append(ofResource, s.asks...)))
}

func goSDK(revision string) func(*testing.T, *system, *person) client {
	return func(t *testing.T, sys *system, p *person) client {
		return newGoClient(t, sys, p, revision)
	}
}

func typeScript(generation, mode string) func(*testing.T, *system, *person) client {
	return func(t *testing.T, sys *system, p *person) client { return newNodeClient(t, sys, p, generation, mode) }
}

func mcpRemote(mode string) func(*testing.T, *system, *person) client {
	return func(t *testing.T, sys *system, p *person) client { return newRemoteClient(t, sys, p, mode) }
}

func inspector(era string) func(*testing.T, *system, *person) client {
	return func(t *testing.T, sys *system, p *person) client { return newInspectorClient(t, sys, p, era) }
}

var (
	stateful = []string{"-stateless=false"}
	offline  = []string{"offline_access"} // where the authorization server lists it, some clients add it
)

// Revision 2026-07-28 has no sessions: a server that keeps them offers 2025-11-25 at most, and clients that can do both fall back.
var settings = []setting{
	{name: "Go SDK, 2025-11-25, stateless", open: goSDK("2025-11-25"), revision: "2025-11-25"},
	{name: "Go SDK, 2025-11-25, stateful", open: goSDK("2025-11-25"), flags: stateful, revision: "2025-11-25", session: true},
	{name: "Go SDK, 2026-07-28, stateless", open: goSDK("2026-07-28"), revision: "2026-07-28"},
	{name: "Go SDK, 2026-07-28, stateful", open: goSDK("2026-07-28"), flags: stateful, revision: "2025-11-25", session: true},
	{name: "TypeScript SDK 2, legacy, stateless", open: typeScript("v2", "legacy"), revision: "2025-11-25"},
	{name: "TypeScript SDK 2, legacy, stateful", open: typeScript("v2", "legacy"), flags: stateful, revision: "2025-11-25", session: true},
	{name: "TypeScript SDK 2, 2026-07-28, stateless", open: typeScript("v2", "2026-07-28"), revision: "2026-07-28"},
	{name: "TypeScript SDK 2, auto, stateful", open: typeScript("v2", "auto"), flags: stateful, revision: "2025-11-25", session: true},
	{name: "TypeScript SDK 1, stateless", open: typeScript("v1", ""), revision: "2025-11-25"},
	{name: "TypeScript SDK 1, stateful", open: typeScript("v1", ""), flags: stateful, revision: "2025-11-25", session: true},
	{name: "mcp-remote, legacy, stateless", open: mcpRemote("legacy"), once: true, vain: 3, opens: 2, revision: "2025-11-25"},
	{name: "mcp-remote, legacy, stateful", open: mcpRemote("legacy"), once: true, vain: 3, opens: 2, flags: stateful, revision: "2025-11-25", session: true},
	{name: "mcp-remote, auto, stateless", open: mcpRemote("auto"), once: true, vain: 3, revision: "2026-07-28"},
	{name: "Inspector, legacy, stateless", open: inspector("legacy"), opens: -1, unlisted: "not found", revision: "2025-11-25"},
	{name: "Inspector, legacy, stateful", open: inspector("legacy"), opens: -1, unlisted: "not found", flags: stateful, revision: "2025-11-25", session: true},
	{name: "Inspector, modern, stateless", open: inspector("modern"), unlisted: "not found", revision: "2026-07-28"},
	{name: "Go SDK, oidc-provider, stateful", open: goSDK("2025-11-25"), authority: oidcProvider, flags: stateful, revision: "2025-11-25", session: true},
	{name: "TypeScript SDK 2, oidc-provider, stateless", open: typeScript("v2", "2026-07-28"), authority: oidcProvider, revision: "2026-07-28", asks: offline},
	{name: "mcp-remote, oidc-provider, stateless", open: mcpRemote("legacy"), authority: oidcProvider, once: true, vain: 3, opens: 2, revision: "2025-11-25", asks: offline},
}

func TestE2E01_FromTheFirst401ToASteppedUpCall(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			ctx := within(t)
			sys := s.system(t)
			// At sign-in uma allows reading only; the first time that writing is asked for she declines, the second time she agrees.
			plan := []browser.Decision{{Scopes: []string{"notes:read"}}, {Deny: true}}
			if s.once {
				plan = plan[:1]
			}
			authorizations := len(plan) + 1
			uma := newPerson("uma", plan...)
			c := s.open(t, sys, uma)

			revision, session, err := c.connect(ctx)
			require.NoError(t, err)
			require.Equal(t, s.revision, revision)
			require.Equal(t, s.session, session != "", "session %q", session)
			requireInOrder(t, c.exchanges(), []exchange{
				{http.MethodPost, pathMCP, 401},
				{http.MethodGet, pathResource, 200},
				{http.MethodGet, pathServer, 200},
				{http.MethodPost, pathRegister, 201},
				{http.MethodPost, pathToken, 200},
				{http.MethodPost, pathMCP, 200},
			})
			first := uma.requests()
			require.Len(t, first, 1)
			requireCodeRequest(t, sys, first[0])
			require.Equal(t, s.scopes("notes:read", "notes:write"), scopesOf(first[0]), "a 401 without a base scope: clients ask for what the metadata lists")

			// What a step-up could open is listed; what needs a role that uma lacks is not.
			requireTools(t, c, "read_notes", "whoami", "write_note")
			requireWhoami(t, c, "uma", "notes:read")
			requireCall(t, c, "read_notes", nil, "You have no notes yet.")

			note := map[string]any{"text": "Deny first."}
			if !s.once {
				requireDeclined(t, c, "write_note", note)
				requireWhoami(t, c, "uma", "notes:read")
			}

			before := len(c.exchanges())
			requireCall(t, c, "write_note", note, "Noted.")
			requireInOrder(t, c.exchanges()[before:], []exchange{
				{http.MethodPost, pathMCP, 403}, {http.MethodPost, pathToken, 200}, {http.MethodPost, pathMCP, 200},
			})
			asked := uma.requests()
			require.Len(t, asked, authorizations, "one sign-in, one step-up declined, one agreed to")
			last := asked[len(asked)-1]
			requireCodeRequest(t, sys, last)
			require.Equal(t, s.scopes("notes:read", "notes:write"), scopesOf(last), "a step-up keeps what was granted")

			requireWhoami(t, c, "uma", "notes:read", "notes:write")
			requireCall(t, c, "read_notes", nil, "Deny first.")
			requireTools(t, c, "read_notes", "whoami", "write_note")

			// A refusal that no token can cure: no further sign-in, and the session goes on.
			_, err = c.call(ctx, "purge_notes", nil)
			require.ErrorContains(t, err, cmp.Or(s.unlisted, "Forbidden"))
			requireCall(t, c, "read_notes", nil, "Deny first.")
			require.Len(t, uma.requests(), authorizations)

			// An administrator of the same server sees more and may do more.
			ada := newPerson("ada")
			admin := s.open(t, sys, ada)
			_, _, err = admin.connect(ctx)
			require.NoError(t, err)
			requireTools(t, admin, "purge_notes", "read_notes", "whoami", "write_note")
			requireCall(t, admin, "purge_notes", nil, "All notes are gone.")
			requireWhoami(t, admin, "ada", "notes:read", "notes:write")
			require.Len(t, ada.requests(), 1)
			requireCall(t, c, "read_notes", nil, "You have no notes yet.")

			require.NoError(t, c.close(ctx))
			require.NoError(t, admin.close(ctx))
			requireAudit(t, sys, s, c, admin)
		})
	}
}

// A step-up that cannot succeed ends after one round: the person may have reading only, whatever is asked for.
func TestE2E01_AStepUpInVainEnds(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			ctx := within(t)
			sys := s.system(t)
			rio := newPerson("rio")
			c := s.open(t, sys, rio)
			_, _, err := c.connect(ctx)
			require.NoError(t, err)
			_, err = c.call(ctx, "write_note", map[string]any{"text": "Never."})
			require.Error(t, err)
			if s.vain == 0 {
				require.Len(t, rio.requests(), 2, "one sign-in, one step-up")
			}
			requireCall(t, c, "read_notes", nil, "You have no notes yet.")
			requireWhoami(t, c, "rio", "notes:read")
			require.LessOrEqual(t, len(rio.requests()), max(s.vain, 2))
			require.NoError(t, c.close(ctx))
		})
	}
}

// With -listing allowed the list follows the present token.
func TestE2E01_AllowedListingGrowsWithAStepUp(t *testing.T) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			ctx := within(t)
			sys := s.system(t, "-listing", "allowed")
			uma := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}})
			c := s.open(t, sys, uma)
			_, _, err := c.connect(ctx)
			require.NoError(t, err)
			requireTools(t, c, "read_notes", "whoami")
			note := map[string]any{"text": "Hidden until now."}
			if s.unlisted != "" { // a hidden tool is no reason for a step-up to a client that calls only what it sees
				_, err := c.call(ctx, "write_note", note)
				require.ErrorContains(t, err, s.unlisted)
				require.Len(t, uma.requests(), 1)
				return
			}
			requireCall(t, c, "write_note", note, "Noted.")
			requireTools(t, c, "read_notes", "whoami", "write_note")
			require.NoError(t, c.close(ctx))
		})
	}
}

// The Go SDK's client registers anew for the step-up and so is another client of the same user in the middle of its session. SessionPerUser lets it go on.
func TestE2E01_AStepUpAsAnotherClientKeepsTheSession(t *testing.T) {
	ctx := within(t)
	sys := newSystem(t, devAuthority, stateful...)
	uma := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}})
	c := newGoClient(t, sys, uma, "2025-11-25")
	_, session, err := c.connect(ctx)
	require.NoError(t, err)
	requireCall(t, c, "write_note", map[string]any{"text": "Written as another client."}, "Noted.")
	requireCall(t, c, "read_notes", nil, "Written as another client.")
	require.Equal(t, session, c.session.ID())
	require.Len(t, uma.requests(), 2)
	registrations := slices.DeleteFunc(c.exchanges(), func(e exchange) bool { return e.Path != pathRegister })
	require.Len(t, registrations, 2, "the Go SDK keeps registrations now: this test has lost its point")
	require.NoError(t, c.close(ctx))
}

// requireCodeRequest checks what every authorization request must have: PKCE with S256 and the resource (RFC 7636, RFC 8707).
func requireCodeRequest(t *testing.T, sys *system, q url.Values) {
	t.Helper()
	require.Equal(t, "code", q.Get("response_type"))
	require.Equal(t, "S256", q.Get("code_challenge_method"))
	require.NotEmpty(t, q.Get("code_challenge"))
	require.NotEmpty(t, q.Get("state"))
	require.Equal(t, []string{sys.resource}, q["resource"])
}

func scopesOf(q url.Values) []string {
	return slices.Sorted(slices.Values(strings.Fields(q.Get("scope"))))
}

func requireTools(t *testing.T, c client, want ...string) {
	t.Helper()
	got, err := c.list(within(t))
	require.NoError(t, err)
	require.ElementsMatch(t, want, got)
}

func requireCall(t *testing.T, c client, tool string, arguments map[string]any, want string) {
	t.Helper()
	got, err := c.call(within(t), tool, arguments)
	require.NoError(t, err, tool)
	require.Equal(t, want, got, tool)
}

// requireDeclined checks that a step-up which the person declines fails this call and nothing else.
func requireDeclined(t *testing.T, c client, tool string, arguments map[string]any) {
	t.Helper()
	before := len(c.exchanges())
	_, err := c.call(within(t), tool, arguments)
	var refused *refusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, "access_denied", refused.code)
	requireInOrder(t, c.exchanges()[before:], []exchange{{http.MethodPost, pathMCP, 403}})
}

func requireWhoami(t *testing.T, c client, subject string, scopes ...string) {
	t.Helper()
	text, err := c.call(within(t), "whoami", nil)
	require.NoError(t, err)
	var caller struct {
		Sub    string
		Client string `json:"client_id"`
		Scopes []string
	}
	require.NoError(t, json.Unmarshal([]byte(text), &caller))
	require.Equal(t, subject, caller.Sub)
	require.NotEmpty(t, caller.Client)
	require.ElementsMatch(t, scopes, caller.Scopes)
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

// requireAudit checks what the log of the resource server says, and what it must not say.
func requireAudit(t *testing.T, sys *system, s setting, clients ...client) {
	t.Helper()
	events, raw := sys.decisions(t)
	find := func(match func(decision) bool) []decision {
		return slices.DeleteFunc(slices.Clone(events), func(d decision) bool { return !match(d) })
	}
	require.NotEmpty(t, find(func(d decision) bool { return d.Status == 401 && d.Subject == "" && !d.Allowed }), "the first 401")
	require.NotEmpty(t, find(func(d decision) bool { return d.Name == "write_note" && d.Allowed && d.Subject == "uma" }))
	opened := find(func(d decision) bool { return d.Method == "initialize" && d.Allowed })
	switch {
	case s.revision != "2025-11-25":
		require.Empty(t, opened)
	case s.opens < 0:
		require.NotEmpty(t, opened)
	default:
		require.Len(t, opened, len(clients)*max(s.opens, 1), "no client had to connect again")
	}
	declined := find(func(d decision) bool { return d.Name == "write_note" && !d.Allowed })
	require.Len(t, declined, map[bool]int{false: 2, true: 1}[s.once])
	for _, d := range declined {
		require.Equal(t, 403, d.Status)
		require.Equal(t, []string{"notes:write"}, d.Needed)
		require.Equal(t, []string{"notes:read"}, d.Granted)
	}
	if s.unlisted == "" {
		require.NotEmpty(t, find(func(d decision) bool { return d.Name == "purge_notes" && !d.Allowed && d.Subject == "uma" }))
	}
	require.Len(t, find(func(d decision) bool { return d.Name == "purge_notes" && d.Allowed }), 1)

	var secrets []string
	for _, c := range clients {
		require.NotEmpty(t, c.secrets())
		secrets = append(secrets, c.secrets()...)
	}
	for _, secret := range secrets {
		require.Greater(t, len(secret), 20)
		for _, part := range append(strings.Split(secret, ".")[1:], secret) { // the header of a JWT is the same for all
			require.NotContains(t, raw, part)
		}
	}
}
