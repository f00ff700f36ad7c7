package prm

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
)

// KeySet returns the public keys of the signings as a JWK Set (RFC 7517, Section 5), for an endpoint of the issuer that readers know. Where
// the resource itself is the issuer, that may be the jwks_uri of its metadata (RFC 9728, Section 2). While keys are changed, list the old
// Signing beside the new one until its last signature has expired. The error joins every mistake in them, and names a kid that two keys share.
func KeySet(signings ...*Signing) ([]byte, error) {
	var errs []error
	var keys []byte
	seen := make(map[string]bool)
	for i, s := range signings {
		ready, err := s.check()
		if err != nil {
			errs = append(errs, named(fmt.Sprintf("prm: signings[%d]:", i), err))
			continue
		}
		if seen[ready.KeyID] {
			errs = append(errs, fmt.Errorf("prm: signings[%d]: KeyID %s is that of an earlier one; give each key its own", i, quote(ready.KeyID)))
		}
		seen[ready.KeyID] = true
		e := jwk(ready.public)
		e.member("use", "sig", true)
		e.member("alg", ready.alg.name, true)
		e.member("kid", ready.KeyID, true)
		key, err := e.object()
		if err != nil {
			errs = append(errs, err)
		}
		if len(keys) > 0 {
			keys = append(keys, ',')
		}
		keys = append(keys, key...)
	}
	if len(signings) == 0 {
		errs = append(errs, errors.New("prm: there is no Signing; write at least one"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return append(append([]byte(`{"keys":[`), keys...), `]}`...), nil
}

// jwk writes the required members of a public key in the order of RFC 7638, Section 3.2 and RFC 8037, Section 2. The key fits an algorithm.
func jwk(public crypto.PublicKey) *encoder {
	e := new(encoder)
	text := base64.RawURLEncoding.EncodeToString
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		point, err := key.Bytes() // 4, X and Y at full length
		if err != nil {
			e.errs = append(e.errs, err)
			return e
		}
		n := len(point) / 2
		e.member("crv", key.Curve.Params().Name, true)
		e.member("kty", "EC", true)
		e.member("x", text(point[1:1+n]), true)
		e.member("y", text(point[1+n:]), true)
	case ed25519.PublicKey:
		e.member("crv", "Ed25519", true)
		e.member("kty", "OKP", true)
		e.member("x", text(key), true)
	case *rsa.PublicKey:
		e.member("e", text(big.NewInt(int64(key.E)).Bytes()), true)
		e.member("kty", "RSA", true)
		e.member("n", text(key.N.Bytes()), true)
	}
	return e
}

// thumbprint is that of RFC 7638 with SHA-256.
func thumbprint(public crypto.PublicKey) string {
	text, err := jwk(public).object()
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
