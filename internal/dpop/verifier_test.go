package dpop_test

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/nonce"
)

func fixed(unix int64) func() time.Time { return func() time.Time { return time.Unix(unix, 0) } }

func TestConfig(t *testing.T) {
	_, err := dpop.New(dpop.Config{URL: "mcp.example.com", Algorithms: []string{"ES256", "HS256", "none", "ES256", "es256"}, Window: -1})
	for _, text := range []string{"URL: must be", `"HS256" cannot`, `"none" cannot`, `"es256" cannot`, `"ES256" is there twice`, "Window: -1ns"} {
		require.ErrorContains(t, err, text)
	}
	_, err = dpop.New(dpop.Config{URL: resource + "#a", Algorithms: []string{}})
	require.ErrorContains(t, err, "URL: has a fragment")
	require.ErrorContains(t, err, "Algorithms: is an empty list")
	for _, url := range []string{"", "https://", "ftp://a/", "https://u@a/", "https://a/%", "https://\u00e4/", "https://a/" + strings.Repeat("a", 2048)} {
		_, err = dpop.New(dpop.Config{URL: url})
		require.ErrorContains(t, err, "URL: ", url)
	}
	v := newVerifier(t, nil)
	require.Equal(t, []string{"ES256", "ES384", "PS256", "RS256", "EdDSA"}, v.Algorithms())
	v.Algorithms()[0] = "none"
	require.Equal(t, "ES256", v.Algorithms()[0])
	require.Equal(t, []string{"EdDSA", "ES256"}, newVerifier(t, func(c *dpop.Config) { c.Algorithms = []string{"EdDSA", "ES256"} }).Algorithms())
}

func TestZeroValuesRefuse(t *testing.T) {
	req := requestFor("p256", goodProof(t, "p256"))
	key := acceptedKey(newVerifier(t, nil), req)
	require.NotNil(t, key)
	req.Known = key
	for _, v := range []*dpop.Verifier{nil, {}} {
		_, err := v.Verify(req)
		require.Equal(t, dpop.ReasonUnready, err.(*dpop.Error).Reason)
		require.Empty(t, v.Algorithms())
	}
	var none *dpop.Key
	require.Empty(t, none.Thumbprint())
	require.Zero(t, none.Sum())
	require.Zero(t, none.Size())
	require.Equal(t, "The proof is not accepted", (&dpop.Error{}).Description())
	_, err := newVerifier(t, nil).Verify(dpop.Request{})
	require.Equal(t, dpop.ReasonCount, refusalOf(t, err).Reason)
	// The zero Key, which nobody but this package fills, is not taken for a known one.
	_, err = newVerifier(t, nil).Verify(dpop.Request{Method: "POST", Proof: ".." /* an empty header */, Known: &dpop.Key{}})
	require.Error(t, err)
}

// TestKnownKeyOfAnotherVerifier: what another configuration accepted says nothing here.
func TestKnownKeyOfAnotherVerifier(t *testing.T) {
	req := requestFor("p256", goodProof(t, "p256"))
	req.Known = acceptedKey(newVerifier(t, nil), req)
	_, err := newVerifier(t, func(c *dpop.Config) { c.Algorithms = []string{"EdDSA"} }).Verify(req)
	require.Equal(t, dpop.ReasonAlgorithm, refusalOf(t, err).Reason)
}

// TestKnownKeyOfAnotherHeader: the known key is that of the header, never the one to verify another with.
func TestKnownKeyOfAnotherHeader(t *testing.T) {
	v := newVerifier(t, nil)
	known := acceptedKey(v, requestFor("p256", goodProof(t, "p256")))
	req := requestFor("foreign", goodProof(t, "foreign"))
	req.Known = known
	proof, err := v.Verify(req)
	require.NoError(t, err)
	require.Equal(t, thumbprintOf("foreign"), proof.Key.Thumbprint())
	// Signed by the known key, under another's header.
	req = requestFor("foreign", sign(t, "ES256", "p256", goodHeader("foreign"), goodClaims))
	req.Known = known
	_, err = v.Verify(req)
	require.Equal(t, dpop.ReasonSignature, refusalOf(t, err).Reason)
}

func TestDPOP13_IdentityAndLifetime(t *testing.T) {
	now := epoch
	v := newVerifier(t, func(c *dpop.Config) { c.Now = func() time.Time { return now } })
	for _, iat := range []string{"1767225600", "1767225300", "1767225900", "1767225600.25"} {
		req := requestFor("p256", sign(t, "ES256", "p256", goodHeader("p256"), strings.Replace(goodClaims, "1767225600", iat, 1)))
		now = epoch
		proof, err := v.Verify(req)
		require.NoError(t, err)
		require.Equal(t, sha256.Sum256([]byte("jti-1")), proof.ID)
		require.False(t, proof.Renew)
		// Accepted until the very moment that it must be remembered to, and not after.
		now = proof.Until
		_, err = v.Verify(req)
		require.NoError(t, err, iat)
		now = proof.Until.Add(time.Nanosecond)
		_, err = v.Verify(req)
		require.Equal(t, dpop.ReasonTime, refusalOf(t, err).Reason, iat)
	}
	// One jti has one identity, however it is written.
	req := requestFor("p256", sign(t, "ES256", "p256", goodHeader("p256"), strings.Replace(goodClaims, "jti-1", `\u006ati-1`, 1)))
	now = epoch
	proof, err := v.Verify(req)
	require.NoError(t, err)
	require.Equal(t, sha256.Sum256([]byte("jti-1")), proof.ID)
}

func nonces(t testing.TB, now func() time.Time) *nonce.Source {
	t.Helper()
	s, err := nonce.New(nonce.Config{Keys: [][]byte{[]byte("thirty-two bytes, or rather more")}, Label: resource, Now: now})
	require.NoError(t, err)
	return s
}

func TestDPOP16_Nonces(t *testing.T) {
	now := epoch
	clock := func() time.Time { return now }
	source := nonces(t, clock)
	v := newVerifier(t, func(c *dpop.Config) { c.Nonces, c.Now = source, clock })
	verify := func(claims ...string) (dpop.Proof, *dpop.Error) {
		t.Helper()
		text := goodClaims
		for i := 0; i < len(claims); i += 2 {
			require.Contains(t, text, claims[i])
			text = strings.Replace(text, claims[i], claims[i+1], 1)
		}
		proof, err := v.Verify(requestFor("p256", sign(t, "ES256", "p256", goodHeader("p256"), text)))
		if err != nil {
			return proof, refusalOf(t, err)
		}
		return proof, nil
	}
	with := func(n string) []string { return []string{`{"jti"`, `{"nonce":"` + n + `","jti"`} }
	refused := func(e *dpop.Error, code, reason string) {
		t.Helper()
		require.NotNil(t, e)
		require.Equal(t, code, e.Code)
		require.Equal(t, reason, e.Reason)
	}

	_, e := verify()
	refused(e, dpop.CodeUseNonce, dpop.ReasonNonceMissing)
	require.Equal(t, "Resource server requires nonce in DPoP proof", e.Description()) // W5
	for _, bad := range []string{"", "definitely-not-the-server-nonce", source.Current() + "A", strings.Repeat("A", 4000)} {
		_, e = verify(with(bad)...)
		refused(e, dpop.CodeUseNonce, dpop.ReasonNonce)
		require.Equal(t, "Resource server requires nonce in DPoP proof", e.Description())
	}
	first := source.Current()
	proof, e := verify(with(first)...)
	require.Nil(t, e)
	require.False(t, proof.Renew)
	require.Equal(t, source.Check(first).Until, proof.Until)

	// DPOP-18: the previous one, with a hint that it ends.
	now = now.Add(150 * time.Second)
	require.NotEqual(t, first, source.Current())
	proof, e = verify(with(first)...)
	require.Nil(t, e)
	require.True(t, proof.Renew)
	require.Equal(t, source.Check(first).Until, proof.Until)

	// DPOP-16: no proof without, and a stale one is like none.
	now = proof.Until.Add(time.Second)
	_, e = verify(with(first)...)
	refused(e, dpop.CodeUseNonce, dpop.ReasonNonce)

	// DPOP-19: the time of the nonce stands in for a clock that is wrong by an hour, or a century.
	for _, iat := range []string{"1767229200", "1767222000", "0", "4917225600", "1e400"} {
		proof, e = verify(append(with(source.Current()), "1767225600", iat)...)
		require.Nil(t, e, iat)
		require.Equal(t, source.Check(source.Current()).Until, proof.Until)
		_, e = verify("1767225600", iat)
		refused(e, dpop.CodeUseNonce, dpop.ReasonNonceMissing)
	}
	_, e = verify(append(with(source.Current()), "1767225600", `"1767225600"`)...)
	refused(e, dpop.CodeInvalidProof, dpop.ReasonMalformed)
	_, e = verify(append(with(source.Current()), `"iat":1767225600,`, "")...)
	refused(e, dpop.CodeInvalidProof, dpop.ReasonMalformed)
}

// TestDPOP20_Order: with nonces on, every vector that is bad for another reason than its time says so,
// nonce or no nonce.
func TestDPOP20_Order(t *testing.T) {
	source := nonces(t, clock)
	for _, tt := range vectors(t) {
		if tt.reason == "" || tt.reason == dpop.ReasonTime || strings.Contains(tt.name, "nonce") {
			continue
		}
		for _, current := range []string{"", source.Current(), "stale"} {
			tt := tt
			v := newVerifier(t, func(c *dpop.Config) {
				if tt.configure != nil {
					tt.configure(c)
				}
				c.Nonces = source
			})
			if current != "" && strings.HasPrefix(tt.claims[1], "{") {
				tt.claims[1] = `{"nonce":"` + current + `",` + tt.claims[1][1:]
			}
			req := requestFor("p256", tt.proof(t))
			if tt.request != nil {
				tt.request(&req)
			}
			_, err := v.Verify(req)
			refusal := refusalOf(t, err)
			require.NotEqual(t, dpop.CodeUseNonce, refusal.Code, tt.name)
			require.Equal(t, tt.reason, refusal.Reason, tt.name)
		}
	}
}

// TestIssuance: proofs of token requests (RFC 9449, Section 5), for the development server.
func TestIssuance(t *testing.T) {
	const endpoint = "http://127.0.0.1:9000/token"
	source := nonces(t, clock)
	config := func(c *dpop.Config) { c.URL, c.Issuance = endpoint, true }
	v := newVerifier(t, config)
	claims := `{"jti":"a","htm":"POST","htu":"` + endpoint + `","iat":1767225600}`
	req := dpop.Request{Method: "POST", Proof: sign(t, "ES256", "p256", goodHeader("p256"), claims)}
	proof, err := v.Verify(req)
	require.NoError(t, err)
	require.Equal(t, thumbprintOf("p256"), proof.Key.Thumbprint())

	// A refresh token or dpop_jkt names the key (Sections 5 and 10).
	req.Thumbprint = thumbprintOf("p256")
	_, err = v.Verify(req)
	require.NoError(t, err)
	req.Thumbprint = thumbprintOf("foreign")
	_, err = v.Verify(req)
	require.Equal(t, dpop.ReasonBinding, refusalOf(t, err).Reason)

	req.Thumbprint = ""
	_, err = newVerifier(t, func(c *dpop.Config) { config(c); c.Nonces = source }).Verify(req)
	require.Equal(t, dpop.CodeUseNonce, refusalOf(t, err).Code)
	require.Equal(t, "Authorization server requires nonce in DPoP proof", refusalOf(t, err).Description())

	// A proof made for a token request opens no resource.
	_, err = newVerifier(t, func(c *dpop.Config) { c.URL = endpoint }).Verify(req)
	require.Equal(t, dpop.ReasonMalformed, refusalOf(t, err).Reason)
}

// TestAllocations: the whole request has 25.
func TestAllocations(t *testing.T) {
	v := newVerifier(t, nil)
	req := requestFor("p256", goodProof(t, "p256"))
	req.Known = acceptedKey(v, req)
	n := testing.AllocsPerRun(100, func() {
		if _, err := v.Verify(req); err != nil {
			panic(err)
		}
	})
	require.LessOrEqual(t, n, 20.0)
}
