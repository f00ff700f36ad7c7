// Command policy is the example notebook with conditions in context: notes are written during office hours
// and are short, and only the office may purge them. It plays the client at several times and from several
// addresses, and prints what a client is told and what the log says.
//
//	go -C examples run ./policy                                                   a day at the office
//	go -C examples run ./policy -at 2026-06-01T19:30 -from 203.0.113.9            one moment of your own
//
// What makes the difference are the two lines with Policy and ListPolicy, see protect. Time comes from
// a clock that the program sets, and the client's address from a proxy that the program plays, too.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	_ "time/tzdata" // where the system has none

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

const (
	layout    = "2006-01-02T15:04"
	office    = "192.0.2.7"
	elsewhere = "203.0.113.9"
	keyHeader = "X-Api-Key"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("policy", flag.ContinueOnError)
	flags.SetOutput(stderr)
	zone := flags.String("zone", "Europe/Berlin", "`name` of the office's time zone")
	at := flags.String("at", "", "`time` of one moment to try, such as 2026-06-01T19:30 (default: a day at the office)")
	from := flags.String("from", office, "the client's `address` at that moment")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	loc, err := time.LoadLocation(*zone)
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	day := officeDay()
	if *at != "" && err == nil {
		_, wrongTime := time.ParseInLocation(layout, *at, loc)
		_, wrongAddress := netip.ParseAddr(*from)
		err = errors.Join(wrongTime, wrongAddress)
		day = []moment{{what: "The moment you asked for", at: *at, from: *from}}
	}
	if err != nil {
		fmt.Fprintln(stderr, "policy:", err)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := demonstrate(ctx, stdout, loc, day); err != nil {
		fmt.Fprintln(stderr, "policy: the demonstration failed:", err)
		return 1
	}
	return 0
}

// protect is what this example is about.
func protect(zone *time.Location, keys mcpauth.Authenticator, cfg mcpauth.Config) (*mcpauth.Middleware, error) {
	officeHours := policy.During(policy.Hours{Zone: zone, Days: policy.Workdays(), From: "08:00", To: "18:00"})
	proxy := policy.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}
	conditions := policy.And(
		policy.For("tools/call write_*", policy.And(
			officeHours,
			policy.Argument("text", func(text string) bool { return len(text) <= 40 }),
		)),
		policy.For("tools/call purge_notes", proxy.From(netip.MustParsePrefix("192.0.2.0/24"))),
	)
	cfg.Authenticators = []mcpauth.Authenticator{keys}
	cfg.Policy = conditions.Check
	cfg.ListPolicy = conditions.List
	return mcpauth.New(cfg)
}

// A moment is when and from where the client asks, and what it must get: the tools that it sees, and for
// each call true or false. Nil: whatever comes.
type moment struct {
	what, at, from string
	claimed        string // by the client, in a X-Forwarded-For of its own
	tools          []string
	want           []bool // of calls
}

// calls are made at every moment.
var calls = []struct{ what, params string }{
	{"write a note", `{"name":"write_note","arguments":{"text":"buy milk"}}`},
	{"write a long one", `{"name":"write_note","arguments":{"text":"` + strings.Repeat("blah ", 20) + `"}}`},
	{"purge all notes", `{"name":"purge_notes","arguments":{}}`},
	{"read the notes", `{"name":"read_notes","arguments":{}}`},
}

func officeDay() []moment {
	all := []string{"purge_notes", "read_notes", "whoami", "write_note"}
	return []moment{
		{"Monday morning in the office", "2026-06-01T10:00", office, "", all, []bool{true, false, true, true}},
		{"at the same time on the road", "2026-06-01T10:00", elsewhere, "", []string{"read_notes", "whoami", "write_note"}, []bool{true, false, false, true}},
		{"on the road, with a header that says it is in the office", "2026-06-01T10:00", elsewhere, office, []string{"read_notes", "whoami", "write_note"}, []bool{true, false, false, true}},
		{"Monday, one minute to six", "2026-06-01T17:59", office, "", all, []bool{true, false, true, true}},
		{"Monday, six", "2026-06-01T18:00", office, "", []string{"purge_notes", "read_notes", "whoami"}, []bool{false, false, true, true}},
		{"Saturday on the road", "2026-06-06T10:00", elsewhere, "", []string{"read_notes", "whoami"}, []bool{false, false, false, true}},
	}
}

// demonstrate starts the server and asks it at every moment.
func demonstrate(ctx context.Context, out io.Writer, zone *time.Location, day []moment) error {
	var now atomic.Pointer[time.Time]
	var logged atomic.Pointer[string]
	start := time.Date(2026, time.June, 1, 0, 0, 0, 0, zone)
	now.Store(&start)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer listener.Close()
	resource := "http://" + listener.Addr().String() + "/mcp"
	key, hash := mcpauth.NewAPIKey("notes_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{
		{Hash: hash, Owner: "ada", Name: "policy", Scopes: []string{notes.ScopeRead, notes.ScopeWrite}, Roles: []string{notes.RoleAdmin}},
	}})
	if err != nil {
		return err
	}
	auth, err := protect(zone, keys, mcpauth.Config{
		Resource: resource,
		Now:      func() time.Time { return *now.Load() },
		Logger:   slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{ReplaceAttr: reasons(&logged)})),
	})
	if err != nil {
		return err
	}
	server := notes.NewServer(auth)
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	serving, stop := context.WithCancel(ctx)
	wait := demo.Serve(serving, slog.Default(), demo.Site{Listener: listener, Handler: mux})
	defer wait()
	defer stop()

	c := client{resource: resource, key: key}
	for _, m := range day {
		when, err := time.ParseInLocation(layout, m.at, zone)
		if err != nil {
			return err
		}
		now.Store(&when)
		fmt.Fprintf(out, "%s: %s, from %s\n", m.what, when.Format("Mon 15:04 MST"), m.from)
		if err := c.ask(ctx, out, m, &logged); err != nil {
			return fmt.Errorf("%s: %w", m.what, err)
		}
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, "Done: what no argument could allow is not even listed, and no refusal tells clients to log in again.")
	return nil
}

// reasons keeps the last reason of the log, which clients are not told.
func reasons(logged *atomic.Pointer[string]) func([]string, slog.Attr) slog.Attr {
	none := "nothing"
	logged.Store(&none)
	return func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == "cause" {
			reason := a.Value.String()
			logged.Store(&reason)
		}
		return a
	}
}

// A client speaks by way of a proxy, which adds the client's address to the field.
type client struct{ resource, key string }

func (c client) ask(ctx context.Context, out io.Writer, m moment, logged *atomic.Pointer[string]) error {
	_, _, body, err := c.send(ctx, m, "tools/list", `{}`)
	if err != nil {
		return err
	}
	var list struct{ Result mcp.ListToolsResult }
	if err := json.Unmarshal(body, &list); err != nil {
		return err
	}
	var tools []string
	for _, tool := range list.Result.Tools {
		tools = append(tools, tool.Name)
	}
	slices.Sort(tools)
	fmt.Fprintf(out, "  sees              %s\n", strings.Join(tools, " "))
	if m.tools != nil && !slices.Equal(tools, m.tools) {
		return fmt.Errorf("got the tools %v, want %v", tools, m.tools)
	}
	for i, call := range calls {
		status, challenge, _, err := c.send(ctx, m, "tools/call", call.params)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "  %-17s %d %s\n", call.what, status, http.StatusText(status))
		if status != http.StatusOK {
			fmt.Fprintf(out, "  %17s log: %s\n", "", *logged.Load())
		}
		allowed := status == http.StatusOK
		if challenge != "" || !allowed && status != http.StatusForbidden || m.want != nil && allowed != m.want[i] {
			return fmt.Errorf("%s: got status %d and the challenge %q", call.what, status, challenge)
		}
	}
	return nil
}

func (c client) send(ctx context.Context, m moment, method, params string) (status int, challenge string, body []byte, err error) {
	message := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":%s}`, method, params)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.resource, bytes.NewReader([]byte(message)))
	if err != nil {
		return 0, "", nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set(keyHeader, c.key)
	if m.claimed != "" {
		req.Header.Add("X-Forwarded-For", m.claimed)
	}
	req.Header.Add("X-Forwarded-For", m.from) // by the proxy
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, res.Header.Get("WWW-Authenticate"), body, err
}
