package mcpauthtest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// withClock starts an issuer that goes by a clock of the test.
func withClock(t testing.TB) (*mcpauthtest.Issuer, *mcpauthtest.Clock) {
	t.Helper()
	is, clock := mcpauthtest.NewIssuer(t, resource), mcpauthtest.NewClock(time.Time{})
	is.Now = clock.Now
	return is, clock
}

var ada = mcpauthtest.Claims{Subject: "ada", Scope: "files:read"}

func TestClock(t *testing.T) {
	clock := mcpauthtest.NewClock(time.Time{})
	require.Equal(t, "2026-01-01T12:00:00Z", clock.Now().Format(time.RFC3339))
	require.Equal(t, clock.Now().Add(time.Hour), clock.Advance(time.Hour))
	require.Equal(t, "2026-01-01T13:00:00Z", clock.Now().Format(time.RFC3339))
	clock.Advance(-2 * time.Hour)
	require.Equal(t, "2026-01-01T11:00:00Z", clock.Now().Format(time.RFC3339))
	at := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
	require.Equal(t, at, mcpauthtest.NewClock(at).Now())
}

// Each claim of a token, and what its absence means.
func TestToken(t *testing.T) {
	is, clock := withClock(t)
	d := newDoor(t, is, func(c *mcpauth.Config) { c.Issuers[0].Strict = true })
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	for _, tt := range []struct {
		name   string
		claims mcpauthtest.Claims
		want   mcpauth.Reason
	}{
		{"a user", ada, mcpauth.ReasonAllowed},
		{"an application", mcpauthtest.Claims{}, mcpauth.ReasonAllowed},
		{"expired", mcpauthtest.Claims{Lifetime: -time.Minute}, mcpauth.ReasonTokenExpired},
		{"expired within the leeway", mcpauthtest.Claims{Lifetime: -time.Second}, mcpauth.ReasonAllowed},
		{"for another server", mcpauthtest.Claims{Audience: []string{"https://other.example.com"}}, mcpauth.ReasonAudience},
		{"for this server, too", mcpauthtest.Claims{Audience: []string{"https://other.example.com", resource}}, mcpauth.ReasonAllowed},
		{"for nobody", mcpauthtest.Claims{Audience: []string{}}, mcpauth.ReasonNoAudience},
		{"without its proof", mcpauthtest.Claims{Key: key}, mcpauth.ReasonDPoPDowngrade},
		{"another issuer", mcpauthtest.Claims{Extra: map[string]any{"iss": "https://evil.example"}}, mcpauth.ReasonUnknownIssuer},
		{"a claim less", mcpauthtest.Claims{Extra: map[string]any{"jti": nil}}, mcpauth.ReasonMissingClaim},
		{"another type", mcpauthtest.Claims{Header: map[string]any{"typ": "JWT"}}, mcpauth.ReasonType},
		{"a key that nobody has", mcpauthtest.Claims{Header: map[string]any{"kid": "key-2"}}, mcpauth.ReasonUnknownKey},
		{"no algorithm", mcpauthtest.Claims{Header: map[string]any{"alg": "none"}}, mcpauth.ReasonAlgorithm},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d.knock(t, is, is.Token(tt.claims))
			require.Equal(t, tt.want, d.reason)
		})
	}
	claims := part(t, is.Token(mcpauthtest.Claims{Subject: "ada", Client: "claude", Roles: []string{"x"}, Lifetime: time.Minute}), 1)
	require.Equal(t, "ada", claims["sub"])
	require.Equal(t, "claude", claims["client_id"])
	require.Equal(t, []any{"x"}, claims["roles"])
	require.Equal(t, resource, claims["aud"])
	require.Equal(t, float64(clock.Now().Unix()), claims["iat"])
	require.Equal(t, float64(clock.Now().Add(time.Minute).Unix()), claims["exp"])

	claims = part(t, is.Token(mcpauthtest.Claims{Lifetime: -time.Hour}), 1)
	require.Equal(t, float64(clock.Now().Add(-time.Hour).Unix()), claims["exp"])
	require.Less(t, claims["iat"], claims["exp"], "it was good once")

	clock.Advance(mcpauthtest.DefaultLifetime)
	require.Equal(t, http.StatusOK, d.knock(t, is, is.Token(ada)), "made by the clock")
}

// Keys come and go (JWKS-*).
func TestIssuer_Rotate(t *testing.T) {
	is, clock := withClock(t)
	d := newDoor(t, is, nil)
	old := is.Token(ada)
	require.Equal(t, http.StatusOK, d.knock(t, is, old))
	require.Equal(t, mcpauthtest.Fetches{Metadata: 1, Keys: 1}, is.Fetches())

	is.Rotate()
	rotated := is.Token(ada)
	require.NotEqual(t, part(t, old, 0)["kid"], part(t, rotated, 0)["kid"])
	clock.Advance(10 * time.Second)
	require.Equal(t, http.StatusOK, d.knock(t, is, rotated), "%s", d.reason)
	require.Equal(t, http.StatusOK, d.knock(t, is, old), "still published")
	require.Equal(t, 2, is.Fetches().Keys)

	is.Retire()
	is.Rotate()
	clock.Advance(10 * time.Second)
	require.Equal(t, http.StatusOK, d.knock(t, is, is.Token(ada)), "a fetch for the third key")
	require.Equal(t, http.StatusUnauthorized, d.knock(t, is, old))
	require.Equal(t, mcpauth.ReasonUnknownKey, d.reason)
	require.Equal(t, http.StatusOK, d.knock(t, is, rotated))
}

// Each bad day, as a server that has no keys yet sees it, and a better one after it.
func TestIssuer_BadDays(t *testing.T) {
	for name, begin := range map[string]func(*mcpauthtest.Issuer){
		"down":           (*mcpauthtest.Issuer).Down,
		"slow":           func(is *mcpauthtest.Issuer) { is.Slow(time.Hour) },
		"half a text":    func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.TruncatedJSON) },
		"a login page":   func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.HTMLPage) },
		"a flood":        func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.HugeBody) },
		"another issuer": func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.WrongIssuer) },
		"no keys":        func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.NoKeys) },
		"a redirect":     func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.RedirectElsewhere) },
		"no answer":      func(is *mcpauthtest.Issuer) { is.Hostile(mcpauthtest.HangUp) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is, clock := withClock(t)
			d := newDoor(t, is, func(c *mcpauth.Config) {
				if name == "slow" {
					c.HTTPClient = &http.Client{Timeout: 3 * time.Second}
				}
			})
			begin(is)
			_, resp := is.Client(d.handler, ada).CallTool("x", nil)
			mcpauthtest.AssertUnavailable(t, resp)
			require.Equal(t, mcpauth.ReasonKeysUnavailable, d.reason)
			require.Zero(t, is.Fetches().Elsewhere)
			require.NotZero(t, is.Fetches().Metadata)

			is.Up()
			clock.Advance(time.Minute)
			_, resp = is.Client(d.handler, ada).CallTool("x", nil)
			mcpauthtest.AssertAllowed(t, resp)
		})
	}
}

// What an issuer sends on bad days, byte by byte.
func TestIssuer_HostileAnswers(t *testing.T) {
	is := mcpauthtest.NewIssuer(t, resource)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(path string) (int, string, http.Header, error) {
		resp, err := client.Get(is.URL + path)
		if err != nil {
			return 0, "", nil, err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return resp.StatusCode, string(body), resp.Header, err
	}
	status, good, h, err := get("/jwks")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "application/json", h.Get("Content-Type"))
	var set struct{ Keys []map[string]string }
	require.NoError(t, json.Unmarshal([]byte(good), &set))
	require.Len(t, set.Keys, 1)
	require.NotContains(t, set.Keys[0], "d", "the private half stays private")
	is.Rotate()
	is.Rotate()
	_, text, _, err := get("/jwks")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(text), &set))
	require.Len(t, set.Keys, 3)
	is.Retire()
	_, text, _, err = get("/jwks")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal([]byte(text), &set))
	require.Len(t, set.Keys, 1)
	require.Equal(t, "key-3", set.Keys[0]["kid"])

	for _, path := range []string{"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"} {
		is.Up()
		_, text, _, err := get(path)
		require.NoError(t, err)
		var doc map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &doc))
		require.Equal(t, is.URL, doc["issuer"])
		// RFC 8414, Section 2, and OpenID Connect Discovery 1.0, Section 3: what is required.
		for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
			"subject_types_supported", "id_token_signing_alg_values_supported"} {
			require.Contains(t, doc, name)
		}
		is.Hostile(mcpauthtest.WrongIssuer)
		_, text, _, err = get(path)
		require.NoError(t, err)
		require.Contains(t, text, `"issuer":"https://evil.example"`)
	}

	is.Hostile(mcpauthtest.TruncatedJSON)
	status, text, _, err = get("/jwks")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.False(t, json.Valid([]byte(text)))
	is.Hostile(mcpauthtest.HTMLPage)
	status, _, h, err = get("/jwks")
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, h.Get("Content-Type"), "text/html")
	is.Hostile(mcpauthtest.HugeBody)
	resp, err := client.Get(is.URL + "/jwks")
	require.NoError(t, err)
	n, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.EqualValues(t, 64<<20+len(`{"padding":""}`), n)
	is.Hostile(mcpauthtest.NoKeys)
	_, text, _, err = get("/jwks")
	require.NoError(t, err)
	require.JSONEq(t, `{"keys":[]}`, text)
	is.Hostile(mcpauthtest.HangUp)
	_, _, _, err = get("/jwks")
	require.Error(t, err)
	is.Hostile(mcpauthtest.RedirectElsewhere)
	status, _, h, err = get("/jwks")
	require.NoError(t, err)
	require.Equal(t, http.StatusFound, status)
	there, err := url.Parse(h.Get("Location"))
	require.NoError(t, err)
	require.NotContains(t, is.URL, there.Host)
	require.Zero(t, is.Fetches().Elsewhere)
	_, _, _, err = get(there.Path)
	require.NoError(t, err)
	require.Equal(t, 1, is.Fetches().Elsewhere)
	is.Down()
	status, _, _, err = get("/jwks")
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status)
}

// A slow answer comes, and one that nobody waits for any more does not hold up the end of the test.
func TestIssuer_Slow(t *testing.T) {
	t.Run("it comes", func(t *testing.T) {
		is := mcpauthtest.NewIssuer(t, resource)
		is.Slow(time.Millisecond)
		require.Equal(t, http.StatusOK, newDoor(t, is, nil).knock(t, is, is.Token(ada)))
	})
	done := make(chan struct{})
	t.Run("the test ends first", func(t *testing.T) {
		is := mcpauthtest.NewIssuer(t, resource)
		is.Slow(time.Hour)
		go func() {
			defer close(done)
			resp, err := http.Get(is.URL + "/jwks")
			if err == nil {
				resp.Body.Close()
			}
		}()
		require.Eventually(t, func() bool { return is.Fetches().Keys == 1 }, time.Minute, time.Millisecond, "the request is there")
	})
	<-done
}

func TestIssuer_Introspection(t *testing.T) {
	is, clock := withClock(t)
	other := mcpauthtest.NewIssuer(t, resource)
	d := newDoor(t, is, func(c *mcpauth.Config) {
		c.Issuers[0].Introspection = is.Introspection()
		c.Issuers[0].Introspection.MaxAge = -1 // ask every time
		in := other.Config()
		in.Introspection = other.Introspection() // the prefixes of two issuers differ
		c.Issuers = append(c.Issuers, in)
	})
	token := is.OpaqueToken(mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Roles: []string{"admin"}})
	require.NotContains(t, token, ".")
	require.Equal(t, http.StatusOK, d.knock(t, is, token), d.reason)
	require.Equal(t, "ada", d.caller.Subject())
	require.Equal(t, []string{"admin"}, d.caller.Grant().Roles())
	require.Equal(t, 1, is.Fetches().Introspection)
	require.Equal(t, http.StatusUnauthorized, d.knock(t, is, is.OpaqueToken(mcpauthtest.Claims{Audience: []string{"https://other.example.com"}})))
	require.Equal(t, mcpauth.ReasonAudience, d.reason)
	require.Equal(t, http.StatusUnauthorized, d.knock(t, is, token+"x"))
	require.Equal(t, mcpauth.ReasonTokenInactive, d.reason)
	require.Equal(t, http.StatusOK, d.knock(t, is, is.Token(ada)), "JWTs are good, too")

	is.RevokeToken(token)
	require.Equal(t, http.StatusUnauthorized, d.knock(t, is, token))
	require.Equal(t, mcpauth.ReasonTokenInactive, d.reason)

	token = is.OpaqueToken(ada)
	clock.Advance(mcpauthtest.DefaultLifetime)
	require.Equal(t, http.StatusUnauthorized, d.knock(t, is, token))
	require.Equal(t, mcpauth.ReasonTokenInactive, d.reason, "an issuer calls an expired token inactive")

	for how, want := range map[mcpauthtest.Hostility]int{
		mcpauthtest.WrongIssuer: http.StatusUnauthorized, mcpauthtest.TruncatedJSON: http.StatusServiceUnavailable,
		mcpauthtest.RedirectElsewhere: http.StatusServiceUnavailable, mcpauthtest.NoKeys: http.StatusOK,
	} {
		is.Hostile(how)
		clock.Advance(time.Minute)
		require.Equal(t, want, d.knock(t, is, is.OpaqueToken(ada)), "%d: %s", how, d.reason)
	}
	require.Zero(t, is.Fetches().Elsewhere)

	says := watched(t, func(f testing.TB) { mcpauthtest.NewIssuer(f, resource).RevokeToken(token) })
	require.Contains(t, says, "RevokeToken: not an opaque token of this issuer")
	require.NotContains(t, says, token)
}

// The endpoint tells nobody but its client (RFC 7662, Section 2.1).
func TestIssuer_IntrospectionClients(t *testing.T) {
	is := mcpauthtest.NewIssuer(t, resource)
	token, in := is.OpaqueToken(ada), is.Introspection()
	ask := func(id, secret, form string) (int, string) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, in.Endpoint, strings.NewReader(form))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if id != "" {
			req.SetBasicAuth(id, secret)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	status, body := ask(in.ClientID, string(in.ClientSecret), "token="+token)
	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, `"active":true`)
	require.Contains(t, body, `"sub":"ada"`)
	for _, who := range [][2]string{{"", ""}, {in.ClientID, ""}, {in.ClientID, "guess"}, {"another", string(in.ClientSecret)}} {
		status, body = ask(who[0], who[1], "token="+token)
		require.Equal(t, http.StatusUnauthorized, status)
		require.NotContains(t, body, "ada")
	}
	status, body = ask(in.ClientID, string(in.ClientSecret), "token=unknown")
	require.Equal(t, http.StatusOK, status)
	require.JSONEq(t, `{"active":false}`, body)
	for _, form := range []string{"", "token=a&token=" + token, "token=" + strings.Repeat("x", 65<<10)} {
		status, body = ask(in.ClientID, string(in.ClientSecret), form)
		require.Equal(t, http.StatusBadRequest, status)
		require.NotContains(t, body, "ada")
	}
}

// Config hands out copies: what a test changes is its own.
func TestIssuer_ConfigIsACopy(t *testing.T) {
	is := mcpauthtest.NewIssuerLike(t, resource, mcpauth.Issuer{
		URL: "https://x.example", Algorithms: []string{"ES256"}, Audiences: []string{"a"}, ClientIDs: []string{"c"}, TokenTypes: []string{"at+jwt"},
		Introspection: &mcpauth.Introspection{}, Grants: scopes.Mapper{},
	})
	in := is.Config()
	in.Algorithms[0], in.Audiences[0], in.ClientIDs[0], in.TokenTypes[0], in.Introspection.ClientID = "x", "x", "x", "x", "x"
	again := is.Config()
	require.Equal(t, "ES256 a c at+jwt mcp-server", strings.Join([]string{
		again.Algorithms[0], again.Audiences[0], again.ClientIDs[0], again.TokenTypes[0], again.Introspection.ClientID}, " "))
}
