// Package notes is the MCP server of the examples: a notebook in memory, with a tool for any caller,
// one that reads, one that writes and one for administrators, and the notes as a resource and a prompt.
package notes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// The scopes and the role that the tools ask for. Writing does not imply reading here.
const (
	ScopeRead  = "notes:read"
	ScopeWrite = "notes:write"
	RoleAdmin  = "admin"
)

const (
	maxNotes = 1000
	maxText  = 10_000
)

// A Notebook keeps the notes of each caller.
type Notebook struct {
	mu    sync.Mutex
	notes map[owner][]string
}

// An owner is a person, whichever application acts for it. A subject alone would not do: two issuers
// may use the same one.
type owner struct{ issuer, subject string }

func ownerOf(ctx context.Context) owner {
	caller, _ := mcpauth.FromContext(ctx)
	return owner{caller.Issuer(), caller.Subject()}
}

type (
	none      struct{}
	writeNote struct {
		Text string `json:"text" jsonschema:"what to write down"`
	}
)

// NewServer returns a server whose tools are declared together with their rules.
func NewServer(auth *mcpauth.Middleware) *mcp.Server {
	book := &Notebook{notes: make(map[owner][]string)}
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Title: "Example notebook", Version: "1.0.0"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{
		Name: "whoami", Title: "Who am I", Description: "Tells who is calling, and with which scopes.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, whoami, scopes.Authenticated())
	mcpauth.AddTool(auth, server, &mcp.Tool{
		Name: "read_notes", Title: "Read notes", Description: "Reads your notes.",
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: true},
	}, book.read, scopes.All(ScopeRead))
	mcpauth.AddTool(auth, server, &mcp.Tool{
		Name: "write_note", Title: "Write a note", Description: "Writes a note.",
	}, book.write, scopes.All(ScopeWrite))
	mcpauth.AddTool(auth, server, &mcp.Tool{
		Name: "purge_notes", Title: "Delete all notes", Description: "Deletes the notes of everybody.",
	}, book.purge, scopes.Role(RoleAdmin))
	mcpauth.AddResource(auth, server, &mcp.Resource{
		Name: "notes", URI: "notes://mine", MIMEType: "text/plain", Description: "Your notes, one a line.",
	}, book.resource, scopes.All(ScopeRead))
	mcpauth.AddPrompt(auth, server, &mcp.Prompt{
		Name: "tidy_notes", Description: "Asks for a tidy version of your notes.",
	}, book.prompt, scopes.All(ScopeRead))
	return server
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}

func whoami(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
	caller, ok := mcpauth.FromContext(ctx)
	if !ok {
		return nil, nil, errors.New("nobody is calling")
	}
	out, err := json.Marshal(map[string]any{
		"sub": caller.Subject(), "client_id": caller.ClientID(), "scopes": caller.Grant().Scopes(),
	})
	return text(string(out)), nil, err
}

// mine is what the caller has written down.
func (b *Notebook) mine(ctx context.Context) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := b.notes[ownerOf(ctx)]
	if len(mine) == 0 {
		return "You have no notes yet."
	}
	return strings.Join(mine, "\n")
}

func (b *Notebook) read(ctx context.Context, _ *mcp.CallToolRequest, _ none) (*mcp.CallToolResult, any, error) {
	return text(b.mine(ctx)), nil, nil
}

func (b *Notebook) resource(ctx context.Context, req *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: req.Params.URI, Text: b.mine(ctx)}}}, nil
}

func (b *Notebook) prompt(ctx context.Context, _ *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
	return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{{
		Role: "user", Content: &mcp.TextContent{Text: "Tidy up these notes:\n" + b.mine(ctx)},
	}}}, nil
}

func (b *Notebook) write(ctx context.Context, _ *mcp.CallToolRequest, in writeNote) (*mcp.CallToolResult, any, error) {
	if in.Text == "" || len(in.Text) > maxText {
		return nil, nil, fmt.Errorf("a note has 1 to %d bytes", maxText)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	mine := ownerOf(ctx)
	if len(b.notes[mine]) == maxNotes {
		return nil, nil, errors.New("your notebook is full")
	}
	b.notes[mine] = append(b.notes[mine], in.Text)
	return text("Noted."), nil, nil
}

func (b *Notebook) purge(context.Context, *mcp.CallToolRequest, none) (*mcp.CallToolResult, any, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.notes)
	return text("All notes are gone."), nil, nil
}
