package cedar_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/cedar"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
	"github.com/go-mcpauth/sdk/scopes"
)

//go:embed policies.cedar
var document []byte

var noon = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)

func newEngine(t testing.TB, document string) *cedar.Engine {
	t.Helper()
	e, err := cedar.New("policies.cedar", []byte(document), "tenant", "https://acme.example/level")
	require.NoError(t, err)
	e.Proxies = policy.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32")}}
	return e
}

func caller(claims map[string]any, roles ...string) *mcpauth.Principal {
	return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://as.example", Subject: "ada", Grant: scopes.NewGrant(nil, roles), Claims: claims})
}

func TestPolicies(t *testing.T) {
	e := newEngine(t, string(document))
	acme, other := map[string]any{"tenant": "acme"}, map[string]any{"tenant": "globex"}
	for _, tt := range []struct {
		name      string
		claims    map[string]any
		role      string
		method    string
		tool      string
		arguments string
		client    string
		hour      int
		want      string // of Check; empty: allowed
		shown     bool
	}{
		{"reading", acme, "", "tools/call", "read_notes", ``, "198.51.100.7", 12, "", true},
		{"reading for another tenant", other, "", "tools/call", "read_notes", ``, "198.51.100.7", 12, "no policy permits it", false},
		{"reading without a tenant", nil, "", "tools/call", "read_notes", ``, "198.51.100.7", 12, "no policy permits it", false},
		{"a tenant of another type", map[string]any{"tenant": []any{"acme"}}, "", "tools/call", "read_notes", ``, "198.51.100.7", 12, "no policy permits it", false},
		{"a small payment", acme, "", "tools/call", "pay", `{"amount":10000}`, "192.0.2.7", 12, "", true},
		{"a large one", acme, "", "tools/call", "pay", `{"amount":10001}`, "192.0.2.7", 12, "no policy permits it", true},
		{"from elsewhere", acme, "", "tools/call", "pay", `{"amount":1}`, "198.51.100.7", 12, "no policy permits it", false},
		{"from nowhere", acme, "", "tools/call", "pay", `{"amount":1}`, "", 12, "no policy permits it", false},
		{"at night", acme, "", "tools/call", "pay", `{"amount":1}`, "192.0.2.7", 20, "forbids it", false},
		{"a treasurer", nil, "treasurer", "tools/call", "pay", `{"amount":1000000}`, "", 12, "", true},
		{"a treasurer of acme at home", acme, "treasurer", "tools/call", "pay", `{"amount":1000000}`, "198.51.100.7", 12, "", true},
		{"a treasurer, to a blocked account", acme, "treasurer", "tools/call", "pay", `{"amount":1,"to":"blocked"}`, "192.0.2.7", 12, "forbids it", true},
		{"no amount", acme, "", "tools/call", "pay", `{}`, "192.0.2.7", 12, "cannot be evaluated", true},
		{"an amount of another type", acme, "", "tools/call", "pay", `{"amount":"1"}`, "192.0.2.7", 12, "cannot be evaluated", true},
		{"a fraction", acme, "", "tools/call", "pay", `{"amount":1.5}`, "192.0.2.7", 12, "64-bit integers", true},
		{"twice", acme, "", "tools/call", "pay", `{"amount":1,"amount":1000000}`, "192.0.2.7", 12, "malformed", true},
		{"in another case, too", acme, "", "tools/call", "pay", `{"amount":1,"Amount":1000000}`, "192.0.2.7", 12, "another case", true},
		{"connecting", nil, "", "initialize", "", ``, "198.51.100.7", 3, "", true},
		{"an unknown tool", acme, "", "tools/call", "rm", ``, "192.0.2.7", 12, "no policy permits it", false},
		{"a prompt with the name of a tool", acme, "", "prompts/get", "read_notes", ``, "192.0.2.7", 12, "no policy permits it", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := &mcpauth.Call{
				Principal: caller(tt.claims, tt.role), Operation: mcpauth.Operation{Method: tt.method, Name: tt.tool},
				Arguments: json.RawMessage(tt.arguments), Time: noon.Add(time.Duration(tt.hour-12) * time.Hour),
			}
			if tt.client != "" {
				call.RemoteAddr, call.Header = "10.0.0.5:33000", http.Header{"X-Forwarded-For": {"192.0.2.66", tt.client}}
			}
			err := e.Check(t.Context(), call)
			if tt.want == "" {
				require.NoError(t, err)
				require.True(t, tt.shown, "what is allowed is shown")
			} else {
				require.ErrorContains(t, err, tt.want)
			}
			require.Equal(t, tt.shown, e.List(t.Context(), call) == nil, "%v", e.List(t.Context(), call))
		})
	}
}

// Cedar passes over a policy that it cannot evaluate. A forbid would then permit.
func TestErrorsRefuse(t *testing.T) {
	call := &mcpauth.Call{Principal: caller(nil), Operation: mcpauth.Operation{Method: "tools/call", Name: "t"}, Time: noon}
	for document, want := range map[string]string{
		`permit(principal, action, resource);`: "",
		`permit(principal, action, resource); forbid(principal, action, resource) when { context.claims.level > 3 };`:     "policy1 cannot be evaluated",
		`permit(principal, action, resource); forbid(principal, action, resource) when { context.arguments.amount > 3 };`: "policy1 cannot be evaluated",
		`permit(principal, action, resource); forbid(principal, action, resource) when { context.address.isIpv4() };`:     "policy1 cannot be evaluated",
		`permit(principal, action, resource); forbid(principal, action, resource);`:                                       "policy1 forbids it",
		``: "no policy permits it",
	} {
		err := newEngine(t, document).Check(t.Context(), call)
		if want == "" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, want)
	}
	require.ErrorContains(t, new(cedar.Engine).Check(t.Context(), call), "no policies")
	require.ErrorContains(t, new(cedar.Engine).List(t.Context(), call), "no policies")
	call.Time = time.Time{}
	require.ErrorContains(t, newEngine(t, `permit(principal, action, resource);`).Check(t.Context(), call), "no time")
	_, err := cedar.New("policies.cedar", []byte("permit("))
	require.ErrorContains(t, err, "policies.cedar")
}

func TestFactsReachPolicies(t *testing.T) {
	call := &mcpauth.Call{
		Principal:  caller(map[string]any{"https://acme.example/level": json.Number("3"), "tenant": "acme", "secret": "x"}, "admin"),
		Operation:  mcpauth.Operation{Method: "resources/read", Name: "notes://mine"},
		RemoteAddr: "[2001:db8::7]:1", Time: noon,
	}
	e := newEngine(t, `permit(principal == User::"`+call.Principal.ID()+`", action == Action::"resources/read", resource == Resource::"notes://mine") when {
		context.issuer == "https://as.example" && context.subject == "ada" && context.roles.contains("admin") && context.scopes.isEmpty() &&
		context.claims["https://acme.example/level"] == 3 && context.claims.tenant == "acme" && !(context.claims has secret) &&
		context.address.isInRange(ip("2001:db8::/32")) && context.time == datetime("2026-06-01T12:00:00Z") && !(context.arguments has x)
	};`)
	require.NoError(t, e.Check(t.Context(), call))
	require.NoError(t, e.List(t.Context(), call))
}

// Through HTTP: bare refusals, and a list without what is refused whatever the arguments.
func TestOverHTTP(t *testing.T) {
	now := noon
	e := newEngine(t, string(document))
	people := mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) {
		return caller(map[string]any{"tenant": "acme"}), nil
	}, `Test realm="notes"`, "X-Test")
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example.com/mcp", Authenticators: []mcpauth.Authenticator{people},
		Policy: e.Check, ListPolicy: e.List, Now: func() time.Time { return now },
	})
	require.NoError(t, err)
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1"}, nil)
	for _, name := range []string{"read_notes", "pay", "rm"} {
		mcpauth.AddTool(auth, server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
			return &mcp.CallToolResult{}, nil, nil
		}, scopes.Authenticated())
	}
	handler := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	send := func(method, params string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "https://mcp.example.com/mcp", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`))
		r.RemoteAddr = "192.0.2.7:1"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", "application/json, text/event-stream")
		r.Header.Set("X-Test", "x")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	tools := func() []string {
		var answer struct{ Result mcp.ListToolsResult }
		require.NoError(t, json.Unmarshal(send("tools/list", `{}`).Body.Bytes(), &answer))
		var names []string
		for _, tool := range answer.Result.Tools {
			names = append(names, tool.Name)
		}
		slices.Sort(names)
		return names
	}
	require.Equal(t, []string{"pay", "read_notes"}, tools())
	require.Equal(t, http.StatusOK, send("tools/call", `{"name":"pay","arguments":{"amount":5}}`).Code)
	for _, params := range []string{`{"name":"pay","arguments":{"amount":50000}}`, `{"name":"pay","arguments":{}}`, `{"name":"rm","arguments":{}}`} {
		w := send("tools/call", params)
		require.Equal(t, http.StatusForbidden, w.Code)
		require.NotContains(t, w.Header(), "Www-Authenticate")
		require.NotContains(t, w.Body.String(), "cedar")
	}
	now = noon.Add(9 * time.Hour)
	require.Equal(t, []string{"read_notes"}, tools())
}
