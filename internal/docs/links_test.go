package docs

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

var (
	inlineCode = regexp.MustCompile("`[^`]*`")
	link       = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading    = regexp.MustCompile(`^#{1,6} +(.+?)\s*$`)
	textOnly   = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestLinks follows every link to a file or a heading of this repository. Those to other hosts are not fetched.
func TestLinks(t *testing.T) {
	all := pages(t)
	anchors := make(map[string]map[string]bool)
	for _, p := range all {
		anchors[p.name] = p.anchors(t)
	}
	followed := 0
	for _, p := range all {
		_, prose := p.blocks(t)
		for i, line := range prose {
			for _, found := range link.FindAllStringSubmatch(inlineCode.ReplaceAllString(line, "`x`"), -1) {
				to := found[1]
				if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
					continue
				}
				followed++
				require.NoError(t, follow(p.name, to, anchors), "%s:%d", p.name, i+1)
			}
		}
	}
	require.Greater(t, followed, 50)
}

// follow looks whether a link on a page leads anywhere.
func follow(from, to string, anchors map[string]map[string]bool) error {
	file, anchor, hasAnchor := strings.Cut(to, "#")
	target := from
	if file != "" {
		target = path.Join(path.Dir(from), file)
		if path.IsAbs(file) || strings.HasPrefix(target, "..") {
			return fmt.Errorf("the link %q leads out of the repository", to)
		}
		if _, err := os.Stat(filepath.Join(root, target)); err != nil {
			return fmt.Errorf("the link %q: %w", to, err)
		}
	}
	if hasAnchor && !anchors[target][anchor] {
		return fmt.Errorf("the link %q: %s has no heading that makes #%s", to, target, anchor)
	}
	return nil
}

// anchors are the names that GitHub gives the headings of a page.
func (p page) anchors(t *testing.T) map[string]bool {
	t.Helper()
	out, seen := make(map[string]bool), make(map[string]int)
	_, prose := p.blocks(t)
	for _, line := range prose {
		found := heading.FindStringSubmatch(line)
		if found == nil {
			continue
		}
		name := slug(found[1])
		if n := seen[name]; n > 0 {
			out[fmt.Sprintf("%s-%d", name, n)] = true
		}
		out[name] = true
		seen[name]++
	}
	return out
}

func slug(heading string) string {
	text := strings.NewReplacer("`", "", "*", "").Replace(textOnly.ReplaceAllString(heading, "$1"))
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, text)
}

func TestSlug(t *testing.T) {
	for from, want := range map[string]string{
		"401 after a good login":           "401-after-a-good-login",
		"`invalid_target`, or `aud`":       "invalid_target-or-aud",
		"What Redis must be like: 3 rules": "what-redis-must-be-like-3-rules",
		"See [limits](x.md)":               "see-limits",
	} {
		require.Equal(t, want, slug(from))
	}
	all := map[string]map[string]bool{"docs/a.md": {"b": true}, "README.md": {}}
	require.NoError(t, follow("docs/a.md", "#b", all))
	require.NoError(t, follow("docs/clients/x.md", "../../README.md", all))
	require.ErrorContains(t, follow("docs/a.md", "#c", all), "no heading")
	require.ErrorContains(t, follow("docs/a.md", "missing.md", all), "missing.md")
	require.ErrorContains(t, follow("docs/a.md", "../../elsewhere.md", all), "leads out")
}

// TestOverview finds pages that nobody would find. Clients and providers have an overview of their own.
func TestOverview(t *testing.T) {
	overview, err := os.ReadFile(filepath.Join(root, "docs/README.md"))
	require.NoError(t, err)
	for _, p := range pages(t) {
		name, inDocs := strings.CutPrefix(p.name, "docs/")
		listed := path.Base(name) != "README.md" && (path.Dir(name) == "clients" || path.Dir(name) == "providers")
		if inDocs && name != "README.md" && !listed {
			require.True(t, strings.Contains(string(overview), "]("+name+")"), "docs/README.md does not link %s", name)
		}
	}
}
