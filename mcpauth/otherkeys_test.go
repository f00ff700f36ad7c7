package mcpauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

// keyRequest is a request with a field of these values.
func keyRequest(name string, values ...string) *http.Request {
	return with(post(call("whoami"), ""), name, values...)
}

// What an Authenticator for API keys answers by itself, as one that wraps it would see.
func TestAPIKeys_Authenticate(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	another, found := mcpauth.NewAPIKey("")
	require.NotEqual(t, key, another)
	require.Len(t, key, 43)
	require.Equal(t, hash, mcpauth.HashAPIKey(key))
	ended := epoch.Add(time.Hour)
	var elsewhere *mcpauth.APIKey
	in := mcpauth.APIKeys{
		Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "laptop", Scopes: []string{"a", "b"}, Roles: []string{"admin"}, Expiry: ended}},
		Find: func(context.Context, string) (*mcpauth.APIKey, error) { return elsewhere, nil },
	}
	keys, err := mcpauth.NewAPIKeys(in)
	require.NoError(t, err)
	p, err := keys.Authenticate(keyRequest("X-Api-Key", key))
	require.NoError(t, err)
	require.Equal(t, []string{"urn:api-keys", "ada", "laptop", "ApiKey"}, []string{p.Issuer(), p.Subject(), p.ClientID(), p.Scheme()})
	require.Equal(t, []string{"a", "b"}, p.Grant().Scopes())
	require.Equal(t, []string{"admin"}, p.Grant().Roles())
	require.Equal(t, ended, p.Expiry())

	for name, r := range map[string]*http.Request{
		"no field": keyRequest("X-Api-Key"), "an empty one": keyRequest("X-Api-Key", ""), "two": keyRequest("X-Api-Key", key, key),
		"another field": keyRequest("Authorization", "Bearer "+key),
	} {
		_, err := keys.Authenticate(r)
		require.ErrorIs(t, err, mcpauth.ErrNoCredentials, name)
	}
	elsewhere = &mcpauth.APIKey{Hash: found, Owner: "bob"} // no name
	p, err = keys.Authenticate(keyRequest("X-Api-Key", another))
	require.ErrorContains(t, err, "Name")
	require.NotErrorIs(t, err, mcpauth.ErrNoCredentials)
	require.Nil(t, p)

	in.Issuer, in.Header, in.Prefix = "urn:mine", "Authorization", key[:3]
	keys, err = mcpauth.NewAPIKeys(in)
	require.NoError(t, err)
	p, err = keys.Authenticate(keyRequest("Authorization", "Bearer "+key))
	require.NoError(t, err)
	require.Equal(t, "urn:mine", p.Issuer())
	for _, value := range []string{"DPoP " + key, "Basic " + key, key, "Bearer"} {
		_, err := keys.Authenticate(keyRequest("Authorization", value))
		require.ErrorIs(t, err, mcpauth.ErrNoCredentials, value)
	}
}

// What cannot be a key costs no look-up.
func TestAPIKeys_WhatIsLookedUp(t *testing.T) {
	const prefix = "files_"
	asked := 0
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: prefix, Find: func(context.Context, string) (*mcpauth.APIKey, error) {
		asked++
		return nil, nil
	}})
	require.NoError(t, err)
	for rest, want := range map[string]int{
		strings.Repeat("A", 19): 0, strings.Repeat("A", 20): 1, strings.Repeat("A", 512-len(prefix)): 1, strings.Repeat("A", 513-len(prefix)): 0,
		"abcxyzABCXYZ0123456789-._~": 1, strings.Repeat("A", 20) + " ": 0, strings.Repeat("A", 20) + "=": 0, strings.Repeat("A", 20) + "/": 0,
		strings.Repeat("A", 20) + "é": 0, "": 0,
	} {
		asked = 0
		_, err := keys.Authenticate(keyRequest("X-Api-Key", prefix+rest))
		require.ErrorContains(t, err, "not known", rest)
		require.Equal(t, want, asked, rest)
	}
}

func TestAPIKeys_FormsOfHashAndPrefix(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, hash[len(hash)-1])
	for name, bad := range map[string]string{
		"empty": "", "the prefix alone": "sha256:", "short": hash[:len(hash)-1], "long": hash + "A", "with padding": hash + "=", "of another kind": "sha512:" + hash[7:],
		"without its kind": hash[7:], "with bits set to spare": hash[:len(hash)-1] + alphabet[last+1:last+2], "with line breaks": hash[:20] + "\n" + hash[21:],
		"with line breaks, in full": hash[:len(hash)-4] + "\n\n\n\n", "no base64": hash[:len(hash)-1] + "!", "the key": key,
	} {
		_, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: bad, Owner: "a", Name: "b"}}})
		require.ErrorContains(t, err, "Hash", name)
	}
	find := func(context.Context, string) (*mcpauth.APIKey, error) { return nil, nil }
	_, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: strings.Repeat("a", 64), Find: find})
	require.NoError(t, err)
	_, err = mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: strings.Repeat("a", 65), Find: find})
	require.ErrorContains(t, err, "Prefix")
}

// adas is a caller without scopes that an Authenticator of the program's own vouches for.
func adas(granted ...string) *mcpauth.Principal {
	return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:mine", Subject: "ada", Scheme: "Signature", Grant: scopes.NewGrant(granted, nil)})
}

// signature makes an Authenticator that gives one answer to every X-Signature.
func signature(p *mcpauth.Principal, err error) mcpauth.Authenticator {
	return mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return p, err }, "Signature", "X-Signature")
}

// CH-23: nothing adds to what other credentials grant, so no challenge asks for more, whoever refuses.
func TestAuthenticator_CH23_ThereIsNoStepUp(t *testing.T) {
	var refuse error
	var log audit
	for _, mode := range []mcpauth.DPoPMode{mcpauth.DPoPOptional, mcpauth.DPoPRequired} {
		h, auth, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
			cfg.DPoP.Mode = mode
			cfg.Authenticators = []mcpauth.Authenticator{signature(adas("mcp:read"), nil)}
			cfg.OnDecision = log.add
			cfg.Policy = func(context.Context, *mcpauth.Call) error { return refuse }
		})
		refuse = nil
		log.take()
		w := serve(h, with(post(call("write"), ""), "X-Signature", "s"))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Header(), "Www-Authenticate")
		require.NotContains(t, w.Body.String(), "insufficient_scope")
		got := log.take()
		require.Len(t, got, 1)
		require.Equal(t, mcpauth.ReasonFixedGrant, got[0].Reason)
		list := serve(h, with(post(rpc("tools/list", nil), ""), "X-Signature", "s")).Body.String()
		require.Contains(t, list, "whoami")
		require.NotContains(t, list, "write", "LIST-04")
		require.Nil(t, auth.Check(t.Context(), &mcpauth.Call{Principal: adas("mcp:read"), Operation: mcpauth.Operation{Method: "tools/call", Name: "whoami"}}))

		refuse = &mcpauth.Error{Status: 403, Code: "insufficient_scope", Scopes: []string{"files:write"}}
		w = serve(h, with(post(call("whoami"), ""), "X-Signature", "s"))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Header(), "Www-Authenticate", "a Policy's neither")
		require.NotContains(t, w.Body.String(), "insufficient_scope")

		// RFC 9110, Section 15.5.2: a 401 has its challenges all the same, of every scheme that is accepted.
		refuse = &mcpauth.Error{Status: 401}
		lines := serve(h, with(post(call("whoami"), ""), "X-Signature", "s")).Header()["Www-Authenticate"]
		require.NotEmpty(t, lines)
		require.Equal(t, "Signature", lines[len(lines)-1])
		require.Contains(t, lines[0], ` error="invalid_token"`)
		require.Equal(t, mode == mcpauth.DPoPRequired, strings.HasPrefix(lines[0], "DPoP "))
	}
}

// What an Authenticator says in an *Error: its Reason is for the log, its Description for the line of the
// scheme that was used.
func TestAuthenticator_ErrorsOfItsOwn(t *testing.T) {
	var log audit
	answer := &mcpauth.Error{Status: 401, Reason: "signature_old", Description: "The signature is old"}
	h, _, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Authenticators = []mcpauth.Authenticator{
			mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return nil, answer }, "", "Authorization", "X-Signature"),
		}
	})
	w := serve(h, post(call("whoami"), "opaque"))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Header()["Www-Authenticate"][0], `Bearer error="invalid_token", error_description="The signature is old"`)
	require.NotContains(t, w.Header()["Www-Authenticate"][1], "error=")
	require.Equal(t, mcpauth.Reason("signature_old"), log.take()[0].Reason)

	w = serve(h, keyRequest("X-Signature", "s"))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, bothLines(plainScoped), w.Header()["Www-Authenticate"])
	require.Contains(t, w.Body.String(), `"error":"invalid_token"`, "who sent something learns that it was no good")
	require.NotContains(t, serve(h, post(call("whoami"), "")).Body.String(), `"error":"`, "who sent nothing does not (RFC 6750, Section 3.1)")
	log.take()
	answer = &mcpauth.Error{Status: 403, Reason: "locked"}
	require.Equal(t, http.StatusForbidden, serve(h, keyRequest("X-Signature", "s")).Code)
	require.Equal(t, mcpauth.Reason("locked"), log.take()[0].Reason)
}

// SEC-01: an Authenticator gets no cookie that it did not name, no length of a body that it cannot read,
// and its request is not the handler's.
func TestAuthenticator_SeesNoForeignCookie(t *testing.T) {
	is := newIssuer(t)
	var asked *http.Request
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Origins = []string{"https://app.example.com"}
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			asked = r
			return adas(), nil
		}, "", "X-Signature")}
	})
	auth.RequireTool("whoami", scopes.Authenticated())
	var seen http.Header
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	r := with(with(with(post(call("whoami"), ""), "X-Signature", "s"), "Cookie", "session=1"), "Origin", "https://app.example.com")
	require.Equal(t, 200, serve(h, r).Code)
	require.NotContains(t, asked.Header, "Cookie", "it may not even log it")
	require.Zero(t, asked.ContentLength)
	require.Equal(t, "session=1", r.Header.Get("Cookie"), "the client's request stays as it was")
	require.Equal(t, "session=1", seen.Get("Cookie"), "the handler's own session is none of ours")
}

// CH-17, CH-18: of each scheme there is one line, ours where the scheme is accepted.
func TestAuthenticator_OneLineOfEachScheme(t *testing.T) {
	is := newIssuer(t)
	nobody := func(*http.Request) (*mcpauth.Principal, error) { return nil, mcpauth.ErrNoCredentials }
	for mode, want := range map[mcpauth.DPoPMode][]string{
		mcpauth.DPoPOptional: {"Bearer ", "DPoP "},
		mcpauth.DPoPRequired: {"DPoP ", `bearer realm="keys"`},
		mcpauth.DPoPOff:      {"Bearer ", `dpop realm="keys"`},
	} {
		h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
			cfg.DPoP.Mode = mode
			cfg.Authenticators = []mcpauth.Authenticator{
				mcpauth.NewAuthenticator(nobody, `bearer realm="keys"`, "Authorization"), mcpauth.NewAuthenticator(nobody, `dpop realm="keys"`, "Authorization"),
			}
		})
		lines := serve(h, post(call("whoami"), "")).Header()["Www-Authenticate"]
		require.Len(t, lines, len(want), "%s: %q", mode, lines)
		for i, line := range lines {
			require.True(t, strings.HasPrefix(line, want[i]), "%s: %q", mode, line)
		}
	}
	t.Run("DPOP-16 where a nonce is asked for, nothing else is offered", func(t *testing.T) {
		h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) {
			cfg.DPoP.Nonces = true
			cfg.Authenticators = []mcpauth.Authenticator{signature(nil, mcpauth.ErrNoCredentials)}
		})
		requireNonceAsked(t, serve(h, k.signed(post(call("whoami"), ""), token)))
	})
}

func TestAuthenticator_FormsOfItsAnswers(t *testing.T) {
	is := newIssuer(t)
	nobody := func(*http.Request) (*mcpauth.Principal, error) { return nil, mcpauth.ErrNoCredentials }
	for name, c := range map[string]struct {
		a    mcpauth.Authenticator
		want string
	}{
		"an empty name":              {mcpauth.NewAuthenticator(nobody, "X", ""), "Authenticators[0].Headers"},
		"no text":                    {mcpauth.NewAuthenticator(nobody, "X realm=\"é\"", "X-A"), "Authenticators[0].Challenge"},
		"a control character":        {mcpauth.NewAuthenticator(nobody, "X\x7f", "X-A"), "Authenticators[0].Challenge"},
		"a space instead of a name":  {mcpauth.NewAuthenticator(nobody, " X", "X-A"), "Authenticators[0].Challenge"},
		"digits":                     {mcpauth.NewAuthenticator(nobody, `AWS4-HMAC-SHA256 realm="a"`, "X-Amz-S3"), ""},
		"one field in two spellings": {mcpauth.NewAuthenticator(nobody, "X", "x-a", "X-A"), ""},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Authenticators: []mcpauth.Authenticator{c.a}})
		if c.want == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorContains(t, err, c.want, name)
	}
}

// Without issuers there are no tokens, so nothing is said of a token, and there is nothing to publish.
func TestAuthenticators_WithoutIssuers_NothingIsSaidOfTokens(t *testing.T) {
	var log audit
	refuse := error(nil)
	cfg := mcpauth.Config{
		Resource: testResource, BaseScopes: []string{"mcp:read"}, Authenticators: []mcpauth.Authenticator{signature(adas("mcp:read"), nil)},
		OnDecision: log.add, Policy: func(context.Context, *mcpauth.Call) error { return refuse },
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for _, value := range []string{"Bearer x.y.z", "DPoP x.y.z", "Basic eA=="} {
		w := serve(h, keyRequest("Authorization", value))
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Equal(t, []string{"Signature"}, w.Header()["Www-Authenticate"])
		require.NotContains(t, w.Body.String(), "invalid_token")
		require.Equal(t, mcpauth.ReasonUnsupportedScheme, log.take()[0].Reason)
	}
	refuse = &mcpauth.Error{Status: 401, Scopes: []string{"files:write"}}
	w := serve(h, keyRequest("X-Signature", "s"))
	require.Equal(t, http.StatusUnauthorized, w.Code, "%v", w.Body)
	require.Equal(t, []string{"Signature"}, w.Header()["Www-Authenticate"])

	cfg.Metadata = &prm.Metadata{ResourceName: "Files"}
	_, err = mcpauth.New(cfg)
	require.ErrorContains(t, err, "Metadata")
}

// A Policy that cannot tell sends no code along: clients keep their token.
func TestCH22_NoCodeWithoutAChallenge(t *testing.T) {
	is := newIssuer(t)
	for _, status := range []int{429, 503} {
		h, _, _ := newBased(t, is, func(cfg *mcpauth.Config) {
			cfg.Policy = func(context.Context, *mcpauth.Call) error {
				return &mcpauth.Error{Status: status, Code: "insufficient_scope", Scopes: []string{"a"}}
			}
		})
		w := serve(h, post(call("whoami"), is.scoped(t, "mcp:read")))
		require.Equal(t, status, w.Code)
		require.NotContains(t, w.Header(), "Www-Authenticate")
		require.NotContains(t, w.Body.String(), "insufficient_scope")
		require.NotEmpty(t, w.Header().Get("Retry-After"))
	}
}

// Nobody publishes a document that does not exist, so the summary does not ask for it.
func TestAuthenticators_WithoutIssuers_NoMetadataIsMissed(t *testing.T) {
	var e ear
	auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{signature(adas(), nil)}, Logger: e.logger()})
	require.NoError(t, err)
	serve(auth.Wrap(sdkHandler(newServer(auth), true)), post(call("whoami"), ""))
	require.NotEmpty(t, e.text())
	require.NotContains(t, e.text(), "nobody asked for the metadata handler")
}

// A catalog is whole or an error, and shows titles where there are any.
func TestCatalog_TitlesAndErrors(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	auth.Protect(server)
	server.AddTool(&mcp.Tool{Name: "t", Title: "Tool", Annotations: &mcp.ToolAnnotations{Title: "Other"}, InputSchema: map[string]any{"type": "object"}}, nil)
	server.AddResource(&mcp.Resource{URI: "file:///a", Name: "a", Title: "Resource"}, nil)
	server.AddResourceTemplate(&mcp.ResourceTemplate{URITemplate: "file:///{b}", Name: "b", Title: "Template"}, nil)
	catalog, err := auth.Catalog(t.Context(), server)
	require.NoError(t, err)
	var titles []string
	for _, item := range catalog.Items {
		titles = append(titles, item.Title)
	}
	require.Equal(t, []string{"Tool", "Resource", "Template"}, titles)

	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "resources/list" {
				return nil, errors.New("the disk is away")
			}
			return next(ctx, method, req)
		}
	})
	catalog, err = auth.Catalog(t.Context(), server)
	require.ErrorContains(t, err, "the disk is away")
	require.Empty(t, catalog.Items)
}

// The zero Principal is nobody: to it, nothing is shown and nothing allowed.
func TestVisible_NobodySeesNothing(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.Listing = mcpauth.ListAll })
	newServer(auth)
	for _, p := range []*mcpauth.Principal{nil, {}} {
		for _, tool := range []string{"whoami", "write", "purge"} {
			op := mcpauth.Operation{Method: "tools/call", Name: tool}
			require.False(t, auth.Visible(p, op), tool)
			var refused *mcpauth.Error
			require.ErrorAs(t, auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: op}), &refused)
			require.Equal(t, 401, refused.Status)
			require.Equal(t, mcpauth.ReasonNoPrincipal, refused.Reason)
		}
	}
}

// TOK-20: a request has one TokenInfo, however often it is asked for.
func TestTOK20_OneTokenInfoForOneRequest(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("whoami", scopes.Authenticated())
	asked := 0
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		info := sdkauth.TokenInfoFromContext(r.Context())
		info.Scopes = append(info.Scopes, "mine")
		again := sdkauth.TokenInfoFromContext(r.Context())
		require.Same(t, info, again)
		require.Equal(t, []string{"a", "mine"}, again.Scopes)
		asked++
	}))
	token := is.scoped(t, "a")
	for range 2 {
		require.Equal(t, 200, serve(h, post(call("whoami"), token)).Code)
	}
	require.Equal(t, 2, asked)
}

// RFC 6750, Section 3: Bearer has at least one parameter.
func TestAPIKeys_Challenge(t *testing.T) {
	find := func(context.Context, string) (*mcpauth.APIKey, error) { return nil, nil }
	for header, want := range map[string]string{"": keyLine, "x-key": `ApiKey header="X-Key"`, "authorization": `Bearer realm="API key"`} {
		keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Header: header, Prefix: "k_", Find: find})
		require.NoError(t, err)
		require.Equal(t, want, keys.Challenge())
	}
}

// CH-14: a token in the URL is one credential more, whatever came in a header.
func TestCH14_AKeyAndATokenInTheQuery(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("")
	h, _, _ := keyServer(t, mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n", Scopes: []string{"mcp:read"}}}}, nil)
	r := with(post(call("whoami"), ""), "X-Api-Key", key)
	r.URL.RawQuery = "access_token=x"
	w := serve(h, r)
	require.Equal(t, http.StatusBadRequest, w.Code) // is 200
	require.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_request"`)
}

// What a newcomer met: a rule on a role that only keys grant is no mistake, and a refusal says where to look.
func TestAPIKeys_RolesAreGrantedByKeys(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("k_")
	_, poor := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n"}, {Hash: poor, Owner: "b", Name: "m", Roles: []string{"admin"}}}})
	require.NoError(t, err)
	var last mcpauth.Decision
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: testResource, Authenticators: []mcpauth.Authenticator{keys}, OnDecision: func(_ context.Context, d mcpauth.Decision) { last = d },
	})
	require.NoError(t, err)
	server := newServer(auth)
	auth.RequireTool("forgotten", scopes.Authenticated())
	require.NoError(t, auth.Verify(t.Context(), server))
	h := auth.Wrap(sdkHandler(server, true))
	require.Equal(t, 403, serve(h, with(post(call("purge"), ""), "X-Api-Key", key)).Code)
	require.Contains(t, last.Cure, "APIKey.Roles")
	require.Equal(t, 401, serve(h, with(post(call("purge"), ""), "X-Api-Key", "nope")).Code)
	require.Contains(t, last.Expected, "X-Api-Key")
	require.Equal(t, 400, serve(h, with(post(call("purge"), "x"), "X-Api-Key", key)).Code)
	require.Contains(t, last.Expected, "X-Api-Key")
}

// A proof that is refused says whose it is, for the log alone.
func TestDPoP_RefusalsNameTheCaller(t *testing.T) {
	var last mcpauth.Decision
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) {
		cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { last = d }
	})
	requireBadProof(t, serve(h, k.signed(post(call("whoami"), ""), token, claim("htm", "GET"))))
	require.Equal(t, "ada", last.Principal.Subject())
	require.False(t, last.Allowed)
}
