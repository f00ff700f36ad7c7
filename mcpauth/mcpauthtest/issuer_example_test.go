package mcpauthtest_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
	"github.com/go-mcpauth/sdk/scopes"
)

// newServer stands for the function of your own that makes your server from its configuration.
func newServer(cfg mcpauth.Config) (*mcpauth.Middleware, *mcp.Server, http.Handler) {
	auth, err := mcpauth.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "read_file"}, readFile, scopes.All("files:read"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write_file"}, readFile, scopes.All("files:write"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "delete_file"}, deleteFile, scopes.And(scopes.All("files:write"), scopes.Role("admin")))
	mux := http.NewServeMux()
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true}))
	return auth, server, mux
}

// Who may do what, in one table.
func ExampleMatrix() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	auth, server, _ := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	fmt.Print("who:", mcpauthtest.Matrix(t, auth, server,
		is.Caller("reader", mcpauthtest.Claims{Subject: "rio", Scope: "files:read"}),
		is.Caller("editor", mcpauthtest.Claims{Subject: "uma", Scope: "files:read files:write"}),
		is.Caller("admin", mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Roles: []string{"admin"}}),
	))
	// Output:
	// who:                  reader   editor  admin
	// tool delete_file  hidden   hidden  step-up
	// tool read_file    yes      yes     yes
	// tool write_file   step-up  yes     step-up
}

// A server that is configured for Okta gets tokens as Okta makes them. Here one role stands for two scopes,
// by the configuration of the server, which is the real one but for the keys.
func ExampleNewIssuerLike() {
	okta := idp.Okta("dev-123456.okta.com", "default", "api://default")
	okta.Grants.RoleScopes = map[string][]string{"staff": {"files:read", "files:write"}}
	cfg := mcpauth.Config{Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{okta}}

	is := mcpauthtest.NewIssuerLike(t, cfg.Resource, cfg.Issuers[0])
	cfg.Issuers[0] = is.Config()
	_, _, handler := newServer(cfg)

	staff := is.Client(handler, mcpauthtest.Claims{Subject: "uma", Roles: []string{"staff"}})
	result, _ := staff.CallTool("write_file", input{Path: "notes.txt"})
	fmt.Println(result.Content[0].(*mcp.TextContent).Text)
	_, resp := staff.CallTool("delete_file", nil)
	mcpauthtest.AssertForbidden(t, resp)
	fmt.Println(resp.Status)
	// Output:
	// notes.txt for uma
	// 403 Forbidden
}

// An assertion that fails says what came. This caller has the role already, so more scopes would help.
func ExampleAssertForbidden() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	_, _, handler := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	ada := is.Client(handler, mcpauthtest.Claims{Subject: "ada", Roles: []string{"admin"}})
	_, resp := ada.CallTool("delete_file", nil)
	mcpauthtest.AssertForbidden(t, resp)
	// Output:
	// want a bare 403, without WWW-Authenticate, which makes clients ask for another token
	// came: 403 Forbidden
	// 	WWW-Authenticate: Bearer error="insufficient_scope", scope="files:write", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", error_description="files:write is required for tool delete_file"
	// 	{"jsonrpc":"2.0","id":1,"error":{"code":403,"message":"Forbidden: insufficient_scope","data":{"error":"insufficient_scope","scope":"files:write","resource_metadata":"https://mcp.example.com/.well-known/oauth-protected-resource/mcp"}}}
}

// The authorization server is down: known keys go on being good, and a server that has none yet tells clients
// to come back instead of throwing their tokens away.
func ExampleIssuer_Down() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	cfg := mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}}
	_, _, old := newServer(cfg)
	reader := mcpauthtest.Claims{Subject: "rio", Scope: "files:read"}
	_, resp := is.Client(old, reader).CallTool("read_file", nil)
	mcpauthtest.AssertAllowed(t, resp)

	is.Down()
	_, resp = is.Client(old, reader).CallTool("read_file", nil)
	mcpauthtest.AssertAllowed(t, resp)
	_, _, fresh := newServer(cfg)
	_, resp = is.Client(fresh, reader).CallTool("read_file", nil)
	mcpauthtest.AssertUnavailable(t, resp)
	fmt.Println(resp.Status, "Retry-After:", resp.Header.Get("Retry-After"))
	// Output: 503 Service Unavailable Retry-After: 1
}

// A server meets a new key, and fetches once.
func ExampleIssuer_Rotate() {
	clock := mcpauthtest.NewClock(time.Time{})
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	is.Now = clock.Now
	_, _, handler := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}, Now: clock.Now})
	reader := mcpauthtest.Claims{Subject: "rio", Scope: "files:read"}
	for range 3 {
		_, resp := is.Client(handler, reader).CallTool("read_file", nil)
		fmt.Println(resp.StatusCode, "fetches of keys:", is.Fetches().Keys)
		is.Rotate()
		clock.Advance(time.Minute)
	}
	// Output:
	// 200 fetches of keys: 1
	// 200 fetches of keys: 2
	// 200 fetches of keys: 3
}

// An opaque token is good until it is revoked, and for as long as an answer about it is remembered.
func ExampleIssuer_OpaqueToken() {
	clock := mcpauthtest.NewClock(time.Time{})
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	is.Now = clock.Now
	in := is.Config()
	in.Introspection = is.Introspection()
	_, _, handler := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{in}, Now: clock.Now})

	token := is.OpaqueToken(mcpauthtest.Claims{Subject: "rio", Scope: "files:read"})
	rio := mcpauthtest.NewClient(t, handler, is.Resource, token)
	_, resp := rio.CallTool("read_file", nil)
	mcpauthtest.AssertAllowed(t, resp)
	is.RevokeToken(token)
	clock.Advance(time.Minute) // Introspection.MaxAge
	_, resp = rio.CallTool("read_file", nil)
	mcpauthtest.AssertUnauthorized(t, resp)
	mcpauthtest.AssertChallenge(t, resp, "Bearer", map[string]string{"error": "invalid_token"})
	fmt.Println("asked", is.Fetches().Introspection, "times")
	// Output: asked 2 times
}

// A key set that is a login page, as captive portals and broken proxies send it.
func ExampleIssuer_Hostile() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	auth, _, _ := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	is.Hostile(mcpauthtest.HTMLPage)
	fmt.Println(auth.Ready(context.Background()) != nil)
	// Output: true
}

// A rule table is tested without a server, a token or a client.
func ExampleIssuer_Caller() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	auth, _, _ := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	rio := is.Caller("rio", mcpauthtest.Claims{Subject: "rio", Scope: "files:write"})
	err := auth.Check(context.Background(), &mcpauth.Call{
		Principal: rio.Principal, Operation: mcpauth.Operation{Method: "tools/call", Name: "delete_file"},
	})
	var refusal *mcpauth.Error
	fmt.Println(errors.As(err, &refusal) && refusal.Reason == mcpauth.ReasonRole)
	// Output: true
}

// Where a request comes from counts for limits and for conditions: here one office, and a limit for whoever guesses.
func ExampleClient_peer() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	_, _, handler := newServer(mcpauth.Config{
		Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()},
		Policy: policy.From(netip.MustParsePrefix("198.51.100.0/24")).Check,
		Limits: mcpauth.Limits{Failures: mcpauth.Rate{Events: 30, Per: time.Minute}},
	})
	client := is.Client(handler, mcpauthtest.Claims{Scope: "files:read"})
	client.Peer = netip.MustParseAddr("198.51.100.7")
	_, resp := client.CallTool("read_file", nil)
	fmt.Println("from the office:", resp.Status)
	client.Peer = netip.MustParseAddr("203.0.113.9")
	_, resp = client.CallTool("read_file", nil)
	fmt.Println("from elsewhere:", resp.Status)

	client.Token = "guessed"
	for range 31 {
		_, resp = client.CallTool("read_file", nil)
	}
	fmt.Println("after 30 guesses:", resp.Status)
	client.Peer = netip.MustParseAddr("203.0.113.10")
	_, resp = client.CallTool("read_file", nil)
	fmt.Println("from next door:", resp.Status)
	// Output:
	// from the office: 200 OK
	// from elsewhere: 403 Forbidden
	// after 30 guesses: 429 Too Many Requests
	// from next door: 401 Unauthorized
}

// A tool without a rule can be reached by nobody, and a rule or a condition without a tool is a typing error.
func ExampleRequireRules() {
	is := mcpauthtest.NewIssuer(t, "https://mcp.example.com/mcp")
	auth, server, _ := newServer(mcpauth.Config{Resource: is.Resource, Issuers: []mcpauth.Issuer{is.Config()}})
	mcp.AddTool(server, &mcp.Tool{Name: "format_disk"}, deleteFile)
	auth.RequireTool("fromat_disk", scopes.Role("admin"))
	conditions := policy.For("tools/call delete_files", policy.Claim("/level", 3))

	defer func() { fmt.Println(recover()) }() // a test would end here
	mcpauthtest.RequireRules(t, auth, server, conditions)
	// Output:
	// rules and server do not fit:
	// 	tool "format_disk" has no rule, so nobody can reach it; declare one, or set Config.Unlisted
	// 	the rule for tool "fromat_disk" has no target on this server; is the name misspelled?
	// 	the condition for "tools/call delete_files" has no target on this server, so it refuses nothing; is the name misspelled?
}
