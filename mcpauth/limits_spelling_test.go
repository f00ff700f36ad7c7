package mcpauth_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// However the entry of a limit spells a URI, the other spellings of it count as well, and with it.
func TestLimits_EntriesInAnySpelling(t *testing.T) {
	is := newIssuer(t)
	once := mcpauth.Rate{Events: 1, Per: time.Hour}
	for key, uris := range map[string][]string{
		"resources/read notes://Team/x":         {"notes://Team/x", "notes://team/x", "notes://TEAM/%78", "notes://team/x?"},
		"resources/read notes://team/%78":       {"notes://team/x", "notes://team/%78"},
		"resources/read notes://Team/*":         {"notes://Team/x", "notes://team/y", "notes://TEAM/%7a", "notes://team//y"},
		"resources/read notes://team/a%62*":     {"notes://team/abc", "notes://team/a%62c", "notes://TEAM/%61bc"},
		"subscriptions/listen notes://Team/x":   nil,
		"tools/call Notes://Team/x":             nil,
		"completion/complete notes://Team/{id}": nil,
	} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Limits.Operations = map[string]mcpauth.Rate{key: once}
		})
		auth.RequireResource("notes://*", scopes.Authenticated())
		h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
		for i, uri := range uris {
			w := serve(h, post(rpc("resources/read", map[string]any{"uri": uri}), is.token(t)))
			want := http.StatusTooManyRequests
			if i == 0 {
				want = http.StatusOK
			}
			require.Equal(t, want, w.Code, "%s: %s", key, uri)
		}
		if uris != nil {
			w := serve(h, post(rpc("resources/read", map[string]any{"uri": "notes://other/x"}), is.token(t)))
			require.Equal(t, http.StatusOK, w.Code, key)
		}
	}

	// An entry of its own comes before another one's other spelling, whichever is read first.
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Limits.Operations = map[string]mcpauth.Rate{"resources/read notes://team/x": {Events: 2, Per: time.Hour}, "resources/read notes://Team/x": once, "resources/read notes://team/%78": once}
	})
	auth.RequireResource("notes://*", scopes.Authenticated())
	h := auth.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	for _, want := range []int{http.StatusOK, http.StatusOK, http.StatusTooManyRequests} {
		require.Equal(t, want, serve(h, post(rpc("resources/read", map[string]any{"uri": "notes://team/x"}), is.token(t))).Code)
	}
}
