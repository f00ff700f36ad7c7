package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/scopes"
)

// A Policy is asked after the rule of an operation was met: time of day, address, tenant, arguments,
// an engine such as Cedar. Nil allows. An [*Error] with status 401, 403, 429 or 503 is answered as it
// says; [ErrUnavailable], wrapped or not, is 503; any other error is a bare 403, which tells clients
// that no other token would help. A Policy that panics refuses.
//
// It is asked once for each operation, a list as such among them; what a list shows is up to the rules
// and to Config.ListPolicy.
type Policy func(context.Context, *Call) error

// Listing says what lists of tools, prompts and resources show a caller. Zero: ListObtainable.
type Listing byte

const (
	// ListObtainable shows what the caller may use and what more scopes would open, since a client
	// never asks for a scope whose tool it cannot see. It hides what a missing role denies and what
	// has no rule.
	ListObtainable Listing = iota
	// ListAllowed shows what the presented credentials may use now.
	ListAllowed
	// ListAll shows everything that has a rule.
	ListAll
)

// String returns "obtainable", "allowed" or "all".
func (l Listing) String() string {
	switch l {
	case ListObtainable:
		return "obtainable"
	case ListAllowed:
		return "allowed"
	case ListAll:
		return "all"
	}
	return fmt.Sprintf("Listing(%d)", byte(l))
}

// StepUp says which scopes a 403 insufficient_scope names. Zero: StepUpByRevision.
type StepUp byte

const (
	// StepUpByRevision names what the operation needs, and for callers of a revision before
	// 2026-07-28 also what they hold already: those clients ask for exactly the scopes named and would
	// lose the others. Later ones form the union themselves.
	StepUpByRevision  StepUp = iota
	StepUpNeeded             // what the operation needs, for every revision
	StepUpWithGranted        // with what the caller holds, for every revision
)

// String returns "by revision", "needed" or "with granted".
func (s StepUp) String() string {
	switch s {
	case StepUpByRevision:
		return "by revision"
	case StepUpNeeded:
		return "needed"
	case StepUpWithGranted:
		return "with granted"
	}
	return fmt.Sprintf("StepUp(%d)", byte(s))
}

// verdict is the outcome of the rules for one operation. Only the reason ReasonAllowed allows.
type verdict struct {
	reason Reason
	rule   scopes.Rule
	needed []string // of a scope gap: the whole set to ask for, under the names that rules use
	login  *Login   // of a sign-in that is not good enough: what is missing
}

// weigh asks the rules of an index. It is the one function behind calls, lists, the second guard and Check.
func (m *Middleware) weigh(x *index, p *Principal, op Operation) (scopes.Rule, Reason) {
	if p.ID() == "" { // nil, or the zero Principal: nobody
		return scopes.Rule{}, ReasonNoPrincipal
	}
	if p == guest {
		return m.weighGuest(x, op)
	}
	held, listed := m.standing(x, p)
	if !listed {
		return scopes.Rule{}, ReasonClient
	}
	rule, reason := x.find(op)
	switch {
	case reason != "":
		return scopes.Rule{}, reason
	case rule.Met(held):
		return rule, m.weighLogin(x, p, op, ReasonAllowed)
	case rule.Obtainable(held):
		if p.fixed {
			return rule, ReasonFixedGrant
		}
		return rule, m.weighLogin(x, p, op, ReasonInsufficientScope)
	case rule.Obtainable(held.Whole()):
		return rule, ReasonClientLimit
	}
	return rule, ReasonRole
}

// judge is weigh, with what a refusal has to say. Lists have no use for that and cannot afford it.
func (m *Middleware) judge(x *index, p *Principal, op Operation) verdict {
	rule, reason := m.weigh(x, p, op)
	v := verdict{reason: reason, rule: rule}
	if reason == ReasonInsufficientScope || reason == ReasonLogin {
		held, _ := m.standing(x, p)
		v.needed = rule.Challenge(held)
		if reason == ReasonLogin {
			v.login, _ = m.lacks(x, p, op)
		}
	}
	return v
}

// Check decides one operation: nil, or an [*Error]. It asks the rule and then the Policy, and it
// neither logs nor reports. Wrap, Protect and the tests of a rule table use this decision; it needs
// no server.
//
// A nil or zero Principal gets status 401. An Error with status 403 and Code insufficient_scope names the
// scopes that would help; one without a Code cannot be cured by another token, and its Reason tells
// an operation without a rule (which the middleware answers as unknown) from a missing role.
func (m *Middleware) Check(ctx context.Context, c *Call) error {
	if c == nil || c.Principal.ID() == "" {
		return &Error{Status: http.StatusUnauthorized, Code: codeInvalidToken, Scopes: slices.Clone(m.base), Reason: ReasonNoPrincipal}
	}
	if c.Operation == (Operation{}) {
		// On the wire this is a client's answer, and allowed; here somebody forgot the field.
		return &Error{Status: http.StatusForbidden, Reason: ReasonNoRule, Err: errors.New("the Call has no Operation")}
	}
	call := *c
	call.Principal = m.shaped(c.Principal)
	if call.Time.IsZero() {
		call.Time = m.now()
	}
	if err := m.refusal(call.Principal, m.judge(m.rules.load(), call.Principal, c.Operation), c.Operation); err != nil {
		return err
	}
	if err := m.askPolicy(ctx, &call); err != nil {
		return err
	}
	return nil
}

// refusal turns a verdict into what a client is told, or nil.
func (m *Middleware) refusal(p *Principal, v verdict, op Operation) *Error {
	switch v.reason {
	case ReasonAllowed:
		return nil
	case ReasonInsufficientScope:
		return &Error{
			Status: http.StatusForbidden, Code: codeInsufficientScope, Reason: v.reason, Scopes: v.needed,
			Description: missing(v.needed, p.Grant()) + " required for " + describe(op),
		}
	case ReasonLogin:
		return insufficientLogin(v.login, v.needed)
	}
	return &Error{Status: http.StatusForbidden, Reason: v.reason}
}

// missing names the scopes that the caller lacks, with the verb that fits their number.
func missing(needed []string, held scopes.Grant) string {
	lacking := slices.DeleteFunc(slices.Clone(needed), held.HasScope)
	if len(lacking) == 1 {
		return lacking[0] + " is"
	}
	return strings.Join(lacking, " ") + " are"
}

// describe names an operation for a person. The name is foreign text; the challenge reduces it.
func describe(op Operation) string {
	if kind := targetOf(op); kind != methodTarget {
		return kind.String() + " " + op.Name
	}
	return op.Method
}

func (m *Middleware) askPolicy(ctx context.Context, c *Call) *Error {
	return m.policy.ask(ctx, c)
}

// ask is nil where the policy allows, or where there is none. A panic refuses.
func (p Policy) ask(ctx context.Context, c *Call) (refused *Error) {
	if p == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			refused = &Error{Status: http.StatusForbidden, Reason: ReasonPanic, Err: fmt.Errorf("the policy panicked: %v", v)}
		}
	}()
	if err := p(ctx, c); err != nil {
		return policyError(err)
	}
	return nil
}

// Visible reports whether a list may show this caller what op names: a tool by tools/call, a prompt
// by prompts/get, a resource or template by resources/read. It asks the rules as calls do,
// follows Config.Listing, and asks Config.ListPolicy without an address and a header; [Middleware.Shows]
// has room for them. The Policy is not asked.
func (m *Middleware) Visible(p *Principal, op Operation) bool {
	return m.Shows(context.Background(), &Call{Principal: p, Operation: op})
}

// Shows is [Middleware.Visible] for a whole Call, so that Config.ListPolicy sees its address, header and time too. Its
// Arguments do not count. It is false for nil.
func (m *Middleware) Shows(ctx context.Context, c *Call) bool {
	if c == nil || !m.visible(m.rules.load(), c.Principal, c.Operation) {
		return false
	}
	if m.listPolicy == nil {
		return true
	}
	call := *c
	call.Principal, call.Arguments = m.shaped(c.Principal), nil
	if call.Time.IsZero() {
		call.Time = m.now()
	}
	return m.listPolicy.ask(ctx, &call) == nil
}

// visible is what the rules say.
func (m *Middleware) visible(x *index, p *Principal, op Operation) bool {
	switch _, reason := m.weigh(x, p, op); reason {
	case ReasonAllowed:
		return true
	case ReasonInsufficientScope, ReasonLogin:
		return m.listing != ListAllowed
	case ReasonRole, ReasonClientLimit, ReasonNoLogin:
		return m.listing == ListAll
	}
	return false
}
