package cimd

import (
	"net"
	"net/netip"
)

// special are the blocks of the IANA special-purpose registries inside what Public would otherwise let through (RFC 6890 and its updates).
var special = prefixes(
	"0.0.0.0/8",       // this network
	"10.0.0.0/8",      // private (RFC 1918)
	"100.64.0.0/10",   // carrier-grade NAT (RFC 6598)
	"127.0.0.0/8",     // loopback
	"169.254.0.0/16",  // link-local, where clouds keep their metadata services
	"172.16.0.0/12",   // private
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.31.196.0/24", // AS112
	"192.52.193.0/24", // AMT
	"192.88.99.0/24",  // 6to4 relays
	"192.168.0.0/16",  // private
	"192.175.48.0/24", // AS112
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, and broadcast
	"2001::/23",       // protocol assignments: Teredo, ORCHID, benchmarks
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4, which embeds any IPv4 address
	"2620:4f:8000::/48",
	"3fff::/20", // documentation
)

// globalV6 is all that is assigned as global unicast (RFC 4291, Section 2.4). Loopback, unique local, link-local, multicast and the forms that embed an
// IPv4 address (mapped, compatible, NAT64) lie outside it.
var globalV6 = netip.MustParsePrefix("2000::/3")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// attached reports whether an address is one of this machine, or in a network that it is attached to: global addresses too can be behind the firewall
// that this machine is behind.
func attached(ip netip.Addr) bool {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return true
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.Contains(ip.AsSlice()) {
			return true
		}
	}
	return false
}

// Public reports whether an address may be anywhere on the Internet, rather than on this machine, in its networks or in a block with a special purpose.
// The zero Addr, and one with a zone, are not.
func Public(ip netip.Addr) bool {
	if !ip.IsValid() || ip.Zone() != "" || ip.Is4In6() {
		return false
	}
	if ip.Is6() && !globalV6.Contains(ip) {
		return false
	}
	for _, p := range special {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}
