package devas

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// unreserved is what a code verifier consists of (RFC 7636, Section 4.1).
const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"

// serveToken is the token endpoint.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	r, ok := s.readForm(w, r, pathToken)
	if !ok {
		return
	}
	if len(r.Header.Values("DPoP")) > 1 {
		// RFC 9449, Section 4.3. The library would ignore both and issue a bearer token.
		writeError(w, http.StatusBadRequest, "invalid_dpop_proof", "more than one DPoP header field")
		return
	}
	form := r.PostForm
	s.rewriteResource(form)
	if form.Has("scope") {
		form.Set("scope", strings.Join(scopeList(form.Get("scope")), " "))
	}

	s.tokens.Lock()
	defer s.tokens.Unlock()
	if form.Get("grant_type") == string(goidc.GrantAuthorizationCode) && !s.checkCode(w, r, form) {
		return
	}
	buf := newBuffer()
	s.library.ServeHTTP(buf, r)
	buf.replay(w, mendTokenResponse)
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
		s.cfg.Logger.Info("request refused", "endpoint", pathToken, "err", "code_verifier does not fit the code_challenge", "client_id", g.ClientID)
		writeError(w, http.StatusBadRequest, "invalid_grant", "code_verifier does not fit the code_challenge")
		return false
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
	inBody := r.PostForm.Has("client_secret")
	if len(authorizations) > 1 || (len(authorizations) == 1 && inBody) {
		// RFC 6749, Section 2.3: one method of authentication in a request.
		writeError(w, http.StatusBadRequest, "invalid_request", "more than one client authentication")
		return nil, false
	}
	f := facts{endpoint: endpoint, secretSent: inBody || len(authorizations) > 0}
	return r.WithContext(withFacts(r.Context(), f)), true
}

// mendTokenResponse brings the library's answers to the codes and statuses of RFC 6749, Section 5.
func mendTokenResponse(status int, h http.Header, body map[string]any) int {
	delete(body, "resources") // not a member of any token response
	description, _ := body["error_description"].(string)
	switch code, _ := body["error"].(string); {
	case code == "expired_token": // a revoked grant
		body["error"] = "invalid_grant"
	case code == "invalid_request" && description == "invalid DPoP proof":
		body["error"] = "invalid_dpop_proof"
	case code == "unauthorized_client":
		status = http.StatusBadRequest
	case code == "internal_error":
		body["error"] = "server_error"
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
