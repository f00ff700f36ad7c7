package scopes

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

// A Mapper says how the claims of one issuer's tokens become a [Grant]. The zero Mapper reads scopes from "scope" and "scp" and
// no roles. [Mapper.Compile] makes it usable.
//
// Claims are named by JSON Pointers (RFC 6901): "/scope", "/realm_access/roles", "/cognito:groups". Inside a name "/" is written
// "~1" and "~" is written "~0": the claim https://acme.example/roles is "/https:~1~1acme.example~1roles". [Pointer] writes them.
type Mapper struct {
	// ScopeClaims are read one after the other, and what they hold adds up. Nil means "/scope" and "/scp"; an empty list that is
	// not nil reads none. A string is split on spaces (U+0020) only (RFC 6749, Section 3.3; RFC 8693, Section 4.2). Of an array
	// each element is one scope. An array that holds anything but strings, and any other value, grants nothing.
	ScopeClaims []string

	// RoleClaims are read one after the other, and what they hold adds up. Nil reads none. An array of strings holds one role per
	// element (RFC 9068, Section 2.2.3.1), a string is one role as it stands. Anything else grants nothing; the keys of an object
	// are no roles. A claim that holds scopes cannot be named here, nor in the next two fields.
	//
	// A claim that the token says is elsewhere is unknown and not read: see [Grant.Unknown].
	RoleClaims []string

	// RoleKeys are claims that hold an object with one member per role: its name is the role. A member counts if its value is true
	// or an object that is not empty (ZITADEL writes the organizations that granted the role there). Nil reads none.
	RoleKeys []string

	// SelectedRoles read roles from one of several members of an object, which another claim selects. Nil reads none.
	SelectedRoles []Selection

	// RolePrefix is put before every role that a claim of this issuer holds, so that a rule can tell the administrators of one
	// issuer, or tenant, from those of another: "acme/" makes Role("acme/admin") of an "admin". RoleImplies and RoleScopes name
	// roles with it. Empty: the roles of all issuers are one set of names, so every issuer decides who is an "admin".
	RolePrefix string

	// Overage names, for one of the RoleClaims, a claim that stands in for it where there were too many roles: Entra ID leaves
	// "/groups" out where "/hasgroups" is true. The role claim is then unknown: see [Grant.Unknown]. Any value but false counts.
	// The general form, a member of "_claim_names" (OpenID Connect Core 1.0, Section 5.6.2), needs no entry.
	Overage map[string]string

	// Applications names claims in which a token says that an application acts for itself, without a user, and what they hold
	// then: {"/idtyp": {"app"}}. A string must equal one of the values, or an array hold it. A sub that equals the client id (RFC
	// 9068, Section 2.2) needs no entry. See [Grant.Application].
	Applications map[string][]string

	// ApplicationsLackScopes says that tokens with roles and without any scope claim are an application's (Entra ID).
	ApplicationsLackScopes bool

	// ScopeImplies names, for a scope, the narrower ones that it stands for. RoleImplies does the same for roles. Both apply
	// again to what they yield; cycles do no harm.
	ScopeImplies map[string][]string
	RoleImplies  map[string][]string

	// RoleScopes names, for a role, the scopes that its holders have without a token that names them. ScopeImplies applies to
	// those scopes, and RoleScopes to implied roles.
	RoleScopes map[string][]string

	// DangerouslyDefaultScopes are granted to tokens that have none of the ScopeClaims, nor scope and scp, for authorization servers
	// that write no scopes. Every such token then has them, whatever the user consented to. A scope claim that is empty or
	// malformed is there all the same, and an application (see Applications) never gets them. Names are without TokenPrefix. They
	// are not among [Grant.Presented]. Nil grants none.
	DangerouslyDefaultScopes []string

	// TokenPrefix must stand before a scope in the token and is removed; scopes without it are ignored. The other fields, rules
	// and Grants use the name without it. Empty means that scopes stand in the token as they are.
	TokenPrefix string

	// ChallengePrefix is added to scopes that clients are told to ask for. Empty adds nothing.
	ChallengePrefix string
}

// A Mapping is a [Mapper] that has been checked. It is immutable, independent of the Mapper's slices and maps, and safe for
// concurrent use. The zero Mapping reads no claim.
type Mapping struct {
	scopeClaims, roleClaims, roleKeys     []source
	selections                            []selection
	applications                          []indication
	applicationsLackScopes                bool
	defaultScopes                         []string
	scopeImplies, roleImplies, roleScopes map[string][]string
	tokenPrefix, challengePrefix          string
	rolePrefix                            string
}

var defaultScopeClaims = []string{"/scope", "/scp"}

// Compile checks the Mapper. The error joins all that is wrong, each naming the field and what to write instead.
func (m Mapper) Compile() (*Mapping, error) {
	var c compiler
	if m.ScopeClaims == nil {
		m.ScopeClaims = defaultScopeClaims
	}
	mapping := &Mapping{
		scopeClaims:  c.sources("ScopeClaims", m.ScopeClaims),
		roleClaims:   c.sources("RoleClaims", m.RoleClaims),
		roleKeys:     c.sources("RoleKeys", m.RoleKeys),
		selections:   c.selections(m.SelectedRoles),
		applications: c.indications(m.Applications), applicationsLackScopes: m.ApplicationsLackScopes,
		defaultScopes:   c.scopes("DangerouslyDefaultScopes", m.DangerouslyDefaultScopes),
		scopeImplies:    c.table("ScopeImplies", m.ScopeImplies, checkScope, checkScope),
		roleImplies:     c.table("RoleImplies", m.RoleImplies, checkRole, checkRole),
		roleScopes:      c.table("RoleScopes", m.RoleScopes, checkRole, checkScope),
		tokenPrefix:     c.prefix("TokenPrefix", m.TokenPrefix),
		challengePrefix: c.prefix("ChallengePrefix", m.ChallengePrefix),
		rolePrefix:      m.RolePrefix,
	}
	if m.RolePrefix != "" {
		if err := checkRole(m.RolePrefix); err != nil {
			c.fail("RolePrefix: %w", err)
		}
	}
	c.overage(mapping.roleClaims, m.Overage)
	c.apart("RoleClaims", mapping.roleClaims, mapping.scopeClaims)
	c.apart("RoleKeys", mapping.roleKeys, mapping.scopeClaims)
	for _, s := range mapping.selections {
		c.apart("SelectedRoles", []source{s.object, {Pointer: s.by}}, mapping.scopeClaims)
	}
	if err := errors.Join(c.errs...); err != nil {
		return nil, err
	}
	return mapping, nil
}

// compiler collects what is wrong with a Mapper.
type compiler struct {
	errs []error
}

func (c *compiler) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Errorf("scopes: Mapper."+format, args...))
}

func (c *compiler) sources(field string, claims []string) []source {
	var list []source
	for i, claim := range claims {
		if p, ok := c.pointer(fmt.Sprintf("%s[%d]", field, i), claim); ok {
			list = append(list, source{Pointer: p, name: topName(claim)})
		}
	}
	return list
}

// pointer reads a pointer to a claim, or something in it.
func (c *compiler) pointer(field, claim string) (jsonpointer.Pointer, bool) {
	p, err := jsonpointer.Parse(claim)
	switch scheme, rest, isURL := strings.Cut(claim, "://"); {
	case claim == "":
		c.fail(`%s is empty: write a JSON Pointer such as "/scope"`, field)
	case claim[0] != '/':
		c.fail("%s: %q is a bare name: write the JSON Pointer %q", field, claim, "/"+jsonpointer.Escape(claim))
	case err != nil:
		c.fail("%s: %q is no JSON Pointer: write ~0 for ~ and ~1 for / inside a name (RFC 6901, Section 3): %w", field, claim, err)
	case isURL:
		// A valid pointer, which steps through a member with an empty name: never what was meant.
		c.fail("%s: %q takes the URL apart at each slash: if it is one name, write %q",
			field, claim, scheme+":~1~1"+strings.ReplaceAll(rest, "/", "~1"))
	default:
		return p, true
	}
	return p, false
}

func (c *compiler) scopes(field string, names []string) []string {
	for i, name := range names {
		if err := checkScope(name); err != nil {
			c.fail("%s[%d]: %w", field, i, err)
		}
	}
	return slices.Clone(names)
}

// table copies a table of names.
func (c *compiler) table(field string, table map[string][]string, checkKey, checkValue func(string) error) map[string][]string {
	copied := make(map[string][]string, len(table))
	for _, key := range slices.Sorted(maps.Keys(table)) { // the same error text each time
		if err := checkKey(key); err != nil {
			c.fail("%s: key %w", field, err)
		}
		for i, value := range table[key] {
			if err := checkValue(value); err != nil {
				c.fail("%s[%q][%d]: %w", field, key, i, err)
			}
		}
		copied[key] = slices.Clone(table[key])
	}
	return copied
}

func (c *compiler) prefix(field, prefix string) string {
	if !onlyScopeBytes(prefix) {
		c.fail("%s: %q cannot begin a scope: write characters of %%x21 %%x23-5B %%x5D-7E only (RFC 6749, Section 3.3)", field, prefix)
	}
	return prefix
}

// apart refuses role claims that hold scopes: who may ask for a scope by name must not thereby name a role.
func (c *compiler) apart(field string, roles, scopes []source) {
	for _, claim := range defaultScopeClaims {
		p, _ := jsonpointer.Parse(claim)
		scopes = append(slices.Clip(scopes), source{Pointer: p})
	}
	for _, role := range roles {
		for _, scope := range scopes {
			if role.Covers(scope.Pointer) || scope.Covers(role.Pointer) {
				c.fail("%s: %q holds scopes: roles are never taken from them; write the pointer of another claim, or use RoleScopes", field, role)
				break
			}
		}
	}
}
