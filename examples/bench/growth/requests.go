package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// hundred are the tokens of each point, whatever is counted, so that the processor's caches see the same.
const hundred = 100

const ada = "36fa0f91-0000-4000-8000-000000000001"

// twoLines are a token that was seen before, and one that is verified with each request.
func twoLines() (seen, fresh *line) {
	return &line{Name: "token seen before", Rules: []expectation{flat(2)}},
		&line{Name: "token verified each time", Rules: []expectation{flat(1.25), ceiling("at most so many checks of a signature", 1.8)}}
}

// addTokens adds a point to each of the two lines.
func addTokens(all issuers, n int, tokens []string, seen, fresh *line) error {
	remembering, err := all.protect(nil)
	if err != nil {
		return err
	}
	forgetting, err := all.protect(func(cfg *mcpauth.Config) { cfg.CachedTokens = -1 })
	if err != nil {
		return err
	}
	seen.Points = append(seen.Points, &point{N: n, send: warm(newDriver(remembering.Wrap(nothing), "", inTurn("Authorization", tokens)).send, len(tokens))})
	fresh.Points = append(fresh.Points, &point{N: n, send: newDriver(forgetting.Wrap(nothing), "", inTurn("Authorization", tokens)).send})
	return nil
}

// warm sends so many requests beforehand.
func warm(send func(), calls int) func() {
	for range calls {
		send()
	}
	return send
}

func issuersPlot(settings) (*plot, error) {
	seen, fresh := twoLines()
	for _, n := range []int{1, 10, 100} {
		all, err := newIssuers(n, 1)
		if err != nil {
			return nil, err
		}
		var tokens []string
		for i := range hundred {
			tokens = append(tokens, all[i%n].token(0, i, ada))
		}
		if err := addTokens(all, n, tokens, seen, fresh); err != nil {
			return nil, err
		}
	}
	return &plot{Title: "Issuers whose tokens a server accepts", X: "issuers", Lines: []*line{seen, fresh}}, nil
}

func keysPlot(settings) (*plot, error) {
	seen, fresh := twoLines()
	for _, n := range []int{3, 30, 300, 1000} {
		all, err := newIssuers(1, n)
		if err != nil {
			return nil, err
		}
		var tokens []string
		for i := range hundred {
			tokens = append(tokens, all[0].token(i*n/hundred, i, ada)) // from one end of the set to the other
		}
		if err := addTokens(all, n, tokens, seen, fresh); err != nil {
			return nil, err
		}
	}
	return &plot{Title: "Keys in an issuer's key set", X: "keys", Lines: []*line{seen, fresh}}, nil
}

// request is the body of one JSON-RPC request.
func request(method, params string) string {
	return `{"jsonrpc":"2.0","id":17,"method":"` + method + `","params":` + params + `}`
}

// rulesPlot has a table of which 70 % name one tool, 20 % are patterns of tools, in twenty lengths, and 10 % patterns of
// resources. Templates have a table by themselves.
func rulesPlot(s settings) (*plot, error) {
	exact := &line{Name: "tool with a rule of its own", Rules: []expectation{flat(2)}}
	pattern := &line{Name: "tool under a pattern", Rules: []expectation{flat(2)}}
	resources := &line{Name: "resource under a pattern", Rules: []expectation{flat(2)}}
	template := &line{Name: "resource under one of as many templates", Rules: []expectation{flat(2)}}
	all, err := newIssuers(1, 1)
	if err != nil {
		return nil, err
	}
	tokens := []string{all[0].token(0, 1, ada)}
	add := func(m *mcpauth.Middleware, l *line, n int, body string) {
		d := newDriver(m.Wrap(nothing), body, inTurn("Authorization", tokens))
		l.Points = append(l.Points, &point{N: n, send: warm(d.send, 2)})
	}
	rule := scopes.And(scopes.All("notes:read"), scopes.Authenticated())
	for _, n := range s.sizes(1000, 10, 100, 1000, 10_000) {
		m, err := all.protect(nil)
		if err != nil {
			return nil, err
		}
		area := func(i int) string { return fmt.Sprintf("area_%s%05d_", strings.Repeat("x", i%20), i) }
		tools, areas, folders := n*7/10, n/5, n/10
		for i := range tools {
			m.RequireTool(fmt.Sprintf("tool_%05d_of_usual_length", i), rule)
		}
		for i := range areas {
			m.RequireTool(area(i)+"*", rule)
		}
		for i := range folders {
			m.RequireResource(fmt.Sprintf("file:///folder/%05d/*", i), rule)
		}
		templates, err := all.protect(nil)
		if err != nil {
			return nil, err
		}
		for i := range n {
			templates.RequireResource(fmt.Sprintf("notes://book%05d/{page}", i), rule)
		}
		add(m, exact, n, request("tools/call", fmt.Sprintf(`{"name":"tool_%05d_of_usual_length","arguments":{}}`, tools/2)))
		add(m, pattern, n, request("tools/call", fmt.Sprintf(`{"name":"%swrite","arguments":{}}`, area(areas/2))))
		add(m, resources, n, request("resources/read", fmt.Sprintf(`{"uri":"file:///folder/%05d/notes.txt"}`, folders/2)))
		add(templates, template, n, request("resources/read", fmt.Sprintf(`{"uri":"notes://book%05d/12"}`, n/2)))
	}
	return &plot{Title: "Rules that a server has declared", X: "rules", Lines: []*line{exact, pattern, resources, template}}, nil
}

// sdkHandler is what is protected, with JSON answers and without sessions.
func sdkHandler(server *mcp.Server) http.Handler {
	return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true})
}

// toolsPlot lists tools that the caller may all see, so that both answers are the same.
func toolsPlot(settings) (*plot, error) {
	alone := &line{Name: "the SDK’s handler alone"}
	behind := &line{Name: "the same behind mcpauth", Rules: []expectation{share(alone, 1.3), linear(1.5)}}
	all, err := newIssuers(1, 1)
	if err != nil {
		return nil, err
	}
	tokens, body := []string{all[0].token(0, 1, ada)}, request("tools/list", "{}")
	for _, n := range []int{10, 100, 1000} {
		m, err := all.protect(nil)
		if err != nil {
			return nil, err
		}
		open, guarded := newServer(), newServer()
		m.Protect(guarded)
		for i := range n {
			tool := &mcp.Tool{Name: fmt.Sprintf("tool_%05d_of_usual_length", i), Description: "Writes a note into the book of the caller.", InputSchema: anyObject}
			open.AddTool(tool, done)
			guarded.AddTool(tool, done)
			m.RequireTool(tool.Name, scopes.All("notes:read"))
		}
		alone.Points = append(alone.Points, &point{N: n, send: warm(newDriver(sdkHandler(open), body, nil).send, 2)})
		behind.Points = append(behind.Points, &point{N: n, send: warm(newDriver(m.Wrap(sdkHandler(guarded)), body, inTurn("Authorization", tokens)).send, 2)})
	}
	return &plot{Title: "Tools in the answer to tools/list", X: "tools", Lines: []*line{alone, behind}}, nil
}

var anyObject = json.RawMessage(`{"type":"object"}`)

func newServer() *mcp.Server {
	return mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
}

func done(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ok"}}}, nil
}

// bodyPlot sends calls whose arguments are one long text with escapes. What mcpauth adds is a call less the same request
// without a body.
func bodyPlot(s settings) (*plot, error) {
	sdk := &line{Name: "the SDK’s handler alone"}
	added := &line{Name: "what mcpauth adds for the body", Rules: []expectation{linear(2)}}
	all, err := newIssuers(1, 1)
	if err != nil {
		return nil, err
	}
	m, err := all.protect(nil)
	if err != nil {
		return nil, err
	}
	m.RequireTool("write_note", scopes.All("notes:write"))
	server := newServer()
	server.AddTool(&mcp.Tool{Name: "write_note", InputSchema: anyObject}, done)
	tokens, h := []string{all[0].token(0, 1, ada)}, m.Wrap(nothing)
	// The targets are 1, 2 and 5 % in a process with a small heap, where the SDK’s handler costs up to twice as much.
	bounds := map[int]float64{1 << 10: 0.02, 100 << 10: 0.04, 4<<20 - 1<<10: 0.05}
	for _, n := range s.sizes(1<<20, 1<<10, 10<<10, 100<<10, 1<<20, 4<<20-1<<10) {
		body := note(n)
		if bounds[n] != 0 {
			added.Rules = append(added.Rules, shareAt(sdk, n, bounds[n]))
		}
		sdk.Points = append(sdk.Points, &point{N: n, send: warm(newDriver(sdkHandler(server), body, nil).send, 2)})
		added.Points = append(added.Points, &point{
			N: n, send: warm(newDriver(h, body, inTurn("Authorization", tokens)).send, 2), less: newDriver(h, "", inTurn("Authorization", tokens)).send,
		})
	}
	return &plot{Title: "Size of the body of a tools/call", X: "size of the body", Lines: []*line{sdk, added}, bytes: true}, nil
}

// note is a call of n bytes.
func note(n int) string {
	const line = `All work and no play makes a dull day, as the saying goes; \"quoted\" text has escapes.\n`
	head, tail, _ := strings.Cut(request("tools/call", `{"name":"write_note","arguments":{"path":"a.md","text":"@"}}`), "@")
	n -= len(head) + len(tail)
	return head + strings.Repeat(line, n/len(line)) + strings.Repeat("x", n%len(line)) + tail
}
