package prm

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// maxURL bounds every URL in a document. Longer ones do not survive common proxies.
const maxURL = 2048

// A location is an absolute http or https URL in its parts, as written. It is cut by hand so that every byte is accounted for:
// net/url accepts and silently rewrites much that RFC 3986 does not allow.
type location struct {
	scheme    string
	authority string // host and port
	host      string // without brackets
	port      string
	path      string
	query     string
	hasQuery  bool
	hasHash   bool
}

// parseLocation refuses what no URL of a document may have: relative URLs, other schemes, http outside loopback hosts, user information, bytes
// outside RFC 3986. Its errors never quote the URL, which may hold a password.
func parseLocation(raw string) (location, error) {
	var l location
	if raw == "" {
		return l, errors.New("is empty; write an absolute https URL")
	}
	if len(raw) > maxURL {
		return l, fmt.Errorf("is longer than %d bytes; write a shorter URL", maxURL)
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return l, errors.New("is not an absolute URL; write https://host/path")
	}
	rest, fragment, hasHash := strings.Cut(rest, "#")
	rest, query, hasQuery := strings.Cut(rest, "?")
	authority, path := rest, ""
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	if strings.Contains(authority, "@") {
		return l, errors.New("contains user information; write the URL without user and password")
	}
	l = location{scheme: scheme, authority: authority, path: path, query: query, hasQuery: hasQuery, hasHash: hasHash}

	var errs []error
	if err := l.splitAuthority(); err != nil {
		errs = append(errs, err)
	}
	switch strings.ToLower(scheme) {
	case "https":
	case "http":
		if !loopback(l.host) {
			errs = append(errs, errors.New("uses http, which is for loopback hosts only; write https://"))
		}
	default:
		errs = append(errs, fmt.Errorf("uses the scheme %s; write https://", quote(scheme)))
	}
	for _, part := range []struct{ name, text, also string }{{"path", path, "/"}, {"query", query, "/?"}, {"fragment", fragment, "/?"}} {
		if err := checkBytes(part.name, part.text, part.also); err != nil {
			errs = append(errs, err)
		}
	}
	return l, errors.Join(errs...)
}

// splitAuthority finds host and port in the authority.
func (l *location) splitAuthority() error {
	var hasPort bool
	if v6, ok := strings.CutPrefix(l.authority, "["); ok {
		host, after, ok := strings.Cut(v6, "]")
		addr, err := netip.ParseAddr(host)
		if !ok || err != nil || !addr.Is6() || addr.Zone() != "" || after != "" && after[0] != ':' {
			return errors.New("has a malformed IPv6 address; write it as [2001:db8::1]")
		}
		l.host, l.port, hasPort = host, strings.TrimPrefix(after, ":"), after != ""
	} else {
		l.host, l.port, hasPort = strings.Cut(l.authority, ":")
		if err := checkHost(l.host); err != nil {
			return err
		}
	}
	if hasPort {
		if n, err := strconv.ParseUint(l.port, 10, 16); err != nil || n == 0 || l.port[0] == '0' {
			return errors.New("has a malformed port; write a number from 1 to 65535 or none")
		}
	}
	return nil
}

func checkHost(host string) error {
	if host == "" {
		return errors.New("has no host; write https://host/path")
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" {
			return errors.New("has an empty label in its host; write the name without a dot at the end")
		}
		for i := range len(label) {
			if c := label[i]; !alphanumeric(c) && c != '-' && c != '_' {
				return errors.New("has a host with characters other than letters, digits, - and _; write international names in their xn-- form")
			}
		}
	}
	return nil
}

// checkBytes admits pchar of RFC 3986, Section 3.3, and the bytes in also.
func checkBytes(part, text, also string) error {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == '%':
			if i+2 >= len(text) || !hexadecimal(text[i+1]) || !hexadecimal(text[i+2]) {
				return fmt.Errorf("has a %% without two hexadecimal digits in its %s; write %%25 for the character itself", part)
			}
		case !unreserved(c) && !strings.ContainsRune("!$&'()*+,;=:@"+also, rune(c)):
			return fmt.Errorf("has the byte 0x%02X in its %s; write %%%02X", c, part, c)
		}
	}
	return nil
}

// loopback knows the hosts on which plain http stays inside the machine: localhost, 127.0.0.0/8 and ::1.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && !addr.Is4In6() && addr.IsLoopback()
}

func unreserved(c byte) bool { return alphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~' }

func alphanumeric(c byte) bool { return digit(c) || letter(c) }

func letter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func digit(c byte) bool { return '0' <= c && c <= '9' }

func hexadecimal(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }
