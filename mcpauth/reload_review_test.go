package mcpauth_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// What held: a reload changes what callers may do, not who they are. What the authorization server has said of an opaque
// token is kept, within MaxAge, also where it is out of reach.
func TestReloadsKeepWhatIsKnownOfTokens(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	o.answer = func(string) (int, any) { return 200, active(is, nil) }
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "x"}
	})
	h := auth.Wrap(&spy{})
	ping := func() int { return serve(h, post(rpc("ping", nil), opaque)).Code }
	load := func() {
		require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"app":{"unlimited":true}}}`)))
	}
	load()
	require.Equal(t, http.StatusOK, ping())
	require.Equal(t, http.StatusOK, ping())
	require.EqualValues(t, 1, o.asked.Load())
	o.answer = func(string) (int, any) { return 500, nil }
	load() // the same file again
	require.Equal(t, http.StatusOK, ping())
	require.EqualValues(t, 1, o.asked.Load())
}

// Names in the file end up in logs and terminals. Some are shown as they are.
func TestLoadPolicy_ErrorsHoldNoControlCharacters(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	for _, file := range []string{
		`{"version":1,"tools":{"a*\u001b]0;x\u0007b":"authenticated"}}`,
		`{"version":1,"clients":{"a\u001b[2Jb":{"issuers":["https://nobody.example"]}}}`,
		`{"version":1,"tools":{"` + "a*" + strings.Repeat("x", 100_000) + `":"authenticated"}}`,
	} {
		err := auth.LoadPolicy([]byte(file))
		require.Error(t, err)
		require.False(t, strings.ContainsAny(err.Error(), "\x1b\a"), "%q", err)
		require.Less(t, len(err.Error()), 10_000)
	}
}

// What held: reloads, declarations, requests and lists at the same time; and once LoadPolicy has returned, no request is decided
// by rights of the file before, whatever was put into the cache meanwhile.
func TestReloadsAndRequests(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Caller = mcpauth.Rate{Events: 1_000_000, Per: time.Minute}
		cfg.Revoked = mcpauth.NewRevocations(nil, func() time.Time { return epoch }).Revoked
	})
	h := auth.Wrap(sdkHandler(newPolicyServer(auth), true))
	token := is.scoped(t, "s")
	var stop sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		stop.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				body := call("edit")
				if i%2 == 0 {
					body = rpc("tools/list", nil)
				}
				serve(h, post(body, token))
			}
		})
	}
	for i := range 60 {
		clients, want := `{"app":{"scopes":["s"]}}`, http.StatusOK
		if i%2 == 0 {
			clients, want = `{"app":{"scopes":[]}}`, http.StatusForbidden
		}
		require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"edit":"s"},"clients":`+clients+`}`)))
		for range 3 {
			require.Equal(t, want, serve(h, post(call("edit"), token)).Code, i)
		}
	}
	close(done)
	stop.Wait()
}

// What held: other ways past a cap.
func TestWaysPastACap(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	o.answer = func(string) (int, any) { return 200, active(is, claims{"client_id": "capped", "scope": "files:write"}) }
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "x"}
		cfg.Clients = map[string]mcpauth.ClientLimit{"capped": {}, "app": {Unlimited: true}}
	})
	server := newServer(auth)
	auth.RequireResource("notes://*", scopes.All("files:write"))
	auth.RequirePrompt("p", scopes.All("files:write"))
	h, plain := auth.Wrap(sdkHandler(server, true)), auth.Wrap(&spy{})
	for _, c := range []claims{
		{"client_id": "capped"}, {"client_id": nil, "azp": "capped"}, {"client_id": nil, "cid": "capped"}, {"client_id": nil, "appid": "capped"},
		{"client_id": "capped", "azp": "app", "appid": "app", "cid": "app"}, {"client_id": nil, "azp": "capped", "cid": "app"},
		{"client_id": "capped "}, {"client_id": "*"}, {"client_id": nil}, {"client_id": "APP"},
	} {
		c["scope"] = "files:write"
		token := is.token(t, c)
		require.Equal(t, http.StatusForbidden, serve(h, post(call("write"), token)).Code, c)
		for _, body := range []string{
			rpc("resources/read", map[string]any{"uri": "notes://a"}), rpc("resources/subscribe", map[string]any{"uri": "notes://a"}),
			rpc("completion/complete", map[string]any{"ref": map[string]any{"type": "ref/prompt", "name": "p"}, "argument": map[string]any{"name": "x", "value": ""}}),
			rpc("subscriptions/listen", map[string]any{"notifications": map[string]any{"resourceSubscriptions": []string{"notes://a"}}}),
		} {
			require.Equal(t, http.StatusForbidden, serve(plain, post(body, token)).Code, "%v %s", c, body)
		}
		require.Equal(t, http.StatusForbidden, serve(plain, atRevision("2025-03-26", post("["+rpc("ping", nil)+","+call("write")+"]", token))).Code, c)
		require.NotContains(t, serve(h, post(rpc("tools/list", nil), token)).Body.String(), `"write"`)
	}
	require.Equal(t, http.StatusBadRequest+1, serve(h, post(call("write"), is.token(t, claims{"client_id": ""}))).Code, "an empty client id is malformed")
	require.Equal(t, http.StatusForbidden, serve(h, post(call("write"), opaque)).Code, "introspected")

	// Without HTTP, and with a caller that somebody else vouches for as one of the issuer's.
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: is.URL, Subject: "ada", ClientID: "capped", Grant: scopes.NewGrant([]string{"files:write"}, nil)})
	local, err := connectLocal(t, mcpauth.NewContext(t.Context(), p), server)
	require.NoError(t, err)
	require.Contains(t, local.call("write"), "Forbidden")
	t.Setenv("REVIEW_TOKEN", is.token(t, claims{"client_id": "capped", "scope": "files:write"}))
	ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: "REVIEW_TOKEN"})
	require.NoError(t, err)
	local, err = connectLocal(t, ctx, server)
	require.NoError(t, err)
	require.Contains(t, local.call("write"), "Forbidden")
	// A session that lasts: its next request is decided by the file that holds then.
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"forgotten":"authenticated"}}`)))
	require.NotContains(t, local.call("forgotten"), "Forbidden")
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"forgotten":"files:write"}}`)))
	require.Contains(t, local.call("forgotten"), "Forbidden")
}

// What held: while an address is blocked, a remembered token is checked as ever.
func TestChecksWhileBlocked(t *testing.T) {
	revoked := false
	h, is, k, bound, clock := boundServer(t, func(cfg *mcpauth.Config) {
		cfg.Limits.Failures = mcpauth.Rate{Events: 1, Per: time.Hour}
		cfg.Revoked = func(_ context.Context, _ *mcpauth.Principal) (bool, error) { return revoked, nil }
	})
	plain := is.scoped(t, "mcp:read")
	require.Equal(t, http.StatusOK, serve(h, k.signed(post(call("whoami"), ""), bound)).Code)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), plain)).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), "bad")).Code)
	require.Equal(t, http.StatusTooManyRequests, serve(h, post(call("whoami"), "bad")).Code)
	require.Equal(t, http.StatusTooManyRequests, serve(h, post(call("whoami"), is.token(t, claims{"jti": "n", "scope": "mcp:read"}))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), bound)).Code, "a bound token as a bearer token")
	require.Equal(t, http.StatusUnauthorized, serve(h, newHolder(t, "").signed(post(call("whoami"), ""), bound)).Code, "another key")
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), plain)).Code)
	require.Equal(t, http.StatusForbidden, serve(h, post(call("purge"), plain)).Code)
	revoked = true
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), plain)).Code)
	revoked = false
	clock.advance(11 * time.Minute)
	require.Equal(t, http.StatusTooManyRequests, serve(h, post(call("whoami"), plain)).Code, "expired")
}

// What held: acr values that a Policy makes of foreign text.
func TestNoHeaderInjectionByACR(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Policy = func(context.Context, *mcpauth.Call) error {
			return &mcpauth.Error{Status: 401, Code: "insufficient_user_authentication", Login: &mcpauth.Login{ACRValues: []string{"a\", resource_metadata=\"https://evil\r\nX: y"}, MaxAge: -1}}
		}
	})
	auth.RequireTool("look", scopes.Authenticated())
	w := serve(auth.Wrap(&spy{}), post(call("look"), is.token(t)))
	line := w.Header().Get("Www-Authenticate")
	require.Equal(t, 1, strings.Count(line, `resource_metadata="`), line)
	require.NotContains(t, line, "\n")
	require.NotContains(t, line, "max_age")
}
