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

	"github.com/go-mcpauth/sdk/internal/policyfile"
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
	clients  map[string]ClientLimit // of Config

	mu       sync.Mutex
	declared [targets]map[string]scopes.Rule
	order    [targets][]string
	logins   [targets]map[string][]Login
	file     *filePolicy // of LoadPolicy; nil: none
	offered  map[string]annotation
	followed Annotated
	rights   *rights // nil: nothing but the credentials counts
	serial   uint64
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
	if _, ok := t.fileRules().declared[kind][name]; ok {
		panic(fmt.Sprintf("mcpauth: %s %q has a rule in the policy file already; keep one", kind, name))
	}
	if t.declared[kind] == nil {
		t.declared[kind] = make(map[string]scopes.Rule)
	}
	t.declared[kind][name] = r
	t.order[kind] = append(t.order[kind], name)
	t.index.Store(nil)
}

// fileRules is the file that was loaded, or an empty one. The table is locked.
func (t *table) fileRules() *filePolicy {
	if t.file == nil {
		return &noFile
	}
	return t.file
}

var noFile filePolicy

// replace puts a file in the place of an earlier one, unless it clashes with what the program has declared.
func (t *table) replace(file *policyfile.File) (clashes []*policyfile.Error) {
	next := compilePolicy(file)
	t.mu.Lock()
	defer t.mu.Unlock()
	for kind, rules := range file.Rules {
		for _, r := range rules {
			if _, ok := t.declared[kindTargets[kind]][r.Name]; ok {
				clashes = append(clashes, r.Mistake(policyfile.Kind(kind), "the program has declared a rule for this name, and a file cannot change it; remove one of the two"))
			}
		}
	}
	for _, c := range file.Clients {
		if _, ok := t.clients[c.ID]; ok {
			clashes = append(clashes, &policyfile.Error{Position: c.At, Path: "clients." + policyfile.Shown(c.ID), Msg: "Config.Clients has an entry for it, and a file cannot change that; remove one of the two"})
		}
	}
	if !t.followed.isZero() && len(next.annotated) > 0 {
		clashes = append(clashes, &policyfile.Error{Position: file.Annotated.At, Path: "annotated", Msg: "the program has such rules, and a file cannot change them; remove one of the two"})
	}
	if clashes != nil {
		return clashes
	}
	oldFile, oldRights := t.file, t.rights
	t.file, t.rights = next, newRights(next.hierarchy, t.clients, next.clients)
	built, err := t.tryBuild()
	if err != nil {
		t.file, t.rights = oldFile, oldRights
		return append(clashes, &policyfile.Error{Position: policyfile.Position{Line: 1, Column: 1},
			Msg: "a rule is too long or too deep together with BaseScopes and what the program says of the same name: " + policyfile.Text(err.Error())})
	}
	t.index.Store(built)
	return nil
}

// tryBuild is build, where rules that are too long together are an error.
func (t *table) tryBuild() (x *index, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%v", v)
		}
	}()
	return t.build(), nil
}

// A declaration is a name with its rule.
type declaration struct {
	name   string
	rule   scopes.Rule
	inFile bool
}

// all are the declarations for one kind, in their order. The table is locked.
func (t *table) all(kind target) []declaration {
	file := t.fileRules()
	out := make([]declaration, 0, len(t.order[kind])+len(file.order[kind]))
	for _, name := range t.order[kind] {
		out = append(out, declaration{name: name, rule: t.declared[kind][name]})
	}
	for _, name := range file.order[kind] {
		out = append(out, declaration{name: name, rule: file.declared[kind][name], inFile: true})
	}
	return out
}

func checkName(kind target, name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	case kind == methodTarget && otherCase(name) != "":
		return errors.New("methods are compared with case: " + otherCase(name))
	case kind == methodTarget && len(name) > 1 && coversGoverned(name):
		return errors.New("operations under this name are governed by the rules of what they work on; name the other methods one by one")
	case kind == methodTarget && targetOf(Operation{Method: name}) != methodTarget:
		return errors.New("this method is governed by the rules of what it works on; use RequireTool, RequirePrompt or RequireResource")
	case strings.Contains(strings.TrimSuffix(name, "*"), "*"):
		return errors.New("an asterisk may only stand at the end")
	case kind == resourceTarget && strings.Contains(name, "{"):
		return checkTemplate(name)
	}
	return nil
}

const maxTemplate = 1 << 10 // bytes

// checkTemplate makes sure that a template can be matched at all: its expression is compiled when it is first asked.
func checkTemplate(text string) (err error) {
	if len(text) > maxTemplate {
		return fmt.Errorf("the template is longer than %d bytes", maxTemplate)
	}
	if strings.HasSuffix(text, "*") {
		return errors.New("a template has no asterisk at its end, which would stand for itself; write {+rest}")
	}
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the template cannot be matched: %v", v)
		}
	}()
	t, err := uritemplate.New(text)
	if err != nil {
		return fmt.Errorf("this is no URI template (RFC 6570): %w", err)
	}
	t.Regexp()
	return nil
}

// otherCase is the open method that a name, or what a pattern begins with, differs from in case only; or empty.
func otherCase(name string) string {
	beginning, isPattern := strings.CutSuffix(name, "*")
	found := ""
	for method := range open {
		start := method
		if isPattern {
			start = method[:min(len(beginning), len(method))]
		}
		if start == beginning {
			return ""
		}
		if strings.EqualFold(start, beginning) && (found == "" || method < found) {
			found = method
		}
	}
	return found
}

// coversGoverned reports whether a pattern seems to tighten operations that have rules of their own,
// which it cannot reach.
func coversGoverned(name string) bool {
	prefix, ok := strings.CutSuffix(name, "*")
	return ok && slices.ContainsFunc([]string{
		"tools/call", "prompts/get", "resources/read", "resources/subscribe", "resources/unsubscribe", methodComplete,
	}, func(method string) bool { return strings.HasPrefix(method, prefix) })
}
