package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// A Condition is something that must hold for a call. It is an immutable value and safe for concurrent
// use. The zero Condition, printed as "never", refuses everything, and so does Not of it.
//
// Conditions do not compile with ==.
type Condition struct {
	_    [0]func()
	node *node // nil: never
}

// A node is never changed once it is made.
type node struct {
	text    string
	isLeaf  bool // its answers do not yet say whose they are
	partial bool // passes operations that it is not about: see For
	decide  func(question) answer

	// What Verify looks at.
	pattern string // of a For
	fits    func(mcpauth.Operation) bool
	parts   []Condition // those of an And, or the one inside of a For
}

// A question is one call to decide.
type question struct {
	ctx     context.Context
	call    *mcpauth.Call // never nil
	listing bool          // there are no arguments, whatever they will be
}

// A verdict is one truth value. And is the least of several, Or the greatest.
type verdict byte

const (
	no          verdict = iota
	doubt               // and asking again will not help
	unavailable         // and asking again may help
	yes
)

// not turns around what is certain, and nothing else.
func (v verdict) not() verdict {
	switch v {
	case yes:
		return no
	case no:
		return yes
	}
	return v
}

// An answer is the least and the most that arguments could make of a condition. They differ in lists
// only.
type answer struct {
	least, most verdict
	why         string // empty when both are yes
}

func holds() answer                { return answer{least: yes, most: yes} }
func fails(got string) answer      { return answer{no, no, got} }
func doubts(got string) answer     { return answer{doubt, doubt, got} }
func outage(err error) answer      { return answer{unavailable, unavailable, err.Error()} }
func dependsOnArguments() answer   { return answer{no, yes, "it depends on the arguments"} }
func (a answer) is(v verdict) bool { return a.least == v && a.most == v }

// answerOf is the answer of a condition that is certain.
func answerOf(held bool, got string) answer {
	if held {
		return holds()
	}
	return fails(got)
}

func leaf(text string, decide func(question) answer) Condition {
	return Condition{node: &node{text: text, isLeaf: true, decide: decide}}
}

const never = "never"

// String returns the condition in one line, for logs. It is not read back.
func (c Condition) String() string {
	if c.node == nil {
		return never
	}
	return c.node.text
}

// decide asks the condition. A panic, which can only come from a function of the user's, is a doubt.
func (c Condition) decide(q question) (a answer) {
	if c.node == nil {
		return doubts("never: the zero Condition refuses everything; make one with a constructor")
	}
	defer func() {
		if v := recover(); v != nil {
			a = doubts(label(c.node.text) + ": it panicked: " + panicText(v))
		}
	}()
	a = c.node.decide(q)
	if c.node.isLeaf && a.why != "" {
		a.why = label(c.node.text) + ": " + a.why
	}
	return a
}

// label is the text of a condition in a reason: a log line is cut after 200 bytes, and what came stands
// behind it.
func label(text string) string {
	const most = 100
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// panicText leaves out what a function panicked with: it may be an argument. The texts of the runtime
// are about types and lengths.
func panicText(v any) string {
	if err, ok := v.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("with a %T", v)
}

var errNoCall = errors.New("policy: there is no Call")

// Check is a mcpauth.Policy: nil if the condition holds. The error is for the log alone. It names the
// condition that decided and what came, never an argument, and wraps mcpauth.ErrUnavailable if it could
// hold once a function of the user's works again.
//
// The time is that of the Call, which mcpauth fills in. Conditions on a zero time refuse.
func (c Condition) Check(ctx context.Context, call *mcpauth.Call) error {
	if call == nil {
		return errNoCall
	}
	a := c.decide(question{ctx: ctx, call: call})
	return refusal(a.least, a.why)
}

// List is a mcpauth.Policy for Config.ListPolicy: nil if there may be arguments with which [Condition.Check]
// allows the call. It does not look at Call.Arguments.
func (c Condition) List(ctx context.Context, call *mcpauth.Call) error {
	if call == nil {
		return errNoCall
	}
	if call.Arguments != nil {
		bare := *call
		bare.Arguments = nil
		call = &bare
	}
	a := c.decide(question{ctx: ctx, call: call, listing: hasArguments(call)})
	return refusal(a.most, a.why)
}

// hasArguments reports whether the operation is one that may have any.
func hasArguments(call *mcpauth.Call) bool {
	return call.Method == "tools/call" || call.Method == "prompts/get"
}

func refusal(v verdict, why string) error {
	switch v {
	case yes:
		return nil
	case unavailable:
		return fmt.Errorf("policy: %s: %w", why, mcpauth.ErrUnavailable)
	}
	return errors.New("policy: " + why)
}
