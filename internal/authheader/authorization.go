// Package authheader reads the credentials of a request and writes the challenges of a refusal, both as RFC 9110, Section 11 defines them.
//
// [Parse] accepts exactly one Authorization field with exactly one credential in it. [Challenge] renders one WWW-Authenticate line, in the
// one order of parameters that deployed clients are known to read. Neither looks at what a token means.
package authheader

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
)

// MaxToken bounds what may follow the scheme of an Authorization field, in bytes. It is checked before the token is looked at.
const MaxToken = 16 << 10

// Errors of [Parse]. Their texts hold nothing that the client sent.
var (
	// ErrNone: the request has no Authorization field. The answer is a challenge without an error code (RFC 6750, Section 3.1).
	ErrNone = errors.New("authheader: no Authorization field")
	// ErrMultiple: more than one Authorization field, or a list of credentials in one. The answer is 400 invalid_request.
	ErrMultiple = errors.New("authheader: more than one credential")
	// ErrMalformed: bytes outside the grammar. The answer is 400 invalid_request.
	ErrMalformed = errors.New("authheader: malformed Authorization field")
	// ErrTooLong: longer than [MaxToken], so no token of ours; nothing after the scheme was read. The answer is 401 invalid_token.
	ErrTooLong = errors.New("authheader: token too long")
)

// Credentials is what one Authorization field holds. The zero value holds nothing and is of no scheme.
//
// Both fields may be secret: a client that forgets the scheme sends its token in the scheme's place. Formatting and logging a Credentials
// therefore shows no more than whether the scheme is Bearer or DPoP.
type Credentials struct {
	Scheme string // as sent; compare with IsBearer and IsDPoP
	Token  string // for Bearer and DPoP one token68; for any other scheme whatever follows it, unvalidated, possibly empty
}

// IsBearer reports whether the scheme is Bearer, without regard to case (RFC 9110, Section 11.1).
func (c Credentials) IsBearer() bool { return isBearer(c.Scheme) }

// IsDPoP reports whether the scheme is DPoP, without regard to case.
func (c Credentials) IsDPoP() bool { return isDPoP(c.Scheme) }

// String names the scheme if it is one of ours, and never shows the token.
func (c Credentials) String() string {
	switch {
	case c.IsBearer():
		return "Bearer [redacted]"
	case c.IsDPoP():
		return "DPoP [redacted]"
	case c == Credentials{}:
		return "[none]"
	}
	return "[redacted]"
}

// GoString is String, so that %#v is as silent as %v.
func (c Credentials) GoString() string { return c.String() }

// LogValue is String, for log/slog.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalText is String, for loggers and encoders that do not ask LogValue.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Parse reads the Authorization field of h, whose keys must be canonical, as those of a served request are.
//
// For Bearer and DPoP the field must be the scheme, one or more SP (U+0020 and nothing else) and one token68, with nothing after it; that is
// also the b64token of RFC 6750, Section 2.1. Any other scheme is not an error, since it counts as no credentials for this resource unless
// some other authenticator claims it: then neither [Credentials.IsBearer] nor [Credentials.IsDPoP] holds. Even there a list of credentials
// is refused, because a proxy in front may act on another member of it than the one that is read here.
//
// Most of the time goes to the characters of the token. So known is asked about a token of ours before they are looked at: it reports
// whether this very token is known to be a token68. Nil knows none.
//
// Parse returns the zero Credentials beside every error but [ErrTooLong], beside which the scheme says whose challenge carries the error.
func Parse(h http.Header, known func(token string) bool) (Credentials, error) {
	lines := h["Authorization"]
	switch len(lines) {
	case 0:
		return Credentials{}, ErrNone
	case 1:
	default:
		return Credentials{}, ErrMultiple
	}
	v := lines[0]
	n := tokenLen(v[:min(len(v), MaxToken+1)])
	switch {
	case n == 0:
		return Credentials{}, ErrMalformed
	case n > MaxToken:
		return Credentials{}, ErrTooLong
	case n == len(v):
		c := Credentials{Scheme: v}
		if c.IsBearer() || c.IsDPoP() {
			return Credentials{}, ErrMalformed
		}
		return c, nil
	case v[n] == ',':
		return Credentials{}, ErrMultiple
	case v[n] != ' ':
		return Credentials{}, ErrMalformed
	}
	c := Credentials{Scheme: v[:n]}
	rest := v[n+1:]
	if len(rest) > MaxToken { // further SP count, too
		return c, ErrTooLong
	}
	for rest != "" && rest[0] == ' ' {
		rest = rest[1:]
	}
	if rest == "" {
		return Credentials{}, ErrMalformed
	}
	if !c.IsBearer() && !c.IsDPoP() {
		if err := checkForeign(rest); err != nil {
			return Credentials{}, err
		}
		c.Token = rest
		return c, nil
	}
	if known != nil && known(rest) {
		c.Token = rest
		return c, nil
	}
	if n = token68Len(rest); n < len(rest) {
		if n > 0 && rest[n] == ',' {
			return Credentials{}, ErrMultiple
		}
		return Credentials{}, ErrMalformed
	}
	c.Token = rest
	return c, nil
}

// checkForeign looks at what follows a scheme that is not ours. Parameters and their lists are that scheme's business, but a second
// credential behind a comma is not, and neither are control characters or a quoted string without an end.
func checkForeign(s string) error {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b < ' ' && b != '\t', b == 0x7f:
			return ErrMalformed
		case b == '"':
			quoted = !quoted
		case quoted && b == '\\':
			i++
		case !quoted && b == ',' && startsCredentials(s[i+1:]):
			return ErrMultiple
		}
	}
	if quoted {
		return ErrMalformed
	}
	return nil
}

// startsCredentials tells "Bearer x" and a lone scheme from an auth-param, which has "=" after its name, white space around it allowed
// (RFC 9110, Section 11.2).
func startsCredentials(s string) bool {
	s = strings.TrimLeft(s, " \t")
	n := tokenLen(s)
	if n == 0 {
		return false
	}
	after := strings.TrimLeft(s[n:], " \t")
	switch {
	case after == "", after[0] == ',':
		return true
	case after[0] == '=':
		return false
	}
	return len(after) < len(s)-n
}

func isBearer(s string) bool { return len(s) == len("Bearer") && strings.EqualFold(s, "Bearer") }
func isDPoP(s string) bool   { return len(s) == len("DPoP") && strings.EqualFold(s, "DPoP") }

const (
	tchar   = 1 << iota // RFC 9110, Section 5.6.2
	t68char             // RFC 9110, Section 11.2, without the "=" at the end
	nqchar              // RFC 6749, Appendix A: %x21 %x23-5B %x5D-7E
)

var class = func() (t [256]byte) {
	for b := byte('!'); b <= '~'; b++ {
		alnum := '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
		if alnum || strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0 {
			t[b] |= tchar
		}
		if alnum || strings.IndexByte("-._~+/", b) >= 0 {
			t[b] |= t68char
		}
		if b != '"' && b != '\\' {
			t[b] |= nqchar
		}
	}
	return t
}()

func tokenLen(s string) int {
	i := 0
	for i < len(s) && class[s[i]]&tchar != 0 {
		i++
	}
	return i
}

func token68Len(s string) int {
	i := 0
	for len(s)-i >= 8 { // most of a token, in a third of the time
		b := s[i : i+8]
		if class[b[0]]&class[b[1]]&class[b[2]]&class[b[3]]&class[b[4]]&class[b[5]]&class[b[6]]&class[b[7]]&t68char == 0 {
			break
		}
		i += 8
	}
	for i < len(s) && class[s[i]]&t68char != 0 {
		i++
	}
	if i == 0 {
		return 0
	}
	for i < len(s) && s[i] == '=' {
		i++
	}
	return i
}
