package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"sync/atomic"

	"github.com/MicahParks/jwkset"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// Limits on key material.
const (
	minRSABits = 2048 // RFC 7518, Section 3.3
	maxRSABits = 8192 // a verify with 8192 bits already costs ten times one with 2048
	// Longest texts that can hold allowed values: 8192 bits and a sign octet in
	// base64url, an exponent of 31 bits with leading zeros, a P-521 coordinate.
	maxModulusText    = 1400
	maxExponentText   = 16
	maxCoordinateText = 96
	// A JWK is flat; certificates come as an array of strings.
	maxKeyDepth = 16
)

// ErrKey is wrapped by every refusal of a single key. The texts name the
// member and the limit, never its value.
var ErrKey = errors.New("key not usable")

// A Key is a public key that may verify signatures. Keys are made by this
// package only; they are immutable and compared by pointer. The zero Key fits
// no algorithm and is current in no [Set].
type Key struct {
	ID        string           // kid; empty when the key has none
	Algorithm string           // alg of the JWK; empty when it allows all that its type fits
	Public    crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey or ed25519.PublicKey

	thumbprint [sha256.Size]byte
	algs       algSet
	set        *Set        // whose key it is
	live       atomic.Bool // still in that set
}

// Thumbprint returns the key's RFC 7638 thumbprint with SHA-256 in base64url.
func (k *Key) Thumbprint() string {
	return base64.RawURLEncoding.EncodeToString(k.thumbprint[:])
}

// Fits reports whether k may verify signatures of alg: by type, curve and the
// key's own alg (RFC 8725, Section 3.1).
func (k *Key) Fits(alg string) bool {
	a := algorithmOf(alg)
	return a != noAlgorithm && k.algs.has(a)
}

// identity is what makes a key of a later document the same key.
type identity struct {
	id, algorithm string
	thumbprint    [sha256.Size]byte
}

func (k *Key) identity() identity { return identity{k.ID, k.Algorithm, k.thumbprint} }

// A jwk is the part of a JWK that this package reads. Private members and
// certificates are passed over, so they are neither trusted nor kept.
type jwk struct {
	kty, use, alg, kid, crv, x, y, n, e string
	hasUse, hasOps, canVerify           bool
}

func readJWK(raw []byte) (*jwk, error) {
	var j jwk
	sc := strictjson.NewScanner(raw, strictjson.Limits{MaxDepth: maxKeyDepth})
	err := sc.Object(func(name []byte) error {
		var into *string
		switch string(name) {
		case "kty":
			into = &j.kty
		case "use":
			into, j.hasUse = &j.use, true
		case "alg":
			into = &j.alg
		case "kid":
			into = &j.kid
		case "crv":
			into = &j.crv
		case "x":
			into = &j.x
		case "y":
			into = &j.y
		case "n":
			into = &j.n
		case "e":
			into = &j.e
		case "key_ops":
			j.hasOps = true
			return sc.Array(func(int) error {
				op, err := sc.String()
				j.canVerify = j.canVerify || op == "verify"
				return err
			})
		default:
			return sc.Skip()
		}
		s, err := sc.String()
		*into = s
		return err
	})
	if err == nil {
		err = sc.End()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return &j, nil
}

// ParseKey reads one JWK (RFC 7517, Section 4) and returns its public key, or
// an error that wraps [ErrKey]. Private members are ignored and not kept;
// symmetric keys are refused (RFC 8725, Section 3.2).
func ParseKey(raw []byte) (*Key, error) {
	j, err := readJWK(raw)
	if err != nil {
		return nil, err
	}
	// RFC 7517, Section 4.2 and 4.3.
	if j.hasUse && j.use != "sig" {
		return nil, fmt.Errorf("%w: use is not sig", ErrKey)
	}
	if j.hasOps && !j.canVerify {
		return nil, fmt.Errorf("%w: key_ops lacks verify", ErrKey)
	}
	var material jwkset.JWKMarshal
	switch j.kty {
	case "RSA":
		if len(j.n) > maxModulusText || len(j.e) > maxExponentText {
			return nil, fmt.Errorf("%w: RSA modulus over %d bits or exponent over 31", ErrKey, maxRSABits)
		}
		material = jwkset.JWKMarshal{KTY: jwkset.KtyRSA, N: j.n, E: j.e}
	case "EC":
		if len(j.x) > maxCoordinateText || len(j.y) > maxCoordinateText {
			return nil, fmt.Errorf("%w: coordinate too long", ErrKey)
		}
		material = jwkset.JWKMarshal{KTY: jwkset.KtyEC, CRV: jwkset.CRV(j.crv), X: j.x, Y: j.y}
	case "OKP":
		if j.crv != "Ed25519" {
			return nil, fmt.Errorf("%w: curve is not supported", ErrKey)
		}
		if len(j.x) > maxCoordinateText {
			return nil, fmt.Errorf("%w: coordinate too long", ErrKey)
		}
		material = jwkset.JWKMarshal{KTY: jwkset.KtyOKP, CRV: jwkset.CrvEd25519, X: j.x}
	case "oct":
		return nil, fmt.Errorf("%w: symmetric", ErrKey)
	default:
		return nil, fmt.Errorf("%w: key type is not supported", ErrKey)
	}
	// Only what was examined above reaches jwkset: no certificate that could
	// fail to parse, no URL, no private part. Its errors quote values.
	parsed, err := jwkset.NewJWKFromMarshal(material, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return nil, fmt.Errorf("%w: malformed key material or a point off its curve", ErrKey)
	}
	k := &Key{ID: strings.Clone(j.kid), Algorithm: strings.Clone(j.alg)}
	if err := k.adopt(parsed.Key()); err != nil {
		return nil, err
	}
	if j.alg != "" {
		// RFC 7517, Section 4.4: the key is for this algorithm and no other.
		// RFC 9864 renames EdDSA over this curve to Ed25519; both names are used
		// for the same signatures.
		a := algorithmOf(j.alg)
		if a == noAlgorithm || !k.algs.has(a) {
			return nil, fmt.Errorf("%w: alg does not fit the key or is not supported", ErrKey)
		}
		k.algs = 1 << a
	}
	return k, nil
}

// adopt examines public and fills the fields that follow from it.
func (k *Key) adopt(public any) error {
	var canonical string
	b64 := base64.RawURLEncoding.EncodeToString
	switch pub := public.(type) {
	case *rsa.PublicKey:
		bits := pub.N.BitLen()
		switch {
		case bits < minRSABits:
			return fmt.Errorf("%w: RSA under %d bits", ErrKey, minRSABits)
		case bits > maxRSABits:
			return fmt.Errorf("%w: RSA over %d bits", ErrKey, maxRSABits)
		case pub.N.Bit(0) == 0:
			return fmt.Errorf("%w: RSA modulus is even", ErrKey)
		case pub.E < 3 || pub.E&1 == 0:
			// The upper bound of 31 bits is jwkset's and crypto/rsa's.
			return fmt.Errorf("%w: RSA exponent is not an odd number from 3 on", ErrKey)
		}
		k.algs = rsaAlgorithms
		canonical = `{"e":"` + b64(big.NewInt(int64(pub.E)).Bytes()) + `","kty":"RSA","n":"` + b64(pub.N.Bytes()) + `"}`
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			return fmt.Errorf("%w: point is not on its curve", ErrKey)
		}
		crv := pub.Params().Name
		switch crv {
		case "P-256":
			k.algs = 1 << es256
		case "P-384":
			k.algs = 1 << es384
		case "P-521":
			k.algs = 1 << es512
		default:
			return fmt.Errorf("%w: curve is not supported", ErrKey)
		}
		size := (len(point) - 1) / 2 // 0x04, x, y
		canonical = `{"crv":"` + crv + `","kty":"EC","x":"` + b64(point[1:1+size]) + `","y":"` + b64(point[1+size:]) + `"}`
	case ed25519.PublicKey:
		if !onEdwards25519(pub) {
			return fmt.Errorf("%w: point is not on its curve, or of small order", ErrKey)
		}
		k.algs = 1 << edDSA
		canonical = `{"crv":"Ed25519","kty":"OKP","x":"` + b64(pub) + `"}`
	default:
		return fmt.Errorf("%w: key type is not supported", ErrKey)
	}
	k.Public = public
	k.thumbprint = sha256.Sum256([]byte(canonical)) // RFC 7638, Section 3
	return nil
}
