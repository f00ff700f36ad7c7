package mcpauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-mcpauth/sdk/scopes"
)

// A Principal is a verified caller. It is immutable and safe for concurrent use: tools of several
// requests may share it. The zero value and nil are nobody: every accessor returns its zero value
// and every rule refuses.
//
// Formatting a Principal, with any verb or as JSON, shows its [Principal.ID] and no claim.
type Principal struct {
	issuer, subject, clientID, id string

	hasSubject bool // the token has a sub; else subject is the client
	fixed      bool // no step-up can add to the grant

	again func(context.Context) (*Principal, error) // verifies its token once more; of a transport without HTTP only, which lasts

	scheme                        string
	expiry                        time.Time
	keyThumbprint, certThumbprint string       // what possession was proven of; see binding
	grant                         scopes.Grant // what counts: own, as rights shape it
	own                           scopes.Grant // what the credentials say
	rights                        *rights      // that have shaped grant
	unlisted                      bool         // they do not know the application
	claims                        map[string]any
	mapping                       *scopes.Mapping // names scopes as this caller's authorization server does
	leeway                        time.Duration
}

// An Identity says who a [NewPrincipal] is. The zero value is nobody.
type Identity struct {
	Issuer   string // who vouches for the caller; required
	Subject  string // the user, unique within the issuer; empty for a client that acts for itself
	ClientID string // the application; Subject or ClientID is required
	Scheme   string // how the credentials came, for logs

	Grant  scopes.Grant   // the zero Grant meets no rule, not even Authenticated
	Expiry time.Time      // when the credentials end; zero: not for them to say
	Claims map[string]any // for Principal.Claim alone, they grant nothing; as a strict JSON decoder makes them; copied
}

// NewPrincipal returns a caller that the program itself vouches for: in tests of a rule table (see
// [Middleware.Check]), in an [Authenticator], and on transports without HTTP (see [NewContext]). It returns nil,
// which is nobody, if Issuer is empty, or Subject and ClientID both are.
func NewPrincipal(id Identity) *Principal {
	if id.Issuer == "" || id.Subject == "" && id.ClientID == "" {
		return nil
	}
	p := newPrincipal(id.Issuer, id.Subject, id.ClientID)
	p.scheme, p.expiry, p.own, p.grant = id.Scheme, id.Expiry, id.Grant, id.Grant
	p.claims, _ = clone(id.Claims).(map[string]any)
	return p
}

// newPrincipal names a caller. Without a user it is the client, which is not the user who happens to have
// its name.
func newPrincipal(issuer, user, clientID string) *Principal {
	p := &Principal{issuer: issuer, subject: user, clientID: clientID, id: principalID(issuer, user, clientID), hasSubject: user != ""}
	if !p.hasSubject {
		p.subject = clientID
	}
	return p
}

// Issuer is the iss claim of the token, or what an Authenticator says in its place.
func (p *Principal) Issuer() string { return p.fields().issuer }

// Subject is the sub claim: unique within the issuer only, so never compare it alone. It is the
// client id where the token has no sub, as with some client credentials grants.
func (p *Principal) Subject() string { return p.fields().subject }

// ClientID names the application that the token was issued to; empty where the issuer does not say.
func (p *Principal) ClientID() string { return p.fields().clientID }

// Scheme is how the credentials came: "Bearer" or "DPoP", "ApiKey" for [NewAPIKeys], or what an
// Authenticator says.
func (p *Principal) Scheme() string { return p.fields().scheme }

// KeyThumbprint is the RFC 7638 thumbprint, in base64url, of the key that the caller has proven to hold
// (RFC 9449); empty where the token is not bound to a key.
func (p *Principal) KeyThumbprint() string { return p.fields().keyThumbprint }

// CertificateThumbprint is the SHA-256 thumbprint, in base64url, of the client certificate to which the
// token is bound (RFC 8705, Section 3.1); empty where it is not.
func (p *Principal) CertificateThumbprint() string { return p.fields().certThumbprint }

// Expiry is the exp claim, without leeway; zero where the credentials do not end by themselves.
func (p *Principal) Expiry() time.Time { return p.fields().expiry }

// Grant is what the caller may do: scopes and roles after mapping, within the limits of Config.Clients.
func (p *Principal) Grant() scopes.Grant { return p.fields().grant }

// ID identifies issuer, subject and client together, in a form from which none of them can be read
// and that no other three can imitate. Sessions, limits and logs use it.
func (p *Principal) ID() string { return p.fields().id }

// Application reports whether the token says that an application acts for itself, without a user; see
// [scopes.Grant.Application].
func (p *Principal) Application() bool { return p.fields().grant.Application() }

var nobody Principal

func (p *Principal) fields() *Principal {
	if p == nil {
		return &nobody
	}
	return p
}

// String implements [fmt.Stringer] without showing a claim.
func (p *Principal) String() string {
	if p.fields().id == "" {
		return "principal(nobody)"
	}
	return "principal(" + p.id + ")"
}

// Format implements [fmt.Formatter]: whatever the verb, and also for a copy, it writes what String
// returns.
func (p Principal) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// MarshalText implements [encoding.TextMarshaler] as String does.
func (p *Principal) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// LogValue implements [slog.LogValuer]: id, issuer, subject, client and, where there is one, actor; no other
// claim.
func (p *Principal) LogValue() slog.Value {
	f := p.fields()
	attrs := append(make([]slog.Attr, 0, 5),
		slog.String("id", f.id),
		slog.String("issuer", loggable(f.issuer)),
		slog.String("subject", loggable(f.subject)),
		slog.String("client", loggable(f.clientID)),
	)
	if actor := p.Actor(); actor != "" {
		attrs = append(attrs, slog.String("actor", loggable(actor)))
	}
	return slog.GroupValue(attrs...)
}

// principalID joins by length, so that no pair of issuer and subject can imitate another.
func principalID(issuer, subject, client string) string {
	buf := make([]byte, 0, 256)
	for _, s := range []string{issuer, subject, client} {
		buf = binary.BigEndian.AppendUint64(buf, uint64(len(s)))
		buf = append(buf, s...)
	}
	sum := sha256.Sum256(buf)
	return string(base64.RawURLEncoding.AppendEncode(buf[:0], sum[:]))
}

type principalKey struct{}

// NewContext returns a context that carries p. The middleware does this for every request that it
// lets through; it is exported for the tests of tools, and for transports without HTTP, where the
// context given to mcp.Server.Connect or Run says who is calling.
func NewContext(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns the caller of this request. Behind Wrap alone it is the caller of the HTTP
// request; behind Protect, also that of each request within a session. The Principal is nil exactly
// when the bool is false.
func FromContext(ctx context.Context) (*Principal, bool) {
	if p, _ := ctx.Value(principalKey{}).(*Principal); p != nil && p != guest {
		return p, true
	}
	if st, _ := ctx.Value(requestKey{}).(*request); st != nil && st.principal != nil && st.principal != guest {
		return st.principal, true
	}
	return nil, false
}
