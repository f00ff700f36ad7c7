package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// maxServers bounds how many authorization servers are asked. Most clients take the first.
const maxServers = 3

// A server is an authorization server with its metadata (RFC 8414), nil if there is none.
type server struct {
	issuer  string // as the resource lists it
	where   string // the form in which the document was found
	members map[string]any
	answer  *answer
	keys    keySet
}

func (s *server) text(name string) string {
	t, _ := s.members[name].(string)
	return t
}

// texts are the strings of an array; ok is whether there is one.
func (s *server) texts(name string) (list []string, ok bool) {
	all, ok := s.members[name].([]any)
	for _, one := range all {
		if t, is := one.(string); is {
			list = append(list, t)
		}
	}
	return list, ok
}

// locations are where clients look, in order, and where some servers publish against all specifications.
func locations(issuer string) (urls, names []string) {
	urls = discovery.URLs(issuer)
	names = []string{"RFC 8414 form", "OpenID form before the path", "OpenID form behind the path"}[:len(urls)]
	if len(urls) == 2 {
		names[1] = "OpenID form"
	}
	if u, err := url.Parse(issuer); err == nil && len(urls) == 3 {
		urls = append(urls, u.Scheme+"://"+u.Host+strings.TrimSuffix(u.EscapedPath(), "/")+"/.well-known/oauth-authorization-server")
		names = append(names, "RFC 8414 name behind the path")
	}
	return urls, names
}

// fetchServers asks every server at every place.
func (v *visit) fetchServers(ctx context.Context) {
	if v.document == nil || len(v.document.AuthorizationServers) == 0 {
		v.skip("no authorization server is known")
		return
	}
	for i, issuer := range v.document.AuthorizationServers {
		if i == maxServers {
			break
		}
		s := &server{issuer: issuer}
		v.servers = append(v.servers, s)
		v.fetchServer(ctx, s)
	}
}

func (v *visit) fetchServer(ctx context.Context, s *server) {
	var tried []string
	urls, names := locations(s.issuer)
	for i, u := range urls {
		a := v.send(ctx, request{method: http.MethodGet, url: u, header: http.Header{"Accept": {"application/json"}, "Origin": {v.origin()}}})
		result := a.problem
		if result == "" {
			result = fmt.Sprint(a.status)
		}
		if a.status == http.StatusOK {
			members, err := strictjson.Object(a.body, strictjson.Limits{MaxDepth: 16})
			if err == nil {
				s.members, s.where, s.answer = members, names[i], a
				break
			}
			result = "200, but no JSON object"
		}
		tried = append(tried, names[i]+": "+result)
	}
	f := Finding{Symptom: NoBrowser, Clause: "RFC 8414, Section 3.1; MCP, Authorization Server Metadata Discovery"}
	switch {
	case s.members == nil:
		f.Status, f.Cause, f.Got = Fail, "missing", v.quote(s.issuer)+": "+strings.Join(tried, "; ")
		if len(urls) == 0 {
			f.Got = v.quote(s.issuer) + ": not a URL that can be asked"
		}
		f.Cure = "make authorization_servers name the issuer exactly (Issuer.URL), and publish its metadata at one of the well-known places; see whether a proxy or firewall hides them"
	case strings.HasPrefix(s.where, "RFC 8414 name"):
		f.Status, f.Cause, f.Got = Fail, "place", v.quote(s.issuer)+": found only with the "+s.where
		f.Cure = "publish it at the RFC 8414 form, with the well-known part between host and path, or at an OpenID form: clients look nowhere else"
	default:
		v.pass(v.quote(s.issuer) + ": " + s.where)
		f.Status = Pass
	}
	if f.Status != Pass {
		v.add(f)
	}
	if s.members == nil {
		return
	}
	if !v.readable(s.answer) {
		v.add(Finding{
			Status: Warn, Cause: "cors", Symptom: NoBrowser, Got: v.named(s) + "metadata without Access-Control-Allow-Origin", Clients: who(func(c client) bool { return c.page }),
			Cure: "let every origin read the metadata of the authorization server", Clause: f.Clause,
		})
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint"} {
		if why := v.forbidden(s.text(name)); why != "" {
			v.add(Finding{
				Status: Fail, Cause: "endpoints", Symptom: NoBrowser, Got: v.named(s) + name + " " + v.quote(shownURL(s.text(name))) + ": " + why,
				Cure: "publish authorization_endpoint and token_endpoint as https URLs", Clause: "RFC 8414, Section 2",
			})
		}
	}
}

// known are the servers that have metadata; with none of them, the step is skipped.
func (v *visit) known() []*server {
	known := slices.DeleteFunc(slices.Clone(v.servers), func(s *server) bool { return s.members == nil })
	if len(known) == 0 {
		v.skip("no metadata of an authorization server was found")
	}
	return known
}

// named says which server a finding is about, where there are several.
func (v *visit) named(s *server) string {
	if len(v.servers) < 2 {
		return ""
	}
	return v.quote(s.issuer) + ": "
}

// compareIssuers wants the issuer of the document to be the one that led there, byte for byte (RFC 8414, Section 3.3).
func (v *visit) compareIssuers(context.Context) {
	for _, s := range v.known() {
		got := s.text("issuer")
		if got == s.issuer {
			v.pass(v.quote(got))
			continue
		}
		f := Finding{
			Status: Fail, Cause: "mismatch", Symptom: NoBrowser, Got: "issuer is " + v.quote(got) + ", the resource lists " + v.quote(s.issuer),
			Clause: "RFC 8414, Section 3.3",
			Cure:   "write the issuer into authorization_servers exactly as the authorization server's own document has it (Issuer.URL, or Issuer.AuthorizationServer where iss in tokens is another text)",
		}
		switch {
		case got == "":
			f.Cause, f.Cure = "missing", "the document has no issuer; the authorization server must publish it"
		case strings.TrimSuffix(got, "/") == strings.TrimSuffix(s.issuer, "/"):
			f.Cause = "slash"
			f.Cure = "they differ in the trailing slash only; write " + v.quote(got) + " into authorization_servers (Issuer.URL), with the slash as the authorization server has it: clients compare byte for byte, and iss in tokens has the same spelling"
		case strings.Contains(got, "{tenantid}"):
			f.Cause, f.Cure = "tenant", "list the issuer of one tenant instead of common or organizations, whose document has no issuer of its own"
		}
		v.add(f)
	}
}

// judgePKCE wants S256 to be announced: clients must refuse to go on without (MCP, Authorization Code Protection).
func (v *visit) judgePKCE(context.Context) {
	for _, s := range v.known() {
		methods, ok := s.texts("code_challenge_methods_supported")
		f := Finding{Status: Fail, Symptom: NoBrowser, Got: v.named(s) + "code_challenge_methods_supported: " + v.list(methods), Clause: "MCP, Authorization Code Protection; RFC 7636"}
		switch {
		case slices.Contains(methods, "S256"):
			v.pass(f.Got)
			continue
		case !ok:
			f.Cause = "not-announced"
			f.Cure = "have the authorization server publish code_challenge_methods_supported with S256; many support PKCE and do not say so, and clients must refuse to go on then"
		default:
			f.Cause, f.Cure = "no-s256", "turn on PKCE with S256 at the authorization server"
		}
		v.add(f)
	}
}
