package mcpauth_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// HTTP-17, threat 73: to the nanosecond, on a clock that only the test moves.
func TestHTTP17_StandaloneStreamsEndWithTheToken(t *testing.T) {
	is := newIssuer(t)
	listen := rpc("subscriptions/listen", map[string]any{"notifications": map[string]any{"toolsListChanged": true}})
	for _, test := range []struct {
		name    string
		method  string
		body    string
		keep    bool
		leeway  time.Duration
		limited bool
	}{
		{"GET", "GET", "", false, 0, true},
		{"GET without leeway", "GET", "", false, -1, true},
		{"GET with five minutes of leeway", "GET", "", false, 5 * time.Minute, true},
		{"GET that is kept", "GET", "", true, 0, false},
		{"subscriptions/listen", "POST", listen, false, 0, true},
		{"subscriptions/listen that is kept", "POST", listen, true, 0, false},
		{"the answer to a call goes on", "POST", call("whoami"), false, 0, false},
		{"DELETE is no stream", "DELETE", "", false, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.KeepStreams = test.keep
				cfg.Issuers[0].Leeway = test.leeway
			})
			auth.RequireTool("whoami", scopes.Authenticated())
			require.NoError(t, auth.Ready(t.Context())) // no I/O within the bubble
			token := is.token(t)
			clock.advance(4 * time.Minute) // six are left
			left := 6*time.Minute + max(test.leeway, 0)
			if test.leeway == 0 {
				left += 30 * time.Second
			}
			synctest.Test(t, func(t *testing.T) {
				h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					deadline, ok := r.Context().Deadline()
					require.Equal(t, test.limited, ok)
					if ok {
						require.Equal(t, left, time.Until(deadline))
						<-r.Context().Done()
						require.Equal(t, context.DeadlineExceeded, r.Context().Err())
					}
				}))
				began := time.Now()
				r := post(test.body, token)
				r.Method = test.method
				require.Equal(t, http.StatusOK, serve(h, r).Code)
				if test.limited {
					require.Equal(t, left, time.Since(began))
				} else {
					require.Zero(t, time.Since(began))
				}
			})
		})
	}
}

// HTTP-18: the client's going away ends a stream sooner, and its timer with it.
func TestHTTP18_CancellationReachesTheHandler(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	require.NoError(t, auth.Ready(t.Context()))
	token := is.token(t)
	synctest.Test(t, func(t *testing.T) { // fails if a goroutine is left
		ctx, cancel := context.WithCancel(t.Context())
		h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			require.Equal(t, context.Canceled, r.Context().Err())
		}))
		began := time.Now()
		time.AfterFunc(time.Second, cancel)
		serve(h, with(httptest.NewRequest("GET", testResource, nil).WithContext(ctx), "Authorization", "Bearer "+token))
		require.Equal(t, time.Second, time.Since(began))
	})
}

// newStreams serves the SDK's handler on loopback and tells when a request has left the middleware.
func newStreams(t *testing.T, stateless bool) (*httptest.Server, *testIssuer, *testClock, *mcp.Server, chan string) {
	t.Helper()
	is := newIssuer(t)
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Issuers[0].Leeway = -1 })
	server := newServer(auth)
	h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
	left := make(chan string, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		left <- r.Method
	}))
	t.Cleanup(s.Close)
	return s, is, clock, server, left
}

func do(t *testing.T, s *httptest.Server, r *http.Request) *http.Response {
	t.Helper()
	out, err := http.NewRequestWithContext(r.Context(), r.Method, s.URL+"/mcp", r.Body)
	require.NoError(t, err)
	out.Header, out.Host, out.ContentLength = r.Header, "mcp.example.com", r.ContentLength
	resp, err := s.Client().Do(out)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

// within fails the test if nothing arrives.
func within[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing happened within 20 s")
		panic("unreachable")
	}
}

// openLive is open by way of a connection.
func openLive(t *testing.T, s *httptest.Server, token string, left chan string) string {
	resp := do(t, s, post(rpc("initialize", map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
	}), token))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, _ = io.Copy(io.Discard, resp.Body)
	within(t, left)
	id := resp.Header.Get("Mcp-Session-Id")
	resp = do(t, s, with(post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, token), "Mcp-Session-Id", id))
	require.Equal(t, http.StatusAccepted, resp.StatusCode)
	within(t, left)
	return id
}

func TestHTTP17_GETStreamOfASessionEnds(t *testing.T) {
	s, is, clock, server, left := newStreams(t, false)
	token := is.token(t)
	id := openLive(t, s, token, left)
	clock.set(epoch.Add(10*time.Minute - time.Second))
	r := httptest.NewRequest("GET", testResource, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Session-Id", id)
	resp := do(t, s, r)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	// The stream is live: a change of the tools arrives without any buffering (HTTP-16).
	server.AddTool(&mcp.Tool{Name: "new", InputSchema: map[string]any{"type": "object"}}, nil)
	read := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(resp.Body)
		read <- string(all)
	}()
	require.Contains(t, within(t, read), "notifications/tools/list_changed")
	require.Equal(t, "GET", within(t, left))

	// The session itself lives on, for a token that is good.
	fresh := is.token(t, claims{"exp": epoch.Add(time.Hour).Unix()})
	resp = do(t, s, with(post(call("whoami"), fresh), "Mcp-Session-Id", id))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	resp = do(t, s, with(post(call("whoami"), is.token(t, claims{"exp": epoch.Unix()})), "Mcp-Session-Id", id))
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
}

func TestHTTP17_ListenStreamEnds(t *testing.T) {
	s, is, clock, _, left := newStreams(t, true)
	token := is.token(t)
	resp := do(t, s, modern("tools/call", "whoami", map[string]any{"name": "whoami", "arguments": map[string]any{}}, token))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	_, _ = io.Copy(io.Discard, resp.Body)
	within(t, left)

	clock.set(epoch.Add(10*time.Minute - time.Second))
	resp = do(t, s, modern("subscriptions/listen", "", map[string]any{"notifications": map[string]any{"toolsListChanged": true}}, token))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	read := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(resp.Body)
		read <- string(all)
	}()
	require.Contains(t, within(t, read), "notifications/subscriptions/acknowledged")
	within(t, left)
}

// HTTP-18: nothing of a request is left when the client has gone.
func TestHTTP18_DisconnectLeavesNothing(t *testing.T) {
	s, is, _, _, left := newStreams(t, true)
	before := running() // sessions of other tests
	token := is.token(t)
	ctx, cancel := context.WithCancel(t.Context())
	r := modern("subscriptions/listen", "", map[string]any{"notifications": map[string]any{"toolsListChanged": true}}, token)
	resp := do(t, s, r.WithContext(ctx))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	line, err := bufio.NewReader(resp.Body).ReadString('\n') // the acknowledgement: the stream stands
	require.NoError(t, err)
	require.NotEmpty(t, line)
	require.NotEmpty(t, since(before), "else the check below would see nothing")
	cancel()
	within(t, left)
	require.Eventually(t, func() bool { return len(since(before)) == 0 }, 20*time.Second, 10*time.Millisecond, "left behind")
}

// running are the goroutines that run code of this package or of the SDK, by their first lines.
func running() map[string]bool {
	buf := make([]byte, 4<<20)
	found := make(map[string]bool)
	for stack := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(stack, "/sdk/mcpauth.") || strings.Contains(stack, "go-sdk/mcp.") {
			number, _, _ := strings.Cut(stack, " [")
			found[number] = true
		}
	}
	return found
}

func since(before map[string]bool) (more []string) {
	for number := range running() {
		if !before[number] {
			more = append(more, number)
		}
	}
	return more
}
