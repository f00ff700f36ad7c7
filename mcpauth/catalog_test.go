package mcpauth_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestCatalog_IsWhatCallsAreJudgedBy(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.BaseScopes = []string{"mcp:read"} })
	server := newServer(auth)
	server.AddPrompt(&mcp.Prompt{Name: "greet", Title: "Greeting", Description: "Says hello"}, nil)
	auth.RequirePrompt("gr*", scopes.All("prompts"))
	mcpauth.AddResource(auth, server, &mcp.Resource{URI: "file:///a", Name: "a"}, nil, scopes.All("files:read"))
	mcpauth.AddResourceTemplate(auth, server, &mcp.ResourceTemplate{URITemplate: "file:///{name}", Name: "any", Description: "A file"}, nil, scopes.Role("admin"))
	mcp.AddTool(server, &mcp.Tool{Name: "annotated", Description: "Has a title elsewhere", Annotations: &mcp.ToolAnnotations{Title: "Titled"}},
		func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
			return nil, nil, nil
		})
	auth.RequireTool("annotated", scopes.Authenticated())

	catalog, err := auth.Catalog(t.Context(), server)
	require.NoError(t, err)
	text, err := json.Marshal(catalog)
	require.NoError(t, err)
	require.JSONEq(t, `{"resource":"`+testResource+`","items":[
		{"kind":"tool","name":"annotated","title":"Titled","description":"Has a title elsewhere","rule":"mcp:read and authenticated","scopes":["mcp:read"]},
		{"kind":"tool","name":"forgotten","rule":"never"},
		{"kind":"tool","name":"purge","rule":"mcp:read and role(admin)","scopes":["mcp:read"],"roles":["admin"]},
		{"kind":"tool","name":"whoami","rule":"mcp:read and authenticated","scopes":["mcp:read"]},
		{"kind":"tool","name":"write","rule":"mcp:read and files:write","scopes":["mcp:read","files:write"]},
		{"kind":"prompt","name":"greet","title":"Greeting","description":"Says hello","rule":"mcp:read and prompts","scopes":["mcp:read","prompts"]},
		{"kind":"resource","name":"file:///a","title":"a","rule":"mcp:read and files:read","scopes":["mcp:read","files:read"]},
		{"kind":"resource_template","name":"file:///{name}","title":"any","description":"A file","rule":"mcp:read and role(admin)","scopes":["mcp:read"],"roles":["admin"]}
	]}`, string(text))
	var back scopes.Catalog
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, text, must(json.Marshal(back)))

	// What is open to a grant is what Check allows it, kind by kind.
	for _, g := range []scopes.Grant{{}, scopes.NewGrant(nil, nil), scopes.NewGrant([]string{"mcp:read", "files:write"}, nil),
		scopes.NewGrant([]string{"mcp:read", "prompts", "files:read"}, []string{"admin"}), scopes.NewGrant([]string{"files:write"}, []string{"admin"})} {
		open := map[string]bool{}
		for _, item := range catalog.Open(g) {
			open[item.Name] = true
		}
		p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "x", Subject: "y", Grant: g})
		for _, item := range catalog.Items {
			method := map[scopes.Kind]string{scopes.Tool: "tools/call", scopes.Prompt: "prompts/get"}[item.Kind]
			if method == "" {
				method = "resources/read"
			}
			if item.Kind == scopes.ResourceTemplate {
				continue // no URI to read
			}
			require.Equal(t, open[item.Name], auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: method, Name: item.Name}}) == nil, item.Name)
		}
	}
	require.Equal(t, []string{"mcp:read", "files:write", "prompts", "files:read"}, catalog.Scopes())
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestCatalog_NeedsAProtectedServer(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	other, _ := newAuth(t, is, nil)
	for _, server := range []*mcp.Server{nil, mcp.NewServer(&mcp.Implementation{Name: "x", Version: "1"}, nil), newServer(other)} {
		_, err := auth.Catalog(t.Context(), server)
		require.ErrorContains(t, err, "Protect")
	}
	empty := mcp.NewServer(&mcp.Implementation{Name: "x", Version: "1"}, nil)
	auth.Protect(empty)
	catalog, err := auth.Catalog(t.Context(), empty)
	require.NoError(t, err)
	require.JSONEq(t, `{"resource":"`+testResource+`","items":[]}`, string(must(json.Marshal(catalog))))
}
