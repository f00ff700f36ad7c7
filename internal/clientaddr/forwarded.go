package clientaddr

import (
	"errors"
	"strings"
)

// maxForwarded bounds one line of a Forwarded field, in bytes. It is read from the left, since a comma
// may stand in a quoted string.
const maxForwarded = 8 << 10

var errForwarded = errors.New("the Forwarded field is malformed or too long")

// forwardedNodes returns the for parameter of each element of one line of the field, in order, and the empty string for one
// without; there is at least one. Lines are read one by one, so that a quote that a client leaves open cannot swallow
// what a proxy adds in a line of its own. In the same line it makes the whole malformed, which refuses.
func forwardedNodes(line string) (nodes []string, err error) {
	if len(line) > maxForwarded {
		return nil, errForwarded
	}
	for rest, more := line, true; more; {
		var node string
		if node, rest, more, err = forwardedElement(rest); err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// forwardedElement reads one element, up to a comma or the end (RFC 7239, Section 4): pairs separated by
// semicolons, none of them twice. Spaces beside separators are passed over.
func forwardedElement(s string) (node, rest string, more bool, err error) {
	var seen []string
	for {
		name, value, rest, ok := forwardedPair(strings.TrimLeft(s, " \t"))
		if !ok {
			return "", "", false, errForwarded
		}
		name = strings.ToLower(name)
		for _, other := range seen {
			if other == name {
				return "", "", false, errForwarded
			}
		}
		seen = append(seen, name)
		if name == "for" {
			node = value
		}
		rest = strings.TrimLeft(rest, " \t")
		switch {
		case rest == "":
			return node, "", false, nil
		case rest[0] == ',':
			return node, rest[1:], true, nil
		case rest[0] != ';':
			return "", "", false, errForwarded
		}
		s = rest[1:]
	}
}

// forwardedPair reads token "=" ( token / quoted-string ).
func forwardedPair(s string) (name, value, rest string, ok bool) {
	n := tokenLength(s)
	if n == 0 || n == len(s) || s[n] != '=' {
		return "", "", "", false
	}
	name, s = s[:n], s[n+1:]
	if !strings.HasPrefix(s, `"`) {
		n = tokenLength(s)
		return name, s[:n], s[n:], n > 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return name, b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case c < ' ' && c != '\t' || c == 0x7f:
			return "", "", "", false
		default:
			b.WriteByte(c)
		}
	}
	return "", "", "", false
}

// tokenLength is how many bytes at the beginning are those of a token (RFC 9110, Section 5.6.2).
func tokenLength(s string) int {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return i
		}
	}
	return len(s)
}
