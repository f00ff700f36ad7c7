// Command otel shows decisions and tool calls in OpenTelemetry: counters, durations and spans of a protected
// MCP server. It plays a client and prints what would go to a collector, as JSON:
//
//	go -C examples/otel run .
//
// See telemetry for the three hooks, and README for what they record.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run returns the exit status: 2 for a mistake on the command line, 1 for a failure.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("otel", flag.ContinueOnError)
	flags.SetOutput(stderr)
	endUser := flags.Bool("enduser", false, "name users in spans: enduser.id is personal data")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "otel: unexpected argument %q\n", flags.Arg(0))
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := demonstrate(ctx, stdout, *endUser); err != nil {
		fmt.Fprintln(stderr, "otel: the demonstration failed:", err)
		return 1
	}
	return 0
}

func demonstrate(ctx context.Context, out io.Writer, endUser bool) error {
	// A server in earnest takes OTLP exporters here, and a sampler: sdktrace.ParentBased does what the client's
	// traceparent says, and strangers would decide what is kept.
	spans, err := stdouttrace.New(stdouttrace.WithWriter(out))
	if err != nil {
		return err
	}
	figures, err := stdoutmetric.New(stdoutmetric.WithWriter(out))
	if err != nil {
		return err
	}
	traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans), sdktrace.WithSampler(sdktrace.AlwaysSample()))
	metrics := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(figures)))
	t, err := newTelemetry(metrics, traces, toolNames...)
	if err != nil {
		return err
	}
	t.endUser = endUser
	err = serveAndPlay(ctx, t)
	return errors.Join(err, traces.Shutdown(ctx), metrics.Shutdown(ctx))
}

var toolNames = []string{"read", "write", "fail"}

// protect is what an existing server adds: wrap, decided and receive, each in one place.
func protect(resource string, t *telemetry) (handler http.Handler, apiKey string, err error) {
	apiKey, hash := mcpauth.NewAPIKey("demo_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "demo_", Keys: []mcpauth.APIKey{
		{Hash: hash, Owner: "uma@example.com", Name: "desk", Scopes: []string{"files:read"}},
	}})
	if err != nil {
		return nil, "", err
	}
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: resource, Authenticators: []mcpauth.Authenticator{keys},
		OnDecision: t.decided,
	})
	if err != nil {
		return nil, "", err
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	server.AddReceivingMiddleware(t.receive) // before the first AddTool of mcpauth, which protects the server
	type input struct {
		Path string `json:"path,omitempty"`
	}
	tool := func(_ context.Context, req *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
		if req.Params.Name == "fail" {
			return nil, nil, fmt.Errorf("there is no %s", in.Path)
		}
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "done"}}}, nil, nil
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read"}, tool, scopes.All("files:read"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "fail"}, tool, scopes.All("files:read"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write"}, tool, scopes.All("files:write"))
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return t.wrap(mux), apiKey, nil
}

// The spans that the client says it is in.
const (
	inHeader = "00-11111111111111111111111111111111-aaaaaaaaaaaaaaaa-01"
	inMeta   = "00-22222222222222222222222222222222-bbbbbbbbbbbbbbbb-01"
)

func call(tool, meta string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{"path":"/home/uma/diary"},"_meta":{%s}}}`, tool, meta)
}

func serveAndPlay(ctx context.Context, t *telemetry) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	resource := "http://" + listener.Addr().String() + "/mcp"
	handler, apiKey, err := protect(resource, t)
	if err != nil {
		listener.Close()
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends by Close
	}()
	defer func() {
		server.Close()
		<-done
	}()
	for _, request := range []struct {
		body, key, traceparent string
		status                 int
	}{
		{call("read", ""), "", "", 401},
		{call("read", ""), apiKey, inHeader, 200},
		{call("read", `"traceparent":"`+inMeta+`"`), apiKey, inHeader, 200},
		{call("read", `"traceparent":"`+inMeta+`"`), apiKey, "", 200},
		{call("fail", `"traceparent":"nonsense"`), apiKey, "", 200},
		{call("write", ""), apiKey, inHeader, 403},
		{call("made-up-by-the-client", ""), apiKey, "", 200}, // a JSON-RPC error
	} {
		if err := send(ctx, resource, request.body, request.key, request.traceparent, request.status); err != nil {
			return err
		}
	}
	return nil
}

func send(ctx context.Context, url, body, key, traceparent string, status int) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2025-11-25",
		"X-Api-Key": key, "Traceparent": traceparent,
	} {
		if value != "" {
			r.Header.Set(name, value)
		}
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != status {
		return fmt.Errorf("the answer to %s is %s, not %d", body, res.Status, status)
	}
	return nil
}
