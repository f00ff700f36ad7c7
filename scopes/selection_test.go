package scopes_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestTOK17_SelectedRoles(t *testing.T) {
	m := compile(t, scopes.Mapper{
		RoleClaims:    []string{"/roles"},
		SelectedRoles: []scopes.Selection{{Claim: "/tenants", By: "/dct", Path: "/roles"}, {Claim: "/direct", By: "/dct"}},
	})
	require.True(t, m.ReadsRoles())
	tests := []struct {
		name, claims string
		want         []string
	}{
		{"those of the selected member", `{"dct":"t2","tenants":{"t1":{"roles":["admin"]},"t2":{"roles":["viewer"]}}}`, []string{"viewer"}},
		{"beside those of all", `{"dct":"t1","roles":["base"],"tenants":{"t1":{"roles":["admin"]}}}`, []string{"base", "admin"}},
		{"nobody selects", `{"tenants":{"t1":{"roles":["admin"]}}}`, nil},
		{"a member that is not there", `{"dct":"t3","tenants":{"t1":{"roles":["admin"]}}}`, nil},
		{"another case", `{"dct":"T1","tenants":{"t1":{"roles":["admin"]}}}`, nil},
		{"an empty name", `{"dct":"","tenants":{"":{"roles":["admin"]}}}`, nil},
		{"several at once select none", `{"dct":["t1"],"tenants":{"t1":{"roles":["admin"]}}}`, nil},
		{"a number selects no element", `{"dct":0,"tenants":[{"roles":["admin"]}]}`, nil},
		{"digits select no element", `{"dct":"0","tenants":[{"roles":["admin"]}]}`, nil},
		{"the name is no path", `{"dct":"t1/x","tenants":{"t1":{"x":{"roles":["admin"]}}}}`, nil},
		{"a name with a slash", `{"dct":"t1/x","tenants":{"t1/x":{"roles":["admin"]}}}`, []string{"admin"}},
		{"one role as a string", `{"dct":"t1","tenants":{"t1":{"roles":"admin x"}}}`, []string{"admin x"}},
		{"a malformed list", `{"dct":"t1","tenants":{"t1":{"roles":["admin",1]}}}`, nil},
		{"without a path", `{"dct":"t1","direct":{"t1":["admin"],"t2":["x"]}}`, []string{"admin"}},
		{"without a path, an object's keys are no roles", `{"dct":"t1","direct":{"t1":{"admin":true}}}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, nilIfEmpty(m.Grant(claims(t, tt.claims)).Roles()))
		})
	}
}

func TestCompileNamesEveryMistakeInRoleSources(t *testing.T) {
	tests := []struct {
		name   string
		mapper scopes.Mapper
		want   []string
	}{
		{"an empty selection", scopes.Mapper{SelectedRoles: []scopes.Selection{{}}}, []string{`SelectedRoles[0].Claim is empty`, `SelectedRoles[0].By is empty`}},
		{"bare names", scopes.Mapper{SelectedRoles: []scopes.Selection{{Claim: "tenants", By: "dct", Path: "roles"}}},
			[]string{`SelectedRoles[0].Claim: "tenants" is a bare name: write the JSON Pointer "/tenants"`, `.By: "dct"`, `.Path: "roles"`}},
		{"roles selected from scopes", scopes.Mapper{SelectedRoles: []scopes.Selection{{Claim: "/scope", By: "/dct"}}}, []string{`SelectedRoles: "/scope" holds scopes`}},
		{"selected by scopes", scopes.Mapper{SelectedRoles: []scopes.Selection{{Claim: "/tenants", By: "/scp"}}}, []string{`SelectedRoles: "/scp" holds scopes`}},
		{"keys of scopes", scopes.Mapper{RoleKeys: []string{"/scp"}}, []string{`RoleKeys: "/scp" holds scopes`}},
		{"overage of a claim that is not read", scopes.Mapper{RoleClaims: []string{"/roles"}, Overage: map[string]string{"/groups": "/hasgroups"}}, []string{`Overage: key "/groups" is not in RoleClaims`}},
		{"overage by a bare name", scopes.Mapper{RoleClaims: []string{"/groups"}, Overage: map[string]string{"/groups": "hasgroups"}}, []string{`Overage["/groups"]: "hasgroups" is a bare name`}},
		{"applications by nothing", scopes.Mapper{Applications: map[string][]string{"/idtyp": nil, "/gty": {""}, "x": {"y"}}},
			[]string{`Applications["/gty"]: write what`, `Applications["/idtyp"]: write what`, `Applications: key "x": "x" is a bare name`}},
		{"default scopes that are none", scopes.Mapper{DangerouslyDefaultScopes: []string{"a", "b c", ""}}, []string{`DangerouslyDefaultScopes[1]: "b c" is not a scope`, `DangerouslyDefaultScopes[2]`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mapping, err := tt.mapper.Compile()
			require.Nil(t, mapping)
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(tt.want), err.Error())
			for i, want := range tt.want {
				require.Contains(t, lines[i], want)
				require.True(t, strings.HasPrefix(lines[i], "scopes: Mapper."), lines[i])
			}
		})
	}
}
