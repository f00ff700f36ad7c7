package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestRules_FromTheCommandLine(t *testing.T) {
	r := rules{}
	for _, good := range []string{"read=files:read", "write=files:write and role(editor)", "open=authenticated", "x=y=z"} {
		require.NoError(t, r.Set(good))
	}
	require.Len(t, r, 4)
	require.Equal(t, "files:write and role(editor)", r["write"].String())
	require.True(t, r["open"].Met(scopes.NewGrant(nil, nil)))
	for _, bad := range []string{"", "read", "=files:read", "read=other", "a=(", "b="} {
		require.Error(t, r.Set(bad), bad)
	}
}

func TestNewHandler_RefusesMistakes(t *testing.T) {
	good := mcpauth.Config{Resource: "https://mcp.example/mcp", Issuers: []mcpauth.Issuer{{URL: "https://as.example"}}}
	_, err := newHandler(good, "http://localhost:3000/mcp", nil)
	require.NoError(t, err)
	_, err = newHandler(good, "localhost:3000", nil)
	require.ErrorContains(t, err, "-upstream")
	_, err = newHandler(mcpauth.Config{}, "http://localhost:3000/mcp", nil)
	require.ErrorContains(t, err, "Resource")
}
