package doctor

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/jwks"
)

// A published is what a token is compared with. What is empty is not known and not compared.
type published struct {
	resource     string
	issuers      []string
	scopes       []string // what clients are told to ask for
	scopesFrom   string
	keys         []*jwks.Key
	keysKnown    bool
	dpopRequired bool
	thumbprint   string // of the key that goes with the token
	now          time.Time
}

// compare judges the token by what is published: what a strict resource server does, byte for byte. Where many servers are less strict,
// it warns.
func (t *token) compare(p published, c *censor) []Finding {
	if !t.jwt {
		return []Finding{t.notJWT()}
	}
	var all []Finding
	for _, judge := range []func(published, *censor) Finding{
		t.judgeAlgorithm, t.judgeIssuer, t.judgeAudience, t.judgeType, t.judgeLifetime, t.judgeScopes, t.judgeRoles, t.judgeBinding, t.judgeSignature,
	} {
		if f := judge(p, c); f.Step != "" {
			all = append(all, f)
		}
	}
	return all
}

func (t *token) notJWT() Finding {
	f := Finding{
		Step: "token-format", Title: "Form of the token", Status: Warn, Symptom: Refused, Clause: "RFC 9068, Section 2",
		Cause: "opaque", Got: fmt.Sprintf("opaque: no JWT, %d dots", t.parts.Dots),
		Cure: "the authorization server issued an opaque token, and a server that verifies JWTs refuses it: have it issue JWTs for this resource (often by naming an audience or API), or have the server ask by introspection (Issuer.Introspection)",
	}
	switch {
	case t.parts.Dots == 4:
		f.Cause, f.Got, f.Cure = "encrypted", "an encrypted JWT (JWE)", "turn off encryption of access tokens for this resource at the authorization server"
	case t.parts.OK():
		f.Status, f.Cause, f.Got = Fail, "malformed", "three parts of base64url, but no JSON objects in them"
		f.Cure = "see whether the token was cut off or changed on its way"
	}
	return f
}

func (t *token) judgeAlgorithm(_ published, c *censor) Finding {
	alg := text(t.header, "alg")
	f := Finding{Step: "token-format", Title: "Form of the token", Status: Pass, Got: "JWT, alg " + c.quote(alg) + "; decoded, not verified", Clause: "RFC 8725, Section 3.1"}
	switch {
	case strings.EqualFold(alg, "none") || alg == "":
		f.Status, f.Cause, f.Symptom, f.Cure = Fail, "unsigned", Refused, "have the authorization server sign access tokens; no server may accept this one"
	case strings.HasPrefix(alg, "HS"):
		f.Status, f.Cause, f.Symptom = Fail, "symmetric", Refused
		f.Cure = "change the signing algorithm of the API at the authorization server to RS256 or ES256: with HS256 everybody who can verify can also sign"
	}
	return f
}

func (t *token) judgeIssuer(p published, c *censor) Finding {
	if len(p.issuers) == 0 {
		return Finding{}
	}
	iss := text(t.claims, "iss")
	f := Finding{
		Step: "token-issuer", Title: "iss", Status: Fail, Symptom: Refused, Got: "iss is " + c.quote(iss) + ", published: " + c.list(p.issuers), Clause: "RFC 9068, Section 4",
		Cause: "mismatch", Cure: "the token is from another authorization server, or the server lists it under another name: write iss exactly as it stands in tokens into authorization_servers (Issuer.URL)",
	}
	trimmed := func(s string) bool { return strings.TrimSuffix(s, "/") == strings.TrimSuffix(iss, "/") }
	switch {
	case iss == "":
		f.Cause, f.Got, f.Cure = "missing", "there is no iss", "have the authorization server put its issuer identifier into access tokens"
	case slices.Contains(p.issuers, iss):
		f.Status, f.Cause, f.Symptom, f.Got, f.Cure = Pass, "", "", c.quote(iss), ""
	case slices.ContainsFunc(p.issuers, trimmed):
		f.Cause = "slash"
		f.Cure = "they differ in the trailing slash only; write the issuer with or without it, exactly as it stands in iss (Issuer.URL)"
	case strings.HasPrefix(iss, "https://sts.windows.net/"):
		f.Cause = "entra-v1"
		f.Cure = "this is a version 1 token of Entra: set requestedAccessTokenVersion to 2 in the manifest of the API, or use idp.EntraV1"
	}
	return f
}

func (t *token) judgeAudience(p published, c *censor) Finding {
	if p.resource == "" {
		return Finding{}
	}
	aud := t.audience()
	f := Finding{
		Step: "token-audience", Title: "aud", Status: Fail, Symptom: Refused, Clause: "RFC 9068, Section 4; RFC 8707, Section 2",
		Got: "aud is " + c.list(aud) + ", the resource is " + c.quote(shownURL(p.resource)), Cause: "mismatch",
		Cure: "the token is for somebody else: see that the client asks for resource=" + shownURL(p.resource) + " and that the authorization server knows it in this spelling; where it cannot, list its value in Issuer.Audiences",
	}
	if slices.Contains(aud, p.resource) {
		f.Status, f.Cause, f.Symptom, f.Cure = Pass, "", "", ""
		f.Got = c.list(aud)
		return f
	}
	if len(aud) == 0 {
		f.Cause, f.Got = "missing", "there is no aud"
		f.Cure = "have the authorization server put the resource identifier into aud; clients that leave out the resource parameter, and providers that ignore it, give tokens without: set a default audience there, or see the presets of package idp"
		return f
	}
	if id := t.clientID(); id != "" && slices.Contains(aud, id) {
		f.Cause = "client-id"
		f.Cure = "aud is the client id: the client did not ask for the resource, or the provider ignores resource; set the audience at the authorization server, or list this value in Issuer.Audiences if only this API has it"
		return f
	}
	for _, one := range aud {
		u, err := url.Parse(one)
		r, err2 := url.Parse(p.resource)
		if err != nil || err2 != nil || !strings.EqualFold(u.Hostname(), r.Hostname()) || u.Host == "" {
			continue
		}
		var words string
		f.Cause, words = difference(one, p.resource)
		f.Got += ": " + words
		switch f.Cause {
		case "origin":
			f.Cure = "aud is the origin without the path: the authorization server knows the resource by its origin only; register it with the path, byte for byte, or list the origin in Issuer.Audiences"
		case "slash":
			f.Cure = "aud differs in the slash at the end: register the resource at the authorization server exactly as the metadata has it, or list the other spelling in Issuer.Audiences"
		}
		break
	}
	return f
}

func (t *token) judgeType(_ published, c *censor) Finding {
	typ := text(t.header, "typ")
	f := Finding{Step: "token-type", Title: "typ", Status: Warn, Symptom: Refused, Got: "typ is " + c.quote(typ), Clause: "RFC 9068, Section 2.1"}
	if kind := t.otherKind(); kind != "" {
		f.Status, f.Cause, f.Got = Fail, kind, f.Got+", and its claims are those of another kind of token"
		f.Cure = "the client must send the access_token of the token response, not the ID token or the refresh token"
		return f
	}
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "at+jwt":
		f.Status, f.Symptom = Pass, ""
	case "jwt":
		f.Cause = "jwt"
		f.Cure = "a strict server refuses typ JWT, since ID tokens have it, too: have the authorization server issue RFC 9068 access tokens (at+jwt), or add JWT to Issuer.TokenTypes"
	case "":
		f.Cause, f.Got = "absent", "there is no typ"
		f.Cure = "a strict server refuses a token without typ: have the authorization server issue RFC 9068 access tokens (at+jwt), or add \"\" to Issuer.TokenTypes"
	default:
		f.Cause = "other"
		f.Cure = "have the authorization server issue RFC 9068 access tokens (at+jwt), or add this typ to Issuer.TokenTypes"
	}
	return f
}

// otherKind tells the tokens that clients send by mistake.
func (t *token) otherKind() string {
	kind := strings.ToLower(text(t.claims, "typ") + " " + text(t.claims, "token_use"))
	for _, word := range strings.Fields(kind) {
		switch word {
		case "id", "id_token":
			return "id-token"
		case "refresh", "refresh_token", "offline":
			return "refresh-token"
		}
	}
	if strings.EqualFold(text(t.header, "typ"), "at+jwt") {
		return ""
	}
	for _, name := range []string{"at_hash", "c_hash", "nonce"} {
		if _, ok := t.claims[name]; ok {
			return "id-token"
		}
	}
	return ""
}

func (t *token) judgeLifetime(p published, _ *censor) Finding {
	f := Finding{Step: "token-lifetime", Title: "exp, nbf and iat", Status: Fail, Symptom: Refused, Clause: "RFC 9068, Section 4"}
	expiry, ok, bad := t.date("exp")
	notBefore, hasNotBefore, bad2 := t.date("nbf")
	issued, hasIssued, bad3 := t.date("iat")
	span := func(d time.Duration) string { return d.Round(time.Second).String() }
	switch {
	case bad || bad2 || bad3:
		f.Cause, f.Got, f.Cure = "malformed", "a date is no number of seconds", "have the authorization server write exp, nbf and iat as seconds since 1970, not as text or milliseconds"
	case !ok:
		f.Cause, f.Got, f.Cure = "no-expiry", "there is no exp", "have the authorization server give access tokens a lifetime"
	case expiry.Before(p.now):
		f.Cause, f.Got = "expired", "expired "+span(p.now.Sub(expiry))+" ago"
		f.Cure = "get a new token; if it was new, compare the clocks of this computer, the server and the authorization server"
	case hasNotBefore && notBefore.After(p.now.Add(uneasy)) || hasIssued && issued.After(p.now.Add(uneasy)):
		later := issued
		if notBefore.After(later) {
			later = notBefore
		}
		f.Cause, f.Got = "not-yet-valid", "valid only in "+span(later.Sub(p.now))
		f.Cure = "synchronize the clocks: that of the authorization server goes ahead, or that of this computer behind"
	case hasIssued && expiry.Sub(issued) > 24*time.Hour:
		f.Status, f.Cause, f.Symptom, f.Got = Warn, "long", "", "lives "+span(expiry.Sub(issued))
		f.Cure, f.Clause = "shorten the lifetime of access tokens to an hour or less: whoever gets hold of one can use it until then", "RFC 6750, Section 5.3"
	default:
		f.Status, f.Symptom, f.Got = Pass, "", "expires in "+span(expiry.Sub(p.now))
		if hasIssued {
			f.Got += ", lives " + span(expiry.Sub(issued))
		}
	}
	return f
}

func (t *token) judgeScopes(p published, c *censor) Finding {
	have, claim := t.scopes()
	f := Finding{
		Step: "token-scopes", Title: "Scopes", Status: Pass, Got: "none", Clause: "RFC 9068, Section 2.2.3",
	}
	if claim != "" {
		f.Got = claim + ": " + c.list(have)
	}
	missing := slices.DeleteFunc(slices.Clone(p.scopes), func(s string) bool { return slices.Contains(have, s) })
	if len(missing) == 0 {
		return f
	}
	f.Status, f.Symptom = Warn, Forbidden
	f.Got += "; " + p.scopesFrom + " names " + c.list(missing) + " as well"
	switch pairs := prefixed(missing, have); {
	case len(have) == 0:
		f.Cause = "none"
		f.Cure = "the token has no scopes: the client asked for none, or the authorization server gave none; set default scopes for the client there, or have the client ask for them"
	case pairs != "":
		f.Cause = "prefix"
		f.Cure = "the same scope is written with a prefix on one side and without it on the other (Entra, Cognito): tell the server about it, with Mapper.TokenPrefix for tokens and Mapper.ChallengePrefix for what clients ask for: " + pairs
	default:
		f.Cause = "lacks"
		f.Cure = "if these are needed, have the client ask for them, and grant them to user and client at the authorization server"
	}
	return f
}

// prefixed pairs a wanted scope with one that is the same but for what stands before its last / or :.
func prefixed(wanted, have []string) string {
	for _, w := range wanted {
		for _, h := range have {
			for _, sep := range []string{"/", ":"} {
				if strings.HasSuffix(w, sep+h) || strings.HasSuffix(h, sep+w) {
					return fmt.Sprintf("%.100q and %.100q", w, h)
				}
			}
		}
	}
	return ""
}

func (t *token) judgeRoles(_ published, c *censor) Finding {
	found := t.roles()
	f := Finding{Step: "token-roles", Title: "Roles", Status: Pass, Got: t.holdings(c)}
	if len(found) == 0 || slices.ContainsFunc(found, func(h holding) bool { return h.pointer == "/roles" }) {
		return f
	}
	f.Status, f.Cause, f.Symptom = Warn, "elsewhere", Forbidden
	f.Cure = "roles are not in the claim roles: have the server read them at " + c.quote(found[0].pointer) + " (Mapper.RoleClaims), or calls that need a role are refused and their tools hidden"
	return f
}

func (t *token) judgeBinding(p published, _ *censor) Finding {
	bound := t.confirmation("jkt")
	f := Finding{Step: "token-binding", Title: "Binding", Status: Pass, Got: "not bound: a bearer token", Clause: "RFC 9449, Section 6"}
	switch {
	case bound != "" && p.thumbprint == "":
		f.Status, f.Cause, f.Symptom, f.Got = Warn, "bound", Refused, "bound to a DPoP key (cnf.jkt)"
		f.Cure = "the client must send it as Authorization: DPoP with a proof; sent as a bearer token it is refused (RFC 9449, Section 7.2). Give the doctor the key to have it tried"
	case bound != "" && bound != p.thumbprint:
		f.Status, f.Cause, f.Symptom, f.Got = Fail, "other-key", Refused, "bound to another DPoP key than the one that was given"
		f.Cure = "use the key that the token was asked for with: a client that makes a new key at each start must get a new token, too"
	case bound != "":
		f.Got = "bound to the DPoP key that was given"
	case t.confirmation("x5t#S256") != "":
		f.Status, f.Cause, f.Symptom, f.Got = Warn, "certificate", Refused, "bound to a client certificate (cnf.x5t#S256)"
		f.Cure = "the client must use that certificate; behind a proxy the server needs to be told of it"
	case p.dpopRequired:
		f.Status, f.Cause, f.Symptom = Fail, "not-bound", Refused
		f.Cure = "the server demands DPoP: use a client that does it, see that the authorization server supports it, or accept bearer tokens, too"
	case p.thumbprint != "":
		f.Status, f.Cause, f.Symptom = Fail, "not-bound", Refused
		f.Cure = "a DPoP key was given and the token is not bound: the client sent no proof to the token endpoint, or the authorization server has no DPoP"
	}
	return f
}

func (t *token) judgeSignature(p published, c *censor) Finding {
	if !p.keysKnown {
		return Finding{}
	}
	f := Finding{Step: "token-signature", Title: "Signature", Status: Fail, Symptom: Refused, Clause: "RFC 9068, Section 4"}
	good, tried := t.verify(p.keys)
	switch {
	case good:
		f.Status, f.Symptom, f.Got = Pass, "", "verified with a published key"
	case tried == 0:
		f.Cause, f.Got = "unknown-key", "no published key fits kid "+c.quote(text(t.header, "kid"))+" and alg "+c.quote(text(t.header, "alg"))
		f.Cure = "publish the signing key at jwks_uri, or send the client to the authorization server that the resource lists; some providers sign tokens for their own interfaces with keys that they do not publish. A token from before the keys were changed has to be replaced by a new one"
	default:
		f.Cause, f.Got = "bad", "the signature is not that of the published key"
		f.Cure = "see that jwks_uri belongs to this issuer, and that nothing changes the token on its way"
	}
	return f
}
