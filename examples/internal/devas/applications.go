package devas

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

var errNoApplication = errors.New("there is no such application")

// applications lists all known applications: configured ones first, then by the time they came, newest first.
func (s *Server) applications() []Application {
	out := s.store.applications()
	slices.SortStableFunc(out, func(a, b Application) int {
		if ac, bc := a.Origin == OriginConfigured, b.Origin == OriginConfigured; ac || bc {
			switch {
			case ac && bc:
				return strings.Compare(a.ID, b.ID)
			case ac:
				return -1
			}
			return 1
		}
		if c := b.Since.Compare(a.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return out
}

// application returns one of them.
func (s *Server) application(id string) (Application, bool) {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	rec := s.store.clients[id]
	if rec == nil {
		return Application{}, false
	}
	return s.store.application(id, rec), true
}

// removeApplication forgets an application, with its permissions, and revokes every grant of it. It can register again; to keep it out, forbid it. A
// configured one stays.
func (s *Server) removeApplication(by User, id string) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	app, ok := s.application(id)
	switch {
	case !ok:
		return errNoApplication
	case app.Origin == OriginConfigured:
		return errConfigured
	}
	_ = s.store.DeleteClient(context.Background(), id)
	s.revokeWhere(func(k GrantKey) bool { return k.Client == id })
	s.store.dropPermissions(func(client, _ string) bool { return client == id })
	s.log(Event{Kind: EventClientRemoved, OK: true, User: by.Name, Client: id})
	return nil
}

// permit lets an application ask for these scopes of an MCP server, and for no others. No scopes at all shut it out. Access tokens that are out already
// live until they expire; a refresh gives no more than what is permitted then.
func (s *Server) permit(by User, client, server string, scopes []string) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	if _, ok := s.application(client); !ok {
		return errNoApplication
	}
	entry, ok := s.server(server)
	if !ok {
		return errNoServer
	}
	var kept []string
	for _, sc := range entry.Scopes {
		if slices.Contains(scopes, sc.Name) {
			kept = append(kept, sc.Name)
		}
	}
	for _, name := range scopes {
		if !slices.Contains(kept, name) {
			return fmt.Errorf("the scope %q does not belong to this MCP server", clean(name, 100))
		}
	}
	s.store.setPermission(client, server, kept)
	s.log(Event{Kind: EventPermissionSaved, OK: true, User: by.Name, Client: client, Server: server, Scope: strings.Join(kept, " ")})
	return nil
}

// forbid shuts an application out of an MCP server.
func (s *Server) forbid(by User, client, server string) error {
	return s.permit(by, client, server, nil)
}

// clearPermission takes an explicit permission back, so that the configuration and the mode of this server decide again.
func (s *Server) clearPermission(by User, client, server string) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	if _, ok := s.application(client); !ok {
		return errNoApplication
	}
	s.store.dropPermissions(func(c, srv string) bool { return c == client && srv == server })
	s.log(Event{Kind: EventPermissionRemoved, OK: true, User: by.Name, Client: client, Server: server})
	return nil
}

// allowedScopes are the scopes of an MCP server that an application may ask for: what was permitted explicitly, else what was configured for it, else
// every one in the open mode and none in the strict mode.
func (s *Server) allowedScopes(client string, r *Resource) []string {
	all := scopeNames([]Resource{*r})
	var bound []string
	explicit, configured, found := s.store.bounds(client, r.Identifier)
	switch {
	case !found:
	case explicit != nil:
		bound = *explicit
	case configured != nil && configured.all, configured == nil && !s.cfg.Strict:
		return all
	case configured != nil:
		bound = configured.scopes
	}
	return slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(bound, name) })
}

// admitted says whether an application may ask for an MCP server at all. Where that has scopes allowedScopes says it; one without scopes would
// otherwise be open to everybody.
func (s *Server) admitted(client string, r *Resource) bool {
	if len(r.Scopes) > 0 {
		return true
	}
	explicit, configured, found := s.store.bounds(client, r.Identifier)
	return found && explicit == nil && (configured != nil || !s.cfg.Strict)
}

// configuredBound is the bound on a client of Config.
type configuredBound struct {
	all    bool
	scopes []string
}

// --- the store's part

// application describes a record. The caller holds mu.
func (s *store) application(id string, rec *clientRecord) Application {
	a := Application{ID: id, Name: rec.client.Name, Origin: rec.origin(), RedirectURIs: slices.Clone(rec.client.RedirectURIs),
		AuthMethod: string(rec.client.TokenAuthnMethod), Since: rec.since, Permissions: map[string][]string{}}
	if rec.anyMethod {
		a.AuthMethod = secretBasic + " or " + secretPost
	}
	for _, g := range rec.client.GrantTypes {
		a.GrantTypes = append(a.GrantTypes, string(g))
	}
	for server, scopes := range s.permissions[id] {
		a.Permissions[server] = append([]string{}, scopes...)
	}
	return a
}

func (s *store) applications() []Application {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Application, 0, len(s.clients))
	for id, rec := range s.clients {
		out = append(out, s.application(id, rec))
	}
	return out
}

func (s *store) setPermission(client, server string, scopes []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.permissions[client] == nil {
		s.permissions[client] = map[string][]string{}
	}
	s.permissions[client][server] = append([]string{}, scopes...)
	s.touch()
}

func (s *store) dropPermissions(where func(client, server string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for client, servers := range s.permissions {
		for server := range servers {
			if where(client, server) {
				delete(servers, server)
			}
		}
		if len(servers) == 0 {
			delete(s.permissions, client)
		}
	}
	s.touch()
}

// bounds returns what limits a client at a server: the explicit permission and the configuration, each nil if there is none.
func (s *store) bounds(client, server string) (explicit *[]string, configured *configuredBound, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := s.clients[client]
	if rec == nil {
		return nil, nil, false
	}
	if scopes, ok := s.permissions[client][server]; ok {
		c := append([]string{}, scopes...)
		explicit = &c
	}
	return explicit, rec.bound, true
}

// origin says how the client came to be known.
func (r *clientRecord) origin() Origin {
	switch {
	case r.bound != nil:
		return OriginConfigured
	case r.document:
		return OriginDocument
	}
	return OriginRegistered
}

// noteDocument remembers, for the applications page and for permissions, that a client ID metadata document was used.
func (s *store) noteDocument(rec *clientRecord, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := rec.client.ID
	if old := s.clients[id]; old != nil {
		if old.document {
			old.client = rec.client
		}
		return
	}
	s.makeRoomForClient()
	rec.seq, rec.since, rec.document = s.next(), now, true
	s.clients[id] = rec
	s.touch()
}
