package mcpauth_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// signedServer is a server that believes signed answers only.
func signedServer(t *testing.T, header, change claims, configure func(*mcpauth.Issuer)) http.Handler {
	t.Helper()
	is := newIssuer(t)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		all := jwt.MapClaims{"iss": is.URL, "aud": "files", "iat": epoch.Unix(), "token_introspection": active(is, nil)}
		for name, value := range change {
			setMember(all, name, value)
		}
		answer := jwt.NewWithClaims(jwt.SigningMethodES256, all)
		answer.Header["typ"], answer.Header["kid"] = "token-introspection+jwt", is.kid
		for name, value := range header {
			answer.Header[name] = value
		}
		text, err := answer.SignedString(is.key)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte(text))
	}))
	t.Cleanup(endpoint.Close)
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: endpoint.URL, ClientID: "files", ClientSecret: "s", Signed: true}
		if configure != nil {
			configure(&cfg.Issuers[0])
		}
	})
	return h
}

// INTRO-10: what Config says of the issuer's signatures and clock holds for its answers, too: an algorithm that it must not use
// for tokens decides here who is calling just as well.
func TestINTRO10_SignedAnswersAreThoseOfTheIssuer(t *testing.T) {
	early := func(d time.Duration) claims { return claims{"iat": epoch.Add(d).Unix()} }
	for _, c := range []struct {
		name           string
		header, change claims
		configure      func(*mcpauth.Issuer)
		want           int
	}{
		{"good", nil, nil, nil, 200},
		{"another kind of token", claims{"typ": "at+jwt"}, nil, nil, 503},
		{"for another server", nil, claims{"aud": "others"}, nil, 503},
		{"by another issuer", nil, claims{"iss": "https://evil.example"}, nil, 503},
		{"by a listed algorithm", nil, nil, func(in *mcpauth.Issuer) { in.Algorithms = []string{"ES256"} }, 200},
		{"by one that is not listed", nil, nil, func(in *mcpauth.Issuer) { in.Algorithms = []string{"RS256"} }, 503},
		{"made before it was asked for", nil, early(-10 * time.Second), nil, 200},
		{"and the clocks must agree", nil, early(-10 * time.Second), func(in *mcpauth.Issuer) { in.Leeway = -1 }, 503},
		{"long before", nil, early(-2 * time.Minute), nil, 503},
		{"and the clocks may differ", nil, early(-2 * time.Minute), func(in *mcpauth.Issuer) { in.Leeway = 3 * time.Minute }, 200},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := signedServer(t, c.header, c.change, c.configure)
			w := serve(h, post(call("whoami"), opaque))
			require.Equal(t, c.want, w.Code, w.Body.String())
		})
	}
}
