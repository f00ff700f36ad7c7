package scopes

import "slices"

// MaxNames is how many distinct scopes, and how many distinct roles, of one caller count. Further ones grant nothing. Names that
// a [Mapper] adds by its hierarchies are not counted.
const MaxNames = 1024

// A Grant is what one verified caller holds: scopes and roles. It is immutable and safe for concurrent use. The zero Grant
// stands for no caller at all: it holds nothing and meets no rule, not even [Authenticated].
type Grant struct {
	held  *grant
	limit *grant // nil: none; see Within
}

type grant struct {
	scopes    names // presented ones, then implied ones
	presented int
	roles     names

	unknown     []string
	application bool
}

var nothing grant

// NewGrant returns what a verified caller with these scopes and roles holds, for credentials other than tokens and for tests.
// Names outside the grammar of scopes (RFC 6749, Section 3.3), roles that are empty, not valid UTF-8 or hold control characters,
// duplicates, and all beyond [MaxNames] are left out. A caller without any name still meets [Authenticated].
func NewGrant(scopes, roles []string) Grant {
	g := new(grant)
	for _, name := range scopes {
		g.present(name)
	}
	for _, name := range roles {
		g.hold(name)
	}
	return Grant{held: g}
}

// present adds a scope that the credentials hold. Nothing may have been implied yet.
func (g *grant) present(scope string) {
	if g.presented < MaxNames && validScope(scope) {
		g.scopes.add(scope)
		g.presented = len(g.scopes.list)
	}
}

// hold adds a role that the credentials hold.
func (g *grant) hold(role string) {
	if len(g.roles.list) < MaxNames && checkRole(role) == nil {
		g.roles.add(role)
	}
}

// HasScope reports whether the caller holds the scope, be it presented or implied. Names are compared whole and with case
// (RFC 6749, Section 3.3). It does not allocate.
func (g Grant) HasScope(scope string) bool {
	return g.held != nil && g.held.scopes.has(scope) && g.mayHaveScope(scope)
}

// HasRole reports whether the caller holds the role, be it claimed or implied. Names are compared whole and with case. It does
// not allocate.
func (g Grant) HasRole(role string) bool {
	return g.held != nil && g.held.roles.has(role) && (g.limit == nil || g.limit.roles.has(role))
}

// mayHaveScope reports whether the limit, if there is one, leaves room for a scope.
func (g Grant) mayHaveScope(scope string) bool { return g.limit == nil || g.limit.scopes.has(scope) }

// Scopes returns a copy of all scopes: the presented ones in their order, then the implied ones.
func (g Grant) Scopes() []string {
	if g.held == nil {
		return nil
	}
	return g.within(g.held.scopes.list, (*grant).scopeNames)
}

// Presented returns a copy of the scopes that the credentials themselves hold, in their order, without those that a hierarchy or
// a role implies. A prefix that [Mapper.TokenPrefix] removes is not part of them.
func (g Grant) Presented() []string {
	if g.held == nil {
		return nil
	}
	return g.within(g.held.scopes.list[:g.held.presented], (*grant).scopeNames)
}

// Roles returns a copy of all roles: the claimed ones in their order, then the implied ones.
func (g Grant) Roles() []string {
	if g.held == nil {
		return nil
	}
	return g.within(g.held.roles.list, (*grant).roleNames)
}

func (g *grant) scopeNames() *names { return &g.scopes }
func (g *grant) roleNames() *names  { return &g.roles }

// within is a copy of the names for which the limit has room.
func (g Grant) within(list []string, of func(*grant) *names) []string {
	if g.limit == nil {
		return slices.Clone(list)
	}
	var out []string
	for _, name := range list {
		if of(g.limit).has(name) {
			out = append(out, name)
		}
	}
	return out
}

// Within returns what g and limit both hold: a caller who may use no more than somebody has set, whatever the credentials say.
// What the limit holds by implication counts. Scopes that it does not hold are not obtainable either: see [Rule.Obtainable].
// Within the zero Grant nothing is left, and the result is the zero Grant. Of several limits all count.
func (g Grant) Within(limit Grant) Grant {
	if g.held == nil || limit.held == nil {
		return Grant{}
	}
	for _, further := range [...]*grant{limit.limit, g.limit} {
		if further != nil {
			both := Grant{limit.held, further}
			limit = NewGrant(both.Scopes(), both.Roles())
		}
	}
	return Grant{held: g.held, limit: limit.held}
}

// Whole returns g without the limit that [Grant.Within] has set: what the credentials say.
func (g Grant) Whole() Grant { return Grant{held: g.held} }

// Unknown returns a copy of the claims, as the [Mapper] names them, of which the token only says that they are elsewhere: there
// were too many groups for it, say (OpenID Connect Core 1.0, Section 5.6.2; Mapper.Overage). What they hold is not known, which is
// not the same as nothing: the caller may have any role that they could name. Rules are safe, since they only ask for what a
// caller holds. Code of your own that acts on the lack of a role must refuse where this is not empty.
func (g Grant) Unknown() []string {
	if g.held == nil {
		return nil
	}
	return slices.Clone(g.held.unknown)
}

// Application reports whether the token says that an application acts for itself, without a user: sub equals the client id, or
// what Mapper.Applications and ApplicationsLackScopes say. False where it says nothing of the kind. It is a description and no
// right: an authorization server that lets users choose their sub could issue a user's token that looks so (RFC 9068, Section 5).
func (g Grant) Application() bool { return g.held != nil && g.held.application }
