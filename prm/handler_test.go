package prm_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-mcpauth/sdk/prm"
	"github.com/stretchr/testify/require"
)

const prefix = prm.WellKnownPrefix

// serve sends one request; header alternates names and values.
func serve(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func newHandler(t testing.TB, resources ...string) http.Handler {
	t.Helper()
	var cfg prm.Config
	for _, resource := range resources {
		cfg.Resources = append(cfg.Resources, least(resource))
	}
	h, err := prm.NewHandler(cfg)
	require.NoError(t, err)
	return h
}

func TestPRM02_PRM16_DocumentIsServedWithoutToken(t *testing.T) {
	h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{full()}})
	require.NoError(t, err)
	srv := httptest.NewServer(h)
	defer srv.Close()
	for _, origin := range []string{"", "https://evil.example", "null"} {
		req, err := http.NewRequest("GET", srv.URL+prefix+"/mcp", nil)
		require.NoError(t, err)
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		require.Equal(t, 200, resp.StatusCode)
		require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Equal(t, int64(len(body)), resp.ContentLength)
		require.Equal(t, fullText, string(body))
	}
}

func TestPRM01_PRM03_EachFormIsAnswered(t *testing.T) {
	for _, tc := range wellKnown {
		t.Run("PRM-03 "+tc.resource, func(t *testing.T) {
			h := newHandler(t, tc.resource)
			w := serve(h, "GET", tc.url[len("https:"):]) // without scheme: some rows have http
			var doc map[string]any
			require.Equal(t, 404, w.Code, "a target that is no path is not ours")
			w = serve(h, "GET", tc.url[strings.Index(tc.url, prefix):])
			require.Equal(t, 200, w.Code)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &doc))
			require.Equal(t, tc.resource, doc["resource"])
		})
	}
}

func TestPRM19_OnlyTheExactURLAnswers(t *testing.T) {
	tests := []struct {
		name, resource, target string
		want                   int
	}{
		{"PRM-01 the path", "https://h/mcp", prefix + "/mcp", 200},
		{"X-07 with a slash at the end", "https://h/mcp", prefix + "/mcp/", 200},
		{"X-07 without the slash of the identifier", "https://h/mcp/", prefix + "/mcp", 200},
		{"X-07 with the slash of the identifier", "https://h/mcp/", prefix + "/mcp/", 200},
		{"X-07 two slashes", "https://h/mcp", prefix + "/mcp//", 404},
		{"PRM-01 a bare origin", "https://h", prefix, 200},
		{"X-07 a bare origin with a slash", "https://h", prefix + "/", 200},
		{"X-07 an origin with a slash, without", "https://h/", prefix, 200},
		{"PRM-19 a path below a bare origin", "https://h", prefix + "/mcp", 404},
		{"PRM-20 the root form by default", "https://h/mcp", prefix, 404},
		{"PRM-20 the root form with a slash by default", "https://h/mcp", prefix + "/", 404},
		{"PRM-19 another suffix", "https://h/mcp", prefix + "/other", 404},
		{"PRM-19 a longer suffix", "https://h/mcp", prefix + "/mcp/x", 404},
		{"PRM-19 a suffix that begins alike", "https://h/mcp", prefix + "/mcp2", 404},
		{"PRM-19 a shorter suffix", "https://h/a/mcp", prefix + "/a", 404},
		{"PRM-19 the resource itself", "https://h/mcp", "/mcp", 404},
		{"PRM-19 the appended form", "https://h/mcp", "/mcp" + prefix, 404},
		{"PRM-19 a query that the identifier lacks", "https://h/mcp", prefix + "/mcp?t=1", 404},
		{"PRM-01 a query that the identifier has", "https://h/mcp?t=1", prefix + "/mcp?t=1", 200},
		{"X-07 a query and a slash", "https://h/mcp?t=1", prefix + "/mcp/?t=1", 200},
		{"PRM-19 the query missing", "https://h/mcp?t=1", prefix + "/mcp", 404},
		{"PRM-19 another query", "https://h/mcp?t=1", prefix + "/mcp?t=2", 404},
		{"PRM-19 the query encoded otherwise", "https://h/mcp?t=1", prefix + "/mcp?t=%31", 404},
		{"PRM-19 the query and more", "https://h/mcp?t=1", prefix + "/mcp?t=1&t=1", 404},
		{"PRM-19 double slash", "https://h/mcp", prefix + "//mcp", 404},
		{"PRM-19 double slash in front", "https://h/mcp", "/" + prefix + "/mcp", 404},
		{"PRM-19 encoded slash", "https://h/mcp", prefix + "%2Fmcp", 404},
		{"PRM-19 encoded slash inside", "https://h/a/mcp", prefix + "/a%2fmcp", 404},
		{"PRM-19 encoded letter", "https://h/mcp", prefix + "/%6Dcp", 404},
		{"PRM-19 encoded dots", "https://h/mcp", prefix + "/x/%2e%2e/mcp", 404},
		{"PRM-19 dots", "https://h/mcp", prefix + "/x/../mcp", 404},
		{"PRM-19 encoded dot in the prefix", "https://h/mcp", "/%2ewell-known/oauth-protected-resource/mcp", 404},
		{"PRM-19 other case", "https://h/mcp", prefix + "/MCP", 404},
		{"PRM-19 other case in the prefix", "https://h/mcp", "/.Well-Known/oauth-protected-resource/mcp", 404},
		{"PRM-19 a parameter", "https://h/mcp", prefix + "/mcp;x=1", 404},
		{"PRM-19 a null byte", "https://h/mcp", prefix + "/mcp%00", 404},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			h := newHandler(t, tc.resource)
			for _, method := range []string{"GET", "HEAD"} {
				w := serve(h, method, tc.target)
				require.Equal(t, tc.want, w.Code, method)
				require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"), "an error can be read by browsers too")
				if tc.want == 404 {
					require.Equal(t, "no-store", w.Header().Get("Cache-Control"))
					require.NotContains(t, w.Body.String(), "resource\"")
				}
			}
			if tc.want == 404 {
				require.Equal(t, 404, serve(h, "POST", tc.target).Code, "404 before 405")
				require.Equal(t, 404, serve(h, "OPTIONS", tc.target).Code, "404 for OPTIONS that is no preflight")
			}
		})
	}
}

func TestPRM17_Methods(t *testing.T) {
	h := newHandler(t, "https://h/mcp")
	get, head := serve(h, "GET", prefix+"/mcp"), serve(h, "HEAD", prefix+"/mcp")
	require.Equal(t, 200, head.Code)
	require.Zero(t, head.Body.Len())
	require.Equal(t, get.Header(), head.Header(), "HEAD has the headers of GET")

	options := serve(h, "OPTIONS", prefix+"/mcp")
	require.Equal(t, 204, options.Code)
	require.Zero(t, options.Body.Len())
	require.Equal(t, "GET, HEAD, OPTIONS", options.Header().Get("Allow"))

	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND", "get"} {
		r := httptest.NewRequest("GET", prefix+"/mcp", strings.NewReader("x"))
		r.Method = method
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		require.Equal(t, 405, w.Code, method)
		require.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"), method)
		require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"), method)
	}
}

func TestPRM18_EveryOriginWithoutCredentials(t *testing.T) {
	h := newHandler(t, "https://h/mcp")
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // a CORS layer around everything
		w.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		h.ServeHTTP(w, r)
	})
	for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
		w := serve(outer, method, prefix+"/mcp", "Origin", "https://a.example", "Access-Control-Request-Method", "GET")
		require.Equal(t, []string{"*"}, w.Header()["Access-Control-Allow-Origin"], method)
		require.Empty(t, w.Header()["Access-Control-Allow-Credentials"], method)
	}
}

func TestPRM18_Preflight(t *testing.T) {
	many := strings.TrimSuffix(strings.Repeat("a,", 33), ",")
	tests := []struct {
		name  string
		asked []string
		want  string
	}{
		{"PRM-18 none asked", nil, ""},
		{"PRM-18 what the TypeScript client asks", []string{"mcp-protocol-version"}, "mcp-protocol-version"},
		{"PRM-18 several, in the order and case of the request", []string{"B,a , \tX-C"}, "B, a, X-C"},
		{"PRM-18 several lines", []string{"a", "b"}, "a, b"},
		{"PRM-18 empty elements", []string{",a,,b,"}, "a, b"},
		{"PRM-18 a name that is no token", []string{"a, b c"}, ""},
		{"PRM-18 a line break", []string{"a\r\nSet-Cookie: x"}, ""},
		{"PRM-18 beyond ASCII", []string{"é"}, ""},
		{"PRM-18 thirty-two names", []string{many[2:]}, strings.ReplaceAll(many[2:], ",", ", ")},
		{"PRM-18 too many names", []string{many}, ""},
		{"PRM-18 too many bytes", []string{strings.Repeat("a", 1025)}, ""},
		{"PRM-18 too many bytes over lines", []string{strings.Repeat("a", 600), strings.Repeat("b", 600)}, ""},
	}
	h := newHandler(t, "https://h/mcp")
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			header := []string{"Origin", "https://a.example", "Access-Control-Request-Method", "GET"}
			for _, line := range tc.asked {
				header = append(header, "Access-Control-Request-Headers", line)
			}
			for _, target := range []string{"/mcp", "/other", ""} {
				w := serve(h, "OPTIONS", prefix+target, header...)
				require.Equal(t, 204, w.Code, "also where a 404 follows, which a browser could not see otherwise")
				require.Equal(t, tc.want, w.Header().Get("Access-Control-Allow-Headers"))
				require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
				require.Contains(t, w.Header().Get("Access-Control-Allow-Methods"), "GET")
				require.Equal(t, "Access-Control-Request-Headers", w.Header().Get("Vary"))
			}
			require.Equal(t, 404, serve(h, "OPTIONS", "/mcp", header...).Code, "outside the well-known prefix nothing is answered")
		})
	}
}

func TestPRM20_RootForm(t *testing.T) {
	h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least("https://h/mcp")}, RootMetadata: true})
	require.NoError(t, err)
	want := serve(h, "GET", prefix+"/mcp").Body.String()
	require.Contains(t, want, `"resource":"https://h/mcp"`)
	for _, target := range []string{prefix, prefix + "/"} {
		w := serve(h, "GET", target)
		require.Equal(t, 200, w.Code)
		require.Equal(t, want, w.Body.String())
	}
	require.Equal(t, 404, serve(h, "GET", prefix+"/other").Code)

	_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least("https://h/a"), least("https://h/b")}, RootMetadata: true})
	require.ErrorContains(t, err, "RootMetadata")
	_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least("https://h")}, RootMetadata: true})
	require.NoError(t, err, "harmless where the resource is the root")
}

func TestPRM23_CachingAndRevalidation(t *testing.T) {
	handler := func(m *prm.Metadata, age time.Duration) http.Handler {
		h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{m}, MaxAge: age})
		require.NoError(t, err)
		return h
	}
	for _, tc := range []struct {
		age  time.Duration
		want string
	}{{0, "public, max-age=300"}, {time.Hour, "public, max-age=3600"}, {-1, "public, max-age=0"}, {90 * time.Second, "public, max-age=90"}} {
		require.Equal(t, tc.want, serve(handler(full(), tc.age), "GET", prefix+"/mcp").Header().Get("Cache-Control"))
	}
	_, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{full()}, MaxAge: time.Hour + 1})
	require.ErrorContains(t, err, "MaxAge")

	h := handler(full(), 0)
	etag := serve(h, "GET", prefix+"/mcp").Header().Get("ETag")
	require.Regexp(t, `^"[A-Za-z0-9_-]{22}"$`, etag)
	require.Equal(t, etag, serve(handler(full(), 0), "GET", prefix+"/mcp").Header().Get("ETag"), "replicas agree")
	for _, method := range []string{"GET", "HEAD"} {
		for _, given := range []string{etag, "W/" + etag, `"x", ` + etag, `W/"a,b" ,` + etag, "*"} {
			w := serve(h, method, prefix+"/mcp", "If-None-Match", given)
			require.Equal(t, 304, w.Code, given)
			require.Zero(t, w.Body.Len())
			require.Equal(t, etag, w.Header().Get("ETag"))
			require.Equal(t, "public, max-age=300", w.Header().Get("Cache-Control"))
			require.Equal(t, "*", w.Header().Get("Access-Control-Allow-Origin"))
			require.Empty(t, w.Header().Get("Content-Length"))
		}
		for _, given := range []string{"", `"x"`, strings.Trim(etag, `"`), `"x` + etag, etag[:len(etag)-1], "w/" + etag} {
			require.Equal(t, 200, serve(h, method, prefix+"/mcp", "If-None-Match", given).Code, given)
		}
	}
	require.Equal(t, 304, serve(h, "GET", prefix+"/mcp", "If-None-Match", `"x"`, "If-None-Match", etag).Code, "second line")

	changed := full()
	changed.ScopesSupported = append(changed.ScopesSupported, "mcp:write")
	w := serve(handler(changed, 0), "GET", prefix+"/mcp", "If-None-Match", etag)
	require.Equal(t, 200, w.Code, "a change is visible at once")
	require.NotEqual(t, etag, w.Header().Get("ETag"))
}

func TestPRM23_DocumentIsFixedAtConstruction(t *testing.T) {
	m := full()
	h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{m}})
	require.NoError(t, err)
	m.AuthorizationServers[0] = "https://evil.example"
	m.Extra["resource"] = "https://evil.example"
	*m.DPoPBoundAccessTokensRequired = true
	require.Equal(t, fullText, serve(h, "GET", prefix+"/mcp").Body.String())
}

func TestPRM24_SeveralResourcesOnOneHost(t *testing.T) {
	resources := []string{"https://h/a", "https://H:443/b", "https://h/a/mcp", "https://h", "https://h/a?t=1", "https://h/a?t=2"}
	h := newHandler(t, resources...)
	for _, resource := range resources {
		u, err := prm.WellKnownURL(resource)
		require.NoError(t, err)
		var m prm.Metadata
		require.NoError(t, json.Unmarshal(serve(h, "GET", u[strings.Index(u, prefix):]).Body.Bytes(), &m))
		require.Equal(t, resource, m.Resource)
	}
	require.Equal(t, 404, serve(h, "GET", prefix+"/a?t=3").Code)
	require.Equal(t, 404, serve(h, "GET", prefix+"/c").Code)

	for _, tc := range []struct {
		name string
		pair []string
		want string
	}{
		{"PRM-24 the same resource twice", []string{"https://h/a", "https://h/a"}, "Resources[1] differs"},
		{"PRM-24 two resources that differ in a slash", []string{"https://h/a", "https://h/a/"}, "Resources[1] differs"},
		{"PRM-24 the origin with and without a slash", []string{"https://h", "https://h/"}, "Resources[1] differs"},
		{"PRM-24 two hosts", []string{"https://h/a", "https://g/b"}, "Resources[1] is on https://g, not on https://h"},
		{"PRM-24 two ports", []string{"https://h/a", "https://h:8443/b"}, "Resources[1] is on https://h:8443"},
		{"PRM-24 two schemes", []string{"https://localhost/a", "http://localhost:443/b"}, "Resources[1] is on http://localhost:443"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least(tc.pair[0]), least(tc.pair[1])}})
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestNewHandlerRefusesAnEmptyConfig(t *testing.T) {
	_, err := prm.NewHandler(prm.Config{})
	require.ErrorContains(t, err, "Resources is empty")
	_, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{nil, {}}, RootMetadata: true, MaxAge: 2 * time.Hour})
	for _, want := range []string{"Resources[0]", "Resources[1]", "RootMetadata", "MaxAge"} {
		require.ErrorContains(t, err, want)
	}
}

func TestPRM25_MountedBehindRouters(t *testing.T) {
	h := newHandler(t, "https://h/mcp", "https://h/files/")
	mux := http.NewServeMux()
	mux.Handle(prefix, h)
	mux.Handle(prefix+"/", h)
	outer := http.NewServeMux()
	outer.Handle("/", mux)
	for _, resource := range []string{"https://h/mcp", "https://h/files/"} {
		path, err := prm.WellKnownPath(resource)
		require.NoError(t, err)
		exact := http.NewServeMux() // the path of one resource alone
		exact.Handle(path, h)
		for _, router := range []http.Handler{mux, outer, exact, http.AllowQuerySemicolons(mux)} {
			require.Equal(t, 200, serve(router, "GET", path).Code)
			require.Equal(t, 200, serve(router, "HEAD", path).Code)
			require.Equal(t, 204, serve(router, "OPTIONS", path).Code)
			require.Equal(t, 405, serve(router, "POST", path).Code)
		}
		require.Equal(t, 404, serve(outer, "GET", path+"x").Code)
		require.NotEqual(t, 200, serve(outer, "GET", prefix+"/"+strings.TrimPrefix(path, prefix)).Code, "the router may redirect, the handler never answers")
	}
	require.Equal(t, 404, serve(outer, "GET", prefix).Code)
	require.Equal(t, 404, serve(http.StripPrefix(prefix, h), "GET", prefix+"/mcp").Code, "a router that strips is a mistake that shows at once")
}

func TestCH27_HostAndForwardingHeadersChangeNothing(t *testing.T) {
	h := newHandler(t, "https://h/mcp")
	want := serve(h, "GET", prefix+"/mcp")
	r := httptest.NewRequest("GET", "https://evil.example"+prefix+"/mcp", nil)
	for _, name := range []string{"X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Forwarded", "X-Original-URL", "X-HTTP-Method-Override"} {
		r.Header.Set(name, "evil.example")
	}
	got := httptest.NewRecorder()
	h.ServeHTTP(got, r)
	require.Equal(t, want.Body.String(), got.Body.String())
	require.Equal(t, want.Header(), got.Header())
}

// discard is a ResponseWriter that costs nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

func TestServingAllocatesNothing(t *testing.T) {
	h := newHandler(t, "https://h/mcp", "https://h/mcp?t=1")
	etag := serve(h, "GET", prefix+"/mcp").Header().Get("ETag")
	for _, target := range []string{prefix + "/mcp", prefix + "/mcp/", prefix + "/mcp?t=1"} {
		r := httptest.NewRequest("GET", target, nil)
		w := discard{http.Header{}}
		require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), target)
		r.Header.Set("If-None-Match", `"other", `+etag)
		require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }), target)
	}
}

func BenchmarkHandler(b *testing.B) {
	h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{full()}})
	require.NoError(b, err)
	etag := serve(h, "GET", prefix+"/mcp").Header().Get("ETag")
	for _, tc := range []struct {
		name, method, target string
		header               []string
	}{
		{"document", "GET", prefix + "/mcp", nil},
		{"revalidated", "GET", prefix + "/mcp", []string{"If-None-Match", etag}},
		{"unknown", "GET", prefix + "/other", nil},
		{"preflight", "OPTIONS", prefix + "/mcp", []string{"Origin", "https://a.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "mcp-protocol-version"}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			r := httptest.NewRequest(tc.method, tc.target, nil)
			for i := 0; i < len(tc.header); i += 2 {
				r.Header.Set(tc.header[i], tc.header[i+1])
			}
			w := discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				h.ServeHTTP(w, r)
			}
		})
	}
}
