package mcpauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/yosida95/uritemplate/v3"

	"github.com/go-mcpauth/sdk/scopes"
)

// target is what kind of thing a rule stands for.
type target byte

const (
	methodTarget target = iota
	toolTarget
	promptTarget
	resourceTarget
	targets int = iota
)

func (t target) String() string {
	return [...]string{"method", "tool", "prompt", "resource"}[t]
}

// targetOf tells which rules govern an operation. An unknown method is governed by its own rule.
func targetOf(op Operation) target {
	if op.ref != methodTarget {
		return op.ref
	}
	switch op.Method {
	case "tools/call":
		return toolTarget
	case "prompts/get":
		return promptTarget
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		return resourceTarget
	case "subscriptions/listen":
		if op.Name != "" {
			return resourceTarget
		}
	case methodComplete:
		// Off the wire, the ref says which; see Operation.ref.
		if strings.Contains(op.Name, "://") {
			return resourceTarget
		}
		return promptTarget
	}
	return methodTarget
}

const methodComplete = "completion/complete" // governed by the prompt or resource that its ref names

// open lists the methods that every caller with the base scopes may use: they run no code of a tool,
// a prompt or a resource, and what they list is filtered. RequireMethod tightens them. Everything
// that is not here and has no rule is denied, extensions included.
var open = map[string]bool{
	"":                                 true, // the answer to a request of the server
	"GET":                              true,
	"DELETE":                           true,
	"initialize":                       true,
	"ping":                             true,
	"server/discover":                  true,
	"logging/setLevel":                 true,
	"tools/list":                       true,
	"prompts/list":                     true,
	"resources/list":                   true,
	"resources/templates/list":         true,
	"subscriptions/listen":             true,
	"notifications/initialized":        true,
	"notifications/cancelled":          true,
	"notifications/progress":           true,
	"notifications/roots/list_changed": true,
}

// A table holds the declared rules. Declaring is cheap and happens at start; deciding happens all the
// time and reads an immutable index without a lock.
type table struct {
	base     []string
	unlisted scopes.Rule

	mu       sync.Mutex
	declared [targets]map[string]scopes.Rule
	order    [targets][]string
	index    atomic.Pointer[index]
}

// declare adds a rule, or panics: a mistake here is one in the source code of the server.
func (t *table) declare(kind target, name string, r scopes.Rule) {
	if err := checkName(kind, name); err != nil {
		panic(fmt.Sprintf("mcpauth: %s %q: %v", kind, name, err))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.declared[kind][name]; ok {
		if !old.Equal(r) {
			panic(fmt.Sprintf("mcpauth: %s %q is declared twice, with %q and with %q; keep one", kind, name, old, r))
		}
		return
	}
	if t.declared[kind] == nil {
		t.declared[kind] = make(map[string]scopes.Rule)
	}
	t.declared[kind][name] = r
	t.order[kind] = append(t.order[kind], name)
	t.index.Store(nil)
}

func checkName(kind target, name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	case kind == methodTarget && targetOf(Operation{Method: name}) != methodTarget:
		return errors.New("this method is governed by the rules of what it works on; use RequireTool, RequirePrompt or RequireResource")
	case strings.Contains(strings.TrimSuffix(name, "*"), "*"):
		return errors.New("an asterisk may only stand at the end")
	case kind == resourceTarget && strings.Contains(name, "{"):
		_, err := uritemplate.New(name)
		return err
	}
	return nil
}

// An index answers lookups. Every rule in it has the base scopes worked in.
type index struct {
	exact     [targets]map[string]scopes.Rule
	prefixes  [targets]prefixes
	templates []template
	unlisted  scopes.Rule
	everyone  scopes.Rule         // the rule of an open method that was not tightened
	known     map[string]struct{} // every scope that some rule names
}

type template struct {
	text string
	*uritemplate.Template
	rule scopes.Rule
}

// prefixes finds the longest of many prefixes by their lengths, of which there are few.
type prefixes struct {
	lengths []int // longest first
	rules   map[string]scopes.Rule
}

func (p *prefixes) find(name string) (scopes.Rule, bool) {
	for _, n := range p.lengths {
		if n <= len(name) {
			if r, ok := p.rules[name[:n]]; ok {
				return r, true
			}
		}
	}
	return scopes.Rule{}, false
}

func (t *table) load() *index {
	if x := t.index.Load(); x != nil {
		return x
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if x := t.index.Load(); x != nil {
		return x
	}
	x := t.build()
	t.index.Store(x)
	return x
}

func (t *table) build() *index {
	x := &index{known: make(map[string]struct{}), everyone: scopes.Authenticated()}
	if len(t.base) > 0 {
		x.everyone = scopes.And(scopes.Authenticated(), scopes.All(t.base...))
	}
	withBase := func(r scopes.Rule) scopes.Rule {
		for _, s := range r.Scopes() {
			x.known[s] = struct{}{}
		}
		if len(t.base) == 0 {
			return r
		}
		return scopes.And(scopes.All(t.base...), r) // of a zero rule: the zero rule
	}
	for _, s := range t.base {
		x.known[s] = struct{}{}
	}
	x.unlisted = withBase(t.unlisted)
	for kind := range t.declared {
		x.exact[kind] = make(map[string]scopes.Rule, len(t.declared[kind]))
		p := &x.prefixes[kind]
		p.rules = make(map[string]scopes.Rule)
		for _, name := range t.order[kind] {
			rule := withBase(t.declared[kind][name])
			prefix, isPrefix := strings.CutSuffix(name, "*")
			switch {
			case target(kind) == resourceTarget && strings.Contains(name, "{"):
				// The template itself is the name that completion/complete and the list of templates use.
				x.exact[kind][name] = rule
				x.templates = append(x.templates, template{name, uritemplate.MustNew(name), rule})
			case isPrefix:
				p.rules[prefix] = rule
				p.lengths = append(p.lengths, len(prefix))
			default:
				x.exact[kind][name] = rule
			}
		}
		slices.Sort(p.lengths)
		slices.Reverse(p.lengths)
		p.lengths = slices.Compact(p.lengths)
	}
	return x
}

// find returns the rule of an operation. Without one, reason says how it is to be refused, and the
// rule is zero.
func (x *index) find(op Operation) (rule scopes.Rule, reason Reason) {
	kind := targetOf(op)
	if kind == methodTarget {
		if r, ok := x.exact[kind][op.Method]; ok {
			return r, ""
		}
		if r, ok := x.prefixes[kind].find(op.Method); ok {
			return r, ""
		}
		if open[op.Method] {
			return x.everyone, ""
		}
		return scopes.Rule{}, ReasonNoRule
	}
	if r, ok := x.exact[kind][op.Name]; ok {
		return r, ""
	}
	if kind == resourceTarget {
		// A pattern names a place in a hierarchy, and dot segments lead out of it (RFC 3986,
		// Section 5.2.4). Not even Unlisted may judge such a name.
		if hasDotSegments(op.Name) {
			return scopes.Rule{}, ReasonUnsafeURI
		}
		// Which of several matching templates the handler would choose is its own business, so all
		// of their rules must be met.
		var matched []scopes.Rule
		for _, t := range x.templates {
			if t.Regexp().MatchString(op.Name) {
				matched = append(matched, t.rule)
			}
		}
		if len(matched) > 0 {
			return scopes.And(matched...), ""
		}
	}
	if r, ok := x.prefixes[kind].find(op.Name); ok {
		return r, ""
	}
	if x.unlisted.IsZero() {
		return scopes.Rule{}, ReasonNoRule
	}
	return x.unlisted, ""
}

// matchesTemplate reports whether a declared name is a template that covers uri.
func matchesTemplate(name, uri string) bool {
	if !strings.Contains(name, "{") {
		return false
	}
	t, err := uritemplate.New(name)
	return err == nil && t.Regexp().MatchString(uri)
}

// hasDotSegments reports whether a URI holds a "." or ".." segment, plain or percent-encoded any
// number of times, with a slash or a backslash between segments: readers differ in what they undo.
func hasDotSegments(uri string) bool {
	for range 4 {
		for segment := range strings.FieldsFuncSeq(uri, func(r rune) bool {
			return strings.ContainsRune(`/\?#:;`, r)
		}) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		next := unescapePath(uri)
		if next == uri {
			return false
		}
		uri = next
	}
	return true // still escaped after four rounds: nobody writes that by chance
}

// unescapePath undoes the percent-encoding of the characters that make up dot segments, and of the
// percent sign itself.
func unescapePath(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return unescaper.Replace(s)
}

var unescaper = strings.NewReplacer(
	"%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`, "%25", "%",
)
