package jwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes that the signing methods ask for by number
	_ "crypto/sha512"

	gojwt "github.com/golang-jwt/jwt/v5"

	"github.com/go-mcpauth/sdk/internal/jwks"
)

// maxCandidates bounds the public-key operations that one token can cause: without a kid every
// compatible key is tried.
const maxCandidates = 8

// A method is one signature algorithm. golang-jwt computes it; what a key and a signature must look
// like is checked here first.
type method struct {
	name   string
	signer gojwt.SigningMethod
	curve  elliptic.Curve // ES256, ES384, ES512 only
	size   int            // length of the signature; 0 stands for the length of the modulus
}

var methods = map[string]*method{
	"RS256": {name: "RS256", signer: gojwt.SigningMethodRS256},
	"RS384": {name: "RS384", signer: gojwt.SigningMethodRS384},
	"RS512": {name: "RS512", signer: gojwt.SigningMethodRS512},
	"PS256": {name: "PS256", signer: pss(gojwt.SigningMethodPS256)},
	"PS384": {name: "PS384", signer: pss(gojwt.SigningMethodPS384)},
	"PS512": {name: "PS512", signer: pss(gojwt.SigningMethodPS512)},
	"ES256": {name: "ES256", signer: gojwt.SigningMethodES256, curve: elliptic.P256(), size: 64},
	"ES384": {name: "ES384", signer: gojwt.SigningMethodES384, curve: elliptic.P384(), size: 96},
	"ES512": {name: "ES512", signer: gojwt.SigningMethodES512, curve: elliptic.P521(), size: 132},
	"EdDSA": {name: "EdDSA", signer: gojwt.SigningMethodEdDSA, size: ed25519.SignatureSize},
	// RFC 9864, Section 2.2 names the one curve that "EdDSA" left open.
	"Ed25519": {name: "Ed25519", signer: gojwt.SigningMethodEdDSA, size: ed25519.SignatureSize},
}

// Algorithms returns every alg that can be configured, which is also the default: the asymmetric
// algorithms of RFC 7518 and RFC 8037 at all their sizes. None of them is weak, a key still fits one
// kind of them only (RFC 8725, Section 3.1), and providers use ES384 or RS512 without saying so. "none"
// and the HMACs are not among them and cannot be added.
func Algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
}

// pss returns m with the salt as long as the hash (RFC 7518, Section 3.5). golang-jwt verifies any
// length of salt.
func pss(m *gojwt.SigningMethodRSAPSS) *gojwt.SigningMethodRSAPSS {
	return &gojwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA,
		Options:          &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash},
	}
}

// verify reports whether sig is k's signature over input. The key source has already selected k by
// kid and algorithm; a mistake there must not become an algorithm confusion here (RFC 8725, Section
// 2.1), so type, curve, the key's own alg and the length of the signature are checked again.
func (m *method) verify(k *jwks.Key, input string, sig []byte) bool {
	if k == nil || k.Algorithm != "" && k.Algorithm != m.name && !(m.edwards() && sameEdwards(k.Algorithm)) {
		return false
	}
	size := m.size
	switch pub := k.Public.(type) {
	case *ecdsa.PublicKey:
		if pub == nil || m.curve == nil || pub.Curve != m.curve {
			return false // RFC 7518, Section 3.4: each ES algorithm has one curve
		}
	case *rsa.PublicKey:
		if pub == nil || m.curve != nil || m.edwards() {
			return false
		}
		size = pub.Size()
	case ed25519.PublicKey:
		if !m.edwards() {
			return false
		}
	default:
		return false
	}
	// RFC 7518, Section 3.4: R and S at full length. RFC 8017, Section 8.2.2: as long as the modulus.
	return len(sig) == size && m.signer.Verify(input, sig, crypto.PublicKey(k.Public)) == nil
}

func (m *method) edwards() bool { return sameEdwards(m.name) }

func sameEdwards(alg string) bool { return alg == "EdDSA" || alg == "Ed25519" }

// firstThatVerifies tries a bounded number of keys.
func (m *method) firstThatVerifies(keys []*jwks.Key, input string, signature []byte) *jwks.Key {
	for _, key := range keys[:min(len(keys), maxCandidates)] {
		if m.verify(key, input, signature) {
			return key
		}
	}
	return nil
}
