package mcpauth_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Middleware behind Wrap that compares a digest of the body (RFC 9530) gets a ping of ours without one.
func TestProbe_SaysNothingOfAnotherBody(t *testing.T) {
	digest := func(b []byte) string {
		sum := sha256.Sum256(b)
		return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	inner := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		if d := r.Header.Get("Content-Digest"); d != "" && d != digest(b) {
			http.Error(w, "digest", http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(b))
		inner.ServeHTTP(w, r)
	}))
	body := call("whoami")
	w := serve(h, with(post(body, is.scoped(t, "")), "Content-Digest", digest([]byte(body))))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
}

// RFC 9068, Section 5: a client with the name of a user does not come into that user's sessions.
func TestSessionPerUser_ApplicationsAreNoUsers(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.SessionPerUser = true })
	h := auth.Wrap(sdkHandler(newServer(auth), false))
	open := func(c claims) *http.Request {
		return atRevision("2025-11-25", post(rpc("initialize", map[string]any{
			"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "c", "version": "1"},
		}), is.token(t, c)))
	}
	w := serve(h, open(claims{"sub": "ada", "client_id": "web"}))
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	id := w.Header().Get("Mcp-Session-Id")
	require.NotEmpty(t, id)
	in := func(c claims) int {
		return serve(h, with(atRevision("2025-11-25", post(call("whoami"), is.token(t, c))), "Mcp-Session-Id", id)).Code
	}
	require.Equal(t, http.StatusOK, in(claims{"sub": "ada", "client_id": "other"}))
	require.Equal(t, http.StatusForbidden, in(claims{"sub": "ada", "client_id": "ada"}))
}

// AUTHZ-18: a trace is the caller's own where the caller says so, and a malformed one is none.
func TestAUTHZ18_TraceOfTheCaller(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	const own, proxy = "00-11111111111111111111111111111111-2222222222222222-01", "00-33333333333333333333333333333333-2222222222222222-01"
	for meta, want := range map[string]string{
		own: own[3:35], "": proxy[3:35], "00-1-2-3": proxy[3:35], strings.ToUpper(strings.Replace(own, "1", "a", 32)): proxy[3:35],
	} {
		body := rpc("tools/call", map[string]any{"name": "whoami", "arguments": map[string]any{}, "_meta": map[string]any{"traceparent": meta}})
		require.Equal(t, http.StatusOK, serve(h, with(post(body, is.token(t)), "Traceparent", proxy)).Code)
		require.Equal(t, want, log.take()[0].TraceID, meta)
	}
}

// Check asks the Policy with what counts now, and at the time of the Call where it has one.
func TestCheck_WhatThePolicySees(t *testing.T) {
	is := newIssuer(t)
	var seen []mcpauth.Call
	see := func(_ context.Context, c *mcpauth.Call) error {
		seen = append(seen, *c)
		return nil
	}
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Policy, cfg.ListPolicy = see, see })
	newServer(auth)
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: is.URL, Subject: "ada", ClientID: "app", Grant: scopes.NewGrant([]string{"files:read", "files:write"}, []string{"admin"})})
	require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"clients":{"app":{"scopes":["files:read"]}}}`)))
	require.NoError(t, auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: tool("whoami")}))
	require.Equal(t, []string{"files:read"}, seen[0].Principal.Grant().Scopes(), "within the limit of the application")
	require.Empty(t, seen[0].Principal.Grant().Roles())
	require.Equal(t, clock.Now(), seen[0].Time)
	require.Len(t, p.Grant().Scopes(), 2, "the caller's own Principal stays as it is")

	then := clock.Now().Add(-time.Hour)
	past := mcpauth.Call{Principal: p, Operation: tool("whoami"), Time: then, RemoteAddr: "192.0.2.1:1"}
	require.NoError(t, auth.Check(t.Context(), &past))
	require.True(t, auth.Shows(t.Context(), &past))
	require.Equal(t, then, seen[1].Time)
	require.Equal(t, then, seen[2].Time)
	require.Equal(t, "192.0.2.1:1", seen[1].RemoteAddr)
	require.Equal(t, http.StatusOK, serve(auth.Wrap(&spy{}), post(call("whoami"), is.token(t))).Code)
	require.Equal(t, clock.Now(), seen[3].Time, "over HTTP likewise")
}

// Whoever reads a Decision learns why: the cause of a Policy's refusal, and who was revoked.
func TestAUTHZ18_CausesAndCallers(t *testing.T) {
	is := newIssuer(t)
	var log audit
	refuse, gone := errors.New("closed\nat night"), false
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Policy = func(context.Context, *mcpauth.Call) error { return refuse }
		cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return gone, nil }
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for err, want := range map[error]mcpauth.Decision{
		refuse:                 {Reason: mcpauth.ReasonPolicy, Status: 403, Cause: `"closed\nat night"`},
		mcpauth.ErrUnavailable: {Reason: mcpauth.ReasonUnavailable, Status: 503, Cause: mcpauth.ErrUnavailable.Error()},
		&mcpauth.Error{Reason: "own", Status: 429}: {Reason: "own", Status: 429},
	} {
		refuse = err
		w := serve(h, post(call("whoami"), is.token(t)))
		require.Equal(t, want.Status, w.Code)
		require.NotContains(t, w.Body.String(), "night", "CH-12")
		d := log.take()[0]
		require.Equal(t, want.Reason, d.Reason)
		require.Equal(t, want.Cause, d.Cause)
		for _, text := range []string{d.Expected, d.Got, d.Cure} {
			require.NotEmpty(t, text, d.Reason)
		}
	}
	gone = true
	serve(h, post(call("whoami"), is.token(t)))
	d := log.take()[0]
	require.Equal(t, mcpauth.ReasonRevoked, d.Reason)
	require.Equal(t, "ada", d.Principal.Subject())

	auth, _ = newAuth(t, is, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	_, err := connectLocal(t, t.Context(), newServer(auth))
	require.Error(t, err)
	require.Equal(t, mcpauth.ReasonNoPrincipal, log.take()[0].Reason)
}
