package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/idp"
)

const (
	providers      = "docs/providers/"
	beginProviders = "<!-- The table below is generated: go test ./internal/docs -run TestProviders -update -->"
	endProviders   = "<!-- End of the table. -->"
)

// TestProviders holds the table of docs/providers/README.md against the data of the presets.
func TestProviders(t *testing.T) {
	generated(t, providers+"README.md", beginProviders, endProviders, providerTable(t))
}

func providerTable(t *testing.T) string {
	t.Helper()
	all := providerPages(t)
	var out strings.Builder
	out.WriteString("\n\n| Provider | JWT or opaque | aud | Scopes | Roles | Clients | resource |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, p := range idp.Presets() {
		cells := []string{fmt.Sprintf("[%s](%s)", p.Provider, path.Base(pageOf(t, all, p).name))}
		for _, about := range []idp.About{idp.AboutFormat, idp.AboutAudience, idp.AboutScopes, idp.AboutRoles, idp.AboutClients, idp.AboutResource} {
			i := slices.IndexFunc(p.Facts, func(f idp.Fact) bool { return f.About == about })
			require.GreaterOrEqual(t, i, 0, "%s: %s", p.Provider, about)
			says := cell(p.Facts[i].Says)
			if !p.Facts[i].Verified {
				says = "*" + says + "*"
			}
			cells = append(cells, says)
		}
		out.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	return out.String() + "\n"
}

// providerPages are those under docs/providers, but for the table.
func providerPages(t *testing.T) (out []page) {
	t.Helper()
	for _, p := range pages(t) {
		if strings.HasPrefix(p.name, providers) && p.name != providers+"README.md" {
			out = append(out, p)
		}
	}
	require.Greater(t, len(out), 20)
	return out
}

// pageOf returns the one page whose Go has the very call of the preset's example, which is known not to panic.
func pageOf(t *testing.T, all []page, p idp.Preset) page {
	t.Helper()
	call := squeezed(p.Call)
	var found []page
	for _, candidate := range all {
		blocks, _ := candidate.blocks(t)
		if slices.ContainsFunc(blocks, func(b block) bool { return b.language == "go" && strings.Contains(squeezed(b.text), call) }) {
			found = append(found, candidate)
		}
	}
	require.Len(t, found, 1, "one page under %s has a snippet of Go with %s", providers, p.Call)
	return found[0]
}

func squeezed(code string) string { return strings.Join(strings.Fields(code), "") }

// TestProviders_EveryPreset finds the page of every function of package idp that makes an issuer.
func TestProviders_EveryPreset(t *testing.T) {
	all := providerPages(t)
	shown := make(map[string]bool)
	for _, p := range idp.Presets() {
		expr, err := parser.ParseExpr(p.Call)
		require.NoError(t, err)
		shown[expr.(*ast.CallExpr).Fun.(*ast.SelectorExpr).Sel.Name] = true
		pageOf(t, all, p)
	}
	functions := 0
	files, err := filepath.Glob(filepath.Join(root, "mcpauth/idp/*.go"))
	require.NoError(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, decl := range parse(t, "mcpauth/idp/"+filepath.Base(name)).Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() && f.Name.Name != "Presets" {
				require.True(t, shown[f.Name.Name], "idp.%s has no page under %s", f.Name.Name, providers)
				functions++
			}
		}
	}
	require.Greater(t, functions, 20)
}

var (
	reasonLink = regexp.MustCompile("\\[`([a-z_]+)`\\]\\(\\.\\./refusals\\.md#([a-z-]+)\\)")
	doctorFlag = regexp.MustCompile(`(?:^| )-([a-z-]+)`)
	flagName   = regexp.MustCompile(`(?s)fs\.(?:\w*Var)\([^"]*"([a-z-]+)"`)
)

// TestProviders_Pages looks for what every page must have, that its reasons exist where it links to, and that its commands have flags
// that the doctor knows, before the URL.
func TestProviders_Pages(t *testing.T) {
	index, err := os.ReadFile(filepath.Join(root, providers+"README.md"))
	require.NoError(t, err)
	under := reasonHeadings(t)
	flags := doctorFlags(t)
	for _, p := range providerPages(t) {
		t.Run(path.Base(p.name), func(t *testing.T) {
			require.Contains(t, string(index), "]("+path.Base(p.name)+")", "no link in README.md")
			text := strings.Join(p.lines, "\n")
			require.Contains(t, text, "mcpauthtest.NewIssuer", "how to test")
			require.Contains(t, text, "mcpauth-doctor", "how to try")
			require.True(t, strings.Contains(text, "**Not tried against the live service.**") && strings.Contains(text, "\n## Sources\n") ||
				strings.Contains(text, "**Tried") || path.Base(p.name) == "other.md", "what that rests on")
			links := reasonLink.FindAllStringSubmatch(text, -1)
			require.NotEmpty(t, links, "what goes wrong")
			for _, found := range links {
				require.Equal(t, under[found[1]], found[2], "the heading of %s in docs/refusals.md", found[1])
			}
			for _, line := range p.lines {
				_, command, ok := strings.Cut(line, "cmd/mcpauth-doctor ")
				if !ok {
					continue
				}
				command, _, _ = strings.Cut(command, " #")
				arguments, _, hasURL := strings.Cut(command, "https://mcp.example.com/mcp")
				if hasURL && !strings.HasPrefix(command, "token ") {
					require.False(t, strings.HasSuffix(strings.TrimSpace(line), "TOKEN"), "flags come before the URL: %s", line)
				}
				for _, found := range doctorFlag.FindAllStringSubmatch(arguments, -1) {
					require.True(t, flags[found[1]], "-%s is no flag of the doctor: %s", found[1], line)
				}
			}
		})
	}
}

// reasonHeadings says under which heading of docs/refusals.md a reason stands.
func reasonHeadings(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/refusals.md"))
	require.NoError(t, err)
	out, current := make(map[string]string), ""
	for line := range strings.Lines(string(text)) {
		if found := heading.FindStringSubmatch(strings.TrimSpace(line)); found != nil {
			current = slug(found[1])
		}
		if reason, ok := strings.CutPrefix(line, "| `"); ok {
			reason, _, _ = strings.Cut(reason, "`")
			out[reason] = current
		}
	}
	require.Greater(t, len(out), 80)
	return out
}

// doctorFlags are those of both forms of the command.
func doctorFlags(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "mcpauth/cmd/mcpauth-doctor/*.go"))
	require.NoError(t, err)
	out := make(map[string]bool)
	for _, name := range files {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, found := range flagName.FindAllStringSubmatch(string(text), -1) {
			out[found[1]] = true
		}
	}
	for _, name := range []string{"token-env", "token-file", "resource", "issuer", "scope", "call", "arguments"} {
		require.True(t, out[name], name)
	}
	return out
}
