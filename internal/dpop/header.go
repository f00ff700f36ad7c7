package dpop

import (
	"crypto/rsa"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/go-mcpauth/sdk/internal/explain"
	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

const (
	maxHeader  = 4 << 10 // of the encoded header; RSA with 4096 bits needs a quarter of it
	maxDepth   = 16      // nesting in header and claims
	maxRSABits = 4096    // the client chooses the key, and a verify with 8192 bits costs sixteen of 2048
)

// A Key is the public key of a proof that was accepted, together with the header in which it came. It is
// immutable.
type Key struct {
	header     string // as it was encoded
	method     *jws.Method
	key        *jwks.Key
	thumbprint string
	sum        [32]byte
	owner      *Verifier // whose rules it has met
}

// Thumbprint returns the key's RFC 7638 thumbprint with SHA-256 in base64url, as in cnf.jkt; "" for a nil
// Key.
func (k *Key) Thumbprint() string {
	if k == nil {
		return ""
	}
	return k.thumbprint
}

// Sum returns the thumbprint as bytes; zeros for a nil Key.
func (k *Key) Sum() [32]byte {
	if k == nil {
		return [32]byte{}
	}
	return k.sum
}

// Size estimates the bytes that remembering k takes.
func (k *Key) Size() int {
	if k == nil {
		return 0
	}
	size := 512 + len(k.header) + len(k.key.ID) + len(k.key.Algorithm)
	if public, ok := k.key.Public.(*rsa.PublicKey); ok {
		size += 2 * public.Size()
	}
	return size
}

// A header is one that was read; its key has not been looked at beyond the names of its members.
type header struct {
	encoded string
	method  *jws.Method
	alg     string
	jwk     []byte
}

var (
	// headerNames are the members that mean something here, or would if they were obeyed.
	headerNames = []string{"typ", "alg", "jwk", "crit", "b64", "zip", "enc"}
	// keyNames are the members of a public JWK that are read (RFC 7517, Section 4; RFC 7518, Section 6).
	keyNames = []string{"kty", "use", "key_ops", "alg", "kid", "crv", "x", "y", "n", "e"}
	// privateNames are the private and symmetric ones (RFC 7518, Sections 6.2.2, 6.3.2 and 6.4; RFC 8037,
	// Section 2).
	privateNames = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
)

// readHeader checks all of the JOSE header but the key (RFC 9449, Section 4.3, items 2, 4, 5 and 7). kid,
// x5c and their like are ignored: none of them may choose a key (RFC 8725, Section 3.10).
func (v *Verifier) readHeader(encoded string) (*header, *Error) {
	if len(encoded) > maxHeader {
		return nil, invalid(ReasonTooLong, "a header of at most "+strconv.Itoa(maxHeader)+" bytes", strconv.Itoa(len(encoded))+" bytes", nil)
	}
	text, err := jws.Decode(encoded)
	if err != nil {
		return nil, malformed("a header in canonical base64url", "other bytes", nil)
	}
	h := &header{encoded: encoded}
	var typ string
	var hasType, hasAlgorithm bool
	var refusal *Error
	s := strictjson.NewScanner(text, strictjson.Limits{MaxDepth: maxDepth})
	err = s.Object(func(name []byte) (err error) {
		switch string(name) {
		case "typ":
			hasType = true
			typ, err = s.String()
		case "alg":
			hasAlgorithm = true
			h.alg, err = s.String()
		case "jwk":
			h.jwk, err = s.Raw()
		case "crit", "b64", "zip", "enc":
			// RFC 7515, Section 4.1.11: no extension is understood, so any crit is too much. b64 (RFC 7797,
			// Section 7) and zip change what is signed.
			if refusal == nil {
				refusal = invalid(ReasonCritical, "no "+string(name)+" in the header", string(name), nil)
			}
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
	switch {
	case err != nil:
		return nil, malformed("a header that is one JSON object, with strings for typ and alg", "something else", err)
	case refusal != nil:
		return nil, refusal
	case !hasType:
		return nil, invalid(ReasonType, "typ dpop+jwt", "no typ", nil)
	case !isProofType(typ):
		return nil, invalid(ReasonType, "typ dpop+jwt", "typ "+explain.Quote(typ), nil)
	case !hasAlgorithm:
		return nil, malformed("a header with alg", "none", nil)
	case v.methods[h.alg] == nil:
		refusal := invalid(ReasonAlgorithm, "one of "+strings.Join(v.algorithms, ", "), "alg "+explain.Quote(h.alg), nil)
		refusal.Cure = "add the algorithm to the configured ones if it is asymmetric, or have the client choose from algs in the challenge"
		return nil, refusal
	case h.jwk == nil:
		return nil, malformed("a header with jwk", "none", nil)
	}
	h.method = v.methods[h.alg]
	return h, checkMembers(h.jwk)
}

// isProofType: media types have no case, and RFC 7515, Section 4.1.9 lets a producer write application/.
func isProofType(typ string) bool {
	return strings.EqualFold(typ, "dpop+jwt") || strings.EqualFold(typ, "application/dpop+jwt")
}

// checkMembers looks at the names in a JWK, nothing else. A private key that was sent is no longer one,
// and whoever sends it has more to repair than this proof (RFC 9449, Section 4.3, item 7).
func checkMembers(jwk []byte) *Error {
	var refusal *Error
	s := strictjson.NewScanner(jwk, strictjson.Limits{MaxDepth: maxDepth})
	err := s.Object(func(name []byte) error {
		for _, private := range privateNames {
			if strictjson.EqualFold(name, private) {
				refusal = invalid(ReasonPrivateKey, "a public key in jwk", "member "+private, nil)
				refusal.Cure = "the client must put the public half only into jwk, and replace the key, which is known now"
				return nil
			}
		}
		if known := jws.VariantOf(name, keyNames); known != "" && refusal == nil {
			refusal = malformed("member "+known+" of jwk", "a spelling of it with other letters", nil)
		}
		return nil
	})
	if err != nil {
		return malformed("an object as jwk", "something else", err)
	}
	return refusal
}

// key reads the JWK: size, curve and whether the point is on it, and that alg, use and key_ops, where it
// has them, allow these signatures (RFC 7517, Section 4).
func (v *Verifier) key(h *header) (*Key, *Error) {
	key, err := jwks.ParseKey(h.jwk)
	if err != nil {
		return nil, invalid(ReasonKey, "a public key for "+h.alg, "another or a broken one", err)
	}
	if !key.Fits(h.alg) {
		return nil, invalid(ReasonKey, "a public key for "+h.alg, "one for another algorithm", nil)
	}
	if public, ok := key.Public.(*rsa.PublicKey); ok && public.N.BitLen() > maxRSABits {
		return nil, invalid(ReasonKey, "RSA of at most "+strconv.Itoa(maxRSABits)+" bits", strconv.Itoa(public.N.BitLen())+" bits", nil)
	}
	k := &Key{header: strings.Clone(h.encoded), method: h.method, key: key, thumbprint: key.Thumbprint(), owner: v}
	if _, err := base64.RawURLEncoding.Decode(k.sum[:], []byte(k.thumbprint)); err != nil {
		return nil, invalid(ReasonKey, "a key with a thumbprint", "none", err)
	}
	return k, nil
}
