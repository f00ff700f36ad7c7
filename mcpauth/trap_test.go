package mcpauth_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A trap is one thing that a server offers. Its title and its output are texts that stand nowhere
// else, so that an answer that holds one of them has it from here.
type trap struct {
	op            mcpauth.Operation // that runs it
	listed        bool
	title, output string
}

// traps offer everything that a server can, and note who gets to run what.
type traps struct {
	auth   *mcpauth.Middleware
	server *mcp.Server
	all    []*trap

	mu       sync.Mutex
	runs     map[string]int // by Operation.String
	breaches []string       // what ran although Check refuses it
}

// trapNames are the rules that each kind of thing comes with.
var trapNames = []struct {
	name string
	rule scopes.Rule // zero: none is declared
}{
	{"open", scopes.Authenticated()},
	{"scoped", scopes.All("files:write")},
	{"roled", scopes.Role("admin")},
	{"forgotten", scopes.Rule{}},
	{"admin_all", scopes.Rule{}}, // covered by a pattern
}

// newTraps has one tool, prompt, resource, template and custom method for each of trapNames.
func newTraps(t testing.TB, auth *mcpauth.Middleware) *traps {
	t.Helper()
	tr := &traps{auth: auth, runs: make(map[string]int)}
	tr.server = mcp.NewServer(&mcp.Implementation{Name: "traps", Version: "1"}, &mcp.ServerOptions{
		CompletionHandler: func(ctx context.Context, r *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			name := r.Params.Ref.Name
			if r.Params.Ref.Type == "ref/resource" {
				name = r.Params.Ref.URI
			}
			out := tr.sprung(ctx, "completion/complete", name)
			return &mcp.CompleteResult{Completion: mcp.CompletionResultDetails{Values: []string{out}}}, nil
		},
		SubscribeHandler: func(ctx context.Context, r *mcp.SubscribeRequest) error {
			tr.sprung(ctx, "resources/subscribe", r.Params.URI)
			return nil
		},
		UnsubscribeHandler: func(ctx context.Context, r *mcp.UnsubscribeRequest) error {
			if ctx.Err() == nil { // not at the end of a subscriptions/listen
				tr.sprung(ctx, "resources/unsubscribe", r.Params.URI)
			}
			return nil
		},
		InitializedHandler: func(ctx context.Context, _ *mcp.InitializedRequest) { tr.sprung(ctx, "notifications/initialized", "") },
		//lint:ignore SA1019 clients may still send it
		RootsListChangedHandler: func(ctx context.Context, _ *mcp.RootsListChangedRequest) {
			tr.sprung(ctx, "notifications/roots/list_changed", "")
		},
		ProgressNotificationHandler: func(ctx context.Context, _ *mcp.ProgressNotificationServerRequest) {
			tr.sprung(ctx, "notifications/progress", "")
		},
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.TTLMs = 24 * 3600 * 1000 },
	})
	auth.Protect(tr.server)
	for _, n := range trapNames {
		tr.addTool(n.name)
		tr.addPrompt(n.name)
		tr.addResource("doc://"+n.name, false)
		tr.addResource(n.name+"://{id}", true)
		tr.addCustom(t, "vendor/"+n.name)
		if !n.rule.IsZero() {
			auth.RequireTool(n.name, n.rule)
			auth.RequirePrompt(n.name, n.rule)
			auth.RequireResource("doc://"+n.name, n.rule)
			auth.RequireResource(n.name+"://{id}", n.rule)
			auth.RequireMethod("vendor/"+n.name, n.rule)
		}
	}
	auth.RequireTool("admin_*", scopes.Role("admin"))
	auth.RequirePrompt("admin_*", scopes.Role("admin"))
	auth.RequireResource("doc://admin_*", scopes.Role("admin"))
	auth.RequireResource("admin_*", scopes.Role("admin"))
	auth.RequireMethod("vendor/admin_*", scopes.Role("admin"))
	return tr
}

func (tr *traps) add(method, name string, listed bool) *trap {
	x := &trap{op: mcpauth.Operation{Method: method, Name: name}, listed: listed, title: "title-" + rand.Text(), output: "output-" + rand.Text()}
	tr.all = append(tr.all, x)
	return x
}

func (tr *traps) addTool(name string) {
	x := tr.add("tools/call", name, true)
	tr.server.AddTool(&mcp.Tool{Name: name, Description: x.title, InputSchema: map[string]any{"type": "object"}},
		func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			tr.sprung(ctx, "tools/call", r.Params.Name)
			return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: x.output}}}, nil
		})
}

func (tr *traps) addPrompt(name string) {
	x := tr.add("prompts/get", name, true)
	tr.server.AddPrompt(&mcp.Prompt{Name: name, Description: x.title}, func(ctx context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		tr.sprung(ctx, "prompts/get", r.Params.Name)
		return &mcp.GetPromptResult{Description: x.output, Messages: []*mcp.PromptMessage{}}, nil
	})
}

func (tr *traps) addResource(uri string, template bool) {
	x := tr.add("resources/read", uri, true)
	read := func(ctx context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		tr.sprung(ctx, "resources/read", r.Params.URI)
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: x.output}}}, nil
	}
	if template {
		tr.server.AddResourceTemplate(&mcp.ResourceTemplate{Name: x.title, URITemplate: uri}, read)
		return
	}
	tr.server.AddResource(&mcp.Resource{Name: x.title, URI: uri}, read)
}

type trapResult struct {
	mcp.ResultBase
	Text string `json:"text"`
}

func (tr *traps) addCustom(t testing.TB, method string) {
	x := tr.add(method, "", false)
	require.NoError(t, mcp.AddReceivingCustomMethod(tr.server, method, func(ctx context.Context, _ *mcp.ServerSession, _ *vendorParams) (*trapResult, error) {
		tr.sprung(ctx, method, "")
		return &trapResult{Text: x.output}, nil
	}))
}

// sprung notes that something runs, and whether Check allows it to its caller. It returns the output
// of the trap that has this name, if there is one.
func (tr *traps) sprung(ctx context.Context, method, name string) string {
	op := mcpauth.Operation{Method: method, Name: name}
	p, _ := mcpauth.FromContext(ctx)
	err := tr.auth.Check(ctx, &mcpauth.Call{Principal: p, Operation: op})
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.runs[op.String()]++
	if err != nil {
		tr.breaches = append(tr.breaches, fmt.Sprintf("%s ran for %v: %v", op, p, err))
	}
	for _, x := range tr.all {
		if name != "" && x.op.Name == name {
			return x.output
		}
	}
	return ""
}

func (tr *traps) ran(op string) int {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.runs[op]
}

func (tr *traps) broken() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.breaches
}
