package doctor

import (
	"net/url"
	"strings"
)

// A form is a place where a client looks for the metadata of a resource.
type form string

const (
	fromHeader form = "header" // resource_metadata of the challenge
	fromPath   form = "path"   // the well-known part inserted before the path
	fromRoot   form = "root"   // the well-known part alone
)

// A match is how a client compares resource with the URL that was typed.
type match int

const (
	unknownMatch match = iota
	exactMatch         // byte for byte
	parentMatch        // same origin, and a path that is the same or above
)

// A client is what is known of one, as of November 2026: from its source, its documentation and public threads. Versions differ. A row is
// a case to serve, not a promise; what is not known is left at zero and never makes anyone stumble.
type client struct {
	name        string
	forms       []form // in the order in which it asks
	needsHeader bool   // without resource_metadata in the challenge it does not begin
	pattern     bool   // reads challenges with regular expressions, and only if the field begins with Bearer
	grammar     bool   // reads challenges by their grammar, and gives up at one that is malformed
	match       match
	allScopes   bool // asks for all of scopes_supported
	stepsUp     bool // asks for more after a 403 with insufficient_scope
	page        bool // runs in a browser
	dpop        bool
	movingPort  bool // redirects to a loopback port that may change
	methods     bool // needs 401 on GET and DELETE, too, or begins with one of them
	discover    bool // may begin with server/discover
}

// clients is the doctor's knowledge.
var clients = []client{
	{name: "Go SDK", forms: []form{fromHeader, fromPath, fromRoot}, grammar: true, match: exactMatch, stepsUp: true},
	{name: "TypeScript SDK", forms: []form{fromHeader, fromPath, fromRoot}, pattern: true, match: parentMatch, stepsUp: true, dpop: true},
	{name: "MCP Inspector", forms: []form{fromHeader, fromPath, fromRoot}, pattern: true, match: parentMatch, stepsUp: true, page: true},
	{name: "mcp-remote", forms: []form{fromHeader, fromPath, fromRoot}, pattern: true, match: parentMatch, stepsUp: true, movingPort: true, methods: true},
	{name: "VS Code", forms: []form{fromHeader, fromPath, fromRoot}, grammar: true, match: exactMatch, allScopes: true, stepsUp: true, movingPort: true},
	{name: "Claude Code", forms: []form{fromHeader, fromRoot}, pattern: true, match: parentMatch, movingPort: true, discover: true},
	{name: "Claude Desktop", forms: []form{fromHeader, fromPath}, needsHeader: true, match: exactMatch, methods: true},
	{name: "ChatGPT", forms: []form{fromRoot}},
	{name: "Cursor", forms: []form{fromPath}, allScopes: true},
	{name: "Codex", forms: []form{fromPath}},
	{name: "Grok", forms: []form{fromPath}, match: exactMatch},
}

// KnownClients returns the names of the clients that are judged for.
func KnownClients() []string { return who(func(client) bool { return true }) }

// who names the clients that something holds for.
func who(holds func(client) bool) (names []string) {
	for _, c := range clients {
		if holds(c) {
			names = append(names, c.name)
		}
	}
	return names
}

// asks reports whether the client looks in any of these places.
func (c client) asks(found map[form]bool) bool {
	for _, f := range c.forms {
		if found[f] {
			return true
		}
	}
	return false
}

// accepts reports whether the client takes a document about resource for one about the URL typed.
func (c client) accepts(resource, typed string) bool {
	switch c.match {
	case exactMatch:
		return resource == typed
	case parentMatch:
		r, err := url.Parse(resource)
		t, err2 := url.Parse(typed)
		if err != nil || err2 != nil || r.Scheme != t.Scheme || !strings.EqualFold(r.Host, t.Host) {
			return false
		}
		// As the TypeScript SDK does it: slashes at the end are completed on both sides, but a longer path never fits.
		if len(t.Path) < len(r.Path) {
			return false
		}
		slash := func(p string) string { return strings.TrimSuffix(p, "/") + "/" }
		return strings.HasPrefix(slash(t.Path), slash(r.Path))
	}
	return true
}
