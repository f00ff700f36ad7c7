package main

import (
	"flag"
	"fmt"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// A list is a flag that may be given several times.
type list []string

func (l *list) String() string { return strings.Join(*l, " ") }

func (l *list) Set(s string) error {
	*l = append(*l, s)
	return nil
}

// inspect is the command token: no network, no verification, only what the token says against what it should say.
func (c command) inspect(args []string) int {
	var (
		opt     doctor.InspectOptions
		out     output
		cred    credential
		issuers list
		scopes  list
	)
	fs := flag.NewFlagSet("mcpauth-doctor token", flag.ContinueOnError)
	fs.SetOutput(c.err)
	fs.Usage = func() {
		fmt.Fprintf(c.err, "usage: mcpauth-doctor token [flags] < TOKEN\n\nDecodes an access token without verifying it, and compares it.\n\n")
		fs.PrintDefaults()
		fmt.Fprint(c.err, exitStatuses)
	}
	out.flags(fs)
	cred.flags(fs)
	fs.StringVar(&opt.Resource, "resource", "", "the resource identifier: the `URL` of the MCP endpoint")
	fs.Var(&issuers, "issuer", "the `URL` of an issuer that the resource lists; may be repeated")
	fs.Var(&scopes, "scope", "a `scope` that calls need; may be repeated")
	if status, done := parse(fs, args); done {
		return status
	}
	if fs.NArg() > 0 {
		return c.usage("token takes flags only; the token itself comes from standard input, a file or a variable, never from the command line")
	}
	if err := out.check(); err != nil {
		return c.usage("%v", err)
	}
	if cred.file == "" && cred.env == "" {
		cred.file = "-"
	}
	token, err := cred.read(c)
	if err != nil {
		return c.usage("%v", err)
	}
	opt.Issuers, opt.Scopes = issuers, scopes
	report, err := doctor.Inspect(token, opt)
	if err != nil {
		return c.unusable(err)
	}
	return c.print(report, out)
}
