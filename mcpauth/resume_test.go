package mcpauth_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A tellingStore tells when an event with data was stored.
type tellingStore struct {
	*mcp.MemoryEventStore
	stored chan string
}

func (s *tellingStore) Append(ctx context.Context, session, stream string, data []byte) error {
	err := s.MemoryEventStore.Append(ctx, session, stream, data)
	if strings.Contains(string(data), "the report") || strings.Contains(string(data), "doc://marked") {
		s.stored <- stream
	}
	return err
}

// A resumable server keeps its events.
type resumable struct {
	*httptest.Server
	is      *testIssuer
	mcp     *mcp.Server
	left    chan string
	release chan bool
	store   *tellingStore
}

func newResumable(t *testing.T, stateless bool, change func(*mcpauth.Config), declare func(*mcpauth.Middleware)) *resumable {
	t.Helper()
	rs := &resumable{is: newIssuer(t), left: make(chan string, 64), release: make(chan bool), store: &tellingStore{mcp.NewMemoryEventStore(nil), make(chan string, 8)}}
	auth, _ := newAuth(t, rs.is, change)
	rs.mcp = mcp.NewServer(&mcp.Implementation{Name: "reports", Version: "1"}, &mcp.ServerOptions{
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	mcpauth.AddTool(auth, rs.mcp, &mcp.Tool{Name: "report"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		<-rs.release
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "the report"}}}, nil, nil
	}, scopes.All("reports:read"))
	if declare != nil {
		declare(auth)
	}
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return rs.mcp },
		&mcp.StreamableHTTPOptions{Stateless: stateless, EventStore: rs.store}))
	rs.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		rs.left <- r.Method
	}))
	t.Cleanup(rs.Close)
	return rs
}

// drop calls the tool and loses the connection before the answer has come. It returns the session and
// the id of the last event that did come.
func (rs *resumable) drop(t *testing.T, token string) (session, event string) {
	session = openLive(t, rs.Server, token, rs.left)
	ctx, cancel := context.WithCancel(t.Context())
	resp := do(t, rs.Server, inSession(session, post(call("report"), token)).WithContext(ctx))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	lines := bufio.NewScanner(resp.Body)
	for event == "" && lines.Scan() {
		event, _ = strings.CutPrefix(lines.Text(), "id: ")
		if !strings.HasPrefix(lines.Text(), "id: ") {
			event = ""
		}
	}
	require.NotEmpty(t, event)
	cancel()
	require.Equal(t, "POST", within(t, rs.left))
	rs.release <- true
	within(t, rs.store.stored)
	return session, event
}

// resume asks for what came after an event.
func (rs *resumable) resume(t *testing.T, session, event, token string) (*http.Response, string) {
	r := httptest.NewRequest("GET", testResource, nil)
	r.Header.Set("Accept", "text/event-stream")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if event != "" {
		r.Header.Set("Last-Event-ID", event)
	}
	resp := do(t, rs.Server, inSession(session, r))
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "GET", within(t, rs.left))
	return resp, string(body)
}

// HTTP-13, SEC-07, threat 55: what was missed is for the owner of the session, and for a good token.
func TestHTTP13_ResumedStreams(t *testing.T) {
	rs := newResumable(t, false, nil, nil)
	owner := rs.is.scoped(t, "reports:read")
	session, event := rs.drop(t, owner)

	for range 2 { // as often as the owner likes
		resp, body := rs.resume(t, session, event, owner)
		require.Equal(t, http.StatusOK, resp.StatusCode, body)
		require.Contains(t, body, "the report")
	}
	mallory := rs.is.token(t, claims{"sub": "mallory", "scope": "reports:read"})
	hers := openLive(t, rs.Server, mallory, rs.left)
	for _, c := range []struct {
		name, session, event, token string
		status                      int
	}{
		{"another user", session, event, mallory, 403},
		{"another client of the same user", session, event, rs.is.token(t, claims{"client_id": "other", "scope": "reports:read"}), 403},
		{"another user, within her own session", hers, event, mallory, 400},
		{"no token", session, event, "", 401},
		{"an expired token of the owner", session, event, rs.is.token(t, claims{"exp": epoch.Add(-3600e9).Unix()}), 401},
		{"no such session", "unheard", event, owner, 404},
		{"no such stream", session, "unheard_0", owner, 400},
		{"no event id", session, "nonsense", owner, 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			resp, body := rs.resume(t, c.session, c.event, c.token)
			require.Equal(t, c.status, resp.StatusCode, body)
			require.NotContains(t, body, "the report")
			require.Equal(t, c.status == 401, len(resp.Header["Www-Authenticate"]) > 0, "a step-up would not help")
		})
	}
	t.Run("a session that was ended", func(t *testing.T) {
		r := httptest.NewRequest("DELETE", testResource, nil)
		r.Header.Set("Authorization", "Bearer "+owner)
		require.Equal(t, http.StatusNoContent, do(t, rs.Server, inSession(session, r)).StatusCode)
		within(t, rs.left)
		resp, body := rs.resume(t, session, event, owner)
		require.Equal(t, http.StatusNotFound, resp.StatusCode)
		require.NotContains(t, body, "the report")
	})
}

// As operations.md says: an answer that was missed is replayed to its owner by any good token, since
// nothing in a GET tells which tool it comes from; a rule for GET is the remedy.
func TestHTTP13_ResumedByATokenOfFewerRights(t *testing.T) {
	for _, c := range []struct {
		name    string
		declare func(*mcpauth.Middleware)
		status  int
	}{
		{"replayed by default", nil, 200},
		{"refused by a rule for GET", func(m *mcpauth.Middleware) { m.RequireMethod("GET", scopes.All("reports:read")) }, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			rs := newResumable(t, false, nil, c.declare)
			session, event := rs.drop(t, rs.is.scoped(t, "reports:read"))
			resp, body := rs.resume(t, session, event, rs.is.scoped(t, ""))
			require.Equal(t, c.status, resp.StatusCode)
			require.Equal(t, c.status == 200, strings.Contains(body, "the report"))
			// A new call is refused either way.
			resp = do(t, rs.Server, inSession(session, post(call("report"), rs.is.scoped(t, ""))))
			require.Equal(t, http.StatusForbidden, resp.StatusCode)
		})
	}
}

func TestHTTP13_ResumedByAnotherClientOfTheUser(t *testing.T) {
	rs := newResumable(t, false, func(c *mcpauth.Config) { c.SessionPerUser = true }, nil)
	session, event := rs.drop(t, rs.is.scoped(t, "reports:read"))
	resp, body := rs.resume(t, session, event, rs.is.token(t, claims{"client_id": "other"}))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Contains(t, body, "the report")
	resp, body = rs.resume(t, session, event, rs.is.token(t, claims{"sub": "mallory", "scope": "reports:read"}))
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.NotContains(t, body, "the report")
}

// As operations.md says: the stream of a session itself is replayed from its beginning.
func TestHTTP13_StandaloneStreamsAreReplayed(t *testing.T) {
	rs := newResumable(t, false, nil, func(m *mcpauth.Middleware) { m.RequireResource("doc://marked", scopes.All("reports:read")) })
	offerResource(rs.mcp, "doc://marked")
	owner := rs.is.scoped(t, "reports:read")
	session := openLive(t, rs.Server, owner, rs.left)
	resp := do(t, rs.Server, inSession(session, post(rpc("resources/subscribe", map[string]any{"uri": "doc://marked"}), owner)))
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Contains(t, string(answer), `"result"`)
	within(t, rs.left)
	require.NoError(t, rs.mcp.ResourceUpdated(t.Context(), &mcp.ResourceUpdatedNotificationParams{URI: "doc://marked"}))
	within(t, rs.store.stored) // nobody is listening

	resp, _ = rs.resume(t, session, "", rs.is.token(t, claims{"sub": "mallory", "scope": "reports:read"}))
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	ctx, cancel := context.WithCancel(t.Context())
	resp = do(t, rs.Server, inSession(session, getStream(rs.is.scoped(t, ""))).WithContext(ctx))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	lines, found := bufio.NewScanner(resp.Body), false
	for !found && lines.Scan() {
		found = strings.Contains(lines.Text(), "doc://marked")
	}
	require.True(t, found)
	cancel()
	within(t, rs.left)
}

// Without sessions there is nothing to resume, whatever the store holds.
func TestHTTP13_NothingToResumeWithoutSessions(t *testing.T) {
	rs := newResumable(t, true, nil, nil)
	for _, event := range []string{"", "_0", "x_0"} {
		resp, _ := rs.resume(t, "x", event, rs.is.token(t))
		require.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
	}
	stateful := newResumable(t, false, nil, nil)
	owner := stateful.is.scoped(t, "reports:read")
	session, event := stateful.drop(t, owner)
	r := httptest.NewRequest("GET", testResource, nil)
	r.Header = http.Header{"Accept": {"text/event-stream"}, "Authorization": {"Bearer " + owner}, "Last-Event-Id": {event}, "Mcp-Session-Id": {session}}
	resp := do(t, stateful.Server, atRevision("2026-07-28", r))
	require.Equal(t, http.StatusBadRequest, resp.StatusCode, "2026-07-28 has no sessions")
}
