package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// examine is the command with a URL.
func (c command) examine(ctx context.Context, args []string) int {
	var (
		opt       doctor.Options
		out       output
		cred      credential
		clients   string
		arguments string
		keyFile   string
		timeout   time.Duration
	)
	fs := flag.NewFlagSet("mcpauth-doctor", flag.ContinueOnError)
	fs.SetOutput(c.err)
	fs.Usage = func() {
		fmt.Fprintf(c.err, "usage: mcpauth-doctor [flags] URL\n       mcpauth-doctor token [flags] < TOKEN\n\n")
		fs.PrintDefaults()
		fmt.Fprintf(c.err, "\nKnown clients: %s\n%s", strings.Join(doctor.KnownClients(), ", "), exitStatuses)
	}
	out.flags(fs)
	cred.flags(fs)
	fs.StringVar(&keyFile, "dpop-key", "", "a `file` with the private key in PEM that the token is bound to")
	fs.StringVar(&opt.Call, "call", "", "a `tool` to call with the token; without it none is called")
	fs.StringVar(&arguments, "arguments", "", "the arguments of that call, a `JSON` object")
	fs.StringVar(&opt.ClientID, "client-id", "", "the `id` of a registered client, to be tried at the authorization endpoint")
	fs.StringVar(&opt.RedirectURI, "redirect-uri", "", "a redirect `URI` of that client")
	fs.StringVar(&opt.Origin, "origin", "", "the `origin` of a page that should be able to use the server")
	fs.StringVar(&clients, "clients", "", "`names` of clients to judge for, separated by commas")
	fs.DurationVar(&timeout, "timeout", 2*time.Minute, "limit for everything together, more than 0")
	if status, done := parse(fs, args); done {
		return status
	}
	switch fs.NArg() {
	case 1:
		opt.URL = fs.Arg(0)
	case 0:
		return c.usage("the URL of the MCP endpoint is missing")
	default:
		return c.usage("one URL, please, and flags before it; a token goes into a file or a variable")
	}
	if timeout <= 0 {
		return c.usage("-timeout is not more than 0; write a duration such as 30s, or leave it out for 2m")
	}
	if err := out.check(); err != nil {
		return c.usage("%v", err)
	}
	var err error
	if opt.Token, err = cred.read(c); err != nil {
		return c.usage("%v", err)
	}
	if keyFile != "" {
		if opt.DPoPKey, err = readKey(keyFile); err != nil {
			return c.usage("%v", err)
		}
	}
	opt.Arguments = []byte(arguments)
	for name := range strings.SplitSeq(clients, ",") {
		if name = strings.TrimSpace(name); name != "" {
			opt.Clients = append(opt.Clients, name)
		}
	}
	if c.errTTY {
		opt.Progress = func(step string) { fmt.Fprintf(c.err, "\r\x1b[K%s ...", step) }
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	report, err := doctor.Run(ctx, opt)
	if c.errTTY {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	if err != nil {
		return c.unusable(err)
	}
	return c.print(report, out)
}

// parse reports whether there is nothing left to do, and with which status.
func parse(fs *flag.FlagSet, args []string) (status int, done bool) {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK, true
	}
	return exitUsage, err != nil
}
