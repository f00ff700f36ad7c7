package scopes

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

// An indication is a claim that tells an application's tokens from those of users.
type indication struct {
	claim  jsonpointer.Pointer
	values []string
}

func (c *compiler) indications(table map[string][]string) []indication {
	var list []indication
	for _, claim := range slices.Sorted(maps.Keys(table)) {
		p, ok := c.pointer("Applications: key "+strconv.Quote(claim), claim)
		switch values := table[claim]; {
		case !ok:
		case len(values) == 0 || slices.Contains(values, ""):
			c.fail("Applications[%q]: write what the claim holds in an application's token, not nothing", claim)
		default:
			list = append(list, indication{p, slices.Clone(values)})
		}
	}
	return list
}

// clientClaims name the client, the first that is there: as package jwt reads them.
var clientClaims = [...]string{"client_id", "azp", "appid", "cid"}

// isApplication reports whether the token says that there is no user.
func (m *Mapping) isApplication(g *grant, claims map[string]any, lacksScopes bool) bool {
	if subject, ok := claims["sub"].(string); ok && subject != "" {
		for _, name := range clientClaims {
			if client, ok := claims[name]; ok {
				if client == subject { // RFC 9068, Section 2.2
					return true
				}
				break
			}
		}
	}
	for _, in := range m.applications {
		value, _ := in.claim.Get(claims)
		if text, ok := value.(string); ok && slices.Contains(in.values, text) {
			return true
		}
		for _, element := range allStrings(value) {
			if slices.Contains(in.values, element.(string)) {
				return true
			}
		}
	}
	return m.applicationsLackScopes && lacksScopes && len(g.roles.list) > 0
}

// lacksScopes reports whether no claim says anything about scopes, not even that there are none or that they are elsewhere.
func (m *Mapping) lacksScopes(claims map[string]any) bool {
	absent := elsewhere(claims)
	if absent.all {
		return false
	}
	for _, s := range m.scopeClaims {
		if _, ok := s.Get(claims); ok {
			return false
		}
		if _, ok := claims[s.name]; ok {
			return false // of another form than was expected
		}
		if _, ok := absent.names[s.name]; ok {
			return false
		}
	}
	for _, name := range [...]string{"scope", "scp"} {
		if _, ok := claims[name]; ok {
			return false
		}
		if _, ok := absent.names[name]; ok {
			return false
		}
	}
	return true
}
