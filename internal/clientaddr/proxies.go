// Package clientaddr finds out where a request comes from, behind reverse proxies that say so. It believes no field
// that a client alone has written: an address counts only if the peer, and every proxy from there on, is one that was named.
package clientaddr

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// Fields that a proxy reports its client in.
const (
	xForwardedFor = "X-Forwarded-For" // a list of addresses; no standard
	forwarded     = "Forwarded"       // RFC 7239
)

// maxHops is how many proxies may stand in a row. Only what trusted proxies wrote counts, so no client
// comes near it, but a proxy that forwards to itself.
const maxHops = 16

// Proxies are the reverse proxies whose word is taken. The zero Proxies takes nobody's.
//
// Each proxy adds the address of its own peer at the right end of the field. So the list is read from the right, and the
// client is the first address there that belongs to no trusted proxy. What stands to the left of it came from the
// client, who can write anything, and is not looked at.
type Proxies struct {
	Trusted []netip.Prefix
	Field   string // X-Forwarded-For or Forwarded, in any case; empty: X-Forwarded-For
}

// Check says what is wrong with the configuration, and in which member, nil if nothing is.
func (p Proxies) Check() (member string, err error) {
	if err := CheckPrefixes(p.Trusted); err != nil {
		return "Trusted", err
	}
	if _, err := p.field(); err != nil {
		return "Field", err
	}
	return "", nil
}

// Clone copies the list.
func (p Proxies) Clone() Proxies { return Proxies{slices.Clone(p.Trusted), p.Field} }

func (p Proxies) field() (string, error) {
	switch name := textproto.CanonicalMIMEHeaderKey(p.Field); name {
	case "":
		return xForwardedFor, nil
	case xForwardedFor, forwarded:
		return name, nil
	}
	return "", fmt.Errorf("it is %q; write X-Forwarded-For or Forwarded", p.Field)
}

// Client returns the address of the client: IPv4 as such and without a zone. An error says why it cannot
// be told, without quoting what came: a trusted proxy that sent no such field or no address, or a list of trusted proxies alone.
func (p Proxies) Client(remoteAddr string, header http.Header) (netip.Addr, error) {
	peer, err := peerOf(remoteAddr)
	if err != nil || !Contains(p.Trusted, peer) {
		return peer, err
	}
	field, err := p.field()
	if err != nil {
		return netip.Addr{}, err
	}
	hops := hops{lines: header[field], forwarded: field == forwarded}
	n := 0
	for hop, ok := hops.next(); ok; hop, ok = hops.next() {
		if n++; n > maxHops {
			return netip.Addr{}, fmt.Errorf("%s names more than %d trusted proxies", field, maxHops)
		}
		addr, ok := parseHop(hop, !hops.forwarded)
		if !ok {
			return netip.Addr{}, fmt.Errorf("what a trusted proxy wrote into %s is not an address", field)
		}
		if !Contains(p.Trusted, addr) {
			return addr, nil
		}
	}
	if hops.malformed {
		return netip.Addr{}, errForwarded
	}
	if n == 0 {
		return netip.Addr{}, fmt.Errorf("%w: the peer is a trusted proxy and sent no %s", ErrUnsaid, field)
	}
	return netip.Addr{}, errors.New("all addresses in " + field + " are those of trusted proxies; Trusted must name the proxies alone")
}

// ErrUnsaid says that there is no address at all, which is nobody's doing: a peer without one, such as a socket, or a trusted
// proxy that says nothing. Any other error is about what somebody wrote.
var ErrUnsaid = errors.New("no address")

// hops yields the elements of a list, the last one first, without looking at the others. An empty one is
// not passed over: somebody knew no address.
type hops struct {
	lines     []string
	forwarded bool     // their syntax is that of RFC 7239
	nodes     []string // what is left of such a line
	malformed bool     // one of them is not in it; nothing to its left is read
	rest      string   // of another line that is being read
	within    bool
}

func (h *hops) next() (element string, ok bool) {
	if last := len(h.nodes) - 1; last >= 0 {
		element, h.nodes = h.nodes[last], h.nodes[:last]
		return element, true
	}
	if !h.within {
		last := len(h.lines) - 1
		if last < 0 {
			return "", false
		}
		h.rest, h.lines = h.lines[last], h.lines[:last]
		if h.forwarded {
			nodes, err := forwardedNodes(h.rest)
			if err != nil {
				h.malformed = true
				return "", false
			}
			h.nodes = nodes
			return h.next()
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

// CheckPrefixes says what is wrong with a list of prefixes, nil if nothing is.
func CheckPrefixes(prefixes []netip.Prefix) error {
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

// Contains reports whether an address lies in one of the prefixes.
func Contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	for _, prefix := range prefixes {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// peerOf is the address of the peer. What has no port was not written by net/http but by middleware that
// believes a header.
func peerOf(remoteAddr string) (netip.Addr, error) {
	if remoteAddr == "" {
		return netip.Addr{}, fmt.Errorf("%w of a peer, as without HTTP", ErrUnsaid)
	}
	peer, err := netip.ParseAddrPort(remoteAddr)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: that of the peer is not an IP address with a port", ErrUnsaid)
	}
	return plain(peer.Addr()), nil
}

// plain is the form in which addresses are compared.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }
