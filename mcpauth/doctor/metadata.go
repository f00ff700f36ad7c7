package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/prm"
)

// A document is the metadata of the resource as it was found.
type document struct {
	prm.Metadata
	url string
	raw []byte // as it came
}

// A place is where a document was looked for.
type place struct {
	form form
	url  string
}

// places are those of RFC 9728 and of the challenge, each URL once.
func (v *visit) places() (all []place) {
	add := func(f form, raw string) {
		if raw != "" && !slices.ContainsFunc(all, func(p place) bool { return p.url == raw && f == fromRoot }) {
			all = append(all, place{f, raw})
		}
	}
	if raw := v.challenge.param("resource_metadata"); v.forbidden(raw) == "" && sameOrigin(raw, v.opt.URL) {
		add(fromHeader, raw)
	}
	u, _ := url.Parse(v.opt.URL) // was checked
	path, err := prm.WellKnownURL(v.opt.URL)
	if err != nil { // a spelling that prm does not publish, and clients ask for all the same
		path = u.Scheme + "://" + u.Host + prm.WellKnownPrefix + strings.TrimSuffix(u.EscapedPath(), "/")
	}
	add(fromPath, path)
	add(fromRoot, u.Scheme+"://"+u.Host+prm.WellKnownPrefix)
	return all
}

// fetchMetadata asks everywhere, since one client's third choice is another one's only one.
func (v *visit) fetchMetadata(ctx context.Context) {
	if v.dead {
		v.skip("the server cannot be reached")
		return
	}
	found := map[form]bool{}
	got := map[string]*Finding{} // by URL: the header often names the path form
	for _, p := range v.places() {
		f, asked := got[p.url]
		if !asked {
			f = v.fetchDocument(ctx, p)
			got[p.url] = f
		}
		found[p.form] = f == nil || f.Status == Warn
	}
	if found[fromPath] && !slices.ContainsFunc(v.places(), func(p place) bool { return p.form == fromRoot }) {
		found[fromRoot] = true // one and the same for a server without a path
	}
	for _, p := range v.places() {
		f := got[p.url]
		if f == nil {
			if found[p.form] {
				v.pass(string(p.form) + " form: 200")
			}
			continue
		}
		delete(got, p.url)
		f.Clients = who(func(c client) bool { return slices.Contains(c.forms, p.form) && !c.asks(found) })
		if p.form == fromRoot && !found[fromPath] && f.Cause == "not-found" {
			f.Cure = "publish the document of the finding above first; most clients ask here only because they do not find it"
		}
		if p.form == fromRoot && found[fromPath] {
			f.Status = Warn // only few clients ask nothing else
			f.Cure = "to serve clients that ask the root form only, publish the document there as well (Config.RootMetadata), if this is the one MCP server of the host"
		}
		v.add(*f)
	}
}

// fetchDocument asks at one place, keeps the first good document, and returns nil if all is well.
func (v *visit) fetchDocument(ctx context.Context, p place) *Finding {
	a := v.send(ctx, request{method: http.MethodGet, url: p.url, header: http.Header{"Accept": {"application/json"}, "Mcp-Protocol-Version": {legacy}}})
	f := &Finding{
		Status: Fail, Symptom: NoBrowser, Got: fmt.Sprintf("%s form: %d %s at %s", p.form, a.status, http.StatusText(a.status), v.quote(shownURL(p.url))),
		Clause: "RFC 9728, Section 3; MCP, Protected Resource Metadata Discovery",
	}
	switch {
	case a.problem != "":
		f.Cause, f.Got, f.Cure = a.kind, string(p.form)+" form: "+a.problem, cureTransport(a.kind)
		return f
	case a.status == http.StatusUnauthorized || a.status == http.StatusForbidden:
		f.Cause = "needs-token"
		f.Cure = "the metadata is behind the same check as the endpoint; let everybody read it without a token"
		return f
	case a.redirect():
		f.Cause, f.Got = "redirect", f.Got+", redirected to "+v.quote(shownURL(a.location(p.url)))
		f.Cure = "serve the document at this URL itself: not every client follows, and a login page is no document"
		return f
	case a.status == http.StatusNotFound:
		f.Cause = "not-found"
		f.Cure = "publish the metadata here (Mount, or Metadata at MetadataPath): the well-known part goes between host and path; where a proxy routes the endpoint's path only, route " + prm.WellKnownPrefix + " as well"
		return f
	case a.status != http.StatusOK:
		f.Cause, f.Cure = "status", "answer 200 with the JSON document"
		return f
	}
	var doc prm.Metadata
	if err := json.Unmarshal(a.body, &doc); err != nil {
		f.Cause, f.Got = "not-json", f.Got+", but "+v.quote(err.Error())
		f.Cure = "answer with one JSON object of the members of RFC 9728, Section 2; a page of the web framework that answers every path is in the way, if this is HTML"
		return f
	}
	if v.document == nil {
		v.document = &document{Metadata: doc, url: p.url, raw: a.body}
	} else if doc.Resource != v.document.Resource {
		f.Status, f.Cause, f.Got = Warn, "differs", string(p.form)+" form: resource "+v.quote(doc.Resource)+", elsewhere "+v.quote(v.document.Resource)
		f.Cure = "publish one document at all places, unless the root form is about another resource"
		return f
	}
	if a.mediaType() != "application/json" {
		f.Status, f.Cause, f.Got = Warn, "media-type", string(p.form)+" form: Content-Type "+v.quote(a.header.Get("Content-Type"))
		f.Cure, f.Clause = "set Content-Type to application/json", "RFC 9728, Section 3.2"
		return f
	}
	return nil
}

// listServers wants at least one issuer identifier in authorization_servers.
func (v *visit) listServers(context.Context) {
	if v.document == nil {
		v.skip("no resource metadata was found")
		return
	}
	list := v.document.AuthorizationServers
	clause := "RFC 9728, Section 2; MCP, Authorization Server Location"
	if len(list) == 0 {
		v.add(Finding{
			Status: Fail, Cause: "empty", Symptom: NoBrowser, Got: "authorization_servers is empty or absent",
			Cure: "list the issuer of the authorization server; without it clients cannot know where to log in", Clause: clause,
		})
		return
	}
	for _, issuer := range list {
		f := Finding{Status: Fail, Symptom: NoBrowser, Got: v.quote(issuer), Clause: clause}
		switch {
		case strings.Contains(issuer, "/.well-known/"):
			f.Cause, f.Cure = "metadata-url", "this is the URL of metadata; write the issuer identifier, which is the part without /.well-known/..., as the document's own issuer member has it"
		case v.forbidden(issuer) != "":
			f.Cause, f.Cure = "not-usable", "write an https URL that clients can reach: "+v.forbidden(issuer)
		default:
			continue
		}
		v.add(f)
	}
	if !v.found() {
		v.pass(v.list(list))
	}
}

// manyScopes is where a list has become a catalogue.
const manyScopes = 20

// judgeScopes is about what clients ask for at the first login.
func (v *visit) judgeScopes(context.Context) {
	if v.document == nil && !v.challenge.namesScopes() {
		v.skip("no scope in the challenge, and no resource metadata was found")
		return
	}
	asked, supported := scopesOf(v.challenge.param("scope")), []string(nil)
	if v.document != nil {
		supported = v.document.ScopesSupported
	}
	if slices.Contains(asked, "offline_access") || slices.Contains(supported, "offline_access") {
		v.add(Finding{
			Status: Warn, Cause: "offline-access", Got: "offline_access is among the scopes of the resource",
			Clients: who(func(c client) bool { return c.allScopes }),
			Cure:    "take offline_access out of scopes_supported and the challenge: it is between client and authorization server, which refuses it to clients that may not refresh",
			Clause:  "MCP, Refresh Tokens",
		})
	}
	if len(supported) > manyScopes {
		v.add(Finding{
			Status: Warn, Cause: "many-scopes", Got: fmt.Sprintf("%d scopes in scopes_supported", len(supported)), Clients: who(func(c client) bool { return c.allScopes }),
			Cure: "list what a first login needs; these clients ask for all of it, and people see a long consent page or a refusal", Clause: "MCP, Scope Minimization",
		})
	}
	if v.document != nil && len(supported) == 0 && !v.challenge.namesScopes() {
		v.add(Finding{
			Status: Warn, Cause: "none-named", Got: "no scope in the challenge, no scopes_supported in the metadata",
			Cure:   "name what a first login needs, as scope of the challenge (Config.BaseScopes) or in scopes_supported: without, a client asks for nothing, for scopes of its own choice, or for all that the authorization server has. Only a server that looks at no scopes can do without",
			Clause: "MCP, Scope Selection Strategy; RFC 9728, Section 2",
		})
	}
	if !v.found() {
		v.pass("challenge: " + v.list(asked) + "; scopes_supported: " + v.list(supported))
	}
}
