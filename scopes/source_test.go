package scopes_test

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func TestPointer(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"cognito:groups"}, "/cognito:groups"},
		{[]string{"p1.rid"}, "/p1.rid"},
		{[]string{"https://acme.example/roles"}, "/https:~1~1acme.example~1roles"},
		{[]string{"resource_access", "a/b~c", "roles"}, "/resource_access/a~1b~0c/roles"},
		{[]string{"~1"}, "/~01"},
		{nil, ""},
	} {
		require.Equal(t, tt.want, scopes.Pointer(tt.names...))
	}
	// The client whose name looks like a path gets its own roles and no other's.
	m := compile(t, scopes.Mapper{RoleClaims: []string{scopes.Pointer("resource_access", "account/roles", "roles")}})
	g := m.Grant(claims(t, `{"resource_access":{"account":{"roles":["x"]},"account/roles":{"roles":["a"]}}}`))
	require.Equal(t, []string{"a"}, g.Roles())
}

func TestTOK17_RoleKeys(t *testing.T) {
	const claim = "urn:zitadel:iam:org:project:roles"
	tests := []struct {
		name, value string
		want        []string
	}{
		{"names of members, sorted", `{"viewer":{"1":"a"},"editor":{"1":"a","2":"b"}}`, []string{"editor", "viewer"}},
		{"true", `{"editor":true}`, []string{"editor"}},
		{"what denies or holds nothing", `{"a":false,"b":null,"c":{},"d":[],"e":"","f":0}`, nil},
		{"what is neither", `{"a":1,"b":"yes","c":["x"]}`, nil},
		{"names that could be none", `{"":true,"a\nb":true,"ok":true}`, []string{"ok"}},
		{"what a member holds is no role", `{"a":{"admin":"x"}}`, []string{"a"}},
		{"an array of strings", `["admin"]`, nil},
		{"an array of objects", `[{"admin":true}]`, nil},
		{"a string", `"admin"`, nil},
		{"null", `null`, nil},
	}
	m := compile(t, scopes.Mapper{RoleKeys: []string{scopes.Pointer(claim)}})
	require.True(t, m.ReadsRoles())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := m.Grant(claims(t, `{"`+claim+`":`+tt.value+`}`))
			require.Equal(t, tt.want, nilIfEmpty(g.Roles()))
			require.Empty(t, g.Scopes())
		})
	}
	t.Run("too many: the same ones each time", func(t *testing.T) {
		object := make(map[string]any)
		for i := range scopes.MaxNames + 500 {
			object[string(rune('一'+i))] = true
		}
		first := m.Grant(map[string]any{claim: object}).Roles()
		require.Len(t, first, scopes.MaxNames)
		for range 5 {
			require.Equal(t, first, m.Grant(map[string]any{claim: object}).Roles())
		}
	})
}

func TestTOK17_UnknownIsNotEmpty(t *testing.T) {
	m := compile(t, scopes.Mapper{
		RoleClaims: []string{"/roles", "/groups", "/a~1b/c"}, RoleKeys: []string{"/keys"},
		SelectedRoles: []scopes.Selection{{Claim: "/tenants", By: "/dct", Path: "/roles"}},
		Overage:       map[string]string{"/groups": "/hasgroups"},
	})
	tests := []struct {
		name, claims           string
		unknown, scopes, roles []string
	}{
		{"nothing is elsewhere", `{"scope":"a","roles":["r"],"groups":[]}`, nil, []string{"a"}, []string{"r"}},
		{"groups are", `{"scope":"a","roles":["r"],"_claim_names":{"groups":"src1"}}`, []string{"/groups"}, []string{"a"}, []string{"r"}},
		{"a part of them counts for nothing", `{"groups":["g"],"_claim_names":{"groups":"src1"}}`, []string{"/groups"}, nil, nil},
		{"other claims are", `{"groups":["g"],"_claim_names":{"address":"src1","Groups":"src1"}}`, nil, nil, []string{"g"}},
		{"a nested one is", `{"a/b":{"c":["r"]},"_claim_names":{"a/b":"src1"}}`, []string{"/a~1b/c"}, nil, nil},
		{"an object of roles is", `{"keys":{"r":true},"_claim_names":{"keys":"s"}}`, []string{"/keys"}, nil, nil},
		{"selected ones are", `{"dct":"t","tenants":{"t":{"roles":["r"]}},"_claim_names":{"tenants":"s"}}`, []string{"/tenants"}, nil, nil},
		{"scopes are", `{"scope":"a","scp":["b"],"_claim_names":{"scope":"s"}}`, []string{"/scope"}, []string{"b"}, nil},
		{"whatever names the source", `{"groups":["g"],"_claim_names":{"groups":null}}`, []string{"/groups"}, nil, nil},
		{"hasgroups", `{"roles":["r"],"hasgroups":true}`, []string{"/groups"}, nil, []string{"r"}},
		{"hasgroups as text", `{"groups":["g"],"hasgroups":"true"}`, []string{"/groups"}, nil, nil},
		{"hasgroups false", `{"groups":["g"],"hasgroups":false}`, nil, nil, []string{"g"}},
		{"both at once, named once", `{"hasgroups":true,"_claim_names":{"groups":"s"}}`, []string{"/groups"}, nil, nil},
		{"no object: any may be meant", `{"scope":"a","roles":["r"],"_claim_names":"groups"}`,
			[]string{"/scope", "/scp", "/roles", "/groups", "/a~1b/c", "/keys", "/tenants"}, nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := m.Grant(claims(t, tt.claims))
			require.Equal(t, tt.unknown, nilIfEmpty(g.Unknown()))
			require.Equal(t, tt.scopes, nilIfEmpty(g.Scopes()))
			require.Equal(t, tt.roles, nilIfEmpty(g.Roles()))
			if len(tt.unknown) > 0 {
				require.False(t, scopes.Role("g").Met(g))
				require.False(t, scopes.Role("g").Obtainable(g), "no scope helps")
				g.Unknown()[0] = "evil"
				require.Equal(t, tt.unknown, g.Unknown())
			}
		})
	}
	require.Empty(t, scopes.Grant{}.Unknown())
	require.Empty(t, scopes.NewGrant([]string{"a"}, []string{"r"}).Unknown())
}

func TestDangerouslyDefaultScopes(t *testing.T) {
	m := compile(t, scopes.Mapper{
		ScopeClaims: []string{"/scopes", "/x/scopes"}, RoleClaims: []string{"/roles"}, ApplicationsLackScopes: true,
		ScopeImplies: map[string][]string{"notes:write": {"notes:read"}}, TokenPrefix: "api/",
		DangerouslyDefaultScopes: []string{"notes:write"},
	})
	for _, tt := range []struct {
		name, claims string
		granted      bool
	}{
		{"no scope claim at all", `{"sub":"ada"}`, true},
		{"a user with roles counts as an application here", `{"sub":"ada","roles":["r"]}`, false},
		{"an application", `{"sub":"app","client_id":"app"}`, false},
		{"an empty claim says none", `{"scopes":""}`, false},
		{"an empty array says none", `{"scopes":[]}`, false},
		{"null says something", `{"scopes":null}`, false},
		{"a malformed claim", `{"scopes":[1]}`, false},
		{"scopes without the prefix", `{"scopes":"other"}`, false},
		{"a claim on the way to it", `{"x":{}}`, false},
		{"scope, though it is not read", `{"scope":"openid"}`, false},
		{"scp, though it is not read", `{"scp":[]}`, false},
		{"scopes are elsewhere", `{"_claim_names":{"scopes":"s"}}`, false},
		{"scope is elsewhere, though it is not read", `{"_claim_names":{"scope":"s"}}`, false},
		{"anything may be elsewhere", `{"_claim_names":[]}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := m.Grant(claims(t, tt.claims))
			require.Equal(t, tt.granted, g.HasScope("notes:write"))
			require.Equal(t, tt.granted, g.HasScope("notes:read"), "and what it implies")
			require.Empty(t, g.Presented())
		})
	}
	require.False(t, compile(t, scopes.Mapper{}).Grant(claims(t, `{}`)).HasScope("notes:write"), "off by default")
}

// Whatever the claims hold, a role stands literally where the Mapper reads roles, and a claim that is elsewhere grants nothing.
func FuzzRoleSources(f *testing.F) {
	for _, text := range []string{
		`{"k":{"a":{"1":"x"},"b":false}}`, `{"k":["a"]}`, `{"t":{"x":{"r":["a"]},"y":{"r":["b"]}},"by":"x"}`, `{"t":[{"r":["a"]}],"by":"0"}`,
		`{"t":{"x":"a"},"by":"x"}`, `{"by":["x"],"t":{"x":{"r":["a"]}}}`, `{"r":["a"],"_claim_names":{"r":"s"}}`, `{"r":["a"],"has":true}`,
		`{"_claim_names":7,"r":["a"]}`, `{"_claim_names":{"t":"s"},"t":{"x":{"r":["a"]}},"by":"x"}`, `{"k":{"a":true},"sub":"c","azp":"c"}`,
	} {
		f.Add(text)
	}
	m, err := scopes.Mapper{
		RoleClaims: []string{"/r"}, RoleKeys: []string{"/k"}, SelectedRoles: []scopes.Selection{{Claim: "/t", By: "/by", Path: "/r"}},
		Overage: map[string]string{"/r": "/has"}, DangerouslyDefaultScopes: []string{"d"},
	}.Compile()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		var c map[string]any
		if json.Unmarshal([]byte(text), &c) != nil || c == nil {
			return
		}
		g := m.Grant(c)
		again := m.Grant(c)
		require.Equal(t, g.Roles(), again.Roles())
		require.Equal(t, g.Unknown(), again.Unknown())

		// What could be a role at most, by a reading of its own.
		may := make(map[string]bool)
		add := func(claim string, value any) {
			if slices.Contains(g.Unknown(), claim) {
				return
			}
			switch v := value.(type) {
			case string:
				may[v] = true
			case []any:
				for _, e := range v {
					s, _ := e.(string)
					may[s] = true
				}
			}
		}
		add("/r", c["r"])
		if k, ok := c["k"].(map[string]any); ok && !slices.Contains(g.Unknown(), "/k") {
			for name := range k {
				may[name] = true
			}
		}
		if tenants, ok := c["t"].(map[string]any); ok {
			if by, ok := c["by"].(string); ok && by != "" {
				if tenant, ok := tenants[by].(map[string]any); ok {
					add("/t", tenant["r"])
				}
			}
		}
		for _, role := range g.Roles() {
			require.True(t, may[role], "%q stands nowhere", role)
		}
		_, marked := c["_claim_names"]
		flag, flagged := c["has"]
		require.True(t, len(g.Unknown()) == 0 || marked || flagged && flag != false)
		if g.HasScope("d") && !slices.Contains(g.Presented(), "d") {
			_, scope := c["scope"]
			_, scp := c["scp"]
			require.False(t, scope || scp)
		}
	})
}
