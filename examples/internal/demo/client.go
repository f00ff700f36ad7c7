// Package demo is what examples share that play the client of their own server: a client that prints what it sends and gets and
// stops at the first answer that is not as announced, a login, and the command line around it.
package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const (
	revision  = "2025-11-25"
	maxAnswer = 1 << 20
)

// A Client calls the MCP server at Resource and prints each exchange. Credentials are printed as their length. Use it from one
// goroutine.
type Client struct {
	Out      io.Writer
	Resource string
	Log      *Log // of that server, if it runs in the same process; nil: not printed, and no reason can be wanted

	step  int
	shown map[string]int // challenges, and the step that printed them
}

// Credentials are added to a request with this body. Nil: none.
type Credentials func(r *http.Request, body []byte)

// Field returns credentials that are one header field. Repeated, the request holds both.
func Field(name, value string) Credentials {
	return func(r *http.Request, _ []byte) { r.Header.Add(name, value) }
}

// Bearer returns a token or a key as RFC 6750 sends it.
func Bearer(token string) Credentials { return Field("Authorization", "Bearer "+token) }

// Want is the answer that a step is about. The zero value is success.
type Want struct {
	Status    int            // zero: 200
	Reason    mcpauth.Reason // what the server tells its operator; zero: not compared
	Challenge string         // a part of WWW-Authenticate; empty: there must be no such field
	Text      string         // a part of the result
	Not       string         // what must be nowhere in the answer
}

// Step begins a step and prints its title.
func (c *Client) Step(title string) {
	c.step++
	fmt.Fprintf(c.Out, "\n%d. %s\n", c.step, title)
}

// Done ends the demonstration.
func (c *Client) Done(what string) { fmt.Fprintf(c.Out, "\nDone: %s\n", what) }

// Note prints a line within a step.
func (c *Client) Note(format string, args ...any) {
	fmt.Fprintf(c.Out, "   %s\n", fmt.Sprintf(format, args...))
}

// Call calls a tool.
func (c *Client) Call(ctx context.Context, who Credentials, tool string, arguments map[string]any, want Want) error {
	if arguments == nil {
		arguments = map[string]any{}
	}
	var result struct {
		IsError bool                    `json:"isError"`
		Content []struct{ Text string } `json:"content"`
	}
	ok, err := c.send(ctx, who, "tools/call", tool, map[string]any{"name": tool, "arguments": arguments}, want, &result)
	if err != nil || !ok {
		return err
	}
	var text string
	for _, part := range result.Content {
		text += part.Text
	}
	c.Note("< %s", text)
	if result.IsError || !strings.Contains(text, want.Text) {
		return fmt.Errorf("%s answers %q, want %q", tool, text, want.Text)
	}
	return nil
}

// List lists the tools, of which there must be exactly these, in alphabetical order.
func (c *Client) List(ctx context.Context, who Credentials, want ...string) error {
	var result struct{ Tools []struct{ Name string } }
	if _, err := c.send(ctx, who, "tools/list", "", map[string]any{}, Want{}, &result); err != nil {
		return err
	}
	var names []string
	for _, t := range result.Tools {
		names = append(names, t.Name)
	}
	c.Note("< %s", strings.Join(names, ", "))
	if !slices.Equal(names, want) {
		return fmt.Errorf("the list shows %v, want %v", names, want)
	}
	return nil
}

// send makes a request and compares the answer. It reports whether there is a result, which it has stored then.
func (c *Client) send(ctx context.Context, who Credentials, method, name string, params any, want Want, result any) (bool, error) {
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": c.step, "method": method, "params": params})
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Resource, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	var shown string
	if who != nil {
		who(req, body)
		shown = describe(req.Header)
	}
	c.Note("> %s", strings.TrimRight(strings.TrimSpace(method+" "+name)+shown, " "))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", revision)
	res, err := (&http.Client{Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return false, err
	}
	c.Note("< %s", res.Status)
	if err := c.compare(res, answer, want); err != nil {
		return false, fmt.Errorf("%s %s: %w", method, name, err)
	}
	if res.StatusCode != http.StatusOK {
		return false, nil
	}
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		answer = lastEvent(answer)
	}
	var message struct{ Result json.RawMessage }
	if err := json.Unmarshal(answer, &message); err != nil || message.Result == nil {
		return false, fmt.Errorf("%s %s: no result in %q", method, name, answer)
	}
	return true, json.Unmarshal(message.Result, result)
}

func (c *Client) compare(res *http.Response, answer []byte, want Want) error {
	challenges := res.Header.Values("WWW-Authenticate")
	c.printChallenges(challenges)
	after := res.Header.Get("Retry-After")
	if after != "" {
		c.Note("< Retry-After: %s", after)
	}
	var reason mcpauth.Reason
	if c.Log != nil {
		reason = c.Log.Reason()
	}
	if res.StatusCode != http.StatusOK && reason != "" {
		c.Note("the server's log gives the reason %s", reason)
	}
	all := strings.Join(challenges, ", ")
	if want.Status == 0 {
		want.Status = http.StatusOK
	}
	switch {
	case res.StatusCode != want.Status:
		return fmt.Errorf("got %d, want %d: %s", res.StatusCode, want.Status, answer)
	case want.Reason != "" && reason != want.Reason:
		return fmt.Errorf("the reason is %q, want %q", reason, want.Reason)
	case want.Challenge == "" && len(challenges) > 0, !strings.Contains(all, want.Challenge):
		return fmt.Errorf("WWW-Authenticate is %q, want %q", all, want.Challenge)
	case res.StatusCode == http.StatusServiceUnavailable && after == "":
		return fmt.Errorf("503 without Retry-After")
	case want.Not != "" && bytes.Contains(answer, []byte(want.Not)):
		return fmt.Errorf("the answer holds what must not be in it")
	}
	return nil
}

// printChallenges prints what was not there before.
func (c *Client) printChallenges(lines []string) {
	for _, line := range lines {
		if step, ok := c.shown[line]; ok {
			scheme, _, _ := strings.Cut(line, " ")
			c.Note("< WWW-Authenticate: %s, as in step %d", scheme, step)
			continue
		}
		if c.shown == nil {
			c.shown = make(map[string]int)
		}
		c.shown[line] = c.step
		c.Note("< WWW-Authenticate: %s", line)
	}
}

// describe shows the credentials of a request without what they are.
func describe(h http.Header) string {
	var out string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			if scheme, rest, ok := strings.Cut(value, " "); ok && name == "Authorization" {
				out += fmt.Sprintf("   %s: %s (%d bytes)", name, scheme, len(rest))
				continue
			}
			out += fmt.Sprintf("   %s: (%d bytes)", name, len(value))
		}
	}
	return out
}

// lastEvent is the data of the last event of a stream: the answer to a call.
func lastEvent(stream []byte) []byte {
	var last []byte
	for line := range bytes.Lines(stream) {
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok && len(bytes.TrimSpace(data)) > 0 {
			last = bytes.TrimSpace(data)
		}
	}
	return last
}

// A Clock is that of a server, for Config.Now. It can be put forward, so that nobody has to wait. The zero value shows the time.
type Clock struct{ ahead atomic.Int64 }

// Now returns the time that the clock shows.
func (c *Clock) Now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// Advance puts the clock forward.
func (c *Clock) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

// A Log holds the reason of a server's last decision. The zero value is ready.
type Log struct {
	mu     sync.Mutex
	reason mcpauth.Reason
}

// OnDecision is for Config.OnDecision.
func (l *Log) OnDecision(_ context.Context, d mcpauth.Decision) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reason = d.Reason
}

// Reason is that of the last decision; empty before the first.
func (l *Log) Reason() mcpauth.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reason
}
