package cors_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/cors"
)

func policy(t testing.TB, c cors.Config) *cors.Policy {
	t.Helper()
	p, err := cors.New(c)
	require.NoError(t, err)
	return p
}

func request(method string, origins ...string) *http.Request {
	r := httptest.NewRequest(method, "/mcp", nil)
	if len(origins) > 0 {
		r.Header["Origin"] = origins
	}
	return r
}

const resource = "https://mcp.example.com/mcp"

func TestNewNamesEveryMistake(t *testing.T) {
	p, err := cors.New(cors.Config{
		Resource: "mcp.example.com",
		Origins:  []string{"https://App.example.com", "https://ok.example.com", "https://app.example.com/", "https://app.example.com:443"},
		Headers:  []string{"X-Api-Key", "bad name", "*"},
	})
	require.Nil(t, p)
	for _, part := range []string{
		"Resource:", `Origins[0]: "https://App.example.com" must be in lower case; write "https://app.example.com"`, "Origins[2]:",
		`Origins[3]: "https://app.example.com:443" names the default port; write "https://app.example.com"`, "Headers[1]:", "Headers[2]:",
	} {
		require.ErrorContains(t, err, part)
	}
	require.NotContains(t, err.Error(), "Origins[1]")
	require.NotContains(t, err.Error(), "Headers[0]")
}

func TestNewChecksResource(t *testing.T) {
	for _, good := range []string{
		resource, "https://mcp.example.com", "https://MCP.example.com:443/", "https://h:8443/a?b=c", "http://localhost:8080/mcp", "http://127.0.0.1/", "http://[::1]:9/x",
	} {
		_, err := cors.New(cors.Config{Resource: good})
		require.NoError(t, err, good)
	}
	for _, bad := range []string{
		"", "/mcp", "mcp.example.com", "ftp://h/", "https:", "https://", "https:///mcp", "https:h", "https://user:s3cret@h/", "https://h:/", "https://h:0/", "https://h:99999/",
		"https://b\u00fccher.example/", "https://[::1%25lo]/", "https://[0:0::1]/", "https://1.2.3/", "https://h..x/", "://",
	} {
		_, err := cors.New(cors.Config{Resource: bad})
		require.ErrorContains(t, err, "Resource", "%q", bad)
		require.NotContains(t, err.Error(), "s3cret")
	}
}

var configuredOrigins = []struct {
	origin string
	ok     bool
}{
	{"https://app.example.com", true}, {"http://app.example.com", true}, {"https://app.example.com:8443", true}, {"http://app.example.com:443", true},
	{"http://localhost:5173", true}, {"http://[::1]:8080", true}, {"https://192.0.2.1", true}, {"vscode-webview://0abc-def", true}, {"tauri://localhost", true},
	{"null", true}, {"*", true}, {"http://[::ffff:7f00:1]", true}, {"https://xn--bcher-kva.example", true}, {"https://a.example.", true},

	{"", false}, {"Null", false}, {"app.example.com", false}, {"//app.example.com", false}, {"https://", false}, {"https:app.example.com", false},
	{"https://app.example.com/", false}, {"https://app.example.com/x", false}, {"https://app.example.com?x", false}, {"https://app.example.com#x", false},
	{"https://user@app.example.com", false}, {"HTTPS://app.example.com", false}, {"https://App.example.com", false},
	{"https://app.example.com:443", false}, {"http://app.example.com:80", false}, {"https://app.example.com:", false}, {"https://app.example.com:0", false},
	{"https://app.example.com:08443", false}, {"https://app.example.com:65536", false}, {"https://app.example.com:x", false},
	{"https://*.example.com", false}, {"https://*", false}, {"*.example.com", false}, {"https://b\u00fccher.example", false},
	{"http://::1", false}, {"http://[::1", false}, {"http://[0:0:0:0:0:0:0:1]", false}, {"http://[127.0.0.1]", false}, {"http://[::ffff:127.0.0.1]", false}, {"http://[::1%lo]", false},
	{"http://127.1", false}, {"http://0x7f000001", false}, {"http://2130706433", false}, {"http://127.0.0.01", false}, {"https://.example.com", false}, {"https://a..b", false},
	{"https://a b", false}, {" https://a", false}, {"https://a, https://b", false}, {"https://a\r\nb", false}, {"1https://a", false},
}

func TestHTTP03_ConfiguredOriginsAreSerialisedOrigins(t *testing.T) {
	for _, tt := range configuredOrigins {
		t.Run(tt.origin, func(t *testing.T) {
			p, err := cors.New(cors.Config{Resource: resource, Origins: []string{tt.origin}})
			if !tt.ok {
				require.ErrorContains(t, err, "Origins[0]")
				return
			}
			require.NoError(t, err)
			require.True(t, p.Origin(request("GET", tt.origin)))
		})
	}
	_, err := cors.New(cors.Config{Resource: resource, Origins: []string{"https://app.example.com/"}})
	require.ErrorContains(t, err, "without a slash at the end")
	_, err = cors.New(cors.Config{Resource: resource, Origins: []string{"*", "https://app.example.com"}})
	require.ErrorContains(t, err, "Origins[0]")
}

var originTests = []struct {
	name    string
	config  cors.Config
	origins []string
	want    bool
}{
	{"HTTP-03 absent", cors.Config{Resource: resource}, nil, true},
	{"HTTP-04 the resource's own", cors.Config{Resource: resource}, []string{"https://mcp.example.com"}, true},
	{"HTTP-04 the resource's own, default port configured", cors.Config{Resource: "https://MCP.example.com:443/"}, []string{"https://mcp.example.com"}, true},
	{"HTTP-04 the resource's own, other port", cors.Config{Resource: "https://mcp.example.com:8443/"}, []string{"https://mcp.example.com:8443"}, true},
	{"HTTP-02 foreign", cors.Config{Resource: resource}, []string{"https://evil.example"}, false},
	{"HTTP-03 another scheme", cors.Config{Resource: resource}, []string{"http://mcp.example.com"}, false},
	{"HTTP-03 another port", cors.Config{Resource: resource}, []string{"https://mcp.example.com:8443"}, false},
	{"HTTP-03 the default port written", cors.Config{Resource: resource}, []string{"https://mcp.example.com:443"}, false},
	{"HTTP-03 another case", cors.Config{Resource: resource}, []string{"https://MCP.example.com"}, false},
	{"HTTP-03 a slash", cors.Config{Resource: resource}, []string{"https://mcp.example.com/"}, false},
	{"HTTP-03 a subdomain", cors.Config{Resource: resource}, []string{"https://x.mcp.example.com"}, false},
	{"HTTP-03 a parent", cors.Config{Resource: resource}, []string{"https://example.com"}, false},
	{"HTTP-03 a prefix", cors.Config{Resource: resource}, []string{"https://mcp.example.com.evil.example"}, false},
	{"HTTP-03 userinfo", cors.Config{Resource: resource}, []string{"https://mcp.example.com@evil.example"}, false},
	{"HTTP-03 a trailing dot", cors.Config{Resource: resource}, []string{"https://mcp.example.com."}, false},
	{"HTTP-03 null", cors.Config{Resource: resource}, []string{"null"}, false},
	{"HTTP-03 null, listed", cors.Config{Resource: resource, Origins: []string{"null"}}, []string{"null"}, true},
	{"HTTP-03 empty", cors.Config{Resource: resource}, []string{""}, false},
	{"HTTP-03 listed", cors.Config{Resource: resource, Origins: []string{"https://app.example.com"}}, []string{"https://app.example.com"}, true},
	{"HTTP-03 a list in one line", cors.Config{Resource: resource}, []string{"https://mcp.example.com, https://mcp.example.com"}, false},
	{"HTTP-03 a list with spaces", cors.Config{Resource: resource}, []string{"https://mcp.example.com https://evil.example"}, false},
	{"HTTP-02 two lines", cors.Config{Resource: resource}, []string{"https://mcp.example.com", "https://evil.example"}, false},
	{"HTTP-02 two equal lines", cors.Config{Resource: resource}, []string{"https://mcp.example.com", "https://mcp.example.com"}, false},
	{"HTTP-04 loopback, public resource", cors.Config{Resource: resource}, []string{"http://localhost:8080"}, false},
	{"HTTP-04 loopback, loopback resource", cors.Config{Resource: "http://127.0.0.1:8080/mcp"}, []string{"http://localhost:6274"}, true},
	{"HTTP-04 127.0.0.1, loopback resource", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://127.0.0.1:1"}, true},
	{"HTTP-04 [::1], loopback resource", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"https://[::1]"}, true},
	{"HTTP-04 default port, loopback resource", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost"}, true},
	{"HTTP-04 resource in 127/8", cors.Config{Resource: "http://127.0.0.5:8080/mcp"}, []string{"http://127.0.0.5:8080"}, true},
	{"HTTP-04 another address in 127/8", cors.Config{Resource: "http://127.0.0.5:8080/mcp"}, []string{"http://127.0.0.6:8080"}, false},
	{"HTTP-04 a name that begins with localhost", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost.evil.example"}, false},
	{"HTTP-04 an address that begins with loopback", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://127.0.0.1.evil.example"}, false},
	{"HTTP-04 foreign, loopback resource", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"https://evil.example"}, false},
	{"HTTP-04 loopback with another scheme", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"ftp://localhost"}, false},
	{"HTTP-04 loopback with userinfo", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost:1@evil.example"}, false},
	{"HTTP-04 loopback with a path", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost:1/"}, false},
	{"HTTP-04 loopback in capitals", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://LOCALHOST:1"}, false},
	{"HTTP-04 loopback, port out of range", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost:65536"}, false},
	{"HTTP-04 loopback, default port of http written", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost:80"}, false},
	{"HTTP-04 loopback, default port of https written", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"https://[::1]:443"}, false},
	{"HTTP-04 loopback, the other scheme's default port", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost:443"}, true},
	{"HTTP-04 loopback, port that overflows", cors.Config{Resource: "http://localhost:8080/mcp"}, []string{"http://localhost:18446744073709551617"}, false},
	{"HTTP-09 all", cors.Config{Resource: resource, Origins: []string{"*"}}, []string{"https://any.example"}, true},
	{"HTTP-09 all, null too", cors.Config{Resource: resource, Origins: []string{"*"}}, []string{"null"}, true},
	{"HTTP-09 all, two lines", cors.Config{Resource: resource, Origins: []string{"*"}}, []string{"https://a.example", "https://b.example"}, false},
	{"HTTP-09 all, empty", cors.Config{Resource: resource, Origins: []string{"*"}}, []string{""}, false},
}

func TestOrigin(t *testing.T) {
	for _, tt := range originTests {
		t.Run(tt.name, func(t *testing.T) {
			p := policy(t, tt.config)
			for _, method := range []string{"GET", "POST", "DELETE", "HEAD", "OPTIONS"} {
				require.Equal(t, tt.want, p.Origin(request(method, tt.origins...)), method)
			}
		})
	}
}

func TestZeroPolicyRefuses(t *testing.T) {
	var p cors.Policy
	for _, origins := range [][]string{nil, {""}, {"null"}, {"https://a.example"}} {
		r := request("OPTIONS", origins...)
		r.Host = ""
		require.False(t, p.Host(r))
		require.False(t, p.Origin(r))
		w := httptest.NewRecorder()
		p.Preflight(w, r)
		require.Equal(t, http.StatusForbidden, w.Code)
		p.Expose(w.Header(), r)
		require.Empty(t, w.Header()["Access-Control-Allow-Origin"])
	}
}

var (
	tcpLoopback  = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}
	tcp6Loopback = &net.TCPAddr{IP: net.IPv6loopback, Port: 8080}
	tcpPublic    = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 8080}
	unixSocket   = &net.UnixAddr{Name: "/run/mcp.sock", Net: "unix"}
)

type otherAddr string

func (otherAddr) Network() string  { return "other" }
func (a otherAddr) String() string { return string(a) }

var hostTests = []struct {
	name     string
	resource string
	local    net.Addr
	host     string
	want     bool
}{
	{"HTTP-05 the resource's host", resource, tcpPublic, "mcp.example.com", true},
	{"HTTP-05 behind a proxy that rewrites Host", resource, tcpPublic, "10.0.0.7:8080", true},
	{"HTTP-05 not served by net/http", resource, nil, "example.com", true},
	{"HTTP-05 behind a proxy on a Unix socket", resource, unixSocket, "backend", true},
	{"HTTP-05 no usable local address", resource, otherAddr("pipe"), "backend", true},

	{"HTTP-05 local proxy, public host", resource, tcpLoopback, "mcp.example.com", true},
	{"HTTP-05 local proxy, public host in capitals", resource, tcpLoopback, "MCP.Example.COM", true},
	{"HTTP-05 local proxy, public host and default port", resource, tcpLoopback, "mcp.example.com:443", true},
	{"HTTP-05 local proxy, the other scheme's port", resource, tcpLoopback, "mcp.example.com:80", false},
	{"HTTP-05 local proxy, another port", resource, tcpLoopback, "mcp.example.com:8443", false},
	{"HTTP-05 local proxy, the resource's port", "https://mcp.example.com:8443/mcp", tcpLoopback, "mcp.example.com:8443", true},
	{"HTTP-05 local proxy, the resource's port missing", "https://mcp.example.com:8443/mcp", tcpLoopback, "mcp.example.com", false},
	{"HTTP-05 local proxy, upstream name", resource, tcpLoopback, "localhost:8080", true},
	{"HTTP-05 local proxy, upstream address", resource, tcp6Loopback, "127.0.0.1:8080", true},
	{"THREAT-68 rebinding to loopback", resource, tcpLoopback, "evil.example", false},
	{"THREAT-68 rebinding to loopback, IPv6", resource, tcp6Loopback, "evil.example:8080", false},
	{"THREAT-68 rebinding to loopback, another kind of address", resource, otherAddr("127.0.0.1:8080"), "evil.example:8080", false},
	{"THREAT-68 rebinding to mapped loopback", resource, &net.TCPAddr{IP: net.ParseIP("::ffff:127.0.0.1")}, "evil.example:8080", false},

	{"HTTP-05 localhost", "http://localhost:8080/mcp", tcpLoopback, "localhost:8080", true},
	{"HTTP-05 localhost on another port", "http://localhost:8080/mcp", tcpLoopback, "localhost:9", true},
	{"HTTP-05 localhost without a port", "http://localhost:8080/mcp", tcpLoopback, "LOCALHOST", true},
	{"HTTP-05 default port of http", "http://localhost/mcp", tcpLoopback, "localhost:80", true},
	{"HTTP-05 127.0.0.1", "http://localhost:8080/mcp", tcpLoopback, "127.0.0.1:8080", true},
	{"HTTP-05 elsewhere in 127/8", "http://localhost:8080/mcp", tcpLoopback, "127.1.2.3:8080", true},
	{"HTTP-05 [::1]", "http://localhost:8080/mcp", tcp6Loopback, "[::1]:8080", true},
	{"HTTP-05 [::1] without a port", "http://localhost:8080/mcp", tcp6Loopback, "[::1]", true},
	{"THREAT-68 foreign on a loopback resource", "http://localhost:8080/mcp", tcpLoopback, "evil.example:8080", false},
	{"THREAT-68 foreign on a loopback resource, all interfaces", "http://localhost:8080/mcp", tcpPublic, "evil.example:8080", false},
	{"THREAT-68 foreign on a loopback resource, address unknown", "http://localhost:8080/mcp", nil, "evil.example:8080", false},
	{"THREAT-68 empty", "http://localhost:8080/mcp", tcpLoopback, "", false},
	{"THREAT-68 begins with localhost", "http://localhost:8080/mcp", tcpLoopback, "localhost.evil.example", false},
	{"THREAT-68 begins with 127.", "http://localhost:8080/mcp", tcpLoopback, "127.0.0.1.evil.example", false},
	{"THREAT-68 begins with 127. as a name", "http://localhost:8080/mcp", tcpLoopback, "127.evil.example", false},
	{"THREAT-68 all addresses", "http://localhost:8080/mcp", tcpLoopback, "0.0.0.0:8080", false},
	{"THREAT-68 bad port", "http://localhost:8080/mcp", tcpLoopback, "localhost:x", false},
	{"THREAT-68 port that overflows", "http://localhost:8080/mcp", tcpLoopback, "localhost:18446744073709551617", false},
	{"THREAT-68 empty port", "http://localhost:8080/mcp", tcpLoopback, "localhost:", false},
	{"THREAT-68 two ports", "http://localhost:8080/mcp", tcpLoopback, "localhost:1:2", false},
	{"THREAT-68 userinfo", "http://localhost:8080/mcp", tcpLoopback, "localhost:1@evil.example", false},
	{"THREAT-68 zone", "http://localhost:8080/mcp", tcpLoopback, "[::1%25lo]:8080", false},
	{"THREAT-68 no brackets", "http://localhost:8080/mcp", tcpLoopback, "::1", false},
	{"THREAT-68 a letter that folds into ASCII", "https://kiosk.example/mcp", tcpLoopback, "\u212aiosk.example", false},
}

func TestHost(t *testing.T) {
	for _, tt := range hostTests {
		t.Run(tt.name, func(t *testing.T) {
			r := request("POST")
			r.Host = tt.host
			if tt.local != nil {
				r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, tt.local))
			}
			require.Equal(t, tt.want, policy(t, cors.Config{Resource: tt.resource}).Host(r))
		})
	}
}

func TestTHREAT68_RebindingOverARealListener(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.Host(r) {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer srv.Close()
	for host, want := range map[string]int{"": 200, "mcp.example.com": 200, "evil.example": 403} {
		r, err := http.NewRequest("GET", srv.URL, nil)
		require.NoError(t, err)
		r.Host = host
		r.Header.Set("X-Forwarded-Host", "mcp.example.com")
		resp, err := srv.Client().Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode, host)
	}
}

var refLoopback = regexp.MustCompile(`^(https?)://(?:localhost|127\.0\.0\.1|\[::1\])(?::([1-9][0-9]{0,4}))?$`)

// FuzzOrigin: an origin is allowed if and only if it is listed byte for byte or, for a loopback resource, a serialised loopback origin.
func FuzzOrigin(f *testing.F) {
	for _, tt := range originTests {
		for _, o := range tt.origins {
			f.Add(o)
		}
	}
	for _, tt := range configuredOrigins {
		f.Add(tt.origin)
	}
	listed := []string{"https://app.example.com", "vscode-webview://0abc", "http://[2001:db8::1]:8080"}
	public := policy(f, cors.Config{Resource: resource, Origins: listed})
	local := policy(f, cors.Config{Resource: "http://localhost:8080/mcp", Origins: listed})
	all := policy(f, cors.Config{Resource: resource, Origins: []string{"*"}})
	f.Fuzz(func(t *testing.T, origin string) {
		r := request("POST", origin)
		isListed := slices.Contains(listed, origin)
		if got, want := public.Origin(r), isListed || origin == "https://mcp.example.com"; got != want {
			t.Fatalf("public resource: Origin %q: %v, want %v", origin, got, want)
		}
		want := isListed
		if m := refLoopback.FindStringSubmatch(origin); m != nil {
			port, _ := strconv.Atoi(m[2])
			want = port <= 65535 && m[1]+m[2] != "http80" && m[1]+m[2] != "https443"
		}
		if got := local.Origin(r); got != want {
			t.Fatalf("loopback resource: Origin %q: %v, want %v", origin, got, want)
		}
		if got := all.Origin(r); got != (origin != "") {
			t.Fatalf("all: Origin %q: %v", origin, got)
		}
		for _, p := range []*cors.Policy{public, local} {
			h := http.Header{}
			p.Expose(h, r)
			acao := h["Access-Control-Allow-Origin"]
			if p.Origin(r) != (len(acao) == 1 && acao[0] == origin) || len(acao) > 1 {
				t.Fatalf("Origin %q is answered %q", origin, acao)
			}
		}
	})
}

// FuzzConfiguredOrigin: what New accepts is scheme, host and port as net/url reads them, and is then allowed as it stands.
func FuzzConfiguredOrigin(f *testing.F) {
	for _, tt := range configuredOrigins {
		f.Add(tt.origin)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		p, err := cors.New(cors.Config{Resource: resource, Origins: []string{origin}})
		if err != nil {
			return
		}
		if !p.Origin(request("POST", origin)) {
			t.Fatalf("%q is configured and refused", origin)
		}
		if origin == "*" || origin == "null" {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.Scheme+"://"+u.Host != origin || u.Hostname() == "" || strings.ToLower(origin) != origin ||
			strings.HasSuffix(u.Host, ":") || u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80" {
			t.Fatalf("%q is no serialised origin: %v", origin, err)
		}
	})
}

// FuzzHost: on loopback nothing but the resource's host and a loopback name, each with or without a port, is accepted.
func FuzzHost(f *testing.F) {
	for _, tt := range hostTests {
		f.Add(tt.host)
	}
	p := policy(f, cors.Config{Resource: resource})
	ctx := context.WithValue(context.Background(), http.LocalAddrContextKey, net.Addr(tcpLoopback))
	f.Fuzz(func(t *testing.T, hostport string) {
		r := request("POST").WithContext(ctx)
		r.Host = hostport
		name, port, err := net.SplitHostPort(hostport)
		if err != nil {
			name, port = hostport, "80"
			if strings.HasPrefix(name, "[") && strings.HasSuffix(name, "]") {
				name = name[1 : len(name)-1]
			} else if strings.Contains(name, ":") {
				name = ""
			}
		} else if strings.Contains(name, ":") != strings.HasPrefix(hostport, "[") {
			name = "" // SplitHostPort takes "[localhost]:80"
		}
		if strings.HasPrefix(hostport, "[") && name != "::1" {
			name = ""
		}
		n, err := strconv.ParseUint(port, 10, 16)
		portOK := err == nil && n > 0 && strconv.FormatUint(n, 10) == port
		ip := net.ParseIP(name)
		loopback := portOK && (strings.ToLower(name) == "localhost" && len(name) == 9 || name == "::1" || ip.To4() != nil && !strings.Contains(name, ":") && ip.IsLoopback())
		own := slices.Contains([]string{"mcp.example.com", "mcp.example.com:443"}, strings.ToLower(hostport))
		if got := p.Host(r); got != (loopback || own) {
			t.Fatalf("Host %q: %v, want %v", hostport, got, loopback || own)
		}
	})
}

func TestHotPathAllocatesNothing(t *testing.T) {
	p := policy(t, cors.Config{Resource: resource})
	r := request("POST")
	r.Host = "other.example"
	ctx := context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(tcpPublic))
	r = r.WithContext(ctx)
	h := http.Header{"Content-Type": {"application/json"}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		clear(h)
		if !p.Host(r) || !p.Origin(r) || cors.IsPreflight(r) {
			t.Fatal("refused")
		}
		p.Expose(h, r)
	}))
	r.Header.Set("Origin", "https://mcp.example.com")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if !p.Origin(r) {
			t.Fatal("refused")
		}
	}))
}

func BenchmarkPolicy(b *testing.B) {
	p := policy(b, cors.Config{Resource: resource, Origins: []string{"https://app.example.com"}})
	for _, origin := range []string{"", "https://app.example.com"} {
		b.Run("origin="+origin, func(b *testing.B) {
			r := request("POST")
			r.Host = "mcp.example.com"
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			h := http.Header{}
			b.ReportAllocs()
			for b.Loop() {
				clear(h)
				if !p.Host(r) || !p.Origin(r) || cors.IsPreflight(r) {
					b.Fatal("refused")
				}
				p.Expose(h, r)
			}
		})
	}
}
