package mcpauth

import (
	"maps"
	"slices"

	"github.com/go-mcpauth/sdk/scopes"
)

// RequireTool declares what a caller needs in order to call a tool. The name may end in an asterisk:
// "admin_*" stands for every tool whose name begins so, and "*" for every tool. An exact name wins
// over a prefix, a longer prefix over a shorter one. The zero Rule lets nobody in.
//
// Rules may be declared at any time; requests see them from then on. RequireTool panics when the name
// is malformed or already declared with another rule.
func (m *Middleware) RequireTool(name string, r scopes.Rule) {
	m.rules.declare(toolTarget, name, r)
}

// RequireTools declares many tools; see [Middleware.RequireTool].
func (m *Middleware) RequireTools(rules map[string]scopes.Rule) {
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		m.RequireTool(name, rules[name])
	}
}

// RequirePrompt declares what a caller needs in order to get a prompt and completions for its
// arguments; otherwise as [Middleware.RequireTool].
func (m *Middleware) RequirePrompt(name string, r scopes.Rule) {
	m.rules.declare(promptTarget, name, r)
}

// RequireResource declares what a caller needs in order to read a resource or subscribe to it. The
// URI is exact, a prefix that ends in an asterisk, or a template (RFC 6570) such as
// "notes://{user}/{id}". An exact URI wins over a template and a template over a prefix; where
// several templates match, all of their rules must be met, since the server behind may choose any.
// No pattern matches a URI with dot segments. Otherwise as [Middleware.RequireTool].
func (m *Middleware) RequireResource(uri string, r scopes.Rule) {
	m.rules.declare(resourceTarget, uri, r)
}

// RequireMethod declares what a caller needs for a JSON-RPC method as such: it tightens a standard
// method like "tools/list" and opens a custom or extension method, which is denied without a rule.
// "GET" and "DELETE" stand for those HTTP requests, and a name may end in an asterisk, as in
// [Middleware.RequireTool]; an asterisk alone is every method, and no tool, prompt or resource. It panics
// for a method whose operations have rules of their own, such as "tools/call".
func (m *Middleware) RequireMethod(method string, r scopes.Rule) {
	m.rules.declare(methodTarget, method, r)
}
