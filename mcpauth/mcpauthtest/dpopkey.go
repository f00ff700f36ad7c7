package mcpauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // the hashes of the algorithms
	_ "crypto/sha512"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
)

// A DPoPKey is a private key that signs DPoP proofs. Make one with [NewDPoPKey] or [NewDPoPKeyFrom]; the
// zero value panics when it has to sign. It does not change and is safe for concurrent use.
type DPoPKey struct {
	alg    algorithm
	signer crypto.Signer
	public map[string]string
	thumb  string
}

// An algorithm is a signature algorithm of RFC 7518, Section 3.1, or RFC 8037, Section 3.1.
type algorithm struct {
	name  string
	curve elliptic.Curve // of an ECDSA algorithm
	hash  crypto.Hash    // zero for Ed25519, which hashes by itself
	pss   bool
}

var algorithms = []algorithm{
	{"ES256", elliptic.P256(), crypto.SHA256, false},
	{"ES384", elliptic.P384(), crypto.SHA384, false},
	{"ES512", elliptic.P521(), crypto.SHA512, false},
	{"PS256", nil, crypto.SHA256, true},
	{"PS384", nil, crypto.SHA384, true},
	{"PS512", nil, crypto.SHA512, true},
	{"RS256", nil, crypto.SHA256, false},
	{"RS384", nil, crypto.SHA384, false},
	{"RS512", nil, crypto.SHA512, false},
	{"EdDSA", nil, 0, false},
}

// NewDPoPKey makes a new key for an algorithm: ES256, ES384, ES512, PS256, PS384, PS512, RS256, RS384,
// RS512 or EdDSA (Ed25519). The empty string means ES256. RSA keys have 2048 bits and take some tenths
// of a second to make. Another name is an error, none and the HMACs included (RFC 9449, Section 4.2); to
// send those, change the header of a proof.
func NewDPoPKey(alg string) (*DPoPKey, error) {
	if alg == "" {
		alg = "ES256"
	}
	a, err := algorithmNamed(alg)
	if err != nil {
		return nil, err
	}
	var private crypto.Signer
	switch {
	case a.curve != nil:
		private, err = ecdsa.GenerateKey(a.curve, rand.Reader)
	case a.hash == 0:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		return nil, fmt.Errorf("mcpauthtest: making a key: %w", err)
	}
	return NewDPoPKeyFrom(alg, private)
}

// NewDPoPKeyFrom takes a key that there is already: an *ecdsa.PrivateKey, an *rsa.PrivateKey or an
// ed25519.PrivateKey. The empty algorithm means the usual one of the key: that of its curve, or PS256.
// It is an error if the algorithm does not fit the key, or if the key cannot sign.
func NewDPoPKeyFrom(alg string, private crypto.Signer) (*DPoPKey, error) {
	enc := base64.RawURLEncoding.EncodeToString
	k := &DPoPKey{signer: private}
	var fits func(algorithm) bool
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		if key == nil || key.Curve == nil {
			return nil, errors.New("mcpauthtest: the key is empty")
		}
		point, err := key.PublicKey.Bytes() // 0x04, x, y
		if err != nil {
			return nil, fmt.Errorf("mcpauthtest: reading the key: %w", err)
		}
		half := len(point) / 2
		k.public = map[string]string{
			"kty": "EC", "crv": key.Curve.Params().Name, "x": enc(point[1 : 1+half]), "y": enc(point[1+half:]),
		}
		fits = func(a algorithm) bool { return a.curve == key.Curve }
	case *rsa.PrivateKey:
		if key == nil || key.N == nil {
			return nil, errors.New("mcpauthtest: the key is empty")
		}
		k.public = map[string]string{"kty": "RSA", "n": enc(key.N.Bytes()), "e": enc(big.NewInt(int64(key.E)).Bytes())}
		fits = func(a algorithm) bool { return a.curve == nil && a.hash != 0 }
	case ed25519.PrivateKey:
		if len(key) != ed25519.PrivateKeySize {
			return nil, errors.New("mcpauthtest: the key is empty or cut")
		}
		k.public = map[string]string{"kty": "OKP", "crv": "Ed25519", "x": enc(key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])}
		fits = func(a algorithm) bool { return a.curve == nil && a.hash == 0 }
	default:
		return nil, fmt.Errorf("mcpauthtest: a %T cannot sign proofs; use an *ecdsa.PrivateKey, *rsa.PrivateKey or ed25519.PrivateKey", private)
	}
	found := false
	for _, a := range algorithms {
		if (alg == "" || alg == a.name) && fits(a) {
			k.alg, found = a, true
			break
		}
	}
	if !found {
		if alg != "" {
			if _, err := algorithmNamed(alg); err != nil {
				return nil, err
			}
		}
		return nil, fmt.Errorf("mcpauthtest: the algorithm %q does not fit this %T; an empty one takes the usual, where there is one", alg, private)
	}
	// A key that signs once signs always, so nothing that signs later needs an error.
	if _, err := k.signature(nil); err != nil {
		return nil, fmt.Errorf("mcpauthtest: the key cannot sign with %s: %w", k.alg.name, err)
	}
	k.thumb = thumbprint(k.public)
	return k, nil
}

func algorithmNamed(name string) (algorithm, error) {
	var names []string
	for _, a := range algorithms {
		if a.name == name {
			return a, nil
		}
		names = append(names, a.name)
	}
	return algorithm{}, fmt.Errorf("mcpauthtest: no algorithm %q; one of %s", name, strings.Join(names, ", "))
}

// Algorithm returns the JWS algorithm that the key signs with, such as ES256.
func (k *DPoPKey) Algorithm() string { return k.alg.name }

// Thumbprint returns the JWK thumbprint of the public key with SHA-256, in base64url: the value of a
// bound token's cnf.jkt and of the parameter dpop_jkt (RFC 9449, Sections 6.1 and 10; RFC 7638).
func (k *DPoPKey) Thumbprint() string { return k.thumb }

// PublicJWK returns the members that make up the public key, in a map of the caller's own: kty, and by
// its value crv, x and y, or crv and x, or n and e.
func (k *DPoPKey) PublicJWK() map[string]string {
	out := make(map[string]string, len(k.public))
	for name, value := range k.public {
		out[name] = value
	}
	return out
}

// thumbprint hashes the required members in order of their names without white space, which is how
// encoding/json writes a map, and none of the values needs escaping (RFC 7638, Section 3.3).
func thumbprint(public map[string]string) string {
	text, _ := json.Marshal(public) // strings never fail
	return sum(string(text))
}

// signature signs input as RFC 7518, Section 3, and RFC 8037, Section 3.1, have it.
func (k *DPoPKey) signature(input []byte) ([]byte, error) {
	if k.signer == nil {
		return nil, errors.New("no key: make one with NewDPoPKey")
	}
	if k.alg.hash == 0 {
		return k.signer.Sign(rand.Reader, input, crypto.Hash(0))
	}
	h := k.alg.hash.New()
	h.Write(input)
	var opts crypto.SignerOpts = k.alg.hash
	if k.alg.pss {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: k.alg.hash}
	}
	sig, err := k.signer.Sign(rand.Reader, h.Sum(nil), opts)
	if err != nil || k.alg.curve == nil {
		return sig, err
	}
	var point struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(sig, &point); err != nil {
		return nil, err
	}
	// RFC 7518, Section 3.4: R and S side by side, each as long as the order of the curve.
	size := (k.alg.curve.Params().N.BitLen() + 7) / 8
	sig = make([]byte, 2*size)
	point.R.FillBytes(sig[:size])
	point.S.FillBytes(sig[size:])
	return sig, nil
}
