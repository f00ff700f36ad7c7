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
	// About is one sentence on the sign-in page: what this user is there to try.
	About string
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
		{Name: "ada", DisplayName: "Ada, administrator", Roles: []string{RoleAdmin}, About: "Runs this server and sees its administration pages."},
		{Name: "dev", DisplayName: "Dev, developer", Roles: []string{RoleDeveloper}, About: "Builds MCP servers and tries them out."},
		{Name: "uma", DisplayName: "Uma, user", Roles: []string{RoleUser}, About: "Works with MCP servers that others run."},
		{Name: "rio", DisplayName: "Rio, may only read", Roles: []string{RoleReadOnly}, About: "Looks at things and changes nothing."},
	}
}

// DefaultRoleScopes lets the roles admin, developer and user have every scope of the resources, and read-only those that end in ":read". The same rule
// holds for resources that are added later when [Config.RoleScopes] is nil.
func DefaultRoleScopes(resources []Resource) map[string][]string {
	out := map[string][]string{RoleAdmin: nil, RoleDeveloper: nil, RoleUser: nil, RoleReadOnly: nil}
	for _, name := range scopeNames(resources) {
		for role := range out {
			if defaultRoleAllows(role, name) {
				out[role] = append(out[role], name)
			}
		}
	}
	return out
}

func defaultRoleAllows(role, scope string) bool {
	switch role {
	case RoleAdmin, RoleDeveloper, RoleUser:
		return true
	case RoleReadOnly:
		return strings.HasSuffix(scope, ":read")
	}
	return false
}

// user finds a user by name.
func (c *Config) user(name string) (User, bool) {
	i := slices.IndexFunc(c.Users, func(u User) bool { return u.Name == name })
	if i < 0 {
		return User{}, false
	}
	return c.Users[i], true
}
