package mcpauth

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// ErrUnavailable is what a [Policy], an [Authenticator] or Config.Revoked returns, wrapped or not, when it cannot tell:
// the answer is 503 with Retry-After, since a 401 would make clients throw away a good token.
var ErrUnavailable = errors.New("mcpauth: the check cannot be made at the moment")

// Error is a refusal: what the client is told, and what only the log may know. [Middleware.Check]
// returns it, and a [Policy] may.
//
// The zero value is answered as a bare 403.
type Error struct {
	Status      int      // 401, 403, 429 or 503; anything else counts as 403
	Code        string   // error of the challenge, such as insufficient_scope; empty: no challenge
	Description string   // error_description; reduced to the characters of RFC 6750, Section 3
	Scopes      []string // scope of the challenge
	Login       *Login   // acr_values and max_age of the challenge, with the Code insufficient_user_authentication
	Reason      Reason   // for logs and audit; empty means policy_refused
	Err         error    // the cause; goes to the log, never to the client

	RetryAfter time.Duration // of a 429 or 503; rounded up to whole seconds; zero: 1 s

	expected, got string // for the log
}

// Error describes the refusal for a log. It holds the cause, so it must not be sent to a client.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "mcpauth: refused with %d", e.status())
	if e.Reason != "" {
		fmt.Fprintf(&b, " (%s)", e.Reason)
	}
	if len(e.Scopes) > 0 {
		fmt.Fprintf(&b, ", needs %s", strings.Join(e.Scopes, " "))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func (e *Error) status() int {
	switch e.Status {
	case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return e.Status
	}
	return http.StatusForbidden
}

// policyError turns whatever a Policy or an Authenticator returned into an Error with a status and a reason.
func policyError(err error) *Error {
	var own *Error
	if errors.As(err, &own) {
		out := *own
		out.Status = own.status()
		if out.Reason == "" {
			out.Reason = ReasonPolicy
		}
		return &out
	}
	if errors.Is(err, ErrUnavailable) {
		return &Error{Status: http.StatusServiceUnavailable, Reason: ReasonUnavailable, Err: err}
	}
	return &Error{Status: http.StatusForbidden, Reason: ReasonPolicy, Err: err}
}
