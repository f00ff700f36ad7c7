package mcpauth

import (
	"errors"
	"net/http"
	"time"
)

// bodyPatience is how long a body may take to come before the credentials in front of it are judged again.
const bodyPatience = time.Second

// outlived judges the credentials of a request again where its body took its time: who holds the last byte back until it
// suits him must not keep the rights of the moment in which the head came, after the token has expired, say, or was revoked.
// It returns the caller as the credentials say now. A proof of possession is for the head, and was recorded then; an
// Authenticator other than ours may have a memory of its own, so it is not asked twice.
func (m *Middleware) outlived(r *http.Request, c *presented, p *Principal, began time.Time) (*Principal, *refusal) {
	if took := m.now().Sub(began); p == guest || 0 <= took && took < bodyPatience {
		return p, nil
	}
	used, now := schemeOf(c.Credentials), p
	if p.fixed {
		again, refused := m.keyAgain(r, used, p)
		if refused != nil {
			return nil, refused
		}
		now = again
	} else {
		m.recall(c)
		t, refused := m.accessToken(r.Context(), used, c)
		if refused != nil {
			return nil, refused
		}
		now = t.principal
	}
	switch {
	case m.leftOf(now) <= 0:
		return nil, &refusal{m.rejected(used, "The credentials expired"), explanation{reason: ReasonTokenExpired,
			expected: "credentials that last until the body has come", got: "some whose Expiry has passed", caller: p}}
	case now.id != p.id, now.keyThumbprint != p.keyThumbprint, now.certThumbprint != p.certThumbprint:
		return nil, &refusal{m.rejected(used, "The access token is another's now"), explanation{reason: ReasonTokenInactive,
			expected: "a token of the caller who began the request", got: "one that is another's now", caller: p}}
	}
	if refused := m.askRevoked(r.Context(), used, now); refused != nil {
		return nil, refused
	}
	return now, nil
}

// keyAgain is the caller as an API key says now, or as another Authenticator has said. As at first, it is for the first one who
// knows the form of a key to say what it is worth.
func (m *Middleware) keyAgain(r *http.Request, used schemes, p *Principal) (*Principal, *refusal) {
	for _, a := range m.authenticators {
		keys, ok := a.Authenticator.(*apiKeys)
		if !ok || keys.issuer != p.issuer {
			continue
		}
		switch again, err := a.ask(r); {
		case errors.Is(err, ErrNoCredentials):
		case errors.Is(err, ErrUnavailable):
			return nil, &refusal{unavailable(0), explanation{reason: ReasonUnavailable, expected: "an answer from APIKeys.Find", got: "an error",
				caller: p, err: a.withoutSecrets(r, err)}}
		case err != nil:
			return nil, m.authenticatorRefuses(used, a.withoutSecrets(r, err))
		default:
			return m.shaped(again), nil
		}
	}
	return p, nil
}
