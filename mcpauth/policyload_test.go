package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// ladder is the classic one: each role can do what the one below can.
const ladder = `{
  "version": 1,
  "scopes": {"tools:read": {"title": "Look"}, "tools:write": {"implies": ["tools:read"]}},
  "roles": {
    "admin": {"title": "Admin", "implies": ["developer"]},
    "developer": {"implies": ["user"], "scopes": ["tools:write"]},
    "user": {"implies": ["reader"]},
    "reader": {"scopes": ["tools:read"]}
  },
  "tools": {
    "settings": "role(admin)",
    "logs": "role(developer)",
    "edit": "role(user) and tools:write",
    "look": "role(reader)"
  }
}`

// newPolicyServer has the tools of the ladder, none of which has a rule in the program.
func newPolicyServer(auth *mcpauth.Middleware) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	for _, name := range []string{"settings", "logs", "edit", "look"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, doNothing)
	}
	auth.Protect(server)
	return server
}

func reachable(t testing.TB, h http.Handler, token string) (out []string) {
	for _, name := range []string{"settings", "logs", "edit", "look"} {
		w := serve(h, post(call(name), token))
		if w.Code == http.StatusOK && !strings.Contains(w.Body.String(), `"error"`) {
			out = append(out, name)
		}
	}
	return out
}

func TestLoadPolicy_TheLadder(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ci", Name: "ci", Roles: []string{"developer"}}}})
	require.NoError(t, err)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{keys} })
	server := newPolicyServer(auth)
	h := auth.Wrap(sdkHandler(server, true))
	role := func(r string) string { return is.token(t, claims{"roles": []string{r}}) }
	require.Empty(t, reachable(t, h, role("admin")), "before any policy")
	require.NoError(t, auth.LoadPolicy([]byte(ladder)))
	require.NoError(t, auth.Verify(t.Context(), server))
	for r, want := range map[string][]string{
		"admin": {"settings", "logs", "edit", "look"}, "developer": {"logs", "edit", "look"}, "user": {"look"}, "reader": {"look"}, "other": nil,
	} {
		require.Equal(t, want, reachable(t, h, role(r)), r)
	}
	require.Equal(t, []string{"edit", "look"}, reachable(t, h, is.token(t, claims{"roles": []string{"user"}, "scope": "tools:write"})))

	w := serve(h, with(post(call("logs"), ""), "X-Api-Key", key))
	require.Equal(t, http.StatusOK, w.Code, "what a role stands for counts for API keys as well")
	require.Equal(t, http.StatusForbidden, serve(h, with(post(call("settings"), ""), "X-Api-Key", key)).Code)

	catalog, err := auth.Catalog(t.Context(), server)
	require.NoError(t, err)
	require.Equal(t, scopes.Description{Name: "tools:read", Title: "Look"}, catalog.ScopeNames[0])
	require.Equal(t, scopes.Description{Name: "admin", Title: "Admin"}, catalog.RoleNames[0])
}

// A reload counts with the next request, for remembered tokens as well, and one that fails changes nothing.
func TestLoadPolicy_Again(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("look", scopes.Role("owner"))
	h := auth.Wrap(sdkHandler(newPolicyServer(auth), true))
	developer, owner := is.token(t, claims{"roles": []string{"developer"}}), is.token(t, claims{"roles": []string{"owner"}, "jti": "2"})
	load := func(text string) error { return auth.LoadPolicy([]byte(text)) }
	require.NoError(t, load(`{"version":1,"roles":{"developer":{"implies":["staff"]},"staff":{}},"tools":{"logs":"role(staff)"}}`))
	require.Equal(t, []string{"logs"}, reachable(t, h, developer))
	require.Equal(t, []string{"look"}, reachable(t, h, owner))

	for _, bad := range []string{
		`{"version":1,"tools":{"look":"authenticated"}}`,
		`{"version":1,"tools":{"logs":"authenticated","lo*k":"authenticated"}}`,
		`{"version":1,"tools":{"logs":"authenticated or"}}`,
		`{"version":1,"methods":{"tools/call":"authenticated"}}`,
		`{"version":1,"resources":{"a://{":"authenticated"}}`,
		`{`,
	} {
		err := load(bad)
		require.Error(t, err, bad)
		var e *mcpauth.PolicyError
		require.ErrorAs(t, err, &e, bad)
		require.Equal(t, []string{"logs"}, reachable(t, h, developer), bad)
		require.Equal(t, []string{"look"}, reachable(t, h, owner), bad)
	}
	require.ErrorContains(t, load(`{"version":1,
  "tools":{"look":"authenticated"}}`), "line 2, column 12: tools.look: the program has declared a rule")

	require.NoError(t, load(`{"version":1,"tools":{"logs":"role(staff)"}}`))
	require.Empty(t, reachable(t, h, developer), "a developer is no member of the staff any more")
	require.NoError(t, load(`{"version":1,"tools":{"logs":"role(developer)"}}`))
	require.Equal(t, []string{"logs"}, reachable(t, h, developer))
	require.NoError(t, load(`{"version":1}`))
	require.Empty(t, reachable(t, h, developer), "what a file does not say any more is denied")
	require.Equal(t, []string{"look"}, reachable(t, h, owner), "a reload cannot drop a rule of the program")

	require.NoError(t, load(`{"version":1,"tools":{"edit":"authenticated"}}`))
	require.PanicsWithValue(t, `mcpauth: tool "edit" has a rule in the policy file already; keep one`, func() { auth.RequireTool("edit", scopes.Authenticated()) })
}

func TestLoadPolicy_ClientsAndLogins(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newPolicyServer(auth), true))
	admin := func(client string) string {
		return is.token(t, claims{"roles": []string{"admin"}, "client_id": client})
	}
	require.NoError(t, auth.LoadPolicy([]byte(strings.Replace(ladder, `"tools": {`, `"clients": {"console": {"unlimited": true}, "viewer": {"roles": ["user"], "scopes": ["tools:read"]}},
	"tools": {`, 1))))
	require.Equal(t, []string{"settings", "logs", "edit", "look"}, reachable(t, h, admin("console")))
	require.Equal(t, []string{"look"}, reachable(t, h, admin("viewer")), "a limit implies what its roles imply")
	require.Empty(t, reachable(t, h, admin("app")))
	require.NoError(t, auth.LoadPolicy([]byte(ladder)))
	require.Len(t, reachable(t, h, admin("app")), 4)

	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"l*":{"rule":"authenticated","login":{"acr":["mfa"],"maxAge":60}},"look":"authenticated"}}`)))
	w := serve(h, post(call("look"), admin("app")))
	require.Equal(t, http.StatusUnauthorized, w.Code, "logins add up")
	require.Contains(t, w.Header().Get("Www-Authenticate"), `acr_values="mfa", max_age="60"`)
	require.Equal(t, []string{"logs", "look"}, reachable(t, h, is.token(t, claims{"acr": "mfa", "auth_time": epoch.Unix()})))

	auth, _ = newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Clients = map[string]mcpauth.ClientLimit{"app": {}} })
	require.ErrorContains(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"app":{"unlimited":true}}}`)), "line 1, column 25: clients.app: Config.Clients has an entry")
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"other":{"unlimited":true}}}`)))
	h = auth.Wrap(&spy{})
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), admin("app"))).Code)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), admin("other"))).Code)
	require.Equal(t, http.StatusForbidden, serve(h, post(rpc("ping", nil), admin("third"))).Code)
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1}`)))
	require.Equal(t, http.StatusForbidden, serve(h, post(rpc("ping", nil), admin("other"))).Code)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), admin("app"))).Code, "nor a client of the program")

	require.ErrorContains(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"x":{"issuers":["https://nowhere"]}}}`)), `"https://nowhere" is the URL of none of Issuers`)
}

// Rules may follow what tools say about themselves, if somebody decides so.
func TestRequireAnnotated(t *testing.T) {
	is := newIssuer(t)
	no := false
	build := func(auth *mcpauth.Middleware) *mcp.Server {
		server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
		mcp.AddTool(server, &mcp.Tool{Name: "look", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}}, doNothing)
		mcp.AddTool(server, &mcp.Tool{Name: "edit", Annotations: &mcp.ToolAnnotations{DestructiveHint: &no}}, doNothing)
		mcp.AddTool(server, &mcp.Tool{Name: "logs"}, doNothing)
		mcpauth.AddTool(auth, server, &mcp.Tool{Name: "settings", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}}, doNothing, scopes.Role("owner"))
		return server
	}
	as := func(role string) string { return is.token(t, claims{"roles": []string{role}}) }
	rules := mcpauth.Annotated{ReadOnly: scopes.Role("reader"), Other: scopes.Role("writer"), Destructive: scopes.Role("admin")}
	check := func(h http.Handler) {
		t.Helper()
		require.Equal(t, []string{"look"}, reachable(t, h, as("reader")), "an exact rule comes first")
		require.Equal(t, []string{"edit"}, reachable(t, h, as("writer")))
		require.Equal(t, []string{"logs"}, reachable(t, h, as("admin")), "what says nothing may destroy something")
		require.Equal(t, []string{"settings"}, reachable(t, h, as("owner")))
	}

	auth, _ := newAuth(t, is, nil)
	server := build(auth)
	h := auth.Wrap(sdkHandler(server, true))
	require.Empty(t, reachable(t, h, as("reader")), "nobody has asked for it")
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, rules))
	check(h)
	require.NoError(t, auth.Verify(t.Context(), server))
	mcp.AddTool(server, &mcp.Tool{Name: "later", Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true}}, doNothing)
	require.Contains(t, serve(h, post(call("later"), as("reader"))).Body.String(), "unknown tool", "what it says was not read")
	require.ErrorContains(t, auth.LoadPolicy([]byte(`{"version":1,"annotated":{"readOnly":"authenticated"}}`)), "annotated: the program has such rules")
	require.Panics(t, func() {
		_ = auth.RequireAnnotated(t.Context(), server, mcpauth.Annotated{ReadOnly: scopes.Authenticated()})
	})

	auth, _ = newAuth(t, is, nil)
	server = build(auth)
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, mcpauth.Annotated{}))
	h = auth.Wrap(sdkHandler(server, true))
	require.Empty(t, reachable(t, h, as("reader")))
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"annotated":{"readOnly":"role(reader)","destructive":"role(admin)","other":"role(writer)"}}`)))
	check(h)
	require.Panics(t, func() { _ = auth.RequireAnnotated(t.Context(), server, rules) })

	require.Error(t, auth.RequireAnnotated(t.Context(), mcp.NewServer(&mcp.Implementation{Name: "x"}, nil), rules))
	require.Error(t, auth.RequireAnnotated(t.Context(), nil, rules))
}

// Requests go on while policies come and go, and none is ever decided by half of one.
func TestLoadPolicy_WhileRequestsGoOn(t *testing.T) {
	is := newIssuer(t)
	var log audit
	var text logBuffer
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision, cfg.Logger = log.add, slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
	h := auth.Wrap(sdkHandler(newPolicyServer(auth), true))
	// In each of the two, a reader has one way in; a mixture would open both tools, or none.
	policies := []string{
		`{"version":1,"roles":{"reader":{"implies":["x"]},"x":{},"y":{}},"tools":{"look":"role(x)","logs":"role(y)"}}`,
		`{"version":1,"roles":{"reader":{"implies":["y"]},"x":{},"y":{}},"tools":{"look":"role(y)","logs":"role(x)"}}`,
	}
	require.NoError(t, auth.LoadPolicy([]byte(policies[0])))
	token := is.token(t, claims{"roles": []string{"reader"}})
	done := make(chan struct{})
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if w := serve(h, post(call("look"), token)); w.Code != http.StatusOK && w.Code != http.StatusForbidden {
					panic(fmt.Sprint(w.Code, w.Body))
				}
			}
		})
	}
	for i := range 200 {
		require.NoError(t, auth.LoadPolicy([]byte(policies[i%2])))
	}
	close(done)
	group.Wait()
	for _, d := range log.take() {
		if d.Operation.Name == "look" && d.Rule != "" {
			require.Contains(t, []string{"role(x)", "role(y)"}, d.Rule)
		}
		require.NotEqual(t, mcpauth.ReasonNoRule, d.Reason)
	}
	require.NotContains(t, text.String(), string(mcpauth.ReasonReadersDisagree), "a reload is no reason for an alarm")
}

func TestWatchPolicyFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "policy.json")
	write := func(text string) {
		// As configuration management does: a new file in the place of the old one.
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	synctest.Test(t, func(t *testing.T) {
		var text logBuffer
		auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: "https://issuer.example"}},
			Logger: slog.New(slog.NewTextHandler(&text, nil))})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		for _, err := range []error{auth.WatchPolicyFile(ctx, path, time.Second), auth.LoadPolicyFile(path)} {
			require.ErrorContains(t, err, "no such file")
			require.Equal(t, 1, strings.Count(err.Error(), path), "it is named once: %v", err)
		}
		require.ErrorContains(t, auth.LoadPolicyFile(dir), "no regular file")
		write(`{"version":1,"tools":{"look":"nobody has"}}`)
		for _, err := range []error{auth.WatchPolicyFile(ctx, path, time.Second), auth.LoadPolicyFile(path)} {
			require.True(t, strings.HasPrefix(err.Error(), "mcpauth: "+path+": the policy has mistakes: line 1, column"), err.Error())
			var mistake *mcpauth.PolicyError
			require.ErrorAs(t, err, &mistake)
		}

		write(ladder)
		ended := make(chan error, 1)
		go func() { ended <- auth.WatchPolicyFile(ctx, path, time.Millisecond) }()
		synctest.Wait()
		roles := func(names ...string) *mcpauth.Principal {
			return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant(nil, names)})
		}
		allowed := func(role string) bool {
			return auth.Check(t.Context(), &mcpauth.Call{Principal: roles(role), Operation: tool("look")}) == nil
		}
		require.True(t, allowed("reader"))
		write(strings.Replace(ladder, `"look": "role(reader)"`, `"look": "role(developer)"`, 1))
		time.Sleep(time.Second + time.Millisecond) // synctest's time
		synctest.Wait()
		require.False(t, allowed("reader"))
		require.True(t, allowed("developer"))
		require.Contains(t, text.take(), "loaded anew")

		write(`{"version":1,"tools":{"look":"authenticated or"}}`)
		time.Sleep(5 * time.Second)
		require.False(t, allowed("reader"))
		require.True(t, allowed("developer"))
		said := text.take()
		require.Equal(t, 1, strings.Count(said, "the earlier one stays in force"), "once, not each second: %s", said)
		require.Contains(t, said, "line 1, column")
		require.NoError(t, os.Remove(path))
		time.Sleep(5 * time.Second)
		require.Equal(t, 1, strings.Count(text.take(), "no such file"))
		require.True(t, allowed("developer"))
		write(ladder)
		time.Sleep(2 * time.Second)
		require.True(t, allowed("reader"))
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

func TestPolicyError_EachOne(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	err := auth.LoadPolicy([]byte("{\"version\":1,\n\"tools\":{\"a*b\":\"x\"},\n\"prompts\":{\"\":\"x\"},\"clients\":{\"*\":{\"issuers\":[\"" + is.URL + "\"]}}}"))
	joined, ok := errors.Unwrap(err).(interface{ Unwrap() []error })
	require.True(t, ok)
	var lines []string
	for _, e := range joined.Unwrap() {
		lines = append(lines, e.Error())
	}
	require.True(t, slices.IsSorted(lines))
	require.Len(t, lines, 3)
	require.Contains(t, lines[0], "line 2, column 10: tools.a*b: an asterisk may only stand at the end")
}

func TestPolicySchema(t *testing.T) {
	var schema map[string]any
	require.NoError(t, json.Unmarshal(mcpauth.PolicySchema(), &schema))
	mcpauth.PolicySchema()[0] = 'x'
	require.Equal(t, byte('{'), mcpauth.PolicySchema()[0])
}
