package policy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
	"github.com/go-mcpauth/sdk/scopes"
)

const resource = "https://mcp.example.com/mcp"

type in struct {
	Amount int64  `json:"amount,omitempty"`
	To     string `json:"to,omitempty"`
}

// A bank is a protected MCP server with a clock of its own.
type bank struct {
	handler http.Handler
	server  *mcp.Server
	auth    *mcpauth.Middleware
	key     string
	now     time.Time
	ran     []string // tools
	log     strings.Builder
	last    mcpauth.Decision
}

func newBank(t testing.TB, conditions policy.Condition) *bank {
	t.Helper()
	key, hash := mcpauth.NewAPIKey("bank_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "test"}}})
	require.NoError(t, err)
	b := &bank{key: key, now: time.Date(2026, time.June, 1, 12, 0, 0, 0, utc)}
	b.auth, err = mcpauth.New(mcpauth.Config{
		Resource: resource, Authenticators: []mcpauth.Authenticator{keys},
		Policy: conditions.Check, ListPolicy: conditions.List,
		Now:        func() time.Time { return b.now },
		Logger:     slog.New(slog.NewTextHandler(&b.log, nil)),
		OnDecision: func(_ context.Context, d mcpauth.Decision) { b.last = d },
	})
	require.NoError(t, err)
	b.server = mcp.NewServer(&mcp.Implementation{Name: "bank", Version: "1"}, nil)
	for _, name := range []string{"balance", "pay", "close_account"} {
		mcpauth.AddTool(b.auth, b.server, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, in) (*mcp.CallToolResult, any, error) {
			b.ran = append(b.ran, name)
			return &mcp.CallToolResult{}, nil, nil
		}, scopes.Authenticated())
	}
	b.handler = b.auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return b.server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true}))
	return b
}

func (b *bank) send(method, params string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":7,"method":"`+method+`","params":`+params+`}`))
	r.RemoteAddr = "10.0.0.5:33000"
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("X-Api-Key", b.key)
	w := httptest.NewRecorder()
	b.handler.ServeHTTP(w, r)
	return w
}

func (b *bank) call(tool, arguments string, header http.Header) *httptest.ResponseRecorder {
	return b.send("tools/call", `{"name":"`+tool+`","arguments":`+arguments+`}`, header)
}

func (b *bank) tools(t testing.TB, header http.Header) string {
	t.Helper()
	w := b.send("tools/list", `{}`, header)
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var answer struct{ Result mcp.ListToolsResult }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	var names []string
	for _, tool := range answer.Result.Tools {
		names = append(names, tool.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// requireBare wants CH-23: a refusal that no other token would cure, without a challenge and without
// the reason, which is in the log.
func (b *bank) requireBare(t testing.TB, w *httptest.ResponseRecorder, logged string) {
	t.Helper()
	require.Equal(t, http.StatusForbidden, w.Code, w.Body)
	require.NotContains(t, w.Header(), "Www-Authenticate", "CH-23")
	require.NotContains(t, w.Header(), "Retry-After")
	require.NotContains(t, w.Body.String(), "policy")
	require.NotContains(t, w.Body.String(), "192.0.2")
	require.Equal(t, mcpauth.ReasonPolicy, b.last.Reason)
	require.Contains(t, b.log.String(), logged)
	require.NotContains(t, b.log.String(), b.key)
}

func TestAUTHZ08_ConditionsOverHTTP(t *testing.T) {
	edge := policy.Proxies{Trusted: prefixes("10.0.0.5/32")}
	berlin := zone(t, "Europe/Berlin")
	b := newBank(t, policy.And(
		policy.For("tools/call pay", policy.And(
			policy.During(policy.Hours{Zone: berlin, Days: policy.Workdays(), From: "08:00", To: "18:00"}),
			policy.Argument("amount", func(cents int64) bool { return cents <= 10_000 }),
		)),
		policy.For("tools/call close_*", edge.From(prefix("192.0.2.0/24"))),
	))
	from := func(addr string) http.Header { return http.Header{"X-Forwarded-For": {"192.0.2.99", addr}} }

	// The argument hides nothing, and the window does.
	require.Equal(t, "balance close_account pay", b.tools(t, from("192.0.2.7")))
	require.Equal(t, "balance pay", b.tools(t, from("198.51.100.7")), "the address that the proxy saw counts, not the one in the client's line")
	require.Equal(t, "balance pay", b.tools(t, nil), "a proxy that says nothing")

	require.Equal(t, http.StatusOK, b.call("pay", `{"amount":10000}`, nil).Code)
	require.Equal(t, []string{"pay"}, b.ran)
	b.requireBare(t, b.call("pay", `{"amount":10001}`, nil), "argument(amount int64): its value is not allowed")
	require.NotContains(t, b.log.String(), "10001", "arguments are not logged")
	b.requireBare(t, b.call("pay", `{}`, nil), "there is no such argument")
	b.requireBare(t, b.call("close_account", `{}`, from("198.51.100.7")), "the client is 198.51.100.7")
	b.requireBare(t, b.call("close_account", `{}`, nil), "sent no X-Forwarded-For")
	require.Equal(t, http.StatusOK, b.call("close_account", `{}`, from("192.0.2.7")).Code)
	require.Equal(t, []string{"pay", "close_account"}, b.ran, "nothing that was refused ran")

	b.now = time.Date(2026, time.June, 1, 16, 0, 0, 0, utc) // 18:00 in Berlin
	require.Equal(t, "balance", b.tools(t, nil))
	b.requireBare(t, b.call("pay", `{"amount":1}`, nil), "it is Mon 18:00 CEST")
	require.Equal(t, http.StatusOK, b.call("balance", `{}`, nil).Code)
	b.now = b.now.Add(-time.Second)
	require.Equal(t, "balance pay", b.tools(t, nil))
	require.Equal(t, http.StatusOK, b.call("pay", `{"amount":1}`, nil).Code)
}

// Without For, a condition closes the server: initialize and lists included.
func TestWithoutForEverythingIsClosed(t *testing.T) {
	b := newBank(t, policy.From(prefix("192.0.2.0/24")))
	b.requireBare(t, b.send("tools/list", `{}`, nil), "the client is 10.0.0.5")
	b.requireBare(t, b.send("ping", `{}`, nil), "the client is 10.0.0.5")

	forgotten := newBank(t, policy.Condition{})
	forgotten.requireBare(t, forgotten.call("balance", `{}`, nil), "zero Condition")
}

// CH-22: what is down is 503, and a call that does not need it goes on.
func TestCH22_ALookupThatFailsIs503(t *testing.T) {
	down := func(context.Context, netip.Addr) (string, error) { return "", errors.New("geo.internal said no") }
	b := newBank(t, policy.For("tools/call pay", policy.Or(policy.Claim("/level", 3), policy.Region(down, "DE"))))
	w := b.call("pay", `{}`, nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.NotContains(t, w.Header(), "Www-Authenticate")
	require.NotEmpty(t, w.Header().Get("Retry-After"))
	require.NotContains(t, w.Body.String(), "geo.internal")
	require.Contains(t, b.log.String(), "geo.internal said no")
	require.Equal(t, "balance close_account", b.tools(t, nil))
	require.Equal(t, http.StatusOK, b.call("balance", `{}`, nil).Code)
}

// SEC-05: a panic is a refusal, in calls and in lists.
func TestSEC05_PanicsRefuse(t *testing.T) {
	b := newBank(t, policy.For("tools/call pay", policy.Not(panicky)))
	b.requireBare(t, b.call("pay", `{}`, nil), "panicky: it panicked")
	require.NotContains(t, b.log.String(), "secret")
	require.Equal(t, "balance close_account", b.tools(t, nil))
}

// On stdio there is no address, so conditions on it refuse; time and arguments are as over HTTP.
func TestWithoutHTTP(t *testing.T) {
	b := newBank(t, policy.And(
		policy.For("tools/call close_*", policy.Not(policy.From(prefix("192.0.2.0/24")))),
		policy.For("tools/call pay", policy.Argument("amount", func(cents int64) bool { return cents <= 10_000 })),
		policy.For("tools/call balance", policy.During(policy.Hours{Zone: utc, From: "08:00", To: "18:00"})),
	))
	near, far := mcp.NewInMemoryTransports()
	ctx := mcpauth.NewContext(t.Context(), caller(t, `{}`))
	there, err := b.server.Connect(ctx, far, nil)
	require.NoError(t, err)
	defer there.Close()
	session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), near, nil)
	require.NoError(t, err)
	defer session.Close()
	call := func(tool, arguments string) error {
		_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: json.RawMessage(arguments)})
		return err
	}
	require.NoError(t, call("pay", `{"amount":5}`))
	require.ErrorContains(t, call("pay", `{"amount":50000}`), "Forbidden")
	require.ErrorContains(t, call("close_account", `{}`), "Forbidden")
	require.NoError(t, call("balance", `{}`))
	list, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, list.Tools, 2, "balance and pay")
	b.now = b.now.Add(12 * time.Hour)
	require.ErrorContains(t, call("balance", `{}`), "Forbidden")
	require.Equal(t, []string{"pay", "balance"}, b.ran)
	require.Contains(t, fmt.Sprint(b.log.String()), "no address of a peer")
}

// Check of the middleware fills in the time, so a table of conditions is tested without a server.
func TestCheckFillsInTheTime(t *testing.T) {
	b := newBank(t, policy.During(policy.Hours{Zone: utc, From: "08:00", To: "18:00"}))
	call := tool("pay", `{}`)
	call.Principal = caller(t, `{}`)
	require.NoError(t, b.auth.Check(t.Context(), call))
	require.True(t, b.auth.Shows(t.Context(), call))
	b.now = b.now.Add(12 * time.Hour)
	require.Error(t, b.auth.Check(t.Context(), call))
	require.False(t, b.auth.Shows(t.Context(), call))
}
