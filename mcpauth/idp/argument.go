package idp

import (
	"fmt"
	"strings"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

// A preset names the function that is called, for messages about its arguments.
type preset string

func (p preset) refuse(argument, value, instead string) {
	panic(fmt.Sprintf("idp: %s: %s %q cannot be right: write %s", string(p), argument, value, instead))
}

// host accepts the name of a host, perhaps with a port. Since consoles show URLs, "https://" before it and one slash behind it are
// passed over.
func (p preset) host(argument, value, example string) string {
	host := strings.TrimSuffix(strings.TrimPrefix(value, "https://"), "/")
	if strings.ContainsAny(host, "/?@") || fetch.CheckURL("https://"+host) != nil {
		p.refuse(argument, value, "a host such as "+example)
	}
	return host
}

// url accepts the URL that others are made of; http is for loopback. The slash at its end does not matter, since the preset knows
// how the issuer is written.
func (p preset) url(argument, value, example string) string {
	if strings.Contains(value, "?") || strings.Contains(value, "/.well-known/") || fetch.CheckURL(value) != nil {
		p.refuse(argument, value, "a URL such as "+example)
	}
	return strings.TrimSuffix(value, "/")
}

// issuer accepts an issuer that is a URL of the operator's choice, in which a slash at the end makes a difference.
func (p preset) issuer(argument, value, example string) string {
	p.url(argument, value, example)
	return value
}

// id accepts what becomes one segment of a path.
func (p preset) id(argument, value, example string) string {
	ok := value != "" && value != "." && value != ".."
	for i := range len(value) {
		switch c := value[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.', c == '~':
		default:
			ok = false
		}
	}
	if !ok {
		p.refuse(argument, value, "an id such as "+example)
	}
	return value
}

// guid accepts an id in the form of a GUID, of which consoles show capitals and tokens hold none.
func (p preset) guid(argument, value, instead string) string {
	ok := len(value) == 36
	for i := range len(value) {
		c := value[i]
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
		ok = ok && (dash && c == '-' || !dash && hex)
	}
	if !ok {
		p.refuse(argument, value, instead)
	}
	return strings.ToLower(value)
}

// text accepts a value that is compared and no part of a URL.
func (p preset) text(argument, value, example string) string {
	if strings.TrimSpace(value) != value || value == "" {
		p.refuse(argument, value, example)
	}
	return value
}

// texts accepts a list that may be empty, which stays nil.
func (p preset) texts(argument string, values []string, example string) []string {
	var out []string
	for _, value := range values {
		out = append(out, p.text(argument, value, example))
	}
	return out
}

// types are the typ headers of a provider that does not write at+jwt, or not always. at+jwt (RFC 9068, Section 2.1) is never
// refused: it is what providers move to.
func types(others ...string) []string { return append([]string{"at+jwt"}, others...) }
