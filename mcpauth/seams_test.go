package mcpauth_test

import (
	"context"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A fragment names no other resource (RFC 3986, Section 3.5), and readers pass over queries and slashes.
func TestAUTHZ03_WhatReadersPassOver(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireResource("file:///{+path}", scopes.Authenticated())
	auth.RequireResource("file:///etc/key", scopes.Role("admin"))
	auth.RequireResource("file:///*", scopes.Authenticated())
	auth.RequireResource("file:///users/{id}/key", scopes.Role("admin"))
	auth.RequireResource("file:///etc/key?public=1", scopes.Authenticated())
	caller := callerOf(t, auth, is.token(t))
	for uri, allowed := range map[string]bool{
		"file:///etc/key":           false,
		"file:///etc/key#x":         false,
		"file:///etc/key?x":         false,
		"file:///etc/key/":          false,
		"file:///etc/key//?a#b":     false,
		"file:///etc/%6Bey#x":       false,
		"file:///users/1/key#x":     false,
		"file:///users/1/key/?x":    false,
		"file:///etc/key?public=1":  true, // an exact rule wins, and somebody wrote it
		"file:///etc/other#x":       true,
		"file:///etc/keys":          true,
		"file:///users/1/other/key": true,
	} {
		err := auth.Check(context.Background(), &mcpauth.Call{
			Principal: caller, Operation: mcpauth.Operation{Method: "resources/read", Name: uri},
		})
		require.Equal(t, allowed, err == nil, uri)
	}
}

// A caller in the context around Wrap, such as that of a process which serves stdio as well, is never the
// caller of an HTTP request.
func TestSEC07_TheProcessIsNotTheCaller(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Guests = []string{"ping"} })
	root := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "local", Subject: "root", Grant: scopes.NewGrant(nil, []string{"admin"})})
	outer := mcpauth.NewContext(t.Context(), root)
	var seen []string
	foreign := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := mcpauth.FromContext(r.Context())
		seen = append(seen, p.Subject())
	}))
	serve(foreign, post(rpc("ping", nil), is.token(t)).WithContext(outer))
	serve(foreign, post(rpc("ping", nil), "").WithContext(outer))
	require.Equal(t, []string{"ada", ""}, seen)

	sdk := auth.Wrap(sdkHandler(newServer(auth), true))
	w := serve(sdk, post(call("purge"), is.token(t)).WithContext(outer))
	require.Equal(t, http.StatusForbidden, w.Code)
}

// Requests to an unprotected stateful server behind other middleware leave no sessions behind.
func TestHTTP18_RefusedServersKeepNoSessions(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	inner := sdkHandler(server, false)
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) }))
	send := func() {
		w := serve(h, post(rpc("initialize", map[string]any{
			"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"},
		}), is.token(t)))
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
	}
	send()
	before := 0
	for range server.Sessions() {
		before++
	}
	for range 50 {
		send()
	}
	after := 0
	for range server.Sessions() {
		after++
	}
	require.LessOrEqual(t, after, before, "goroutines: %d", runtime.NumGoroutine())
}

func TestAUTHZ19_GuestsHaveNoSessionAndRulesStopThem(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Guests = []string{"tools/list", "ping"} })
	auth.RequireMethod("tools/list", scopes.Authenticated())
	reached := 0
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached++
		require.Empty(t, r.Header["Mcp-Session-Id"])
	}))
	require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("tools/list", nil), "")).Code)
	r := with(post(rpc("ping", nil), ""), "Mcp-Session-Id", "somebody's")
	require.Equal(t, http.StatusOK, serve(h, r).Code)
	require.Equal(t, 1, reached)
	require.Equal(t, "somebody's", r.Header.Get("Mcp-Session-Id"), "the caller's request stays as it was")
}

// Mistakes of middleware behind the guard end neither the process nor in an endless loop.
func TestGuard_MiddlewareBehindItMayBeWrong(t *testing.T) {
	is := newIssuer(t)
	for name, result := range map[string]mcp.Result{
		"a nil result":                    (*mcp.ListToolsResult)(nil),
		"a cursor that goes round":        &mcp.ListToolsResult{Tools: []*mcp.Tool{}, NextCursor: "again"},
		"a cursor that goes round, shown": &mcp.ListToolsResult{Tools: []*mcp.Tool{{Name: "purge"}}, NextCursor: "again"},
	} {
		t.Run(name, func(t *testing.T) {
			auth, _ := newAuth(t, is, nil)
			server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
			server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
				return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
					if method == "tools/list" {
						return result, nil
					}
					return next(ctx, method, req)
				}
			})
			auth.Protect(server)
			w := serve(auth.Wrap(sdkHandler(server, true)), post(rpc("tools/list", nil), is.token(t)))
			require.NotContains(t, w.Body.String(), "purge")
			require.True(t, strings.HasPrefix(w.Body.String(), `{"jsonrpc"`), w.Body.String())
		})
	}
}
