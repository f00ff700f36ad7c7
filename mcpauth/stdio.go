package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"

	"github.com/go-mcpauth/sdk/internal/authheader"
)

// Stdio says who is calling over standard input and output, or any other transport without HTTP. Exactly
// one member is set. There is no login on such a transport: credentials come from the environment (MCP,
// Authorization, Protocol Requirements).
type Stdio struct {
	// TokenVariable names the environment variable that holds an access token of one of Config.Issuers. It
	// is verified like one that comes by HTTP, audience included. A token that is bound to a key is refused,
	// since nobody can prove here to hold the key.
	TokenVariable string

	// KeyVariable names the environment variable that holds an API key, or whatever one of
	// Config.Authenticators expects in the first of its headers.
	KeyVariable string

	// Local is a caller who needs no credentials: whoever can start the program may use it as this one.
	Local *Identity
}

// StdioContext returns a context with the caller for the server's transport:
//
//	ctx, err := auth.StdioContext(ctx, mcpauth.Stdio{TokenVariable: "FILES_TOKEN"})
//	...
//	err = server.Run(ctx, &mcp.StdioTransport{})
//
// The server must have been given to [Middleware.Protect]. Rules, Policy, lists and audit are those of HTTP;
// Config.Revoked is asked, and the expiry of the credentials looked at, with every request. What the
// credentials do not grant is refused and not listed, as there is no step-up.
//
// The variable is removed from the environment, so that tools do not find the credentials there, nor programs
// that they start. What the system shows of a process's first environment, such as /proc/self/environ, stays
// as it was: a tool that reads any file can read that. An error says what is wrong with them, and never shows them.
func (m *Middleware) StdioContext(ctx context.Context, in Stdio) (context.Context, error) {
	p, err := m.stdioCaller(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("mcpauth: StdioContext: %w", err)
	}
	return NewContext(ctx, p), nil
}

// stdioCaller finds out who is calling, from whichever member is set.
func (m *Middleware) stdioCaller(ctx context.Context, in Stdio) (*Principal, error) {
	set := 0
	for _, is := range []bool{in.TokenVariable != "", in.KeyVariable != "", in.Local != nil} {
		if is {
			set++
		}
	}
	if set != 1 {
		return nil, errors.New("set exactly one of TokenVariable, KeyVariable and Local")
	}
	if in.Local != nil {
		p := NewPrincipal(*in.Local)
		if p == nil {
			return nil, errors.New("the Local caller needs an Issuer, such as urn:local, and a Subject or a ClientID")
		}
		p.fixed = true
		return p, nil
	}
	variable := in.TokenVariable + in.KeyVariable
	value := os.Getenv(variable)
	if err := os.Unsetenv(variable); err != nil {
		return nil, fmt.Errorf("%s: %w", variable, err)
	}
	if value == "" {
		return nil, fmt.Errorf("the environment variable %s is empty; put the credentials there", variable)
	}
	identify := m.stdioToken
	if in.KeyVariable != "" {
		identify = m.stdioKey
	}
	p, err := identify(ctx, value)
	if err != nil {
		return nil, fmt.Errorf("the credentials in %s are refused: %w", variable, err)
	}
	return p, nil
}

func (m *Middleware) stdioToken(ctx context.Context, token string) (*Principal, error) {
	if m.tokens == nil {
		return nil, errors.New("there are no Config.Issuers; use KeyVariable")
	}
	if m.schemes&bearerScheme == 0 {
		return nil, errors.New("DPoPRequired accepts no token that is not bound to a key, and none that is can be used here")
	}
	return m.stdioPrincipal(ctx, token)
}

// stdioPrincipal is the caller as the token says now: rights may change where it is introspected.
func (m *Middleware) stdioPrincipal(ctx context.Context, token string) (*Principal, error) {
	c := presented{Credentials: authheader.Credentials{Token: token}}
	m.recall(&c)
	t, err := m.verify(ctx, &c)
	if err != nil {
		return nil, err
	}
	if t.binding != (binding{}) {
		return nil, errors.New("the token is bound to a key or a certificate, which cannot be shown here; get a plain one")
	}
	p := *t.principal
	p.fixed = true
	p.again = func(ctx context.Context) (*Principal, error) { return m.stdioPrincipal(ctx, token) }
	return &p, nil
}

// stdioKey shows the credentials to the Authenticators, each in the first of its headers, in a request that nobody sends.
func (m *Middleware) stdioKey(ctx context.Context, value string) (*Principal, error) {
	for _, a := range m.authenticators {
		name := a.headers[0]
		if name == headerCookie {
			continue
		}
		field := value
		if name == headerAuthorization {
			field = "Bearer " + value
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.resource, nil)
		if err != nil {
			return nil, err
		}
		r.Header[name] = []string{field}
		p, err := a.ask(r)
		switch {
		case errors.Is(err, ErrNoCredentials):
			continue
		case err != nil:
			return nil, a.withoutSecrets(r, err)
		case p.ID() == "":
			return nil, errors.New("the Authenticator returned neither a caller nor an error")
		case m.leftOf(p) <= 0:
			return nil, errors.New("they expired")
		}
		out := *p
		out.fixed = true
		if keys, ok := a.Authenticator.(*apiKeys); ok && keys.find != nil {
			out.again = func(ctx context.Context) (*Principal, error) { return keys.Authenticate(r.WithContext(ctx)) }
		}
		return &out, nil
	}
	return nil, errors.New("no Authenticator knows their form")
}

// stdioNow is a caller of a transport without HTTP as the credentials say now, or why there is none any more.
func (m *Middleware) stdioNow(ctx context.Context, p *Principal) (*Principal, explanation) {
	switch {
	case m.leftOf(p) <= 0:
		return nil, explanation{reason: ReasonTokenExpired, expected: "a caller whose credentials have not ended", got: "one whose Expiry has passed",
			cure: "start the program anew, with fresh credentials"}
	case p.again != nil:
		now, err := p.again(ctx)
		switch {
		case err != nil:
			refused := explainToken(err)
			if !refused.known { // an Authenticator's
				refused.why.reason = ReasonCredentials
			}
			return nil, refused.why
		case m.leftOf(now) <= 0:
			return nil, explanation{reason: ReasonTokenExpired, expected: "credentials that have not ended", got: "some whose Expiry has passed"}
		case now.id != p.id:
			return nil, explanation{reason: ReasonTokenInactive, expected: "a token of the caller who connected", got: "one that is another's now"}
		}
		p = now
	}
	if refused := m.askRevoked(ctx, 0, p); refused != nil {
		return nil, refused.why
	}
	return p, explanation{}
}
