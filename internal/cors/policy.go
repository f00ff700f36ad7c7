// Package cors decides which browsers and which Host may speak to the MCP endpoint, and answers in the terms of the Fetch standard.
//
// The checks come before credentials (Streamable HTTP, Security Warning): [Policy.Host] against DNS rebinding, [Policy.Origin] against pages
// of other sites; a request that fails one gets 403 without a challenge. [Policy.Preflight] answers OPTIONS, and [Policy.Expose] lets the
// page read the answer, a refusal included.
//
// Everything is decided from the configured resource and lists. Access-Control-Allow-Credentials is never sent: tokens travel in a header
// that a script sets itself. Access-Control-Request-Private-Network is never answered either: a page of a public network that may reach a
// private one is what the Origin check is there to stop, and browsers ask their user now instead of the server.
//
// The policy owns the Access-Control-* fields. An inner handler that sets its own would send the field twice, and browsers refuse that.
package cors

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Config configures a Policy.
type Config struct {
	// Resource is the resource identifier, an absolute http or https URL. Its origin is always allowed. Required.
	Resource string
	// Origins are further origins, each exactly as a browser serialises it: "https://app.example.com", "http://localhost:5173",
	// "vscode-webview://abc"; lower case, no default port, no path, no patterns. "null" allows the opaque origin, which any page can have by
	// way of a sandboxed frame. "*", alone, allows every origin. Nil adds none: the resource's own origin stays allowed in any case and, if
	// the resource is on loopback, every origin on loopback.
	Origins []string
	// Headers are request headers that carry credentials besides Authorization and DPoP; a preflight allows them, too.
	Headers []string
}

// Policy is a compiled Config. It is immutable and safe for concurrent use. The zero Policy refuses everything.
type Policy struct {
	host, hostPort string // of the resource, lower case; hostPort with the default port, empty if the resource names another
	loopback       bool   // the resource is on loopback
	any            bool
	origins        map[string]struct{}
	headers        string // Access-Control-Allow-Headers before what is asked for
	allowed        map[string]struct{}
}

// New validates c and reports every mistake at once.
func New(c Config) (*Policy, error) {
	p := &Policy{origins: map[string]struct{}{}, allowed: map[string]struct{}{}}
	var errs []error

	if own, err := p.setResource(c.Resource); err != nil {
		errs = append(errs, err)
	} else {
		p.origins[own] = struct{}{}
	}
	for i, o := range c.Origins {
		switch {
		case o == "*" && len(c.Origins) > 1:
			errs = append(errs, fmt.Errorf("cors: Origins[%d]: %q already allows every origin; remove the others or it", i, o))
		case o == "*":
			p.any = true
		case o == "null":
			p.origins[o] = struct{}{}
		default:
			if err := checkOrigin(o); err != nil {
				errs = append(errs, fmt.Errorf("cors: Origins[%d]: %w", i, err))
			}
			p.origins[o] = struct{}{}
		}
	}
	names := slices.Clone(fixedHeaders)
	for i, h := range c.Headers {
		name := strings.ToLower(h)
		switch {
		case !isToken(name):
			errs = append(errs, fmt.Errorf("cors: Headers[%d]: %q is no header name; write one such as \"X-Api-Key\"", i, h))
		case strings.Contains(name, "*"):
			errs = append(errs, fmt.Errorf("cors: Headers[%d]: %q would allow every header; list the names instead", i, h))
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	p.headers = strings.Join(names, ", ")
	for _, name := range names {
		p.allowed[name] = struct{}{}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// setResource returns the origin of the resource.
func (p *Policy) setResource(resource string) (string, error) {
	u, err := url.Parse(resource)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		// The text of err could show userinfo.
		return "", errors.New(`cors: Resource: must be an absolute URL such as "https://mcp.example.com/mcp"`)
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if strings.HasSuffix(u.Host, ":") || port == "0" {
		return "", errors.New("cors: Resource: write the port or leave out the colon")
	}
	def := defaultPort(u.Scheme)
	if port != "" && port != def {
		host += ":" + port
	} else {
		p.hostPort = host + ":" + def
	}
	own := u.Scheme + "://" + host
	if err := checkOrigin(own); err != nil {
		p.hostPort = ""
		return "", fmt.Errorf("cors: Resource: %w", err)
	}
	p.host, p.loopback = host, isLoopbackHost(host)
	return own, nil
}

// Origin reports whether r may come from where it comes. Without an Origin field it may: only browsers send one, and they always do so where
// it matters. An Origin must be one field line and, byte for byte, an allowed origin; "null" counts only when listed. Sec-Fetch-Site is not
// asked, since a rebound host name is same-origin to the browser.
func (p *Policy) Origin(r *http.Request) bool {
	lines := r.Header["Origin"]
	switch len(lines) {
	case 0:
		return p.host != ""
	case 1:
		return p.allows(lines[0])
	}
	return false
}

// Listed reports whether r has an Origin that is allowed by name: the resource's own, or one of
// Config.Origins, but not by "*", as "null" or for being on loopback. It is for credentials that browsers add
// by themselves.
func (p *Policy) Listed(r *http.Request) bool {
	lines := r.Header["Origin"]
	if len(lines) != 1 || lines[0] == "null" {
		return false
	}
	_, ok := p.origins[lines[0]]
	return ok
}

func (p *Policy) allows(origin string) bool {
	if origin == "" {
		return false
	}
	if p.any {
		return true
	}
	if _, ok := p.origins[origin]; ok {
		return true
	}
	return p.loopback && isLoopbackOrigin(origin)
}

// checkOrigin reports why o is no serialised origin with a host (HTML, "ASCII serialization of an origin").
func checkOrigin(o string) error {
	scheme, rest, ok := strings.Cut(o, "://")
	if !ok || !isScheme(scheme) || rest == "" {
		return fmt.Errorf("%q is no origin; write scheme://host or scheme://host:port, such as \"https://app.example.com\"", o)
	}
	host, port := rest, ""
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, ']') {
		host, port = rest[:i], rest[i+1:]
		if !isPort(port) {
			return fmt.Errorf("%q has no valid port; write a number from 1 to 65535 or leave out the colon", o)
		}
	}
	if strings.ContainsAny(rest, "/?#@") {
		return fmt.Errorf("%q has more than an origin; write scheme, host and port only, without a slash at the end", o)
	}
	if strings.Contains(host, "*") {
		return fmt.Errorf("%q is a pattern; write each origin by itself, or \"*\" alone for all", o)
	}
	if lower := strings.ToLower(o); lower != o {
		return fmt.Errorf("%q must be in lower case; write %q", o, lower)
	}
	if port != "" && port == defaultPort(scheme) {
		return fmt.Errorf("%q names the default port; write %q", o, scheme+"://"+host)
	}
	if literal, ok := strings.CutPrefix(host, "["); ok {
		ip, err := netip.ParseAddr(strings.TrimSuffix(literal, "]"))
		if err != nil || !ip.Is6() || ip.Zone() != "" || host != canonicalIPv6(ip) {
			return fmt.Errorf("%q has no IPv6 address in the form that browsers send; write one such as \"http://[::1]:8080\"", o)
		}
		return nil
	}
	for i := 0; i < len(host); i++ {
		if b := host[i]; !isAlnum(b) && b != '-' && b != '.' && b != '_' {
			return fmt.Errorf("%q has a host that browsers do not send; write the name in ASCII (punycode)", o)
		}
	}
	if host == "" || host[0] == '.' || strings.Contains(host, "..") {
		return fmt.Errorf("%q has an empty label in its host", o)
	}
	if (scheme == "http" || scheme == "https") && endsInNumber(host) {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q has a host that ends in a number but is no IPv4 address of four decimal parts", o)
		}
	}
	return nil
}

// canonicalIPv6 is the URL standard's form. It differs from netip in never writing the last 32 bits as IPv4.
func canonicalIPv6(ip netip.Addr) string {
	if ip.Is4In6() {
		b := ip.As16()
		return fmt.Sprintf("[::ffff:%x:%x]", uint16(b[12])<<8|uint16(b[13]), uint16(b[14])<<8|uint16(b[15]))
	}
	return "[" + ip.String() + "]"
}

// endsInNumber: browsers read such a host as IPv4 or not at all (URL, "ends in a number checker").
func endsInNumber(host string) bool {
	last := strings.TrimSuffix(host, ".")
	last = last[strings.LastIndexByte(last, '.')+1:]
	if strings.HasPrefix(last, "0x") {
		return true
	}
	for i := 0; i < len(last); i++ {
		if last[i] < '0' || last[i] > '9' {
			return false
		}
	}
	return last != ""
}

// isLoopbackOrigin accepts exactly http or https, one of the three names of loopback, and any port but the default one, which no browser
// writes.
func isLoopbackOrigin(o string) bool {
	scheme, rest, ok := strings.Cut(o, "://")
	if !ok || scheme != "http" && scheme != "https" {
		return false
	}
	for _, name := range [...]string{"localhost", "127.0.0.1", "[::1]"} {
		if after, ok := strings.CutPrefix(rest, name); ok {
			if after == "" {
				return true
			}
			return after[0] == ':' && isPort(after[1:]) && after[1:] != defaultPort(scheme)
		}
	}
	return false
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

func isPort(s string) bool {
	if s == "" || len(s) > 5 || s[0] == '0' {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		n = 10*n + int(s[i]-'0')
	}
	return n <= 65535
}

func isScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		if b := s[i]; !isAlnum(b) && (i == 0 || b != '+' && b != '-' && b != '.') {
			return false
		}
	}
	return s != "" && (s[0] < '0' || s[0] > '9')
}

func isAlnum(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func isToken(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isAlnum(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}
