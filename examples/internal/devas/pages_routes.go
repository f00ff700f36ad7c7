package devas

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// Paths of the pages that are no part of the protocol.
const (
	pathHome         = "/"
	pathAccount      = "/account"
	pathServers      = "/admin/servers"
	pathServer       = "/admin/server"
	pathApplications = "/admin/applications"
	pathApplication  = "/admin/application"
	pathGrants       = "/admin/grants"
	pathIssuances    = "/admin/issuances"
	pathEvents       = "/admin/events"
)

// rowsPerPage is how much of a long list one page shows.
const rowsPerPage = 50

// routePages adds these pages. Reading is GET, changing is POST followed by 303, and every POST needs the form token of the sign-in.
func (s *Server) routePages(mux *http.ServeMux) {
	get := func(path string, h http.HandlerFunc) { mux.Handle(path, page(only("GET", h))) }
	post := func(path string, h http.HandlerFunc) { mux.Handle(path, page(only("POST", h))) }

	get(pathAuthorize+"/{request}/complete", s.serveComplete)
	get(pathAuthorize+"/{request}/continue", s.serveContinue)

	get(pathHome+"{$}", s.serveHome)
	mux.Handle(pathHome, page(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.problem(w, r, problemPage{Status: http.StatusNotFound, Title: "There is no such page.",
			Text: "This is an authorization server; applications find its endpoints in " + s.cfg.Issuer + pathMetadata + ".", Link: pathHome, LinkText: "Go to the start page"})
	})))
	get(pathAccount, s.forUser(s.serveAccount))
	post(pathAccount+"/revoke", s.forUser(s.serveAccountRevoke))

	get(pathServers, s.forAdmin(s.serveServers))
	get(pathServer, s.forAdmin(s.serveServer))
	post(pathServer+"/save", s.forAdmin(s.serveServerSave))
	post(pathServer+"/remove", s.forAdmin(s.serveServerRemove))
	get(pathApplications, s.forAdmin(s.serveApplications))
	get(pathApplication, s.forAdmin(s.serveApplication))
	post(pathApplication+"/permit", s.forAdmin(s.serveApplicationPermit))
	post(pathApplication+"/remove", s.forAdmin(s.serveApplicationRemove))
	get(pathGrants, s.forAdmin(s.serveGrants))
	post(pathGrants+"/revoke", s.forAdmin(s.serveGrantsRevoke))
	get(pathIssuances, s.forAdmin(s.serveIssuances))
	get(pathEvents, s.forAdmin(s.serveEvents))
}

// A visitor is who is signed in, without regard to an authorization request.
type visitor struct {
	login login
	user  User
	csrf  string
	admin bool
}

func (s *Server) visitor(r *http.Request) (visitor, bool) {
	id, ok := s.readCookie(r, cookieLogin)
	if !ok {
		return visitor{}, false
	}
	l, ok := s.store.login(id)
	if !ok {
		return visitor{}, false
	}
	u, ok := s.cfg.user(l.User)
	if !ok {
		return visitor{}, false
	}
	return visitor{login: l, user: u, csrf: s.mac("pages", l.ID), admin: s.administrator(u)}, true
}

// forUser is for pages that need a sign-in. A form is refused without its token.
func (s *Server) forUser(h func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, ok := s.visitor(r)
		switch {
		case !ok && r.Method == http.MethodGet:
			http.Redirect(w, r, pathSignIn+"?to="+url.QueryEscape(landing(r.URL.Path)), http.StatusSeeOther)
		case !ok:
			s.problem(w, r, problemPage{Status: http.StatusUnauthorized, Title: "You must be signed in to continue.",
				Text: "Nothing was changed.", Link: pathSignIn, LinkText: "Sign in"})
		case r.Method != http.MethodGet && !s.macEqual(r.PostFormValue("csrf"), "pages", v.login.ID):
			s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "This form is out of date.",
				Text: "Nothing was changed. Open the page again and repeat it there.", Link: pathHome, LinkText: "Go to the start page"})
		default:
			h(w, r, v)
		}
	}
}

// forAdmin is for pages that administrators alone may see and use.
func (s *Server) forAdmin(h func(http.ResponseWriter, *http.Request, visitor)) http.HandlerFunc {
	return s.forUser(func(w http.ResponseWriter, r *http.Request, v visitor) {
		if !v.admin {
			s.problem(w, r, problemPage{Status: http.StatusForbidden, Title: "Only administrators can see this page.",
				Text: "You are signed in as " + v.user.display() + ".", Link: pathHome, LinkText: "Go to the start page"})
			return
		}
		h(w, r, v)
	})
}

// navigation is what the pages offer; the rest is reached from these.
var navigation = []struct {
	path, text string
	admin      bool
	also       string // a path that belongs to it
}{
	{pathHome, "Start", false, ""},
	{pathAccount, "Your access", false, ""},
	{pathServers, "MCP servers", true, pathServer},
	{pathApplications, "Applications", true, pathApplication},
	{pathGrants, "Grants", true, ""},
	{pathIssuances, "Tokens", true, ""},
	{pathEvents, "Events", true, ""},
}

// landing is where a sign-in without a request leads: one of our own pages, never anything else that a link names.
func landing(path string) string {
	for _, n := range navigation {
		if path == n.path || path == n.also && path != "" {
			return n.path
		}
	}
	return pathHome
}

// frame surrounds a page of a visitor.
func (s *Server) frame(v visitor, title, path string) frame {
	f := frame{Title: title, User: &v.user, SignOutCSRF: s.mac("signout", v.login.ID)}
	for _, n := range navigation {
		if !n.admin || v.admin {
			f.Nav = append(f.Nav, navLink{Path: n.path, Text: n.text, Current: n.path == path})
		}
	}
	return f
}

// A view is what every page of a visitor has.
type view struct {
	Page frame
	CSRF string
	Note string // what has just been done
}

// Frame is the frame of the page.
func (v view) Frame() frame { return v.Page }

func (s *Server) view(r *http.Request, v visitor, title, path string) view {
	return view{Page: s.frame(v, title, path), CSRF: v.csrf, Note: notes[r.URL.Query().Get("done")]}
}

// notes are the sentences that a page can begin with after a form; the address names one and cannot say anything else.
var notes = map[string]string{
	"revoked":        "Access was revoked. Refresh tokens and opaque tokens stopped working; a JWT works until it expires at servers that do not introspect.",
	"nothing":        "There was nothing left to revoke.",
	"server-saved":   "The MCP server was saved.",
	"server-removed": "The MCP server was removed, and every grant for it was revoked.",
	"permitted":      "The permissions were saved.",
	"reset":          "The permissions follow the default of this server again.",
	"app-removed":    "The application was removed, and every grant of it was revoked.",
}

func (s *Server) back(w http.ResponseWriter, r *http.Request, path string, query ...string) {
	q := url.Values{}
	for i := 0; i+1 < len(query); i += 2 {
		q.Set(query[i], query[i+1])
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	http.Redirect(w, r, path, http.StatusSeeOther)
}

// A pager is the part of a long list that a page shows.
type pager struct {
	Number, Pages, Total int
	Newer, Older         string // addresses, empty at the ends
}

// cut returns the rows of the page that the request asks for.
func cut[T any](r *http.Request, rows []T) ([]T, pager) {
	p := pager{Number: 1, Pages: max(1, (len(rows)+rowsPerPage-1)/rowsPerPage), Total: len(rows)}
	if n, err := strconv.Atoi(r.URL.Query().Get("page")); err == nil {
		p.Number = min(max(n, 1), p.Pages)
	}
	link := func(n int) string {
		if n < 1 || n > p.Pages {
			return ""
		}
		q := url.Values{"page": {strconv.Itoa(n)}}
		if show := r.URL.Query().Get("show"); slices.Contains(eventFilters, show) {
			q.Set("show", show)
		}
		return r.URL.Path + "?" + q.Encode()
	}
	p.Newer, p.Older = link(p.Number-1), link(p.Number+1)
	first := (p.Number - 1) * rowsPerPage
	return rows[first:min(first+rowsPerPage, len(rows))], p
}
