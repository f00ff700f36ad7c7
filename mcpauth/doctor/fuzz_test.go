package doctor_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/mcpauth/doctor"
)

// FuzzReadField: what was read and is written again reads the same, and the challenges of this library read as they were meant, by the
// grammar and by the regular expressions.
func FuzzReadField(f *testing.F) {
	for _, seed := range []string{
		"", "Bearer", `Bearer realm="x"`, `Bearer realm="x", scope="a b"`, `DPoP algs="ES256", Bearer scope=a`, `Negotiate abc==, Bearer realm="\"x\""`,
		`Bearer ,, realm="x",`, `Bearer realm="x" scope="y"`, `Bearer realm="x", realm="y"`, `Basic dXNlcg==`, "Bearer\trealm=x", `Bearer realm="`, `=x`, `Bearer realm = "x"`,
	} {
		f.Add(seed, "notes:read", "it is \"wrong\"")
	}
	f.Fuzz(func(t *testing.T, line, scope, description string) {
		schemes, params, ok := doctor.ReadField(line)
		if ok {
			var again []string
			for i, scheme := range schemes {
				var b strings.Builder
				b.WriteString(scheme)
				for j, name := range slices.Sorted(maps.Keys(params[i])) {
					b.WriteString([]string{" ", ", "}[min(j, 1)] + name + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(params[i][name]) + `"`)
				}
				again = append(again, b.String())
			}
			schemes2, params2, ok2 := doctor.ReadField(strings.Join(again, ", "))
			if len(strings.Join(again, ", ")) <= 16<<10 {
				require.True(t, ok2)
				require.Equal(t, schemes, schemes2)
				require.Equal(t, params, params2)
			}
		}
		c := authheader.Challenge{Scheme: "Bearer", Error: "invalid_token", ErrorDescription: description, Scope: scope, ResourceMetadata: "https://h/x"}
		_, params, ok = doctor.ReadField(c.String())
		if len(c.String()) > 16<<10 {
			return
		}
		require.True(t, ok)
		metadata, found := doctor.PatternReading(c.String())
		require.Equal(t, "https://h/x", params[0]["resource_metadata"])
		require.Equal(t, "https://h/x", metadata)
		require.Equal(t, params[0]["scope"], found)
	})
}

// FuzzInspect: no header and no claims break it, nothing of the signature is shown, and every word is fit for a terminal.
func FuzzInspect(f *testing.F) {
	f.Add(`{"alg":"RS256","typ":"at+jwt"}`, `{"iss":"https://i","aud":"https://r/mcp","exp":1,"scope":"a b","cnf":{"jkt":"x"}}`)
	f.Add(`{"alg":"none"}`, `{"iss":1,"aud":[1,"a"],"exp":"x","nbf":1e400,"realm_access":{"roles":[{}]},"resource_access":{"a":{"roles":["r"]}}}`)
	f.Add(`{}`, `{"cnf":1,"scp":["a","b"],"urn:zitadel:iam:org:project:roles":{"admin":{}},"typ":"ID"}`)
	f.Add("\x1b[2J", "\u202e")
	const signature = "c2lnbmF0dXJlLXNlY3JldA"
	f.Fuzz(func(t *testing.T, header, claims string) {
		enc := base64.RawURLEncoding.EncodeToString
		r, err := doctor.Inspect(enc([]byte(header))+"."+enc([]byte(claims))+"."+signature, doctor.InspectOptions{
			Resource: "https://r/mcp", Issuers: []string{"https://i"}, Scopes: []string{"a"}, Now: func() time.Time { return time.Unix(1_800_000_000, 0) },
		})
		if err != nil { // too long
			require.NotContains(t, err.Error(), signature)
			return
		}
		text, err := json.Marshal(r.Findings)
		require.NoError(t, err)
		require.NotEmpty(t, r.Findings)
		if !strings.Contains(claims+header, signature[:12]) {
			require.NotContains(t, string(text), signature[:12])
		}
		for _, c := range r.String() {
			require.True(t, c == '\n' || ' ' <= c && c <= '~')
		}
	})
}

// FuzzClean: whatever stands around it, no piece of a secret of twelve bytes gets through.
func FuzzClean(f *testing.F) {
	f.Add("abc", "xyz", "SECRET-0123456789")
	f.Add("SECRET-01234", "6789", "SECRET-0123456789SECRET-0123456789")
	f.Add("", "[secret]", "[secret][secret]")
	f.Fuzz(func(t *testing.T, before, after, secret string) {
		if len(secret) < 12 || strings.Contains(secret, "[secret]") || strings.Contains("[secret]", secret[:4]) {
			return
		}
		out := doctor.Clean(before+secret+after, secret)
		for i := 0; i+12 <= len(secret); i++ {
			piece := secret[i : i+12]
			if strings.Contains(piece, "?") || strings.ContainsAny(piece, "[]") { // may come from what stands for other text
				continue
			}
			require.NotContains(t, out, piece)
		}
	})
}
