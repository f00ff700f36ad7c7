package introspect

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Auth is how this resource server authenticates to the introspection endpoint, which must refuse requests
// without (RFC 7662, Section 2.1). Exactly one of its fields must be set.
type Auth struct {
	Basic      *ClientSecret  // client_secret_basic (RFC 6749, Section 2.3.1)
	Post       *ClientSecret  // client_secret_post, for servers that know no better
	PrivateKey *PrivateKeyJWT // private_key_jwt (RFC 7523, Section 2.2)
	MutualTLS  *MutualTLS     // tls_client_auth and self_signed_tls_client_auth (RFC 8705, Section 2)

	// Bearer returns an access token of this resource server's own, at each request and under its context.
	// Its errors are logged by their type only, since they may quote answers.
	Bearer func(context.Context) (string, error)
}

// A ClientSecret is a client id and its secret, both as they are, without any encoding.
type ClientSecret struct {
	ClientID string
	Secret   Secret
}

// MutualTLS names the client to which the certificate of the transport belongs.
type MutualTLS struct {
	ClientID string
}

// A Secret prints as "(secret)" with every verb, and in JSON.
type Secret string

const redacted = "(secret)"

// Format keeps the secret out of logs, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText keeps the secret out of JSON and of slog.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// An authenticator adds credentials to a request that is about to be sent.
type authenticator interface {
	authenticate(ctx context.Context, form url.Values, header http.Header) error
}

func (a Auth) compile(now func() time.Time) (authenticator, error) {
	var found []authenticator
	var errs []error
	need := func(field, value string) {
		if value == "" {
			errs = append(errs, mistake("Auth."+field, "is empty; write what the authorization server registered for this resource server"))
		}
	}
	if a.Basic != nil {
		need("Basic.ClientID", a.Basic.ClientID)
		need("Basic.Secret", string(a.Basic.Secret))
		found = append(found, basic(*a.Basic))
	}
	if a.Post != nil {
		need("Post.ClientID", a.Post.ClientID)
		need("Post.Secret", string(a.Post.Secret))
		found = append(found, post(*a.Post))
	}
	if a.PrivateKey != nil {
		need("PrivateKey.ClientID", a.PrivateKey.ClientID)
		need("PrivateKey.Audience", a.PrivateKey.Audience)
		s, err := a.PrivateKey.compile(now)
		if err != nil {
			errs = append(errs, err)
		}
		found = append(found, s)
	}
	if a.MutualTLS != nil {
		need("MutualTLS.ClientID", a.MutualTLS.ClientID)
		found = append(found, *a.MutualTLS)
	}
	if a.Bearer != nil {
		found = append(found, bearer(a.Bearer))
	}
	switch len(found) {
	case 0:
		errs = append(errs, mistake("Auth", "is empty; an introspection endpoint refuses strangers: set one of Basic, Post, PrivateKey, MutualTLS and Bearer"))
	case 1:
	default:
		errs = append(errs, mistake("Auth", "has several methods; keep the one that is registered (RFC 6749, Section 2.3 forbids more in a request)"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return found[0], nil
}

type basic ClientSecret

// authenticate encodes id and secret before joining them, so that a colon in the id and letters outside ASCII
// survive (RFC 6749, Section 2.3.1 and Appendix B).
func (b basic) authenticate(_ context.Context, _ url.Values, header http.Header) error {
	pair := url.QueryEscape(b.ClientID) + ":" + url.QueryEscape(string(b.Secret))
	header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	return nil
}

type post ClientSecret

func (p post) authenticate(_ context.Context, form url.Values, _ http.Header) error {
	form.Set("client_id", p.ClientID)
	form.Set("client_secret", string(p.Secret))
	return nil
}

func (m MutualTLS) authenticate(_ context.Context, form url.Values, _ http.Header) error {
	form.Set("client_id", m.ClientID)
	return nil
}

type bearer func(context.Context) (string, error)

func (b bearer) authenticate(ctx context.Context, _ url.Values, header http.Header) error {
	token, err := b(ctx)
	if err != nil {
		return &hookError{"Auth.Bearer", err}
	}
	if !isToken68(token) {
		return errors.New("Auth.Bearer gave something that is no token (RFC 6750, Section 2.1)")
	}
	header.Set("Authorization", "Bearer "+token)
	return nil
}

// isToken68 is laxer than RFC 9110, Section 11.2 on where a "=" may stand.
func isToken68(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '-', c == '.', c == '_', c == '~', c == '+', c == '/', c == '=':
		default:
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}
