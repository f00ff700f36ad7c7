package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// keyServer is the usual server with API keys beside OAuth.
func keyServer(t testing.TB, in mcpauth.APIKeys, change func(*mcpauth.Config)) (http.Handler, *testIssuer, *testClock) {
	t.Helper()
	is := newIssuer(t)
	keys, err := mcpauth.NewAPIKeys(in)
	require.NoError(t, err)
	h, _, clock := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{keys}
		if change != nil {
			change(cfg)
		}
	})
	return h, is, clock
}

const keyLine = `ApiKey header="X-Api-Key"`

func TestAPIKeys(t *testing.T) {
	full, fullHash := mcpauth.NewAPIKey("files_")
	poor, poorHash := mcpauth.NewAPIKey("files_")
	old, oldHash := mcpauth.NewAPIKey("files_")
	unknown, _ := mcpauth.NewAPIKey("files_")
	h, is, clock := keyServer(t, mcpauth.APIKeys{Prefix: "files_", Keys: []mcpauth.APIKey{
		{Hash: fullHash, Owner: "ada", Name: "laptop", Scopes: []string{"mcp:read", "files:write"}, Roles: []string{"admin"}},
		{Hash: poorHash, Owner: "bob", Name: "ci", Scopes: []string{"mcp:read"}},
		{Hash: oldHash, Owner: "bob", Name: "old", Scopes: []string{"mcp:read"}, Expiry: epoch.Add(time.Hour)},
	}}, nil)
	send := func(tool string, keys ...string) *httptest.ResponseRecorder {
		return serve(h, with(post(call(tool), ""), "X-Api-Key", keys...))
	}
	require.Contains(t, send("whoami", full).Body.String(), "whoami ada")
	require.Contains(t, send("write", full).Body.String(), "write ada")
	require.Contains(t, send("purge", full).Body.String(), "purge ada")
	require.Contains(t, send("whoami", poor).Body.String(), "whoami bob")

	t.Run("CH-23 what a key lacks is a bare 403: it cannot step up", func(t *testing.T) {
		for _, tool := range []string{"write", "purge"} {
			w := send(tool, poor)
			require.Equal(t, http.StatusForbidden, w.Code)
			require.NotContains(t, w.Header(), "Www-Authenticate")
		}
	})
	t.Run("LIST-04 nor is it shown", func(t *testing.T) {
		w := serve(h, with(post(rpc("tools/list", nil), ""), "X-Api-Key", poor))
		require.Contains(t, w.Body.String(), "whoami")
		require.NotContains(t, w.Body.String(), "write")
	})
	t.Run("it ends", func(t *testing.T) {
		require.Equal(t, 200, send("whoami", old).Code)
		clock.advance(time.Hour)
		require.Equal(t, 401, send("whoami", old).Code)
		clock.set(epoch)
	})
	t.Run("bad keys", func(t *testing.T) {
		for name, key := range map[string]string{
			"unknown": unknown, "cut": full[:len(full)-1], "longer": full + "A", "the prefix alone": "files_", "short": "files_abc", "of other characters": full[:20] + " " + full[21:],
			"endless": "files_" + strings.Repeat("A", 1<<16), "its hash": fullHash,
		} {
			w := send("whoami", key)
			require.Equal(t, http.StatusUnauthorized, w.Code, name)
			// No line of ours is to blame, and each way in is named.
			require.Equal(t, append(bothLines(plainScoped), keyLine), w.Header()["Www-Authenticate"], name)
			require.NotContains(t, w.Body.String(), key[:min(len(key), 20)])
		}
	})
	t.Run("CH-13 more than one credential", func(t *testing.T) {
		token := is.scoped(t, "mcp:read")
		for name, r := range map[string]*http.Request{
			"two keys":               with(post(call("whoami"), ""), "X-Api-Key", full, full),
			"a key and a token":      with(post(call("whoami"), token), "X-Api-Key", full),
			"a bad key and a token":  with(post(call("whoami"), token), "X-Api-Key", "x"),
			"a key and a bad token":  with(post(call("whoami"), "x.y.z"), "X-Api-Key", full),
			"a key and other scheme": with(with(post(call("whoami"), ""), "X-Api-Key", full), "Authorization", "Basic dTpw"),
			"an empty key and token": with(post(call("whoami"), token), "X-Api-Key", ""),
		} {
			w := serve(h, r)
			require.Equal(t, http.StatusBadRequest, w.Code, name)
			require.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_request"`, name)
		}
	})
	t.Run("OAuth goes on as before", func(t *testing.T) {
		require.Equal(t, 200, serve(h, post(call("whoami"), is.scoped(t, "mcp:read"))).Code)
		require.Equal(t, append(bothLines(plainScoped), keyLine), serve(h, post(call("whoami"), "")).Header()["Www-Authenticate"])
		w := serve(h, post(call("write"), is.scoped(t, "mcp:read")))
		require.Len(t, w.Header()["Www-Authenticate"], 1, "a step-up is OAuth's")
	})
	t.Run("HTTP-07 preflights allow the field", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodOptions, testResource, nil)
		r.Header.Set("Origin", "https://mcp.example.com")
		r.Header.Set("Access-Control-Request-Method", "POST")
		require.Contains(t, serve(h, r).Header().Get("Access-Control-Allow-Headers"), "x-api-key")
	})
}

// An API key that comes as a bearer token never reaches the authorization server, and neither does a token
// reach the keys.
func TestAPIKeys_AsBearerTokens(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("files_")
	h, is, _ := keyServer(t, mcpauth.APIKeys{Header: "authorization", Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "k", Scopes: []string{"mcp:read"}}}}, nil)
	require.Contains(t, serve(h, post(call("whoami"), key)).Body.String(), "whoami ada")
	w := serve(h, post(call("whoami"), key[:len(key)-1]))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `Bearer error="invalid_token"`)
	require.Len(t, w.Header()["Www-Authenticate"], 2, "one Bearer line is enough")
	require.Zero(t, is.fetches.Load())
	require.Equal(t, 200, serve(h, post(call("whoami"), is.scoped(t, "mcp:read"))).Code)
	require.Equal(t, 401, serve(h, with(post(call("whoami"), ""), "X-Api-Key", key)).Code)
	require.NotEqual(t, 200, serve(h, with(post(call("whoami"), ""), "Authorization", "DPoP "+key)).Code)
}

func TestAPIKeys_FoundElsewhere(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	var found *mcpauth.APIKey
	var fails error
	h, _, _ := keyServer(t, mcpauth.APIKeys{Find: func(_ context.Context, asked string) (*mcpauth.APIKey, error) {
		require.Equal(t, hash, asked)
		return found, fails
	}}, nil)
	send := func() int { return serve(h, with(post(call("whoami"), ""), "X-Api-Key", key)).Code }
	require.Equal(t, 401, send())
	fails = errors.New("the database is away")
	require.Equal(t, 503, send())
	fails, found = nil, &mcpauth.APIKey{Hash: hash, Owner: "ada", Name: "k", Scopes: []string{"mcp:read"}}
	require.Equal(t, 200, send())
	found.Hash = mcpauth.HashAPIKey("another")
	require.Equal(t, 401, send(), "whoever searches by a part of the hash finds another's key")
	found.Hash, found.Owner = hash, ""
	require.Equal(t, 401, send())
}

func TestAPIKeys_Mistakes(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	for name, c := range map[string]struct {
		in   mcpauth.APIKeys
		want string
	}{
		"none":                      {mcpauth.APIKeys{}, "Keys"},
		"a key instead of its hash": {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: key, Owner: "a", Name: "b"}}}, "Hash"},
		"no owner":                  {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Name: "b"}}}, "Owner"},
		"no name":                   {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "b"}}}, "Name"},
		"twice":                     {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "a", Name: "b"}, {Hash: hash, Owner: "c", Name: "d"}}}, "earlier"},
		"scopes in one":             {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "a", Name: "b", Scopes: []string{"x y"}}}}, "Scopes"},
		"a role that is none":       {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "a", Name: "b", Roles: []string{"ad\nmin"}}}}, "Roles"},
		"bearer without prefix":     {mcpauth.APIKeys{Header: "Authorization", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "a", Name: "b"}}}, "Prefix"},
		"cookies":                   {mcpauth.APIKeys{Header: "cookie", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "a", Name: "b"}}}, "Header"},
		"an odd prefix":             {mcpauth.APIKeys{Prefix: "a b", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "a", Name: "b"}}}, "Prefix"},
	} {
		_, err := mcpauth.NewAPIKeys(c.in)
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), key, name)
	}
}

func TestAuthenticator_Answers(t *testing.T) {
	ada := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:mine", Subject: "ada", Scheme: "Signature", Grant: scopes.NewGrant([]string{"mcp:read"}, nil)})
	ended := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:mine", Subject: "ada", Grant: scopes.NewGrant([]string{"mcp:read"}, nil), Expiry: epoch})
	for name, c := range map[string]struct {
		p      *mcpauth.Principal
		err    error
		status int
	}{
		"a caller":               {ada, nil, 200},
		"nobody and no error":    {nil, nil, 401},
		"the zero Principal":     {&mcpauth.Principal{}, nil, 401},
		"one who has ended":      {ended, nil, 401},
		"not mine":               {nil, mcpauth.ErrNoCredentials, 401},
		"not mine, wrapped":      {nil, fmt.Errorf("x: %w", mcpauth.ErrNoCredentials), 401},
		"not mine, and a caller": {ada, mcpauth.ErrNoCredentials, 401},
		"an error, and a caller": {ada, errors.New("secret text"), 401},
		"unavailable":            {nil, fmt.Errorf("x: %w", mcpauth.ErrUnavailable), 503},
		"locked":                 {nil, &mcpauth.Error{Status: 403}, 403},
		"too often":              {nil, &mcpauth.Error{Status: 429}, 429},
		"a 401 of its own":       {nil, &mcpauth.Error{Status: 401, Description: "The signature is old"}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			is := newIssuer(t)
			var later bool
			h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
				cfg.Authenticators = []mcpauth.Authenticator{
					mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return c.p, c.err }, "Signature", "X-Signature"),
					mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { later = true; return nil, mcpauth.ErrNoCredentials }, "", "X-Signature"),
				}
			})
			w := serve(h, with(post(call("whoami"), ""), "X-Signature", "abc"))
			require.Equal(t, c.status, w.Code)
			require.Equal(t, errors.Is(c.err, mcpauth.ErrNoCredentials), later)
			require.NotContains(t, fmt.Sprint(w.Header(), w.Body), "secret text")
			if c.status == 401 {
				require.Equal(t, append(bothLines(plainScoped), "Signature"), w.Header()["Www-Authenticate"])
			}
			require.Equal(t, 401, serve(h, post(call("whoami"), "")).Code, "who sends nothing is not asked about")
		})
	}
	t.Run("a panic", func(t *testing.T) {
		h, _, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
			cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { panic("x") }, "", "X-Signature")}
		})
		require.Equal(t, 503, serve(h, with(post(call("whoami"), ""), "X-Signature", "abc")).Code)
	})
	t.Run("revocation", func(t *testing.T) {
		h, _, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
			cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return ada, nil }, "", "X-Signature")}
			cfg.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) { return p.Subject() == "ada", nil }
		})
		require.Equal(t, 401, serve(h, with(post(call("whoami"), ""), "X-Signature", "abc")).Code)
	})
}

// SEC-01: neither the handler nor a tool sees what an Authenticator read; and an Authenticator sees no body,
// and no cookie that a page of somebody else may have had sent.
func TestAuthenticator_WhatEachSees(t *testing.T) {
	is := newIssuer(t)
	var asked *http.Request
	custom := mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
		asked = r
		if _, err := r.Cookie("session"); err != nil && r.Header.Get("X-Signature") == "" {
			return nil, mcpauth.ErrNoCredentials
		}
		return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:mine", Subject: "ada", Grant: scopes.NewGrant(nil, nil)}), nil
	}, "", "Cookie", "x-signature")
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{custom}
		cfg.Origins = []string{"https://app.example.com", "null"}
	})
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	var seen http.Header
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami"}, func(_ context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		seen = req.Extra.Header
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.Authenticated())
	h := auth.Wrap(sdkHandler(server, true))
	send := func(origin string, headers ...string) int {
		asked, seen = nil, nil
		r := post(call("whoami"), "")
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		return serve(h, r).Code
	}
	require.Equal(t, 200, send("", "X-Signature", "s", "Cookie", "session=1"))
	require.NotContains(t, asked.Header, "Cookie")
	require.Equal(t, http.NoBody, asked.Body)
	require.NotContains(t, seen, "X-Signature")
	require.NotContains(t, seen, "Cookie")

	for origin, want := range map[string]int{
		"https://app.example.com": 200, "https://mcp.example.com": 200, // listed, and the resource's own
		"": 401, "null": 401,
		"https://evil.example": 403, // not even asked
	} {
		require.Equal(t, want, send(origin, "Cookie", "session=1"), origin)
		require.NotContains(t, seen, "Cookie")
	}
	any, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Authenticators, cfg.Origins = []mcpauth.Authenticator{custom}, []string{"*"}
	})
	any.RequireTool("whoami", scopes.Authenticated())
	h = any.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	require.Equal(t, 401, send("https://evil.example", "Cookie", "session=1"), "a star names nobody")
	require.Equal(t, 200, send("https://evil.example", "X-Signature", "s"))
}

func TestAuthenticators_WithoutIssuers(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "k"}}})
	require.NoError(t, err)
	auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{keys}})
	require.NoError(t, err)
	require.NoError(t, auth.Ready(t.Context()))
	mux := http.NewServeMux()
	auth.Mount(mux, sdkHandler(newServer(auth), true))
	require.Contains(t, serve(mux, with(post(call("whoami"), ""), "X-Api-Key", key)).Body.String(), "whoami ada")
	for _, r := range []*http.Request{
		post(call("whoami"), ""), post(call("whoami"), "x.y.z"), with(post(call("whoami"), ""), "Authorization", "DPoP x"), with(post(call("whoami"), ""), "X-Api-Key", "x"),
	} {
		w := serve(mux, r)
		require.Equal(t, 401, w.Code)
		require.Equal(t, []string{keyLine}, w.Header()["Www-Authenticate"])
		require.NotContains(t, w.Body.String(), "resource_metadata")
	}
	require.Equal(t, 404, serve(mux, httptest.NewRequest("GET", testPRM, nil)).Code)
	w := serve(mux, with(post(call("write"), ""), "X-Api-Key", key))
	require.Equal(t, 403, w.Code)
	require.NotContains(t, w.Header(), "Www-Authenticate")
}

func TestAuthenticators_MistakesInTheConfig(t *testing.T) {
	nobody := func(*http.Request) (*mcpauth.Principal, error) { return nil, mcpauth.ErrNoCredentials }
	is := newIssuer(t)
	for name, c := range map[string]struct {
		a    mcpauth.Authenticator
		want string
	}{
		"nil":                 {nil, "Authenticators[0]"},
		"no header":           {mcpauth.NewAuthenticator(nobody, "X"), "Authenticators[0].Headers"},
		"no name of a header": {mcpauth.NewAuthenticator(nobody, "X", "a b"), "Authenticators[0].Headers"},
		"a header of MCP":     {mcpauth.NewAuthenticator(nobody, "X", "mcp-session-id"), "Authenticators[0].Headers"},
		"the proof":           {mcpauth.NewAuthenticator(nobody, "X", "DPoP"), "Authenticators[0].Headers"},
		"two lines":           {mcpauth.NewAuthenticator(nobody, "X a=\"b\"\r\nY: z", "X-A"), "Authenticators[0].Challenge"},
		"no scheme":           {mcpauth.NewAuthenticator(nobody, `"x"`, "X-A"), "Authenticators[0].Challenge"},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Authenticators: []mcpauth.Authenticator{c.a}})
		require.ErrorContains(t, err, c.want, name)
	}
	_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{mcpauth.NewAuthenticator(nobody, "", "X-A")}})
	require.ErrorContains(t, err, "Challenge")
	_, err = mcpauth.New(mcpauth.Config{Resource: testResource})
	require.ErrorContains(t, err, "Issuers")
}

// A header that is malformed for us is not handed to somebody who may take it for something else.
func TestAuthenticators_AreNotAskedAboutMalformedHeaders(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return adas(), nil }, "", "Authorization")}
	})
	h := auth.Wrap(&spy{})
	status := func(values ...string) int {
		return serve(h, with(post(rpc("ping", nil), ""), "Authorization", values...)).Code
	}
	require.Equal(t, http.StatusOK, status("Custom x"))
	for _, values := range [][]string{{"Custom x", "Custom y"}, {"Bearer"}, {"Bearer a b"}, {"Custom " + strings.Repeat("x", 1<<20)}} {
		require.GreaterOrEqual(t, status(values...), 400, "%.20q", values)
	}
}
