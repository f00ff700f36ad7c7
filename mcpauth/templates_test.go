package mcpauth_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yosida95/uritemplate/v3"

	"github.com/go-mcpauth/sdk/scopes"
)

// AUTHZ-03: of many templates, all that match a URI must be met, and which they are is found without a try of each.
func TestAUTHZ03_AllTemplatesThatMatch(t *testing.T) {
	is := newIssuer(t)
	random := rand.New(rand.NewPCG(1, 2))
	one := func(list ...string) string { return list[random.IntN(len(list))] }
	literal := func() string { return one("", "a://", "a://b/", "a://b/c", "a://bb/", "a://b-c/", "a:", "z://b/c/d/") }
	matched := 0
	for range 60 {
		auth, _ := newAuth(t, is, nil)
		var texts []string
		for range 12 {
			text := literal() + one("{x}", "{+x}", "{x}/{y}", "{+x}.txt", "{/x}", "{?x}", "{x}{+y}", "é/{x}")
			if text[0] == '{' {
				text = "{+any}" + text
			}
			if slices.Contains(texts, text) {
				continue
			}
			auth.RequireResource(text, scopes.All(fmt.Sprintf("s%02d", len(texts))))
			texts = append(texts, text)
		}
		caller := principalOf(t, auth, is.token(t, claims{"scope": "none"}))
		for range 30 {
			uri := one("a://", "a://b/", "a://b/c", "a://bb/", "a://b-c/", "z://b/c/d/") + one("x", "x/y", "x.txt", "x/y.txt", "x/y/z", "é/x")
			var want []string
			found := false // the mapping opens nothing by itself
			for i, text := range texts {
				r, mapped := uritemplate.MustNew(text).Regexp(), strings.ReplaceAll(uri, "é", "%C3%A9") // RFC 3987, Section 3.1
				found = found || r.MatchString(uri)
				if r.MatchString(uri) || r.MatchString(mapped) {
					want = append(want, fmt.Sprintf("s%02d", i))
				}
			}
			if found && len(want) > 1 {
				matched++
			}
			got := outcome(auth, caller, "resources/read", uri)
			if !found {
				require.NotContains(t, got, "needs", "%s among %q", uri, texts)
				continue
			}
			needs := strings.Fields(strings.TrimPrefix(got, "needs "))
			slices.Sort(needs)
			require.Equal(t, want, needs, "%s among %q: %s", uri, texts, got)
		}
	}
	require.Greater(t, matched, 100)
}
