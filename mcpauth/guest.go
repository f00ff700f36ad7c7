package mcpauth

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"slices"

	"github.com/go-mcpauth/sdk/internal/envelope"
	"github.com/go-mcpauth/sdk/scopes"
)

// guestMethods are the methods that Config.Guests may name: they run no code of a tool, a prompt or a
// resource, and open no session.
var guestMethods = []string{
	"ping", "prompts/list", "resources/list", "resources/templates/list", "server/discover", "tools/list",
}

// guest is the caller of a request without credentials that Config.Guests lets through. It is nobody to
// tools: FromContext does not return it.
var guest = &Principal{id: "guest"}

// everyLogin is what any login at all would grant: lists for guests show what that, and more scopes,
// would open.
var everyLogin = scopes.NewGrant(nil, nil)

// admitGuest reads the body of a request without credentials, under the bounds of [peekBody], and reports
// whether guests may do what it asks for. The request that it returns has what was read for its body.
func (m *Middleware) admitGuest(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	out := new(http.Request)
	*out = *r
	body, ok := peekBody(w, r)
	if !ok {
		out.Body, out.ContentLength = http.NoBody, 0 // nobody waits for it a second time
		return out, false
	}
	out.Body = io.NopCloser(bytes.NewReader(body))
	out.Header = maps.Clone(r.Header)
	delete(out.Header, "Mcp-Session-Id") // no session is a guest's
	env, err := envelope.Read(body, envelope.Options{})
	if err != nil || len(env.Operations) != 1 {
		return out, false
	}
	op := env.Operations[0]
	_, reason := m.weighGuest(m.rules.load(), Operation{Method: op.Method})
	return out, op.Kind == envelope.Request && op.Target == envelope.NoTarget && reason == ReasonAllowed
}

// weighGuest is weigh for a guest.
func (m *Middleware) weighGuest(x *index, op Operation) (scopes.Rule, Reason) {
	rule, reason := x.find(op)
	switch {
	case reason != "":
		return scopes.Rule{}, reason
	case targetOf(op) == methodTarget:
		if slices.Contains(m.guests, op.Method) && !x.declares(op.Method) { // RequireMethod and RequireLogin tighten for guests, too
			return rule, ReasonAllowed
		}
		return rule, ReasonNoPrincipal
	case rule.Met(everyLogin) || rule.Obtainable(everyLogin):
		return rule, ReasonInsufficientScope
	}
	return rule, ReasonRole
}

// declares reports whether RequireMethod or RequireLogin says something about an open method.
func (x *index) declares(method string) bool {
	for _, set := range x.sets {
		_, exact := set.exact[methodTarget][method]
		_, _, pattern := set.prefixes[methodTarget].Longest(method)
		if exact || pattern {
			return true
		}
	}
	return len(x.loginsOf(Operation{Method: method})) > 0
}
