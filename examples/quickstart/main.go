// Command quickstart is the whole system in one process on loopback: a development authorization
// server, and an MCP server that this library protects.
//
//	go -C examples run ./quickstart          prints the URLs and waits
//	go -C examples run ./quickstart -demo    also plays the client, prints each exchange, and exits
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

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/examples/internal/web"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("quickstart", flag.ContinueOnError)
	flags.SetOutput(stderr)
	demo := flags.Bool("demo", false, "play the client as well, print each exchange, and exit")
	listen := flags.String("listen", "127.0.0.1:0", "loopback `address` of the MCP server; port 0 lets the system choose")
	authListen := flags.String("auth-listen", "127.0.0.1:0", "loopback `address` of the authorization server")
	strict := flags.Bool("strict", false, "let in only applications that an administrator permitted, and only requests that name resource and scope")
	data := flags.String("data", "", "keep the authorization server's state in this `file`, for the next start; needs both addresses with fixed ports")
	noDocuments := flags.Bool("no-documents", false, "do not offer client ID metadata documents, which are fetched from the internet")
	nonces := flags.Bool("dpop-nonce", false, "ask for a nonce in every DPoP proof at the token endpoint")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "quickstart: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	if *data != "" && (strings.HasSuffix(*listen, ":0") || strings.HasSuffix(*authListen, ":0")) {
		fmt.Fprintln(stderr, "quickstart: -data needs -listen and -auth-listen with ports, such as 127.0.0.1:8000 and 127.0.0.1:9000: what is kept belongs to these addresses")
		return 2
	}
	ctx, cancel := context.WithCancel(ctx)
	sys, err := start(ctx, *listen, *authListen, devas.Config{Strict: *strict, File: *data, DPoPNonces: *nonces, NoDocuments: *noDocuments}, stderr)
	if err != nil {
		cancel()
		fmt.Fprintln(stderr, "quickstart:", err)
		return 1
	}
	defer sys.wait()
	defer cancel()
	if *demo {
		if err := walk(ctx, stdout, sys.resource); err != nil {
			fmt.Fprintln(stderr, "quickstart: the demonstration failed:", err)
			return 1
		}
		return 0
	}
	fmt.Fprintf(stdout, `MCP server            %s
authorization server  %s

Add the MCP server to a client, for example:

  claude mcp add --transport http notes %s
  npx @modelcontextprotocol/inspector --server-url %s --transport http

The client opens the sign-in page by itself. Users: ada (admin), dev (developer),
uma (user), rio (may only read). Press Ctrl+C to end.
`, sys.resource, sys.issuer, sys.resource, sys.resource)
	<-ctx.Done()
	return 0
}

// A system is the two servers, running.
type system struct {
	resource, issuer string
	wait             func()
}

// start runs both servers until ctx ends. It completes the configuration of the authorization server.
func start(ctx context.Context, listen, authListen string, cfg devas.Config, stderr io.Writer) (*system, error) {
	front, err := devas.Listen(listen) // loopback only, as the authorization server is
	if err != nil {
		return nil, err
	}
	back, err := devas.Listen(authListen)
	if err != nil {
		front.Close()
		return nil, err
	}
	sys := &system{resource: "http://" + front.Addr().String() + "/mcp", issuer: devas.IssuerURL(back)}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	handler, tools, err := protect(ctx, sys, logger)
	if err != nil {
		front.Close()
		back.Close()
		return nil, err
	}
	cfg.Issuer, cfg.Logger = sys.issuer, logger
	cfg.Resources = []devas.Resource{{
		Identifier: sys.resource, Name: "Example notebook", Tools: tools,
		Scopes: []devas.Scope{
			{Name: notes.ScopeRead, Title: "Read your notes", Text: "See everything that you have written down."},
			{Name: notes.ScopeWrite, Title: "Write notes for you", Text: "Add notes to your notebook. Nothing is overwritten."},
		},
	}}
	as, err := devas.New(cfg)
	if err != nil {
		front.Close()
		back.Close()
		return nil, err
	}
	done := make(chan struct{}, 2)
	go func() {
		if err := as.Serve(ctx, back); err != nil {
			logger.Error("the authorization server ended", "error", err)
		}
		done <- struct{}{}
	}()
	go func() {
		if err := web.Serve(ctx, front, handler); err != nil {
			logger.Error("the MCP server ended", "error", err)
		}
		done <- struct{}{}
	}()
	sys.wait = func() { <-done; <-done }
	return sys, nil
}

// protect is what the library is about. It also returns what the consent page asks for.
func protect(ctx context.Context, sys *system, logger *slog.Logger) (http.Handler, func(devas.User, []string) []devas.Tool, error) {
	grants := scopes.Mapper{RoleClaims: []string{"/roles"}}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:     sys.resource,
		Issuers:      []mcpauth.Issuer{{URL: sys.issuer, Grants: grants}},
		BaseScopes:   []string{notes.ScopeRead},
		RootMetadata: true, // some clients ask nowhere else
		Metadata:     &prm.Metadata{ResourceName: "Example notebook"},
		Logger:       logger,
	})
	if err != nil {
		return nil, nil, err
	}
	server := notes.NewServer(auth)
	tools, err := toolsOf(ctx, auth, server, grants)
	if err != nil {
		return nil, nil, err
	}
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	auth.Mount(mux, handler)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "There is nothing here. The MCP endpoint is "+sys.resource, http.StatusNotFound)
	})
	return mux, tools, nil
}

// toolsOf tells which tools a user can reach with some scopes, by the rules that the server enforces.
func toolsOf(ctx context.Context, auth *mcpauth.Middleware, server *mcp.Server, grants scopes.Mapper) (func(devas.User, []string) []devas.Tool, error) {
	catalog, err := auth.Catalog(ctx, server)
	if err != nil {
		return nil, err
	}
	mapping, err := grants.Compile()
	if err != nil {
		return nil, err
	}
	return func(user devas.User, granted []string) []devas.Tool {
		roles := make([]any, len(user.Roles))
		for i, role := range user.Roles {
			roles[i] = role
		}
		// As the token would say it.
		caller := mapping.Grant(map[string]any{"scope": strings.Join(granted, " "), "roles": roles})
		var out []devas.Tool
		for _, item := range catalog.Open(caller) {
			if item.Kind == scopes.Tool {
				out = append(out, devas.Tool{Name: item.Name, Title: item.Title, Description: item.Description})
			}
		}
		return out
	}, nil
}
