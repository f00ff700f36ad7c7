// Package proxy passes MCP requests on to a server in another process, which may be written in any
// language. It decides nothing: it belongs behind Wrap.
package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
)

// New returns a handler that asks the MCP endpoint at upstream, an http or https URL.
//
// The upstream should listen where only this process reaches it: it believes every request.
func New(upstream string) (*httputil.ReverseProxy, error) {
	target, err := url.Parse(upstream)
	if err != nil || target.Host == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil, fmt.Errorf("%q is no address of an MCP server; write an http or https URL", upstream)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // what the client can read is for the client to say
	transport.MaxIdleConnsPerHost = 64
	return &httputil.ReverseProxy{
		Transport:      transport,
		FlushInterval:  -1, // streams are passed on event by event
		ModifyResponse: clean,
		Rewrite: func(r *httputil.ProxyRequest) {
			// Not SetURL, which joins paths: the resource and the upstream endpoint need not have the same.
			to := *target
			query := r.Out.URL.Query()
			for name := range target.Query() {
				query.Del(name) // many take the last of two: what the operator wrote is not for clients to change
			}
			to.RawQuery = strings.Trim(target.RawQuery+"&"+query.Encode(), "&")
			r.Out.URL, r.Out.Host = &to, to.Host
			r.Out.Header.Del("Origin")        // judged already; the upstream knows other names
			r.Out.Header.Del("Authorization") // Wrap has removed it; this keeps it so for whoever copies these lines
			for name := range r.Out.Header {
				if strings.Contains(name, "_") {
					delete(r.Out.Header, name) // CGI and its heirs would take Mcp_Session_Id for Mcp-Session-Id
				}
			}
		},
	}, nil
}

var (
	errUpgrade = errors.New("the upstream switches protocols, and what came then would not be authorized")
	errRefused = errors.New("the upstream wants credentials of its own; it must accept requests of this proxy without any")
)

// clean removes from an answer what only Wrap may say.
func clean(r *http.Response) error {
	switch r.StatusCode {
	case http.StatusSwitchingProtocols:
		return errUpgrade
	case http.StatusUnauthorized, http.StatusProxyAuthRequired:
		return errRefused // 502, since a 401 would make clients throw away good tokens
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "Access-Control-") || name == "Www-Authenticate" {
			delete(r.Header, name) // browsers refuse an answer that holds the former twice
		}
	}
	return nil
}
