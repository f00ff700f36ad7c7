package mcpauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// What has no rule is answered exactly as go-sdk answers what does not exist.
func TestAUTHZ14_UndeclaredIsUnknown(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := everything(auth)
	protected := auth.Wrap(sdkHandler(server, true))
	empty := mcp.NewServer(&mcp.Implementation{Name: "bare", Version: "1"}, &mcp.ServerOptions{
		Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}, Prompts: &mcp.PromptCapabilities{}, Resources: &mcp.ResourceCapabilities{}},
	})
	bare := sdkHandler(empty, true) // no authorization at all

	type result struct {
		status int
		kind   string
		body   any
	}
	ask := func(h http.Handler, r *http.Request) result {
		w := serve(h, r)
		var body any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
		return result{w.Code, w.Header().Get("Content-Type"), body}
	}
	for _, c := range []struct{ method, member, name string }{
		{"tools/call", "name", "forgotten"},
		{"tools/call", "name", `quote " backslash \ é`},
		{"prompts/get", "name", "forgotten"},
		{"resources/read", "uri", "forgotten://x"},
	} {
		t.Run(c.method+" "+c.name, func(t *testing.T) {
			params := map[string]any{c.member: c.name}
			for _, revision := range []string{"2025-06-18", "2025-11-25"} {
				request := func() *http.Request { return atRevision(revision, post(rpc(c.method, params), is.token(t))) }
				require.Equal(t, ask(bare, request()), ask(protected, request()))
			}
			if strings.HasPrefix(c.name, "quote") {
				return // go-sdk wants Mcp-Name undecoded, so its own answer is another one
			}
			request := func() *http.Request { return modern(c.method, c.name, params, is.token(t)) }
			require.Equal(t, ask(bare, request()), ask(protected, request()))
		})
	}
}

func TestX03_Conceal(t *testing.T) {
	is := newIssuer(t)
	log := &audit{}
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Conceal, c.OnDecision = true, log.add })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	answer := func(tool string, r *http.Request) string {
		w := serve(h, r)
		require.Empty(t, w.Header()["Www-Authenticate"])
		var headers strings.Builder
		require.NoError(t, w.Header().Write(&headers))
		text := fmt.Sprint(w.Code, headers.String(), w.Body.String())
		text = strings.ReplaceAll(text, tool, "TOOL")
		return strings.ReplaceAll(text, fmt.Sprint(w.Body.Len()), "LENGTH")
	}
	for _, tool := range []string{"write", "purge", "forgotten"} {
		require.Equal(t,
			answer("missing", post(call("missing"), is.token(t))),
			answer(tool, post(call(tool), is.token(t))), tool)
		require.Equal(t,
			answer("missing", modern("tools/call", "missing", map[string]any{"name": "missing"}, is.token(t))),
			answer(tool, modern("tools/call", tool, map[string]any{"name": tool}, is.token(t))), tool)
	}
	require.Equal(t, http.StatusOK, serve(h, post(call("write"), is.scoped(t, "files:write"))).Code)

	log.take()
	serve(h, post(call("write"), is.token(t)))
	require.Equal(t, mcpauth.ReasonInsufficientScope, log.take()[0].Reason, "the audit knows the truth")

	names, _ := listNames(t, h, "tools/list", "tools", "name", is.token(t))
	require.Equal(t, []string{"whoami"}, names, "lists show what is allowed")
}

// COMPAT-08, threat 61: names that no header can hold come in Base64.
func TestCOMPAT08_EncodedNames(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	auth.Protect(server)
	auth.RequireResource("notes://*", scopes.Authenticated())
	offerResource(server, "notes://café")
	offerResource(server, "notes://plain")
	h := auth.Wrap(sdkHandler(server, true))
	encoded := func(name string) string {
		return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(name)) + "?="
	}
	for _, c := range []struct {
		name, header, uri string
		status            int
	}{
		{"encoded", encoded("notes://café"), "notes://café", 200},
		{"encoded without need", encoded("notes://plain"), "notes://plain", 200},
		{"plain", "notes://plain", "notes://plain", 200},
		{"another name, encoded", encoded("notes://plain"), "notes://café", 400},
		{"no Base64", "=?base64?!?=", "notes://café", 400},
		{"half a mark", "=?base64?" + base64.StdEncoding.EncodeToString([]byte("notes://plain")), "notes://plain", 400},
		{"undeclared, and a declared one in the header", encoded("notes://plain"), "other://x", 400},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := modern("resources/read", c.header, map[string]any{"uri": c.uri}, is.token(t))
			w := serve(h, r)
			require.Equal(t, c.status, w.Code, w.Body.String())
			require.Equal(t, c.header, r.Header.Get("Mcp-Name"), "the caller's request is left alone")
		})
	}
}
