package devas

import (
	"net/http"
	"slices"
	"strings"
)

// An applicationLine is an application with what its origin means.
type applicationLine struct {
	Application
	Display string
	Host    string // of the metadata document
}

func line(a Application) applicationLine {
	return applicationLine{Application: a, Display: nameOr(a.Name, a.ID), Host: clientHost(a.ID)}
}

type applicationsView struct {
	view
	Rows   []applicationLine
	Pager  pager
	Strict bool
}

func (s *Server) serveApplications(w http.ResponseWriter, r *http.Request, v visitor) {
	found, p := cut(r, s.applications())
	rows := make([]applicationLine, len(found))
	for i, a := range found {
		rows[i] = line(a)
	}
	s.writePage(w, http.StatusOK, "applications", applicationsView{s.view(r, v, "Applications", pathApplications), rows, p, s.cfg.Strict}, "")
}

type applicationView struct {
	view
	applicationLine
	Servers []permission
	Strict  bool
}

// A permission is what an application may ask for at one MCP server.
type permission struct {
	ServerEntry
	Number   int
	Explicit bool
	Allowed  []string
}

// Allows says whether the application may ask for the scope.
func (p permission) Allows(scope string) bool { return slices.Contains(p.Allowed, scope) }

func (s *Server) serveApplication(w http.ResponseWriter, r *http.Request, v visitor) {
	a, ok := s.application(r.URL.Query().Get("id"))
	if !ok {
		s.gone(w, r, errNoApplication, pathApplications)
		return
	}
	av := applicationView{applicationLine: line(a), Strict: s.cfg.Strict}
	av.view = s.view(r, v, clean(av.Display, 100), pathApplications)
	for i, e := range s.servers() {
		_, explicit := a.Permissions[e.Identifier]
		av.Servers = append(av.Servers, permission{ServerEntry: e, Number: i, Explicit: explicit, Allowed: s.allowedScopes(a.ID, &e.Resource)})
	}
	s.writePage(w, http.StatusOK, "application", av, "")
}

func (s *Server) serveApplicationPermit(w http.ResponseWriter, r *http.Request, v visitor) {
	id, server := r.PostFormValue("client"), r.PostFormValue("server")
	var err error
	done := "permitted"
	switch r.PostFormValue("do") {
	case "permit":
		err = s.permit(v.user, id, server, r.PostForm["scope"])
	case "reset":
		err, done = s.clearPermission(v.user, id, server), "reset"
	default:
		s.back(w, r, pathApplication, "id", id)
		return
	}
	if err != nil {
		s.gone(w, r, err, pathApplications)
		return
	}
	s.back(w, r, pathApplication, "id", id, "done", done)
}

func (s *Server) serveApplicationRemove(w http.ResponseWriter, r *http.Request, v visitor) {
	id := r.PostFormValue("client")
	if !s.confirmed(w, r, pathApplication, id) {
		return
	}
	if err := s.removeApplication(v.user, id); err != nil {
		s.gone(w, r, err, pathApplications)
		return
	}
	s.back(w, r, pathApplications, "done", "app-removed")
}

// Registered says whether the application told this server itself what it is.
func (a applicationLine) Registered() bool { return a.Origin == OriginRegistered }

// Configured says whether it is part of the configuration.
func (a applicationLine) Configured() bool { return a.Origin == OriginConfigured }

// Grants names the grant types.
func (a applicationLine) Grants() string { return strings.Join(a.GrantTypes, ", ") }
