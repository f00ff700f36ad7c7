package mcpauth_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A wholePath is everything between a client and the tools, with traps for tools.
type wholePath struct {
	*traps
	handler http.Handler
	weak    *mcpauth.Principal
	token   string
}

func newWholePath(t testing.TB, change func(*mcpauth.Config)) (*wholePath, *testIssuer) {
	t.Helper()
	is := newIssuer(t)
	auth, _ := newAuth(t, is, change)
	w := &wholePath{traps: newTraps(t, auth), token: is.scoped(t, "files:read")}
	w.handler = auth.Wrap(sdkHandler(w.server, true))
	w.weak = principalOf(t, auth, w.token)
	return w, is
}

// send makes one request. A stream is left as soon as something has come.
func (wp *wholePath) send(t testing.TB, body string, fields map[string]string, token string) *httptest.ResponseRecorder {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := httptest.NewRequest("POST", testResource, strings.NewReader(body)).WithContext(ctx)
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	for name, value := range fields {
		if value != "" {
			r.Header[name] = []string{value}
		}
	}
	w := &leaver{ResponseRecorder: httptest.NewRecorder(), leave: cancel}
	wp.handler.ServeHTTP(w, r)
	require.False(t, errors.Is(ctx.Err(), context.DeadlineExceeded), "hangs: %q", body)
	return w.ResponseRecorder
}

// A leaver goes away when the first event of a stream has come.
type leaver struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func (l *leaver) Write(p []byte) (int, error) {
	n, err := l.ResponseRecorder.Write(p)
	if l.Header().Get("Content-Type") == "text/event-stream" {
		l.leave()
	}
	return n, err
}

// check holds an answer against the rules: nothing ran that Check refuses, and nothing in the answer
// comes from what the caller may not see.
func (wp *wholePath) check(t testing.TB, body string, w *httptest.ResponseRecorder) {
	require.Empty(t, wp.broken(), "%q", body)
	require.Less(t, w.Code, 500, "%q", body)
	for _, x := range wp.all {
		if bytes.Contains(w.Body.Bytes(), []byte(x.output)) {
			require.NoError(t, wp.auth.Check(t.Context(), &mcpauth.Call{Principal: wp.weak, Operation: x.op}), "%q", body)
		}
		if bytes.Contains(w.Body.Bytes(), []byte(x.title)) {
			require.True(t, wp.auth.Visible(wp.weak, x.op), "%q shows %s", body, x.op)
		}
	}
}

// randomBytes are the choices of one generated body.
func randomBytes(rnd *rand.Rand) []byte {
	out := make([]byte, 8+rnd.IntN(72))
	for i := range out {
		out[i] = byte(rnd.Uint32())
	}
	return out
}

// FuzzWholePath sends whatever to a whole server as a caller with few rights. Nothing ever runs that
// Check refuses, and no answer tells of anything that the caller may not see.
func FuzzWholePath(f *testing.F) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 400 {
		f.Add(false, randomBytes(rnd))
	}
	for _, body := range []string{
		call("roled"), `[` + call("open") + `,` + call("roled") + `]`, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"open","Name":"roled"}}`,
		`{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"roled"}}`, call("open") + call("roled"),
		rpc("tools/list", nil), rpc("resources/read", map[string]any{"uri": "doc://open/../roled"}), `{}`, `[]`, ``,
	} {
		f.Add(true, []byte(body))
	}
	wp, _ := newWholePath(f, nil)
	f.Fuzz(func(t *testing.T, raw bool, data []byte) {
		body, fields := string(data), map[string]string{"Content-Type": "application/json"}
		if !raw {
			body, fields = (&grammar{data: data}).request()
		}
		wp.check(t, body, wp.send(t, body, fields, wp.token))
	})
}

// What the generator makes reaches everything, and is refused where it should be: else the fuzz target
// would check nothing.
func TestWholePath_Differential(t *testing.T) {
	for name, change := range map[string]func(*mcpauth.Config){
		"by default":   nil,
		"concealed":    func(c *mcpauth.Config) { c.Conceal = true },
		"only allowed": func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed },
		"unlisted":     func(c *mcpauth.Config) { c.Unlisted = scopes.Any("files:write", "unheard") },
	} {
		t.Run(name, func(t *testing.T) {
			wp, is := newWholePath(t, change)
			strong := is.token(t, claims{"scope": "files:read files:write", "roles": []string{"admin"}})
			rnd := rand.New(rand.NewPCG(3, uint64(len(name))))
			statuses, plain := make(map[int]int), 0
			for range 2000 {
				g := &grammar{data: randomBytes(rnd)}
				body, fields := g.request()
				before := wp.total()
				w := wp.send(t, body, fields, wp.token)
				wp.check(t, body, w)
				statuses[w.Code]++
				if op := (mcpauth.Operation{Method: g.method, Name: g.name}); !g.odd && g.method != "subscriptions/listen" {
					plain++
					if err := wp.auth.Check(t.Context(), &mcpauth.Call{Principal: wp.weak, Operation: op}); err != nil {
						require.Equal(t, before, wp.total(), body)
						require.NotContains(t, w.Body.String(), `"result"`, body)
					}
				}
				wp.send(t, body, fields, strong)
				require.Empty(t, wp.broken())
			}
			require.Greater(t, plain, 500)
			for _, code := range []int{200, 202, 400, 403} {
				if code != 403 || change == nil {
					require.Greater(t, statuses[code], 50, "%d: %v", code, statuses)
				}
			}
			// What the strong caller has run: of each kind, all but what has no rule.
			for _, n := range []string{"open", "scoped", "roled", "admin_all"} {
				for _, op := range []string{"tools/call " + n, "prompts/get " + n, "resources/read doc://" + n, "vendor/" + n} {
					require.NotZero(t, wp.ran(op), op)
				}
			}
			for _, method := range []string{"completion/complete ", "resources/subscribe doc://", "resources/unsubscribe doc://"} {
				require.NotZero(t, wp.ran(method+"open")+wp.ran(method+"scoped")+wp.ran(method+"roled"), method)
			}
			for op := range wp.runs {
				require.True(t, name == "unlisted" || !strings.Contains(op, "forgotten"), op)
			}
			require.Equal(t, name == "unlisted", wp.ran("tools/call forgotten") > 0)
		})
	}
}

func (tr *traps) total() (n int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	for _, k := range tr.runs {
		n += k
	}
	return n
}
