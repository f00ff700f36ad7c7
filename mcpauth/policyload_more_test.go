package mcpauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Scopes stand for others without any role in the file, for the callers of a limit as well.
func TestLoadPolicy_ScopesThatImply(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	newServer(auth)
	load := func(text string) { require.NoError(t, auth.LoadPolicy([]byte(text))) }
	hierarchy := `"scopes":{"files:admin":{"implies":["files:write"]},"files:write":{"implies":["files:read"]},"files:read":{}}`
	load(`{"version":1,` + hierarchy + `}`)
	scopesOf := func(scope string) []string { return principalOf(t, auth, is.scoped(t, scope)).Grant().Scopes() }
	require.Equal(t, []string{"files:admin", "files:write", "files:read"}, scopesOf("files:admin"))
	require.Equal(t, []string{"files:read"}, scopesOf("files:read"))
	load(`{"version":1,` + hierarchy + `,"clients":{"app":{"scopes":["files:write"]}}}`)
	require.Equal(t, []string{"files:write", "files:read"}, scopesOf("files:admin"))
	load(`{"version":1,"scopes":{"files:admin":{},"files:write":{},"files:read":{}}}`)
	require.Equal(t, []string{"files:admin"}, scopesOf("files:admin"), "names without a hierarchy change nothing")
}

// A client of the file is one issuer's, where it says so.
func TestLoadPolicy_ClientsOfOneIssuer(t *testing.T) {
	here, there := newIssuer(t), newIssuer(t)
	auth, _ := newAuth(t, here, func(cfg *mcpauth.Config) { cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: there.URL}) })
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"app":{"issuers":["`+here.URL+`"],"unlimited":true}}}`)))
	h := auth.Wrap(&spy{})
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), here.token(t))).Code)
	require.Equal(t, http.StatusForbidden, serve(h, post(rpc("ping", nil), there.token(t))).Code)
	require.ErrorContains(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"app":{"unlimited":true}}}`)), "clients.app: Issuers: is empty")
}

// What a tool sees of a caller whose token is remembered is by the policy of now, too.
func TestLoadPolicy_RememberedTokens(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	token := is.scoped(t, "a")
	for _, tt := range []struct {
		policy string
		want   []string
	}{
		{`{"version":1,"scopes":{"a":{"implies":["b"]},"b":{}}}`, []string{"a", "b"}},
		{`{"version":1}`, []string{"a"}},
		{`{"version":1,"clients":{"app":{}}}`, nil},
		{`{"version":1,"clients":{"app":{"scopes":["a"]}}}`, []string{"a"}},
	} {
		require.NoError(t, auth.LoadPolicy([]byte(tt.policy)))
		for range 2 {
			require.Equal(t, tt.want, principalOf(t, auth, token).Grant().Scopes(), tt.policy)
		}
	}
}

// Where no token has an issuer, a list of clients would be about nobody.
func TestLoadPolicy_ClientsWithoutIssuers(t *testing.T) {
	auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{signature(adas(), nil)}})
	require.NoError(t, err)
	require.ErrorContains(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{}}`)), "clients: it is about the tokens of Issuers")
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"tools":{"look":"authenticated"}}`)))
	require.True(t, may(t, auth, "any", "look"))
	auth, _ = newAuth(t, newIssuer(t), nil)
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{}}`)))
}

// Mistakes come in the order of the file, whatever found them, and say where.
func TestLoadPolicy_MistakesInOrder(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	auth.RequireTool("declared", scopes.Authenticated())
	list := func(text string) (lines []string) {
		var joined interface{ Unwrap() []error }
		require.ErrorAs(t, errors.Unwrap(auth.LoadPolicy([]byte(text))), &joined)
		for _, e := range joined.Unwrap() {
			line, _, _ := strings.Cut(e.Error(), ": ")
			lines = append(lines, line)
		}
		return lines
	}
	one := `{"version":1,"clients":{"*":{"issuers":["x"]}},"resources":{"a*b":"x"},"tools":{"a*b":"x"},"methods":{"tools/call":"x"}}`
	require.Equal(t, []string{"line 1, column 25", "line 1, column 25", "line 1, column 61", "line 1, column 81", "line 1, column 103"}, list(one))
	many := strings.NewReplacer(`"resources"`, "\n\"resources\"", `"tools":`, "\n \"tools\":", `"methods"`, "\n\"methods\"").Replace(one)
	require.Equal(t, []string{"line 1, column 25", "line 1, column 25", "line 2, column 14", "line 3, column 11", "line 4, column 12"}, list(many))
	require.EqualError(t, auth.LoadPolicy([]byte(`{}`)), `mcpauth: the policy has mistakes: line 1, column 1: there is no "version"; write "version": 1`)
	require.Equal(t, []string{"line 1, column 23"}, list(`{"version":1,"tools":{"declared":"x"}}`))
}

func TestLoadPolicyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	auth, _ := newAuth(t, newIssuer(t), nil)
	require.NoError(t, os.WriteFile(path, []byte(ladder), 0o600))
	require.NoError(t, auth.LoadPolicyFile(path))
	require.True(t, may(t, auth, "reader", "look"))
	require.NoError(t, os.WriteFile(path, append([]byte(ladder), make([]byte, 5<<20)...), 0o600))
	require.ErrorContains(t, auth.LoadPolicyFile(path), "the file is longer than")
	require.True(t, may(t, auth, "reader", "look"))
}

// Each trouble is said once for as long as it lasts, and again when it comes back; what did not change is not loaded.
func TestWatchPolicyFile_WhatItSays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy.json")
	write := func(text string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	synctest.Test(t, func(t *testing.T) {
		var text logBuffer
		auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: "https://issuer.example"}},
			Logger: slog.New(slog.NewTextHandler(&text, nil))})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		write(ladder)
		ended := make(chan error, 1)
		go func() { ended <- auth.WatchPolicyFile(ctx, path, time.Millisecond) }()
		said := func(after time.Duration) (loaded, trouble int) {
			time.Sleep(after) // synctest's time
			synctest.Wait()
			s := text.take()
			return strings.Count(s, "loaded anew"), strings.Count(s, "could not be loaded")
		}
		expect := func(what string, after time.Duration, wantLoaded, wantTrouble int) {
			t.Helper()
			loaded, trouble := said(after)
			require.Equal(t, [2]int{wantLoaded, wantTrouble}, [2]int{loaded, trouble}, what)
		}
		expect("nothing has changed", 5500*time.Millisecond, 0, 0)
		write(ladder + "\n")
		expect("an interval of a millisecond counts as a second", 400*time.Millisecond, 0, 0)
		expect("it has changed", time.Second, 1, 0)
		bad := `{"version":1,"tools":{"look":"or"}}`
		write(bad)
		expect("mistakes", 3*time.Second, 0, 1)
		write(ladder)
		expect("repaired", 3*time.Second, 1, 0)
		write(bad)
		expect("the same mistakes again", 3*time.Second, 0, 1)
		write(ladder)
		expect("repaired again", 3*time.Second, 1, 0)
		for range 2 { // at each look another content
			write(bad)
			expect("mistakes once more", time.Second, 0, 1)
			write(ladder)
			expect("and none", time.Second, 1, 0)
		}
		for range 2 {
			require.NoError(t, os.Remove(path))
			expect("gone", 3*time.Second, 0, 1)
			write(ladder)
			expect("back as it was", 3*time.Second, 0, 0)
		}
		write("")
		expect("empty", 3*time.Second, 0, 1)
		require.NoError(t, os.Remove(path))
		expect("gone is not the same as empty", 3*time.Second, 0, 1)
		require.True(t, may(t, auth, "reader", "look"))
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}
