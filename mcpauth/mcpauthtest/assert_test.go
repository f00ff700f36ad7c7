package mcpauthtest_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

const (
	resource = "https://mcp.example.com/mcp"
	prmURL   = "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
	leads    = `, resource_metadata="` + prmURL + `"`
)

// response makes an answer with these WWW-Authenticate lines.
func response(status int, body string, lines ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for _, line := range lines {
		h.Add("WWW-Authenticate", line)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

func with(resp *http.Response, name, value string) *http.Response {
	resp.Header.Set(name, value)
	return resp
}

// Each assertion passes where it should, and else says what it wanted and what came.
func TestAssertions(t *testing.T) {
	stepUp := func(scopes ...string) func(testing.TB, *http.Response) {
		return func(t testing.TB, r *http.Response) { mcpauthtest.AssertStepUp(t, r, scopes...) }
	}
	challenge := func(scheme string, params map[string]string) func(testing.TB, *http.Response) {
		return func(t testing.TB, r *http.Response) { mcpauthtest.AssertChallenge(t, r, scheme, params) }
	}
	const (
		result  = `{"jsonrpc":"2.0","id":1,"result":{}}`
		unknown = `{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"unknown tool"}}`
		plain   = "Bearer realm=x" + leads
		write   = `Bearer error="insufficient_scope", scope="files:write files:read"` + leads
	)
	stream := func(body string) *http.Response {
		return with(response(200, body), "Content-Type", "text/event-stream")
	}
	for _, tt := range []struct {
		name   string
		assert func(testing.TB, *http.Response)
		resp   *http.Response
		says   string // empty: it passes
	}{
		{"allowed: a result", mcpauthtest.AssertAllowed, response(200, result), ""},
		{"allowed: a notification", mcpauthtest.AssertAllowed, response(202, ""), ""},
		{"allowed: a stream", mcpauthtest.AssertAllowed, stream("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\ndata: " + result + "\n\n"), ""},
		{"allowed: an error in a stream", mcpauthtest.AssertAllowed, stream("data: " + unknown + "\n\n"), "want a result, not an error\ncame: 200 OK"},
		{"allowed: a stream without an answer", mcpauthtest.AssertAllowed, stream("data: x\n\n"), "no answer to the request in the stream"},
		{"allowed: an error", mcpauthtest.AssertAllowed, response(200, unknown), "unknown tool"},
		{"allowed: no JSON-RPC", mcpauthtest.AssertAllowed, response(200, `{}`), "no answer of JSON-RPC"},
		{"allowed: result and error", mcpauthtest.AssertAllowed, response(200, `{"jsonrpc":"2.0","result":{},"error":{}}`), "no answer of JSON-RPC"},
		{"allowed: a refusal", mcpauthtest.AssertAllowed, response(403, "", write), "want a result, with status 200\ncame: 403 Forbidden\n\tWWW-Authenticate: " + write},

		{"unauthorized", mcpauthtest.AssertUnauthorized, response(401, "", plain), ""},
		{"unauthorized: two lines", mcpauthtest.AssertUnauthorized, response(401, "", plain, `DPoP algs="ES256"`+leads), ""},
		{"unauthorized: beside another scheme", mcpauthtest.AssertUnauthorized, response(401, "", plain, "ApiKey"), ""},
		{"unauthorized: another status", mcpauthtest.AssertUnauthorized, response(403, "", plain), "want 401 Unauthorized with a challenge\ncame: 403"},
		{"unauthorized: no challenge", mcpauthtest.AssertUnauthorized, response(401, "nope"), "there is no WWW-Authenticate\ncame: 401 Unauthorized\n\tnope"},
		{"unauthorized: only another scheme", mcpauthtest.AssertUnauthorized, response(401, "", "ApiKey"), "want a challenge for Bearer or DPoP"},
		{"unauthorized: no metadata", mcpauthtest.AssertUnauthorized, response(401, "", "Bearer realm=x"), `want resource_metadata`},
		{"unauthorized: no metadata on one line", mcpauthtest.AssertUnauthorized, response(401, "", plain, "DPoP algs=ES256"), `want resource_metadata`},
		{"unauthorized: a relative URL", mcpauthtest.AssertUnauthorized, response(401, "", `Bearer resource_metadata="/.well-known/oauth-protected-resource"`), "want resource_metadata"},
		{"unauthorized: another URL", mcpauthtest.AssertUnauthorized, response(401, "", `Bearer resource_metadata="https://mcp.example.com/mcp"`), "want resource_metadata"},
		{"unauthorized: insufficient scope", mcpauthtest.AssertUnauthorized, response(401, "", write), "which goes with 403"},
		{"unauthorized: twice the same", mcpauthtest.AssertUnauthorized, response(401, "", plain+`, realm="y"`), "malformed"},
		{"unauthorized: no quotes", mcpauthtest.AssertUnauthorized, response(401, "", "Bearer scope=files:read"+leads), "malformed"},
		{"unauthorized: quotes of Go", mcpauthtest.AssertUnauthorized, response(401, "", `Bearer error_description="caf\u00e9 \"x\""`+leads), "want error_description with the characters of RFC 6750"},
		{"unauthorized: a line end", mcpauthtest.AssertUnauthorized, response(401, "", "Bearer realm=\"a\tb\""+leads), "want realm with the characters"},
		{"unauthorized: a long line", mcpauthtest.AssertUnauthorized, response(401, "", plain+`, x="`+strings.Repeat("x", 20_000)+`"`), "malformed"},
		{"unauthorized: two spaces", mcpauthtest.AssertUnauthorized, response(401, "", `Bearer scope="a  b"`+leads), "want scope with the characters"},
		{"unauthorized: an empty scope", mcpauthtest.AssertUnauthorized, response(401, "", `Bearer scope=""`+leads), "want scope with the characters"},

		{"step-up", stepUp("files:read", "files:write"), response(403, "", write), ""},
		{"step-up: two lines", stepUp("files:read", "files:write"), response(403, "", write, strings.Replace(write, "Bearer", "DPoP", 1)), ""},
		{"step-up: too little is asked for", stepUp("files:read", "files:write", "mail"), response(403, "", write), `want a challenge for "files:read files:write mail", not for "files:read files:write"`},
		{"step-up: too much is asked for", stepUp("files:write"), response(403, "", write), `want a challenge for "files:write", not for "files:read files:write"`},
		{"step-up: no scope", stepUp("files:write"), response(403, "", `Bearer error="insufficient_scope"`+leads), `not for ""`},
		{"step-up: another error", stepUp("files:write"), response(403, "", `Bearer error="invalid_token", scope="files:write"`+leads), "want error=\"insufficient_scope\""},
		{"step-up: on one line only", stepUp("files:read", "files:write"), response(403, "", write, `DPoP algs="ES256"`+leads), "want error=\"insufficient_scope\" in each"},
		{"step-up: 401", stepUp("files:write"), response(401, "", write), "want 403 Forbidden with a challenge\ncame: 401"},
		{"step-up: bare", stepUp("files:write"), response(403, ""), "there is no WWW-Authenticate"},
		{"step-up: leads nowhere", stepUp("files:write"), response(403, "", `Bearer error="insufficient_scope", scope="files:write"`), "want resource_metadata"},
		{"step-up: not for tokens", stepUp("files:write"), response(403, "", `Basic realm="x"`), "want a challenge for Bearer or DPoP"},

		{"forbidden", mcpauthtest.AssertForbidden, response(403, ""), ""},
		{"forbidden: with a challenge", mcpauthtest.AssertForbidden, response(403, "", write), "want a bare 403, without WWW-Authenticate"},
		{"forbidden: 401", mcpauthtest.AssertForbidden, response(401, "", plain), "want a bare 403\ncame: 401"},
		{"forbidden: allowed", mcpauthtest.AssertForbidden, response(200, result), "want a bare 403\ncame: 200 OK\n\t" + result},

		{"unknown", mcpauthtest.AssertUnknown, response(400, unknown), ""},
		{"unknown: with 200", mcpauthtest.AssertUnknown, response(200, unknown), ""},
		{"unknown: a method", mcpauthtest.AssertUnknown, response(404, strings.Replace(unknown, "-32602", "-32601", 1)), ""},
		{"unknown: a result", mcpauthtest.AssertUnknown, response(200, result), "want the answer for what does not exist"},
		{"unknown: another error", mcpauthtest.AssertUnknown, response(400, strings.Replace(unknown, "-32602", "-32600", 1)), "want the answer for what does not exist"},
		{"unknown: a challenge", mcpauthtest.AssertUnknown, response(400, unknown, plain), "without a challenge"},
		{"unknown: 403", mcpauthtest.AssertUnknown, response(403, unknown), "came: 403"},

		{"unavailable", mcpauthtest.AssertUnavailable, with(response(503, ""), "Retry-After", "1"), ""},
		{"unavailable: for ever", mcpauthtest.AssertUnavailable, response(503, ""), `want 503 with Retry-After in seconds, not ""`},
		{"unavailable: at once", mcpauthtest.AssertUnavailable, with(response(503, ""), "Retry-After", "0"), `not "0"`},
		{"unavailable: with a challenge", mcpauthtest.AssertUnavailable, with(response(503, "", plain), "Retry-After", "1"), "want 503 without WWW-Authenticate"},
		{"unavailable: 401", mcpauthtest.AssertUnavailable, response(401, "", plain), "want 503\ncame: 401"},

		{"challenge", challenge("bearer", map[string]string{"Realm": "x", "error": ""}), response(401, "", plain), ""},
		{"challenge: the second", challenge("DPoP", nil), response(401, "", plain, "DPoP"), ""},
		{"challenge: another scheme", challenge("DPoP", nil), response(401, "", plain), "want a challenge DPoP\ncame: 401"},
		{"challenge: the parameter of another scheme", challenge("DPoP", map[string]string{"realm": "x"}), response(401, "", plain, "DPoP"), `want a challenge DPoP realm="x"`},
		{"challenge: a parameter too many", challenge("Bearer", map[string]string{"realm": ""}), response(401, "", plain), `want a challenge Bearer realm=""`},
		{"challenge: another value", challenge("Bearer", map[string]string{"a": "1", "max_age": "300"}), response(401, "", `Bearer max_age="60", a="1"`), `want a challenge Bearer a="1" max_age="300"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			says := watched(t, func(f testing.TB) { tt.assert(f, tt.resp) })
			if tt.says == "" {
				require.Empty(t, says)
				return
			}
			require.Contains(t, says, tt.says)
			require.Contains(t, says, "\ncame: ")
			body, err := io.ReadAll(tt.resp.Body)
			require.NoError(t, err)
			if len(body) > 0 {
				require.Contains(t, says, strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "\n\t"), "the body can be read again")
			}
		})
	}
}

// A failure shows the beginning of a long body.
func TestAssertions_LongBody(t *testing.T) {
	says := watched(t, func(f testing.TB) { mcpauthtest.AssertForbidden(f, response(500, strings.Repeat("x", 5<<20))) })
	require.Less(t, len(says), 1000)
	require.Contains(t, says, "xxx...")
}

// The commonest mistake of a test says nothing about rules: the client asks at another path than the one that is served.
func TestAssertions_NothingIsThere(t *testing.T) {
	const hint = "an http.ServeMux has nothing at this path: give the client the mux of Middleware.Mount, and Config.Resource as its resource"
	_, resp := mcpauthtest.NewClient(t, http.NewServeMux(), resource, "").CallTool("read_file", nil)
	require.Contains(t, watched(t, func(f testing.TB) { mcpauthtest.AssertAllowed(f, resp) }), "came: 404 Not Found\n\t404 page not found\n\t"+hint)
	other := response(404, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}`)
	require.NotContains(t, watched(t, func(f testing.TB) { mcpauthtest.AssertAllowed(f, other) }), "ServeMux")
}

func TestAssertMetadata(t *testing.T) {
	const good = `{"resource":"` + resource + `","authorization_servers":["https://login.example.com"]}`
	serve := func(status int, contentType, body string) http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("/.well-known/oauth-protected-resource/mcp", func(w http.ResponseWriter, r *http.Request) {
			require.Empty(t, r.Header.Get("Authorization"))
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		})
		return mux
	}
	const at = " at " + prmURL
	for _, tt := range []struct {
		name    string
		handler http.Handler
		lines   []string
		says    string
	}{
		{"served", serve(200, "application/json", good), []string{"Bearer realm=x" + leads, "DPoP realm=x" + leads}, ""},
		{"nothing there", http.NotFoundHandler(), []string{"Bearer realm=x" + leads}, "want JSON with status 200" + at + ": mount Middleware.Metadata, outside of Wrap\ncame: 404"},
		{"behind a login", serve(401, "application/json", good), []string{"Bearer realm=x" + leads}, "came: 401"},
		{"HTML", serve(200, "text/html", "<html>"), []string{"Bearer realm=x" + leads}, "want JSON with status 200" + at},
		{"no JSON", serve(200, "application/json", "<html>"), []string{"Bearer realm=x" + leads}, "want resource and authorization_servers in the metadata" + at},
		{"no authorization server", serve(200, "application/json", `{"resource":"`+resource+`","authorization_servers":[]}`), []string{"Bearer realm=x" + leads}, "want resource and authorization_servers"},
		{"another spelling", serve(200, "application/json", strings.Replace(good, "resource", "Resource", 1)), []string{"Bearer realm=x" + leads}, "want resource and authorization_servers"},
		{"of another resource", serve(200, "application/json", strings.Replace(good, ".com/mcp", ".com/other", 1)), []string{"Bearer realm=x" + leads}, `not of "https://mcp.example.com/other"`},
		{"no URL", serve(200, "application/json", good), []string{"Bearer realm=x"}, "want resource_metadata"},
		{"no challenge", serve(200, "application/json", good), nil, "there is no WWW-Authenticate"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			says := watched(t, func(f testing.TB) { mcpauthtest.AssertMetadata(f, tt.handler, response(401, "", tt.lines...)) })
			if tt.says == "" {
				require.Empty(t, says)
			} else {
				require.Contains(t, says, tt.says)
			}
		})
	}
	t.Run("each line leads somewhere", func(t *testing.T) {
		says := watched(t, func(f testing.TB) {
			mcpauthtest.AssertMetadata(f, serve(200, "application/json", good), response(401, "", "Bearer realm=x"+leads, strings.Replace("DPoP realm=x"+leads, "resource/mcp", "resource/gone", 1)))
		})
		require.Contains(t, says, "/gone: mount Middleware.Metadata")
	})
}
