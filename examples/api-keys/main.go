// Command api-keys lets three kinds of callers into one MCP server: those with an API key, partners who sign their requests in a
// scheme of the server's own, and users with OAuth tokens. It plays all of them, step by step, the refused ones too.
//
//	go -C examples run ./api-keys           starts everything on loopback, prints each step, and exits
//	go -C examples run ./api-keys -serve    prints fresh keys and waits for a client of yours
//
// What to copy is protect; signature.go is the scheme.
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
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return demo.Program{Name: "api-keys", Start: start}.Run(ctx, args, stdout, stderr)
}

const keyPrefix = "notes_" // finds leaked keys in texts, and tells keys from access tokens

// protect is what this example is about. keys are what a database would hold: no key can be made from them. For keys that come
// and go while the server runs, use APIKeys.Find. change adds what start and the tests differ in: the Logger, which your Config names
// itself, and hooks.
func protect(resource, issuer string, keys []mcpauth.APIKey, signed *signatures, change func(*mcpauth.Config)) (http.Handler, error) {
	inField, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: keyPrefix, Keys: keys}) // X-Api-Key: notes_...
	if err != nil {
		return nil, err
	}
	asBearer, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: keyPrefix, Keys: keys, Header: "Authorization"}) // Bearer notes_...
	if err != nil {
		return nil, err
	}
	cfg := mcpauth.Config{
		Resource:       resource,
		Authenticators: []mcpauth.Authenticator{inField, asBearer, signed.Authenticator()},
		Issuers:        []mcpauth.Issuer{{URL: issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		BaseScopes:     []string{notes.ScopeRead}, // keys need it as well
	}
	change(&cfg)
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	server := notes.NewServer(auth)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "show_headers", Description: "Lists the header fields that a tool can see."},
		showHeaders, scopes.Authenticated())
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return signed.Read(mux), nil
}

func showHeaders(_ context.Context, req *mcp.CallToolRequest, _ struct{}) (*mcp.CallToolResult, any, error) {
	var lines []string
	for name, values := range req.Extra.Header {
		lines = append(lines, name+": "+strings.Join(values, ", "))
	}
	slices.Sort(lines)
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: strings.Join(lines, "; ")}}}, nil, nil
}

// The callers hold what the server does not keep.
type callers struct {
	reader, admin, expired string // API keys
	secret                 []byte // of the partner "acme"
}

// invite makes credentials for everybody: what the callers get, and what the server keeps.
func invite(now time.Time) (callers, []mcpauth.APIKey, map[string]partner) {
	var c callers
	var hashes [3]string
	c.reader, hashes[0] = mcpauth.NewAPIKey(keyPrefix)
	c.admin, hashes[1] = mcpauth.NewAPIKey(keyPrefix)
	c.expired, hashes[2] = mcpauth.NewAPIKey(keyPrefix)
	keys := []mcpauth.APIKey{
		{Hash: hashes[0], Owner: "uma", Name: "laptop", Scopes: []string{notes.ScopeRead}, Expiry: now.AddDate(0, 3, 0)},
		{Hash: hashes[1], Owner: "ada", Name: "backup", Scopes: []string{notes.ScopeRead, notes.ScopeWrite}, Roles: []string{notes.RoleAdmin}},
		{Hash: hashes[2], Owner: "uma", Name: "old laptop", Scopes: []string{notes.ScopeRead}, Expiry: now.AddDate(0, -3, 0)},
	}
	c.secret = make([]byte, 32)
	rand.Read(c.secret)
	return c, keys, map[string]partner{"acme": {Secret: c.secret, Scopes: []string{notes.ScopeRead, notes.ScopeWrite}}}
}

// start runs the MCP server and an authorization server.
func start(ctx context.Context, logger *slog.Logger) (*demo.System, error) {
	at, err := demo.Listen(2)
	if err != nil {
		return nil, err
	}
	resource, issuer := "http://"+at[0].Addr().String()+"/mcp", "http://"+at[1].Addr().String()
	c, keys, partners := invite(time.Now())
	var log demo.Log
	handler, err := protect(resource, issuer, keys, &signatures{Partners: partners, Now: time.Now}, func(cfg *mcpauth.Config) {
		cfg.Logger, cfg.OnDecision = logger, log.OnDecision
	})
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	authority, err := demo.NewAuthorizationServer(issuer, resource, logger, nil)
	if err != nil {
		demo.Close(at)
		return nil, err
	}
	return &demo.System{
		Demonstrate: func(ctx context.Context, out io.Writer) error {
			token, err := demo.Login(ctx, issuer, resource, "uma", notes.ScopeRead)
			if err != nil {
				return err
			}
			return demonstrate(ctx, &demo.Client{Out: out, Resource: resource, Log: &log}, c, keys, token)
		},
		Instructions: func(out io.Writer) {
			fmt.Fprintf(out, "MCP server  %[1]s\n\nKey of uma, who may read          %[2]s\nKey of ada, an administrator      %[3]s\n\n"+
				"  claude mcp add --transport http notes %[1]s --header \"X-Api-Key: %[2]s\"\n\n"+
				"A client without a key opens a sign-in page. The keys end with this process. Press Ctrl+C to end.\n", resource, c.reader, c.admin)
		},
		Wait: demo.Serve(ctx, logger, demo.Site{Listener: at[0], Handler: handler}, demo.Site{Listener: at[1], Handler: authority}),
	}, nil
}
