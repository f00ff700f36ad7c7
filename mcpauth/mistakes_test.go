package mcpauth_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"testing"
	"time"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
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

// A server that was never protected is refused, not served once, when other middleware stands in front of
// it; and a handler of another kind is not taken for one because its code asks for the SDK's TokenInfo.
func TestUnprotectedServerBehindOtherMiddleware(t *testing.T) {
	for _, stateless := range []bool{true, false} {
		is := newIssuer(t)
		auth, _ := newAuth(t, is, nil)
		auth.RequireTool("*", scopes.Authenticated())
		ran := 0
		server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
		mcp.AddTool(server, &mcp.Tool{Name: "t"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
			ran++
			return &mcp.CallToolResult{}, nil, nil
		})
		inner := sdkHandler(server, stateless)
		h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			require.NotNil(t, sdkauth.TokenInfoFromContext(r.Context()), "asked by somebody else first")
			inner.ServeHTTP(w, r)
		}))
		initialize := rpc("initialize", map[string]any{
			"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
		})
		for _, body := range []string{call("t"), rpc("tools/list", nil), initialize} {
			w := serve(h, post(body, is.token(t)))
			require.Equal(t, http.StatusServiceUnavailable, w.Code, body)
			require.NotContains(t, w.Body.String(), "tools")
		}
		require.Zero(t, ran)
		auth.Protect(server)
		require.Equal(t, http.StatusOK, serve(h, post(initialize, is.token(t))).Code)
		if stateless {
			require.Equal(t, http.StatusOK, serve(h, post(call("t"), is.token(t))).Code)
			require.Equal(t, 1, ran)
		}
	}
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	foreign := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.NotNil(t, sdkauth.TokenInfoFromContext(r.Context()))
		_, _ = w.Write([]byte(`{"result":{}}`))
	}))
	for range 3 {
		require.Equal(t, http.StatusOK, serve(foreign, post(call("t"), is.token(t))).Code)
	}
	panics := auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { serve(panics, post(call("t"), is.token(t))) })
}

// Names in mistakes are shown as they were written.
func TestMistakes_NamesWithPercentSigns(t *testing.T) {
	is := newIssuer(t)
	_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Clients: map[string]mcpauth.ClientLimit{"https://a/%7Eclient": {Scopes: []string{"two words"}}}})
	require.ErrorContains(t, err, `Clients["https://a/%7Eclient"].Scopes: "two words" is not a scope`)
	_, err = mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Limits: mcpauth.Limits{
		Operations: map[string]mcpauth.Rate{"resources/read notes://%20*": {Events: -1, Per: time.Second}}}})
	require.ErrorContains(t, err, `Limits.Operations["resources/read notes://%20*"]: rate has Events -1`)
}
