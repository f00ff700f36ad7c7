package mcpauthtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/scopes"
)

// writeGrant puts scopes and roles where the Mapper of an issuer looks for them: the inverse of
// [scopes.Mapping.Grant]. What it would not find is an error.
func writeGrant(claims map[string]any, m scopes.Mapper, scope, roles []string, application bool) error {
	if err := writeScopes(claims, m, scope); err != nil {
		return err
	}
	if application {
		if err := writeApplication(claims, m); err != nil {
			return err
		}
	}
	if err := writeRoles(claims, m, roles); err != nil {
		return err
	}
	return found(claims, m, scope, roles)
}

// found reads what was written as a validator does: the names of claims may mean something else to it.
func found(claims map[string]any, m scopes.Mapper, scope, roles []string) error {
	mapping, err := m.Compile()
	if err != nil {
		return err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return err
	}
	var token map[string]any
	if err := json.Unmarshal(text, &token); err != nil {
		return err
	}
	g := mapping.Grant(token)
	missing := func(wanted, has []string) bool {
		return slices.ContainsFunc(wanted, func(name string) bool { return !slices.Contains(has, name) })
	}
	if missing(scope, g.Scopes()) || missing(roles, g.Roles()) {
		return errors.New("the issuer's Grants does not find scopes or roles in the claims that it names")
	}
	return nil
}

func writeScopes(claims map[string]any, m scopes.Mapper, scope []string) error {
	claim := "/scope"
	if m.ScopeClaims != nil {
		claim = ""
		if len(m.ScopeClaims) > 0 {
			claim = m.ScopeClaims[0]
		}
	}
	written := make([]string, len(scope))
	for i, name := range scope {
		if err := scopes.CheckScope(name); err != nil {
			return err
		}
		written[i] = m.TokenPrefix + name
	}
	switch {
	case claim != "":
		// Written though it may be empty: a token that says nothing of scopes is another thing, see
		// Mapper.ApplicationsLackScopes.
		return place(claims, claim, strings.Join(written, " "))
	case len(scope) > 0:
		return errors.New("the issuer's Grants.ScopeClaims reads no claim, so no token can hold scopes")
	}
	return nil
}

func writeApplication(claims map[string]any, m scopes.Mapper) error {
	for _, claim := range slices.Sorted(maps.Keys(m.Applications)) {
		if values := m.Applications[claim]; len(values) > 0 {
			return place(claims, claim, values[0])
		}
	}
	return nil
}

func writeRoles(claims map[string]any, m scopes.Mapper, roles []string) error {
	if len(roles) == 0 {
		return nil
	}
	names := make([]string, len(roles))
	for i, role := range roles {
		name, ok := strings.CutPrefix(role, m.RolePrefix)
		if !ok || name == "" {
			return fmt.Errorf("the role %q does not begin with the issuer's Grants.RolePrefix %q", role, m.RolePrefix)
		}
		names[i] = name
	}
	switch {
	case len(m.RoleClaims) > 0:
		return place(claims, m.RoleClaims[0], names)
	case len(m.RoleKeys) > 0:
		members := make(map[string]any, len(names))
		for _, name := range names {
			members[name] = map[string]any{"1": "test"} // ZITADEL: the organization that granted it
		}
		return place(claims, m.RoleKeys[0], members)
	case len(m.SelectedRoles) > 0:
		const tenant = "test-tenant"
		s := m.SelectedRoles[0]
		if err := place(claims, s.By, tenant); err != nil {
			return err
		}
		return place(claims, s.Claim+scopes.Pointer(tenant)+s.Path, names)
	}
	return errors.New("the issuer's Grants says of no claim that it holds roles; set RoleClaims")
}

// place puts a value where a JSON Pointer (RFC 6901) leads, making the objects on the way. It takes nothing else's place.
func place(object map[string]any, pointer string, value any) error {
	path := strings.Split(pointer, "/")[1:]
	for i, name := range path {
		path[i] = strings.ReplaceAll(strings.ReplaceAll(name, "~1", "/"), "~0", "~")
	}
	if len(path) == 0 {
		return fmt.Errorf("%q leads to no claim", pointer)
	}
	for _, name := range path[:len(path)-1] {
		inner, ok := object[name].(map[string]any)
		if !ok {
			if _, taken := object[name]; taken {
				return fmt.Errorf("%q leads into a claim that is no object", pointer)
			}
			inner = make(map[string]any)
			object[name] = inner
		}
		object = inner
	}
	last := path[len(path)-1]
	if _, taken := object[last]; taken {
		return fmt.Errorf("%q holds something else already", pointer)
	}
	object[last] = value
	return nil
}
