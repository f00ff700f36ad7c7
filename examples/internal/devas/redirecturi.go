package devas

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const maxRedirectURI = 2048

// desktopRedirects are redirect URIs of clients that people use whose scheme has no dot, against RFC 8252, Section 7.1. They are registered
// byte for byte and beside others only.
var desktopRedirects = []string{"cursor://anysphere.cursor-mcp/oauth/callback"}

// checkRedirectURI says whether a redirect URI may be registered: https, http on a loopback address, or a private-use scheme with a dot (RFC 8252,
// Section 7). The dot also shuts out javascript: and data:.
func checkRedirectURI(raw string) error {
	if raw == "" || len(raw) > maxRedirectURI {
		return errors.New("a redirect URI is empty or too long")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r >= 0x7f || strings.ContainsRune(`\"<>^{|}`+"`", r) }) {
		return errors.New("a redirect URI contains characters that no URI has")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("a redirect URI cannot be parsed")
	case strings.Contains(raw, "#"):
		return fmt.Errorf("redirect URI %q must not have a fragment (RFC 6749, Section 3.1.2)", raw)
	case u.User != nil:
		return errors.New("a redirect URI must not have user information")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= 0x7f || r == '%' }):
		// A parser decodes https://%D0%B0pple.com to something that looks like apple.com on the consent page. Such hosts are written as xn--.
		return errors.New("a redirect URI must not have an encoded host")
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http":
		if _, _, ok := splitLoopback(raw); ok {
			return nil
		}
		return fmt.Errorf("redirect URI %q: http is for 127.0.0.1, [::1] and localhost only", raw)
	case u.Scheme != "https" && strings.Contains(u.Scheme, "."):
		return nil
	}
	return fmt.Errorf("redirect URI %q: a private-use scheme must contain a dot (RFC 8252, Section 7.1)", raw)
}

// redirectAllowed compares exactly, except for the port of a loopback address, which the application may choose freely for each request (RFC 8252,
// Section 7.3; localhost is treated alike because many MCP clients use it).
func redirectAllowed(registered []string, requested string) bool {
	if slices.Contains(registered, requested) {
		return true
	}
	host, rest, ok := splitLoopback(requested)
	if !ok || strings.Contains(rest, "#") {
		return false
	}
	return slices.ContainsFunc(registered, func(r string) bool {
		h, rr, ok := splitLoopback(r)
		return ok && h == host && rr == rest
	})
}

// splitLoopback cuts http://HOST[:PORT]REST for the three loopback hosts. It works on the text, so that no URL parser can read it differently.
func splitLoopback(raw string) (host, rest string, ok bool) {
	after, ok := strings.CutPrefix(raw, "http://")
	if !ok {
		return "", "", false
	}
	authority := after
	if i := strings.IndexAny(after, "/?#"); i >= 0 {
		authority, rest = after[:i], after[i:]
	}
	for _, h := range []string{"127.0.0.1", "[::1]", "localhost"} {
		port, found := strings.CutPrefix(authority, h)
		if !found {
			continue
		}
		if port == "" {
			return h, rest, true
		}
		if n, err := strconv.ParseUint(strings.TrimPrefix(port, ":"), 10, 16); err == nil && n > 0 && port[0] == ':' {
			return h, rest, true
		}
	}
	return "", "", false
}
