package mcpauth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestAUTHZ19_Guests(t *testing.T) {
	is := newIssuer(t)
	var decisions []mcpauth.Decision
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.Guests = []string{"tools/list", "ping", "prompts/list"}
		c.BaseScopes = []string{"files:read"}
		c.OnDecision = func(_ context.Context, d mcpauth.Decision) { decisions = append(decisions, d) }
	})
	auth.RequireMethod("prompts/list", scopes.All("prompts"))
	server := newServer(auth)
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if req.GetExtra() != nil && req.GetExtra().TokenInfo != nil && req.GetExtra().TokenInfo.UserID == "guest" {
				p, ok := mcpauth.FromContext(ctx)
				require.False(t, ok)
				require.Nil(t, p)
			}
			return next(ctx, method, req)
		}
	})
	h := auth.Wrap(sdkHandler(server, true))

	w := serve(h, post(rpc("tools/list", nil), ""))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	for name, shown := range map[string]bool{`"whoami"`: true, `"write"`: true, `"purge"`: false, `"forgotten"`: false} {
		require.Equal(t, shown, strings.Contains(w.Body.String(), name), name)
	}
	require.Contains(t, w.Body.String(), `"cacheScope":"private"`)
	require.True(t, decisions[len(decisions)-1].Allowed)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), "")).Code)

	batch := "[" + rpc("ping", nil) + "]"
	big := post(rpc("ping", map[string]any{"_meta": map[string]any{"x": strings.Repeat("x", 65<<10)}}), "")
	chunked := post(rpc("ping", nil), "")
	chunked.ContentLength = -1
	for name, r := range map[string]*http.Request{
		"a method that is not named":      post(rpc("resources/list", nil), ""),
		"a method with a rule of its own": post(rpc("prompts/list", nil), ""),
		"a tool":                          post(call("whoami"), ""),
		"initialize":                      post(rpc("initialize", nil), ""),
		"a notification":                  post(`{"jsonrpc":"2.0","method":"ping"}`, ""),
		"a batch":                         post(batch, ""),
		"a body that is read in two ways": post(`{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}`, ""),
		"a large body":                    big,
		"a body without a length":         chunked,
		"a bad token":                     post(rpc("tools/list", nil), "nonsense"),
		"another scheme":                  with(post(rpc("tools/list", nil), ""), "Authorization", "Basic eDp5"),
	} {
		w := serve(h, r)
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		require.NotEmpty(t, w.Header()["Www-Authenticate"], name)
	}
	get := post("", "")
	get.Method, get.Body = http.MethodGet, http.NoBody
	require.Equal(t, http.StatusUnauthorized, serve(h, get).Code)

	w = serve(h, post(call("whoami"), ""))
	require.Contains(t, w.Body.String(), `"id":7`, "the refusal still carries the request's id")
}

func TestAUTHZ19_NoGuestsByDefault(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for _, method := range []string{"ping", "tools/list", "server/discover"} {
		require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc(method, nil), "")).Code, method)
	}
	_, err := mcpauth.New(mcpauth.Config{
		Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Guests: []string{"tools/call", "initialize", "Ping"},
	})
	require.ErrorContains(t, err, `"tools/call" is not for guests`)
	require.ErrorContains(t, err, `"initialize" is not for guests`)
	require.ErrorContains(t, err, `"Ping" is not for guests`)
}

// A method that asks for a sign-in is not open to those who never signed in.
func TestRequireLogin_IsNotForGuests(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Guests = []string{"tools/list", "ping"} })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	auth.RequireLogin(mcpauth.Operation{Method: "tools/list"}, mcpauth.Login{ACRValues: []string{mfa}})
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), "")).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("tools/list", nil), is.token(t))).Code)
	require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("tools/list", nil), "")).Code)
}
