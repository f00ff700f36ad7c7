package mcpauth_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Methods that 2026-07-28 no longer has are unknown, whatever their params name or do not name.
func TestHTTP15_RemovedMethodsAreUnknown(t *testing.T) {
	is := newIssuer(t)
	for _, unlisted := range []scopes.Rule{{}, scopes.Authenticated()} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Unlisted = unlisted })
		h := auth.Wrap(sdkHandler(newServer(auth), true))
		for _, method := range []string{"resources/subscribe", "resources/unsubscribe"} {
			for _, params := range []map[string]any{nil, {"uri": ""}, {"uri": "forgotten://x"}} {
				w := serve(h, modern(method, "", params, is.token(t)))
				require.Equal(t, http.StatusNotFound, w.Code, "%s %v: %s", method, params, w.Body)
				var body struct{ Error struct{ Code int } }
				require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), w.Body.String())
				require.Equal(t, -32601, body.Error.Code)

				if params["uri"] != "forgotten://x" {
					w = serve(h, atRevision("2025-11-25", post(rpc(method, params), is.token(t))))
					require.Equal(t, http.StatusBadRequest, w.Code, "an older revision has the method, and wants a name")
					require.Contains(t, w.Body.String(), "-32602")
				}
			}
		}
	}
	// Other methods still have to name something.
	auth, _ := newAuth(t, is, nil)
	w := serve(auth.Wrap(sdkHandler(newServer(auth), true)), modern("resources/read", "", nil, is.token(t)))
	require.Equal(t, http.StatusBadRequest, w.Code)
	require.Contains(t, w.Body.String(), "-32602")
}
