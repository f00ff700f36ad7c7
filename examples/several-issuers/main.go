// Command several-issuers accepts the tokens of two authorization servers at one MCP server: the company's own for its staff, and a
// Keycloak with a realm for each customer. They differ in algorithm, type, audience and claims, and nothing of one is ever tried for
// another. The program plays users of both, forgers, and a breakdown.
//
//	go -C examples run ./several-issuers           starts everything on loopback, prints each step, and exits
//	go -C examples run ./several-issuers -serve    waits for a client of yours
//
// What to copy is issuers.
package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/scopes"
)

const audience = "notes" // of the realms: an audience mapper there writes it, since Keycloak passes over the resource parameter

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return demo.Program{Name: "several-issuers", Start: start}.Run(ctx, args, stdout, stderr)
}

// issuers is what this example is about. tenants is an allow list: other realms of the same host are nobody. The metadata lists
// the issuers in this order, and many clients use no other than the first.
func issuers(staff, customers string, tenants ...string) []mcpauth.Issuer {
	all := []mcpauth.Issuer{{
		URL:        staff, // tokens as RFC 9068 wants them: typ is at+jwt, and aud the resource
		Algorithms: []string{"ES256"},
		Grants:     scopes.Mapper{RoleClaims: []string{"/roles"}},
	}}
	for _, tenant := range tenants {
		in := idp.Keycloak(customers+"/realms/"+tenant, "") // typ is JWT
		in.Algorithms = []string{"RS256"}
		in.Audiences = []string{audience}
		in.Grants = scopes.Mapper{
			// No roles: the names of roles mean the same for all issuers, and the administrators of a realm choose theirs. One who
			// invents "admin" would be an administrator of this server.
			RoleClaims:   nil,
			ScopeImplies: map[string][]string{notes.ScopeWrite: {notes.ScopeRead}},
		}
		all = append(all, in)
	}
	return all
}

// protect serves the notebook to users of all issuers. change adds what start and the tests differ in: the Logger, which your Config
// names itself, a clock and hooks.
func protect(resource string, issuers []mcpauth.Issuer, change func(*mcpauth.Config)) (http.Handler, error) {
	cfg := mcpauth.Config{Resource: resource, Issuers: issuers, BaseScopes: []string{notes.ScopeRead}}
	change(&cfg)
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	server := notes.NewServer(auth) // which keeps the notes of each issuer's users apart: a subject alone names nobody
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return mux, nil
}

// start runs the MCP server and both authorization servers. The Keycloak has a realm more than the MCP server lets in.
func start(ctx context.Context, logger *slog.Logger) (*demo.System, error) {
	at, err := demo.Listen(3)
	if err != nil {
		return nil, err
	}
	base := func(i int) string { return "http://" + at[i].Addr().String() }
	resource, staff := base(0)+"/mcp", base(1)
	customers, err := newKeycloak(base(2), "acme", "globex", "initech")
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	var log demo.Log
	var now demo.Clock
	handler, err := protect(resource, issuers(staff, customers.URL, "acme", "globex"), func(cfg *mcpauth.Config) {
		cfg.Logger, cfg.OnDecision, cfg.Now = logger, log.OnDecision, now.Now
	})
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	authority, err := demo.NewAuthorizationServer(staff, resource, logger, nil)
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	return &demo.System{
		Demonstrate: func(ctx context.Context, out io.Writer) error {
			return demonstrate(ctx, &demo.Client{Out: out, Resource: resource, Log: &log}, staff, customers, &now)
		},
		Instructions: func(out io.Writer) {
			fmt.Fprintf(out, "MCP server            %[1]s\nauthorization server  %[2]s\nKeycloak              %[3]s\n\n"+
				"Staff sign in:              claude mcp add --transport http notes %[1]s\n"+
				"A token of a customer's:    curl %[3]s/realms/acme/token    (or globex; initech is not let in)\n\n"+
				"Press Ctrl+C to end.\n", resource, staff, customers.URL)
		},
		Wait: demo.Serve(ctx, logger, demo.Site{Listener: at[0], Handler: handler},
			demo.Site{Listener: at[1], Handler: authority}, demo.Site{Listener: at[2], Handler: customers}),
	}, nil
}
