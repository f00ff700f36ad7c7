package doctor_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// verdict makes the server answer every token like this.
func verdict(n int) func(*world) {
	return func(w *world) { w.accept = func(members, string) int { return n } }
}

func right(*world) {}

// describing makes the server refuse every token with these words.
func describing(words string) func(*world) {
	return func(w *world) {
		verdict(401)(w)
		w.after = []string{`Bearer error="invalid_token", error_description="` + words + `", resource_metadata="` + w.mcp.URL + wellKnown + `"`}
	}
}

func withoutAuthorization(w *world) {
	w.endpoint = func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			r.Header.Del("Authorization")
			h.ServeHTTP(rw, r)
		})
	}
}

// audience is a token whose aud follows from the server.
func audience(of func(*world) string) func(*world) doctor.Options {
	return func(w *world) doctor.Options { return doctor.Options{Token: w.mint(members{"aud": of(w)})} }
}

var brokenTokens = []broken{
	// 401 after a good login.
	{name: "aud is the client id", change: right, options: tokenWith(members{"aud": "app"}),
		want: "token-audience/client-id", status: doctor.Fail, symptom: doctor.Refused, cure: "aud is the client id"},
	{name: "aud is the origin", change: right, options: audience(func(w *world) string { return w.mcp.URL }),
		want: "token-audience/origin", status: doctor.Fail, symptom: doctor.Refused, cure: "origin without the path"},
	{name: "aud has a slash", change: right, options: audience(func(w *world) string { return w.resource + "/" }),
		want: "token-audience/slash", status: doctor.Fail, symptom: doctor.Refused, cure: "slash at the end"},
	{name: "no aud", change: right, options: tokenWith(members{"aud": nil}),
		want: "token-audience/missing", status: doctor.Fail, symptom: doctor.Refused, cure: "put the resource identifier into aud"},
	{name: "aud of another server", change: right, options: tokenWith(members{"aud": "https://graph.example.com"}),
		want: "token-audience/mismatch", status: doctor.Fail, symptom: doctor.Refused, cure: "for somebody else"},
	{name: "typ JWT", change: right, options: tokenWith(members{"header:typ": "JWT"}),
		want: "token-type/jwt", status: doctor.Fail, symptom: doctor.Refused, cure: "refuses typ JWT"},
	{name: "no typ", change: right, options: tokenWith(members{"header:typ": nil}),
		want: "token-type/absent", status: doctor.Fail, symptom: doctor.Refused, cure: "token without typ"},
	{name: "an ID token", change: right, options: tokenWith(members{"header:typ": "JWT", "nonce": "n"}),
		want: "token-type/id-token", status: doctor.Fail, symptom: doctor.Refused, cure: "not the ID token"},
	{name: "iss with a slash", change: right, options: func(w *world) doctor.Options { return doctor.Options{Token: w.mint(members{"iss": w.issuer + "/"})} },
		want: "token-issuer/slash", status: doctor.Fail, symptom: doctor.Refused, cure: "trailing slash"},
	{name: "iss of Entra, version 1", change: right, options: tokenWith(members{"iss": "https://sts.windows.net/tenant/"}),
		want: "token-issuer/entra-v1", status: doctor.Fail, symptom: doctor.Refused, cure: "requestedAccessTokenVersion"},
	{name: "another issuer", change: right, options: tokenWith(members{"iss": "https://other.example.com"}),
		want: "token-issuer/mismatch", status: doctor.Fail, symptom: doctor.Refused, cure: "another authorization server"},
	{name: "an opaque token", change: right, options: func(*world) doctor.Options { return doctor.Options{Token: "gho_0123456789abcdefABCDEF"} },
		want: "token-format/opaque", status: doctor.Fail, symptom: doctor.Refused, cure: "issue JWTs for this resource"},
	{name: "an encrypted token", change: right, options: func(*world) doctor.Options {
		return doctor.Options{Token: "eyJhbGciOiJkaXIifQ..aaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbb.cccccccccccc"}
	},
		want: "token-format/encrypted", status: doctor.Fail, symptom: doctor.Refused, cure: "turn off encryption"},
	{name: "an expired token", change: right, options: tokenWith(members{"exp": 1_700_000_000}),
		want: "token-lifetime/expired", status: doctor.Fail, symptom: doctor.Refused, cure: "get a new token"},
	{name: "a token of the future", change: verdict(401), options: tokenWith(members{"iat": time.Now().Add(time.Hour).Unix(), "exp": time.Now().Add(2 * time.Hour).Unix()}),
		want: "token-lifetime/not-yet-valid", status: doctor.Fail, symptom: doctor.Refused, cure: "synchronize the clocks"},
	{name: "milliseconds", change: verdict(401), options: tokenWith(members{"exp": time.Now().Add(time.Hour).UnixMilli()}),
		want: "token-lifetime/malformed", status: doctor.Fail, symptom: doctor.Refused, cure: "as seconds"},
	{name: "a bound token as a bearer token", change: right, options: tokenWith(members{"cnf": members{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
		want: "token-binding/bound", status: doctor.Fail, symptom: doctor.Refused, cure: "Authorization: DPoP with a proof"},
	{name: "a key that nobody publishes", change: verdict(401), options: tokenWith(members{"header:kid": "k2"}),
		want: "token-signature/unknown-key", status: doctor.Fail, symptom: doctor.Refused, cure: "publish the signing key"},
	{name: "a token from before the keys were changed", change: verdict(401), options: tokenWith(members{"header:kid": "k2"}),
		want: "token-signature/unknown-key", status: doctor.Fail, symptom: doctor.Refused, cure: "before the keys were changed"},
	{name: "HS256", change: verdict(401), options: tokenWith(members{"header:alg": "HS256"}),
		want: "token-format/symmetric", status: doctor.Fail, symptom: doctor.Refused, cure: "RS256 or ES256"},
	{name: "the call itself names the cause", change: right, options: tokenWith(members{"aud": nil}),
		want: "call-initialize/refused", status: doctor.Fail, symptom: doctor.Refused, cure: "token-audience/missing"},
	{name: "nothing in the token explains it", change: verdict(401), options: tokenWith(nil),
		want: "call-initialize/refused", status: doctor.Fail, symptom: doctor.Refused, cure: "server's log"},
	{name: "a clock that goes ahead, inside of the server only", change: describing("The access token expired"), options: tokenWith(nil),
		want: "call-initialize/clock", status: doctor.Fail, symptom: doctor.Refused, cure: "synchronize the server's clock"},
	{name: "a clock that is behind", change: describing("The access token was issued in the future"), options: tokenWith(nil),
		want: "call-initialize/clock", status: doctor.Fail, symptom: doctor.Refused, cure: "it is neither"},
	{name: "expired by every clock", change: describing("The access token expired"), options: tokenWith(members{"exp": 1_700_000_000}),
		want: "call-initialize/refused", status: doctor.Fail, symptom: doctor.Refused, cure: "token-lifetime/expired"},
	{name: "a proxy that removes Authorization", change: withoutAuthorization, options: tokenWith(nil),
		want: "call-initialize/no-token-seen", status: doctor.Fail, symptom: doctor.Refused, cure: "removes Authorization"},
	{name: "which shows without a good token", change: withoutAuthorization, options: tokenWith(nil),
		want: "challenge/no-invalid-token", status: doctor.Warn, symptom: doctor.Refused, cure: "a proxy removes Authorization"},
	{name: "a proxy that removes Content-Type", change: verdict(415), options: tokenWith(nil),
		want: "call-initialize/no-answer", status: doctor.Fail, cure: "removes or changes Content-Type"},
	{name: "too many requests", change: verdict(429), options: tokenWith(nil),
		want: "call-initialize/limited", status: doctor.Fail, cure: "Retry-After"},
	{name: "keys that the server cannot reach, and others can", change: verdict(503), options: tokenWith(nil),
		want: "call-initialize/unavailable", status: doctor.Fail, cure: "This computer reaches the published keys"},
	{name: "keys that nobody can reach", change: func(w *world) {
		verdict(503)(w)
		w.server["jwks_uri"] = "http://127.0.0.1:1/keys"
	}, options: tokenWith(nil),
		want: "call-initialize/unavailable", status: doctor.Fail, cure: "not given to Protect"},

	// Servers that take what they must not.
	{name: "expired, and accepted", change: verdict(200), options: tokenWith(members{"exp": 1_700_000_000}),
		want: "token-lifetime/expired", status: doctor.Fail, cure: "must refuse such a token"},
	{name: "bound, and accepted as a bearer token", change: verdict(200), options: tokenWith(members{"cnf": members{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
		want: "token-binding/bound", status: doctor.Fail, cure: "must refuse such a token"},
	{name: "another audience, and accepted", change: verdict(200), options: tokenWith(members{"aud": "https://graph.example.com"}),
		want: "token-audience/mismatch", status: doctor.Warn, cure: "meant to accept"},
	{name: "typ JWT, and accepted", change: verdict(200), options: tokenWith(members{"header:typ": "JWT"}),
		want: "token-type/jwt", status: doctor.Warn, cure: "another one may not"},

	// 403 on every call.
	{name: "a scope with Entra's prefix", change: forbidding(`Bearer error="insufficient_scope", scope="api://app/notes:read"`), options: tokenWith(nil),
		want: "token-scopes/prefix", status: doctor.Fail, symptom: doctor.Forbidden, cure: "with a prefix on one side"},
	{name: "the 403 names that cause", change: forbidding(`Bearer error="insufficient_scope", scope="api://app/notes:read"`), options: tokenWith(nil),
		want: "call-initialize/scope-prefix", status: doctor.Fail, symptom: doctor.Forbidden, cure: "token-scopes/prefix"},
	{name: "a scope with Cognito's prefix", change: forbidding(`Bearer error="insufficient_scope", scope="read"`), options: tokenWith(members{"scope": "https://mcp.example.com/read"}),
		want: "call-initialize/scope-prefix", status: doctor.Fail, symptom: doctor.Forbidden, cure: "Mapper.TokenPrefix"},
	{name: "no scopes at all", change: forbidding(`Bearer error="insufficient_scope", scope="notes:read"`), options: tokenWith(members{"scope": nil}),
		want: "token-scopes/none", status: doctor.Fail, symptom: doctor.Forbidden, cure: "default scopes"},
	{name: "roles in another claim", change: forbidding(), options: tokenWith(members{"realm_access": members{"roles": []string{"admin"}}}),
		want: "token-roles/elsewhere", status: doctor.Fail, symptom: doctor.Forbidden, cure: "/realm_access/roles"},
	{name: "a bare 403 that has nothing to do with the token", change: func(w *world) { w.endpoint = answer(403) }, options: tokenWith(members{"roles": nil}),
		want: "call-initialize/bare", status: doctor.Fail, symptom: doctor.Forbidden, cure: "not about the token"},
	{name: "the bare 403 names that cause", change: forbidding(), options: tokenWith(members{"cognito:groups": []string{"admin"}}),
		want: "call-initialize/bare", status: doctor.Fail, symptom: doctor.Forbidden, cure: "/cognito:groups"},
	{name: "scopes that the server does not find", change: forbidding(`Bearer error="insufficient_scope", scope="notes:read"`), options: tokenWith(members{"scope": nil, "scp": []string{"notes:read"}}),
		want: "call-initialize/scopes-not-found", status: doctor.Fail, symptom: doctor.Forbidden, cure: "read the claim that has them"},
	{name: "a 403 that nobody steps up from", change: forbidding(`Bearer scope="notes:write"`), options: tokenWith(nil),
		want: "call-initialize/no-insufficient-scope", status: doctor.Fail, symptom: doctor.Forbidden, cure: "insufficient_scope", clients: []string{"VS Code", "Go SDK"}},

	// No tools shown.
	{name: "no tools and no roles", change: func(w *world) { w.tools = nil }, options: tokenWith(nil),
		want: "call-tools-list/no-tools", status: doctor.Fail, symptom: doctor.NoTools, cure: "only what the caller may reach"},
	{name: "no tools and roles elsewhere", change: func(w *world) { w.tools = nil }, options: tokenWith(members{"permissions": []string{"notes:admin"}}),
		want: "call-tools-list/no-tools", status: doctor.Fail, symptom: doctor.NoTools, cure: "/permissions"},
	{name: "roles elsewhere and no tools", change: func(w *world) { w.tools = nil }, options: tokenWith(members{"permissions": []string{"notes:admin"}}),
		want: "token-roles/elsewhere", status: doctor.Fail, symptom: doctor.NoTools, cure: "/permissions"},
}

// forbidding makes the server answer 403 to every token.
func forbidding(lines ...string) func(*world) {
	return func(w *world) {
		verdict(403)(w)
		w.forbid = lines
	}
}

func TestBrokenTokens(t *testing.T) { testBroken(t, brokenTokens) }

func TestEverySymptomIsFound(t *testing.T) {
	found := map[doctor.Symptom]bool{}
	for _, tt := range append(append([]broken(nil), brokenServers...), brokenTokens...) {
		if tt.status == doctor.Fail {
			found[tt.symptom] = true
		}
	}
	for _, s := range []doctor.Symptom{doctor.Refused, doctor.Forbidden, doctor.NoTools, doctor.RedirectMismatch, doctor.InvalidTarget, doctor.NoBrowser} {
		require.True(t, found[s], s)
	}
}

// A tool that this user may not call is not a 403 on every call.
func TestOneToolIsRefused(t *testing.T) {
	w := newWorld(t)
	w.endpoint = only(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" && r.ContentLength > 0 }, func(rw http.ResponseWriter, r *http.Request, h http.Handler) {
		body, _ := io.ReadAll(r.Body)
		if r.Body = io.NopCloser(strings.NewReader(string(body))); strings.Contains(string(body), `"tools/call"`) {
			refuse(rw, 403, nil)
			return
		}
		h.ServeHTTP(rw, r)
	})
	f := find(t, w.run(doctor.Options{Token: w.mint(nil), Call: "delete_note"}), "call-tools-call/bare")
	require.Equal(t, doctor.Fail, f.Status)
	require.Empty(t, f.Symptom)
	require.Contains(t, f.Cure, "given to the user at the authorization server")
}

// Keys that this computer does not reach either say nothing about the server's own way to them.
func TestUnreachableKeysAreNobodysFault(t *testing.T) {
	w := newWorld(t)
	verdict(503)(w)
	w.server["jwks_uri"] = "http://127.0.0.1:1/keys"
	require.NotContains(t, find(t, w.run(doctor.Options{Token: w.mint(nil)}), "call-initialize/unavailable").Cure, "This computer")
}

// A server that takes the scheme from the request says http behind a proxy that speaks https.
func TestHTTPBehindHTTPS(t *testing.T) {
	far := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		status, body := http.StatusUnauthorized, ""
		if strings.HasPrefix(r.URL.Path, wellKnown) {
			status, body = 200, `{"resource":"http://mcp.example.com/mcp","authorization_servers":["https://login.example.com"]}`
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	})}
	f := find(t, examine(t, doctor.Options{URL: "https://mcp.example.com/mcp", HTTPClient: far}), "resource/scheme")
	require.Contains(t, f.Cure, "the proxy in front speaks https")
}

// Where no form is there, that of the path is the one to publish.
func TestTheRootFormIsNoDuty(t *testing.T) {
	w := newWorld(t)
	w.document = answer(404)
	var cures []string
	for _, f := range w.run(doctor.Options{}).Findings {
		if f.ID() == "metadata/not-found" {
			cures = append(cures, f.Cure)
		}
	}
	require.Len(t, cures, 2)
	require.Contains(t, cures[0], "publish the metadata here")
	require.Contains(t, cures[1], "publish the document of the finding above first")
}

func TestAStepUpIsNoFailure(t *testing.T) {
	w := newWorld(t)
	w.endpoint = only(func(r *http.Request) bool { return r.Header.Get("Authorization") != "" && r.ContentLength > 0 }, w.stepUp)
	r := w.run(doctor.Options{Token: w.mint(nil), Call: "write_note"})
	noFail(t, r)
	f := find(t, r, "call-tools-call/step-up")
	require.Equal(t, doctor.Warn, f.Status)
	require.Contains(t, f.Got, "notes:write")
	require.Contains(t, f.Clients, "Claude Desktop")
}

func TestTheWrongKey(t *testing.T) {
	w := newWorld(t)
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	bound := w.mint(members{"cnf": members{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})
	require.Contains(t, find(t, w.run(doctor.Options{Token: bound, DPoPKey: key}), "token-binding/other-key").Cure, "the key that the token was asked for with")
	require.Contains(t, find(t, w.run(doctor.Options{Token: w.mint(nil), DPoPKey: key}), "token-binding/not-bound").Cure, "sent no proof to the token endpoint")
}

func TestABadSignature(t *testing.T) {
	w := newWorld(t)
	token := w.mint(nil)
	w.key = newWorld(t).key
	w.keys = members{"keys": []any{publicJWK(w.key, "k1")}}
	f := find(t, w.run(doctor.Options{Token: token}), "token-signature/bad")
	require.Equal(t, doctor.Fail, f.Status)
	require.Contains(t, f.Cure, "must refuse such a token")
}

// What is known of providers is told before anybody has logged in.
func TestProviders(t *testing.T) {
	for issuer, want := range map[string]struct {
		id      string
		symptom doctor.Symptom
		cure    string
	}{
		"https://login.microsoftonline.com/0f0f/v2.0":               {"as-resource/rejects-resource", doctor.InvalidTarget, "AADSTS9010010"},
		"https://tenant.eu.auth0.com/":                              {"as-resource/ignores-resource", doctor.Refused, "Resource Parameter Compatibility Profile"},
		"https://sso.example.com/realms/main":                       {"as-resource/ignores-resource", doctor.Refused, "audience mapper"},
		"https://cognito-idp.eu-central-1.amazonaws.com/eu-central": {"as-resource/ignores-resource", doctor.Refused, "resource binding"},
	} {
		far := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			status, body := http.StatusUnauthorized, ""
			switch {
			case strings.HasPrefix(r.URL.Path, "/.well-known/oauth-protected-resource"):
				status, body = 200, `{"resource":"https://mcp.example.com/mcp","authorization_servers":["`+issuer+`"]}`
			case r.URL.Host != "mcp.example.com" && strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
				status, body = 200, `{"issuer":"`+issuer+`"}`
			}
			return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
		})}
		r := examine(t, doctor.Options{URL: "https://mcp.example.com/mcp", HTTPClient: far})
		f := find(t, r, want.id)
		require.Equal(t, want.symptom, f.Symptom)
		require.Contains(t, f.Cure, want.cure)
		require.Contains(t, find(t, r, "as-issuer").Got, issuer)
		require.Equal(t, doctor.Pass, find(t, r, "as-metadata").Status, "the OpenID form behind the path is fine")
	}
}
