// Command several-resources runs two MCP servers in one process, behind one address and in front of one authorization server: mail and
// code. Each is a resource of its own, with its own metadata, tools, scopes and audience, so a token for one opens nothing at the other.
// Their metadata is signed and has a name in two languages. The program plays a user of both.
//
//	go -C examples run ./several-resources           starts everything on loopback, prints each step, and exits
//	go -C examples run ./several-resources -serve    waits for a client of yours
//
// What to copy is mount.
package main

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return demo.Program{Name: "several-resources", Start: start}.Run(ctx, args, stdout, stderr)
}

// A service is what one of the MCP servers is.
type service struct {
	path         string
	name, french string
	read, write  string // its scopes
	tools        map[string]string
}

var services = []service{
	{"/mail/mcp", "Mail", "Courrier", "mail:read", "mail:send", map[string]string{"list_mail": "mail:read", "send_mail": "mail:send"}},
	{"/code/mcp", "Code", "Code source", "code:read", "code:merge", map[string]string{"read_code": "code:read", "merge": "code:merge"}},
}

// mount is what this example is about: a Middleware for each resource, and a server for each Middleware, all on one mux. What they may
// share is in shared: the issuers, the clock, the logger, the hooks. Resources of several hosts use MountHost.
func mount(mux *http.ServeMux, base string, shared mcpauth.Config, key crypto.Signer) error {
	for _, s := range services {
		cfg := shared
		cfg.Resource = base + s.path // the audience of its tokens, and where Mount serves
		cfg.BaseScopes = []string{s.read}
		cfg.Metadata = &prm.Metadata{ResourceName: s.name, Languages: map[string]prm.Localized{"fr": {ResourceName: s.french}}}
		cfg.MetadataSigning = &prm.Signing{Key: key, KeyID: "metadata-1"}
		auth, err := mcpauth.New(cfg)
		if err != nil {
			return err
		}
		server := mcp.NewServer(&mcp.Implementation{Name: s.name, Version: "1.0.0"}, nil)
		for name, scope := range s.tools {
			mcpauth.AddTool(auth, server, &mcp.Tool{Name: name}, answer(s.name), scopes.All(scope))
		}
		auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	}
	return nil
}

type none struct{}

// answer makes a tool that says who has called what.
func answer(service string) mcp.ToolHandlerFor[none, any] {
	return func(ctx context.Context, req *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
		caller, _ := mcpauth.FromContext(ctx)
		text := fmt.Sprintf("%s of %s for %s", req.Params.Name, service, caller.Subject())
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
}

func start(ctx context.Context, logger *slog.Logger) (*demo.System, error) {
	at, err := demo.Listen(2)
	if err != nil {
		return nil, err
	}
	base, issuer := "http://"+at[0].Addr().String(), "http://"+at[1].Addr().String()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // yours comes from a file or a key service
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	var log demo.Log
	mux := http.NewServeMux()
	if err := mount(mux, base, mcpauth.Config{Issuers: []mcpauth.Issuer{{URL: issuer}}, Logger: logger, OnDecision: log.OnDecision}, key); err != nil {
		demo.Close(at)
		return nil, err
	}
	authority, err := demo.NewAuthorizationServer(issuer, base, logger, func(cfg *devas.Config) {
		cfg.Resources = nil
		for _, s := range services {
			cfg.Resources = append(cfg.Resources, devas.Resource{Identifier: base + s.path, Name: s.name, Scopes: []devas.Scope{
				{Name: s.read, Text: "Read: " + s.name}, {Name: s.write, Text: "Change: " + s.name},
			}})
		}
	})
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	return &demo.System{
		Demonstrate: func(ctx context.Context, out io.Writer) error {
			return demonstrate(ctx, out, base, issuer, key.Public(), &log)
		},
		Instructions: func(out io.Writer) {
			fmt.Fprintf(out, "mail                  %[1]s/mail/mcp\ncode                  %[1]s/code/mcp\nauthorization server  %[2]s\n\n"+
				"claude mcp add --transport http mail %[1]s/mail/mcp\nclaude mcp add --transport http code %[1]s/code/mcp\n\nPress Ctrl+C to end.\n", base, issuer)
		},
		Wait: demo.Serve(ctx, logger, demo.Site{Listener: at[0], Handler: mux}, demo.Site{Listener: at[1], Handler: authority}),
	}, nil
}
