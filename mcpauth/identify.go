package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jwt"
	"github.com/go-mcpauth/sdk/internal/tokencache"
)

// A refusal is an answer and its reason. Several requests may share one.
type refusal struct {
	answer answer
	why    explanation
}

// presented is what the Authorization field of a request holds. Reading it says nothing about who is calling.
type presented struct {
	authheader.Credentials
	err   error             // that the field is none, or no credential
	hash  [sha256.Size]byte // of the token: its name in the cache, and what a proof says of it; zero for a scheme that is not ours
	known *accessToken      // what is remembered of this token; verify says whether that still counts
}

// present reads the field. A JWT that is remembered holds base64url and dots, or it would not have been verified, so its
// characters need no second look. An opaque token may hold anything if it came from the environment (see [Stdio]).
func (m *Middleware) present(h http.Header) (c presented) {
	c.Credentials, c.err = authheader.Parse(h, func(token string) bool {
		c.Token = token
		m.recall(&c)
		return c.known != nil && c.known.key != nil
	})
	return c
}

// recall looks for the token in the cache.
func (m *Middleware) recall(c *presented) {
	c.hash = hashOf(c.Token)
	c.known, _ = m.cache.Get(c.hash)
}

// identify finds out who is calling, from one credential: the token itself first, then the proof that
// the caller is the one to whom it was issued, and last what the outside world has to say. Without a
// Principal, there is a refusal. out is the header of the answer, which may get a nonce. Where too much that was
// bad has come from this address, only tokens that are remembered as good count for wait.
func (m *Middleware) identify(out http.Header, r *http.Request, c *presented, wait time.Duration) (*Principal, *refusal) {
	err, used := c.err, schemeOf(c.Credentials)
	inQuery := r.URL.RawQuery != "" && authheader.QueryToken(r.URL.RawQuery)
	if len(m.authenticators) > 0 {
		if n := m.credentialFields(r); n > 1 || n == 1 && inQuery {
			return nil, &refusal{m.invalidRequest("The request holds more than one credential"), explanation{reason: ReasonMultipleCredentials,
				expected: "one credential, in " + strings.Join(m.countable, " or "), got: "several"}}
		}
		if wait == 0 && (err == nil || err == authheader.ErrNone) {
			if p, refused := m.askAuthenticators(r, used, inQuery); p != nil || refused != nil {
				return p, refused
			}
		}
	}
	switch {
	case err == authheader.ErrNone && inQuery:
		return nil, &refusal{m.unauthorized(), explanation{reason: ReasonQueryToken, expected: "a token in the Authorization header",
			got: "access_token in the query"}}
	case err == authheader.ErrNone && wait > 0 && m.holdsOther(r):
		return nil, tooManyFailures(m.limits, wait)
	case err == authheader.ErrNone && len(m.authenticators) > 0 && m.credentialFields(r) > 0:
		return nil, &refusal{m.anonymous.answer, explanation{reason: ReasonNoCredentials, expected: m.anonymous.why.expected,
			got:  "something in such a header that nobody takes for his own", // not what: it may be somebody's key
			cure: "see what the client sends there: an API key of this server begins with APIKeys.Prefix"}}
	case err == authheader.ErrNone:
		return nil, m.anonymous
	case errors.Is(err, authheader.ErrTooLong):
		return nil, &refusal{m.invalidToken(used, "The access token is too long"), explainCredentials(err)}
	case err != nil:
		return nil, &refusal{m.invalidRequest("Exactly one credential is expected in the Authorization header"), explainCredentials(err)}
	case inQuery:
		return nil, &refusal{m.invalidRequest("The request holds more than one credential"),
			explanation{reason: ReasonMultipleCredentials, expected: "one credential", got: "one in the header and one in the query"}}
	case wait > 0 && !m.remembers(c):
		return nil, tooManyFailures(m.limits, wait)
	case used == 0 || used == dpopScheme && m.schemes&dpopScheme == 0 || m.schemes == 0:
		return nil, &refusal{m.unauthorized(), explanation{reason: ReasonUnsupportedScheme, expected: m.acceptedSchemes(), got: schemeName(c.Scheme)}}
	case m.schemes&used == 0:
		// DPOP-12. No look at the token: its owner has to get another one, or to send it in another way.
		return nil, &refusal{m.invalidToken(used, "An access token that is bound to a key is required, with its proof"), explanation{
			reason: ReasonDPoPRequired, expected: "the scheme DPoP, since Config.DPoP.Mode is DPoPRequired", got: "Bearer"}}
	}
	return m.identifyToken(out, r, used, c)
}

// holdsOther reports whether a request has anything that an Authenticator could take for credentials.
func (m *Middleware) holdsOther(r *http.Request) bool {
	return slices.ContainsFunc(m.authenticators, func(a *authentication) bool { return a.holds(m.forAuthenticator(r, a, false)) })
}

// remembers reports whether a token is known to be good, so that accepting it costs no more than refusing it.
func (m *Middleware) remembers(c *presented) bool {
	return c.err == nil && c.known != nil && c.known.current(m.now())
}

// An accessToken is what one good token says, as the cache remembers it. What can change while it lives,
// by time or otherwise, is asked again with every request: see current.
type accessToken struct {
	principal *Principal
	issuer    *issuer
	key       *jwks.Key // that verified the signature; nil for an opaque token
	since     time.Time // from when, and how long, the answer about an opaque token may be used
	until     time.Time
	notBefore time.Time // the later of nbf and iat
	binding   binding
	owner     [sha256.Size]byte        // whose memory it takes: the user, who may be many clients where clients register themselves
	proofKey  atomic.Pointer[dpop.Key] // of the last accepted proof: the next one is probably made with it
}

func (m *Middleware) identifyToken(out http.Header, r *http.Request, used schemes, c *presented) (*Principal, *refusal) {
	t, refused := m.accessToken(r.Context(), used, c)
	if refused != nil {
		return nil, refused
	}
	proof, refused := m.possession(out, r, used, t, c.hash)
	if refused != nil {
		refused.why.caller = t.principal
		return nil, refused
	}
	if refused := m.askRevoked(r.Context(), used, t.principal); refused != nil {
		return nil, refused
	}
	if used == dpopScheme {
		// Last of all, so that what is refused for another reason fills no store (DPOP-14).
		if refused := m.firstUse(r.Context(), t, proof); refused != nil {
			refused.why.caller = t.principal
			return nil, refused
		}
	}
	return t.principal, nil
}

// askRevoked refuses a caller whose credentials were taken back.
func (m *Middleware) askRevoked(ctx context.Context, used schemes, p *Principal) *refusal {
	if m.revoked == nil {
		return nil
	}
	gone, err := m.revoked(ctx, p)
	switch {
	case err != nil:
		return &refusal{unavailable(0), explanation{reason: ReasonUnavailable, expected: "an answer from Config.Revoked", got: "an error", caller: p, err: err}}
	case gone:
		return &refusal{m.rejected(used, "The access token was revoked"), explanation{reason: ReasonRevoked, expected: "a token that is not revoked", got: "a revoked one", caller: p}}
	}
	return nil
}

// hashOf is the SHA-256 of a token.
func hashOf(token string) [sha256.Size]byte {
	var room [2 << 10]byte // most tokens fit, and need no copy on the heap then
	return sha256.Sum256(append(room[:0], token...))
}

// accessToken is verify, with the answer to what is refused.
func (m *Middleware) accessToken(ctx context.Context, used schemes, c *presented) (*accessToken, *refusal) {
	t, err := m.verify(ctx, c)
	if err == nil {
		return t, nil
	}
	refused := explainToken(err)
	if refused.why.reason == ReasonTokenOpaque && len(m.introspecting) > 0 {
		refused.why.expected += ", or an opaque token that begins with the Introspection.TokenPrefix of an issuer"
		refused.why.cure = "set Introspection.TokenPrefix to what the issuer's opaque tokens begin with, or leave it empty if one issuer alone has any"
	}
	if refused.unavailable {
		return nil, &refusal{unavailable(refused.after), refused.why}
	}
	return nil, &refusal{m.invalidToken(used, refused.description), refused.why}
}

// A tokenRefusal is why a token is refused: for the log, and in a constant sentence for the client.
type tokenRefusal struct {
	why         explanation
	description string
	unavailable bool // nobody could tell; try again after that long
	after       time.Duration
	known       bool // the error is one of the checks' own
}

func explainToken(err error) tokenRefusal {
	var checked *jwt.Error
	var asked *introspect.Error
	switch {
	case errors.As(err, &checked):
		description := checked.Description()
		if checked.Reason == string(ReasonBoundToken) {
			description = "The access token is bound to a key that cannot be checked here"
		}
		why := explanation{reason: Reason(checked.Reason), expected: checked.Expected, got: checked.Got, cure: checked.Cure, err: checked.Err}
		return tokenRefusal{why, description, checked.Unavailable, checked.RetryAfter, true}
	case errors.As(err, &asked):
		why := explanation{reason: Reason(asked.Reason), expected: asked.Expected, got: asked.Got, cure: asked.Cure, err: asked.Err}
		return tokenRefusal{why, asked.Description(), asked.Unavailable, asked.RetryAfter, true}
	}
	return tokenRefusal{why: explanation{reason: ReasonTokenMalformed, err: err}, description: "The access token is not accepted"}
}

// verify verifies a token, or remembers that it has been verified. An error is for explainToken.
func (m *Middleware) verify(ctx context.Context, c *presented) (*accessToken, error) {
	token, hash := c.Token, c.hash
	if t := c.known; t != nil {
		if t.current(m.now()) && t.principal.rights == m.rules.load().rights {
			return t, nil
		}
		m.cache.Remove(hash) // its key has left the set, its rights are others now, or the clock was put back
	}
	var verified *jwt.Token
	var since, until time.Time
	var err error
	if in := m.introspector(token); in != nil {
		since = m.now()
		verified, until, err = m.introspect(ctx, in, token, hash)
	} else {
		verified, err = m.tokens.Verify(ctx, token)
	}
	if err != nil {
		return nil, err
	}
	bound, err := m.bindingOf(verified)
	if err != nil {
		return nil, err
	}
	in := m.issuers[verified.Issuer]
	user := verified.Subject
	if _, ok := verified.Claims["sub"]; !ok {
		user = "" // the verifier names the client instead
	}
	p := newPrincipal(in.url, user, verified.ClientID)
	p.scheme, p.expiry, p.own, p.claims = "Bearer", verified.Expiry, in.mapping.Grant(verified.Claims), verified.Claims
	p.mapping, p.leeway, p.grant = in.mapping, in.leeway, p.own
	p.keyThumbprint, p.certThumbprint = bound.key, bound.certificate
	if bound.key != "" {
		p.scheme = "DPoP" // whoever sends it under the other one is refused
	}
	p = m.shaped(p)
	owner, notBefore := p.sessionOwner(true), verified.NotBefore
	if verified.IssuedAt.After(notBefore) {
		notBefore = verified.IssuedAt
	}
	t := &accessToken{
		principal: p, issuer: in, key: verified.Key, since: since, until: until, notBefore: notBefore, binding: bound, owner: sha256.Sum256([]byte(owner)),
	}
	end := verified.Expiry.Add(in.leeway)
	if t.key == nil && until.Before(end) {
		end = until
	}
	m.cache.Add(hash, tokencache.Item{Owner: owner, Size: t.size(token), Expiry: end}, t)
	return t, nil
}

// current reports whether a remembered token would still be accepted.
func (t *accessToken) current(now time.Time) bool {
	if !now.Before(t.principal.expiry.Add(t.issuer.leeway)) || t.notBefore.After(now.Add(t.issuer.leeway)) {
		return false
	}
	if t.key == nil {
		return !now.Before(t.since) && now.Before(t.until)
	}
	return t.issuer.keys.Current(t.key)
}

// size estimates what a remembered token takes: its claims as maps and strings, what is made of them, and
// the key of its proofs, which may come later. The text of an opaque token says nothing of its claims.
func (t *accessToken) size(token string) int {
	size := 1<<10 + 4*len(token)
	if t.key == nil {
		// What is larger would not be held at all, and its authorization server be asked with every request.
		size += min(2*sizeOf(t.principal.claims), maxAnswerSize)
	}
	if t.binding.key != "" {
		size += maxProofKey
	}
	return size
}

// maxAnswerSize is what the claims of an opaque token count at most, so that all of it stays below the share of one user: see
// [tokencache.Item].
const maxAnswerSize = 56 << 10

// sizeOf estimates what a decoded JSON value takes, in bytes.
func sizeOf(value any) int {
	size := 16 // the interface
	switch v := value.(type) {
	case string:
		size += 16 + len(v)
	case json.Number:
		size += 16 + len(v)
	case []any:
		size += 24
		for _, member := range v {
			size += sizeOf(member)
		}
	case map[string]any:
		size += 48
		for name, member := range v {
			size += 32 + len(name) + sizeOf(member)
		}
	}
	return size
}

// A schemes is a set of authentication schemes.
type schemes uint8

const (
	bearerScheme schemes = 1 << iota
	dpopScheme
)

// schemeOf is empty for a scheme that is none of ours, or none at all.
func schemeOf(c authheader.Credentials) schemes {
	switch {
	case c.IsBearer():
		return bearerScheme
	case c.IsDPoP():
		return dpopScheme
	}
	return 0
}

// String lists the schemes for a log.
func (s schemes) String() string {
	var names []string
	if s&bearerScheme != 0 {
		names = append(names, "Bearer")
	}
	if s&dpopScheme != 0 {
		names = append(names, "DPoP")
	}
	return strings.Join(names, " or ")
}
