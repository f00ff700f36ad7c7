package prm

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // for crypto.SHA256
	_ "crypto/sha512" // for crypto.SHA384 and crypto.SHA512
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
)

// Sizes of RSA keys: fewer bits are weak (RFC 7518, Section 3.3), more cost a verifier too much.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// An algorithm is one alg of a signature (RFC 7518, Section 3.1; RFC 8037, Section 3.1; RFC 9864, Section 2.2). This package uses nothing
// but the standard library, so that it can be imported alone; its tests hold it against the rest of the module.
type algorithm struct {
	name  string
	hash  crypto.Hash    // zero for Ed25519, which hashes itself
	curve elliptic.Curve // of ES256 and its kin only
	pss   bool
}

// algorithms are all that sign and verify here. There is no none and no secret that two parties share, and nothing can be added
// (RFC 8725, Section 3.1 and 3.2).
var algorithms = []algorithm{
	{name: "ES256", hash: crypto.SHA256, curve: elliptic.P256()},
	{name: "ES384", hash: crypto.SHA384, curve: elliptic.P384()},
	{name: "ES512", hash: crypto.SHA512, curve: elliptic.P521()},
	{name: "EdDSA"},
	{name: "Ed25519"},
	{name: "RS256", hash: crypto.SHA256},
	{name: "RS384", hash: crypto.SHA384},
	{name: "RS512", hash: crypto.SHA512},
	{name: "PS256", hash: crypto.SHA256, pss: true},
	{name: "PS384", hash: crypto.SHA384, pss: true},
	{name: "PS512", hash: crypto.SHA512, pss: true},
}

func algorithmOf(name string) *algorithm {
	for i := range algorithms {
		if algorithms[i].name == name { // compared with case (RFC 7515, Section 4.1.1)
			return &algorithms[i]
		}
	}
	return nil
}

// defaultAlgorithm is the first in the table that the key fits: ES256 for P-256, EdDSA for Ed25519, RS256 for RSA, which every verifier has.
func defaultAlgorithm(public crypto.PublicKey) *algorithm {
	for i := range algorithms {
		if algorithms[i].fits(public) == nil {
			return &algorithms[i]
		}
	}
	return nil
}

var errKey = fmt.Errorf("this key cannot sign; use an elliptic (P-256, P-384, P-521), Ed25519 or RSA key of %d to %d bits", minRSABits, maxRSABits)

// fits says why a key is not for this algorithm, or nothing. A key of one kind must never verify for another (RFC 8725, Section 2.1).
func (a *algorithm) fits(public crypto.PublicKey) error {
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		if public == nil || a.curve == nil || public.Curve != a.curve {
			return fmt.Errorf("an elliptic key of this curve is not for %s; write ES256 for P-256, ES384 for P-384, ES512 for P-521", a.name)
		}
	case ed25519.PublicKey:
		if a.hash != 0 || len(public) != ed25519.PublicKeySize {
			return fmt.Errorf("an Ed25519 key is not for %s; write EdDSA", a.name)
		}
	case *rsa.PublicKey:
		if public == nil || public.N == nil || a.hash == 0 || a.curve != nil {
			return fmt.Errorf("an RSA key is not for %s; write RS256 or PS256", a.name)
		}
		if n := public.N.BitLen(); n < minRSABits || n > maxRSABits {
			return fmt.Errorf("an RSA key of %d bits is not accepted; use one of %d to %d bits", n, minRSABits, maxRSABits)
		}
	default:
		return errKey
	}
	return nil
}

// sign signs the input of a JWS. The key may be anywhere, and may fail or panic.
func (a *algorithm) sign(key crypto.Signer, input []byte) (sig []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			sig, err = nil, fmt.Errorf("the key panicked: %v", v)
		}
	}()
	if a.hash == 0 {
		return key.Sign(rand.Reader, input, crypto.Hash(0))
	}
	h := a.hash.New()
	h.Write(input)
	digest := h.Sum(nil)
	if a.curve != nil {
		random := rand.Reader
		if _, local := key.(*ecdsa.PrivateKey); local {
			random = nil // RFC 6979: replicas with one key write one document, and so one entity tag
		}
		der, err := key.Sign(random, digest, a.hash)
		if err != nil {
			return nil, err
		}
		return a.fixed(der)
	}
	if a.pss {
		return key.Sign(rand.Reader, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}) // RFC 7518, Section 3.5
	}
	return key.Sign(rand.Reader, digest, a.hash)
}

// fixed turns the signature of a crypto.Signer into R and S at full length (RFC 7518, Section 3.4).
func (a *algorithm) fixed(der []byte) ([]byte, error) {
	var numbers struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &numbers); err != nil || len(rest) > 0 {
		return nil, errors.New("the key returned no ASN.1 signature")
	}
	size := a.half()
	for _, n := range []*big.Int{numbers.R, numbers.S} {
		if n == nil || n.Sign() <= 0 || n.BitLen() > 8*size {
			return nil, errors.New("the key returned a signature of another curve")
		}
	}
	out := make([]byte, 2*size)
	numbers.R.FillBytes(out[:size])
	numbers.S.FillBytes(out[size:])
	return out, nil
}

// half is the length of R, and of S.
func (a *algorithm) half() int { return (a.curve.Params().BitSize + 7) / 8 }

// verify reports whether sig is the signature of the key over input. A key that does not fit has signed nothing.
func (a *algorithm) verify(public crypto.PublicKey, input, sig []byte) bool {
	if a.fits(public) != nil {
		return false
	}
	if a.hash == 0 {
		key, ok := public.(ed25519.PublicKey)
		return ok && len(sig) == ed25519.SignatureSize && ed25519.Verify(key, input, sig)
	}
	h := a.hash.New()
	h.Write(input)
	digest := h.Sum(nil)
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		n := a.half()
		return len(sig) == 2*n && ecdsa.Verify(key, digest, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:]))
	case *rsa.PublicKey:
		if len(sig) != key.Size() { // RFC 8017, Section 8.2.2
			return false
		}
		if a.pss {
			return rsa.VerifyPSS(key, a.hash, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}) == nil
		}
		return rsa.VerifyPKCS1v15(key, a.hash, digest, sig) == nil
	}
	return false
}
