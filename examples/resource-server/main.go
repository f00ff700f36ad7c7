// Command resource-server is a protected MCP server alone, in front of any authorization server: a
// notebook with four tools, or, with -upstream, any MCP server behind it as a reverse proxy.
//
//	go -C examples run ./resource-server -listen localhost:8080 -issuer https://login.example.com
//	INTROSPECTION_SECRET=... go -C examples run ./resource-server -issuer https://login.example.com -introspect ID
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/examples/internal/proxy"
	"github.com/go-mcpauth/sdk/examples/internal/web"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

// secretVariable holds the secret of -introspect, which everybody on the machine can read on a command line.
const secretVariable = "INTROSPECTION_SECRET"

type options struct {
	listen, resource, jwksURL, upstream string
	dpop, listing                       string
	issuers                             []string
	introspect                          string
	stateless, log, nonces              bool
}

func main() {
	opt, err := parse(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		os.Exit(0)
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		err = run(ctx, opt, os.Stdout, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "resource-server:", err)
		var wrong usageError
		if errors.As(err, &wrong) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// A usageError is a mistake on the command line: exit status 2.
type usageError struct{ error }

func parse(args []string, out io.Writer) (options, error) {
	opt := options{}
	flags := flag.NewFlagSet("resource-server", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&opt.listen, "listen", "localhost:8080", "`host:port` to listen on; port 0 lets the system choose")
	flags.StringVar(&opt.resource, "resource", "", "`URL` under which clients reach the server (default http://HOST:PORT/mcp of the listener)")
	flags.Func("issuer", "`URL` of an authorization server, exactly as in the iss claim; repeatable", func(s string) error {
		opt.issuers = append(opt.issuers, s)
		return nil
	})
	flags.StringVar(&opt.jwksURL, "jwks-url", "", "`URL` of the keys of a single issuer (default: discovered)")
	flags.StringVar(&opt.introspect, "introspect", "", "`ID` with which opaque tokens of a single issuer are introspected; its secret is in the variable "+secretVariable+", or, for tests, behind a colon")
	flags.StringVar(&opt.dpop, "dpop", "optional", "`mode` of tokens bound to a key of the client (DPoP): off, optional or required")
	flags.BoolVar(&opt.nonces, "dpop-nonce", false, "proofs must hold a nonce of this server")
	flags.BoolVar(&opt.stateless, "stateless", true, "no sessions (revision 2026-07-28); -stateless=false keeps sessions")
	flags.StringVar(&opt.listing, "listing", "obtainable", "`what` lists show: obtainable, allowed or all")
	flags.StringVar(&opt.upstream, "upstream", "", "`URL` of an MCP server to protect as a reverse proxy, instead of offering tools")
	flags.BoolVar(&opt.log, "log", false, "write audit events to standard error, as JSON lines")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return opt, err
		}
		return opt, usageError{err}
	}
	switch {
	case flags.NArg() > 0:
		return opt, usageError{fmt.Errorf("unexpected argument %q", flags.Arg(0))}
	case len(opt.issuers) == 0:
		return opt, usageError{errors.New("name the authorization server with -issuer")}
	case opt.jwksURL != "" && len(opt.issuers) > 1:
		return opt, usageError{errors.New("-jwks-url goes with a single -issuer")}
	case opt.introspect != "" && len(opt.issuers) > 1:
		return opt, usageError{errors.New("-introspect goes with a single -issuer")}
	case opt.dpop == "off" && opt.nonces:
		return opt, usageError{errors.New("-dpop-nonce goes with -dpop optional or required")}
	}
	if opt.introspect != "" && !strings.Contains(opt.introspect, ":") {
		secret := os.Getenv(secretVariable)
		if secret == "" {
			return opt, usageError{errors.New("-introspect takes an ID, whose secret is in the variable " + secretVariable + ", which is empty; or ID:SECRET")}
		}
		opt.introspect += ":" + secret
	}
	if _, ok := dpopModes[opt.dpop]; !ok {
		return opt, usageError{fmt.Errorf("-dpop %q: use off, optional or required", opt.dpop)}
	}
	if _, ok := listings[opt.listing]; !ok {
		return opt, usageError{fmt.Errorf("-listing %q: use obtainable, allowed or all", opt.listing)}
	}
	return opt, nil
}

var listings = map[string]mcpauth.Listing{
	"obtainable": mcpauth.ListObtainable, "allowed": mcpauth.ListAllowed, "all": mcpauth.ListAll,
}

var dpopModes = map[string]mcpauth.DPoPMode{
	"off": mcpauth.DPoPOff, "optional": mcpauth.DPoPOptional, "required": mcpauth.DPoPRequired,
}

// run serves until the context ends.
func run(ctx context.Context, opt options, stdout, stderr io.Writer) error {
	listener, err := net.Listen("tcp", opt.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if opt.resource == "" {
		opt.resource = "http://" + listener.Addr().String() + "/mcp"
	}
	auth, err := mcpauth.New(config(opt, stderr))
	if err != nil {
		return usageError{err}
	}
	handler, err := handler(auth, opt)
	if err != nil {
		return usageError{err}
	}
	mux := http.NewServeMux()
	auth.Mount(mux, handler)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "There is nothing here. The MCP endpoint is "+opt.resource, http.StatusNotFound)
	})

	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())
	return web.Serve(ctx, listener, mux)
}

func config(opt options, stderr io.Writer) mcpauth.Config {
	cfg := mcpauth.Config{
		Resource: opt.resource,
		Listing:  listings[opt.listing],
		DPoP:     mcpauth.DPoP{Mode: dpopModes[opt.dpop], Nonces: opt.nonces},
		// The Go SDK's client becomes another client when it steps up.
		SessionPerUser: true,
		Metadata: &prm.Metadata{
			ResourceName:    "Example notebook",
			ScopesSupported: []string{notes.ScopeRead, notes.ScopeWrite},
		},
		Logger: slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	for _, issuer := range opt.issuers {
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{
			URL: issuer, JWKSURI: opt.jwksURL, TokenTypes: []string{"at+jwt", "JWT"},
			Grants: scopes.Mapper{RoleClaims: []string{"/roles"}},
		})
	}
	if id, secret, ok := strings.Cut(opt.introspect, ":"); ok {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{ClientID: id, ClientSecret: mcpauth.Secret(secret)}
	}
	if opt.upstream != "" {
		cfg.Unlisted = scopes.Authenticated()
		cfg.Metadata = &prm.Metadata{ResourceName: "Protected MCP server"}
	}
	if opt.log {
		cfg.Logger = slog.New(slog.NewJSONHandler(stderr, nil))
		cfg.OnDecision = auditor(stderr)
	}
	return cfg
}

func handler(auth *mcpauth.Middleware, opt options) (http.Handler, error) {
	if opt.upstream == "" {
		server := notes.NewServer(auth)
		return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
			&mcp.StreamableHTTPOptions{Stateless: opt.stateless}), nil
	}
	upstream, err := proxy.New(opt.upstream)
	if err != nil {
		return nil, fmt.Errorf("-upstream: %w", err)
	}
	auth.RequireMethod("*", scopes.Authenticated())
	return upstream, nil
}

// auditor writes each decision as a line of JSON.
func auditor(w io.Writer) func(context.Context, mcpauth.Decision) {
	var mu sync.Mutex
	out := json.NewEncoder(w)
	return func(_ context.Context, d mcpauth.Decision) {
		mu.Lock()
		defer mu.Unlock()
		_ = out.Encode(map[string]any{
			"event": "decision", "time": d.Time.UTC().Format(time.RFC3339Nano), "allowed": d.Allowed, "reason": d.Reason,
			"status": d.Status, "method": d.Operation.Method, "name": d.Operation.Name, "rule": d.Rule,
			"needed": d.Needed, "granted": d.Granted, "principal": d.Principal.ID(), "issuer": d.Principal.Issuer(),
			"subject": d.Principal.Subject(), "client": d.Principal.ClientID(), "request_id": d.RequestID, "trace_id": d.TraceID,
			"expected": d.Expected, "got": d.Got, "cure": d.Cure,
		})
	}
}
