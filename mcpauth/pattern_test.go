package mcpauth_test

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// AUTHZ-03: a prefix that says more than a template's beginning names a place inside of what the template
// covers, and its rule must be met as well; a shorter one names the surroundings.
func TestAUTHZ03_APrefixInsideOfATemplate(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	read := 0
	mcpauth.AddResourceTemplate(auth, server, &mcp.ResourceTemplate{Name: "files", URITemplate: "file:///{+path}"},
		func(ctx context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			read++
			return readText(ctx, r)
		}, scopes.All("files"))
	auth.RequireResource("file:///secret/*", scopes.Role("admin"))
	auth.RequireResource("file:///secret/public/*", scopes.Authenticated())
	auth.RequireResource("notes://{user}/{id}", scopes.Authenticated())
	auth.RequireResource("notes*", scopes.Role("admin"))
	h := auth.Wrap(sdkHandler(server, true))
	user := claims{"scope": "files"}
	admin := claims{"scope": "files", "roles": []string{"admin"}}
	for _, c := range []struct {
		uri    string
		caller claims
		want   string
	}{
		{"file:///open/x", user, "allowed"},
		{"file:///secret", user, "allowed"},
		{"file:///secret/key", user, "role_missing"},
		{"file:///%73ecret/key", user, "role_missing"},
		{"file:///secret/key", admin, "allowed"},
		{"file:///secret/key", claims{"roles": []string{"admin"}}, "needs files"},
		{"file:///secret/public/x", user, "allowed"},
		{"file:///secret/public/x", nil, "needs files"},
		{"notes://ada/1", user, "allowed"},
		{"notes://ada", user, "role_missing"},
	} {
		token := is.token(t, c.caller)
		require.Equal(t, c.want, outcome(auth, principalOf(t, auth, token), "resources/read", c.uri), "%s as %v", c.uri, c.caller)
		before := read
		w := serve(h, post(rpc("resources/read", map[string]any{"uri": c.uri}), token))
		if c.want != "allowed" {
			require.Equal(t, 403, w.Code, w.Body.String())
			require.Equal(t, before, read)
		}
	}
	require.NotZero(t, read)
}

// SEC-05: what is added by this name would get a rule that stands for many, or for all.
func TestSEC05_AddingANameThatLooksLikeAPattern(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server, runs := newCounting(auth)
	for _, name := range []string{"*", "t*", "files://*"} {
		for what, add := range map[string]func(){
			"tool": func() {
				mcpauth.AddTool(auth, server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
					return nil, nil, nil
				}, scopes.Authenticated())
			},
			"prompt": func() {
				mcpauth.AddPrompt(auth, server, &mcp.Prompt{Name: name}, nil, scopes.Authenticated())
			},
			"resource": func() {
				mcpauth.AddResource(auth, server, &mcp.Resource{Name: "r", URI: name}, readText, scopes.Authenticated())
			},
		} {
			require.Panics(t, add, "%s %s", what, name)
		}
	}
	p := principalOf(t, auth, is.token(t))
	require.Equal(t, "no_rule", outcome(auth, p, "tools/call", "forgotten"), "nothing is left of what panicked")
	require.Equal(t, "no_rule", outcome(auth, p, "prompts/get", "secret"))
	require.Equal(t, "no_rule", outcome(auth, p, "resources/read", "files://x"))
	require.Contains(t, serve(auth.Wrap(sdkHandler(server, true)), post(call("forgotten"), is.token(t))).Body.String(), "-32602")
	require.Zero(t, runs.Load())
}

// SEC-05: a rule for methods that would not have the effect it seems to have.
func TestSEC05_MethodRulesWithoutEffect(t *testing.T) {
	is := newIssuer(t)
	for _, name := range []string{
		"tools/*", "tools/c*", "tools/call*", "t*", "prompts/*", "resources/*", "resources/subscri*", "completion/*",
		"Tools/List", "PING", "get", "Delete", "logging/setlevel", "Subscriptions/listen", "Server/Discover",
		"Tools/*", "PI*", "Notifications/*", "Get*", "PING*",
	} {
		auth, _ := newAuth(t, is, nil)
		require.Panics(t, func() { auth.RequireMethod(name, scopes.Role("admin")) }, name)
		require.Equal(t, "allowed", outcome(auth, principalOf(t, auth, is.token(t)), "tools/list", ""))
	}
	auth, _ := newAuth(t, is, nil)
	p := principalOf(t, auth, is.token(t))
	for _, name := range []string{"*", "tools/list", "tools/list*", "notifications/*", "vendor/*", "resources/templates/*", "Vendor/search", "Vendor/*", "Tools/of/a/vendor/*"} {
		require.NotPanics(t, func() { auth.RequireMethod(name, scopes.Role("admin")) }, name)
	}
	require.Equal(t, "role_missing", outcome(auth, p, "tools/list", ""))
	require.Equal(t, "role_missing", outcome(auth, p, "ping", ""), "an asterisk alone means every method")
}
