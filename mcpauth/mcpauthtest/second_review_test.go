package mcpauthtest_test

import (
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// "The table is that of the server: what stands in it, a real caller finds." With Config.Clients it is not: what an application's entry
// implies, by Issuer.Grants, counts for a token and not for an Issuer.Caller. So the table that is reviewed says no where a token
// says yes.
func TestMatrixWithClients(t *testing.T) {
	const resource = "https://mcp.example.com/mcp"
	is := mcpauthtest.NewIssuerLike(t, resource, mcpauth.Issuer{URL: "https://as.example.com", Grants: scopes.Mapper{
		RoleClaims: []string{"/roles"}, ScopeImplies: map[string][]string{"files:write": {"files:read"}},
	}})
	auth, server := newFiles(t, is, func(c *mcpauth.Config) {
		c.Clients = map[string]mcpauth.ClientLimit{"test-client": {Scopes: []string{"files:write"}}}
	})
	claims := mcpauthtest.Claims{Subject: "ada", Client: "test-client", Scope: "files:write"}
	handler := auth.Wrap(mcp.NewStreamableHTTPHandler(always(server), &mcp.StreamableHTTPOptions{Stateless: true}))
	_, resp := is.Client(handler, claims).CallTool("read_file", map[string]any{"path": "a"})
	mcpauthtest.AssertAllowed(t, resp)
	require.Regexp(t, `tool read_file +yes`, mcpauthtest.Matrix(t, auth, server, is.Caller("ada", claims)))
}
