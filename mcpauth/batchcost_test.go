package mcpauth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

// AUTHZ-10: every URI of a body is held against every pattern, in several readings, by both readers. What bounds that
// for subscriptions bounds it for the reads of a batch, or 800 KB would cost many seconds.
func TestAUTHZ10_ABatchOfLongURIs(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireResource("file:///{a}/{+b}", scopes.Authenticated())
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	auth.Protect(server)
	h := auth.Wrap(sdkHandler(server, true))
	reads := func(n int) string {
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"resources/read","params":{"uri":"file:///x/%s"}}`, i, strings.Repeat("%41/", 2000))
		}
		return "[" + strings.Join(all, ",") + "]"
	}
	require.Equal(t, http.StatusOK, serve(h, post(reads(2), is.token(t))).Code)
	require.Equal(t, http.StatusBadRequest, serve(h, post(reads(100), is.token(t))).Code)
}
