package devas

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// The limits of an identity assertion. Real ones have about 1 KiB and live for some minutes; the examples of the specifications go up to an hour.
const (
	maxAssertion      = 8 << 10
	maxAssertionDepth = 16
	maxAssertionText  = 255 // bytes of sub (OpenID Connect Core 1.0, Section 2), and of jti
	maxAssertionLife  = time.Hour
	assertionLeeway   = 30 * time.Second
	lastAssertionDate = 253402300799 // the year 9999
)

// assertionType is the typ header, compared byte for byte: a grant must never be taken from a token of another kind (RFC 8725, Section 3.11).
const assertionType = "oauth-id-jag+jwt"

// assertionNames are the members that mean something in header and claims. Another spelling of one by letter case is refused: to a decoder that folds
// case it would be the same member.
var assertionNames = []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc",
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "resource", "scope", "cnf", "tenant", "aud_tenant"}

// An assertion is an Identity Assertion JWT Authorization Grant (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant, Section 3) in compact form that
// was taken apart. Nothing in it is to be believed before its signature was verified with a key of its issuer.
type assertion struct {
	alg, kid  string
	input     string // what is signed
	signature []byte
	claims    map[string]any
}

// assertionFault refuses an assertion. The text names the cause and repeats nothing of the assertion, because it goes into the answer and the log.
func assertionFault(text string) error { return goidc.NewError(goidc.ErrorCodeInvalidGrant, text) }

// parseAssertion takes an assertion apart and checks what needs no key: its form, its type and that its algorithm is asymmetric. The work is bounded by
// the length.
func parseAssertion(compact string) (*assertion, error) {
	if len(compact) > maxAssertion {
		return nil, assertionFault("the assertion is longer than " + strconv.Itoa(maxAssertion) + " bytes")
	}
	parts := jws.Split(compact)
	if !parts.OK() {
		return nil, assertionFault("the assertion is not a signed JWT in compact form")
	}
	header, err := assertionObject(parts.Header)
	if err != nil {
		return nil, assertionFault("the header of the assertion cannot be read")
	}
	for _, name := range []string{"crit", "b64", "zip", "enc"} {
		if _, ok := header[name]; ok {
			return nil, assertionFault("the header of the assertion holds " + name + ", which is not understood") // RFC 7515, Section 4.1.11
		}
	}
	if header["typ"] != assertionType {
		return nil, assertionFault("typ of the assertion must be " + assertionType)
	}
	a := &assertion{input: compact[:len(parts.Header)+1+len(parts.Payload)]}
	if a.alg, _ = header["alg"].(string); jws.MethodOf(a.alg) == nil {
		return nil, assertionFault("alg of the assertion must be an asymmetric signature algorithm, such as RS256 or ES256")
	}
	if kid, ok := header["kid"]; ok {
		if a.kid, ok = kid.(string); !ok {
			return nil, assertionFault("kid of the assertion is not a string")
		}
	}
	if a.signature, err = jws.Decode(parts.Signature); err != nil {
		return nil, assertionFault("the signature of the assertion cannot be read")
	}
	if a.claims, err = assertionObject(parts.Payload); err != nil {
		return nil, assertionFault("the claims of the assertion cannot be read")
	}
	return a, nil
}

// assertionObject reads one part, which must be a single JSON object that every parser reads the same way.
func assertionObject(encoded string) (map[string]any, error) {
	text, err := jws.Decode(encoded)
	if err != nil {
		return nil, err
	}
	object, err := strictjson.Object(text, strictjson.Limits{MaxDepth: maxAssertionDepth})
	if err != nil {
		return nil, err
	}
	for name := range object {
		if jws.VariantOf(name, assertionNames) != "" {
			return nil, strictjson.ErrDuplicate
		}
	}
	return object, nil
}

// text returns a claim that has to be there, a string of 1 to limit bytes. The names of people and things end up on pages and in the log, so it is
// printable ASCII, which is what OpenID Connect Core 1.0, Section 2 allows for sub anyway.
func (a *assertion) text(name string, limit int) (string, error) {
	value, ok := a.claims[name].(string)
	if !ok || value == "" {
		return "", assertionFault(name + " of the assertion must be a string that is not empty")
	}
	if len(value) > limit {
		return "", assertionFault(name + " of the assertion is longer than " + strconv.Itoa(limit) + " bytes")
	}
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return "", assertionFault(name + " of the assertion holds a character that is not printable ASCII")
		}
	}
	return value, nil
}

// date returns a claim in seconds since 1970 (RFC 7519, Section 2).
func (a *assertion) date(name string) (at time.Time, ok bool, err error) {
	value, ok := a.claims[name]
	if !ok {
		return time.Time{}, false, nil
	}
	number, _ := value.(json.Number)
	seconds, err := strconv.ParseFloat(string(number), 64)
	if err != nil || seconds < 0 || seconds > lastAssertionDate {
		return time.Time{}, false, assertionFault(name + " of the assertion is not a number of seconds since 1970")
	}
	whole := int64(seconds)
	return time.Unix(whole, int64((seconds-float64(whole))*1e9)), true, nil
}

// times checks exp, iat and nbf and returns the time from which on the assertion is refused as expired.
func (a *assertion) times(now time.Time) (until time.Time, err error) {
	expires, hasExpiry, err := a.date("exp")
	if err != nil {
		return time.Time{}, err
	}
	issued, hasIssued, err := a.date("iat")
	if err != nil {
		return time.Time{}, err
	}
	from, _, err := a.date("nbf")
	switch {
	case err != nil:
		return time.Time{}, err
	case !hasExpiry || !hasIssued:
		return time.Time{}, assertionFault("the assertion must have exp and iat")
	case issued.After(now.Add(assertionLeeway)):
		return time.Time{}, assertionFault("iat of the assertion is in the future: synchronize the clocks")
	case from.After(now.Add(assertionLeeway)):
		return time.Time{}, assertionFault("the assertion is not valid yet: nbf is in the future")
	}
	until = expires.Add(assertionLeeway)
	switch {
	case !now.Before(until):
		return time.Time{}, assertionFault("the assertion is expired: get a new one from the identity provider")
	case expires.Sub(issued) > maxAssertionLife:
		return time.Time{}, assertionFault("the assertion lives for more than " + maxAssertionLife.String() + " from iat to exp")
	}
	return until, nil
}

// key returns the thumbprint of the DPoP key that the assertion is bound to (draft, "Proof-of-Possession"), or empty. A confirmation of another form binds it to
// something that nobody can show here.
func (a *assertion) key() (thumbprint string, err error) {
	value, ok := a.claims["cnf"]
	if !ok {
		return "", nil
	}
	cnf, _ := value.(map[string]any)
	if thumbprint, _ = cnf["jkt"].(string); len(cnf) != 1 || !thumbprintForm(thumbprint) {
		return "", assertionFault("cnf of the assertion is not the thumbprint of a DPoP key")
	}
	return thumbprint, nil
}

// without refuses claims that would change the meaning of the others.
func (a *assertion) without(names ...string) error {
	for _, name := range names {
		if _, ok := a.claims[name]; ok {
			return assertionFault("the assertion holds " + name + ", and this server knows no tenants: sub would not tell people apart")
		}
	}
	return nil
}
