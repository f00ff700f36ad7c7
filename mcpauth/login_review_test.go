package mcpauth_test

import (
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// "which counts for every operation on them": completion/complete names the template itself, which does not match itself.
func TestRequireLogin_CompletionOfATemplate(t *testing.T) {
	is := newIssuer(t)
	const template = "mail://{user}/inbox"
	complete := rpc("completion/complete", map[string]any{
		"ref": map[string]any{"type": "ref/resource", "uri": template}, "argument": map[string]any{"name": "user", "value": "a"},
	})
	t.Run("declared", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		auth.RequireResource(template, scopes.Authenticated())
		auth.RequireLogin(mcpauth.Operation{Method: "resources/read", Name: template}, mcpauth.Login{ACRValues: []string{mfa}})
		h := auth.Wrap(&spy{})
		require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("resources/read", map[string]any{"uri": "mail://ada/inbox"}), is.token(t))).Code)
		require.Equal(t, http.StatusUnauthorized, serve(h, post(complete, is.token(t))).Code)
	})
	t.Run("file", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		require.NoError(t, auth.LoadPolicy([]byte(`{"version":1,"resources":{"mail://{user}/inbox":{"rule":"authenticated","login":{"acr":["urn:example:mfa"]}}}}`)))
		require.Equal(t, http.StatusUnauthorized, serve(auth.Wrap(&spy{}), post(complete, is.token(t))).Code)
	})
	t.Run("lists of what may be used now", func(t *testing.T) {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Listing = mcpauth.ListAllowed })
		auth.RequireResource(template, scopes.Authenticated())
		auth.RequireLogin(mcpauth.Operation{Method: "resources/read", Name: template}, mcpauth.Login{ACRValues: []string{mfa}})
		require.False(t, auth.Visible(principalOf(t, auth, is.token(t)), mcpauth.Operation{Method: "resources/read", Name: template}))
	})
}

// RequireMethod tightens for guests, too, and RequireLogin must: a guest has not signed in at all.
func TestRequireLogin_Guests(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Guests = []string{"tools/list"} })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	auth.RequireLogin(mcpauth.Operation{Method: "tools/list"}, mcpauth.Login{ACRValues: []string{mfa}})
	require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("tools/list", nil), is.token(t))).Code, "who signed in in another way is refused")
	require.Equal(t, http.StatusUnauthorized, serve(h, post(rpc("tools/list", nil), "")).Code, "so who did not sign in is, too")
}

// Two lists without a common value can be met by no token: no sign-in helps, and a client that follows the challenge signs its
// user in again and again.
func TestRequireLogin_ThatNobodyCanMeetIsNoChallenge(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("look", scopes.Authenticated())
	auth.RequireLogin(tool("*"), mcpauth.Login{ACRValues: []string{"a"}})
	auth.RequireLogin(tool("look"), mcpauth.Login{ACRValues: []string{"b"}})
	h := auth.Wrap(&spy{})
	for _, acr := range []string{"x", "a", "b"} {
		w := serve(h, post(call("look"), is.token(t, claims{"acr": acr})))
		require.Equal(t, http.StatusForbidden, w.Code, "acr %s: %s", acr, w.Header().Get("Www-Authenticate"))
	}
}

// A rule for a misspelled name denies. A login for a misspelled name asks nobody for anything, so Verify must find it.
func TestRequireLogin_VerifyFindsMisspelledNames(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "purge"}, doNothing, scopes.Authenticated())
	auth.RequireLogin(tool("prune"), mcpauth.Login{ACRValues: []string{mfa}})
	require.ErrorContains(t, auth.Verify(t.Context(), server), "prune")
}

// An asterisk after a template is a literal, and the login stands for nothing.
func TestRequireLogin_AnAsteriskBehindATemplate(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireResource("notes://*", scopes.Authenticated())
	refused := func() (v any) {
		defer func() { v = recover() }()
		auth.RequireLogin(mcpauth.Operation{Method: "resources/read", Name: "notes://{user}/private/*"}, mcpauth.Login{ACRValues: []string{mfa}})
		return nil
	}()
	if refused != nil {
		return // the right answer
	}
	w := serve(auth.Wrap(&spy{}), post(rpc("resources/read", map[string]any{"uri": "notes://ada/private/1"}), is.token(t)))
	require.Equal(t, http.StatusUnauthorized, w.Code)
}

// NewAPIKeys: "what it lacks is refused with a bare 403, and lists do not show it". No key can ever bring a sign-in.
func TestRequireLogin_ListsOfCallersWhoNeverSignIn(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ci", Name: "ci"}}})
	require.NoError(t, err)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{keys} })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa}})
	require.Equal(t, http.StatusForbidden, serve(h, with(post(call("whoami"), ""), "X-Api-Key", key)).Code)
	require.NotContains(t, serve(h, with(post(rpc("tools/list", nil), ""), "X-Api-Key", key)).Body.String(), `"whoami"`)
}
