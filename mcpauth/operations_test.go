package mcpauth_test

import (
	"context"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// sdkMethods are the keys of serverMethodInfos in v1.8.0 of the SDK.
var sdkMethods = []string{
	"completion/complete", "server/discover", "initialize", "ping", "prompts/list", "prompts/get", "tools/list", "tools/call",
	"resources/list", "resources/templates/list", "resources/read", "logging/setLevel", "resources/subscribe", "subscriptions/listen",
	"resources/unsubscribe", "notifications/cancelled", "notifications/initialized", "notifications/roots/list_changed", "notifications/progress",
}

// A row is one line of the table in operations.md.
type row struct{ operation, revisions, decides, without, scope, role, shown, cache string }

func readOperations(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile("operations.md")
	require.NoError(t, err)
	var rows []row
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| Operation") {
			continue
		}
		require.Len(t, cells, 8, line)
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		r := row{cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], cells[7]}
		if parts := strings.Split(r.operation, "`"); len(parts) == 3 {
			r.operation = parts[1]
		}
		rows = append(rows, r)
	}
	require.NotEmpty(t, rows)
	return rows
}

// targets are the params that name something with one of trapNames, by whose rule decides.
var decidedBy = map[string][]func(name string) (params map[string]any, ran string){
	"tool in `name`":   {paramsWith("name", "")},
	"prompt in `name`": {paramsWith("name", "")},
	"resource in `uri`": {
		paramsWith("uri", "doc://"),
		func(name string) (map[string]any, string) { return map[string]any{"uri": name + "://7"}, name + "://7" },
	},
	"prompt or resource in `ref`": {ref("ref/prompt", "name", "", ""), ref("ref/resource", "uri", "doc://", ""), ref("ref/resource", "uri", "", "://{id}")},
	"method, and each resource in `notifications.resourceSubscriptions`": {
		func(name string) (map[string]any, string) {
			return map[string]any{"notifications": map[string]any{"resourceSubscriptions": []string{"doc://open", "doc://" + name}}}, "doc://" + name
		},
	},
}

func paramsWith(member, prefix string) func(string) (map[string]any, string) {
	return func(name string) (map[string]any, string) {
		return map[string]any{member: prefix + name}, prefix + name
	}
}

func ref(kind, member, prefix, suffix string) func(string) (map[string]any, string) {
	return func(name string) (map[string]any, string) {
		return map[string]any{"ref": map[string]any{"type": kind, member: prefix + name + suffix}, "argument": map[string]any{"name": "a", "value": "b"}}, prefix + name + suffix
	}
}

// plainParams are what a method needs that names nothing.
func plainParams(method, revision string) map[string]any {
	switch method {
	case "initialize":
		return map[string]any{"protocolVersion": revision, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "c", "version": "1"}}
	case "logging/setLevel":
		return map[string]any{"level": "debug"}
	case "notifications/progress":
		return map[string]any{"progressToken": 1, "progress": 1}
	case "notifications/cancelled":
		return map[string]any{"requestId": 99}
	case "subscriptions/listen":
		return map[string]any{"notifications": map[string]any{"toolsListChanged": true}}
	}
	return map[string]any{}
}

// ways are the doors that an operation can take in its revisions.
func ways(t *testing.T, is *testIssuer, r row, declare func(*mcpauth.Middleware, *traps)) []*way {
	sessionOnly := r.operation == "GET" || r.operation == "DELETE" || strings.HasPrefix(r.operation, "answer")
	var out []*way
	for _, mode := range []string{"stateless", "stateful", "in memory"} {
		for revision := range strings.SplitSeq(r.revisions, ", ") {
			switch {
			case mode == "stateful" && revision == "2026-07-28", mode != "stateful" && sessionOnly,
				mode == "in memory" && r.operation == "notifications/cancelled", mode == "in memory" && r.operation == "notifications/tasks/status":
				continue
			}
			auth, _ := newAuth(t, is, nil)
			w := &way{mode: mode, revision: revision, auth: auth, traps: newTraps(t, auth), weak: is.scoped(t, "files:read"),
				strong: is.token(t, claims{"scope": "files:read files:write", "roles": []string{"admin"}})}
			if declare != nil {
				declare(auth, w.traps)
			}
			w.http = auth.Wrap(sdkHandler(w.server, mode == "stateless"))
			if mode == "stateful" {
				w.session = openSession(t, w.http, w.strong)
				w.send(t, "ping", map[string]any{}, true) // comes after notifications/initialized
			}
			out = append(out, w)
		}
	}
	require.NotEmpty(t, out)
	return out
}

func TestOperations(t *testing.T) {
	is := newIssuer(t)
	listed := make(map[string]bool)
	for _, r := range readOperations(t) {
		require.False(t, listed[r.operation], "%s stands there twice", r.operation)
		listed[r.operation] = true
		t.Run(r.operation, func(t *testing.T) {
			switch {
			case r.operation == "batch":
				checkBatch(t, is, r)
			case decidedBy[r.decides] != nil:
				checkNamed(t, is, r)
			case r.decides == "method" || r.decides == "method, as `*`":
				checkMethod(t, is, r)
			default:
				t.Fatalf("nobody knows %q", r.decides)
			}
			checkShown(t, is, r)
			checkElsewhere(t, is, r)
		})
	}
	for _, method := range sdkMethods {
		require.True(t, listed[method], "%s is missing in operations.md", method)
	}
}

// checkNamed is for operations that name something.
func checkNamed(t *testing.T, is *testIssuer, r row) {
	for _, w := range ways(t, is, r, nil) {
		for _, params := range decidedBy[r.decides] {
			without := strings.TrimPrefix(r.without, "open; a resource ")
			for name, word := range map[string]string{"forgotten": without, "scoped": r.scope, "roled": r.role, "open": "allowed"} {
				p, target := params(name)
				before := w.total()
				require.Equal(t, w.expect(word, false), w.send(t, r.operation, p, false).word, "%s %s %s", w.mode, w.revision, target)
				if word != "allowed" {
					require.Equal(t, before, w.total(), "%s ran", target)
				}
				p, _ = params(name)
				got := w.send(t, r.operation, p, true)
				if name == "forgotten" {
					require.Equal(t, "unknown", got.word)
					continue
				}
				require.Equal(t, "allowed", got.word, "%s %s %s", w.mode, w.revision, target)
				checkCache(t, r, got)
				op := r.operation
				if op == "subscriptions/listen" {
					op = "resources/subscribe" // the SDK's own
				}
				require.NotZero(t, w.ran(op+" "+target), "%s did not run", target)
			}
		}
		require.Empty(t, w.broken())
	}
	if strings.HasPrefix(r.decides, "method, and") {
		r.without, _, _ = strings.Cut(r.without, "; a resource ")
		r.decides = "method"
		checkMethod(t, is, r)
	}
}

// checkMethod is for operations that their method alone decides.
func checkMethod(t *testing.T, is *testIssuer, r row) {
	method, ruled := r.operation, r.operation
	if strings.HasPrefix(method, "answer") {
		method, ruled = "", "*"
	}
	if strings.HasPrefix(method, "vendor/...") {
		method, ruled = "vendor/new", "vendor/new"
	}
	known := slices.Contains(sdkMethods, method) || method == "GET" || method == "DELETE" || method == ""
	silent := strings.HasPrefix(method, "notifications/")
	for _, c := range []struct {
		rule scopes.Rule
		word string
	}{{scopes.Rule{}, r.without}, {scopes.All("files:write"), r.scope}, {scopes.Role("admin"), r.role}} {
		for _, w := range ways(t, is, r, func(auth *mcpauth.Middleware, tr *traps) {
			if !c.rule.IsZero() {
				auth.RequireMethod(ruled, c.rule)
			}
			if !known && !silent {
				tr.addCustom(t, method)
			}
		}) {
			word, before := c.word, w.total()
			if word == "open" {
				word = "allowed"
			}
			got := w.send(t, method, plainParams(method, w.revision), false)
			require.Equal(t, w.expect(word, silent), got.word, "%s %s", w.mode, w.revision)
			if word != "allowed" {
				require.Equal(t, before, w.total(), "it ran")
			} else {
				checkCache(t, r, got)
			}
			if c.rule.IsZero() || silent && !known { // no server can have notifications of its own
				continue
			}
			got = w.send(t, method, plainParams(method, w.revision), true)
			require.Equal(t, w.expect("allowed", silent), got.word, "%s %s", w.mode, w.revision)
			checkCache(t, r, got)
			require.Empty(t, w.broken())
			if !known {
				require.NotZero(t, w.ran(method))
			}
			if w.mode == "in memory" && silent {
				require.Greater(t, w.total(), before)
			}
		}
	}
}

func checkCache(t *testing.T, r row, got reply) {
	t.Helper()
	if r.cache == "none" {
		require.NotContains(t, got.result, "cacheScope")
		require.NotContains(t, got.result, "ttlMs")
		return
	}
	require.Equal(t, r.cache, got.result["cacheScope"])
	require.Greater(t, got.result["ttlMs"], 0.0)
	require.LessOrEqual(t, got.result["ttlMs"], float64(630_000), "the token has ten minutes and the leeway")
}

// checkBatch is for the row of batches.
func checkBatch(t *testing.T, is *testIssuer, r row) {
	require.Equal(t, row{"batch", "none", "each message", "400", "400", "400", "none", "none"}, r)
	for _, w := range ways(t, is, row{revisions: "2025-06-18, 2025-11-25, 2026-07-28, 2025-03-26"}, nil) {
		if w.mode == "in memory" {
			continue
		}
		send := func(tools ...string) *httptest.ResponseRecorder {
			for i := range tools {
				tools[i] = strings.Replace(call(tools[i]), `"id":7`, `"id":`+string(rune('1'+i)), 1)
			}
			req := atRevision(w.revision, post("["+strings.Join(tools, ",")+"]", w.weak))
			if w.session != "" {
				inSession(w.session, req).Header.Set("Mcp-Protocol-Version", w.revision)
			}
			return serve(w.http, req)
		}
		if w.revision != "2025-03-26" {
			require.Equal(t, 400, send("open", "open").Code)
			require.Zero(t, w.ran("tools/call open"))
			continue
		}
		require.Equal(t, 403, send("open", "scoped").Code)
		require.Equal(t, 403, send("roled", "open").Code)
		require.Contains(t, send("open", "forgotten").Result().Status, "400")
		require.Zero(t, w.ran("tools/call open"))
		require.Equal(t, 200, send("open", "open").Code)
		require.Equal(t, 2, w.ran("tools/call open"))
	}
}

// checkShown is for the lists that a row names: they show what can be had, and nothing else.
func checkShown(t *testing.T, is *testIssuer, r row) {
	require.Equal(t, map[string]string{
		"tool in `name`": "`tools/list`", "prompt in `name`": "`prompts/list`", "method": "none", "method, as `*`": "none", "each message": "none",
		"resource in `uri`":           "`resources/list`, `resources/templates/list`",
		"prompt or resource in `ref`": "`prompts/list`, `resources/list`, `resources/templates/list`",
		"method, and each resource in `notifications.resourceSubscriptions`": "`resources/list`, `resources/templates/list`",
	}[r.decides], r.shown)
	if r.shown == "none" {
		return
	}
	lists := map[string]struct{ member, key, prefix, suffix string }{
		"tools/list": {"tools", "name", "", ""}, "prompts/list": {"prompts", "name", "", ""},
		"resources/list": {"resources", "uri", "doc://", ""}, "resources/templates/list": {"resourceTemplates", "uriTemplate", "", "://{id}"},
	}
	for _, w := range ways(t, is, row{operation: r.operation, revisions: r.revisions}, nil) {
		for shown := range strings.SplitSeq(strings.ReplaceAll(r.shown, "`", ""), ", ") {
			l, ok := lists[shown]
			require.True(t, ok, shown)
			for strong, want := range map[bool][]string{false: {"open", "scoped"}, true: {"admin_all", "open", "roled", "scoped"}} {
				got := w.send(t, shown, map[string]any{}, strong)
				var names []string
				for _, item := range got.result[l.member].([]any) {
					name := item.(map[string]any)[l.key].(string)
					names = append(names, strings.TrimSuffix(strings.TrimPrefix(name, l.prefix), l.suffix))
				}
				require.ElementsMatch(t, want, names, "%s %s %s", shown, w.mode, w.revision)
			}
		}
	}
}

// checkElsewhere is for the revisions that a row does not name: there, the SDK serves no such request,
// whatever the rights of its caller. It does serve subscriptions/listen, by the same rules.
func checkElsewhere(t *testing.T, is *testIssuer, r row) {
	all := []string{"2025-06-18", "2025-11-25", "2026-07-28"}
	elsewhere := strings.Join(slices.DeleteFunc(all, func(revision string) bool { return strings.Contains(r.revisions, revision) }), ", ")
	if elsewhere == "" || !slices.Contains(sdkMethods, r.operation) || strings.HasPrefix(r.operation, "notifications/") {
		return
	}
	if r.operation == "subscriptions/listen" {
		r.revisions = elsewhere
		checkNamed(t, is, r)
		return
	}
	params := paramsWith("uri", "doc://")
	for _, w := range ways(t, is, row{operation: r.operation, revisions: elsewhere}, nil) {
		p, _ := params("open")
		for k, v := range plainParams(r.operation, w.revision) {
			p[k] = v
		}
		require.NotEqual(t, "allowed", w.send(t, r.operation, p, true).word, "%s %s", w.mode, w.revision)
	}
}

// The list of methods above is that of the SDK: a server that nobody protects knows these, and none of
// the others.
func TestOperations_MethodsOfTheSDK(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "bare", Version: "1"}, nil)
	h := sdkHandler(server, true)
	knows := func(method string) bool {
		body := rpc(method, nil)
		if strings.HasPrefix(method, "notifications/") {
			body = `{"jsonrpc":"2.0","method":"` + method + `","params":{}}`
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return !strings.Contains(serve(h, post(body, "").WithContext(ctx)).Body.String(), "JSON RPC not handled")
	}
	for _, method := range sdkMethods {
		require.True(t, knows(method), method)
	}
	for _, r := range readOperations(t) {
		if strings.Contains(r.operation, "/") && !slices.Contains(sdkMethods, r.operation) {
			require.False(t, knows(r.operation), "%s belongs into sdkMethods", r.operation)
		}
	}
}
