package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The two revisions that are spoken, the older one first: it is what most clients begin with.
const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

const (
	initializeBody = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"` + legacy + `","capabilities":{},"clientInfo":{"name":"mcpauth-doctor","version":"1"}}}`
	metaMembers    = `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientInfo":{"name":"mcpauth-doctor","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	discoverBody   = `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{` + metaMembers + `}}`
)

// mcpHeader is what clients send with a POST.
func mcpHeader(revision string) http.Header {
	return http.Header{
		"Accept": {"application/json, text/event-stream"}, "Content-Type": {"application/json"}, "Mcp-Protocol-Version": {revision},
	}
}

func modernHeader(method, name string) http.Header {
	h := mcpHeader(modern)
	h.Set("Mcp-Method", method)
	if name != "" {
		h.Set("Mcp-Name", name)
	}
	return h
}

// connect is the first request of most clients, and tells whether there is a server at all.
func (v *visit) connect(ctx context.Context) {
	if u, err := url.Parse(v.opt.URL); err != nil || u.Scheme != "https" && !v.loopback {
		v.dead = true
		v.add(Finding{
			Step: "tls", Title: "TLS", Cause: "plain-http", Status: Fail, Symptom: NoBrowser, Got: "the URL is http and its host is not loopback; nothing was sent",
			Cure:   "serve the endpoint over https, and give people and Config.Resource the https URL; tokens must never travel in clear text",
			Clause: "MCP, Communication Security; RFC 6750, Section 5.3",
		})
		return
	}
	a := v.send(ctx, request{method: http.MethodPost, url: v.opt.URL, header: mcpHeader(legacy), body: []byte(initializeBody)})
	v.probes["POST"] = a
	v.transport(a)
	if a.problem != "" {
		v.dead = true
		return
	}
	v.judgeProbe("POST", a)
}

// transport is about what is below HTTP.
func (v *visit) transport(a *answer) {
	f := Finding{Step: "tls", Title: "TLS", Status: Pass, Got: "http on loopback, which is for development only"}
	switch {
	case a.problem != "":
		f.Status, f.Cause, f.Got, f.Symptom = Fail, a.kind, a.problem, NoBrowser
		f.Cure = cureTransport(a.kind)
	case a.tls != nil:
		f.Got = "TLS 1." + fmt.Sprint(int(a.tls.Version)-0x0301)
		if a.tls.Version < 0x0303 {
			f.Status, f.Cause, f.Cure, f.Clause = Fail, "tls-version", "turn on TLS 1.2 and 1.3 and turn off what is older", "RFC 9325, Section 3.1.1"
		} else if len(a.tls.PeerCertificates) > 0 {
			until := a.tls.PeerCertificates[0].NotAfter
			left := until.Sub(v.opt.Now())
			f.Got += ", certificate valid until " + until.UTC().Format("2006-01-02")
			if left.Hours() < 7*24 {
				f.Status, f.Cause, f.Cure = Warn, "certificate-expires", "renew the certificate; all clients stop when it ends"
			}
		}
	}
	v.add(f)
}

func cureTransport(kind string) string {
	switch kind {
	case "certificate-authority":
		return "send the whole chain, intermediate certificates included, from an authority that clients know"
	case "certificate-host":
		return "get a certificate for the name in the URL, or use the name in the certificate"
	case "certificate-expired":
		return "renew the certificate, and see that the clock of this computer is right"
	case "no-tls":
		return "put TLS in front of the server, or correct the port in the URL"
	case "dns":
		return "correct the host in the URL, or publish its name"
	case "refused", "timeout", "closed":
		return "see that the server runs, and that the port in the URL, the firewall and the proxy let this computer reach it"
	}
	return "open the URL with another tool and see what stands in the way"
}

// methods repeats the first request the other ways in which clients begin.
func (v *visit) methods(ctx context.Context) {
	if v.dead || v.probes["POST"].status != http.StatusUnauthorized {
		v.skip("the first POST was not answered with 401")
		return
	}
	stream := http.Header{"Accept": {"text/event-stream"}, "Mcp-Protocol-Version": {legacy}}
	for _, p := range []struct {
		name string
		request
	}{
		{"GET", request{method: http.MethodGet, url: v.opt.URL, header: stream}},
		{"DELETE", request{method: http.MethodDelete, url: v.opt.URL, header: http.Header{"Mcp-Protocol-Version": {legacy}}}},
		{"server/discover", request{method: http.MethodPost, url: v.opt.URL, header: modernHeader("server/discover", ""), body: []byte(discoverBody)}},
	} {
		a := v.send(ctx, p.request)
		v.probes[p.name] = a
		v.judgeProbe(p.name, a)
	}
}

// judgeProbe wants 401 for a request without credentials (MCP, Token Handling).
func (v *visit) judgeProbe(name string, a *answer) {
	first := name == "POST"
	f := Finding{
		Status: Fail, Symptom: NoBrowser, Got: fmt.Sprintf("%s: %d %s", name, a.status, http.StatusText(a.status)),
		Cure:   "answer 401 with WWW-Authenticate to every request without a token, before anything else is looked at",
		Clause: "MCP, Token Handling; RFC 9110, Section 15.5.2",
	}
	switch name {
	case "GET", "DELETE":
		f.Clients = who(func(c client) bool { return c.methods })
	case "server/discover":
		f.Clients = who(func(c client) bool { return c.discover })
	}
	switch {
	case a.problem != "":
		f.Cause, f.Got = a.kind, name+": "+a.problem
	case a.status == http.StatusUnauthorized:
		v.pass(f.Got)
		return
	case a.redirect():
		v.judgeRedirected(&f, a)
	case a.status < 300:
		f.Cause = "open"
		f.Cure = "the server answers without a token, so no client ever begins a login; if that is not meant, put the check in front of the handler, and answer 401"
		if !first {
			f.Symptom, f.Cure = "", "this way around the check is open: cover every method and every kind of request with it"
		}
	case a.status == http.StatusNotFound && first:
		f.Cause = "not-found"
		f.Cure = "there is nothing at this path, or the server hides it: correct the path of the URL or the prefix in the proxy, and answer 401 before 404"
	case a.status == http.StatusMethodNotAllowed || a.status == http.StatusNotFound:
		f.Cause = "before-401"
		f.Cure = fmt.Sprintf("the router answers %d before the check sees the request; put the check in front of the router, so that 401 comes first on POST, GET and DELETE", a.status)
	case a.status == http.StatusForbidden:
		f.Cause = "403-instead-of-401"
		f.Cure = "answer 401, not 403, where there is no token: clients begin a login after 401 only; if a firewall answered, let this request through; if a check of Host did, as servers on loopback make one, have the proxy in front pass on the public host name"
	case a.status == http.StatusTooManyRequests || a.status >= 500:
		f.Cause = "server-error"
		f.Cure = "see the log of the server or of the proxy in front of it; without a token nothing should fail but the check"
	default:
		f.Cause = "before-401"
		f.Cure = fmt.Sprintf("the request was judged before its credentials; answer 401 first: a client that speaks two revisions takes %d for a sign to try the older one", a.status)
	}
	v.add(f)
}

func (v *visit) judgeRedirected(f *Finding, a *answer) {
	to := a.location(v.opt.URL)
	f.Got += " to " + v.quote(shownURL(to))
	f.Cause = "login-page"
	f.Cure = "this is a redirect to a page for people, which programs cannot use; take the endpoint out of the login of the proxy or web framework, and answer 401 with WWW-Authenticate"
	from, err := url.Parse(v.opt.URL)
	target, err2 := url.Parse(to)
	if err != nil || err2 != nil || to == "" {
		return
	}
	switch {
	case strings.EqualFold(from.Host, target.Host) && from.Path != target.Path && strings.TrimSuffix(from.Path, "/") == strings.TrimSuffix(target.Path, "/"):
		f.Cause = "slash-redirect"
		f.Cure = "the router wants the other spelling of the slash at the end; serve the endpoint at the URL that people type, without a redirect: clients lose the token or compare the wrong URL"
	case strings.EqualFold(from.Hostname(), target.Hostname()) && from.Scheme != target.Scheme:
		f.Cause = "scheme-redirect"
		f.Cure = "use the https URL, in clients and as the resource identifier"
	}
}

// stranger sends a token that no server can have issued: what a client meets whose token has become bad.
func (v *visit) stranger(ctx context.Context) {
	if v.dead || v.probes["POST"].status != http.StatusUnauthorized {
		v.skip("the first POST was not answered with 401")
		return
	}
	h := mcpHeader(legacy)
	h.Set("Authorization", "Bearer not-a-token-mcpauth-doctor")
	a := v.exchange(ctx, request{method: http.MethodPost, url: v.opt.URL, header: h, body: []byte(initializeBody)})
	v.badToken = a
	f := Finding{
		Status: Fail, Got: fmt.Sprintf("POST: %d %s", a.status, http.StatusText(a.status)), Symptom: Refused,
		Cure: "answer 401 with error=\"invalid_token\": with another status clients keep the bad token", Clause: "RFC 6750, Section 3.1",
	}
	switch {
	case a.problem != "":
		f.Cause, f.Got = a.kind, a.problem
	case a.status == http.StatusUnauthorized:
		v.pass(f.Got)
		return
	case a.status == http.StatusServiceUnavailable || a.status == http.StatusTooManyRequests:
		f.Status, f.Cause = Warn, "unavailable"
		f.Cure = "the server could not judge the token: see whether it reaches the keys or the introspection endpoint of its authorization server"
	case a.ok():
		f.Cause, f.Symptom = "accepts-anything", ""
		f.Cure = "the server lets any string in as a token; verify signature or introspection, issuer, audience and expiry"
	default:
		f.Cause = "wrong-status"
	}
	v.add(f)
}
