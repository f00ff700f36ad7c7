//go:build e2e

// These tests protect a server of the TypeScript SDK in a process of its own:
//
//	npm ci --prefix examples/reverse-proxy/ts
//	go -C examples test -tags e2e ./reverse-proxy
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A system is the TypeScript server and what protects it.
type system struct {
	*testing.T
	issuer   *testissuer.Issuer
	upstream string // without a path
	endpoint string
	client   *http.Client
}

func newSystem(t *testing.T, mode string) *system {
	t.Helper()
	_, err := os.Stat("ts/node_modules/@modelcontextprotocol/sdk/package.json")
	require.NoError(t, err, "run: npm ci --prefix examples/reverse-proxy/ts")
	node := exec.CommandContext(t.Context(), "node", "server.mjs", mode)
	node.Dir, node.Stderr = "ts", os.Stderr
	_, err = node.StdinPipe() // the server ends with it
	require.NoError(t, err)
	out, err := node.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, node.Start())
	t.Cleanup(func() { _ = node.Wait() }) // killed by the end of the context
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	upstream, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, ok, line)

	s := &system{T: t, issuer: testissuer.New(t), upstream: upstream, client: &http.Client{Timeout: 20 * time.Second}}
	front := httptest.NewUnstartedServer(nil)
	s.endpoint = "http://" + front.Listener.Addr().String() + "/mcp"
	tools := rules{}
	for _, rule := range []string{"echo=authenticated", "steps=authenticated", "headers=authenticated", "danger=danger:do"} {
		require.NoError(t, tools.Set(rule))
	}
	front.Config.Handler, err = newHandler(mcpauth.Config{
		Resource: s.endpoint, Issuers: []mcpauth.Issuer{{URL: s.issuer.URL, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
	}, upstream+"/mcp", tools)
	require.NoError(t, err)
	front.Start()
	t.Cleanup(func() {
		front.CloseClientConnections() // streams may be open
		front.Close()
	})
	return s
}

func (s *system) token(subject, scope string) string {
	return s.issuer.Token(s, s.endpoint, subject, map[string]any{"scope": scope})
}

func (s *system) request(method, body, token, session string) *http.Request {
	r, err := http.NewRequestWithContext(s.Context(), method, s.endpoint, strings.NewReader(body))
	require.NoError(s, err)
	r.Header.Set("Accept", "application/json, text/event-stream")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	}
	return r
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (s *system) do(r *http.Request) answer {
	s.Helper()
	res, err := s.client.Do(r)
	require.NoError(s, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(s, err)
	return answer{res.StatusCode, res.Header, string(body)}
}

func (s *system) post(body, token, session string) answer {
	s.Helper()
	return s.do(s.request(http.MethodPost, body, token, session))
}

// open begins a session, if the server has sessions.
func (s *system) open(token string) string {
	s.Helper()
	a := s.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, token, "")
	require.Equal(s, http.StatusOK, a.status, a.body)
	id := a.header.Get("Mcp-Session-Id")
	require.Equal(s, http.StatusAccepted, s.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, token, id).status)
	s.seen()
	return id
}

type sight struct {
	Method  string
	Headers map[string]any
	Body    string
}

// seen returns what has come to the upstream since it was last asked.
func (s *system) seen() (all []sight) {
	s.Helper()
	res, err := s.client.Get(s.upstream + "/seen")
	require.NoError(s, err)
	defer res.Body.Close()
	require.NoError(s, json.NewDecoder(res.Body).Decode(&all))
	return all
}

func call(id int, tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":%q,"arguments":{"text":"hello"}}}`, id, tool)
}

func each(t *testing.T, test func(*testing.T, *system)) {
	for _, mode := range []string{"stateful", "stateless"} {
		t.Run(mode, func(t *testing.T) { test(t, newSystem(t, mode)) })
	}
}

func TestE2E_CallsReachTheUpstreamWhenTheyAreAllowed(t *testing.T) {
	each(t, func(t *testing.T, s *system) {
		plain, more := s.token("ada", ""), s.token("ada", "danger:do")
		id := s.open(plain)
		require.Contains(t, s.post(call(7, "echo"), plain, id).body, "echo hello")
		require.Contains(t, s.post(`{"jsonrpc":"2.0","id":8,"method":"tools/list"}`, plain, id).body, `"danger"`)
		require.Len(t, s.seen(), 2)

		for name, refused := range map[string]struct {
			body, token string
			status      int
			want        string
		}{
			"no token":             {call(7, "echo"), "", 401, `"code":401`},
			"a bad token":          {call(7, "echo"), plain + "x", 401, `"code":401`},
			"a missing scope":      {call(7, "danger"), plain, 403, `"scope":"danger:do"`},
			"an undeclared tool":   {call(7, "forgotten"), more, 200, `"code":-32602`},
			"a method of nobody":   {`{"jsonrpc":"2.0","id":7,"method":"vendor/run"}`, more, 400, `"code":-32601`},
			"two readings":         {`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"danger","name":"echo"}}`, plain, 400, ""},
			"a call without an id": {strings.Replace(call(7, "danger"), `"id":7,`, "", 1), plain, 403, ""},
		} {
			a := s.post(refused.body, refused.token, id)
			require.Equal(t, refused.status, a.status, name)
			require.Contains(t, a.body, refused.want, name)
			require.Empty(t, s.seen(), "%s: the upstream has seen nothing", name)
		}
		require.Contains(t, s.post(call(7, "danger"), more, id).body, "danger ran")
	})
}

func TestE2E_TheUpstreamNeverSeesCredentials(t *testing.T) {
	each(t, func(t *testing.T, s *system) {
		token := s.token("ada", "danger:do")
		id := s.open(token)
		r := s.request(http.MethodPost, call(7, "headers"), token, id)
		r.Header.Set("Proxy-Authorization", "Basic c2VjcmV0")
		r.Header.Set("DPoP", "proof")
		r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		a := s.do(r)
		require.Contains(t, a.body, "0af7651916cd43dd8448eb211c80319c", "the tool has told its headers")
		stream := s.request(http.MethodGet, "", token, id)
		ended := s.request(http.MethodDelete, "", token, id)
		if id != "" {
			res, err := s.client.Do(stream)
			require.NoError(t, err)
			res.Body.Close()
			s.do(ended)
		}
		all := s.seen()
		require.NotEmpty(t, all)
		for _, one := range all {
			text, err := json.Marshal(one)
			require.NoError(t, err)
			for _, secret := range append(strings.Split(token, "."), "c2VjcmV0", "proof", "authorization") {
				require.NotContains(t, strings.ToLower(string(text)), strings.ToLower(secret))
				require.NotContains(t, a.body, secret)
			}
		}
	})
}

// HTTP-16: an event arrives before the next one exists.
func TestE2E_StreamsAreNotHeldBack(t *testing.T) {
	each(t, func(t *testing.T, s *system) {
		token := s.token("ada", "")
		id := s.open(token)
		res, err := s.client.Do(s.request(http.MethodPost, call(7, "steps"), token, id))
		require.NoError(t, err)
		defer res.Body.Close()
		require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
		events := bufio.NewScanner(res.Body)
		for _, want := range []string{"step 1", "step 2", "done"} {
			for events.Scan() && !strings.HasPrefix(events.Text(), "data: {") {
			}
			require.NoError(t, events.Err())
			require.Contains(t, events.Text(), want)
			release, err := s.client.Post(s.upstream+"/release", "text/plain", nil)
			require.NoError(t, err)
			release.Body.Close()
		}
	})
}

func TestE2E_NotificationsAndBatches(t *testing.T) {
	each(t, func(t *testing.T, s *system) {
		token := s.token("ada", "")
		id := s.open(token)
		a := s.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}`, token, id)
		require.Equal(t, http.StatusAccepted, a.status)
		require.Empty(t, a.body)

		// A revision that has no batches refuses them, an older one decides each message (AUTHZ-10).
		batch := func(tools ...string) *http.Request {
			var all []string
			for i, tool := range tools {
				all = append(all, call(i, tool))
			}
			r := s.request(http.MethodPost, "["+strings.Join(all, ",")+"]", token, id)
			r.Header.Set("Mcp-Protocol-Version", "2025-03-26")
			return r
		}
		a = s.do(batch("echo", "headers"))
		require.Equal(t, http.StatusOK, a.status, a.body)
		require.Contains(t, a.body, "echo hello")
		require.Contains(t, a.body, "content-type")
		s.seen()
		require.Equal(t, http.StatusForbidden, s.do(batch("echo", "danger")).status)
		r := batch("echo")
		r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		require.Equal(t, http.StatusBadRequest, s.do(r).status)
		require.Empty(t, s.seen())
	})
}

// HTTP-13: the TypeScript SDK binds its sessions to nobody.
func TestE2E_SessionsBelongToTheirOpener(t *testing.T) {
	s := newSystem(t, "stateful")
	ada, eve := s.token("ada", ""), s.token("eve", "danger:do")
	id := s.open(ada)
	require.NotEmpty(t, id)
	for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
		body := ""
		if method == http.MethodPost {
			body = call(7, "echo")
		}
		a := s.do(s.request(method, body, eve, id))
		require.Equal(t, http.StatusForbidden, a.status)
		require.Empty(t, a.header["Www-Authenticate"])
	}
	stateless := s.request(http.MethodPost, call(7, "echo"), eve, id)
	stateless.Header.Set("Mcp-Protocol-Version", "2026-07-28")
	require.Equal(t, http.StatusBadRequest, s.do(stateless).status, "the upstream wants a session and is told of none")
	for _, one := range s.seen() {
		require.NotContains(t, one.Headers, "mcp-session-id")
	}
	require.Contains(t, s.post(call(7, "echo"), ada, id).body, "echo hello")
	require.Equal(t, http.StatusOK, s.do(s.request(http.MethodDelete, "", ada, id)).status)
	require.Equal(t, http.StatusBadRequest, s.post(call(7, "echo"), ada, id).status, "it has ended")
	methods := []string{}
	for _, one := range s.seen() {
		methods = append(methods, one.Method)
	}
	require.Equal(t, []string{"POST", "DELETE", "POST"}, methods)
}
