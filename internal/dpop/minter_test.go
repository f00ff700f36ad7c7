package dpop_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/dpop"
)

const (
	resource    = "https://mcp.example.com/mcp"
	accessToken = "access.token.of-ada"
)

// epoch is the iat of the sample proofs, and the time of the tests' clock.
var epoch = time.Unix(1767225600, 0)

func clock() time.Time { return epoch }

var b64 = base64.RawURLEncoding

// keys are made once per run.
var keys = sync.OnceValue(func() map[string]crypto.Signer {
	ec := func(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }
	return map[string]crypto.Signer{
		"p256": ec(elliptic.P256()), "p384": ec(elliptic.P384()), "p521": ec(elliptic.P521()), "foreign": ec(elliptic.P256()),
		"rsa": must(rsa.GenerateKey(rand.Reader, 2048)),
		// Fixed, and so are its signatures: the processes of a fuzz run have to agree on what is signed.
		"ed25519": ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize)),
	}
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// jwkOf writes the public JWK of a key, its thumbprint's members first and in their order, so that the
// thumbprint is the hash of the text.
func jwkOf(public crypto.PublicKey) string {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		point := must(k.Bytes())
		size := (len(point) - 1) / 2
		return `{"crv":"` + k.Params().Name + `","kty":"EC","x":"` + b64.EncodeToString(point[1:1+size]) + `","y":"` + b64.EncodeToString(point[1+size:]) + `"}`
	case *rsa.PublicKey:
		return `{"e":"` + b64.EncodeToString(big.NewInt(int64(k.E)).Bytes()) + `","kty":"RSA","n":"` + b64.EncodeToString(k.N.Bytes()) + `"}`
	case ed25519.PublicKey:
		return `{"crv":"Ed25519","kty":"OKP","x":"` + b64.EncodeToString(k) + `"}`
	}
	panic("no JWK")
}

func thumbprintOf(key string) string {
	sum := sha256.Sum256([]byte(jwkOf(keys()[key].Public())))
	return b64.EncodeToString(sum[:])
}

// algorithmOf and keyOf say which alg a key is used with unless a test says otherwise, and the reverse.
var algorithmOf = map[string]string{"p256": "ES256", "p384": "ES384", "p521": "ES512", "foreign": "ES256", "rsa": "RS256", "ed25519": "EdDSA"}

var keyOf = map[string]string{
	"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519", "Ed25519": "ed25519",
	"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
}

func goodHeader(key string) string {
	return `{"typ":"dpop+jwt","alg":"` + algorithmOf[key] + `","jwk":` + jwkOf(keys()[key].Public()) + `}`
}

func ath(token string) string {
	sum := sha256.Sum256([]byte(token))
	return b64.EncodeToString(sum[:])
}

var goodClaims = `{"jti":"jti-1","htm":"POST","htu":"https://mcp.example.com/mcp","iat":1767225600,"ath":"` + ath(accessToken) + `"}`

// sign makes a compact JWS over header and claims as they are.
func sign(t testing.TB, alg, key, header, claims string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	if alg == "none" {
		return input + "."
	}
	var secret any = keys()[key]
	if strings.HasPrefix(alg, "HS") {
		// The attack of RFC 8725, Section 2.1: the public key as the secret of an HMAC.
		secret = []byte(jwkOf(keys()[key].Public()))
	}
	sig, err := gojwt.GetSigningMethod(strings.Replace(alg, "Ed25519", "EdDSA", 1)).Sign(input, secret)
	require.NoError(t, err)
	return input + "." + b64.EncodeToString(sig)
}

func newVerifier(t testing.TB, edit func(*dpop.Config)) *dpop.Verifier {
	t.Helper()
	cfg := dpop.Config{URL: resource, Now: clock}
	if edit != nil {
		edit(&cfg)
	}
	v, err := dpop.New(cfg)
	require.NoError(t, err)
	return v
}

// requestFor is what a good proof of key is checked against.
func requestFor(key, proof string) dpop.Request {
	return dpop.Request{Method: "POST", Proof: proof, TokenHash: sha256.Sum256([]byte(accessToken)), Thumbprint: thumbprintOf(key)}
}

func goodProof(t testing.TB, key string) string {
	return sign(t, algorithmOf[key], key, goodHeader(key), goodClaims)
}

// refusalOf requires that err is an *Error that is fit to be shown and logged.
func refusalOf(t testing.TB, err error) *dpop.Error {
	t.Helper()
	var refusal *dpop.Error
	require.ErrorAs(t, err, &refusal)
	require.Contains(t, []string{dpop.CodeInvalidProof, dpop.CodeUseNonce, dpop.CodeInvalidToken}, refusal.Code)
	require.NotEqual(t, (&dpop.Error{}).Description(), refusal.Description())
	text := refusal.Error()
	require.Less(t, len(text), 2048)
	for i := range len(text) {
		require.True(t, 0x20 <= text[i] && text[i] < 0x7f, "%q", text)
	}
	for _, c := range []byte(refusal.Description()) {
		require.True(t, 0x20 <= c && c < 0x7f && c != '"' && c != '\\', "%q", refusal.Description())
	}
	return refusal
}

// object decodes JSON the way anyone would.
func object(text []byte) (map[string]any, bool) {
	var m map[string]any
	err := json.Unmarshal(text, &m)
	return m, err == nil && m != nil
}
