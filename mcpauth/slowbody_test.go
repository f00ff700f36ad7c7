package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A slowBody does something before its last byte comes.
type slowBody struct {
	text   string
	before func()
	sent   bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if !b.sent {
		b.sent = true
		return copy(p, b.text[:1]), nil
	}
	if b.before != nil {
		b.before()
		b.before = nil
		return copy(p, b.text[1:]), io.EOF
	}
	return 0, io.EOF
}

func (b *slowBody) Close() error { return nil }

func postSlowly(token string, before func()) *http.Request {
	r := post("", token)
	body := call("transfer")
	r.Body, r.ContentLength = &slowBody{text: body, before: before}, int64(len(body))
	return r
}

// AUTHZ-16, TOK-21: whoever sends the head of a request with good credentials, and the body when it suits him, does not keep
// the rights of that moment.
func TestSlowBody_CredentialsAreJudgedAgain(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("")
	type world struct {
		*testClock
		revoked, unknown, outage, lost atomic.Bool
	}
	for _, test := range []struct {
		name   string
		apiKey bool
		before func(*world)
		status int
	}{
		{"nothing happens", false, func(*world) {}, http.StatusOK},
		{"time passes", false, func(w *world) { w.advance(10 * time.Minute) }, http.StatusOK}, // the leeway is left
		{"the token expires", false, func(w *world) { w.advance(10*time.Minute + 30*time.Second) }, http.StatusUnauthorized},
		{"the token is revoked", false, func(w *world) { w.advance(time.Second); w.revoked.Store(true) }, http.StatusUnauthorized},
		{"the clock is set back", false, func(w *world) { w.advance(-time.Second); w.revoked.Store(true) }, http.StatusUnauthorized},
		{"nobody can tell", false, func(w *world) { w.advance(time.Second); w.outage.Store(true) }, http.StatusServiceUnavailable},
		{"time passes, with an API key", true, func(w *world) { w.advance(time.Minute) }, http.StatusOK},
		{"the API key expires", true, func(w *world) { w.advance(10 * time.Minute) }, http.StatusUnauthorized},
		{"the API key is revoked", true, func(w *world) { w.advance(time.Second); w.revoked.Store(true) }, http.StatusUnauthorized},
		{"the API key cannot be looked up", true, func(w *world) { w.advance(time.Second); w.lost.Store(true) }, http.StatusServiceUnavailable},
		{"the API key is deleted", true, func(w *world) { w.advance(time.Second); w.unknown.Store(true) }, http.StatusUnauthorized},
	} {
		for _, cached := range []int{0, -1} {
			t.Run(fmt.Sprintf("%s, CachedTokens %d", test.name, cached), func(t *testing.T) {
				w := &world{}
				keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Find: func(context.Context, string) (*mcpauth.APIKey, error) {
					if w.lost.Load() {
						return nil, errors.New("down")
					}
					if w.unknown.Load() {
						return nil, nil
					}
					return &mcpauth.APIKey{Hash: hash, Owner: "ada", Name: "laptop", Expiry: epoch.Add(10 * time.Minute)}, nil
				}})
				require.NoError(t, err)
				var log audit
				auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
					cfg.Authenticators, cfg.CachedTokens, cfg.OnDecision = []mcpauth.Authenticator{keys}, cached, log.add
					cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) {
						if w.outage.Load() {
							return false, errors.New("down")
						}
						return w.revoked.Load(), nil
					}
				})
				w.testClock = clock
				auth.RequireTool("transfer", scopes.Authenticated())
				token := is.token(t) // 10 min
				if test.apiKey {
					token = ""
				}
				r := postSlowly(token, func() { test.before(w) })
				if test.apiKey {
					r.Header.Set("X-Api-Key", key)
				}
				reached := &spy{}
				res := serve(auth.Wrap(reached), r)
				require.Equal(t, test.status, res.Code)
				if test.status == http.StatusOK {
					require.Equal(t, []string{call("transfer")}, reached.bodies)
					return
				}
				require.Zero(t, reached.runs())
				require.Contains(t, res.Body.String(), `"id":7`)
				require.Equal(t, test.status == http.StatusUnauthorized, res.Header().Get("WWW-Authenticate") != "")
				require.Len(t, log.take(), 1)
			})
		}
	}
}

// The answer about an opaque token is no older than Introspection.MaxAge when the operation runs, either, and what the
// token may do is what it says then.
func TestSlowBody_OpaqueTokensAreAskedAboutAgain(t *testing.T) {
	for name, test := range map[string]struct {
		answer func(*testIssuer) claims
		status int
	}{
		"active":            {func(is *testIssuer) claims { return active(is, nil) }, http.StatusOK},
		"inactive":          {func(*testIssuer) claims { return claims{"active": false} }, http.StatusUnauthorized},
		"with fewer scopes": {func(is *testIssuer) claims { return active(is, claims{"scope": "other"}) }, http.StatusForbidden},
		"bound to a key now": {func(is *testIssuer) claims {
			return active(is, claims{"token_type": "DPoP", "cnf": claims{"jkt": strings.Repeat("A", 43)}})
		}, http.StatusUnauthorized},
		"another's": {func(is *testIssuer) claims { return active(is, claims{"sub": "uma"}) }, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			is, o := newIssuer(t), newOracle(t)
			o.answer = func(string) (int, any) { return http.StatusOK, active(is, nil) }
			auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "secret"}
			})
			auth.RequireTool("transfer", scopes.All("mcp:read"))
			reached := &spy{}
			r := postSlowly(opaque, func() {
				clock.advance(time.Minute)
				o.answer = func(string) (int, any) { return http.StatusOK, test.answer(is) }
			})
			require.Equal(t, test.status, serve(auth.Wrap(reached), r).Code)
			require.Equal(t, test.status == http.StatusOK, reached.runs() == 1)
		})
	}
}

// Who judges a key at first judges it again, and nobody else: the prefix of one kind of key may begin that of another.
func TestSlowBody_KeysOfWhichOnePrefixBeginsTheOther(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("files_admin_")
	kind := func(prefix string, keys ...mcpauth.APIKey) mcpauth.Authenticator {
		kind, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: prefix, Keys: append(keys, mcpauth.APIKey{Hash: mcpauth.HashAPIKey(prefix), Owner: "x", Name: "x"})})
		require.NoError(t, err)
		return kind
	}
	auth, clock := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{
			kind("files_admin_", mcpauth.APIKey{Hash: hash, Owner: "ada", Name: "laptop"}), kind("files_"),
			kind("", mcpauth.APIKey{Hash: hash, Owner: "eve", Name: "laptop"}),
		}
	})
	auth.RequireTool("transfer", scopes.Authenticated())
	for _, wait := range []time.Duration{0, time.Minute} {
		r := postSlowly("", func() { clock.advance(wait) })
		r.Header.Set("X-Api-Key", key)
		reached := &spy{}
		require.Equal(t, http.StatusOK, serve(auth.Wrap(reached), r).Code)
		require.Equal(t, 1, reached.runs())
	}
}

// On a real connection: the head with a token that is good for two seconds, the body after three.
func TestSlowBody_Socket(t *testing.T) {
	is := newIssuer(t)
	reached := &spy{}
	auth, clock := newAuth(t, is, nil)
	auth.RequireTool("transfer", scopes.Authenticated())
	server := httptest.NewServer(auth.Wrap(reached))
	t.Cleanup(server.Close)
	body := call("transfer")
	c := dial(t, server)
	c.send("POST /mcp HTTP/1.1", "Host: mcp.example.com", "Content-Type: application/json", "Expect: 100-continue",
		fmt.Sprintf("Content-Length: %d", len(body)), "Authorization: Bearer "+is.token(t), "")
	require.Equal(t, "HTTP/1.1 100 Continue", c.head()[0], "the token was good")
	clock.advance(time.Hour)
	_, err := io.WriteString(c.Conn, body)
	require.NoError(t, err)
	require.Equal(t, "HTTP/1.1 401 Unauthorized", c.head()[0])
	require.Zero(t, reached.runs())
}
