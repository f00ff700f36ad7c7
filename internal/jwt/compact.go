package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

const (
	maxToken  = 16 << 10 // of the whole token, checked before anything is decoded
	maxHeader = 4 << 10  // of the encoded header
	maxDepth  = 32       // nesting in header and claims
)

// base64url of RFC 7515, Section 2, with unused bits that must be zero: otherwise one signature has
// several spellings, and a token several hashes.
var base64url = base64.RawURLEncoding.Strict()

// alphabet marks the bytes of base64url. encoding/base64 skips line breaks, which must not be here.
var alphabet = func() (t [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		t[c] = true
	}
	return t
}()

// split finds the two dots of a compact JWS (RFC 7515, Section 7.1). It looks at each byte once and
// allocates nothing, whatever the number of dots.
func split(token string) (header, payload, signature string, refusal *Error) {
	var at [2]int
	dots, foreign := 0, false
	for i := range len(token) {
		if c := token[i]; c == '.' {
			if dots < len(at) {
				at[dots] = i
			}
			dots++
		} else if !alphabet[c] {
			foreign = true
		}
	}
	switch {
	case dots == 4 && LooksLikeJWT(token):
		return "", "", "", refuseEncrypted("five parts")
	case (dots != 2 || foreign) && !LooksLikeJWT(token):
		return "", "", "", refuseOpaque(dots, len(token))
	case dots != 2:
		return "", "", "", malformed("three parts separated by dots", countParts(dots), nil)
	case foreign:
		return "", "", "", malformed("base64url without padding", "a byte outside its alphabet", nil)
	}
	return token[:at[0]], token[at[0]+1 : at[1]], token[at[1]+1:], nil
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
