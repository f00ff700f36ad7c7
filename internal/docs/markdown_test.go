package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// A page is a file of Markdown.
type page struct {
	name  string // from the root of the repository, with slashes
	lines []string
}

// A block is a fenced one.
type block struct {
	page     string
	line     int // of the fence, from 1
	language string
	comment  string // the HTML comment directly above, without its marks
	text     string
}

// pages returns every page of the repository.
func pages(t *testing.T) []page {
	t.Helper()
	var out []page
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".md":
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, name)
		out = append(out, page{filepath.ToSlash(relative), strings.Split(string(text), "\n")})
		return err
	})
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(out, func(p page) bool { return p.name == "README.md" }))
	require.True(t, slices.ContainsFunc(out, func(p page) bool { return strings.HasPrefix(p.name, ".github/") }))
	return out
}

// blocks returns the fenced blocks of a page, and prose: its lines with those of blocks and comments left empty, so
// that they keep their numbers.
func (p page) blocks(t *testing.T) (out []block, prose []string) {
	t.Helper()
	prose = make([]string, len(p.lines))
	var open *block
	var body, comment []string
	inComment := false
	for i, line := range p.lines {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case open != nil && isFence:
			require.Empty(t, fence, "%s:%d: a fence within a block", p.name, i+1)
			open.text = strings.Join(body, "\n")
			out, open, comment = append(out, *open), nil, nil
		case open != nil:
			body = append(body, line)
		case inComment:
			if inComment = !strings.Contains(line, "-->"); inComment {
				comment = append(comment, line)
			} else {
				require.Equal(t, "-->", line, "%s:%d: the end of a comment stands by itself", p.name, i+1)
			}
		case isFence:
			open = &block{page: p.name, line: i + 1, language: fence, comment: strings.Join(comment, "\n")}
			body = nil
		case strings.HasPrefix(line, "<!--") && !strings.Contains(line, "-->"):
			inComment, comment = true, []string{strings.TrimPrefix(line, "<!--")}
		default:
			prose[i], comment = line, nil
		}
	}
	require.Nil(t, open, "%s: a block without an end", p.name)
	require.False(t, inComment, "%s: a comment without an end", p.name)
	return out, prose
}
