package mcpauth

import (
	"slices"
	"strconv"
	"strings"
)

// maxURI bounds a URI that patterns decide about, in bytes. It is about what RFC 9110, Section 4.1 asks servers to take.
const maxURI = 8 << 10

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

// spellings returns the other forms under which a handler may know a URI: what RFC 3986, Section 6.2
// calls equivalent and what lenient readers make of it, with percent-encoding undone once for the
// unreserved characters, which is always the same resource (Section 6.2.2.2), and once for all. What is no
// encoding stays as it is: of "a%2Fb?%zz", most readers take the path and never look at the rest.
func spellings(uri string) []string {
	normal := normalize(decodeUnreserved(uri))
	full := normal
	for range 4 {
		next := decode(full, func(byte) bool { return true })
		if next == full {
			break
		}
		full = next
	}
	full = normalize(full)
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

// readings are the spellings of a URI that is asked for, and what is left of each where a reader passes over
// its query, its fragment (which names no other resource: RFC 3986, Section 3.5) and slashes at its end. They
// are for looking rules up, not for declaring them: a rule for more than a path stays one for that alone.
func readings(uri string) []string {
	out := spellings(uri)
	add := func(s string) {
		if s != uri && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	if i := strings.IndexAny(uri, "?#"); i >= 0 { // before anything is decoded, which may bring others
		add(uri[:i])
		for _, s := range spellings(uri[:i]) {
			add(s)
		}
	}
	for _, s := range append([]string{uri}, out...) {
		if i := strings.IndexAny(s, "?#"); i >= 0 {
			s = s[:i]
		}
		add(withoutSlashes(s))
	}
	// What a template's variable stands for holds no bytes that no URI has, and mostly no delimiters. Where these came
	// of decoding, as with the slash of "secret%2Fa%7Cb", they are encoded again, in both ways.
	for _, s := range append([]string{uri}, out...) {
		add(encode(s, 0, isURI))
		if strings.Contains(uri, "%") {
			s = withoutSlashes(s)
			add(encode(s, pathOf(s), func(c byte) bool { return c == '/' || isUnreserved(c) }))
		}
	}
	return out
}

// withoutSlashes drops the slashes at the end, but for those of an empty authority.
func withoutSlashes(uri string) string {
	if t := strings.TrimRight(uri, "/"); !strings.HasSuffix(t, ":") {
		return t
	}
	return uri
}

// pathOf is where the path of a URI begins.
func pathOf(uri string) int {
	begin := strings.IndexByte(uri, ':') + 1
	if !strings.HasPrefix(uri[begin:], "//") {
		return begin
	}
	if i := strings.IndexAny(uri[begin+2:], "/?#"); i >= 0 {
		return begin + 2 + i
	}
	return len(uri)
}

// encode writes the bytes from a place on that may not stand for themselves in percent-encoding, and a percent sign that begins none.
func encode(uri string, from int, plain func(byte) bool) string {
	var out []byte
	for i := from; i < len(uri); i++ {
		c := uri[i]
		if plain(c) || c == '%' && i+2 < len(uri) && isHex(uri[i+1]) && isHex(uri[i+2]) {
			if out != nil {
				out = append(out, c)
			}
			continue
		}
		if out == nil {
			out = append(make([]byte, 0, len(uri)+16), uri[:i]...)
		}
		out = append(out, '%', hexDigits[c>>4], hexDigits[c&15])
	}
	if out == nil {
		return uri
	}
	return string(out)
}

const hexDigits = "0123456789ABCDEF"

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isURI reports whether a URI may hold this byte (RFC 3986, Section 2), a percent sign apart.
func isURI(c byte) bool { return isUnreserved(c) || strings.IndexByte(":/?#[]@!$&'()*+,;=", c) >= 0 }

// normalize writes scheme and authority in one way, drops what readers drop (white space, controls, an
// empty query or fragment), and makes single slashes of backslashes and of several.
func normalize(uri string) string {
	uri = strings.Map(func(r rune) rune {
		switch {
		case r <= ' ' || r == 0x7f:
			return -1
		case r == '\\':
			return '/'
		}
		return r
	}, uri)
	uri = strings.TrimRight(uri, "?#")
	scheme, rest, ok := strings.Cut(uri, ":")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return collapse(uri)
	}
	scheme = strings.ToLower(scheme)
	after, ok := strings.CutPrefix(rest, "//")
	if !ok {
		if scheme == "file" && strings.HasPrefix(rest, "/") { // RFC 8089, Appendix B
			return scheme + "://" + collapse(rest)
		}
		return collapse(scheme + ":" + rest)
	}
	end := strings.IndexAny(after, "/?#")
	if end < 0 {
		end = len(after)
	}
	return scheme + "://" + normalHost(scheme, after[:end]) + collapse(after[end:])
}

// normalHost is the host of an authority in lower case, without user information, without the dot that
// ends a full name, and without a port, unless that makes a difference to http.
func normalHost(scheme, authority string) string {
	host := strings.ToLower(authority[strings.LastIndexByte(authority, '@')+1:])
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.Contains(host[i:], "]") {
		port := host[i+1:]
		switch {
		case scheme != "http" && scheme != "https", port == "",
			scheme == "http" && port == "80", scheme == "https" && port == "443":
			host = host[:i]
		}
	}
	host = strings.TrimSuffix(host, ".")
	if scheme == "file" && host == "localhost" { // RFC 8089, Section 2
		return ""
	}
	return host
}

// collapse makes one slash of several.
func collapse(path string) string {
	if !strings.Contains(path, "//") {
		return path
	}
	out := make([]byte, 0, len(path))
	for i := range len(path) {
		if path[i] == '/' && i > 0 && path[i-1] == '/' {
			continue
		}
		out = append(out, path[i])
	}
	return string(out)
}

func decodeUnreserved(uri string) string { return decode(uri, isUnreserved) }

// decode undoes the percent-encoding of those bytes for which it is to be undone.
func decode(uri string, undone func(byte) bool) string {
	if !strings.Contains(uri, "%") {
		return uri
	}
	out := make([]byte, 0, len(uri))
	for i := 0; i < len(uri); i++ {
		if uri[i] == '%' && i+2 < len(uri) {
			if b, err := strconv.ParseUint(uri[i+1:i+3], 16, 8); err == nil && undone(byte(b)) {
				out = append(out, byte(b))
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
