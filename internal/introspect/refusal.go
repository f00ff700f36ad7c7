package introspect

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-mcpauth/sdk/internal/explain"
)

// Reasons are stable codes for logs and metrics.
const (
	ReasonTooLong     = "token_too_long"            // as in package jwt
	ReasonInactive    = "token_inactive"            // the one reason that says something about the token
	ReasonUnavailable = "introspection_unavailable" // no answer
	ReasonRefused     = "introspection_refused"     // the server does not accept our credentials or our request
	ReasonAnswer      = "introspection_malformed"   // an answer that cannot be believed
)

var descriptions = map[string]string{
	ReasonTooLong:     "The access token is too long",
	ReasonInactive:    "The access token is not active",
	ReasonUnavailable: "The access token cannot be verified at the moment",
	ReasonRefused:     "The access token cannot be verified at the moment",
	ReasonAnswer:      "The access token cannot be verified at the moment",
}

// ErrBusy is the cause where too many requests are under way or waiting already.
var ErrBusy = errors.New("too many introspection requests")

// An Error explains to an operator why there are no claims. No text of it holds the token, a secret or bytes
// of the answer. Several callers may share one: it must not be changed.
type Error struct {
	Reason   string // one of the Reason constants
	Expected string // what would have been accepted
	Got      string // what came instead
	Cure     string // the setting that usually repairs it; may be empty

	// Unavailable means that nobody could tell whether the token is good: 503, not 401. RetryAfter is then
	// when to try again, at least 1 s.
	Unavailable bool
	RetryAfter  time.Duration

	Err error // the cause, or nil
}

func (e *Error) Error() string {
	return explain.Text("introspection", e.Reason, e.Expected, e.Got, e.Cure, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Description returns a constant sentence for error_description, in the characters that RFC 6750, Section 3
// allows there.
func (e *Error) Description() string {
	if d, ok := descriptions[e.Reason]; ok {
		return d
	}
	return "The access token is not accepted"
}

var (
	inactive = &Error{
		Reason: ReasonInactive, Expected: "an active token", Got: "active false: expired, revoked, or not of this authorization server",
		Cure: "the client must get a new token; where new ones are inactive too, the authorization server may not let this resource " +
			"server introspect tokens of that client or for that audience",
	}
	notConfigured = &Error{Reason: ReasonUnavailable, Expected: "an introspection endpoint", Got: "none is configured", Unavailable: true, RetryAfter: time.Second}
)

func unavailable(expected, got, cure string, err error) *Error {
	return &Error{Reason: ReasonUnavailable, Expected: expected, Got: got, Cure: cure, Unavailable: true, RetryAfter: time.Second, Err: err}
}

func busy() *Error {
	return unavailable("an answer", "no place to wait for one", "the authorization server is slow, or somebody floods this server with unknown tokens", ErrBusy)
}

// malformed refuses an answer that says nothing about the token.
func malformed(expected, got string, err error) *Error {
	return &Error{
		Reason: ReasonAnswer, Expected: expected, Got: got, Unavailable: true, RetryAfter: time.Second, Err: err,
		Cure: "check that the endpoint is the introspection endpoint of the authorization server",
	}
}

// A hookError hides the text of an error that came from a hook: it may quote credentials, as those of
// golang.org/x/oauth2 quote whole answers. Callers can still unwrap it.
type hookError struct {
	what string
	err  error
}

func (e *hookError) Error() string { return fmt.Sprintf("%s failed with a %T", e.what, e.err) }
func (e *hookError) Unwrap() error { return e.err }
