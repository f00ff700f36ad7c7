package mcpauth

import (
	"net/url"
	"strings"
)

// hasDotSegments reports whether a URI holds a "." or ".." segment, plain or percent-encoded any
// number of times, with a slash or a backslash between segments: readers differ in what they undo.
func hasDotSegments(uri string) bool {
	// Some readers drop tabs, line breaks and surrounding spaces (WHATWG URL, Section 4.4) or end at a NUL.
	uri = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, uri)
	for range 4 {
		for segment := range strings.FieldsFuncSeq(uri, func(r rune) bool {
			return strings.ContainsRune(`/\?#:;`, r)
		}) {
			if segment == "." || segment == ".." {
				return true
			}
		}
		next := unescapePath(uri)
		if next == uri {
			return false
		}
		uri = next
	}
	return true // still escaped after four rounds: nobody writes that by chance
}

// unescapePath undoes the percent-encoding of the characters that make up dot segments, and of the
// percent sign itself.
func unescapePath(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	return unescaper.Replace(s)
}

var unescaper = strings.NewReplacer(
	"%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", `\`, "%5C", `\`, "%25", "%",
	"%00", "", "%09", "", "%0a", "", "%0A", "", "%0d", "", "%0D", "", "%20", "",
	"%3b", ";", "%3B", ";", "%3f", "?", "%3F", "?", "%23", "#",
)

// spellings returns the other forms under which a handler may know a URI: with scheme and host in
// lower case, no doubled slashes in the path, and percent-encoding undone, once for the unreserved
// characters, which is always the same resource (RFC 3986, Section 6.2.2.2), and once for all.
func spellings(uri string) []string {
	normal := collapse(lowerAuthority(decodeUnreserved(uri)))
	full := normal
	for range 4 {
		next, err := url.PathUnescape(full)
		if err != nil || next == full {
			break
		}
		full = next
	}
	full = collapse(lowerAuthority(full))
	switch {
	case normal == uri && full == uri:
		return nil
	case normal == uri || normal == full:
		return []string{full}
	case full == uri:
		return []string{normal}
	}
	return []string{normal, full}
}

// lowerAuthority lowers scheme and host, which are compared without case (RFC 3986, Section 6.2.2.1).
func lowerAuthority(uri string) string {
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return uri
	}
	host, path := "", rest
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		end := strings.IndexAny(after, `/\?#`)
		if end < 0 {
			end = len(after)
		}
		host, path = "//"+strings.ToLower(after[:end]), after[end:]
	}
	return strings.ToLower(scheme) + ":" + host + path
}

// collapse makes one slash of several, after the authority.
func collapse(uri string) string {
	start := 0
	if i := strings.Index(uri, "://"); i >= 0 {
		start = i + len("://")
	}
	if !strings.Contains(uri[start:], "//") {
		return uri
	}
	out := []byte(uri[:start])
	for i := start; i < len(uri); i++ {
		if uri[i] == '/' && i > start && uri[i-1] == '/' {
			continue
		}
		out = append(out, uri[i])
	}
	return string(out)
}

func decodeUnreserved(uri string) string {
	if !strings.Contains(uri, "%") {
		return uri
	}
	out := make([]byte, 0, len(uri))
	for i := 0; i < len(uri); i++ {
		if uri[i] == '%' && i+2 < len(uri) {
			if b, err := url.PathUnescape(uri[i : i+3]); err == nil && len(b) == 1 && isUnreserved(b[0]) {
				out = append(out, b[0])
				i += 2
				continue
			}
		}
		out = append(out, uri[i])
	}
	return string(out)
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
