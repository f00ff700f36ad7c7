package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// From holds if the peer of the connection has an address in one of the prefixes. Behind a reverse proxy
// the peer is the proxy: see [Proxies]. IPv4 addresses that are written as IPv6 count as IPv4, and the zone
// of a link-local address is passed over. Without prefixes it is the zero Condition.
//
// Without an address with a port, as on standard input and output and on Unix sockets, it cannot be told.
// It panics for a prefix that is not valid, has bits set beyond its length, or is IPv4 written as IPv6.
func From(prefixes ...netip.Prefix) Condition { return Proxies{}.From(prefixes...) }

// From is [From] for clients behind these proxies.
func (p Proxies) From(prefixes ...netip.Prefix) Condition {
	p = p.checked("From")
	if err := checkPrefixes(prefixes); err != nil {
		panic(fmt.Sprintf("policy: From: %v", err))
	}
	if len(prefixes) == 0 {
		return Condition{}
	}
	prefixes = slices.Clone(prefixes)
	texts := make([]string, len(prefixes))
	for i, prefix := range prefixes {
		texts[i] = prefix.String()
	}
	return leaf("from("+strings.Join(texts, " ")+p.text()+")", func(q question) answer {
		client, err := p.Client(q.call)
		if err != nil {
			return doubts(err.Error())
		}
		if !contains(prefixes, client) {
			return fails("the client is " + client.String())
		}
		return holds()
	})
}

func checkPrefixes(prefixes []netip.Prefix) error {
	for _, prefix := range prefixes {
		switch {
		case !prefix.IsValid():
			return errors.New("the zero Prefix is no prefix; write netip.MustParsePrefix(...)")
		case prefix.Addr().Is4In6():
			return fmt.Errorf("%v is IPv4; write it so", prefix)
		case prefix != prefix.Masked():
			return fmt.Errorf("%v has bits set beyond its length; write %v, or the whole address with its full length", prefix, prefix.Masked())
		}
	}
	return nil
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// peerOf is the address of the peer. What has no port was not written by net/http but by middleware that
// believes a header.
func peerOf(call *mcpauth.Call) (netip.Addr, error) {
	if call.RemoteAddr == "" {
		return netip.Addr{}, errors.New("there is no address of a peer, as without HTTP")
	}
	peer, err := netip.ParseAddrPort(call.RemoteAddr)
	if err != nil {
		return netip.Addr{}, errors.New("the address of the peer is not an IP address with a port")
	}
	return plain(peer.Addr()), nil
}

// plain is the form in which addresses are compared.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
