package jwt_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwt"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// opaqueIssuer has no keys: its tokens are introspected.
func opaqueIssuer() jwt.Issuer {
	return jwt.Issuer{URL: issuerA, Audiences: []string{resource, "api-1"}, Introspected: true}
}

const goodAnswer = `{"active":true,"token_type":"Bearer","iss":"https://as.example.com","aud":"https://mcp.example.com/mcp",` +
	`"sub":"ada","client_id":"app","iat":1767225600,"exp":1767229200,"scope":"notes:read"}`

func readAnswer(t testing.TB, text string) map[string]any {
	t.Helper()
	claims, err := strictjson.Object([]byte(text), strictjson.Limits{})
	require.NoError(t, err, text)
	return claims
}

func TestINTRO05IntrospectedClaims(t *testing.T) {
	relax := func(change func(*jwt.Issuer)) jwt.Issuer {
		iss := opaqueIssuer()
		change(&iss)
		return iss
	}
	anyone := relax(func(i *jwt.Issuer) { i.AnyAudience, i.Audiences = true, nil })
	pinned := relax(func(i *jwt.Issuer) { i.ClientIDs = []string{"app"} })
	strict := relax(func(i *jwt.Issuer) { i.Strict = true })
	plain := opaqueIssuer()
	for _, tt := range []struct {
		name     string
		issuer   jwt.Issuer
		old, new string
		reason   string // empty: accepted
	}{
		{"as they should be", plain, ``, ``, ""},
		{"iss absent", plain, `"iss":"https://as.example.com",`, ``, ""},
		{"iss of another issuer", plain, `https://as.`, `https://b.`, jwt.ReasonUnknownIssuer},
		{"iss with a slash", plain, `as.example.com"`, `as.example.com/"`, jwt.ReasonUnknownIssuer},
		{"iss empty", plain, `"https://as.example.com"`, `""`, jwt.ReasonUnknownIssuer},
		{"iss as an array", plain, `"https://as.example.com"`, `["https://as.example.com"]`, jwt.ReasonMalformed},
		{"active false", plain, `"active":true`, `"active":false`, jwt.ReasonMalformed},
		{"active as a string", plain, `"active":true`, `"active":"true"`, jwt.ReasonMalformed},
		{"active as an object", plain, `"active":true`, `"active":{}`, jwt.ReasonMalformed},
		{"active not kept", plain, `"active":true,`, ``, ""},

		{"exp in the past", plain, `1767229200`, `1767225600`, jwt.ReasonExpired},
		{"exp missing", plain, `"exp":1767229200,`, ``, jwt.ReasonNoExpiry},
		{"exp as a string", plain, `1767229200`, `"1767229200"`, jwt.ReasonMalformed},
		{"exp null", plain, `1767229200`, `null`, jwt.ReasonMalformed},
		{"exp in other letters", plain, `"exp"`, `"EXP"`, jwt.ReasonMalformed},
		{"nbf in the future", plain, `"sub"`, `"nbf":1767229200,"sub"`, jwt.ReasonNotYetValid},
		{"iat in the future", plain, `1767225600`, `1767229200`, jwt.ReasonIssuedInFuture},

		{"aud missing", plain, `"aud":"https://mcp.example.com/mcp",`, ``, jwt.ReasonNoAudience},
		{"aud empty", plain, `"https://mcp.example.com/mcp"`, `[]`, jwt.ReasonNoAudience},
		{"aud of another resource", plain, `example.com/mcp`, `example.com/mcp2`, jwt.ReasonAudience},
		{"aud in an array", plain, `"https://mcp.example.com/mcp"`, `["x","https://mcp.example.com/mcp"]`, ""},
		{"aud as a number", plain, `"https://mcp.example.com/mcp"`, `7`, jwt.ReasonMalformed},
		{"aud that stands for the resource", plain, `"https://mcp.example.com/mcp"`, `"api-1"`, ""},
		{"aud missing, which the issuer may", anyone, `"aud":"https://mcp.example.com/mcp",`, ``, ""},

		{"sub missing: the client is the caller", plain, `"sub":"ada",`, ``, ""},
		{"sub empty", plain, `"ada"`, `""`, jwt.ReasonSubject},
		{"sub as a number", plain, `"ada"`, `7`, jwt.ReasonMalformed},
		{"neither sub nor client", plain, `"sub":"ada","client_id":"app",`, ``, jwt.ReasonSubject},
		{"the client that is pinned", pinned, ``, ``, ""},
		{"another client", pinned, `"app"`, `"app2"`, jwt.ReasonClient},
		{"no client where one is pinned", pinned, `"client_id":"app",`, ``, jwt.ReasonClient},
		{"strict without jti", strict, ``, ``, jwt.ReasonMissingClaim},
		{"strict", strict, `"sub"`, `"jti":"j","sub"`, ""},

		{"an access token by name", plain, `"Bearer"`, `"access_token"`, ""},
		{"token_type in small letters", plain, `Bearer`, `bearer`, ""},
		{"token_type absent, aud is this resource", plain, `"token_type":"Bearer",`, ``, ""},
		{"token_type absent, nothing says what it is", anyone, `"token_type":"Bearer",`, ``, jwt.ReasonRefreshToken},
		{"token_type absent, typ says it (Keycloak)", anyone, `"token_type":"Bearer",`, `"typ":"Bearer",`, ""},
		{"token_type absent, token_use says it (Ory Hydra)", anyone, `"token_type":"Bearer",`, `"token_use":"access_token",`, ""},
		{"oidc-provider's refresh token", plain, `"token_type":"Bearer","iss":"https://as.example.com","aud":"https://mcp.example.com/mcp",`, `"iss":"https://as.example.com",`, jwt.ReasonNoAudience},
		{"oidc-provider's refresh token, any audience", anyone, `"token_type":"Bearer","iss":"https://as.example.com","aud":"https://mcp.example.com/mcp",`, `"iss":"https://as.example.com",`, jwt.ReasonRefreshToken},
		{"go-oidc's refresh token of a client with DPoP", plain, `"sub"`, `"cnf":{"jkt":"x"},"sub"`, jwt.ReasonType},
		{"go-oidc's refresh token without end", plain, `"exp":1767229200,`, ``, jwt.ReasonNoExpiry},
		{"Keycloak's refresh token", plain, `"sub"`, `"typ":"Refresh","sub"`, jwt.ReasonRefreshToken},
		{"Keycloak's offline token", plain, `"sub"`, `"typ":"Offline","sub"`, jwt.ReasonRefreshToken},
		{"Keycloak's ID token", plain, `"sub"`, `"typ":"ID","sub"`, jwt.ReasonIDToken},
		{"Ory Hydra's access token", plain, `"sub"`, `"token_use":"access_token","sub"`, ""},
		{"Ory Hydra's refresh token", plain, `"sub"`, `"token_use":"refresh_token","sub"`, jwt.ReasonRefreshToken},
		{"Cognito's ID token", plain, `"sub"`, `"token_use":"id","sub"`, jwt.ReasonIDToken},
		{"an ID token by token_use", plain, `"sub"`, `"token_use":"id_token","sub"`, jwt.ReasonIDToken},
		{"an ID token by its nonce", plain, `"sub"`, `"nonce":"n","sub"`, jwt.ReasonIDToken},
		{"a logout token", plain, `"sub"`, `"events":{},"sub"`, jwt.ReasonType},
		{"token_type refresh_token", plain, `"Bearer"`, `"refresh_token"`, jwt.ReasonRefreshToken},
		{"token_type of RFC 8693", plain, `"Bearer"`, `"urn:ietf:params:oauth:token-type:refresh_token"`, jwt.ReasonRefreshToken},
		{"token_type id_token", plain, `"Bearer"`, `"id_token"`, jwt.ReasonIDToken},
		{"token_type N_A", plain, `"Bearer"`, `"N_A"`, jwt.ReasonType},
		{"token_type empty", plain, `"Bearer"`, `""`, jwt.ReasonType},
		{"token_type as an array", plain, `"Bearer"`, `["Bearer"]`, jwt.ReasonMalformed},
		{"token_type in other letters", plain, `"token_type"`, `"Token_type"`, jwt.ReasonMalformed},

		{"INTRO-06 bound, DPoP", plain, `"Bearer"`, `"DPoP","cnf":{"jkt":"x"}`, ""},
		{"INTRO-06 bound, no token_type", plain, `"token_type":"Bearer"`, `"cnf":{"jkt":"x"}`, ""},
		{"INTRO-06 bound, Bearer", plain, `"Bearer"`, `"Bearer","cnf":{"jkt":"x"}`, jwt.ReasonType},
		{"INTRO-06 DPoP without a key", plain, `"Bearer"`, `"DPoP"`, jwt.ReasonType},
		{"INTRO-06 DPoP with another key", plain, `"Bearer"`, `"DPoP","cnf":{"x5t#S256":"x"}`, jwt.ReasonType},
		{"INTRO-06 DPoP with a broken cnf", plain, `"Bearer"`, `"DPoP","cnf":"x"`, jwt.ReasonType},
		{"bound to a certificate, Bearer", plain, `"Bearer"`, `"Bearer","cnf":{"x5t#S256":"x"}`, ""},
		{"cnf in other letters", plain, `"sub"`, `"CNF":{"jkt":"x"},"sub"`, jwt.ReasonMalformed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := strings.Replace(goodAnswer, tt.old, tt.new, 1)
			require.True(t, tt.old == tt.new || text != goodAnswer)
			claims := readAnswer(t, text)
			before := maps.Clone(claims)
			got, err := newVerifier(t, tt.issuer).Accept(0, claims)
			require.Equal(t, before, claims, "changed")
			if tt.reason != "" {
				var refusal *jwt.Error
				require.True(t, errors.As(err, &refusal))
				require.Equal(t, tt.reason, refusal.Reason, "%v", refusal)
				require.False(t, refusal.Unavailable)
				require.Nil(t, got)
				return
			}
			require.NoError(t, err)
			require.True(t, got.Introspected)
			require.Nil(t, got.Key)
			require.Equal(t, claims, got.Claims)
			_, bound := claims["cnf"]
			require.Equal(t, bound, got.Bound)
			if bound {
				require.Equal(t, claims["cnf"], got.Confirmation)
			}
			if _, ok := claims["exp"]; ok {
				require.Equal(t, int64(1767229200), got.Expiry.Unix())
			} else {
				require.True(t, got.Expiry.IsZero())
			}
			want, ok := claims["sub"]
			if !ok {
				want = claims["client_id"]
			}
			require.Equal(t, want, got.Subject)
		})
	}
}

// Where an issuer does both, each door has its own rules.
func TestINTRO09TheTwoDoorsDoNotMix(t *testing.T) {
	claims := readAnswer(t, goodAnswer)
	token := sign(t, "ES256", "p256", goodHeader, goodClaims)
	for _, tt := range []struct {
		name           string
		issuer         jwt.Issuer
		accept, verify string
	}{
		{"keys alone", strictIssuer(), jwt.ReasonUnknownIssuer, ""},
		{"introspection alone", opaqueIssuer(), "", jwt.ReasonUnknownKey},
		{"both", func() jwt.Issuer { i := strictIssuer(); i.Introspected = true; return i }(), "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, tt.issuer)
			_, err := v.Accept(0, claims)
			refusedFor(t, tt.accept, err)
			_, err = v.Verify(context.Background(), token)
			refusedFor(t, tt.verify, err)
		})
	}

	v := newVerifier(t, strictIssuer(), jwt.Issuer{URL: issuerB, Audiences: []string{resource}, Introspected: true})
	for _, index := range []int{-1, 0, 2} {
		_, err := v.Accept(index, claims)
		refusedFor(t, jwt.ReasonUnknownIssuer, err)
	}
	_, err := v.Accept(1, claims)
	refusedFor(t, jwt.ReasonUnknownIssuer, err) // what A says of itself is not B's to say
	_, err = new(jwt.Verifier).Accept(0, claims)
	refusedFor(t, jwt.ReasonUnknownIssuer, err)
	_, err = newVerifier(t, opaqueIssuer()).Accept(0, nil)
	require.Error(t, err)

	_, err = jwt.New([]jwt.Issuer{{URL: issuerA, Audiences: []string{resource}}}, nil)
	require.ErrorContains(t, err, "Issuers[0].Keys")
}

func refusedFor(t *testing.T, want string, err error) {
	t.Helper()
	if want == "" {
		require.NoError(t, err)
		return
	}
	var refusal *jwt.Error
	require.True(t, errors.As(err, &refusal), "%v", err)
	require.Equal(t, want, refusal.Reason, "%v", refusal)
}

// FuzzAccept gives the same claims to both doors: what is accepted of an introspected token would be accepted
// of a signed one, but for typ, which only ever refuses more.
func FuzzAccept(f *testing.F) {
	opaque := opaqueIssuer()
	relaxed := opaqueIssuer()
	relaxed.Introspected, relaxed.Keys, relaxed.Types = false, keysOf("ed25519"), []string{"JWT"}
	door, other := newVerifier(f, opaque), newVerifier(f, relaxed)
	f.Add(goodAnswer)
	f.Add(goodClaims)
	for _, vector := range readVectors(f) {
		f.Add(vector.claims)
	}
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := strictjson.Object([]byte(text), strictjson.Limits{MaxDepth: 16})
		if err != nil || len(text) > 4<<10 {
			return
		}
		got, err := door.Accept(0, claims)
		if err != nil {
			var refusal *jwt.Error
			require.True(t, errors.As(err, &refusal))
			line := refusal.Error()
			for i := range len(line) {
				require.True(t, 0x20 <= line[i] && line[i] < 0x7f, "%q", line)
			}
			return
		}
		if _, ok := claims["iss"]; !ok {
			claims["iss"] = issuerA
		}
		again, err := json.Marshal(claims)
		require.NoError(t, err)
		same, err := other.Verify(context.Background(), sign(t, "EdDSA", "ed25519", `{"alg":"EdDSA","typ":"JWT","kid":"k1"}`, string(again)))
		require.NoError(t, err, "%s", again)
		require.Equal(t, same.Subject, got.Subject)
		require.Equal(t, same.ClientID, got.ClientID)
		require.Equal(t, same.Expiry, got.Expiry)
		require.Equal(t, same.Bound, got.Bound)
		require.True(t, got.Expiry.Add(30*time.Second).After(testNow))
	})
}
