package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// Fields that a proxy reports its client in.
const (
	xForwardedFor = "X-Forwarded-For" // a list of addresses; no standard
	forwarded     = "Forwarded"       // RFC 7239
)

// maxHops is how many proxies may stand in a row. Only what trusted proxies wrote counts, so no client
// comes near it, but a proxy that forwards to itself.
const maxHops = 16

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
	if err := checkPrefixes(p.Trusted); err != nil {
		panic(fmt.Sprintf("policy: %s: Proxies.Trusted: %v", function, err))
	}
	if _, err := p.field(); err != nil {
		panic(fmt.Sprintf("policy: %s: %v", function, err))
	}
	p.Trusted = slices.Clone(p.Trusted)
	return p
}

func (p Proxies) field() (string, error) {
	switch name := textproto.CanonicalMIMEHeaderKey(p.Field); name {
	case "":
		return xForwardedFor, nil
	case xForwardedFor, forwarded:
		return name, nil
	}
	return "", fmt.Errorf("Proxies.Field is %q; write X-Forwarded-For or Forwarded", p.Field)
}

// text is what conditions print after their own.
func (p Proxies) text() string {
	if len(p.Trusted) == 0 {
		return ""
	}
	texts := make([]string, len(p.Trusted))
	for i, prefix := range p.Trusted {
		texts[i] = prefix.String()
	}
	field, _ := p.field()
	return " by " + field + " of " + strings.Join(texts, " ")
}

// Client returns the address of the client: IPv4 as such and without a zone. An error says why it cannot
// be told, without quoting what came.
func (p Proxies) Client(call *mcpauth.Call) (netip.Addr, error) {
	peer, err := peerOf(call)
	if err != nil || !contains(p.Trusted, peer) {
		return peer, err
	}
	field, err := p.field()
	if err != nil {
		return netip.Addr{}, err
	}
	hops := hops{lines: call.Header[field]}
	if field == forwarded {
		nodes, err := forwardedNodes(call.Header[field])
		if err != nil {
			return netip.Addr{}, err
		}
		hops.lines, hops.whole = nodes, true
	}
	n := 0
	for hop, ok := hops.next(); ok; hop, ok = hops.next() {
		if n++; n > maxHops {
			return netip.Addr{}, fmt.Errorf("%s names more than %d trusted proxies", field, maxHops)
		}
		addr, ok := parseHop(hop, !hops.whole)
		if !ok {
			return netip.Addr{}, fmt.Errorf("what a trusted proxy wrote into %s is not an address", field)
		}
		if !contains(p.Trusted, addr) {
			return addr, nil
		}
	}
	if n == 0 {
		return netip.Addr{}, fmt.Errorf("the peer is a trusted proxy and sent no %s", field)
	}
	return netip.Addr{}, errors.New("all addresses in " + field + " are those of trusted proxies; Proxies.Trusted must name the proxies alone")
}

// hops yields the elements of a list, the last one first, without looking at the others. An empty one is
// not passed over: somebody knew no address.
type hops struct {
	lines  []string
	whole  bool   // each line is one element
	rest   string // of the line that is being read
	within bool
}

func (h *hops) next() (element string, ok bool) {
	if !h.within {
		last := len(h.lines) - 1
		if last < 0 {
			return "", false
		}
		h.rest, h.lines = h.lines[last], h.lines[:last]
		if h.whole {
			return h.rest, true
		}
	}
	comma := strings.LastIndexByte(h.rest, ',')
	element = strings.Trim(h.rest[comma+1:], " \t")
	if h.within = comma >= 0; h.within {
		h.rest = h.rest[:comma]
	}
	return element, true
}

// parseHop reads an address with or without a port. IPv6 with a port is in brackets, and without one it
// is so in Forwarded (RFC 7239, Section 6); bare allows it to stand alone.
func parseHop(text string, bare bool) (netip.Addr, bool) {
	host, port, hasPort := text, "", false
	inBrackets := strings.HasPrefix(text, "[")
	switch {
	case inBrackets:
		var rest string
		var closed bool
		if host, rest, closed = strings.Cut(text[1:], "]"); !closed {
			return netip.Addr{}, false
		}
		if port, hasPort = strings.CutPrefix(rest, ":"); !hasPort && rest != "" {
			return netip.Addr{}, false
		}
	case strings.Count(text, ":") == 1:
		host, port, hasPort = strings.Cut(text, ":")
	}
	if hasPort {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return netip.Addr{}, false
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Zone() != "" || addr.Is6() && !inBrackets && !bare || addr.Is4() && inBrackets {
		return netip.Addr{}, false
	}
	return plain(addr), true
}
