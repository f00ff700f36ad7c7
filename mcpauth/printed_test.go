package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

// SEC-02: somebody logs the context of a request, or what the SDK tells tools of it. Package fmt follows unexported
// fields, and for %s even pointers.
func TestSEC02_PrintedContexts(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	token := is.token(t, claims{"scope": "mcp:read", "email": "ada@example.com"})
	var printed string
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		derived, cancel := context.WithCancel(r.Context())
		defer cancel()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
			printed += fmt.Sprintf(verb+" "+verb+" "+verb+"\n", r.Context(), derived, sdkauth.TokenInfoFromContext(derived))
		}
		printed += fmt.Sprint(r.Context(), r)
	}))
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"password":"s3cret-argument"}}}`
	require.Equal(t, 200, serve(h, with(post(body, token), "Mcp-Session-Id", "a-session-worth-stealing")).Code)
	require.Contains(t, printed, "mcpauth.request")
	header := "Mcp-Session-Id:[a-session-worth-stealing]" // of the request itself, which is the handler's own
	for _, secret := range []string{token, "s3cret-argument", "ada@example.com", fmt.Sprint([]byte("s3cret"))[1:20], fmt.Sprintf("%x", "s3cret")} {
		require.NotContains(t, printed, secret)
	}
	require.NotContains(t, strings.ReplaceAll(printed, header, ""), "a-session-worth-stealing")
}
