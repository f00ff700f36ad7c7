package scopes_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestDefaultScopesAreForUsers(t *testing.T) {
	m := compile(t, scopes.Mapper{DangerouslyDefaultScopes: []string{"files:read"}})
	require.True(t, m.Grant(claims(t, `{"sub":"ada","client_id":"app"}`)).HasScope("files:read"))
	require.False(t, m.Grant(claims(t, `{"sub":"app","client_id":"app"}`)).HasScope("files:read"))
	require.False(t, m.Grant(claims(t, `{"client_id":"app"}`)).HasScope("files:read"), "no user: the Principal is the client")
}
