package mcpauth

import (
	"encoding/json"
)

const maxAuditedArgument = 1 << 10

// auditedArguments are the arguments of an operation that Config.AuditArguments names.
func (m *Middleware) auditedArguments(o pending) map[string]json.RawMessage {
	names := m.audited[o.op.Name]
	if len(names) == 0 || targetOf(o.op) != toolTarget && targetOf(o.op) != promptTarget {
		return nil
	}
	var all map[string]json.RawMessage // case-sensitive, as no struct would be
	if json.Unmarshal(o.arguments, &all) != nil {
		return nil
	}
	out := make(map[string]json.RawMessage, len(names))
	for _, name := range names {
		switch value, ok := all[name]; {
		case ok && len(value) <= maxAuditedArgument:
			out[name] = append(json.RawMessage(nil), value...)
		case ok:
			out[name] = json.RawMessage("null")
		}
	}
	return out
}
