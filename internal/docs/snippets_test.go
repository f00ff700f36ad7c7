package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

const (
	module     = "github.com/go-mcpauth/sdk/"
	redisstore = module + "mcpauth/redisstore"
)

// known are the packages that fragments may name without an import.
var known = map[string]string{
	"mcpauth": module + "mcpauth", "scopes": module + "scopes", "policy": module + "mcpauth/policy", "audit": module + "mcpauth/audit",
	"idp": module + "mcpauth/idp", "mcpauthtest": module + "mcpauth/mcpauthtest", "prm": module + "prm", "redisstore": redisstore,
	"mcp": "github.com/modelcontextprotocol/go-sdk/mcp", "auth": "github.com/modelcontextprotocol/go-sdk/auth",
	"oauthex": "github.com/modelcontextprotocol/go-sdk/oauthex", "extauth": "github.com/modelcontextprotocol/go-sdk/auth/extauth", "redis": "github.com/redis/go-redis/v9",
	"context": "context", "errors": "errors", "fmt": "fmt", "json": "encoding/json", "log": "log", "slog": "log/slog",
	"net": "net", "http": "net/http", "httputil": "net/http/httputil", "netip": "net/netip", "url": "net/url", "os": "os", "signal": "os/signal",
	"sync": "sync", "sql": "database/sql", "strings": "strings", "testing": "testing", "time": "time", "tls": "crypto/tls", "crypto": "crypto", "rand": "crypto/rand",
}

// folders are the modules from which packages come: what needs Redis is in one of its own.
var folders = []string{".", "mcpauth/redisstore"}

// TestSnippets type-checks every block of Go on every page.
func TestSnippets(t *testing.T) {
	sources := make(map[string][]source)
	for _, p := range pages(t) {
		blocks, _ := p.blocks(t)
		for _, b := range blocks {
			if b.language == "go" {
				s := sourceOf(t, b)
				sources[s.folder] = append(sources[s.folder], s)
			}
		}
	}
	require.Greater(t, len(sources["."]), 20)
	for _, folder := range folders {
		check := newChecker(t, folder, sources[folder])
		for _, s := range sources[folder] {
			t.Run(s.name, func(t *testing.T) {
				for _, err := range check(s) {
					t.Error(err)
				}
			})
		}
	}
}

// A source is a block made into a file.
type source struct {
	name    string
	folder  string // of the module
	text    string
	imports []string
}

// sourceOf puts around a block what it lacks. Positions are those of the page.
func sourceOf(t *testing.T, b block) source {
	t.Helper()
	s := source{name: fmt.Sprintf("%s:%d", b.page, b.line), folder: "."}
	here := fmt.Sprintf("//line %s:%d\n", filepath.Base(b.page), b.line+1)
	if strings.HasPrefix(b.text, "package ") {
		s.text = here + b.text
	} else {
		before, after := "", ""
		if b.comment != "" {
			what, declared, _ := strings.Cut(b.comment, "\n")
			require.Equal(t, " go", what, "%s: the comment above declares names for the block, and begins with <!-- go", s.name)
			before, after, _ = strings.Cut(declared+"\n", "\n...\n")
		}
		body := before + "\n" + here + b.text + "\n" + after
		if _, err := parser.ParseFile(token.NewFileSet(), "", "package snippet\n"+body, parser.SkipObjectResolution); err != nil && after == "" {
			body = before + "\nfunc _() {\n" + here + b.text + "\n}"
		}
		s.text = "package snippet\n" + imports(t, body) + body
	}
	f, err := parser.ParseFile(token.NewFileSet(), s.name, s.text, parser.SkipObjectResolution)
	require.NoError(t, err, s.text)
	for _, spec := range f.Imports {
		name := strings.Trim(spec.Path.Value, `"`)
		s.imports = append(s.imports, name)
		if name == redisstore {
			s.folder = "mcpauth/redisstore"
		}
	}
	return s
}

// imports are for the packages that a fragment names and does not declare.
func imports(t *testing.T, body string) string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "", "package snippet\n"+body, 0)
	require.NoError(t, err, body)
	var out []string
	for _, id := range f.Unresolved { // what a fragment leaves open
		if path, ok := known[id.Name]; ok {
			out = append(out, fmt.Sprintf("import %s %q\n", id.Name, path))
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), "")
}

// newChecker compiles the packages of one module that the sources need, and returns what checks one of them.
func newChecker(t *testing.T, folder string, sources []source) func(source) []error {
	t.Helper()
	var wanted []string
	for _, s := range sources {
		wanted = append(wanted, s.imports...)
	}
	slices.Sort(wanted)
	if wanted = slices.Compact(wanted); len(wanted) == 0 {
		return nil
	}
	cmd := exec.Command("go", append([]string{"list", "-export", "-deps", "-json=ImportPath,Export", "--"}, wanted...)...)
	cmd.Dir = filepath.Join(root, folder)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	exports := make(map[string]string)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct{ ImportPath, Export string }
		if err := d.Decode(&pkg); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(t, err)
		}
		exports[pkg.ImportPath] = pkg.Export
	}
	fset := token.NewFileSet()
	from := importer.ForCompiler(fset, "gc", func(path string) (io.ReadCloser, error) { return os.Open(exports[path]) })
	return func(s source) (found []error) {
		f, err := parser.ParseFile(fset, s.name, s.text, 0)
		if err != nil {
			return []error{err}
		}
		config := types.Config{Importer: from, Error: func(err error) {
			// A fragment may well make something that it goes on to use elsewhere.
			if e := (types.Error{}); !errors.As(err, &e) || !e.Soft || !strings.Contains(e.Msg, "declared and not used") {
				found = append(found, err)
			}
		}}
		_, _ = config.Check("snippet", fset, []*ast.File{f}, nil)
		return found
	}
}

// TestPolicies loads every policy file on every page.
func TestPolicies(t *testing.T) {
	loaded := 0
	for _, p := range pages(t) {
		blocks, _ := p.blocks(t)
		for _, b := range blocks {
			if b.language != "json" || !strings.Contains(b.text, `"version": 1`) {
				continue
			}
			auth, err := mcpauth.New(mcpauth.Config{Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{{URL: "https://login.example.com"}}})
			require.NoError(t, err)
			require.NoError(t, auth.LoadPolicy([]byte(b.text)), "%s:%d", b.page, b.line)
			loaded++
		}
	}
	require.Positive(t, loaded)
}
