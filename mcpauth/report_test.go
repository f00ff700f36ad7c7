package mcpauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Whoever reads a line of the log learns what was asked for, what came, and what helps.
func TestReport_WhatHelps(t *testing.T) {
	is := newIssuer(t)
	var log audit
	var text logBuffer
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision, cfg.Logger = log.add, slog.New(slog.NewTextHandler(&text, nil))
		cfg.Authenticators = []mcpauth.Authenticator{signature(adas(), nil)}
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:read"}, Roles: []string{"user"}}}
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			if c.Name == "panics" {
				panic("x")
			}
			return nil
		}
	})
	server := newServer(auth)
	auth.RequireTool("login", scopes.Authenticated())
	auth.RequireTool("panics", scopes.Authenticated())
	auth.RequireLogin(tool("login"), mcpauth.Login{ACRValues: []string{mfa}})
	h := auth.Wrap(sdkHandler(server, true))
	both := claims{"scope": "files:read files:write", "roles": []string{"admin", "user"}}
	for name, tt := range map[string]struct {
		request             *http.Request
		reason              mcpauth.Reason
		expected, got, cure string
	}{
		"a limit": {post(call("write"), is.token(t, both)), mcpauth.ReasonClientLimit,
			"the rule files:write within what the application may do at most", "the application app, limited to scopes files:read and roles user of this caller", "its entry in Config.Clients"},
		"an unknown application": {post(call("whoami"), is.token(t, both, claims{"client_id": "stranger"})), mcpauth.ReasonClient,
			"an application that an administrator has listed", "the application stranger of " + is.URL, `the entry "*"`},
		"no sign-in": {post(call("login"), is.token(t)), mcpauth.ReasonLogin,
			"acr " + mfa, "acr (none), auth_time (none)", "have the user sign in anew"},
		"another sign-in": {post(call("login"), is.token(t, claims{"acr": "pwd", "auth_time": epoch.Unix()})), mcpauth.ReasonLogin,
			"acr " + mfa, "acr pwd, auth_time 2026-08-01T12:00:00Z", "RFC 9470, Section 6"},
		"a sign-in out of range": {post(call("login"), is.token(t, claims{"acr": "pwd", "auth_time": "noon"})), mcpauth.ReasonLogin,
			"acr " + mfa, "acr pwd, auth_time (none)", "sign in anew"},
		"nobody to sign in": {keyRequestFor("login"), mcpauth.ReasonNoLogin, "a sign-in as RequireLogin asks for", "credentials that cannot bring it", "use a login for this operation"},
		"a panic":           {post(call("panics"), is.token(t)), mcpauth.ReasonPanic, "a Policy that returns", "a panic", "fix the hook that panicked"},
		"no credentials":    {post(call("whoami"), ""), mcpauth.ReasonNoCredentials, "", "", "nothing if the client now signs in"},
		"another scheme":    {with(post(call("whoami"), ""), "Authorization", "Digest x"), mcpauth.ReasonUnsupportedScheme, "", "", "the client must send Authorization: Bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			log.take()
			text.Reset()
			serve(h, tt.request)
			all := log.take()
			require.Len(t, all, 1)
			d := all[0]
			require.Equal(t, tt.reason, d.Reason)
			if tt.expected != "" {
				require.Equal(t, tt.expected, d.Expected)
				require.Equal(t, tt.got, d.Got)
			}
			require.Contains(t, d.Cure, tt.cure)
			if tt.reason == mcpauth.ReasonClient {
				require.Empty(t, d.Granted, "an application that nobody has listed may use nothing")
				require.Empty(t, d.Principal.Grant().Scopes())
			}
			require.Contains(t, text.String(), string(tt.reason))
			require.Contains(t, text.String(), "cure=")
			if tt.reason != mcpauth.ReasonPanic {
				require.NotContains(t, text.String(), "error=", "there was none")
			}
		})
	}
}

// A check that panics is told to whoever keeps the record, and nothing gets through.
func TestReport_HooksThatPanic(t *testing.T) {
	is := newIssuer(t)
	var log audit
	var text logBuffer
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision, cfg.Logger = log.add, slog.New(slog.NewTextHandler(&text, nil))
		cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { panic("broken hook") }
	})
	inner := &spy{}
	require.Equal(t, http.StatusServiceUnavailable, serve(auth.Wrap(inner), post(rpc("ping", nil), is.token(t))).Code)
	require.Zero(t, inner.runs())
	all := log.take()
	require.Len(t, all, 1)
	require.Equal(t, mcpauth.ReasonPanic, all[0].Reason)
	require.False(t, all[0].Allowed)
	require.Contains(t, all[0].Cause, "broken hook")
	require.Contains(t, all[0].Cure, "fix the hook")
	require.Contains(t, text.String(), "reason=panic")
}

// Rules that change between the two guards refuse, as a decision of its own and not as an alarm.
func TestReport_RulesThatChangeInBetween(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	sdk := sdkHandler(newPolicyServer(auth), true)
	load := func(text string) { require.NoError(t, auth.LoadPolicy([]byte(text))) }
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		load(`{"version":1,"tools":{"look":"role(owner)"}}`)
		sdk.ServeHTTP(w, r)
	}))
	load(`{"version":1,"tools":{"look":"authenticated"}}`)
	w := serve(h, post(call("look"), is.token(t)))
	require.Contains(t, w.Body.String(), `"code":403`)
	all := log.take()
	require.Len(t, all, 2)
	require.True(t, all[0].Allowed)
	require.False(t, all[1].Allowed)
	require.Equal(t, mcpauth.ReasonRole, all[1].Reason)
	require.Equal(t, "role(owner)", all[1].Rule)
}

// Without HTTP, the trace of a request stands in its _meta, and credentials that have ended are a decision, too.
func TestReport_Stdio(t *testing.T) {
	is := newIssuer(t)
	var at time.Time
	var granted []string
	var log audit
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.ListPolicy = func(_ context.Context, c *mcpauth.Call) error {
			if c.Name == "write" {
				return errors.New("not here")
			}
			return nil
		}
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			at, granted = c.Time, c.Principal.Grant().Scopes()
			return nil
		}
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:write"}}}
	})
	t.Setenv(variable, is.scoped(t, "files:read files:write"))
	ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
	require.NoError(t, err)
	l, err := connectLocal(t, ctx, newServer(auth))
	require.NoError(t, err)
	require.NoError(t, l.session.Ping(t.Context(), nil))
	require.Equal(t, "whoami", l.tools(), "a ListPolicy is asked here, too")
	const trace = "00-11111111111111111111111111111111-2222222222222222-01"
	ask := func(name string, meta mcp.Meta) mcpauth.Decision {
		log.take()
		_, _ = l.session.CallTool(t.Context(), &mcp.CallToolParams{Meta: meta, Name: name, Arguments: map[string]any{}})
		all := log.take()
		require.Len(t, all, 1)
		return all[0]
	}
	require.Equal(t, trace[3:35], ask("whoami", mcp.Meta{"traceparent": trace}).TraceID)
	require.Equal(t, trace[3:35], ask("purge", mcp.Meta{"traceparent": trace}).TraceID, "of a refusal")
	require.Empty(t, ask("whoami", nil).TraceID)
	require.Equal(t, clock.Now(), at, "what a Policy sees")
	require.Equal(t, []string{"files:write"}, granted, "within the limit of the application")
	require.Empty(t, ask("whoami", mcp.Meta{"traceparent": 1}).TraceID)
	granted = nil
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: is.URL, Subject: "ada", ClientID: "app", Grant: scopes.NewGrant([]string{"files:read", "files:write"}, nil)})
	other, err := connectLocal(t, mcpauth.NewContext(t.Context(), p), newServer(auth))
	require.NoError(t, err)
	require.Equal(t, "whoami ada", other.call("whoami"))
	require.Equal(t, []string{"files:write"}, granted, "of whoever passes for a caller of an issuer as well")
	clock.advance(24 * time.Hour)
	d := ask("whoami", nil)
	require.Equal(t, mcpauth.ReasonTokenExpired, d.Reason)
	require.Equal(t, http.StatusForbidden, d.Status)
	require.Equal(t, "ada", d.Principal.Subject())
}
