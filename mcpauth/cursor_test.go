package mcpauth_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

// forgeCursor makes a cursor as anybody can.
func forgeCursor(t testing.TB, name string) string {
	t.Helper()
	var buf bytes.Buffer
	require.NoError(t, gob.NewEncoder(&buf).Encode(struct{ LastUID string }{name}))
	return base64.URLEncoding.EncodeToString(buf.Bytes())
}

// LIST-07, threat 57: a cursor can be made to start anywhere, in the middle of a name too. If then anything
// on a page depended on what is hidden, a few dozen requests would spell a hidden name. So the pages of
// two servers that differ in nothing but hidden items are the same, to the byte.
func TestLIST07_ForgedCursorsTellNothingOfWhatIsHidden(t *testing.T) {
	is := newIssuer(t)
	shown := []string{"aa", "ee", "mm", "mn", "yy", "zz"}
	hidden := map[string]bool{"a": true, "ab": true, "mma": false, "pq": true, "purge": false, "purge-2": true, "purgf": true, "zza": true, "zzz": false}
	for _, kind := range kindsOfList {
		for _, size := range []int{1, 2, 5, 6} {
			t.Run(fmt.Sprintf("%s by %d", kind.list, size), func(t *testing.T) {
				named := func(name string) string { return strings.Replace(kind.name(0), "0", name, 1) }
				serving := func(withHidden bool) http.Handler {
					auth, _ := newAuth(t, is, nil)
					server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{PageSize: size})
					auth.Protect(server)
					for _, name := range shown {
						kind.offer(server, named(name))
						kind.require(auth, named(name), scopes.Authenticated())
					}
					if withHidden {
						for name, declared := range hidden {
							kind.offer(server, named(name))
							if declared {
								kind.require(auth, named(name), scopes.Role("admin"))
							}
						}
					}
					return auth.Wrap(sdkHandler(server, true))
				}
				with, without, token := serving(true), serving(false), is.token(t)
				starts := []string{"", named(""), named("~")}
				for _, name := range append(slices.Sorted(maps.Keys(hidden)), shown...) {
					before, _, _ := strings.Cut(named(name), name)
					starts = append(starts, named(name), before+name, before+name[:len(name)-1], before+name[:len(name)-1]+"!", named(name)+"!")
				}
				full := 0
				for _, start := range starts {
					body := rpc(kind.list, map[string]any{"cursor": forgeCursor(t, start)})
					want := serve(without, post(body, token)).Body.String()
					require.Equal(t, want, serve(with, post(body, token)).Body.String(), "after %q", start)
					if strings.Contains(want, "nextCursor") {
						full++
					}
				}
				require.Equal(t, size < len(shown), full > 0, "else nothing was compared")
				names, _ := listNames(t, with, kind.list, kind.member, kind.key, token)
				require.Len(t, names, len(shown))
			})
		}
	}
}
