package cimd_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/cimd"
)

var goodURLs = []string{
	"https://app.example.com/client.json",
	"https://app.example.com:8443/oauth/client",
	"https://app.example.com/a?v=1",
	"https://app.example.com/a/",
	"https://app.example.com/a..b/.well-known/x",
	"https://[2606:4700::1111]/client",
}

var badURLs = map[string]string{
	"http":                        "http://app.example.com/client.json",
	"scheme in capitals":          "HTTPS://app.example.com/client.json",
	"no path":                     "https://app.example.com",
	"the root is no path":         "https://app.example.com/",
	"fragment":                    "https://app.example.com/c#f",
	"empty fragment":              "https://app.example.com/c#",
	"user":                        "https://u@app.example.com/c",
	"user and password":           "https://u:p@app.example.com/c",
	"empty user":                  "https://@app.example.com/c",
	"dot segment":                 "https://app.example.com/a/./c",
	"double dot segment":          "https://app.example.com/a/../c",
	"encoded dot segment":         "https://app.example.com/a/%2e%2e/c",
	"half encoded dot segment":    "https://app.example.com/a/.%2E/c",
	"dot segment at the end":      "https://app.example.com/a/..",
	"no host":                     "https:///c",
	"port without number":         "https://app.example.com:/c",
	"host in capitals":            "https://App.example.com/c",
	"space":                       "https://app.example.com/a b",
	"newline":                     "https://app.example.com/a\nb",
	"backslash":                   `https://app.example.com\@evil.example/c`,
	"not ASCII":                   "https://äpp.example.com/c",
	"bad escape":                  "https://app.example.com/%zz",
	"empty":                       "",
	"too long":                    "https://app.example.com/" + strings.Repeat("a", 2048),
	"another scheme with a slash": "https:/app.example.com/c",
}

func TestAS30_ClientIDURL(t *testing.T) {
	for _, raw := range goodURLs {
		require.NoError(t, cimd.CheckURL(raw), raw)
	}
	for name, raw := range badURLs {
		t.Run("AS-30 "+name, func(t *testing.T) { require.Error(t, cimd.CheckURL(raw)) })
	}
}

// FuzzCheckURL: what is accepted reads the same to net/url, byte for byte, and is what AS-30 says.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range goodURLs {
		f.Add(raw)
	}
	for _, raw := range badURLs {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if cimd.CheckURL(raw) != nil {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		require.Equal(t, raw, u.String())
		require.Equal(t, "https", u.Scheme)
		require.NotEmpty(t, u.Hostname())
		require.Nil(t, u.User)
		require.NotContains(t, raw, "#")
		// A resolver that removes dot segments finds none.
		base, _ := url.Parse("https://" + u.Host + "/")
		require.Equal(t, u.EscapedPath(), base.ResolveReference(&url.URL{Path: u.Path, RawPath: u.RawPath}).EscapedPath())
	})
}

func TestAS31_PublicAddresses(t *testing.T) {
	for _, a := range []string{"1.1.1.1", "8.8.8.8", "93.184.215.14", "172.15.255.255", "172.32.0.0", "100.63.255.255", "100.128.0.0", "192.169.0.1", "2606:4700::1111", "2a00:1450::1"} {
		require.True(t, cimd.Public(netip.MustParseAddr(a)), a)
	}
	for name, addrs := range map[string][]string{
		"unspecified":     {"0.0.0.0", "::", "0.1.2.3"},
		"loopback":        {"127.0.0.1", "127.255.255.255", "::1"},
		"private":         {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fd12:3456::1"},
		"link-local":      {"169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0"},
		"CGNAT":           {"100.64.0.1", "100.127.255.255"},
		"multicast":       {"224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"},
		"broadcast":       {"255.255.255.255", "240.0.0.1"},
		"mapped":          {"::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1"},
		"NAT64":           {"64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1"},
		"6to4 and Teredo": {"2002:7f00:1::", "2002:a00:1::1", "2001:0:7f00:1::", "192.88.99.1"},
		"documentation":   {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"},
		"other":           {"192.0.0.1", "198.18.0.1", "198.19.255.255", "100::1", "5f00::1", "fec0::1", "2001:2::1"},
	} {
		for _, a := range addrs {
			t.Run("AS-31 "+name+" "+a, func(t *testing.T) { require.False(t, cimd.Public(netip.MustParseAddr(a))) })
		}
	}
	require.False(t, cimd.Public(netip.Addr{}))
}
