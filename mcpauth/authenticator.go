package mcpauth

import (
	"errors"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

const headerAuthorization, headerCookie = "Authorization", "Cookie"

// ErrNoCredentials is what an [Authenticator] returns, wrapped or not, for a request whose credentials are
// not its own. Whoever comes next is asked then; every other error refuses the request.
var ErrNoCredentials = errors.New("mcpauth: no credentials for this authenticator")

// An Authenticator accepts credentials other than access tokens of Config.Issuers: API keys ([NewAPIKeys]),
// cookies, signatures, a scheme of one's own ([NewAuthenticator]). Authenticators are asked in their order
// and before anybody looks at an access token, so that a key never reaches an authorization server.
//
// It must be safe for concurrent use.
type Authenticator interface {
	// Authenticate returns the caller of a request, made with [NewPrincipal]. For credentials that are not
	// its own it returns [ErrNoCredentials]. [ErrUnavailable], wrapped or not, is answered 503; an [*Error]
	// as it says; every other error, and a nil or expired Principal, 401.
	//
	// The request has no body, and must not be changed. Its Host, Origin and address have been checked; a
	// Cookie field is there only if Headers names it and the request has an Origin that is allowed by name,
	// since browsers send cookies whoever asks them to.
	Authenticate(*http.Request) (*Principal, error)

	// Challenge is the WWW-Authenticate line that tells clients of this scheme, such as
	// `Signature realm="files"` (RFC 9110, Section 11.6.1). Empty: clients have to know. It is asked once.
	Challenge() string

	// Headers are the fields that hold its credentials, at least one. They are removed before the handler
	// sees the request, and allowed in preflights. A request with more than one of all that are named
	// anywhere, or with one of them twice, has two credentials and is answered 400. It is asked once.
	Headers() []string
}

// NewAuthenticator makes an Authenticator of a function; the other arguments are what its other methods
// return.
func NewAuthenticator(authenticate func(*http.Request) (*Principal, error), challenge string, headers ...string) Authenticator {
	return authenticatorFunc{authenticate, challenge, headers}
}

type authenticatorFunc struct {
	authenticate func(*http.Request) (*Principal, error)
	challenge    string
	headers      []string
}

func (a authenticatorFunc) Authenticate(r *http.Request) (*Principal, error) {
	return a.authenticate(r)
}
func (a authenticatorFunc) Challenge() string { return a.challenge }
func (a authenticatorFunc) Headers() []string { return a.headers }

// An authentication is an Authenticator whose answers have been checked.
type authentication struct {
	Authenticator
	headers []string // canonical
	cookie  bool
}

// holds reports whether a request has anything that could be its credentials.
func (a *authentication) holds(r *http.Request) bool {
	return slices.ContainsFunc(a.headers, func(name string) bool { return len(r.Header[name]) > 0 })
}

// addAuthenticators reads Config.Authenticators. It returns the fields that browsers must be allowed to
// send.
func (m *Middleware) addAuthenticators(cfg Config, errs *mistakes) (headers []string) {
	for i, in := range cfg.Authenticators {
		field := func(name string) string { return "Authenticators[" + strconv.Itoa(i) + "]" + name }
		if in == nil {
			errs.add(field(""), "is nil")
			continue
		}
		a := &authentication{Authenticator: in}
		if keys, ok := in.(*apiKeys); ok {
			m.apiKeys = append(m.apiKeys, keys)
			for _, other := range m.issuers {
				if other.url == keys.issuer {
					errs.add(field(""), "APIKeys.Issuer %q is one of Issuers; the owner of a key would pass for the user of that name", keys.issuer)
				}
				if other.introspection != nil && keys.prefix == "" && keys.find != nil {
					m.warnings = append(m.warnings, field(": APIKeys.Prefix is empty, so a key that somebody sends as a bearer token looks like an opaque token, and goes to the introspection endpoint of "+other.url+"; set Prefix"))
				}
				if other.introspection != nil && keys.prefix != "" && other.prefix == keys.prefix {
					errs.add(field(""), "APIKeys.Prefix %q is the TokenPrefix of %q as well; nothing would tell keys from tokens", keys.prefix, other.url)
				}
			}
		}
		names := in.Headers()
		if len(names) == 0 {
			errs.add(field(".Headers"), "is empty; name the fields that hold the credentials, which must not reach the handler")
		}
		for _, name := range names {
			canonical := textproto.CanonicalMIMEHeaderKey(name)
			switch {
			case !isFieldName(name):
				errs.add(field(".Headers"), "%q is no name of a header (RFC 9110, Section 5.1)", name)
			case canonical == headerCookie:
				a.cookie = true
			case canonical != headerAuthorization && isWrapsOwn(canonical):
				errs.add(field(".Headers"), "%q has another meaning", name)
			case canonical != headerAuthorization && !slices.Contains(headers, canonical):
				headers = append(headers, canonical)
			}
			if !slices.Contains(a.headers, canonical) {
				a.headers = append(a.headers, canonical)
			}
			m.stripped = append(m.stripped, canonical)
		}
		if line := in.Challenge(); line != "" {
			if err := m.addChallenge(line); err != nil {
				errs.add(field(".Challenge"), "%w", err)
			}
		}
		m.authenticators = append(m.authenticators, a)
	}
	m.countable = append([]string{headerAuthorization}, headers...)
	return headers
}

// addChallenge takes up the challenge of an Authenticator. One more Bearer line is left out: clients would
// not know which of the two to follow.
func (m *Middleware) addChallenge(line string) error {
	scheme, _, _ := strings.Cut(line, " ")
	for i := range len(line) {
		if line[i] < 0x20 || line[i] > 0x7e {
			return errors.New("write printable ASCII only")
		}
	}
	switch {
	case !isFieldName(scheme):
		return errors.New("begin with the name of the scheme, such as: ApiKey realm=\"files\"")
	case strings.EqualFold(scheme, "Bearer") && m.schemes&bearerScheme != 0, strings.EqualFold(scheme, "DPoP") && m.schemes&dpopScheme != 0:
		return nil
	}
	m.otherChallenges = append(m.otherChallenges, line)
	return nil
}

// credentialFields counts the credentials in the header. A cookie is not counted: browsers send those by
// themselves.
func (m *Middleware) credentialFields(r *http.Request) int {
	n := 0
	for _, name := range m.countable {
		n += len(r.Header[name])
	}
	return n
}

// askAuthenticators returns the caller whom one of them knows, or the refusal of one that claims the
// credentials and does not accept them, or neither.
func (m *Middleware) askAuthenticators(r *http.Request, used schemes, inQuery bool) (*Principal, *refusal) {
	for _, a := range m.authenticators {
		if !a.holds(r) {
			continue
		}
		seen := m.forAuthenticator(r, a, inQuery)
		if !a.holds(seen) {
			continue // a cookie that it does not get is no credential
		}
		p, err := a.ask(seen)
		switch {
		case errors.Is(err, ErrNoCredentials):
			continue
		case errors.Is(err, ErrUnavailable):
			return nil, &refusal{unavailable(0), explanation{reason: ReasonUnavailable, expected: "an answer from the Authenticator", got: "an error", err: a.withoutSecrets(r, err)}}
		case err != nil:
			refused := m.authenticatorRefuses(used, err)
			refused.why.err = a.withoutSecrets(r, err)
			return nil, refused
		case p.ID() == "":
			return nil, m.authenticatorRefuses(used, errors.New("the Authenticator returned neither a caller nor an error"))
		case m.leftOf(p) <= 0:
			return nil, &refusal{m.rejected(used, "The credentials expired"), explanation{reason: ReasonTokenExpired,
				expected: "credentials that have not ended", got: "some that ended at " + p.Expiry().UTC().Format(time.RFC3339), caller: p,
				cure: "give the caller new credentials, or these a later Expiry where they are kept"}}
		}
		if !p.fixed {
			out := *p
			out.fixed = true
			p = &out
		}
		if refused := m.askRevoked(r.Context(), used, p); refused != nil {
			return nil, refused
		}
		return m.shaped(p), nil
	}
	return nil, nil
}

// forAuthenticator is the request as an Authenticator may see it. A cookie gives way to credentials that somebody sent
// on purpose, good or bad.
func (m *Middleware) forAuthenticator(r *http.Request, a *authentication, inQuery bool) *http.Request {
	out := new(http.Request)
	*out = *r
	out.Body, out.ContentLength, out.GetBody, out.TransferEncoding = http.NoBody, 0, nil, nil
	others := inQuery || slices.ContainsFunc(m.countable, func(name string) bool {
		return len(r.Header[name]) > 0 && !slices.Contains(a.headers, name)
	})
	if len(r.Header[headerCookie]) > 0 && !(a.cookie && !others && m.origins.Listed(r)) {
		out.Header = r.Header.Clone()
		delete(out.Header, headerCookie)
	}
	return out
}

// authenticatorRefuses answers what an Authenticator says of credentials that it knows to be its own.
func (m *Middleware) authenticatorRefuses(used schemes, err error) *refusal {
	why := explanation{reason: ReasonCredentials, expected: "credentials that the Authenticator accepts", got: "others", err: err}
	var own *Error
	if errors.As(err, &own) {
		e := policyError(err)
		if own.Reason != "" {
			why.reason = own.Reason
		}
		if e.Status != http.StatusUnauthorized {
			return &refusal{m.refused(e, nil, ""), why}
		}
		return &refusal{m.rejected(used, e.Description), why}
	}
	return &refusal{m.rejected(used, "The credentials are not accepted"), why}
}

// rejected is W2 for other credentials than access tokens. Only where they came under a scheme of ours is
// there a line to say so.
func (m *Middleware) rejected(used schemes, description string) answer {
	if used&m.schemes != 0 {
		return m.invalidToken(used, description)
	}
	a := m.unauthorized()
	a.code = codeInvalidToken
	return a
}

// acceptedSchemes is what a log says was expected.
func (m *Middleware) acceptedSchemes() string {
	if names := m.schemes.String(); names != "" {
		return names
	}
	return "what an Authenticator accepts"
}
