package dpop_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/dpop"
)

// FuzzProof mutates proofs. What is accepted was signed and handed out exactly like that: no byte of it
// can differ. Every refusal is explained in a line that is safe to log, and a known key changes nothing.
func FuzzProof(f *testing.F) {
	v := newVerifier(f, nil)
	good := goodProof(f, "ed25519")
	known := acceptedKey(v, requestFor("ed25519", good))
	require.NotNil(f, known)
	signed := map[string]bool{good: true}
	for _, tt := range vectors(f) {
		proof := ed25519Twin(f, tt)
		if tt.edit != nil {
			proof = tt.edit(proof)
		} else {
			signed[proof] = true
		}
		f.Add(proof)
	}
	f.Add(good + good)
	f.Add(good[:len(good)-1] + "\r")
	f.Fuzz(func(t *testing.T, proof string) {
		req := requestFor("ed25519", proof)
		got, err := v.Verify(req)
		req.Known = known
		again, errAgain := v.Verify(req)
		require.Equal(t, err == nil, errAgain == nil)
		if err == nil {
			require.True(t, signed[proof], "accepted %q", proof)
			require.Equal(t, got.ID, again.ID)
			require.Equal(t, got.Until, again.Until)
			return
		}
		require.Equal(t, refusalOf(t, err).Reason, refusalOf(t, errAgain).Reason)
		require.Equal(t, dpop.Proof{}, got)
	})
}

// ed25519Twin is a vector with the one key whose signatures are always the same.
func ed25519Twin(t testing.TB, tt vector) string {
	header := tt.replace(t, goodHeader("p256"), tt.header)
	header = strings.Replace(strings.Replace(header, jwkOf(keys()["p256"].Public()), jwkOf(keys()["ed25519"].Public()), 1), "ES256", "EdDSA", 1)
	return sign(t, "EdDSA", "ed25519", header, tt.replace(t, goodClaims, tt.claims))
}

// FuzzSubset signs whatever header and claims come. A check made of encoding/json, crypto and net/url
// accepts everything that is accepted here. The reverse does not hold: it knows nothing of duplicates.
func FuzzSubset(f *testing.F) {
	v := newVerifier(f, nil)
	f.Add(goodHeader("ed25519"), goodClaims)
	for _, tt := range vectors(f) {
		header := strings.Replace(tt.replace(f, goodHeader("p256"), tt.header), "ES256", "EdDSA", 1)
		f.Add(strings.Replace(header, jwkOf(keys()["p256"].Public()), jwkOf(keys()["ed25519"].Public()), 1), tt.replace(f, goodClaims, tt.claims))
	}
	for _, htu := range append(urlTable[0].same, urlTable[0].different...) {
		if !strings.ContainsAny(htu, "\\\n") {
			f.Add(goodHeader("ed25519"), strings.Replace(goodClaims, resource, strings.Replace(htu, "/a/%2Fb~c", "", 1), 1))
		}
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		req := requestFor("ed25519", sign(t, "EdDSA", "ed25519", header, claims))
		_, err := v.Verify(req)
		if err != nil {
			refusalOf(t, err)
			return
		}
		for _, text := range []string{header, claims} {
			if _, ok := object([]byte(text)); !ok {
				return // a number beyond float64 in an ignored member, which encoding/json cannot read
			}
		}
		require.NoError(t, naive(req.Proof, req, resource, float64(epoch.Unix())), "%s %s", header, claims)
	})
}
