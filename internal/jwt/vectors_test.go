package jwt_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwt"
)

// A vector is one file of testdata: a comment that names the clause, then sections
//
//	-- header --  the JOSE header as text
//	-- claims --  the payload as text
//	-- issuer --  fields of jwt.Issuer over those of strictIssuer (optional)
//	-- make --    {"key": name of the signing key, "alg": of the signature, "edit": name of an edit} (optional)
//	-- expect --  {"reason": "" for an accepted token, ...}
//
// Tokens are signed when the test runs.
type vector struct {
	name, header, claims string
	issuer               jwt.Issuer
	make                 struct{ Key, Alg, Edit string }
	expect               struct {
		Reason               string
		Subject, Client, Typ *string
		Bound                bool
		Got, Cure            string // must be part of what the operator reads
	}
}

// readSections reads a comment and sections "-- name --" (the txtar form). The last line break of a section
// is not part of it.
func readSections(t testing.TB, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	sections, name := map[string]string{}, ""
	for line := range strings.Lines(string(text)) {
		if mark := strings.TrimSpace(line); strings.HasPrefix(mark, "-- ") && strings.HasSuffix(mark, " --") {
			name = mark[3 : len(mark)-3]
			require.NotContains(t, sections, name, "%s: section twice", path)
			sections[name] = ""
			continue
		}
		sections[name] += line
	}
	for name := range sections {
		sections[name] = strings.TrimSuffix(sections[name], "\n")
	}
	return sections
}

func decodeStrictly(t testing.TB, path, text string, v any) {
	t.Helper()
	if text == "" {
		return
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(v), path)
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	require.NoError(t, err)
	require.Greater(t, len(paths), 100)
	vectors := make([]vector, len(paths))
	for i, path := range paths {
		sections := readSections(t, path)
		v := &vectors[i]
		v.name = strings.TrimSuffix(filepath.Base(path), ".txtar")
		v.header, v.claims, v.issuer = sections["header"], sections["claims"], strictIssuer()
		require.NotEmpty(t, strings.TrimSpace(sections[""]), "%s: no clause", path)
		require.NotEmpty(t, v.header, path)
		require.NotEmpty(t, sections["expect"], path)
		decodeStrictly(t, path, sections["issuer"], &v.issuer)
		decodeStrictly(t, path, sections["make"], &v.make)
		decodeStrictly(t, path, sections["expect"], &v.expect)
	}
	return vectors
}

// token makes the token of a vector.
func (v *vector) token(t testing.TB) string {
	t.Helper()
	var h struct {
		Alg any `json:"alg"`
	}
	_ = json.Unmarshal([]byte(v.header), &h)
	alg, _ := h.Alg.(string)
	if v.make.Alg != "" {
		alg = v.make.Alg
	}
	if defaultKeys[alg] == "" {
		alg = "ES256" // the verifier must stop long before the signature
	}
	key := v.make.Key
	if key == "" {
		key = defaultKeys[alg]
	}
	header, claims := v.header, v.claims
	switch v.make.Edit {
	case "claims-bom":
		claims = "\xef\xbb\xbf" + claims
	case "claims-latin1":
		claims = strings.Replace(claims, "ada", "ad\xe0", 1)
	case "header-latin1":
		header = strings.Replace(header, "k1", "k\xe0", 1)
	case "claims-nul":
		claims = strings.Replace(claims, "ada", "ad\x00", 1)
	case "claims-deep":
		claims = strings.TrimSuffix(claims, "}") + `,"deep":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + "}"
	case "claims-long":
		claims = strings.TrimSuffix(claims, "}") + `,"long":"` + strings.Repeat("x", 16<<10) + `"}`
	case "header-long":
		header = strings.TrimSuffix(header, "}") + `,"x5c":["` + strings.Repeat("x", 8<<10) + `"]}`
	case "kid-long":
		header = strings.Replace(header, `"k1"`, `"`+strings.Repeat("k", 2<<10)+`"`, 1)
	}
	h64, c64 := b64.EncodeToString([]byte(header)), b64.EncodeToString([]byte(claims))
	switch v.make.Edit {
	case "pad-header":
		h64 += strings.Repeat("=", (4-len(h64)%4)%4)
		require.Contains(t, h64, "=", "choose a header of another length")
	case "pad-claims":
		c64 += strings.Repeat("=", (4-len(c64)%4)%4)
		require.Contains(t, c64, "=", "choose claims of another length")
	case "newline-claims":
		c64 = c64[:8] + "\n" + c64[8:]
	case "bits-claims":
		c64 = loosen(t, c64)
	case "bits-header":
		h64 = loosen(t, h64)
	case "empty-claims":
		c64 = ""
	case "empty-header":
		h64 = ""
	}
	input := h64 + "." + c64
	sig := signature(t, alg, key, input)
	switch v.make.Edit {
	case "hmac-public-key":
		der, err := x509.MarshalPKIXPublicKey(signingKeys()["rsa"].Public())
		require.NoError(t, err)
		mac := hmac.New(sha256.New, der)
		mac.Write([]byte(input))
		sig = mac.Sum(nil)
	case "pss-salt":
		digest := sha256.Sum256([]byte(input))
		sig = must(rsa.SignPSS(rand.Reader, signingKeys()["rsa"].(*rsa.PrivateKey), 5, digest[:], &rsa.PSSOptions{SaltLength: 20}))
	case "der":
		digest := sha256.Sum256([]byte(input))
		sig = must(ecdsa.SignASN1(rand.Reader, signingKeys()["p256"].(*ecdsa.PrivateKey), digest[:]))
	case "zero":
		sig = make([]byte, len(sig))
	case "leading-zero":
		sig = append([]byte{0}, sig...)
	case "long-sig":
		sig = append(sig, 0)
	case "short-sig":
		sig = sig[:len(sig)-1]
	case "wide-rs": // R and S, each with a zero in front
		sig = slices.Concat([]byte{0}, sig[:32], []byte{0}, sig[32:])
	case "other-claims":
		input = h64 + "." + b64.EncodeToString([]byte(strings.Replace(claims, "ada", "eve", 1)))
	}
	s64 := b64.EncodeToString(sig)
	switch v.make.Edit {
	case "empty-sig":
		s64 = ""
	case "pad-sig":
		s64 += "=="
	case "bits-sig":
		s64 = loosen(t, s64)
	case "newline-sig":
		s64 += "\n"
	case "standard-base64":
		return strings.NewReplacer("-", "+", "_", "/").Replace(input+"."+s64) + "+"
	case "two-parts":
		return input
	case "four-parts":
		s64 += ".x"
	case "five-parts":
		s64 += ".x.x"
	case "many-parts":
		s64 += strings.Repeat(".", 10_000)
	case "opaque":
		return "Wq8Jd8aKQm2hLZ0oXr4vTg"
	case "opaque-dot":
		return "ory_at_Wq8Jd8aKQm2hLZ0oXr4vTg.u6Q5n0tF1c"
	case "opaque-three":
		return "Wq8J.d8aKQm2h.LZ0oXr4vTg"
	case "empty":
		return ""
	}
	return input + "." + s64
}

// loosen sets an unused bit at the end of a base64url text, which lenient decoders ignore.
func loosen(t testing.TB, s string) string {
	t.Helper()
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	require.NotZero(t, len(s)%4, "choose a text of another length")
	i := strings.IndexByte(digits, s[len(s)-1])
	return s[:len(s)-1] + string(digits[i|1])
}

// verifierFor also accepts tokens of a second issuer, which uses the same kid.
func (v *vector) verifier(t testing.TB) *jwt.Verifier {
	return newVerifier(t, v.issuer, jwt.Issuer{URL: issuerB, Audiences: []string{resource}, Keys: keysOf("issuer-b")})
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			token := v.token(t)
			got, err := v.verifier(t).Verify(context.Background(), token)
			if v.expect.Reason == "" {
				require.NoError(t, err)
				if v.expect.Subject != nil {
					require.Equal(t, *v.expect.Subject, got.Subject)
				}
				if v.expect.Client != nil {
					require.Equal(t, *v.expect.Client, got.ClientID)
				}
				if v.expect.Typ != nil {
					require.Equal(t, *v.expect.Typ, got.Type)
				}
				require.Equal(t, v.expect.Bound, got.Bound)
				require.NotNil(t, got.Key)
				require.NotEmpty(t, got.Subject)
				require.False(t, got.Expiry.IsZero())
				return
			}
			require.Nil(t, got)
			refusal := requireReason(t, err, v.expect.Reason)
			require.Contains(t, refusal.Got, v.expect.Got)
			require.Contains(t, refusal.Cure, v.expect.Cure)
			require.NotEmpty(t, refusal.Expected)
			requireNoLeak(t, refusal, token)
		})
	}
}

func requireReason(t testing.TB, err error, reason string) *jwt.Error {
	t.Helper()
	var refusal *jwt.Error
	require.ErrorAs(t, err, &refusal, "accepted")
	require.Equal(t, reason, refusal.Reason, "%v", err)
	return refusal
}

// requireNoLeak checks threats 93 and 94 and CH-11: no text holds a piece of the token, all are plain ASCII,
// bounded, and the description is one that a challenge may carry.
func requireNoLeak(t testing.TB, refusal *jwt.Error, token string) {
	t.Helper()
	text := refusal.Error()
	require.Less(t, len(text), 2048)
	for i := range len(text) {
		require.True(t, 0x20 <= text[i] && text[i] < 0x7f, "byte %#x in %q", text[i], text)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 8 {
			require.NotContains(t, text, part[:8])
			require.NotContains(t, text, part[len(part)-8:])
		}
	}
	description := refusal.Description()
	require.NotEmpty(t, description)
	require.NotContains(t, description, `"`)
	require.NotContains(t, description, `\`)
	require.NotEqual(t, (&jwt.Error{}).Description(), description, "reason without a description of its own")
	require.True(t, refusal.Err == nil || errors.Is(refusal, refusal.Err))
	require.NotContains(t, fmt.Sprintf("%+v", *refusal), "%!")
}
