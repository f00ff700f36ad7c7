package devas

import (
	"slices"
	"strings"
)

// A User can sign in by being chosen; there are no passwords.
type User struct {
	// Name is typed or chosen at sign-in and becomes sub in tokens.
	Name string
	// DisplayName is shown on pages. Empty means Name.
	DisplayName string
	// Roles become the roles claim and bound the scopes, see [Config.RoleScopes].
	Roles []string
}

func (u User) display() string {
	if u.DisplayName != "" {
		return u.DisplayName
	}
	return u.Name
}

// The roles of [DefaultUsers].
const (
	RoleAdmin     = "admin"
	RoleDeveloper = "developer"
	RoleUser      = "user"
	RoleReadOnly  = "read-only"
)

// DefaultUsers returns the ready users: ada (admin), dev (developer), uma (user) and rio (read-only).
func DefaultUsers() []User {
	return []User{
		{Name: "ada", DisplayName: "Ada, administrator", Roles: []string{RoleAdmin}},
		{Name: "dev", DisplayName: "Dev, developer", Roles: []string{RoleDeveloper}},
		{Name: "uma", DisplayName: "Uma, user", Roles: []string{RoleUser}},
		{Name: "rio", DisplayName: "Rio, may only read", Roles: []string{RoleReadOnly}},
	}
}

// DefaultRoleScopes lets the roles admin, developer and user have every scope of the resources, and read-only those that end in ":read".
func DefaultRoleScopes(resources []Resource) map[string][]string {
	var all, read []string
	for _, r := range resources {
		for _, s := range r.Scopes {
			if !slices.Contains(all, s.Name) {
				all = append(all, s.Name)
				if strings.HasSuffix(s.Name, ":read") {
					read = append(read, s.Name)
				}
			}
		}
	}
	return map[string][]string{RoleAdmin: all, RoleDeveloper: all, RoleUser: all, RoleReadOnly: read}
}

// user finds a user by name.
func (c *Config) user(name string) (User, bool) {
	i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return User{}, false
	}
	return c.Users[i], true
}

// roleAllows reports whether one of the user's roles may have the scope.
func (c *Config) roleAllows(u User, scope string) bool {
	return slices.ContainsFunc(u.Roles, func(role string) bool { return slices.Contains(c.RoleScopes[role], scope) })
}
