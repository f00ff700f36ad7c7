package mcpauth_test

import (
	"crypto/ed25519"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestX03_ConcealHidesFromCallersWhoCannotStepUp(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("files_")
	h, is, _ := keyServer(t, mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "bob", Name: "ci", Scopes: []string{"mcp:read"}}}},
		func(cfg *mcpauth.Config) { cfg.Conceal = true })
	send := func(tool string) *httptest.ResponseRecorder {
		return serve(h, with(post(call(tool), ""), "X-Api-Key", key))
	}
	unknown := send("nonexistent")
	for _, tool := range []string{"write", "purge"} {
		w := send(tool)
		require.Equal(t, unknown.Code, w.Code, tool)
		require.Equal(t, strings.ReplaceAll(unknown.Body.String(), "nonexistent", tool), w.Body.String())
		w = serve(h, post(call(tool), is.scoped(t, "mcp:read")))
		require.Equal(t, unknown.Code, w.Code, "token "+tool)
	}
}

func TestINTRO05_RefreshTokensAreNoAccessTokens(t *testing.T) {
	for name, c := range map[string]struct {
		set    func(*mcpauth.Issuer)
		change claims
		want   int
	}{
		"NoAudience, untyped":             {func(i *mcpauth.Issuer) { i.DangerouslyAcceptNoAudience = true }, claims{"aud": nil, "token_type": nil}, 401},
		"NoAudience, empty aud, untyped":  {func(i *mcpauth.Issuer) { i.DangerouslyAcceptNoAudience = true }, claims{"aud": []string{}, "token_type": nil}, 401},
		"NoAudience, typed":               {func(i *mcpauth.Issuer) { i.DangerouslyAcceptNoAudience = true }, claims{"aud": nil}, 200},
		"NoAudience, ours, untyped":       {func(i *mcpauth.Issuer) { i.DangerouslyAcceptNoAudience = true }, claims{"token_type": nil}, 200},
		"ClientAudience, untyped":         {func(i *mcpauth.Issuer) { i.DangerouslyAcceptClientAudience = true }, claims{"aud": "app", "token_type": nil}, 401},
		"ClientAudience, typed":           {func(i *mcpauth.Issuer) { i.DangerouslyAcceptClientAudience = true }, claims{"aud": "app"}, 200},
		"typ refresh_token":               {func(i *mcpauth.Issuer) {}, claims{"typ": "refresh_token", "token_type": nil}, 401},
		"typ refresh_token, any audience": {func(i *mcpauth.Issuer) { i.DangerouslyAcceptAnyAudience = true }, claims{"typ": "refresh_token", "token_type": nil, "aud": nil}, 401},
		"typ id_token":                    {func(i *mcpauth.Issuer) {}, claims{"typ": "id_token", "token_type": nil}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			h, is, o, _ := opaqueServer(t, func(cfg *mcpauth.Config) {
				cfg.Issuers[0].ClientIDs = []string{"app"}
				c.set(&cfg.Issuers[0])
			})
			o.answer = func(string) (int, any) { return 200, active(is, c.change) }
			w := serve(h, post(call("whoami"), opaque))
			require.Equal(t, c.want, w.Code, w.Body.String())
		})
	}
}

func TestStdio_RightsFollowTheToken(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	o.answer = func(string) (int, any) { return 200, active(is, claims{"scope": "mcp:read files:write"}) }
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "s"}
	})
	t.Setenv(variable, opaque)
	ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
	require.NoError(t, err)
	l, err := connectLocal(t, ctx, newServer(auth))
	require.NoError(t, err)
	require.Equal(t, "write ada", l.call("write"))
	o.answer = func(string) (int, any) { return 200, active(is, claims{"scope": "mcp:read"}) }
	clock.advance(2 * time.Minute)
	require.Equal(t, "whoami ada", l.call("whoami"))
	require.Contains(t, l.call("write"), "Forbidden", "the consent was narrowed")
	o.answer = func(string) (int, any) {
		return 200, active(is, claims{"scope": "mcp:read files:write", "cnf": claims{"jkt": strings.Repeat("A", 43)}, "token_type": "DPoP"})
	}
	clock.advance(2 * time.Minute)
	require.Contains(t, l.call("whoami"), "Forbidden", "bound now")
	o.answer = func(string) (int, any) { return 200, active(is, claims{"sub": "eve", "scope": "mcp:read files:write"}) }
	clock.advance(2 * time.Minute)
	require.NotContains(t, l.call("whoami"), "whoami ada")
}

func TestINTRO09_KeysNeverReachTheAuthorizationServer(t *testing.T) {
	for _, header := range []string{"X-Api-Key", "Authorization"} {
		key, hash := mcpauth.NewAPIKey("files_")
		keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Header: header, Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "k", Scopes: []string{"mcp:read"}}}})
		require.NoError(t, err)
		var seen []string
		h, _, o, _ := opaqueServer(t, func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{keys} })
		o.answer = func(token string) (int, any) { seen = append(seen, token); return 200, claims{"active": false} }
		for _, scheme := range []string{"Bearer ", "bearer ", "DPoP "} {
			serve(h, with(post(call("whoami"), ""), "Authorization", scheme+key))
		}
		require.Empty(t, seen, header)
	}
}

func TestSEC07_KeyIssuerIsNoneOfTheIssuers(t *testing.T) {
	is := newIssuer(t)
	_, hash := mcpauth.NewAPIKey("")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Issuer: is.URL, Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "app"}}})
	require.NoError(t, err)
	_, err = mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Authenticators: []mcpauth.Authenticator{keys}})
	require.ErrorContains(t, err, "Authenticators[0]")
}

func TestSEC02_FormattingAConfigShowsNoSecret(t *testing.T) {
	key := ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", 32)))
	in := mcpauth.Introspection{ClientID: "files", ClientSecret: "s3cr3t", Signer: key}
	cfg := mcpauth.Config{DPoP: mcpauth.DPoP{NonceKeys: [][]byte{[]byte(strings.Repeat("n", 32))}}}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{in, &in, cfg, &cfg, cfg.DPoP} {
			out := fmt.Sprintf(verb, v)
			for _, leak := range []string{"s3cr3t", "107 107 107", "0x6b, 0x6b", "kkkk", "6b6b6b", "110 110 110", "0x6e, 0x6e", "nnnn", "6e6e6e"} {
				require.NotContains(t, out, leak, "%s of %T", verb, v)
			}
		}
	}
}

func TestAuthenticator_ACookieGivesWayToWhatWasSentOnPurpose(t *testing.T) {
	is := newIssuer(t)
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			if _, err := r.Cookie("sid"); err != nil {
				return nil, mcpauth.ErrNoCredentials
			}
			return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:cookies", Subject: "victim", Grant: scopes.NewGrant([]string{"mcp:read"}, nil)}), nil
		}, "", "Cookie")}
	})
	w := serve(h, with(with(post(call("whoami"), "x.y.z"), "Cookie", "sid=1"), "Origin", "https://mcp.example.com"))
	require.Equal(t, 401, w.Code)
	w = serve(h, with(with(post(call("whoami"), is.scoped(t, "mcp:read")), "Cookie", "sid=1"), "Origin", "https://mcp.example.com"))
	require.Contains(t, w.Body.String(), "whoami ada")
	r := with(with(post(call("whoami"), ""), "Cookie", "sid=1"), "Origin", "https://mcp.example.com")
	r.URL.RawQuery = "access_token=abc"
	w = serve(h, r)
	require.Equal(t, 401, w.Code)
}
