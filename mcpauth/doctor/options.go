package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
)

// Options says what to examine. Only URL is required.
type Options struct {
	// URL is the MCP endpoint, exactly as people type it into their clients. http is for loopback only: elsewhere there is one finding about
	// TLS and nothing is sent.
	URL string
	// Token is an access token to try, without its scheme. It is sent to URL and nowhere else, never across a redirect, and no finding
	// repeats any part of it but the claims that it is judged by. Empty means to look from outside only.
	Token string
	// DPoPKey is the key that Token is bound to. With it the token goes out under the scheme DPoP with a proof (RFC 9449); without it,
	// as a bearer token.
	DPoPKey *mcpauthtest.DPoPKey
	// Call names a tool to call with Token. Empty, the default, means that no tool is ever called.
	Call string
	// Arguments are those of Call, a JSON object. Empty means none.
	Arguments json.RawMessage
	// Clients names the clients to judge for, out of [KnownClients]. Nil means all. What troubles only others is a warning at most.
	Clients []string
	// Origin is that of a page that should be able to use the server, such as https://app.example.com. Empty means to try the page of
	// the MCP Inspector and to take its refusal for a warning.
	Origin string
	// ClientID is a client that was registered at the authorization server beforehand. With RedirectURI, the authorization endpoint is
	// asked whether it knows both and the resource; nobody is logged in for that.
	ClientID string
	// RedirectURI is one that ClientID is registered with.
	RedirectURI string
	// HTTPClient lends its Transport, and its Timeout where that is shorter than ten seconds. Redirects are never followed and cookies
	// never kept. Nil means http.DefaultTransport.
	HTTPClient *http.Client
	// Now is the clock that tokens and Date fields are compared with. Nil means time.Now.
	Now func() time.Time
	// Progress, if not nil, is told the name of each step before it begins.
	Progress func(step string)
}

// Limits on what is given.
const (
	maxURL   = 2 << 10
	maxToken = 64 << 10
)

// defaultOrigin is where the page of the MCP Inspector is served from.
const defaultOrigin = "http://localhost:6274"

// check reports everything that is unusable, joined. It does not repeat values: one of them may be a token in the wrong place.
func (o *Options) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("doctor: "+format, args...)) }
	if why := badURL(o.URL); why != "" {
		wrong("Options.URL %s; write the endpoint as clients get it, such as https://mcp.example.com/mcp", why)
	}
	if o.Token != "" && !plausibleToken(o.Token) {
		wrong("Options.Token is no access token; give the token alone, without Bearer, quotes or line breaks, and at most %d bytes", maxToken)
	}
	if o.Call != "" && o.Token == "" {
		wrong("Options.Call needs a Token")
	}
	if o.DPoPKey != nil && o.Token == "" {
		wrong("Options.DPoPKey needs the Token that is bound to it")
	}
	if len(o.Arguments) > 0 && o.Call == "" {
		wrong("Options.Arguments needs the Call that it is for")
	}
	if len(o.Arguments) > 0 {
		var object map[string]json.RawMessage
		if json.Unmarshal(o.Arguments, &object) != nil || object == nil {
			wrong("Options.Arguments is not a JSON object; write one such as {\"text\": \"hello\"}")
		}
	}
	for _, name := range o.Clients {
		if !slices.ContainsFunc(clients, func(c client) bool { return c.name == name }) {
			wrong("Options.Clients has a name that is not known; the names are: %s", strings.Join(KnownClients(), ", "))
		}
	}
	if u, err := url.Parse(o.Origin); o.Origin != "" && (err != nil || u.Host == "" || o.Origin != u.Scheme+"://"+u.Host) {
		wrong("Options.Origin is not an origin; write scheme, host and port only, such as https://app.example.com")
	}
	if (o.ClientID == "") && o.RedirectURI != "" {
		wrong("Options.RedirectURI needs the ClientID that it is registered with")
	}
	return errors.Join(errs...)
}

func badURL(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "is empty"
	case len(raw) > maxURL:
		return "is too long"
	case err != nil || u.Opaque != "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "is not an absolute http or https URL"
	case u.User != nil:
		return "has user information"
	case strings.Contains(raw, "#"):
		return "has a fragment"
	}
	return ""
}

// plausibleToken is the grammar of RFC 6750, Section 2.1: what may stand in the header at all.
func plausibleToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for _, c := range []byte(strings.TrimRight(s, "=")) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}
