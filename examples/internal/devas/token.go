package devas

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"

	"github.com/go-mcpauth/sdk/internal/dpop"
)

// unreserved is what a code verifier consists of (RFC 7636, Section 4.1).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// serveToken is the token endpoint.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	r, ok := s.readForm(w, r, pathToken)
	if !ok {
		return
	}
	f := factsFrom(r.Context())
	if documentFault(w, f) {
		return
	}
	if f.jkt, ok = s.checkProof(w, r); !ok {
		return
	}
	form := r.PostForm
	s.rewriteResource(form)
	if form.Has("resource") {
		form["resource"] = slices.Compact(slices.Sorted(slices.Values(form["resource"]))) // each would be an aud of its own
	}
	if form.Has("scope") {
		form.Set("scope", strings.Join(scopeList(form.Get("scope")), " "))
	}
	if s.hasProviders() && goidc.GrantType(form.Get("grant_type")) == goidc.GrantJWTBearer {
		var err error
		if f.asserted, err = s.readAsserted(r.Context(), form); err != nil {
			s.tokenRefused(r, goidc.ErrorCodeInvalidRequest, err)
			writeError(w, http.StatusBadRequest, string(goidc.ErrorCodeInvalidRequest), err.Error())
			return
		}
	}
	r = r.WithContext(withFacts(r.Context(), f))

	s.tokens.Lock()
	defer s.tokens.Unlock()
	if !s.checkGrant(w, r, form) {
		return
	}
	buf := newBuffer()
	s.library.ServeHTTP(buf, r)
	buf.replay(w, func(status int, h http.Header, body map[string]any) int {
		status = mendTokenResponse(status, h, body)
		if status == http.StatusOK && f.jkt != "" {
			body["token_type"] = "DPoP"
		}
		if status == http.StatusOK && f.asserted != nil {
			body["resource"] = f.asserted.resource // draft-ietf-oauth-identity-assertion-authz-grant, Section 4.4.1
		}
		if status != http.StatusOK {
			s.tokenRefused(r, body["error"], body["error_description"])
		}
		return status
	})
}

// tokenRefused logs a refusal at the token endpoint.
func (s *Server) tokenRefused(r *http.Request, code, description any) {
	s.log(Event{Kind: EventTokenRefused, Client: claimedClient(r), Detail: fmt.Sprint(code, ": ", description)})
}

// checkGrant is what must come before the library.
func (s *Server) checkGrant(w http.ResponseWriter, r *http.Request, form url.Values) bool {
	refuse := func(code, description string) bool {
		s.tokenRefused(r, code, description)
		writeError(w, http.StatusBadRequest, code, description)
		return false
	}
	f := factsFrom(r.Context())
	if c, err := s.store.Client(r.Context(), claimedClient(r)); err == nil && c.DPoPTokenBindingRequired && f.jkt == "" {
		return refuse(dpop.CodeInvalidProof, "this client must send a DPoP proof") // RFC 9449, Section 5.2
	}
	switch goidc.GrantType(form.Get("grant_type")) {
	case goidc.GrantAuthorizationCode:
		return s.checkCode(w, r, form)
	case goidc.GrantRefreshToken:
		if code, description := s.checkRefresh(r, form); code != "" {
			return refuse(code, description)
		}
	}
	return true
}

// checkRefresh narrows a refresh to what user and application may have by now, and holds it to the key that the grant is bound to. The scopes of the
// grant stay, so that a permission that comes back works again.
func (s *Server) checkRefresh(r *http.Request, form url.Values) (code, description string) {
	g, err := s.store.GrantByRefreshToken(r.Context(), form.Get("refresh_token"))
	if err != nil || g.RevokedAt != 0 || g.ClientID != claimedClient(r) || len(g.Resources) != 1 {
		return "", "" // the library refuses
	}
	f := factsFrom(r.Context())
	if bound := boundKey(g); bound != "" && f.jkt != bound {
		c, err := s.store.Client(r.Context(), g.ClientID)
		// A confidential client proves who it is and may change its key (RFC 9449, Section 5).
		if err != nil || c.IsPublic() || f.jkt == "" {
			return dpop.CodeInvalidProof, "the refresh token is bound to a key; the DPoP proof is missing or by another one"
		}
	}
	return s.narrow(g, form)
}

// narrow holds a token request to what user and application may have by now, and says why not if that is nothing.
func (s *Server) narrow(g *goidc.Grant, form url.Values) (code, description string) {
	res, ok := s.resource(g.Resources[0])
	if !ok {
		return string(goidc.ErrorCodeInvalidGrant), "the resource is not known any more"
	}
	user, ok := s.cfg.user(g.Subject)
	if !ok || s.access(user, res) != accessGranted {
		return string(goidc.ErrorCodeInvalidGrant), "the user has no access to the resource any more"
	}
	if !s.admitted(g.ClientID, res) {
		return string(goidc.ErrorCodeInvalidGrant), "the application has no access to the resource any more"
	}
	if g.Scopes == "" {
		return "", ""
	}
	allowed := slices.DeleteFunc(possible(res, s.allowedScopes(g.ClientID, res), g.Scopes), func(sc Scope) bool { return !s.roleAllows(user, sc) })
	switch {
	case len(allowed) == 0:
		return string(goidc.ErrorCodeInvalidGrant), "neither user nor application may have any of the scopes any more"
	case len(allowed) == len(scopeList(g.Scopes)):
		return "", ""
	}
	requested := form.Get("scope")
	if requested == "" {
		requested = g.Scopes
	}
	for _, name := range scopeList(requested) {
		if !slices.Contains(scopeList(g.Scopes), name) {
			return "", "" // the library refuses what was never granted
		}
	}
	narrowed := slices.DeleteFunc(allowed, func(sc Scope) bool { return !slices.Contains(scopeList(requested), sc.Name) })
	if len(narrowed) == 0 {
		return string(goidc.ErrorCodeInvalidScope), "none of the scopes is allowed any more"
	}
	form.Set("scope", joinScopes(narrowed))
	return "", ""
}

// checkCode is what must come before the library, because any error while it redeems a code ends the grant.
func (s *Server) checkCode(w http.ResponseWriter, r *http.Request, form url.Values) bool {
	g, err := s.store.GrantByAuthCode(r.Context(), form.Get("code"))
	if err != nil || g.RevokedAt != 0 || g.AuthCodeConsumedAt != 0 {
		return true // the library refuses, and revokes what a reused code had issued
	}
	// A client may correct a wrong resource and try again (RFC 8707, Section 2.2).
	for _, res := range form["resource"] {
		if len(g.Resources) != 1 || g.Resources[0] != res {
			writeError(w, http.StatusBadRequest, "invalid_target", "the code was issued for another resource")
			return false
		}
	}
	// RFC 9449, Section 10. The code lives on: whoever has the key may still redeem it.
	if bound := boundKey(g); bound != "" && bound != factsFrom(r.Context()).jkt {
		s.tokenRefused(r, dpop.CodeInvalidProof, "the code is bound to another key")
		writeError(w, http.StatusBadRequest, dpop.CodeInvalidProof, "the code is bound to a key; the DPoP proof is missing or by another one")
		return false
	}
	// OAuth 2.1, Section 4.1.3: redirect_uri need not be repeated, the library wants it.
	if !form.Has("redirect_uri") {
		form.Set("redirect_uri", g.AuthParams.RedirectURI)
	}
	// The library compares the challenge too, but not in constant time.
	verifier := form.Get("code_verifier")
	sum := sha256.Sum256([]byte(verifier))
	computed := base64.RawURLEncoding.EncodeToString(sum[:])
	wellFormed := len(verifier) >= 43 && len(verifier) <= 128 && strings.Trim(verifier, unreserved) == ""
	if !wellFormed || subtle.ConstantTimeCompare([]byte(computed), []byte(g.AuthParams.CodeChallenge)) != 1 {
		s.store.revokeGrant(g.ID)
		s.tokenRefused(r, goidc.ErrorCodeInvalidGrant, "code_verifier does not fit the code_challenge")
		writeError(w, http.StatusBadRequest, "invalid_grant", "code_verifier does not fit the code_challenge")
		return false
	}
	// The answer of the page may be a minute old.
	if len(g.Resources) == 1 && g.ClientID == claimedClient(r) {
		if code, description := s.narrow(g, form); code != "" {
			s.tokenRefused(r, code, description)
			writeError(w, http.StatusBadRequest, code, description)
			return false
		}
	}
	return true
}

// serveIntrospect is the introspection endpoint, for configured clients that may use it.
func (s *Server) serveIntrospect(w http.ResponseWriter, r *http.Request) {
	r, ok := s.readForm(w, r, pathIntrospect)
	if !ok {
		return
	}
	buf := newBuffer()
	s.library.ServeHTTP(buf, r)
	buf.replay(w, mendTokenResponse)
}

// serveRevoke is the revocation endpoint. It answers 200 also for another client's token, which it leaves alone: whether it exists is nobody's business.
func (s *Server) serveRevoke(w http.ResponseWriter, r *http.Request) {
	r, ok := s.readForm(w, r, pathRevoke)
	if !ok {
		return
	}
	s.tokens.Lock()
	defer s.tokens.Unlock()
	buf := newBuffer()
	s.library.ServeHTTP(buf, r)
	if buf.status >= 400 {
		s.log(Event{Kind: EventRevocationRefused, Client: claimedClient(r), Detail: "not authenticated, or another application's token"})
	}
	if buf.status == http.StatusForbidden {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusOK)
		return
	}
	buf.replay(w, mendTokenResponse)
}

// readForm reads the form of a direct request before any lock is taken, and refuses what the library would overlook. It returns the request with the
// facts for the store.
func (s *Server) readForm(w http.ResponseWriter, r *http.Request, endpoint string) (*http.Request, bool) {
	mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || mediaType != "application/x-www-form-urlencoded" {
		writeError(w, http.StatusBadRequest, "invalid_request", "the body must be application/x-www-form-urlencoded")
		return nil, false
	}
	if err := r.ParseForm(); err != nil {
		writeError(w, http.StatusBadRequest, "invalid_request", "the form cannot be read")
		return nil, false
	}
	for name, values := range r.PostForm {
		// RFC 6749, Section 3.2.
		if len(values) > 1 && name != "resource" {
			writeError(w, http.StatusBadRequest, "invalid_request", "a parameter is repeated")
			return nil, false
		}
	}
	authorizations := r.Header.Values("Authorization")
	methods := len(authorizations)
	for _, name := range []string{"client_secret", "client_assertion"} {
		if r.PostForm.Has(name) {
			methods++
		}
	}
	if methods > 1 {
		// RFC 6749, Section 2.3: one method of authentication in a request.
		writeError(w, http.StatusBadRequest, "invalid_request", "more than one client authentication")
		return nil, false
	}
	// RFC 6749, Section 2.3.1: both are form-encoded before they go into the header, which the library does not undo.
	if id, secret, ok := r.BasicAuth(); ok {
		plainID, err1 := url.QueryUnescape(id)
		plainSecret, err2 := url.QueryUnescape(secret)
		if err1 != nil || err2 != nil {
			writeError(w, http.StatusBadRequest, "invalid_request", "client id and secret must be form-encoded")
			return nil, false
		}
		r.SetBasicAuth(plainID, plainSecret)
	}
	// Attestation of clients is not offered; the library would read the headers all the same.
	r.Header.Del("OAuth-Client-Attestation")
	r.Header.Del("OAuth-Client-Attestation-PoP")
	// From here on everybody means the same client: the library reads the assertion with another parser, and refuses identifiers that differ.
	claimed := claimedClient(r)
	if claimed == "" && r.PostForm.Has("client_assertion") {
		writeError(w, http.StatusBadRequest, "invalid_request", "the client assertion names no issuer, or is too long")
		return nil, false
	}
	r.PostForm.Set("client_id", claimed)
	f := facts{endpoint: endpoint, clientID: claimed, secretSent: methods > 0, secretInBody: r.PostForm.Has("client_secret")}
	// A document is fetched here only for a client that came through the authorization endpoint: these endpoints are open to scripts of every web
	// site, which could otherwise find out names and addresses in this network by the answers.
	if _, known := s.application(claimed); known {
		f = s.meet(r.Context(), f, claimed)
	}
	return r.WithContext(withFacts(r.Context(), f)), true
}

// mendTokenResponse brings the library's answers to the codes and statuses of RFC 6749, Section 5.
func mendTokenResponse(status int, h http.Header, body map[string]any) int {
	delete(body, "resources") // not a member of any token response
	switch code, _ := body["error"].(string); {
	case code == "expired_token": // a revoked grant
		body["error"] = "invalid_grant"
	case code == "unauthorized_client":
		status = http.StatusBadRequest
	case code == "internal_error":
		body["error"] = "server_error"
	case code == string(codeUnavailable):
		status = http.StatusServiceUnavailable
		h.Set("Retry-After", "30")
	}
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Basic realm="development authorization server"`)
	}
	return status
}

func writeError(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]any{"error": code, "error_description": description})
}

func writeJSON(w http.ResponseWriter, status int, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Pragma", "no-cache")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// buffer holds a response of the library until it is mended.
type buffer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newBuffer() *buffer { return &buffer{header: http.Header{}, status: http.StatusOK} }

func (b *buffer) Header() http.Header         { return b.header }
func (b *buffer) WriteHeader(status int)      { b.status = status }
func (b *buffer) Write(p []byte) (int, error) { return b.body.Write(p) }

// replay writes the response after mend has changed its JSON body. An empty body stays empty.
func (b *buffer) replay(w http.ResponseWriter, mend func(status int, h http.Header, body map[string]any) int) {
	body := map[string]any{}
	d := json.NewDecoder(&b.body)
	d.UseNumber()
	empty := b.body.Len() == 0
	if !empty && d.Decode(&body) != nil {
		writeError(w, http.StatusInternalServerError, "server_error", "the answer could not be read")
		return
	}
	status := mend(b.status, w.Header(), body)
	if empty {
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		return
	}
	writeJSON(w, status, body)
}
