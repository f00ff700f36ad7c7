package layout

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestREADME keeps the program in README the one that compiles as an Example, its commands those of
// the gate, and its links alive.
func TestREADME(t *testing.T) {
	readme := read(t, "README.md")
	program := between(t, readme, "```go\nfunc main() {\n", "\n}\n```")
	example := between(t, read(t, "mcpauth/example_test.go"), "func Example() {\n", "\n}\n")
	require.Equal(t, example, program)
	require.LessOrEqual(t, strings.Count(program, "\n")+3, 25, "lines of the program")

	gate := read(t, ".ci/run")
	for command := range strings.SplitSeq(between(t, readme, "more.\n\n```sh\n", "\n```"), "\n") {
		for part := range strings.SplitSeq(command, " && ") {
			require.Contains(t, gate, part)
		}
	}

	links := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`).FindAllStringSubmatch(readme, -1)
	require.Greater(t, len(links), 5)
	for _, link := range links {
		if !strings.HasPrefix(link[1], "http") {
			require.FileExists(t, existing(filepath.Join(root, link[1])), link[1])
		}
	}
}

// existing stands a file of a folder in for the folder.
func existing(name string) string {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return filepath.Join(name, "go.mod")
	}
	return name
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(b)
}

func between(t *testing.T, text, from, to string) string {
	t.Helper()
	_, rest, ok := strings.Cut(text, from)
	require.True(t, ok, "no %q", from)
	inner, _, ok := strings.Cut(rest, to)
	require.True(t, ok, "no %q", to)
	return inner
}
