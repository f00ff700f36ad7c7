package introspect_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/jwks"
)

// From seeds: the processes of a fuzz run have to agree on what is signed.
var (
	asKey      = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	newKey     = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, ed25519.SeedSize))
	foreignKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
)

// A source has asKey, and newKey where it is asked again.
type source struct{ err error }

func (s source) Lookup(_ context.Context, kid, _ string) ([]*jwks.Key, error) {
	if s.err != nil {
		return nil, s.err
	}
	if kid != "" && kid != "k1" {
		return nil, jwks.ErrUnknownKey
	}
	return []*jwks.Key{{ID: "k1", Public: asKey.Public()}}, nil
}

func (s source) LookupAgain(context.Context, string, string, []*jwks.Key) ([]*jwks.Key, error) {
	return []*jwks.Key{{ID: "k1", Public: newKey.Public()}}, nil
}

var b64 = base64.RawURLEncoding

func sign(key ed25519.PrivateKey, header, claims string) string {
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(claims))
	return input + "." + b64.EncodeToString(ed25519.Sign(key, []byte(input)))
}

const (
	goodHeader = `{"alg":"EdDSA","typ":"token-introspection+jwt","kid":"k1"}`
	goodClaims = `{"iss":"https://as.example.com","aud":"rs:1","iat":1767225700,"token_introspection":{"active":true,"sub":"ada","exp":4102444800}}`
)

func signedConfig() *introspect.Signed {
	return &introspect.Signed{Issuer: "https://as.example.com", Audiences: []string{clientID, "https://mcp.example.com/mcp"}, Keys: source{}}
}

func signedClient(t testing.TB, cfg introspect.Config, body string) *introspect.Client {
	if cfg.Signed == nil {
		cfg.Signed = signedConfig()
	}
	cfg.Now = func() time.Time { return testNow }
	cfg.Fetch = quickRemote(says(200, body, "Content-Type", "application/token-introspection+jwt")).client()
	return newClient(t, cfg)
}

func TestINTRO10SignedAnswers(t *testing.T) {
	swap := strings.NewReplacer
	header := func(old, new string) string { return sign(asKey, swap(old, new).Replace(goodHeader), goodClaims) }
	claims := func(old, new string) string {
		changed := swap(old, new).Replace(goodClaims)
		require.NotEqual(t, goodClaims, changed)
		return sign(asKey, goodHeader, changed)
	}
	parts := strings.Split(sign(asKey, goodHeader, goodClaims), ".")
	for _, tt := range []struct {
		name, body string
		reason     string
	}{
		{"good", sign(asKey, goodHeader, goodClaims), ""},
		{"audience is the resource", claims(`"rs:1"`, `["x","https://mcp.example.com/mcp"]`), ""},
		{"typ with application/ and capitals", header("token-introspection+jwt", "Application/Token-Introspection+JWT"), ""},
		{"no kid", header(`,"kid":"k1"`, ``), ""},
		{"a new key under an old kid", sign(newKey, goodHeader, goodClaims), ""},
		{"a key in the header is not used", sign(asKey, `{"jku":"https://evil.example/",`+goodHeader[1:], goodClaims), ""},
		{"iat within the leeway", claims("1767225700", "1767225671"), ""},
		{"iat as a fraction", claims("1767225700", "1767225700.25"), ""},
		{"inactive", claims(`{"active":true`, `{"active":false`), introspect.ReasonInactive},

		{"plain JSON", good, introspect.ReasonAnswer},
		{"plain JSON, inactive", bad, introspect.ReasonAnswer},
		{"empty", "", introspect.ReasonAnswer},
		{"signed by another key", sign(foreignKey, goodHeader, goodClaims), introspect.ReasonAnswer},
		{"signed by a key in its header", sign(foreignKey, `{"jwk":{"kty":"OKP","crv":"Ed25519","x":"`+b64.EncodeToString(foreignKey.Public().(ed25519.PublicKey))+`"},`+goodHeader[1:], goodClaims), introspect.ReasonAnswer},
		{"unknown kid", header(`"k1"`, `"k2"`), introspect.ReasonAnswer},
		{"other claims under the signature", parts[0] + "." + b64.EncodeToString([]byte(strings.Replace(goodClaims, "ada", "eve", 1))) + "." + parts[2], introspect.ReasonAnswer},
		{"no signature", parts[0] + "." + parts[1] + ".", introspect.ReasonAnswer},
		{"alg none", b64.EncodeToString([]byte(strings.Replace(goodHeader, "EdDSA", "none", 1))) + "." + parts[1] + ".", introspect.ReasonAnswer},
		{"alg HS256", header("EdDSA", "HS256"), introspect.ReasonAnswer},
		{"alg of another key type", header("EdDSA", "ES256"), introspect.ReasonAnswer},
		{"line break at the end", sign(asKey, goodHeader, goodClaims) + "\n", introspect.ReasonAnswer},
		{"encrypted", strings.Join(parts, ".") + ".a.b", introspect.ReasonAnswer},
		{"typ of an access token", header("token-introspection+jwt", "at+jwt"), introspect.ReasonAnswer},
		{"typ JWT", header("token-introspection+jwt", "JWT"), introspect.ReasonAnswer},
		{"typ absent", header(`"typ":"token-introspection+jwt",`, ``), introspect.ReasonAnswer},
		{"typ in look-alike letters", header("token-introspection+jwt", "to\u212Aen-introspection+jwt"), introspect.ReasonAnswer},
		{"TOK-05 crit", header(`"alg"`, `"crit":["x"],"alg"`), introspect.ReasonAnswer},
		{"TOK-05 b64", header(`"alg"`, `"b64":false,"alg"`), introspect.ReasonAnswer},
		{"a header member in other letters", header(`"alg"`, `"ALG":"none","alg"`), introspect.ReasonAnswer},
		{"a header member twice", header(`"alg"`, `"alg":"none","alg"`), introspect.ReasonAnswer},
		{"iss of another server", claims("https://as.example.com", "https://as.example.com/"), introspect.ReasonAnswer},
		{"iss absent", claims(`"iss"`, `"is"`), introspect.ReasonAnswer},
		{"aud of another resource server", claims(`"rs:1"`, `"rs:2"`), introspect.ReasonAnswer},
		{"aud as a number", claims(`"rs:1"`, `[1]`), introspect.ReasonAnswer},
		{"aud absent", claims(`"aud"`, `"au"`), introspect.ReasonAnswer},
		{"iat absent", claims(`"iat"`, `"ia"`), introspect.ReasonAnswer},
		{"iat as a string", claims("1767225700", `"1767225700"`), introspect.ReasonAnswer},
		{"an old answer, perhaps of another token", claims("1767225700", "1767225669"), introspect.ReasonAnswer},
		{"an answer from the future", claims("1767225700", "1767225731"), introspect.ReasonAnswer},
		{"an answer that is over", claims(`"iat"`, `"exp":1767225600,"iat"`), introspect.ReasonAnswer},
		{"an answer that is not valid yet", claims(`"iat"`, `"nbf":1767226000,"iat"`), introspect.ReasonAnswer},
		{"claims of an access token", claims(`"token_introspection":{"active":true,"sub":"ada","exp":4102444800}`, `"active":true,"sub":"ada"`), introspect.ReasonAnswer},
		{"token_introspection as a string", claims(`{"active":true,"sub":"ada","exp":4102444800}`, `"{\"active\":true}"`), introspect.ReasonAnswer},
		{"token_introspection twice", claims(`"iat"`, `"token_introspection":{"active":true},"iat"`), introspect.ReasonAnswer},
		{"token_introspection in two spellings", claims(`"iat"`, `"Token_Introspection":{"active":true},"iat"`), introspect.ReasonAnswer},
		{"active as a string", claims(`true`, `"true"`), introspect.ReasonAnswer},
		{"active outside", claims(`"token_introspection":{"active":true,`, `"active":true,"token_introspection":{`), introspect.ReasonAnswer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, refusal := ask(t, signedClient(t, introspect.Config{}, tt.body), t.Context(), token)
			if tt.reason == "" {
				require.Nil(t, refusal)
				require.Equal(t, map[string]any{"active": true, "sub": "ada", "exp": json.Number("4102444800")}, got)
				return
			}
			require.NotNil(t, refusal)
			require.Equal(t, tt.reason, refusal.Reason, "%v", refusal)
		})
	}
}

func TestINTRO10SettingsOfSignedAnswers(t *testing.T) {
	body := sign(asKey, goodHeader, goodClaims)
	only := signedConfig()
	only.Algorithms = []string{"ES256"}
	_, refusal := ask(t, signedClient(t, introspect.Config{Signed: only}, body), t.Context(), token)
	require.Equal(t, introspect.ReasonAnswer, refusal.Reason)

	down := signedConfig()
	down.Keys = source{err: &jwks.UnavailableError{RetryAfter: time.Second, Err: errors.New("down")}}
	_, refusal = ask(t, signedClient(t, introspect.Config{Signed: down}, body), t.Context(), token)
	require.Equal(t, introspect.ReasonUnavailable, refusal.Reason)

	strict := signedConfig()
	strict.Leeway = -1
	_, refusal = ask(t, signedClient(t, introspect.Config{Signed: strict}, body), t.Context(), token)
	require.Nil(t, refusal)

	var accept string
	c := serve(t, introspect.Config{Signed: signedConfig(), Now: func() time.Time { return testNow }}, func(w http.ResponseWriter, r *http.Request) {
		accept = r.Header.Get("Accept")
		_, _ = io.WriteString(w, body)
	})
	_, refusal = ask(t, c, t.Context(), token)
	require.Nil(t, refusal)
	require.Equal(t, "application/token-introspection+jwt", accept)
}
