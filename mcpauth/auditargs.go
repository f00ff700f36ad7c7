package mcpauth

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

const maxAuditedArgument = 1 << 10

// auditedArguments are the arguments of an operation that Config.AuditArguments names, and the names of those that
// are too long or not clear.
func (m *Middleware) auditedArguments(o pending) (out map[string]json.RawMessage, withheld []string) {
	names := m.audited[o.op.Name]
	if len(names) == 0 || targetOf(o.op) != toolTarget && targetOf(o.op) != promptTarget {
		return nil, nil
	}
	var all map[string]json.RawMessage // case-sensitive, as no struct would be
	if json.Unmarshal(o.arguments, &all) != nil {
		return nil, nil
	}
	out = make(map[string]json.RawMessage, len(names))
	for _, name := range names {
		switch value, ok := all[name]; {
		case ambiguous(all, name):
			withheld = append(withheld, name)
		case ok && len(value) <= maxAuditedArgument:
			out[name] = append(json.RawMessage(nil), value...)
		case ok:
			withheld = append(withheld, name)
		}
	}
	return out, withheld
}

// ambiguous reports whether there is a member that a reader without regard to case would take for the named one.
func ambiguous(all map[string]json.RawMessage, name string) bool {
	for other := range all {
		if other != name && strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// cloneNames copies a list of names in depth.
func cloneNames(in map[string][]string) map[string][]string {
	out := maps.Clone(in)
	for key, names := range out {
		out[key] = slices.Clone(names)
	}
	return out
}
