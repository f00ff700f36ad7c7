package authheader_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/authheader"
)

const prmURL = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"

// longScope has more tokens than are compared one by one, each named twice.
var longScope, longScopeOnce = func() (string, string) {
	var twice, once []string
	for i := range 100 {
		s := fmt.Sprintf("s:%d", i)
		once = append(once, s)
		twice = append(twice, s, fmt.Sprintf("s:%d", i/2))
	}
	return strings.Join(twice, " "), strings.Join(once, " ")
}()

var challengeTests = []struct {
	name string
	c    authheader.Challenge
	want string
}{
	{"W1 Bearer", authheader.Challenge{Scheme: "Bearer", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`Bearer resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"W1 DPoP", authheader.Challenge{Scheme: "DPoP", Algs: "ES256 EdDSA", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`DPoP algs="ES256 EdDSA", resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"W2", authheader.Challenge{Scheme: "Bearer", Error: "invalid_token", ErrorDescription: "The access token expired", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`Bearer error="invalid_token", error_description="The access token expired", resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"W3", authheader.Challenge{Scheme: "Bearer", Error: "insufficient_scope", ErrorDescription: "files:write is required for tool write_file", ResourceMetadata: prmURL, Scope: "mcp:read files:write"},
		`Bearer error="insufficient_scope", scope="mcp:read files:write", resource_metadata="` + prmURL + `", error_description="files:write is required for tool write_file"`},
	{"W3 DPoP, CH-21", authheader.Challenge{Scheme: "DPoP", Error: "insufficient_scope", Algs: "ES256 EdDSA", ErrorDescription: "more is needed", ResourceMetadata: prmURL, Scope: "mcp:read files:write"},
		`DPoP error="insufficient_scope", scope="mcp:read files:write", algs="ES256 EdDSA", resource_metadata="` + prmURL + `", error_description="more is needed"`},
	{"W4", authheader.Challenge{Scheme: "DPoP", Error: "invalid_dpop_proof", ErrorDescription: "htu does not match", Algs: "ES256 EdDSA", ResourceMetadata: prmURL},
		`DPoP error="invalid_dpop_proof", error_description="htu does not match", algs="ES256 EdDSA", resource_metadata="` + prmURL + `"`},
	{"W4 with scope", authheader.Challenge{Scheme: "DPoP", Error: "invalid_dpop_proof", ErrorDescription: "htu does not match", Algs: "ES256 EdDSA", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`DPoP error="invalid_dpop_proof", error_description="htu does not match", algs="ES256 EdDSA", resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"W5", authheader.Challenge{Scheme: "DPoP", Error: "use_dpop_nonce", ErrorDescription: "Resource server requires nonce in DPoP proof", Algs: "ES256 EdDSA", ResourceMetadata: prmURL},
		`DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof", algs="ES256 EdDSA", resource_metadata="` + prmURL + `"`},
	{"W6 Bearer", authheader.Challenge{Scheme: "Bearer", Error: "invalid_request", ErrorDescription: "More than one credential", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`Bearer error="invalid_request", error_description="More than one credential", resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"W6 DPoP", authheader.Challenge{Scheme: "DPoP", Error: "invalid_request", ErrorDescription: "More than one credential", Algs: "ES256", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`DPoP error="invalid_request", error_description="More than one credential", algs="ES256", resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"W7", authheader.Challenge{Scheme: "Bearer", Error: "insufficient_user_authentication", ErrorDescription: "A stronger login is needed", ACRValues: "urn:example:mfa", MaxAge: "300", ResourceMetadata: prmURL},
		`Bearer error="insufficient_user_authentication", error_description="A stronger login is needed", acr_values="urn:example:mfa", max_age="300", resource_metadata="` + prmURL + `"`},
	{"W7 DPoP", authheader.Challenge{Scheme: "DPoP", Error: "insufficient_user_authentication", ErrorDescription: "d", ACRValues: "a b", MaxAge: "0", Algs: "ES256", ResourceMetadata: prmURL, Scope: "mcp:read"},
		`DPoP error="insufficient_user_authentication", error_description="d", acr_values="a b", max_age="0", algs="ES256", resource_metadata="` + prmURL + `", scope="mcp:read"`},
	{"CH-25 realm first", authheader.Challenge{Scheme: "Bearer", Realm: "mcp", Error: "invalid_token", ErrorDescription: "d", ResourceMetadata: prmURL},
		`Bearer realm="mcp", error="invalid_token", error_description="d", resource_metadata="` + prmURL + `"`},
	{"CH-25 realm first in W3", authheader.Challenge{Scheme: "Bearer", Realm: "mcp", Error: "insufficient_scope", Scope: "a", ResourceMetadata: prmURL},
		`Bearer realm="mcp", error="insufficient_scope", scope="a", resource_metadata="` + prmURL + `"`},
	{"algs only on a DPoP line", authheader.Challenge{Scheme: "Bearer", Algs: "ES256", ResourceMetadata: prmURL}, `Bearer resource_metadata="` + prmURL + `"`},
	{"scheme alone", authheader.Challenge{Scheme: "Bearer"}, `Bearer`},
	{"scheme is written as given", authheader.Challenge{Scheme: "dpop", Algs: "ES256"}, `dpop algs="ES256"`},
	{"zero", authheader.Challenge{}, ``},
	{"no scheme", authheader.Challenge{Error: "invalid_token", ResourceMetadata: prmURL}, ``},
	{"scheme that is no token", authheader.Challenge{Scheme: "Bearer x", ResourceMetadata: prmURL}, ``},
	{"scheme with a line break", authheader.Challenge{Scheme: "Bearer\r\nX:", ResourceMetadata: prmURL}, ``},
	{"CH-05 no description without an error", authheader.Challenge{Scheme: "Bearer", ErrorDescription: "d", Scope: "a"}, `Bearer scope="a"`},
	{"CH-09 a repeated scope is named once", authheader.Challenge{Scheme: "Bearer", Scope: "a b a  b c a"}, `Bearer scope="a b c"`},
	{"CH-09 part of a scope is no repetition", authheader.Challenge{Scheme: "Bearer", Scope: "files:read files read files:"}, `Bearer scope="files:read files read files:"`},
	{"CH-09 many scopes", authheader.Challenge{Scheme: "Bearer", Scope: longScope}, `Bearer scope="` + longScopeOnce + `"`},
	{"CH-10 scopes outside the grammar are dropped", authheader.Challenge{Scheme: "Bearer", Scope: "ok \"q\" b\\s tab\tx é nul\x00 \r\nX:y fine!"}, `Bearer scope="ok fine!"`},
	{"CH-10 only bad scopes", authheader.Challenge{Scheme: "Bearer", Scope: `"`, ResourceMetadata: prmURL}, `Bearer resource_metadata="` + prmURL + `"`},
	{"CH-10 only bad scopes in W3", authheader.Challenge{Scheme: "Bearer", Error: "insufficient_scope", Scope: `" \`, ResourceMetadata: prmURL}, `Bearer error="insufficient_scope", resource_metadata="` + prmURL + `"`},
	{"CH-11 quotes in every value", authheader.Challenge{Scheme: "DPoP", Realm: `r"`, Error: `e"`, ErrorDescription: `d"`, Algs: `a"`, ACRValues: `v"`, ResourceMetadata: `m"`, Scope: `s"`, MaxAge: `1"`},
		`DPoP realm="r'", error="e'", error_description="d'", acr_values="v'", algs="a'", resource_metadata="m'"`},
	{"CH-11 a response splitting try", authheader.Challenge{Scheme: "Bearer", Error: "invalid_token", ErrorDescription: "x\"\r\nSet-Cookie: a=b\r\n\r\n\\\""},
		`Bearer error="invalid_token", error_description="x'  Set-Cookie: a:b    /'"`},
	{"CH-26 max_age must be digits", authheader.Challenge{Scheme: "Bearer", MaxAge: "-1", Scope: "a"}, `Bearer scope="a"`},
}

func TestChallenge(t *testing.T) {
	for _, tt := range challengeTests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, tt.c.String())
			require.Equal(t, "before"+tt.want, string(tt.c.Append([]byte("before"))))
		})
	}
}

func TestSDKClientReadsEveryChallenge(t *testing.T) {
	for _, tt := range challengeTests {
		if tt.want == "" {
			continue
		}
		t.Run(tt.name, func(t *testing.T) {
			got, err := oauthex.ParseWWWAuthenticate([]string{tt.want})
			require.NoError(t, err)
			require.Len(t, got, 1)
			scheme, params, err := strictParse(tt.want)
			require.NoError(t, err)
			require.Equal(t, strings.ToLower(scheme), got[0].Scheme)
			if len(params) == 0 {
				require.Empty(t, got[0].Params)
			} else {
				require.Equal(t, params, got[0].Params)
			}
		})
	}
}

// What JavaScript and Python clients run over the line, or over all lines joined with a comma. The second form takes unquoted values too.
var clientPatterns = []string{`%s="([^"]+)"`, `%s=(?:"([^"]+)"|([^\s,]+))`}

func clientReads(pattern, line, name string) string {
	m := regexp.MustCompile(fmt.Sprintf(pattern, name)).FindStringSubmatch(line)
	for _, s := range m[min(1, len(m)):] {
		if s != "" {
			return s
		}
	}
	return ""
}

func TestCH17_PatternsOfClientsReadTheLines(t *testing.T) {
	bearer := authheader.Challenge{Scheme: "Bearer", ResourceMetadata: prmURL, Scope: "mcp:read"}
	for _, tt := range []struct {
		name      string
		err, desc string
	}{
		{"no credentials", "", ""},
		{"bad token", "invalid_token", "The access token expired"},
		{"missing scope", "insufficient_scope", "files:write is required"},
		{"quotes in the description", "invalid_token", `", scope="evil", resource_metadata="https://evil.example/", x="`},
		{"parameters without quotes in the description", "invalid_token", `scope=evil resource_metadata=https://evil.example/ error=evil`},
		{"description that ends as a parameter begins", "invalid_token", `scope=`},
		{"escaped quotes in the description", "invalid_token", `\", scope=\"evil\"`},
		{"line breaks", "insufficient_scope", "\r\nscope=\"evil\""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := bearer
			b.Error, b.ErrorDescription = tt.err, tt.desc
			d := b
			d.Scheme, d.Algs = "DPoP", "ES256"
			require.True(t, strings.HasPrefix(b.String(), "Bearer "))
			for _, line := range []string{b.String(), b.String() + ", " + d.String()} {
				for _, p := range clientPatterns {
					require.Equal(t, prmURL, clientReads(p, line, "resource_metadata"))
					require.Equal(t, "mcp:read", clientReads(p, line, "scope"))
					require.Equal(t, tt.err, clientReads(p, line, "error"))
				}
			}
		})
	}
}

var descriptionTests = []struct{ name, in, want string }{
	{"empty", "", ""},
	{"plain text is kept", "The access token expired!", "The access token expired!"},
	{"CH-11 quotes and backslashes", `tool "a\b"`, `tool 'a/b'`},
	{"CH-11 line breaks", "a\r\nb\tc\nd", "a  b c d"},
	{"CH-11 control characters", "a\x00b\x1bc\x7fd", "a?b?c?d"},
	{"CH-11 one mark per character", "caf\u00e9 \u65e5\u672c", "caf? ??"},
	{"CH-11 bidi controls", "a\u202eb\u2066c", "a?b?c"},
	{"CH-11 invalid UTF-8", "a\xff\xfeb", "a??b"},
	{"= would begin a parameter", "scope=x", "scope:x"},
	{"longest", strings.Repeat("a", 200), strings.Repeat("a", 200)},
	{"one more", strings.Repeat("a", 201), strings.Repeat("a", 197) + "..."},
	{"the length counts characters", strings.Repeat("\u00e9", 200), strings.Repeat("?", 200)},
	{"far too long", strings.Repeat("\"", 1<<20), strings.Repeat("'", 197) + "..."},
}

func TestDescription(t *testing.T) {
	for _, tt := range descriptionTests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, authheader.Description(tt.in))
		})
	}
}

func TestCH10_ValidScope(t *testing.T) {
	var all []byte
	for b := byte(0x21); b < 0x7f; b++ {
		if b != '"' && b != '\\' {
			all = append(all, b)
		}
	}
	require.True(t, authheader.ValidScope(string(all)))
	for b := range 256 {
		s := string([]byte{'a', byte(b)})
		require.Equal(t, strings.ContainsRune(string(all), rune(b)) && b < 0x80, authheader.ValidScope(s), "%#x", b)
	}
	require.False(t, authheader.ValidScope(""))
	require.False(t, authheader.ValidScope("a b"))
}

// strictParse reads one challenge as RFC 9110, Section 11.6.1 writes it, parameters as name="value" separated by a comma and one space, and
// refuses everything else: a repeated name, an empty or escaped value, anything outside the characters of RFC 6750, Section 3.
func strictParse(line string) (string, map[string]string, error) {
	const param = `([a-z_]+)="([\x20-\x21\x23-\x5B\x5D-\x7E]+)"`
	if !regexp.MustCompile(`^[!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+( ` + param + `(, ` + param + `)*)?$`).MatchString(line) {
		return "", nil, fmt.Errorf("not a challenge: %q", line)
	}
	scheme, rest, _ := strings.Cut(line, " ")
	params := map[string]string{}
	for _, m := range regexp.MustCompile(param).FindAllStringSubmatch(rest, -1) {
		if _, ok := params[m[1]]; ok {
			return "", nil, fmt.Errorf("%s twice: %q", m[1], line)
		}
		params[m[1]] = m[2]
	}
	return scheme, params, nil
}

// FuzzChallenge: whatever the fields hold, a strict parser finds each parameter once, with the value that was given if that was in range.
func FuzzChallenge(f *testing.F) {
	for _, tt := range challengeTests {
		if len(tt.want) < 1<<10 {
			f.Add(tt.c.Scheme, tt.c.Realm, tt.c.Error, tt.c.ErrorDescription, tt.c.Scope, tt.c.ResourceMetadata, tt.c.Algs, tt.c.ACRValues, tt.c.MaxAge)
		}
	}
	for _, tt := range descriptionTests {
		if len(tt.in) > 1<<10 {
			continue
		}
		f.Add("DPoP", tt.in, "invalid_token", tt.in, tt.in, tt.in, tt.in, tt.in, tt.in)
	}
	inRange := regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)
	token := regexp.MustCompile(`^[!#$%&'*+\-.^_` + "`" + `|~0-9A-Za-z]+$`)
	f.Fuzz(func(t *testing.T, scheme, realm, code, desc, scope, meta, algs, acr, age string) {
		c := authheader.Challenge{Scheme: scheme, Realm: realm, Error: code, ErrorDescription: desc, Scope: scope, ResourceMetadata: meta, Algs: algs, ACRValues: acr, MaxAge: age}
		line := c.String()
		if !token.MatchString(scheme) {
			require.Empty(t, line)
			return
		}
		gotScheme, params, err := strictParse(line)
		require.NoError(t, err)
		require.Equal(t, scheme, gotScheme)

		sdk, err := oauthex.ParseWWWAuthenticate([]string{line})
		require.NoError(t, err)
		require.Len(t, sdk, 1)
		require.Equal(t, len(params), len(sdk[0].Params))
		for name, v := range sdk[0].Params {
			require.Equal(t, params[name], v)
		}

		want := map[string]string{"acr_values": acr, "resource_metadata": meta}
		if strings.EqualFold(scheme, "DPoP") {
			want["algs"] = algs
		}
		for name, v := range want {
			if inRange.MatchString(v) {
				require.Equal(t, v, params[name], name)
			} else {
				require.NotEmpty(t, params[name], name)
			}
		}
		for name, v := range map[string]string{"realm": realm, "error": code} {
			if inRange.MatchString(v) {
				require.Equal(t, strings.ReplaceAll(v, "=", ":"), params[name], name)
			}
		}
		if code == "" {
			require.NotContains(t, params, "error")
			require.NotContains(t, params, "error_description")
		} else {
			d := authheader.Description(desc)
			require.Equal(t, d, params["error_description"])
			require.Equal(t, d, authheader.Description(d), "reduced twice")
			require.LessOrEqual(t, len(d), authheader.MaxDescription)
			require.NotContains(t, d, "=")
			if inRange.MatchString(desc) && len(desc) <= authheader.MaxDescription {
				require.Equal(t, strings.ReplaceAll(desc, "=", ":"), d)
			}
		}
		var scopes []string
		seen := map[string]bool{}
		for _, s := range strings.Split(scope, " ") {
			if authheader.ValidScope(s) && !seen[s] {
				seen[s] = true
				scopes = append(scopes, s)
			}
		}
		require.Equal(t, strings.Join(scopes, " "), params["scope"])
		_, hasAge := params["max_age"]
		require.Equal(t, regexp.MustCompile(`^[0-9]+$`).MatchString(age), hasAge)
	})
}

func TestAppendAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 1024)
	c := challengeTests[3].c
	require.Zero(t, testing.AllocsPerRun(100, func() { buf = c.Append(buf[:0]) }))
}

func BenchmarkChallenge(b *testing.B) {
	c := challengeTests[3].c
	b.Run("Append", func(b *testing.B) {
		buf := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			buf = c.Append(buf[:0])
		}
	})
	b.Run("String", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = c.String()
		}
	})
}
