package prm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-mcpauth/sdk/prm"
	"github.com/stretchr/testify/require"
)

func ptr[T any](v T) *T { return &v }

// full has every member set, as in W8 of the requirements.
func full() *prm.Metadata {
	return &prm.Metadata{
		Resource:                              "https://mcp.example.com/mcp",
		AuthorizationServers:                  []string{"https://as.example.com"},
		ScopesSupported:                       []string{"mcp:read"},
		BearerMethodsSupported:                []string{"header"},
		ResourceName:                          "Example MCP",
		ResourceDocumentation:                 "https://mcp.example.com/docs#auth",
		ResourcePolicyURI:                     "https://mcp.example.com/policy?a=1&b=2",
		ResourceTOSURI:                        "https://mcp.example.com/tos",
		Languages:                             map[string]prm.Localized{"fr": {ResourceName: "Exemple MCP", ResourceTOSURI: "https://mcp.example.com/cgu"}, "de": {ResourceName: "Beispiel-MCP"}},
		JWKSURI:                               "https://mcp.example.com/jwks",
		ResourceSigningAlgValuesSupported:     []string{"ES256"},
		DPoPSigningAlgValuesSupported:         []string{"ES256", "EdDSA"},
		DPoPBoundAccessTokensRequired:         ptr(false),
		TLSClientCertificateBoundAccessTokens: true,
		AuthorizationDetailsTypesSupported:    []string{"mcp_tool"},
		Extra:                                 map[string]any{"x_tier": 2, "x_region": []string{"eu"}, "x_note#de": "<ja>"},
	}
}

// least has the required members only.
func least(resource string) *prm.Metadata {
	return &prm.Metadata{Resource: resource, AuthorizationServers: []string{"https://as.example.com"}}
}

const fullText = `{"resource":"https://mcp.example.com/mcp",` +
	`"authorization_servers":["https://as.example.com"],` +
	`"scopes_supported":["mcp:read"],` +
	`"bearer_methods_supported":["header"],` +
	`"resource_name":"Example MCP","resource_name#de":"Beispiel-MCP","resource_name#fr":"Exemple MCP",` +
	`"resource_documentation":"https://mcp.example.com/docs#auth",` +
	`"resource_policy_uri":"https://mcp.example.com/policy?a=1&b=2",` +
	`"resource_tos_uri":"https://mcp.example.com/tos","resource_tos_uri#fr":"https://mcp.example.com/cgu",` +
	`"jwks_uri":"https://mcp.example.com/jwks","resource_signing_alg_values_supported":["ES256"],` +
	`"dpop_signing_alg_values_supported":["ES256","EdDSA"],"dpop_bound_access_tokens_required":false,` +
	`"tls_client_certificate_bound_access_tokens":true,"authorization_details_types_supported":["mcp_tool"],` +
	`"x_note#de":"<ja>","x_region":["eu"],"x_tier":2}`

func TestPRM02_PRM10_PRM11_PRM13_EveryMemberIsWrittenInOrder(t *testing.T) {
	m := full()
	require.NoError(t, m.Validate())
	for range 20 { // map order must not show
		got, err := m.MarshalJSON()
		require.NoError(t, err)
		require.Equal(t, fullText, string(got))
	}
	viaPackage, err := json.Marshal(*m)
	require.NoError(t, err)
	require.JSONEq(t, fullText, string(viaPackage))
}

func TestPRM05_ZeroValuesAreLeftOut(t *testing.T) {
	tests := []struct {
		name string
		m    prm.Metadata
		want string
	}{
		{"PRM-05 nothing but the required members", *least("https://h/mcp"),
			`{"resource":"https://h/mcp","authorization_servers":["https://as.example.com"]}`},
		{"PRM-05 empty arrays", prm.Metadata{Resource: "https://h", AuthorizationServers: []string{}, ScopesSupported: []string{},
			BearerMethodsSupported: []string{}, Extra: map[string]any{"x": []int{}, "y": nil, "z": json.RawMessage(" [ ] ")}}, `{"resource":"https://h"}`},
		{"PRM-12 tls_client_certificate_bound_access_tokens false", prm.Metadata{Resource: "https://h", TLSClientCertificateBoundAccessTokens: false}, `{"resource":"https://h"}`},
		{"PRM-09 dpop_bound_access_tokens_required false is written", prm.Metadata{Resource: "https://h", DPoPBoundAccessTokensRequired: ptr(false)},
			`{"resource":"https://h","dpop_bound_access_tokens_required":false}`},
		{"PRM-09 dpop_bound_access_tokens_required true", prm.Metadata{Resource: "https://h", DPoPBoundAccessTokensRequired: ptr(true)},
			`{"resource":"https://h","dpop_bound_access_tokens_required":true}`},
		{"the zero value", prm.Metadata{}, `{}`},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.m.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, tc.want, string(got))
		})
	}
}

func TestPRM15_ExtraNeverOverrides(t *testing.T) {
	for _, name := range []string{
		"resource", "authorization_servers", "dpop_bound_access_tokens_required", "signed_metadata", "resource_name#fr", "resource_tos_uri#",
		"Resource", "RESOURCE_NAME#fr", "Signed_Metadata", "\u017fcopes_supported", "jw\u212as_uri", "", "\xff",
	} {
		t.Run("PRM-15 "+strings.ToValidUTF8(name, "?"), func(t *testing.T) {
			m := least("https://h/mcp")
			m.Extra = map[string]any{name: "https://attacker.example"}
			_, err := m.MarshalJSON()
			require.ErrorContains(t, err, "extra member ")
			require.NotContains(t, err.Error(), "attacker")
			require.Equal(t, err.Error(), m.Validate().Error())
		})
	}
	m := least("https://h/mcp")
	m.Extra = map[string]any{"x_a": func() {}}
	require.ErrorContains(t, m.Validate(), `extra member "x_a" cannot be written as JSON`)
	_, err := m.MarshalJSON()
	require.ErrorContains(t, err, "x_a")
	m.Extra, m.Languages = nil, map[string]prm.Localized{"\xfe": {ResourceName: "a"}, "\xff": {ResourceName: "b"}}
	_, err = m.MarshalJSON()
	require.ErrorContains(t, err, "Languages[", "two broken tags must not become one member twice")
	m.Languages = nil
	m.Extra = map[string]any{"resources": 1, "x_resource#fr": 2, "jwks_uri#fr": 3}
	require.NoError(t, m.Validate(), "names that merely look alike")
}

func TestUnmarshalGivesBackWhatMarshalWrote(t *testing.T) {
	var got prm.Metadata
	require.NoError(t, json.Unmarshal([]byte(fullText), &got))
	want := full()
	want.Extra = map[string]any{"x_tier": json.Number("2"), "x_region": []any{"eu"}, "x_note#de": "<ja>"}
	require.Equal(t, *want, got)
}

func TestUnmarshalKeepsAnEmptyArrayApartFromAnAbsentOne(t *testing.T) {
	var got prm.Metadata
	require.NoError(t, json.Unmarshal([]byte(`{"resource":"https://h","scopes_supported":[],"signed_metadata":"a.b.c"}`), &got))
	require.NotNil(t, got.ScopesSupported)
	require.Nil(t, got.BearerMethodsSupported)
	require.Nil(t, got.Extra, "signed_metadata is passed over")
}

func TestUnmarshalRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"null", `null`, "not a JSON object"},
		{"an array", `[]`, "not a JSON object"},
		{"trailing data", `{} {}`, "not valid JSON"},
		{"truncated text", `{"resource":`, "not valid JSON"},
		{"a byte order mark", "\ufeff{}", "not valid JSON"},
		{"invalid UTF-8", "{\"x\":\"\xff\"}", "UTF-8"},
		{"a duplicate member", `{"resource":"https://a","resource":"https://b"}`, `"resource" appears twice`},
		{"a duplicate by escape", `{"resource":"https://a","r\u0065source":"https://b"}`, `"resource" appears twice`},
		{"a duplicate deep inside", `{"x":[{"y":{"z":1,"z":2}}]}`, `"z" appears twice`},
		{"a member in other case", `{"resource":"https://a","Resource":"https://b"}`, `"Resource" differs only in case from resource`},
		{"a folding letter", `{"re\u017fource":"https://b"}`, "differs only in case from resource"},
		{"a variant in other case", `{"Resource_Name#fr":"x"}`, "differs only in case from resource_name"},
		{"an empty name", `{"":1}`, "empty name"},
		{"a number for a string", `{"resource":1}`, `"resource" must be a string`},
		{"null for a string", `{"resource":null}`, `"resource" must be a string`},
		{"a string for an array", `{"scopes_supported":"a b"}`, `"scopes_supported" must be an array of strings`},
		{"a number in an array", `{"scopes_supported":["a",1]}`, `"scopes_supported"[1] must be a string`},
		{"a string for a boolean", `{"tls_client_certificate_bound_access_tokens":"true"}`, "must be true or false"},
		{"null for a boolean", `{"dpop_bound_access_tokens_required":null}`, "must be true or false"},
		{"a variant of the wrong type", `{"resource_name#fr":["x"]}`, `"resource_name#fr" must be a string`},
		{"too deep", `{"x":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested deeper"},
		{"far too deep", strings.Repeat("[", 100_000), "not valid JSON"},
		{"too long", `{"x":"` + strings.Repeat("a", 256<<10) + `"}`, "longer than"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := prm.Metadata{ResourceName: "before"}
			err := m.UnmarshalJSON([]byte(tc.text))
			require.ErrorContains(t, err, tc.want)
			require.Equal(t, prm.Metadata{ResourceName: "before"}, m, "a refused document changes nothing")
		})
	}
	err := new(prm.Metadata).UnmarshalJSON([]byte(`{"resource":1,"jwks_uri":2}`))
	require.ErrorContains(t, err, "resource")
	require.ErrorContains(t, err, "jwks_uri", "all mistakes at once")
}
