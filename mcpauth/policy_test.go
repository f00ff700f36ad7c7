package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestPolicy_Answers(t *testing.T) {
	is := newIssuer(t)
	const secret = "upstream db.internal:5432 said no"
	for _, c := range []struct {
		name      string
		policy    mcpauth.Policy
		status    int
		challenge string // empty: no WWW-Authenticate at all
		retry     bool
		reason    mcpauth.Reason
	}{
		{"allows", func(context.Context, *mcpauth.Call) error { return nil }, 200, "", false, "allowed"},
		{"any error is a bare 403", func(context.Context, *mcpauth.Call) error { return errors.New(secret) }, 403, "", false, "policy_refused"},
		{"the zero Error too", func(context.Context, *mcpauth.Call) error { return &mcpauth.Error{Err: errors.New(secret)} }, 403, "", false, "policy_refused"},
		{"an unknown status is 403", func(context.Context, *mcpauth.Call) error { return &mcpauth.Error{Status: 200} }, 403, "", false, "policy_refused"},
		{"ErrUnavailable is 503", func(context.Context, *mcpauth.Call) error { return mcpauth.ErrUnavailable }, 503, "", true, "check_unavailable"},
		{"ErrUnavailable, wrapped", func(context.Context, *mcpauth.Call) error {
			return fmt.Errorf("%s: %w", secret, mcpauth.ErrUnavailable)
		}, 503, "", true, "check_unavailable"},
		{"503", func(context.Context, *mcpauth.Call) error { return &mcpauth.Error{Status: 503} }, 503, "", true, "policy_refused"},
		{"429", func(context.Context, *mcpauth.Call) error {
			return &mcpauth.Error{Status: 429, Code: "insufficient_scope"}
		}, 429, "", true, "policy_refused"},
		{"401 always has a challenge", func(context.Context, *mcpauth.Call) error { return &mcpauth.Error{Status: 401} }, 401, `error="invalid_token"`, false, "policy_refused"},
		{"AUTHZ-08: scopes that depend on the call", func(context.Context, *mcpauth.Call) error {
			return &mcpauth.Error{Status: 403, Code: "insufficient_scope", Scopes: []string{"big:one", "big:two"}, Description: `for "this"` + "\r\nX: y"}
		}, 403, `error="insufficient_scope", scope="big:one big:two"`, false, "policy_refused"},
		{"wrapped Error", func(context.Context, *mcpauth.Call) error {
			return fmt.Errorf("%s: %w", secret, &mcpauth.Error{Status: 429, Reason: "too_fast"})
		}, 429, "", true, "too_fast"},
		{"a panic refuses", func(context.Context, *mcpauth.Call) error { panic(secret) }, 403, "", false, "panic"},
		{"a nil dereference refuses", func(_ context.Context, c *mcpauth.Call) error {
			var none *mcpauth.Call
			return errors.New(none.Name)
		}, 403, "", false, "panic"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var logged logBuffer
			log := &audit{}
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Policy, cfg.OnDecision, cfg.Logger = c.policy, log.add, logged.logger()
			})
			auth.RequireTool("t", scopes.Authenticated())
			inner := &spy{}
			token := is.token(t)
			w := serve(auth.Wrap(inner), post(call("t"), token))
			require.Equal(t, c.status, w.Code, w.Body.String())
			require.Contains(t, w.Header().Get("Www-Authenticate"), c.challenge)
			require.Equal(t, c.challenge != "", w.Header()["Www-Authenticate"] != nil)
			require.Equal(t, c.retry, w.Header().Get("Retry-After") != "")
			require.Equal(t, c.status == 200, inner.runs() == 1)
			require.NotContains(t, fmt.Sprint(w.Header(), w.Body), "db.internal", "the client never sees the cause")
			require.NotContains(t, fmt.Sprint(w.Header()), "\n")
			if c.status != 200 {
				require.Contains(t, w.Body.String(), `"id":7`)
			}
			all := log.take()
			require.Len(t, all, 1)
			require.Equal(t, c.reason, all[0].Reason)
			if c.status != 200 {
				require.Equal(t, c.status, all[0].Status)
			}
			require.NotContains(t, logged.String(), token)

			p := principalOf(t, func() *mcpauth.Middleware { m, _ := newAuth(t, is, nil); return m }(), token)
			err := auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: "tools/call", Name: "t"}})
			require.Equal(t, c.status == 200, err == nil, "Check decides alike")
		})
	}
}

func TestPolicy_SeesTheCallAndNoCredentials(t *testing.T) {
	is := newIssuer(t)
	var got *mcpauth.Call
	calls := 0
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.Policy = func(_ context.Context, call *mcpauth.Call) error { got, calls = call, calls+1; return nil }
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	r := post(rpc("tools/call", map[string]any{"name": "whoami", "arguments": map[string]any{}}), is.token(t))
	r.Header.Set("X-Tenant", "acme")
	r.Header.Set("Dpop", "proof")
	r.Header.Set("Proxy-Authorization", "Basic x")
	r.RemoteAddr = "192.0.2.7:1234"
	require.Equal(t, http.StatusOK, serve(h, r).Code)
	require.Equal(t, 1, calls, "the second guard does not ask again")
	require.Equal(t, "ada", got.Principal.Subject())
	require.Equal(t, "tools/call whoami", got.Operation.String())
	require.JSONEq(t, `{}`, string(got.Arguments))
	require.Equal(t, "acme", got.Header.Get("X-Tenant"))
	require.Equal(t, "192.0.2.7:1234", got.RemoteAddr)
	for _, name := range []string{"Authorization", "Dpop", "Proxy-Authorization"} {
		require.NotContains(t, got.Header, name)
	}

	calls = 0
	serve(h, post(call("write"), is.token(t)))
	serve(h, post(call("purge"), is.token(t)))
	serve(h, post(call("forgotten"), is.token(t)))
	serve(h, post(call("whoami"), ""))
	require.Zero(t, calls, "it is asked after the rule was met")
	names, _ := listNames(t, h, "tools/list", "tools", "name", is.token(t))
	require.Equal(t, []string{"whoami", "write"}, names)
	require.LessOrEqual(t, calls, 1, "not for every item of a list")
}

// Three policies as operators write them: opening hours, an address range, a tenant in the arguments.
func TestAUTHZ08_PoliciesFromPractice(t *testing.T) {
	is := newIssuer(t)
	var clock *testClock
	auth, clock := newAuth(t, is, func(c *mcpauth.Config) {
		c.Policy = func(_ context.Context, call *mcpauth.Call) error {
			if h := clock.Now().Hour(); h < 8 || h >= 18 {
				return errors.New("closed")
			}
			if call.Name == "local" && call.RemoteAddr != "192.0.2.1:1234" {
				return errors.New("not from there")
			}
			var in struct{ Tenant string }
			var tenant string
			if err := json.Unmarshal(call.Arguments, &in); err != nil {
				return err
			}
			if _, err := call.Principal.Claim("/tenant", &tenant); err != nil {
				return err
			}
			if in.Tenant != "" && in.Tenant != tenant {
				return errors.New("another tenant")
			}
			return nil
		}
	})
	auth.RequireTool("*", scopes.Authenticated())
	h := auth.Wrap(&spy{})
	ask := func(tool, tenant string, address string, token claims) int {
		r := post(rpc("tools/call", map[string]any{"name": tool, "arguments": map[string]any{"tenant": tenant}}), is.token(t, claims{"exp": epoch.Add(24 * time.Hour).Unix()}, token))
		r.RemoteAddr = address
		return serve(h, r).Code
	}
	acme := claims{"tenant": "acme"}
	require.Equal(t, 200, ask("any", "acme", "192.0.2.1:1234", acme))
	require.Equal(t, 403, ask("any", "other", "192.0.2.1:1234", acme))
	require.Equal(t, 403, ask("any", "acme", "192.0.2.1:1234", claims{"tenant": []string{"acme"}}), "a claim of another type")
	require.Equal(t, 200, ask("local", "acme", "192.0.2.1:1234", acme))
	require.Equal(t, 403, ask("local", "acme", "192.0.2.9:1234", acme))
	clock.set(epoch.Add(7 * time.Hour))
	require.Equal(t, 403, ask("any", "acme", "192.0.2.1:1234", acme))
}

func TestTOK21_Revoked(t *testing.T) {
	is := newIssuer(t)
	for _, c := range []struct {
		name   string
		hook   func(context.Context, *mcpauth.Principal) (bool, error)
		status int
		reason mcpauth.Reason
	}{
		{"no", func(context.Context, *mcpauth.Principal) (bool, error) { return false, nil }, 200, "allowed"},
		{"yes", func(_ context.Context, p *mcpauth.Principal) (bool, error) { return p.Subject() == "ada", nil }, 401, "token_revoked"},
		{"cannot tell", func(context.Context, *mcpauth.Principal) (bool, error) { return false, errors.New("db.internal") }, 503, "check_unavailable"},
		{"an error counts more than a yes", func(context.Context, *mcpauth.Principal) (bool, error) { return true, errors.New("db.internal") }, 503, "check_unavailable"},
		{"panics", func(context.Context, *mcpauth.Principal) (bool, error) { panic("db.internal") }, 503, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &audit{}
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Revoked, cfg.OnDecision = c.hook, log.add })
			auth.RequireTool("t", scopes.Authenticated())
			inner := &spy{}
			w := serve(auth.Wrap(inner), post(call("t"), is.token(t)))
			require.Equal(t, c.status, w.Code)
			require.Equal(t, c.status == 200, inner.runs() == 1)
			require.NotContains(t, fmt.Sprint(w.Header(), w.Body), "db.internal")
			switch c.status {
			case 401:
				require.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_token"`)
			case 503:
				require.Empty(t, w.Header()["Www-Authenticate"], "CH-22")
				require.NotEmpty(t, w.Header().Get("Retry-After"))
			}
			if c.reason != "" {
				all := log.take()
				require.Len(t, all, 1)
				require.Equal(t, c.reason, all[0].Reason)
			}
		})
	}
	t.Run("asked for every request, in a session too", func(t *testing.T) {
		gone, asked := false, 0
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { asked++; return gone, nil }
		})
		h := auth.Wrap(sdkHandler(newServer(auth), false))
		token := is.token(t)
		id := openSession(t, h, token)
		asked = 0
		require.Equal(t, 200, serve(h, inSession(id, post(call("whoami"), token))).Code)
		require.Equal(t, 1, asked)
		gone = true
		require.Equal(t, 401, serve(h, inSession(id, post(call("whoami"), token))).Code)
	})
}

// SEC-05, threat 97: a broken audit hook stops the call and not the server.
func TestSEC05_OnDecisionPanics(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.OnDecision = func(context.Context, mcpauth.Decision) { panic("audit log is full") }
	})
	auth.RequireTool("t", scopes.Authenticated())
	inner := &spy{}
	for _, r := range []*http.Request{post(call("t"), is.token(t)), post(call("other"), is.token(t)), post(call("t"), "")} {
		w := serve(auth.Wrap(inner), r)
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.NotContains(t, w.Body.String(), "audit log")
	}
	require.Zero(t, inner.runs())
}

// SEC-05, threat 97: without HTTP nothing stands between a panic in a hook and the end of the process but
// the guard. It refuses, and the connection goes on.
func TestSEC05_HooksThatPanicBehindTheGuard(t *testing.T) {
	is := newIssuer(t)
	for _, c := range []struct {
		name   string
		config func(cfg *mcpauth.Config, broken *atomic.Bool)
	}{
		{"OnDecision", func(cfg *mcpauth.Config, broken *atomic.Bool) {
			cfg.OnDecision = func(context.Context, mcpauth.Decision) {
				if broken.Load() {
					panic("audit log is full")
				}
			}
		}},
		{"Policy", func(cfg *mcpauth.Config, broken *atomic.Bool) {
			cfg.Policy = func(context.Context, *mcpauth.Call) error {
				if broken.Load() {
					panic("no policy")
				}
				return nil
			}
		}},
		{"Now", func(cfg *mcpauth.Config, broken *atomic.Bool) {
			cfg.Now = func() time.Time {
				if broken.Load() {
					panic("no time")
				}
				return epoch
			}
		}},
		{"Logger", func(cfg *mcpauth.Config, broken *atomic.Bool) {
			cfg.Logger = slog.New(bareHandler{writerFunc(func(p []byte) (int, error) {
				if broken.Load() {
					panic("disk full")
				}
				return len(p), nil
			})})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var broken atomic.Bool
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { c.config(cfg, &broken) })
			server, runs := newCounting(auth)
			auth.Protect(server)
			near, far := mcp.NewInMemoryTransports()
			there, err := server.Connect(mcpauth.NewContext(t.Context(), principalOf(t, auth, is.token(t))), far, nil)
			require.NoError(t, err)
			defer there.Close()
			session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), near, nil)
			require.NoError(t, err)
			defer session.Close()
			send := func(tool string) error {
				_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool})
				return err
			}
			broken.Store(true)
			for _, tool := range []string{"open", "purge", "forgotten"} {
				if c.name == "Logger" && tool == "open" {
					continue // nothing is logged
				}
				require.Error(t, send(tool))
				require.NotContains(t, send(tool).Error(), "full")
			}
			require.Zero(t, runs.Load())
			broken.Store(false)
			require.NoError(t, send("open"))
			require.EqualValues(t, 1, runs.Load())
		})
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
