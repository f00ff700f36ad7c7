package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// newServer is a server as it was before anybody thought of rules: not one line here says who may do what.
func newServer() *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "workshop", Title: "Workshop", Version: "1.0.0"}, nil)
	writes, reads := false, &mcp.ToolAnnotations{ReadOnlyHint: true}
	for _, t := range []*mcp.Tool{
		{Name: "read_file", Annotations: reads},
		{Name: "write_file"},
		{Name: "dev_run_tests"},
		{Name: "dev_restart"},
		{Name: "read_logs", Annotations: reads},
		{Name: "settings_get", Annotations: reads},
		{Name: "settings_set"},
		{Name: "wipe_disk"},
		// The policy names none of these: what they say about themselves counts.
		{Name: "search", Annotations: reads},
		{Name: "format_file", Annotations: &mcp.ToolAnnotations{DestructiveHint: &writes}},
		{Name: "drop_index"},
	} {
		mcp.AddTool(server, t, pretend(t.Name))
	}
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Annotations: reads}, whoami)

	server.AddPrompt(&mcp.Prompt{Name: "review_change"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{Role: "user", Content: &mcp.TextContent{Text: "Review this change."}}}}, nil
	})
	server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "page", URITemplate: "docs://{page}"}, readResource)
	for _, uri := range []string{"logs://today", "settings://network"} {
		server.AddResource(&mcp.Resource{Name: uri, URI: uri}, readResource)
	}
	return server
}

type none struct{}

// pretend is a tool that does nothing.
func pretend(name string) mcp.ToolHandlerFor[none, any] {
	return func(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
		return text(fmt.Sprintf("%s: done", name)), nil, nil
	}
}

// whoami tells what counts of the caller's token, here and for this application.
func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
	caller, _ := mcpauth.FromContext(ctx)
	out, err := json.Marshal(map[string]any{
		"sub": caller.Subject(), "client_id": caller.ClientID(), "scopes": caller.Grant().Scopes(), "roles": caller.Grant().Roles(),
	})
	return text(string(out)), nil, err
}

func readResource(_ context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: "This is " + req.Params.URI}}}, nil
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}
