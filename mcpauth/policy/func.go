package policy

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// ErrNeedsArguments is what a function of [Func] returns, wrapped or not, where it cannot tell without
// arguments and Call.Arguments is nil. A list then shows what it is about. A call is refused.
var ErrNeedsArguments = errors.New("policy: it cannot be told without arguments")

// Func is a condition of the user's own, to stand beside others in [And], [Or] and [Not]. The name is for
// logs. An error means that it cannot be told: [ErrNeedsArguments], or mcpauth.ErrUnavailable for what is
// down, or anything else, which refuses. So does a panic. The Call must not be changed.
//
// It panics if f is nil or the name is empty or not printable.
func Func(name string, f func(context.Context, *mcpauth.Call) (bool, error)) Condition {
	if f == nil {
		panic("policy: Func: the function is nil")
	}
	if name == "" || len(name) > 128 || strconv.Quote(name) != `"`+name+`"` {
		panic(fmt.Sprintf("policy: Func: the name %q must be one line of at most 128 printable characters without quotes", name))
	}
	return leaf(name, func(q question) answer {
		held, err := f(q.ctx, q.call)
		switch {
		case err == nil:
			return answerOf(held, "it does not hold")
		case errors.Is(err, ErrNeedsArguments) && q.listing:
			return dependsOnArguments()
		case errors.Is(err, mcpauth.ErrUnavailable):
			return outage(err)
		}
		return doubts(err.Error())
	})
}
