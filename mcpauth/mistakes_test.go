package mcpauth_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestMistakesPanicWithAName(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	other, _ := newAuth(t, is, nil)
	server := newServer(auth)
	require.PanicsWithValue(t, "mcpauth: Protect: the server is nil", func() { auth.Protect(nil) })
	require.PanicsWithValue(t, "mcpauth: Wrap: the handler is nil", func() { auth.Wrap(nil) })
	require.PanicsWithValue(t, "mcpauth: Protect: the server was given to another Middleware before; make one and share it",
		func() { other.Protect(server) })
	require.NotPanics(t, func() { auth.Protect(server) })
	require.ErrorContains(t, other.Verify(t.Context(), server), "not protected")
	require.ErrorContains(t, auth.Verify(t.Context(), nil), "not protected")
}

// A test that forgets the Operation must not be green.
func TestCheck_RefusesTheZeroOperation(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	ada := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "i", Subject: "ada", Grant: scopes.NewGrant(nil, nil)})
	require.Error(t, auth.Check(context.Background(), &mcpauth.Call{Principal: ada}))
	require.Error(t, auth.Check(context.Background(), nil))
	require.NoError(t, auth.Check(context.Background(), &mcpauth.Call{Principal: ada, Operation: mcpauth.Operation{Method: "ping"}}))
}

// What makes every login fail, or every list show too much, is said at the first request.
func TestSuspiciousConfigurationIsLogged(t *testing.T) {
	is := newIssuer(t)
	const (
		unpublished = "nobody asked for the metadata handler"
		noScopes    = "BaseScopes: it is empty"
		noPath      = "Resource: it has no path"
	)
	for _, tt := range []struct {
		name   string
		change func(*mcpauth.Config)
		mount  bool
		want   []string
	}{
		{"wrapped, and the metadata forgotten", nil, false, []string{unpublished, noScopes}},
		{"mounted", nil, true, []string{noScopes}},
		{"base scopes", func(c *mcpauth.Config) { c.BaseScopes = []string{"x"} }, true, nil},
		{"scopes in the metadata", func(c *mcpauth.Config) { c.Metadata = &prm.Metadata{ScopesSupported: []string{"x"}} }, true, nil},
		{"no path", func(c *mcpauth.Config) { c.Resource, c.BaseScopes = "https://mcp.example.com", []string{"x"} }, true, []string{noPath}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
				c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				if tt.change != nil {
					tt.change(c)
				}
			})
			h := auth.Wrap(sdkHandler(newServer(auth), true))
			if tt.mount {
				auth.Mount(http.NewServeMux(), h)
				require.Contains(t, log.String(), "mcpauth: mounted")
			}
			serve(h, post(rpc("ping", nil), ""))
			for _, finding := range []string{unpublished, noScopes, noPath} {
				if slices.Contains(tt.want, finding) {
					require.Contains(t, log.String(), finding)
				} else {
					require.NotContains(t, log.String(), finding)
				}
			}
		})
	}
}

func TestUnprotectedServerBehindOtherMiddlewareIsReported(t *testing.T) {
	is := newIssuer(t)
	var log bytes.Buffer
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	inner := sdkHandler(server, true)
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, r) }))
	serve(h, post(rpc("tools/list", nil), is.token(t)))
	require.Contains(t, log.String(), "a server that was never protected has answered a request")
	require.Equal(t, http.StatusServiceUnavailable, serve(h, post(rpc("tools/list", nil), is.token(t))).Code)
}
