package doctor

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// judgeRegistration is about how a client that nobody has heard of becomes known.
func (v *visit) judgeRegistration(ctx context.Context) {
	for _, s := range v.known() {
		before := len(v.report.Findings)
		documents, _ := s.members["client_id_metadata_document_supported"].(bool)
		dynamic := s.text("registration_endpoint") != ""
		var ways []string
		if documents {
			ways = append(ways, "client ID metadata documents")
		}
		if dynamic {
			ways = append(ways, "dynamic registration")
		}
		if v.opt.ClientID != "" {
			ways = append(ways, "the client that was given")
		}
		got := v.named(s) + "ways: " + v.list(ways)
		clause := "MCP, Client Registration Approaches"
		if len(ways) == 0 {
			v.add(Finding{
				Status: Fail, Cause: "none", Symptom: NoBrowser, Got: v.named(s) + "neither registration_endpoint nor client_id_metadata_document_supported", Clause: clause,
				Cure: "turn on client ID metadata documents or dynamic registration, or register a client by hand, enter its id into each application, and give it here (-client-id)",
			})
			continue
		}
		if methods, ok := s.texts("token_endpoint_auth_methods_supported"); ok && !slices.Contains(methods, "none") && !documents {
			v.add(Finding{
				Status: Warn, Cause: "no-public-clients", Symptom: NoBrowser, Got: v.named(s) + "token_endpoint_auth_methods_supported: " + v.list(methods), Clause: clause,
				Cure: "allow the method none: applications on people's computers are public clients and cannot keep a secret",
			})
		}
		if grants, ok := s.texts("grant_types_supported"); ok && !slices.Contains(grants, "authorization_code") {
			v.add(Finding{
				Status: Fail, Cause: "no-code", Symptom: NoBrowser, Got: v.named(s) + "grant_types_supported: " + v.list(grants), Clause: "RFC 8414, Section 2",
				Cure: "turn on the authorization code grant: clients of MCP know no other one for people",
			})
		}
		if dynamic && !documents {
			names := []string{"content-type"}
			if missing := v.allows(v.preflight(ctx, s.text("registration_endpoint"), http.MethodPost, names...), names...); missing != "" {
				v.add(Finding{
					Status: Warn, Cause: "cors", Symptom: NoBrowser, Got: v.named(s) + "preflight of the registration endpoint: " + missing, Clients: who(func(c client) bool { return c.page }),
					Cure: "let pages reach the registration endpoint (CORS), or register a client by hand for them", Clause: clause,
				})
			}
		}
		if supported, ok := s.texts("scopes_supported"); ok {
			v.judgeUnknownScopes(s, supported)
		}
		if len(v.report.Findings) == before {
			v.pass(got)
		}
	}
}

// judgeUnknownScopes finds scopes that the resource tells clients to ask for and the authorization server does not list.
func (v *visit) judgeUnknownScopes(s *server, supported []string) {
	wanted := scopesOf(v.challenge.param("scope"))
	if len(wanted) == 0 && v.document != nil {
		wanted = v.document.ScopesSupported
	}
	unknown := slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return slices.Contains(supported, s) })
	if len(unknown) > 0 {
		v.add(Finding{
			Status: Warn, Cause: "unknown-scopes", Got: v.named(s) + "the resource asks for " + v.list(unknown) + ", which the authorization server does not list",
			Cure: "define these scopes at the authorization server, or name them to clients as it knows them, with its prefix (Mapper.ChallengePrefix); a login for an unknown scope ends in invalid_scope", Clause: "RFC 6749, Section 3.3",
		})
	}
}

// A provider is what is known to go wrong with the authorization servers at certain hosts.
type provider struct {
	name    string
	is      func(issuer string) bool
	cause   string
	symptom Symptom
	cure    string
}

func at(parts ...string) func(string) bool {
	return func(issuer string) bool {
		return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(issuer, p) })
	}
}

// providers are those that treat the resource parameter in a way of their own (RFC 8707).
var providers = []provider{
	{"Microsoft Entra ID", at("://login.microsoftonline.com/"), "rejects-resource", InvalidTarget,
		"Entra answers AADSTS9010010 or AADSTS901002 when resource does not fit the scopes: make the resource the application ID URI, or name scopes to clients with its prefix (ChallengePrefix); aud is the client id of the API, so add it to Issuer.Audiences"},
	{"Auth0", at(".auth0.com"), "ignores-resource", Refused,
		"turn on the Resource Parameter Compatibility Profile of the tenant and register the URL as an API; without it tokens are opaque or for /userinfo"},
	{"Okta", at(".okta.com"), "ignores-resource", Refused,
		"Okta ignores resource: set the audience of the authorization server to the URL of the MCP server, or add its value to Issuer.Audiences"},
	{"Keycloak", at("/realms/"), "ignores-resource", Refused,
		"add an audience mapper with the URL of the MCP server to a client scope; without it aud lacks the URL, and clients by metadata document get no aud at all"},
	{"Amazon Cognito", at("://cognito-idp.", ".amazonaws.com"), "ignores-resource", Refused,
		"use the managed login with resource binding; other logins give tokens without aud, which need a list of client ids (idp.CognitoClients)"},
	{"Logto", at(".logto.app"), "ignores-resource", Refused, "clients that send no resource get an opaque token; set a default resource"},
	{"Supabase", at(".supabase.co"), "ignores-resource", Refused, "aud is the word authenticated for every server of the project; accept it by name (idp.Supabase)"},
}

// judgeResourceParameter says what can be told from outside: protected_resources, and what is known of the provider.
func (v *visit) judgeResourceParameter(context.Context) {
	for _, s := range v.known() {
		if list, ok := s.texts("protected_resources"); ok && !slices.Contains(list, v.resource()) {
			v.add(Finding{
				Status: Fail, Cause: "not-registered", Symptom: InvalidTarget, Got: v.named(s) + "protected_resources lacks " + v.quote(shownURL(v.resource())) + ", it has: " + v.list(list),
				Cure: "register the resource at the authorization server, spelled exactly like this; it answers invalid_target to clients that ask for a token for it", Clause: "RFC 9728, Section 4; RFC 8707, Section 2",
			})
			continue
		} else if ok {
			v.pass(v.named(s) + "protected_resources has the resource")
			continue
		}
		i := slices.IndexFunc(providers, func(p provider) bool { return p.is(s.issuer + "/") })
		if i < 0 {
			v.pass(v.named(s) + "the metadata does not say whether resource is supported, and nothing is known against it")
			continue
		}
		p := providers[i]
		v.add(Finding{Status: Warn, Cause: p.cause, Symptom: p.symptom, Got: v.named(s) + "the authorization server is " + p.name, Cure: p.cure, Clause: "RFC 8707, Section 2"})
	}
}

// resource is what clients send: the published one, or else the URL.
func (v *visit) resource() string {
	if v.document != nil && v.document.Resource != "" {
		return v.document.Resource
	}
	return v.opt.URL
}
