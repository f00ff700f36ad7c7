package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
	"github.com/go-mcpauth/sdk/scopes"
)

func Example() {
	var usage audit.Usage
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
		OnDecision: audit.Tee(
			audit.Log(slog.NewJSONHandler(os.Stdout, nil), audit.Options{}),
			usage.Record,
		),
		Now: func() time.Time { return time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC) },
	})
	if err != nil {
		panic(err)
	}
	auth.RequireTool("read_file", scopes.All("files:read"))
	mux := http.NewServeMux()
	auth.Mount(mux, http.NotFoundHandler()) // the handler of the MCP server

	request, _ := http.NewRequest("POST", "https://mcp.example.com/mcp", http.NoBody)
	mux.ServeHTTP(new(discard), request)
	// Output:
	// {"time":"2026-07-28T12:00:00Z","level":"INFO","msg":"mcpauth: decision","allowed":false,"reason":"no_credentials","status":401,"expected":"an Authorization header","got":"none","cure":"nothing if the client now signs in; if it does not, it does not follow WWW-Authenticate to the metadata; if it has and sends its token, see which proxy in between removes it"}
}

func ExampleGroup() {
	var usage audit.Usage
	for _, tool := range []string{"read_file", "read_file", "list_files"} {
		usage.Record(context.Background(), mcpauth.Decision{
			Allowed: true, Reason: mcpauth.ReasonAllowed,
			Principal: mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://login.example.com", Subject: "uma", ClientID: "desk"}),
			Operation: mcpauth.Operation{Method: "tools/call", Name: tool},
		})
	}
	rows, err := audit.Group(usage.Drain(), audit.ByUser, audit.ByOperation)
	if err != nil {
		panic(err)
	}
	for _, r := range rows {
		fmt.Println(r.Subject, r.Name, r.Allowed)
	}
	// Output:
	// uma list_files 1
	// uma read_file 2
}

func ExampleUsage_Handler() {
	var usage audit.Usage
	admin := http.NewServeMux()
	// On an address that only operators reach, and not without asking who they are.
	admin.Handle("/usage", usage.Handler(func(r *http.Request) bool {
		return r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && r.TLS.PeerCertificates[0].Subject.CommonName == "operator"
	}))
}

// A discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = make(http.Header)
	}
	return d.header
}
func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (*discard) WriteHeader(int)             {}
