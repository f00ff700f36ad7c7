package jwt_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jwt"
)

const (
	resource = "https://mcp.example.com/mcp"
	issuerA  = "https://as.example.com"
	issuerB  = "https://b.example.com"
)

// epoch is the iat of the sample tokens; the clock of the tests stands 100 s later.
var (
	epoch   = time.Unix(1767225600, 0)
	testNow = epoch.Add(100 * time.Second)
)

func clock() time.Time { return testNow }

// signingKeys are made once per run. The name says what a key is for.
var signingKeys = sync.OnceValue(func() map[string]crypto.Signer {
	ec := func(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }
	// Fixed, and so are its signatures: the processes of a fuzz run have to agree on what is signed.
	ed := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	return map[string]crypto.Signer{
		"p256": ec(elliptic.P256()), "p384": ec(elliptic.P384()), "p521": ec(elliptic.P521()),
		"rsa": must(rsa.GenerateKey(rand.Reader, 2048)), "ed25519": ed,
		"foreign":  ec(elliptic.P256()), // published nowhere
		"issuer-b": ec(elliptic.P256()), // published by issuerB, under the same kid
	}
})

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A laxSource returns its keys for the kid "k1" and for none, whatever the algorithm: what fits must
// be decided again by the verifier.
type laxSource []*jwks.Key

func (s laxSource) Lookup(_ context.Context, kid, _ string) ([]*jwks.Key, error) {
	if kid != "" && kid != "k1" {
		return nil, jwks.ErrUnknownKey
	}
	return s, nil
}

func keysOf(names ...string) laxSource {
	var s laxSource
	for _, name := range names {
		s = append(s, &jwks.Key{ID: "k1", Public: signingKeys()[name].Public()})
	}
	return s
}

// failingSource fails every lookup.
type failingSource struct{ err error }

func (s failingSource) Lookup(context.Context, string, string) ([]*jwks.Key, error) {
	return nil, s.err
}

// strictIssuer accepts what RFC 9068 prescribes.
func strictIssuer() jwt.Issuer {
	return jwt.Issuer{URL: issuerA, Audiences: []string{resource}, Keys: keysOf("p384", "rsa", "p521", "ed25519", "p256")}
}

func newVerifier(t testing.TB, issuers ...jwt.Issuer) *jwt.Verifier {
	t.Helper()
	v, err := jwt.New(issuers, clock)
	require.NoError(t, err)
	return v
}

var b64 = base64.RawURLEncoding

// sign makes a compact JWS over header and claims as they are, with golang-jwt's signer for alg.
func sign(t testing.TB, alg, key, header, claims string) string {
	t.Helper()
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	return input + "." + b64.EncodeToString(signature(t, alg, key, input))
}

func signature(t testing.TB, alg, key, input string) []byte {
	t.Helper()
	k := signingKeys()[key]
	require.NotNil(t, k, "no key %s", key)
	if alg == "Ed25519" {
		alg = "EdDSA"
	}
	if e, ok := k.(*ecdsa.PrivateKey); ok && e.Curve != elliptic.P256() && alg == "ES256" {
		// golang-jwt does not sign ES256 with another curve.
		digest := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, e, digest[:])
		require.NoError(t, err)
		size := (e.Curve.Params().BitSize + 7) / 8
		sig := make([]byte, 2*size)
		r.FillBytes(sig[:size])
		s.FillBytes(sig[size:])
		return sig
	}
	sig, err := gojwt.GetSigningMethod(alg).Sign(input, any(k))
	require.NoError(t, err)
	return sig
}

// defaultKeys tells which key signs an algorithm unless a test says otherwise.
var defaultKeys = map[string]string{
	"RS256": "rsa", "RS384": "rsa", "RS512": "rsa", "PS256": "rsa", "PS384": "rsa", "PS512": "rsa",
	"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519", "Ed25519": "ed25519",
}

const (
	goodHeader = `{"alg":"ES256","typ":"at+jwt","kid":"k1"}`
	goodClaims = `{"iss":"https://as.example.com","aud":"https://mcp.example.com/mcp","sub":"ada","client_id":"app","iat":1767225600,"exp":1767229200,"jti":"j1","scope":"notes:read"}`
)
