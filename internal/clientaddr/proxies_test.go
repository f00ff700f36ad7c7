package clientaddr_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
)

func prefixes(texts ...string) (out []netip.Prefix) {
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

// The proxies of these tests, and one of them as the peer.
var trusted = prefixes("10.0.0.0/8", "2001:db8::/32", "fe80::/10")

const proxy = "10.0.0.1:4711"

// client asks behind proxies that write X-Forwarded-For; empty: it cannot be told.
func client(t *testing.T, remote string, lines ...string) string {
	t.Helper()
	addr, err := clientaddr.Proxies{Trusted: trusted}.Client(remote, http.Header{"X-Forwarded-For": lines})
	if err != nil {
		require.Equal(t, netip.Addr{}, addr, "no address goes with an error")
		require.NotContains(t, err.Error(), "192.0.2", "nothing that came is quoted")
		return ""
	}
	return addr.String()
}

func TestClient_ThePeer(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.9:1":           "192.0.2.9",
		"[2001:db9::1]:1":       "2001:db9::1",
		"[::ffff:192.0.2.9]:1":  "192.0.2.9",
		"[fec0::1%eth0]:1":      "fec0::1",
		"192.0.2.9":             "",
		"":                      "",
		"@":                     "",
		"localhost:80":          "",
		"192.0.2.9:http":        "",
		"192.0.2.9:1, 10.0.0.1": "",
	} {
		require.Equal(t, want, client(t, remote, "192.0.2.1"), remote)
	}
	for _, remote := range []string{proxy, "[2001:db8::5]:1", "[::ffff:10.0.0.1]:1", "[fe80::1%eth0]:1"} {
		require.Equal(t, "192.0.2.1", client(t, remote, "192.0.2.1"), remote)
	}
	addr, err := clientaddr.Proxies{}.Client(proxy, http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}})
	require.NoError(t, err)
	require.Equal(t, "10.0.0.1", addr.String(), "the zero Proxies takes nobody's word")
}

// The list is read from the right, up to the first address that is no proxy's.
func TestClient_FromTheRight(t *testing.T) {
	row := func(n int) string { return strings.Repeat(", 10.0.0.2", n) }
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{"192.0.2.1"}, "192.0.2.1"},
		{[]string{"192.0.2.8, 192.0.2.1"}, "192.0.2.1"},
		{[]string{"192.0.2.8, 10.0.0.3, 192.0.2.1"}, "192.0.2.1"},
		{[]string{"192.0.2.8,192.0.2.1,10.0.0.2"}, "192.0.2.1"},
		{[]string{"192.0.2.8, 192.0.2.1", "10.0.0.3, 10.0.0.2"}, "192.0.2.1"},
		{[]string{"192.0.2.8", " 192.0.2.1\t"}, "192.0.2.1"},
		{[]string{"rubbish,,", "192.0.2.1, ::ffff:10.0.0.2, 2001:db8::5"}, "192.0.2.1"},
		{[]string{"192.0.2.1" + row(15)}, "192.0.2.1"},
		{[]string{"192.0.2.1" + row(16)}, ""},
		{[]string{"10.0.0.2, 10.0.0.3"}, ""},
		{[]string{"192.0.2.1, "}, ""},
		{[]string{"192.0.2.1", ""}, ""},
		{[]string{"192.0.2.1,, 10.0.0.2"}, ""},
		{[]string{""}, ""},
		{[]string{"192.0.2.1", ",10.0.0.2"}, ""},
		{nil, ""},
	} {
		require.Equal(t, tt.want, client(t, proxy, tt.lines...), "%q", tt.lines)
	}
	_, err := clientaddr.Proxies{Trusted: trusted}.Client(proxy, http.Header{"X-Forwarded-For": {"10.0.0.2"}})
	require.ErrorContains(t, err, "all addresses in X-Forwarded-For are those of trusted proxies")
	_, err = clientaddr.Proxies{Trusted: trusted}.Client(proxy, nil)
	require.ErrorContains(t, err, "sent no X-Forwarded-For")
}

func TestClient_HowAddressesAreWritten(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1:80":           "192.0.2.1",
		"192.0.2.1:0":            "192.0.2.1",
		"192.0.2.1:65535":        "192.0.2.1",
		"192.0.2.1:65536":        "",
		"192.0.2.1:-1":           "",
		"192.0.2.1:":             "",
		"192.0.2.1:http":         "",
		"192.0.2.1:80:80":        "",
		"[192.0.2.1]":            "",
		"[192.0.2.1]:80":         "",
		"2001:db9::1":            "2001:db9::1",
		"[2001:db9::1]":          "2001:db9::1",
		"[2001:db9::1]:80":       "2001:db9::1",
		"[2001:db9::1]:":         "",
		"[2001:db9::1]80":        "",
		"[2001:db9::1":           "",
		"[":                      "",
		"[]":                     "",
		"2001:db9::1%eth0":       "",
		"[2001:db9::1%eth0]:80":  "",
		"::ffff:192.0.2.1":       "192.0.2.1",
		"[::ffff:192.0.2.1]:80":  "192.0.2.1",
		"unknown":                "",
		"_hidden":                "",
		"192.0.2":                "",
		"192.0.02.1":             "",
		`"192.0.2.1"`:            "",
		"192.0.2.1 10.0.0.2":     "",
		"192.0.2.1;for=10.0.0.2": "",
	} {
		require.Equal(t, want, client(t, proxy, text), text)
	}
}

// The field is the configured one, and no other is looked at.
func TestClient_TheField(t *testing.T) {
	header := http.Header{"X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.2"}, "X-Real-Ip": {"192.0.2.3"}}
	for field, want := range map[string]string{
		"": "192.0.2.1", "x-forwarded-for": "192.0.2.1", "X-FORWARDED-FOR": "192.0.2.1", "Forwarded": "192.0.2.2", "forwarded": "192.0.2.2",
	} {
		addr, err := clientaddr.Proxies{Trusted: trusted, Field: field}.Client(proxy, header)
		require.NoError(t, err, field)
		require.Equal(t, want, addr.String(), field)
	}
	for _, field := range []string{"X-Real-Ip", "X-Forwarded-For ", "Host"} {
		p := clientaddr.Proxies{Trusted: trusted, Field: field}
		addr, err := p.Client(proxy, header)
		require.ErrorContains(t, err, "write X-Forwarded-For or Forwarded")
		require.Equal(t, netip.Addr{}, addr)
		member, err := p.Check()
		require.Equal(t, "Field", member)
		require.ErrorContains(t, err, "write X-Forwarded-For or Forwarded")
	}
	_, err := clientaddr.Proxies{Trusted: trusted, Field: "Forwarded"}.Client(proxy, http.Header{"X-Forwarded-For": {"192.0.2.1"}})
	require.ErrorContains(t, err, "sent no Forwarded")
}

func TestProxies_Check(t *testing.T) {
	for want, list := range map[string][]netip.Prefix{
		"zero Prefix is no prefix":                      {{}},
		"::ffff:10.0.0.0/104 is IPv4":                   prefixes("10.0.0.0/8", "::ffff:10.0.0.0/104"),
		"10.0.0.1/8 has bits set beyond its length":     prefixes("10.0.0.1/8"),
		"write 10.0.0.0/8, or the whole address":        prefixes("10.0.0.1/8"),
		"2001:db8::1/64 has bits set beyond its length": prefixes("2001:db8::1/64"),
	} {
		member, err := clientaddr.Proxies{Trusted: list}.Check()
		require.Equal(t, "Trusted", member)
		require.Error(t, err)
		require.ErrorContains(t, clientaddr.CheckPrefixes(list), want)
	}
	for _, p := range []clientaddr.Proxies{{}, {Trusted: trusted, Field: "forwarded"}} {
		_, err := p.Check()
		require.NoError(t, err)
	}
	require.NoError(t, clientaddr.CheckPrefixes(prefixes("10.0.0.1/32", "::/0")))
}

func TestProxies_Clone(t *testing.T) {
	p := clientaddr.Proxies{Trusted: prefixes("10.0.0.0/8"), Field: "Forwarded"}
	c := p.Clone()
	require.Equal(t, p, c)
	p.Trusted[0] = netip.MustParsePrefix("0.0.0.0/0")
	require.Equal(t, prefixes("10.0.0.0/8"), c.Trusted)
}

func TestContains(t *testing.T) {
	list := prefixes("10.0.0.0/8", "2001:db8::/32")
	for text, want := range map[string]bool{"10.255.0.1": true, "2001:db8::1": true, "11.0.0.1": false, "2001:db9::1": false} {
		require.Equal(t, want, clientaddr.Contains(list, netip.MustParseAddr(text)), text)
	}
	require.False(t, clientaddr.Contains(nil, netip.MustParseAddr("10.0.0.1")))
	require.False(t, clientaddr.Contains(list, netip.Addr{}))
}
