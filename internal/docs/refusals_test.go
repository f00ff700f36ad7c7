package docs

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/refusals.md and docs/providers/README.md")

const begin, end = "<!-- The tables below are generated: go test ./internal/docs -run TestRefusals -update -->", "<!-- End of the tables. -->"

// TestRefusals holds docs/refusals.md against the source: the comments of mcpauth/reason.go, the cures of
// mcpauth/cure.go, and the errors of internal/envelope.
func TestRefusals(t *testing.T) {
	generated(t, "docs/refusals.md", begin, end, "\n"+tables(t))
}

// generated holds what stands between two lines of a page against what it should be, or writes it there with -update.
func generated(t *testing.T, name, begin, end, want string) {
	t.Helper()
	name = filepath.Join(root, name)
	page, err := os.ReadFile(name)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(page), begin)
	require.True(t, ok, "no line %s", begin)
	got, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "no line %s", end)
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(before+begin+want+end+after), 0o666))
		return
	}
	lines := strings.Split(got, "\n")
	for i, line := range strings.Split(want, "\n") {
		require.Less(t, i, len(lines), "%q is missing; run the test with -update", line)
		require.Equal(t, line, lines[i], "the tables are not what the source says; run the test with -update")
	}
	require.Equal(t, want, got)
}

var headings = map[string]string{
	"Reasons of decisions about an operation.":                                             "Operations",
	"Reasons of refusals before there is a principal.":                                     "Credentials",
	"Reasons of refusals where possession of a key has to be proven (RFC 9449, RFC 8705).": "Proof of possession",
	"Reasons of refusals after authentication and before the rules.":                       "Requests",
}

// tables are everything that is generated.
func tables(t *testing.T) string {
	t.Helper()
	known := cures(t)
	var out strings.Builder
	groups := 0
	for _, decl := range parse(t, "mcpauth/reason.go").Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST || !strings.HasPrefix(group.Doc.Text(), "Reasons of ") {
			continue
		}
		title := headings[strings.TrimSpace(group.Doc.Text())]
		require.NotEmpty(t, title, "give the reasons under %q a heading here", group.Doc.Text())
		groups++
		fmt.Fprintf(&out, "\n## %s\n\n| Reason | Status | Meaning | The client gets | Cure |\n| --- | --- | --- | --- | --- |\n", title)
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			constant, reason := value.Names[0].Name, literal(t, value.Values[0])
			if constant == "ReasonAllowed" {
				continue
			}
			a := answerOf(t, constant, value.Comment.Text())
			require.NotEmpty(t, known[constant], "%s has no cure", constant)
			fmt.Fprintf(&out, "| `%s` | %s | %s | %s | %s |\n", reason, a.status, cell(a.meaning), a.seen, cell(known[constant]))
			delete(known, constant)
		}
	}
	require.Equal(t, len(headings), groups)
	require.Empty(t, known, "cures of no reason")

	fmt.Fprintf(&out, "\n## Bodies\n\nThese have one cure: %s.\n\n| Reason | Status | Meaning | The client gets |\n| --- | --- | --- | --- |\n", bodyCure(t))
	bodies := 0
	ast.Inspect(parse(t, "internal/envelope/error.go"), func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok || len(lit.Elts) != 3 {
			return true
		}
		code := lit.Elts[1].(*ast.UnaryExpr)
		fmt.Fprintf(&out, "| `%s` | 400 | %s | the meaning, in a JSON-RPC error with code -%s |\n",
			literal(t, lit.Elts[0]), cell(literal(t, lit.Elts[2])), code.X.(*ast.BasicLit).Value)
		bodies++
		return true
	})
	require.Greater(t, bodies, 10)
	return out.String() + "\n"
}

// An answer is what the comment of a reason says.
type answer struct{ status, meaning, seen string }

var comment = regexp.MustCompile(`^(\d{3}|unknown|guard)( [a-z_]+)?: (.+)\n$`)

func answerOf(t *testing.T, constant, text string) answer {
	t.Helper()
	found := comment.FindStringSubmatch(text)
	require.NotNil(t, found, "%s: the comment %q does not begin with the status, such as 401 invalid_token: or 403:", constant, text)
	status, code := found[1], strings.TrimSpace(found[2])
	a := answer{status: status, meaning: found[3]}
	switch {
	case status == "unknown":
		a.status, a.seen = "403", "what it would get if this did not exist"
	case status == "guard":
		a.status, a.seen = "403", "a JSON-RPC error with code 403"
	case code == "insufficient_scope":
		a.seen = "a challenge with `insufficient_scope` and the scopes to ask for"
	case code == "insufficient_user_authentication":
		a.seen = "a challenge with `insufficient_user_authentication`, `acr_values` and `max_age`"
	case code == "use_dpop_nonce":
		a.seen = "a challenge with `use_dpop_nonce`, and a `DPoP-Nonce`"
	case code != "":
		a.seen = "a challenge with `" + code + "`"
	case status == "401":
		a.seen = "a challenge without an error"
	case status == "403":
		a.seen = "no challenge"
	case status == "405":
		a.seen = "`Allow`"
	case status == "429" || status == "503":
		a.seen = "`Retry-After`"
	default:
		a.seen = "the status"
	}
	return a
}

// cures reads the map of mcpauth/cure.go.
func cures(t *testing.T) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, decl := range parse(t, "mcpauth/cure.go").Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		value := group.Specs[0].(*ast.ValueSpec)
		require.Equal(t, "cures", value.Names[0].Name)
		for _, e := range value.Values[0].(*ast.CompositeLit).Elts {
			pair := e.(*ast.KeyValueExpr)
			out[pair.Key.(*ast.Ident).Name] = literal(t, pair.Value)
		}
	}
	require.NotEmpty(t, out)
	return out
}

// bodyCure is the one in explainBody.
func bodyCure(t *testing.T) (cure string) {
	t.Helper()
	for _, decl := range parse(t, "mcpauth/reason.go").Decls {
		if f, ok := decl.(*ast.FuncDecl); ok && f.Name.Name == "explainBody" {
			ast.Inspect(f, func(n ast.Node) bool {
				if pair, ok := n.(*ast.KeyValueExpr); ok && pair.Key.(*ast.Ident).Name == "cure" {
					cure = literal(t, pair.Value)
				}
				return true
			})
		}
	}
	require.NotEmpty(t, cure)
	return cure
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
	require.NoError(t, err)
	return f
}

func literal(t *testing.T, e ast.Expr) string {
	t.Helper()
	lit, ok := e.(*ast.BasicLit)
	require.True(t, ok, "%T is no literal", e)
	text, err := strconv.Unquote(lit.Value)
	require.NoError(t, err)
	return text
}

// cell is a text as a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "*", `\*`).Replace(text)
}
