package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// methods are those that a pattern may name. A misspelled one would fit nothing, and so allow everything.
var methods = []string{
	"GET", "DELETE", "initialize", "ping", "server/discover", "logging/setLevel", "completion/complete",
	"tools/list", "tools/call", "prompts/list", "prompts/get",
	"resources/list", "resources/templates/list", "resources/read", "resources/subscribe", "resources/unsubscribe",
	"subscriptions/listen",
}

// namedMethods are those whose names are compared: a tool or a prompt has one name.
var namedMethods = []string{"tools/call", "prompts/get"}

// For asks the condition for the operations that the pattern fits, and lets all others pass. A pattern is
//
//	tools/call send_mail   one tool
//	tools/call send_*      the tools whose names begin so
//	prompts/get deploy     one prompt
//	tools/call             everything that this method does
//
// Names are compared byte for byte. A URI can be spelled in several ways, so resources are named by method
// alone; tell them apart inside of the condition, with a [Func] that holds for those that it knows. A
// pattern covers its method and no other one: completion/complete works on prompts, and
// resources/subscribe and subscriptions/listen on resources, without a call of prompts/get or
// resources/read. Methods of extensions are for Func, too.
//
// It panics for a pattern that is none of these. A misspelled name refuses nothing: [Condition.Verify] finds it. Put
// several Fors into an [And].
func For(pattern string, condition Condition) Condition {
	fits, err := parsePattern(pattern)
	if err != nil {
		panic(fmt.Sprintf("policy: For: %q: %v", pattern, err))
	}
	text := fmt.Sprintf("for(%s, %s)", pattern, condition)
	return Condition{node: &node{text: text, partial: true, pattern: pattern, fits: fits, parts: []Condition{condition}, decide: func(q question) answer {
		if !fits(q.call.Operation) {
			return holds()
		}
		return condition.decide(q)
	}}}
}

func parsePattern(pattern string) (fits func(mcpauth.Operation) bool, err error) {
	method, name, named := strings.Cut(pattern, " ")
	if !slices.Contains(methods, method) {
		return nil, fmt.Errorf("%q is no method of MCP; write one with its case, such as tools/call, and use Func for extensions", method)
	}
	if !named {
		return func(op mcpauth.Operation) bool { return op.Method == method }, nil
	}
	prefix, open := strings.CutSuffix(name, "*")
	switch {
	case !slices.Contains(namedMethods, method):
		return nil, fmt.Errorf("only %s go with a name; write the method alone", strings.Join(namedMethods, " and "))
	case name == "" || strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return nil, errors.New("the name is empty, or has a space at an end or a control character; write it as tools/list does")
	case strings.Contains(prefix, "*"):
		return nil, errors.New("an asterisk may only stand at the end; write a For for each beginning")
	case open:
		return func(op mcpauth.Operation) bool { return op.Method == method && strings.HasPrefix(op.Name, prefix) }, nil
	}
	return func(op mcpauth.Operation) bool { return op.Method == method && op.Name == name }, nil
}
