// Command dpop-client gives the Go SDK's client DPoP (RFC 9449), which it does not have by itself: a
// login whose token is bound to a key, and calls that prove possession of it. It prints each request.
//
//	go -C examples run ./dpop-client               starts both servers in this process
//	go -C examples run ./dpop-client -server URL   uses a server protected by ./resource-server
//
// What makes the difference is one http.RoundTripper, see connect.
package main

import (
	"context"
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
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/examples/internal/web"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	redirectURL = "http://127.0.0.1:33418/callback" // nothing listens there: the browser stops before it
	algorithm   = "ES256"                           // of the proofs; the development authorization server takes others, too
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("dpop-client", flag.ContinueOnError)
	flags.SetOutput(stderr)
	server := flags.String("server", "", "`URL` of a running MCP server whose authorization server is ./authserver (default: start both)")
	user := flags.String("user", "uma", "`name` to sign in with")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "dpop-client: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if *server == "" {
		url, wait, err := start(ctx, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelError})))
		if err != nil {
			fmt.Fprintln(stderr, "dpop-client:", err)
			return 1
		}
		defer wait()
		defer cancel()
		*server = url
	}
	if err := demonstrate(ctx, stdout, *server, *user); err != nil {
		fmt.Fprintln(stderr, "dpop-client: the demonstration failed:", err)
		return 1
	}
	return 0
}

// demonstrate logs in, calls a tool, and then plays a thief.
func demonstrate(ctx context.Context, out io.Writer, server, user string) error {
	key, err := mcpauthtest.NewDPoPKey(algorithm)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "The client's key has the thumbprint %s.\n\nLog in and connect\n", key.Thumbprint())
	trace := &tracer{out: out, base: http.DefaultTransport}
	session, err := connect(ctx, server, user, key, trace)
	if err != nil {
		return err
	}
	defer session.Close()
	fmt.Fprintf(out, "\nCall a tool\n")
	res, err := session.CallTool(ctx, &mcp.CallToolParams{Name: "whoami"})
	if err != nil {
		return err
	}
	for _, c := range res.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			fmt.Fprintf(out, "  whoami says %s\n", text.Text)
		}
	}
	if err := trace.check(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nA thief has seen all of that call\n")
	if err := steal(ctx, trace, "the same request again", func(http.Header) {}); err != nil {
		return err
	}
	err = steal(ctx, trace, "its token without a proof", func(h http.Header) {
		h.Del("DPoP")
		h.Set("Authorization", "Bearer "+strings.TrimPrefix(h.Get("Authorization"), "DPoP "))
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nDone: token and proofs are of no use to anyone without the key.\n")
	return nil
}

// connect is what this example is about. The same transport goes to the handler, which gets tokens, and
// to the client, which uses them.
func connect(ctx context.Context, server, user string, key *mcpauthtest.DPoPKey, base http.RoundTripper) (*mcp.ClientSession, error) {
	client := &http.Client{Transport: &mcpauthtest.DPoPTransport{Key: key, Base: base}}

	handler, err := auth.NewAuthorizationCodeHandler(&auth.AuthorizationCodeHandlerConfig{
		Client: client,
		DynamicClientRegistrationConfig: &auth.DynamicClientRegistrationConfig{Metadata: &oauthex.ClientRegistrationMetadata{
			ClientName: "DPoP example", RedirectURIs: []string{redirectURL}, TokenEndpointAuthMethod: "none",
			GrantTypes: []string{"authorization_code", "refresh_token"}, ResponseTypes: []string{"code"},
		}},
		AuthorizationCodeFetcher: func(ctx context.Context, args *auth.AuthorizationArgs) (*auth.AuthorizationResult, error) {
			// A real client opens the person's browser and waits for the redirect.
			back, err := browser.New().Authorize(ctx, args.URL, browser.Decision{User: user})
			if err != nil {
				return nil, err
			}
			if back.Error != "" {
				return nil, fmt.Errorf("the authorization server answered %s %s", back.Error, back.ErrorDescription)
			}
			return &auth.AuthorizationResult{Code: back.Code, State: back.State, Iss: back.Issuer}, nil
		},
	})
	if err != nil {
		return nil, err
	}
	return mcp.NewClient(&mcp.Implementation{Name: "dpop-client", Version: "1.0.0"}, nil).Connect(ctx,
		&mcp.StreamableClientTransport{Endpoint: server, HTTPClient: client, OAuthHandler: handler}, nil)
}

// steal sends the last call once more, changed, and wants it refused.
func steal(ctx context.Context, trace *tracer, what string, change func(http.Header)) error {
	fmt.Fprintf(trace.out, "  and sends %s:\n", what)
	req, err := trace.again(ctx)
	if err != nil {
		return err
	}
	change(req.Header)
	res, err := trace.RoundTrip(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("%s: got %s, want 401", what, res.Status)
	}
	return nil
}

// start runs an authorization server and a protected MCP server until ctx ends.
func start(ctx context.Context, logger *slog.Logger) (server string, wait func(), err error) {
	front, err := devas.Listen("127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	back, err := devas.Listen("127.0.0.1:0")
	if err != nil {
		front.Close()
		return "", nil, err
	}
	server, issuer := "http://"+front.Addr().String()+"/mcp", devas.IssuerURL(back)
	handler, err := protect(server, issuer, logger)
	if err == nil {
		var as *devas.Server
		as, err = devas.New(devas.Config{Issuer: issuer, Logger: logger, Resources: []devas.Resource{{
			Identifier: server, Name: "Example notebook", Scopes: []devas.Scope{{Name: notes.ScopeRead, Text: "Read your notes"}},
		}}})
		if err == nil {
			return server, serve(ctx, front, handler, as, back, logger), nil
		}
	}
	front.Close()
	back.Close()
	return "", nil, err
}

// protect demands DPoP, with nonces. Without them the client saves the round trip of the refusals that
// are printed here.
func protect(server, issuer string, logger *slog.Logger) (http.Handler, error) {
	protection, err := mcpauth.New(mcpauth.Config{
		Resource:   server,
		Issuers:    []mcpauth.Issuer{{URL: issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		BaseScopes: []string{notes.ScopeRead},
		DPoP:       mcpauth.DPoP{Mode: mcpauth.DPoPRequired, Nonces: true},
		Logger:     logger,
	})
	if err != nil {
		return nil, err
	}
	tools := notes.NewServer(protection)
	mux := http.NewServeMux()
	protection.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return mux, nil
}

// serve returns a function that waits until both servers have ended.
func serve(ctx context.Context, front net.Listener, handler http.Handler, as *devas.Server, back net.Listener, logger *slog.Logger) func() {
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
	return func() { <-done; <-done }
}
