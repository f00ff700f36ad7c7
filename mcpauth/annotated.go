package mcpauth

import (
	"context"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/scopes"
)

// Annotated are rules for tools that have none of their own, by what the server says about them: its tool
// annotations. They are as good as whoever wrote those. The zero Rule opens nothing.
type Annotated struct {
	ReadOnly    scopes.Rule // tools with readOnlyHint
	Destructive scopes.Rule // tools that may destroy something, which the specification supposes of all that do not say otherwise
	Other       scopes.Rule // tools that write, with a destructiveHint that is false
}

// RequireAnnotated has rules follow the annotations of the tools that a server offers now. Call it again for what the
// server offers later: a tool that has said different things gets the strictest rule of them. A name or pattern of
// [Middleware.RequireTool] comes first. With the zero Annotated, the rules are those of the policy file.
//
// It is an error if the server cannot be listed, or was not given to [Middleware.Protect]. It panics if other rules were
// given before, or if the policy file has some as well.
func (m *Middleware) RequireAnnotated(ctx context.Context, server *mcp.Server, rules Annotated) error {
	offered, err := m.offered(ctx, server)
	if err != nil {
		return err
	}
	m.rules.follow(offered[toolTarget], rules)
	return nil
}

// An annotation is what a tool says about itself.
type annotation byte

const (
	destructive annotation = iota // unless it says otherwise
	other
	readOnly
)

func annotationOf(t *mcp.Tool) annotation {
	switch a := t.Annotations; {
	case a == nil:
		return destructive
	case a.ReadOnlyHint:
		return readOnly
	case a.DestructiveHint != nil && !*a.DestructiveHint:
		return other
	}
	return destructive
}

func (t *table) follow(tools []offer, rules Annotated) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case rules.isZero():
	case !t.followed.isZero() && !t.followed.equal(rules):
		panic("mcpauth: RequireAnnotated: other rules were given before; keep one set")
	case len(t.fileRules().annotated) > 0:
		panic("mcpauth: RequireAnnotated: the policy file has such rules already; keep one set")
	default:
		t.followed = rules
	}
	if t.offered == nil {
		t.offered = make(map[string]annotation)
	}
	for _, tool := range tools {
		says := tool.says
		if old, ok := t.offered[tool.Name]; ok {
			says = min(says, old) // several servers may have a tool of this name: the strictest counts
		}
		t.offered[tool.Name] = says
	}
	t.index.Store(nil)
}

func (a Annotated) isZero() bool {
	return a.ReadOnly.IsZero() && a.Destructive.IsZero() && a.Other.IsZero()
}

func (a Annotated) equal(b Annotated) bool {
	return a.ReadOnly.Equal(b.ReadOnly) && a.Destructive.Equal(b.Destructive) && a.Other.Equal(b.Other)
}

// annotatedRule is the rule for tools that say so, of the program or else of the file, in which "never" is one. The table is
// locked.
func (t *table) annotatedRule(says annotation) (rule scopes.Rule, ok bool) {
	if t.followed.isZero() {
		rule, ok = t.fileRules().annotated[says]
		return rule, ok
	}
	rule = t.followed.of(says)
	return rule, !rule.IsZero()
}

func (a Annotated) of(says annotation) scopes.Rule {
	switch says {
	case readOnly:
		return a.ReadOnly
	case other:
		return a.Other
	}
	return a.Destructive
}
