package cors

import (
	"net/http"
	"slices"
	"strings"
)

// fixedHeaders are the request headers of MCP that a script must ask for. The list is spelled out because "*" never covers Authorization
// (Fetch, "CORS-preflight fetch").
var fixedHeaders = []string{
	"authorization", "dpop", "content-type", "accept", "mcp-protocol-version", "mcp-session-id", "mcp-method", "mcp-name", "last-event-id",
}

const (
	paramPrefix = "mcp-param-" // Streamable HTTP, 2026-07-28: arguments of a tool, mirrored into headers that the tool names
	maxParams   = 64           // of them in one preflight
	maxParam    = 128          // bytes of one name
	maxAsked    = 16 << 10     // bytes of Access-Control-Request-Headers that are read
)

// Values that are the same on every answer. Their capacity is their length, so that an Add by a later handler copies them.
var (
	varyOrigin = slices.Clip([]string{"Origin"})
	everyone   = slices.Clip([]string{"*"})
	exposed    = slices.Clip([]string{"WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, Retry-After, Mcp-Protocol-Version"})
)

// IsPreflight reports whether r is a CORS preflight: OPTIONS with Origin and Access-Control-Request-Method. A preflight carries no
// credentials and is answered before any are looked for.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header["Origin"]) > 0 && len(r.Header["Access-Control-Request-Method"]) > 0
}

// Preflight answers an OPTIONS request with 204 and no body, or 403 when its Origin is not allowed; Expose is not needed beside it. An
// OPTIONS request that is no preflight learns the methods from Allow and nothing more. Any other method gets 405.
//
// What is allowed does not depend on the method asked for. Of the headers asked for, only well-formed Mcp-Param-* names are added to the
// fixed list, within limits; the browser then refuses the rest.
func (p *Policy) Preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if !p.any {
		addVary(h)
	}
	const methods = "GET, POST, DELETE, OPTIONS"
	switch {
	case r.Method != http.MethodOptions:
		h.Set("Allow", methods)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case !p.Origin(r):
		w.WriteHeader(http.StatusForbidden)
		return
	case !IsPreflight(r):
		h.Set("Allow", methods)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	p.allowOrigin(h, r)
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", p.headersFor(r.Header["Access-Control-Request-Headers"]))
	h.Set("Access-Control-Max-Age", "7200") // what Chromium takes at most; the request itself is checked every time
	w.WriteHeader(http.StatusNoContent)
}

// Expose lets a page of an allowed origin read the answer that h belongs to and the fields in it that matter. It is for every answer of the
// endpoint, refusals included, and must be called before the header is written.
//
// Vary: Origin is set without an Origin, too: a cache that stored such an answer would else serve it, without Access-Control-Allow-Origin,
// to a page. Where every origin is allowed all answers are alike and there is no Vary. A request without Origin costs no allocation.
func (p *Policy) Expose(h http.Header, r *http.Request) {
	if !p.any {
		addVary(h)
		if len(r.Header["Origin"]) == 0 {
			return
		}
	}
	if !p.Origin(r) {
		return
	}
	p.allowOrigin(h, r)
	h["Access-Control-Expose-Headers"] = exposed
}

// allowOrigin is for an origin that was found allowed.
func (p *Policy) allowOrigin(h http.Header, r *http.Request) {
	if p.any {
		h["Access-Control-Allow-Origin"] = everyone
	} else {
		h.Set("Access-Control-Allow-Origin", r.Header["Origin"][0])
	}
}

func addVary(h http.Header) {
	if len(h) == 0 { // the usual case, and cheaper than looking the field up
		h["Vary"] = varyOrigin
		return
	}
	lines := h["Vary"]
	if lines == nil {
		h["Vary"] = varyOrigin
		return
	}
	for _, line := range lines {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); name == "*" || equalFoldASCII(name, "Origin") {
				return
			}
		}
	}
	h.Add("Vary", "Origin")
}

// headersFor returns the fixed list and the Mcp-Param-* names in lines, in lower case, each once. Names that are no tokens are passed over.
// Nothing after a limit is read, so a page that asks for more is refused by its browser.
func (p *Policy) headersFor(lines []string) string {
	var params []string
	size := 0
	for _, line := range lines {
		if size += len(line); size > maxAsked {
			break
		}
		for name := range strings.SplitSeq(line, ",") {
			name = strings.Trim(name, " \t")
			if len(name) <= len(paramPrefix) || len(name) > maxParam || !equalFoldASCII(name[:len(paramPrefix)], paramPrefix) || !isToken(name) {
				continue
			}
			name = strings.ToLower(name)
			if _, ok := p.allowed[name]; ok || slices.Contains(params, name) {
				continue
			}
			if len(params) == maxParams {
				break
			}
			params = append(params, name)
		}
	}
	if len(params) == 0 {
		return p.headers
	}
	return p.headers + ", " + strings.Join(params, ", ")
}
