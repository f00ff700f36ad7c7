package mcpauthtest_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// rfc8037 is the key of RFC 8037, Appendix A.1. Ed25519 signatures are the same each time.
func rfc8037(t testing.TB) *mcpauthtest.DPoPKey {
	t.Helper()
	seed, err := base64.RawURLEncoding.DecodeString("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
	require.NoError(t, err)
	key, err := mcpauthtest.NewDPoPKeyFrom("", ed25519.NewKeyFromSeed(seed))
	require.NoError(t, err)
	return key
}

func newKey(t testing.TB) *mcpauthtest.DPoPKey {
	t.Helper()
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	return key
}

var rsaKey = func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
}()

func TestEveryAlgorithmSignsWhatANaiveVerifierAccepts(t *testing.T) {
	for _, alg := range []string{"ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512", "EdDSA"} {
		t.Run(alg, func(t *testing.T) {
			var key *mcpauthtest.DPoPKey
			var err error
			if alg[1] == 'S' && alg[0] != 'E' {
				key, err = mcpauthtest.NewDPoPKeyFrom(alg, rsaKey) // making one takes long
			} else {
				key, err = mcpauthtest.NewDPoPKey(alg)
			}
			require.NoError(t, err)
			require.Equal(t, alg, key.Algorithm())
			for range 5 { // R and S of ECDSA are sometimes short
				p, err := naive(key.Proof("POST", "https://mcp.example.com/mcp?a=b#c", "token", "nonce"))
				require.NoError(t, err)
				require.Equal(t, key.Thumbprint(), p.thumbprint)
				require.Equal(t, alg, p.header["alg"])
				require.Len(t, p.header, 3)
				require.Equal(t, "POST", p.claims["htm"])
				require.Equal(t, "https://mcp.example.com/mcp", p.claims["htu"], "DPOP-06 without query and fragment")
				require.Equal(t, hashed("token"), p.claims["ath"], "DPOP-07")
				require.Equal(t, "nonce", p.claims["nonce"])
				require.InDelta(t, time.Now().Unix(), p.claims["iat"], 60)
			}
		})
	}
}

func TestRSAKeysAreMade(t *testing.T) {
	key, err := mcpauthtest.NewDPoPKey("PS256")
	require.NoError(t, err)
	n, err := base64.RawURLEncoding.DecodeString(key.PublicJWK()["n"])
	require.NoError(t, err)
	require.Len(t, n, 256)
}

func TestThumbprintsOfTheRFCs(t *testing.T) {
	require.Equal(t, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", rfc8037(t).Thumbprint(), "RFC 8037, Appendix A.3")

	// RFC 7515, Appendix A.3.
	d, err := base64.RawURLEncoding.DecodeString("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI")
	require.NoError(t, err)
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	require.NoError(t, err)
	key, err := mcpauthtest.NewDPoPKeyFrom("", private)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
	}, key.PublicJWK())
	require.Equal(t, "ES256", key.Algorithm())
}

func TestTheUsualAlgorithmOfAKey(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	for want, private := range map[string]crypto.Signer{"ES384": p384, "PS256": rsaKey} {
		key, err := mcpauthtest.NewDPoPKeyFrom("", private)
		require.NoError(t, err)
		require.Equal(t, want, key.Algorithm())
	}
}

// foreign is a signer of a type that the package does not know.
type foreign struct{}

func (foreign) Public() crypto.PublicKey { return nil }
func (foreign) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, nil
}

func TestKeysThatCannotSignProofs(t *testing.T) {
	for _, alg := range []string{"none", "HS256", "es256", "ES256K", "ES256 "} {
		_, err := mcpauthtest.NewDPoPKey(alg)
		require.ErrorContains(t, err, "one of ES256, ES384", alg)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	require.NoError(t, err)
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		alg     string
		private crypto.Signer
		says    string
	}{
		"nothing":                 {"", nil, "<nil> cannot sign"},
		"a nil ECDSA key":         {"", (*ecdsa.PrivateKey)(nil), "is empty"},
		"an empty ECDSA key":      {"", &ecdsa.PrivateKey{}, "is empty"},
		"a nil RSA key":           {"", (*rsa.PrivateKey)(nil), "is empty"},
		"an empty RSA key":        {"", &rsa.PrivateKey{}, "is empty"},
		"a cut Ed25519 key":       {"", make(ed25519.PrivateKey, 32), "is empty or cut"},
		"another signer":          {"", foreign{}, "foreign cannot sign"},
		"a curve of no alg":       {"", p224, "does not fit"},
		"a key of another alg":    {"RS256", p256, "does not fit"},
		"a curve of another":      {"ES384", p256, "does not fit"},
		"a key too short for alg": {"PS512", short, "cannot sign with PS512"},
		"an unknown alg":          {"HS256", p256, "one of ES256"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mcpauthtest.NewDPoPKeyFrom(c.alg, c.private)
			require.ErrorContains(t, err, c.says)
		})
	}
}

func TestTheZeroKeyPanicsWithAWord(t *testing.T) {
	var key mcpauthtest.DPoPKey
	require.PanicsWithValue(t, "mcpauthtest: signing a proof: no key: make one with NewDPoPKey", func() { key.Proof("GET", "https://a.example/", "", "") })
}

func TestEachMemberOfAProofCanBeChanged(t *testing.T) {
	key := newKey(t)
	proof := key.NewProof("POST", "https://mcp.example.com/a&b", "token", "")
	require.NotContains(t, proof.Claims, "nonce")
	proof.Header["typ"] = "jwt"
	proof.Header["jwk"].(map[string]string)["d"] = "AA"
	delete(proof.Claims, "ath")
	proof.Claims["iat"] = "yesterday"
	parts := bytes.Split([]byte(key.Sign(proof)), []byte("."))
	header, err := base64.RawURLEncoding.DecodeString(string(parts[0]))
	require.NoError(t, err)
	claims, err := base64.RawURLEncoding.DecodeString(string(parts[1]))
	require.NoError(t, err)
	require.Contains(t, string(header), `"d":"AA"`)
	require.Contains(t, string(header), `"typ":"jwt"`)
	require.Contains(t, string(claims), `"iat":"yesterday"`)
	require.Contains(t, string(claims), `"htu":"https://mcp.example.com/a&b"`)
	require.NotContains(t, string(claims), "ath")

	require.NotContains(t, key.PublicJWK(), "d", "a proof has a key map of its own")
	_, err = naive(key.Proof("POST", "https://mcp.example.com/", "", ""))
	require.NoError(t, err)
	require.Panics(t, func() { key.Sign(&mcpauthtest.DPoPProof{Claims: map[string]any{"jti": func() {}}}) })
	require.Equal(t, "e30.e30.", key.Sign(&mcpauthtest.DPoPProof{})[:8], "the zero proof")
}

func TestTheHeaderTextOfOneKeyIsAlwaysTheSame(t *testing.T) {
	key := newKey(t)
	header := func() string {
		text, _, _ := bytes.Cut([]byte(key.Proof("GET", "https://a.example/", "", "")), []byte("."))
		return string(text)
	}
	require.Equal(t, header(), header())
}
