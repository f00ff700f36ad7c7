package mcpauth_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// An overHTTP2 is a whole server under its own name, and a client. All requests share one connection, or
// the test that counts them fails.
type overHTTP2 struct {
	*httptest.Server
	is       *testIssuer
	mcp      *mcp.Server
	resource string

	mu    sync.Mutex
	peers map[string]int // requests by connection
}

func newOverHTTP2(t *testing.T, stateless bool) *overHTTP2 {
	t.Helper()
	o := &overHTTP2{Server: httptest.NewUnstartedServer(nil), is: newIssuer(t), peers: make(map[string]int)}
	o.resource = "https://" + o.Listener.Addr().String() + "/mcp"
	auth, _ := newAuth(t, o.is, func(c *mcpauth.Config) { c.Resource, c.MaxBodyBytes = o.resource, 1<<20 })
	o.mcp = newServer(auth)
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return o.mcp }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
	o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.peers[r.RemoteAddr]++
		o.mu.Unlock()
		mux.ServeHTTP(w, r)
	})
	o.EnableHTTP2 = true
	o.StartTLS()
	t.Cleanup(o.Close)
	t.Cleanup(o.CloseClientConnections) // first: streams may be open
	return o
}

func (o *overHTTP2) token(t *testing.T, more claims) string {
	return o.is.token(t, claims{"aud": o.resource}, more)
}

// send sends a request that was made for another server.
func (o *overHTTP2) send(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	out, err := http.NewRequestWithContext(r.Context(), r.Method, o.resource, r.Body)
	require.NoError(t, err)
	out.Header, out.ContentLength = r.Header, r.ContentLength
	resp, err := o.Client().Do(out)
	require.NoError(t, err)
	t.Cleanup(func() { resp.Body.Close() })
	require.Equal(t, 2, resp.ProtoMajor)
	require.Empty(t, resp.Header["Connection"], "RFC 9113, Section 8.2.2")
	return resp
}

func (o *overHTTP2) text(t *testing.T, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func (o *overHTTP2) connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.peers)
}

// The whole of it over HTTP/2, where many requests share a connection: what refuses one must not end it.
func TestHTTP2_TheWholeWay(t *testing.T) {
	o := newOverHTTP2(t, true)
	resp := o.send(t, post(call("whoami"), ""))
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode)
	all, _ := parameters(t, resp.Header.Get("Www-Authenticate"))
	metadata := all["resource_metadata"]
	require.Equal(t, strings.Replace(o.resource, "/mcp", "/.well-known/oauth-protected-resource/mcp", 1), metadata)
	require.Contains(t, o.text(t, resp), `"id":7`)

	resp, err := o.Client().Get(metadata)
	require.NoError(t, err)
	var document map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&document))
	resp.Body.Close()
	require.Equal(t, o.resource, document["resource"])

	resp = o.send(t, post(call("whoami"), o.token(t, nil)))
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Contains(t, o.text(t, resp), "whoami ada")

	resp = o.send(t, post(call("write"), o.token(t, nil)))
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Contains(t, resp.Header.Get("Www-Authenticate"), `error="insufficient_scope"`)
	_ = o.text(t, resp)
	resp = o.send(t, post(call("write"), o.token(t, claims{"scope": "files:write"})))
	require.Contains(t, o.text(t, resp), "write ada")
	resp = o.send(t, post(call("purge"), o.token(t, nil)))
	require.Equal(t, http.StatusForbidden, resp.StatusCode)
	require.Empty(t, resp.Header["Www-Authenticate"])
	resp = o.send(t, modern("tools/call", "whoami", map[string]any{"name": "whoami", "arguments": map[string]any{}}, o.token(t, nil)))
	require.Contains(t, o.text(t, resp), "whoami ada")
	resp = o.send(t, with(post(call("whoami"), ""), "Authorization", "Bearer "+o.token(t, nil), "Bearer x"))
	require.Equal(t, http.StatusBadRequest, resp.StatusCode)
	_ = o.text(t, resp)
	resp = o.send(t, post(call("whoami"), o.is.token(t)))
	require.Equal(t, http.StatusUnauthorized, resp.StatusCode, "a token for another resource")
	_ = o.text(t, resp)
	require.Equal(t, 1, o.connections())
}

// HTTP-21, HTTP-16: a refused body ends neither the connection nor the stream of somebody else on it, be its length
// declared or not, and be the rest of it to come or not.
func TestHTTP2_ARefusedBodyLeavesTheStreamsOfOthers(t *testing.T) {
	o := newOverHTTP2(t, false)
	token := o.token(t, nil)
	resp := o.send(t, post(rpc("initialize", map[string]any{
		"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "t", "version": "1"},
	}), token))
	id := resp.Header.Get("Mcp-Session-Id")
	require.NotEmpty(t, id)
	_ = o.text(t, resp)
	_ = o.text(t, o.send(t, inSession(id, post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, token))))

	stream := o.send(t, with(sessionRequest(http.MethodGet, "", token, id), "Accept", "text/event-stream"))
	require.Equal(t, http.StatusOK, stream.StatusCode)
	events := make(chan string, 16)
	go func() {
		for lines := bufio.NewScanner(stream.Body); lines.Scan(); {
			if strings.HasPrefix(lines.Text(), "data: ") {
				events <- lines.Text()
			}
		}
		close(events)
	}()

	huge := strings.Repeat("x", 2<<20)
	unending, end := io.Pipe()
	defer end.Close()
	for _, c := range []struct {
		name   string
		body   io.Reader
		length int64
		token  string
		status int
	}{
		{"too large, declared", strings.NewReader(huge), int64(len(huge)), token, http.StatusRequestEntityTooLarge},
		{"too large, not declared", io.MultiReader(strings.NewReader(huge)), -1, token, http.StatusRequestEntityTooLarge},
		{"no token, huge", strings.NewReader(huge), int64(len(huge)), "", http.StatusUnauthorized},
		{"no token, without end", unending, -1, "", http.StatusUnauthorized},
		{"another type", strings.NewReader(huge), int64(len(huge)), token, http.StatusUnsupportedMediaType},
		{"another's session", strings.NewReader(call("whoami")), -1, o.token(t, claims{"sub": "eve"}), http.StatusForbidden},
	} {
		r := inSession(id, post("", c.token))
		r.Body, r.ContentLength = io.NopCloser(c.body), c.length
		if c.status == http.StatusUnsupportedMediaType {
			r.Header.Set("Content-Type", "text/plain")
		}
		resp := o.send(t, r)
		require.Equal(t, c.status, resp.StatusCode, c.name)
		_ = o.text(t, resp)
	}
	o.mcp.AddTool(&mcp.Tool{Name: "new", InputSchema: map[string]any{"type": "object"}}, nil)
	require.Contains(t, within(t, events), "notifications/tools/list_changed", "the stream lives")
	resp = o.send(t, inSession(id, post(call("whoami"), token)))
	require.Contains(t, o.text(t, resp), "whoami ada")
	require.Equal(t, 1, o.connections())
}
