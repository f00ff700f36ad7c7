// Command mcp-go protects a server that is built with github.com/mark3labs/mcp-go instead of the
// official SDK. Whatever speaks MCP as an http.Handler can stand behind Wrap:
//
//	go -C examples run ./mcp-go -issuer https://login.example.com
//
// Three things differ from the official SDK. Rules stand in a table instead of beside the tools; Wrap
// decides every call by it before mcp-go sees the request. Lists are mcp-go's own business, so its
// tool filter asks Visible. And Wrap alone is on guard: mcp-go binds no session to a user, and there is
// no second reader of what it parsed.
//
// The context of a tool is that of its own HTTP request, in sessions too: FromContext needs no help.
package main

import (
	"context"
	"flag"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	listen := flag.String("listen", "localhost:8080", "`host:port` to listen on")
	issuer := flag.String("issuer", "", "`URL` of the authorization server")
	flag.Parse()
	handler, err := newHandler(mcpauth.Config{
		Resource: "http://" + *listen + "/mcp",
		Issuers:  []mcpauth.Issuer{{URL: *issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		Logger:   slog.Default(),
	})
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: *listen, Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.ListenAndServe())
}

func newHandler(cfg mcpauth.Config) (http.Handler, error) {
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	auth.RequireTools(map[string]scopes.Rule{
		"whoami":     scopes.Authenticated(),
		"read_file":  scopes.All("files:read"),
		"purge_disk": scopes.Role("admin"),
	})
	files := server.NewMCPServer("files", "1.0.0",
		server.WithToolCapabilities(false),
		server.WithToolFilter(func(ctx context.Context, tools []mcp.Tool) []mcp.Tool {
			caller, _ := mcpauth.FromContext(ctx)
			visible := make([]mcp.Tool, 0, len(tools))
			for _, t := range tools {
				if auth.Visible(caller, mcpauth.Operation{Method: "tools/call", Name: t.Name}) {
					visible = append(visible, t)
				}
			}
			return visible
		}))
	files.AddTool(mcp.NewTool("whoami"), whoami)
	files.AddTool(mcp.NewTool("read_file", mcp.WithString("path", mcp.Required())), done)
	files.AddTool(mcp.NewTool("purge_disk"), done)
	files.AddTool(mcp.NewTool("forgotten"), done) // in no table: nobody sees or calls it

	mux := http.NewServeMux()
	auth.Mount(mux, server.NewStreamableHTTPServer(files))
	return mux, nil
}

func whoami(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	caller, _ := mcpauth.FromContext(ctx)
	return mcp.NewToolResultText(caller.Subject() + " with " + strings.Join(caller.Grant().Scopes(), " ")), nil
}

func done(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return mcp.NewToolResultText(r.Params.Name + " ran"), nil
}
