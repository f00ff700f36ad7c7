package devas

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/luikyv/go-oidc/pkg/goidc"
)

// maxToolsShown bounds the list of a page; the rest is counted.
const maxToolsShown = 100

// scopesMarked is for how many scopes the style sheet can mark, without a script, the tools that an unticked box takes away.
const scopesMarked = 8

type signInView struct {
	Request string
	Users   []User
	CSRF    string

	// Filled by the page.
	To          string // where to go without a request
	People      []person
	Application string // who waits for the sign-in, if somebody does
	Server      string
}

// A person is a user as the sign-in page shows one.
type person struct {
	User
	Display string
	May     string // what the user may grant, in one sentence
}

// Frame is the frame of the page.
func (signInView) Frame() frame { return frame{Title: "Sign in"} }

func (s *Server) signIn(w http.ResponseWriter, r *http.Request, v signInView) {
	for _, u := range v.Users {
		v.People = append(v.People, person{User: u, Display: u.display(), May: s.may(u)})
	}
	if as, ok := s.waiting(r, v.Request); ok && len(as.Resources) == 1 {
		a, known := s.application(as.ClientID)
		if res, ok := s.resource(as.Resources[0]); ok && known {
			v.Application, v.Server = nameOr(a.Name, a.ID), res.display()
		}
	}
	if v.Request == "" {
		v.To = landing(r.URL.Query().Get("to"))
	}
	s.writePage(w, http.StatusOK, "signin", v, "")
}

// waiting returns the pending request that this browser opened: to others it says nothing.
func (s *Server) waiting(r *http.Request, id string) (*goidc.AuthnSession, bool) {
	cookie, ok := s.readCookie(r, cookieBrowser)
	if !ok || id == "" {
		return nil, false
	}
	as, err := s.store.Session(r.Context(), id)
	if err != nil {
		return nil, false
	}
	want, _ := as.Store[storeBrowser].(string)
	if want == "" || subtle.ConstantTimeCompare([]byte(digest(cookie)), []byte(want)) != 1 {
		return nil, false
	}
	return as, true
}

// may says what a user's roles allow.
func (s *Server) may(u User) string {
	var allowed []string
	total := 0
	for _, r := range s.servers() {
		for _, sc := range r.explained(r.Scopes) {
			total++
			if s.roleAllows(u, sc) && !slices.Contains(allowed, sc.display()) {
				allowed = append(allowed, sc.display())
			}
		}
	}
	switch n := len(allowed); {
	case n == 0 && total > 0:
		return "May grant no permission."
	case n > 4:
		return "May grant: " + strings.Join(allowed[:4], " · ") + " · and more"
	case n > 0:
		return "May grant: " + strings.Join(allowed, " · ")
	}
	return ""
}

type consentView struct {
	Request           *goidc.AuthnSession
	Client            *goidc.Client
	Resource          *Resource
	User              User
	Offered           []Scope
	CSRF, SignOutCSRF string

	// Filled by the page.
	Title        string
	Why          string // no access
	Application  string
	Server       string
	Verified     bool
	ClientHost   string // of a client that is identified by a URL
	RedirectHost string
	Loopback     bool
	PrivateUse   bool // a scheme that an app on the device has taken
	Tools        []toolRow
	MoreTools    int
	HasTools     bool // the server can tell
}

// A toolRow is a tool on the consent page.
type toolRow struct {
	Tool
	Needs []Scope // every one of them
	OneOf []Scope // or any of these; with neither it is open in any case
	Free  bool    // open without any scope
	Class string  // for the marks of the style sheet
}

// Frame is the frame of the page.
func (v consentView) Frame() frame { return frame{Title: v.Title, Script: true} }

func (s *Server) consent(w http.ResponseWriter, _ *http.Request, v consentView) {
	s.complete(&v)
	v.Title = "Authorize Application"
	v.Offered = v.Resource.explained(v.Offered)
	v.HasTools = v.Resource.Tools != nil
	v.Tools = toolRows(v.Resource, v.User, v.Offered)
	if len(v.Tools) > maxToolsShown {
		v.MoreTools = len(v.Tools) - maxToolsShown
		v.Tools = v.Tools[:maxToolsShown]
	}
	s.writePage(w, http.StatusOK, "consent", v, v.Request.RedirectURI)
}

// noAccess is AS-63: the user may not use the MCP server, or may have none of the scopes that the application asks for.
func (s *Server) noAccess(w http.ResponseWriter, _ *http.Request, v consentView) {
	s.complete(&v)
	v.Title = "You do not have access to this MCP server."
	switch s.access(v.User, v.Resource) {
	case accessOwnersOnly:
		v.Title, v.Why = "You can only authorize connections to servers you created.", "This MCP server belongs to somebody else."
	case accessDenied:
		v.Why = "You are not among the people who may use it."
	default:
		v.Why = "Your roles allow none of what the application asks for."
	}
	s.cfg.Logger.Info("a user has no access", "user", v.User.Name, "resource", v.Resource.Identifier, "scope", v.Request.Scopes, "why", v.Why)
	s.writePage(w, http.StatusForbidden, "noaccess", v, v.Request.RedirectURI)
}

func (s *Server) complete(v *consentView) {
	v.Application, v.Server = nameOr(v.Client.Name, v.Client.ID), v.Resource.display()
	v.Verified = s.configured[v.Client.ID]
	v.ClientHost = clientHost(v.Client.ID)
	v.Loopback = toLoopback(v.Request.RedirectURI)
	v.PrivateUse = onDevice(v.Request.RedirectURI) && !v.Loopback
	v.RedirectHost = redirectHost(v.Request.RedirectURI)
}

// display is the name of a resource on pages.
func (r *Resource) display() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Identifier
}

// display is the name of a scope on pages.
func (sc Scope) display() string {
	switch {
	case sc.Title != "":
		return sc.Title
	case sc.Text != "":
		return sc.Text
	}
	return sc.Name
}

// Display and Detail are the two lines of a scope; the second is empty where the first says it all.
func (sc Scope) Display() string { return sc.display() }

// Detail is the explanation below the display name.
func (sc Scope) Detail() string {
	if sc.Title != "" {
		return sc.Text
	}
	return ""
}

// clientHost is the host of a client that is identified by the URL of its metadata document.
func clientHost(id string) string {
	if !strings.HasPrefix(id, "https://") && !strings.HasPrefix(id, "http://") {
		return ""
	}
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	return u.Host
}

// toLoopback says whether a browser sends an answer to this computer, by http or https.
func toLoopback(redirectURI string) bool {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	return isLoopbackHost(host) || strings.HasSuffix(host, ".localhost") || host == "0.0.0.0" || host == "::"
}

// redirectHost is where an answer goes: host and port in full, or the scheme of a private-use URI.
func redirectHost(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	switch {
	case err != nil:
		return ""
	case u.Host == "":
		return u.Scheme + ":"
	case u.Scheme != "https" && u.Scheme != "http":
		return u.Scheme + "://" + u.Host
	}
	return u.Host
}

// toolRows asks the resource which tools the offered scopes open for the user, and finds the scopes that each tool needs by asking without them.
func toolRows(res *Resource, user User, offered []Scope) []toolRow {
	if res.Tools == nil {
		return nil
	}
	names := make([]string, len(offered))
	for i, sc := range offered {
		names[i] = sc.Name
	}
	opened := func(scopes []string) map[string]bool {
		set := map[string]bool{}
		for _, t := range res.Tools(user, scopes) {
			set[t.Name] = true
		}
		return set
	}
	all := res.Tools(user, slices.Clone(names))
	always := opened(nil)
	without, alone := make([]map[string]bool, len(names)), make([]map[string]bool, len(names))
	for i := range names {
		without[i] = opened(slices.Delete(slices.Clone(names), i, i+1))
		alone[i] = opened([]string{names[i]})
	}
	rows := make([]toolRow, 0, len(all))
	for _, t := range all {
		row := toolRow{Tool: t, Free: always[t.Name]}
		var classes []string
		for i, sc := range offered {
			switch {
			case always[t.Name]:
			case !without[i][t.Name]:
				row.Needs = append(row.Needs, sc)
				if i < scopesMarked {
					classes = append(classes, "n"+string(rune('0'+i)))
				}
			case alone[i][t.Name]:
				row.OneOf = append(row.OneOf, sc)
			}
		}
		if len(row.Needs) > 0 {
			row.OneOf = nil
		}
		row.Class = strings.Join(classes, " ")
		rows = append(rows, row)
	}
	return rows
}
