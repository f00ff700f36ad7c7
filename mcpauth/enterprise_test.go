package mcpauth_test

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// The tests of this file are about Enterprise-Managed Authorization (ext-auth, stable): the enterprise's identity
// provider issues a grant (ID-JAG, Section 4.3), and the authorization server of the resource an access token in
// exchange for it (Section 5). The resource takes the second one as any other access token, and never the first.

// idJAG are the claims of Section 4.3, with what draft-ietf-oauth-identity-assertion-authz-grant-04, Section 3.1 allows
// besides. They would make a good access token, but for aud.
func idJAG(as string) claims {
	return claims{
		"aud": as, "resource": testResource, "sub": "U019488227", "client_id": "f53f191f9311af35", "jti": "9e43f81b64a33f20116179",
		"scope": "mcp:read files:write", "roles": []string{"admin"}, "email": "user@example.com", "tenant": "acme",
		"auth_time": epoch.Unix(), "acr": "urn:example:mfa", "amr": []string{"mfa"},
	}
}

// TOK-03: an ID-JAG is no access token, whatever else is accepted and whoever has signed it. What stands for an
// access token in the same place is taken, so it is the type that is refused, and nothing else.
func TestTOK03_AnIDJAGIsNoAccessToken(t *testing.T) {
	const client = "f53f191f9311af35"
	introspecting := newOracle(t)
	introspecting.answer = func(string) (int, any) { return http.StatusOK, claims{"active": false} }
	for _, c := range []struct {
		name     string
		change   func(*mcpauth.Issuer)
		accepted any // the typ of an access token here
	}{
		{"default", func(*mcpauth.Issuer) {}, "at+jwt"},
		{"JWT too", func(in *mcpauth.Issuer) { in.TokenTypes = []string{"at+jwt", "JWT"} }, "JWT"},
		{"no typ too", func(in *mcpauth.Issuer) { in.TokenTypes = []string{"", "at+jwt", "JWT"} }, nil},
		{"no typ alone", func(in *mcpauth.Issuer) { in.TokenTypes = []string{""} }, nil},
		{"a typ of the provider's own", func(in *mcpauth.Issuer) { in.TokenTypes = []string{"acme+jwt", "jag+jwt", "id-jag+jwt"} }, "acme+jwt"},
		{"strict", func(in *mcpauth.Issuer) { in.Strict = true }, "at+jwt"},
		{"the authorization server as an audience", func(in *mcpauth.Issuer) { in.Audiences = []string{in.URL} }, "at+jwt"},
		{"any audience", func(in *mcpauth.Issuer) {
			in.DangerouslyAcceptAnyAudience, in.ClientIDs, in.TokenTypes = true, []string{client}, []string{"at+jwt", "JWT", ""}
		}, "JWT"},
		{"no audience", func(in *mcpauth.Issuer) {
			in.DangerouslyAcceptNoAudience, in.ClientIDs, in.TokenTypes = true, []string{client}, []string{"at+jwt", "JWT", ""}
		}, "JWT"},
		{"the client as an audience", func(in *mcpauth.Issuer) {
			in.DangerouslyAcceptClientAudience, in.ClientIDs, in.TokenTypes = true, []string{client}, []string{"at+jwt", "JWT", ""}
		}, "JWT"},
		{"introspection", func(in *mcpauth.Issuer) {
			in.Introspection = &mcpauth.Introspection{Endpoint: introspecting.URL, ClientID: "files", ClientSecret: "x"}
		}, "at+jwt"},
	} {
		t.Run(c.name, func(t *testing.T) {
			is, idp := newIssuer(t), newIssuer(t) // the identity provider may well be an issuer of this resource, too
			heard, last := &ear{}, &audit{}
			auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: idp.URL})
				for i := range cfg.Issuers {
					c.change(&cfg.Issuers[i])
				}
				cfg.Issuers[1].Introspection = nil // New wants to know whom to ask
				cfg.Logger, cfg.OnDecision = heard.logger(), last.add
			})
			inner := &spy{}
			auth.RequireTool("write", scopes.All("files:write"))
			h := auth.Wrap(inner)
			for who, signer := range map[string]*testIssuer{"the authorization server": is, "the identity provider": idp} {
				right := claims{"aud": testResource}
				require.Equal(t, http.StatusOK, serve(h, post(call("write"), typed(t, signer, c.accepted, idJAG(is.URL), right))).Code, "an access token of %s", who)
				inner.bodies = nil
				for _, typ := range []string{"oauth-id-jag+jwt", "OAuth-ID-JAG+JWT", "application/oauth-id-jag+jwt", "APPLICATION/oauth-id-jag+JWT"} {
					for _, aud := range []any{is.URL, testResource, []string{is.URL, testResource}, client, nil} {
						grant := typed(t, signer, typ, idJAG(is.URL), claims{"aud": aud})
						last.take()
						w := serve(h, post(call("write"), grant))
						require.Equal(t, http.StatusUnauthorized, w.Code, "%s of %s for %v", typ, who, aud)
						require.Contains(t, strings.Join(w.Header()["Www-Authenticate"], "\n"), `error="invalid_token"`)
						require.Equal(t, mcpauth.ReasonType, last.take()[0].Reason)
						requireNoPiece(t, fmt.Sprint(w.Header(), w.Body), grant)
						heard.requireSilent(t, "an ID-JAG", grant) // Section 7.4.2: it must not be logged
					}
				}
				// Where a provider forgets the type, the audience of the grant is the authorization server (Section 4.3).
				if c.name != "any audience" && c.name != "the authorization server as an audience" {
					require.Equal(t, http.StatusUnauthorized, serve(h, post(call("write"), typed(t, signer, c.accepted, idJAG(is.URL)))).Code)
					require.Equal(t, mcpauth.ReasonAudience, last.take()[0].Reason)
				}
				require.Empty(t, inner.bodies)
			}
			require.Zero(t, introspecting.asked.Load(), "a JWT is no business of the introspection endpoint")
		})
	}
}

// requireNoPiece looks for any part of a token in a text.
func requireNoPiece(t testing.TB, text, token string) {
	t.Helper()
	for _, part := range strings.Split(token, ".")[1:] {
		require.NotContains(t, text, part[:20])
	}
}

// TOK-03, INTRO-06: neither is one that is bound to a key, nor one that is presented as an opaque token.
func TestTOK03_AnIDJAGByOtherDoors(t *testing.T) {
	d := openDoor(t, false, true, true, func(cfg *mcpauth.Config) { cfg.Issuers[0].TokenTypes = []string{"at+jwt", "JWT"} })
	k := newHolder(t, "")
	for typ, status := range map[string]int{"at+jwt": 200, "oauth-id-jag+jwt": 401} {
		token := typed(t, d.is, typ, idJAG(d.is.URL), claims{"aud": testResource, "cnf": claims{"jkt": k.Thumbprint()}})
		require.Equal(t, status, serve(d, k.signed(post(call("write"), ""), token)).Code, typ)
	}

	// Token exchange answers with token_type N_A (Section 4.2; RFC 8693, Section 2.2.1), and so may introspection.
	o := openDoor(t, true, false, true, nil)
	for _, kind := range []string{"N_A", "n_a", "urn:ietf:params:oauth:token-type:id-jag", "urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"} {
		require.Equal(t, http.StatusUnauthorized, o.try(call("whoami"), o.issue(idJAG(o.is.URL), claims{"aud": testResource, "token_type": kind}), "").Code, kind)
	}
	require.Equal(t, http.StatusOK, o.try(call("whoami"), o.issue(idJAG(o.is.URL), claims{"aud": testResource}), "").Code)
}

// TOK-03: nobody can turn it on.
func TestTOK03_AnIDJAGCannotBeConfigured(t *testing.T) {
	for _, typ := range []string{"oauth-id-jag+jwt", "OAuth-Id-Jag+Jwt", "application/oauth-id-jag+jwt"} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: "https://as.example", TokenTypes: []string{"at+jwt", typ}}}})
		require.ErrorContains(t, err, "another kind of token", typ)
	}
}

// enterpriseToken is what an authorization server makes of an ID-JAG (Sections 5.1 and 5.2; RFC 9068): for the
// resource of the grant, the user of the grant and the client that presented it.
func enterpriseToken(scope string) claims {
	return claims{
		"sub": "U019488227", "client_id": "f53f191f9311af35", "scope": scope, "jti": "1", "iat": epoch.Unix(),
		"auth_time": epoch.Add(-time.Minute).Unix(), "acr": "urn:example:mfa", "amr": []string{"mfa", "hwk"},
		"act": claims{"sub": "agent-7", "iss": "https://agents.example"}, "may_act": claims{"sub": "agent-8"},
		"authorization_details": []claims{{"type": "mcp_tool", "actions": []string{"write"}, "scope": "files:write"}},
	}
}

// TOK-22, AS-06: the access token that is issued in exchange goes the way of all, and what it tells of the login
// and of the one who acts can be read.
func TestTOK22_TheAccessTokenForAnIDJAG(t *testing.T) {
	for _, form := range doors {
		for _, stateless := range []bool{true, false} {
			t.Run(fmt.Sprint(form.name, ", stateless ", stateless), func(t *testing.T) {
				d := openDoor(t, form.opaque, form.bound, stateless, func(cfg *mcpauth.Config) { cfg.Issuers[0].Strict = true })
				base := d.issue(enterpriseToken("mcp:read"))
				session := d.open(t, base)
				got := told(t, d.try(call("whoami"), base, session))
				got.ID = ""
				require.Equal(t, caller{Subject: "U019488227", Client: "f53f191f9311af35", Actor: "agent-7", Scheme: d.scheme, Scopes: []string{"mcp:read"}}, got)

				// Neither act nor authorization_details is a right (RFC 9396 is not evaluated here).
				w := d.try(call("write"), base, session)
				require.Equal(t, http.StatusForbidden, w.Code)
				require.Equal(t, writeStepUp(form.bound), w.Header()["Www-Authenticate"])
				require.Equal(t, "purge hidden, write shown", d.listed(t, base, session))

				// After another grant, with another one acting, in the same session.
				more := d.issue(enterpriseToken("mcp:read files:write"), claims{"roles": []string{"admin"}, "act": claims{"sub": "agent-9"}})
				require.Equal(t, "agent-9", told(t, d.try(call("purge"), more, session)).Actor)
				require.Equal(t, []string{"mcp:read", "files:write"}, told(t, d.try(call("write"), more, session)).Scopes)
				require.Equal(t, "agent-7", told(t, d.try(call("whoami"), base, session)).Actor)

				p := principalThrough(t, d, base)
				var when time.Time
				var text string
				var list []string
				for pointer, c := range map[string]struct {
					into any
					want any
				}{
					"/auth_time": {&when, epoch.Add(-time.Minute)}, "/acr": {&text, "urn:example:mfa"}, "/amr": {&list, []string{"mfa", "hwk"}},
					"/act/iss": {&text, "https://agents.example"}, "/may_act/sub": {&text, "agent-8"},
					"/authorization_details/0/type": {&text, "mcp_tool"}, "/authorization_details/0/actions": {&list, []string{"write"}},
				} {
					ok, err := p.Claim(pointer, c.into)
					require.NoError(t, err, pointer)
					require.True(t, ok, pointer)
					switch v := c.into.(type) {
					case *time.Time:
						require.Equal(t, c.want, *v, pointer)
					case *string:
						require.Equal(t, c.want, *v, pointer)
					case *[]string:
						require.Equal(t, c.want, *v, pointer)
					}
				}
			})
		}
	}
}

// principalThrough is the Principal of a decision about a token.
func principalThrough(t testing.TB, d *door, token string) *mcpauth.Principal {
	t.Helper()
	require.Less(t, d.try(call("whoami"), token, "").Code, http.StatusInternalServerError)
	require.NotNil(t, d.last.Principal)
	return d.last.Principal
}

// RFC 8693, Section 4.1: act names who acts now, prior actors are nested within it and decide nothing. What is none
// of this names nobody, and nothing in it is a right.
func TestActor(t *testing.T) {
	chain := claims{"sub": "first"}
	for _, name := range []string{"second", "third", "now"} {
		chain = claims{"sub": name, "act": chain}
	}
	null := (*string)(nil)
	d := openDoor(t, false, false, true, nil)
	for _, c := range []struct {
		name string
		act  any
		want string
	}{
		{"an actor", claims{"sub": "agent"}, "agent"},
		{"an actor of an issuer", claims{"sub": "agent", "iss": "https://agents.example", "client_id": "x"}, "agent"},
		{"a chain", chain, "now"},
		{"rights within", claims{"sub": "agent", "scope": "files:write", "scp": []string{"files:write"}, "roles": []string{"admin"}, "client_id": "root"}, "agent"},
		{"none", nil, ""},
		{"null", null, ""},
		{"a string", "agent", ""},
		{"a number", 7, ""},
		{"a boolean", true, ""},
		{"a list", []any{claims{"sub": "agent"}}, ""},
		{"a list of strings", []string{"sub", "agent"}, ""},
		{"an empty object", claims{}, ""},
		{"an empty list", []any{}, ""},
		{"sub empty", claims{"sub": ""}, ""},
		{"sub null", claims{"sub": null}, ""},
		{"sub a number", claims{"sub": 7}, ""},
		{"sub a list", claims{"sub": []string{"agent"}}, ""},
		{"sub an object", claims{"sub": claims{"sub": "agent"}}, ""},
		{"sub further in", claims{"act": claims{"sub": "agent"}}, ""},
		{"sub in other letters", claims{"SUB": "agent"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			token := d.issue(claims{"scope": "mcp:read", "act": c.act})
			got := told(t, d.try(call("whoami"), token, ""))
			require.Equal(t, c.want, got.Actor)
			require.Equal(t, []string{"ada", "app", "mcp:read"}, append([]string{got.Subject, got.Client}, got.Scopes...))
			require.Empty(t, got.Roles)
			require.False(t, got.Application)
			require.Equal(t, http.StatusForbidden, d.try(call("write"), token, "").Code)
			require.Equal(t, http.StatusForbidden, d.try(call("purge"), token, "").Code)
			// Whoever acts, it is the user's session and limits.
			require.Equal(t, told(t, d.try(call("whoami"), d.issue(claims{"scope": "mcp:read"}), "")).ID, got.ID)
		})
	}

	p := principalThrough(t, d, d.issue(claims{"scope": "mcp:read", "act": chain}))
	for pointer, want := range map[string]string{"/act/sub": "now", "/act/act/sub": "third", "/act/act/act/sub": "second", "/act/act/act/act/sub": "first"} {
		var sub string
		ok, err := p.Claim(pointer, &sub)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, sub)
	}
	ok, err := p.Claim("/act/act/act/act/act/sub", new(string))
	require.NoError(t, err)
	require.False(t, ok)
	var whole any
	ok, err = p.Claim("/act", &whole)
	require.NoError(t, err)
	require.True(t, ok)
	whole.(map[string]any)["sub"] = "changed"
	require.Equal(t, "now", p.Actor(), "what is read is a copy")

	// may_act says who might act one day, and names no actor.
	require.Empty(t, principalThrough(t, d, d.issue(claims{"scope": "mcp:read", "may_act": claims{"sub": "agent"}})).Actor())
}

// A chain deeper than any decoder should follow is refused, in both forms, and nothing falls over.
func TestActor_BottomlessChains(t *testing.T) {
	for _, form := range doors {
		d := openDoor(t, form.opaque, form.bound, true, nil)
		for depth, status := range map[int]int{1: 200, 16: 200, 100: 401, 2000: 401} {
			chain := claims{"sub": "deep"}
			for range depth - 1 {
				chain = claims{"sub": "a", "act": chain}
			}
			w := d.try(call("whoami"), d.issue(claims{"scope": "mcp:read", "act": chain}), "")
			if form.opaque && status == http.StatusUnauthorized {
				status = http.StatusServiceUnavailable // what cannot be read says nothing about the token
			}
			require.Equal(t, status, w.Code, "%s, %d deep", form.name, depth)
		}
	}
}

// Section 5.1: "the issued access token MUST be audience-restricted to the MCP Server identified by the resource claim
// in the ID-JAG". One for another server of the same enterprise is none for this one.
func TestTOK22_AnEnterpriseTokenForAnotherResource(t *testing.T) {
	who := enterpriseToken("mcp:read files:write")
	maps.Copy(who, claims{"roles": []string{"admin"}})
	requireOtherResourcesRefused(t, who)
}
