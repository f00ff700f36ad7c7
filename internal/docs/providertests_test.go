package docs

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// harness is what the tests on the pages of providers leave to their reader: a server with the tool that they call.
const harness = `
func newServer(cfg mcpauth.Config) http.Handler {
	cfg.Logger = nil
	auth, err := mcpauth.New(cfg)
	if err != nil {
		panic(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1"}, nil)
	read := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, read, scopes.Authenticated())
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return mux
}
`

// TestProviders_TheirTests runs the tests that the pages of providers show, each with the configuration that stands above it on
// the page, so that neither says what the other does not do.
func TestProviders_TheirTests(t *testing.T) {
	var code strings.Builder
	count := 0
	for _, p := range providerPages(t) {
		blocks, _ := p.blocks(t)
		config := ""
		for _, b := range blocks {
			if b.language != "go" {
				continue
			}
			if before, after, ok := strings.Cut(b.text, "auth, err := mcpauth.New(mcpauth.Config{"); ok {
				config = before + "cfg := mcpauth.Config{" + strings.TrimSuffix(strings.TrimSpace(after), ")")
			}
			if strings.Contains(b.comment, "newServer") && strings.Contains(b.comment, "cfg ") {
				require.NotEmpty(t, config, "%s:%d: no configuration above", b.page, b.line)
				name := strings.ReplaceAll(strings.TrimSuffix(path.Base(p.name), ".md"), "-", "_")
				fmt.Fprintf(&code, "\nfunc Test_%s_%d(t *testing.T) {\n%s\n%s\n}\n", name, b.line, config, b.text)
				count++
			}
		}
	}
	require.Greater(t, count, 20)

	// A package that exists for this one run only.
	source := "package pages\n" + imports(t, harness+code.String()) + harness + code.String()
	folder := t.TempDir()
	file, overlay := filepath.Join(folder, "pages_test.go"), filepath.Join(folder, "overlay.json")
	require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
	top, err := filepath.Abs(root)
	require.NoError(t, err)
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(top, "internal/docs/pages/pages_test.go"): file}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replace, 0o600))
	binary := filepath.Join(folder, "pages.test.exe")
	build := exec.Command("go", "test", "-c", "-vet=off", "-o", binary, "-overlay", overlay, "./internal/docs/pages")
	build.Dir = top
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := exec.Command(binary)
	run.Dir = folder
	out, err = run.CombinedOutput()
	require.NoError(t, err, "%s", out)
}
