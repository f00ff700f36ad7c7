package devas_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	notebook "github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// AS-06 and ext-auth, Enterprise-Managed Authorization, Section 2.1, with the Go SDK's own client, from the ID token to tools/call.
func TestAS06_TheGoSDKsEnterpriseClient(t *testing.T) {
	var exchange http.HandlerFunc
	mux := http.NewServeMux()
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	idp := mcpauthtest.NewIssuerLike(t, "", mcpauth.Issuer{URL: web.URL})
	answer := func(w http.ResponseWriter, body any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	mux.HandleFunc("GET /.well-known/oauth-authorization-server", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": web.URL, "jwks_uri": idp.Config().JWKSURI, "token_endpoint": web.URL + "/token", "authorization_endpoint": web.URL + "/authorize",
			"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) { exchange(w, r) })

	protected := http.NewServeMux()
	server := httptest.NewServer(protected)
	t.Cleanup(server.Close)
	endpoint := server.URL + "/mcp"
	e := start(t, trusting(idp), func(c *devas.Config) { c.Resources[0].Identifier = endpoint })
	exchange = func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A", "expires_in": 300, "scope": r.PostFormValue("scope"),
			"access_token": idp.Token(mcpauthtest.Claims{Subject: employee, Client: editorID, Audience: []string{r.PostFormValue("audience")}, Scope: r.PostFormValue("scope"),
				Extra: map[string]any{"resource": r.PostFormValue("resource")}, Header: map[string]any{"typ": idJAG}})})
	}
	auth, err := mcpauth.New(mcpauth.Config{Resource: endpoint, BaseScopes: []string{"notes:read"}, Issuers: []mcpauth.Issuer{{URL: e.issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}}})
	require.NoError(t, err)
	book := notebook.NewServer(auth)
	auth.Mount(protected, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return book }, &mcp.StreamableHTTPOptions{Stateless: true}))

	handler, err := extauth.NewEnterpriseHandler(&extauth.EnterpriseHandlerConfig{
		IdPIssuerURL: web.URL, IdPCredentials: &oauthex.ClientCredentials{ClientID: "editor-at-idp", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: "s1"}},
		MCPAuthServerURL: e.issuer, MCPResourceURI: endpoint, MCPScopes: []string{"notes:read", "notes:write"},
		MCPCredentials: &oauthex.ClientCredentials{ClientID: editorID, ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: editorSecret}},
		IDTokenFetcher: func(context.Context) (*oauth2.Token, error) {
			return (&oauth2.Token{AccessToken: "x"}).WithExtra(map[string]any{"id_token": idp.Token(mcpauthtest.Claims{Subject: employee, Audience: []string{"editor-at-idp"}, Header: map[string]any{"typ": "JWT"}})}), nil
		},
	})
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "editor", Version: "1"}, nil).Connect(ctx,
		&mcp.StreamableClientTransport{Endpoint: endpoint, OAuthHandler: handler, DisableStandaloneSSE: true}, nil)
	require.NoError(t, err)
	for tool, arguments := range map[string]map[string]any{"write_note": {"text": "from the enterprise"}, "whoami": {}} {
		result, err := session.CallTool(ctx, &mcp.CallToolParams{Name: tool, Arguments: arguments})
		require.NoError(t, err)
		require.False(t, result.IsError)
		if tool == "whoami" {
			require.Contains(t, result.Content[0].(*mcp.TextContent).Text, web.URL+"#"+employee)
		}
	}
	require.NoError(t, session.Close())
	e.requireEvent(devas.Event{Kind: devas.EventTokenIssued, OK: true, User: web.URL + "#" + employee, Client: editorID, Server: endpoint, Scope: "notes:read notes:write"})
}
