package mcpauth

import (
	"crypto/sha256"
	"encoding/base64"

	"github.com/go-mcpauth/sdk/internal/jwt"
)

// A binding is what the cnf claim of a token demands (RFC 7800): thumbprints in base64url, empty where
// nothing is demanded.
type binding struct {
	key         string // jkt (RFC 9449, Section 6.1): a DPoP proof by that key
	certificate string // x5t#S256 (RFC 8705, Section 3.1): that client certificate
}

// bindingOf reads cnf. Every member must be understood and can be satisfied here, else the token is
// refused (RFC 7800, Section 3.1): it is bound to something, and nobody would look.
func (m *Middleware) bindingOf(t *jwt.Token) (binding, error) {
	var b binding
	if !t.Bound {
		return b, nil
	}
	refuse := func(expected, got, cure string) (binding, error) {
		return binding{}, &jwt.Error{Reason: string(ReasonBoundToken), Expected: expected, Got: got, Cure: cure}
	}
	for name, value := range t.Confirmation {
		thumbprint, ok := value.(string)
		switch name {
		case "jkt":
			if m.schemes&dpopScheme == 0 {
				return refuse("a token that is not bound to a key, since Config.DPoP.Mode is DPoPOff", "one with cnf.jkt",
					"accept DPoP, or have the authorization server issue plain bearer tokens for this resource")
			}
			b.key = thumbprint
		case "x5t#S256":
			if !m.mutualTLS.Enabled {
				return refuse("a token that is not bound to a certificate, since Config.MutualTLS is not enabled", "one with cnf.x5t#S256",
					"enable Config.MutualTLS, or have the authorization server issue plain bearer tokens for this resource")
			}
			b.certificate = thumbprint
		default:
			return refuse("cnf with jkt or x5t#S256 only", "cnf with a member "+loggable(name),
				"have the authorization server bind tokens by DPoP or by certificate")
		}
		if !ok || !isThumbprint(thumbprint) {
			return refuse("cnf."+name+" as a SHA-256 thumbprint in base64url", "something else", "the authorization server is at fault")
		}
	}
	if b == (binding{}) {
		return refuse("cnf as an object with jkt or x5t#S256", "an empty one, or no object", "the authorization server is at fault")
	}
	return b, nil
}

// isThumbprint reports whether s is 32 bytes in the one base64url spelling that they have.
func isThumbprint(s string) bool {
	var sum [sha256.Size]byte
	if len(s) != base64.RawURLEncoding.EncodedLen(len(sum)) {
		return false
	}
	n, err := base64.RawURLEncoding.Strict().Decode(sum[:], []byte(s))
	return err == nil && n == len(sum) // shorter where line breaks were passed over
}
