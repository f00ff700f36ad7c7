package doctor

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// crossOrigin asks what a browser asks for a page (Fetch, Section 3.2). Without Options.Origin nobody has said that pages should get
// through, so what fails is a warning.
func (v *visit) crossOrigin(ctx context.Context) {
	if v.dead {
		v.skip("the server cannot be reached")
		return
	}
	v.preflightEndpoint(ctx)
	v.crossOriginRefusal(ctx)
	if v.document != nil {
		v.crossOriginMetadata(ctx)
	}
	if !v.found() {
		v.pass("preflight, 401 and metadata can be read from " + v.quote(v.origin()))
	}
}

func (v *visit) origin() string {
	if v.opt.Origin != "" {
		return v.opt.Origin
	}
	return defaultOrigin
}

func (v *visit) pageTrouble(cause, got, cure string) {
	f := Finding{
		Status: Warn, Cause: cause, Symptom: NoBrowser, Got: got, Cure: cure, Clause: "Fetch, Section 3.2; RFC 9449, Section 7.1",
		Clients: who(func(c client) bool { return c.page }),
	}
	if v.opt.Origin != "" {
		f.Status, f.Clients = Fail, nil // the page is what matters, whoever it is
	}
	v.add(f)
}

func (v *visit) preflight(ctx context.Context, target, method string, names ...string) *answer {
	return v.send(ctx, request{method: http.MethodOptions, url: target, header: http.Header{
		"Origin": {v.origin()}, "Access-Control-Request-Method": {method}, "Access-Control-Request-Headers": {strings.Join(names, ",")},
	}})
}

// allows reports whether a browser would go on after this answer to a preflight, and what is missing.
func (v *visit) allows(a *answer, names ...string) (missing string) {
	switch {
	case a.problem != "":
		return a.problem
	case !a.ok():
		return fmt.Sprintf("%d %s", a.status, http.StatusText(a.status))
	case !v.readable(a):
		return "no Access-Control-Allow-Origin for this origin"
	}
	allowed := fields(a, "Access-Control-Allow-Headers")
	for _, name := range names {
		// The wildcard never covers Authorization (Fetch, Section 3.2.5).
		if !slices.Contains(allowed, name) && (name == "authorization" || !slices.Contains(allowed, "*")) {
			return "Access-Control-Allow-Headers lacks " + name
		}
	}
	return ""
}

func (v *visit) readable(a *answer) bool {
	got := a.header.Values("Access-Control-Allow-Origin")
	return len(got) == 1 && (got[0] == "*" || got[0] == v.origin())
}

// fields are the elements of a list field, in lower case.
func fields(a *answer, name string) (out []string) {
	for part := range strings.SplitSeq(strings.Join(a.header.Values(name), ","), ",") {
		out = append(out, strings.ToLower(strings.TrimSpace(part)))
	}
	return out
}

func (v *visit) preflightEndpoint(ctx context.Context) {
	names := []string{"authorization", "content-type", "mcp-protocol-version"}
	a := v.preflight(ctx, v.opt.URL, http.MethodPost, names...)
	missing := v.allows(a, names...)
	if missing == "" {
		return
	}
	cure := "answer OPTIONS with 204, Access-Control-Allow-Origin, and Access-Control-Allow-Headers with " + strings.Join(names, ", ")
	cause := "preflight"
	switch a.status {
	case http.StatusUnauthorized:
		cause, cure = "preflight-401", "answer the preflight before the check of the token: a browser never sends a token with OPTIONS"
	case http.StatusForbidden:
		cause, cure = "origin-refused", "the server refuses pages of this origin; if they should get through, list the origin (Config.Origins)"
	}
	v.pageTrouble(cause, "preflight of the endpoint: "+missing, cure)
}

func (v *visit) crossOriginRefusal(ctx context.Context) {
	h := mcpHeader(legacy)
	h.Set("Origin", v.origin())
	a := v.send(ctx, request{method: http.MethodPost, url: v.opt.URL, header: h, body: []byte(initializeBody)})
	exposed := fields(a, "Access-Control-Expose-Headers")
	switch {
	case a.status == http.StatusForbidden:
		v.pageTrouble("origin-refused", "POST with this origin: 403", "the server refuses pages of this origin; if they should get through, list the origin (Config.Origins)")
	case a.status != http.StatusUnauthorized:
		// That there is no 401 was said before.
	case !v.readable(a):
		v.pageTrouble("no-cors-on-401", "401 without Access-Control-Allow-Origin for this origin", "put CORS in front of the check of the token, so that refusals have its fields as well: to a page a 401 without them is a network error")
	case !slices.Contains(exposed, "www-authenticate") && !slices.Contains(exposed, "*"):
		v.pageTrouble("not-exposed", "401 without WWW-Authenticate in Access-Control-Expose-Headers", "send Access-Control-Expose-Headers: WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id with every answer: a page cannot read the challenge otherwise")
	}
}

func (v *visit) crossOriginMetadata(ctx context.Context) {
	const cure = "let every origin read the metadata: Access-Control-Allow-Origin: *, and answer its preflight with Access-Control-Allow-Headers: MCP-Protocol-Version"
	a := v.send(ctx, request{method: http.MethodGet, url: v.document.url, header: http.Header{"Origin": {v.origin()}, "Accept": {"application/json"}}})
	if !v.readable(a) {
		v.pageTrouble("metadata", "metadata without Access-Control-Allow-Origin for this origin", cure)
		return
	}
	if missing := v.allows(v.preflight(ctx, v.document.url, http.MethodGet, "mcp-protocol-version"), "mcp-protocol-version"); missing != "" {
		v.pageTrouble("metadata-preflight", "preflight of the metadata: "+missing, cure)
	}
}
