package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// An examination is the command with a URL, as its flags say it.
type examination struct {
	opt       doctor.Options
	out       output
	cred      credential
	clients   string
	arguments string
	keyFile   string
	timeout   time.Duration
}

func (e *examination) flags(w io.Writer) *flag.FlagSet {
	fs := flag.NewFlagSet("mcpauth-doctor", flag.ContinueOnError)
	fs.SetOutput(w)
	fs.Usage = func() {
		fmt.Fprintf(w, "usage: mcpauth-doctor [flags] URL\n       mcpauth-doctor token [flags] < TOKEN\n\n")
		fs.PrintDefaults()
		fmt.Fprintf(w, "\nKnown clients: %s\n%s", strings.Join(doctor.KnownClients(), ", "), exitStatuses)
	}
	e.out.flags(fs)
	e.cred.flags(fs)
	fs.StringVar(&e.keyFile, "dpop-key", "", "a `file` with the private key in PEM that the token is bound to")
	fs.StringVar(&e.opt.Call, "call", "", "a `tool` to call with the token; without it none is called")
	fs.StringVar(&e.arguments, "arguments", "", "the arguments of that call, a `JSON` object")
	fs.StringVar(&e.opt.ClientID, "client-id", "", "the `id` of a registered client, to be tried at the authorization endpoint")
	fs.StringVar(&e.opt.RedirectURI, "redirect-uri", "", "a redirect `URI` of that client")
	fs.StringVar(&e.opt.Origin, "origin", "", "the `origin` of a page that should be able to use the server")
	fs.StringVar(&e.clients, "clients", "", "`names` of clients to judge for, separated by commas")
	fs.DurationVar(&e.timeout, "timeout", 2*time.Minute, "limit for everything together, more than 0")
	return fs
}

// options completes the options from what the flags name: a token, a key, clients.
func (e *examination) options(c command, args []string) (err error) {
	switch {
	case len(args) == 0:
		return errors.New("the URL of the MCP endpoint is missing")
	case len(args) > 1:
		return errors.New("one URL, please, and flags before it; a token goes into a file or a variable")
	case e.timeout <= 0:
		return errors.New("-timeout is not more than 0; write a duration such as 30s, or leave it out for 2m")
	}
	if err := e.out.check(); err != nil {
		return err
	}
	e.opt.URL, e.opt.Arguments = args[0], []byte(e.arguments)
	if e.opt.Token, err = e.cred.read(c); err != nil {
		return err
	}
	if e.keyFile != "" {
		if e.opt.DPoPKey, err = readKey(e.keyFile); err != nil {
			return err
		}
	}
	for name := range strings.SplitSeq(e.clients, ",") {
		if name = strings.TrimSpace(name); name != "" {
			e.opt.Clients = append(e.opt.Clients, name)
		}
	}
	return nil
}

func (c command) examine(ctx context.Context, args []string) int {
	var e examination
	fs := e.flags(c.err)
	if status, done := parse(fs, args); done {
		return status
	}
	if err := e.options(c, fs.Args()); err != nil {
		return c.usage("%v", err)
	}
	if c.errTTY {
		e.opt.Progress = func(step string) { fmt.Fprintf(c.err, "\r\x1b[K%s ...", step) }
	}
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	report, err := doctor.Run(ctx, e.opt)
	if c.errTTY {
		fmt.Fprint(c.err, "\r\x1b[K")
	}
	if err != nil {
		return c.unusable(err)
	}
	return c.print(report, e.out)
}

// parse reports whether there is nothing left to do, and with which status.
func parse(fs *flag.FlagSet, args []string) (status int, done bool) {
	err := fs.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK, true
	}
	return exitUsage, err != nil
}
