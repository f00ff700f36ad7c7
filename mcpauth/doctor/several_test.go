package doctor_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// Of several authorization servers, each finding says which one it is about, and what is wrong with one hides nothing of the others.
func TestFindingsNameTheirAuthorizationServer(t *testing.T) {
	first, second := newWorld(t), newWorld(t)
	first.metadata["authorization_servers"] = []string{first.issuer, second.issuer}
	delete(first.server, "registration_endpoint")
	delete(first.server, "client_id_metadata_document_supported")
	delete(second.server, "code_challenge_methods_supported")
	delete(second.server, "jwks_uri")
	r := first.run(doctor.Options{})
	require.Contains(t, find(t, r, "as-registration/none").Got, first.issuer)
	require.Contains(t, find(t, r, "as-registration").Got, second.issuer)
	require.Contains(t, find(t, r, "as-pkce/not-announced").Got, second.issuer)
	require.Contains(t, find(t, r, "keys/no-jwks-uri").Got, second.issuer)

	first.metadata["authorization_servers"] = []string{first.issuer}
	require.NotContains(t, find(t, first.run(doctor.Options{}), "as-pkce").Got, first.issuer, "there is only one")
}
