package envelope_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/internal/envelope"
)

// textOf returns a tools/call as the Go client of 2025-11-25 writes it, of about size bytes: a few
// arguments, and text for the rest.
func textOf(size int) []byte {
	head := `{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"_meta":{"progressToken":"f47ac10b-58cc"},"name":"write_note","arguments":{` +
		`"create":true,"mode":420,"options":{"encoding":"utf-8","overwrite":false},"path":"notes/2026/07/28.md","tags":["work","draft"],"text":"`
	tail := `"}}}`
	line := `All work and no play makes a dull day, as the saying goes; \"quoted\" text has escapes.\n`
	n := max(0, size-len(head)-len(tail))
	return []byte(head + strings.Repeat(line, n/len(line)) + strings.Repeat("x", n%len(line)) + tail)
}

// rowsOf returns a tools/call of about size bytes whose arguments are many small objects.
func rowsOf(size int) []byte {
	row := `{"id":12345,"name":"some name","price":19.99,"tags":["a","b"],"ok":true},`
	return []byte(call(`{"name":"write_note","arguments":{"rows":[` + strings.TrimSuffix(strings.Repeat(row, size/len(row)), ",") + `]}}`))
}

// anchor is the SDK's own cost of the same tools/call: stateless, JSON, a handler that does nothing.
func anchor(b *testing.B, body []byte) time.Duration {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	server := mcp.NewServer(&mcp.Implementation{Name: "anchor", Version: "1"}, &mcp.ServerOptions{Logger: quiet})
	server.AddTool(&mcp.Tool{Name: "write_note", InputSchema: json.RawMessage(`{"type":"object"}`)}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ok"}}}, nil
	})
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, Logger: quiet, MaxRequestBodyBytes: 16 << 20})
	once := func() {
		req := httptest.NewRequest("POST", "http://server.example/mcp", strings.NewReader(string(body)))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"ok"`) {
			b.Fatal(w.Code, w.Body.String())
		}
	}
	// The median of many: the SDK starts goroutines, so a mean is at the mercy of the scheduler.
	var all []time.Duration
	for start := time.Now(); len(all) < 5 || time.Since(start) < 300*time.Millisecond; {
		at := time.Now()
		once()
		all = append(all, time.Since(at))
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// Target 10: at most 1 %, 2 % and 5 % of the SDK's handler at 1 KB, 100 KB and 4 MB of a call with
// text. The metric is that share.
func BenchmarkRead(b *testing.B) {
	for _, bb := range []struct {
		name string
		body []byte
	}{
		{"text/1KB", textOf(1 << 10)},
		{"text/100KB", textOf(100 << 10)},
		{"text/4MB", textOf(4<<20 - 1024)},
		{"objects/1KB", rowsOf(1 << 10)}, // the worst there is: nothing but small values
		{"objects/100KB", rowsOf(100 << 10)},
		{"objects/4MB", rowsOf(4<<20 - 1024)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			sdk := anchor(b, bb.body)
			b.SetBytes(int64(len(bb.body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := envelope.Read(bb.body, envelope.Options{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*float64(b.Elapsed())/float64(b.N)/float64(sdk), "%-of-sdk")
		})
	}
}

func BenchmarkRequestID(b *testing.B) {
	body := textOf(1 << 10)
	b.ReportAllocs()
	for b.Loop() {
		if envelope.RequestID(body) == nil {
			b.Fatal("no id")
		}
	}
}
