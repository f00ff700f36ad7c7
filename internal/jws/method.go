package jws

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/go-mcpauth/sdk/internal/jwks"
)

// A Method is one signature algorithm. A nil Method verifies nothing, and so does the zero Method.
type Method struct {
	name   string
	signer gojwt.SigningMethod // nil for ES256, ES384, ES512
	curve  elliptic.Curve      // for them only
	size   int                 // length of the signature; 0 stands for the length of the modulus
}

var methods = map[string]*Method{
	"RS256": {name: "RS256", signer: gojwt.SigningMethodRS256},
	"RS384": {name: "RS384", signer: gojwt.SigningMethodRS384},
	"RS512": {name: "RS512", signer: gojwt.SigningMethodRS512},
	"PS256": {name: "PS256", signer: pss(gojwt.SigningMethodPS256)},
	"PS384": {name: "PS384", signer: pss(gojwt.SigningMethodPS384)},
	"PS512": {name: "PS512", signer: pss(gojwt.SigningMethodPS512)},
	"ES256": {name: "ES256", curve: elliptic.P256(), size: 64},
	"ES384": {name: "ES384", curve: elliptic.P384(), size: 96},
	"ES512": {name: "ES512", curve: elliptic.P521(), size: 132},
	"EdDSA": {name: "EdDSA", signer: gojwt.SigningMethodEdDSA, size: ed25519.SignatureSize},
	// RFC 9864, Section 2.2 names the one curve that "EdDSA" left open.
	"Ed25519": {name: "Ed25519", signer: gojwt.SigningMethodEdDSA, size: ed25519.SignatureSize},
}

// Algorithms returns every alg that can be configured: the asymmetric algorithms of RFC 7518 and RFC
// 8037 at all their sizes. None of them is weak, and a key still fits one kind of them only (RFC 8725,
// Section 3.1). "none" and the HMACs are not among them and cannot be added.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
}

// MethodOf returns the method for an alg, compared with case (RFC 7515, Section 4.1.1), or nil for one
// that is not among [Algorithms].
func MethodOf(alg string) *Method { return methods[alg] }

// pss returns m with the salt as long as the hash (RFC 7518, Section 3.5). golang-jwt verifies any
// length of salt.
func pss(m *gojwt.SigningMethodRSAPSS) *gojwt.SigningMethodRSAPSS {
	return &gojwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA,
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash},
	}
}

// Verify reports whether sig is k's signature over input. The caller has already selected k by
// algorithm; a mistake there must not become an algorithm confusion here (RFC 8725, Section 2.1), so
// type, curve, the key's own alg and the length of the signature are checked again.
func (m *Method) Verify(k *jwks.Key, input string, sig []byte) bool {
	if m == nil || k == nil {
		return false
	}
	if k.Algorithm != "" && k.Algorithm != m.name && !(m.edwards() && sameEdwards(k.Algorithm)) {
		return false
	}
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		// RFC 7518, Section 3.4: each ES algorithm has one curve, and R and S are at full length.
		return pub != nil && m.curve != nil && pub.Curve == m.curve && len(sig) == m.size && m.verifyECDSA(pub, input, sig)
	case *rsa.PublicKey:
		// RFC 8017, Section 8.2.2: as long as the modulus.
		return pub != nil && m.signer != nil && !m.edwards() && len(sig) == pub.Size() && m.signer.Verify(input, sig, crypto.PublicKey(pub)) == nil
	case ed25519.PublicKey:
		return m.signer != nil && m.edwards() && len(sig) == m.size && m.signer.Verify(input, sig, crypto.PublicKey(pub)) == nil
	}
	return false
}

// verifyECDSA asks crypto/ecdsa itself: on the way through golang-jwt and math/big a signature costs
// twelve allocations more, of the 25 that a whole request with a proof may make.
func (m *Method) verifyECDSA(pub *ecdsa.PublicKey, input string, sig []byte) bool {
	var space [maxASN1]byte
	der := appendASN1(space[:0], sig)
	switch m.size {
	case 64:
		digest := sha256.Sum256([]byte(input))
		return ecdsa.VerifyASN1(pub, digest[:], der)
	case 96:
		digest := sha512.Sum384([]byte(input))
		return ecdsa.VerifyASN1(pub, digest[:], der)
	case 132:
		digest := sha512.Sum512([]byte(input))
		return ecdsa.VerifyASN1(pub, digest[:], der)
	}
	return false
}

// maxASN1 is the longest sequence of two integers of 66 bytes, as long as those of P-521, and a sign.
const maxASN1 = 3 + 2*(2+67)

// appendASN1 writes R and S, one half of sig each, as the sequence of two integers that crypto/ecdsa
// takes (RFC 3279, Section 2.2.3).
func appendASN1(out, sig []byte) []byte {
	r, s := integer(sig[:len(sig)/2]), integer(sig[len(sig)/2:])
	length := 2 + r.size() + 2 + s.size()
	out = append(out, 0x30)
	if length > 0x7f {
		out = append(out, 0x81)
	}
	out = append(out, byte(length))
	return s.append(r.append(out))
}

// An integer is a number without sign, big endian.
type integer []byte

// size is the length of the shortest form with a sign bit of zero, the only one in DER.
func (n integer) size() int {
	n = n.trim()
	return len(n) + int(n[0]>>7)
}

func (n integer) append(out []byte) []byte {
	out = append(out, 0x02, byte(n.size()))
	if n = n.trim(); n[0] > 0x7f {
		out = append(out, 0)
	}
	return append(out, n...)
}

// trim removes zeros before the number, but not the number zero.
func (n integer) trim() integer {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

func (m *Method) edwards() bool { return sameEdwards(m.name) }

func sameEdwards(alg string) bool { return alg == "EdDSA" || alg == "Ed25519" }
