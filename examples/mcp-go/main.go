// Command mcp-go protects a server that is built with github.com/mark3labs/mcp-go instead of the
// official SDK. Whatever speaks MCP as an http.Handler can stand behind Wrap:
//
//	go -C examples run ./mcp-go -issuer https://login.example.com
//
// Three things differ from the official SDK. Rules stand in a table instead of beside the tools; Wrap
// decides every call by it before mcp-go sees the request. Lists are mcp-go's own business, so its
// tool filter asks Visible. And Wrap alone is on guard: it binds sessions to their callers, which mcp-go
// does not, and there is no second reader of what mcp-go parsed.
//
// The context of a tool is that of its own HTTP request, in sessions too: FromContext needs no help.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/go-mcpauth/sdk/examples/internal/web"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("mcp-go", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "localhost:8080", "`host:port` to listen on")
	issuer := flags.String("issuer", "", "`URL` of the authorization server, exactly as in the iss claim")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 || *issuer == "" {
		fmt.Fprintln(stderr, "mcp-go: name the authorization server with -issuer, and nothing but flags")
		return 2
	}
	listener, base, err := web.Listen(*listen)
	if err != nil {
		fmt.Fprintln(stderr, "mcp-go:", err)
		return 1
	}
	defer listener.Close()
	handler, err := newHandler(mcpauth.Config{
		Resource:   base + "/mcp",
		Issuers:    []mcpauth.Issuer{{URL: *issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		BaseScopes: []string{"files:read"},
		Logger:     slog.New(slog.NewTextHandler(stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(stderr, "mcp-go:", err)
		return 2
	}
	fmt.Fprintln(stdout, "listening on", base)
	if err := web.Serve(ctx, listener, handler); err != nil {
		fmt.Fprintln(stderr, "mcp-go:", err)
		return 1
	}
	return 0
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
