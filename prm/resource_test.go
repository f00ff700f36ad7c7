package prm_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/go-mcpauth/sdk/prm"
	"github.com/stretchr/testify/require"
)

var wellKnown = []struct{ resource, url, path string }{
	{"https://h", "https://h/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource"},
	{"https://h/", "https://h/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource"},
	{"https://h:8443/a/mcp", "https://h:8443/.well-known/oauth-protected-resource/a/mcp", "/.well-known/oauth-protected-resource/a/mcp"},
	{"https://h/mcp/", "https://h/.well-known/oauth-protected-resource/mcp/", "/.well-known/oauth-protected-resource/mcp/"},
	{"https://h/mcp?t=1", "https://h/.well-known/oauth-protected-resource/mcp?t=1", "/.well-known/oauth-protected-resource/mcp"},
	{"https://h?t=1", "https://h/.well-known/oauth-protected-resource?t=1", "/.well-known/oauth-protected-resource"},
	{"https://h/?t=1", "https://h/.well-known/oauth-protected-resource?t=1", "/.well-known/oauth-protected-resource"},
	{"https://h/mcp?u=a/b?c", "https://h/.well-known/oauth-protected-resource/mcp?u=a/b?c", "/.well-known/oauth-protected-resource/mcp"},
	{"HTTPS://H:443/Mcp", "HTTPS://H:443/.well-known/oauth-protected-resource/Mcp", "/.well-known/oauth-protected-resource/Mcp"},
	{"https://h/caf%C3%A9", "https://h/.well-known/oauth-protected-resource/caf%C3%A9", "/.well-known/oauth-protected-resource/caf%C3%A9"},
	{"https://h/a'(b)!*", "https://h/.well-known/oauth-protected-resource/a'(b)!*", "/.well-known/oauth-protected-resource/a'(b)!*"},
	{"http://[::1]:8080/mcp", "http://[::1]:8080/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource/mcp"},
}

func TestPRM01_WellKnownURL(t *testing.T) {
	for _, tc := range wellKnown {
		t.Run("PRM-01 "+tc.resource, func(t *testing.T) {
			u, err := prm.WellKnownURL(tc.resource)
			require.NoError(t, err)
			require.Equal(t, tc.url, u)
			p, err := prm.WellKnownPath(tc.resource)
			require.NoError(t, err)
			require.Equal(t, tc.path, p)
		})
	}
}

var badResources = []struct{ name, raw, want string }{
	{"empty", "", "is empty"},
	{"relative", "/mcp", "not an absolute URL"},
	{"no scheme", "mcp.example.com/mcp", "not an absolute URL"},
	{"scheme later on", "/redirect?to=https://h", "not an absolute URL"},
	{"opaque", "https:h/mcp", "not an absolute URL"},
	{"urn", "urn:example:mcp", "not an absolute URL"},
	{"plain http", "http://mcp.example.com/mcp", "uses http"},
	{"http on a private address", "http://10.0.0.1/mcp", "uses http"},
	{"http on a name that begins like loopback", "http://localhost.example.com", "uses http"},
	{"http on a name made of loopback digits", "http://127.0.0.1.example.com", "uses http"},
	{"http on a mapped address", "http://[::ffff:127.0.0.1]/", "uses http"},
	{"another scheme", "ftp://h/mcp", `uses the scheme "ftp"`},
	{"no host", "https:///mcp", "has no host"},
	{"port without host", "https://:443/mcp", "has no host"},
	{"user", "https://u@h/mcp", "user information"},
	{"user and password", "https://u:hunter2@h/mcp", "user information"},
	{"password without an end", "https://u:hunter2@", "user information"},
	{"fragment", "https://h/mcp#x", "has a fragment"},
	{"empty fragment", "https://h/mcp#", "has a fragment"},
	{"empty query", "https://h/mcp?", "has an empty query"},
	{"dot segment", "https://h/./mcp", "path segment"},
	{"dot segments", "https://h/a/..", "path segment"},
	{"encoded dot", "https://h/%2e%2E/mcp", "unreserved"},
	{"encoded slash", "https://h/a%2Fb", "encoded slash"},
	{"encoded backslash", "https://h/a%5Cb", "encoded slash"},
	{"encoded letter", "https://h/%6Dcp", "unreserved"},
	{"double slash", "https://h//mcp", "empty path segment"},
	{"half an escape", "https://h/a%2", "hexadecimal"},
	{"no escape", "https://h/100%", "hexadecimal"},
	{"space", "https://h/a b", "0x20"},
	{"space in front", " https://h/", "scheme"},
	{"quote", `https://h/a"b`, "0x22"},
	{"backslash", `https://h/a\b`, "0x5C"},
	{"line break", "https://h/a\r\nX: y", "0x0D"},
	{"beyond ASCII", "https://h/é", "0xC3"},
	{"international host", "https://bücher.example/", "xn--"},
	{"escape in the host", "https://h%41/", "host"},
	{"dot at the end of the host", "https://h./mcp", "empty label"},
	{"empty port", "https://h:/mcp", "malformed port"},
	{"port zero", "https://h:0/mcp", "malformed port"},
	{"port with a leading zero", "https://h:0443/mcp", "malformed port"},
	{"port out of range", "https://h:65536/mcp", "malformed port"},
	{"port in letters", "https://h:https/mcp", "malformed port"},
	{"IPv6 without brackets", "https://::1/mcp", "has no host"},
	{"IPv6 with a zone", "http://[fe80::1%25eth0]/", "IPv6"},
	{"IPv6 without an end", "https://[::1/mcp", "IPv6"},
	{"IPv6 with a tail", "https://[::1]x/mcp", "IPv6"},
	{"brackets around IPv4", "https://[127.0.0.1]/", "IPv6"},
	{"the metadata URL", "https://h/.well-known/oauth-protected-resource/mcp", "is the URL of metadata"},
	{"endless", "https://h/" + strings.Repeat("a", 2048), "longer than"},
}

func TestPRM21_BadIdentifiersAreRefused(t *testing.T) {
	for _, tc := range badResources {
		t.Run("PRM-21 "+tc.name, func(t *testing.T) {
			warnings, err := prm.ValidateResource(tc.raw)
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "prm: resource ")
			require.ErrorContains(t, err, "write ")
			require.NotContains(t, err.Error(), "hunter2")
			require.Empty(t, warnings)
			_, err = prm.WellKnownURL(tc.raw)
			require.ErrorContains(t, err, tc.want)
			_, err = prm.WellKnownPath(tc.raw)
			require.ErrorContains(t, err, tc.want)
		})
	}
}

func TestPRM21_HTTPOnLoopbackOnly(t *testing.T) {
	for _, raw := range []string{"http://localhost:8080/mcp", "http://LOCALHOST/mcp", "http://127.0.0.1/mcp", "http://127.8.9.1:1/mcp", "http://[::1]:8080/mcp"} {
		_, err := prm.ValidateResource(raw)
		require.NoError(t, err, raw)
	}
}

func TestPRM22_UnusualSpellingsWarn(t *testing.T) {
	tests := []struct {
		name, raw string
		want      []string // one fragment per warning
	}{
		{"PRM-22 the usual form", "https://mcp.example.com/mcp", nil},
		{"PRM-22 a bare origin", "https://mcp.example.com", nil},
		{"PRM-22 another port", "https://mcp.example.com:8443/mcp", nil},
		{"PRM-22 port 80 with https", "https://mcp.example.com:80/mcp", nil},
		{"PRM-22 capital scheme", "Https://h/mcp", []string{"scheme"}},
		{"PRM-22 capital host", "https://MCP.example.com/Mcp", []string{"write https://mcp.example.com/Mcp"}},
		{"PRM-22 default port", "https://h:443/mcp", []string{"write https://h/mcp"}},
		{"PRM-22 default port of http", "http://localhost:80/mcp", []string{"write http://localhost/mcp"}},
		{"PRM-22 slash at the end", "https://h/mcp/", []string{"write https://h/mcp"}},
		{"PRM-22 slash after the host", "https://h/", []string{"write https://h"}},
		{"PRM-22 long IPv6", "https://[0:0::1]:443/mcp", []string{"write https://[::1]/mcp", "default port"}},
		{"PRM-21 query is discouraged", "https://h/mcp?t=1", []string{"query"}},
		{"PRM-22 everything at once", "HTTPS://H:443/mcp/?t=1", []string{"write https://h/mcp?t=1", "host", "port", "slash", "query"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got, err := prm.ValidateResource(tc.raw)
			require.NoError(t, err)
			require.Len(t, got, len(tc.want))
			for i, want := range tc.want {
				require.Contains(t, got[i], want)
			}
		})
	}
}

// FuzzWellKnownURL: removing the inserted part gives the resource back, net/url reads the same parts, and a handler for the resource answers there.
func FuzzWellKnownURL(f *testing.F) {
	for _, tc := range wellKnown {
		f.Add(tc.resource)
	}
	for _, tc := range badResources {
		f.Add(tc.raw)
	}
	f.Fuzz(func(t *testing.T, resource string) {
		wk, err := prm.WellKnownURL(resource)
		if err != nil {
			return
		}
		back := strings.Replace(wk, prm.WellKnownPrefix, "", 1)
		if back != resource && back != strings.Replace(resource, "/?", "?", 1) && back+"/" != resource {
			t.Fatalf("%q became %q", resource, wk)
		}
		u, err := url.Parse(resource)
		require.NoError(t, err, "net/url must accept what we accept")
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		require.Empty(t, u.Fragment)
		v, err := url.Parse(wk)
		require.NoError(t, err)
		require.Equal(t, u.Host, v.Host)
		require.Equal(t, u.RawQuery, v.RawQuery)
		if u.EscapedPath() != "/" {
			require.Equal(t, prm.WellKnownPrefix+u.EscapedPath(), v.EscapedPath())
		}
		h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least(resource)}})
		require.NoError(t, err)
		w := serve(h, "GET", v.RequestURI())
		require.Equal(t, 200, w.Code)
		var m prm.Metadata
		require.NoError(t, m.UnmarshalJSON(w.Body.Bytes()))
		require.Equal(t, resource, m.Resource, "PRM-03")
	})
}
