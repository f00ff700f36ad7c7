package mcpauth_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// newTenants has a server for each tenant, which the caller's token names. The rules are the same for
// all: what keeps tenants apart is getServer alone.
func newTenants(t *testing.T, is *testIssuer, stateless bool) http.Handler {
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	auth.RequireResource("notes://*", scopes.Authenticated())
	servers := make(map[string]*mcp.Server)
	for _, tenant := range []string{"red", "blue"} {
		server := mcp.NewServer(&mcp.Implementation{Name: tenant, Version: "1"}, nil)
		auth.Protect(server)
		for _, name := range []string{"which", "only_" + tenant} {
			mcp.AddTool(server, &mcp.Tool{Name: name, Description: "of " + tenant}, func(ctx context.Context, _ *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
				p, _ := mcpauth.FromContext(ctx)
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "secret of " + tenant + " for " + p.Subject()}}}, nil, nil
			})
		}
		server.AddResource(&mcp.Resource{Name: tenant, URI: "notes://" + tenant}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "notes://" + tenant, Text: "secret of " + tenant}}}, nil
		})
		servers[tenant] = server
	}
	return auth.Wrap(mcp.NewStreamableHTTPHandler(func(r *http.Request) *mcp.Server {
		p, ok := mcpauth.FromContext(r.Context())
		info := sdkauth.TokenInfoFromContext(r.Context())
		if !ok || info == nil || info.UserID != p.ID() || r.Header.Get("Authorization") != "" {
			return nil
		}
		var tenant string
		if _, err := p.Claim("/tenant", &tenant); err != nil {
			return nil
		}
		return servers[tenant]
	}, &mcp.StreamableHTTPOptions{Stateless: stateless, JSONResponse: true}))
}

// LIST-01, threat 55: getServer may choose by the caller, and nothing of one caller's server reaches
// another.
func TestGetServer_OnePerCaller(t *testing.T) {
	for _, mode := range []string{"stateless", "stateful"} {
		t.Run(mode, func(t *testing.T) {
			is := newIssuer(t)
			h := newTenants(t, is, mode == "stateless")
			other := map[string]string{"red": "blue", "blue": "red"}
			var all sync.WaitGroup
			for tenant := range other {
				for _, user := range []string{"ada", "bob"} {
					token := is.token(t, claims{"sub": user + " of " + tenant, "tenant": tenant})
					id := ""
					if mode == "stateful" {
						id = openSession(t, h, token)
					}
					all.Go(func() {
						send := func(body string) string {
							r := atRevision(legacy, post(body, token))
							if id != "" {
								inSession(id, r)
							}
							return serve(h, r).Body.String()
						}
						for range 20 {
							for body, want := range map[string]string{
								call("which"):              "secret of " + tenant + " for " + user + " of " + tenant,
								call("only_" + tenant):     "secret of " + tenant,
								rpc("tools/list", nil):     `"only_` + tenant + `"`,
								rpc("resources/list", nil): `"notes://` + tenant + `"`,
								rpc("resources/read", map[string]any{"uri": "notes://" + tenant}):        "secret of " + tenant,
								call("only_" + other[tenant]):                                            "-32602",
								rpc("resources/read", map[string]any{"uri": "notes://" + other[tenant]}): "Resource not found",
							} {
								got := send(body)
								if !strings.Contains(got, want) || strings.Contains(got, "of "+other[tenant]) || strings.Contains(body, "list") && strings.Contains(got, other[tenant]) {
									t.Errorf("%s: %s: %s", tenant, body, got)
								}
							}
						}
					})
				}
			}
			all.Wait()
		})
	}
}

// As operations.md says: a session keeps the server that it was opened with, whatever a later token of
// the same caller says. Nobody else gets into it.
func TestGetServer_SessionsKeepTheirServer(t *testing.T) {
	is := newIssuer(t)
	h := newTenants(t, is, false)
	red, blue := is.token(t, claims{"tenant": "red"}), is.token(t, claims{"tenant": "blue"})
	id := openSession(t, h, red)
	require.Contains(t, serve(h, inSession(id, post(call("which"), blue))).Body.String(), "secret of red")
	require.Contains(t, serve(h, inSession(openSession(t, h, blue), post(call("which"), blue))).Body.String(), "secret of blue")
	w := serve(h, inSession(id, post(call("which"), is.token(t, claims{"sub": "eve", "tenant": "red"}))))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NotContains(t, w.Body.String(), "secret")

	stateless := newTenants(t, is, true) // follows every token
	require.Contains(t, serve(stateless, post(call("which"), red)).Body.String(), "secret of red")
	require.Contains(t, serve(stateless, post(call("which"), blue)).Body.String(), "secret of blue")
}

// A caller for whom getServer has nothing gets nothing, before and after others have been served.
func TestGetServer_NoServerForThisCaller(t *testing.T) {
	is := newIssuer(t)
	h := newTenants(t, is, true)
	nobody, red := is.token(t, claims{"tenant": "green"}), is.token(t, claims{"tenant": "red"})
	for _, want := range []int{http.StatusServiceUnavailable, http.StatusBadRequest} {
		w := serve(h, post(call("which"), nobody))
		require.Equal(t, want, w.Code, w.Body.String())
		require.NotContains(t, w.Body.String(), "secret")
		require.Contains(t, serve(h, post(call("which"), red)).Body.String(), "secret of red")
	}
}
