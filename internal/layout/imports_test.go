package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	root   = "../.."
	module = "github.com/go-mcpauth/sdk/"
)

// allowed says for each kind of package what it may import besides the standard library. A trailing
// slash stands for everything below.
var allowed = []struct {
	folder string
	may    []string
}{
	{"scopes", []string{module + "internal/jsonpointer"}},
	{"prm", nil},
	{"internal/jws", []string{module + "internal/strictjson", module + "internal/jwks", "github.com/golang-jwt/jwt/v5"}},
	{"internal/jwt", []string{module + "internal/explain", module + "internal/strictjson", module + "internal/jwks", module + "internal/jws"}},
	{"internal/dpop", []string{module + "internal/explain", module + "internal/strictjson", module + "internal/jwks", module + "internal/jws", module + "internal/nonce"}},
	{"internal/introspect", []string{
		module + "internal/explain", module + "internal/strictjson", module + "internal/fetch", module + "internal/tokencache", module + "internal/jwks", module + "internal/jws",
	}},
	{"internal/explain", nil},
	{"internal/nonce", nil},
	{"internal/replay", nil},
	{"internal/ratelimit", nil},
	{"internal/clientaddr", nil},
	{"internal/policyfile", []string{module + "scopes"}},
	{"internal/tokencache", nil},
	{"mcpauth/mcpauthtest", []string{module + "mcpauth", module + "mcpauth/policy", module + "scopes", module + "prm", "github.com/modelcontextprotocol/go-sdk/mcp"}},
	{"mcpauth/audit", []string{module + "mcpauth"}},
	{"mcpauth/doctor", []string{
		module + "prm", module + "mcpauth/mcpauthtest", module + "internal/discovery", module + "internal/fetch", module + "internal/jwks", module + "internal/jws",
		module + "internal/strictjson",
	}},
	{"mcpauth/cmd/mcpauth-doctor", []string{module + "mcpauth/doctor", module + "mcpauth/mcpauthtest"}},
	{"mcpauth/policy", []string{module + "mcpauth", module + "scopes", module + "internal/clientaddr", module + "internal/jsonpointer", module + "internal/strictjson"}},
	{"mcpauth/idp", []string{module + "mcpauth", module + "scopes", module + "internal/fetch"}},
	{"internal/jwks", []string{module + "internal/strictjson", module + "internal/fetch", "github.com/MicahParks/jwkset"}},
	{"internal/", []string{module + "internal/", module + "scopes", module + "prm"}},
	{"mcpauth", []string{
		module + "internal/", module + "scopes", module + "prm", "github.com/modelcontextprotocol/go-sdk/", "github.com/yosida95/uritemplate/v3",
	}},
}

// sdkFiles are the files of mcpauth that may know the official SDK: its adapter.
var sdkFiles = map[string]bool{
	"middleware.go": true, "request.go": true, "tokeninfo.go": true, "probe.go": true, "protect.go": true, "lists.go": true, "verify.go": true, "catalog.go": true, "annotated.go": true,
}

func TestArrows(t *testing.T) {
	checked := 0
	for file, imports := range sources(t) {
		folder := path.Dir(file)
		var may []string
		found := false
		for _, a := range allowed {
			if folder == a.folder || strings.HasSuffix(a.folder, "/") && strings.HasPrefix(folder, a.folder) {
				may, found = a.may, true
				break
			}
		}
		require.True(t, found, "%s: say in the table what this package may import", folder)
		for _, imp := range imports {
			if !strings.Contains(strings.Split(imp, "/")[0], ".") {
				continue // the standard library
			}
			require.True(t, matches(may, imp), "%s imports %s", file, imp)
			if folder == "mcpauth" && strings.HasPrefix(imp, "github.com/modelcontextprotocol/go-sdk/") {
				require.True(t, sdkFiles[path.Base(file)], "%s imports the SDK, which belongs into the adapter's files", file)
			}
			checked++
		}
	}
	require.Greater(t, checked, 20)
}

func matches(list []string, imp string) bool {
	for _, m := range list {
		if imp == m || strings.HasSuffix(m, "/") && strings.HasPrefix(imp, m) {
			return true
		}
	}
	return false
}

// sources returns the imports of every Go file of the module that is no test.
func sources(t *testing.T) map[string][]string {
	out := make(map[string][]string)
	walk(t, func(file string) {
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, file), nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			require.NoError(t, err)
			out[file] = append(out[file], name)
		}
	})
	return out
}

// walk calls visit for every Go file of this module that is no test; nested modules are their own.
func walk(t *testing.T, visit func(file string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		file, _ := filepath.Rel(root, name)
		switch {
		case d.IsDir() && file != "." && strings.HasPrefix(d.Name(), "."), d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() && file != ".":
			if _, err := os.Stat(filepath.Join(name, "go.mod")); err == nil {
				return filepath.SkipDir
			}
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			visit(filepath.ToSlash(file))
		}
		return nil
	})
	require.NoError(t, err)
}

func TestNoPackageAtTheRoot(t *testing.T) {
	walk(t, func(file string) {
		require.Contains(t, file, "/", "a Go file at the root of the module")
	})
}
