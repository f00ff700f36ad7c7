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

// LIST-11: a link in a result is shown as the tool made it, and following it is decided anew.
func TestLIST11_FollowingALinkIsAuthorized(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "find"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.ResourceLink{URI: "notes://secret", Name: "secret"}}}, nil, nil
	}, scopes.Authenticated())
	mcpauth.AddResource(auth, server, &mcp.Resource{Name: "secret", URI: "notes://secret"},
		func(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "content"}}}, nil
		}, scopes.All("secret"))
	h := auth.Wrap(sdkHandler(server, true))

	w := serve(h, post(call("find"), is.token(t)))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "notes://secret")
	read := rpc("resources/read", map[string]any{"uri": "notes://secret"})
	w = serve(h, post(read, is.token(t)))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NotContains(t, w.Body.String(), "content")
	w = serve(h, post(read, is.scoped(t, "secret")))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), "content")
}

// LIST-04, X-02, X-03: three ways to list for one caller; what is listed can be called or stepped up to.
func TestLIST04_ListingModes(t *testing.T) {
	is := newIssuer(t)
	for listing, want := range map[mcpauth.Listing][]string{
		mcpauth.ListObtainable: {"whoami", "write"},
		mcpauth.ListAllowed:    {"whoami"},
		mcpauth.ListAll:        {"purge", "whoami", "write"},
	} {
		auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = listing })
		h := auth.Wrap(sdkHandler(newServer(auth), true))
		body := serve(h, post(rpc("tools/list", nil), is.token(t))).Body.String()
		for _, name := range []string{"forgotten", "purge", "whoami", "write"} {
			shown := false
			for _, w := range want {
				shown = shown || w == name
			}
			if shown {
				require.Contains(t, body, `"`+name+`"`, listing.String())
			} else {
				require.NotContains(t, body, `"`+name+`"`, listing.String())
			}
		}
	}
}
