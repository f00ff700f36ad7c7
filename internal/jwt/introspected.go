package jwt

import (
	"slices"

	"github.com/go-mcpauth/sdk/internal/jws"
)

// answerNames are the members that decide something in an introspected token besides claimNames.
var answerNames = slices.Concat(claimNames, []string{"active", "token_type", "events"})

// Accept applies an issuer's checks to what its introspection endpoint said of an active token (RFC 7662,
// Section 2.2): the same as for the claims of a JWT, and besides that iss must be the issuer where it is
// present, and the token must not be of another kind than an access token. The caller has made sure
// that the answer is the endpoint's and that active was true. issuer is an index into the issuers given
// to [New], one with Introspected. Numbers are json.Number in claims, which are kept and not changed. Any
// error is an *[Error].
func (v *Verifier) Accept(issuer int, claims map[string]any) (*Token, error) {
	t, refusal := v.accept(issuer, claims)
	if refusal != nil {
		return nil, refusal
	}
	return t, nil
}

func (v *Verifier) accept(index int, claims map[string]any) (*Token, *Error) {
	if index < 0 || index >= len(v.issuers) || !v.issuers[index].Introspected {
		return nil, &Error{
			Reason: ReasonUnknownIssuer, Expected: "an issuer whose tokens are introspected", Got: "another one",
			Cure: "configure introspection for the issuer",
		}
	}
	iss := v.issuers[index]
	for name := range claims {
		if known := jws.VariantOf(name, answerNames); known != "" {
			return nil, malformed("claim "+known, "a spelling of it with other letters", nil)
		}
	}
	if active, ok := claims["active"]; ok && active != true {
		return nil, malformed("active as true", "something else", nil)
	}
	url, ok, refusal := stringClaim(claims, "iss")
	if refusal != nil {
		return nil, refusal
	}
	if ok && url != iss.URL {
		return nil, &Error{
			Reason: ReasonUnknownIssuer, Expected: "iss " + quote(iss.URL) + ", or none", Got: "iss " + quote(url),
			Cure: "write the issuer's URL exactly as the introspection endpoint gives it in iss; a slash at the end makes a difference",
		}
	}
	t := &Token{Issuer: index, Introspected: true, Claims: claims}
	if refusal := iss.acceptTokenType(t); refusal != nil {
		return nil, refusal
	}
	if refusal := iss.acceptClaims(t, v.now()); refusal != nil {
		return nil, refusal
	}
	return t, nil
}

// acceptTokenType tells access tokens from refresh tokens and ID tokens, which introspection endpoints
// know as well and call active (RFC 7662, Section 2.1: the hint is no filter). Where a server gives both the
// same look, as go-oidc does for tokens that are not bound, only it can keep them apart.
func (iss *issuer) acceptTokenType(t *Token) *Error {
	kind, present, refusal := stringClaim(t.Claims, "token_type")
	if refusal != nil {
		return refusal
	}
	if !present {
		return iss.acceptUntyped(t)
	}
	const cure = "the client must send the access_token of the token response"
	cnf, _ := t.Claims["cnf"].(map[string]any)
	_, bound := cnf["jkt"]
	switch lowerASCII(kind) {
	case "bearer":
		if bound {
			// RFC 9449, Section 6.2. go-oidc writes it of refresh tokens of clients with DPoP.
			return &Error{
				Reason: ReasonType, Expected: "token_type DPoP with cnf.jkt", Got: "token_type " + quote(kind) + " with it: perhaps a refresh token", Cure: cure,
			}
		}
		return nil
	case "dpop":
		if !bound {
			return &Error{
				Reason: ReasonType, Expected: "cnf.jkt with token_type DPoP", Got: "none, so nobody could tell whose key it is bound to",
				Cure: "have the authorization server put cnf into its introspection answers (RFC 9449, Section 6.2)",
			}
		}
		return nil
	case "access_token", "urn:ietf:params:oauth:token-type:access_token": // RFC 8693, Section 3
		return nil
	case "refresh_token", "urn:ietf:params:oauth:token-type:refresh_token":
		return &Error{Reason: ReasonRefreshToken, Expected: "an access token", Got: "a refresh token: token_type " + quote(kind), Cure: cure}
	case "id_token", "urn:ietf:params:oauth:token-type:id_token":
		return &Error{Reason: ReasonIDToken, Expected: "an access token", Got: "an ID token: token_type " + quote(kind), Cure: cure}
	}
	return &Error{Reason: ReasonType, Expected: "token_type Bearer or DPoP", Got: "token_type " + quote(kind), Cure: cure}
}

// acceptUntyped looks at an answer without token_type, which is optional and which oidc-provider leaves out
// for refresh tokens alone. Something else must then say that this is an access token: its kind, or that it
// is for this resource.
func (iss *issuer) acceptUntyped(t *Token) *Error {
	kind, _, _ := stringClaim(t.Claims, "typ")
	use, _, _ := stringClaim(t.Claims, "token_use")
	if kind != "" || use != "" {
		return nil // acceptKind judges them
	}
	for audience := range iss.audiences {
		if iss.names(t, audience) {
			return nil
		}
	}
	if !iss.AnyAudience && !iss.NoAudience && !iss.ClientAudience {
		return nil // the audience is judged next, and explains more
	}
	return &Error{
		Reason: ReasonRefreshToken, Expected: "token_type, or aud with this resource", Got: "neither: perhaps a refresh token",
		Cure: "the client must send the access_token of the token response; have the authorization server put token_type or aud " +
			"into its introspection answers",
	}
}

// refuseSigned refuses a JWT of an issuer without keys.
func (iss *issuer) refuseSigned() *Error {
	return &Error{
		Reason: ReasonUnknownKey, Expected: "an opaque token of " + quote(iss.URL), Got: "a JWT",
		Cure: "configure the issuer's keys, or have it issue opaque tokens for this resource",
	}
}
