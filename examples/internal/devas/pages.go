package devas

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
	"unicode"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

//go:embed pages.html
var pagesHTML string

//go:embed pages.css
var pagesCSS string

var pages = template.Must(template.New("pages").Funcs(template.FuncMap{
	"css":   func() template.CSS { return template.CSS(pagesCSS) },
	"clean": func(s string) string { return clean(s, 100) },
	"long":  func(s string) string { return clean(s, 400) },
}).Parse(pagesHTML))

// styleHash lets the one style sheet through the content security policy.
var styleHash = func() string {
	d := sha256.Sum256([]byte(pagesCSS))
	return "'sha256-" + base64.StdEncoding.EncodeToString(d[:]) + "'"
}()

type signInView struct {
	Request string
	Users   []User
	CSRF    string
}

type consentView struct {
	Request           *goidc.AuthnSession
	Client            *goidc.Client
	Resource          *Resource
	User              User
	Offered           []Scope
	CSRF, SignOutCSRF string

	// Filled by the page.
	Verified     bool
	RedirectHost string
	Loopback     bool
}

// A problemPage is a plain sentence, what to do next, and perhaps a link within this server. It never repeats a parameter of the request.
type problemPage struct {
	Status      int
	Title, Text string
	Link        string
	LinkText    string
	Reference   string // filled by problem, also logged
}

func (s *Server) signIn(w http.ResponseWriter, r *http.Request, v signInView) {
	s.writePage(w, r, http.StatusOK, "signin", v, "")
}

func (s *Server) consent(w http.ResponseWriter, r *http.Request, v consentView) {
	s.complete(&v)
	s.writePage(w, r, http.StatusOK, "consent", v, v.Request.RedirectURI)
}

// noAccess is AS-63: the user may have none of the scopes that the application asks for.
func (s *Server) noAccess(w http.ResponseWriter, r *http.Request, v consentView) {
	s.complete(&v)
	s.cfg.Logger.Info("the user's roles allow none of the requested scopes", "user", v.User.Name, "resource", v.Resource.Identifier, "scope", v.Request.Scopes)
	s.writePage(w, r, http.StatusForbidden, "noaccess", v, v.Request.RedirectURI)
}

func (s *Server) problem(w http.ResponseWriter, r *http.Request, p problemPage) {
	p.Reference = rand.Text()[:10]
	if p.Status >= 400 {
		s.cfg.Logger.Info("a page told the user of a problem", "reference", p.Reference, "title", p.Title, "path", r.URL.Path)
	}
	s.writePage(w, r, p.Status, "problem", p, "")
}

func (s *Server) complete(v *consentView) {
	v.Verified = s.configured[v.Client.ID]
	_, _, v.Loopback = splitLoopback(v.Request.RedirectURI)
	if u, err := url.Parse(v.Request.RedirectURI); err == nil {
		v.RedirectHost = u.Host
		if u.Host == "" {
			v.RedirectHost = u.Scheme + ":"
		}
	}
	if v.Client.Name == "" {
		v.Client.Name = v.Client.ID
	}
	if v.Resource.Name == "" {
		cp := *v.Resource
		cp.Name = cp.Identifier
		v.Resource = &cp
	}
}

// writePage renders before it writes, so that a fault in a template gives no half page. Browsers apply form-action also to the redirect that answers a
// form, so the redirect's origin is listed where a form leads to the application.
func (s *Server) writePage(w http.ResponseWriter, _ *http.Request, status int, name string, data any, redirectURI string) {
	var buf bytes.Buffer
	if err := pages.ExecuteTemplate(&buf, name, data); err != nil {
		s.cfg.Logger.Error("a page could not be rendered", "page", name, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	formAction := "'self'"
	if o := formActionSource(redirectURI); o != "" {
		formAction += " " + o
	}
	pageHeaders(w.Header())
	w.Header().Set("Content-Security-Policy",
		"default-src 'none'; style-src "+styleHash+"; form-action "+formAction+"; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes())
}

// pageHeaders are for everything that a person's browser sees, redirects included.
func pageHeaders(h http.Header) {
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'")
}

// cspHost and cspScheme keep everything out of the policy that could end a source expression.
var (
	cspHost   = regexp.MustCompile(`^[A-Za-z0-9.-]+(:[0-9]+)?$`)
	cspScheme = regexp.MustCompile(`^[a-z][a-z0-9.+-]*$`)
)

// formActionSource is the source expression for the redirect URI's origin. A bracketed address has no form in CSP, so there the scheme stands for it.
func formActionSource(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || !cspScheme.MatchString(u.Scheme) {
		return ""
	}
	if u.Host != "" && cspHost.MatchString(u.Host) && (u.Scheme == "https" || u.Scheme == "http") {
		return u.Scheme + "://" + u.Host
	}
	return u.Scheme + ":"
}

// isDisplayable shuts out controls, format characters (bidirectional overrides among them), private use and line separators.
func isDisplayable(r rune) bool {
	return r != unicode.ReplacementChar && !unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Cs, unicode.Zl, unicode.Zp)
}

// renderError is what the library calls when an authorization request fails without a redirect.
func (s *Server) renderError(w http.ResponseWriter, r *http.Request, err error) error {
	s.problem(w, r, describe(err))
	return nil
}
