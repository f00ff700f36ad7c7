package devas

import (
	"crypto/subtle"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// Keys of AuthnSession.Store while a request is pending. On approval the map is replaced, because it becomes Grant.Store.
const (
	storeBrowser = "browser" // digest of the browser cookie that opened the request
	storeOpened  = "opened"  // time.Time
	storeKey     = "jkt"     // here and in the grant: thumbprint of the DPoP key that it is bound to, if any
	storeSeen    = "seen"    // true when the browser that opened the request has come back to it
	storeRoles   = "roles"   // in the grant: roles at the time of approval

	storeAsserted = "asserted" // in the grant: true where it comes from an identity assertion
)

// codeChallenge is the form of an S256 challenge: 32 octets in base64url (RFC 7636, Section 4.2).
var codeChallenge = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// policy is the one way to authorize: sign in, then consent.
func (s *Server) policy() goidc.AuthnPolicy {
	always := func(*http.Request, *goidc.AuthnSession, *goidc.Client) bool { return true }
	return goidc.NewPolicy("consent", always, func(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession, c *goidc.Client) (goidc.Status, error) {
		if factsFrom(r.Context()).endpoint == pathAuthorize && r.URL.Path == pathAuthorize {
			return s.begin(w, r, as)
		}
		return s.interact(w, r, as, c)
	})
}

// begin completes the checks of a new authorization request and moves the browser to a short, reloadable URL.
func (s *Server) begin(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession) (goidc.Status, error) {
	refuse := func(code goidc.ErrorCode, why string) (goidc.Status, error) {
		return goidc.StatusFailure, goidc.NewError(code, why)
	}
	if problem := factsFrom(r.Context()).problem; problem != nil {
		return goidc.StatusFailure, *problem
	}
	// A missing method means plain (RFC 7636, Section 4.3), which is not accepted; the library would take it for S256.
	if as.CodeChallengeMethod != goidc.CodeChallengeMethodSHA256 {
		return refuse(goidc.ErrorCodeInvalidRequest, "code_challenge_method must be S256")
	}
	if !codeChallenge.MatchString(as.CodeChallenge) {
		return refuse(goidc.ErrorCodeInvalidRequest, "code_challenge is not a SHA-256 digest in base64url")
	}

	open := !s.cfg.Strict
	as.Resources = slices.Compact(slices.Sorted(slices.Values(as.Resources)))
	switch {
	case len(as.Resources) > 1:
		// A token is meant for one resource (RFC 9700, Section 2.3).
		return refuse(goidc.ErrorCodeInvalidTarget, "exactly one resource can be requested")
	case len(as.Resources) == 0 && open && len(s.list.Load().all) == 1:
		as.Resources = goidc.Resources{s.list.Load().all[0].Identifier}
		s.cfg.Logger.Warn("open mode: the request named no resource", "client_id", as.ClientID, "assumed", as.Resources[0])
	case len(as.Resources) == 0:
		return refuse(goidc.ErrorCodeInvalidTarget, "the resource parameter is required")
	}
	res, ok := s.resource(as.Resources[0])
	if !ok {
		return refuse(goidc.ErrorCodeInvalidTarget, "the resource is not known")
	}

	// This server signs nobody in to applications: openid is narrowed away.
	as.Scopes = strings.Join(slices.DeleteFunc(scopeList(as.Scopes), func(n string) bool { return n == "openid" }), " ")
	if as.Scopes == "" && len(res.Scopes) > 0 {
		if !open {
			return refuse(goidc.ErrorCodeInvalidScope, "the scope parameter is required")
		}
		as.Scopes = joinScopes(res.Scopes)
		s.cfg.Logger.Warn("open mode: the request named no scope", "client_id", as.ClientID, "assumed", as.Scopes)
	}

	if !s.admitted(as.ClientID, res) {
		s.log(Event{Kind: EventConsentRefused, Client: as.ClientID, Server: res.Identifier, Detail: "the server is not permitted to the application"})
		return refuse(goidc.ErrorCodeAccessDenied, "the resource is not allowed to the client")
	}
	if bound := s.allowedScopes(as.ClientID, res); as.Scopes != "" && len(possible(res, bound, as.Scopes)) == 0 {
		s.log(Event{Kind: EventConsentRefused, Client: as.ClientID, Server: res.Identifier, Scope: clean(as.Scopes, 300),
			Detail: "none of the scopes belongs to the server and is permitted to the application"})
		return refuse(goidc.ErrorCodeInvalidScope, "none of the scopes belongs to the resource and is allowed to the client")
	}

	if slices.Contains(prompts(as), string(goidc.PromptTypeNone)) {
		if _, _, ok := s.signedIn(r, as); !ok {
			return refuse(goidc.ErrorCodeLoginRequired, "the user is not signed in")
		}
		return refuse("consent_required", "this server asks for consent every time")
	}

	as.Store[storeBrowser] = digest(s.browserCookie(w, r))
	as.Store[storeOpened] = s.cfg.Now()
	as.Store[storeKey] = factsFrom(r.Context()).jkt
	http.Redirect(w, r, pathAuthorize+"/"+as.ID, http.StatusSeeOther)
	return goidc.StatusPending, nil
}

// interact shows the consent page or takes the decision.
func (s *Server) interact(w http.ResponseWriter, r *http.Request, as *goidc.AuthnSession, c *goidc.Client) (goidc.Status, error) {
	pending := func() (goidc.Status, error) { return goidc.StatusPending, nil }

	// A request belongs to the browser that opened it (AS-65): else a link could make somebody approve an attacker's request.
	want, _ := as.Store[storeBrowser].(string)
	cookie, ok := s.readCookie(r, cookieBrowser)
	if !ok || want == "" || subtle.ConstantTimeCompare([]byte(digest(cookie)), []byte(want)) != 1 {
		s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "This request was opened in another browser.",
			Text: "Go back to the application and start again in this browser."})
		return pending()
	}

	as.Store[storeSeen] = true

	// The registration may have changed since the request came (AS-60). Nothing may be sent to an address that is no longer registered, not even a refusal.
	if !redirectAllowed(c.RedirectURIs, as.RedirectURI) {
		s.problem(w, r, problemPage{Status: http.StatusBadRequest, Title: "The application redirect URL is no longer valid.",
			Text: "The application changed its registration in the meantime. Go back to it and start again."})
		return pending()
	}

	l, user, ok := s.signedIn(r, as)
	if !ok {
		signIn := pathSignIn + "?request=" + as.ID
		if r.Method == http.MethodGet {
			http.Redirect(w, r, signIn, http.StatusSeeOther)
			return pending()
		}
		s.problem(w, r, problemPage{Status: http.StatusUnauthorized, Title: "You must be signed in to continue.",
			Text: "Nothing was decided. Sign in, then decide again.", Link: signIn, LinkText: "Sign in"})
		return pending()
	}

	res, ok := s.resource(as.Resources[0])
	if !ok {
		s.problem(w, r, problemPage{Status: http.StatusBadRequest, Title: "This MCP server is not registered any more.",
			Text: "It was removed after you were sent here. Go back to the application."})
		return pending()
	}
	offered := slices.DeleteFunc(possible(res, s.allowedScopes(as.ClientID, res), as.Scopes), func(sc Scope) bool { return !s.roleAllows(user, sc) })
	noAccess := s.access(user, res) != accessGranted || !s.admitted(as.ClientID, res) || len(offered) == 0 && as.Scopes != ""
	event := Event{User: user.Name, Client: as.ClientID, Server: res.Identifier}
	view := consentView{Request: as, Client: c, Resource: res, User: user, Offered: offered, CSRF: s.mac("consent", l.ID, as.ID), SignOutCSRF: s.mac("signout", l.ID)}

	if r.Method == http.MethodGet {
		if noAccess {
			s.noAccess(w, r, view)
		} else {
			s.consent(w, r, view)
		}
		return pending()
	}

	if !s.macEqual(r.PostFormValue("csrf"), "consent", l.ID, as.ID) {
		s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "This form is out of date.", Text: "Nothing was decided. Open the request again and decide there.",
			Link: pathAuthorize + "/" + as.ID, LinkText: "Back to the request"})
		return pending()
	}
	switch r.PostFormValue("decision") {
	case "deny":
		event.Kind, event.OK = EventConsentDenied, true
		if noAccess {
			event.Detail = "the user went back without access"
		}
		s.log(event)
		return goidc.StatusFailure, nil
	case "approve":
	default:
		s.problem(w, r, problemPage{Status: http.StatusBadRequest, Title: "This form is incomplete.", Text: "Nothing was decided.",
			Link: pathAuthorize + "/" + as.ID, LinkText: "Back to the request"})
		return pending()
	}
	if noAccess {
		event.Kind, event.Detail = EventConsentRefused, "the user has no access to the server"
		s.log(event)
		s.noAccess(w, r, view)
		return pending()
	}
	var granted []string
	for _, sc := range offered {
		if slices.Contains(r.PostForm["scope"], sc.Name) {
			granted = append(granted, sc.Name)
		}
	}
	if len(granted) == 0 && len(offered) > 0 {
		event.Kind, event.OK, event.Detail = EventConsentDenied, true, "the user approved none of the scopes"
		s.log(event)
		return goidc.StatusFailure, goidc.NewError(goidc.ErrorCodeAccessDenied, "the user approved none of the scopes")
	}
	s.approved(r, view)
	as.Subject, as.Username = user.Name, user.Name
	as.GrantedScopes = strings.Join(granted, " ")
	as.GrantedResources = goidc.Resources{res.Identifier}
	jkt, _ := as.Store[storeKey].(string)
	as.Store = map[string]any{storeRoles: slices.Clone(user.Roles)}
	if jkt != "" {
		as.Store[storeKey] = jkt
	}
	event.Kind, event.OK, event.Scope = EventConsentGranted, true, as.GrantedScopes
	s.log(event)
	return goidc.StatusSuccess, nil
}

// possible is what was requested, belongs to the resource and is allowed to the client, in the order of the resource's configuration. The user's roles
// and decision narrow it further.
func possible(res *Resource, client []string, requested string) []Scope {
	asked := scopeList(requested)
	var out []Scope
	for _, sc := range res.Scopes {
		if slices.Contains(asked, sc.Name) && slices.Contains(client, sc.Name) {
			out = append(out, sc)
		}
	}
	return out
}

// signedIn returns the browser's sign-in if it is good enough for the request: prompt=login wants one made after the request, max_age a recent one.
func (s *Server) signedIn(r *http.Request, as *goidc.AuthnSession) (login, User, bool) {
	id, ok := s.readCookie(r, cookieLogin)
	if !ok {
		return login{}, User{}, false
	}
	l, ok := s.store.login(id)
	if !ok {
		return login{}, User{}, false
	}
	user, ok := s.cfg.user(l.User)
	if !ok {
		return login{}, User{}, false
	}
	opened, pending := as.Store[storeOpened].(time.Time)
	if pending && slices.Contains(prompts(as), string(goidc.PromptTypeLogin)) && l.At.Before(opened) {
		return login{}, User{}, false
	}
	if as.MaxAuthnAgeSecs != nil {
		since := s.cfg.Now()
		if pending {
			since = opened
		}
		if since.Sub(l.At) > time.Duration(max(0, min(*as.MaxAuthnAgeSecs, 1<<30)))*time.Second {
			return login{}, User{}, false
		}
	}
	return l, user, true
}

func prompts(as *goidc.AuthnSession) []string { return strings.Fields(string(as.Prompt)) }

// joinScopes makes a scope parameter.
func joinScopes(scopes []Scope) string {
	names := make([]string, len(scopes))
	for i, sc := range scopes {
		names[i] = sc.Name
	}
	return strings.Join(names, " ")
}

// scopeList splits on spaces and drops repetitions.
func scopeList(scope string) []string {
	var out []string
	for s := range strings.SplitSeq(scope, " ") {
		if s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
