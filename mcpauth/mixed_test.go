package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Whoever could have a server taken for an unguarded one would have every request of everybody probed
// from then on, and some refused. An error of the server's own middleware, such as a rate limiter that
// runs before the guard, proves nothing.
func TestProtect_ALimiterIsNoUnguardedServer(t *testing.T) {
	is := newIssuer(t)
	for _, stateless := range []bool{true, false} {
		t.Run(fmt.Sprint("stateless=", stateless), func(t *testing.T) {
			auth, _ := newAuth(t, is, nil)
			server, runs := newCounting(auth)
			auth.Protect(server)
			var full atomic.Bool
			var asked atomic.Int64
			server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
				return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
					asked.Add(1)
					if full.Load() {
						return nil, errors.New("overloaded")
					}
					return next(ctx, method, req)
				}
			})
			h, token, id := auth.Wrap(sdkHandler(server, stateless)), is.token(t), ""
			if !stateless {
				id = openSession(t, h, token)
			}
			send := func(session string) int { return serve(h, inSession(session, post(call("open"), token))).Code }
			require.Equal(t, http.StatusOK, send(id))
			before := asked.Load()
			require.Equal(t, http.StatusOK, send(id))
			usual := asked.Load() - before
			full.Store(true)
			for range 2 {
				require.Equal(t, http.StatusOK, send(id), "the limiter's answer, not ours")
			}
			full.Store(false)
			before = asked.Load()
			require.Equal(t, http.StatusOK, send(id))
			require.Equal(t, usual, asked.Load()-before, "no probe with every request from now on")
			require.EqualValues(t, 3, runs.Load())
			if !stateless {
				require.Equal(t, http.StatusNotFound, send("gone"), "a client begins a new session only for 404")
			}
		})
	}
}

// One handler may serve two resources. The refusal of the guard of one is no absence of that of the other.
func TestProtect_TheGuardOfAnotherResourceIsNoUnguardedServer(t *testing.T) {
	is := newIssuer(t)
	a, _ := newAuth(t, is, nil)
	b, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Resource = "https://mcp.example.com/b" })
	serverA, runsA := newCounting(a)
	a.Protect(serverA)
	serverB, _ := newCounting(b)
	b.Protect(serverB)
	chosen := 0
	sdk := mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		chosen++
		if r.URL.Path == "/b" {
			return serverB
		}
		return serverA
	}, &mcp.StreamableHTTPOptions{JSONResponse: true})
	token := is.token(t, claims{"aud": "https://mcp.example.com/b"})
	hb := b.Wrap(sdk)
	toB := func(session string) (status, cost int) {
		before := chosen
		r := inSession(session, post(call("open"), token))
		r.URL.Path = "/b"
		w := serve(hb, r)
		require.NotContains(t, w.Body.String(), `"result"`)
		return w.Code, chosen - before
	}
	ofA := openSession(t, a.Wrap(sdk), is.token(t))
	toB("gone") // the first request of all is probed
	status, usual := toB("gone")
	require.Equal(t, http.StatusNotFound, status)
	_, _ = toB(ofA)
	require.Zero(t, runsA.Load())
	status, cost := toB("gone")
	require.Equal(t, http.StatusNotFound, status)
	require.Equal(t, usual, cost, "no probe with every request from now on")
}

// What a request meets that no guard has seen, as when its session ends at the same moment (a DELETE at
// the same time does that): only the answer to a probe that has a result shows a server without a guard.
func TestProtect_OnlyAResultShowsAnUnguardedServer(t *testing.T) {
	is := newIssuer(t)
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter)
		status int  // of the first request
		after  int  // of those that follow
		probed bool // those that follow
	}{
		{"nothing", func(http.ResponseWriter) {}, 200, 200, false},
		{"accepted", func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) }, 202, 202, false},
		{"session ended", func(w http.ResponseWriter) { http.Error(w, "session not found", http.StatusNotFound) }, 404, 404, false},
		{"an error", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"error":{"code":0,"message":"closing"}}`)
		}, 200, 200, false},
		{"a result", func(w http.ResponseWriter) { _, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":7,"result":{}}`) }, 200, 503, true},
		{"a result, as a stream", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "event: message\n")
			_, _ = io.WriteString(w, `data: {"jsonrpc":"2.0","id":7,"result":{}}`+"\n\n")
		}, 200, 503, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			auth, _ := newAuth(t, is, nil)
			sdk, served := sdkHandler(newServer(auth), true), -2 // the first request, and the probe within it
			// The SDK's handler, and from then on something that stands for it: it asks who is calling.
			h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if served++; served <= 0 {
					sdk.ServeHTTP(w, r)
					return
				}
				require.NotNil(t, sdkauth.TokenInfoFromContext(r.Context()))
				c.answer(w)
			}))
			send := func() int { return serve(h, post(call("whoami"), is.token(t))).Code }
			require.Equal(t, http.StatusOK, send())
			require.Zero(t, served)
			require.Equal(t, c.status, send())
			require.Equal(t, 2, served, "the request, and the probe after it")
			require.Equal(t, c.after, send())
			if c.probed {
				require.Equal(t, 3, served, "the probe, and no request")
				return
			}
			require.Equal(t, 4, served)
		})
	}
}

// Where some server is unguarded, every request is probed. What the SDK refuses by itself is still its
// own business: a client whose session has ended must hear 404 to begin a new one.
func TestProtect_SessionsThatEndAmongUnguardedServers(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	guarded, _ := newCounting(auth)
	auth.Protect(guarded)
	bare, runs := newCounting(nil)
	served := guarded
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return served }, &mcp.StreamableHTTPOptions{JSONResponse: true}))
	token := is.token(t)
	id := openSession(t, h, token)
	served = bare
	bad := serve(h, post(rpc("initialize", map[string]any{
		"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"},
	}), token)).Header().Get("Mcp-Session-Id")
	served = guarded
	send := func(session string) int { return serve(h, inSession(session, post(call("open"), token))).Code }
	require.Equal(t, http.StatusServiceUnavailable, send(bad), "every request is probed now")
	require.Equal(t, http.StatusOK, send(id))
	require.Equal(t, http.StatusNotFound, send("gone"))
	require.Equal(t, http.StatusNoContent, serve(h, sessionRequest("DELETE", "", token, id)).Code)
	require.Equal(t, http.StatusNotFound, send(id))
	require.Zero(t, runs.Load())
}

// A wrapper hides from Wrap that the SDK is behind. The SDK gives itself away by asking for the caller,
// before it does anything else: a server without Protect is not served there either.
func TestProtect_ForgottenBehindAWrapper(t *testing.T) {
	is := newIssuer(t)
	for _, stateless := range []bool{true, false} {
		var log logBuffer
		auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Logger = log.logger() })
		server, runs := newCounting(auth)
		h, token := auth.Wrap(behind(sdkHandler(server, stateless))), is.token(t)
		for _, body := range []string{rpc("tools/list", nil), rpc("resources/list", nil), call("open"), rpc("ping", nil)} {
			w := serve(h, post(body, token))
			require.Equal(t, http.StatusServiceUnavailable, w.Code, body)
			require.NotContains(t, w.Body.String(), "purge")
			require.NotContains(t, w.Body.String(), "secret")
		}
		require.Zero(t, runs.Load())
		require.Contains(t, log.String(), "call auth.Protect(server)")
		auth.Protect(server)
		require.Equal(t, http.StatusOK, serve(h, atRevision(legacy, post(rpc("ping", nil), token))).Code, "it recovers")
	}
	t.Run("protected, it costs one probe", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		server, _ := newCounting(auth)
		auth.Protect(server)
		served := 0
		sdk := sdkHandler(server, true)
		h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { served++; sdk.ServeHTTP(w, r) }))
		for range 3 {
			require.Equal(t, http.StatusOK, serve(h, post(call("open"), is.token(t))).Code)
		}
		require.Equal(t, 4, served)
	})
}

// getServer may choose by the revision, so a probe names that of the request.
func TestProtect_ForgottenForOneRevision(t *testing.T) {
	is := newIssuer(t)
	for name, wrapped := range map[string]bool{"seen by Wrap": false, "behind a wrapper": true} {
		t.Run(name, func(t *testing.T) {
			auth, _ := newAuth(t, is, nil)
			guarded, _ := newCounting(auth)
			auth.Protect(guarded)
			bare, runs := newCounting(nil)
			var h http.Handler = mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
				if r.Header.Get("Mcp-Protocol-Version") >= "2026-07-28" {
					return bare
				}
				return guarded
			}, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
			if wrapped {
				h = behind(h)
			}
			h = auth.Wrap(h)
			send := func(r *http.Request) (int, string) {
				w := serve(h, r)
				return w.Code, w.Body.String()
			}
			serve(h, modern("prompts/list", "", nil, is.token(t))) // cannot be told from others before it is served
			for range 2 {
				for _, r := range []*http.Request{
					modern("tools/list", "", nil, is.token(t)), modern("tools/call", "open", map[string]any{"name": "open"}, is.token(t)),
					modern("server/discover", "", nil, is.token(t)),
				} {
					code, body := send(r)
					require.Equal(t, http.StatusServiceUnavailable, code, body)
				}
				code, body := send(atRevision(legacy, post(rpc("tools/list", nil), is.token(t))))
				require.Equal(t, http.StatusOK, code)
				require.NotContains(t, body, "purge")
			}
			require.Zero(t, runs.Load())
			auth.Protect(bare)
			code, body := send(modern("tools/list", "", nil, is.token(t)))
			require.Equal(t, http.StatusOK, code, "it recovers")
			require.NotContains(t, body, "purge")
		})
	}
	t.Run("a request that the SDK refuses shows nothing", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		server, _ := newCounting(auth)
		auth.Protect(server)
		for _, stateless := range []bool{true, false} {
			chosen := 0
			h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { chosen++; return server },
				&mcp.StreamableHTTPOptions{Stateless: stateless, JSONResponse: true}))
			cost := func() int {
				before := chosen
				serve(h, post(rpc("ping", nil), is.token(t)))
				return chosen - before
			}
			cost()
			usual := cost()
			for _, r := range []*http.Request{
				with(modern("tools/list", "", nil, is.token(t)), "Mcp-Method", "ping"),
				with(modern("tools/list", "", nil, is.token(t)), "Mcp-Protocol-Version", "2099-01-01"),
				with(post(rpc("ping", nil), is.token(t)), "Mcp-Protocol-Version", "2020-01-01"),
				atRevision("2026-07-28", post(rpc("tools/list", nil), is.token(t))),
			} {
				w := serve(h, r)
				require.GreaterOrEqual(t, w.Code, 400, w.Body.String())
			}
			require.Equal(t, usual, cost(), "no probe with every request from now on")
		}
	})
}

// A probe sees what the request would: none of the headers that do not reach a handler.
func TestProtect_ProbesTakeNoDetour(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	sdk := sdkHandler(newServer(auth), true)
	var seen []http.Header
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header)
		sdk.ServeHTTP(w, r)
	}))
	r := post(call("whoami"), is.token(t))
	for _, name := range []string{"Upgrade", "X-Http-Method-Override", "X-Original-Url", "Proxy-Authorization"} {
		r.Header.Set(name, "x")
	}
	serve(h, r)
	require.Len(t, seen, 2, "the request, and the probe within it")
	for _, header := range seen {
		for _, name := range []string{"Upgrade", "X-Http-Method-Override", "X-Original-Url", "Proxy-Authorization", "Authorization"} {
			require.Empty(t, header.Get(name), name)
		}
	}
}

// A server that hangs holds up nobody for longer than a probe may take.
func TestProtect_ProbesEnd(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, runs := newCounting(auth)
	auth.Protect(server)
	require.NoError(t, auth.Ready(t.Context())) // no I/O within the bubble
	token := is.token(t)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
			return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
				select {
				case <-release: // a semaphore
					return next(ctx, method, req)
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
		})
		h := auth.Wrap(sdkHandler(server, true))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		w := serve(h, post(call("open"), token).WithContext(ctx))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
		close(release)
		synctest.Wait()
		require.Equal(t, http.StatusOK, serve(h, post(call("open"), token)).Code, "and it recovers")
		require.EqualValues(t, 1, runs.Load())
	})
}
