// Package jwt decides whether a JWT is an access token of one of the configured issuers for this
// resource: RFC 7515, RFC 7519, RFC 8725 and RFC 9068, Section 4.
//
// Only the signatures are golang-jwt's (package jws). Its parser and validator ignore crit and typ, fold
// the case of member names, wrap huge dates into the past and take exp for optional; here all of these
// are refusals. What is accepted here golang-jwt accepts too (FuzzSubset), but for the name Ed25519 and
// for numbers beyond float64 in header members that nobody reads.
//
// # Order
//
// What costs nothing comes first, and nothing is fetched for a token that names a foreign issuer: length,
// form, header, claims as JSON, issuer, what the issuer allows in the header, key, signature; then the
// times, the audience, the kind of token, the subject and the client. Each refusal is an *[Error] with a
// stable reason.
//
// # Client id
//
// The client is the first that is present of client_id, azp, appid and cid. client_id is the registered
// name (RFC 8693, Section 4.3); azp (OpenID Connect, Keycloak, Auth0, Entra ID v2), appid (Entra ID v1) and cid
// (Okta) are what issuers without it write. Where two of them differ the order decides, so that neither the
// order of members in the token nor a look-alike can.
package jwt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// A Verifier checks tokens of a fixed set of issuers. It is safe for concurrent use. The zero Verifier
// refuses every token.
type Verifier struct {
	issuers []*issuer
	byURL   map[string]int
	now     func() time.Time
}

// New returns a Verifier for issuers. It does no I/O. now is the clock; nil means [time.Now]. An error
// joins all mistakes in the configuration.
func New(issuers []Issuer, now func() time.Time) (*Verifier, error) {
	if now == nil {
		now = time.Now
	}
	v := &Verifier{byURL: make(map[string]int, len(issuers)), now: now}
	var errs []error
	if len(issuers) == 0 {
		errs = append(errs, errors.New("no Issuers; list the authorization server whose tokens are accepted"))
	}
	for i, in := range issuers {
		field := "Issuers[" + strconv.Itoa(i) + "]"
		iss, err := compileIssuer(in, field)
		if err != nil {
			errs = append(errs, err)
		}
		if first, ok := v.byURL[in.URL]; ok && in.URL != "" {
			errs = append(errs, fmt.Errorf("%s.URL: %q is also Issuers[%d]; keep one of them", field, in.URL, first))
			continue
		}
		v.byURL[in.URL] = i
		v.issuers = append(v.issuers, iss)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return v, nil
}

// A Token is an access token that passed every check. Callers must treat it as read-only.
type Token struct {
	Issuer int       // index into the issuers given to [New]
	Type   string    // typ header, lower case, without application/; "" when absent
	Key    *jwks.Key // the key that verified the signature

	// Introspected means that the token came from [Verifier.Accept]: Type and Key are empty.
	Introspected bool

	// Claims is the whole payload: nested map[string]any and []any, numbers as json.Number.
	Claims map[string]any

	Subject  string // sub, or ClientID when sub is absent; never empty
	ClientID string // see the package documentation; may be empty
	ID       string // jti; may be empty

	// Times outside the years 1 to 9999 are moved to the nearest end. NotBefore and IssuedAt are zero
	// when absent.
	Expiry, NotBefore, IssuedAt time.Time

	// Bound means that the token has a cnf claim, of whatever form, and so must never be taken as a
	// bearer token. Confirmation is its value where that is an object, else nil: a binding that nobody
	// can satisfy.
	Bound        bool
	Confirmation map[string]any
}

// Verify checks one access token in compact form. Any error is an *[Error]. ctx bounds the lookup of
// the key.
func (v *Verifier) Verify(ctx context.Context, token string) (*Token, error) {
	t, refusal := v.verify(ctx, token)
	if refusal != nil {
		return nil, refusal
	}
	return t, nil
}

func (v *Verifier) verify(ctx context.Context, token string) (*Token, *Error) {
	if len(token) > maxToken {
		return nil, &Error{
			Reason: ReasonTooLong, Expected: "at most " + strconv.Itoa(maxToken) + " bytes", Got: strconv.Itoa(len(token)) + " bytes",
			Cure: "have the authorization server put fewer claims into access tokens (groups are the usual ones)",
		}
	}
	parts, refusal := split(token)
	if refusal != nil {
		return nil, refusal
	}
	h, refusal := parseHeader(parts.Header)
	if refusal != nil {
		if refusal.Reason == ReasonMalformed && !LooksLikeJWT(token) {
			return nil, refuseOpaque(2, len(token))
		}
		return nil, refusal
	}
	signature, err := jws.Decode(parts.Signature)
	if err != nil {
		return nil, malformed("a signature in canonical base64url", "other bytes", nil)
	}
	payload, issClaim, refusal := scanClaims(parts.Payload)
	if refusal != nil {
		return nil, refusal
	}
	index, refusal := v.issuerOf(issClaim)
	if refusal != nil {
		return nil, refusal
	}
	iss := v.issuers[index]
	if iss.Keys == nil {
		return nil, iss.refuseSigned()
	}
	if refusal := iss.acceptHeader(h); refusal != nil {
		return nil, refusal
	}
	key, refusal := iss.verifySignature(ctx, h, token[:len(parts.Header)+1+len(parts.Payload)], signature)
	if refusal != nil {
		return nil, refusal
	}
	claims, err := strictjson.Object(payload, strictjson.Limits{MaxDepth: maxDepth})
	if err != nil {
		return nil, malformed("claims that are one JSON object without duplicates", "something else", err)
	}
	t := &Token{
		Issuer: index, Type: h.typ, Key: key, Claims: claims,
	}
	if refusal := iss.acceptClaims(t, v.now()); refusal != nil {
		return nil, refusal
	}
	return t, nil
}

// scanClaims validates the payload, which must be one strict JSON object (RFC 7519, Section 7.2), and
// finds iss in it, nil if absent. It keeps nothing else: before the signature has been verified, a token
// must not cost more than reading it.
func scanClaims(encoded string) (payload []byte, iss any, refusal *Error) {
	payload, err := jws.Decode(encoded)
	if err != nil {
		return nil, nil, malformed("claims in canonical base64url", "other bytes", nil)
	}
	s := strictjson.NewScanner(payload, strictjson.Limits{MaxDepth: maxDepth})
	err = s.Object(func(name []byte) (err error) {
		if known := jws.VariantOf(name, claimNames); known != "" && refusal == nil {
			refusal = malformed("claim "+known, "a spelling of it with other letters", nil)
		}
		if string(name) == "iss" {
			if s.Kind() != strictjson.StringKind {
				iss = notString{s.Kind()}
				return nil
			}
			iss, err = s.String()
		}
		return err
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, nil, malformed("claims that are one JSON object without duplicates", "something else", err)
	}
	return payload, iss, refusal
}

// notString stands for an iss of another type, which is not kept.
type notString struct{ kind strictjson.Kind }

// issuerOf selects the issuer by iss before anything else is done with the token, so that no foreign
// issuer is ever looked up (RFC 9068, Section 4). Simple string comparison: RFC 8414, Section 3.3.
func (v *Verifier) issuerOf(value any) (int, *Error) {
	if value == nil {
		return 0, &Error{Reason: ReasonUnknownIssuer, Expected: "an iss claim", Got: "none"}
	}
	url, ok := value.(string)
	if !ok {
		return 0, malformed("iss as a string", value.(notString).String(), nil)
	}
	index, ok := v.byURL[url]
	if !ok {
		e := &Error{
			Reason: ReasonUnknownIssuer, Expected: "iss " + v.knownIssuers(), Got: "iss " + quote(url),
			Cure: "write the issuer's URL exactly as it stands in iss, or send the client to the right authorization server",
		}
		switch {
		case v.has(url + "/"), len(url) > 0 && url[len(url)-1] == '/' && v.has(url[:len(url)-1]):
			e.Cure = "the slash at the end is part of an issuer: write the issuer's URL exactly as it stands in iss"
		case strings.HasPrefix(url, "https://sts.windows.net/"):
			e.Cure = "this is an Entra ID v1.0 token: set requestedAccessTokenVersion (accessTokenAcceptedVersion) to 2 in the " +
				"app registration's manifest, or configure this issuer"
		}
		return 0, e
	}
	return index, nil
}

func (v *Verifier) has(url string) bool { _, ok := v.byURL[url]; return ok }

func (v *Verifier) knownIssuers() string {
	list := make([]string, len(v.issuers))
	for i, iss := range v.issuers {
		list[i] = iss.URL
	}
	return quoteList(list)
}

// verifySignature finds the key among those of this issuer only (RFC 8725, Section 3.8).
func (iss *issuer) verifySignature(ctx context.Context, h *header, input string, signature []byte) (*jwks.Key, *Error) {
	keys, err := iss.Keys.Lookup(ctx, h.kid, h.alg)
	if err != nil && !errors.Is(err, jwks.ErrUnknownKey) {
		return nil, iss.unavailable(err)
	}
	if err != nil || len(keys) == 0 {
		got := "no kid"
		if h.kid != "" {
			got = "a kid of " + strconv.Itoa(len(h.kid)) + " bytes that no such key has"
		}
		return nil, &Error{
			Reason: ReasonUnknownKey, Expected: "a key of " + quote(iss.URL) + " for " + h.alg, Got: got, Err: err,
			Cure: "check that jwks_uri is that of this issuer, that the signing key is published there, and that its use, alg and " +
				"crv fit the token's alg; a key that was published since the last fetch is looked for 10 s after that at the earliest; " +
				"if the key was withdrawn, the client must get a new token",
		}
	}
	if key := firstThatVerifies(h.method, keys, input, signature); key != nil {
		return key, nil
	}
	if source, ok := iss.Keys.(refresher); ok {
		// The issuer may have put a new key under an old kid, or sign without kid. In an outage the keys at
		// hand have spoken; while others wait for an answer, nobody knows yet.
		fresh, err := source.LookupAgain(ctx, h.kid, h.alg, keys)
		if errors.Is(err, jwks.ErrBusy) || ctx.Err() != nil {
			return nil, iss.unavailable(err)
		}
		if err == nil {
			if key := firstThatVerifies(h.method, fresh, input, signature); key != nil {
				return key, nil
			}
		}
	}
	return nil, &Error{
		Reason: ReasonSignature, Expected: "a signature by a key of " + quote(iss.URL), Got: "one that does not verify",
		Cure: "check that jwks_uri is that of this issuer and that nothing rewrites tokens on their way",
	}
}

// unavailable refuses without calling the token invalid: what is wrong says nothing about the token.
func (iss *issuer) unavailable(err error) *Error {
	e := &Error{
		Reason: ReasonKeysUnavailable, Expected: "the keys of " + quote(iss.URL), Got: "none at the moment", Unavailable: true, Err: err,
		Cure: "check that this server can reach the issuer's metadata and jwks_uri",
	}
	var outage *jwks.UnavailableError
	if errors.As(err, &outage) {
		e.RetryAfter = outage.RetryAfter
	}
	return e
}
