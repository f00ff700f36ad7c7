package devas

import "slices"

// Bounds of what pages show of the words of an MCP server.
const (
	maxScopeTitle = 100
	maxScopeText  = 400
)

// explained returns scopes of the resource with the words of the MCP server for those that the configuration of this server says nothing about. They are foreign
// text, which is cleaned here and escaped by the page; beside them the page shows the name of the scope in any case.
func (r *Resource) explained(list []Scope) []Scope {
	wordless := func(sc Scope) bool { return sc.Title == "" && sc.Text == "" }
	if r.ScopeNames == nil || !slices.ContainsFunc(list, wordless) {
		return list
	}
	words := r.ScopeNames()
	out := slices.Clone(list)
	for i, sc := range out {
		if !wordless(sc) {
			continue
		}
		for _, w := range words {
			if w.Name == sc.Name {
				out[i].Title, out[i].Text = clean(w.Title, maxScopeTitle), clean(w.Description, maxScopeText)
				break
			}
		}
	}
	return out
}
