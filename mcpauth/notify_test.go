package mcpauth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// An earful is what a stream has brought so far.
type earful struct {
	mu   sync.Mutex
	code int
	head http.Header
	text strings.Builder
	done chan bool
}

func (e *earful) Header() http.Header { return e.head }
func (e *earful) Flush()              {}
func (e *earful) WriteHeader(code int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.code = code
}

func (e *earful) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.text.Write(p)
}

// heard waits until everything that is under way has come, on the clock of the bubble, and takes it.
func (e *earful) heard() string {
	time.Sleep(time.Second)
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	out := e.text.String()
	e.text.Reset()
	return out
}

// listen opens a stream. It ends with the test's context.
func listen(ctx context.Context, h http.Handler, r *http.Request) *earful {
	e := &earful{code: http.StatusOK, head: make(http.Header), done: make(chan bool)}
	go func() {
		h.ServeHTTP(e, r.WithContext(ctx))
		close(e.done)
	}()
	synctest.Wait()
	return e
}

// A change is something that happens to a server and concerns things that a caller may not see.
type change struct {
	name string
	do   func(*traps)
	kind string // of the notification that the SDK sends to everybody; empty: none
}

var hiddenChanges = []change{
	{"a tool for a role comes", func(tr *traps) { tr.addTool("admin_new") }, "tools/list_changed"},
	{"a tool without a rule comes", func(tr *traps) { tr.addTool("unruled_new") }, "tools/list_changed"},
	{"a tool for a role goes", func(tr *traps) { tr.server.RemoveTools("roled") }, "tools/list_changed"},
	{"a prompt for a role comes", func(tr *traps) { tr.addPrompt("admin_new") }, "prompts/list_changed"},
	{"a resource for a role comes", func(tr *traps) { tr.addResource("doc://admin_new", false) }, "resources/list_changed"},
	{"a template for a role comes", func(tr *traps) { tr.addResource("admin_new://{x}", true) }, "resources/list_changed"},
	{"a resource for a role changes", updates("doc://roled"), ""},
	{"a resource of a scope that is not held changes", updates("doc://scoped"), ""},
	{"a resource without a rule changes", updates("doc://forgotten"), ""},
	{"a resource of a template changes", updates("roled://7"), ""},
	{"a resource that nobody asked for changes", updates("open://7"), ""},
}

func updates(uri string) func(*traps) {
	return func(tr *traps) {
		_ = tr.server.ResourceUpdated(context.Background(), &mcp.ResourceUpdatedNotificationParams{URI: uri})
	}
}

// requireBare checks that what arrived says no more than that something has changed.
func requireBare(t *testing.T, tr *traps, c change, got string) {
	t.Helper()
	if c.kind == "" {
		require.Empty(t, got)
		return
	}
	require.Equal(t, 1, strings.Count(got, "notifications/"), got)
	require.Contains(t, got, `"notifications/`+c.kind+`"`)
	for _, name := range []string{"roled", "admin_new", "unruled_new", "title-", "output-"} {
		require.NotContains(t, got, name)
	}
}

// LIST-10, in revisions with sessions: on the stream of a caller with few rights, changes of hidden
// things show no more than that there was one.
func TestLIST10_NotificationsOfSessions(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	require.NoError(t, auth.Ready(t.Context())) // no I/O within the bubble
	weak := is.scoped(t, "files:read")
	synctest.Test(t, func(t *testing.T) {
		tr := newTraps(t, auth)
		h := auth.Wrap(sdkHandler(tr.server, false))
		id, stream := listenInSession(t, h, weak, weak)
		subscribe := func(uri string) *httptest.ResponseRecorder {
			return serve(h, inSession(id, post(rpc("resources/subscribe", map[string]any{"uri": uri}), weak)))
		}
		for _, uri := range []string{"doc://scoped", "doc://roled", "doc://forgotten", "roled://7"} {
			require.NotContains(t, subscribe(uri).Body.String(), `"result"`)
		}
		require.Contains(t, subscribe("doc://open").Body.String(), `"result"`)
		before := serve(h, inSession(id, post(rpc("tools/list", nil), weak))).Body.String()
		for _, c := range hiddenChanges {
			c.do(tr)
			requireBare(t, tr, c, stream.heard())
		}
		updates("doc://open")(tr)
		require.Contains(t, stream.heard(), `"notifications/resources/updated","params":{"uri":"doc://open"}`)
		require.Equal(t, before, serve(h, inSession(id, post(rpc("tools/list", nil), weak))).Body.String())
	})
}

// listenInSession opens a session and its stream, and ends both with the test.
func listenInSession(t *testing.T, h http.Handler, opener, token string) (id string, stream *earful) {
	t.Helper()
	id = openSession(t, h, opener)
	stream = listen(t.Context(), h, inSession(id, getStream(token)))
	t.Cleanup(func() {
		<-stream.done // the context has been cancelled
		end := inSession(id, getStream(opener))
		end.Method = "DELETE"
		serve(h, end)
	})
	stream.heard()
	return id, stream
}

func getStream(token string) *http.Request {
	r := httptest.NewRequest("GET", testResource, nil)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

// LIST-10, without sessions: the same for subscriptions/listen.
func TestLIST10_NotificationsOfListen(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	require.NoError(t, auth.Ready(t.Context()))
	weak := is.scoped(t, "files:read")
	everything := func(uris ...string) *http.Request {
		return modern("subscriptions/listen", "", map[string]any{"notifications": map[string]any{
			"toolsListChanged": true, "promptsListChanged": true, "resourcesListChanged": true, "resourceSubscriptions": uris,
		}}, weak)
	}
	synctest.Test(t, func(t *testing.T) {
		tr := newTraps(t, auth)
		h := auth.Wrap(sdkHandler(tr.server, true))
		for uri, status := range map[string]int{"doc://scoped": 403, "doc://roled": 403, "doc://forgotten": 400, "roled://7": 403} {
			w := serve(h, everything("doc://open", uri)) // AUTHZ-04: refused as a whole
			require.Equal(t, status, w.Code, uri)
			require.NotContains(t, w.Body.String(), "acknowledged")
		}
		stream := listen(t.Context(), h, everything("doc://open"))
		t.Cleanup(func() { <-stream.done })
		require.Contains(t, stream.heard(), "notifications/subscriptions/acknowledged")
		for _, c := range hiddenChanges {
			c.do(tr)
			requireBare(t, tr, c, stream.heard())
		}
		updates("doc://open")(tr)
		require.Contains(t, stream.heard(), `"uri":"doc://open"`)
	})
}

// As operations.md says: a server that announces no listChanged keeps quiet about lists.
func TestLIST10_QuietServers(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	require.NoError(t, auth.Ready(t.Context()))
	weak := is.token(t)
	auth.RequireTool("*", scopes.Role("admin"))
	for _, mode := range []string{"stateless", "stateful"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := mcp.NewServer(&mcp.Implementation{Name: "quiet", Version: "1"}, &mcp.ServerOptions{
					Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
				})
				auth.Protect(server)
				offerTool(server, "first")
				h := auth.Wrap(sdkHandler(server, mode == "stateless"))
				if mode == "stateless" { // nothing to listen to, so the stream ends at once
					w := serve(h, modern("subscriptions/listen", "", map[string]any{"notifications": map[string]any{"toolsListChanged": true}}, weak))
					require.Contains(t, w.Body.String(), "notifications/subscriptions/acknowledged")
					require.NotContains(t, w.Body.String(), "toolsListChanged")
					return
				}
				_, stream := listenInSession(t, h, weak, weak)
				offerTool(server, "second")
				require.Empty(t, stream.heard())
			})
		})
	}
}

// As operations.md says: a subscription of a session lasts as long as the session. It goes on telling
// its owner that the resource has changed when the owner's newer tokens may not read it; reading it is
// decided anew.
func TestLIST10_SubscriptionsOutliveRights(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	require.NoError(t, auth.Ready(t.Context()))
	strong, weak := is.scoped(t, "files:write"), is.scoped(t, "files:read")
	synctest.Test(t, func(t *testing.T) {
		tr := newTraps(t, auth)
		h := auth.Wrap(sdkHandler(tr.server, false))
		id, stream := listenInSession(t, h, strong, weak)
		w := serve(h, inSession(id, post(rpc("resources/subscribe", map[string]any{"uri": "doc://scoped"}), strong)))
		require.Contains(t, w.Body.String(), `"result"`)
		updates("doc://scoped")(tr)
		require.Contains(t, stream.heard(), `{"uri":"doc://scoped"}`)
		require.Equal(t, http.StatusForbidden, serve(h, inSession(id, post(rpc("resources/read", map[string]any{"uri": "doc://scoped"}), weak))).Code)
	})
}
