package jwks_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
)

// Keys that are slow to make are made once for all tests.
var (
	rsa2048 = sync.OnceValue(func() *rsa.PublicKey { return newRSA(2048) })
	rsa1024 = sync.OnceValue(func() *rsa.PublicKey { return rsaOfBits(1024) })
	ec256   = sync.OnceValue(func() *ecdsa.PublicKey { return newEC(elliptic.P256()) })
	ec384   = sync.OnceValue(func() *ecdsa.PublicKey { return newEC(elliptic.P384()) })
	ec521   = sync.OnceValue(func() *ecdsa.PublicKey { return newEC(elliptic.P521()) })
	edKey   = sync.OnceValue(newEd)
)

func newRSA(bits int) *rsa.PublicKey {
	k, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return &k.PublicKey
}

// rsaOfBits returns an odd modulus of that length; nobody knows its factors.
func rsaOfBits(bits int) *rsa.PublicKey {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	if err != nil {
		panic(err)
	}
	return &rsa.PublicKey{N: n.SetBit(n.SetBit(n, bits-1, 1), 0, 1), E: 65537}
}

func newEC(curve elliptic.Curve) *ecdsa.PublicKey {
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return &k.PublicKey
}

func newEd() ed25519.PublicKey {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	return pub
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// members are members of a JWK to add to or put over the canonical ones; a nil
// value removes it.
type members map[string]any

func jwkOf(pub crypto.PublicKey, kid string, extra members) string {
	m := members{}
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		m["kty"], m["n"], m["e"] = "RSA", b64(pub.N.Bytes()), b64(big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			panic(err)
		}
		half := (len(point) - 1) / 2
		m["kty"], m["crv"], m["x"], m["y"] = "EC", pub.Params().Name, b64(point[1:1+half]), b64(point[1+half:])
	case ed25519.PublicKey:
		m["kty"], m["crv"], m["x"] = "OKP", "Ed25519", b64(pub)
	default:
		panic(fmt.Sprintf("%T", pub))
	}
	if kid != "" {
		m["kid"] = kid
	}
	for k, v := range extra {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	out, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(out)
}

func setOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

var allAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}

func fitting(k *jwks.Key) []string {
	var out []string
	for _, a := range allAlgorithms {
		if k.Fits(a) {
			out = append(out, a)
		}
	}
	return out
}

func TestJWKS08KeysFitTheirAlgorithmsOnly(t *testing.T) {
	for _, tt := range []struct {
		name string
		pub  crypto.PublicKey
		alg  any
		want []string
	}{
		{"RSA without alg", rsa2048(), nil, []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}},
		{"RSA with alg", rsa2048(), "RS256", []string{"RS256"}},
		{"RSA-PSS", rsa2048(), "PS512", []string{"PS512"}},
		{"P-256", ec256(), nil, []string{"ES256"}},
		{"P-384", ec384(), nil, []string{"ES384"}},
		{"P-521", ec521(), "ES512", []string{"ES512"}},
		{"Ed25519", edKey(), nil, []string{"EdDSA", "Ed25519"}},
		{"Ed25519 as EdDSA", edKey(), "EdDSA", []string{"EdDSA", "Ed25519"}},
		{"Ed25519 under its RFC 9864 name", edKey(), "Ed25519", []string{"EdDSA", "Ed25519"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k, err := jwks.ParseKey([]byte(jwkOf(tt.pub, "k", members{"alg": tt.alg})))
			require.NoError(t, err)
			require.Equal(t, tt.want, fitting(k))
			require.Equal(t, tt.pub, k.Public)
			require.Equal(t, "k", k.ID)
			for _, never := range []string{"none", "HS256", "rs256", "", "ES256K", "RS1"} {
				require.False(t, k.Fits(never), never)
			}
		})
	}
	require.Empty(t, fitting(new(jwks.Key)), "the zero Key")
}

// RFC 7638, Section 3.1, and RFC 8037, Appendix A.3.
func TestThumbprintVectors(t *testing.T) {
	k, err := jwks.ParseKey([]byte(`{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}`))
	require.NoError(t, err)
	require.Equal(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", k.Thumbprint())
	k, err = jwks.ParseKey([]byte(`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`))
	require.NoError(t, err)
	require.Equal(t, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", k.Thumbprint())
}

func otherY(pub *ecdsa.PublicKey) string {
	point, err := pub.Bytes()
	if err != nil {
		panic(err)
	}
	point[len(point)-1] ^= 1
	return b64(point[1+(len(point)-1)/2:])
}

// refusedKeys is also the seed of the fuzz targets.
func refusedKeys() map[string]string {
	even := rsaOfBits(2048)
	even.N.SetBit(even.N, 0, 0)
	return map[string]string{
		"JWKS-08 RSA of 1024 bits":              jwkOf(rsa1024(), "k", nil),
		"JWKS-08 RSA of 2047 bits":              jwkOf(rsaOfBits(2047), "k", nil),
		"JWKS-08 RSA of 8193 bits":              jwkOf(rsaOfBits(8193), "k", nil),
		"JWKS-08 RSA of 100000 bits":            jwkOf(rsaOfBits(100000), "k", nil),
		"JWKS-08 even RSA modulus":              jwkOf(even, "k", nil),
		"JWKS-08 exponent 0":                    jwkOf(rsa2048(), "k", members{"e": "AA"}),
		"JWKS-08 exponent 1":                    jwkOf(rsa2048(), "k", members{"e": "AQ"}),
		"JWKS-08 exponent 2":                    jwkOf(rsa2048(), "k", members{"e": "Ag"}),
		"JWKS-08 even exponent":                 jwkOf(rsa2048(), "k", members{"e": "AQAA"}),
		"JWKS-08 exponent of 32 bits":           jwkOf(rsa2048(), "k", members{"e": b64([]byte{0x80, 0, 0, 1})}),
		"JWKS-08 exponent of 65 bits, low ones": jwkOf(rsa2048(), "k", members{"e": b64([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})}),
		"JWKS-08 exponent of 2048 bits":         jwkOf(rsa2048(), "k", members{"e": b64(rsa2048().N.Bytes())}),
		"JWKS-08 no modulus":                    jwkOf(rsa2048(), "k", members{"n": nil}),
		"JWKS-08 point off P-256":               jwkOf(ec256(), "k", members{"y": otherY(ec256())}),
		"JWKS-08 point off P-384":               jwkOf(ec384(), "k", members{"y": otherY(ec384())}),
		"JWKS-08 point off P-521":               jwkOf(ec521(), "k", members{"y": otherY(ec521())}),
		"JWKS-08 P-256 point at infinity":       jwkOf(ec256(), "k", members{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}),
		"JWKS-08 P-256 point called P-384":      jwkOf(ec256(), "k", members{"crv": "P-384"}),
		"JWKS-08 coordinate beyond the field":   jwkOf(ec256(), "k", members{"x": b64([]byte(strings.Repeat("\xff", 32)))}),
		"JWKS-08 very long coordinate":          jwkOf(ec256(), "k", members{"x": strings.Repeat("A", 1000)}),
		"JWKS-08 Ed25519 of 31 octets":          jwkOf(edKey()[:31], "k", nil),
		"JWKS-08 Ed25519 off the curve":         jwkOf(ed25519.PublicKey(edPoint("2")), "k", nil),
		"JWKS-08 Ed25519 identity":              jwkOf(ed25519.PublicKey(edPoint("1")), "k", nil),
		"JWKS-08 Ed25519 all zero":              jwkOf(ed25519.PublicKey(edPoint("0")), "k", nil),
		"JWKS-08 Ed25519 order 8":               jwkOf(ed25519.PublicKey(edPoint("2707385501144840649318225287225658788936804267575313519463743609750303402022")), "k", nil),
		"JWKS-08 Ed25519 not canonical":         jwkOf(ed25519.PublicKey(edPoint("57896044618658097711785492504343953926634992332820282019728792003956564819952")), "k", nil),
		"JWKS-07 X25519":                        jwkOf(edKey(), "k", members{"crv": "X25519"}),
		"JWKS-07 Ed448":                         jwkOf(edKey(), "k", members{"crv": "Ed448"}),
		"JWKS-07 secp256k1":                     jwkOf(ec256(), "k", members{"crv": "secp256k1"}),
		"JWKS-07 unknown kty":                   `{"kty":"AKP","kid":"k","alg":"ML-DSA-44","pub":"AA"}`,
		"JWKS-07 kty in lower case":             jwkOf(rsa2048(), "k", members{"kty": "rsa"}),
		"JWKS-07 no kty":                        jwkOf(rsa2048(), "k", members{"kty": nil}),
		"JWKS-07 oct":                           `{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`,
		"JWKS-07 base64 of another alphabet":    jwkOf(edKey(), "k", members{"x": strings.Repeat("+", 43)}),
		"JWKS-07 kid is a number":               jwkOf(rsa2048(), "", members{"kid": 7}),
		"JWKS-07 alg is null":                   strings.Replace(jwkOf(rsa2048(), "k", nil), "{", `{"alg":null,`, 1),
		"JWKS-07 duplicate member":              strings.Replace(jwkOf(rsa2048(), "k", nil), "{", `{"kid":"other",`, 1),
		"JWKS-07 invalid UTF-8":                 strings.Replace(jwkOf(rsa2048(), "k", nil), "{", "{\"a\":\"\xff\",", 1),
		"JWKS-07 deep":                          strings.Replace(jwkOf(rsa2048(), "k", nil), "{", `{"a":`+strings.Repeat("[", 40)+strings.Repeat("]", 40)+",", 1),
		"JWKS-07 not an object":                 `"key"`,
		"JWKS-07 null":                          `null`,
		"JWKS-03 use enc":                       jwkOf(rsa2048(), "k", members{"use": "enc"}),
		"JWKS-03 use in another case":           jwkOf(rsa2048(), "k", members{"use": "SIG"}),
		"JWKS-03 empty use":                     jwkOf(rsa2048(), "k", members{"use": ""}),
		"JWKS-03 key_ops without verify":        jwkOf(rsa2048(), "k", members{"key_ops": []string{"sign", "encrypt"}}),
		"JWKS-03 empty key_ops":                 jwkOf(rsa2048(), "k", members{"key_ops": []string{}}),
		"JWKS-03 key_ops is a string":           jwkOf(rsa2048(), "k", members{"key_ops": "verify"}),
		"JWKS-03 alg for encryption":            jwkOf(rsa2048(), "k", members{"alg": "RSA-OAEP"}),
		"JWKS-03 alg of another type":           jwkOf(rsa2048(), "k", members{"alg": "ES256"}),
		"JWKS-03 alg of another curve":          jwkOf(ec256(), "k", members{"alg": "ES384"}),
		"JWKS-03 alg HS256":                     jwkOf(rsa2048(), "k", members{"alg": "HS256"}),
		"JWKS-03 alg none":                      jwkOf(rsa2048(), "k", members{"alg": "none"}),
	}
}

// edPoint is the encoding of the point with this y and an even x.
func edPoint(y string) []byte {
	n, ok := new(big.Int).SetString(y, 10)
	if !ok {
		panic(y)
	}
	b := n.FillBytes(make([]byte, 32))
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

func TestKeysThatAreRefused(t *testing.T) {
	for name, raw := range refusedKeys() {
		t.Run(name, func(t *testing.T) {
			_, err := jwks.ParseKey([]byte(raw))
			require.ErrorIs(t, err, jwks.ErrKey)
			require.Less(t, len(err.Error()), 200, "the error quotes the key: %s", err)

			// JWKS-07: it spoils nothing, wherever it stands.
			good := jwkOf(ec256(), "good", nil)
			for _, doc := range []string{setOf(raw, good), setOf(good, raw), setOf(raw, good, raw)} {
				d, err := jwks.ParseDocument([]byte(doc), 10)
				require.NoError(t, err)
				require.Len(t, d.Keys, 1)
				require.Equal(t, "good", d.Keys[0].ID)
				require.ErrorIs(t, d.Reason, jwks.ErrKey)
			}
			_, err = jwks.ParseDocument([]byte(setOf(raw)), 10)
			require.ErrorIs(t, err, jwks.ErrDocument)
		})
	}
}

func TestKeysThatAreAccepted(t *testing.T) {
	for name, raw := range map[string]string{
		"use sig":                     jwkOf(rsa2048(), "k", members{"use": "sig"}),
		"key_ops with verify":         jwkOf(rsa2048(), "k", members{"key_ops": []string{"sign", "verify"}}),
		"unknown members":             jwkOf(rsa2048(), "k", members{"iat": 7, "nested": members{"a": []int{1}}}),
		"certificates are not read":   jwkOf(rsa2048(), "k", members{"x5c": []string{"not a certificate"}, "x5u": "http://evil.example/", "x5t": "?"}),
		"members that differ in case": jwkOf(rsa2048(), "k", members{"KID": "other", "Use": "enc", "N": "AA"}),
		"padding after base64url":     jwkOf(edKey(), "k", members{"x": b64(edKey()) + "="}),
		"leading zero of a modulus":   jwkOf(rsa2048(), "k", members{"n": b64(append([]byte{0}, rsa2048().N.Bytes()...))}),
		"exponent 3":                  jwkOf(&rsa.PublicKey{N: rsa2048().N, E: 3}, "k", nil),
		"exponent of 31 bits":         jwkOf(&rsa.PublicKey{N: rsa2048().N, E: 1<<31 - 1}, "k", nil),
		"RSA of 8192 bits":            jwkOf(rsaOfBits(8192), "k", nil),
	} {
		t.Run(name, func(t *testing.T) {
			k, err := jwks.ParseKey([]byte(raw))
			require.NoError(t, err)
			require.Equal(t, "k", k.ID)
		})
	}
}

func TestJWKS07PrivateMembersAreIgnoredAndNotKept(t *testing.T) {
	raw := jwkOf(rsa2048(), "k", members{"d": b64([]byte("PRIVATE")), "p": "AQ", "q": "AQ", "dp": "AQ", "dq": "AQ", "qi": "AQ"})
	k, err := jwks.ParseKey([]byte(raw))
	require.NoError(t, err)
	require.IsType(t, &rsa.PublicKey{}, k.Public)
	require.NotContains(t, fmt.Sprintf("%#v", k.Public), b64([]byte("PRIVATE")))

	k, err = jwks.ParseKey([]byte(jwkOf(ec256(), "k", members{"d": b64(make([]byte, 32))})))
	require.NoError(t, err, "a broken private part does not matter")
	require.IsType(t, &ecdsa.PublicKey{}, k.Public)
}

func TestDocumentsThatAreRefused(t *testing.T) {
	good := jwkOf(ec256(), "good", nil)
	for name, doc := range map[string]string{
		"empty":              ``,
		"white space":        `  `,
		"no member keys":     `{}`,
		"KEYS":               strings.Replace(setOf(good), "keys", "KEYS", 1),
		"no keys":            `{"keys":[]}`,
		"keys is null":       `{"keys":null}`,
		"keys is an object":  `{"keys":{}}`,
		"keys is a string":   `{"keys":"[]"}`,
		"an array":           `[` + good + `]`,
		"a key alone":        good,
		"two members keys":   `{"keys":[` + good + `],"keys":[` + good + `]}`,
		"the same, escaped":  `{"keys":[` + good + `],"\u006beys":[]}`,
		"data after it":      setOf(good) + `{}`,
		"a brace after it":   setOf(good) + `}`,
		"HTML":               `<!DOCTYPE html><html><body>` + setOf(good) + `</body></html>`,
		"byte order mark":    "\ufeff" + setOf(good),
		"trailing comma":     `{"keys":[` + good + `,]}`,
		"comma in the front": `{"keys":[,` + good + `]}`,
		"comma after keys":   `{"keys":[` + good + `],}`,
		"too many keys":      setOf(good, good, good, good),
		"too many bad keys":  setOf(good, "1", "2", "3"),
		"very deep":          `{"keys":[` + good + `],"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := jwks.ParseDocument([]byte(doc), 3)
			require.ErrorIs(t, err, jwks.ErrDocument)
			require.NotContains(t, err.Error(), "good")
		})
	}
	whole := setOf(good)
	for i := range len(whole) {
		_, err := jwks.ParseDocument([]byte(whole[:i]), 3)
		require.ErrorIs(t, err, jwks.ErrDocument, "truncated after %d bytes", i)
	}
	d, err := jwks.ParseDocument([]byte(whole), 3)
	require.NoError(t, err)
	require.Len(t, d.Keys, 1)
}

// JWKS-02: a document may have other members, but each costs much more memory
// than its text.
func TestJWKS02OtherMembersAreBounded(t *testing.T) {
	with := func(n int) []byte {
		var doc strings.Builder
		doc.WriteString("{")
		for i := range n {
			fmt.Fprintf(&doc, `"%x":1,`, i)
		}
		return []byte(doc.String() + setOf(jwkOf(ec256(), "k", nil))[1:])
	}
	d, err := jwks.ParseDocument(with(64), 10)
	require.NoError(t, err)
	require.Len(t, d.Keys, 1)
	_, err = jwks.ParseDocument(with(65), 10)
	require.ErrorIs(t, err, jwks.ErrDocument)

	many := with(100_000)
	require.Less(t, len(many), 1<<20)
	require.Less(t, testing.AllocsPerRun(3, func() { _, err = jwks.ParseDocument(many, 10) }), 1000.0)
	require.ErrorIs(t, err, jwks.ErrDocument)
}

func TestRepeatedKeysCountOnce(t *testing.T) {
	same, other := jwkOf(ec256(), "k", nil), jwkOf(ec256(), "other", nil)
	d, err := jwks.ParseDocument([]byte(setOf(same, other, same)), 10)
	require.NoError(t, err)
	require.Len(t, d.Keys, 2)
}
