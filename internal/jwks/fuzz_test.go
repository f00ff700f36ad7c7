package jwks_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"testing"

	"github.com/MicahParks/jwkset"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
)

// Every key of an accepted document is within the limits, and printing it with
// another library and reading it again, alone or among garbage, gives the same
// key.
func FuzzParseDocument(f *testing.F) {
	for _, raw := range refusedKeys() {
		f.Add([]byte(setOf(raw)))
		f.Add([]byte(setOf(raw, jwkOf(ec256(), "good", nil))))
	}
	f.Add([]byte(setOf(jwkOf(rsa2048(), "k", nil), jwkOf(ec384(), "k", nil), jwkOf(ec521(), "", nil), jwkOf(edKey(), "", nil))))
	const maxKeys = 20
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := jwks.ParseDocument(data, maxKeys)
		if err != nil {
			require.Nil(t, d)
			require.ErrorIs(t, err, jwks.ErrDocument)
			return
		}
		require.True(t, json.Valid(data))
		require.NotEmpty(t, d.Keys)
		require.LessOrEqual(t, len(d.Keys)+d.Ignored, maxKeys)
		for _, k := range d.Keys {
			require.NotEmpty(t, fitting(k))
			switch pub := k.Public.(type) {
			case *rsa.PublicKey:
				require.True(t, pub.N.BitLen() >= 2048 && pub.N.BitLen() <= 8192 && pub.E >= 3 && pub.E%2 == 1)
			case *ecdsa.PublicKey:
				_, err := pub.ECDH() // checks the point
				require.NoError(t, err)
			case ed25519.PublicKey:
				require.Len(t, pub, ed25519.PublicKeySize)
			default:
				t.Fatalf("a key of type %T", pub)
			}
			j, err := jwkset.NewJWKFromKey(k.Public, jwkset.JWKOptions{})
			require.NoError(t, err)
			m := j.Marshal()
			m.KID, m.ALG = k.ID, jwkset.ALG(k.Algorithm)
			raw, err := json.Marshal(m)
			require.NoError(t, err)
			again, err := jwks.ParseKey(raw)
			require.NoError(t, err)
			require.Equal(t, k.Thumbprint(), again.Thumbprint())
			require.Equal(t, fitting(k), fitting(again))
			among, err := jwks.ParseDocument([]byte(setOf(`{"kty":"oct","k":"AA"}`, string(raw), `[]`)), maxKeys)
			require.NoError(t, err)
			require.Len(t, among.Keys, 1)
			require.Equal(t, k.Thumbprint(), among.Keys[0].Thumbprint())
		}
	})
}
