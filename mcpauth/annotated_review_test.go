package mcpauth_test

import (
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// What a policy file says of annotated tools it has said, "never" included: Config.Unlisted is for those of which nobody
// said anything.
func TestLoadPolicy_AnnotatedNever(t *testing.T) {
	open := func(cfg *mcpauth.Config) { cfg.Unlisted = scopes.Authenticated() }
	auth, _ := newAuth(t, newIssuer(t), open)
	server := protectedWith(auth, saying("destroys", nil), saying("reads", &mcp.ToolAnnotations{ReadOnlyHint: true}))
	require.NoError(t, auth.LoadPolicy([]byte(`{"version": 1, "annotated": {"readOnly": "authenticated", "destructive": "never"}}`)))
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, mcpauth.Annotated{}))
	require.True(t, may(t, auth, "any", "reads"))
	require.False(t, may(t, auth, "any", "destroys"))
	require.NoError(t, auth.LoadPolicy([]byte(`{"version": 1, "annotated": {"readOnly": "never"}}`)))
	require.False(t, may(t, auth, "any", "reads"))
	require.True(t, may(t, auth, "any", "destroys"), "nobody says anything of it")
	require.NoError(t, auth.LoadPolicy([]byte(`{"version": 1, "annotated": {}}`)))
	require.True(t, may(t, auth, "any", "reads"))
	require.True(t, may(t, auth, "any", "destroys"))

	auth, _ = newAuth(t, newIssuer(t), open)
	server = protectedWith(auth, saying("destroys", nil))
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, byAnnotation))
	require.ErrorContains(t, auth.LoadPolicy([]byte(`{"version": 1, "annotated": {"destructive": "never"}}`)), "annotated: the program has such rules")

	auth, _ = newAuth(t, newIssuer(t), open)
	server = protectedWith(auth, saying("destroys", nil))
	require.NoError(t, auth.LoadPolicy([]byte(`{"version": 1, "annotated": {"destructive": "never"}}`)))
	require.Panics(t, func() { _ = auth.RequireAnnotated(t.Context(), server, byAnnotation) })
}
