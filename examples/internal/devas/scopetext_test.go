package devas_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/scopes"
)

// permissions are what the consent page says about each scope, without markup and white space.
func permissions(p *openPage) (out []string) {
	_, list, _ := strings.Cut(p.Body, "<legend>Permissions</legend>")
	list, _, _ = strings.Cut(list, "</ul>")
	for _, li := range strings.Split(list, "<li")[1:] {
		out = append(out, strings.Join(strings.Fields(regexp.MustCompile(`<[^>]*>|^[^>]*>`).ReplaceAllString(li, " ")), " "))
	}
	return out
}

// withWords is a resource without words of its own for two of its scopes.
func withWords(words func() []scopes.Description) func(*devas.Config) {
	return func(c *devas.Config) {
		c.Resources[0].Scopes = []devas.Scope{{Name: "notes:read"}, {Name: "notes:write"}, {Name: "notes:burn", Text: "Burn notes"}}
		c.Resources[0].ScopeNames = words
	}
}

const allThree = "notes:read notes:write notes:burn"

func TestAS40_ScopesInTheWordsOfTheServer(t *testing.T) {
	words := []scopes.Description{
		{Name: "notes:read", Title: "Look at notes", Description: "Yours only."}, {Name: "notes:read", Title: "A second one does not count"},
		{Name: "notes:burn", Title: "Keep warm", Description: "Harmless."}, {Name: "other", Title: "Another scope"},
	}
	e := start(t, withWords(func() []scopes.Description { return words }))
	id := e.newClient()
	b, p := e.consentPage(id, "dev", "scope", allThree)
	require.Equal(t, []string{"Look at notes Yours only. notes:read", "notes:write notes:write", "Burn notes notes:burn"}, permissions(p),
		"what this server says itself comes first")
	require.NotContains(t, p.Body, "Another scope")

	// The answer is the same as ever.
	page, err := b.Submit(t.Context(), p, decisionForm(t, p), url.Values{"decision": {"approve"}, "scope": strings.Fields(allThree)})
	require.NoError(t, err)
	code := b.arrive(e, page).Get("code")
	require.Equal(t, allThree, e.token(exchange(id, code)).str("scope"))
	require.Contains(t, b.open(e, e.issuer+"/account").Body, "Look at notes", "the list of what was approved says the same")
	require.Contains(t, e.get("/signin").Raw, "Look at notes")

	t.Run("as they are now", func(t *testing.T) {
		words = []scopes.Description{{Name: "notes:write", Title: "Take notes"}}
		_, p := e.consentPage(id, "dev", "scope", allThree)
		require.Equal(t, []string{"notes:read notes:read", "Take notes notes:write", "Burn notes notes:burn"}, permissions(p))
	})
	t.Run("none", func(t *testing.T) {
		words = nil
		_, p := e.consentPage(id, "dev", "scope", "notes:read")
		require.Equal(t, []string{"notes:read notes:read"}, permissions(p))
	})
	t.Run("never in a form of administrators, which would save them as their own", func(t *testing.T) {
		e := start(t, withWords(func() []scopes.Description { return []scopes.Description{{Name: "notes:read", Title: "Look at notes"}} }))
		for _, s := range e.srv.Servers() {
			require.Empty(t, s.Scopes[0].Title)
		}
	})
}

func TestAS45_TheWordsOfTheServerAreForeign(t *testing.T) {
	hostile := "</code></li></ul><script>alert(1)</script>\u202eevil\u2066\u0007\u200b\n line " + strings.Repeat("e\u0301\u0301\u0301", 500)
	e := start(t, withWords(func() []scopes.Description {
		return []scopes.Description{{Name: "notes:read", Title: hostile, Description: hostile}, {Name: "notes:write", Title: "\u202e\u200b\u3164", Description: "\u2066"}}
	}))
	_, p := e.consentPage(e.newClient(), "dev", "scope", allThree)
	require.NotContains(t, p.Body, "<script>alert")
	for _, r := range "\u202e\u2066\u0007\u200b\u3164" {
		require.NotContains(t, p.Body, string(r))
	}
	all := permissions(p)
	require.Len(t, all, 3, "no text ends the list")
	require.Contains(t, all[0], "&lt;script&gt;alert(1)&lt;/script&gt;evil line e")
	require.Less(t, len([]rune(all[0])), 700)
	require.NotContains(t, p.Body, "\u0301\u0301\u0301")
	require.Equal(t, "notes:write notes:write", all[1], "what shows nothing is no name")
	require.Equal(t, 2, strings.Count(p.Body, "<bdi>&lt;/code&gt;"), "text from right to left keeps to its place")
	require.Equal(t, 1, strings.Count(p.Body, `value="notes:read"`))
}
