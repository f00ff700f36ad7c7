package dpop_test

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/dpop"
)

// same and different are spellings of https://mcp.example.com/a/%2Fb~c/mcp and of what is another URL.
var urlTable = []struct {
	resource        string
	same, different []string
}{
	{"https://mcp.example.com/a/%2Fb~c/mcp", []string{
		"https://mcp.example.com/a/%2Fb~c/mcp", "HTTPS://mcp.example.com/a/%2Fb~c/mcp", "https://MCP.EXAMPLE.COM/a/%2Fb~c/mcp",
		"https://mcp.example.com:443/a/%2Fb~c/mcp", "https://mcp.example.com:/a/%2Fb~c/mcp", "https://mcp.example.com/a/%2fb~c/mcp",
		"https://mcp.example.com/a/%2Fb%7Ec/mcp", "https://mcp.example.com/a/%2Fb%7ec/%6D%63p", "https://mcp.example.com/a/./%2Fb~c/mcp",
		"https://mcp.example.com/x/../a/%2Fb~c/mcp", "https://mcp.example.com/../a/%2Fb~c/x/%2E%2e/mcp", "https://mcp.example.com/a/%2Fb~c/mcp?a=b",
		"https://mcp.example.com/a/%2Fb~c/mcp?", "https://mcp.example.com/a/%2Fb~c/mcp#", "https://mcp.example.com/a/%2Fb~c/mcp#x?y", "https://mcp.example.com/a/%2Fb~c/mcp?/../x",
	}, []string{
		"", "https", "https:", "https:/", "https://", "https:///a/%2Fb~c/mcp", "//mcp.example.com/a/%2Fb~c/mcp", "/a/%2Fb~c/mcp", "mcp.example.com/a/%2Fb~c/mcp",
		"http://mcp.example.com/a/%2Fb~c/mcp", "http://mcp.example.com:443/a/%2Fb~c/mcp", "wss://mcp.example.com/a/%2Fb~c/mcp",
		"https://mcp.example.com:8443/a/%2Fb~c/mcp", "https://mcp.example.com:80/a/%2Fb~c/mcp", "https://mcp.example.com:0443/a/%2Fb~c/mcp",
		"https://mcp.example.com:x/a/%2Fb~c/mcp", "https://mcp.example.com:443:443/a/%2Fb~c/mcp", "https://mcp.example.com:000443/a/%2Fb~c/mcp", "https://mcp.example.com:+443/a/%2Fb~c/mcp",
		"https://mcp.example.com./a/%2Fb~c/mcp", "https://evil.example/a/%2Fb~c/mcp", "https://xmcp.example.com/a/%2Fb~c/mcp", "https://mcp.example.com.evil.example/a/%2Fb~c/mcp",
		"https://user@mcp.example.com/a/%2Fb~c/mcp", "https://user:pw@mcp.example.com/a/%2Fb~c/mcp", "https://@mcp.example.com/a/%2Fb~c/mcp", "https://mcp.example.com@evil.example/a/%2Fb~c/mcp",
		"https://mcp%2Eexample.com/a/%2Fb~c/mcp", "https://mcp.example.com%00/a/%2Fb~c/mcp", "https://mcp.example.com\\/a/%2Fb~c/mcp",
		"https://mcp.example.com/a//b~c/mcp", "https://mcp.example.com/a/%252Fb~c/mcp", "https://mcp.example.com/a/%2Fb~c/mcp/", "https://mcp.example.com/a/%2Fb~c/MCP",
		"https://mcp.example.com/A/%2Fb~c/mcp", "https://mcp.example.com//a/%2Fb~c/mcp", "https://mcp.example.com/a/%2Fb~c/mcp%20", "https://mcp.example.com/a/%2Fb~c/mcp ",
		" https://mcp.example.com/a/%2Fb~c/mcp", "https://mcp.example.com/a/%2Fb~c/mcp\n", "https://mcp.example.com/a/%2Fb~c/mcp%", "https://mcp.example.com/a/%2Fb~c/mcp%0",
		"https://mcp.example.com/a/%2Fb~c/mcp?%zz", "https://mcp.example.com/a/%2Fb~c/mcp#%", "https://mcp.example.com/a/%2Fb~c/mcp;x", "https://mcp.example.com/a/%2Fb~c/mcp%3Fq",
		"https://mcp.example.com/a/%2Fb~c/mcp\u0301", "https://\u043ccp.example.com/a/%2Fb~c/mcp", "https://mcp.example.com/a\\%2Fb~c/mcp", "https://mcp.example.com/a/%2Fb~c/mcp[",
		"https://[mcp.example.com]/a/%2Fb~c/mcp", "https://mcp.example.com/a/%2Fb~c", "https://mcp.example.com/a/%2Fb~c/mcp/..", "https://mcp.example.com/a/%2Fb~c/mcp?" + strings.Repeat("a", 2048),
	}},
	{"https://mcp.example.com", []string{
		"https://mcp.example.com", "https://mcp.example.com/", "https://mcp.example.com?a", "https://mcp.example.com:443#a", "https://mcp.example.com/.", "https://mcp.example.com/..",
		"https://mcp.example.com/a/..", "https://mcp.example.com/./",
	}, []string{"https://mcp.example.com//", "https://mcp.example.com/a", "https://mcp.example.com.", "https://mcp.example.com/a/."}},
	{"http://[2001:db8::A]:8080/mcp", []string{"http://[2001:DB8::a]:8080/mcp"}, []string{
		"http://[2001:db8:0::a]:8080/mcp", "http://2001:db8::a:8080/mcp", "http://[2001:db8::a%25eth0]:8080/mcp", "http://[2001:db8::a]/mcp", "http://[2001:db8::a/mcp",
		"http://[2001:db8::a]8080/mcp", "http://[]:8080/mcp", "http://[v1.a]:8080/mcp", "http://[127.0.0.1]:8080/mcp",
	}},
	{"http://localhost:80/mcp", []string{"http://localhost/mcp", "HTTP://LOCALHOST:80/mcp"}, []string{"https://localhost:80/mcp", "http://127.0.0.1/mcp", "http://localhost:443/mcp"}},
	{"https://mcp.example.com/a/?tenant=b", []string{"https://mcp.example.com/a/", "https://mcp.example.com/a/b/.."}, []string{"https://mcp.example.com/a"}},
	{"https://MCP.example.com:443/%6dcp", []string{"https://MCP.example.com:443/%6dcp", "https://mcp.example.com/mcp"}, []string{"https://mcp.example.com/%6Dc"}},
}

func TestDPOP06_NormalizedURLs(t *testing.T) {
	for _, tt := range urlTable {
		v := newVerifier(t, func(c *dpop.Config) { c.URL = tt.resource })
		verify := func(htu string) error {
			text := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(htu)
			_, err := v.Verify(requestFor("p256", sign(t, "ES256", "p256", goodHeader("p256"), strings.Replace(goodClaims, resource, text, 1))))
			return err
		}
		for _, htu := range tt.same {
			require.NoError(t, verify(htu), "%q is %q", htu, tt.resource)
			require.True(t, naiveSame(htu, tt.resource), "%q is %q", htu, tt.resource)
		}
		for _, htu := range tt.different {
			err := verify(htu)
			require.Error(t, err, "%q is not %q", htu, tt.resource)
			require.Equal(t, dpop.ReasonURL, refusalOf(t, err).Reason)
		}
	}
}

func TestNormalizeURL(t *testing.T) {
	for raw, want := range map[string]string{
		"HTTP://A.Example:080/":               "http://a.example:080/",
		"https://A.example:443":               "https://a.example/",
		"http://a.example:443?x":              "http://a.example:443/",
		"https://[2001:DB8::1]:443/%7e%2f%3d": "https://[2001:db8::1]/~%2F%3D",
		"https://a/b/./c/../../d/..//e/.":     "https://a//e/",
		"https://a/../..":                     "https://a/",
		"https://a/...":                       "https://a/...",
		"https://a/:@!$&'()*+,;=":             "https://a/:@!$&'()*+,;=",
		"https://a!$&'()*+,;=/":               "https://a!$&'()*+,;=/",
	} {
		got, ok := dpop.NormalizeURL(raw)
		require.True(t, ok, raw)
		require.Equal(t, want, got)
	}
	for _, raw := range []string{
		"https://[2001:db8::1%25eth0]/", "https://[::ffff:1.2.3.4%251]/", "https://[1.2.3.4]/", "https://[v1.a]/", "https://[::1]x/", "https://[::1/",
		"https://a:123456/", "https://a:-1/", "https://a:1:2/", "https://u@a/", "https://u:p@a/", "https://:80/", "https://?x", "https://#x", "https:///x",
		"https://a/[", "https://a/]", "https://[/", "https://]/", "https://a]/", "https://a%2d/", "https://a/%", "https://a/%2", "https://a/%2g", "https://a/?%", "https://a/#%",
		"https://a/\\", "https://a/ ", "https://a/\x00", "https://a/\x7f", "https://a/\u00e4", "https://a/<", "https://a/|", "https://a/^", "https://a/`", "https://a/{",
		"http:a", "http:/a", "ftp://a/", "httpsx://a/", "://a/", "", "a", "https://a/" + strings.Repeat("a", 2039),
	} {
		got, ok := dpop.NormalizeURL(raw)
		require.False(t, ok, raw)
		require.Empty(t, got)
	}
	_, ok := dpop.NormalizeURL("https://a/" + strings.Repeat("a", 2038))
	require.True(t, ok)
}

// naiveNormalize is RFC 3986 by net/url and path.
func naiveNormalize(raw string) (string, bool) {
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	scheme, port := strings.ToLower(u.Scheme), u.Port()
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	if scheme == "http" && port == "80" || scheme == "https" && port == "443" {
		port = ""
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port != "" {
		host += ":" + port
	}
	// Each segment decoded and encoded again, so that an escaped slash stays one. The stand-in for empty
	// segments, which path.Clean would merge, is no character of a URI.
	segments := strings.Split(u.EscapedPath(), "/")
	for i, segment := range segments {
		text, err := url.PathUnescape(segment)
		if err != nil {
			return "", false
		}
		var b strings.Builder
		for j := range len(text) {
			if c := text[j]; 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 {
				b.WriteByte(c)
			} else {
				b.WriteString(strings.ToUpper("%" + hex(c)))
			}
		}
		if segments[i] = b.String(); segments[i] == "" {
			segments[i] = "\x00"
		}
	}
	joined := "/" + strings.Join(segments[min(1, len(segments)):], "/")
	cleaned := path.Clean(joined)
	if last := segments[len(segments)-1]; (last == "." || last == "..") && !strings.HasSuffix(cleaned, "/") {
		cleaned += "/"
	}
	return scheme + "://" + host + strings.ReplaceAll(cleaned, "\x00", ""), true
}

func hex(c byte) string { const d = "0123456789abcdef"; return string([]byte{d[c>>4], d[c&15]}) }

func naiveSame(a, b string) bool {
	na, ok := naiveNormalize(a)
	nb, fine := naiveNormalize(b)
	return ok && fine && na == nb
}

// FuzzURL: normalization is idempotent, and never takes two URLs for one that net/url tells apart.
func FuzzURL(f *testing.F) {
	for _, tt := range urlTable {
		for _, list := range [][]string{tt.same, tt.different} {
			for _, raw := range list {
				f.Add(raw, tt.resource)
			}
		}
	}
	f.Add("https://h/a/.%2e/b/%2e", "https://h/b/")
	f.Add("https://h/a%2f..%2fb", "https://h/b")
	f.Fuzz(func(t *testing.T, a, b string) {
		na, ok := dpop.NormalizeURL(a)
		if !ok {
			require.Empty(t, na)
			return
		}
		again, ok := dpop.NormalizeURL(na)
		require.True(t, ok, "%q to %q", a, na)
		require.Equal(t, na, again)
		require.False(t, strings.ContainsAny(na, "?#"), "%q to %q", a, na)
		require.True(t, naiveSame(a, na), "%q to %q", a, na)
		if nb, ok := dpop.NormalizeURL(b); ok && na == nb {
			require.True(t, naiveSame(a, b), "%q and %q", a, b)
		}
	})
}
