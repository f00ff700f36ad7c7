package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// CheckURL reports why raw must not be fetched from, nil if it may be.
//
// A good URL is absolute, https, with a host and without user information or
// fragment (RFC 8414, Section 2). Plain http is good only where the host is
// loopback, see [Loopback]. A query is allowed: some issuers publish keys under
// one. The texts of its errors do not repeat raw.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse repeats the text, which may be foreign.
		return nil, errors.New("not a URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the scheme must be https")
	case u.Opaque != "" || u.Hostname() == "":
		return nil, errors.New("a host is missing")
	case u.User != nil:
		return nil, errors.New("user information is not allowed")
	case strings.Contains(raw, "#"):
		return nil, errors.New("a fragment is not allowed")
	case !validHost(u):
		return nil, errors.New("the host is not a plain name or address")
	case u.Scheme == "http" && !loopbackHost(u.Hostname()):
		return nil, errors.New("the scheme must be https (http is for loopback hosts only)")
	}
	return u, nil
}

// Loopback reports whether the host of the URL raw is loopback: localhost, an
// address in 127.0.0.0/8 or [::1]. It is false for anything that is no URL, and
// it never asks a resolver.
func Loopback(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && loopbackHost(u.Hostname())
}

func loopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	// ParseAddr takes none of the short, octal or hexadecimal spellings.
	return err == nil && addr.Zone() == "" && !addr.Is4In6() && addr.IsLoopback()
}

// validHost is narrower than url.Parse, which lets quotes, brackets and commas
// through: a host is an IPv6 literal, an IPv4 address or an ASCII name.
func validHost(u *url.URL) bool {
	host := u.Hostname()
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
	} else {
		for _, c := range []byte(host) {
			switch {
			case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
			default:
				return false
			}
		}
	}
	if port := u.Port(); port != "" {
		n, err := strconv.ParseUint(port, 10, 16)
		return err == nil && n > 0
	}
	return !strings.HasSuffix(u.Host, ":")
}

// sameOrigin compares scheme, host and port (RFC 6454, Section 5).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && portOf(a) == portOf(b)
}

func portOf(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if u.Scheme == "https" {
		return "443"
	}
	return "80"
}

// checkRedirect is the policy on the redirect to next, n being how many
// requests were made so far. The target was chosen by the server, so it gets
// the same examination as a configured URL.
func checkRedirect(first, next *url.URL, n int) error {
	if n > maxRedirects {
		return fmt.Errorf("%w: more than %d redirects", ErrRedirect, maxRedirects)
	}
	if _, err := parseURL(next.String()); err != nil {
		return fmt.Errorf("%w: to a URL that is not allowed: %w", ErrRedirect, err)
	}
	if !sameOrigin(first, next) {
		return fmt.Errorf("%w: to another origin", ErrRedirect)
	}
	return nil
}
