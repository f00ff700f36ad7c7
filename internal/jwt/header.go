package jwt

import (
	"slices"
	"strconv"

	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// maxKeyID bounds a kid. Real ones are thumbprints and names of a few dozen bytes.
const maxKeyID = 1024

type header struct {
	alg, kid  string
	typ       string // normalized; see hasType
	hasType   bool
	rawType   string
	method    *jws.Method
	encrypted bool
}

// headerNames are the members that mean something here. Another spelling of one is refused: to a
// decoder that folds case it would be the same member.
var headerNames = []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc"}

// parseHeader reads the JOSE header (RFC 7515, Section 4) and applies the rules that are the same for
// every issuer. jwk, jku, x5u, x5c and unknown members are validated as JSON and ignored: none of them
// may choose a key (RFC 8725, Section 3.10).
func parseHeader(encoded string) (*header, *Error) {
	if len(encoded) > maxHeader {
		return nil, malformed("a header of at most "+strconv.Itoa(maxHeader)+" bytes", strconv.Itoa(len(encoded))+" bytes", nil)
	}
	text, err := jws.Decode(encoded)
	if err != nil {
		return nil, malformed("a header in base64url without padding", "other bytes", nil)
	}
	var h header
	var refusal *Error
	s := strictjson.NewScanner(text, strictjson.Limits{MaxDepth: maxDepth})
	hasAlgorithm := false
	err = s.Object(func(name []byte) error {
		var err error
		switch string(name) {
		case "alg":
			hasAlgorithm = true
			h.alg, err = s.String()
		case "typ":
			h.hasType = true
			h.rawType, err = s.String()
		case "kid":
			// RFC 7515, Section 4.1.4: a case-sensitive string.
			h.kid, err = s.String()
		case "crit", "b64", "zip":
			// RFC 7515, Section 4.1.11: no extension is understood, so any crit is too much, of a wrong
			// type even more so. b64 (RFC 7797, Section 7) and zip change what is signed.
			if refusal == nil {
				refusal = &Error{Reason: ReasonCritical, Expected: "no " + string(name) + " in the header", Got: string(name)}
			}
		case "enc":
			h.encrypted = true
		default:
			if known := jws.VariantOf(name, headerNames); known != "" && refusal == nil {
				refusal = malformed("header member "+known, "a spelling of it with other letters", nil)
			}
		}
		return err
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, malformed("a header that is one JSON object, with strings for alg, typ and kid", "something else", err)
	}
	switch {
	case refusal != nil:
		return nil, refusal
	case h.encrypted:
		return nil, refuseEncrypted("a header with enc")
	case !hasAlgorithm:
		return nil, malformed("a header with alg", "none", nil)
	case len(h.kid) > maxKeyID:
		return nil, malformed("a kid of at most "+strconv.Itoa(maxKeyID)+" bytes", strconv.Itoa(len(h.kid))+" bytes", nil)
	}
	if h.method = jws.MethodOf(h.alg); h.method == nil {
		return nil, &Error{
			Reason: ReasonAlgorithm, Expected: "an asymmetric signature algorithm", Got: "alg " + quote(h.alg),
			Cure: "sign access tokens for this resource with a key pair, for example RS256 or ES256, not with a shared secret",
		}
	}
	if h.hasType {
		h.typ = normalizeType(h.rawType)
		if slices.Contains(foreignTypes, h.typ) {
			return nil, &Error{
				Reason: ReasonType, Expected: "an access token", Got: "typ " + quote(h.rawType) + ", another kind of token",
				Cure: "the client must send the access token of the token response",
			}
		}
	}
	return &h, nil
}

// acceptHeader applies what the issuer's configuration says about the header.
func (iss *issuer) acceptHeader(h *header) *Error {
	if !iss.algorithms[h.alg] {
		return &Error{
			Reason: ReasonAlgorithm, Expected: "one of the algorithms configured for this issuer", Got: "alg " + quote(h.alg),
			Cure: "add the algorithm to the issuer's Algorithms, or change the signing algorithm at the authorization server",
		}
	}
	// An empty typ is not an absent one.
	if h.hasType && h.typ != "" && slices.Contains(iss.types, h.typ) || !h.hasType && slices.Contains(iss.types, "") {
		return nil
	}
	got := "no typ"
	if h.hasType {
		got = "typ " + quote(h.rawType)
	}
	cure := "have the authorization server issue RFC 9068 access tokens (Auth0: token profile RFC 9068), or add this typ to " +
		"the issuer's TokenTypes (Auth0, Entra ID, Keycloak, Ory Hydra: JWT; Okta, Cognito: the empty string)"
	if h.typ == accessTokenType {
		cure = "add at+jwt to the issuer's TokenTypes: a list replaces the default"
	}
	return &Error{
		Reason: ReasonType, Expected: "typ in " + quoteList(iss.configuredTypes()) + " (\"\" stands for none)", Got: got, Cure: cure,
	}
}

// configuredTypes is the list as somebody wrote it.
func (iss *issuer) configuredTypes() []string {
	if iss.Types == nil {
		return iss.types
	}
	return iss.Types
}
