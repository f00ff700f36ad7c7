package devas

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"regexp"
)

//go:embed pages*.html
var pagesHTML embed.FS

//go:embed pages.css
var pagesCSS string

// pagesJS is a convenience: every page does its work without it.
//
//go:embed pages.js
var pagesJS string

var pages = template.Must(template.New("pages").Funcs(template.FuncMap{
	"css":     func() template.CSS { return template.CSS(pagesCSS) },
	"js":      func() template.JS { return template.JS(pagesJS) },
	"clean":   func(s string) string { return clean(s, 100) },
	"long":    func(s string) string { return clean(s, 400) },
	"initial": initial,
}).ParseFS(pagesHTML, "*.html"))

// styleHash and scriptHash let the one style sheet and the one script through the content security policy.
var (
	styleHash  = hashSource(pagesCSS)
	scriptHash = hashSource(pagesJS)
)

func hashSource(text string) string {
	d := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(d[:]) + "'"
}

// A frame is what surrounds the content of a page.
type frame struct {
	Title string
	// User is signed in; nil on pages of an authorization request, which say it themselves.
	User        *User
	SignOutCSRF string
	// Nav leads through the account and administration pages; pages without it are narrow.
	Nav    []navLink
	Script bool
	// Forward, if set, is where the browser goes by itself after a moment: a path of this server.
	Forward string
}

type navLink struct {
	Path, Text string
	Current    bool
}

// A problemPage is a plain sentence, what to do next, and perhaps a link within this server. It never repeats a parameter of the request.
type problemPage struct {
	Status      int
	Title, Text string
	Link        string
	LinkText    string
	Reference   string // filled by problem, also logged
}

// Good says that nothing went wrong.
func (p problemPage) Good() bool { return p.Status < 400 }

// Frame is the frame of the page.
func (p problemPage) Frame() frame { return frame{Title: p.Title} }

func (s *Server) problem(w http.ResponseWriter, r *http.Request, p problemPage) {
	p.Reference = rand.Text()[:10]
	if !p.Good() {
		s.cfg.Logger.Info("a page told the user of a problem", "reference", p.Reference, "title", p.Title, "path", r.URL.Path)
	}
	s.writePage(w, p.Status, "problem", p, "")
}

// writePage renders before it writes, so that a fault in a template gives no half page. Browsers apply form-action also to the redirect that answers a
// form, so the redirect's origin is listed where a form leads to the application.
func (s *Server) writePage(w http.ResponseWriter, status int, name string, data interface{ Frame() frame }, redirectURI string) {
	var buf bytes.Buffer
	if err := pages.ExecuteTemplate(&buf, name, data); err != nil {
		s.cfg.Logger.Error("a page could not be rendered", "page", name, "err", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	policy := "default-src 'none'; style-src " + styleHash
	f := data.Frame()
	if f.Script {
		policy += "; script-src " + scriptHash
	}
	policy += "; form-action 'self'"
	if o := formActionSource(redirectURI); o != "" {
		policy += " " + o
	}
	pageHeaders(w.Header())
	w.Header().Set("Content-Security-Policy", policy+"; frame-ancestors 'none'; base-uri 'none'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if f.Forward != "" {
		// One second: long enough to be read, and browsers then replace the page in their history.
		w.Header().Set("Refresh", "1; url="+f.Forward)
	}
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

// renderError is what the library calls when an authorization request fails without a redirect.
func (s *Server) renderError(w http.ResponseWriter, r *http.Request, err error) error {
	s.problem(w, r, describe(err))
	return nil
}
