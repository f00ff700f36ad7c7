package cimd

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

const maxURL = 2048

// IsURL reports whether a client identifier claims to be the URL of a document. Whether it is a good one is for [CheckURL].
func IsURL(clientID string) bool {
	return strings.HasPrefix(clientID, "https://")
}

// CheckURL says whether a URL may identify a client: https, with a path, without user information, fragment and dot segments
// (draft-ietf-oauth-client-id-metadata-document, Section 3). Client identifiers are compared byte by byte, so spellings that a URL parser would change
// are refused as well.
func CheckURL(raw string) error {
	if len(raw) > maxURL {
		return errors.New("the URL is too long")
	}
	if !IsURL(raw) {
		return errors.New("the URL must begin with https://")
	}
	if strings.ContainsFunc(raw, func(r rune) bool { return r <= 0x20 || r >= 0x7f || strings.ContainsRune(`"<>\^{|}`+"`", r) }) {
		return errors.New("the URL contains characters that no URL has")
	}
	if strings.Contains(raw, "#") {
		return errors.New("the URL must not have a fragment")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("the URL cannot be parsed")
	case u.User != nil || strings.Contains(u.Host, "@"):
		return errors.New("the URL must not have user information")
	case strings.ContainsFunc(u.Host, func(r rune) bool { return r >= 0x7f || r == '%' }):
		// People see the host, and %D0%B0pple.com decodes to something that looks like apple.com.
		return errors.New("the host must be written as xn--, not encoded")
	case u.Hostname() == "" || strings.HasSuffix(u.Host, ":"):
		return errors.New("the URL has no host, or a colon without a port")
	case u.Host != strings.ToLower(u.Host):
		return errors.New("the host must be in lower case")
	case u.Path == "" || u.Path == "/":
		return errors.New("the URL must have a path")
	case u.String() != raw:
		return errors.New("the URL is not in its usual spelling")
	}
	for segment := range strings.SplitSeq(u.EscapedPath(), "/") {
		if plain, err := url.PathUnescape(segment); err != nil || plain == "." || plain == ".." {
			return errors.New("the URL must not have dot segments")
		}
	}
	return nil
}

// host returns the host of a URL for error messages, or a stand-in for what has none.
func host(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || len(u.Host) > 255 {
		return "an unusable URL"
	}
	return u.Host
}

// An Error says that a document could not be used. Its text names the host and may be shown; nothing of an answer is in it.
type Error struct {
	Host   string
	Reason string
	// Temporary: the same request may succeed later, for the document was not seen. Otherwise it was, or never will be.
	Temporary bool
	Err       error // the cause, for the log; may be nil
}

func (e *Error) Error() string {
	return fmt.Sprintf("client ID metadata document at %s: %s", e.Host, e.Reason)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
