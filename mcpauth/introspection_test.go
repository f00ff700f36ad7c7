package mcpauth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// An oracle is an introspection endpoint that says what it is told to say.
type oracle struct {
	*httptest.Server
	asked  atomic.Int64
	last   atomic.Pointer[http.Request]
	answer func(token string) (status int, body any)
}

func newOracle(t testing.TB) *oracle {
	o := &oracle{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		o.asked.Add(1)
		o.last.Store(r)
		w.Header().Set("Content-Type", "application/json")
		status, body := o.answer(r.PostForm.Get("token"))
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body)
	}))
	t.Cleanup(o.Close)
	return o
}

// active is an answer that is good in every respect, changed by the given members; nil removes one.
func active(is *testIssuer, changes claims) claims {
	all := claims{"active": true, "iss": is.URL, "aud": testResource, "sub": "ada", "client_id": "app", "scope": "mcp:read", "token_type": "Bearer",
		"exp": epoch.Add(time.Hour).Unix()}
	for name, value := range changes {
		setMember(all, name, value)
	}
	return all
}

func opaqueServer(t testing.TB, change func(*mcpauth.Config)) (http.Handler, *testIssuer, *oracle, *testClock) {
	t.Helper()
	is, o := newIssuer(t), newOracle(t)
	o.answer = func(string) (int, any) { return 200, active(is, nil) }
	h, _, clock := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "s:e%c ret"}
		if change != nil {
			change(cfg)
		}
	})
	return h, is, o, clock
}

const opaque = "mF_9.B5f-4.1JqM"

func TestINTRO_WhatTheServerSaysCounts(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		change claims
		body   any
		want   int
		reason mcpauth.Reason
	}{
		{"INTRO-03 active", 200, nil, nil, 200, ""},
		{"INTRO-04 inactive", 200, nil, claims{"active": false}, 401, mcpauth.ReasonTokenInactive},
		{"INTRO-03 active as text", 200, claims{"active": "true"}, nil, 503, mcpauth.ReasonIntrospectionAnswer},
		{"INTRO-03 no active", 200, claims{"active": nil}, nil, 503, mcpauth.ReasonIntrospectionAnswer},
		{"INTRO-03 a list", 200, nil, []any{claims{"active": true}}, 503, mcpauth.ReasonIntrospectionAnswer},
		{"INTRO-04 500", 500, nil, nil, 503, mcpauth.ReasonIntrospection},
		{"INTRO-02 401", 401, nil, nil, 503, mcpauth.ReasonIntrospectionLogin},
		{"INTRO-05 another audience", 200, claims{"aud": "https://other.example"}, nil, 401, mcpauth.ReasonAudience},
		{"INTRO-05 no audience", 200, claims{"aud": nil}, nil, 401, mcpauth.ReasonNoAudience},
		{"INTRO-05 expired", 200, claims{"exp": epoch.Add(-time.Hour).Unix()}, nil, 401, mcpauth.ReasonTokenExpired},
		{"INTRO-05 no expiry", 200, claims{"exp": nil}, nil, 401, mcpauth.ReasonTokenNoExpiry},
		{"INTRO-05 not yet", 200, claims{"nbf": epoch.Add(time.Hour).Unix()}, nil, 401, mcpauth.ReasonTokenNotYetValid},
		{"INTRO-05 another issuer", 200, claims{"iss": "https://evil.example"}, nil, 401, mcpauth.ReasonUnknownIssuer},
		{"INTRO-05 no issuer", 200, claims{"iss": nil}, nil, 200, ""},
		{"INTRO-06 bound, and called bearer", 200, claims{"cnf": claims{"jkt": strings.Repeat("A", 43)}}, nil, 401, mcpauth.ReasonType},
		{"a refresh token", 200, claims{"token_type": "refresh_token"}, nil, 401, mcpauth.ReasonRefreshToken},
		{"TOK-18 bound to something unknown", 200, claims{"cnf": claims{"x": 1}}, nil, 401, mcpauth.ReasonBoundToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reason mcpauth.Reason
			h, is, o, _ := opaqueServer(t, func(cfg *mcpauth.Config) {
				cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { reason = d.Reason }
			})
			o.answer = func(string) (int, any) {
				if c.body != nil {
					return c.status, c.body
				}
				return c.status, active(is, c.change)
			}
			w := serve(h, post(call("whoami"), opaque))
			require.Equal(t, c.want, w.Code, w.Body.String())
			switch c.want {
			case 200:
				require.Contains(t, w.Body.String(), "whoami ada")
			case 401:
				require.Equal(t, c.reason, reason)
				require.Contains(t, w.Header().Get("Www-Authenticate"), `Bearer error="invalid_token"`)
			case 503:
				require.Equal(t, c.reason, reason)
				require.NotContains(t, w.Header(), "Www-Authenticate") // CH-22
				require.NotEmpty(t, w.Header().Get("Retry-After"))
			}
			require.NotContains(t, fmt.Sprint(w.Header(), w.Body), opaque)
		})
	}
}

// INTRO-09, design: each credential takes one way, and no other server hears of it.
func TestINTRO09_WhoIsAskedAboutWhat(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("files_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Header: "Authorization", Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "bob", Name: "k", Scopes: []string{"mcp:read"}}}})
	require.NoError(t, err)
	is, a, b := newIssuer(t), newOracle(t), newOracle(t)
	other := newIssuer(t)
	a.answer = func(string) (int, any) { return 200, active(is, claims{"sub": "of-a"}) }
	b.answer = func(string) (int, any) { return 200, active(other, claims{"sub": "of-b"}) }
	h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{keys}
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: a.URL, ClientID: "files", ClientSecret: "x", TokenPrefix: "a_"}
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL, Introspection: &mcpauth.Introspection{Endpoint: b.URL, ClientID: "files", ClientSecret: "x", TokenPrefix: "b_"}})
	})
	for _, c := range []struct {
		token          string
		status         int
		who            string
		askedA, askedB int64
	}{
		{"a_1", 200, "of-a", 1, 0},
		{"b_1", 200, "of-b", 0, 1},
		{"c_1", 401, "", 0, 0},
		{key, 200, "bob", 0, 0},
		{key + "x", 401, "", 0, 0},
		{is.scoped(t, "mcp:read"), 200, "ada", 0, 0},
		{is.token(t, claims{"exp": 1}), 401, "", 0, 0},
		{is.scoped(t, "mcp:read")[:100], 401, "", 0, 0},
		{"a_" + strings.Repeat("x", 16<<10), 401, "", 0, 0},
	} {
		a.asked.Store(0)
		b.asked.Store(0)
		w := serve(h, post(call("whoami"), c.token))
		require.Equal(t, c.status, w.Code, c.token[:3])
		require.Contains(t, w.Body.String(), c.who)
		require.Equal(t, []int64{c.askedA, c.askedB}, []int64{a.asked.Load(), b.asked.Load()}, c.token[:3])
	}
}

// Without a prefix, nothing tells a key that is kept elsewhere from an opaque token. Somebody who sends it in the wrong field
// shows it to the authorization server, so the operator is told.
func TestINTRO09_KeysWithoutPrefix(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	find := func(context.Context, string) (*mcpauth.APIKey, error) { return nil, nil }
	for name, c := range map[string]struct {
		keys  mcpauth.APIKeys
		sent  bool
		warns bool
	}{
		"known here":    {mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "bob", Name: "k"}}}, false, false},
		"elsewhere":     {mcpauth.APIKeys{Find: find}, true, true},
		"with a prefix": {mcpauth.APIKeys{Find: find, Prefix: key[:6]}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := mcpauth.NewAPIKeys(c.keys)
			require.NoError(t, err)
			var log strings.Builder
			h, _, o, _ := opaqueServer(t, func(cfg *mcpauth.Config) {
				cfg.Authenticators, cfg.Logger = []mcpauth.Authenticator{keys}, slog.New(slog.NewTextHandler(&log, nil))
			})
			serve(h, post(call("whoami"), key))
			require.Equal(t, c.sent, o.asked.Load() > 0)
			require.Equal(t, c.warns, strings.Contains(log.String(), "Authenticators[0]: APIKeys.Prefix is empty"), log.String())
		})
	}
}

// INTRO-01, INTRO-02: what is asked, and how this server says who it is.
func TestINTRO01_TheRequest(t *testing.T) {
	h, _, o, _ := opaqueServer(t, nil)
	require.Equal(t, 200, serve(h, post(call("whoami"), opaque)).Code)
	r := o.last.Load()
	require.Equal(t, opaque, r.PostForm.Get("token"))
	require.Empty(t, r.URL.RawQuery)
	id, secret, ok := r.BasicAuth()
	require.True(t, ok)
	require.Equal(t, []string{"files", "s%3Ae%25c+ret"}, []string{id, secret}) // RFC 6749, Section 2.3.1

	h, _, o, _ = opaqueServer(t, func(cfg *mcpauth.Config) { cfg.Issuers[0].Introspection.SecretInBody = true })
	require.Equal(t, 200, serve(h, post(call("whoami"), opaque)).Code)
	require.Equal(t, "s:e%c ret", o.last.Load().PostForm.Get("client_secret"))
	require.Empty(t, o.last.Load().Header["Authorization"])

	h, _, o, _ = opaqueServer(t, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: cfg.Issuers[0].Introspection.Endpoint, Bearer: func(context.Context) (string, error) { return "mine", nil }}
	})
	require.Equal(t, 200, serve(h, post(call("whoami"), opaque)).Code)
	require.Equal(t, "Bearer mine", o.last.Load().Header.Get("Authorization"))
}

// INTRO-07: an answer is used for MaxAge and not a moment longer, and never beyond the token's expiry.
func TestINTRO07_HowLongAnAnswerCounts(t *testing.T) {
	for _, maxAge := range []time.Duration{0, 10 * time.Second, -1} {
		h, is, o, clock := opaqueServer(t, func(cfg *mcpauth.Config) { cfg.Issuers[0].Introspection.MaxAge = maxAge })
		send := func() int { return serve(h, post(call("whoami"), opaque)).Code }
		require.Equal(t, 200, send())
		require.Equal(t, 200, send())
		if maxAge < 0 {
			require.EqualValues(t, 2, o.asked.Load())
			continue
		}
		require.EqualValues(t, 1, o.asked.Load())
		o.answer = func(string) (int, any) { return 200, claims{"active": false} } // revoked
		age := maxAge
		if age == 0 {
			age = time.Minute
		}
		clock.advance(age - time.Millisecond)
		require.Equal(t, 200, send())
		clock.advance(time.Millisecond)
		require.Equal(t, 401, send())
		_ = is
	}
	h, is, o, clock := opaqueServer(t, nil)
	o.answer = func(string) (int, any) { return 200, active(is, claims{"exp": epoch.Add(5 * time.Second).Unix()}) }
	require.Equal(t, 200, serve(h, post(call("whoami"), opaque)).Code)
	clock.advance(36 * time.Second)
	require.Equal(t, 401, serve(h, post(call("whoami"), opaque)).Code)
}

// DPOP-08: an opaque token that is bound is so in every respect.
func TestINTRO06_BoundOpaqueTokens(t *testing.T) {
	h, is, o, _ := opaqueServer(t, nil)
	k, other := newHolder(t, ""), newHolder(t, "")
	o.answer = func(string) (int, any) {
		return 200, active(is, claims{"token_type": "DPoP", "cnf": claims{"jkt": k.Thumbprint()}})
	}
	for range 2 {
		require.Equal(t, 200, serve(h, k.signed(post(call("whoami"), ""), opaque)).Code)
		require.Equal(t, 401, serve(h, other.signed(post(call("whoami"), ""), opaque)).Code)
		require.Equal(t, 401, serve(h, post(call("whoami"), opaque)).Code)
	}
}

func TestIntrospection_EndpointFromTheMetadata(t *testing.T) {
	o := newOracle(t)
	var is *testIssuer
	mux := http.NewServeMux()
	front := httptest.NewServer(mux)
	defer front.Close()
	is = &testIssuer{URL: front.URL}
	named := true
	mux.HandleFunc("/.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		doc := claims{"issuer": front.URL}
		if named {
			doc["introspection_endpoint"] = o.URL
		}
		_ = json.NewEncoder(w).Encode(doc)
	})
	o.answer = func(string) (int, any) { return 200, active(is, nil) }
	build := func() *mcpauth.Middleware {
		auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Now: newClock().Now, Issuers: []mcpauth.Issuer{{
			URL: front.URL, Introspection: &mcpauth.Introspection{ClientID: "files", ClientSecret: "x"},
		}}})
		require.NoError(t, err)
		return auth
	}
	auth := build()
	require.NoError(t, auth.Ready(t.Context()))
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	require.Equal(t, 200, serve(h, post(call("whoami"), opaque)).Code)

	named = false
	auth = build()
	require.ErrorContains(t, auth.Ready(t.Context()), "introspection_endpoint")
	require.Equal(t, 503, serve(auth.Wrap(sdkHandler(newServer(auth), true)), post(call("whoami"), opaque)).Code)
}

func TestIntrospection_OnStdio(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	o.answer = func(string) (int, any) { return 200, active(is, nil) }
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "x"}
	})
	t.Setenv(variable, opaque)
	ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
	require.NoError(t, err)
	l, err := connectLocal(t, ctx, newServer(auth))
	require.NoError(t, err)
	require.Equal(t, "whoami ada", l.call("whoami"))
	require.EqualValues(t, 1, o.asked.Load())
	clock.advance(2 * time.Minute)
	require.Equal(t, "whoami ada", l.call("whoami"))
	require.EqualValues(t, 2, o.asked.Load())
	o.answer = func(string) (int, any) { return 200, claims{"active": false} }
	clock.advance(2 * time.Minute)
	require.Contains(t, l.call("whoami"), "Forbidden")
}

func TestIntrospection_MistakesInTheConfig(t *testing.T) {
	is := newIssuer(t)
	for name, c := range map[string]struct {
		in   mcpauth.Introspection
		want string
	}{
		"nobody knows us":        {mcpauth.Introspection{}, "Auth"},
		"a secret of nobody":     {mcpauth.Introspection{ClientSecret: "hush"}, "ClientID"},
		"two ways":               {mcpauth.Introspection{ClientID: "a", ClientSecret: "hush", MutualTLS: true}, "one"},
		"no secret for the body": {mcpauth.Introspection{ClientID: "a", SecretInBody: true, MutualTLS: true}, "SecretInBody"},
		"plain http":             {mcpauth.Introspection{Endpoint: "http://as.example/i", ClientID: "a", ClientSecret: "hush"}, "Endpoint"},
		"an odd prefix":          {mcpauth.Introspection{ClientID: "a", ClientSecret: "hush", TokenPrefix: "a b"}, "TokenPrefix"},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL, Introspection: &c.in}}})
		require.ErrorContains(t, err, "Issuers[0].Introspection", name)
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), "hush", name)
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", c.in, c.in, c.in, must(json.Marshal(c.in.ClientSecret))), "hush", name)
	}
	for _, prefixes := range [][2]string{{"", ""}, {"a_", ""}, {"a_", "a_b"}} {
		in := func(prefix string) *mcpauth.Introspection {
			return &mcpauth.Introspection{ClientID: "a", ClientSecret: "x", TokenPrefix: prefix}
		}
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{
			{URL: is.URL, Introspection: in(prefixes[0])}, {URL: "https://other.example", Introspection: in(prefixes[1])},
		}})
		require.ErrorContains(t, err, "TokenPrefix")
	}
}

// An opaque token that begins otherwise than an issuer says is refused with the setting to look at.
func TestINTRO09_AnotherPrefix(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "x", TokenPrefix: "ory_"}
	})
	require.Equal(t, http.StatusUnauthorized, serve(auth.Wrap(&spy{}), post(rpc("ping", nil), opaque)).Code)
	d := log.take()[0]
	require.Equal(t, mcpauth.ReasonTokenOpaque, d.Reason)
	require.Contains(t, d.Cure, "TokenPrefix")
	require.Zero(t, o.asked.Load())
}
