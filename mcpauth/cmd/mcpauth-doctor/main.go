// Command mcpauth-doctor tells why clients cannot use an MCP server, whoever wrote it. It does what they do, step by step, and prints
// a table: the step, what came back, pass, warn or fail, which of the known clients would stumble, and how to repair it.
//
//	mcpauth-doctor https://mcp.example.com/mcp
//	mcpauth-doctor -token-env MCP_TOKEN https://mcp.example.com/mcp
//	mcpauth-doctor token -resource https://mcp.example.com/mcp -issuer https://login.example.com < token.txt
//
// Without a token it looks at everything that a client meets before its login: challenge, metadata, CORS, authorization servers, keys, clocks,
// DPoP. With one it also makes the first calls and compares the token with what is published. The last form, token, compares without
// any network. A token comes from a file, from standard input or from an environment variable, never from the command line, where other
// users of the computer can read it, and no part of it is printed but the claims that are compared. It is sent to the MCP URL only.
//
// # What people see, and where to look
//
//	401 after a good login             give the token: issuer, audience, typ, lifetime and binding are compared
//	403 on every call                  give the token: scopes, prefixes and roles are compared with what the 403 asks for
//	no tools shown                     give the token: the list is asked for
//	redirect mismatch, invalid_target  give -client-id and -redirect-uri: the authorization endpoint is asked
//	client never opens the browser     give nothing: it is in the steps before the login
//
// # Flags
//
//	-token-file FILE, -token-env NAME  where the access token is; FILE - is standard input
//	-dpop-key FILE                     the private key in PEM that the token is bound to
//	-call TOOL, -arguments JSON        call this tool; without it none is called
//	-client-id ID, -redirect-uri URI   a registered client to try at the authorization endpoint
//	-origin ORIGIN                     a page that should get through; without it pages are a matter for warnings
//	-clients NAMES                     judge for these clients only, separated by commas
//	-json                              the report as JSON
//	-color auto|always|never           colours; auto means on a terminal, unless NO_COLOR is set
//	-timeout DURATION                  for everything together, more than 0; 2m unless given
//
// Flags of token: -token-file, -token-env, -json and -color as above, -resource URL, -issuer URL and -scope SCOPE (repeatable).
//
// # Exit status
//
// 0 if everything passes or warns, 1 if something fails, 2 if the command cannot be used as it is written.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

// exitStatuses is the last line of both helps.
const exitStatuses = "Exit status: 0 all pass or warn, 1 a failure, 2 usage.\n"

// A command is one call of the program with everything that it touches.
type command struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	outTTY   bool // colours
	errTTY   bool // progress
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	c := command{
		in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv,
		outTTY: isTerminal(os.Stdout), errTTY: isTerminal(os.Stderr),
	}
	status := c.run(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

func (c command) run(ctx context.Context, args []string) int {
	if len(args) > 0 && args[0] == "token" {
		return c.inspect(args[1:])
	}
	return c.examine(ctx, args)
}

// usage reports a mistake in the command. It never repeats arguments: one of them may be a token in the wrong place.
func (c command) usage(format string, args ...any) int {
	fmt.Fprintf(c.err, "mcpauth-doctor: "+format+"\nRun mcpauth-doctor -help for the flags.\n", args...)
	return exitUsage
}

// inFlags says for the command line what the library says of members of Options.
var inFlags = strings.NewReplacer(
	"doctor: ", "", "InspectOptions.Resource", "-resource", "Options.URL", "the URL", "Options.Token", "the token", "Options.DPoPKey", "-dpop-key",
	"Options.Call", "-call", "Options.Arguments", "-arguments", "Options.Clients", "-clients", "Options.Origin", "-origin",
	"Options.RedirectURI", "-redirect-uri", "the ClientID", "the -client-id", "needs a Token", "needs a token", "the Token", "the token", "the Call", "the -call",
)

// unusable reports what the library cannot use.
func (c command) unusable(err error) int { return c.usage("%s", inFlags.Replace(err.Error())) }

// print writes the report and gives the exit status.
func (c command) print(r *doctor.Report, o output) int {
	var err error
	if o.json {
		err = writeJSON(c.out, r)
	} else {
		err = r.WriteTable(c.out, o.colours(c))
	}
	switch {
	case err != nil:
		fmt.Fprintln(c.err, "mcpauth-doctor: the report could not be written")
		return exitFail
	case !r.OK():
		return exitFail
	}
	return exitOK
}
