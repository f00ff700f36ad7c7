package devas

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"slices"
)

// The two cookies: one recognises the browser, one the sign-in. Neither approves anything by itself.
const (
	cookieBrowser = "browser"
	cookieLogin   = "login"
)

// requestID is the form of a pending request's identifier in a URL.
var requestID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// cookieName follows AS-48. Cookies are shared by all ports of a host, hence the port in the name.
func (s *Server) cookieName(kind string) string {
	name := "devas_" + s.issuer.Port() + "_" + kind
	if s.issuer.Scheme == "https" {
		return "__Host-" + name
	}
	return name // Safari refuses Secure cookies on loopback http
}

func (s *Server) setCookie(w http.ResponseWriter, kind, value string) {
	c := &http.Cookie{Name: s.cookieName(kind), Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: s.issuer.Scheme == "https"}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

func (s *Server) readCookie(r *http.Request, kind string) (string, bool) {
	c, err := r.Cookie(s.cookieName(kind))
	if err != nil || c.Value == "" {
		return "", false
	}
	return c.Value, true
}

// browserCookie returns the browser's cookie and sets one if there is none.
func (s *Server) browserCookie(w http.ResponseWriter, r *http.Request) string {
	if v, ok := s.readCookie(r, cookieBrowser); ok && len(v) <= 64 {
		return v
	}
	v := rand.Text()
	s.setCookie(w, cookieBrowser, v)
	return v
}

// mac makes a form token bound to its parts, with a key that lives as long as the process.
func (s *Server) mac(parts ...string) string {
	h := hmac.New(sha256.New, s.formKey)
	for _, p := range parts {
		// Each part is hashed first, so that no two lists of parts give the same input.
		d := sha256.Sum256([]byte(p))
		h.Write(d[:])
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func (s *Server) macEqual(got string, parts ...string) bool {
	return hmac.Equal([]byte(got), []byte(s.mac(parts...)))
}

func digest(s string) string {
	d := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// serveSignIn shows the ready users, and signs one of them in.
func (s *Server) serveSignIn(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		request := r.URL.Query().Get("request")
		if request != "" && !requestID.MatchString(request) {
			request = ""
		}
		s.signIn(w, r, signInView{Request: request, Users: s.hinted(r, request), CSRF: s.mac("signin", s.browserCookie(w, r), request)})
		return
	}
	request := r.PostFormValue("request")
	browser, ok := s.readCookie(r, cookieBrowser)
	if !ok || !s.macEqual(r.PostFormValue("csrf"), "signin", browser, request) {
		s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "This form is out of date.", Text: "Nobody was signed in.",
			Link: signInURL(request), LinkText: "Sign in"})
		return
	}
	user, ok := s.cfg.user(r.PostFormValue("user"))
	if !ok {
		s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "This user does not exist.", Text: "Choose one of the users of this server.",
			Link: signInURL(request), LinkText: "Sign in"})
		return
	}
	// A new identifier after every sign-in, and the old one ends (session fixation).
	if old, ok := s.readCookie(r, cookieLogin); ok {
		s.store.deleteLogin(old)
	}
	l := login{ID: rand.Text(), User: user.Name, At: s.cfg.Now()}
	s.store.saveLogin(l)
	s.setCookie(w, cookieLogin, l.ID)
	s.log(Event{Kind: EventSignedIn, OK: true, User: user.Name})
	if request == "" {
		http.Redirect(w, r, landing(r.PostFormValue("to")), http.StatusSeeOther)
		return
	}
	http.Redirect(w, r, pathAuthorize+"/"+request, http.StatusSeeOther)
}

// hinted lists the users, first the one whom login_hint of the waiting request names, if it names one.
func (s *Server) hinted(r *http.Request, request string) []User {
	users := slices.Clone(s.cfg.Users)
	if as, ok := s.waiting(r, request); ok && as.LoginHint != "" {
		slices.SortStableFunc(users, func(a, b User) int {
			switch as.LoginHint {
			case a.Name:
				return -1
			case b.Name:
				return 1
			}
			return 0
		})
	}
	return users
}

// serveSignOut ends the sign-in, to switch account.
func (s *Server) serveSignOut(w http.ResponseWriter, r *http.Request) {
	id, ok := s.readCookie(r, cookieLogin)
	if !ok || !s.macEqual(r.PostFormValue("csrf"), "signout", id) {
		s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "This form is out of date.", Text: "Nobody was signed out."})
		return
	}
	if l, ok := s.store.login(id); ok {
		s.log(Event{Kind: EventSignedOut, OK: true, User: l.User})
	}
	s.store.deleteLogin(id)
	s.setCookie(w, cookieLogin, "")
	http.Redirect(w, r, signInURL(r.PostFormValue("request")), http.StatusSeeOther)
}

func signInURL(request string) string {
	if !requestID.MatchString(request) {
		return pathSignIn
	}
	return pathSignIn + "?request=" + url.QueryEscape(request)
}
