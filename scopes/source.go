package scopes

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

// Pointer returns the JSON Pointer (RFC 6901) that goes through these names, each taken literally, whatever dots, slashes and
// tildes it holds: Pointer("https://acme.example/roles"), Pointer("resource_access", client, "roles").
func Pointer(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		b.WriteByte('/')
		b.WriteString(jsonpointer.Escape(name))
	}
	return b.String()
}

// topName is the name of the claim that a valid pointer leads to or into.
func topName(pointer string) string {
	name, _, _ := strings.Cut(pointer[1:], "/")
	return strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
}

// A source is a place in the claims that names are read from.
type source struct {
	jsonpointer.Pointer
	name    string               // of the claim at the top level
	overage *jsonpointer.Pointer // of the claim that stands in for it; nil: none
}

// overage gives role claims the claims that stand in for them.
func (c *compiler) overage(roles []source, table map[string]string) {
	for _, claim := range slices.Sorted(maps.Keys(table)) {
		i := slices.IndexFunc(roles, func(s source) bool { return s.String() == claim })
		if i < 0 {
			c.fail("Overage: key %q is not in RoleClaims: write one of them", claim)
			continue
		}
		if p, ok := c.pointer("Overage["+strconv.Quote(claim)+"]", table[claim]); ok {
			roles[i].overage = &p
		}
	}
}

// names of claims that a token does not hold.
type absentClaims struct {
	names map[string]any
	all   bool // it says so in a form that nobody can read, so that each may be meant
}

// elsewhere reads "_claim_names": the names of claims that have to be fetched from somewhere else (OpenID Connect Core 1.0,
// Section 5.6.2). Nothing is fetched here.
func elsewhere(claims map[string]any) absentClaims {
	value, ok := claims["_claim_names"]
	if !ok {
		return absentClaims{}
	}
	names, ok := value.(map[string]any)
	return absentClaims{names: names, all: !ok}
}

// read returns what is in a claim, if it is all there; else the grant remembers that it is not known. A part of it counts for
// nothing then: the token itself says that it is not the claim.
func (a absentClaims) read(g *grant, s source, claims map[string]any) (any, bool) {
	_, missing := a.names[s.name]
	if !missing && !a.all && s.overage != nil {
		flag, ok := s.overage.Get(claims)
		missing = ok && flag != false
	}
	if missing || a.all {
		g.unknown = append(g.unknown, s.String())
		return nil, false
	}
	return s.Get(claims)
}
