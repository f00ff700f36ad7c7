//lint:file-ignore SA1019 clients still send what sampling and logging need, so it must be read

package envelope_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/envelope"
)

// A tap stands before a server and reads every body that passes.
type tap struct {
	next http.Handler
	mu   sync.Mutex
	seen map[string]bool // descriptions of operations, without ids
	bad  []string
}

func (p *tap) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		body, err := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.mu.Lock()
		if err == nil {
			var env *envelope.Envelope
			if env, err = envelope.Read(body, envelope.Options{}); err == nil {
				for _, op := range env.Operations {
					id := envelope.RequestID(body)
					if (op.Kind == envelope.Request) != (id != nil) || id != nil && string(id) != string(op.ID) {
						err = fmt.Errorf("RequestID %s", id)
					}
					if version := r.Header.Get("Mcp-Protocol-Version"); version >= "2026-07-28" && op.Kind == envelope.Request && op.ProtocolVersion != version {
						err = fmt.Errorf("revision %q", op.ProtocolVersion)
					}
					op.ID = nil
					p.seen[describe(op)] = true
				}
			}
		}
		if err != nil {
			p.bad = append(p.bad, fmt.Sprintf("%v: %s", err, body))
		}
		p.mu.Unlock()
	}
	p.next.ServeHTTP(w, r)
}

// everything is a server that offers, and asks of its client, whatever the SDK can.
func everything(listening chan<- struct{}) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "everything", Version: "1"}, &mcp.ServerOptions{
		Logger:   slog.New(slog.NewTextHandler(io.Discard, nil)),
		PageSize: 1,
		CompletionHandler: func(context.Context, *mcp.CompleteRequest) (*mcp.CompleteResult, error) {
			return &mcp.CompleteResult{}, nil
		},
		SubscribeHandler:   func(context.Context, *mcp.SubscribeRequest) error { listening <- struct{}{}; return nil },
		UnsubscribeHandler: func(context.Context, *mcp.UnsubscribeRequest) error { return nil },
	})
	tool := func(name string, run func(context.Context, *mcp.CallToolRequest) error) {
		server.AddTool(&mcp.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return &mcp.CallToolResult{}, run(ctx, req)
		})
	}
	tool("plain", func(context.Context, *mcp.CallToolRequest) error { return nil })
	tool("ask", func(ctx context.Context, req *mcp.CallToolRequest) error {
		_, err := req.Session.CreateMessage(ctx, &mcp.CreateMessageParams{Messages: []*mcp.SamplingMessage{}})
		if err != nil {
			return err
		}
		if _, err = req.Session.Elicit(ctx, &mcp.ElicitParams{Message: "sure?"}); err == nil {
			return errors.New("the client should have refused")
		}
		return nil
	})
	tool("hang", func(ctx context.Context, _ *mcp.CallToolRequest) error {
		listening <- struct{}{}
		<-ctx.Done()
		listening <- struct{}{}
		return ctx.Err()
	})
	server.AddPrompt(&mcp.Prompt{Name: "p"}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{}, nil
	})
	server.AddResource(&mcp.Resource{Name: "a", URI: "file:///a"}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: "file:///a", Text: "x"}}}, nil
	})
	return server
}

// TestAUTHZ11_EveryMessageOfTheSDKClientIsAccepted lets the SDK's client do all that it can against
// the SDK's server in three revisions, and reads everything that it sends.
func TestAUTHZ11_EveryMessageOfTheSDKClientIsAccepted(t *testing.T) {
	always := []string{
		`request tools/list`, `request prompts/list`, `request resources/list`, `request resources/templates/list`,
		`request tools/call tool "plain"`, `request prompts/get prompt "p"`, `request resources/read resource "file:///a"`,
		`request completion/complete prompt "p"`, `request completion/complete template "file:///{x}"`,
	}
	legacy := append([]string{
		`request initialize`, `notification notifications/initialized`, `request ping`, `request logging/setLevel`,
		`request resources/subscribe resource "file:///a"`, `request resources/unsubscribe resource "file:///a"`,
		`request tools/call tool "ask"`, `response `, `notification notifications/progress`, `notification notifications/cancelled`,
	}, always...)
	for _, tt := range []struct {
		revision string
		want     []string
	}{
		{"2025-03-26", legacy},
		{"2025-06-18", legacy},
		{"2025-11-25", legacy},
		{"2026-07-28", append([]string{`request server/discover`, `request subscriptions/listen`, `request subscriptions/listen resource "file:///a"`}, always...)},
	} {
		t.Run(tt.revision, func(t *testing.T) {
			modern := tt.revision >= "2026-07-28"
			listening := make(chan struct{}, 10)
			server := everything(listening)
			p := &tap{seen: map[string]bool{}, next: mcp.NewStreamableHTTPHandler(
				func(*http.Request) *mcp.Server { return server },
				&mcp.StreamableHTTPOptions{Stateless: modern, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})}
			web := httptest.NewServer(p)
			defer web.Close()

			client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, &mcp.ClientOptions{
				CreateMessageHandler: func(context.Context, *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
					return &mcp.CreateMessageResult{Content: &mcp.TextContent{Text: "x"}, Model: "m", Role: "assistant"}, nil
				},
				ElicitationHandler: func(context.Context, *mcp.ElicitRequest) (*mcp.ElicitResult, error) {
					return nil, errors.New("an error response")
				},
				ToolListChangedHandler: func(context.Context, *mcp.ToolListChangedRequest) {},
			})
			ctx := t.Context()
			session, err := client.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: web.URL, DisableStandaloneSSE: true}, &mcp.ClientSessionOptions{ProtocolVersion: tt.revision})
			require.NoError(t, err)
			defer session.Close()

			for _, err := range session.Tools(ctx, nil) { // pages, so with cursors
				require.NoError(t, err)
			}
			for _, err := range session.Prompts(ctx, &mcp.ListPromptsParams{}) {
				require.NoError(t, err)
			}
			for _, err := range session.Resources(ctx, nil) {
				require.NoError(t, err)
			}
			for _, err := range session.ResourceTemplates(ctx, nil) {
				require.NoError(t, err)
			}
			params := &mcp.CallToolParams{Name: "plain", Arguments: map[string]any{"a": []int{1}, "ü\u2028<>&": "\x00\x7f"}, RequestState: "s",
				InputResponses: mcp.InputResponseMap{"k": &mcp.ElicitResult{Action: "accept", Content: map[string]any{"x": 1}}}}
			params.SetProgressToken("token")
			_, err = session.CallTool(ctx, params)
			require.NoError(t, err)
			_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "plain"})
			require.NoError(t, err)
			_, err = session.GetPrompt(ctx, &mcp.GetPromptParams{Name: "p", Arguments: map[string]string{"a": "b"}})
			require.NoError(t, err)
			_, err = session.ReadResource(ctx, &mcp.ReadResourceParams{URI: "file:///a"})
			require.NoError(t, err)
			for _, ref := range []*mcp.CompleteReference{{Type: "ref/prompt", Name: "p"}, {Type: "ref/resource", URI: "file:///{x}"}} {
				_, err = session.Complete(ctx, &mcp.CompleteParams{Ref: ref, Argument: mcp.CompleteParamsArgument{Name: "x", Value: "y"}})
				require.NoError(t, err)
			}
			require.NoError(t, session.Subscribe(ctx, &mcp.SubscribeParams{URI: "file:///a"}))
			<-listening
			require.NoError(t, session.Unsubscribe(ctx, &mcp.UnsubscribeParams{URI: "file:///a"}))
			if !modern {
				require.NoError(t, session.Ping(ctx, nil))
				require.NoError(t, session.SetLoggingLevel(ctx, &mcp.SetLoggingLevelParams{Level: "debug"}))
				require.NoError(t, session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: "token", Progress: 0.5}))
				_, err = session.CallTool(ctx, &mcp.CallToolParams{Name: "ask"})
				require.NoError(t, err)
				stop, cancel := context.WithCancel(ctx)
				go func() { <-listening; cancel() }()
				_, err = session.CallTool(stop, &mcp.CallToolParams{Name: "hang"})
				require.ErrorIs(t, err, context.Canceled)
				<-listening // the notification has arrived; it is sent beside the call
			}
			session.Close()

			p.mu.Lock()
			defer p.mu.Unlock()
			require.Empty(t, p.bad)
			for _, want := range tt.want {
				require.True(t, p.seen[want], "the client never sent %q but %v", want, p.seen)
			}
		})
	}
}

// Bodies in the form of other clients: member orders and spare nulls that their serializers give.
func TestAUTHZ11_OtherClientsAreAccepted(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"TypeScript SDK", `{"method":"tools/call","params":{"name":"t","arguments":{},"_meta":{"progressToken":0}},"jsonrpc":"2.0","id":0}`, `request tools/call tool "t" 0`},
		{"TypeScript SDK, initialize", `{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"sampling":{},"elicitation":{},"roots":{"listChanged":true}},"clientInfo":{"name":"c","version":"1"}},"jsonrpc":"2.0","id":0}`, `request initialize 0`},
		{"Python SDK", `{"method":"tools/list","params":{"cursor":"2"},"jsonrpc":"2.0","id":1}`, `request tools/list 1`},
		{"Python SDK, elicitation result", `{"jsonrpc":"2.0","id":0,"result":{"action":"accept","content":{"ok":true}}}`, `response  0`},
		{"no params at all", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, `notification notifications/initialized`},
		{"nulls for what is absent", `{"jsonrpc":"2.0","id":"8f14e45f-ceea-467f-a8b3-5b6f1d3b1a3c","method":"ping","params":null}`, `request ping "8f14e45f-ceea-467f-a8b3-5b6f1d3b1a3c"`},
		{"empty list for no arguments", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":[]}}`, `request tools/call tool "t" 1`},
		{"arguments null", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":null}}`, `request tools/call tool "t" 1`},
		{"a task", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","task":{"ttl":60000}}}`, `request tools/call tool "t" 1`},
		{"cancelled", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`, `notification notifications/cancelled`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			env, err := envelope.Read([]byte(tt.body), envelope.Options{})
			require.NoError(t, err)
			require.Equal(t, []string{tt.want}, describeAll(env.Operations))
		})
	}
}
