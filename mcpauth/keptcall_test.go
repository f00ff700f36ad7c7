package mcpauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A Policy may keep its Call, say for a log that is written elsewhere, while the request goes on and the handler changes
// its header. Two goroutines with one map end the process.
func TestPolicy_HasAHeaderOfItsOwn(t *testing.T) {
	is := newIssuer(t)
	var kept *mcpauth.Call
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			kept = c
			c.Header.Set("X-Policy", "1")
			return nil
		}
	})
	auth.RequireTool("*", scopes.Authenticated())
	var inner http.Header
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		inner = r.Header
		r.Header.Set("X-Handler", "1")
	}))
	require.Equal(t, 200, serve(h, with(post(call("x"), is.scoped(t, "mcp:read")), "X-Original-Url", "/other")).Code)
	require.Equal(t, "/other", kept.Header.Get("X-Original-Url"), "it is as it was when the Policy was asked")
	require.Empty(t, kept.Header.Get("X-Handler"))
	require.Empty(t, kept.Header.Get("Authorization"))
	require.Empty(t, inner.Get("X-Policy"), "what a Policy writes reaches no handler")
}
