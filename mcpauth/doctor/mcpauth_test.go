package doctor_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/doctor"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// protected is a server of this library in front of the world's authorization server.
func protected(t *testing.T, w *world, stateless bool, change func(*mcpauth.Config)) string {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	cfg := mcpauth.Config{
		Resource: s.URL + "/mcp", Issuers: []mcpauth.Issuer{{URL: w.issuer, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}}, RootMetadata: true,
		BaseScopes: []string{"notes:read"},
	}
	if change != nil {
		change(&cfg)
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	server := mcp.NewServer(&mcp.Implementation{Name: "notes", Version: "1.0.0"}, nil)
	auth.Protect(server)
	tool := func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "ok"}}}, nil, nil
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami"}, tool, scopes.Role("user"))
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write_note"}, tool, scopes.And(scopes.Role("user"), scopes.All("notes:write")))
	auth.Mount(mux, mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{Stateless: stateless}))
	return s.URL + "/mcp"
}

func examine(t *testing.T, opt doctor.Options) *doctor.Report {
	t.Helper()
	r, err := doctor.Run(t.Context(), opt)
	require.NoError(t, err)
	return r
}

func TestServersOfThisLibraryAreRight(t *testing.T) {
	nonces := func(c *mcpauth.Config) { c.DPoP.Nonces = true }
	for name, tt := range map[string]struct {
		stateless bool
		change    func(*mcpauth.Config)
		bound     bool
	}{
		"stateless":              {stateless: true},
		"with sessions":          {},
		"without the root form":  {stateless: true, change: func(c *mcpauth.Config) { c.RootMetadata = false }},
		"without DPoP":           {stateless: true, change: func(c *mcpauth.Config) { c.DPoP.Mode = mcpauth.DPoPOff }},
		"bound tokens":           {stateless: true, bound: true},
		"bound, with nonces":     {stateless: true, bound: true, change: nonces},
		"bound, in sessions":     {bound: true, change: nonces},
		"bound tokens only":      {stateless: true, bound: true, change: func(c *mcpauth.Config) { c.DPoP.Mode = mcpauth.DPoPRequired }},
		"only roles and a realm": {stateless: true, change: func(c *mcpauth.Config) { c.BaseScopes, c.Realm = nil, "notes" }},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.server["dpop_signing_alg_values_supported"] = []string{"ES256"}
			url := protected(t, w, tt.stateless, tt.change)
			opt := doctor.Options{URL: url, Call: "whoami"}
			claims := members{"aud": url, "roles": []string{"user"}}
			if tt.bound {
				key, err := mcpauthtest.NewDPoPKey("")
				require.NoError(t, err)
				opt.DPoPKey, claims["cnf"] = key, members{"jkt": key.Thumbprint()}
			}
			opt.Token = w.mint(claims)
			r := examine(t, opt)
			noFail(t, r)
			require.Equal(t, doctor.Pass, find(t, r, "call-tools-list").Status)
			require.Equal(t, doctor.Pass, find(t, r, "call-tools-call").Status)
			noFail(t, examine(t, doctor.Options{URL: url}))
		})
	}
}

// What this library refuses, the doctor explains.
func TestRefusalsOfThisLibraryAreExplained(t *testing.T) {
	w := newWorld(t)
	url := protected(t, w, true, nil)
	for name, tt := range map[string]struct {
		claims    members
		id, cause string
		symptom   doctor.Symptom
	}{
		"audience":        {members{"aud": "app"}, "call-initialize/refused", "token-audience/client-id", doctor.Refused},
		"typ":             {members{"aud": url, "header:typ": "JWT"}, "call-initialize/refused", "token-type/jwt", doctor.Refused},
		"issuer":          {members{"aud": url, "iss": w.issuer + "/"}, "call-initialize/refused", "token-issuer/slash", doctor.Refused},
		"bound as bearer": {members{"aud": url, "cnf": members{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, "call-initialize/refused", "token-binding/bound", doctor.Refused},
		"prefix":          {members{"aud": url, "scope": "api://app/notes:read"}, "call-initialize/scope-prefix", "token-scopes/prefix", doctor.Forbidden},
		"roles elsewhere": {members{"aud": url, "groups": []string{"user"}}, "call-tools-list/no-tools", "token-roles/elsewhere", doctor.NoTools},
	} {
		t.Run(name, func(t *testing.T) {
			f := find(t, examine(t, doctor.Options{URL: url, Token: w.mint(tt.claims)}), tt.id)
			require.Equal(t, tt.symptom, f.Symptom)
			require.Contains(t, f.Cure, tt.cause)
		})
	}
}
