package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// A remembered token is judged again by everything that time or state can change.
func TestCache_WhatChangesIsAskedAgain(t *testing.T) {
	revoked := false
	var asked int
	build := func(t *testing.T) (http.Handler, *testIssuer, *testClock) {
		is := newIssuer(t)
		revoked, asked = false, 0
		h, _, clock := newBased(t, is, func(cfg *mcpauth.Config) {
			cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { asked++; return revoked, nil }
		})
		return h, is, clock
	}
	code := func(h http.Handler, token string) int { return serve(h, post(call("whoami"), token)).Code }

	t.Run("its expiry, with leeway and to the second", func(t *testing.T) {
		h, is, clock := build(t)
		token := is.token(t, claims{"scope": "mcp:read", "exp": epoch.Add(time.Minute).Unix()})
		require.Equal(t, 200, code(h, token))
		clock.advance(90*time.Second - time.Nanosecond)
		require.Equal(t, 200, code(h, token))
		clock.advance(time.Nanosecond)
		require.Equal(t, 401, code(h, token))
	})
	t.Run("a clock that is put back", func(t *testing.T) {
		h, is, clock := build(t)
		for _, early := range []claims{{"nbf": epoch.Unix(), "iat": nil}, {"nbf": nil}} { // iat is epoch
			token := is.token(t, claims{"scope": "mcp:read"}, early)
			require.Equal(t, 200, code(h, token))
			clock.advance(-31 * time.Second)
			require.Equal(t, 401, code(h, token))
			clock.set(epoch)
			require.Equal(t, 200, code(h, token))
		}
	})
	t.Run("the removal of its key", func(t *testing.T) {
		h, is, clock := build(t)
		token := is.token(t, claims{"scope": "mcp:read", "exp": epoch.Add(10 * time.Hour).Unix()})
		require.Equal(t, 200, code(h, token))
		is.rotate(t, "key-2")
		clock.advance(time.Minute)
		require.Equal(t, 200, code(h, token), "nobody knows yet")
		require.Equal(t, 200, code(h, is.token(t, claims{"scope": "mcp:read"})), "which fetches the keys")
		require.Equal(t, 401, code(h, token))
	})
	t.Run("the removal of its key, when no other token ever comes", func(t *testing.T) {
		h, is, clock := build(t)
		token := is.token(t, claims{"scope": "mcp:read", "exp": epoch.Add(100 * time.Hour).Unix()})
		require.Equal(t, 200, code(h, token))
		before := is.fetches.Load()
		is.rotate(t, "key-2")
		clock.advance(2 * time.Hour) // beyond the longest age of a key set
		require.Eventually(t, func() bool { return code(h, token) == 401 }, 10*time.Second, time.Millisecond, "refreshed in the background")
		require.Greater(t, is.fetches.Load(), before)
	})
	t.Run("revocation", func(t *testing.T) {
		h, is, _ := build(t)
		token := is.scoped(t, "mcp:read")
		require.Equal(t, 200, code(h, token))
		require.Equal(t, 200, code(h, token))
		require.Equal(t, 2, asked)
		revoked = true
		require.Equal(t, 401, code(h, token))
	})
	t.Run("nothing is remembered of a refusal", func(t *testing.T) {
		h, is, clock := build(t)
		token := is.token(t, claims{"scope": "mcp:read", "nbf": epoch.Add(time.Hour).Unix(), "exp": epoch.Add(2 * time.Hour).Unix()})
		require.Equal(t, 401, code(h, token))
		clock.advance(time.Hour)
		require.Equal(t, 200, code(h, token))
	})
	t.Run("a token that looks like it", func(t *testing.T) {
		h, is, _ := build(t)
		token := is.scoped(t, "mcp:read")
		require.Equal(t, 200, code(h, token))
		for _, other := range []string{token + "A", token[:len(token)-1], token[:len(token)-4] + "AAAA", token + "="} {
			require.NotEqual(t, 200, code(h, other))
		}
		require.Equal(t, 200, code(h, token))
	})
}

// SEC-03: another resource, or another middleware, has a memory of its own.
func TestCache_IsNotShared(t *testing.T) {
	is := newIssuer(t)
	one, _, _ := newBased(t, is, nil)
	two, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.Resource = "https://mcp.example.com/other" })
	token := is.scoped(t, "mcp:read")
	require.Equal(t, 200, serve(one, post(call("whoami"), token)).Code)
	require.Equal(t, 401, serve(two, post(call("whoami"), token)).Code)
}

// The same decisions, whatever is remembered: nothing, little, and much.
func TestCache_MakesNoDifference(t *testing.T) {
	is := newIssuer(t)
	for _, size := range []int{-1, 1, 0} {
		h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.CachedTokens = size })
		for range 3 {
			for i := range 5 {
				token := is.token(t, claims{"scope": "mcp:read files:write", "sub": fmt.Sprint("user", i)})
				w := serve(h, post(call("write"), token))
				require.Equal(t, 200, w.Code)
				require.Contains(t, w.Body.String(), fmt.Sprint("write user", i))
				require.Equal(t, 403, serve(h, post(call("purge"), token)).Code)
			}
		}
	}
}

// SEC-09, threat 72: under -race, no request sees the caller of another one.
func TestCache_ConcurrentCallersStayApart(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) { cfg.CachedTokens = 3; cfg.DPoP.Nonces = true })
	var wg sync.WaitGroup
	for i := range 6 {
		k := newHolder(t, "EdDSA")
		name := fmt.Sprint("user", i)
		token := k.bound(t, is, claims{"scope": "mcp:read", "sub": name})
		plain := is.token(t, claims{"scope": "mcp:read", "sub": name})
		wg.Go(func() {
			nonce := nonceOf(t, serve(h, k.signed(post(call("whoami"), ""), token)))
			for range 40 {
				for _, r := range []*http.Request{k.signed(post(call("whoami"), ""), token, claim("nonce", nonce)), post(call("whoami"), plain)} {
					if w := serve(h, r); w.Code != 200 || !contains(w, "whoami "+name) {
						t.Error(w.Code, w.Body)
					}
				}
			}
		})
	}
	wg.Wait()
}
