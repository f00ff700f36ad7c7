package prm

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// WellKnownPrefix is inserted between host and path of a resource identifier (RFC 9728, Section 3).
const WellKnownPrefix = "/.well-known/oauth-protected-resource"

// ValidateResource judges a resource identifier (RFC 9728, Section 1.2). The error joins every reason why it cannot be used. The warnings name
// spellings that clients may rewrite before they compare, and the spelling to use instead; the identifier works, and stays as written.
func ValidateResource(raw string) (warnings []string, err error) {
	l, err := parseResource(raw)
	if err != nil {
		return nil, named("prm: resource", err)
	}
	better := l.canonical()
	warn := func(found bool, text string) {
		if found {
			warnings = append(warnings, fmt.Sprintf("prm: resource %s; write %s", text, better))
		}
	}
	warn(l.scheme != strings.ToLower(l.scheme), "has capital letters in its scheme, which clients fold before they compare")
	warn(l.host != canonicalHost(l.host), "has a host that clients rewrite before they compare")
	warn(l.port != "" && l.port == defaultPort(l.scheme), "names the default port, which clients drop before they compare")
	warn(strings.HasSuffix(l.path, "/"), "ends in a slash, which people leave out when they type it")
	if l.hasQuery {
		warnings = append(warnings, "prm: resource has a query, which RFC 9728 discourages; write the distinction into the path")
	}
	return warnings, nil
}

// WellKnownURL returns the URL of the metadata of a resource: the identifier with [WellKnownPrefix] inserted between host and path or
// query, everything else byte for byte (RFC 9728, Section 3.1). The error is that of [ValidateResource].
func WellKnownURL(resource string) (string, error) {
	l, err := parseResource(resource)
	if err != nil {
		return "", named("prm: resource", err)
	}
	u := l.scheme + "://" + l.authority + l.wellKnownPath()
	if l.hasQuery {
		u += "?" + l.query
	}
	return u, nil
}

// WellKnownPath returns the path of [WellKnownURL], percent-encoded as in the identifier and without the query: what a router needs.
func WellKnownPath(resource string) (string, error) {
	l, err := parseResource(resource)
	if err != nil {
		return "", named("prm: resource", err)
	}
	return l.wellKnownPath(), nil
}

func (l location) wellKnownPath() string {
	if l.path == "/" { // RFC 9728, Section 3.1: a slash following the host is removed first
		return WellKnownPrefix
	}
	return WellKnownPrefix + l.path
}

// parseResource refuses what an identifier may not have, besides what no URL may have. The rules on the path keep out spellings that
// routers and proxies rewrite on the way, so that the metadata would be unreachable or answer for another path.
func parseResource(raw string) (location, error) {
	l, err := parseLocation(raw)
	if err != nil {
		return l, err
	}
	var errs []error
	refuse := func(found bool, text string) {
		if found {
			errs = append(errs, errors.New(text))
		}
	}
	refuse(l.hasHash, "has a fragment, which RFC 9728, Section 1.2 forbids; write the URL without # and what follows")
	refuse(l.hasQuery && l.query == "", "has an empty query; write the URL without the ? at the end")
	refuse(strings.Contains(l.path, "//"), "has an empty path segment; write one slash between segments")
	refuse(dotSegment(l.path), "has a . or .. path segment; write the path that it stands for")
	refuse(needlessEscape(l.path), "has a path with an encoded slash, backslash or unreserved character; write unreserved characters as they are, and no slash inside a segment")
	refuse(l.path == WellKnownPrefix || strings.HasPrefix(l.path, WellKnownPrefix+"/"),
		"is the URL of metadata; write the URL of the resource itself, without "+WellKnownPrefix)
	return l, errors.Join(errs...)
}

func dotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}

// needlessEscape finds escapes that RFC 3986, Section 6.2.2.2 has normalisers decode, dots among them, and those that decode to a separator.
func needlessEscape(path string) bool {
	for i := 0; i+2 < len(path); i++ {
		if path[i] != '%' {
			continue
		}
		c, err := strconv.ParseUint(path[i+1:i+3], 16, 8)
		if err != nil || unreserved(byte(c)) || c == '/' || c == '\\' || c == 0 {
			return true
		}
	}
	return false
}

// canonical is the spelling that every client leaves alone.
func (l location) canonical() string {
	host := canonicalHost(l.host)
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	u := strings.ToLower(l.scheme) + "://" + host
	if l.port != "" && l.port != defaultPort(l.scheme) {
		u += ":" + l.port
	}
	u += strings.TrimSuffix(l.path, "/")
	if l.hasQuery {
		u += "?" + l.query
	}
	return u
}

// origin is scheme, host and port, for comparing two resources.
func (l location) origin() string {
	return location{scheme: l.scheme, host: l.host, port: l.port}.canonical()
}

func canonicalHost(host string) string {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.String()
	}
	return strings.ToLower(host)
}

func defaultPort(scheme string) string {
	if strings.EqualFold(scheme, "http") {
		return "80"
	}
	return "443"
}
