package mcpauth

import (
	"cmp"
	"context"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/scopes"
)

// Catalog lists what a protected server offers and what each item requires: the rule that calls are
// judged by, base scopes included, under the names that rules use. Use it where people decide about
// access: an authorization server's consent page, an administrator's table. It shows everything, so it is
// not for callers, and no handler of this package serves it; [scopes.Catalog.Open] is what a grant opens.
//
// Rules that are declared later are not in it, nor is what a Policy refuses.
func (m *Middleware) Catalog(ctx context.Context, server *mcp.Server) (scopes.Catalog, error) {
	offered, err := m.offered(ctx, server)
	if err != nil {
		return scopes.Catalog{}, err
	}
	out := scopes.Catalog{Resource: m.resource, Items: []scopes.Item{}}
	x := m.rules.load()
	out.ScopeNames, out.RoleNames = slices.Clone(x.file.scopes), slices.Clone(x.file.roles)
	for kind := range offered {
		for _, item := range offered[kind] {
			item.Rule, _ = x.find(item.operation(target(kind))) // of what has no rule: the zero Rule
			out.Items = append(out.Items, item.Item)
		}
	}
	return out, nil
}

// An offer is what a server has, before anybody looks at rules.
type offer struct {
	scopes.Item
	says annotation // of a tool
}

func (o offer) operation(kind target) Operation {
	return Operation{Method: [...]string{"", "tools/call", "prompts/get", "resources/read"}[kind], Name: o.Name, ref: kind}
}

func offerOfTool(t *mcp.Tool) offer {
	title := t.Title
	if title == "" && t.Annotations != nil {
		title = t.Annotations.Title
	}
	return offer{scopes.Item{Kind: scopes.Tool, Name: t.Name, Title: title, Description: t.Description}, annotationOf(t)}
}

func offerOfPrompt(p *mcp.Prompt) offer {
	return offer{Item: scopes.Item{Kind: scopes.Prompt, Name: p.Name, Title: p.Title, Description: p.Description}}
}

func offerOfResource(r *mcp.Resource) offer {
	return offer{Item: scopes.Item{Kind: scopes.Resource, Name: r.URI, Title: cmp.Or(r.Title, r.Name), Description: r.Description}}
}

func offerOfTemplate(t *mcp.ResourceTemplate) offer {
	return offer{Item: scopes.Item{Kind: scopes.ResourceTemplate, Name: t.URITemplate, Title: cmp.Or(t.Title, t.Name), Description: t.Description}}
}
