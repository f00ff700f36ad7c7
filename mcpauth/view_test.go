package mcpauth_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// LIST-02: more rules than a list remembers, some of them equal, and what is listed is what can be called.
func TestLIST02_ManyDifferentRules(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	var held []string
	for i := range 200 {
		scope := fmt.Sprintf("s%d", i%150) // the last fifty repeat the first
		if i%3 == 0 {
			held = append(held, scope)
		}
		mcpauth.AddTool(auth, server, &mcp.Tool{Name: fmt.Sprintf("tool-%03d.", i)},
			func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{}, nil, nil
			}, scopes.All(scope))
	}
	token := is.scoped(t, strings.Join(held, " "))
	caller := callerOf(t, auth, token)
	list := serve(auth.Wrap(sdkHandler(server, true)), post(rpc("tools/list", nil), token)).Body.String()
	shown := 0
	for i := range 200 {
		name := fmt.Sprintf("tool-%03d.", i)
		err := auth.Check(t.Context(), &mcpauth.Call{Principal: caller, Operation: mcpauth.Operation{Method: "tools/call", Name: name}})
		require.Equal(t, err == nil, strings.Contains(list, name), name)
		if err == nil {
			shown++
		}
	}
	require.Greater(t, shown, 60)
	require.Less(t, shown, 140)
}
