package mcpauth

import (
	"strings"

	"github.com/yosida95/uritemplate/v3"

	"github.com/go-mcpauth/sdk/internal/prefix"
	"github.com/go-mcpauth/sdk/scopes"
)

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
	prefixes  [targets]prefix.Map[scopes.Rule]
	templates templates[scopes.Rule]
	spelled   map[string]scopes.Rule // exact resource rules by the other spellings of their URIs

	// Patterns in other spellings. What is normal for a whole URI is another thing for its beginning: the "?" of "list?*" is
	// no empty query. So they are what must be met besides, and open nothing by themselves.
	alsoPrefixes  prefix.Map[scopes.Rule]
	alsoTemplates templates[scopes.Rule]
}

// both is the rule of two names that mean the same, if there is an old one. The zero Rule is one: nobody meets it.
func both(old scopes.Rule, has bool, r scopes.Rule) scopes.Rule {
	if !has {
		return r
	}
	return scopes.And(old, r)
}

// load returns the index of what is declared now.
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

// build makes an index anew. The table is locked.
func (t *table) build() *index {
	file := t.fileRules()
	t.serial++
	x := &index{
		serial: t.serial, rights: t.rights, file: file, known: make(map[string]struct{}), everyone: scopes.Authenticated(),
		annotated: make(map[string]scopes.Rule), followed: !t.followed.isZero(),
	}
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
		if rule, ok := t.annotatedRule(says); ok {
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

// newRuleset sorts the rules of one source by how they are found: by name, by a beginning, by a template.
func newRuleset(declared [targets]map[string]scopes.Rule, order [targets][]string, withBase func(scopes.Rule) scopes.Rule) *ruleset {
	set := &ruleset{spelled: make(map[string]scopes.Rule)}
	for kind := range declared {
		set.exact[kind] = make(map[string]scopes.Rule, len(declared[kind]))
		for _, name := range order[kind] {
			rule := withBase(declared[kind][name])
			beginning, isPrefix := strings.CutSuffix(name, "*")
			switch {
			case target(kind) == resourceTarget && strings.Contains(name, "{"):
				// The template itself is the name that completion/complete and the list of templates use.
				set.exact[kind][name] = rule
				set.templates.add(name, rule)
				for _, spelling := range spellings(name) {
					if checkTemplate(spelling) == nil {
						set.alsoTemplates.add(spelling, rule)
					}
				}
			case isPrefix:
				set.prefixes[kind].Set(beginning, rule)
				if target(kind) == resourceTarget {
					for _, spelling := range spellings(beginning) {
						old, has := set.alsoPrefixes.Get(spelling)
						set.alsoPrefixes.Set(spelling, both(old, has, rule))
					}
				}
			default:
				set.exact[kind][name] = rule
				if target(kind) == resourceTarget {
					for _, spelling := range append(spellings(name), name) {
						old, has := set.spelled[spelling]
						set.spelled[spelling] = both(old, has, rule)
					}
				}
			}
		}
	}
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
	if kind == resourceTarget && !exact && (len(name) > maxURI || hasDotSegments(name)) {
		// A pattern names a place in a hierarchy, and dot segments lead out of it (RFC 3986,
		// Section 5.2.4). Not even Unlisted may judge such a name. Every template reads the whole URI, for each of its
		// spellings: without a bound one request of 4 MiB takes seconds.
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
		} else if _, r, ok := set.prefixes[kind].Longest(name); ok {
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
	if len(set.spelled)+len(set.templates.all)+set.prefixes[resourceTarget].Len() == 0 {
		return rule, found, nil
	}
	narrow := func(name string) {
		if _, r, ok := set.alsoPrefixes.Longest(name); ok {
			also = append(also, r)
		}
		for _, t := range set.alsoTemplates.matching(name) {
			also = append(also, t.value)
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
	for _, t := range set.templates.matching(uri) {
		matched = append(matched, t.value)
		literal = max(literal, t.literal)
	}
	beginning, rule, found := set.prefixes[resourceTarget].Longest(uri)
	if len(matched) == 0 {
		return rule, found
	}
	if found && len(beginning) > literal {
		matched = append(matched, rule) // it names a place inside of what the templates cover
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
