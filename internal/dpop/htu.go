package dpop

import (
	"net/netip"
	"strings"
)

// maxURL bounds htu, and the URL that it is compared with.
const maxURL = 2 << 10

// Classes of the bytes of a URI (RFC 3986, Section 2).
const (
	unreserved = 1 << iota
	pathByte   // pchar and the slash, without the percent sign
	hostByte   // of a registered name; no percent sign: a name on the Internet needs none
	uriByte    // anything that can stand in a URI
)

var classes = func() (t [256]uint8) {
	add := func(set string, class uint8) {
		for i := range len(set) {
			t[set[i]] |= class
		}
	}
	const (
		alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
		marks        = "-._~"
		delimiters   = "!$&'()*+,;="
	)
	add(alphanumeric+marks, unreserved|pathByte|hostByte|uriByte)
	add(delimiters, pathByte|hostByte|uriByte)
	add(":@/", pathByte|uriByte)
	add("?#[]%", uriByte)
	return t
}()

// normalizeURL applies syntax-based and scheme-based normalization (RFC 3986, Sections 6.2.2 and 6.2.3) to
// an absolute http or https URL and drops query and fragment, as RFC 9449, Section 4.3 says. It reports
// false for anything else, for user information and for a URL that is too long. It is idempotent.
//
// Kept apart are names that only a resolver could identify: a host with a dot at its end, two spellings of
// one IPv6 address, a port with leading zeros, and a path with and without a slash at its end.
func normalizeURL(raw string) (string, bool) {
	if len(raw) > maxURL || !validURI(raw) {
		return "", false
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return "", false
	}
	defaultPort := ""
	switch scheme = strings.ToLower(scheme); scheme {
	case "http":
		defaultPort = "80"
	case "https":
		defaultPort = "443"
	default:
		return "", false
	}
	if i := strings.IndexAny(rest, "?#"); i >= 0 {
		rest = rest[:i]
	}
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	host, port, ok := splitAuthority(authority)
	if !ok {
		return "", false
	}
	path, ok = normalizePath(path)
	if !ok {
		return "", false
	}
	out := scheme + "://" + strings.ToLower(host)
	if port != "" && port != defaultPort {
		out += ":" + port
	}
	return out + path, true
}

// validURI reports whether s has nothing but the ASCII characters of a URI, and no broken escape.
func validURI(s string) bool {
	for i := 0; i < len(s); i++ {
		if classes[s[i]]&uriByte == 0 {
			return false
		}
		if s[i] == '%' {
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		}
	}
	return true
}

// splitAuthority refuses user information, an empty host and a port that is no number. An empty port is
// as good as none (RFC 3986, Section 6.2.3).
func splitAuthority(s string) (host, port string, ok bool) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		if end < 0 {
			return "", "", false
		}
		host, port = s[:end+1], s[end+1:]
		// A zone has meaning on one machine only (RFC 6874, Section 4).
		addr, err := netip.ParseAddr(s[1:end])
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return "", "", false
		}
	} else {
		host, port = s, ""
		if i := strings.IndexByte(s, ':'); i >= 0 {
			host, port = s[:i], s[i:]
		}
		if host == "" {
			return "", "", false
		}
		for i := range len(host) {
			if classes[host[i]]&hostByte == 0 {
				return "", "", false
			}
		}
	}
	if port == "" {
		return host, "", true
	}
	if port[0] != ':' || len(port) > 6 {
		return "", "", false
	}
	for i := 1; i < len(port); i++ {
		if port[i] < '0' || port[i] > '9' {
			return "", "", false
		}
	}
	return host, port[1:], true
}

// normalizePath decodes escapes of unreserved characters and writes the others in capitals, so that %2F
// stays what it is; then it removes dot segments. An empty path is "/".
func normalizePath(path string) (string, bool) {
	out := make([]byte, 0, len(path)+1)
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c != '%' {
			if classes[c]&pathByte == 0 {
				return "", false
			}
			out = append(out, c)
			continue
		}
		c = unhex(path[i+1])<<4 | unhex(path[i+2])
		if classes[c]&unreserved != 0 {
			out = append(out, c)
		} else {
			const digits = "0123456789ABCDEF"
			out = append(out, '%', digits[c>>4], digits[c&15])
		}
		i += 2
	}
	return removeDotSegments(string(out)), true
}

// removeDotSegments is RFC 3986, Section 5.2.4 for a path that is empty or begins with a slash.
func removeDotSegments(path string) string {
	if path == "" {
		return "/"
	}
	if !strings.Contains(path, "/.") {
		return path
	}
	segments := strings.Split(path[1:], "/")
	kept := segments[:0]
	for i, segment := range segments {
		last := i == len(segments)-1
		switch segment {
		case "..":
			kept = kept[:max(len(kept)-1, 0)]
			fallthrough
		case ".":
			if last {
				kept = append(kept, "") // what is left ends with a slash
			}
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// withoutSecrets cuts a URL to what a log may show of it: clients put tokens into queries, fragments and
// the part before an @.
func withoutSecrets(raw string) string {
	if i := strings.IndexAny(raw, "?#"); i >= 0 {
		raw = raw[:i] + "..."
	}
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		raw = "..." + raw[i:]
	}
	return raw
}
