// Command opaque-tokens protects an MCP server with access tokens that only their authorization server can read: it is asked about
// each (RFC 7662). The program plays the client: a login, calls, a revocation, and how long that takes to be noticed.
//
//	go -C examples run ./opaque-tokens           starts both servers on loopback, prints each step, and exits
//	go -C examples run ./opaque-tokens -serve    waits for a client of yours
//
// What to copy is protect.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	introspector = "notes-server"   // the name of the MCP server at the authorization server
	maxAge       = 30 * time.Second // how late a revocation may be noticed
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return demo.Program{Name: "opaque-tokens", Start: start}.Run(ctx, args, stdout, stderr)
}

// protect is what this example is about. What the authorization server says of a token goes through the same checks as the claims
// of a JWT: audience, expiry, scopes, roles. change adds what start and the tests differ in: the Logger, which your Config names itself,
// a clock and hooks.
func protect(resource, issuer string, secret mcpauth.Secret, change func(*mcpauth.Config)) (http.Handler, error) {
	cfg := mcpauth.Config{
		Resource: resource,
		Issuers: []mcpauth.Issuer{{
			URL:    issuer,
			Grants: scopes.Mapper{RoleClaims: []string{"/roles"}},
			Introspection: &mcpauth.Introspection{
				ClientID: introspector, ClientSecret: secret,
				MaxAge: maxAge, // also how much the authorization server is spared; negative: it is asked with every request
			},
		}},
		BaseScopes: []string{notes.ScopeRead},
	}
	change(&cfg)
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	server := notes.NewServer(auth)
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return mux, nil
}

// An authority is the authorization server, with what a demonstration needs: it counts questions about tokens, and can break down.
type authority struct {
	server http.Handler
	issuer string
	asked  atomic.Int64
	down   atomic.Bool
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/introspect" {
		a.asked.Add(1)
	}
	if a.down.Load() {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	a.server.ServeHTTP(w, r)
}

// start runs the MCP server and an authorization server.
func start(ctx context.Context, logger *slog.Logger) (*demo.System, error) {
	at, err := demo.Listen(2)
	if err != nil {
		return nil, err
	}
	resource, issuer, secret := "http://"+at[0].Addr().String()+"/mcp", "http://"+at[1].Addr().String(), rand.Text()
	var log demo.Log
	var now demo.Clock
	handler, err := protect(resource, issuer, mcpauth.Secret(secret), func(cfg *mcpauth.Config) {
		cfg.Logger, cfg.OnDecision, cfg.Now = logger, log.OnDecision, now.Now
	})
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	server, err := demo.NewAuthorizationServer(issuer, resource, logger, func(cfg *devas.Config) {
		cfg.Resources[0].OpaqueTokens = true
		cfg.Clients = append(cfg.Clients, devas.Client{ID: introspector, Secret: secret, MayIntrospect: true})
	})
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	as := &authority{server: server, issuer: issuer}
	return &demo.System{
		Demonstrate: func(ctx context.Context, out io.Writer) error {
			return demonstrate(ctx, &demo.Client{Out: out, Resource: resource, Log: &log}, as, &now)
		},
		Instructions: func(out io.Writer) {
			fmt.Fprintf(out, "MCP server            %[1]s\nauthorization server  %[2]s\n\n  claude mcp add --transport http notes %[1]s\n\n"+
				"The client opens the sign-in page by itself; its token says nothing to anybody. Take it back at %[2]s/account\n"+
				"and watch how long calls go on: at most %[3]v. Press Ctrl+C to end.\n", resource, issuer, maxAge)
		},
		Wait: demo.Serve(ctx, logger, demo.Site{Listener: at[0], Handler: handler}, demo.Site{Listener: at[1], Handler: as}),
	}, nil
}
