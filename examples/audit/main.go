// Command audit shows what an operator learns from decisions alone: it protects the example notebook, plays
// clients that do well and clients that do not, and writes each decision as a line of JSON.
//
//	go -C examples run ./audit                 the lines, and how much was used, per user, client and tool
//	go -C examples run ./audit 2>/dev/null | jq 'select(.allowed | not) | {reason, expected, got, cure}'
//	go -C examples run ./audit -pseudonyms     with keyed hashes in place of subjects
//	go -C examples run ./audit -arguments      with what was written into notes, which is otherwise left out
//
// Lines go to standard output, all else to standard error.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("audit", flag.ContinueOnError)
	flags.SetOutput(stderr)
	pseudonyms := flags.Bool("pseudonyms", false, "write keyed hashes in place of subjects")
	arguments := flags.Bool("arguments", false, "write the text of notes as well")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "audit: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := demonstrate(ctx, stdout, stderr, *pseudonyms, *arguments); err != nil {
		fmt.Fprintln(stderr, "audit: the demonstration failed:", err)
		return 1
	}
	return 0
}

func demonstrate(ctx context.Context, stdout, stderr io.Writer, pseudonyms, arguments bool) error {
	var usage audit.Usage
	var opts audit.Options
	if pseudonyms {
		// A real server keeps its key. With a new one, nobody finds the lines of one user in two runs.
		opts.PseudonymKey = make([]byte, 32)
		rand.Read(opts.PseudonymKey)
	}
	s, err := start(audit.Tee(audit.Log(slog.NewJSONHandler(stdout, nil), opts), usage.Record), arguments)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.play(ctx, s.scenes()); err != nil {
		return err
	}
	return printUsage(stderr, usage.Snapshot())
}

// A stage is the protected server, with all that its clients need to have.
type stage struct {
	resource string
	issuer   *demo.Issuer
	apiKey   string
	close    func()
}

// start serves keys and notes on one loopback address.
func start(onDecision func(context.Context, mcpauth.Decision), arguments bool) (*stage, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s, handler, err := protect("http://"+listener.Addr().String(), onDecision, arguments)
	if err != nil {
		listener.Close()
		return nil, err
	}
	serving, stop := context.WithCancel(context.Background())
	wait := demo.Serve(serving, slog.Default(), demo.Site{Listener: listener, Handler: handler})
	s.close = func() {
		stop()
		wait()
	}
	return s, nil
}

func protect(url string, onDecision func(context.Context, mcpauth.Decision), arguments bool) (*stage, http.Handler, error) {
	is, err := demo.NewIssuer(url)
	if err != nil {
		return nil, nil, err
	}
	apiKey, hash := mcpauth.NewAPIKey("notes_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "notes_", Keys: []mcpauth.APIKey{
		{Hash: hash, Owner: "backup", Name: "nightly", Scopes: []string{notes.ScopeRead}},
	}})
	if err != nil {
		return nil, nil, err
	}
	cfg := mcpauth.Config{
		Resource:       url + "/mcp",
		Issuers:        []mcpauth.Issuer{{URL: url, JWKSURI: url + "/jwks", Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
		Authenticators: []mcpauth.Authenticator{keys},
		BaseScopes:     []string{notes.ScopeRead},
		Revoked: func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			return p.Subject() == "left-the-company", nil
		},
		Policy: func(_ context.Context, c *mcpauth.Call) error {
			if c.Name == "write_note" && c.Principal.Subject() == "trainee" {
				return errors.New("writing is not for trainees yet")
			}
			return nil
		},
		OnDecision: onDecision,
	}
	if arguments {
		cfg.AuditArguments = map[string][]string{"write_note": {"text"}}
	}
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return nil, nil, err
	}
	tools := notes.NewServer(auth)
	mux := http.NewServeMux()
	mux.Handle("GET /jwks", is)
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return &stage{resource: cfg.Resource, issuer: is, apiKey: apiKey}, mux, nil
}

// printUsage quotes what clients have chosen: a terminal takes orders from text.
func printUsage(out io.Writer, rows []audit.Row) error {
	rows, err := audit.Group(rows, audit.ByUser, audit.ByClient, audit.ByOperation)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "user\tclient\toperation\tname\tallowed\trefused")
	for _, r := range rows {
		fmt.Fprintf(table, "%+q\t%+q\t%+q\t%+q\t%d\t%d\n", r.Subject, r.Client, r.Method, r.Name, r.Allowed, r.Refused)
	}
	return table.Flush()
}
