package mcpauth_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// newReporting has a tool for everybody and one for each of three scopes. Each tells who calls it.
func newReporting(auth *mcpauth.Middleware) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "reporting", Version: "1"}, nil)
	report := func(ctx context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		p, _ := mcpauth.FromContext(ctx)
		text := fmt.Sprintf("%s is %s: %s", req.Params.Name, p.Subject(), seen(ctx, req))
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}}, nil, nil
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "tell"}, report, scopes.Authenticated())
	for _, s := range []string{"a", "b", "c"} {
		mcpauth.AddTool(auth, server, &mcp.Tool{Name: "tool_" + s}, report, scopes.All(s))
	}
	return server
}

// SEC-09, AUTHZ-16, threat 72: many callers of many rights, each with tokens that come and go, at a
// server with sessions and at one without, at once. Every answer is that for its own token.
func TestSEC09_ManyCallersAtTwoServers(t *testing.T) {
	const callers, each = 10, 25
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	stateful := auth.Wrap(sdkHandler(newReporting(auth), false))
	stateless := auth.Wrap(sdkHandler(newReporting(auth), true))

	var all sync.WaitGroup
	for i := range callers {
		type right struct{ token, jti, scope string }
		rights := make([]right, 4)
		for k := range rights {
			var held []string
			for b, s := range []string{"a", "b", "c"} {
				if (i+3*k)>>b&1 == 1 {
					held = append(held, s)
				}
			}
			r := right{jti: fmt.Sprintf("t%d-%d", i, k), scope: strings.Join(held, " ")}
			r.token = is.token(t, claims{"sub": fmt.Sprint("caller", i), "jti": r.jti, "scope": r.scope})
			rights[k] = r
		}
		session := openSession(t, stateful, rights[0].token)
		for worker := range 2 { // of one session, at the same time
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(i), uint64(worker)))
				for n := range each {
					r := rights[rnd.IntN(len(rights))]
					held := strings.Fields(r.scope)
					tool := []string{"tell", "tool_a", "tool_b", "tool_c"}[rnd.IntN(4)]
					method, body := "tools/call", call(tool)
					if rnd.IntN(4) == 0 {
						method, body = "tools/list", rpc("tools/list", nil)
					}
					body = strings.Replace(body, `"id":7`, fmt.Sprintf(`"id":%d`, 1000*worker+n), 1)
					handler, req := stateless, atRevision(legacy, post(body, r.token))
					if rnd.IntN(2) == 0 {
						handler, req = stateful, inSession(session, req)
					}
					w := serve(handler, req)
					_, scope, _ := strings.Cut(tool, "_")
					switch {
					case method == "tools/list":
						for _, s := range []string{"a", "b", "c"} {
							if slices.Contains(held, s) != strings.Contains(w.Body.String(), `"tool_`+s+`"`) {
								t.Errorf("a list for %q: %s", r.scope, w.Body)
							}
						}
					case scope == "" || slices.Contains(held, scope):
						rights := strings.Join(held, "+")
						want := fmt.Sprintf("%s is caller%d: jti=%s principal=%s extra=%s context=%s.", tool, i, r.jti, rights, rights, rights)
						if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
							t.Errorf("want %q, got %d %s", want, w.Code, w.Body)
						}
					case w.Code != http.StatusForbidden || !strings.Contains(w.Header().Get("Www-Authenticate"), "insufficient_scope"):
						t.Errorf("%s with %q: %d %s", tool, r.scope, w.Code, w.Body)
					}
				}
			})
		}
	}
	all.Wait()
	require.False(t, t.Failed())
}
