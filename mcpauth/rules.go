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
func (t *table) replace(m *Middleware, file *policyfile.File) (clashes []*policyfile.Error) {
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
	if !t.followed.isZero() && !next.annotated.isZero() {
		clashes = append(clashes, &policyfile.Error{Position: file.Annotated.At, Path: "annotated", Msg: "the program has such rules, and a file cannot change them; remove one of the two"})
	}
	if clashes != nil {
		return clashes
	}
	file0, rights0 := t.file, t.rights
	t.file, t.rights = next, newRights(next.hierarchy, t.clients, next.clients)
	built, err := t.tryBuild()
	if err != nil {
		t.file, t.rights = file0, rights0
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

// otherCase is the open method that a name differs from in case only, or empty.
func otherCase(name string) string {
	for method := range open {
		if !open[name] && strings.EqualFold(method, name) {
			return method
		}
	}
	return ""
}

// coversGoverned reports whether a pattern seems to tighten operations that have rules of their own,
// which it cannot reach.
func coversGoverned(name string) bool {
	prefix, ok := strings.CutSuffix(name, "*")
	return ok && slices.ContainsFunc([]string{
		"tools/call", "prompts/get", "resources/read", "resources/subscribe", "resources/unsubscribe", methodComplete,
	}, func(method string) bool { return strings.HasPrefix(method, prefix) })
}

// An index answers lookups. Every rule in it has the base scopes worked in.
type index struct {
	serial    uint64 // tells it from earlier and later ones
	sets      []*ruleset
	exact     [targets]map[string]scopes.Rule // what the sets say together, of every name that one of them has
	alike     [targets]map[string]uint32      // the names in exact: those with one number ask for the same
	annotated map[string]scopes.Rule          // of tools that have no rule of their own
	followed  bool                            // it is the program that says so, and a file cannot take it back
	unlisted  scopes.Rule
	everyone  scopes.Rule         // the rule of an open method that was not tightened
	known     map[string]struct{} // every scope that some rule names
	rights    *rights
	file      *filePolicy
	logins    [targets]*logins // nil: none
}

// A ruleset is what one source of rules says: the program, or a policy file. What one says cannot be taken back by the
// other, so they are asked one by one, and where both have a rule, both must be met.
type ruleset struct {
	exact     [targets]map[string]scopes.Rule
	prefixes  [targets]prefixes
	templates []template
	spelled   map[string]scopes.Rule // exact resource rules by the other spellings of their URIs

	// Patterns in other spellings. What is normal for a whole URI is another thing for its beginning: the "?" of "list?*" is
	// no empty query. So they are what must be met besides, and open nothing by themselves.
	alsoPrefixes  prefixes
	alsoTemplates []template
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

func (p *prefixes) add(prefix string, r scopes.Rule) {
	if _, ok := p.rules[prefix]; ok {
		r = both(p.rules[prefix], r)
	}
	p.rules[prefix] = r
	p.lengths = append(p.lengths, len(prefix))
}

// both is the rule of two names that mean the same; a zero old rule stands for none.
func both(old, r scopes.Rule) scopes.Rule {
	if old.IsZero() {
		return r
	}
	return scopes.And(old, r)
}

// sort is done once everything has been added.
func (p *prefixes) sort() {
	slices.Sort(p.lengths)
	slices.Reverse(p.lengths)
	p.lengths = slices.Compact(p.lengths)
}

func (p *prefixes) find(name string) (scopes.Rule, bool) {
	r, _, ok := p.longest(name)
	return r, ok
}

func (p *prefixes) longest(name string) (rule scopes.Rule, length int, ok bool) {
	for _, n := range p.lengths {
		if n <= len(name) {
			if r, ok := p.rules[name[:n]]; ok {
				return r, n, true
			}
		}
	}
	return scopes.Rule{}, 0, false
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
	file := t.fileRules()
	t.serial++
	x := &index{serial: t.serial, rights: t.rights, file: file, known: make(map[string]struct{}), everyone: scopes.Authenticated(), annotated: make(map[string]scopes.Rule), followed: !t.followed.isZero()}
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
	for name, says := range t.offered {
		if rule := t.followed.or(file.annotated).of(says); !rule.IsZero() {
			x.annotated[name] = withBase(rule)
		}
	}
	x.sets = append(x.sets, newRuleset(t.declared, t.order, withBase))
	if t.file != nil {
		x.sets = append(x.sets, newRuleset(file.declared, file.order, withBase))
	}
	numbers := make(map[string]uint32)
	for kind := range t.declared {
		x.logins[kind] = newLogins(target(kind), t.logins[kind], file.logins[kind])
		exact := make(map[string]scopes.Rule)
		x.alike[kind] = make(map[string]uint32)
		for _, set := range x.sets {
			for name := range set.exact[kind] {
				op := Operation{Name: name, Method: name, ref: target(kind)}
				rule, _ := x.search(target(kind), op)
				exact[name] = rule
				says := rule.String()
				for _, l := range x.loginsOf(op) {
					says += "\n" + l.String()
				}
				number, ok := numbers[says]
				if !ok {
					number = uint32(len(numbers))
					numbers[says] = number
				}
				x.alike[kind][name] = number
			}
		}
		x.exact[kind] = exact
	}
	return x
}

func newRuleset(declared [targets]map[string]scopes.Rule, order [targets][]string, withBase func(scopes.Rule) scopes.Rule) *ruleset {
	set := &ruleset{spelled: make(map[string]scopes.Rule), alsoPrefixes: prefixes{rules: make(map[string]scopes.Rule)}}
	for kind := range declared {
		set.exact[kind] = make(map[string]scopes.Rule, len(declared[kind]))
		p := &set.prefixes[kind]
		p.rules = make(map[string]scopes.Rule)
		for _, name := range order[kind] {
			rule := withBase(declared[kind][name])
			prefix, isPrefix := strings.CutSuffix(name, "*")
			switch {
			case target(kind) == resourceTarget && strings.Contains(name, "{"):
				// The template itself is the name that completion/complete and the list of templates use.
				set.exact[kind][name] = rule
				set.templates = append(set.templates, template{name, uritemplate.MustNew(name), rule})
				for _, spelling := range spellings(name) {
					if checkTemplate(spelling) == nil {
						set.alsoTemplates = append(set.alsoTemplates, template{spelling, uritemplate.MustNew(spelling), rule})
					}
				}
			case isPrefix:
				p.add(prefix, rule)
				if target(kind) == resourceTarget {
					for _, spelling := range spellings(prefix) {
						set.alsoPrefixes.add(spelling, rule)
					}
				}
			default:
				set.exact[kind][name] = rule
				if target(kind) == resourceTarget {
					for _, spelling := range spellings(name) {
						set.spelled[spelling] = both(set.spelled[spelling], rule)
					}
					set.spelled[name] = both(set.spelled[name], rule)
				}
			}
		}
		p.sort()
	}
	set.alsoPrefixes.sort()
	return set
}

// find returns the rule of an operation. Without one, reason says how it is to be refused, and the
// rule is zero.
func (x *index) find(op Operation) (rule scopes.Rule, reason Reason) {
	kind := targetOf(op)
	name := op.Name
	if kind == methodTarget {
		name = op.Method
	}
	if r, ok := x.exact[kind][name]; ok {
		return r, ""
	}
	defer func() {
		if recover() != nil {
			rule, reason = scopes.Rule{}, "" // rules that are too long together, which nobody could know before: nobody meets that
		}
	}()
	return x.search(kind, op)
}

// search is find, by asking each set. It panics where the rules are longer together than a rule may be.
func (x *index) search(kind target, op Operation) (scopes.Rule, Reason) {
	name := op.Name
	if kind == methodTarget {
		name = op.Method
	}
	var room [4]scopes.Rule
	rules, found, exact := room[:0], false, false
	program := false // has a rule
	for i, set := range x.sets {
		if r, ok := set.exact[kind][name]; ok {
			rules, found, exact, program = append(rules, r), true, true, program || i == 0
		}
	}
	if kind == resourceTarget && !exact && hasDotSegments(name) {
		// A pattern names a place in a hierarchy, and dot segments lead out of it (RFC 3986,
		// Section 5.2.4). Not even Unlisted may judge such a name.
		return scopes.Rule{}, ReasonUnsafeURI
	}
	for i, set := range x.sets {
		if _, ok := set.exact[kind][name]; ok {
			continue
		}
		if kind == resourceTarget {
			r, ok, also := set.findResource(name)
			if ok {
				rules, found = append(rules, r), true
			}
			rules = append(rules, also...)
		} else if r, ok := set.prefixes[kind].find(name); ok {
			rules, found, program = append(rules, r), true, program || i == 0
		}
	}
	r, ok := x.annotated[name]
	if kind == toolTarget && ok && x.followed && found && !program {
		rules = append(rules, r)
	}
	if !found {
		switch {
		case kind == methodTarget && open[name]:
			r = x.everyone
		case kind == methodTarget:
			return scopes.Rule{}, ReasonNoRule
		case kind == toolTarget && ok:
		case x.unlisted.IsZero():
			return scopes.Rule{}, ReasonNoRule
		default:
			r = x.unlisted
		}
		rules = append(rules, r)
	}
	if len(rules) == 1 {
		return rules[0], ""
	}
	return scopes.And(rules...), ""
}

// findResource is for the URI of a resource that has no exact rule. What also holds must be met whoever has the rule:
// a handler may treat another spelling of a URI as the same, so the rules of all that it could mean count (RFC
// 3986, Section 6.2.2).
func (set *ruleset) findResource(uri string) (rule scopes.Rule, found bool, also []scopes.Rule) {
	rule, found = set.patterns(uri)
	if len(set.spelled)+len(set.templates)+len(set.prefixes[resourceTarget].rules) == 0 {
		return rule, found, nil
	}
	narrow := func(name string) {
		if r, ok := set.alsoPrefixes.find(name); ok {
			also = append(also, r)
		}
		for _, t := range set.alsoTemplates {
			if t.Regexp().MatchString(name) {
				also = append(also, t.rule)
			}
		}
	}
	narrow(uri)
	for _, spelling := range readings(uri) {
		if r, ok := set.spelled[spelling]; ok {
			also = append(also, r)
		}
		if r, ok := set.patterns(spelling); ok {
			also = append(also, r)
		}
		narrow(spelling)
	}
	return rule, found, also
}

// patterns is the rule of the templates that match a URI, or else of its longest prefix. Which of
// several matching templates the handler would choose is its own business, so all must be met.
func (set *ruleset) patterns(uri string) (scopes.Rule, bool) {
	var matched []scopes.Rule
	literal := 0 // what the matching templates say before their first variable
	for _, t := range set.templates {
		if t.Regexp().MatchString(uri) {
			matched = append(matched, t.rule)
			literal = max(literal, strings.IndexByte(t.text, '{'))
		}
	}
	prefix, length, found := set.prefixes[resourceTarget].longest(uri)
	if len(matched) == 0 {
		return prefix, found
	}
	if found && length > literal {
		matched = append(matched, prefix) // it names a place inside of what the templates cover
	}
	return scopes.And(matched...), true
}

// matchesTemplate reports whether a declared name is a template that covers uri.
func matchesTemplate(name, uri string) bool {
	if !strings.Contains(name, "{") {
		return false
	}
	t, err := uritemplate.New(name)
	return err == nil && t.Regexp().MatchString(uri)
}
