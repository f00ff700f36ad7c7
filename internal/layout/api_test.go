package layout

import (
	"bytes"
	"flag"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the files that hold the exported API")

// TestAPI compares the exported API with testdata, so that a change to it is seen in review, and
// demands a comment for every exported symbol.
func TestAPI(t *testing.T) {
	for _, pkg := range []string{
		"mcpauth", "mcpauth/audit", "mcpauth/doctor", "mcpauth/idp", "mcpauth/mcpauthtest", "mcpauth/policy", "mcpauth/redisstore", "prm", "scopes",
	} {
		t.Run(pkg, func(t *testing.T) {
			got := exported(t, pkg)
			golden := filepath.Join("testdata", filepath.Base(pkg)+".txt")
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o666))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got, "the exported API changed; if that is meant, run the test with -update and tell CHANGELOG")
		})
	}
}

// exported returns a line for each exported symbol, field and method of a package, sorted.
func exported(t *testing.T, pkg string) string {
	var lines []string
	fset := token.NewFileSet()
	entries, err := os.ReadDir(filepath.Join(root, pkg))
	require.NoError(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, filepath.Join(root, pkg, e.Name()), nil, parser.ParseComments)
		require.NoError(t, err)
		for _, decl := range f.Decls {
			lines = append(lines, declared(t, fset, decl)...)
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func declared(t *testing.T, fset *token.FileSet, decl ast.Decl) (lines []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if !d.Name.IsExported() || d.Recv != nil && !ast.IsExported(receiver(d)) {
			return nil
		}
		documented(t, d.Name, d.Doc)
		d.Body, d.Doc = nil, nil
		return []string{text(t, fset, d)}
	case *ast.GenDecl:
		var last *ast.ValueSpec // whose type and value a constant without any repeats
		for n, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.ValueSpec:
				if s.Type != nil || s.Values != nil {
					last = s
				}
				for i, name := range s.Names {
					if name.IsExported() {
						documented(t, name, d.Doc, s.Doc, s.Comment)
						lines = append(lines, d.Tok.String()+" "+name.Name+valueOf(t, fset, d.Tok, last, i, n))
					}
				}
			case *ast.TypeSpec:
				if !s.Name.IsExported() {
					continue
				}
				documented(t, s.Name, d.Doc, s.Doc)
				lines = append(lines, typeLines(t, fset, s)...)
			}
		}
	}
	return lines
}

// valueOf is the declared type, and of a constant its value, which programs and logs may compare: the texts of
// reasons are as much a promise as the names of functions.
func valueOf(t *testing.T, fset *token.FileSet, tok token.Token, s *ast.ValueSpec, i, iota int) (out string) {
	if s.Type != nil {
		out += " " + text(t, fset, s.Type)
	}
	if tok == token.CONST && i < len(s.Values) {
		value := text(t, fset, s.Values[i])
		if value == "iota" {
			value = strconv.Itoa(iota)
		}
		out += " = " + value
	}
	return out
}

func typeLines(t *testing.T, fset *token.FileSet, s *ast.TypeSpec) (lines []string) {
	prefix := "type " + s.Name.Name + " "
	if s.Assign.IsValid() {
		prefix += "= " // an alias
	}
	switch typ := s.Type.(type) {
	case *ast.StructType:
		lines = append(lines, prefix+"struct")
		// Without any comment among the fields, that of the type speaks for all of them.
		group := !slices.ContainsFunc(typ.Fields.List, func(f *ast.Field) bool { return f.Doc != nil || f.Comment != nil })
		for _, field := range typ.Fields.List {
			// A comment may stand for the fields directly below it as well.
			group = field.Doc != nil || field.Comment != nil || group
			if field.Names == nil { // embedded: its exported fields and methods are those of the struct
				lines = append(lines, prefix+"struct, "+text(t, fset, field.Type))
			}
			for _, name := range field.Names {
				if name.IsExported() {
					require.True(t, group, "field %s.%s has no comment", s.Name, name)
					lines = append(lines, prefix+"struct, "+name.Name+" "+text(t, fset, field.Type))
				}
			}
		}
	case *ast.InterfaceType:
		lines = append(lines, prefix+"interface")
		for _, method := range typ.Methods.List {
			if method.Names == nil {
				lines = append(lines, prefix+"interface, "+text(t, fset, method.Type))
			}
			for _, name := range method.Names {
				lines = append(lines, prefix+"interface, "+name.Name+strings.TrimPrefix(text(t, fset, method.Type), "func"))
			}
		}
	default:
		lines = append(lines, prefix+text(t, fset, typ))
	}
	return lines
}

func receiver(d *ast.FuncDecl) string {
	typ := d.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	if id, ok := typ.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func documented(t *testing.T, name *ast.Ident, docs ...*ast.CommentGroup) {
	for _, doc := range docs {
		if doc != nil {
			return
		}
	}
	t.Errorf("%s has no comment", name.Name)
}

func text(t *testing.T, fset *token.FileSet, node any) string {
	var buf bytes.Buffer
	require.NoError(t, format.Node(&buf, fset, node))
	return strings.Join(strings.Fields(buf.String()), " ")
}
