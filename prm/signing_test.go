package prm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/prm"
)

var epoch = time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)

// keys by algorithm. RSA keys take a while to make.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	must := func(key crypto.Signer, err error) crypto.Signer {
		if err != nil {
			panic(err)
		}
		return key
	}
	ec := func(c elliptic.Curve) crypto.Signer {
		key, err := ecdsa.GenerateKey(c, rand.Reader)
		return must(key, err)
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	rsaKey := must(r, err)
	ed := crypto.Signer(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	return map[string]crypto.Signer{
		"ES256": ec(elliptic.P256()), "ES384": ec(elliptic.P384()), "ES512": ec(elliptic.P521()), "EdDSA": ed, "Ed25519": ed,
		"RS256": rsaKey, "RS384": rsaKey, "RS512": rsaKey, "PS256": rsaKey, "PS384": rsaKey, "PS512": rsaKey,
	}
})

// remote is a key of which nothing is known but its interface, as one in a key service.
type remote struct{ crypto.Signer }

// jwtOf is signed_metadata of a document.
func jwtOf(t testing.TB, document []byte) string {
	t.Helper()
	var doc struct {
		Signed string `json:"signed_metadata"`
	}
	require.NoError(t, json.Unmarshal(document, &doc))
	require.NotEmpty(t, doc.Signed, "%s", document)
	return doc.Signed
}

// PRM-14: a JWS with iss, iat and exp, whose claims are the plain members. It is verified by others: golang-jwt and the module's own
// verifier of access tokens, with the key as KeySet publishes it.
func TestPRM14_SignEveryAlgorithm(t *testing.T) {
	for _, alg := range jws.Algorithms() {
		for _, issuer := range []string{"", "https://federation.example.com"} {
			for name, key := range map[string]crypto.Signer{"local": keys()[alg], "remote": remote{keys()[alg]}} {
				s := &prm.Signing{Key: key, Algorithm: alg, Issuer: issuer, Lifetime: time.Hour}
				document, err := s.Sign(full(), epoch.Add(999*time.Millisecond))
				require.NoError(t, err, "%s %s", alg, name)
				text := jwtOf(t, document)

				set, err := prm.KeySet(s)
				require.NoError(t, err)
				var raw struct{ Keys []json.RawMessage }
				require.NoError(t, json.Unmarshal(set, &raw))
				require.Len(t, raw.Keys, 1)
				k, err := jwks.ParseKey(raw.Keys[0])
				require.NoError(t, err)
				require.Equal(t, k.Thumbprint(), k.ID, "the kid by default (RFC 7638)")
				require.True(t, k.Fits(alg))
				parts := jws.Split(text)
				require.True(t, parts.OK())
				sig, err := jws.Decode(parts.Signature)
				require.NoError(t, err)
				require.True(t, jws.MethodOf(alg).Verify(k, parts.Header+"."+parts.Payload, sig), alg)

				claims := gojwt.MapClaims{}
				if alg != "Ed25519" { // which golang-jwt does not know
					_, err = gojwt.ParseWithClaims(text, claims, func(*gojwt.Token) (any, error) { return key.Public(), nil },
						gojwt.WithValidMethods([]string{alg}), gojwt.WithTimeFunc(func() time.Time { return epoch }))
					require.NoError(t, err, alg)
				} else {
					body, err := jws.Decode(parts.Payload)
					require.NoError(t, err)
					require.NoError(t, json.Unmarshal(body, &claims))
				}
				head, err := jws.Decode(parts.Header)
				require.NoError(t, err)
				require.JSONEq(t, `{"alg":"`+alg+`","kid":"`+k.ID+`","typ":"oauth-protected-resource+jwt"}`, string(head))

				var plain map[string]any
				require.NoError(t, json.Unmarshal(document, &plain))
				delete(plain, "signed_metadata")
				want, err := json.Marshal(plain)
				require.NoError(t, err)
				require.JSONEq(t, fullText, string(want), "the plain members stay as they are")
				iss := issuer
				if iss == "" {
					iss = full().Resource
				}
				require.Equal(t, iss, claims["iss"])
				require.EqualValues(t, epoch.Unix(), claims["iat"])
				require.EqualValues(t, epoch.Add(time.Hour).Unix(), claims["exp"])
				delete(claims, "iss")
				delete(claims, "iat")
				delete(claims, "exp")
				require.NotContains(t, claims, "signed_metadata")
				require.Equal(t, plain, map[string]any(claims))

				var m prm.Metadata
				require.NoError(t, json.Unmarshal(document, &m), "who asks for no verification passes over it")
				require.Equal(t, full().ResourceName, m.ResourceName)
				require.NotContains(t, m.Extra, "signed_metadata")

				signed, err := (&prm.Verifier{Resource: m.Resource, Issuer: issuer, Keys: []prm.VerificationKey{{ID: k.ID, Algorithm: alg, Public: k.Public}},
					Now: func() time.Time { return epoch }}).Verify(document)
				require.NoError(t, err)
				require.Equal(t, prm.Signed{Metadata: m, Issuer: iss, KeyID: k.ID, Algorithm: alg, IssuedAt: time.Unix(epoch.Unix(), 0), Expiry: time.Unix(epoch.Add(time.Hour).Unix(), 0)}, *signed)
			}
		}
	}
}

// The algorithm follows from the key, and equal arguments give equal bytes where nothing is left to chance.
func TestPRM14_Defaults(t *testing.T) {
	for alg, want := range map[string]string{"ES256": "ES256", "ES384": "ES384", "ES512": "ES512", "EdDSA": "EdDSA", "RS256": "RS256"} {
		s := &prm.Signing{Key: keys()[alg], KeyID: "key 1"}
		first, err := s.Sign(least("https://h/mcp"), epoch)
		require.NoError(t, err)
		again, err := s.Sign(least("https://h/mcp"), epoch)
		require.NoError(t, err)
		require.Equal(t, string(first), string(again), want)
		head, err := jws.Decode(jws.Split(jwtOf(t, first)).Header)
		require.NoError(t, err)
		require.JSONEq(t, `{"alg":"`+want+`","kid":"key 1","typ":"oauth-protected-resource+jwt"}`, string(head))
		body, err := jws.Decode(jws.Split(jwtOf(t, first)).Payload)
		require.NoError(t, err)
		require.Contains(t, string(body), `"exp":`+big.NewInt(epoch.Add(24*time.Hour).Unix()).String())
	}
}

func TestPRM14_SigningIsChecked(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	for _, tc := range []struct {
		name string
		s    *prm.Signing
		want string
	}{
		{"nil", nil, "Signing is nil"},
		{"the zero value", &prm.Signing{}, "Signing.Key is nil; write"},
		{"a nil pointer", &prm.Signing{Key: (*ecdsa.PrivateKey)(nil)}, "Signing.Key: this key cannot sign"},
		{"none", &prm.Signing{Key: keys()["ES256"], Algorithm: "none"}, `Signing.Algorithm is "none"; write one of ES256`},
		{"HS256", &prm.Signing{Key: keys()["ES256"], Algorithm: "HS256"}, `Signing.Algorithm is "HS256"`},
		{"lower case", &prm.Signing{Key: keys()["ES256"], Algorithm: "es256"}, `Signing.Algorithm is "es256"`},
		{"another curve", &prm.Signing{Key: keys()["ES384"], Algorithm: "ES256"}, "Signing.Key: an elliptic key of this curve is not for ES256"},
		{"an elliptic key for RSA", &prm.Signing{Key: keys()["ES256"], Algorithm: "RS256"}, "is not for RS256"},
		{"an RSA key for EdDSA", &prm.Signing{Key: keys()["RS256"], Algorithm: "EdDSA"}, "an RSA key is not for EdDSA"},
		{"an Ed25519 key for ES256", &prm.Signing{Key: keys()["EdDSA"], Algorithm: "ES256"}, "an Ed25519 key is not for ES256"},
		{"a weak RSA key", &prm.Signing{Key: weak}, "of 2048 to 8192 bits"},
		{"a weak RSA key by name", &prm.Signing{Key: weak, Algorithm: "PS256"}, "1024 bits"},
		{"P-224", &prm.Signing{Key: p224}, "this key cannot sign"},
		{"an issuer over http", &prm.Signing{Key: keys()["ES256"], Issuer: "http://x.example"}, "Signing.Issuer uses http"},
		{"an issuer with a fragment", &prm.Signing{Key: keys()["ES256"], Issuer: "https://x.example#a"}, "Signing.Issuer has a fragment"},
		{"a kid with a line break", &prm.Signing{Key: keys()["ES256"], KeyID: "a\nb"}, "Signing.KeyID"},
		{"a short life", &prm.Signing{Key: keys()["ES256"], Lifetime: time.Minute}, "Signing.Lifetime is 1m0s"},
		{"a long life", &prm.Signing{Key: keys()["ES256"], Lifetime: 31 * 24 * time.Hour}, "Signing.Lifetime"},
		{"a negative life", &prm.Signing{Key: keys()["ES256"], Lifetime: -time.Hour}, "Signing.Lifetime"},
		{"a broken second", &prm.Signing{Key: keys()["ES256"], Lifetime: time.Hour + 1}, "Signing.Lifetime"},
	} {
		t.Run("PRM-14 "+tc.name, func(t *testing.T) {
			_, err := tc.s.Sign(least("https://h/mcp"), epoch)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "prm: ")
			require.NotContains(t, err.Error(), "\n", "one mistake, one line")
			require.Equal(t, err.Error(), tc.s.Validate().Error())
			_, err = prm.KeySet(tc.s)
			require.ErrorContains(t, err, tc.want)
			if tc.s != nil {
				_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least("https://h/mcp")}, Signing: tc.s})
				require.ErrorContains(t, err, tc.want)
			}
		})
	}
	_, err = (&prm.Signing{Algorithm: "none", Lifetime: 1}).Sign(nil, epoch)
	for _, want := range []string{"Key", "Algorithm", "Lifetime"} {
		require.ErrorContains(t, err, want, "all mistakes at once")
	}
	require.NoError(t, (&prm.Signing{Key: keys()["ES256"]}).Validate())
	_, err = prm.KeySet()
	require.ErrorContains(t, err, "no Signing")
	_, err = prm.KeySet(&prm.Signing{Key: keys()["ES256"], KeyID: "a"}, &prm.Signing{Key: keys()["EdDSA"], KeyID: "a"})
	require.ErrorContains(t, err, `signings[1]: KeyID "a" is that of an earlier one`)
	set, err := prm.KeySet(&prm.Signing{Key: keys()["ES256"]}, &prm.Signing{Key: keys()["RS256"]})
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(set), `"kid":`), "the old key beside the new one")
	require.NotContains(t, string(set), `"d":`)
}

// A member that would be a claim about the signature cannot be signed, whatever its case.
func TestPRM14_ExtraIsNoClaim(t *testing.T) {
	s := &prm.Signing{Key: keys()["EdDSA"]}
	for _, name := range []string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "EXP"} {
		m := least("https://h/mcp")
		m.Extra = map[string]any{name: 1}
		require.NoError(t, m.Validate(), "without a signature it may be published")
		_, err := s.Sign(m, epoch)
		require.ErrorContains(t, err, `prm: extra member "`+name+`" would be the claim`)
		_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{m}, Signing: s})
		require.ErrorContains(t, err, `prm: Resources[0]: extra member "`+name+`" would be the claim`)
	}
	_, err := s.Sign(&prm.Metadata{}, epoch)
	require.ErrorContains(t, err, "resource is empty", "nothing is signed that must not be published")
}

// faulty is a key that does not do what it says.
type faulty struct {
	crypto.Signer
	sign func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error)
}

func (f faulty) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return f.sign(r, digest, opts)
}

func TestPRM14_SignaturesOfFaultyKeysAreNotPublished(t *testing.T) {
	der, err := base64.StdEncoding.DecodeString("MAYCAQECAQE=") // R and S are 1
	require.NoError(t, err)
	for name, sign := range map[string]func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error){
		"an error":      func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, errors.New("out of order") },
		"a panic":       func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { panic("out of order") },
		"nothing":       func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return nil, nil },
		"no ASN.1":      func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return make([]byte, 64), nil },
		"a wrong one":   func(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return der, nil },
		"another curve": func(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) { return keys()["ES512"].Sign(r, d, o) },
		"another key": func(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
			key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			return key.Sign(rand.Reader, d, o)
		},
	} {
		s := &prm.Signing{Key: faulty{keys()["ES256"], sign}}
		_, err := s.Sign(least("https://h/mcp"), epoch)
		require.ErrorContains(t, err, "prm: signing: ", "%s", name)
	}
	_, err = (&prm.Signing{Key: faulty{keys()["ES256"], func(r io.Reader, d []byte, o crypto.SignerOpts) ([]byte, error) {
		return keys()["ES256"].Sign(r, d, o)
	}}}).Sign(least("https://h/mcp"), epoch)
	require.NoError(t, err)
}

// stranger is a public key on P-256 whose private half nobody has.
func stranger() crypto.PublicKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key.Public()
}
