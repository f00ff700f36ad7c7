package cimd_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

// FuzzParse: a document that is accepted says the same to encoding/json, and holds what AS-30 demands.
func FuzzParse(f *testing.F) {
	for _, d := range []map[string]any{document(somewhere), document(somewhere, "client_secret", "s"), document(somewhere, "grant_types", []string{"authorization_code"}),
		document(somewhere, "token_endpoint_auth_method", "private_key_jwt", "jwks", map[string]any{"keys": []any{}}), document("x")} {
		raw, err := json.Marshal(d)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := cimd.Parse(somewhere, raw, nil, nil)
		if err != nil {
			if d != nil {
				t.Fatal("a document beside an error")
			}
			return
		}
		// Exact names only: encoding/json would fold their case.
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(raw, &members))
		for name := range members {
			require.False(t, strings.HasPrefix(strings.ToLower(name), "client_secret"), name)
		}
		var id, name string
		var uris []string
		require.NoError(t, json.Unmarshal(members["client_id"], &id))
		require.NoError(t, json.Unmarshal(members["client_name"], &name))
		require.NoError(t, json.Unmarshal(members["redirect_uris"], &uris))
		require.Equal(t, somewhere, id)
		require.Equal(t, name, d.Name)
		require.Equal(t, uris, d.RedirectURIs)
		require.NotEmpty(t, uris)
		require.Contains(t, d.GrantTypes, "authorization_code")
		require.Contains(t, []string{"none", "private_key_jwt"}, d.AuthMethod)
		require.Equal(t, d.AuthMethod == "private_key_jwt", d.JWKS != nil)
		require.True(t, d.JWKS == nil || json.Valid(bytes.Clone(d.JWKS)))
	})
}
