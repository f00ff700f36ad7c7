package scopes

import (
	"encoding/json"
	"slices"
)

// A Catalog is everything that a protected server offers, and what each item requires: for consent pages,
// which tell a user what an application will be able to do, and for the pages of administrators. It is
// complete, so it names what a caller must not know of: show callers what [Catalog.Open] returns, and no
// one else the whole. The zero Catalog is empty.
//
// In JSON it is an object with resource and items; see [Item].
type Catalog struct {
	Resource string `json:"resource,omitempty"` // the identifier of the protected resource
	Items    []Item `json:"items"`              // in order of kind and name

	// ScopeNames and RoleNames say in words what scopes and roles are, where a policy file does.
	ScopeNames []Description `json:"scope_names,omitempty"`
	RoleNames  []Description `json:"role_names,omitempty"`
}

// A Description says in words what a scope or a role is.
type Description struct {
	Name        string `json:"name"`                  // as rules and tokens write it
	Title       string `json:"title,omitempty"`       // for people; may be empty
	Description string `json:"description,omitempty"` // for people; may be empty
}

// An Item is a tool, a prompt, a resource or a template of resources. In JSON it has the members kind,
// name, title, description, rule (as text, see [Rule.String]), and scopes and roles, which are all that the
// rule names.
type Item struct {
	Kind        Kind   // what it is
	Name        string // of a tool or a prompt, else the URI or the template
	Title       string // for people; may be empty
	Description string // for people, in words of whoever wrote the server; may be empty
	Rule        Rule   // what it takes, base scopes included; the zero Rule: nobody can reach it
}

// Kind says what an [Item] is.
type Kind string

// The kinds, in the order of a Catalog.
const (
	Tool             Kind = "tool"
	Prompt           Kind = "prompt"
	Resource         Kind = "resource"
	ResourceTemplate Kind = "resource_template"
)

// Open returns the items that a caller with this grant can reach, in their order.
func (c Catalog) Open(g Grant) []Item {
	var out []Item
	for _, item := range c.Items {
		if item.Rule.Met(g) {
			out = append(out, item)
		}
	}
	return out
}

// Scopes returns every scope that a rule names, once, in the order of the items.
func (c Catalog) Scopes() []string {
	var out []string
	for _, item := range c.Items {
		for _, s := range item.Rule.Scopes() {
			if !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// MarshalJSON implements [json.Marshaler]. It never fails.
func (i Item) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Kind        Kind     `json:"kind"`
		Name        string   `json:"name"`
		Title       string   `json:"title,omitempty"`
		Description string   `json:"description,omitempty"`
		Rule        Rule     `json:"rule"`
		Scopes      []string `json:"scopes,omitempty"`
		Roles       []string `json:"roles,omitempty"`
	}{i.Kind, i.Name, i.Title, i.Description, i.Rule, i.Rule.Scopes(), i.Rule.Roles()})
}

// UnmarshalJSON implements [json.Unmarshaler]. Scopes and roles are read from the rule; a rule that is
// missing, or that [Parse] does not read, is an error or the zero Rule.
func (i *Item) UnmarshalJSON(data []byte) error {
	var in struct {
		Kind                     Kind
		Name, Title, Description string
		Rule                     Rule
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*i = Item{in.Kind, in.Name, in.Title, in.Description, in.Rule}
	return nil
}
