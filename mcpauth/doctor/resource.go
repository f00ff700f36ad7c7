package doctor

import (
	"context"
	"net/url"
	"strings"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

// compareResource compares as the clients do; one that finds another resource gives up before any login (RFC 9728, Section 3.3).
func (v *visit) compareResource(context.Context) {
	if v.document == nil {
		v.skip("no resource metadata was found")
		return
	}
	got := v.document.Resource
	if got == v.opt.URL {
		v.pass(v.quote(shownURL(got)))
		return
	}
	cause, words := difference(got, v.opt.URL)
	f := Finding{
		Status: Fail, Cause: cause, Symptom: NoBrowser, Got: "resource is " + v.quote(shownURL(got)) + ", the URL is " + v.quote(shownURL(v.opt.URL)) + ": " + words,
		Clients: who(func(c client) bool { return !c.accepts(got, v.opt.URL) }),
		Cure:    "make resource the URL that people type, byte for byte, or have them type the other one; the audience of tokens follows from it. In this library: Config.Resource",
		Clause:  "RFC 9728, Section 3.3",
	}
	switch cause {
	case "scheme":
		f.Cure = "the server is known as https: use that URL, here and in clients, or, for a server on this computer without TLS, configure the http URL (Config.Resource)"
		if strings.HasPrefix(got, "https:") {
			break
		}
		f.Cure = "the server builds resource from the request and does not see that the proxy in front speaks https; configure the public URL (Config.Resource)"
	case "host":
		f.Cure = "the server builds resource from an internal host name or an old setting; configure the host that clients use (Config.Resource)"
		if fetch.Loopback(got) && fetch.Loopback(v.opt.URL) {
			f.Cure = "localhost and 127.0.0.1 are two names to clients and in aud: type the one that resource has, or configure the other (Config.Resource)"
		}
	case "missing":
		f.Cure = "add the member resource with the URL of the endpoint"
	}
	v.add(f)
}

// difference says in which part two URLs differ that should be equal: a word for machines and one for people.
func difference(got, want string) (cause, words string) {
	a, err := url.Parse(got)
	b, err2 := url.Parse(want)
	switch {
	case got == "":
		return "missing", "there is none"
	case err != nil || err2 != nil || a.Host == "":
		return "other", "it is no URL of this kind"
	case a.Scheme != b.Scheme:
		return "scheme", "the scheme differs, " + schemeWord(a.Scheme) + " for " + schemeWord(b.Scheme)
	case !strings.EqualFold(a.Hostname(), b.Hostname()):
		return "host", "the host differs"
	case port(a) != port(b):
		return "port", "the port differs"
	case a.EscapedPath() != b.EscapedPath() && strings.TrimSuffix(a.EscapedPath(), "/") == strings.TrimSuffix(b.EscapedPath(), "/"):
		return "slash", "they differ in the slash at the end"
	case strings.Trim(a.EscapedPath(), "/") == "":
		return "origin", "it has no path"
	case a.EscapedPath() != b.EscapedPath():
		return "path", "the path differs"
	case a.RawQuery != b.RawQuery:
		return "query", "the query differs"
	}
	return "spelling", "they mean the same and are spelled differently (case, default port, escapes)"
}

func schemeWord(s string) string {
	if s == "http" || s == "https" {
		return s
	}
	return "another"
}
