package mcpauth_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Arrangements that servers in the wild use, through HTTP.

func offering(auth *mcpauth.Middleware, tools ...string) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	auth.Protect(server)
	for _, name := range tools {
		offerTool(server, name)
	}
	return auth.Wrap(sdkHandler(server, true))
}

// One scope to see the tools, another to call them.
func TestPractice_ListingAndCallingAreDifferentScopes(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireMethod("tools/list", scopes.All("tool:read"))
	auth.RequireTool("*", scopes.All("tool:write"))
	h := offering(auth, "a", "b")
	for _, c := range []struct {
		scope      string
		list, call int
		challenge  string // of the list, or else of the call
	}{
		{"", 403, 403, `scope="tool:read"`},
		{"tool:read", 200, 403, `scope="tool:write tool:read"`},
		{"tool:write", 403, 200, `scope="tool:read tool:write"`},
		{"tool:read tool:write", 200, 200, ""},
	} {
		t.Run(c.scope, func(t *testing.T) {
			list := serve(h, post(rpc("tools/list", nil), is.scoped(t, c.scope)))
			called := serve(h, post(call("a"), is.scoped(t, c.scope)))
			require.Equal(t, c.list, list.Code)
			require.Equal(t, c.call, called.Code)
			challenge := list.Header().Get("Www-Authenticate")
			if challenge == "" {
				challenge = called.Header().Get("Www-Authenticate")
			}
			require.Contains(t, challenge, c.challenge)
		})
	}
}

// Auth0 puts an API's permissions into an array of their own, beside scope.
func TestPractice_PermissionsArray(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Issuers[0].Grants.ScopeClaims = []string{"/permissions"} })
	auth.RequireTool("write", scopes.All("files:write"))
	h := offering(auth, "write")
	for _, c := range []struct {
		name   string
		claims claims
		status int
	}{
		{"an array", claims{"permissions": []string{"files:read", "files:write"}}, 200},
		{"an array without it", claims{"permissions": []string{"files:read"}}, 403},
		{"a string", claims{"permissions": "files:read files:write"}, 200},
		{"only in scope, which is not read here", claims{"scope": "files:write"}, 403},
		{"one element with spaces is one scope", claims{"permissions": []string{"files:read files:write"}}, 403},
		{"an array that holds a number", claims{"permissions": []any{"files:write", 1}}, 403},
		{"an object", claims{"permissions": map[string]any{"files:write": true}}, 403},
		{"another case", claims{"Permissions": []string{"files:write"}}, 403},
	} {
		require.Equal(t, c.status, serve(h, post(call("write"), is.token(t, c.claims))).Code, c.name)
	}
}

func TestPractice_PlainRoleClaim(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Issuers[0].Grants.RoleClaims = []string{"/role"} })
	auth.RequireTool("purge", scopes.Role("admin"))
	h := offering(auth, "purge")
	for _, c := range []struct {
		name   string
		claims claims
		status int
	}{
		{"a string", claims{"role": "admin"}, 200},
		{"an array", claims{"role": []string{"user", "admin"}}, 200},
		{"part of a string", claims{"role": "administrator"}, 403},
		{"two words are one role", claims{"role": "user admin"}, 403},
		{"another claim", claims{"roles": "admin"}, 403},
		{"an object", claims{"role": map[string]any{"admin": true}}, 403},
		{"another case", claims{"role": "Admin"}, 403},
		{"true", claims{"role": true}, 403},
		{"a scope of that name", claims{"scope": "admin"}, 403},
	} {
		w := serve(h, post(call("purge"), is.token(t, c.claims)))
		require.Equal(t, c.status, w.Code, c.name)
		require.Empty(t, w.Header()["Www-Authenticate"], "no scope helps")
	}
}

// Admin > Developer > User > Read-only, with what each may do said once.
func TestPractice_RoleLadder(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.Listing = mcpauth.ListAllowed
		c.Issuers[0].Grants = scopes.Mapper{
			RoleClaims:  []string{"/roles"},
			RoleImplies: map[string][]string{"Admin": {"Developer"}, "Developer": {"User"}, "User": {"Read-only"}},
			RoleScopes:  map[string][]string{"Read-only": {"notes:read"}, "User": {"notes:write"}, "Developer": {"deploy"}},
		}
	})
	auth.RequireTools(map[string]scopes.Rule{
		"read":   scopes.All("notes:read"),
		"write":  scopes.All("notes:write"),
		"deploy": scopes.And(scopes.All("deploy"), scopes.Role("Developer")),
		"users":  scopes.Role("Admin"),
	})
	ladder := []string{"read", "write", "deploy", "users"}
	h := offering(auth, ladder...)
	for role, steps := range map[string]int{"Admin": 4, "Developer": 3, "User": 2, "Read-only": 1, "Guest": 0, "admin": 0, "Read": 0} {
		token := is.token(t, claims{"roles": []string{role}})
		for i, tool := range ladder {
			want := http.StatusForbidden
			if i < steps {
				want = http.StatusOK
			}
			require.Equal(t, want, serve(h, post(call(tool), token)).Code, fmt.Sprint(role, " calls ", tool))
		}
		names, _ := listNames(t, h, "tools/list", "tools", "name", token)
		want := slices.Sorted(slices.Values(ladder[:steps]))
		require.Equal(t, want, names, role)
	}
	t.Run("a scope in the token does as well where no role is asked for", func(t *testing.T) {
		token := is.scoped(t, "notes:write deploy")
		require.Equal(t, http.StatusOK, serve(h, post(call("write"), token)).Code)
		require.Equal(t, http.StatusForbidden, serve(h, post(call("deploy"), token)).Code)
	})
}
