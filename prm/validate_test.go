package prm_test

import (
	"strings"
	"testing"

	"github.com/go-mcpauth/sdk/prm"
	"github.com/stretchr/testify/require"
)

func TestValidateNamesEachMistake(t *testing.T) {
	tests := []struct {
		name   string
		change func(*prm.Metadata)
		want   string // "" means accepted
	}{
		{"the full document", func(m *prm.Metadata) {}, ""},
		{"PRM-03 no resource", func(m *prm.Metadata) { m.Resource = "" }, "resource is empty; write"},
		{"PRM-04 no authorization server", func(m *prm.Metadata) { m.AuthorizationServers = nil }, "authorization_servers is empty; write"},
		{"PRM-04 an empty issuer", func(m *prm.Metadata) { m.AuthorizationServers = []string{""} }, "authorization_servers[0] is empty"},
		{"PRM-04 issuer over http", func(m *prm.Metadata) { m.AuthorizationServers = []string{"http://as.example.com"} }, "authorization_servers[0] uses http"},
		{"PRM-04 issuer over http on loopback", func(m *prm.Metadata) { m.AuthorizationServers = []string{"http://localhost:9000"} }, ""},
		{"PRM-04 issuer with a query", func(m *prm.Metadata) { m.AuthorizationServers = []string{"https://as.example.com?a"} }, "[0] has a query or fragment"},
		{"PRM-04 issuer with a fragment", func(m *prm.Metadata) { m.AuthorizationServers = []string{"https://as.example.com#"} }, "[0] has a query or fragment"},
		{"PRM-04 metadata URL in place of an issuer", func(m *prm.Metadata) {
			m.AuthorizationServers = []string{"https://as.example.com/.well-known/openid-configuration"}
		}, "write the issuer identifier without"},
		{"PRM-04 the same issuer twice", func(m *prm.Metadata) { m.AuthorizationServers = []string{"https://a", "https://a"} }, "authorization_servers[1] repeats"},
		{"PRM-04 two issuers, one with a slash at the end", func(m *prm.Metadata) { m.AuthorizationServers = []string{"https://a", "https://a/"} }, ""},
		{"PRM-06 offline_access", func(m *prm.Metadata) { m.ScopesSupported = []string{"a", "offline_access"} }, "scopes_supported[1] is offline_access"},
		{"PRM-06 scope with a space", func(m *prm.Metadata) { m.ScopesSupported = []string{"a b"} }, "scopes_supported[0] has a character"},
		{"PRM-06 scope with a quote", func(m *prm.Metadata) { m.ScopesSupported = []string{`a"`} }, "scopes_supported[0] has a character"},
		{"PRM-06 scope with a backslash", func(m *prm.Metadata) { m.ScopesSupported = []string{`a\`} }, "scopes_supported[0] has a character"},
		{"PRM-06 scope beyond ASCII", func(m *prm.Metadata) { m.ScopesSupported = []string{"é"} }, "scopes_supported[0] has a character"},
		{"PRM-06 empty scope", func(m *prm.Metadata) { m.ScopesSupported = []string{""} }, "scopes_supported[0] is empty"},
		{"PRM-06 scope twice", func(m *prm.Metadata) { m.ScopesSupported = []string{"a", "a"} }, "scopes_supported[1] repeats"},
		{"PRM-06 the outer characters of the grammar", func(m *prm.Metadata) { m.ScopesSupported = []string{"!#[]~"} }, ""},
		{"PRM-07 query", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{"header", "query"} }, `bearer_methods_supported[1] is "query"; write "header"`},
		{"PRM-07 body", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{"body"} }, `[0] is "body"; write "header"`},
		{"PRM-07 Header in capitals", func(m *prm.Metadata) { m.BearerMethodsSupported = []string{"Header"} }, `write "header"`},
		{"PRM-07 header although DPoP is required", func(m *prm.Metadata) { m.DPoPBoundAccessTokensRequired = ptr(true) }, "bearer_methods_supported contradicts"},
		{"PRM-07 no method where DPoP is required", func(m *prm.Metadata) { m.BearerMethodsSupported, m.DPoPBoundAccessTokensRequired = nil, ptr(true) }, ""},
		{"PRM-08 none", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = []string{"none"} }, `dpop_signing_alg_values_supported[0] is "none"`},
		{"PRM-08 HS256", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = []string{"HS256"} }, `[0] is "HS256"`},
		{"PRM-08 lower case", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = []string{"es256"} }, `[0] is "es256"`},
		{"PRM-08 encryption", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = []string{"RSA-OAEP"} }, `[0] is "RSA-OAEP"`},
		{"PRM-08 DPoP required without algorithms", func(m *prm.Metadata) {
			m.BearerMethodsSupported, m.DPoPSigningAlgValuesSupported, m.DPoPBoundAccessTokensRequired = nil, nil, ptr(true)
		}, "dpop_signing_alg_values_supported is empty"},
		{"PRM-09 algorithms without the boolean", func(m *prm.Metadata) { m.DPoPBoundAccessTokensRequired = nil }, "dpop_bound_access_tokens_required is absent"},
		{"PRM-09 false without algorithms", func(m *prm.Metadata) { m.DPoPSigningAlgValuesSupported = nil }, ""},
		{"PRM-10 control character in the name", func(m *prm.Metadata) { m.ResourceName = "a\nb" }, "resource_name has a control character"},
		{"PRM-10 name in broken UTF-8", func(m *prm.Metadata) { m.ResourceName = "a\xff" }, "resource_name is not valid UTF-8"},
		{"PRM-10 endless name", func(m *prm.Metadata) { m.ResourceName = strings.Repeat("a", 257) }, "resource_name is longer"},
		{"PRM-10 no name at all", func(m *prm.Metadata) { m.ResourceName, m.Languages = "", nil }, ""},
		{"PRM-10 variant without the plain member", func(m *prm.Metadata) { m.ResourceTOSURI = "" }, "resource_tos_uri#fr has no plain resource_tos_uri"},
		{"PRM-10 empty variant", func(m *prm.Metadata) { m.Languages["it"] = prm.Localized{} }, `Languages["it"] is empty`},
		{"PRM-10 no language tag", func(m *prm.Metadata) { m.Languages["f%s"] = prm.Localized{ResourceName: "x"} }, `Languages["f%s"] is no language tag`},
		{"PRM-10 one language in two spellings", func(m *prm.Metadata) { m.Languages["FR"] = prm.Localized{ResourceName: "x"} }, `differs from another tag only in case`},
		{"PRM-10 variant with a control character", func(m *prm.Metadata) { m.Languages["it"] = prm.Localized{ResourceName: "\x00"} }, `resource_name#it has a control`},
		{"PRM-10 variant URL over http", func(m *prm.Metadata) { m.Languages["it"] = prm.Localized{ResourcePolicyURI: "http://x.example"} }, `resource_policy_uri#it uses http`},
		{"PRM-11 documentation over http", func(m *prm.Metadata) { m.ResourceDocumentation = "http://x.example" }, "resource_documentation uses http"},
		{"PRM-11 policy with a password", func(m *prm.Metadata) { m.ResourcePolicyURI = "https://u:hunter2@x.example" }, "resource_policy_uri contains user information"},
		{"PRM-11 terms as a script", func(m *prm.Metadata) { m.ResourceTOSURI = "javascript:alert(1)" }, "resource_tos_uri is not an absolute URL"},
		{"PRM-11 terms by ftp", func(m *prm.Metadata) { m.ResourceTOSURI = "ftp://x.example/" }, `resource_tos_uri uses the scheme "ftp"; write https://`},
		{"PRM-11 jwks_uri over http", func(m *prm.Metadata) { m.JWKSURI = "http://x.example/jwks" }, "jwks_uri uses http"},
		{"PRM-11 jwks_uri with a fragment", func(m *prm.Metadata) { m.JWKSURI = "https://x.example/jwks#1" }, "jwks_uri has a fragment"},
		{"PRM-11 signing with none", func(m *prm.Metadata) { m.ResourceSigningAlgValuesSupported = []string{"None"} }, `resource_signing_alg_values_supported[0] is "None"`},
		{"PRM-11 signing with HS512", func(m *prm.Metadata) { m.ResourceSigningAlgValuesSupported = []string{"ES256", "HS512"} }, `[1] is "HS512"`},
		{"PRM-13 empty type", func(m *prm.Metadata) { m.AuthorizationDetailsTypesSupported = []string{""} }, "authorization_details_types_supported[0] is empty"},
		{"PRM-13 type twice", func(m *prm.Metadata) { m.AuthorizationDetailsTypesSupported = []string{"a", "a"} }, "authorization_details_types_supported[1] repeats"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			m := full()
			tc.change(m)
			err := m.Validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.Contains(t, err.Error(), "prm: ")
			require.NotContains(t, err.Error(), "\n", "one mistake, one line")
			require.NotContains(t, err.Error(), "hunter2")
			require.NotContains(t, err.Error(), "%!")
			_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{m}})
			require.ErrorContains(t, err, tc.want, "the handler publishes nothing that Validate refuses")
		})
	}
}

func TestValidateJoinsAllMistakes(t *testing.T) {
	m := &prm.Metadata{Resource: "http://h:0x#f", ScopesSupported: []string{"offline_access"}, BearerMethodsSupported: []string{"query"}, JWKSURI: "x", Extra: map[string]any{"resource": 1}}
	err := m.Validate()
	for _, want := range []string{"resource uses http", "authorization_servers", "scopes_supported[0]", "bearer_methods_supported[0]", "jwks_uri", "extra member"} {
		require.ErrorContains(t, err, want)
	}
	for line := range strings.Lines(err.Error()) {
		require.Regexp(t, `^prm: [a-z]`, line, "each line says what it is about")
		require.NotContains(t, line[1:], "prm: ")
		require.Contains(t, line, "; ")
	}
	_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{m}})
	for line := range strings.Lines(err.Error()) {
		require.Regexp(t, `^prm: Resources\[0\]: [a-z]`, line)
	}
	require.ErrorContains(t, err, "Resources[0]: resource has a malformed port")
	require.Error(t, (*prm.Metadata)(nil).Validate())
	require.Error(t, new(prm.Metadata).Validate(), "the zero value is refused")
}

func TestPRM10_LanguageTags(t *testing.T) {
	good := []string{"fr", "FR", "de-CH", "zh-Hant", "zh-Hant-TW", "es-419", "sl-rozaj-biske", "de-CH-1901", "zh-cmn-Hans-CN", "en-a-bbb-x-a-ccc", "x-whatever",
		"de-Latn-DE-u-co-phonebk", "abcd", "abcdefgh", "art-lojban", "aaa-bbb-ccc-ddd"}
	bad := []string{"", "f", "fr-", "-fr", "fr_FR", "fr FR", "fr--CH", "a-DE", "123", "abcdefghi", "fr-abcdefghi", "de-419-DE", "de-1901-1901", "en-a", "en-a-bbb-a-ccc",
		"x", "x-", "en-x", "fé", "i-klingon", "*", "fr#de", "abcd-efg", "de-1abc-a", strings.Repeat("en-", 30) + "x", "de-x-" + strings.Repeat("abcdefgh-", 9) + "a"}
	try := func(tag string) error {
		m := least("https://h/mcp")
		m.ResourceName = "n"
		m.Languages = map[string]prm.Localized{tag: {ResourceName: "n"}}
		return m.Validate()
	}
	for _, tag := range good {
		require.NoError(t, try(tag), tag)
	}
	for _, tag := range bad {
		require.ErrorContains(t, try(tag), "is no language tag", tag)
	}
}
