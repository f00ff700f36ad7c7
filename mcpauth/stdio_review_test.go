package mcpauth_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// What Find no longer knows is refused at the next call.
func TestStdio_AKeyThatIsTakenBack(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("k_")
	known := true
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Find: func(context.Context, string) (*mcpauth.APIKey, error) {
		if !known {
			return nil, nil
		}
		return &mcpauth.APIKey{Hash: hash, Owner: "ada", Name: "n", Scopes: []string{"files:write"}}, nil
	}})
	require.NoError(t, err)
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{keys} })
	t.Setenv(variable, key)
	ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{KeyVariable: variable})
	require.NoError(t, err)
	l, err := connectLocal(t, ctx, newServer(auth))
	require.NoError(t, err)
	require.Equal(t, "write ada", l.call("write"))
	known = false
	require.Contains(t, l.call("write"), "Forbidden")
}

// An API key in the variable of a token must not be sent to the authorization server.
func TestStdio_AKeyInTheVariableOfATokenGoesNowhere(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	asked := 0
	o.answer = func(string) (int, any) { asked++; return 200, claims{"active": false} }
	for _, prefix := range []string{"k_", ""} {
		key, hash := mcpauth.NewAPIKey(prefix)
		keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: prefix, Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n"}}})
		require.NoError(t, err)
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Authenticators = []mcpauth.Authenticator{keys}
			cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "s"}
		})
		t.Setenv(variable, key)
		_, err = auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
		require.Error(t, err)
		require.NotContains(t, err.Error(), key)
		require.Zero(t, asked)
	}
}

// CH: what a header must look like holds for tokens too that came in an environment variable before, where nothing of the kind was
// asked of them, and that are remembered since.
func TestStdio_ATokenThatNoHeaderCanHold(t *testing.T) {
	is, o := newIssuer(t), newOracle(t)
	o.answer = func(string) (int, any) { return 200, active(is, nil) }
	h, auth, _ := newBased(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Introspection = &mcpauth.Introspection{Endpoint: o.URL, ClientID: "files", ClientSecret: "s"}
	})
	for _, token := range []string{`odd!token`, `two, Bearer more`} {
		t.Setenv(variable, token)
		_, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
		require.NoError(t, err)
		remembered, _ := mcpauth.Remembers(auth, token)
		require.True(t, remembered)
		require.Equal(t, http.StatusBadRequest, serve(h, post(call("whoami"), token)).Code, token)
	}
}
