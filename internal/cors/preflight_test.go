package cors_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/cors"
)

var fixed = []string{"authorization", "dpop", "content-type", "accept", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id"}

func preflight(p *cors.Policy, origin string, asked ...string) *httptest.ResponseRecorder {
	r := request("OPTIONS", origin)
	r.Header.Set("Access-Control-Request-Method", "POST")
	if len(asked) > 0 {
		r.Header["Access-Control-Request-Headers"] = asked
	}
	w := httptest.NewRecorder()
	p.Preflight(w, r)
	return w
}

func TestHTTP06_Preflight(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource, Origins: []string{"https://app.example.com"}, Headers: []string{"X-Api-Key", "Authorization"}})
	w := preflight(p, "https://app.example.com", "authorization,content-type,mcp-protocol-version")
	require.Equal(t, http.StatusNoContent, w.Code)
	require.Zero(t, w.Body.Len())
	require.Equal(t, http.Header{
		"Access-Control-Allow-Origin":  {"https://app.example.com"},
		"Access-Control-Allow-Methods": {"GET, POST, DELETE"},
		"Access-Control-Allow-Headers": {strings.Join(fixed, ", ") + ", x-api-key"},
		"Access-Control-Max-Age":       {"7200"},
		"Vary":                         {"Origin", "Access-Control-Request-Method, Access-Control-Request-Headers"},
	}, w.Header())
}

func TestHTTP06_OtherRequests(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource})
	answer := func(r *http.Request) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		p.Preflight(w, r)
		for name := range w.Header() {
			require.NotContains(t, name, "Access-Control")
		}
		return w
	}
	for _, r := range []*http.Request{request("OPTIONS"), request("OPTIONS", "https://mcp.example.com")} {
		require.False(t, cors.IsPreflight(r))
		w := answer(r)
		require.Equal(t, http.StatusNoContent, w.Code)
		require.Equal(t, "GET, POST, DELETE, OPTIONS", w.Header().Get("Allow"))
	}
	noOrigin := request("OPTIONS")
	noOrigin.Header.Set("Access-Control-Request-Method", "POST")
	require.False(t, cors.IsPreflight(noOrigin))
	require.Equal(t, http.StatusNoContent, answer(noOrigin).Code)

	post := request("POST", "https://mcp.example.com")
	post.Header.Set("Access-Control-Request-Method", "POST")
	require.False(t, cors.IsPreflight(post))
	require.Equal(t, http.StatusMethodNotAllowed, answer(post).Code)
}

func TestHTTP02_PreflightOfAForeignOrigin(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource})
	for _, origin := range []string{"https://evil.example", "null", ""} {
		w := preflight(p, origin, "mcp-param-x")
		require.Equal(t, http.StatusForbidden, w.Code)
		require.Equal(t, http.Header{"Vary": {"Origin"}}, w.Header())
	}
	r := request("OPTIONS", "https://mcp.example.com", "https://mcp.example.com")
	r.Header.Set("Access-Control-Request-Method", "POST")
	require.True(t, cors.IsPreflight(r), "so that it is answered, with a refusal")
	w := httptest.NewRecorder()
	p.Preflight(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
}

var askedTests = []struct {
	name  string
	asked []string
	want  []string // besides the fixed list
}{
	{"HTTP-07 nothing asked", nil, nil},
	{"HTTP-07 a parameter", []string{"mcp-param-region"}, []string{"mcp-param-region"}},
	{"HTTP-07 in capitals, with white space", []string{" Mcp-Param-Region ,\tMCP-PARAM-TENANT"}, []string{"mcp-param-region", "mcp-param-tenant"}},
	{"HTTP-07 on two lines", []string{"mcp-param-a", "mcp-param-b"}, []string{"mcp-param-a", "mcp-param-b"}},
	{"HTTP-07 asked twice", []string{"mcp-param-a,mcp-param-A"}, []string{"mcp-param-a"}},
	{"HTTP-07 others are not echoed", []string{"x-evil,cookie,mcp-param-a,mcp-params,x-mcp-param-b"}, []string{"mcp-param-a"}},
	{"HTTP-07 the prefix alone", []string{"mcp-param-"}, nil},
	{"HTTP-07 a star", []string{"*"}, nil},
	{"HTTP-07 no token", []string{"mcp-param-a b,mcp-param-a:b,mcp-param-\"x\",mcp-param-\u00e9,mcp-param-a\r\nX: y"}, nil},
	{"HTTP-07 a letter that folds into ASCII", []string{"mcp-param-\u212a,\u017fmcp-param-a"}, nil},
	{"HTTP-07 longest name", []string{"mcp-param-" + strings.Repeat("a", 118)}, []string{"mcp-param-" + strings.Repeat("a", 118)}},
	{"HTTP-07 a longer name", []string{"mcp-param-" + strings.Repeat("a", 119)}, nil},
	{"HTTP-07 more bytes than are read", []string{strings.Repeat(",", 16<<10), "mcp-param-a"}, nil},
}

func TestHTTP07_HeadersThatMayBeSent(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource})
	for _, tt := range askedTests {
		t.Run(tt.name, func(t *testing.T) {
			w := preflight(p, "https://mcp.example.com", tt.asked...)
			require.Equal(t, strings.Join(slices.Concat(fixed, tt.want), ", "), w.Header().Get("Access-Control-Allow-Headers"))
		})
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("mcp-param-%d", i))
	}
	w := preflight(p, "https://mcp.example.com", strings.Join(many, ","))
	require.Equal(t, strings.Join(slices.Concat(fixed, many[:64]), ", "), w.Header().Get("Access-Control-Allow-Headers"))

	named := policy(t, cors.Config{Resource: resource, Headers: []string{"Mcp-Param-Key"}})
	w = preflight(named, "https://mcp.example.com", "mcp-param-key")
	require.Equal(t, strings.Join(fixed, ", ")+", mcp-param-key", w.Header().Get("Access-Control-Allow-Headers"))
}

func TestTHREAT69_NoCredentialsAndNoPrivateNetwork(t *testing.T) {
	for _, origins := range [][]string{nil, {"*"}, {"null"}} {
		p := policy(t, cors.Config{Resource: "http://localhost:8080/mcp", Origins: origins})
		for _, origin := range []string{"http://localhost:1", "null", "https://evil.example"} {
			r := request("OPTIONS", origin)
			r.Header.Set("Access-Control-Request-Method", "POST")
			r.Header.Set("Access-Control-Request-Private-Network", "true")
			r.Header.Set("Access-Control-Request-Local-Network", "true")
			w := httptest.NewRecorder()
			p.Preflight(w, r)
			p.Expose(w.Header(), r)
			for name := range w.Header() {
				require.NotContains(t, name, "Credentials")
				require.NotContains(t, name, "Network")
			}
		}
	}
}

const exposedFields = "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, Retry-After, Mcp-Protocol-Version"

func TestHTTP08_Expose(t *testing.T) {
	listed := cors.Config{Resource: resource, Origins: []string{"https://app.example.com", "null"}}
	all := cors.Config{Resource: resource, Origins: []string{"*"}}
	for _, tt := range []struct {
		name    string
		config  cors.Config
		origins []string
		before  http.Header
		want    http.Header
	}{
		{"HTTP-09 exact echo", listed, []string{"https://app.example.com"}, http.Header{},
			http.Header{"Access-Control-Allow-Origin": {"https://app.example.com"}, "Vary": {"Origin"}, "Access-Control-Expose-Headers": {exposedFields}}},
		{"HTTP-09 null", listed, []string{"null"}, http.Header{},
			http.Header{"Access-Control-Allow-Origin": {"null"}, "Vary": {"Origin"}, "Access-Control-Expose-Headers": {exposedFields}}},
		{"HTTP-09 no origin", listed, nil, http.Header{}, http.Header{"Vary": {"Origin"}}},
		{"HTTP-09 foreign", listed, []string{"https://evil.example"}, http.Header{}, http.Header{"Vary": {"Origin"}}},
		{"HTTP-09 two lines", listed, []string{"https://app.example.com", "https://app.example.com"}, http.Header{}, http.Header{"Vary": {"Origin"}}},
		{"HTTP-09 Vary is added to", listed, nil, http.Header{"Vary": {"Accept-Encoding"}}, http.Header{"Vary": {"Accept-Encoding", "Origin"}}},
		{"HTTP-09 Vary is there", listed, nil, http.Header{"Vary": {"Accept, origin"}}, http.Header{"Vary": {"Accept, origin"}}},
		{"HTTP-09 Vary is a star", listed, nil, http.Header{"Vary": {"*"}}, http.Header{"Vary": {"*"}}},
		{"HTTP-09 all", all, []string{"https://any.example"}, http.Header{},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposedFields}}},
		{"HTTP-09 all, no origin", all, nil, http.Header{},
			http.Header{"Access-Control-Allow-Origin": {"*"}, "Access-Control-Expose-Headers": {exposedFields}}},
		{"HTTP-09 all, two lines", all, []string{"a", "b"}, http.Header{}, http.Header{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policy(t, tt.config).Expose(tt.before, request("POST", tt.origins...))
			require.Equal(t, tt.want, tt.before)
		})
	}
}

func TestSEC09_AnswersDoNotShareWhatIsAdded(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource, Origins: []string{"*"}})
	q := policy(t, cors.Config{Resource: resource})
	names := []string{"Vary", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}
	answers := []http.Header{{}, {}}
	for _, h := range answers {
		p.Expose(h, request("POST"))
		q.Expose(h, request("POST"))
	}
	for i, h := range answers {
		for _, name := range names {
			h.Add(name, fmt.Sprint(i))
		}
	}
	for i, h := range answers {
		for _, name := range names {
			require.Len(t, h[name], 2)
			require.Equal(t, fmt.Sprint(i), h[name][1])
		}
	}
}

// FuzzPreflight: every header in the answer is on the fixed list or is an Mcp-Param-* that was asked for; each is named once.
func FuzzPreflight(f *testing.F) {
	for _, tt := range askedTests {
		f.Add(strings.Join(tt.asked, ","))
	}
	p := policy(f, cors.Config{Resource: resource, Headers: []string{"X-Api-Key"}})
	param := regexp.MustCompile("^mcp-param-[!#$%&'*+\\-.^_`|~0-9a-z]{1,118}$")
	f.Fuzz(func(t *testing.T, asked string) {
		w := preflight(p, "https://mcp.example.com", asked)
		var wanted []string
		for _, name := range strings.Split(asked, ",") {
			wanted = append(wanted, strings.ToLower(strings.Trim(name, " \t")))
		}
		got := strings.Split(w.Header().Get("Access-Control-Allow-Headers"), ", ")
		seen := map[string]bool{}
		for i, name := range got {
			if seen[name] {
				t.Fatalf("%q twice", name)
			}
			seen[name] = true
			if i <= len(fixed) {
				continue
			}
			if !param.MatchString(name) || !slices.Contains(wanted, name) {
				t.Fatalf("%q is allowed, asked for was %q", name, asked)
			}
		}
		if len(got) > len(fixed)+1+64 || !slices.Equal(got[:len(fixed)+1], slices.Concat(fixed, []string{"x-api-key"})) {
			t.Fatalf("allowed: %q", got)
		}
	})
}

func BenchmarkPreflight(b *testing.B) {
	p := policy(b, cors.Config{Resource: resource})
	r := request("OPTIONS", "https://mcp.example.com")
	r.Header.Set("Access-Control-Request-Method", "POST")
	r.Header.Set("Access-Control-Request-Headers", "authorization,content-type,mcp-param-region,mcp-protocol-version")
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		clear(w.Header())
		p.Preflight(w, r)
	}
}
