package prm_test

import (
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	gojwt "github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/prm"
)

const vouched = "https://h/mcp"

// vouch is the document of vouched with a JWT that somebody else made. nil removes a claim or a header.
func vouch(t testing.TB, method gojwt.SigningMethod, key any, claims, head, plain map[string]any) []byte {
	t.Helper()
	doc := map[string]any{"resource": vouched, "authorization_servers": []string{"https://as.example.com"}}
	all := gojwt.MapClaims{"iss": vouched, "iat": epoch.Unix(), "exp": epoch.Add(time.Hour).Unix()}
	maps.Copy(all, doc)
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	token := gojwt.NewWithClaims(method, all)
	maps.Copy(token.Header, head)
	maps.DeleteFunc(token.Header, func(_ string, v any) bool { return v == nil })
	text, err := token.SignedString(key)
	require.NoError(t, err)
	doc["signed_metadata"] = text
	maps.Copy(doc, plain)
	maps.DeleteFunc(doc, func(_ string, v any) bool { return v == nil })
	document, err := json.Marshal(doc)
	require.NoError(t, err)
	return document
}

func verifier() *prm.Verifier {
	return &prm.Verifier{Resource: vouched, Keys: []prm.VerificationKey{{ID: "k", Public: keys()["ES256"].Public()}}, Now: func() time.Time { return epoch }}
}

func TestPRM14_Verify(t *testing.T) {
	es, ed, rs := gojwt.SigningMethodES256, gojwt.SigningMethodEdDSA, gojwt.SigningMethodRS256
	type object = map[string]any
	for _, tc := range []struct {
		name                string
		claims, head, plain object
		change              func(*prm.Verifier)
		want                string // "" means accepted
	}{
		{"as it should be", nil, nil, nil, nil, ""},
		{"with its kid", nil, object{"kid": "k"}, nil, nil, ""},
		{"our typ", nil, object{"typ": "application/OAuth-Protected-Resource+JWT"}, nil, nil, ""},
		{"no typ", nil, object{"typ": nil}, nil, nil, ""},
		{"the typ of an access token", nil, object{"typ": "at+jwt"}, nil, nil, "typ of another kind"},
		{"a typ that is no string", nil, object{"typ": 1}, nil, nil, "typ of another kind"},
		{"crit", nil, object{"crit": []string{"b64"}, "b64": false}, nil, nil, "has crit"},
		{"another kid", nil, object{"kid": "other"}, nil, nil, "signed by none of the keys"},
		{"a kid that is no string", nil, object{"kid": 1}, nil, nil, "a kid that is no string"},
		{"a key in the header", nil, object{"jwk": object{"kty": "EC"}}, nil, func(v *prm.Verifier) { v.Keys[0].Public = keys()["EdDSA"].Public() }, "signed by none of the keys"},
		{"a key without a kid", nil, object{"kid": "other"}, nil, func(v *prm.Verifier) { v.Keys[0].ID = "" }, ""},
		{"a key for another algorithm", nil, nil, nil, func(v *prm.Verifier) { v.Keys[0].Algorithm = "ES384" }, "signed by none of the keys"},
		{"a key of no kind", nil, nil, nil, func(v *prm.Verifier) { v.Keys[0].Public = "secret" }, "signed by none of the keys"},
		{"the eighth key", nil, nil, nil, func(v *prm.Verifier) { v.Keys = append(others(7), v.Keys...) }, ""},
		{"the ninth key", nil, nil, nil, func(v *prm.Verifier) { v.Keys = append(others(8), v.Keys...) }, "signed by none of the keys"},
		{"another party, trusted", object{"iss": "https://f.example"}, nil, nil, func(v *prm.Verifier) { v.Issuer = "https://f.example" }, ""},
		{"another party, not trusted", object{"iss": "https://f.example"}, nil, nil, nil, "another issuer than the one that is trusted"},
		{"the resource where another party is wanted", nil, nil, nil, func(v *prm.Verifier) { v.Issuer = "https://f.example" }, "another issuer"},
		{"an issuer with a slash more", object{"iss": vouched + "/"}, nil, nil, nil, "another issuer"},
		{"no iss", object{"iss": nil}, nil, nil, nil, "has no iss"},
		{"no iat", object{"iat": nil}, nil, nil, nil, "has no iat"},
		{"no exp", object{"exp": nil}, nil, nil, nil, "has no exp"},
		{"exp as text", object{"exp": "2026"}, nil, nil, nil, "has no exp that is a number"},
		{"an endless exp", object{"exp": 1e300}, nil, nil, nil, "outside of what a date can be"},
		{"a negative iat", object{"iat": -1}, nil, nil, nil, "outside of what a date can be"},
		{"exp before iat", object{"exp": epoch.Add(-time.Hour).Unix(), "iat": epoch.Unix()}, nil, nil, nil, "expires before it was issued"},
		{"on its exp, within the leeway", nil, nil, nil, func(v *prm.Verifier) { v.Now = at(time.Hour + 29*time.Second) }, ""},
		{"past the leeway", nil, nil, nil, func(v *prm.Verifier) { v.Now = at(time.Hour + 30*time.Second) }, "has expired"},
		{"on its exp without leeway", nil, nil, nil, func(v *prm.Verifier) { v.Now, v.Leeway = at(time.Hour), -1 }, "has expired"},
		{"just before its exp without leeway", nil, nil, nil, func(v *prm.Verifier) { v.Now, v.Leeway = at(time.Hour-1), -1 }, ""},
		{"from the near future", nil, nil, nil, func(v *prm.Verifier) { v.Now = at(-30 * time.Second) }, ""},
		{"from the future", nil, nil, nil, func(v *prm.Verifier) { v.Now = at(-31 * time.Second) }, "not good yet"},
		{"not before later", object{"nbf": epoch.Add(time.Minute).Unix()}, nil, nil, nil, "not good yet"},
		{"nbf as text", object{"nbf": "x"}, nil, nil, nil, "has no nbf"},
		{"nbf, sub and jti", object{"nbf": epoch.Unix(), "sub": vouched, "jti": "1"}, nil, nil, nil, ""},
		{"an audience", object{"aud": "https://client.example"}, nil, nil, nil, "has an aud"},
		{"signed_metadata inside", object{"signed_metadata": "a.b.c"}, nil, nil, nil, "holds signed_metadata itself"},
		{"a plain member changed", nil, nil, object{"authorization_servers": []string{"https://evil.example"}}, nil, `differ in "authorization_servers"`},
		{"a plain member added", nil, nil, object{"scopes_supported": []string{"all"}}, nil, `differ in "scopes_supported"`},
		{"a plain member taken away", object{"dpop_bound_access_tokens_required": true}, nil, nil, nil, `differ in "dpop_bound_access_tokens_required"`},
		{"exp as a plain member", nil, nil, object{"exp": epoch.Add(time.Hour).Unix()}, nil, `differ in "exp"`},
		{"order of an array", object{"x": []int{1, 2}}, nil, object{"x": []int{2, 1}}, nil, `differ in "x"`},
		{"a nested member", object{"x": object{"y": 1}}, nil, object{"x": object{"y": 2}}, nil, `differ in "x"`},
		{"extra members", object{"x": object{"y": []any{1, nil}}, "resource_name#fr": "Nom"}, nil, object{"x": object{"y": []any{1, nil}}, "resource_name#fr": "Nom"}, nil, ""},
		{"another resource", object{"resource": "https://h/other"}, nil, object{"resource": "https://h/other"}, nil, "about another resource"},
		{"another resource in the claims", object{"resource": "https://h/other"}, nil, nil, nil, `differ in "resource"`},
		{"no signature", nil, nil, object{"signed_metadata": nil}, nil, "is not signed"},
		{"a signature that is no string", nil, nil, object{"signed_metadata": 1}, nil, "signed_metadata must be a string"},
		{"a signature that is empty", nil, nil, object{"signed_metadata": ""}, nil, "compact form"},
		{"five parts", nil, nil, object{"signed_metadata": "a.b.c.d.e"}, nil, "compact form"},
		{"a header that is no JSON", nil, nil, object{"signed_metadata": "YQ.YQ.YQ"}, nil, "header that cannot be read"},
		{"a Verifier without a resource", nil, nil, nil, func(v *prm.Verifier) { v.Resource = "" }, "Verifier.Resource is empty"},
		{"a Verifier without keys", nil, nil, nil, func(v *prm.Verifier) { v.Keys = nil }, "Verifier.Keys is empty"},
		{"a Verifier with a large leeway", nil, nil, nil, func(v *prm.Verifier) { v.Leeway = time.Hour }, "Verifier.Leeway is 1h0m0s"},
	} {
		t.Run("PRM-14 "+tc.name, func(t *testing.T) {
			v := verifier()
			if tc.change != nil {
				tc.change(v)
			}
			got, err := v.Verify(vouch(t, es, keys()["ES256"], tc.claims, tc.head, tc.plain))
			if tc.want == "" {
				require.NoError(t, err)
				require.Equal(t, vouched, got.Metadata.Resource)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "prm: ")
			require.Nil(t, got)
			require.NotContains(t, err.Error(), "evil", "no value of the document is quoted")
			require.Equal(t, tc.name == "no signature", errors.Is(err, prm.ErrUnsigned))
		})
	}

	// RFC 8725, Section 2.1: no key verifies for an algorithm that it is not for.
	both := verifier()
	both.Keys = []prm.VerificationKey{{Public: keys()["ES256"].Public()}, {Public: keys()["EdDSA"].Public()}, {Public: keys()["RS256"].Public()}}
	for name, document := range map[string][]byte{
		"EdDSA": vouch(t, ed, keys()["EdDSA"], nil, nil, nil), "RS256": vouch(t, rs, keys()["RS256"], nil, nil, nil), "PS256": vouch(t, gojwt.SigningMethodPS256, keys()["RS256"], nil, nil, nil),
	} {
		_, err := both.Verify(document)
		require.NoError(t, err, name)
		_, err = verifier().Verify(document)
		require.ErrorContains(t, err, "none of the keys", name)
	}
	for name, document := range map[string][]byte{
		"none":  vouch(t, gojwt.SigningMethodNone, gojwt.UnsafeAllowNoneSignatureType, nil, nil, nil),
		"HS256": vouch(t, gojwt.SigningMethodHS256, []byte("secret"), nil, nil, nil),
		"None":  vouch(t, es, keys()["ES256"], nil, map[string]any{"alg": "None"}, nil),
		"no":    vouch(t, es, keys()["ES256"], nil, map[string]any{"alg": nil}, nil),
		"es256": vouch(t, es, keys()["ES256"], nil, map[string]any{"alg": "es256"}, nil),
	} {
		_, err := both.Verify(document)
		require.ErrorContains(t, err, "alg that is not accepted", name)
	}
	salted := &gojwt.SigningMethodRSAPSS{SigningMethodRSA: gojwt.SigningMethodPS256.SigningMethodRSA, Options: &rsa.PSSOptions{SaltLength: 20}}
	_, err := both.Verify(vouch(t, salted, keys()["RS256"], nil, nil, nil))
	require.ErrorContains(t, err, "none of the keys", "RFC 7518, Section 3.5: the salt is as long as the hash")
	_, err = new(prm.Verifier).Verify(vouch(t, es, keys()["ES256"], nil, nil, nil))
	require.Error(t, err, "the zero Verifier refuses")
}

// What json.Marshal cannot write.
func TestPRM14_VerifyReadsStrictly(t *testing.T) {
	good := string(vouch(t, gojwt.SigningMethodES256, keys()["ES256"], nil, nil, nil))
	text := jwtOf(t, []byte(good))
	parts := strings.Split(text, ".")
	last := base64.RawURLEncoding
	sig, err := last.DecodeString(parts[2])
	require.NoError(t, err)
	encode := func(s string) string { return last.EncodeToString([]byte(s)) }
	for name, jwt := range map[string]string{
		"padding":              text + "==",
		"unused bits":          text[:len(text)-1] + string("BCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_A"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", text[len(text)-1])]),
		"a line break":         text[:len(text)-4] + `\n` + text[len(text)-4:],
		"a byte more":          parts[0] + "." + parts[1] + "." + last.EncodeToString(append(sig, 0)),
		"no signature at all":  parts[0] + "." + parts[1] + ".",
		"alg twice":            encode(`{"alg":"ES256","alg":"ES256"}`) + "." + parts[1] + "." + parts[2],
		"a header of an array": encode(`[]`) + "." + parts[1] + "." + parts[2],
	} {
		_, err := verifier().Verify([]byte(strings.Replace(good, text, jwt, 1)))
		require.Error(t, err, name)
	}
	for name, claims := range map[string]string{
		"a claim twice":            `{"iss":"https://h/mcp","iss":"https://h/mcp","iat":1785240000,"exp":1785243600,"resource":"https://h/mcp","authorization_servers":["https://as.example.com"]}`,
		"claims that are no JSON":  `{`,
		"claims that are an array": `[1]`,
	} {
		input := encode(`{"alg":"ES256"}`) + "." + encode(claims)
		sig, err := gojwt.SigningMethodES256.Sign(input, keys()["ES256"])
		require.NoError(t, err)
		_, err = verifier().Verify([]byte(strings.Replace(good, text, input+"."+last.EncodeToString(sig), 1)))
		require.ErrorContains(t, err, "claims that cannot be read", name)
	}
	for _, document := range []string{``, `[]`, strings.Replace(good, `"resource"`, `"resource":"x","resource"`, 1), strings.Replace(good, `{`, `{"Resource":"x",`, 1), good + good} {
		_, err := verifier().Verify([]byte(document))
		require.Error(t, err)
	}
}

func at(d time.Duration) func() time.Time { return func() time.Time { return epoch.Add(d) } }

// others are keys that fit and have signed nothing.
func others(n int) (list []prm.VerificationKey) {
	for range n {
		list = append(list, prm.VerificationKey{Public: stranger()})
	}
	return list
}

// FuzzVerify: only what the one key has signed is ever accepted, and it says what the signature says. Whatever is changed in a document or in
// its JWT, an accepted one holds the signature that was made, unchanged, and the same members.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // the same in every process of the fuzzer
	signing := &prm.Signing{Key: key}
	good, err := signing.Sign(full(), epoch)
	require.NoError(f, err)
	v := &prm.Verifier{Resource: full().Resource, Keys: []prm.VerificationKey{{Public: key.Public()}}, Now: func() time.Time { return epoch }}
	want, err := v.Verify(good)
	require.NoError(f, err)
	text := jwtOf(f, good)
	parts := strings.Split(text, ".")
	f.Add(good)
	f.Add([]byte(strings.Replace(string(good), "Example", "Sample", 1)))
	f.Add([]byte(strings.Replace(string(good), `"mcp:read"`, `"mcp:\u0072ead"`, 1)))
	f.Add([]byte(strings.Replace(string(good), text, text[:len(text)-1]+"_", 1)))
	f.Add([]byte(strings.Replace(string(good), parts[0], base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)), 1)))
	f.Add([]byte(strings.Replace(string(good), parts[2], "", 1)))
	f.Add([]byte(strings.Replace(string(good), text, "...", 1)))
	f.Add([]byte(strings.Replace(string(good), "}", ",}", 1)))
	f.Add([]byte(fullText))
	f.Fuzz(func(t *testing.T, document []byte) {
		got, err := v.Verify(document)
		if err != nil {
			require.Nil(t, got)
			return
		}
		require.Equal(t, want, got)
		require.Equal(t, text, jwtOf(t, document))
		var plain map[string]any
		require.NoError(t, json.Unmarshal(document, &plain))
		delete(plain, "signed_metadata")
		members, err := json.Marshal(plain)
		require.NoError(t, err)
		require.JSONEq(t, fullText, string(members))
	})
}
