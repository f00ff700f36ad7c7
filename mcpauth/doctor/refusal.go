package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

const wwwAuthenticate = "Www-Authenticate"

// readChallenge judges the field of the first POST, which decides whether a client begins a login, and compares the others with it.
func (v *visit) readChallenge(context.Context) {
	a := v.probes["POST"]
	if v.dead || a.status != http.StatusUnauthorized {
		v.skip("the first POST was not answered with 401")
		return
	}
	v.challenge = readField(a.header.Values(wwwAuthenticate))
	if len(v.challenge.lines) == 0 {
		v.add(Finding{
			Status: Fail, Cause: "missing", Symptom: NoBrowser, Got: "401 without WWW-Authenticate",
			Clients: who(func(c client) bool { return c.needsHeader }),
			Cure:    "send WWW-Authenticate: Bearer resource_metadata=\"https://.../.well-known/oauth-protected-resource/...\" with every 401; if the server does, see which proxy removes it",
			Clause:  "RFC 9110, Section 15.5.2; RFC 9728, Section 5.1",
		})
		return
	}
	v.judgeSyntax(v.challenge)
	v.judgeMetadataURL(v.challenge)
	v.judgeSchemes(v.challenge)
	if v.challenge.param("error") != "" {
		v.add(Finding{
			Status: Warn, Cause: "error-without-token", Got: "error=" + v.quote(v.challenge.param("error")) + " although no token was sent",
			Cure: "leave error and error_description out where there were no credentials: some clients take it for a failed login", Clause: "RFC 6750, Section 3.1",
		})
	}
	for _, name := range []string{"GET", "DELETE", "server/discover"} {
		other := v.probes[name]
		if other == nil || other.status != http.StatusUnauthorized {
			continue
		}
		if r := readField(other.header.Values(wwwAuthenticate)); r.param("resource_metadata") == "" && v.challenge.param("resource_metadata") != "" {
			v.add(Finding{
				Status: Fail, Cause: "post-only", Symptom: NoBrowser, Got: name + ": 401 without the challenge that POST gets",
				Clients: who(func(c client) bool { return c.methods || c.discover && name == "server/discover" }),
				Cure:    "send the same WWW-Authenticate on every method: some clients begin with GET, or look at the DELETE",
				Clause:  "RFC 9110, Section 15.5.2",
			})
		}
	}
	if v.badToken != nil && v.badToken.status == http.StatusUnauthorized {
		v.judgeBadToken(readField(v.badToken.header.Values(wwwAuthenticate)))
	}
	if !v.found() {
		v.pass(v.quote(v.challenge.lines[0]))
	}
}

// judgeSyntax is about what different readers make of the same bytes.
func (v *visit) judgeSyntax(r reading) {
	_, hasBearer := r.of("bearer")
	switch {
	case r.malformed:
		v.add(Finding{
			Status: Fail, Cause: "malformed", Symptom: NoBrowser, Got: v.list(r.lines), Clients: who(func(c client) bool { return c.grammar }),
			Cure: "write Bearer name=\"value\", name=\"value\": each name once, values in quotes, without quotes, backslashes or line breaks in them", Clause: "RFC 9110, Section 11.6.1",
		})
	case hasBearer && !r.pattern.bearer:
		v.add(Finding{
			Status: Fail, Cause: "bearer-not-first", Symptom: NoBrowser, Got: v.list(r.lines), Clients: who(func(c client) bool { return c.pattern }),
			Cure: "put the Bearer challenge first, on a header line of its own: these clients look no further if the field begins with another scheme", Clause: "RFC 9110, Section 11.6.1",
		})
	case hasBearer && (r.pattern.metadata != r.param("resource_metadata") || r.pattern.scope != r.param("scope")):
		v.add(Finding{
			Status: Fail, Cause: "read-differently", Symptom: NoBrowser, Got: v.list(r.lines), Clients: who(func(c client) bool { return c.pattern }),
			Cure: "these clients search for name=\"...\" up to the next quote and take the first match: keep = and quotes out of descriptions, and give every challenge the same parameters", Clause: "RFC 6750, Section 3",
		})
	}
	if r.joined() {
		v.add(Finding{
			Status: Warn, Cause: "joined", Got: v.list(r.lines), Clients: who(func(c client) bool { return c.pattern }),
			Cure: "send one header line for each challenge, Bearer first: clients that split at commas or search the line mix the two challenges up", Clause: "RFC 9110, Section 11.6.1",
		})
	}
	if r.escaped {
		v.add(Finding{
			Status: Warn, Cause: "escaped-quotes", Got: v.list(r.lines), Clients: who(func(c client) bool { return c.pattern }),
			Cure: "keep quotes and backslashes out of error_description and the other values: these clients end a value at the first quote", Clause: "RFC 6750, Section 3",
		})
	}
}

// judgeMetadataURL is about resource_metadata, from which most clients go on.
func (v *visit) judgeMetadataURL(r reading) {
	raw := r.param("resource_metadata")
	f := Finding{Status: Fail, Symptom: NoBrowser, Got: "resource_metadata=" + v.quote(raw), Clause: "RFC 9728, Section 5.1"}
	f.Clients = who(func(c client) bool { return len(c.forms) > 0 && c.forms[0] == fromHeader })
	switch {
	case raw == "":
		f.Cause, f.Got = "no-resource-metadata", v.list(r.lines)
		f.Clients = who(func(c client) bool { return c.needsHeader })
		f.Cure = "add resource_metadata with the absolute URL of the metadata to the challenge"
	case !strings.Contains(raw, "://"):
		f.Cause = "relative-resource-metadata"
		f.Cure = "write the absolute URL, with scheme and host, from configuration: clients cannot use a relative one"
	case strings.HasPrefix(raw, "http://") && !fetch.Loopback(raw):
		f.Cause = "http-resource-metadata"
		f.Cure = "the URL is http: the server behind a proxy builds it from the request; configure the public https URL instead"
	case v.forbidden(raw) != "" || !sameOrigin(raw, v.opt.URL):
		f.Cause = "foreign-resource-metadata"
		f.Cure = "the URL is on another origin than the endpoint that was asked for: if people type the other one, do so here, too (localhost and 127.0.0.1 are two); if not, the server builds it from an internal host name or an old setting: configure the public URL (Config.Resource)"
	default:
		return
	}
	v.add(f)
}

// judgeSchemes is about who can answer the challenge at all.
func (v *visit) judgeSchemes(r reading) {
	_, bearer := r.of("bearer")
	_, dpop := r.of("dpop")
	switch {
	case bearer || r.malformed:
	case dpop:
		v.add(Finding{
			Status: Warn, Cause: "dpop-only", Symptom: Refused, Got: "DPoP is offered, Bearer is not", Clients: who(func(c client) bool { return !c.dpop }),
			Cure: "where clients without DPoP should get in, accept bearer tokens, too (DPoPOptional)", Clause: "RFC 9449, Section 7.1",
		})
	default:
		v.add(Finding{
			Status: Fail, Cause: "no-bearer", Symptom: NoBrowser, Got: v.list(r.lines),
			Cure: "offer Bearer: clients of MCP know no other scheme but DPoP; if a proxy asks for Basic or Negotiate, take the endpoint out of its login", Clause: "MCP, Token Requirements",
		})
	}
}

// judgeBadToken is about the challenge after a bad token, where the free text stands.
func (v *visit) judgeBadToken(r reading) {
	if len(r.lines) == 0 {
		v.add(Finding{
			Status: Fail, Cause: "missing-after-token", Symptom: Refused, Got: "a bad token gets 401 without WWW-Authenticate",
			Cure: "send the challenge with error=\"invalid_token\" here as well: clients that hold a bad token do not begin a new login otherwise", Clause: "RFC 6750, Section 3",
		})
		return
	}
	v.judgeSyntax(r)
	if r.param("error") != "invalid_token" && !r.malformed {
		v.add(Finding{
			Status: Warn, Cause: "no-invalid-token", Symptom: Refused, Got: v.list(r.lines),
			Cure: "add error=\"invalid_token\" where a token was sent and is bad, so that clients get another one; if the server does, see whether a proxy removes Authorization before it", Clause: "RFC 6750, Section 3.1",
		})
	}
}

// scopesOf splits the scope of a challenge.
func scopesOf(list string) []string {
	return slices.DeleteFunc(strings.Split(list, " "), func(s string) bool { return s == "" })
}
