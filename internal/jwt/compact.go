package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jws"
)

const (
	maxToken  = 16 << 10 // of the whole token, checked before anything is decoded
	maxHeader = 4 << 10  // of the encoded header
	maxDepth  = 32       // nesting in header and claims
)

// split finds the three parts of a compact JWS (RFC 7515, Section 7.1), or tells what the token is
// instead.
func split(token string) (jws.Parts, *Error) {
	p := jws.Split(token)
	switch {
	case p.OK():
		return p, nil
	case p.Dots == 4 && LooksLikeJWT(token):
		return p, refuseEncrypted("five parts")
	case !LooksLikeJWT(token):
		return p, refuseOpaque(p.Dots, len(token))
	case p.Dots != 2:
		return p, malformed("three parts separated by dots", countParts(p.Dots), nil)
	}
	return p, malformed("base64url without padding", "a byte outside its alphabet", nil)
}

// LooksLikeJWT reports whether a token has the form of a JWT, signed or encrypted, good or bad: dots,
// and a first part that decodes to a JSON object. It decides only which way a token takes. So it is
// lenient where Verify is strict: a JWT that is broken, padded or too long is still a JWT and must
// not be sent to an introspection endpoint instead.
func LooksLikeJWT(token string) bool {
	first, _, ok := strings.Cut(token, ".")
	if !ok {
		return false
	}
	if len(first) > maxToken {
		// Too long to look at as a whole: a first byte of '{' decides.
		return first[0] == 'e' && 'w' <= first[1] && first[1] <= 'z'
	}
	text, err := base64.RawURLEncoding.DecodeString(lenient.Replace(strings.TrimRight(first, "=")))
	if err != nil {
		return false
	}
	var object map[string]json.RawMessage
	return json.NewDecoder(bytes.NewReader(text)).Decode(&object) == nil && object != nil
}

var lenient = strings.NewReplacer("+", "-", "/", "_")
