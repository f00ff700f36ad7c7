package clientaddr_test

import (
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
)

// Forwarded as RFC 7239, Section 4 writes it.
func TestClient_Forwarded(t *testing.T) {
	long := "for=192.0.2.8;x=" + strings.Repeat("x", 8<<10-len("for=192.0.2.8;x=")-1-len("for=192.0.2.1")-1)
	for _, tt := range []struct {
		lines []string
		want  string
	}{
		{[]string{"for=192.0.2.1"}, "192.0.2.1"},
		{[]string{"FOR=192.0.2.1"}, "192.0.2.1"},
		{[]string{`for="192.0.2.1"`}, "192.0.2.1"},
		{[]string{`for="192.0.2.1:80"`}, "192.0.2.1"},
		{[]string{`for="192.0.2.\1"`}, "192.0.2.1"},
		{[]string{`for="[2001:db9::1]:80"`}, "2001:db9::1"},
		{[]string{`for="[2001:db9::1]"`}, "2001:db9::1"},
		{[]string{`for="2001:db9::1"`}, ""},
		{[]string{"proto=http;for=192.0.2.1;by=_p"}, "192.0.2.1"},
		{[]string{"for=192.0.2.8, for=192.0.2.1"}, "192.0.2.1"},
		{[]string{"for=192.0.2.8,for=192.0.2.1,for=10.0.0.2"}, "192.0.2.1"},
		{[]string{" for=192.0.2.8\t,\tfor=192.0.2.1 ; by=x ,for=10.0.0.2 "}, "192.0.2.1"},
		{[]string{"for=192.0.2.8", "for=192.0.2.1", "for=10.0.0.2"}, "192.0.2.1"},
		{[]string{`x="a;for=192.0.2.8, for=192.0.2.7";for=192.0.2.1`}, "192.0.2.1"},
		{[]string{"x=\"tab\tand \xc3\xa9 and \\\"\";for=192.0.2.1"}, "192.0.2.1"},
		{[]string{"!#$%&'*+-.^_`|~09azAZ=x;for=192.0.2.1"}, "192.0.2.1"},
		{[]string{long, "for=192.0.2.1"}, "192.0.2.1"},
		{[]string{long + "x", "for=192.0.2.1"}, "192.0.2.1"},
		{[]string{long + strings.Repeat("x", 15)}, "192.0.2.8"},
		{[]string{long + strings.Repeat("x", 16)}, ""},
		{[]string{"for=10.0.0.2"}, ""},
		{[]string{"for=unknown"}, ""},
		{[]string{`for="_hidden"`}, ""},
		{[]string{"for=192.0.2.1, by=_p"}, ""},
		{[]string{"for=192.0.2.1;for=192.0.2.8"}, ""},
		{[]string{"for=192.0.2.1;For=192.0.2.8"}, ""},
		{[]string{"for=192.0.2.1;by=a;by=b"}, ""},
		{[]string{""}, ""},
		{[]string{"for=192.0.2.1", ""}, ""},
		{[]string{"for=192.0.2.1,"}, ""},
		{[]string{"for=192.0.2.1;"}, ""},
		{[]string{"for=192.0.2.8,,for=192.0.2.1"}, ""},
		{[]string{"for"}, ""},
		{[]string{"for="}, ""},
		{[]string{"=192.0.2.1"}, ""},
		{[]string{"for =192.0.2.1"}, ""},
		{[]string{"for= 192.0.2.1"}, ""},
		{[]string{"for:192.0.2.1"}, ""},
		{[]string{"(x)=y;for=192.0.2.1"}, ""},
		{[]string{"for=192.0.2.1 by=x"}, ""},
		{[]string{`for="192.0.2.1"by=x`}, ""},
		{[]string{`for="192.0.2.1`}, ""},
		{[]string{`for="`}, ""},
		{[]string{`for="192.0.2.1\`}, ""},
		{[]string{`for="192.0.2.1\"`}, ""},
		{[]string{"x=\"\x00\";for=192.0.2.1"}, ""},
		{[]string{"x=\"\x1f\";for=192.0.2.1"}, ""},
		{[]string{"x=\"\x7f\";for=192.0.2.1"}, ""},
		{[]string{`x="`, "for=192.0.2.1"}, "192.0.2.1"}, // what the client wrote is not looked at
		{[]string{`x="`, "for=10.0.0.2"}, ""},
		{[]string{`for="192.0.2.1,10.0.0.2"`}, ""},
		{[]string{`for="192.0.2.1, 10.0.0.2", for=10.0.0.3`}, ""},
		{[]string{"=x;for=192.0.2.1"}, ""},
		{[]string{"by=;for=192.0.2.1"}, ""},
		{[]string{"[=x;for=192.0.2.1"}, ""},
		{[]string{"{=x;for=192.0.2.1"}, ""},
		{[]string{"\x7f=x;for=192.0.2.1"}, ""},
		{[]string{"\xc3\xa9=x;for=192.0.2.1"}, ""},
		{[]string{"@=x;for=192.0.2.1"}, ""},
	} {
		addr, err := clientaddr.Proxies{Trusted: trusted, Field: "Forwarded"}.Client(proxy, http.Header{"Forwarded": tt.lines})
		if tt.want == "" {
			require.Error(t, err, "%q", tt.lines)
			require.Equal(t, netip.Addr{}, addr)
			continue
		}
		require.NoError(t, err, "%q", tt.lines)
		require.Equal(t, tt.want, addr.String(), "%q", tt.lines)
	}
}

// Another reader of the fields, for the property below. It is slow and needs no care.
var (
	pairText    = "[!#$%&'*+.^_`|~0-9A-Za-z-]+=(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+|\"(?:[^\"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\.)*\")"
	elementText = "[ \t]*" + pairText + "(?:[ \t]*;[ \t]*" + pairText + ")*[ \t]*"
	onePair     = regexp.MustCompile("(?s)" + pairText)
	oneElement  = regexp.MustCompile("(?s)" + elementText)
	escaped     = regexp.MustCompile(`(?s)\\(.)`)
	wholeLine   = regexp.MustCompile("(?s)^" + elementText + "(?:," + elementText + ")*$")
)

func nodesOf(lines []string) (nodes []string, ok bool) {
	for _, line := range lines {
		if !wholeLine.MatchString(line) {
			return nil, false
		}
		for _, element := range oneElement.FindAllString(line, -1) {
			node := ""
			for _, pair := range onePair.FindAllString(element, -1) {
				name, value, _ := strings.Cut(pair, "=")
				if strings.EqualFold(name, "for") {
					node = value
				}
			}
			if quoted, ok := strings.CutPrefix(node, `"`); ok {
				node = escaped.ReplaceAllString(quoted[:len(quoted)-1], "$1")
			}
			nodes = append(nodes, node)
		}
	}
	return nodes, true
}

func addressOf(text string) (netip.Addr, bool) {
	if both, err := netip.ParseAddrPort(text); err == nil {
		return both.Addr().Unmap(), both.Addr().Zone() == ""
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// An address is the peer's, or one that a trusted peer has vouched for: it is not trusted itself, and every proxy to the right
// of it is. Doubt is an error.
func FuzzClient(f *testing.F) {
	for _, seed := range []string{
		"", "192.0.2.1", "192.0.2.8, 192.0.2.1, 10.0.0.2", "192.0.2.1\n10.0.0.2, 10.0.0.3", "[2001:db9::1]:80, 2001:db8::5", "fe80::1%eth0",
		"for=192.0.2.1", `for="[2001:db9::1]:80";by=_p, FOR="10.0.0.\2"`, `for=192.0.2.1;x=", for=10.0.0.2"`, "for=192.0.2.1;x=\"\nfor=10.0.0.2", ",;=",
	} {
		for _, remote := range []string{proxy, "[2001:db8::5]:1", "192.0.2.9:1", "[fe80::1%eth0]:1", "10.0.0.1"} {
			f.Add(remote, seed, false)
			f.Add(remote, seed, true)
		}
	}
	in := func(addr netip.Addr) bool {
		for _, prefix := range trusted {
			if prefix.Contains(addr) {
				return true
			}
		}
		return false
	}
	f.Fuzz(func(t *testing.T, remote, text string, standard bool) {
		lines := strings.Split(text, "\n")
		p := clientaddr.Proxies{Trusted: trusted}
		header := http.Header{"X-Forwarded-For": lines, "Forwarded": {"for=192.0.2.66"}}
		if standard {
			p.Field = "Forwarded"
			header = http.Header{"Forwarded": lines, "X-Forwarded-For": {"192.0.2.66"}}
		}
		got, err := p.Client(remote, header)
		if err != nil {
			require.Equal(t, netip.Addr{}, got)
			return
		}
		require.True(t, got.IsValid())
		require.Empty(t, got.Zone())
		require.False(t, got.Is4In6())
		peer, err := netip.ParseAddrPort(remote)
		require.NoError(t, err, "the peer must be an address")
		from := peer.Addr().Unmap().WithZone("")
		if !in(from) {
			require.Equal(t, from, got, "nobody trusted has said anything else")
			return
		}
		for l := len(lines) - 1; ; l-- {
			require.GreaterOrEqual(t, l, 0, "%s stands nowhere", got)
			elements := strings.Split(lines[l], ",")
			if standard {
				nodes, ok := nodesOf(lines[l : l+1])
				require.True(t, ok, "%q is no Forwarded", lines[l])
				elements = nodes
			}
			for i := len(elements) - 1; i >= 0; i-- {
				addr, ok := addressOf(strings.Trim(elements[i], " \t"))
				require.True(t, ok, "%q is no address, and nobody knows what is to the left of it", elements[i])
				if !in(addr) {
					require.Equal(t, addr, got, "the first that is not trusted")
					return
				}
			}
		}
	})
}
