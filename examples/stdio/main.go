// Command stdio is the example notebook over standard input and output, for a client that starts it. The
// caller comes from the environment, and rules, lists and audit are those of HTTP:
//
//	NOTES_TOKEN=... go -C examples run ./stdio -issuer https://login.example.com -resource https://notes.example.com/mcp
//	NOTES_KEY=...   go -C examples run ./stdio -key-hash sha256:...
//	                go -C examples run ./stdio -local
//
// A new key and its hash: go -C examples run ./stdio -new-key
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	tokenVariable = "NOTES_TOKEN"
	keyVariable   = "NOTES_KEY"
	keyPrefix     = "notes_"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], &mcp.StdioTransport{}, os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure. Standard output is
// the transport's, so everything else goes to standard error.
func run(ctx context.Context, args []string, transport mcp.Transport, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("stdio", flag.ContinueOnError)
	flags.SetOutput(stderr)
	issuer := flags.String("issuer", "", "`URL` of the authorization server whose token is in "+tokenVariable)
	resource := flags.String("resource", "http://127.0.0.1/mcp", "`URL` that the token must name as its audience")
	keyHash := flags.String("key-hash", "", "`hash` of the API key that is in "+keyVariable)
	grant := flags.String("scopes", "notes:read", "`scopes` of the API key or the local user, separated by spaces")
	local := flags.Bool("local", false, "no credentials: whoever starts the program is the local user")
	newKey := flags.Bool("new-key", false, "print a new API key and its hash, and exit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	ways := 0
	for _, chosen := range []bool{*issuer != "", *keyHash != "", *local, *newKey} {
		if chosen {
			ways++
		}
	}
	switch {
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "stdio: unexpected argument %q\n", flags.Arg(0))
		return 2
	case ways != 1:
		fmt.Fprintln(stderr, "stdio: say where the caller comes from, with one of -issuer, -key-hash and -local; or make a key with -new-key")
		return 2
	}
	if *newKey {
		key, hash := mcpauth.NewAPIKey(keyPrefix)
		fmt.Fprintf(stdout, "key   %s\nhash  %s\n", key, hash)
		return 0
	}
	if err := serve(ctx, transport, stderr, *issuer, *resource, *keyHash, strings.Fields(*grant), *local); err != nil {
		fmt.Fprintln(stderr, "stdio:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, transport mcp.Transport, stderr io.Writer, issuer, resource, keyHash string, granted []string, local bool) error {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	cfg := mcpauth.Config{
		StdioOnly: true, Logger: log,
		OnDecision: audit.Log(log.Handler(), audit.Options{}),
	}
	if issuer != "" {
		cfg.Resource = resource
		cfg.Issuers = []mcpauth.Issuer{{URL: issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}}
	}
	if keyHash != "" {
		keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: keyPrefix, Keys: []mcpauth.APIKey{
			{Hash: keyHash, Owner: "key-owner", Name: "stdio", Scopes: granted},
		}})
		if err != nil {
			return err
		}
		cfg.Authenticators = []mcpauth.Authenticator{keys}
	}
	auth, err := mcpauth.New(cfg)
	if err != nil {
		return err
	}
	who := mcpauth.Stdio{TokenVariable: tokenVariable}
	switch {
	case local:
		who = mcpauth.Stdio{Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "local-user", Grant: scopes.NewGrant(granted, nil)}}
	case keyHash != "":
		who = mcpauth.Stdio{KeyVariable: keyVariable}
	}
	if ctx, err = auth.StdioContext(ctx, who); err != nil {
		return err
	}
	if err := notes.NewServer(auth).Run(ctx, transport); err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}
