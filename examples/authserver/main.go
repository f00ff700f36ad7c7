// Command authserver runs the development authorization server of the examples alone, in front of any protected resource on this machine.
//
//	go -C examples run ./authserver -listen 127.0.0.1:9000 -resource http://127.0.0.1:8080/mcp -scopes notes:read,notes:write
//
// It prints one line "listening on URL" when it accepts connections; URL is the issuer. Anybody who reaches it can sign in as anyone, so it refuses
// every address that is not loopback. Secrets on its command line are seen by everybody on the machine, which is no loss here. Its users are ada (admin), dev (developer), uma (user) and rio (read-only, who may have scopes ending in :read).
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

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("authserver", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var resources, scopes []string
	listen := flags.String("listen", "127.0.0.1:0", "loopback `address` to listen on")
	flags.Func("resource", "`URL` of a protected resource, repeatable (default http://127.0.0.1:8080/mcp)", func(v string) error {
		resources = append(resources, v)
		return nil
	})
	flags.Func("scopes", "scopes of every resource, separated by `commas` or spaces, repeatable (default notes:read,notes:write)", func(v string) error {
		scopes = append(scopes, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
		return nil
	})
	strict := flags.Bool("strict", false, "refuse requests without a resource or a scope instead of filling them in, and applications that nobody permitted")
	data := flags.String("data", "", "keep grants, applications and settings in this `file`, for the next start; needs -listen with a fixed port")
	nonces := flags.Bool("dpop-nonce", false, "ask for a nonce in every DPoP proof at the token endpoint")
	opaque := flags.Bool("opaque", false, "issue access tokens that resources have to introspect, instead of JWTs")
	noRegistration := flags.Bool("no-registration", false, "switch dynamic client registration off")
	noDocuments := flags.Bool("no-documents", false, "switch client ID metadata documents off")
	var clients []devas.Client
	client := func(with func(*devas.Client)) func(string) error {
		return func(v string) error {
			id, secret, ok := strings.Cut(v, ":")
			if !ok || id == "" || secret == "" {
				return errors.New("write ID:SECRET")
			}
			c := devas.Client{ID: id, Secret: secret}
			with(&c)
			clients = append(clients, c)
			return nil
		}
	}
	flags.Func("agent", "`ID:SECRET` of a client that gets every scope for itself with client_credentials, and sends its secret in the header or in the body, repeatable; ID must be no user's name",
		client(func(c *devas.Client) { c.Agent, c.AllScopes = true, true }))
	flags.Func("enterprise", "`ID:SECRET` of a client that exchanges identity assertions (ID-JAG) of a -trust-idp for tokens with every scope that they grant, repeatable", client(func(c *devas.Client) { c.Assertions, c.AllScopes = true, true }))
	var providers []devas.IdentityProvider
	flags.Func("trust-idp", "`ISSUER` of an identity provider that is trusted to say who somebody is, as in iss, repeatable; needs -enterprise", func(v string) error {
		providers = append(providers, devas.IdentityProvider{Issuer: v})
		return nil
	})
	flags.Func("introspect", "`ID:SECRET` of a resource that may introspect tokens, repeatable", client(func(c *devas.Client) { c.MayIntrospect = true }))
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "authserver: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	if *data != "" && strings.HasSuffix(*listen, ":0") {
		fmt.Fprintln(stderr, "authserver: -data needs -listen with a port, such as 127.0.0.1:9000: what is kept belongs to the issuer's address")
		return 2
	}
	if resources == nil {
		resources = []string{"http://127.0.0.1:8080/mcp"}
	}
	if scopes == nil {
		scopes = []string{"notes:read", "notes:write"}
	}
	cfg := devas.Config{Strict: *strict, File: *data, DPoPNonces: *nonces, NoRegistration: *noRegistration, NoDocuments: *noDocuments, Clients: clients, IdentityProviders: providers, Logger: slog.New(slog.NewTextHandler(stderr, nil))}
	for _, id := range resources {
		r := devas.Resource{Identifier: id, OpaqueTokens: *opaque}
		for _, s := range scopes {
			r.Scopes = append(r.Scopes, devas.Scope{Name: s})
		}
		cfg.Resources = append(cfg.Resources, r)
	}

	l, err := devas.Listen(*listen)
	if err != nil {
		fmt.Fprintln(stderr, "authserver:", err)
		return 2
	}
	cfg.Issuer = devas.IssuerURL(l)
	srv, err := devas.New(cfg)
	if err != nil {
		_ = l.Close()
		fmt.Fprintln(stderr, "authserver:", err)
		return 2
	}
	line := strings.Repeat("*", 78)
	fmt.Fprintf(stderr, "%s\n%s\n%s\n", line, devas.Warning, line)
	fmt.Fprintln(stdout, "listening on", srv.Issuer())
	if err := srv.Serve(ctx, l); err != nil {
		fmt.Fprintln(stderr, "authserver:", err)
		return 1
	}
	return 0
}
