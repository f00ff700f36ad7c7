package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
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
	if err := clientaddr.CheckPrefixes(prefixes); err != nil {
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
		if !clientaddr.Contains(prefixes, client) {
			return fails("the client is " + client.String())
		}
		return holds()
	})
}
