package mcpauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

type noInput struct{}

// newServer has three tools: any caller, one scope, one role.
func newServer(auth *mcpauth.Middleware) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	echo := func(text string) mcp.ToolHandlerFor[noInput, any] {
		return func(ctx context.Context, req *mcp.CallToolRequest, in noInput) (*mcp.CallToolResult, any, error) {
			p, _ := mcpauth.FromContext(ctx)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text + " " + p.Subject()}}}, nil, nil
		}
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami"}, echo("whoami"), scopes.Authenticated())
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write"}, echo("write"), scopes.All("files:write"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "purge"}, echo("purge"), scopes.Role("admin"))
	mcp.AddTool(server, &mcp.Tool{Name: "forgotten"}, echo("forgotten"))
	return server
}

func sdkHandler(server *mcp.Server, stateless bool) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: stateless, JSONResponse: true})
}

func newAuth(t testing.TB, is *testIssuer, change func(*mcpauth.Config)) (*mcpauth.Middleware, *testClock) {
	t.Helper()
	clock := newClock()
	cfg := mcpauth.Config{
		Resource: testResource, Now: clock.Now,
		Issuers: []mcpauth.Issuer{{URL: is.URL, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
	}
	if change != nil {
		change(&cfg)
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	return auth, clock
}

func TestWrap_WholeWay(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), true))

	w := serve(h, post(call("whoami"), ""))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, bothLines(plain), w.Header()["Www-Authenticate"])
	require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":401,"message":"Unauthorized","data":{"resource_metadata":"https://mcp.example.com/.well-known/oauth-protected-resource/mcp"}}}`, w.Body.String())

	w = serve(h, post(call("whoami"), is.scoped(t, "")))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	require.Contains(t, w.Body.String(), "whoami ada")

	w = serve(h, post(call("write"), is.scoped(t, "")))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Equal(t, []string{`Bearer error="insufficient_scope", scope="files:write", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", error_description="files:write is required for tool write"`}, w.Header()["Www-Authenticate"])

	w = serve(h, post(call("write"), is.scoped(t, "files:write")))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "write ada")

	w = serve(h, post(call("purge"), is.scoped(t, "files:write")))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Empty(t, w.Header()["Www-Authenticate"])

	w = serve(h, post(call("purge"), is.token(t, claims{"roles": []string{"admin"}})))
	require.Equal(t, http.StatusOK, w.Code)

	w = serve(h, post(call("forgotten"), is.token(t)))
	require.Equal(t, http.StatusOK, w.Code)
	require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"unknown tool \"forgotten\""}}`, w.Body.String())

	w = serve(h, post(rpc("tools/list", nil), is.token(t)))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"whoami"`)
	require.Contains(t, w.Body.String(), `"write"`)
	require.NotContains(t, w.Body.String(), `"purge"`)
	require.NotContains(t, w.Body.String(), `"forgotten"`)
	require.Contains(t, w.Body.String(), `"cacheScope":"private"`)
}
