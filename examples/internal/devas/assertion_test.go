package devas_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	notebook "github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	jwtBearer    = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	idJAG        = "oauth-id-jag+jwt"
	editorID     = "editor"
	editorSecret = "editor-secret"
	viewerID     = "viewer"
	employee     = "U019488227"
)

// trusting makes the server trust identity providers, and adds two clients that exchange their assertions.
func trusting(idps ...*mcpauthtest.Issuer) func(*devas.Config) {
	return func(c *devas.Config) {
		for _, idp := range idps {
			c.IdentityProviders = append(c.IdentityProviders, devas.IdentityProvider{Issuer: idp.URL})
		}
		c.Clients = append(c.Clients,
			devas.Client{ID: editorID, Secret: editorSecret, Assertions: true, AllScopes: true},
			devas.Client{ID: viewerID, Secret: editorSecret, Assertions: true, Scopes: []string{"notes:read"}, RedirectURIs: []string{callback}})
	}
}

// assertion makes an ID-JAG for the editor. Changes are pairs of a claim's name and value, nil for none; names that begin with "header." are of the header.
func (e *env) assertion(idp *mcpauthtest.Issuer, changes ...any) string {
	c := mcpauthtest.Claims{Subject: employee, Client: editorID, Audience: []string{e.issuer}, Scope: "notes:read notes:write", Lifetime: 5 * time.Minute,
		Extra: map[string]any{"resource": resource}, Header: map[string]any{"typ": idJAG}}
	for i := 0; i < len(changes); i += 2 {
		if name, ok := strings.CutPrefix(changes[i].(string), "header."); ok {
			c.Header[name] = changes[i+1]
		} else {
			c.Extra[changes[i].(string)] = changes[i+1]
		}
	}
	return idp.Token(c)
}

func redemption(assertion string, changes ...string) url.Values {
	q := url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}}
	change(q, changes)
	return q
}

// redeem presents an assertion as the editor.
func (e *env) redeem(assertion string, changes ...string) answer {
	e.t.Helper()
	return e.post("/token", redemption(assertion, changes...), basic(editorID, editorSecret))
}

// requireRefused checks the error of a refused assertion, that a part of its description names the cause, and that nothing of the assertion is repeated.
func (e *env) requireRefused(a answer, assertion, code, cause string) {
	e.t.Helper()
	requireError(e.t, a, http.StatusBadRequest, code)
	require.Contains(e.t, a.str("error_description"), cause)
	require.NotContains(e.t, a.JSON, "access_token")
	events := e.srv.Events()
	require.NotEmpty(e.t, events)
	require.Equal(e.t, devas.EventTokenRefused, events[0].Kind)
	require.Equal(e.t, code+": "+a.str("error_description"), events[0].Detail)
	for _, part := range strings.Split(assertion, ".") {
		if len(part) > 20 {
			require.NotContains(e.t, a.Raw+e.log.String(), part)
		}
	}
}

func TestAS06_MetadataWithAndWithoutIdentityProviders(t *testing.T) {
	without := start(t)
	m := without.get("/.well-known/oauth-authorization-server")
	require.NotContains(t, m.JSON, "authorization_grant_profiles_supported")
	require.NotContains(t, m.JSON["grant_types_supported"], jwtBearer)
	requireError(t, without.post("/token", redemption("a.b.c"), basic(confID, confSecret)), http.StatusBadRequest, "unsupported_grant_type")

	idp := mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp))
	m = e.get("/.well-known/oauth-authorization-server")
	require.Equal(t, []any{"urn:ietf:params:oauth:grant-profile:id-jag"}, m.JSON["authorization_grant_profiles_supported"])
	require.Contains(t, m.JSON["grant_types_supported"], jwtBearer)
	require.NotContains(t, m.Raw, idp.URL, "which providers are trusted is not for the public")
	require.Zero(t, idp.Fetches(), "nothing is fetched before there is an assertion")
}

func TestAS06_AnAssertionBecomesAnAccessToken(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp))
	a := e.redeem(e.assertion(idp))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(t, "Bearer", a.str("token_type"))
	require.Equal(t, "notes:read notes:write", a.str("scope"))
	require.Equal(t, resource, a.str("resource"))
	require.Equal(t, 300.0, a.JSON["expires_in"])
	require.NotContains(t, a.JSON, "refresh_token")
	require.NotContains(t, a.JSON, "id_token")
	require.NotContains(t, a.JSON, "resources")

	subject := idp.URL + "#" + employee
	header, claims := decode(t, a.str("access_token"))
	require.Equal(t, "at+jwt", header["typ"])
	require.Equal(t, e.issuer, claims["iss"])
	require.Equal(t, subject, claims["sub"])
	require.Equal(t, editorID, claims["client_id"])
	require.Equal(t, resource, claims["aud"])
	require.Equal(t, "notes:read notes:write", claims["scope"])
	require.Equal(t, []any{devas.RoleUser}, claims["roles"])
	require.NotEmpty(t, claims["jti"])

	t.Run("AS-06 a server protected by this library accepts it, and not the assertion", func(t *testing.T) {
		auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{
			{URL: e.issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}, {URL: idp.URL}}})
		require.NoError(t, err)
		server := notebook.NewServer(auth)
		mux := http.NewServeMux()
		auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))

		client := mcpauthtest.NewClient(t, mux, resource, a.str("access_token"))
		who, resp := client.CallTool("whoami", nil)
		mcpauthtest.AssertAllowed(t, resp)
		require.Contains(t, who.Content[0].(*mcp.TextContent).Text, subject)
		_, resp = client.CallTool("write_note", map[string]any{"text": "by assertion"})
		mcpauthtest.AssertAllowed(t, resp)
		_, resp = client.CallTool("purge_notes", nil)
		mcpauthtest.AssertForbidden(t, resp)

		narrow := e.redeem(e.assertion(idp), "scope", "notes:read")
		_, resp = mcpauthtest.NewClient(t, mux, resource, narrow.str("access_token")).CallTool("write_note", map[string]any{"text": "no"})
		mcpauthtest.AssertStepUp(t, resp, "notes:write")

		_, resp = mcpauthtest.NewClient(t, mux, resource, e.assertion(idp)).CallTool("whoami", nil)
		mcpauthtest.AssertUnauthorized(t, resp)
	})
	t.Run("AS-41 it is on the pages, and can be revoked", func(t *testing.T) {
		issued := e.srv.Issuances()
		require.Equal(t, subject, issued[len(issued)-1].Subject)
		e.requireEvent(devas.Event{Kind: devas.EventTokenIssued, OK: true, User: subject, Client: editorID, Server: resource, Scope: "notes:read notes:write"})
		key := devas.GrantKey{User: subject, Client: editorID, Server: resource}
		require.True(t, slices.ContainsFunc(e.srv.Grants(), func(g devas.GrantRow) bool { return g.GrantKey == key && !g.Refresh }))
		i := e.introspect(a.str("access_token"))
		require.Equal(t, true, i.JSON["active"])
		require.Equal(t, subject, i.str("sub"))
		require.Equal(t, []any{devas.RoleUser}, i.JSON["roles"])
		require.Positive(t, e.srv.RevokeGrants(ada, key))
		require.Equal(t, false, e.introspect(a.str("access_token")).JSON["active"])
	})
	t.Run("AS-06 no refresh token, even for a client that gets them otherwise", func(t *testing.T) {
		code := e.post("/token", exchange(viewerID, e.code(request(viewerID), asDev)), basic(viewerID, editorSecret))
		require.NotEmpty(t, code.str("refresh_token"), code.Raw)
		b := e.post("/token", redemption(e.assertion(idp, "client_id", viewerID)), basic(viewerID, editorSecret))
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
		require.NotContains(t, b.JSON, "refresh_token")
		require.Equal(t, "notes:read", b.str("scope"), "bounded by what the client may have")
	})
	t.Run("AS-03 opaque", func(t *testing.T) {
		o := start(t, trusting(idp), opaque)
		b := o.redeem(o.assertion(idp))
		require.NotContains(t, b.str("access_token"), ".")
		require.Equal(t, subject, o.introspect(b.str("access_token")).str("sub"))
	})
	t.Run("AS-06 by a key set without metadata, a client in the body, and every kind of key", func(t *testing.T) {
		for _, alg := range []string{"RS256", "ES384", "EdDSA"} {
			other := mcpauthtest.NewIssuerLike(t, "", mcpauth.Issuer{URL: "https://" + strings.ToLower(alg) + ".example", Algorithms: []string{alg}})
			o := start(t, trusting(other), func(c *devas.Config) { c.IdentityProviders[0].JWKSURI = other.Config().JWKSURI })
			b := o.token(redemption(o.assertion(other), "client_id", editorID, "client_secret", editorSecret))
			require.Equal(t, http.StatusOK, b.Status, b.Raw)
			require.Zero(t, other.Fetches().Metadata)
		}
	})
}

func TestAS06_AssertionsThatAreRefused(t *testing.T) {
	idp, other, stranger := mcpauthtest.NewIssuer(t, ""), mcpauthtest.NewIssuer(t, ""), mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp, other))
	now := time.Now()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }

	good := e.assertion(idp)
	parts := strings.Split(good, ".")
	enc := base64.RawURLEncoding.EncodeToString
	raw := func(header, claims string) string {
		return enc([]byte(header)) + "." + enc([]byte(claims)) + "." + parts[2]
	}
	mac := func() string {
		input := enc([]byte(`{"alg":"HS256","typ":"`+idJAG+`"}`)) + "." + parts[1]
		h := hmac.New(sha256.New, []byte(idp.URL))
		h.Write([]byte(input))
		return input + "." + enc(h.Sum(nil))
	}
	jkt := strings.Repeat("A", 43)

	for _, c := range []struct{ name, assertion, code, cause string }{
		{"no JWT", "opaque", "invalid_grant", "compact form"},
		{"too long", good + strings.Repeat("A", devas.MaxAssertion), "invalid_grant", "longer than"},
		{"encrypted", good + ".a.b", "invalid_grant", "compact form"},
		{"alg none", enc([]byte(`{"alg":"none","typ":"`+idJAG+`"}`)) + "." + parts[1] + ".", "invalid_grant", "alg of"},
		{"HS256", mac(), "invalid_grant", "alg of"},
		{"no alg", raw(`{"typ":"`+idJAG+`"}`, "{}"), "invalid_grant", "alg of"},
		{"typ of an access token", e.assertion(idp, "header.typ", "at+jwt"), "invalid_grant", "typ of"},
		{"typ JWT", e.assertion(idp, "header.typ", "JWT"), "invalid_grant", "typ of"},
		{"no typ", e.assertion(idp, "header.typ", nil), "invalid_grant", "typ of"},
		{"typ in capitals", e.assertion(idp, "header.typ", "OAuth-ID-JAG+JWT"), "invalid_grant", "typ of"},
		{"typ with application/", e.assertion(idp, "header.typ", "application/"+idJAG), "invalid_grant", "typ of"},
		{"crit", e.assertion(idp, "header.crit", []string{"exp"}), "invalid_grant", "holds crit"},
		{"b64", e.assertion(idp, "header.b64", false), "invalid_grant", "holds b64"},
		{"unknown kid", e.assertion(idp, "header.kid", "another"), "invalid_grant", "no such key"},
		{"kid is no string", e.assertion(idp, "header.kid", 7), "invalid_grant", "kid of"},
		{"alg that the key is not for", e.assertion(idp, "header.alg", "ES384"), "invalid_grant", "no such key"},
		{"a member twice in the header", raw(`{"alg":"ES256","alg":"ES256","typ":"`+idJAG+`"}`, "{}"), "invalid_grant", "header of"},
		{"TYP", raw(`{"alg":"ES256","TYP":"x","typ":"`+idJAG+`"}`, "{}"), "invalid_grant", "header of"},
		{"a claim twice", raw(`{"alg":"ES256","typ":"`+idJAG+`"}`, `{"iss":"a","iss":"b"}`), "invalid_grant", "claims of"},
		{"Sub", e.assertion(idp, "Sub", "ada"), "invalid_grant", "claims of"},
		{"claims that are nested too deeply", raw(`{"alg":"ES256","typ":"`+idJAG+`"}`, `{"a":`+strings.Repeat("[", 20)+strings.Repeat("]", 20)+`}`), "invalid_grant", "claims of"},
		{"a signature with bits that are not used", good[:len(good)-1] + flip(good[len(good)-1]), "invalid_grant", "signature"},
		{"other claims under the signature", parts[0] + "." + strings.Split(e.assertion(idp), ".")[1] + "." + parts[2], "invalid_grant", "not by a key"},

		{"a provider that is not trusted", e.assertion(stranger), "invalid_grant", "iss of"},
		{"the key of one trusted provider for another", e.assertion(other, "iss", idp.URL, "header.kid", nil), "invalid_grant", "not by a key"},
		{"the same, under a kid that both have", e.assertion(other, "iss", idp.URL), "invalid_grant", "not by a key"},
		{"iss with a slash", e.assertion(idp, "iss", idp.URL+"/"), "invalid_grant", "iss of"},
		{"no iss", e.assertion(idp, "iss", nil), "invalid_grant", "iss of"},
		{"iss is no string", e.assertion(idp, "iss", []string{idp.URL}), "invalid_grant", "iss of"},

		{"aud with a slash", e.assertion(idp, "aud", e.issuer+"/"), "invalid_grant", "aud of"},
		{"aud is the token endpoint", e.assertion(idp, "aud", e.issuer+"/token"), "invalid_grant", "aud of"},
		{"aud is the resource", e.assertion(idp, "aud", resource), "invalid_grant", "aud of"},
		{"aud is a list", e.assertion(idp, "aud", []string{e.issuer}), "invalid_grant", "aud of"},
		{"aud is a list of two", e.assertion(idp, "aud", []string{e.issuer, resource}), "invalid_grant", "aud of"},
		{"no aud", e.assertion(idp, "aud", nil), "invalid_grant", "aud of"},

		{"another client", e.assertion(idp, "client_id", viewerID), "invalid_grant", "client_id of the assertion is not the client"},
		{"no client", e.assertion(idp, "client_id", nil), "invalid_grant", "client_id of"},
		{"client is no string", e.assertion(idp, "client_id", []string{editorID}), "invalid_grant", "client_id of"},

		{"expired", e.assertion(idp, "iat", at(-10*time.Minute), "exp", at(-devas.AssertionLeeway-time.Second)), "invalid_grant", "expired"},
		{"issued in the future", e.assertion(idp, "iat", at(devas.AssertionLeeway+10*time.Second)), "invalid_grant", "iat of the assertion is in the future"},
		{"not valid yet", e.assertion(idp, "nbf", at(devas.AssertionLeeway+10*time.Second)), "invalid_grant", "nbf is in the future"},
		{"too long a life", e.assertion(idp, "iat", at(0), "exp", at(devas.MaxAssertionLife+time.Second)), "invalid_grant", "lives for more than"},
		{"an old one that lives on", e.assertion(idp, "iat", at(-devas.MaxAssertionLife), "exp", at(time.Minute)), "invalid_grant", "lives for more than"},
		{"no exp", e.assertion(idp, "exp", nil), "invalid_grant", "must have exp and iat"},
		{"no iat", e.assertion(idp, "iat", nil), "invalid_grant", "must have exp and iat"},
		{"exp as a string", e.assertion(idp, "exp", "4102444800"), "invalid_grant", "exp of"},
		{"exp beyond every date", e.assertion(idp, "exp", json.Number("1e300")), "invalid_grant", "exp of"},
		{"iat before 1970", e.assertion(idp, "iat", -1), "invalid_grant", "iat of"},
		{"nbf is null", e.assertion(idp, "nbf", json.RawMessage("null")), "invalid_grant", "nbf of"},

		{"no jti", e.assertion(idp, "jti", nil), "invalid_grant", "jti of"},
		{"an empty jti", e.assertion(idp, "jti", ""), "invalid_grant", "jti of"},
		{"a long jti", e.assertion(idp, "jti", strings.Repeat("j", 256)), "invalid_grant", "jti of"},
		{"no sub", e.assertion(idp, "sub", nil), "invalid_grant", "sub of"},
		{"an empty sub", e.assertion(idp, "sub", ""), "invalid_grant", "sub of"},
		{"a long sub", e.assertion(idp, "sub", strings.Repeat("s", 256)), "invalid_grant", "sub of"},
		{"a sub that breaks lines", e.assertion(idp, "sub", "a\nb"), "invalid_grant", "sub of"},
		{"a tenant", e.assertion(idp, "tenant", "acme"), "invalid_grant", "holds tenant"},
		{"a tenant of this server", e.assertion(idp, "aud_tenant", "acme"), "invalid_grant", "holds aud_tenant"},

		{"no resource", e.assertion(idp, "resource", nil), "invalid_grant", "resource of"},
		{"several resources", e.assertion(idp, "resource", []string{resource, secondRes}), "invalid_grant", "resource of"},
		{"a resource that is not known", e.assertion(idp, "resource", secondRes), "invalid_target", "not known"},

		{"no scope", e.assertion(idp, "scope", nil), "invalid_scope", "none of the scopes"},
		{"an unknown scope", e.assertion(idp, "scope", "files:read"), "invalid_scope", "none of the scopes"},
		{"scope is a list", e.assertion(idp, "scope", []string{"notes:read"}), "invalid_grant", "scope of"},

		{"bound to a key that is not shown", e.assertion(idp, "cnf", map[string]any{"jkt": jkt}), "invalid_grant", "bound to a key"},
		{"bound to a certificate", e.assertion(idp, "cnf", map[string]any{"x5t#S256": jkt}), "invalid_grant", "cnf of"},
		{"bound to two things", e.assertion(idp, "cnf", map[string]any{"jkt": jkt, "x5t#S256": jkt}), "invalid_grant", "cnf of"},
		{"bound to nonsense", e.assertion(idp, "cnf", "x"), "invalid_grant", "cnf of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			en := *e
			en.t = t
			en.requireRefused(en.redeem(c.assertion), c.assertion, c.code, c.cause)
		})
	}
	require.Empty(t, e.srv.Issuances())
	require.Zero(t, stranger.Fetches(), "nothing is fetched for a provider that is not trusted")
	require.Equal(t, http.StatusOK, e.redeem(good).Status, "none of this has used it up")

	t.Run("what is within the leeway", func(t *testing.T) {
		for _, changes := range [][]any{
			{"iat", at(-10 * time.Minute), "exp", at(-devas.AssertionLeeway + 15*time.Second)},
			{"iat", at(devas.AssertionLeeway - 15*time.Second)},
			{"nbf", at(devas.AssertionLeeway - 15*time.Second)},
			{"iat", at(-time.Minute), "exp", at(devas.MaxAssertionLife - time.Minute)},
			{"iat", float64(now.UnixMilli()) / 1000}, // a fraction, as some providers write it
		} {
			a := e.redeem(e.assertion(idp, changes...))
			require.Equal(t, http.StatusOK, a.Status, a.Raw)
		}
	})
	t.Run("no assertion", func(t *testing.T) {
		requireError(t, e.redeem(""), http.StatusBadRequest, "invalid_request")
		form := redemption(e.assertion(idp))
		form["assertion"] = append(form["assertion"], e.assertion(idp))
		requireError(t, e.post("/token", form, basic(editorID, editorSecret)), http.StatusBadRequest, "invalid_request")
	})
}

// flip changes the bits of the last character that stand for nothing: 64 bytes leave four of them.
func flip(last byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, last)^1:][:1]
}

func TestAS06_AnAssertionIsUsedOnce(t *testing.T) {
	idp, other := mcpauthtest.NewIssuer(t, ""), mcpauthtest.NewIssuer(t, "")
	e := start(t, trusting(idp, other))
	once := e.assertion(idp, "jti", "1")
	require.Equal(t, http.StatusOK, e.redeem(once).Status)
	e.requireRefused(e.redeem(once), once, "invalid_grant", "used before")
	again := e.assertion(idp, "jti", "1", "scope", "notes:read")
	e.requireRefused(e.redeem(again), again, "invalid_grant", "used before")
	require.Equal(t, http.StatusOK, e.redeem(e.assertion(other, "jti", "1")).Status, "another provider's is another one")
	require.Equal(t, http.StatusOK, e.redeem(e.assertion(idp, "jti", "2")).Status)

	e.clock.Advance(5*time.Minute + devas.AssertionLeeway - 5*time.Second)
	e.requireRefused(e.redeem(once), once, "invalid_grant", "used before")
	e.clock.Advance(10 * time.Second)
	e.requireRefused(e.redeem(once), once, "invalid_grant", "expired")

	t.Run("in parallel", func(t *testing.T) {
		e := start(t, trusting(idp))
		once := e.assertion(idp)
		statuses := make([]int, 16)
		var wg sync.WaitGroup
		for i := range statuses {
			wg.Go(func() {
				req, err := http.NewRequest("POST", e.issuer+"/token", strings.NewReader(redemption(once).Encode()))
				if err != nil {
					return
				}
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				req.SetBasicAuth(editorID, editorSecret)
				if resp, err := e.client.Do(req); err == nil {
					statuses[i] = resp.StatusCode
					_ = resp.Body.Close()
				}
			})
		}
		wg.Wait()
		slices.Sort(statuses)
		require.Equal(t, http.StatusOK, statuses[0])
		for _, s := range statuses[1:] {
			require.Equal(t, http.StatusBadRequest, s)
		}
	})
	t.Run("a request that can be corrected does not use it up", func(t *testing.T) {
		a := e.assertion(idp, "exp", e.clock.Now().Add(time.Minute).Unix())
		requireError(t, e.redeem(a, "resource", secondRes), http.StatusBadRequest, "invalid_target")
		requireError(t, e.redeem(a, "scope", "files:read"), http.StatusBadRequest, "invalid_scope")
		requireError(t, e.post("/token", redemption(a), basic(editorID, "wrong")), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.post("/token", redemption(a), basic(viewerID, editorSecret)), http.StatusBadRequest, "invalid_grant")
		require.Equal(t, http.StatusOK, e.redeem(a).Status)
	})
}

func TestAS06_TheClientAuthenticates(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	key := newProver(&env{t: t})
	e := start(t, trusting(idp), withAgents(key), func(c *devas.Config) {
		c.Clients[len(c.Clients)-1].Assertions = true // the agent with a key
	})
	requireError(t, e.token(redemption(e.assertion(idp))), http.StatusUnauthorized, "invalid_client")
	requireError(t, e.token(redemption(e.assertion(idp, "client_id", limitedID), "client_id", limitedID)), http.StatusBadRequest, "unauthorized_client")
	requireError(t, e.post("/token", redemption(e.assertion(idp, "client_id", confID)), basic(confID, confSecret)), http.StatusBadRequest, "unauthorized_client")
	require.Zero(t, idp.Fetches(), "no work for clients that were not given the grant")
	requireError(t, e.token(redemption(e.assertion(idp), "client_id", editorID)), http.StatusUnauthorized, "invalid_client")
	requireError(t, e.post("/token", redemption(e.assertion(idp)), basic(editorID, "wrong")), http.StatusUnauthorized, "invalid_client")
	requireError(t, e.token(redemption("opaque", "client_id", editorID)), http.StatusUnauthorized, "invalid_client")
	requireError(t, e.token(redemption(e.assertion(idp, "client_id", "nobody"), "client_id", "nobody")), http.StatusUnauthorized, "invalid_client")

	t.Run("public clients, and those that were not given the grant", func(t *testing.T) {
		public := e.newClient()
		requireError(t, e.token(redemption(e.assertion(idp, "client_id", public), "client_id", public)), http.StatusBadRequest, "unauthorized_client")
		requireError(t, e.post("/token", redemption(e.assertion(idp, "client_id", agentID)), basic(agentID, agentSecret)), http.StatusBadRequest, "unauthorized_client")
		requireError(t, e.register(`{"redirect_uris":["`+callback+`"],"grant_types":["authorization_code","`+jwtBearer+`"],"token_endpoint_auth_method":"client_secret_basic"}`), http.StatusBadRequest, "invalid_client_metadata")
	})
	require.Empty(t, e.srv.Issuances())
	t.Run("private_key_jwt", func(t *testing.T) {
		a := e.token(assert(t, key.key, redemption(e.assertion(idp, "client_id", keyAgentID)), keyAgentID, e.issuer))
		require.Equal(t, http.StatusOK, a.Status, a.Raw)
		require.NotContains(t, a.JSON, "refresh_token")
		other := assert(t, newProver(e).key, redemption(e.assertion(idp, "client_id", keyAgentID)), keyAgentID, e.issuer)
		requireError(t, e.token(other), http.StatusUnauthorized, "invalid_client")
		// An ID-JAG authenticates nobody, and a client assertion is no grant.
		form := redemption(e.assertion(idp, "client_id", keyAgentID), "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", e.assertion(idp, "iss", keyAgentID, "sub", keyAgentID))
		requireError(t, e.token(form), http.StatusUnauthorized, "invalid_client")
		own := assert(t, key.key, url.Values{}, keyAgentID, e.issuer).Get("client_assertion")
		requireError(t, e.token(assert(t, key.key, redemption(own), keyAgentID, e.issuer)), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("a client for assertions only has no other grant", func(t *testing.T) {
		_, err := e.authorize(request(editorID), asDev)
		require.Error(t, err)
		requireError(t, e.post("/token", credentials(), basic(editorID, editorSecret)), http.StatusBadRequest, "unauthorized_client")
	})
}

// What is taken apart is within the bounds, of the one type, of an asymmetric algorithm, and reads the same to another decoder.
func FuzzAS06_Assertion(f *testing.F) {
	enc := base64.RawURLEncoding.EncodeToString
	for _, header := range []string{`{"alg":"ES256","typ":"oauth-id-jag+jwt"}`, `{"alg":"ES256","typ":"oauth-id-jag+jwt","kid":"k"}`, `{"alg":"none","typ":"oauth-id-jag+jwt"}`,
		`{"alg":"HS256","typ":"oauth-id-jag+jwt"}`, `{"alg":"ES256","typ":"at+jwt"}`, `{"alg":"ES256","typ":"oauth-id-jag+jwt","crit":[]}`} {
		for _, claims := range []string{`{}`, `{"iss":"a","ISS":"b"}`, `{"exp":2000000600,"iat":2000000000}`, `{"exp":1e400,"iat":0,"nbf":-1}`} {
			f.Add(enc([]byte(header)) + "." + enc([]byte(claims)) + ".AAAA")
		}
	}
	f.Fuzz(func(t *testing.T, compact string) {
		alg, kid, claims, err := devas.ParseAssertion(compact)
		if err != nil {
			if len(compact) > 40 && strings.Contains(err.Error(), compact) {
				t.Fatal("the error repeats the assertion")
			}
			return
		}
		parts := strings.Split(compact, ".")
		var header struct{ Alg, Typ, Kid string }
		var again map[string]any
		for i, into := range []any{&header, &again} {
			text, err := base64.RawURLEncoding.DecodeString(parts[i])
			require.NoError(t, err)
			d := json.NewDecoder(strings.NewReader(string(text)))
			d.UseNumber()
			require.NoError(t, d.Decode(into))
		}
		require.LessOrEqual(t, len(compact), devas.MaxAssertion)
		require.Equal(t, idJAG, header.Typ)
		require.Equal(t, header.Alg, alg)
		require.Equal(t, header.Kid, kid)
		require.Contains(t, []string{"RS", "PS", "ES", "Ed"}, alg[:2])
		require.Equal(t, again, claims)

		now := time.Unix(2_000_000_000, 0)
		until, err := devas.AssertionUntil(claims, now)
		if err == nil {
			require.True(t, now.Before(until))
			require.Less(t, until.Sub(now), devas.MaxAssertionLife+2*devas.AssertionLeeway+time.Second)
		}
	})
}
