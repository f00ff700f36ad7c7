package mcpauth

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/scopes"
)

// A ClientLimit is what an application may do at most, whatever its tokens say. The zero value lets it
// connect, and do what needs no scope and no role. With Config.SessionPerUser, it shares the sessions of its user's
// other applications, and so may read what they were sent.
type ClientLimit struct {
	// Issuers are those whose client this is, each the URL of one of Config.Issuers. Nil: all of them, which
	// is right where there is one issuer, and for a client id that is the URL of a metadata document. Any
	// other id means something at one issuer only, so New refuses it then.
	Issuers []string

	// Scopes and Roles are all that the application may use of what its tokens grant. What they imply, by
	// Issuer.Grants, counts as well. Nil: none.
	Scopes, Roles []string

	// Unlimited lets the application use whatever its tokens grant. It goes without Scopes and Roles.
	Unlimited bool
}

// otherClients is the key of all applications that have no entry.
const otherClients = "*"

// rights are what shapes the grants of callers besides their credentials. They are never changed: others take
// their place, and callers that were remembered with the old ones are made anew. Nil shapes nothing.
type rights struct {
	clients   map[string]clientLimit // nil: no list
	hierarchy *scopes.Mapping        // of the policy file; nil: none
}

type clientLimit struct {
	issuers   []string // nil: all
	grant     scopes.Grant
	unlimited bool
}

// newRights is nil where there is nothing to say. The lists have no client in common.
func newRights(hierarchy *scopes.Mapping, lists ...map[string]ClientLimit) *rights {
	r := &rights{hierarchy: hierarchy}
	for _, list := range lists {
		if list == nil {
			continue
		}
		if r.clients == nil {
			r.clients = make(map[string]clientLimit)
		}
		for id, limit := range list {
			r.clients[id] = clientLimit{slices.Clone(limit.Issuers), scopes.NewGrant(limit.Scopes, limit.Roles), limit.Unlimited}
		}
	}
	if r.clients == nil && r.hierarchy == nil {
		return nil
	}
	return r
}

// cloneClients copies a list in depth.
func cloneClients(list map[string]ClientLimit) map[string]ClientLimit {
	out := maps.Clone(list)
	for id, limit := range out {
		limit.Issuers, limit.Scopes, limit.Roles = slices.Clone(limit.Issuers), slices.Clone(limit.Scopes), slices.Clone(limit.Roles)
		out[id] = limit
	}
	return out
}

// checkClients says what is wrong with a list of clients.
func (m *Middleware) checkClients(clients map[string]ClientLimit, errs *mistakes) {
	if clients != nil && len(m.issuers) == 0 {
		errs.add("Clients", "leave it out: it is about the tokens of Issuers, and there are none")
		return
	}
	for _, id := range slices.Sorted(maps.Keys(clients)) {
		m.checkClient(id, clients[id], fmt.Sprintf("Clients[%q]", id), errs)
	}
}

// checkClient says what is wrong with one entry, which stands at field.
func (m *Middleware) checkClient(id string, limit ClientLimit, field string, errs *mistakes) {
	add := func(member, format string, args ...any) {
		errs.add(strings.TrimPrefix(field+"."+member, "."), format, args...)
	}
	if id == "" {
		errs.add(field, `has no client id; write "*" for all that have no entry`)
	}
	if limit.Issuers == nil && len(m.issuers) > 1 && id != otherClients && !isDocumentURL(id) {
		add("Issuers", "is empty; at another issuer the same client id is another application, so say at which it is this one")
	}
	for i, name := range limit.Issuers {
		if m.issuerOf(name) == nil {
			add(fmt.Sprintf("Issuers[%d]", i), "%q is the URL of none of Issuers", name)
		}
	}
	if limit.Issuers != nil && len(limit.Issuers) == 0 {
		add("Issuers", "is there and empty, so the entry would stand for nobody; name the issuers, or leave it out")
	}
	if limit.Issuers != nil && id == otherClients {
		add("Issuers", "leave it out: the entry stands for all other clients")
	}
	if limit.Unlimited && (len(limit.Scopes) > 0 || len(limit.Roles) > 0) {
		add("Unlimited", "goes without Scopes and Roles; leave out the one or the others")
	}
	for _, s := range limit.Scopes {
		if err := scopes.CheckScope(s); err != nil {
			add("Scopes", "%w", err)
		}
	}
	for _, r := range limit.Roles {
		if err := scopes.CheckRole(r); err != nil {
			add("Roles", "%w", err)
		}
	}
	if len(limit.Scopes) > scopes.MaxNames || len(limit.Roles) > scopes.MaxNames {
		add("Scopes", "more than %d scopes or roles; further ones would not count", scopes.MaxNames)
	}
}

// isDocumentURL reports whether a client id is one everywhere: the URL of a client ID metadata document.
func isDocumentURL(id string) bool {
	u, err := url.Parse(id)
	return err == nil && u.Scheme == "https" && u.Host != "" && len(u.Path) > 1
}

// issuerOf is the one of Config.Issuers with this URL, or nil.
func (m *Middleware) issuerOf(url string) *issuer {
	for _, in := range m.issuers {
		if in.url == url {
			return in
		}
	}
	return nil
}

// shape is what a caller may do under these rights. Listed is false for an application that the
// administrator does not know.
func (r *rights) shape(m *Middleware, p *Principal) (g scopes.Grant, listed bool) {
	if r == nil {
		return p.own, true
	}
	own := r.hierarchy.Extend(p.own)
	in := m.issuerOf(p.issuer)
	if r.clients == nil || in == nil {
		return own, true // of other callers, whoever vouches for them has said what they may do
	}
	limit, ok := r.clients[p.clientID]
	if !ok || limit.issuers != nil && !slices.Contains(limit.issuers, p.issuer) {
		limit, ok = r.clients[otherClients]
	}
	switch {
	case !ok:
		return scopes.Grant{}, false
	case limit.unlimited:
		return own, true
	}
	return own.Within(r.hierarchy.Extend(in.mapping.Extend(limit.grant))), true // in the order of own
}

// standsFor are a scope and what it stands for in the token of a caller.
func (r *rights) standsFor(p *Principal, scope string) []string {
	g := scopes.NewGrant([]string{scope}, nil)
	if p != nil {
		g = p.mapping.Extend(g)
	}
	if r != nil {
		g = r.hierarchy.Extend(g)
	}
	return g.Scopes()
}

// standing is what a caller may do under the rights of x.
func (m *Middleware) standing(x *index, p *Principal) (g scopes.Grant, listed bool) {
	if p.rights == x.rights {
		return p.grant, !p.unlisted
	}
	return x.rights.shape(m, p)
}

// shaped is p with the rights that hold now. Tokens are remembered with them; other callers are copied.
func (m *Middleware) shaped(p *Principal) *Principal {
	x := m.rules.load()
	if p == guest || p.rights == x.rights {
		return p
	}
	out := *p
	g, listed := x.rights.shape(m, p)
	out.rights, out.grant, out.unlisted = x.rights, g, !listed
	return &out
}
