package cedar

import (
	"errors"
	"net/netip"

	engine "github.com/cedar-policy/cedar-go"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func principal(call *mcpauth.Call) engine.EntityUID {
	return engine.NewEntityUID("User", engine.String(call.Principal.ID()))
}

func action(call *mcpauth.Call) engine.EntityUID {
	return engine.NewEntityUID("Action", engine.String(call.Method))
}

func resource(call *mcpauth.Call) engine.EntityUID {
	name := engine.String(call.Name)
	switch {
	case name == "":
		return engine.NewEntityUID("Server", "mcp")
	case call.Method == "tools/call":
		return engine.NewEntityUID("Tool", name)
	case call.Method == "prompts/get":
		return engine.NewEntityUID("Prompt", name)
	}
	// completion/complete is about either; policies tell them apart by action.
	return engine.NewEntityUID("Resource", name)
}

// facts are the context of a request. What cannot be told is left out: a policy that needs it cannot be
// evaluated then, and refuses.
func (e *Engine) facts(call *mcpauth.Call, arguments engine.Value) (engine.RecordMap, error) {
	claims := make(engine.RecordMap, len(e.claims))
	for _, name := range e.claims {
		var claim any
		if found, err := call.Principal.Claim(scopes.Pointer(name), &claim); err != nil || !found {
			continue
		}
		if v, err := value(claim); err == nil && v != nil {
			claims[engine.String(name)] = v
		}
	}
	grant := call.Principal.Grant()
	facts := engine.RecordMap{
		"issuer": engine.String(call.Principal.Issuer()), "subject": engine.String(call.Principal.Subject()),
		"scopes": set(grant.Scopes()), "roles": set(grant.Roles()),
		"claims": engine.NewRecord(claims), "arguments": arguments,
	}
	if call.Time.IsZero() {
		return nil, errors.New("cedar: the Call has no time")
	}
	facts["time"] = engine.NewDatetime(call.Time)
	if client, err := e.Proxies.Client(call); err == nil {
		facts["address"] = engine.IPAddr(netip.PrefixFrom(client, client.BitLen()))
	}
	return facts, nil
}

func set(names []string) engine.Set {
	values := make([]engine.Value, len(names))
	for i, name := range names {
		values[i] = engine.String(name)
	}
	return engine.NewSet(values...)
}
