package devas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what administrators can enter.
const (
	maxServers      = 200
	maxServerScopes = 100
	maxText         = 500
)

var (
	errConfigured = errors.New("this was configured when the program started; change it there")
	errNoServer   = errors.New("there is no such MCP server")
)

// A ServerEntry is an MCP server as administrators see it.
type ServerEntry struct {
	Resource
	Configured bool // part of Config: neither saveServer nor removeServer changes it
}

// serverList is one immutable state of all MCP servers, those of Config first.
type serverList struct {
	all        []Resource
	configured int
}

// findResource returns the resource that a request means, which may spell it with or without a trailing slash: some clients send https://h/ for https://h.
func findResource(list []Resource, requested string) (*Resource, bool) {
	for i := range list {
		if list[i].Identifier == requested {
			return &list[i], true
		}
	}
	for i := range list {
		if strings.TrimSuffix(list[i].Identifier, "/") == strings.TrimSuffix(requested, "/") {
			return &list[i], true
		}
	}
	return nil, false
}

// resource finds an MCP server as it is now; nobody changes what is returned.
func (s *Server) resource(requested string) (*Resource, bool) {
	return findResource(s.list.Load().all, requested)
}

// servers lists all MCP servers: those of Config in its order, then the others by identifier.
func (s *Server) servers() []ServerEntry {
	list := s.list.Load()
	out := make([]ServerEntry, len(list.all))
	for i, r := range list.all {
		out[i] = ServerEntry{Resource: cloneResource(r), Configured: i < list.configured}
	}
	return out
}

// server returns one of them by its exact identifier.
func (s *Server) server(identifier string) (ServerEntry, bool) {
	list := s.list.Load()
	i := slices.IndexFunc(list.all, func(r Resource) bool { return r.Identifier == identifier })
	if i < 0 {
		return ServerEntry{}, false
	}
	return ServerEntry{Resource: cloneResource(list.all[i]), Configured: i < list.configured}, true
}

// saveServer adds an MCP server, or replaces the one with this identifier. The error joins every mistake; its lines are sentences for the page.
func (s *Server) saveServer(by User, r Resource) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	if err := checkServer(r, s.cfg.Users); err != nil {
		return err
	}
	list := s.list.Load()
	next := &serverList{all: slices.Clone(list.all), configured: list.configured}
	r = cloneResource(r)
	i := slices.IndexFunc(next.all, func(o Resource) bool { return o.Identifier == r.Identifier })
	switch other, same := findResource(next.all, r.Identifier); {
	case i >= 0 && i < next.configured:
		return errConfigured
	case i >= 0:
		r.Tools, r.ScopeNames = next.all[i].Tools, next.all[i].ScopeNames
		next.all[i] = r
	case same:
		return fmt.Errorf("the identifier differs from %s in the last slash only", other.Identifier)
	case len(next.all) >= maxServers:
		return fmt.Errorf("there are %d MCP servers already; remove one first", maxServers)
	default:
		next.all = append(next.all, r)
		slices.SortFunc(next.all[next.configured:], func(a, b Resource) int { return strings.Compare(a.Identifier, b.Identifier) })
	}
	if err := s.use(next); err != nil {
		return err
	}
	s.log(Event{Kind: EventServerSaved, OK: true, User: by.Name, Server: r.Identifier})
	return nil
}

// removeServer removes an MCP server, revokes every grant for it and forgets the permissions of applications there.
func (s *Server) removeServer(by User, identifier string) error {
	s.editing.Lock()
	defer s.editing.Unlock()
	list := s.list.Load()
	i := slices.IndexFunc(list.all, func(r Resource) bool { return r.Identifier == identifier })
	switch {
	case i < 0:
		return errNoServer
	case i < list.configured:
		return errConfigured
	}
	if err := s.use(&serverList{all: slices.Delete(slices.Clone(list.all), i, i+1), configured: list.configured}); err != nil {
		return err
	}
	s.revokeWhere(func(k GrantKey) bool { return k.Server == identifier })
	s.store.dropPermissions(func(_, server string) bool { return server == identifier })
	s.log(Event{Kind: EventServerRemoved, OK: true, User: by.Name, Server: identifier})
	return nil
}

// use makes a list of MCP servers the present one. The library takes scopes and resources when it is made, so a new one is made; it keeps no state.
func (s *Server) use(list *serverList) error {
	library, err := s.newLibrary(list)
	if err != nil {
		return err
	}
	s.store.setScopes(strings.Join(append(scopeNames(list.all), "openid"), " "))
	s.list.Store(list)
	s.library.Store(&library)
	return nil
}

// access says whether a user may use an MCP server at all. The roles and scopes decide the rest.
func (s *Server) access(u User, r *Resource) accessVerdict {
	switch r.access() {
	case AccessEveryone:
		return accessGranted
	case AccessOwner:
		if u.Name == r.Owner {
			return accessGranted
		}
		return accessOwnersOnly
	case AccessListed:
		if u.Name == r.Owner || slices.Contains(r.Users, u.Name) {
			return accessGranted
		}
	}
	return accessDenied
}

// access fills in the default.
func (r *Resource) access() Access {
	switch {
	case r.Access != "":
		return r.Access
	case r.Owner != "":
		return AccessOwner
	}
	return AccessEveryone
}

// checkServer returns every mistake in a resource at once.
func checkServer(r Resource, users []User) error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := checkResource(r.Identifier); err != nil {
		bad("Identifier: %w", err)
	}
	if tooLong(r.Name) {
		bad("Name is longer than %d bytes or not UTF-8", maxText)
	}
	if len(r.Scopes) > maxServerScopes {
		bad("Scopes: more than %d", maxServerScopes)
	}
	seen := map[string]bool{}
	for _, sc := range r.Scopes {
		switch {
		case !validScopeName(sc.Name):
			bad("Scopes: %q is not a scope name (RFC 6749, Section 3.3)", sc.Name)
		case sc.Name == "openid" || sc.Name == "offline_access":
			bad("Scopes: %q has a meaning of its own and cannot belong to a resource", sc.Name)
		case seen[sc.Name]:
			bad("Scopes: %q is there twice", sc.Name)
		case tooLong(sc.Title) || tooLong(sc.Text):
			bad("Scopes: a text of %q is longer than %d bytes or not UTF-8", sc.Name, maxText)
		}
		seen[sc.Name] = true
	}
	known := func(name string) bool {
		return slices.ContainsFunc(users, func(u User) bool { return u.Name == name })
	}
	if r.Owner != "" && !known(r.Owner) {
		bad("Owner: there is no user %q", r.Owner)
	}
	for _, u := range r.Users {
		if !known(u) {
			bad("Users: there is no user %q", u)
		}
	}
	switch r.Access {
	case "", AccessEveryone, AccessListed:
	case AccessOwner:
		if r.Owner == "" {
			bad("Access is %q but there is no Owner", r.Access)
		}
	default:
		bad("Access %q must be %q, %q or %q", r.Access, AccessEveryone, AccessOwner, AccessListed)
	}
	return errors.Join(errs...)
}

func tooLong(text string) bool { return len(text) > maxText || !utf8.ValidString(text) }

func cloneResource(r Resource) Resource {
	r.Scopes = slices.Clone(r.Scopes)
	for i := range r.Scopes {
		r.Scopes[i].Roles = slices.Clone(r.Scopes[i].Roles)
	}
	r.Users = slices.Clone(r.Users)
	return r
}

// scopeNames lists every scope once, in the order of the servers.
func scopeNames(list []Resource) []string {
	var names []string
	for _, r := range list {
		for _, sc := range r.Scopes {
			if !slices.Contains(names, sc.Name) {
				names = append(names, sc.Name)
			}
		}
	}
	return names
}

// roleAllows reports whether one of the user's roles may have the scope.
func (s *Server) roleAllows(u User, sc Scope) bool {
	return slices.ContainsFunc(u.Roles, func(role string) bool {
		switch {
		case sc.Roles != nil:
			return slices.Contains(sc.Roles, role)
		case s.cfg.RoleScopes != nil:
			return slices.Contains(s.cfg.RoleScopes[role], sc.Name)
		}
		return defaultRoleAllows(role, sc.Name)
	})
}

// administrator reports whether a user may see and change what concerns others.
func (s *Server) administrator(u User) bool { return slices.Contains(u.Roles, RoleAdmin) }
