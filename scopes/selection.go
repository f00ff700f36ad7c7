package scopes

import (
	"fmt"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

// A Selection reads roles from one member of an object, which another claim of the same token selects: of all tenants in which a
// user has roles, the one that the user is working in. All fields are JSON Pointers. The zero Selection is a mistake.
//
//	scopes.Selection{Claim: "/tenants", By: "/dct", Path: "/roles"}
type Selection struct {
	Claim string // the object
	By    string // the string that is the name of its member, no claim of scopes; where there is none, nothing is read
	Path  string // where the roles are in that member, in a form as for Mapper.RoleClaims; empty: it is the roles
}

type selection struct {
	object   source
	by, path jsonpointer.Pointer
}

func (c *compiler) selections(list []Selection) []selection {
	var out []selection
	for i, s := range list {
		field := fmt.Sprintf("SelectedRoles[%d]", i)
		object, ok := c.pointer(field+".Claim", s.Claim)
		by, okBy := c.pointer(field+".By", s.By)
		path, okPath := jsonpointer.Pointer{}, true
		if s.Path != "" {
			path, okPath = c.pointer(field+".Path", s.Path)
		}
		if ok && okBy && okPath {
			out = append(out, selection{source{Pointer: object, name: topName(s.Claim)}, by, path})
		}
	}
	return out
}

// choose returns the value with the roles, nil if there is none. Only the member of an object can be selected: a number in the
// selecting claim never picks an element of an array.
func (s selection) choose(value any, claims map[string]any) any {
	selected, _ := s.by.Get(claims)
	name, ok := selected.(string)
	object, _ := value.(map[string]any)
	if !ok || name == "" || object == nil {
		return nil
	}
	roles, _ := s.path.Get(object[name])
	return roles
}
