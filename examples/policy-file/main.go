// Command policy-file protects an MCP server whose rules are data: policy.json, beside this file, is the ladder of Admin, Developer, User
// and Read-only, and what each application may use at most. The program prints who may call what, which it finds out by calling, and
// then edits a copy of the file while the server runs: a good change counts at once, a bad one is refused with line and column.
//
//	go -C examples run ./policy-file           starts the server on loopback, prints each step, and exits
//	go -C examples run ./policy-file -serve    waits for you to edit the copy, and to call
//
// What to copy is protect, and policy.json.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

//go:embed policy.json
var policy string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return demo.Program{Name: "policy-file", Start: start}.Run(ctx, args, stdout, stderr)
}

// protect is what this example is about. The server has its tools, the file has the rules, and the file is looked at until ctx ends.
func protect(ctx context.Context, cfg mcpauth.Config, server *mcp.Server, path string) (*mcpauth.Middleware, error) {
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	auth.Protect(server)
	if err := auth.RequireAnnotated(ctx, server, mcpauth.Annotated{}); err != nil { // by the rules of the file
		return nil, err
	}
	if err := auth.LoadPolicyFile(path); err != nil {
		return nil, err
	}
	if err := auth.Verify(ctx, server); err != nil { // a tool without a rule, a rule without a tool
		return nil, err
	}
	go auth.WatchPolicyFile(ctx, path, time.Second) // it has been loaded: all that is left to go wrong is in the log
	return auth, nil
}

// A workshop is the running server, and what callers need.
type workshop struct {
	resource string
	issuer   *demo.Issuer
	auth     *mcpauth.Middleware
	server   *mcp.Server
	path     string // the copy of the policy
	log      demo.Log
	reports  *reports
}

func start(ctx context.Context, logger *slog.Logger) (*demo.System, error) {
	w, wait, err := open(ctx, logger, policy)
	if err != nil {
		return nil, err
	}
	return &demo.System{Demonstrate: w.demonstrate, Instructions: w.instructions, Wait: wait}, nil
}

// open serves the workshop, with this policy, until ctx ends. The function that it returns waits for that.
func open(ctx context.Context, logger *slog.Logger, text string) (_ *workshop, wait func(), err error) {
	dir, err := os.MkdirTemp("", "policy-file-")
	if err != nil {
		return nil, nil, err
	}
	at, err := demo.Listen(1)
	defer func() {
		if err != nil {
			demo.Close(at)
			os.RemoveAll(dir)
		}
	}()
	if err != nil {
		return nil, nil, err
	}
	url := "http://" + at[0].Addr().String()
	w := &workshop{resource: url + "/mcp", server: newServer(), path: filepath.Join(dir, "policy.json"), reports: &reports{Handler: logger.Handler()}}
	if err := w.write(text); err != nil {
		return nil, nil, err
	}
	if w.issuer, err = demo.NewIssuer(url); err != nil {
		return nil, nil, err
	}
	w.auth, err = protect(ctx, mcpauth.Config{
		Resource:   w.resource,
		Issuers:    []mcpauth.Issuer{{URL: url, JWKSURI: url + "/jwks", Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		BaseScopes: []string{scopeRead},
		Logger:     slog.New(w.reports),
		OnDecision: w.log.OnDecision,
	}, w.server, w.path)
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /jwks", w.issuer)
	w.auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return w.server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	stopped := demo.Serve(ctx, logger, demo.Site{Listener: at[0], Handler: mux})
	return w, func() {
		stopped()
		os.RemoveAll(dir)
	}, nil
}

// instructions are for those who want to edit and call themselves.
func (w *workshop) instructions(out io.Writer) {
	fmt.Fprintf(out, "MCP server  %s\nPolicy      %s\n\nEdit the policy; what becomes of it is written below. Tokens of the application \"console\", good for 8 hours:\n\n", w.resource, w.path)
	for _, role := range roles {
		token, err := w.token(role, console, 8*time.Hour, nil)
		if err != nil {
			fmt.Fprintln(out, err)
			return
		}
		fmt.Fprintf(out, "%s\n  %s\n\n", role, token)
	}
	fmt.Fprintf(out, "  claude mcp add --transport http workshop %s --header \"Authorization: Bearer TOKEN\"\n\nPress Ctrl+C to end.\n", w.resource)
}

// write puts a new file in the place of the old one, as configuration management does: nobody ever reads half of one.
func (w *workshop) write(text string) error {
	if err := os.WriteFile(w.path+".new", []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(w.path+".new", w.path)
}
