// Command authserver runs the development authorization server of the examples alone, in front of any protected resource on this machine.
//
//	go -C examples run ./authserver -listen 127.0.0.1:9000 -resource http://127.0.0.1:8080/mcp -scopes notes:read,notes:write
//
// It prints one line "listening on URL" when it accepts connections; URL is the issuer. Anybody who reaches it can sign in as anyone, so
// it refuses every address that is not loopback. Secrets on its command line are seen by everybody on the machine, which is no loss here.
// Its users are ada (admin), dev (developer), uma (user) and rio (read-only, who may have scopes ending in :read).
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

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	listen, cfg, err := parse(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "authserver:", err)
		return 2
	}
	cfg.Logger = slog.New(slog.NewTextHandler(stderr, nil))
	l, err := devas.Listen(listen)
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
	fmt.Fprintln(stdout, "listening on", srv.Issuer())
	if err := srv.Serve(ctx, l); err != nil { // which begins with a warning in the log
		fmt.Fprintln(stderr, "authserver:", err)
		return 1
	}
	return 0
}

// parse reads the command line. It leaves out of the configuration what only a listener tells.
func parse(args []string, out io.Writer) (listen string, cfg devas.Config, err error) {
	flags := flag.NewFlagSet("authserver", flag.ContinueOnError)
	flags.SetOutput(out)
	var resources, scopes []string
	var opaque bool
	flags.StringVar(&listen, "listen", "127.0.0.1:0", "loopback `address` to listen on; port 0 lets the system choose")
	flags.Func("resource", "`URL` of a protected resource, repeatable (default http://127.0.0.1:8080/mcp)", func(v string) error {
		resources = append(resources, v)
		return nil
	})
	flags.Func("scopes", "`scopes` of every resource, separated by commas or spaces, repeatable (default notes:read,notes:write)", func(v string) error {
		scopes = append(scopes, strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })...)
		return nil
	})
	flags.BoolVar(&cfg.Strict, "strict", false, "refuse requests without a resource or a scope instead of filling them in, and applications that nobody permitted")
	flags.StringVar(&cfg.File, "data", "", "keep grants, applications and settings in this `file`, for the next start; needs -listen with a fixed port")
	flags.BoolVar(&cfg.DPoPNonces, "dpop-nonce", false, "ask for a nonce in every DPoP proof at the token endpoint")
	flags.BoolVar(&opaque, "opaque", false, "issue access tokens that resources have to introspect, instead of JWTs")
	flags.BoolVar(&cfg.NoRegistration, "no-registration", false, "switch dynamic client registration off")
	flags.BoolVar(&cfg.NoDocuments, "no-documents", false, "switch client ID metadata documents off")
	client := func(with func(*devas.Client)) func(string) error {
		return func(v string) error {
			id, secret, ok := strings.Cut(v, ":")
			if !ok || id == "" || secret == "" {
				return errors.New("write ID:SECRET")
			}
			c := devas.Client{ID: id, Secret: secret}
			with(&c)
			cfg.Clients = append(cfg.Clients, c)
			return nil
		}
	}
	flags.Func("agent", "`ID:SECRET` of a client that gets every scope for itself with client_credentials, and sends its secret in the header or in the body, repeatable; ID must be no user's name",
		client(func(c *devas.Client) { c.Agent, c.AllScopes = true, true }))
	flags.Func("enterprise", "`ID:SECRET` of a client that exchanges identity assertions (ID-JAG) of a -trust-idp for tokens with every scope that they grant, repeatable",
		client(func(c *devas.Client) { c.Assertions, c.AllScopes = true, true }))
	flags.Func("introspect", "`ID:SECRET` of a resource that may introspect tokens, repeatable", client(func(c *devas.Client) { c.MayIntrospect = true }))
	flags.Func("trust-idp", "`ISSUER` of an identity provider that is trusted to say who somebody is, as in iss, repeatable; needs -enterprise", func(v string) error {
		cfg.IdentityProviders = append(cfg.IdentityProviders, devas.IdentityProvider{Issuer: v})
		return nil
	})
	switch err := flags.Parse(args); {
	case err != nil:
		return "", cfg, err
	case flags.NArg() > 0:
		return "", cfg, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case cfg.File != "" && strings.HasSuffix(listen, ":0"):
		return "", cfg, errors.New("-data needs -listen with a port, such as 127.0.0.1:9000: what is kept belongs to the issuer's address")
	}
	if resources == nil {
		resources = []string{"http://127.0.0.1:8080/mcp"}
	}
	if scopes == nil {
		scopes = []string{"notes:read", "notes:write"}
	}
	for _, id := range resources {
		r := devas.Resource{Identifier: id, OpaqueTokens: opaque}
		for _, s := range scopes {
			r.Scopes = append(r.Scopes, devas.Scope{Name: s})
		}
		cfg.Resources = append(cfg.Resources, r)
	}
	return listen, cfg, nil
}
