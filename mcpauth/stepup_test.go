package mcpauth_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// a client that asks for exactly the scopes of a challenge must not lose a wide scope that no rule names and that
// stands for one which a rule names, be it the issuer or the policy file that says so, and whatever limit it has.
func TestX01_WideScopesInTheChallenge(t *testing.T) {
	is := newIssuer(t)
	implies := map[string][]string{"files:all": {"files:read"}, "foreign:all": {"foreign:read"}}
	for name, change := range map[string]func(*mcpauth.Config, *string){
		"issuer": func(cfg *mcpauth.Config, _ *string) { cfg.Issuers[0].Grants.ScopeImplies = implies },
		"file": func(_ *mcpauth.Config, file *string) {
			*file = `{"version": 1, "scopes": {"files:all": {"implies": ["files:read"]}, "files:read": {}, "foreign:all": {"implies": ["foreign:read"]}, "foreign:read": {}}}`
		},
		"both": func(cfg *mcpauth.Config, file *string) {
			cfg.Issuers[0].Grants.ScopeImplies = map[string][]string{"files:all": {"files:some"}}
			*file = `{"version": 1, "scopes": {"files:some": {"implies": ["files:read"]}, "files:read": {}}}`
		},
		"limit": func(cfg *mcpauth.Config, _ *string) {
			cfg.Issuers[0].Grants.ScopeImplies = implies
			cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:read", "files:write"}}}
		},
		"limit without": func(cfg *mcpauth.Config, _ *string) {
			cfg.Issuers[0].Grants.ScopeImplies = implies
			cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:write"}}}
		},
	} {
		var file string
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { change(cfg, &file) })
		auth.RequireTool("read", scopes.All("files:read"))
		auth.RequireTool("write", scopes.All("files:write"))
		if file != "" {
			require.NoError(t, auth.LoadPolicy([]byte(file)), name)
		}
		w := serve(auth.Wrap(http.NotFoundHandler()), post(call("write"), is.scoped(t, "files:all foreign:all openid")))
		require.Equal(t, http.StatusForbidden, w.Code, name)
		_, scope := parameters(t, w.Header().Get("Www-Authenticate"))
		want := []string{"files:write", "files:all"}
		if name == "limit without" {
			want = want[:1]
		}
		require.Equal(t, want, scope, name)
	}
}
