package mcpauthtest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

const nonceChallenge = `DPoP error="use_dpop_nonce", error_description="Resource server requires nonce in DPoP proof", algs="ES256 EdDSA", resource_metadata="https://mcp.example.com/x"`

var challengeLines = map[string]string{ // line: error of the first DPoP challenge that has one
	"":                                "",
	nonceChallenge:                    "use_dpop_nonce",
	`dpop ERROR = use_dpop_nonce`:     "use_dpop_nonce",
	`DPoP`:                            "",
	`Negotiate, DPoP error="a"`:       "a",
	`Negotiate abc==, DPoP error="a"`: "a",
	`Basic realm="x", DPoP error="a"`: "a",
	`Bearer error="a", DPoP algs="b"`: "",
	`DPoP algs="b", Bearer error="a"`: "",
	`,, DPoP error="a" ,, `:           "a",
	`Bearer x="DPoP error=\"a\""`:     "",
	`Bearer x="y, DPoP error=a"`:      "",
	`DPoP error="a\"b"`:               `a"b`,
	`DPoP error="a", error="b"`:       "", // nobody can say which
	`DPoP error="a`:                   "",
	`DPoP error="a" junk`:             "",
	`DPoP error=`:                     "",
	`DPoP error="a\`:                  "",
	`DPoP, error="a"`:                 "a", // a scheme without parameters, says RFC 9110, or one with: taken as the latter
	`x/y error="a"`:                   "",
	`DPoP error="a"` + "\x00":         "",
	`DPoP abc/+._-~==, error="x"`:     "",
	`Bearer "DPoP error=\"a\""`:       "",
	`DPoP error="` + strings.Repeat("a", 20000) + `"`: "",
	`DPoP algs="ES256",error="a"`:                     "a",
	"DPoP\terror=\"a\"":                               "a",
	`DPoPError error="use_dpop_nonce"`:                "",
}

func TestErrorsOfChallenges(t *testing.T) {
	for line, want := range challengeLines {
		require.Equal(t, want, mcpauthtest.NonceError([]string{line}), "%.80q", line)
	}
	require.Equal(t, "a", mcpauthtest.NonceError([]string{`Bearer error="x"`, `broken "`, `DPoP error="a"`}), "a line each")
}

// What was read and is written in one spelling reads the same.
func FuzzChallenges(f *testing.F) {
	for line := range challengeLines {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		first := mcpauthtest.Challenges(line)
		var parts []string
		for _, ch := range first {
			part := ch[" scheme"]
			if ch[" token68"] != "" {
				part += " " + ch[" token68"]
			}
			glue := " "
			for name, value := range ch {
				if strings.HasPrefix(name, " ") {
					continue
				}
				value = strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)
				part += glue + name + `="` + value + `"`
				glue = ", "
			}
			parts = append(parts, part)
		}
		again := strings.Join(parts, ", ")
		if len(again) > 16<<10 {
			return // escapes have made it too long
		}
		require.Equal(t, first, mcpauthtest.Challenges(again), "%q", again)
	})
}
