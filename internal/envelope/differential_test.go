package envelope_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/envelope"
)

// A recorder is a real go-sdk server behind its own HTTP handler. Its receiving middleware notes
// what the SDK would execute, and executes nothing.
type recorder struct {
	handler http.Handler
	mu      sync.Mutex
	calls   []string
}

func newRecorder() *recorder {
	r := &recorder{}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	server := mcp.NewServer(&mcp.Implementation{Name: "recorder", Version: "1"}, &mcp.ServerOptions{Logger: quiet})
	server.AddReceivingMiddleware(func(mcp.MethodHandler) mcp.MethodHandler {
		return func(_ context.Context, method string, req mcp.Request) (mcp.Result, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.calls = append(r.calls, executed(method, req.GetParams())...)
			return nil, errors.New("recorded")
		}
	})
	r.handler = mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, Logger: quiet, MaxRequestBodyBytes: 16 << 20})
	return r
}

// executed prints what the SDK decoded, in the way that [subject] prints an operation.
func executed(method string, params mcp.Params) []string {
	named := func(target envelope.Target, name string, arguments json.RawMessage) []string {
		return []string{subject(envelope.Operation{Method: method, Target: target, Name: name, Arguments: arguments})}
	}
	switch p := params.(type) {
	case *mcp.CallToolParamsRaw:
		return named(envelope.Tool, p.Name, p.Arguments)
	case *mcp.GetPromptParams:
		return named(envelope.Prompt, p.Name, nil)
	case *mcp.ReadResourceParams:
		return named(envelope.Resource, p.URI, nil)
	case *mcp.SubscribeParams:
		return named(envelope.Resource, p.URI, nil)
	case *mcp.UnsubscribeParams:
		return named(envelope.Resource, p.URI, nil)
	case *mcp.CompleteParams:
		switch {
		case p.Ref == nil:
			return named(envelope.NoTarget, "no ref", nil)
		case p.Ref.Type == "ref/prompt":
			return named(envelope.Prompt, p.Ref.Name, nil)
		}
		return named(envelope.Template, p.Ref.URI, nil)
	case *mcp.SubscriptionsListenParams:
		all := named(envelope.NoTarget, "", nil)
		if p.Notifications == nil {
			return append(all, "no notifications")
		}
		for _, uri := range p.Notifications.ResourceSubscriptions {
			all = append(all, named(envelope.Resource, uri, nil)...)
		}
		return all
	}
	return named(envelope.NoTarget, "", nil)
}

func subject(op envelope.Operation) string {
	if op.Method != "tools/call" {
		op.Arguments = nil
	}
	return strings.Join([]string{op.Method, targets[op.Target], op.Name, string(op.Arguments)}, "|")
}

// post sends body to the SDK and returns what it would execute.
func (r *recorder) post(body []byte, header http.Header) (int, []string) {
	r.calls = nil
	req := httptest.NewRequest("POST", "http://server.example/mcp", strings.NewReader(string(body)))
	req.Header = header.Clone()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	w := httptest.NewRecorder()
	r.handler.ServeHTTP(w, req)
	r.mu.Lock()
	defer r.mu.Unlock()
	return w.Code, slices.Clone(r.calls)
}

// differ checks a body that Read accepted against the SDK: its decoder must find the same messages,
// and its server must execute what was reported, or less.
func differ(t testing.TB, sdk *recorder, body []byte, opt envelope.Options) {
	env, err := envelope.Read(body, opt)
	if err != nil {
		return
	}
	texts := []json.RawMessage{body}
	if env.Batch {
		texts = nil // else the first would be decoded into body itself
		require.NoError(t, json.Unmarshal(body, &texts))
	}
	for i, text := range texts {
		ops := slices.DeleteFunc(slices.Clone(env.Operations), func(op envelope.Operation) bool { return op.Message != i })
		require.NotEmpty(t, ops)
		msg, err := jsonrpc.DecodeMessage(text)
		if err != nil && ops[0].Kind == envelope.Response {
			continue // the members of an error object are the SDK's to refuse
		}
		require.NoError(t, err)
		for _, op := range ops {
			switch msg := msg.(type) {
			case *jsonrpc.Request:
				require.Equal(t, msg.Method, op.Method)
				require.Equal(t, msg.IsCall(), op.Kind == envelope.Request)
				require.Equal(t, !msg.IsCall(), op.Kind == envelope.Notification)
				require.Equal(t, msg.ID.Raw(), idValue(t, op.ID))
				require.Equal(t, revision(msg.Params), op.ProtocolVersion)
			case *jsonrpc.Response:
				require.Equal(t, envelope.Response, op.Kind)
				require.Equal(t, msg.ID.Raw(), idValue(t, op.ID))
				require.Len(t, ops, 1)
			}
		}
	}

	// In an old revision, batches included.
	var allowed []string
	for _, op := range env.Operations {
		if op.Kind != envelope.Response {
			allowed = append(allowed, subject(op))
		}
	}
	compare := func(header http.Header) {
		status, calls := sdk.post(body, header)
		for _, call := range calls {
			at := slices.Index(allowed, call)
			require.GreaterOrEqual(t, at, 0, "executed %q, reported %q", call, allowed)
		}
		if len(calls) > 0 && !env.Batch {
			require.Equal(t, allowed, calls, "status %d", status)
		}
	}
	compare(http.Header{})
	// In the new one, where the SDK itself compares what it read with the headers.
	first := env.Operations[0]
	if !env.Batch && first.Kind == envelope.Request && first.ProtocolVersion >= "2026-07-28" {
		compare(http.Header{"Mcp-Protocol-Version": {first.ProtocolVersion}, "Mcp-Method": {first.Method}, "Mcp-Name": {first.Name}})
	}
}

// idValue is what go-sdk makes of an id.
func idValue(t testing.TB, raw json.RawMessage) any {
	if raw == nil {
		return nil
	}
	var v any
	require.NoError(t, json.Unmarshal(raw, &v))
	if f, ok := v.(float64); ok {
		require.Equal(t, math.Trunc(f), f)
		return int64(f)
	}
	require.IsType(t, "", v)
	return v
}

// revision reads the revision from params with maps, whose keys have no case to fold.
func revision(params json.RawMessage) string {
	var p, meta map[string]json.RawMessage
	var v string
	if json.Unmarshal(params, &p) == nil && json.Unmarshal(p["_meta"], &meta) == nil {
		_ = json.Unmarshal(meta["io.modelcontextprotocol/protocolVersion"], &v)
	}
	return v
}

const triple = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}`

// modern are bodies of the revision 2026-07-28.
var modern = []string{
	call(`{"name":"admin","arguments":{"a":1},` + triple + `}`),
	call(`{` + triple + `,"n\u0061me":"\u0061dmin"}`),
	with("prompts/get", `{"name":"p",`+triple+`}`),
	with("resources/read", `{"uri":"file:///a",`+triple+`}`),
	with("completion/complete", `{"ref":{"type":"ref/resource","uri":"file:///{x}"},"argument":{"name":"x","value":""},`+triple+`}`),
	with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["file:///a","file:///b"]},`+triple+`}`),
	with("server/discover", `{`+triple+`}`),
	with("tools/list", `{`+triple+`,"cursor":""}`),
}

// TestAUTHZ11_Differential runs all tables through the SDK: what Read accepts, the SDK reads alike.
func TestAUTHZ11_Differential(t *testing.T) {
	sdk := newRecorder()
	for _, tt := range accepted {
		t.Run(tt.name, func(t *testing.T) { differ(t, sdk, []byte(tt.body), envelope.Options{AllowBatch: tt.batch}) })
	}
	for _, tt := range refused {
		t.Run("refused "+tt.name, func(t *testing.T) { differ(t, sdk, []byte(tt.body), envelope.Options{AllowBatch: true}) })
	}
}

// The comparison must not be empty: the SDK does execute these, in the revision that is meant.
func TestAUTHZ11_DifferentialExecutes(t *testing.T) {
	sdk := newRecorder()
	for _, body := range modern {
		env, err := envelope.Read([]byte(body), envelope.Options{})
		require.NoError(t, err)
		op := env.Operations[0]
		_, calls := sdk.post([]byte(body), http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {op.Method}, "Mcp-Name": {op.Name}})
		require.Len(t, calls, len(env.Operations), body)
		differ(t, sdk, []byte(body), envelope.Options{})
	}
	for _, tt := range accepted {
		if strings.Contains(tt.body, `"tools/call"`) && strings.HasPrefix(tt.want[0], "request tools/call tool") {
			_, calls := sdk.post([]byte(tt.body), http.Header{})
			require.NotEmpty(t, calls, tt.name)
		}
	}
}

// What makes a lenient reader dangerous: go-sdk executes these bodies, each in its own way.
func TestAUTHZ11_TheSDKIsLaxer(t *testing.T) {
	sdk := newRecorder()
	for _, tt := range []struct{ body, executed string }{
		{call(`{"name":"admin","Name":"who"}`), "tools/call|tool|admin|"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"tools/list","params":{"name":"admin"}}`, "tools/call|tool|admin|"},
		{call(`{"name":"who","name":"admin"}`), "tools/call|tool|admin|"},
		{`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"admin"}}`, "tools/call|tool|admin|"},
		{call(`{"name":"admin"}`) + ` garbage{`, "tools/call|tool|admin|"},
		{call(`{"name":"admin"}`) + call(`{"name":"who"}`), "tools/call|tool|admin|"},
		{call("{\"name\":\"\xffadmin\"}"), "tools/call|tool|\ufffdadmin|"},
		{call(`{"name":"\ud800admin"}`), "tools/call|tool|\ufffdadmin|"},
		{call(`{"name":null}`), "tools/call|tool||"},
		{`{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"name":"admin"}}`, "tools/call|tool|admin|"},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin"},"result":{}}`, "tools/call|tool|admin|"},
		{call(`{"name":"admin","arguments":` + nest(500) + `}`), "tools/call|tool|admin|" + nest(500)},
	} {
		_, calls := sdk.post([]byte(tt.body), http.Header{})
		require.Equal(t, []string{tt.executed}, calls, tt.body)
		_, err := envelope.Read([]byte(tt.body), envelope.Options{AllowBatch: true})
		require.Error(t, err, tt.body)
	}
}

func FuzzDifferential(f *testing.F) {
	for _, tt := range accepted {
		if len(tt.body) < 4096 {
			f.Add([]byte(tt.body))
		}
	}
	for _, tt := range refused {
		if len(tt.body) < 4096 {
			f.Add([]byte(tt.body))
		}
	}
	for _, body := range modern {
		f.Add([]byte(body))
	}
	sdk := newRecorder()
	f.Fuzz(func(t *testing.T, body []byte) {
		differ(t, sdk, body, envelope.Options{AllowBatch: true})
	})
}
