package mcpauth_test

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/prm"
	"github.com/go-mcpauth/sdk/scopes"
)

type input struct {
	Path string `json:"path"`
}

func readFile(_ context.Context, _ *mcp.CallToolRequest, in input) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "contents of " + in.Path}}}, nil, nil
}

func deleteFile(context.Context, *mcp.CallToolRequest, input) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{}, nil, nil
}

// exampleT lets examples use the helpers of tests.
type exampleT struct{ testing.TB }

func (exampleT) Helper()                   {}
func (exampleT) Cleanup(func())            {}
func (exampleT) Errorf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }
func (exampleT) FailNow()                  {}

// A whole server: one tool for everybody with a scope, one for editors.
func Example() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers: []mcpauth.Issuer{{
			URL:    "https://login.example.com",
			Grants: scopes.Mapper{RoleClaims: []string{"/roles"}},
		}},
		BaseScopes: []string{"files:read"}, // what a first login asks for
		Logger:     slog.Default(),         // says why something was refused, and what cures it
	})
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, readFile, scopes.All("files:read"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "delete_file"}, deleteFile,
		scopes.And(scopes.All("files:write"), scopes.Role("admin")))

	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true})
	mux := http.NewServeMux()
	auth.Mount(mux, handler) // /mcp and /.well-known/oauth-protected-resource/mcp
	log.Fatal(http.ListenAndServe("localhost:8080", mux))
}

// A server that exists already keeps its mcp.AddTool lines. It gets a table of rules and two calls.
func ExampleMiddleware_RequireTools() {
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "read_file"}, readFile)
	mcp.AddTool(server, &mcp.Tool{Name: "delete_file"}, deleteFile)
	handler := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)

	auth, err := mcpauth.New(mcpauth.Config{
		Resource:   "https://mcp.example.com/mcp",
		Issuers:    []mcpauth.Issuer{{URL: "https://login.example.com"}},
		BaseScopes: []string{"files:read"},
	})
	if err != nil {
		log.Fatal(err)
	}
	auth.Protect(server)
	auth.RequireTools(map[string]scopes.Rule{
		"read_*":   scopes.Authenticated(), // and the base scope
		"delete_*": scopes.All("files:write"),
	})
	mux := http.NewServeMux()
	auth.Mount(mux, handler)

	fmt.Println("suspicious:", auth.Verify(context.Background(), server))
	answer := serve(mux, post(call("read_file"), ""))
	fmt.Println(answer.Code, answer.Header().Get("WWW-Authenticate"))
	// Output:
	// suspicious: <nil>
	// 401 Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", scope="files:read"
}

// A table of rules is tested without a server: Check is the decision that requests get.
func ExampleMiddleware_Check() {
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp",
		Issuers:  []mcpauth.Issuer{{URL: "https://login.example.com"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	auth.RequireTools(map[string]scopes.Rule{
		"read_file":   scopes.All("files:read"),
		"delete_file": scopes.And(scopes.All("files:write"), scopes.Role("editor")),
	})
	who := func(name string, scope, roles []string) *mcpauth.Principal {
		return mcpauth.NewPrincipal(mcpauth.Identity{
			Issuer: "https://login.example.com", Subject: name, Grant: scopes.NewGrant(scope, roles),
		})
	}
	reader := who("reader", []string{"files:read"}, nil)
	editor := who("editor", []string{"files:read"}, []string{"editor"})
	for _, c := range []struct {
		who    string
		caller *mcpauth.Principal
		tool   string
	}{
		{"reader", reader, "read_file"},
		{"reader", reader, "delete_file"},
		{"editor", editor, "delete_file"},
		{"editor", editor, "format_disk"},
		{"nobody", nil, "read_file"},
	} {
		err := auth.Check(context.Background(), &mcpauth.Call{
			Principal: c.caller, Operation: mcpauth.Operation{Method: "tools/call", Name: c.tool},
		})
		fmt.Println(c.who, c.tool, "-", err)
	}
	// Output:
	// reader read_file - <nil>
	// reader delete_file - mcpauth: refused with 403 (role_missing)
	// editor delete_file - mcpauth: refused with 403 (insufficient_scope), needs files:write
	// editor format_disk - mcpauth: refused with 403 (no_rule)
	// nobody read_file - mcpauth: refused with 401 (no_principal)
}

// A common mistake: the handler is wrapped, but its server was never given to Protect. Lists would
// show everything, so nothing is served, and the log says what is missing.
func ExampleMiddleware_Protect_incorrect() {
	is := newIssuer(exampleT{})
	auth, _ := newAuth(exampleT{}, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "read_file"}, readFile)
	auth.RequireTool("read_file", scopes.All("files:read"))
	handler := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil))

	token := is.token(exampleT{}, claims{"scope": "files:read"})
	fmt.Println("forgotten:", serve(handler, post(rpc("tools/list", nil), token)).Code)
	auth.Protect(server) // what was missing
	fmt.Println("protected:", serve(handler, post(rpc("tools/list", nil), token)).Code)
	// Output:
	// forgotten: 503
	// protected: 200
}

// The name of the server in several languages, and a signature on the document that says so.
func ExampleConfig_metadata() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // yours comes from a file or a key service
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:   "https://mcp.example.com/mcp",
		Issuers:    []mcpauth.Issuer{{URL: "https://login.example.com"}},
		BaseScopes: []string{"files:read"},
		Metadata: &prm.Metadata{
			ResourceName: "Files",
			Languages:    map[string]prm.Localized{"fr": {ResourceName: "Fichiers"}, "ja": {ResourceName: "ファイル"}},
		},
		MetadataSigning: &prm.Signing{Key: key},
	})
	if err != nil {
		log.Fatal(err)
	}
	w := httptest.NewRecorder()
	auth.Metadata().ServeHTTP(w, httptest.NewRequest("GET", auth.MetadataPath(), nil))

	verifier := prm.Verifier{Resource: "https://mcp.example.com/mcp", Keys: []prm.VerificationKey{{Public: key.Public()}}}
	signed, err := verifier.Verify(w.Body.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(signed.Metadata.ResourceName, signed.Metadata.Languages["fr"].ResourceName, signed.Metadata.Languages["ja"].ResourceName)
	fmt.Println("signed by", signed.Issuer, "for", signed.Expiry.Sub(signed.IssuedAt))
	// Output:
	// Files Fichiers ファイル
	// signed by https://mcp.example.com/mcp for 24h0m0s
}
