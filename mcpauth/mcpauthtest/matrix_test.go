package mcpauthtest_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

var _ = flag.Bool("update", false, "rewrite golden files")

// newFiles makes a server with one of everything.
func newFiles(t testing.TB, is *mcpauthtest.Issuer, change func(*mcpauth.Config)) (*mcpauth.Middleware, *mcp.Server) {
	t.Helper()
	cfg := mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}, Now: is.Now}
	if change != nil {
		change(&cfg)
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, readFile, scopes.All("files:read"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write_file"}, readFile, scopes.All("files:write"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "delete_file"}, deleteFile, scopes.And(scopes.All("files:write"), scopes.Role("admin")))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "pay"}, readFile, scopes.All("files:read"))
	auth.RequireLogin(mcpauth.Operation{Method: "tools/call", Name: "pay"}, mcpauth.Login{MaxAge: 5 * time.Minute})
	prompt := func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	}
	read := func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "text"}}}, nil
	}
	mcpauth.AddPrompt(auth, server, &mcp.Prompt{Name: "summary"}, prompt, scopes.Authenticated())
	mcpauth.AddResource(auth, server, &mcp.Resource{URI: "file:///readme", Name: "readme"}, read, scopes.Authenticated())
	mcpauth.AddResourceTemplate(auth, server, &mcp.ResourceTemplate{URITemplate: "file:///home/{user}", Name: "home"}, read, scopes.Role("admin", "owner"))
	return auth, server
}

func newCallers(is *mcpauthtest.Issuer) []mcpauthtest.Caller {
	return []mcpauthtest.Caller{
		is.Caller("nothing", mcpauthtest.Claims{Subject: "uma"}),
		is.Caller("reader", ada),
		is.Caller("fresh", mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Extra: map[string]any{"auth_time": is.Now().Unix()}}),
		is.Caller("editor", mcpauthtest.Claims{Subject: "eve", Scope: "files:read files:write"}),
		is.Caller("admin", mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Roles: []string{"admin"}}),
	}
}

func TestMatrix(t *testing.T) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, nil)
	mcpauthtest.CheckMatrix(t, "testdata/matrix.txt", auth, server, newCallers(is)...)
}

// With lists that show only what may be called now, what can be stepped up to is in parentheses.
func TestMatrix_ListAllowed(t *testing.T) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	mcpauthtest.CheckMatrix(t, "testdata/matrix_listallowed.txt", auth, server, newCallers(is)...)
	auth, server = newFiles(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAll })
	require.Contains(t, mcpauthtest.Matrix(t, auth, server, newCallers(is)[3]), "tool delete_file                       no\n")
}

// The table is that of the server: what stands in it, a real caller finds.
func TestMatrix_IsWhatCallersFind(t *testing.T) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, nil)
	handler := auth.Wrap(mcp.NewStreamableHTTPHandler(always(server), &mcp.StreamableHTTPOptions{Stateless: true}))
	reader := is.Client(handler, ada)
	names, resp := reader.ListTools()
	mcpauthtest.AssertAllowed(t, resp)
	require.ElementsMatch(t, []string{"read_file", "write_file", "pay"}, names)
	_, resp = reader.CallTool("read_file", nil)
	mcpauthtest.AssertAllowed(t, resp)
	_, resp = reader.CallTool("write_file", nil)
	mcpauthtest.AssertStepUp(t, resp, "files:write")
	_, resp = reader.CallTool("delete_file", nil)
	mcpauthtest.AssertForbidden(t, resp)
	_, resp = reader.CallTool("pay", nil)
	mcpauthtest.AssertChallenge(t, resp, "Bearer", map[string]string{"error": "insufficient_user_authentication", "max_age": "300"})
	_, resp = reader.CallTool("another", nil)
	mcpauthtest.AssertUnknown(t, resp)
	_, resp = reader.Do("resources/read", map[string]any{"uri": "file:///readme"})
	mcpauthtest.AssertAllowed(t, resp)
	_, resp = reader.Do("resources/read", map[string]any{"uri": "file:///home/ada"})
	mcpauthtest.AssertForbidden(t, resp)
	_, resp = reader.Do("prompts/get", map[string]any{"name": "summary"})
	mcpauthtest.AssertAllowed(t, resp)
}

func TestMatrix_Failures(t *testing.T) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, nil)
	callers := newCallers(is)
	for name, tt := range map[string]struct {
		check func(testing.TB)
		says  string
	}{
		"nobody":      {func(f testing.TB) { mcpauthtest.Matrix(f, auth, server, mcpauthtest.Caller{Name: "guest"}) }, `the caller "guest" is nobody`},
		"unprotected": {func(f testing.TB) { mcpauthtest.Matrix(f, auth, mcp.NewServer(&mcp.Implementation{}, nil)) }, "not protected"},
		"a policy in doubt": {func(f testing.TB) {
			auth, server := newFiles(t, is, func(c *mcpauth.Config) {
				c.Policy = func(context.Context, *mcpauth.Call) error {
					return errors.Join(errors.New("engine"), mcpauth.ErrUnavailable)
				}
			})
			mcpauthtest.Matrix(f, auth, server, callers[1])
		}, `nobody can tell whether "reader" may`},
	} {
		t.Run(name, func(t *testing.T) { require.Contains(t, watched(t, tt.check), tt.says) })
	}
	t.Run("a policy refuses", func(t *testing.T) {
		auth, server := newFiles(t, is, func(c *mcpauth.Config) {
			c.Policy = func(context.Context, *mcpauth.Call) error { return errors.New("not today") }
		})
		require.Contains(t, mcpauthtest.Matrix(t, auth, server, callers[1]), "tool read_file                         no\n")
	})
}

// The golden file: missing, changed, rewritten on demand.
func TestCheckMatrix(t *testing.T) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, nil)
	callers := newCallers(is)[1:2]
	golden := filepath.Join(t.TempDir(), "testdata", "matrix.txt")
	check := func(f testing.TB) { mcpauthtest.CheckMatrix(f, golden, auth, server, callers...) }
	update := flag.Lookup("update").Value
	before := update.String()
	defer func() { require.NoError(t, update.Set(before)) }()

	require.NoError(t, update.Set("false"))
	says := watched(t, check)
	require.Contains(t, says, "run the test with -update (see CheckMatrix) to write it. It would hold:\n")
	require.Contains(t, says, "tool read_file                         yes\n")
	require.NoFileExists(t, golden)

	require.NoError(t, update.Set("true"))
	require.Empty(t, watched(t, check))
	require.NoError(t, update.Set("false"))
	require.Empty(t, watched(t, check))
	text, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, mcpauthtest.Matrix(t, auth, server, callers...), string(text))

	auth.RequireTool("surprise", scopes.Authenticated())
	require.Empty(t, watched(t, check), "a rule alone opens nothing")
	mcp.AddTool(server, &mcp.Tool{Name: "surprise"}, deleteFile)
	require.Equal(t, `who may do what has changed from `+golden+`; if that is meant, run the test with -update (see CheckMatrix):
-                                        reader
+                                        reader
+ tool surprise                          yes
`, watched(t, check))
}

func TestRequireRules(t *testing.T) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, nil)
	check := func(f testing.TB) { mcpauthtest.RequireRules(f, auth, server) }
	require.Empty(t, watched(t, check))
	mcp.AddTool(server, &mcp.Tool{Name: "forgotten"}, deleteFile)
	auth.RequirePrompt("sumary", scopes.Authenticated())
	says := watched(t, check)
	require.Contains(t, says, "rules and server do not fit:\n\ttool \"forgotten\" has no rule")
	require.Contains(t, says, "\n\tthe rule for prompt \"sumary\" has no target")
	says = watched(t, func(f testing.TB) { mcpauthtest.RequireRules(f, auth, mcp.NewServer(&mcp.Implementation{}, nil)) })
	require.Contains(t, says, "not protected")
}
