package devas

import (
	"net/http"
	"slices"
)

type homeView struct {
	view
	Admin                bool
	Servers, Apps, Lives int
	Mine                 int
	Issuer, Metadata     string
	Strict, Registration bool
}

// serveHome is where somebody arrives who opens the server by hand.
func (s *Server) serveHome(w http.ResponseWriter, r *http.Request) {
	v, ok := s.visitor(r)
	h := homeView{Issuer: s.cfg.Issuer, Metadata: s.cfg.Issuer + pathMetadata, Strict: s.cfg.Strict, Registration: !s.cfg.NoRegistration}
	if !ok {
		h.Page = frame{Title: "Development authorization server"}
		s.writePage(w, http.StatusOK, "welcome", h, "")
		return
	}
	h.view, h.Admin = s.view(r, v, "Hello, "+clean(v.user.display(), 100), pathHome), v.admin
	grants := s.grants()
	h.Lives = len(grants)
	for _, g := range grants {
		if g.User == v.user.Name {
			h.Mine++
		}
	}
	if v.admin {
		h.Servers, h.Apps = len(s.servers()), len(s.applications())
	}
	s.writePage(w, http.StatusOK, "home", h, "")
}

// A grantLine is a grant with names for people.
type grantLine struct {
	GrantRow
	Application, Server string
	Titles              []Scope
}

func (s *Server) grantLines(of func(GrantRow) bool) []grantLine {
	var lines []grantLine
	for _, g := range s.grants() {
		if !of(g) {
			continue
		}
		line := grantLine{GrantRow: g, Application: nameOr(g.ClientName, g.Client), Server: nameOr(g.ServerName, g.GrantKey.Server)}
		entry, _ := s.server(g.GrantKey.Server)
		entry.Scopes = entry.explained(entry.Scopes)
		for _, name := range g.Scopes {
			if i := slices.IndexFunc(entry.Scopes, func(sc Scope) bool { return sc.Name == name }); i >= 0 {
				line.Titles = append(line.Titles, entry.Scopes[i])
			} else {
				line.Titles = append(line.Titles, Scope{Name: name})
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// nameOr is a chosen name, or the identifier where nothing of the name can be displayed.
func nameOr(name, identifier string) string {
	if clean(name, 1) == "" {
		return identifier
	}
	return name
}

type grantsView struct {
	view
	Rows  []grantLine
	Pager pager
	Mine  bool
}

// serveAccount lists what the visitor has approved (AS-66).
func (s *Server) serveAccount(w http.ResponseWriter, r *http.Request, v visitor) {
	rows, p := cut(r, s.grantLines(func(g GrantRow) bool { return g.User == v.user.Name }))
	s.writePage(w, http.StatusOK, "grants", grantsView{view: s.view(r, v, "Your access", pathAccount), Rows: rows, Pager: p, Mine: true}, "")
}

// serveAccountRevoke ends a grant of the visitor, and never anybody else's.
func (s *Server) serveAccountRevoke(w http.ResponseWriter, r *http.Request, v visitor) {
	s.revoke(w, r, v, pathAccount, GrantKey{User: v.user.Name, Client: r.PostFormValue("client"), Server: r.PostFormValue("server")})
}

func (s *Server) serveGrants(w http.ResponseWriter, r *http.Request, v visitor) {
	rows, p := cut(r, s.grantLines(func(GrantRow) bool { return true }))
	s.writePage(w, http.StatusOK, "grants", grantsView{view: s.view(r, v, "Grants", pathGrants), Rows: rows, Pager: p}, "")
}

func (s *Server) serveGrantsRevoke(w http.ResponseWriter, r *http.Request, v visitor) {
	s.revoke(w, r, v, pathGrants, GrantKey{User: r.PostFormValue("user"), Client: r.PostFormValue("client"), Server: r.PostFormValue("server")})
}

func (s *Server) revoke(w http.ResponseWriter, r *http.Request, v visitor, path string, key GrantKey) {
	done := "revoked"
	if s.revokeGrants(v.user, key) == 0 {
		done = "nothing"
	}
	s.back(w, r, path, "done", done)
}
