package jwt

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// claimNames are the claims that decide something here or in the mapping of rights. Another spelling of
// one by letter case is refused: what one decoder ignores as unknown replaces the real claim in another.
var claimNames = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "client_id", "azp", "appid", "cid", "cnf", "scope", "scp",
	"typ", "token_use", "nonce", "at_hash", "c_hash", "s_hash",
}

var clientClaims = []string{"client_id", "azp", "appid", "cid"}

// acceptClaims checks t.Claims, whose signature has been verified, and fills in t.
func (iss *issuer) acceptClaims(t *Token, now time.Time) *Error {
	if refusal := iss.acceptTimes(t, now); refusal != nil {
		return refusal
	}
	// Before the audience: "this is an ID token" explains more than "wrong audience".
	if refusal := acceptKind(t); refusal != nil {
		return refusal
	}
	if refusal := readIdentity(t); refusal != nil {
		return refusal
	}
	if refusal := iss.acceptAudience(t); refusal != nil {
		return refusal
	}
	if refusal := iss.acceptStandIn(t); refusal != nil {
		return refusal
	}
	if iss.clients != nil {
		if _, ok := iss.clients[t.ClientID]; !ok {
			got := "no client id"
			if t.ClientID != "" {
				got = "client " + quote(t.ClientID)
			}
			return &Error{
				Reason: ReasonClient, Expected: "a client in " + quoteList(iss.ClientIDs), Got: got,
				Cure: "add the client to the issuer's ClientIDs if it may use this resource",
			}
		}
	}
	if iss.Strict {
		for _, name := range []string{"sub", "client_id", "iat", "jti"} {
			if _, ok := t.Claims[name]; !ok {
				return &Error{
					Reason: ReasonMissingClaim, Expected: "sub, client_id, iat and jti (RFC 9068)", Got: "no " + name,
					Cure: "have the authorization server issue RFC 9068 access tokens, or turn off the strict check",
				}
			}
		}
	}
	// RFC 7800, Section 3.1. A cnf that cannot be read binds the token to a key that nobody can show.
	cnf, ok := t.Claims["cnf"]
	t.Bound = ok
	t.Confirmation, _ = cnf.(map[string]any)
	return nil
}

// acceptTimes checks exp, nbf and iat. exp is required, also of introspected tokens, for which RFC 7662, Section 2.2 leaves
// it to the authorization server: a token must not be good for ever (RFC 9068, Section 2.2).
func (iss *issuer) acceptTimes(t *Token, now time.Time) *Error {
	expiry, ok, refusal := dateClaim(t.Claims, "exp")
	if refusal != nil {
		return refusal
	}
	if !ok {
		return &Error{
			Reason: ReasonNoExpiry, Expected: "an exp claim", Got: "none",
			Cure: "have the authorization server give access tokens a lifetime",
		}
	}
	// RFC 7519, Section 4.1.4: on or after exp the token is over.
	if !now.Add(-iss.leeway).Before(expiry) {
		return &Error{
			Reason: ReasonExpired, Expected: "exp after " + stamp(now) + " (leeway " + iss.leeway.String() + ")", Got: "exp " + stamp(expiry),
			Cure: "the client must refresh its token; if tokens arrive expired, synchronize the clocks",
		}
	}
	notBefore, ok, refusal := dateClaim(t.Claims, "nbf")
	if refusal != nil {
		return refusal
	}
	if ok && notBefore.After(now.Add(iss.leeway)) {
		return &Error{
			Reason: ReasonNotYetValid, Expected: "nbf until " + stamp(now) + " (leeway " + iss.leeway.String() + ")", Got: "nbf " + stamp(notBefore),
			Cure: "synchronize the clocks of this server and the authorization server",
		}
	}
	issuedAt, ok, refusal := dateClaim(t.Claims, "iat")
	if refusal != nil {
		return refusal
	}
	if ok && issuedAt.After(now.Add(iss.leeway)) {
		return &Error{
			Reason: ReasonIssuedInFuture, Expected: "iat until " + stamp(now) + " (leeway " + iss.leeway.String() + ")", Got: "iat " + stamp(issuedAt),
			Cure: "synchronize the clocks of this server and the authorization server; iat is in seconds",
		}
	}
	t.Expiry, t.NotBefore, t.IssuedAt = expiry, notBefore, issuedAt
	return nil
}

// acceptKind refuses the other tokens that an issuer hands out beside access tokens (RFC 8725, Section
// 3.12). typ at+jwt settles it (RFC 9068, Section 4) but for tokens that call themselves otherwise.
func acceptKind(t *Token) *Error {
	kind, _, refusal := stringClaim(t.Claims, "typ") // Keycloak: Bearer, DPoP, ID, Refresh, Offline
	if refusal != nil {
		return refusal
	}
	use, _, refusal := stringClaim(t.Claims, "token_use") // Cognito: access, id; Ory Hydra introspects as access_token, refresh_token
	if refusal != nil {
		return refusal
	}
	const cure = "the client must send the access_token of the token response"
	switch lowerASCII(kind) {
	case "id", "id_token":
		return &Error{Reason: ReasonIDToken, Expected: "an access token", Got: "an ID token: claim typ " + quote(kind), Cure: cure}
	case "refresh", "refresh_token", "offline":
		return &Error{Reason: ReasonRefreshToken, Expected: "an access token", Got: "a refresh token: claim typ " + quote(kind), Cure: cure}
	case "logout":
		return &Error{Reason: ReasonType, Expected: "an access token", Got: "a logout token: claim typ " + quote(kind), Cure: cure}
	}
	switch lowerASCII(use) {
	case "", "access", "access_token":
	case "id", "id_token":
		return &Error{Reason: ReasonIDToken, Expected: "an access token", Got: "an ID token: token_use " + quote(use), Cure: cure}
	case "refresh", "refresh_token":
		return &Error{Reason: ReasonRefreshToken, Expected: "an access token", Got: "a refresh token: token_use " + quote(use), Cure: cure}
	default:
		return &Error{Reason: ReasonType, Expected: "an access token", Got: "a token of another kind: token_use " + quote(use), Cure: cure}
	}
	if _, ok := t.Claims["events"]; ok {
		// RFC 8417, Section 2.2; OpenID Connect Back-Channel Logout 1.0, Section 2.4.
		return &Error{Reason: ReasonType, Expected: "an access token", Got: "a security event token: it has events", Cure: cure}
	}
	if t.Type == accessTokenType {
		return nil
	}
	// OpenID Connect Core 1.0, Sections 2 and 3.3.2.11: claims that only ID tokens have.
	for _, name := range []string{"at_hash", "c_hash", "s_hash", "nonce"} {
		if _, ok := t.Claims[name]; ok {
			return &Error{
				Reason: ReasonIDToken, Expected: "an access token", Got: "an ID token: it has " + name + " and no typ at+jwt",
				Cure: cure + "; if it did, remove the claim's mapper at the authorization server (Keycloak: Nonce backwards " +
					"compatible) or have it issue typ at+jwt",
			}
		}
	}
	return nil
}

// readIdentity reads sub, the client id and jti.
func readIdentity(t *Token) *Error {
	for _, name := range clientClaims {
		id, ok, refusal := stringClaim(t.Claims, name)
		if refusal != nil {
			return refusal
		}
		if ok && id == "" {
			return malformed(name+" as a non-empty string", "an empty one", nil)
		}
		if t.ClientID == "" {
			t.ClientID = id
		}
	}
	subject, ok, refusal := stringClaim(t.Claims, "sub")
	switch {
	case refusal != nil:
		return refusal
	case ok && subject == "":
		return &Error{Reason: ReasonSubject, Expected: "sub as a non-empty string", Got: "an empty one"}
	case !ok && t.ClientID == "":
		return &Error{
			Reason: ReasonSubject, Expected: "sub, or one of " + strings.Join(clientClaims, ", "), Got: "none of them",
			Cure: "have the authorization server put sub into access tokens (Keycloak: the client scope basic)",
		}
	case !ok:
		// RFC 9068, Section 2.2: without a resource owner the client is the subject.
		subject = t.ClientID
	}
	t.Subject = subject
	t.ID, _, refusal = stringClaim(t.Claims, "jti")
	return refusal
}

// acceptAudience checks aud (RFC 7519, Section 4.1.3; RFC 9068, Section 4). Its form is checked even
// where any audience is accepted.
func (iss *issuer) acceptAudience(t *Token) *Error {
	var list []string
	switch aud := t.Claims["aud"].(type) {
	case string:
		if aud != "" {
			list = []string{aud}
		}
	case []any:
		list = make([]string, 0, len(aud))
		for _, member := range aud {
			s, ok := member.(string)
			if !ok {
				return malformed("aud as a string or an array of strings", "an array that holds "+kindOf(member), nil)
			}
			list = append(list, s)
		}
	default:
		if value, ok := t.Claims["aud"]; ok {
			return malformed("aud as a string or an array of strings", kindOf(value), nil)
		}
	}
	if iss.AnyAudience {
		return nil
	}
	if len(list) == 0 && iss.NoAudience {
		return nil // acceptClaims looks at the client
	}
	if len(list) == 0 {
		return &Error{
			Reason: ReasonNoAudience, Expected: "aud with one of " + quoteList(iss.Audiences), Got: "no audience",
			Cure: "have the authorization server put the resource identifier into aud. The client may have left the resource " +
				"parameter out (some builds of Claude Code do). Keycloak: add an audience mapper; Cognito: bind the login to the " +
				"resource; Clerk: register the server's URL. Where that is impossible set the issuer's " +
				"DangerouslyAcceptNoAudience, and list its ClientIDs",
		}
	}
	matches := 0
	for _, aud := range list {
		if _, ok := iss.audiences[aud]; ok || iss.ClientAudience && aud != "" && aud == t.ClientID {
			matches++
		}
	}
	if matches == len(list) || matches > 0 && !iss.SoleAudience {
		return nil
	}
	e := &Error{
		Reason: ReasonAudience, Expected: "aud with one of " + quoteList(iss.Audiences), Got: "aud " + quoteList(list),
		Cure: iss.audienceCure(list, t.ClientID),
	}
	if matches > 0 {
		e.Expected = "aud with nothing but " + quoteList(iss.Audiences)
		e.Cure = "have the authorization server name no other audience (Auth0: do not ask for the scope openid), or allow several"
	}
	return e
}

// acceptStandIn looks again at a token that neither its typ nor its audience shows to be an access token
// for this resource: an audience that stands in for it, such as the id of an application, is also that
// of ID tokens (OpenID Connect Core 1.0, Section 2).
func (iss *issuer) acceptStandIn(t *Token) *Error {
	if t.Type == accessTokenType || len(iss.Audiences) > 0 && iss.names(t, iss.Audiences[0]) {
		return nil
	}
	refuse := func(got string) *Error {
		return &Error{
			Reason: ReasonIDToken, Expected: "an access token", Got: "what may be an ID token: " + got,
			Cure: "the client must send the access_token of the token response; have the authorization server issue typ at+jwt, " +
				"or put the resource identifier into aud",
		}
	}
	if t.ClientID == "" {
		return refuse("nothing says which client it was issued to")
	}
	_, scope := t.Claims["scope"]
	_, scp := t.Claims["scp"]
	kind, _, _ := stringClaim(t.Claims, "typ")
	use, _, _ := stringClaim(t.Claims, "token_use")
	azp, _, _ := stringClaim(t.Claims, "azp")
	if iss.ClientAudience && iss.names(t, t.ClientID) && !scope && !scp && kind == "" && use == "" {
		return refuse("its audience is the client itself, and it has no scope")
	}
	if isOnly(t.Claims["aud"], azp) && !scope && !scp && kind == "" && use == "" {
		return refuse("its only audience is the client itself, and it has no scope")
	}
	return nil
}

// isOnly reports whether aud names this audience and no other one, in either of its forms (RFC 7519, Section 4.1.3).
func isOnly(aud any, audience string) bool {
	list, ok := aud.([]any)
	if !ok {
		return aud == audience
	}
	return len(list) > 0 && !slices.ContainsFunc(list, func(member any) bool { return member != audience })
}

// names reports whether aud holds this audience, or its twin.
func (iss *issuer) names(t *Token, audience string) bool {
	same := func(v any) bool {
		s, ok := v.(string)
		if !ok {
			return false
		}
		twin, isOrigin := originTwin(audience)
		return s == audience || isOrigin && s == twin
	}
	if list, ok := t.Claims["aud"].([]any); ok {
		return slices.ContainsFunc(list, same)
	}
	return same(t.Claims["aud"])
}

// audienceCure recognizes what providers do when they have not been told about the resource.
func (iss *issuer) audienceCure(list []string, client string) string {
	has := func(f func(string) bool) bool { return slices.ContainsFunc(list, f) }
	switch {
	case has(func(s string) bool { return iss.nearMiss(s) }):
		return "audiences are compared byte for byte: write the resource identifier at the authorization server exactly as here"
	case has(func(s string) bool { return s == "account" }):
		return "Keycloak: add an audience mapper with the resource identifier to a client scope of the client"
	case has(func(s string) bool { return strings.HasSuffix(s, "/userinfo") }):
		return "Auth0: turn on the Resource Parameter Compatibility Profile, and register the resource identifier as an API"
	case strings.HasPrefix(iss.URL, "https://login.microsoftonline.com/"), strings.HasPrefix(iss.URL, "https://sts.windows.net/"):
		return "Entra ID: add the application id of the API (v2.0 tokens) or its api:// URI (v1.0) to the issuer's Audiences"
	case has(func(s string) bool { return strings.HasPrefix(s, "api://") }):
		return "Okta: set the audience of the authorization server to the resource identifier, or add this one to the issuer's Audiences"
	case client != "" && has(func(s string) bool { return s == client }):
		return "aud is the client itself: it left the resource parameter out (some builds of Claude Code do) or the authorization " +
			"server ignores it; register the resource identifier there and make it the default audience of the client"
	}
	return "have the authorization server put the resource identifier into aud; or, if the token names the URL that clients use, " +
		"correct Config.Resource (localhost and 127.0.0.1 are different names); or add this audience to the issuer's Audiences if " +
		"it stands for this resource alone"
}

// nearMiss reports whether aud differs from a configured audience only by case or a trailing slash.
// It is for the log; nothing is accepted by it.
func (iss *issuer) nearMiss(aud string) bool {
	for known := range iss.audiences {
		if strings.EqualFold(strings.TrimSuffix(known, "/"), strings.TrimSuffix(aud, "/")) {
			return true
		}
	}
	return false
}

// dateClaim returns the NumericDate called name, if present.
func dateClaim(claims map[string]any, name string) (time.Time, bool, *Error) {
	value, ok := claims[name]
	if !ok {
		return time.Time{}, false, nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false, malformed(name+" as a JSON number", kindOf(value), nil)
	}
	date, err := parseDate(string(number))
	if err != nil {
		return time.Time{}, false, malformed(name+" as seconds since 1970", "a number beyond every date", err)
	}
	return date, true, nil
}

// stringClaim returns the string claim called name, if present.
func stringClaim(claims map[string]any, name string) (string, bool, *Error) {
	value, ok := claims[name]
	if !ok {
		return "", false, nil
	}
	s, ok := value.(string)
	if !ok {
		return "", false, malformed(name+" as a string", kindOf(value), nil)
	}
	return s, true, nil
}

// String names the type for a log line, as kindOf does.
func (n notString) String() string {
	switch n.kind {
	case strictjson.ObjectKind:
		return "an object"
	case strictjson.ArrayKind:
		return "an array"
	case strictjson.NumberKind:
		return "a number"
	case strictjson.BoolKind:
		return "a boolean"
	}
	return "null"
}

func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
