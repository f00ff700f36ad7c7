package policy

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/textproto"
	"strings"

	"github.com/go-mcpauth/sdk/internal/clientaddr"
	"github.com/go-mcpauth/sdk/mcpauth"
)

// Proxies are the reverse proxies whose word about a client's address is taken. The zero Proxies takes
// nobody's: the client is the peer of the connection.
//
// Each proxy adds the address of its own peer at the right end of the field. So the list is read from the
// right, and the client is the first address there that belongs to no trusted proxy. What stands to the
// left of it came from the client, who can write anything, and is not looked at. A field that came from a
// peer that is not trusted is not looked at either.
//
// It cannot be told who the client is, and the conditions refuse, if a trusted proxy sent no such field, or
// if what it wrote is not an address ("unknown", an obfuscated name), or if the list names trusted proxies
// alone, or more than 16 of them. So Trusted must name the proxies and not the network that they share
// with clients.
type Proxies struct {
	// Trusted are the addresses of the proxies, such as 10.0.0.5/32. Whoever can connect from one of them
	// can claim any address.
	Trusted []netip.Prefix

	// Field is what the proxies add to: "X-Forwarded-For" or "Forwarded" (RFC 7239). Zero:
	// "X-Forwarded-For". The other field is not looked at, since a proxy that does not know it lets it
	// through as the client wrote it.
	Field string
}

// checked copies the proxies, and panics if they are mistaken.
func (p Proxies) checked(function string) Proxies {
	if member, err := p.in().Check(); err != nil {
		panic(fmt.Sprintf("policy: %s: Proxies.%s: %v", function, member, err))
	}
	return Proxies(p.in().Clone())
}

func (p Proxies) in() clientaddr.Proxies { return clientaddr.Proxies(p) }

// text is what conditions print after their own.
func (p Proxies) text() string {
	if len(p.Trusted) == 0 {
		return ""
	}
	texts := make([]string, len(p.Trusted))
	for i, prefix := range p.Trusted {
		texts[i] = prefix.String()
	}
	field := cmp.Or(textproto.CanonicalMIMEHeaderKey(p.Field), "X-Forwarded-For")
	return " by " + field + " of " + strings.Join(texts, " ")
}

// Client returns the address of the client: IPv4 as such and without a zone. An error says why it cannot
// be told, without quoting what came.
func (p Proxies) Client(call *mcpauth.Call) (netip.Addr, error) {
	return p.in().Client(call.RemoteAddr, call.Header)
}
