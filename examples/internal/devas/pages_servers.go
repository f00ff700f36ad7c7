package devas

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// spareScopes is how many empty scope fields a form of an MCP server has.
const spareScopes = 2

type serversView struct {
	view
	Rows []ServerEntry
}

func (s *Server) serveServers(w http.ResponseWriter, r *http.Request, v visitor) {
	s.writePage(w, http.StatusOK, "servers", serversView{s.view(r, v, "MCP servers", pathServers), s.servers()}, "")
}

type serverView struct {
	view
	ServerEntry
	New      bool
	Mistakes []string
	Fields   []scopeField // of the form: its scopes and some empty ones
	Users    []User
	Roles    []string
}

// A scopeField is one scope in the form of an MCP server.
type scopeField struct {
	Scope
	Number int
}

// May says whether the field's scope is reserved for roles that include this one.
func (f scopeField) May(role string) bool { return slices.Contains(f.Roles, role) }

// Listed says whether the user is on the list of those who may use the server.
func (v serverView) Listed(user string) bool { return slices.Contains(v.ServerEntry.Users, user) }

// AccessIs says which of the choices is the present one.
func (v serverView) AccessIs(a string) bool { return string(v.access()) == a }

// serveServer is the form of one MCP server, or of a new one.
func (s *Server) serveServer(w http.ResponseWriter, r *http.Request, v visitor) {
	id := r.URL.Query().Get("id")
	if id == "" {
		s.serverForm(w, r, v, http.StatusOK, serverView{New: true, ServerEntry: ServerEntry{Resource: Resource{Owner: v.user.Name, Access: AccessEveryone}}})
		return
	}
	entry, ok := s.server(id)
	if !ok {
		s.gone(w, r, errNoServer, pathServers)
		return
	}
	s.serverForm(w, r, v, http.StatusOK, serverView{ServerEntry: entry})
}

func (s *Server) serverForm(w http.ResponseWriter, r *http.Request, v visitor, status int, form serverView) {
	title := "New MCP server"
	if !form.New {
		title = clean(form.display(), 100)
	}
	form.view = s.view(r, v, title, pathServers)
	form.Users = s.cfg.Users
	for _, u := range s.cfg.Users {
		for _, role := range u.Roles {
			if !slices.Contains(form.Roles, role) {
				form.Roles = append(form.Roles, role)
			}
		}
	}
	for i := range len(form.Scopes) + spareScopes {
		f := scopeField{Number: i}
		if i < len(form.Scopes) {
			f.Scope = form.Scopes[i]
		}
		form.Fields = append(form.Fields, f)
	}
	s.writePage(w, status, "server", form, "")
}

// serveServerSave adds or changes an MCP server. After a mistake the form comes back as it was sent.
func (s *Server) serveServerSave(w http.ResponseWriter, r *http.Request, v visitor) {
	form := serverView{New: r.PostFormValue("new") == "yes"}
	form.Resource = Resource{
		Identifier:   strings.TrimSpace(r.PostFormValue("identifier")),
		Name:         strings.TrimSpace(r.PostFormValue("name")),
		Owner:        r.PostFormValue("owner"),
		Access:       Access(r.PostFormValue("access")),
		Users:        r.PostForm["user"],
		OpaqueTokens: r.PostFormValue("opaque") == "yes",
	}
	for i := range maxServerScopes + 1 {
		n := strconv.Itoa(i)
		sc := Scope{Name: strings.TrimSpace(r.PostFormValue("scope" + n)), Title: strings.TrimSpace(r.PostFormValue("title" + n)),
			Text: strings.TrimSpace(r.PostFormValue("text" + n)), Roles: r.PostForm["role"+n]}
		if sc.Name == "" && sc.Title == "" && sc.Text == "" {
			continue // an emptied field takes the scope away
		}
		form.Scopes = append(form.Scopes, sc)
	}
	if _, exists := s.server(form.Identifier); form.New && exists {
		form.Mistakes = []string{"Identifier: there is an MCP server with this identifier already"}
	} else if !form.New && !exists {
		s.gone(w, r, errNoServer, pathServers)
		return
	} else if err := s.saveServer(v.user, form.Resource); err != nil {
		form.Mistakes = strings.Split(err.Error(), "\n")
	}
	if len(form.Mistakes) > 0 {
		s.serverForm(w, r, v, http.StatusUnprocessableEntity, form)
		return
	}
	if r.PostFormValue("then") == "more" {
		s.back(w, r, pathServer, "id", form.Identifier, "done", "server-saved")
		return
	}
	s.back(w, r, pathServers, "done", "server-saved")
}

func (s *Server) serveServerRemove(w http.ResponseWriter, r *http.Request, v visitor) {
	id := r.PostFormValue("identifier")
	if !s.confirmed(w, r, pathServer, id) {
		return
	}
	if err := s.removeServer(v.user, id); err != nil {
		s.gone(w, r, err, pathServers)
		return
	}
	s.back(w, r, pathServers, "done", "server-removed")
}

// confirmed asks for the box beside a button that cannot be taken back.
func (s *Server) confirmed(w http.ResponseWriter, r *http.Request, path, id string) bool {
	if r.PostFormValue("confirm") == "yes" {
		return true
	}
	s.back(w, r, path, "id", id)
	return false
}

// gone tells an administrator that a form is about something that is not there, or cannot be changed.
func (s *Server) gone(w http.ResponseWriter, r *http.Request, err error, list string) {
	text := err.Error()
	s.problem(w, r, problemPage{Status: http.StatusNotFound, Title: "This cannot be done.", Text: strings.ToUpper(text[:1]) + text[1:] + ".", Link: list, LinkText: "Back to the list"})
}

// WhoMay is the access with its default filled in.
func (e ServerEntry) WhoMay() Access { return e.access() }
