package mcpauth_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A foreignServer stands for a handler of another SDK: it has sessions and does not know whose they are.
type foreignServer struct {
	mu    sync.Mutex
	next  int
	open  map[string]bool
	seen  []string // "METHOD session" of every request
	keeps bool     // refuses to end sessions
	echo  bool     // names the session in every answer

	opening func(http.ResponseWriter) // after the header of the answer to initialize
}

func (s *foreignServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Mcp-Session-Id")
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+id)
	known, opening := s.open[id], s.opening
	if id == "" && r.Method == http.MethodPost {
		s.next++
		id = fmt.Sprint("session-", s.next)
		if s.open == nil {
			s.open = map[string]bool{}
		}
		s.open[id] = true
		s.mu.Unlock()
		w.Header().Set("Mcp-Session-Id", id)
		if opening != nil {
			opening(w)
		}
		return
	}
	defer s.mu.Unlock()
	switch {
	case !known:
		w.WriteHeader(http.StatusNotFound)
	case r.Method == http.MethodDelete && s.keeps:
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.Method == http.MethodDelete:
		delete(s.open, id)
	case s.echo:
		w.Header().Set("Mcp-Session-Id", id)
	}
}

func (s *foreignServer) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.seen
	s.seen = nil
	return out
}

func newForeign(t testing.TB, is *testIssuer, s *foreignServer, change func(*mcpauth.Config)) (http.Handler, *testClock) {
	auth, clock := newAuth(t, is, change)
	auth.RequireTool("*", scopes.Authenticated())
	return auth.Wrap(s), clock
}

func begin(t testing.TB, h http.Handler, token string) string {
	t.Helper()
	w := serve(h, post(rpc("initialize", map[string]any{}), token))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Header().Get("Mcp-Session-Id")
}

func sessionRequest(method, body, token, id string) *http.Request {
	r := inSession(id, post(body, token))
	if r.Method = method; method != http.MethodPost {
		r.Body, r.ContentLength = http.NoBody, 0
	}
	return r
}

// HTTP-13, SEC-07, X-16, threats 70 and 71: behind a handler that binds no session, Wrap does.
func TestHTTP13_SessionsOfHandlersThatBindNone(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	for _, perUser := range []bool{false, true} {
		for _, c := range []struct {
			name          string
			owner, caller string
			allowed       bool // whatever SessionPerUser says
			shared        bool // with it
			got           string
		}{
			{"another token of the same caller", is.token(t), is.token(t, claims{"jti": "2"}), true, true, ""},
			{"another user", is.token(t), is.token(t, claims{"sub": "eve"}), false, false, "another user"},
			{"another client of the same user", is.token(t), is.token(t, claims{"client_id": "evil"}), false, true, "the same user through another client"},
			{"a user of the same name at another issuer", is.token(t), other.token(t), false, false, "another user"},
			{"two clients without a user", is.token(t, claims{"sub": nil, "client_id": "one"}), is.token(t, claims{"sub": nil, "client_id": "two"}), false, false, "another user"},
			{"a user named as the client", is.token(t, claims{"sub": nil, "client_id": "app"}), is.token(t, claims{"sub": "app", "client_id": "app"}), false, false, "another user"},
		} {
			t.Run(fmt.Sprintf("%s, per user %t", c.name, perUser), func(t *testing.T) {
				log, decisions, server := &logBuffer{}, &audit{}, &foreignServer{}
				h, _ := newForeign(t, is, server, func(cfg *mcpauth.Config) {
					cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: other.URL})
					cfg.SessionPerUser, cfg.Logger, cfg.OnDecision = perUser, log.logger(), decisions.add
				})
				id := begin(t, h, c.owner)
				server.take()
				decisions.take()
				allowed := c.allowed || perUser && c.shared
				for name, r := range map[string]*http.Request{
					"call":         sessionRequest("POST", call("x"), c.caller, id),
					"list":         sessionRequest("POST", rpc("tools/list", nil), c.caller, id),
					"unknown":      sessionRequest("POST", rpc("nothing/known", nil), c.caller, id),
					"notification": sessionRequest("POST", `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, c.caller, id),
					"answer":       sessionRequest("POST", `{"jsonrpc":"2.0","id":1,"result":{}}`, c.caller, id),
					"stream":       sessionRequest("GET", "", c.caller, id),
					"end":          sessionRequest("DELETE", "", c.caller, id),
				} {
					if allowed && (name == "unknown" || name == "end") {
						continue
					}
					w := serve(h, r)
					if allowed {
						require.Equal(t, http.StatusOK, w.Code, name)
						continue
					}
					require.Equal(t, http.StatusForbidden, w.Code, name)
					require.Empty(t, w.Header()["Www-Authenticate"], "no token would help")
					switch name {
					case "call", "list", "unknown":
						require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"Forbidden"}}`, w.Body.String())
					case "answer":
					default:
						require.Empty(t, w.Body.String(), name)
					}
					d := decisions.take()
					require.Len(t, d, 1)
					require.Equal(t, mcpauth.ReasonSessionOfAnother, d[0].Reason)
					require.Equal(t, c.got, d[0].Got)
				}
				if allowed {
					return
				}
				require.Empty(t, server.take(), "the handler has not heard of it")
				require.Contains(t, log.String(), "reason=session_of_another")
				require.Equal(t, c.shared, strings.Contains(log.String(), "Config.SessionPerUser"), "the cure is named where it is one")
				require.NotContains(t, log.String(), id)
				require.Equal(t, http.StatusOK, serve(h, sessionRequest("POST", call("x"), c.owner, id)).Code, "the owner keeps the session")
			})
		}
	}
}

// HTTP-13: revision 2026-07-28 has no sessions, and a handler that looks for one finds none.
func TestHTTP13_SessionIDsMeanNothingAtTheStatelessRevision(t *testing.T) {
	is := newIssuer(t)
	server := &foreignServer{}
	h, _ := newForeign(t, is, server, nil)
	ada, eve := is.token(t), is.token(t, claims{"sub": "eve"})
	id := begin(t, h, ada)
	server.take()
	for _, revision := range []string{"2026-07-28", "2027-01-01", "zzz"} {
		for _, token := range []string{ada, eve} {
			w := serve(h, atRevision(revision, sessionRequest("POST", call("x"), token, id)))
			require.Equal(t, http.StatusOK, w.Code)
			require.NotEqual(t, id, w.Header().Get("Mcp-Session-Id"))
			require.Equal(t, []string{"POST "}, server.take())
			serve(h, atRevision(revision, sessionRequest("GET", "", token, id)))
			require.Equal(t, []string{"GET "}, server.take())
		}
	}
	for _, revision := range []string{"2025-11-25", "", "2026-07-27", "1"} {
		require.Equal(t, http.StatusForbidden, serve(h, atRevision(revision, sessionRequest("POST", call("x"), eve, id))).Code, revision)
	}
	require.Empty(t, server.take())

	// The SDK's handler gets none either: it must not end the session of another at a revision that has none.
	auth, _ := newAuth(t, is, nil)
	h = auth.Wrap(sdkHandler(newServer(auth), false))
	id = openSession(t, h, ada)
	require.NotEqual(t, http.StatusNoContent, serve(h, atRevision("2026-07-28", sessionRequest("DELETE", "", eve, id))).Code)
	require.Equal(t, http.StatusOK, serve(h, inSession(id, post(call("whoami"), ada))).Code)
}

func TestHTTP13_DeletedSessionsStayBound(t *testing.T) {
	is := newIssuer(t)
	server := &foreignServer{keeps: true}
	h, _ := newForeign(t, is, server, nil)
	ada, eve := is.token(t), is.token(t, claims{"sub": "eve"})
	id := begin(t, h, ada)
	require.Equal(t, http.StatusMethodNotAllowed, serve(h, sessionRequest("DELETE", "", ada, id)).Code)
	require.Equal(t, http.StatusForbidden, serve(h, sessionRequest("POST", call("x"), eve, id)).Code, "the server has kept it")
	require.Equal(t, http.StatusOK, serve(h, sessionRequest("POST", call("x"), ada, id)).Code)

	server.keeps = false
	require.Equal(t, http.StatusOK, serve(h, sessionRequest("DELETE", "", ada, id)).Code)
	require.Equal(t, http.StatusNotFound, serve(h, sessionRequest("POST", call("x"), ada, id)).Code, "the owner hears from the server that it has ended")
	require.Equal(t, http.StatusForbidden, serve(h, sessionRequest("POST", call("x"), eve, id)).Code)
}

// A session that is not known, for age or since another replica saw it begin, goes to the handler and
// belongs to the first for whom the answer names it.
func TestHTTP13_UnknownSessionsAreTheHandlersBusiness(t *testing.T) {
	is := newIssuer(t)
	server := &foreignServer{open: map[string]bool{"elsewhere": true, "silent": true}}
	h, clock := newForeign(t, is, server, nil)
	ada, eve := is.token(t), is.token(t, claims{"sub": "eve"})
	for _, token := range []string{ada, eve} {
		require.Equal(t, http.StatusNotFound, serve(h, sessionRequest("POST", call("x"), token, "nowhere")).Code)
		require.Equal(t, http.StatusOK, serve(h, sessionRequest("POST", call("x"), token, "silent")).Code)
	}
	server.echo = true
	require.Equal(t, http.StatusOK, serve(h, sessionRequest("POST", call("x"), ada, "elsewhere")).Code)
	require.Equal(t, http.StatusForbidden, serve(h, sessionRequest("POST", call("x"), eve, "elsewhere")).Code)

	clock.advance(24*time.Hour + 1)
	later := claims{"sub": "eve", "iat": clock.Now().Unix(), "exp": clock.Now().Add(time.Minute).Unix()}
	require.Equal(t, http.StatusOK, serve(h, sessionRequest("POST", call("x"), is.token(t, later), "elsewhere")).Code)
}

// SEC-07: what Wrap no longer knows, go-sdk still does.
func TestSEC07_TheSDKsOwnBindingIsBehind(t *testing.T) {
	is := newIssuer(t)
	auth, clock := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), false))
	id := openSession(t, h, is.token(t))
	w := serve(h, sessionRequest("POST", call("whoami"), is.token(t, claims{"sub": "eve"}), id))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"Forbidden"}}`, w.Body.String(), "with the id, for the Go client")

	clock.advance(24*time.Hour + 1)
	later := func(sub string) string {
		return is.token(t, claims{"sub": sub, "iat": clock.Now().Unix(), "exp": clock.Now().Add(time.Minute).Unix()})
	}
	w = serve(h, sessionRequest("POST", call("whoami"), later("eve"), id))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Body.String(), "session user mismatch")
	require.Contains(t, serve(h, sessionRequest("POST", call("whoami"), later("ada"), id)).Body.String(), "whoami ada")
}

// A client may use its session before the handler that opened it has returned.
func TestHTTP13_SessionsWhoseOpeningGoesOn(t *testing.T) {
	is := newIssuer(t)
	flushed, release := make(chan struct{}), make(chan struct{})
	server := &foreignServer{opening: func(w http.ResponseWriter) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		close(flushed)
		<-release
		panic(http.ErrAbortHandler) // as a reverse proxy does when the upstream goes away
	}}
	h, _ := newForeign(t, is, server, nil)
	s := httptest.NewServer(h)
	defer s.Close()
	ada, eve := is.token(t), is.token(t, claims{"sub": "eve"})
	send := func(r *http.Request) (*http.Response, error) {
		r.RequestURI, r.URL.Scheme, r.URL.Host = "", "http", s.Listener.Addr().String()
		return s.Client().Do(r)
	}
	status := func(r *http.Request) int {
		res, err := send(r)
		require.NoError(t, err)
		defer res.Body.Close()
		return res.StatusCode
	}
	res, err := send(post(rpc("initialize", map[string]any{}), ada))
	require.NoError(t, err)
	defer res.Body.Close()
	within(t, flushed)
	id := res.Header.Get("Mcp-Session-Id")
	require.NotEmpty(t, id)
	require.Equal(t, http.StatusOK, status(sessionRequest("POST", call("x"), ada, id)))
	close(release)
	_, err = io.Copy(io.Discard, res.Body)
	require.Error(t, err, "the answer broke off")
	require.Equal(t, http.StatusForbidden, status(sessionRequest("POST", call("x"), eve, id)))
	require.Equal(t, http.StatusOK, status(sessionRequest("POST", call("x"), ada, id)))
}

// Threat 72: many callers at once, each with sessions of its own and an eye on those of the others.
func TestHTTP13_ConcurrentSessions(t *testing.T) {
	is := newIssuer(t)
	server := &foreignServer{}
	h, _ := newForeign(t, is, server, nil)
	const callers = 8
	tokens, ids := make([]string, callers), make([]string, callers)
	for i := range tokens {
		tokens[i] = is.token(t, claims{"sub": fmt.Sprint("user-", i)})
	}
	each := func(f func(i int)) {
		var all sync.WaitGroup
		for i := range callers {
			all.Go(func() { f(i) })
		}
		all.Wait()
	}
	each(func(i int) {
		ids[i] = serve(h, post(rpc("initialize", map[string]any{}), tokens[i])).Header().Get("Mcp-Session-Id")
	})
	statuses := make([][callers]int, callers)
	each(func(i int) {
		for j := range callers {
			statuses[i][j] = serve(h, sessionRequest("POST", call("x"), tokens[i], ids[j])).Code
		}
	})
	for i := range callers {
		for j := range callers {
			want := http.StatusForbidden
			if i == j {
				want = http.StatusOK
			}
			require.Equal(t, want, statuses[i][j])
		}
	}
	seen, err := json.Marshal(server.take())
	require.NoError(t, err)
	require.Len(t, server.open, callers, "%s", seen)
}

// HTTP-13: at a revision without sessions nobody is asked whose a session is, so a DELETE of another's
// says nothing about it: it does not become the first to be forgotten.
func TestHTTP13_OthersDoNotEndWhatIsKnownOfASession(t *testing.T) {
	is := newIssuer(t)
	server := &foreignServer{}
	h, _ := newForeign(t, is, server, nil)
	ada, eve := is.token(t), is.token(t, claims{"sub": "eve"})
	const most = 1024 // of one owner
	ids := make([]string, most)
	for i := range ids {
		ids[i] = begin(t, h, ada)
	}
	newest := ids[most-1]
	refused := func(id string) bool {
		return serve(h, sessionRequest("POST", call("x"), eve, id)).Code == http.StatusForbidden
	}
	serve(h, atRevision("2026-07-28", sessionRequest("DELETE", "", eve, newest)))
	begin(t, h, ada)
	require.True(t, refused(newest))
	require.False(t, refused(ids[0]), "the one that was used least recently is forgotten")

	// The owner's own DELETE does make it the first.
	serve(h, sessionRequest("DELETE", "", ada, newest))
	begin(t, h, ada)
	require.False(t, refused(newest))
	require.True(t, refused(ids[1]))
}

// HTTP-13: a caller who opens sessions without end does not make Wrap forget whose those of others are.
func TestHTTP13_AFloodOfSessionsIsItsOwnersAlone(t *testing.T) {
	is := newIssuer(t)
	server := &foreignServer{}
	h, _ := newForeign(t, is, server, nil)
	eve := is.token(t, claims{"sub": "eve", "client_id": "evil"})
	id, first := begin(t, h, is.token(t)), begin(t, h, eve)
	for range 1024 {
		begin(t, h, eve)
	}
	require.Equal(t, http.StatusForbidden, serve(h, sessionRequest("POST", call("x"), eve, id)).Code)
	require.Equal(t, http.StatusOK, serve(h, sessionRequest("POST", call("x"), is.token(t, claims{"sub": "bob"}), first)).Code, "eve's first is forgotten")
}
