package mcpauthtest_test

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

type input struct {
	Path string `json:"path,omitempty"`
}

func readFile(ctx context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
	caller, _ := mcpauth.FromContext(ctx)
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: in.Path + " for " + caller.Subject()}}}, nil, nil
}

func deleteFile(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{}, nil, nil
}

// The test of the package's documentation.
func TestFiles(t *testing.T) {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	auth, err := mcpauth.New(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	if err != nil {
		t.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, readFile, scopes.All("files:read"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "delete_file"}, deleteFile,
		scopes.And(scopes.All("files:write"), scopes.Role("admin")))
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true}))

	mcpauthtest.RequireRules(t, auth, server)
	ada := is.Client(mux, mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Roles: []string{"admin"}})
	_, resp := ada.CallTool("read_file", nil)
	mcpauthtest.AssertAllowed(t, resp)
	_, resp = ada.CallTool("delete_file", nil)
	mcpauthtest.AssertStepUp(t, resp, "files:write")
	rio := is.Client(mux, mcpauthtest.Claims{Subject: "rio", Scope: "files:write"})
	_, resp = rio.CallTool("delete_file", nil)
	mcpauthtest.AssertForbidden(t, resp) // no scope makes an admin of rio
}

// What the documentation shows compiles and passes, since it is the test above.
func TestTheDocumentationIsATest(t *testing.T) {
	const head, end = "func TestFiles(t *testing.T) {\n", "\n}\n"
	source, err := os.ReadFile("files_test.go")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(source), "\n"+head)
	body, _, ok := strings.Cut(rest, end)
	require.True(t, ok)
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	shown := strings.ReplaceAll(strings.ReplaceAll(string(doc), "\n//\t", "\n"), "\n//\n", "\n\n")
	require.Contains(t, shown, head+body+end)
	is := mcpauthtest.NewIssuer(t, resource)
	auth, server, _ := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	require.Contains(t, shown, mcpauthtest.Matrix(t, auth, server, is.Caller("reader", ada),
		is.Caller("editor", mcpauthtest.Claims{Scope: "files:read files:write"}),
		is.Caller("admin", mcpauthtest.Claims{Scope: "files:read", Roles: []string{"admin"}})))
	require.LessOrEqual(t, strings.Count(body, "\n")+3, 25, "lines")
}
