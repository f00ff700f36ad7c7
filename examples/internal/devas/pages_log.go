package devas

import (
	"net/http"
	"slices"
	"strings"
)

// An issuanceLine is an issuance with names for people.
type issuanceLine struct {
	Issuance
	Application, ServerName string
	Expired                 bool
}

type issuancesView struct {
	view
	Rows  []issuanceLine
	Pager pager
}

func (s *Server) serveIssuances(w http.ResponseWriter, r *http.Request, v visitor) {
	found, p := cut(r, s.issuances())
	now, name := s.cfg.Now(), s.names()
	rows := make([]issuanceLine, len(found))
	for i, is := range found {
		rows[i] = issuanceLine{Issuance: is, Application: name.application(is.Client), ServerName: name.server(is.Server), Expired: !now.Before(is.Expires)}
	}
	s.writePage(w, http.StatusOK, "issuances", issuancesView{view: s.view(r, v, "Tokens", pathIssuances), Rows: rows, Pager: p}, "")
}

// eventFilters are the values of show in the address of the event log.
var eventFilters = []string{"", "consent", "token", "refused"}

type eventLine struct {
	Event
	Application, ServerName string
	What                    string
}

type eventsView struct {
	view
	Filters []navLink
	Rows    []eventLine
	Pager   pager
}

func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, v visitor) {
	show := r.URL.Query().Get("show")
	if !slices.Contains(eventFilters, show) {
		show = ""
	}
	all := slices.DeleteFunc(s.events(), func(e Event) bool {
		switch show {
		case "refused":
			return e.OK
		case "":
			return false
		}
		return !strings.HasPrefix(e.Kind, show+"_")
	})
	found, p := cut(r, all)
	name := s.names()
	rows := make([]eventLine, len(found))
	for i, e := range found {
		rows[i] = eventLine{Event: e, Application: name.application(e.Client), ServerName: name.server(e.Server)}
	}
	ev := eventsView{view: s.view(r, v, "Events", pathEvents), Rows: rows, Pager: p}
	for i, text := range []string{"All", "Consent", "Tokens", "Refusals"} {
		link := navLink{Path: pathEvents, Text: text, Current: eventFilters[i] == show}
		if eventFilters[i] != "" {
			link.Path += "?show=" + eventFilters[i]
		}
		ev.Filters = append(ev.Filters, link)
	}
	s.writePage(w, http.StatusOK, "events", ev, "")
}

// names are the display names of applications and MCP servers, by identifier.
type names struct{ applications, servers map[string]string }

func (s *Server) names() names {
	n := names{map[string]string{}, map[string]string{}}
	for _, a := range s.applications() {
		n.applications[a.ID] = a.Name
	}
	for _, e := range s.servers() {
		n.servers[e.Identifier] = e.Name
	}
	return n
}

func (n names) application(id string) string { return nameOr(n.applications[id], id) }
func (n names) server(id string) string      { return nameOr(n.servers[id], id) }
