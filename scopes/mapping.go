package scopes

import (
	"maps"
	"slices"
	"strings"
)

// Grant returns what the caller holds whose verified claims these are, as a strict JSON decoder makes them: map[string]any,
// []any, string, a number, bool, nil. The same claims always give the same Grant. Claims that the [Mapper] does not name have no
// effect. For nil claims, and for a nil Mapping, it is the zero Grant.
func (m *Mapping) Grant(claims map[string]any) Grant {
	if m == nil || claims == nil {
		return Grant{}
	}
	g := new(grant)
	absent := elsewhere(claims)
	for _, claim := range m.scopeClaims {
		if value, ok := absent.read(g, claim, claims); ok {
			m.readScopes(g, value)
		}
	}
	for _, claim := range m.roleClaims {
		if value, ok := absent.read(g, claim, claims); ok {
			m.readRoles(g, value)
		}
	}
	for _, claim := range m.roleKeys {
		if value, ok := absent.read(g, claim, claims); ok {
			m.readKeys(g, value)
		}
	}
	for _, s := range m.selections {
		if value, ok := absent.read(g, s.object, claims); ok {
			m.readRoles(g, s.choose(value, claims))
		}
	}
	lacksScopes := m.lacksScopes(claims)
	g.application = m.isApplication(g, claims, lacksScopes)
	if _, user := claims["sub"]; lacksScopes && user && !g.application { // without sub, the caller is the client
		for _, scope := range m.defaultScopes {
			g.scopes.add(scope)
		}
	}
	m.imply(g)
	return Grant{held: g}
}

// imply adds what the scopes and roles stand for.
func (m *Mapping) imply(g *grant) {
	g.roles.close(m.roleImplies)
	for _, role := range g.roles.list {
		for _, scope := range m.roleScopes[role] {
			g.scopes.add(scope)
		}
	}
	g.scopes.close(m.scopeImplies)
}

// Extend returns g with what its scopes and roles stand for by the ScopeImplies, RoleImplies and RoleScopes of the [Mapper], for
// grants that were not made from claims, and for hierarchies beside those of the issuer. A limit (see [Grant.Within]) stays as it
// is. Of the zero Grant, and by a nil Mapping, it is g.
func (m *Mapping) Extend(g Grant) Grant {
	if m == nil || g.held == nil || len(m.scopeImplies)+len(m.roleImplies)+len(m.roleScopes) == 0 {
		return g
	}
	held := *g.held
	held.scopes, held.roles = held.scopes.clone(), held.roles.clone()
	m.imply(&held)
	return Grant{held: &held, limit: g.limit}
}

// close adds what the names imply, and what that implies. The list grows while it is walked; a name that is there already is
// not added again, so a cycle ends, and every edge of the table is followed at most once.
func (n *names) close(implies map[string][]string) {
	if len(implies) == 0 {
		return
	}
	for i := 0; i < len(n.list); i++ {
		for _, name := range implies[n.list[i]] {
			n.add(name)
		}
	}
}

func (m *Mapping) readScopes(g *grant, value any) {
	if text, ok := value.(string); ok {
		// SP alone separates: a tab or comma makes a token that is no scope, or another scope, never two of them.
		for token := range strings.SplitSeq(text, " ") {
			m.readScope(g, token)
		}
		return
	}
	for _, element := range allStrings(value) {
		m.readScope(g, element.(string))
	}
}

func (m *Mapping) readScope(g *grant, token string) {
	if scope, ok := strings.CutPrefix(token, m.tokenPrefix); ok {
		g.present(scope)
	}
}

func (m *Mapping) readRoles(g *grant, value any) {
	if role, ok := value.(string); ok {
		m.hold(g, role)
		return
	}
	for _, element := range allStrings(value) {
		m.hold(g, element.(string))
	}
}

// hold adds a role under the name that rules know. A role without a name is none, whatever stands before it.
func (m *Mapping) hold(g *grant, role string) {
	if role != "" {
		g.hold(m.rolePrefix + role)
	}
}

// readKeys takes the member names of an object for roles. A value that denies (false, null) or holds nothing makes its name none.
func (m *Mapping) readKeys(g *grant, value any) {
	object, _ := value.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(object)) { // the same roles each time, though some may be too many
		switch v := object[name].(type) {
		case bool:
			if v {
				m.hold(g, name)
			}
		case map[string]any:
			if len(v) > 0 {
				m.hold(g, name)
			}
		}
	}
}

// allStrings returns the elements of an array in which each is a string. One that is not makes the whole claim malformed
// (RFC 7519, Section 4.1): it is not read in part.
func allStrings(value any) []any {
	array, _ := value.([]any)
	for _, element := range array {
		if _, ok := element.(string); !ok {
			return nil
		}
	}
	return array
}

// Challenge returns the names under which clients ask for these scopes: each with [Mapper.ChallengePrefix] before it. The result
// is a new slice, nil for no scopes.
func (m *Mapping) Challenge(scopes []string) []string {
	if len(scopes) == 0 {
		return nil
	}
	prefix := ""
	if m != nil {
		prefix = m.challengePrefix
	}
	named := make([]string, len(scopes))
	for i, scope := range scopes {
		named[i] = prefix + scope
	}
	return named
}

// ReadsRoles reports whether any claim is read for roles: without one, no token of the issuer can meet a rule that needs a role.
func (m *Mapping) ReadsRoles() bool {
	return m != nil && len(m.roleClaims)+len(m.roleKeys)+len(m.selections) > 0
}
