package cors

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Host reports whether the Host of r is one that this server goes by, so that a page whose own name was made to point at loopback (DNS
// rebinding) gets nothing.
//
// The resource's host, with its port, is always accepted; the default port may be written or not. Where the resource is on loopback, or the
// connection arrived on loopback (http.LocalAddrContextKey), loopback names with any port are accepted too, and nothing else is: that covers
// a development server, and a reverse proxy on the same machine that passes on the public host or names its upstream "localhost:8080". Such
// a proxy must not invent another name; with nginx and an upstream block, set "proxy_set_header Host $host".
//
// In every other case, a public resource reached over a network, Host is not enforced: a proxy, load balancer or health check may put there
// what it likes, and nothing in this module is derived from it. A page that rebound its name still has no token there, and its POST still
// names its own origin.
func (p *Policy) Host(r *http.Request) bool {
	switch p.host {
	case "":
		return false
	case r.Host: // as it is nearly always
		return true
	}
	if equalFoldASCII(r.Host, p.host) || p.hostPort != "" && equalFoldASCII(r.Host, p.hostPort) {
		return true
	}
	if p.loopback || arrivedOnLoopback(r) {
		return isLoopbackHost(r.Host)
	}
	return true
}

func arrivedOnLoopback(r *http.Request) bool {
	switch a := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return a != nil && a.IP.IsLoopback()
	case *net.UnixAddr, nil: // no web page can connect to a Unix socket
		return false
	case net.Addr:
		ap, err := netip.ParseAddrPort(a.String())
		return err == nil && ap.Addr().Unmap().IsLoopback()
	}
	return false
}

// isLoopbackHost reports whether a host with or without a port is localhost, in 127.0.0.0/8, or ::1.
func isLoopbackHost(hostport string) bool {
	host := hostport
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		if !isPort(host[i+1:]) {
			return false
		}
		host = host[:i]
	}
	if equalFoldASCII(host, "localhost") || host == "[::1]" {
		return true
	}
	if !strings.HasPrefix(host, "127.") {
		return false
	}
	_, err := netip.ParseAddr(host) // the prefix alone could begin a name
	return err == nil
}

// equalFoldASCII is strings.EqualFold without the letters outside ASCII that fold into it.
func equalFoldASCII(a, b string) bool {
	if a == b {
		return true
	}
	if len(a) != len(b) {
		return false
	}
	for i := 0; i < len(a); i++ {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(b byte) byte {
	if 'A' <= b && b <= 'Z' {
		return b + 'a' - 'A'
	}
	return b
}
