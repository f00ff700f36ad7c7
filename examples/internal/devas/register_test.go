package devas_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func TestAS34_Registration(t *testing.T) {
	e := start(t)
	t.Run("AS-34 the least a client can send", func(t *testing.T) {
		a := e.register(`{"redirect_uris":["` + callback + `"]}`)
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
		require.NotEmpty(t, a.str("client_id"))
		require.InDelta(t, time.Now().Unix(), a.JSON["client_id_issued_at"], 5)
		require.Equal(t, "none", a.str("token_endpoint_auth_method"))
		require.Equal(t, "native", a.str("application_type"))
		require.Equal(t, []any{callback}, a.JSON["redirect_uris"])
		require.Equal(t, []any{"authorization_code", "refresh_token"}, a.JSON["grant_types"])
		require.Equal(t, []any{"code"}, a.JSON["response_types"])
		for _, absent := range []string{"client_secret", "registration_access_token", "registration_client_uri"} {
			require.NotContains(t, a.JSON, absent)
		}
	})
	t.Run("AS-34 echoes, and every scope can be asked for later whatever was registered", func(t *testing.T) {
		a := e.register(`{"client_name":"Ünï","redirect_uris":["https://app.example/cb"],"scope":"notes:read whatever","contacts":["a@b"],"x":1}`)
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, "Ünï", a.str("client_name"))
		require.Equal(t, "web", a.str("application_type"))
		require.Equal(t, "notes:read notes:write", a.str("scope"))
		require.NotContains(t, a.JSON, "x")
	})
	for name, c := range map[string]struct{ body, code string }{
		"no redirect_uris":            {`{}`, "invalid_redirect_uri"},
		"empty redirect_uris":         {`{"redirect_uris":[]}`, "invalid_redirect_uri"},
		"http to a foreign host":      {`{"redirect_uris":["http://a.example/cb"]}`, "invalid_redirect_uri"},
		"fragment":                    {`{"redirect_uris":["https://a.example/cb#"]}`, "invalid_redirect_uri"},
		"javascript":                  {`{"redirect_uris":["javascript:alert(1)"]}`, "invalid_redirect_uri"},
		"scheme without a dot":        {`{"redirect_uris":["cursor://cb"]}`, "invalid_redirect_uri"},
		"one bad among good":          {`{"redirect_uris":["` + callback + `","data:x"]}`, "invalid_redirect_uri"},
		"web on loopback":             {`{"redirect_uris":["` + callback + `"],"application_type":"web"}`, "invalid_redirect_uri"},
		"unknown application_type":    {`{"redirect_uris":["` + callback + `"],"application_type":"desktop"}`, "invalid_client_metadata"},
		"client_credentials":          {`{"redirect_uris":["` + callback + `"],"grant_types":["authorization_code","client_credentials"],"token_endpoint_auth_method":"client_secret_basic"}`, "invalid_client_metadata"},
		"only refresh_token":          {`{"redirect_uris":["` + callback + `"],"grant_types":["refresh_token"]}`, "invalid_client_metadata"},
		"response_type token":         {`{"redirect_uris":["` + callback + `"],"response_types":["token"]}`, "invalid_client_metadata"},
		"unknown authentication":      {`{"redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"tls_client_auth"}`, "invalid_client_metadata"},
		"wrong type":                  {`{"redirect_uris":"` + callback + `"}`, "invalid_client_metadata"},
		"an array":                    {`[]`, "invalid_client_metadata"},
		"null":                        {`null`, "invalid_client_metadata"},
		"not JSON":                    {`{"redirect_uris":`, "invalid_client_metadata"},
		"a name that differs in case": {`{"Redirect_Uris":["` + callback + `"]}`, "invalid_redirect_uri"},
		"client_name of a wrong type": {`{"redirect_uris":["` + callback + `"],"client_name":{}}`, "invalid_client_metadata"},
	} {
		t.Run("AS-34 "+name, func(t *testing.T) {
			requireError(t, e.register(c.body), http.StatusBadRequest, c.code)
		})
	}
	t.Run("AS-34 case-folded members do not sneak past", func(t *testing.T) {
		a := e.register(`{"redirect_uris":["` + callback + `"],"Redirect_URIs":["https://evil.example"],"Grant_Types":["client_credentials"],"SCOPE":"x"}`)
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.Equal(t, []any{callback}, a.JSON["redirect_uris"])
		require.NotContains(t, a.Raw, "evil")
	})
	t.Run("AS-34 body limit and content type", func(t *testing.T) {
		requireError(t, e.register(`{"redirect_uris":["`+callback+`"],"client_name":"`+strings.Repeat("x", 70000)+`"}`), http.StatusRequestEntityTooLarge, "invalid_client_metadata")
		requireError(t, e.post("/register", url.Values{}, nil), http.StatusBadRequest, "invalid_client_metadata")
	})
	t.Run("AS-34 a confidential client works with its secret", func(t *testing.T) {
		a := e.register(`{"redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"client_secret_post"}`)
		require.Equal(t, http.StatusCreated, a.Status, a.Raw)
		require.NotEmpty(t, a.str("client_secret"))
		require.Equal(t, 0.0, a.JSON["client_secret_expires_at"])
		id := a.str("client_id")
		code := e.code(request(id), browser.Decision{User: "dev"})
		require.Equal(t, http.StatusUnauthorized, e.token(exchange(id, code)).Status)
		require.Equal(t, http.StatusOK, e.token(exchange(id, code, "client_secret", a.str("client_secret"))).Status)
		requireError(t, e.post("/introspect", url.Values{"token": {"x"}, "client_id": {id}, "client_secret": {a.str("client_secret")}}, nil), http.StatusUnauthorized, "invalid_client")
	})
	t.Run("AS-34 rate limit", func(t *testing.T) {
		e := start(t)
		var last answer
		for range 121 {
			last = e.register(`{"redirect_uris":["` + callback + `"]}`)
		}
		require.Equal(t, http.StatusTooManyRequests, last.Status)
		require.NotEmpty(t, last.Header.Get("Retry-After"))
		e.clock.Advance(time.Minute)
		e.newClient()
	})
}

func TestConfigMistakesAreReportedTogether(t *testing.T) {
	_, err := devas.New(devas.Config{
		Issuer:        "http://0.0.0.0:9000",
		Resources:     []devas.Resource{{Identifier: "mcp", Scopes: []devas.Scope{{Name: "a b"}, {Name: "openid"}}}, {Identifier: "https://h"}, {Identifier: "https://h/"}},
		Users:         []devas.User{{Name: "x"}, {Name: "x"}},
		RoleScopes:    map[string][]string{"admin": {"nope"}},
		Clients:       []devas.Client{{ID: "b", Secret: "s", SecretMethod: "none"}, {ID: "a", MayIntrospect: true, SecretMethod: "client_secret_post", RedirectURIs: []string{"javascript:x"}, Scopes: []string{"nope"}}, {}},
		TokenLifetime: time.Hour,
	})
	for _, want := range []string{"Config.Issuer", "Resources[0].Identifier", `"a b"`, `"openid"`, "Resources[2]", "Users[1]", `RoleScopes["admin"]`, `Clients[0].SecretMethod "none"`, "Clients[1].MayIntrospect",
		"Clients[1].SecretMethod needs", "Clients[1].RedirectURIs", "Clients[1].Scopes", "Clients[2].ID", "TokenLifetime"} {
		require.ErrorContains(t, err, want)
	}
	for _, issuer := range []string{"", "127.0.0.1:1", "http://127.0.0.1:1/", "http://127.0.0.1:1/x", "http://127.0.0.1:1?x", "http://u@127.0.0.1:1", "https://as.example.com", "http://127.0.0.1.evil.example", "ftp://127.0.0.1"} {
		_, err := devas.New(devas.Config{Issuer: issuer, Resources: []devas.Resource{notes()}})
		require.ErrorContains(t, err, "Config.Issuer", issuer)
	}
	_, err = devas.New(devas.Config{Issuer: "http://localhost:1"})
	require.ErrorContains(t, err, "Config.Resources is empty")
}

func TestAS04_OnlyLoopbackAndALoudWarning(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:0", "example.com:0", "127.0.0.1"} {
		l, err := devas.Listen(addr)
		require.Error(t, err, addr)
		require.Nil(t, l)
	}
	e := start(t)
	e.get("/jwks")
	require.Contains(t, e.log.String(), "level=WARN")
	require.Contains(t, e.log.String(), "DEVELOPMENT authorization server")

	l, err := listenEverywhere()
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	require.ErrorContains(t, e.srv.Serve(t.Context(), l), "not a loopback address")

	var zero devas.Server
	require.Equal(t, http.StatusServiceUnavailable, serve(&zero, "GET", "http://127.0.0.1/jwks").Code)
}

// Cursor registers three addresses at once, of which one has a scheme that nobody else could use.
func TestAS12_RedirectsOfDesktopClients(t *testing.T) {
	const app, web, local = "cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"
	e := start(t)
	a := e.register(`{"client_name":"Cursor","redirect_uris":["` + app + `","` + web + `","` + local + `"]}`)
	require.Equal(t, http.StatusCreated, a.Status, a.Raw)
	require.ElementsMatch(t, []any{app, web, local}, a.JSON["redirect_uris"])
	id := a.str("client_id")
	for _, uri := range []string{app, web, local} {
		page := e.get("/authorize?" + request(id, "redirect_uri", uri).Encode())
		require.Equal(t, http.StatusSeeOther, page.Status, uri)
	}
	for _, uri := range []string{app + "/", app + "?x=1", "cursor://evil/oauth/callback", "Cursor://anysphere.cursor-mcp/oauth/callback"} {
		page := e.get("/authorize?" + request(id, "redirect_uri", uri).Encode())
		require.Equal(t, http.StatusBadRequest, page.Status, uri)
		require.Equal(t, http.StatusBadRequest, e.register(`{"redirect_uris":["`+uri+`","`+local+`"]}`).Status, uri)
	}
	require.Equal(t, http.StatusBadRequest, e.register(`{"redirect_uris":["`+app+`"]}`).Status, "alone it is nobody's")
}
