package mcpauth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Lists hide what Config.ListPolicy says, and it sees what a Policy would, but for the arguments.
func TestListPolicy(t *testing.T) {
	is := newIssuer(t)
	var asked []mcpauth.Call
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.ListPolicy = func(_ context.Context, c *mcpauth.Call) error {
			asked = append(asked, *c)
			if c.Name == "write" {
				return errors.New("not now")
			}
			return nil
		}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	token := is.scoped(t, "files:write")
	r := with(post(rpc("tools/list", nil), token), "X-Region", "eu")
	r.RemoteAddr = "192.0.2.7:1234"
	list := serve(h, r).Body.String()
	require.Contains(t, list, `"whoami"`)
	require.NotContains(t, list, `"write"`)
	require.Len(t, asked, 2, "what a rule hides is not asked for")
	for _, c := range asked {
		require.Equal(t, "tools/call", c.Method)
		require.Equal(t, "ada", c.Principal.Subject())
		require.Equal(t, "192.0.2.7:1234", c.RemoteAddr)
		require.Equal(t, "eu", c.Header.Get("X-Region"))
		require.Equal(t, clock.Now(), c.Time)
		require.Nil(t, c.Arguments)
		require.NotContains(t, strings.Join(c.Header["Authorization"], ""), token[:20], "SEC-01")
	}
	require.Equal(t, http.StatusOK, serve(h, post(call("write"), token)).Code, "calls are up to the Policy")

	p := principalOf(t, auth, token)
	require.True(t, auth.Visible(p, mcpauth.Operation{Method: "tools/call", Name: "whoami"}))
	require.False(t, auth.Visible(p, mcpauth.Operation{Method: "tools/call", Name: "write"}))
	asked = nil
	require.True(t, auth.Shows(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: "tools/call", Name: "whoami"},
		RemoteAddr: "192.0.2.8:1", Arguments: json.RawMessage(`{}`)}))
	require.Equal(t, "192.0.2.8:1", asked[0].RemoteAddr)
	require.Nil(t, asked[0].Arguments)
	require.False(t, auth.Shows(t.Context(), nil))
}

func TestListPolicy_ThatPanicsHides(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.ListPolicy = func(context.Context, *mcpauth.Call) error { panic("no") }
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	w := serve(h, post(rpc("tools/list", nil), is.token(t)))
	require.Equal(t, http.StatusOK, w.Code)
	require.Contains(t, w.Body.String(), `"tools":[]`)
}

// AUTHZ-18: no value of an argument leaves the request, unless somebody asked for it by name.
func TestAuditArguments(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.AuditArguments = map[string][]string{"write": {"path", "long", "absent", "both"}}
	})
	h := auth.Wrap(&spy{})
	newServer(auth)
	arguments := map[string]any{"path": "/a", "both": 1, "BOTH": 2, "long": strings.Repeat("x", 1024), "secret": "s3cret"}
	for tool, want := range map[string]map[string]json.RawMessage{
		"write":  {"path": json.RawMessage(`"/a"`)},
		"whoami": nil,
	} {
		serve(h, post(rpc("tools/call", map[string]any{"name": tool, "arguments": arguments}), is.scoped(t, "files:write")))
		d := log.take()
		require.Len(t, d, 1)
		require.Equal(t, want, d[0].Arguments, tool)
		if tool == "write" {
			require.Equal(t, []string{"long", "both"}, d[0].WithheldArguments, "a handler may take another member for it")
		}
	}
	auth.RequirePrompt("write", scopes.Authenticated())
	for length, want := range map[int][]string{1022: nil, 1023: {"path"}} {
		serve(h, post(rpc("prompts/get", map[string]any{"name": "write", "arguments": map[string]any{"path": strings.Repeat("x", length)}}), is.scoped(t, "")))
		d := log.take()[0]
		require.Equal(t, want, d.WithheldArguments, "of a prompt")
		require.Equal(t, want == nil, string(d.Arguments["path"]) == `"`+strings.Repeat("x", length)+`"`)
	}
	serve(h, post(rpc("tools/call", map[string]any{"name": "write", "arguments": []any{1}}), is.scoped(t, "")))
	require.Nil(t, log.take()[0].Arguments)
	serve(h, post(rpc("resources/read", map[string]any{"uri": "write"}), is.scoped(t, "")))
	require.Nil(t, log.take()[0].Arguments, "a resource of that name has none")
}
