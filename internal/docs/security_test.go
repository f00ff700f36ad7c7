package docs

import (
	"bytes"
	"go/ast"
	"go/constant"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const securityPage = "docs/security.md"

var (
	limitRow  = regexp.MustCompile(`^\| (.+) \| ([^|]+) \| [^|]+ \| \[([\w.]+)\]\(([^)]+\.go)\) \|$`)
	namedTest = regexp.MustCompile(`\[((?:Test|Fuzz)\w+)\]\(([^)]+_test\.go)\)`)
)

// TestLimitsAndTimes holds the numbers of docs/security.md against the source: against a constant, or, for a name that
// begins with Config, against what a constructor puts into that field where it is zero.
func TestLimitsAndTimes(t *testing.T) {
	rows := 0
	for _, line := range sectionOf(t, "## Limits and times") {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| What |") {
			continue
		}
		row := limitRow.FindStringSubmatch(line)
		require.NotNil(t, row, "%q has not the form of a row: what, value, how to change it, a link to the code", line)
		rows++
		t.Run(row[1], func(t *testing.T) {
			want, ok := quantity(row[2])
			require.True(t, ok, "%q is no quantity; write it as 16 KiB, 30 s or 1,024", row[2])
			got := valueOf(t, path.Join("docs", row[4]), row[3])
			require.Equal(t, want, got, "%s of %s is another value", row[3], row[4])
		})
	}
	require.Greater(t, rows, 40)
}

// TestNamedTests finds links to a test that is not in that file.
func TestNamedTests(t *testing.T) {
	found := 0
	for _, p := range pages(t) {
		_, prose := p.blocks(t)
		for i, line := range prose {
			for _, m := range namedTest.FindAllStringSubmatch(line, -1) {
				found++
				file := path.Join(path.Dir(p.name), m[2])
				text, err := os.ReadFile(filepath.Join(root, file))
				require.NoError(t, err, "%s:%d", p.name, i+1)
				require.True(t, bytes.Contains(text, []byte("\nfunc "+m[1]+"(")), "%s:%d: %s has no %s", p.name, i+1, file, m[1])
			}
		}
	}
	require.Greater(t, found, 40)
}

// sectionOf are the lines of docs/security.md from a heading to the next one of its rank.
func sectionOf(t *testing.T, heading string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, securityPage))
	require.NoError(t, err)
	_, after, ok := strings.Cut(string(text), "\n"+heading+"\n")
	require.True(t, ok, "%s has no heading %q", securityPage, heading)
	section, _, _ := strings.Cut(after, "\n## ")
	return strings.Split(section, "\n")
}

var units = map[string]int64{
	"KiB": 1 << 10, "MiB": 1 << 20, "ms": 1_000_000, "s": 1_000_000_000, "min": 60_000_000_000, "h": 3_600_000_000_000,
}

// quantity reads what the page writes: a number with commas, and perhaps a unit. Times are in nanoseconds, as Go has them.
func quantity(text string) (int64, bool) {
	number, unit, hasUnit := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseInt(strings.ReplaceAll(number, ",", ""), 10, 64)
	if err != nil {
		return 0, false
	}
	if !hasUnit {
		return n, true
	}
	factor, ok := units[unit]
	return n * factor, ok
}

// valueOf finds the value that a file gives to a constant, or to a field of its cfg.
func valueOf(t *testing.T, file, name string) int64 {
	t.Helper()
	field, isField := strings.CutPrefix(name, "Config.")
	var found []int64
	take := func(e ast.Expr) {
		if n, ok := evaluate(t, e); ok && n > 0 {
			found = append(found, n)
		}
	}
	ast.Inspect(parse(t, file), func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, id := range n.Names {
				if !isField && id.Name == name && i < len(n.Values) {
					take(n.Values[i])
				}
			}
		case *ast.AssignStmt: // cfg.MaxKeys = 1024
			if isField && len(n.Lhs) == 1 && isFieldOfConfig(n.Lhs[0], field) {
				take(n.Rhs[0])
			}
		case *ast.CallExpr: // or(&cfg.Cooldown, 10*time.Second)
			if len(n.Args) != 2 || !isField {
				return true
			}
			if address, ok := n.Args[0].(*ast.UnaryExpr); ok && address.Op == token.AND && isFieldOfConfig(address.X, field) {
				take(n.Args[1])
			}
		}
		return true
	})
	require.Len(t, found, 1, "%s must give %s one constant value", file, name)
	return found[0]
}

func isFieldOfConfig(e ast.Expr, field string) bool {
	selector, ok := e.(*ast.SelectorExpr)
	if !ok || selector.Sel.Name != field {
		return false
	}
	of, ok := selector.X.(*ast.Ident)
	return ok && of.Name == "cfg"
}

// durations are the constants of package time, which an expression may name.
var durations = strings.NewReplacer(
	"time.Hour", "3600000000000", "time.Minute", "60000000000", "time.Second", "1000000000", "time.Millisecond", "1000000",
)

// evaluate computes an expression of literals and durations.
func evaluate(t *testing.T, e ast.Expr) (int64, bool) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, printer.Fprint(&text, token.NewFileSet(), e))
	plain := durations.Replace(text.String())
	if _, err := parser.ParseExpr(plain); err != nil {
		return 0, false
	}
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, plain)
	if err != nil || v.Value == nil {
		return 0, false
	}
	return constant.Int64Val(constant.ToInt(v.Value))
}
