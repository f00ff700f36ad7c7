// Package discovery finds what an authorization server says about itself
// (RFC 8414 and OpenID Connect Discovery 1.0).
//
// It is asked about configured issuers only. A document counts only when its
// issuer is the configured one, byte for byte.
package discovery

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// ErrMetadata is wrapped by every refusal of a document.
var ErrMetadata = errors.New("not usable as metadata")

const (
	// A document is an object of strings, arrays and, rarely, small objects.
	maxDepth = 16
	// maxResources bounds protected_resources.
	maxResources = 4096
)

// Metadata is the part of an authorization server's metadata that a resource
// server needs (RFC 8414, Section 2). It is shared and must not be changed.
type Metadata struct {
	Issuer                string // issuer, equal to the configured one
	JWKSURI               string // jwks_uri; empty when absent
	IntrospectionEndpoint string // introspection_endpoint; empty when absent
	// IntrospectionMTLSEndpoint is introspection_endpoint of mtls_endpoint_aliases
	// (RFC 8705, Section 5), for those who authenticate by certificate; empty when absent
	// or not usable, since hardly anyone needs it.
	IntrospectionMTLSEndpoint string
	// ProtectedResources is protected_resources (RFC 9728, Section 4); nil when
	// absent, which says nothing about any resource.
	ProtectedResources []string
}

// URLs returns the well-known URLs of issuer in the order in which they are
// tried: RFC 8414, Section 3.1, with the well-known part inserted before the
// path; the same form for OpenID; and the OpenID form appended to the path
// (OpenID Connect Discovery 1.0, Section 4.1). Without a path the last two are
// one. An issuer that is no URL to fetch from, or has a query, has none.
func URLs(issuer string) []string {
	origin, path, ok := split(issuer)
	if !ok {
		return nil
	}
	urls := []string{
		origin + "/.well-known/oauth-authorization-server" + path,
		origin + "/.well-known/openid-configuration" + path,
	}
	if path != "" {
		urls = append(urls, origin+path+"/.well-known/openid-configuration")
	}
	return urls
}

// candidates adds the form that no specification has and that servers with
// issuers under a path still use: the RFC 8414 name appended like OpenID's.
func candidates(issuer string) []string {
	urls := URLs(issuer)
	if origin, path, ok := split(issuer); ok && path != "" {
		urls = append(urls, origin+path+"/.well-known/oauth-authorization-server")
	}
	return urls
}

// split cuts issuer before its path and takes the one terminating slash off the
// path, as both specifications do.
func split(issuer string) (origin, path string, ok bool) {
	if fetch.CheckURL(issuer) != nil || strings.Contains(issuer, "?") {
		return "", "", false
	}
	u, err := url.Parse(issuer)
	if err != nil {
		return "", "", false
	}
	return u.Scheme + "://" + u.Host, strings.TrimSuffix(u.EscapedPath(), "/"), true
}

// Get fetches and reads the metadata of issuer from the first of its well-known
// URLs that has a good document. Answers other than 200 and documents that are
// no metadata of issuer lead to the next URL; when none is left, the error
// wraps what each one said, on one line.
func Get(ctx context.Context, c *fetch.Client, issuer string) (*Metadata, error) {
	urls := candidates(issuer)
	if urls == nil {
		return nil, fmt.Errorf("%w: the issuer is not a URL that can be asked", ErrMetadata)
	}
	origin, _, _ := split(issuer)
	var all error
	for _, u := range urls {
		m, err := get(ctx, c, u, issuer)
		if err == nil {
			return m, nil
		}
		err = fmt.Errorf("%s: %w", strings.TrimPrefix(u, origin), err)
		if all == nil {
			all = err
		} else {
			all = fmt.Errorf("%w; %w", all, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, all
}

func get(ctx context.Context, c *fetch.Client, rawURL, issuer string) (*Metadata, error) {
	resp, err := c.Get(ctx, rawURL, "application/json")
	if err != nil {
		return nil, err
	}
	if resp.Status != 200 { // RFC 8414, Section 3.2
		return nil, fmt.Errorf("%w: status %d", ErrMetadata, resp.Status)
	}
	return Parse(resp.Body, issuer)
}

// Parse reads a metadata document, which must be that of issuer. Members that
// it does not need are passed over. Errors name members and not their values, but for another issuer.
func Parse(data []byte, issuer string) (*Metadata, error) {
	var m Metadata
	sc := strictjson.NewScanner(data, strictjson.Limits{MaxDepth: maxDepth})
	err := sc.Object(func(name []byte) error {
		var err error
		member := string(name)
		switch member {
		case "issuer":
			m.Issuer, err = sc.String()
		case "jwks_uri":
			m.JWKSURI, err = endpoint(sc, issuer)
		case "introspection_endpoint":
			m.IntrospectionEndpoint, err = endpoint(sc, issuer)
		case "mtls_endpoint_aliases":
			m.IntrospectionMTLSEndpoint, err = alias(sc, issuer, "introspection_endpoint")
		case "protected_resources":
			m.ProtectedResources, err = stringList(sc)
		default:
			return sc.Skip()
		}
		if err != nil {
			return fmt.Errorf("%s: %w", member, err)
		}
		return nil
	})
	if err == nil {
		err = sc.End()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	// RFC 8414, Section 3.3: identical, or the document MUST NOT be used.
	if m.Issuer == "" || m.Issuer != issuer {
		return nil, fmt.Errorf("%w: %s", ErrMetadata, otherIssuer(m.Issuer, issuer))
	}
	return &m, nil
}

// otherIssuer says which issuer a document is of. That is the mistake which people make when they configure an issuer,
// most of them by a slash, and they have to see both spellings to find it.
func otherIssuer(got, configured string) string {
	if got == "" {
		return "it names no issuer"
	}
	hint := ""
	if strings.TrimSuffix(got, "/") == strings.TrimSuffix(configured, "/") {
		hint = ": they differ in the slash at the end only"
	}
	const most = 200 // of foreign text
	more := ""
	if len(got) > most {
		got, more = got[:most], "..."
	}
	return "its issuer is " + strconv.QuoteToASCII(got) + more + ", not the configured " + strconv.QuoteToASCII(configured) + hint
}

// endpoint reads a URL to fetch from. Only an issuer on loopback may send us to
// plain http, which CheckURL allows on loopback alone: a document from the
// network must not reach unprotected services of this host.
func endpoint(sc *strictjson.Scanner, issuer string) (string, error) {
	s, err := sc.String()
	if err != nil {
		return "", err
	}
	return s, checkEndpoint(s, issuer)
}

func checkEndpoint(s, issuer string) error {
	if err := fetch.CheckURL(s); err != nil {
		return err
	}
	// CheckURL allows two schemes, in any case.
	if scheme, _, _ := strings.Cut(s, ":"); !strings.EqualFold(scheme, "https") && !fetch.Loopback(issuer) {
		return errors.New("the scheme must be https, since the issuer is not on loopback")
	}
	return nil
}

// alias reads the member called name of an object of endpoints. Anything else than a good URL in an object
// counts as absent.
func alias(sc *strictjson.Scanner, issuer, name string) (string, error) {
	var found string
	if sc.Kind() != strictjson.ObjectKind {
		return "", sc.Skip()
	}
	err := sc.Object(func(member []byte) error {
		if string(member) != name || sc.Kind() != strictjson.StringKind {
			return nil
		}
		s, err := sc.String()
		if err == nil && checkEndpoint(s, issuer) == nil {
			found = s
		}
		return err
	})
	return found, err
}

func stringList(sc *strictjson.Scanner) ([]string, error) {
	list := []string{}
	err := sc.Array(func(i int) error {
		if i >= maxResources {
			return errors.New("too many entries")
		}
		s, err := sc.String()
		list = append(list, s)
		return err
	})
	return list, err
}
