package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A way is one of the doors to a server: by HTTP with or without sessions, or in memory.
type way struct {
	mode, revision string
	auth           *mcpauth.Middleware
	*traps
	http         http.Handler
	weak, strong string
	session      string
	sent         int
}

// A reply is an answer in the words of the table.
type reply struct {
	word   string // allowed, unknown, "403", "403, challenge", or something else
	result map[string]any
}

func (w *way) send(t *testing.T, method string, params map[string]any, strong bool) reply {
	t.Helper()
	body := map[string]any{"jsonrpc": "2.0", "method": method, "params": params}
	if method == "" {
		body = map[string]any{"jsonrpc": "2.0", "result": map[string]any{}}
	}
	if !strings.HasPrefix(method, "notifications/") {
		w.sent++
		body["id"] = w.sent // the SDK keeps a listen of a session going, and its id taken
	}
	if w.revision == "2026-07-28" && body["params"] != nil {
		params["_meta"] = map[string]any{"io.modelcontextprotocol/protocolVersion": w.revision,
			"io.modelcontextprotocol/clientInfo": map[string]any{"name": "c", "version": "1"}, "io.modelcontextprotocol/clientCapabilities": map[string]any{}}
	}
	text, err := json.Marshal(body)
	require.NoError(t, err)
	if w.mode == "in memory" {
		return w.sendLocal(t, text, strong)
	}
	token := w.weak
	if strong {
		token = w.strong
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := atRevision(w.revision, post(string(text), token)).WithContext(ctx)
	if method == "GET" || method == "DELETE" {
		r.Method, r.Body = method, http.NoBody
	}
	if w.revision == "2026-07-28" {
		r.Header.Set("Mcp-Method", method)
		for _, member := range []string{"name", "uri"} {
			if name, ok := params[member].(string); ok {
				r.Header.Set("Mcp-Name", name)
			}
		}
	}
	if w.session != "" && method != "initialize" {
		r.Header.Set("Mcp-Session-Id", w.session)
	}
	rec := &leaver{ResponseRecorder: httptest.NewRecorder(), leave: cancel}
	w.http.ServeHTTP(rec, r)
	return httpReply(t, rec.ResponseRecorder, w.revision, strings.HasPrefix(method, "notifications/"))
}

func httpReply(t *testing.T, rec *httptest.ResponseRecorder, revision string, silent bool) reply {
	var answer struct {
		Result map[string]any
		Error  *struct{ Code int }
	}
	_ = json.Unmarshal(rec.Body.Bytes(), &answer)
	challenge := strings.Contains(rec.Header().Get("Www-Authenticate"), `error="insufficient_scope", scope="files:write`)
	switch {
	case rec.Code == 403 && challenge:
		return reply{word: "403, challenge"}
	case rec.Code == 403 && len(rec.Header()["Www-Authenticate"]) == 0:
		return reply{word: "403"}
	case answer.Error != nil && answer.Error.Code == -32602:
		if want := map[bool]int{false: 200, true: 400}[revision == "2026-07-28"]; rec.Code == want {
			return reply{word: "unknown"}
		}
	case answer.Error != nil && answer.Error.Code == -32601, silent && rec.Code >= 400 && rec.Body.Len() == 0:
		if want := map[bool]int{false: 400, true: 404}[revision == "2026-07-28"]; rec.Code == want {
			return reply{word: "unknown"}
		}
	case rec.Code < 300 && answer.Error == nil:
		return reply{"allowed", answer.Result}
	}
	return reply{word: rec.Result().Status + " " + rec.Body.String()}
}

// sendLocal goes to the server without Wrap, over a connection whose context has the caller.
func (w *way) sendLocal(t *testing.T, text []byte, strong bool) reply {
	grant := scopes.NewGrant([]string{"files:read"}, nil)
	if strong {
		grant = scopes.NewGrant([]string{"files:read", "files:write"}, []string{"admin"})
	}
	ctx, cancel := context.WithCancel(mcpauth.NewContext(t.Context(), mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "i", Subject: "s", Grant: grant, Expiry: epoch.Add(600e9)})))
	defer cancel()
	near, far := mcp.NewInMemoryTransports()
	there, err := w.server.Connect(ctx, far, nil)
	require.NoError(t, err)
	here, err := near.Connect(ctx)
	require.NoError(t, err)
	defer func() { here.Close(); there.Wait() }()
	exchange := func(text []byte) reply {
		msg, err := jsonrpc.DecodeMessage(text)
		require.NoError(t, err)
		require.NoError(t, here.Write(ctx, msg))
		back, err := here.Read(ctx)
		require.NoError(t, err)
		resp, ok := back.(*jsonrpc.Response)
		if !ok {
			return reply{word: "allowed"} // the stream of a subscriptions/listen has begun
		}
		var e *jsonrpc.Error
		if errors.As(resp.Error, &e) {
			word, ok := map[int64]string{403: "403", -32602: "unknown", -32601: "unknown"}[e.Code]
			if !ok {
				word = e.Error()
			}
			return reply{word: word}
		}
		var result map[string]any
		require.NoError(t, resp.Error)
		require.NoError(t, json.Unmarshal(resp.Result, &result))
		return reply{"allowed", result}
	}
	if w.revision != "2026-07-28" && !strings.Contains(string(text), `"initialize"`) {
		require.Equal(t, "allowed", exchange([]byte(rpc("initialize", plainParams("initialize", w.revision)))).word)
	}
	if strings.Contains(string(text), `"method":"notifications/`) {
		msg, err := jsonrpc.DecodeMessage(text)
		require.NoError(t, err)
		require.NoError(t, here.Write(ctx, msg))
		exchange([]byte(rpc("ping", nil))) // they are handled in order
		return reply{word: "silence"}
	}
	return exchange(text)
}

// expect is what a word of the table comes to in memory.
func (w *way) expect(word string, silent bool) string {
	if w.mode == "in memory" {
		if silent {
			return "silence"
		}
		return strings.TrimSuffix(word, ", challenge")
	}
	return word
}
