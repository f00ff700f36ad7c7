package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// A bench is a server whose figures and spans stay in memory.
type bench struct {
	t       *testing.T
	tel     *telemetry
	handler http.Handler
	key     string
	reader  *sdkmetric.ManualReader
	spans   *tracetest.InMemoryExporter
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, reader: sdkmetric.NewManualReader(), spans: tracetest.NewInMemoryExporter()}
	var err error
	b.tel, err = newTelemetry(sdkmetric.NewMeterProvider(sdkmetric.WithReader(b.reader)), sdktrace.NewTracerProvider(sdktrace.WithSyncer(b.spans)), toolNames...)
	require.NoError(t, err)
	var ticks int
	b.tel.now = func() time.Time { // a quarter of a second between any two looks
		ticks++
		return time.Unix(0, 0).Add(time.Duration(ticks) * 250 * time.Millisecond)
	}
	b.handler, b.key, err = protect("http://127.0.0.1/mcp", b.tel)
	require.NoError(t, err)
	b.send(call("read", ""), 200, nil) // with the lists that the middleware asks for itself
	b.spans.Reset()
	return b
}

func (b *bench) send(body string, status int, change func(http.Header)) {
	r := httptest.NewRequest("POST", "http://127.0.0.1/mcp", strings.NewReader(body))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2025-11-25"}, "X-Api-Key": {b.key}}
	if change != nil {
		change(r.Header)
	}
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	require.Equal(b.t, status, w.Code, w.Body.String())
}

func traceparent(value string) func(http.Header) {
	return func(h http.Header) { h.Set("Traceparent", value) }
}

// figures are the sums of the counter and the counts of the histogram, by labels.
func (b *bench) figures() (decisions map[string]int64, calls map[string]metricdata.HistogramDataPoint[float64]) {
	var all metricdata.ResourceMetrics
	require.NoError(b.t, b.reader.Collect(context.Background(), &all))
	decisions, calls = make(map[string]int64), make(map[string]metricdata.HistogramDataPoint[float64])
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Sum[int64]:
				require.Equal(b.t, "mcpauth.decisions", m.Name)
				for _, point := range data.DataPoints {
					decisions[point.Attributes.Encoded(attribute.DefaultEncoder())] = point.Value
				}
			case metricdata.Histogram[float64]:
				require.Equal(b.t, "mcp.server.operation.duration s", m.Name+" "+m.Unit)
				for _, point := range data.DataPoints {
					calls[point.Attributes.Encoded(attribute.DefaultEncoder())] = point
				}
			default:
				b.t.Fatalf("%s is of another kind", m.Name)
			}
		}
	}
	return decisions, calls
}

func TestFigures(t *testing.T) {
	b := newBench(t)
	b.send(call("read", ""), 200, nil)
	b.send(call("fail", ""), 200, nil)
	b.send(call("write", ""), 403, nil)
	b.send(call("write", ""), 403, nil)
	b.send(call("read", ""), 401, func(h http.Header) { h.Del("X-Api-Key") })
	b.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, 200, nil)
	decisions, calls := b.figures()
	const tool = "gen_ai.tool.name="
	require.Equal(t, map[string]int64{
		tool + "read,mcp.method.name=tools/call,mcpauth.outcome=allowed,mcpauth.reason=allowed":      2,
		tool + "fail,mcp.method.name=tools/call,mcpauth.outcome=allowed,mcpauth.reason=allowed":      1,
		tool + "write,mcp.method.name=tools/call,mcpauth.outcome=refused,mcpauth.reason=grant_fixed": 2,
		"mcp.method.name=,mcpauth.outcome=refused,mcpauth.reason=no_credentials":                     1,
		"mcp.method.name=tools/list,mcpauth.outcome=allowed,mcpauth.reason=allowed":                  1,
	}, decisions)
	read := calls["gen_ai.operation.name=execute_tool,"+tool+"read,mcp.method.name=tools/call"]
	require.Equal(t, uint64(2), read.Count)
	require.InDelta(t, 0.5, read.Sum, 1e-9, "two calls of a quarter of a second")
	require.Equal(t, []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}, read.Bounds)
	require.Equal(t, uint64(1), calls["error.type=tool_error,gen_ai.operation.name=execute_tool,"+tool+"fail,mcp.method.name=tools/call"].Count)
	require.Equal(t, uint64(2), calls["mcp.method.name=tools/list"].Count)
	require.Len(t, calls, 6, "nothing that was refused was run: %v", calls)
}

// TestLabelsAreBounded sends what clients make up.
func TestLabelsAreBounded(t *testing.T) {
	b := newBench(t)
	before, callsBefore := b.figures()
	for i := range 50 {
		name := strings.Repeat("x", i+1)
		b.send(call(name, ""), 200, nil)
		b.send(`{"jsonrpc":"2.0","id":1,"method":"`+name+`/y"}`, 400, nil)
		b.send(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///`+name+`"}}`, 200, nil)
	}
	decisions, calls := b.figures()
	require.Len(t, decisions, len(before)+3, "%v", decisions)
	require.Len(t, calls, len(callsBefore))
	require.Equal(t, int64(50), decisions["mcp.method.name=_OTHER,mcpauth.outcome=refused,mcpauth.reason=no_rule"])
	for _, span := range b.spans.GetSpans() {
		require.Equal(t, "POST", span.Name)
	}
}

func (b *bench) spanNamed(name string) tracetest.SpanStub {
	for _, span := range b.spans.GetSpans() {
		if span.Name == name {
			return span
		}
	}
	b.t.Fatalf("there is no span %q", name)
	return tracetest.SpanStub{}
}

const (
	headerTrace, headerSpan = "11111111111111111111111111111111", "aaaaaaaaaaaaaaaa"
	metaTrace, metaSpan     = "22222222222222222222222222222222", "bbbbbbbbbbbbbbbb"
)

func TestTraceContext(t *testing.T) {
	const inMetaMember = `"traceparent":"` + inMeta + `"`
	for _, tt := range []struct {
		name, meta, header            string
		parent                        string // of the tool's span: "http", or a span id
		httpTrace, httpParent, inTool string
	}{
		{"neither", "", "", "http", "", "0000000000000000", ""},
		{"the header", "", inHeader, "http", headerTrace, headerSpan, headerTrace},
		{"_meta", inMetaMember, "", metaSpan, "", "0000000000000000", metaTrace},
		{"both: _meta comes first, and the HTTP request is linked", inMetaMember, inHeader, metaSpan, headerTrace, headerSpan, metaTrace},
		{"_meta with nonsense", `"traceparent":"00-xyz"`, inHeader, "http", headerTrace, headerSpan, headerTrace},
		{"_meta of another type", `"traceparent":{"a":[1]}`, inHeader, "http", headerTrace, headerSpan, headerTrace},
		{"a header with nonsense", "", "00-00000000000000000000000000000000-0000000000000000-01", "http", "", "0000000000000000", ""},
	} {
		b := newBench(t)
		b.send(call("read", tt.meta), 200, traceparent(tt.header))
		hop, tool := b.spanNamed("POST"), b.spanNamed("tools/call read")
		require.Equal(t, tt.httpParent, hop.Parent.SpanID().String(), tt.name)
		if tt.httpTrace != "" {
			require.Equal(t, tt.httpTrace, hop.SpanContext.TraceID().String(), tt.name)
		}
		if tt.parent == "http" {
			require.Equal(t, hop.SpanContext.SpanID(), tool.Parent.SpanID(), tt.name)
			require.Equal(t, hop.SpanContext.TraceID(), tool.SpanContext.TraceID(), tt.name)
			require.Empty(t, tool.Links, tt.name)
		} else {
			require.Equal(t, tt.parent, tool.Parent.SpanID().String(), tt.name)
			require.Equal(t, tt.inTool, tool.SpanContext.TraceID().String(), tt.name)
			require.Len(t, tool.Links, 1, tt.name)
			require.Equal(t, hop.SpanContext.SpanID(), tool.Links[0].SpanContext.SpanID(), tt.name)
		}
		require.Len(t, hop.Events, 1)
		require.Equal(t, "mcpauth.decision", hop.Events[0].Name)
	}

	b := newBench(t)
	b.send(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{`+inMetaMember+`}}}`, 200, nil)
	require.Equal(t, metaSpan, b.spanNamed("tools/list").Parent.SpanID().String(), "every request has _meta")
	b.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, 202, nil) // params may be missing

	b = newBench(t)
	b.send(call("read", ""), 200, func(h http.Header) { h["Traceparent"] = []string{inHeader, inMeta} })
	require.False(t, b.spanNamed("POST").Parent.IsValid(), "of two headers, none counts")
}

// TestTraceIDOfTheLog is what joins a line of the audit log to its trace.
func TestTraceIDOfTheLog(t *testing.T) {
	b := newBench(t)
	var got mcpauth.Decision
	auth, err := mcpauth.New(mcpauth.Config{Resource: "http://127.0.0.1/mcp", Issuers: []mcpauth.Issuer{{URL: "https://login.example.com"}},
		OnDecision: func(_ context.Context, d mcpauth.Decision) { got = d }})
	require.NoError(t, err)
	b.handler = b.tel.wrap(auth.Wrap(http.NotFoundHandler()))
	b.send(call("read", ""), 401, nil)
	require.Equal(t, b.spanNamed("POST").SpanContext.TraceID().String(), got.TraceID)
}

// TestNothingPersonal looks for what must not be in spans and figures.
func TestNothingPersonal(t *testing.T) {
	for _, endUser := range []bool{false, true} {
		b := newBench(t)
		b.tel.endUser = endUser
		for _, tool := range []string{"read", "fail", "write", "/home/uma/diary"} {
			status := map[bool]int{true: 403, false: 200}[tool == "write"]
			b.send(call(tool, `"traceparent":"`+inMeta+`"`), status, func(h http.Header) { h.Set("Baggage", "user=uma@example.com") })
		}
		b.send(call("read", ""), 401, func(h http.Header) { h.Set("X-Api-Key", b.key+"x") })
		decisions, calls := b.figures()
		figures, err := json.Marshal([]any{decisions, keysOf(calls)})
		require.NoError(t, err)
		spans, err := json.Marshal(b.spans.GetSpans())
		require.NoError(t, err)
		for _, private := range []string{b.key, b.key[:16], "diary", "there is no"} {
			require.NotContains(t, string(spans)+string(figures), private)
		}
		require.NotContains(t, string(figures), "uma")
		if endUser {
			require.Contains(t, string(spans), "uma@example.com")
		} else {
			require.NotContains(t, string(spans), "uma")
		}
	}
}

func keysOf[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	return keys
}

// TestFailures are ends of a call that the demonstration does not show.
func TestFailures(t *testing.T) {
	b := newBench(t)
	req := &mcp.CallToolRequest{Params: &mcp.CallToolParamsRaw{Name: "read"}, Extra: &mcp.RequestExtra{}}
	require.Panics(t, func() {
		_, _ = b.tel.receive(func(context.Context, string, mcp.Request) (mcp.Result, error) { panic("x") })(t.Context(), "tools/call", req)
	})
	_, err := b.tel.receive(func(context.Context, string, mcp.Request) (mcp.Result, error) { return nil, io.EOF })(t.Context(), "tools/call", &mcp.CallToolRequest{})
	require.Equal(t, io.EOF, err)

	// In a stateful session, the context is that of another request.
	b.spans.Reset()
	stale, other := b.tel.tracer.Start(t.Context(), "the request that opened the session")
	req.Extra.Header = http.Header{"Traceparent": {inHeader}}
	_, err = b.tel.receive(func(context.Context, string, mcp.Request) (mcp.Result, error) { return &mcp.CallToolResult{}, nil })(stale, "tools/call", req)
	require.NoError(t, err)
	other.End()
	require.Equal(t, headerSpan, b.spanNamed("tools/call read").Parent.SpanID().String())

	_, calls := b.figures()
	require.Equal(t, uint64(1), calls["error.type=panic,gen_ai.operation.name=execute_tool,gen_ai.tool.name=read,mcp.method.name=tools/call"].Count)
	require.Equal(t, uint64(1), calls["error.type=_OTHER,mcp.method.name=tools/call"].Count)
	require.Equal(t, "-32602", errorType(nil, mcp.ResourceNotFoundError("x")))
}

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	for _, want := range []string{`"mcpauth.decisions"`, `"mcp.server.operation.duration"`, `"tools/call read"`, `"no_credentials"`, `"grant_fixed"`, `"tool_error"`} {
		require.Contains(t, out.String(), want)
	}
	require.NotRegexp(t, `demo_|uma|diary|made-up`, out.String())
	require.Contains(t, out.String(), metaTrace)

	out.Reset()
	require.Zero(t, run(t.Context(), []string{"-enduser"}, &out, &log), log.String())
	require.Contains(t, out.String(), "uma@example.com")
	for args, status := range map[string]int{"-no-such-flag": 2, "extra": 2, "-h": 0} {
		log.Reset()
		require.Equal(t, status, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.NotEmpty(t, log.String())
	}
}
