package policy_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

var noPrefix netip.Prefix

func prefix(text string) netip.Prefix { return netip.MustParsePrefix(text) }

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, prefix(text))
	}
	return out
}

func neverAsked(context.Context, netip.Addr) (string, error) { panic("nobody should ask") }

func TestFrom(t *testing.T) {
	for _, tt := range []struct {
		name, remote string
		prefixes     []string
		want         string
	}{
		{"inside", "10.1.2.3:4711", []string{"10.0.0.0/8"}, "yes"},
		{"outside", "11.1.2.3:4711", []string{"10.0.0.0/8"}, "no"},
		{"in the second", "11.1.2.3:4711", []string{"10.0.0.0/8", "11.1.2.3/32"}, "yes"},
		{"IPv6", "[2001:db8::7]:4711", []string{"2001:db8::/32"}, "yes"},
		{"IPv4 written as IPv6", "[::ffff:10.1.2.3]:4711", []string{"10.0.0.0/8"}, "yes"},
		{"is no IPv6", "[::ffff:10.1.2.3]:4711", []string{"::/0"}, "no"},
		{"a zone is passed over", "[fe80::1%eth0]:4711", []string{"fe80::/10"}, "yes"},
		{"a zone does not help Not", "[fe80::1%eth0]:4711", []string{"2001:db8::/32"}, "no"},
		{"empty, as on stdio", "", []string{"0.0.0.0/0"}, "doubt"},
		{"no port, as middleware leaves it", "10.1.2.3", []string{"10.0.0.0/8"}, "doubt"},
		{"a Unix socket", "@", []string{"10.0.0.0/8"}, "doubt"},
		{"a name", "localhost:80", []string{"127.0.0.0/8"}, "doubt"},
		{"leading zeros", "010.1.2.3:80", []string{"10.0.0.0/8"}, "doubt"},
		{"spaces", " 10.1.2.3:80", []string{"10.0.0.0/8"}, "doubt"},
		{"a list", "10.1.2.3:80, 10.1.2.4:80", []string{"10.0.0.0/8"}, "doubt"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			call := tool("t", "")
			call.RemoteAddr = tt.remote
			call.Header = http.Header{"X-Forwarded-For": {"10.9.9.9"}, "Forwarded": {"for=10.9.9.9"}, "X-Real-Ip": {"10.9.9.9"}}
			require.Equal(t, tt.want, verdict(t, policy.From(prefixes(tt.prefixes...)...), call))
		})
	}
}

// The proxies are 10.0.0.5 and 2001:db8::5; the peer is one of them unless the test says otherwise.
func TestProxies_Client(t *testing.T) {
	many := strings.Repeat("6.6.6.6, ", 100_000)
	trusted := func(n int) string { return strings.Repeat(", 10.0.0.5", n) }
	for _, tt := range []struct {
		name, peer, field string
		lines             []string
		want              string // empty: cannot be told
	}{
		{"what the proxy wrote", "", "", []string{"192.0.2.7"}, "192.0.2.7"},
		{"the peer is no proxy", "192.0.2.9:1", "", []string{"10.9.9.9"}, "192.0.2.9"},
		{"the client wrote the left one", "", "", []string{"10.9.9.9, 192.0.2.7"}, "192.0.2.7"},
		{"the client wrote proxies, too", "", "", []string{"10.9.9.9, 10.0.0.5, 192.0.2.7"}, "192.0.2.7"},
		{"two proxies", "", "", []string{"10.9.9.9, 192.0.2.7, 10.0.0.5"}, "192.0.2.7"},
		{"two proxies, one by IPv6", "", "", []string{"192.0.2.7, 2001:db8::5"}, "192.0.2.7"},
		{"the peer by IPv6", "[2001:db8::5]:1", "", []string{"192.0.2.7"}, "192.0.2.7"},
		{"the peer as IPv4 within IPv6", "[::ffff:10.0.0.5]:1", "", []string{"192.0.2.7"}, "192.0.2.7"},
		{"two lines", "", "", []string{"10.9.9.9", "192.0.2.7"}, "192.0.2.7"},
		{"two lines, the last by a second proxy", "", "", []string{"10.9.9.9, 192.0.2.7", "10.0.0.5"}, "192.0.2.7"},
		{"with a port", "", "", []string{"192.0.2.7:4711"}, "192.0.2.7"},
		{"IPv6", "", "", []string{"2001:db8:1::7"}, "2001:db8:1::7"},
		{"IPv6 in brackets", "", "", []string{"[2001:db8:1::7]"}, "2001:db8:1::7"},
		{"IPv6 with a port", "", "", []string{"[2001:db8:1::7]:4711"}, "2001:db8:1::7"},
		{"IPv4 within IPv6", "", "", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		{"a proxy as IPv4 within IPv6", "", "", []string{"192.0.2.7, ::ffff:10.0.0.5"}, "192.0.2.7"},
		{"spaces and tabs", "", "", []string{" 10.9.9.9 ,\t192.0.2.7 \t"}, "192.0.2.7"},
		{"thousands of hops on the left", "", "", []string{many + "192.0.2.7"}, "192.0.2.7"},
		{"rubbish on the left", "", "", []string{"\"\x00,,;unknown, 192.0.2.7"}, "192.0.2.7"},
		{"sixteen proxies less one", "", "", []string{"192.0.2.7" + trusted(15)}, "192.0.2.7"},
		{"too many", "", "", []string{"192.0.2.7" + trusted(16)}, ""},
		{"a list of proxies alone", "", "", []string{"10.0.0.5, 10.0.0.5"}, ""},
		{"no field", "", "", nil, ""},
		{"an empty field", "", "", []string{""}, ""},
		{"an empty element on the right", "", "", []string{"192.0.2.7, "}, ""},
		{"an empty line on the right", "", "", []string{"192.0.2.7", ""}, ""},
		{"an empty element before a proxy", "", "", []string{"192.0.2.7,, 10.0.0.5"}, ""},
		{"unknown", "", "", []string{"192.0.2.7, unknown"}, ""},
		{"obfuscated", "", "", []string{"_hidden"}, ""},
		{"a zone", "", "", []string{"fe80::1%eth0"}, ""},
		{"a zone in brackets", "", "", []string{"[fe80::1%25eth0]"}, ""},
		{"brackets left open", "", "", []string{"[2001:db8:1::7"}, ""},
		{"brackets around IPv4", "", "", []string{"[192.0.2.7]"}, ""},
		{"rubbish after brackets", "", "", []string{"[2001:db8:1::7]x"}, ""},
		{"a port that is none", "", "", []string{"192.0.2.7:http"}, ""},
		{"a port too large", "", "", []string{"192.0.2.7:65536"}, ""},
		{"an empty port", "", "", []string{"192.0.2.7:"}, ""},
		{"octal", "", "", []string{"192.0.02.7"}, ""},
		{"a number", "", "", []string{"3221225991"}, ""},
		{"quotes", "", "", []string{`"192.0.2.7"`}, ""},
		{"the other field is not looked at", "", "Forwarded", []string{}, ""},

		{"Forwarded", "", "forwarded", []string{"for=192.0.2.7"}, "192.0.2.7"},
		{"Forwarded, the examples of RFC 7239, Section 4", "", "Forwarded", []string{`For="[2001:db8:cafe::17]:4711"`}, "2001:db8:cafe::17"},
		{"Forwarded, its third", "", "Forwarded", []string{"for=192.0.2.60;proto=http;by=203.0.113.43"}, "192.0.2.60"},
		{"Forwarded, its fourth", "", "Forwarded", []string{"for=192.0.2.43, for=198.51.100.17"}, "198.51.100.17"},
		{"Forwarded, unknown", "", "Forwarded", []string{"for=192.0.2.43, for=unknown"}, ""},
		{"Forwarded, obfuscated", "", "Forwarded", []string{`for="_gazonk"`}, ""},
		{"Forwarded, two proxies and two lines", "", "Forwarded", []string{"for=6.6.6.6, for=192.0.2.7", "by=x;for=10.0.0.5"}, "192.0.2.7"},
		{"Forwarded, quoted and escaped", "", "Forwarded", []string{`x="a,\"b;for=6.6.6.6", for="192.0.2.\7:80";by="_p"`}, "192.0.2.7"},
		{"Forwarded, a quote left open by the client", "", "Forwarded", []string{`for=6.6.6.6;x=", for=192.0.2.7`}, ""},
		{"Forwarded, a quote against quotes", "", "Forwarded", []string{`for=6.6.6.6;x=", for="192.0.2.7"`}, ""},
		{"Forwarded, a quote left open in a line of the client's", "", "Forwarded", []string{`for=6.6.6.6;x="`, `for=192.0.2.7`}, "192.0.2.7"},
		{"Forwarded, an element without for", "", "Forwarded", []string{"for=192.0.2.7, proto=https"}, ""},
		{"Forwarded, for twice", "", "Forwarded", []string{"for=192.0.2.7;FOR=6.6.6.6"}, ""},
		{"Forwarded, IPv6 without brackets", "", "Forwarded", []string{`for="2001:db8:cafe::17"`}, ""},
		{"Forwarded, an empty element", "", "Forwarded", []string{"for=6.6.6.6, , for=192.0.2.7"}, ""},
		{"Forwarded, an empty line", "", "Forwarded", []string{""}, ""},
		{"Forwarded, no equals sign", "", "Forwarded", []string{"for"}, ""},
		{"Forwarded, a space before the equals sign", "", "Forwarded", []string{"for =192.0.2.7"}, ""},
		{"Forwarded, another separator", "", "Forwarded", []string{`for=192.0.2.7/x=y`}, ""},
		{"Forwarded, no separator", "", "Forwarded", []string{`for="192.0.2.7"xby=_p`}, ""},
		{"Forwarded, nothing after the separator", "", "Forwarded", []string{`for=192.0.2.7;`}, ""},
		{"Forwarded, too long", "", "Forwarded", []string{strings.Repeat("for=6.6.6.6, ", 1000) + "for=192.0.2.7"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := policy.Proxies{Trusted: prefixes("10.0.0.5/32", "2001:db8::5/128"), Field: tt.field}
			call := tool("t", "")
			if call.RemoteAddr = tt.peer; tt.peer == "" {
				call.RemoteAddr = "10.0.0.5:33000"
			}
			call.Header = http.Header{}
			if name := http.CanonicalHeaderKey(tt.field); name != "" {
				call.Header[name] = tt.lines
				call.Header["X-Forwarded-For"] = append(call.Header["X-Forwarded-For"], "10.9.9.9")
			} else {
				call.Header["X-Forwarded-For"] = tt.lines
				call.Header["Forwarded"] = []string{"for=10.9.9.9"}
			}
			client, err := p.Client(call)
			everywhere := p.From(prefix("0.0.0.0/0"), prefix("::/0"))
			if tt.want == "" {
				require.Error(t, err)
				require.Equal(t, "doubt", verdict(t, everywhere, call))
				require.NotContains(t, err.Error(), "192.0.2.7", "nothing is quoted")
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.want, client.String())
			require.Equal(t, "yes", verdict(t, everywhere, call))
			require.Equal(t, "no", verdict(t, p.From(prefix("10.9.9.9/32")), call))
		})
	}
	_, err := policy.Proxies{Trusted: prefixes("10.0.0.5/32"), Field: "X-Real-Ip"}.Client(&mcpauth.Call{RemoteAddr: "10.0.0.5:1"})
	require.ErrorContains(t, err, "write X-Forwarded-For or Forwarded")
	_, err = policy.Proxies{}.Client(&mcpauth.Call{})
	require.ErrorContains(t, err, "without HTTP")
}

func TestRegion(t *testing.T) {
	var asked []string
	lookup := func(_ context.Context, addr netip.Addr) (string, error) {
		asked = append(asked, addr.String())
		switch addr.String() {
		case "192.0.2.1":
			return "DE", nil
		case "192.0.2.2":
			return "FR", nil
		case "192.0.2.3":
			return "", nil
		case "192.0.2.4":
			return "DE", errors.New("geo.internal is down")
		}
		panic("no such network")
	}
	c := policy.Region(lookup, "DE", "AT")
	for remote, want := range map[string]string{
		"192.0.2.1:80": "yes", "192.0.2.2:80": "no", "192.0.2.3:80": "doubt", "192.0.2.4:80": "outage", "192.0.2.5:80": "doubt", "": "doubt",
	} {
		call := tool("t", "")
		call.RemoteAddr = remote
		require.Equal(t, want, verdict(t, c, call), remote)
	}
	require.NotContains(t, asked, "invalid IP")

	call := tool("t", "")
	call.RemoteAddr, call.Header = "10.0.0.5:1", http.Header{"X-Forwarded-For": {"192.0.2.1, 192.0.2.2"}}
	edge := policy.Proxies{Trusted: prefixes("10.0.0.5/32")}
	require.Equal(t, "no", verdict(t, edge.Region(lookup, "DE"), call))
	require.EqualError(t, edge.Region(lookup, "DE").Check(t.Context(), call),
		`policy: region("DE" by X-Forwarded-For of 10.0.0.5/32): 192.0.2.2 is in "FR"`)
	err := policy.Region(lookup, "DE").Check(t.Context(), func() *mcpauth.Call { c := tool("t", ""); c.RemoteAddr = "192.0.2.4:1"; return c }())
	require.ErrorIs(t, err, mcpauth.ErrUnavailable)
	require.ErrorContains(t, err, "geo.internal is down")
}

// A client writes any lines it likes; the proxy adds the client's address to them, in the same line or in
// one of its own. Whoever the client says to be, it is taken for what the proxy saw, or refused.
func FuzzForwarded(f *testing.F) {
	for _, seed := range []string{"", "10.9.9.9", "10.9.9.9, 10.0.0.5", `for=10.9.9.9`, `for=10.9.9.9;x="`, `for="[::1]:80", for=`, "a\nb\nc", `x="\`, `for=10.9.9.9;x=",for="`, ",,,", "unknown", "[::1", `x="a", `, ";"} {
		for way := range uint8(8) {
			f.Add(seed, way)
		}
	}
	const seen = "192.0.2.7"
	proxies := policy.Proxies{Trusted: prefixes("10.0.0.5/32", "10.0.0.6/32")}
	f.Fuzz(func(t *testing.T, claimed string, way uint8) {
		standard, ownLine, second := way&1 != 0, way&2 != 0, way&4 != 0
		field, first, next := "X-Forwarded-For", seen, "10.0.0.6"
		if standard {
			field, first, next = "Forwarded", "for="+seen+`;by="_edge";host=example.com`, `for="10.0.0.6:80"`
		}
		lines := strings.Split(claimed, "\n")
		add := func(element string) {
			if last := len(lines) - 1; !ownLine && lines[last] != "" {
				lines[last] += ", " + element
			} else {
				lines = append(lines, element)
			}
		}
		add(first)
		if second {
			add(next)
		}
		p := proxies
		p.Field = field
		call := &mcpauth.Call{RemoteAddr: "10.0.0.5:1", Header: http.Header{field: lines}}
		client, err := p.Client(call)
		if err != nil {
			if !standard {
				t.Fatalf("a client made itself unknown by %q", claimed)
			}
			return
		}
		if client.String() != seen {
			t.Fatalf("%q made %s of %s, with %q", claimed, client, seen, lines)
		}
		// Not behind a proxy, it is its own address, whatever it writes.
		call.RemoteAddr = "192.0.2.8:1"
		client, err = p.Client(call)
		if err != nil || client.String() != "192.0.2.8" {
			t.Fatalf("%q made %s of the peer: %v", claimed, client, err)
		}
	})
}
