// Command reverse-proxy protects an MCP server that runs in another process, in whatever language:
//
//	go -C examples run ./reverse-proxy -issuer https://login.example.com -upstream http://localhost:3000/mcp \
//	    -base-scopes files:read \
//	    -tool "read_file=files:read" -tool "delete_file=files:write and role(editor)" -tool search=authenticated
//
// Calls are decided here and the upstream sees those that are allowed, without the token. Tools that
// are not named are denied. Lists are the upstream's answers and show everything: who may not call a
// tool still learns its name.
//
// Let the upstream listen on loopback, or where nobody else gets: it believes every request.
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

	"github.com/go-mcpauth/sdk/examples/internal/proxy"
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
	tools := rules{}
	flags := flag.NewFlagSet("reverse-proxy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "localhost:8080", "`host:port` to listen on")
	resource := flags.String("resource", "", "`URL` under which clients reach the server (default http://LISTEN/mcp)")
	issuer := flags.String("issuer", "", "`URL` of the authorization server, exactly as in the iss claim")
	upstream := flags.String("upstream", "", "`URL` of the MCP server to protect")
	base := flags.String("base-scopes", "", "`scopes` that a first login asks for, with commas between them")
	flags.Var(tools, "tool", "`name=rule` of a tool, such as read_file=files:read or search=authenticated; repeatable")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 || *issuer == "" || *upstream == "" {
		fmt.Fprintln(stderr, "reverse-proxy: name the authorization server with -issuer, the MCP server with -upstream, and nothing but flags")
		return 2
	}
	listener, origin, err := web.Listen(*listen)
	if err != nil {
		fmt.Fprintln(stderr, "reverse-proxy:", err)
		return 1
	}
	defer listener.Close()
	if *resource == "" {
		*resource = origin + "/mcp"
	}
	handler, err := newHandler(mcpauth.Config{
		Resource:   *resource,
		Issuers:    []mcpauth.Issuer{{URL: *issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		BaseScopes: strings.FieldsFunc(*base, func(r rune) bool { return r == ',' }),
		Logger:     slog.New(slog.NewTextHandler(stderr, nil)),
	}, *upstream, tools)
	if err != nil {
		fmt.Fprintln(stderr, "reverse-proxy:", err)
		return 2
	}
	fmt.Fprintln(stdout, "listening on", origin)
	if err := web.Serve(ctx, listener, handler); err != nil {
		fmt.Fprintln(stderr, "reverse-proxy:", err)
		return 1
	}
	return 0
}

// newHandler is all there is to it.
func newHandler(cfg mcpauth.Config, upstream string, tools rules) (http.Handler, error) {
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, err
	}
	auth.RequireTools(tools)
	behind, err := proxy.New(upstream)
	if err != nil {
		return nil, fmt.Errorf("-upstream: %w", err)
	}
	mux := http.NewServeMux()
	auth.Mount(mux, behind)
	return mux, nil
}

// rules are read from the command line, in the syntax of scopes.Parse.
type rules map[string]scopes.Rule

func (r rules) String() string { return "" }

func (r rules) Set(s string) error {
	name, text, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("write name=rule")
	}
	if _, twice := r[name]; twice {
		return fmt.Errorf("there is a rule for %s already", name)
	}
	rule, err := scopes.Parse(text)
	if err != nil {
		return err
	}
	r[name] = rule
	return nil
}
