package mcpauth_test

import (
	"encoding/base64"
	"net/http"
	"testing"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Threat 61: the SDK compares Mcp-Name undecoded.
func TestCOMPAT08_EncodedMcpName(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	for _, name := range []string{"größe", "=?base64?x?="} {
		mcpauth.AddResource(auth, server, &mcp.Resource{Name: "r", URI: "notes://" + name}, nil, scopes.Authenticated())
	}
	h := auth.Wrap(sdkHandler(server, true))
	encode := func(s string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?=" }
	for _, tt := range []struct {
		name, header, body string
		mismatch           bool
	}{
		{"plain", "whoami", "whoami", false},
		{"encoded without need", encode("whoami"), "whoami", false},
		{"another name, encoded", encode("purge"), "whoami", true},
		{"URL alphabet", "=?base64?" + base64.URLEncoding.EncodeToString([]byte("\u00ff\u00fe?")) + "?=", "whoami", true},
		{"no padding", "=?base64?d2hvYW1p", "whoami", true},
		{"capitals", "=?BASE64?" + base64.StdEncoding.EncodeToString([]byte("whoami")) + "?=", "whoami", true},
		{"nothing inside", "=?base64??=", "whoami", true},
		{"no UTF-8 inside", encode("\xff"), "whoami", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := modern("tools/call", tt.header, map[string]any{"name": tt.body, "arguments": map[string]any{}}, is.token(t))
			w := serve(h, r)
			if tt.mismatch {
				require.Equal(t, http.StatusBadRequest, w.Code, w.Body.String())
				require.Contains(t, w.Body.String(), "-32020")
				return
			}
			require.Equal(t, http.StatusOK, w.Code, w.Body.String())
			require.Contains(t, w.Body.String(), tt.body)
			require.Equal(t, tt.header, r.Header.Get("Mcp-Name"), "the caller's request stays as it was")
		})
	}

	// The SDK's handler compares behind other middleware, too.
	inside := auth.Wrap(behind(sdkHandler(server, true)))
	for range 2 { // the first request finds out what is there
		w := serve(inside, modern("tools/call", encode("whoami"), map[string]any{"name": "whoami", "arguments": map[string]any{}}, is.token(t)))
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		w = serve(inside, modern("tools/call", encode("purge"), map[string]any{"name": "whoami"}, is.token(t)))
		require.Equal(t, http.StatusBadRequest, w.Code, w.Body.String())
	}

	// A handler of another kind gets the field as it came: it may be written to a wire again.
	foreign := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		require.NotNil(t, sdkauth.TokenInfoFromContext(r.Context()))
		require.Equal(t, encode("whoami"), r.Header.Get("Mcp-Name"))
	}))
	serve(foreign, modern("tools/call", encode("whoami"), map[string]any{"name": "whoami"}, is.token(t)))
}
