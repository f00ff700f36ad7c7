package jws_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
)

// TestJWKS08_EachMethodFitsItsKeysOnly signs with every key for every algorithm that can use it and
// verifies with every combination.
func TestJWKS08_EachMethodFitsItsKeysOnly(t *testing.T) {
	ec := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		require.NoError(t, err)
		return k
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	keys := map[string]crypto.Signer{"ES256": ec(elliptic.P256()), "ES384": ec(elliptic.P384()), "ES512": ec(elliptic.P521()), "RSA": rsaKey, "Ed": edKey}
	keyFor := func(alg string) string {
		switch {
		case alg[0] == 'R' || alg[0] == 'P':
			return "RSA"
		case strings.HasPrefix(alg, "Ed"):
			return "Ed"
		}
		return alg
	}
	const input = "header.payload"
	for _, alg := range jws.Algorithms() {
		signer := gojwt.GetSigningMethod(strings.Replace(alg, "Ed25519", "EdDSA", 1))
		sig, err := signer.Sign(input, any(keys[keyFor(alg)]))
		require.NoError(t, err)
		for _, other := range jws.Algorithms() {
			same := other == alg || keyFor(alg) == "Ed" && keyFor(other) == "Ed"
			for name, key := range keys {
				k := &jwks.Key{Public: key.Public()}
				require.Equal(t, same && keyFor(alg) == name, jws.MethodOf(other).Verify(k, input, sig), "%s by %s as %s", alg, name, other)
			}
		}
		k := &jwks.Key{Public: keys[keyFor(alg)].Public(), Algorithm: alg}
		require.True(t, jws.MethodOf(alg).Verify(k, input, sig))
		require.False(t, jws.MethodOf(alg).Verify(k, input+".", sig))
		require.False(t, jws.MethodOf(alg).Verify(k, input, sig[:len(sig)-1]))
		require.False(t, jws.MethodOf(alg).Verify(k, input, append(sig[:len(sig):len(sig)], 0)))
		require.False(t, jws.MethodOf(alg).Verify(k, input, nil))
		k.Algorithm = "RS256"
		require.Equal(t, alg == "RS256", jws.MethodOf(alg).Verify(k, input, sig), "a key for RS256 only")
		require.False(t, jws.MethodOf(alg).Verify(nil, input, sig))
		require.False(t, jws.MethodOf(alg).Verify(&jwks.Key{}, input, sig))
		require.False(t, (*jws.Method)(nil).Verify(k, input, sig))
		require.False(t, new(jws.Method).Verify(k, input, sig))
	}
	for _, alg := range []string{"", "none", "HS256", "HS384", "HS512", "es256", "eddsa", "ES256K", "Ed448", "RSA-OAEP"} {
		require.Nil(t, jws.MethodOf(alg), alg)
	}
}

// TestRFC7518_CurveOfEachAlgorithm: a signature by a smaller curve has room in the form of a larger one.
func TestRFC7518_CurveOfEachAlgorithm(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	const input = "header.payload"
	digest := sha512.Sum384([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
	require.NoError(t, err)
	sig := append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
	require.True(t, ecdsa.VerifyASN1(&key.PublicKey, digest[:], jws.ASN1(sig)))
	require.False(t, jws.MethodOf("ES384").Verify(&jwks.Key{Public: key.Public()}, input, sig))
}

// TestRFC7518_SaltOfPSS: golang-jwt verifies any salt; here it is as long as the hash.
func TestRFC7518_SaltOfPSS(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	k := &jwks.Key{Public: key.Public()}
	const input = "header.payload"
	for _, m := range []*gojwt.SigningMethodRSAPSS{gojwt.SigningMethodPS256, gojwt.SigningMethodPS384, gojwt.SigningMethodPS512} {
		for _, salt := range []int{rsa.PSSSaltLengthEqualsHash, 20, m.Hash.Size() + 1} {
			h := m.Hash.New()
			h.Write([]byte(input))
			sig, err := rsa.SignPSS(rand.Reader, key, m.Hash, h.Sum(nil), &rsa.PSSOptions{SaltLength: salt, Hash: m.Hash})
			require.NoError(t, err)
			require.Equal(t, salt == rsa.PSSSaltLengthEqualsHash, jws.MethodOf(m.Alg()).Verify(k, input, sig), "%s with a salt of %d", m.Alg(), salt)
		}
	}
}

// FuzzES256: what verifies does so for golang-jwt, too, and the reverse.
func FuzzES256(f *testing.F) {
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), append(make([]byte, 31), 7))
	require.NoError(f, err)
	k := &jwks.Key{Public: key.Public()}
	order := elliptic.P256().Params().N
	r := big.NewInt(1)
	good, err := gojwt.SigningMethodES256.Sign("header.payload", key)
	require.NoError(f, err)
	f.Add("header.payload", good)
	f.Add("header.payload", make([]byte, 64))
	f.Add("header.payload", append(r.FillBytes(make([]byte, 32)), r.FillBytes(make([]byte, 32))...))
	f.Add("header.payload", append(order.FillBytes(make([]byte, 32)), good[32:]...))
	f.Add("header.payload", bytes.Repeat([]byte{0xff}, 64))
	f.Add("header.payload", bytes.Repeat([]byte{0x80}, 64))
	f.Add("", []byte{0, 1})
	f.Fuzz(func(t *testing.T, input string, sig []byte) {
		want := gojwt.SigningMethodES256.Verify(input, sig, key.Public()) == nil
		require.Equal(t, want, jws.MethodOf("ES256").Verify(k, input, sig))
		if len(sig) < 2 || len(sig) > 132 || len(sig)%2 == 1 {
			return
		}
		// The encoding is that of encoding/asn1.
		numbers := struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])}
		der, err := asn1.Marshal(numbers)
		require.NoError(t, err)
		require.Equal(t, der, jws.ASN1(sig))
		// N - S is a signature, too.
		if want {
			numbers.S.Sub(order, numbers.S).FillBytes(sig[32:])
			require.True(t, jws.MethodOf("ES256").Verify(k, input, sig))
		}
	})
}

// TestRFC7518_ShortNumbers signs until R and S begin with zeros, and with bits that are a sign in DER.
func TestRFC7518_ShortNumbers(t *testing.T) {
	for _, tt := range []struct {
		alg   string
		curve elliptic.Curve
	}{{"ES256", elliptic.P256()}, {"ES384", elliptic.P384()}, {"ES512", elliptic.P521()}} {
		key, err := ecdsa.GenerateKey(tt.curve, rand.Reader)
		require.NoError(t, err)
		k := &jwks.Key{Public: key.Public()}
		for i := range 100 {
			input := strings.Repeat("a", i)
			sig, err := gojwt.GetSigningMethod(tt.alg).Sign(input, key)
			require.NoError(t, err)
			require.True(t, jws.MethodOf(tt.alg).Verify(k, input, sig), "%s %x", tt.alg, sig)
		}
		for _, sig := range [][]byte{make([]byte, 132), bytes.Repeat([]byte{0xff}, 132), append(make([]byte, 66), bytes.Repeat([]byte{0x80}, 66)...)} {
			der, err := asn1.Marshal(struct{ R, S *big.Int }{new(big.Int).SetBytes(sig[:66]), new(big.Int).SetBytes(sig[66:])})
			require.NoError(t, err)
			require.Equal(t, der, jws.ASN1(sig))
			require.False(t, jws.MethodOf("ES512").Verify(k, "a", sig))
		}
	}
}
