package jwt_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwt"
)

// FuzzVerify mutates tokens. What is accepted was signed and handed out exactly like that: no byte of
// it can differ, signature included. Every refusal is explained in a line that is safe to log.
func FuzzVerify(f *testing.F) {
	relaxed := strictIssuer()
	relaxed.Types = []string{"at+jwt", "JWT", ""}
	relaxed.Keys = keysOf("ed25519")
	v := newVerifier(f, relaxed)
	signed := map[string]bool{}
	for _, alg := range []string{"EdDSA", "Ed25519"} {
		token := sign(f, alg, "ed25519", strings.Replace(goodHeader, "ES256", alg, 1), goodClaims)
		_, err := v.Verify(context.Background(), token)
		require.NoError(f, err)
		signed[token] = true
		parts := strings.Split(token, ".")
		for _, s := range []string{
			token, "", ".", "..", "....", parts[0] + ".." + parts[2], parts[0] + "." + parts[1] + ".", token + "=", token + "\n", token + ".",
			parts[1] + "." + parts[0] + "." + parts[2], token[:len(token)-1] + "\r", strings.ToLower(token),
			token[:len(token)-2] + loosen(f, token[len(token)-2:]),
		} {
			f.Add(s)
		}
	}
	for _, vector := range readVectors(f) {
		if vector.make.Key == "" {
			vector.header = strings.Replace(vector.header, `"ES256"`, `"EdDSA"`, 1)
		}
		token := vector.token(f)
		if vector.make.Key == "" && vector.make.Edit == "" {
			signed[token] = true
		}
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		got, err := v.Verify(context.Background(), token)
		if err == nil {
			require.True(t, signed[token], "accepted %q", token)
			require.True(t, jwt.LooksLikeJWT(token))
			return
		}
		require.Nil(t, got)
		var refusal *jwt.Error
		require.True(t, errors.As(err, &refusal))
		require.NotEqual(t, (&jwt.Error{}).Description(), refusal.Description())
		text := refusal.Error()
		require.Less(t, len(text), 2048)
		for i := range len(text) {
			require.True(t, 0x20 <= text[i] && text[i] < 0x7f, "%q", text)
		}
		if refusal.Reason == jwt.ReasonNotJWT {
			require.False(t, jwt.LooksLikeJWT(token))
		}
	})
}

// FuzzSubset signs whatever header and claims come and compares with golang-jwt: it accepts everything
// that is accepted here. The reverse does not hold: it ignores crit, typ and duplicates.
func FuzzSubset(f *testing.F) {
	gojwt.RegisterSigningMethod("Ed25519", func() gojwt.SigningMethod { return gojwt.SigningMethodEdDSA })
	relaxed := strictIssuer()
	relaxed.Types = []string{"at+jwt", "JWT", ""}
	relaxed.Keys = keysOf("ed25519")
	v := newVerifier(f, relaxed)
	parser := gojwt.NewParser(
		gojwt.WithStrictDecoding(), gojwt.WithJSONNumber(), gojwt.WithExpirationRequired(), gojwt.WithIssuedAt(),
		gojwt.WithIssuer(issuerA), gojwt.WithAudience(resource), gojwt.WithTimeFunc(clock),
		// golang-jwt cuts dates to whole seconds.
		gojwt.WithLeeway(31*time.Second),
		gojwt.WithValidMethods([]string{"EdDSA", "Ed25519"}),
	)
	public := signingKeys()["ed25519"].Public()
	f.Add(strings.Replace(goodHeader, "ES256", "EdDSA", 1), goodClaims)
	for _, vector := range readVectors(f) {
		f.Add(strings.Replace(vector.header, "ES256", "EdDSA", 1), vector.claims)
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		token := sign(t, "EdDSA", "ed25519", header, claims)
		got, err := v.Verify(context.Background(), token)
		if err != nil {
			return
		}
		var members map[string]any
		if json.Unmarshal([]byte(header), &members) != nil {
			return // a number beyond float64 in an ignored member, which golang-jwt cannot read
		}
		_, err = parser.Parse(token, func(*gojwt.Token) (any, error) { return public, nil })
		require.NoError(t, err, "%s %s", header, claims)
		require.NotEmpty(t, got.Subject)
		require.True(t, got.Expiry.Add(30*time.Second).After(testNow))
	})
}
