package mcpauth_test

import (
	"cmp"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// A suite is several resources of one process, in front of one issuer.
type suite struct {
	*http.ServeMux
	is    *testIssuer
	auths map[string]*mcpauth.Middleware // by resource
	last  map[string]mcpauth.Reason      // the reason of each one's last decision
}

const (
	mail = "https://mcp.example.com/mail/mcp"
	code = "https://mcp.example.com/code/mcp"
)

// newSuite mounts a server for each resource: it has a tool named as the host and path say, and one that all have.
func newSuite(t testing.TB, stateless bool, change func(*mcpauth.Config), resources ...string) *suite {
	s := &suite{ServeMux: http.NewServeMux(), is: newIssuer(t), auths: map[string]*mcpauth.Middleware{}, last: map[string]mcpauth.Reason{}}
	for _, resource := range resources {
		auth := newResource(t, s.is, resource, func(cfg *mcpauth.Config) {
			cfg.BaseScopes = []string{nameOf(resource) + ":read"}
			cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { s.last[resource] = d.Reason }
			if change != nil {
				change(cfg)
			}
		})
		s.auths[resource] = auth
		server := mcp.NewServer(&mcp.Implementation{Name: nameOf(resource), Version: "1"}, nil)
		for _, tool := range []string{"which", "only_" + nameOf(resource)} {
			mcpauth.AddTool(auth, server, &mcp.Tool{Name: tool}, func(ctx context.Context, _ *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
				return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "served by " + nameOf(resource)}}}, nil, nil
			}, scopes.Authenticated())
		}
		handler := sdkHandler(server, stateless)
		if strings.HasPrefix(resource, "https://mcp.example.com/") {
			auth.Mount(s.ServeMux, handler)
		} else {
			auth.MountHost(s.ServeMux, handler)
		}
	}
	return s
}

// nameOf is mail or code.
func nameOf(resource string) string {
	if strings.Contains(resource, "mail") {
		return "mail"
	}
	return "code"
}

func (s *suite) token(t testing.TB, resource string, changes ...claims) string {
	return s.is.token(t, append([]claims{{"aud": resource, "scope": "mail:read code:read"}}, changes...)...)
}

// to addresses a request to a resource.
func to(resource string, r *http.Request) *http.Request {
	u, err := url.Parse(resource)
	if err != nil {
		panic(err)
	}
	r.URL, r.Host = u, u.Host
	return r
}

// PRM-24, AUD: each has its endpoint, document, challenge, tools and audience, on one host or on two.
func TestSeveralResources_NothingOfOneIsGoodForTheOther(t *testing.T) {
	for name, pair := range map[string][]string{
		"two paths of a host":       {mail, code},
		"two hosts":                 {"https://mail.example.com/mcp", "https://code.example.com/mcp"},
		"two ports":                 {"https://h.example.com:8443/mail", "https://h.example.com:9443/code"},
		"one path and a longer one": {"https://mcp.example.com/mail", "https://mcp.example.com/code/below"},
		"a path, and a bare host":   {"https://mcp.example.com/mail", "https://code.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSuite(t, true, nil, pair...)
			for i, resource := range pair {
				other := pair[1-i]
				u, err := url.Parse(resource)
				require.NoError(t, err)
				address := "https://" + u.Host + "/.well-known/oauth-protected-resource" + u.Path
				at := "https://" + u.Host + cmp.Or(u.Path, "/") // as on the wire
				doc := document(t, s, address)
				require.Equal(t, resource, doc["resource"])
				require.Equal(t, []any{nameOf(resource) + ":read"}, doc["scopes_supported"])

				w := serve(s, to(at, post(call("which"), "")))
				require.Equal(t, http.StatusUnauthorized, w.Code)
				require.Contains(t, w.Header().Get("Www-Authenticate"), `resource_metadata="`+address+`", scope="`+nameOf(resource)+`:read"`)

				good := s.token(t, resource)
				require.Contains(t, serve(s, to(at, post(call("which"), good))).Body.String(), "served by "+nameOf(resource))
				list := serve(s, to(at, post(rpc("tools/list", nil), good))).Body.String()
				require.Contains(t, list, "only_"+nameOf(resource))
				require.NotContains(t, list, "only_"+nameOf(other))
				require.Contains(t, serve(s, to(at, post(call("only_"+nameOf(other)), good))).Body.String(), "-32602")

				for range 2 { // verified elsewhere, and remembered there, it is no better here
					w = serve(s, to(at, post(call("which"), s.token(t, other))))
					require.Equal(t, http.StatusUnauthorized, w.Code)
					require.Equal(t, mcpauth.ReasonAudience, s.last[resource])
					require.Contains(t, w.Header().Get("Www-Authenticate"), `error="invalid_token"`)
					require.Contains(t, w.Header().Get("Www-Authenticate"), address)
					require.NotContains(t, w.Body.String(), "served")
				}
				// A token that names both is good at both: whoever gets it at one can use it at the other.
				both := s.is.token(t, claims{"aud": pair, "scope": "mail:read code:read"})
				require.Equal(t, http.StatusOK, serve(s, to(at, post(call("which"), both))).Code)
			}
		})
	}
}

// Rules are each Middleware's own, and so is what it logs.
func TestSeveralResources_RulesAreNotShared(t *testing.T) {
	s := newSuite(t, true, nil, mail, code)
	s.auths[mail].RequireTool("only_code", scopes.Authenticated())
	require.False(t, s.auths[code].Visible(principalOf(t, s.auths[code], s.token(t, code)), mcpauth.Operation{Method: "tools/call", Name: "only_mail"}))
	require.Error(t, s.auths[code].Check(t.Context(), &mcpauth.Call{
		Principal: principalOf(t, s.auths[mail], s.token(t, mail)), Operation: mcpauth.Operation{Method: "tools/call", Name: "only_mail"},
	}))
}

// On a host of its own, the other's Host finds nothing.
func TestSeveralResources_MountHost(t *testing.T) {
	const upper, six = "https://MAIL.example.com/mcp", "http://[::1]:8080/code"
	s := newSuite(t, true, nil, "https://code.example.com:8443/mcp", six)
	for host, status := range map[string]int{
		"code.example.com": 401, "code.example.com:8443": 401, "other.example.com": 404, "example.com": 404, "code.example.com.evil.example": 404, "": 404,
	} {
		r := post(call("which"), "")
		r.Host = host
		r.URL = &url.URL{Path: "/mcp"}
		require.Equal(t, status, serve(s, r).Code, host)
		r = httptest.NewRequest("GET", "/.well-known/oauth-protected-resource/mcp", nil)
		r.Host = host
		require.Equal(t, map[int]int{401: 200, 404: 404}[status], serve(s, r).Code, host)
	}
	for _, host := range []string{"[::1]:8080", "[::1]"} {
		r := to(six, post(call("which"), ""))
		r.Host = host
		require.NotEqual(t, 404, serve(s, r).Code, host)
	}
	mux := http.NewServeMux()
	newResource(t, s.is, upper, nil).MountHost(mux, http.NotFoundHandler())
	require.Equal(t, 401, serve(mux, to(upper, post(call("which"), ""))).Code)
	require.Equal(t, 401, serve(mux, to(strings.ToLower(upper), post(call("which"), ""))).Code)
}

// What two resources cannot share is said at start-up, with the way out.
func TestSeveralResources_ConflictsOfOneMux(t *testing.T) {
	is := newIssuer(t)
	root := func(cfg *mcpauth.Config) { cfg.RootMetadata = true }
	for _, tc := range []struct {
		name          string
		first, second string
		change        func(*mcpauth.Config)
		want          string // empty: no conflict
	}{
		{"two paths", mail, code, nil, ""},
		{"a path and one below it", "https://h.example/a", "https://h.example/a/b", nil, ""},
		{"a bare host and a path", "https://h.example", mail, nil, ""},
		{"root metadata for both", mail, code, root, "Config.RootMetadata is for a host with one resource"},
		{"root metadata beside a bare host", "https://h.example", mail, root, "Config.RootMetadata is for a host with one resource"},
		{"a bare host beside root metadata", mail, "https://h.example", root, "unset Config.RootMetadata of the other resources"},
		{"the same resource twice", mail, mail, nil, "give each resource of a mux a path of its own"},
		{"the same path of two hosts", "https://a.example/mcp", "https://b.example/mcp", nil, "use MountHost for resources of several hosts"},
		{"a slash at the end", mail, mail + "/", nil, "differ in nothing but a slash"},
		{"a query", mail + "?t=1", mail + "?t=2", nil, "give each resource of a mux a path of its own"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mux := http.NewServeMux()
			newResource(t, is, tc.first, tc.change).Mount(mux, http.NotFoundHandler())
			second := func() { newResource(t, is, tc.second, tc.change).Mount(mux, http.NotFoundHandler()) }
			if tc.want == "" {
				require.NotPanics(t, second)
				return
			}
			defer func() {
				text, _ := recover().(string)
				require.Contains(t, text, "mcpauth: Mount: ")
				require.Contains(t, text, tc.want)
				require.Contains(t, text, tc.second)
			}()
			second()
		})
	}
	mux := http.NewServeMux() // two hosts may each have a root copy
	for _, resource := range []string{"https://mail.example.com/mcp", "https://code.example.com/mcp"} {
		newResource(t, is, resource, root).MountHost(mux, http.NotFoundHandler())
	}
	for _, resource := range []string{"https://mail.example.com/mcp", "https://code.example.com/mcp"} {
		require.Equal(t, resource, document(t, mux, strings.TrimSuffix(resource, "/mcp")+"/.well-known/oauth-protected-resource")["resource"])
	}
}

// SESS: a session of one resource is nothing at the other, to its owner either.
func TestSeveralResources_Sessions(t *testing.T) {
	s := newSuite(t, false, nil, mail, code)
	at := func(resource string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, to(resource, r)) })
	}
	id := openSession(t, at(mail), s.token(t, mail))
	require.Contains(t, serve(at(mail), inSession(id, post(call("which"), s.token(t, mail)))).Body.String(), "served by mail")
	w := serve(at(code), inSession(id, post(call("which"), s.token(t, code))))
	require.Equal(t, http.StatusNotFound, w.Code, "the client opens a new one")
	for _, method := range []string{"GET", "DELETE"} {
		r := inSession(id, with(httptest.NewRequest(method, code, nil), "Authorization", "Bearer "+s.token(t, code)))
		r.Header.Set("Accept", "text/event-stream")
		require.Equal(t, http.StatusNotFound, serve(at(code), r).Code, method)
	}
	require.Equal(t, http.StatusUnauthorized, serve(at(mail), inSession(id, post(call("which"), s.token(t, code)))).Code)
	require.Contains(t, serve(at(mail), inSession(id, post(call("which"), s.token(t, mail)))).Body.String(), "served by mail", "it goes on")
}

// A server belongs to one Middleware. Behind the door of another it is refused, whichever way it gets there.
func TestSeveralResources_ServersAreNotMixedUp(t *testing.T) {
	is := newIssuer(t)
	mails, codes := newResource(t, is, mail, nil), newResource(t, is, code, nil)
	server := newServer(mails)
	codes.RequireTool("whoami", scopes.Authenticated()) // the same name and rule, so that the rule refuses nothing
	require.PanicsWithValue(t, "mcpauth: Protect: the server was given to another Middleware before; make one and share it", func() { codes.Protect(server) })
	require.ErrorContains(t, codes.Verify(t.Context(), server), "not protected")
	token := is.token(t, claims{"aud": []string{mail, code}})
	for _, stateless := range []bool{true, false} {
		for name, h := range map[string]http.Handler{
			"its handler":              codes.Wrap(sdkHandler(server, stateless)),
			"its protected handler":    codes.Wrap(mails.Wrap(sdkHandler(server, stateless))),
			"chosen by getServer":      codes.Wrap(mcp.NewStreamableHTTPHandler(codes.OnlyProtected(func(*http.Request) *mcp.Server { return server }), nil)),
			"behind other middleware":  codes.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { sdkHandler(server, stateless).ServeHTTP(w, r) })),
			"behind both, and another": codes.Wrap(http.StripPrefix("", mails.Wrap(sdkHandler(server, stateless)))),
		} {
			for range 2 {
				w := serve(h, to(code, post(call("whoami"), token)))
				require.GreaterOrEqual(t, w.Code, 400, "%s: %s", name, w.Body)
				require.NotContains(t, w.Body.String(), "whoami ada", name)
			}
		}
	}
	require.Contains(t, serve(mails.Wrap(sdkHandler(server, true)), to(mail, post(call("whoami"), token))).Body.String(), "whoami ada")
}

// DPOP: a proof names the URL of one resource, so it is refused at the other, with one memory of proofs for both as well.
func TestSeveralResources_OneReplayStore(t *testing.T) {
	store := new(memoryOfProofs)
	s := newSuite(t, true, func(cfg *mcpauth.Config) { cfg.DPoP.Replay = store }, mail, code)
	k := newHolder(t, "ES256")
	send := func(resource string, edits ...edit) *httptest.ResponseRecorder {
		token := k.bound(t, s.is, claims{"aud": resource, "scope": "mail:read code:read"})
		return serve(s, to(resource, k.signed(post(call("which"), ""), token, edits...)))
	}
	htu := func(resource string) edit { return claim("htu", resource) }
	refused := func(resource string, reason mcpauth.Reason, edits ...edit) {
		w := send(resource, edits...)
		require.Equal(t, http.StatusUnauthorized, w.Code)
		require.Contains(t, strings.Join(w.Header()["Www-Authenticate"], ","), `error="invalid_dpop_proof"`)
		require.Equal(t, reason, s.last[resource])
	}
	refused(code, mcpauth.ReasonProofURL, htu(mail), claim("jti", "first"))
	require.Equal(t, http.StatusOK, send(mail, htu(mail), claim("jti", "first")).Code, "what was refused was not recorded")
	refused(mail, mcpauth.ReasonProofReplayed, htu(mail), claim("jti", "first"))
	refused(code, mcpauth.ReasonProofURL, htu(mail), claim("jti", "first"))
	require.Equal(t, http.StatusOK, send(code, htu(code), claim("jti", "second")).Code)
	require.Len(t, store.seen, 2)
}

// memoryOfProofs is a ReplayStore for one goroutine.
type memoryOfProofs struct{ seen map[mcpauth.ProofID]bool }

func (m *memoryOfProofs) Add(_ context.Context, id mcpauth.ProofID, _ time.Time) (bool, error) {
	if m.seen == nil {
		m.seen = make(map[mcpauth.ProofID]bool)
	}
	was := m.seen[id]
	m.seen[id] = true
	return !was, nil
}

// As the guide says: each Middleware fetches the keys for itself, once; an outage or a rotation is noticed by each for itself.
func TestSeveralResources_KeysAreFetchedByEach(t *testing.T) {
	s := newSuite(t, true, nil, mail, code)
	for range 3 {
		for _, resource := range []string{mail, code} {
			require.Equal(t, http.StatusOK, serve(s, to(resource, post(call("which"), s.token(t, resource)))).Code)
		}
	}
	require.EqualValues(t, 2, s.is.fetches.Load())
	s.is.down.Store(true)
	for _, resource := range []string{mail, code} {
		require.Equal(t, http.StatusOK, serve(s, to(resource, post(call("which"), s.token(t, resource)))).Code)
	}
}

// As the guide says: limits are each Middleware's own, unless they share a store, and revocations are for all who ask the same list.
func TestSeveralResources_LimitsAndRevocations(t *testing.T) {
	s := newSuite(t, true, func(cfg *mcpauth.Config) {
		cfg.Limits.Caller = mcpauth.Rate{Events: 2, Per: time.Hour}
		cfg.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) { return p.Subject() == "eve", nil }
	}, mail, code)
	for _, resource := range []string{mail, code} {
		for i := range 3 {
			w := serve(s, to(resource, post(call("which"), s.token(t, resource))))
			require.Equal(t, map[bool]int{true: 200, false: 429}[i < 2], w.Code)
		}
		require.Equal(t, http.StatusUnauthorized, serve(s, to(resource, post(call("which"), s.token(t, resource, claims{"sub": "eve"})))).Code)
	}
}

// Over a real connection, with the mux alone between the two.
func TestSeveralResources_OverTheNetwork(t *testing.T) {
	var s *suite
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.ServeHTTP(w, r) }))
	defer server.Close()
	mails, codes := server.URL+"/mail/mcp", server.URL+"/code/mcp"
	s = &suite{}
	s.ServeMux, s.is = http.NewServeMux(), newIssuer(t)
	for _, resource := range []string{mails, codes} {
		auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: []mcpauth.Issuer{{URL: s.is.URL}}, Now: newClock().Now})
		require.NoError(t, err)
		auth.Mount(s.ServeMux, sdkHandler(newServer(auth), true))
	}
	for at, status := range map[[2]string]int{{mails, mails}: 200, {codes, codes}: 200, {mails, codes}: 401, {codes, mails}: 401} {
		req, err := http.NewRequest("POST", at[0], strings.NewReader(call("whoami")))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Authorization", "Bearer "+s.is.token(t, claims{"aud": at[1]}))
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		if status == 401 {
			mcpauthtest.AssertUnauthorized(t, resp)
		} else {
			mcpauthtest.AssertAllowed(t, resp)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		require.Equal(t, status, resp.StatusCode)
	}
}
