package mcpauth

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/internal/prefix"
)

// A Login is how a user must have signed in (RFC 9470). The zero Login asks for nothing.
type Login struct {
	// ACRValues are authentication context class references in order of preference, of which the acr claim must
	// equal one, such as "urn:example:mfa". Nil: any sign-in will do.
	ACRValues []string

	// MaxAge is how long ago the user may have signed in at most, by the auth_time claim, in whole seconds; the
	// issuer's leeway is added. Zero: any time.
	MaxAge time.Duration
}

const (
	codeInsufficientLogin = "insufficient_user_authentication" // RFC 9470, Section 3
	maxLoginAge           = 365 * 24 * time.Hour
)

// RequireLogin declares that what op names can be used only after a sign-in as strong and as recent as l says,
// besides what its rule asks for. Method says what kind of thing Name is: tools/call, prompts/get or
// resources/read for tools, prompts and resources, which counts for every operation on them; other methods
// go without a Name. A name may end in an asterisk or, for a resource, be a template; every declaration
// that matches counts.
//
// A caller whose sign-in is not good enough, or whose token does not say how good it was, is answered 401
// insufficient_user_authentication with acr_values, max_age and the scopes of the operation, so that one new
// sign-in is enough. Lists show the operation as they show one for which a scope is missing. API keys and other
// credentials without a sign-in behind them are refused with a bare 403, and so is everyone where several
// declarations have no acr value in common.
//
// It panics for a method that takes no name and has one, a name that could never be, and a Login that is zero or
// malformed.
func (m *Middleware) RequireLogin(op Operation, l Login) {
	kind, name := targetOf(op), op.Name
	if kind == methodTarget {
		if name != "" {
			panic(fmt.Sprintf("mcpauth: RequireLogin: the method %q has no names", op.Method))
		}
		name = op.Method
	}
	if err := checkName(kind, name); err != nil {
		panic(fmt.Sprintf("mcpauth: RequireLogin: %s %q: %v", kind, name, err))
	}
	if err := l.check(); err != nil {
		panic(fmt.Sprintf("mcpauth: RequireLogin: %s %q: %v", kind, name, err))
	}
	m.rules.declareLogin(kind, name, l)
}

func (l Login) check() error {
	if len(l.ACRValues) == 0 && l.MaxAge == 0 {
		return errors.New("set ACRValues or MaxAge")
	}
	for _, v := range l.ACRValues {
		if !authheader.ValidScope(v) {
			return fmt.Errorf("%q is no acr value; write one per element, in ASCII without space, quote and backslash", v)
		}
	}
	if l.MaxAge < 0 || l.MaxAge > maxLoginAge || l.MaxAge%time.Second != 0 {
		return fmt.Errorf("MaxAge %v is not whole seconds up to %v; leave it zero where any time will do", l.MaxAge, maxLoginAge)
	}
	return nil
}

// declareLogin adds a requirement. Those for one name add up.
func (t *table) declareLogin(kind target, name string, l Login) {
	l.ACRValues = slices.Clone(l.ACRValues)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.logins[kind] == nil {
		t.logins[kind] = make(map[string][]Login)
	}
	t.logins[kind][name] = append(t.logins[kind][name], l)
	t.index.Store(nil)
}

// A loginName is what a requirement was declared for.
type loginName struct {
	kind target
	name string
}

func (l loginName) covers(name string) bool { return covers(l.kind, l.name, name) }

// loginNames are all of them, in order. The table is locked.
func (t *table) loginNames() (out []loginName) {
	for kind := range t.logins {
		for _, names := range [...]map[string][]Login{t.logins[kind], t.fileRules().logins[kind]} {
			for _, name := range slices.Sorted(maps.Keys(names)) {
				out = append(out, loginName{target(kind), name})
			}
		}
	}
	return out
}

// A logins is what sign-ins the things of one kind ask for.
type logins struct {
	exact     map[string][]Login
	prefixes  prefix.Map[[]Login]
	templates templates[[]Login]
}

func newLogins(kind target, declared ...map[string][]Login) *logins {
	out := &logins{exact: make(map[string][]Login)}
	for _, all := range declared {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			out.add(kind, name, all[name])
		}
	}
	if len(out.exact)+out.prefixes.Len()+len(out.templates.all) == 0 {
		return nil
	}
	return out
}

func (set *logins) add(kind target, name string, required []Login) {
	if kind == resourceTarget && strings.Contains(name, "{") {
		set.templates.add(name, required)
		set.exact[name] = append(set.exact[name], required...) // completions and lists name the template itself
		for _, spelling := range spellings(name) {
			if checkTemplate(spelling) == nil {
				set.templates.add(spelling, required)
			}
		}
		return
	}
	name, isPrefix := strings.CutSuffix(name, "*")
	names := []string{name}
	if kind == resourceTarget {
		names = append(names, spellings(name)...)
	}
	for _, n := range names {
		if isPrefix {
			old, _ := set.prefixes.Get(n)
			set.prefixes.Set(n, append(old, required...))
		} else {
			set.exact[n] = append(set.exact[n], required...)
		}
	}
}

// loginsOf are all requirements for an operation.
func (x *index) loginsOf(op Operation) []Login {
	kind := targetOf(op)
	set := x.logins[kind]
	if set == nil {
		return nil
	}
	if kind == methodTarget {
		return set.find(nil, op.Method)
	}
	found := set.find(nil, op.Name)
	if kind == resourceTarget { // whatever its handler takes the URI for
		for _, reading := range readings(op.Name) {
			found = set.find(found, reading)
		}
	}
	return found
}

func (set *logins) find(found []Login, name string) []Login {
	found = append(found, set.exact[name]...)
	for logins := range set.prefixes.All(name) {
		found = append(found, logins...)
	}
	for _, t := range set.templates.matching(name) {
		found = append(found, t.value...)
	}
	return found
}

// weighLogin is reason, unless the sign-in is not good enough. That comes before a scope that is missing, since one
// sign-in can bring both, and where none can help it is said so.
func (m *Middleware) weighLogin(x *index, p *Principal, op Operation, reason Reason) Reason {
	switch missing, possible := m.lacks(x, p, op); {
	case missing == nil:
		return reason
	case p.fixed || !possible:
		return ReasonNoLogin
	}
	return ReasonLogin
}

// lacks returns what to ask for where the sign-in is not good enough for an operation: nil if it is. What is
// good enough already is asked for as well, since the next sign-in takes its place. It is not possible where two
// requirements exclude each other.
func (m *Middleware) lacks(x *index, p *Principal, op Operation) (missing *Login, possible bool) {
	required := x.loginsOf(op)
	if len(required) == 0 {
		return nil, true
	}
	var all Login
	met, possible := true, true
	for _, l := range required {
		if len(l.ACRValues) > 0 {
			met = met && slices.Contains(l.ACRValues, p.text("acr"))
			if all.ACRValues == nil {
				all.ACRValues = l.ACRValues
			} else {
				all.ACRValues = common(all.ACRValues, l.ACRValues)
				possible = possible && len(all.ACRValues) > 0
			}
		}
		if l.MaxAge > 0 {
			met = met && m.recent(p, l.MaxAge)
			if all.MaxAge == 0 || l.MaxAge < all.MaxAge {
				all.MaxAge = l.MaxAge
			}
		}
	}
	if met {
		return nil, true
	}
	return &all, possible
}

// common are the values that are good for both lists. It is never nil.
func common(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(v string) bool { return !slices.Contains(b, v) })
}

// recent reports whether the user signed in no longer ago than maxAge, and not in the future.
func (m *Middleware) recent(p *Principal, maxAge time.Duration) bool {
	at := p.signedIn()
	if at.IsZero() {
		return false
	}
	age := m.now().Sub(at)
	return age <= maxAge+p.leeway && age >= -p.leeway
}

// insufficientLogin is W7.
func insufficientLogin(missing *Login, needed []string) *Error {
	if missing != nil {
		missing = &Login{ACRValues: slices.Clone(missing.ACRValues), MaxAge: missing.MaxAge} // the rule's are not for others to write to
	}
	return &Error{
		Status: http.StatusUnauthorized, Code: codeInsufficientLogin, Reason: ReasonLogin, Login: missing, Scopes: needed,
		Description: "A different authentication level is required",
	}
}

// parameters are acr_values and max_age as a challenge writes them.
func (l *Login) parameters() (acrValues, maxAge string) {
	if l == nil {
		return "", ""
	}
	if l.MaxAge > 0 {
		maxAge = strconv.FormatInt(int64(l.MaxAge/time.Second), 10)
	}
	return strings.Join(l.ACRValues, " "), maxAge
}

// String says what is asked for, for logs: "acr mfa and a sign-in no longer than 5m0s ago". It is empty for the zero Login.
func (l Login) String() string {
	var parts []string
	if len(l.ACRValues) > 0 {
		parts = append(parts, "acr "+strings.Join(l.ACRValues, " or "))
	}
	if l.MaxAge > 0 {
		parts = append(parts, "a sign-in no longer than "+l.MaxAge.String()+" ago")
	}
	return strings.Join(parts, " and ")
}
