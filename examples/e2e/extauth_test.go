//go:build e2e && unix

package e2e

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	agentID     = "robot"
	agentSecret = "a secret of 40 characters for the robot"
)

// newAgent is the Go SDK's client with its own handler for the client-credentials extension: nobody sits in front
// of it.
func newAgent(t *testing.T, resource, revision, secret string, bound bool) *goClient {
	t.Helper()
	c := &goClient{http: &recorder{}, endpoint: resource, revision: revision}
	c.sends = &http.Client{Transport: c.http}
	if bound {
		key, err := mcpauthtest.NewDPoPKey("")
		require.NoError(t, err)
		c.sends = &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key, Base: c.http}}
	}
	handler, err := extauth.NewClientCredentialsHandler(&extauth.ClientCredentialsHandlerConfig{
		Credentials: &oauthex.ClientCredentials{ClientID: agentID, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: secret}},
		HTTPClient:  c.sends,
	})
	require.NoError(t, err)
	c.handler = handler
	return c
}

// agentAuthority is the program authserver as a user starts it for an agent. The SDK's handler sends the secret in the
// body, since the metadata lists client_secret_post; other clients prefer the header.
func agentAuthority(t *testing.T, resource string, flags ...string) *process {
	t.Helper()
	return start(t, filepath.Join(programs, "authserver"), append([]string{"-resource", resource, "-agent", agentID + ":" + agentSecret}, flags...)...)
}

// limitedAuthority serves an authorization server whose agent may have these scopes and roles until the test ends, and
// returns its issuer. The agents of authserver get every scope, and no role.
func limitedAuthority(t *testing.T, resource string, scopes, roles []string) string {
	t.Helper()
	l, err := devas.Listen("127.0.0.1:0")
	require.NoError(t, err)
	cfg := devas.Config{
		Issuer:    devas.IssuerURL(l),
		Resources: []devas.Resource{{Identifier: resource, Scopes: []devas.Scope{{Name: notes.ScopeRead}, {Name: notes.ScopeWrite}}}},
		Clients:   []devas.Client{{ID: agentID, Secret: agentSecret, Agent: true, Scopes: scopes, Roles: roles}},
	}
	srv, err := devas.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return cfg.Issuer
}

// ext-auth, oauth-client-credentials, "Flow Steps": 401, metadata of the resource, metadata of the authorization
// server, token, call. No registration, and nobody signs in.
func TestE2E01_ClientCredentials(t *testing.T) {
	for _, c := range []struct {
		name, revision string
		flags          []string
		opaque, bound  bool
	}{
		{"2026-07-28", "2026-07-28", nil, false, false},
		{"2025-11-25, sessions", "2025-11-25", stateful, false, false},
		{"2026-07-28, bound", "2026-07-28", []string{"-dpop", "required"}, false, true},
		{"2025-11-25, sessions, bound", "2025-11-25", stateful, false, true},
		{"2026-07-28, opaque", "2026-07-28", []string{"-introspect", introspector}, true, false},
		{"2025-11-25, sessions, opaque, bound", "2025-11-25", append([]string{"-introspect", introspector}, stateful...), true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := within(t)
			w := newWire(t)
			var authFlags []string
			if c.opaque {
				authFlags = []string{"-opaque", "-introspect", introspector}
			}
			auth := agentAuthority(t, w.resource, authFlags...)
			issuer, err := auth.address()
			require.NoError(t, err)
			sys := &system{resource: w.resource, issuer: issuer, auth: auth}
			sys.server = start(t, filepath.Join(programs, "resource-server"), append([]string{"-listen", "127.0.0.1:0", "-resource", w.resource, "-issuer", issuer, "-log"}, c.flags...)...)
			address, err := sys.server.address()
			require.NoError(t, err)
			w.leadTo(t, address)

			robot := newAgent(t, sys.resource, c.revision, agentSecret, c.bound)
			revision, session, err := robot.connect(ctx)
			require.NoError(t, err)
			require.Equal(t, c.revision, revision)
			require.Equal(t, c.revision == "2025-11-25", session != "")
			requireInOrder(t, robot.exchanges(), []exchange{
				{http.MethodPost, pathMCP, 401}, {http.MethodGet, pathResource, 200}, {http.MethodGet, pathServer, 200}, {http.MethodPost, pathToken, 200}, {http.MethodPost, pathMCP, 200},
			})
			for _, e := range robot.exchanges() {
				require.NotContains(t, []string{pathRegister, "/authorize"}, e.Path)
			}

			requireTools(t, robot, "read_notes", "whoami", "write_note")
			requireWhoami(t, robot, agentID, "notes:read", "notes:write")
			requireCall(t, robot, "write_note", map[string]any{"text": "Nobody was asked."}, "Noted.")
			requireCall(t, robot, "read_notes", nil, "Nobody was asked.")
			_, err = robot.call(ctx, "purge_notes", nil) // a role that it does not have
			require.Error(t, err)
			requireCall(t, robot, "read_notes", nil, "Nobody was asked.")
			sent := 0
			for _, p := range w.passages() {
				if scheme, token := p.credentials(); token != "" {
					sent++
					require.Equal(t, map[bool]string{false: "Bearer", true: "DPoP"}[c.bound], scheme)
					require.Equal(t, !c.opaque, strings.Count(token, ".") == 2)
				}
			}
			require.NotZero(t, sent)

			// A user reads other notes, and a client that does not know the secret none at all.
			newUser := newGoClient
			if c.bound {
				newUser = newBoundGoClient
			}
			uma := newUser(t, sys, newPerson("uma"), c.revision)
			_, _, err = uma.connect(ctx)
			require.NoError(t, err)
			requireCall(t, uma, "read_notes", nil, "You have no notes yet.")
			require.NoError(t, uma.close(ctx))
			_, _, err = newAgent(t, sys.resource, c.revision, "wrong", c.bound).connect(ctx)
			require.ErrorContains(t, err, "invalid_client")

			require.NoError(t, robot.close(ctx))
			_, log := sys.decisions(t)
			require.NotEmpty(t, robot.secrets())
			for _, secret := range append(robot.secrets(), agentSecret) {
				require.NotContains(t, log, secret)
				require.NotContains(t, auth.stderr.String(), secret)
			}
		})
	}
}

// The example of the extension sends resource (RFC 8707) with the token request; the handler of v1.8.0 leaves it out.
// An authorization server that insists on it refuses, and no token without an audience comes into being.
func TestE2E01_ClientCredentialsWithoutAResource(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	resource := "http://" + l.Addr().String() + pathMCP
	issuer, err := agentAuthority(t, resource, "-strict").address()
	require.NoError(t, err)
	serveNotes(t, l, mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{{URL: issuer}}}, true)
	_, _, err = newAgent(t, resource, "2026-07-28", agentSecret, false).connect(within(t))
	require.ErrorContains(t, err, "invalid_target", "the Go SDK sends resource now: this test has lost its point")
}

// CH-04, CH-08: a machine starts with the base scope that the 401 names and comes back with more when a 403 says
// what is missing, in one round; and gives up where it gets no more.
func TestE2E01_ClientCredentialsStepUp(t *testing.T) {
	for _, c := range []struct {
		name, revision string
		scopes, roles  []string
	}{
		{"2026-07-28", "2026-07-28", []string{notes.ScopeRead, notes.ScopeWrite}, nil},
		{"2025-11-25, sessions", "2025-11-25", []string{notes.ScopeRead, notes.ScopeWrite}, nil},
		{"with a role", "2025-11-25", []string{notes.ScopeRead, notes.ScopeWrite}, []string{notes.RoleAdmin}},
		{"in vain", "2026-07-28", []string{notes.ScopeRead}, nil},
		{"in vain, sessions", "2025-11-25", []string{notes.ScopeRead}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx := within(t)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			resource := "http://" + l.Addr().String() + pathMCP
			issuer := limitedAuthority(t, resource, c.scopes, c.roles)
			serveNotes(t, l, mcpauth.Config{
				Resource: resource, BaseScopes: []string{notes.ScopeRead},
				Issuers: []mcpauth.Issuer{{URL: issuer, Strict: true, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
			}, c.revision == "2026-07-28")

			robot := newAgent(t, resource, c.revision, agentSecret, false)
			_, _, err = robot.connect(ctx)
			require.NoError(t, err)
			requireWhoami(t, robot, agentID, notes.ScopeRead)

			tokens := 0
			requested := func() (n int) { // token requests since it was last called
				for _, e := range robot.exchanges() {
					if e.Path == pathToken {
						n++
					}
				}
				n, tokens = n-tokens, n
				return n
			}
			require.Equal(t, 1, requested())
			before := len(robot.exchanges())
			text, err := robot.call(ctx, "write_note", map[string]any{"text": "More, please."})
			requireInOrder(t, robot.exchanges()[before:], []exchange{{http.MethodPost, pathMCP, 403}, {http.MethodPost, pathToken, 200}})
			require.Equal(t, 1, requested())
			if len(c.scopes) == 1 {
				require.Error(t, err)
				requireCall(t, robot, "read_notes", nil, "You have no notes yet.")
			} else {
				require.NoError(t, err)
				require.Equal(t, "Noted.", text)
				requireCall(t, robot, "read_notes", nil, "More, please.")
			}
			requireWhoami(t, robot, agentID, c.scopes...)
			require.Zero(t, requested())

			// A bare 403 is no reason for another token. This handler asks for one all the same, and then gives up.
			if _, err = robot.call(ctx, "purge_notes", nil); c.roles != nil {
				require.NoError(t, err)
				require.Zero(t, requested())
			} else {
				require.Error(t, err)
				require.LessOrEqual(t, requested(), 1)
			}
			requireWhoami(t, robot, agentID, c.scopes...)
			require.NoError(t, robot.close(ctx))
		})
	}
}

// serveNotes serves the notebook on a listener until the test ends.
func serveNotes(t *testing.T, l net.Listener, cfg mcpauth.Config, stateless bool) {
	t.Helper()
	protection, err := mcpauth.New(cfg)
	require.NoError(t, err)
	server := notes.NewServer(protection)
	mux := http.NewServeMux()
	protection.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
	web := &httptest.Server{Listener: l, Config: &http.Server{Handler: mux}}
	web.Start()
	t.Cleanup(func() {
		web.CloseClientConnections() // streams have no end of their own
		web.Close()
	})
}
