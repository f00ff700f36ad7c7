package mcpauthtest

import (
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
		if err := place(claims, claim, strings.Join(written, " ")); err != nil {
			return err
		}
	case len(scope) > 0:
		return errors.New("the issuer's Grants.ScopeClaims reads no claim, so no token can hold scopes")
	}
	if application {
		for _, claim := range slices.Sorted(maps.Keys(m.Applications)) {
			if values := m.Applications[claim]; len(values) > 0 {
				if err := place(claims, claim, values[0]); err != nil {
					return err
				}
				break
			}
		}
	}
	return writeRoles(claims, m, roles)
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

// place puts a value where a JSON Pointer (RFC 6901) leads, making the objects on the way.
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
	object[path[len(path)-1]] = value
	return nil
}
