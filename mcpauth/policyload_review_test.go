package mcpauth_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A rule that the program has declared for a resource counts for every spelling of its URI, unless a file has a rule for
// that spelling: the clash is not seen, and the file's rule opens what the program's closes.
func TestLoadPolicy_AnotherSpellingOfAResourceOfTheProgram(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireResource("notes://secret", scopes.Role("admin"))
	auth.RequireResource("notes://{id}", scopes.Authenticated())
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	auth.Protect(server)
	reached := 0
	server.AddResourceTemplate(&mcp.ResourceTemplate{Name: "n", URITemplate: "notes://{id}"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		reached++ // a handler that decodes its variable, as it should, reads notes://secret
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "notes://secret", Text: "x"}}}, nil
	})
	h := auth.Wrap(sdkHandler(server, true))
	read := func() int {
		serve(h, post(rpc("resources/read", map[string]any{"uri": "notes://%73ecret"}), is.token(t)))
		return reached
	}
	require.Zero(t, read(), "the program's rule counts for this spelling")
	if err := auth.LoadPolicy([]byte(`{"version":1,"resources":{"notes://%73ecret":"authenticated"}}`)); err == nil {
		require.Zero(t, read(), "and a file cannot change that")
	}
}

// "What the program has declared stays as it is": the program says that admin_* is for administrators, and a file
// opens single tools of these.
func TestLoadPolicy_CannotOpenWhatAPatternOfTheProgramCloses(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("admin_*", scopes.Role("admin"))
	h := auth.Wrap(&spy{})
	require.Equal(t, http.StatusForbidden, serve(h, post(call("admin_wipe"), is.token(t))).Code)
	for _, file := range []string{
		`{"version":1,"tools":{"admin_wipe":"authenticated"}}`, `{"version":1,"tools":{"admin_w*":"authenticated"}}`,
	} {
		if auth.LoadPolicy([]byte(file)) == nil {
			require.Equal(t, http.StatusForbidden, serve(h, post(call("admin_wipe"), is.token(t))).Code, file)
		}
	}
}

// A template of more than 1001 variables makes a regular expression that does not compile; the library of templates finds out
// when it is asked for the first time, and panics. In a list, and with a login in LoadPolicy itself, nobody catches that: the
// process ends.
func TestLoadPolicy_TemplatesThatPanic(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	vars := strings.Repeat("v,", 1002) + "v"
	for _, rule := range []string{`"authenticated"`, `{"rule":"authenticated","login":{"acr":["x"]}}`} {
		file := `{"version":1,"resources":{"a://{x}":"authenticated","notes://{` + vars + `}":` + rule + `}}`
		var err error
		require.NotPanics(t, func() { err = auth.LoadPolicy([]byte(file)) })
		if err == nil {
			p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "x", Subject: "a", Grant: scopes.NewGrant(nil, nil)})
			require.NotPanics(t, func() { auth.Visible(p, mcpauth.Operation{Method: "resources/read", Name: "other://x"}) })
		}
	}
}

// A pipe that nobody writes to must be an error, and not the end of WatchPolicyFile, which heeds no ctx then, nor of a start.
func TestLoadPolicyFile_APipe(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	path := filepath.Join(t.TempDir(), "policy.json")
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	done := make(chan error, 1)
	go func() { done <- auth.LoadPolicyFile(path) }()
	select {
	case err := <-done:
		require.Error(t, err)
	case <-time.After(20 * time.Second):
		w, err := os.OpenFile(path, os.O_WRONLY, 0) // ends the goroutine
		require.NoError(t, err)
		w.Close()
		<-done
		t.Fatal("it waits for a writer")
	}
}

// A list is decided by all of the old rules or all of the new ones. Names that asked for the same under the old rules are
// taken for alike under the new ones, so a tool is listed that neither shows.
func TestLoadPolicy_InTheMiddleOfAList(t *testing.T) {
	is := newIssuer(t)
	var auth *mcpauth.Middleware
	load := func(b, c string) error {
		return auth.LoadPolicy([]byte(`{"version":1,"tools":{"a":"authenticated","b":"` + b + `","c":"` + c + `"}}`))
	}
	reload := false
	auth, _ = newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.ListPolicy = func(_ context.Context, c *mcpauth.Call) error {
			if c.Name == "a" && reload {
				return load("authenticated", "role(admin)")
			}
			return nil
		}
	})
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	for _, name := range []string{"a", "b", "c"} {
		mcp.AddTool(server, &mcp.Tool{Name: name}, doNothing)
	}
	auth.Protect(server)
	h := auth.Wrap(sdkHandler(server, true))
	require.NoError(t, load("role(admin)", "role(admin)"))
	list := func() string { return serve(h, post(rpc("tools/list", nil), is.token(t))).Body.String() }
	require.NotContains(t, list(), `"name":"c"`, "under the old rules")
	reload = true
	require.NotContains(t, list(), `"name":"c"`, "while they change")
	require.NotContains(t, list(), `"name":"c"`, "under the new rules")
}
