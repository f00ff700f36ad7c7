package scopes_test

import (
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

func claims(t testing.TB, text string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var c map[string]any
	require.NoError(t, d.Decode(&c))
	return c
}

func compile(t testing.TB, m scopes.Mapper) *scopes.Mapping {
	t.Helper()
	mapping, err := m.Compile()
	require.NoError(t, err)
	return mapping
}

func TestTOK16_ScopeClaims(t *testing.T) {
	tests := []struct {
		name, claims string
		mapper       scopes.Mapper
		want         []string
	}{
		{"scope as a string", `{"scope":"a b"}`, scopes.Mapper{}, []string{"a", "b"}},
		{"scp as an array", `{"scp":["a","b"]}`, scopes.Mapper{}, []string{"a", "b"}},
		{"scp as a string", `{"scp":"a b"}`, scopes.Mapper{}, []string{"a", "b"}},
		{"scope as an array", `{"scope":["a","b"]}`, scopes.Mapper{}, []string{"a", "b"}},
		{"both add up, without duplicates", `{"scp":["c","a"],"scope":"b a b"}`, scopes.Mapper{}, []string{"b", "a", "c"}},
		{"several spaces", `{"scope":"  a   b "}`, scopes.Mapper{}, []string{"a", "b"}},
		{"an empty string", `{"scope":""}`, scopes.Mapper{}, nil},
		{"a tab does not split", `{"scope":"a\tadmin c"}`, scopes.Mapper{}, []string{"c"}},
		{"a line end does not split", `{"scope":"a\nadmin"}`, scopes.Mapper{}, nil},
		{"a comma does not split", `{"scope":"a,admin"}`, scopes.Mapper{}, []string{"a,admin"}},
		{"a semicolon does not split", `{"scope":"a;admin"}`, scopes.Mapper{}, []string{"a;admin"}},
		{"a no-break space does not split", `{"scope":"a\u00a0admin b"}`, scopes.Mapper{}, []string{"b"}},
		{"other spaces do not split", `{"scope":"a\u2003admin\u3000x\u0085y\u2028z b"}`, scopes.Mapper{}, []string{"b"}},
		{"a zero byte does not end a name", `{"scope":"admin\u0000x b"}`, scopes.Mapper{}, []string{"b"}},
		{"a quote makes a name none", `{"scope":"\"admin\" b"}`, scopes.Mapper{}, []string{"b"}},
		{"an element is one scope, never split", `{"scp":["a admin","b"]}`, scopes.Mapper{}, []string{"b"}},
		{"one number spoils an array", `{"scp":["a",1]}`, scopes.Mapper{}, nil},
		{"one null spoils an array", `{"scp":["a",null]}`, scopes.Mapper{}, nil},
		{"a nested array spoils an array", `{"scp":["a",["b"]]}`, scopes.Mapper{}, nil},
		{"a bad array spoils no other claim", `{"scp":["a",1],"scope":"b"}`, scopes.Mapper{}, []string{"b"}},
		{"an object", `{"scope":{"a":true}}`, scopes.Mapper{}, nil},
		{"a number", `{"scope":1}`, scopes.Mapper{}, nil},
		{"a boolean", `{"scope":true}`, scopes.Mapper{}, nil},
		{"null", `{"scope":null}`, scopes.Mapper{}, nil},
		{"a name of another case", `{"Scope":"a","SCOPE":"a","scopeſ":"a"}`, scopes.Mapper{}, nil},
		{"look-alike claims", `{"scopes":"a","permissions":["a"],"_meta":{"scope":"a"},"role":"a"}`, scopes.Mapper{}, nil},
		{"a configured claim replaces the usual ones", `{"scopes":["a"],"scope":"b"}`, scopes.Mapper{ScopeClaims: []string{"/scopes"}}, []string{"a"}},
		{"an empty list reads none", `{"scope":"a","scp":["b"]}`, scopes.Mapper{ScopeClaims: []string{}}, nil},
		{"a prefix is required and removed", `{"scope":"openid api/a API/b api/ api/api/c xapi/d"}`, scopes.Mapper{TokenPrefix: "api/"}, []string{"a", "api/c"}},
		{"a prefix in an array", `{"scp":["api/a","b"]}`, scopes.Mapper{TokenPrefix: "api/"}, []string{"a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := compile(t, tt.mapper).Grant(claims(t, tt.claims))
			require.Equal(t, tt.want, slices.Clip(g.Scopes()))
			require.Equal(t, tt.want, slices.Clip(g.Presented()))
			require.Empty(t, g.Roles())
		})
	}
}

func TestTOK17_RoleClaims(t *testing.T) {
	tests := []struct {
		name, claims string
		pointers     []string
		want         []string
	}{
		{"none by default", `{"roles":["a"],"groups":["b"],"scope":"c"}`, nil, nil},
		{"an array", `{"roles":["b","a","b"]}`, []string{"/roles"}, []string{"b", "a"}},
		{"two claims add up in their order", `{"groups":["c","a"],"roles":["a","b"]}`, []string{"/roles", "/groups"}, []string{"a", "b", "c"}},
		{"a string is one role", `{"role":"admin editor,x"}`, []string{"/role"}, []string{"admin editor,x"}},
		{"an element is one role", `{"roles":["admin editor"]}`, []string{"/roles"}, []string{"admin editor"}},
		{"an empty string", `{"role":""}`, []string{"/role"}, nil},
		{"an empty element", `{"roles":["","a"]}`, []string{"/roles"}, []string{"a"}},
		{"a control character", `{"roles":["admin\u0000","a\nb","ok"]}`, []string{"/roles"}, []string{"ok"}},
		{"the keys of an object are no roles", `{"roles":{"admin":true}}`, []string{"/roles"}, nil},
		{"an object in an array spoils it", `{"roles":["a",{"admin":true}]}`, []string{"/roles"}, nil},
		{"a number in an array spoils it", `{"roles":["a",1]}`, []string{"/roles"}, nil},
		{"null in an array spoils it", `{"roles":["a",null]}`, []string{"/roles"}, nil},
		{"a nested array spoils it", `{"roles":[["admin"]]}`, []string{"/roles"}, nil},
		{"a number", `{"roles":7}`, []string{"/roles"}, nil},
		{"true", `{"roles":true}`, []string{"/roles"}, nil},
		{"null", `{"roles":null}`, []string{"/roles"}, nil},
		{"another case", `{"Roles":["a"]}`, []string{"/roles"}, nil},
		{"a claim missing", `{}`, []string{"/roles"}, nil},
		{"one client's roles only", `{"resource_access":{"account":{"roles":["x"]},"mcp":{"roles":["a"]}}}`, []string{"/resource_access/mcp/roles"}, []string{"a"}},
		{"one element", `{"roles":["a","b"]}`, []string{"/roles/1"}, []string{"b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := compile(t, scopes.Mapper{RoleClaims: tt.pointers, ScopeClaims: []string{}}).Grant(claims(t, tt.claims))
			require.Equal(t, tt.want, slices.Clip(g.Roles()))
			require.Empty(t, g.Scopes())
		})
	}
}

// The tokens of common authorization servers, by shape.
func TestTOK16_TOK17_ClaimsAsIssuersWriteThem(t *testing.T) {
	text, err := os.ReadFile("testdata/claims.json")
	require.NoError(t, err)
	var samples []struct {
		Name       string
		RoleClaims []string `json:"role_claims"`
		Claims     map[string]any
		Scopes     []string
		Roles      []string
	}
	require.NoError(t, json.Unmarshal(text, &samples))
	require.Len(t, samples, 25)
	for _, s := range samples {
		t.Run(s.Name, func(t *testing.T) {
			g := compile(t, scopes.Mapper{RoleClaims: s.RoleClaims}).Grant(s.Claims)
			require.ElementsMatch(t, s.Scopes, g.Presented())
			require.ElementsMatch(t, s.Roles, g.Roles())
		})
	}
}

func TestPrefixes(t *testing.T) {
	// Scopes of a resource server that are written with its identifier.
	m := compile(t, scopes.Mapper{TokenPrefix: "https://mcp.example.com/mcp/", ChallengePrefix: "https://mcp.example.com/mcp/"})
	g := m.Grant(claims(t, `{"scope":"openid profile https://mcp.example.com/mcp/notes.read"}`))
	require.Equal(t, []string{"notes.read"}, g.Scopes())
	needed := []string{"notes.read", "notes.write"}
	require.Equal(t, []string{"https://mcp.example.com/mcp/notes.read", "https://mcp.example.com/mcp/notes.write"}, m.Challenge(needed))
	require.Equal(t, []string{"notes.read", "notes.write"}, needed)

	// Asked for by a long name, granted by a short one.
	m = compile(t, scopes.Mapper{ChallengePrefix: "api://notes/"})
	require.True(t, m.Grant(claims(t, `{"scp":"notes.read"}`)).HasScope("notes.read"))
	require.Equal(t, []string{"api://notes/notes.read"}, m.Challenge([]string{"notes.read"}))
	require.Nil(t, m.Challenge(nil))
	require.Nil(t, m.Challenge([]string{}))

	// Without a prefix it is still a copy.
	in := []string{"a"}
	out := compile(t, scopes.Mapper{}).Challenge(in)
	out[0] = "x"
	require.Equal(t, []string{"a"}, in)
}

func TestAUTHZ05_Hierarchies(t *testing.T) {
	m := compile(t, scopes.Mapper{
		RoleClaims: []string{"/roles"},
		ScopeImplies: map[string][]string{
			"admin": {"write"}, "write": {"read"}, // transitive
			"x": {"y"}, "y": {"z"}, "z": {"x", "z"}, // a cycle, and itself
		},
		RoleImplies: map[string][]string{"owner": {"editor"}, "editor": {"viewer", "owner"}},
		RoleScopes:  map[string][]string{"viewer": {"list"}, "owner": {"write"}, "outsider": {"secret"}},
	})
	tests := []struct {
		name, claims                string
		presented, all, held, never []string
	}{
		{"the top of a ladder", `{"scope":"admin"}`, []string{"admin"}, []string{"admin", "write", "read"}, nil, []string{"list"}},
		{"the bottom implies nothing", `{"scope":"read"}`, []string{"read"}, []string{"read"}, nil, []string{"write", "admin"}},
		{"a cycle", `{"scope":"y"}`, []string{"y"}, []string{"y", "z", "x"}, nil, []string{"read"}},
		{"presented comes before implied", `{"scope":"admin read"}`, []string{"admin", "read"}, []string{"admin", "read", "write"}, nil, nil},
		{"roles imply roles, and both have scopes", `{"roles":["owner"]}`, nil, []string{"write", "list", "read"}, []string{"owner", "editor", "viewer"}, []string{"admin", "secret"}},
		{"a scope named as a role gives nothing of it", `{"scope":"owner outsider"}`, []string{"owner", "outsider"}, []string{"owner", "outsider"}, nil, []string{"write", "secret"}},
		{"a role named as a scope gives nothing of it", `{"roles":["admin"]}`, nil, nil, []string{"admin"}, []string{"admin", "write"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := m.Grant(claims(t, tt.claims))
			require.Equal(t, tt.presented, nilIfEmpty(g.Presented()))
			require.Equal(t, tt.all, nilIfEmpty(g.Scopes()))
			require.Equal(t, tt.held, nilIfEmpty(g.Roles()))
			for _, name := range tt.all {
				require.True(t, g.HasScope(name))
			}
			for _, name := range tt.never {
				require.False(t, g.HasScope(name))
			}
		})
	}
}

func nilIfEmpty(names []string) []string {
	if len(names) == 0 {
		return nil
	}
	return names
}

// A worked example: Admin > Developer > User > Read-only, from a role claim alone, with rules that speak of scopes.
func TestAUTHZ05_LadderOfRoles(t *testing.T) {
	m := compile(t, scopes.Mapper{
		RoleClaims:   []string{"/realm_access/roles"},
		RoleImplies:  map[string][]string{"Admin": {"Developer"}, "Developer": {"User"}, "User": {"Read-only"}},
		RoleScopes:   map[string][]string{"Read-only": {"notes:read"}, "User": {"notes:write"}, "Developer": {"deploy:all"}},
		ScopeImplies: map[string][]string{"deploy:all": {"deploy:test"}},
	})
	rules := []struct {
		tool string
		rule scopes.Rule
	}{
		{"read_notes", scopes.All("notes:read")},
		{"write_note", scopes.All("notes:read", "notes:write")},
		{"deploy_test", scopes.All("deploy:test")},
		{"purge", scopes.Role("Admin")},
		{"debug", scopes.Role("Developer")},
	}
	tests := []struct {
		role string
		may  []string
	}{
		{"Admin", []string{"read_notes", "write_note", "deploy_test", "purge", "debug"}},
		{"Developer", []string{"read_notes", "write_note", "deploy_test", "debug"}},
		{"User", []string{"read_notes", "write_note"}},
		{"Read-only", []string{"read_notes"}},
		{"admin", nil}, // another case
		{"Nobody", nil},
	}
	for _, tt := range tests {
		t.Run(tt.role, func(t *testing.T) {
			g := m.Grant(map[string]any{"realm_access": map[string]any{"roles": []any{tt.role}}})
			var may []string
			for _, r := range rules {
				if r.rule.Met(g) {
					may = append(may, r.tool)
				}
			}
			require.Equal(t, tt.may, may)
			require.Empty(t, g.Presented())
		})
	}
}

func TestMappingWithoutClaimsOrMapper(t *testing.T) {
	var none *scopes.Mapping
	require.Zero(t, none.Grant(map[string]any{"scope": "a"}))
	require.Equal(t, []string{"a"}, none.Challenge([]string{"a"}))
	require.Zero(t, compile(t, scopes.Mapper{}).Grant(nil))

	var zero scopes.Mapping
	g := zero.Grant(map[string]any{"scope": "a"})
	require.False(t, g.HasScope("a"))
	require.True(t, scopes.Authenticated().Met(g))
}

func TestMappingDoesNotAliasTheMapper(t *testing.T) {
	m := scopes.Mapper{ScopeClaims: []string{"/s"}, ScopeImplies: map[string][]string{"a": {"b"}}, RoleScopes: map[string][]string{}}
	mapping := compile(t, m)
	m.ScopeClaims[0] = "/evil"
	m.ScopeImplies["a"][0] = "evil"
	m.ScopeImplies["b"] = []string{"evil"}
	g := mapping.Grant(map[string]any{"s": "a", "evil": "evil"})
	require.Equal(t, []string{"a", "b"}, g.Scopes())

	presented := g.Presented()
	_ = append(presented, "evil")
	require.Equal(t, []string{"a", "b"}, g.Scopes())
}

func TestCompileNamesEveryMistake(t *testing.T) {
	tests := []struct {
		name   string
		mapper scopes.Mapper
		want   []string // in the error, one line each, in this order
	}{
		{"a bare name", scopes.Mapper{ScopeClaims: []string{"scp"}}, []string{`ScopeClaims[0]: "scp" is a bare name: write the JSON Pointer "/scp"`}},
		{"a bare URL", scopes.Mapper{RoleClaims: []string{"https://acme.example/roles"}}, []string{`write the JSON Pointer "/https:~1~1acme.example~1roles"`}},
		{"a URL taken apart", scopes.Mapper{RoleClaims: []string{"/https://acme.example/roles"}}, []string{`write "/https:~1~1acme.example~1roles"`}},
		{"a dotted path", scopes.Mapper{RoleClaims: []string{"realm_access.roles"}}, []string{`is a bare name`}},
		{"an empty pointer", scopes.Mapper{ScopeClaims: []string{"/scp", ""}}, []string{`ScopeClaims[1] is empty`}},
		{"a bad escape", scopes.Mapper{RoleClaims: []string{"/a~b"}}, []string{`RoleClaims[0]: "/a~b" is no JSON Pointer`}},
		{"roles from the scope claim", scopes.Mapper{RoleClaims: []string{"/scope"}}, []string{`RoleClaims: "/scope" holds scopes`}},
		{"roles from scp though it is not read", scopes.Mapper{RoleClaims: []string{"/scp"}, ScopeClaims: []string{"/x"}}, []string{`RoleClaims: "/scp" holds scopes`}},
		{"roles from a configured scope claim", scopes.Mapper{RoleClaims: []string{"/perms"}, ScopeClaims: []string{"/perms"}}, []string{`"/perms" holds scopes`}},
		{"roles from a part of a scope claim", scopes.Mapper{RoleClaims: []string{"/scp/0"}}, []string{`"/scp/0" holds scopes`}},
		{"bad scopes", scopes.Mapper{ScopeImplies: map[string][]string{"b c": {"ok"}, "a": {"ok", ""}}}, []string{`ScopeImplies["a"][1]: "" is not a scope`, `ScopeImplies: key "b c" is not a scope`}},
		{"bad roles", scopes.Mapper{RoleImplies: map[string][]string{"": {"a\n"}}}, []string{`RoleImplies: key "" is not a role`, `RoleImplies[""][0]: "a\n" is not a role`}},
		{"bad scopes of a role", scopes.Mapper{RoleScopes: map[string][]string{"chief editor": {"a b"}}}, []string{`RoleScopes["chief editor"][0]: "a b" is not a scope`}},
		{"bad prefixes", scopes.Mapper{TokenPrefix: "a b", ChallengePrefix: `x"`}, []string{`TokenPrefix: "a b" cannot begin a scope`, `ChallengePrefix: "x\""`}},
		{"several at once", scopes.Mapper{ScopeClaims: []string{"s"}, RoleClaims: []string{"r"}, TokenPrefix: " "}, []string{`"/s"`, `"/r"`, `TokenPrefix`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mapping, err := tt.mapper.Compile()
			require.Nil(t, mapping)
			require.Error(t, err)
			lines := strings.Split(err.Error(), "\n")
			require.Len(t, lines, len(tt.want))
			for i, want := range tt.want {
				require.Contains(t, lines[i], want)
				require.True(t, strings.HasPrefix(lines[i], "scopes: Mapper."), lines[i])
			}
		})
	}
}

// Whatever the claims hold, a scope is granted only if it stands in a scope claim between spaces or as an element, or is implied
// by such a one or by a role; a role only if it is the whole text of a role claim or of one of its elements, or implied.
func FuzzMapping(f *testing.F) {
	for _, text := range []string{
		`{"scope":"a b"}`, `{"scp":["a","b"]}`, `{"scope":"a\tadmin"}`, `{"scope":"a,admin"}`, `{"scope":"a\u00a0admin"}`, `{"scp":["a admin"]}`,
		`{"scp":["admin",1]}`, `{"scope":{"admin":1}}`, `{"roles":["owner"]}`, `{"roles":"owner x"}`, `{"roles":{"owner":1}}`, `{"roles":["owner",null]}`,
		`{"scope":"pre/admin pre/"}`, `{"scope":"owner","roles":["admin"]}`, `{"n":{"a/b":["owner"]}}`, `{"scope":null,"roles":[[]]}`,
	} {
		f.Add(text, "")
		f.Add(text, "pre/")
	}
	scopeImplies := map[string][]string{"admin": {"write"}, "write": {"read"}, "read": {"admin"}}
	roleImplies := map[string][]string{"owner": {"editor"}, "editor": {"owner"}}
	roleScopes := map[string][]string{"editor": {"write"}}
	f.Fuzz(func(t *testing.T, text, prefix string) {
		var c map[string]any
		if json.Unmarshal([]byte(text), &c) != nil || c == nil {
			return
		}
		m, err := scopes.Mapper{
			RoleClaims: []string{"/roles", "/n/a~1b"}, ScopeImplies: scopeImplies, RoleImplies: roleImplies, RoleScopes: roleScopes, TokenPrefix: prefix,
		}.Compile()
		if err != nil {
			return
		}
		g := m.Grant(c)

		// An independent reading that allows too much rather than too little.
		literal := func(value any, split bool) map[string]bool {
			found := make(map[string]bool)
			switch v := value.(type) {
			case string:
				parts := []string{v}
				if split {
					parts = strings.Split(v, " ")
				}
				for _, part := range parts {
					found[part] = true
				}
			case []any:
				for _, element := range v {
					s, ok := element.(string)
					if !ok {
						return nil
					}
					found[s] = true
				}
			}
			return found
		}
		inScopes := literal(c["scope"], true)
		maps.Copy(nonNil(&inScopes), literal(c["scp"], true))
		inRoles := literal(c["roles"], false)
		if n, ok := c["n"].(map[string]any); ok {
			maps.Copy(nonNil(&inRoles), literal(n["a/b"], false))
		}
		for _, scope := range g.Presented() {
			require.True(t, inScopes[prefix+scope], "%q is not in the claims", scope)
			require.Equal(t, -1, strings.IndexFunc(scope, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }), "%q", scope)
		}
		editor := inRoles["owner"] || inRoles["editor"]
		for _, role := range g.Roles() {
			require.True(t, inRoles[role] || editor && (role == "owner" || role == "editor"), "%q is not in the claims", role)
			require.Equal(t, -1, strings.IndexFunc(role, unicode.IsControl), "%q", role)
		}
		admin := editor
		for _, name := range []string{"admin", "write", "read"} {
			admin = admin || inScopes[prefix+name]
		}
		for _, scope := range g.Scopes()[len(g.Presented()):] {
			require.Contains(t, []string{"admin", "write", "read"}, scope)
			require.True(t, admin, "%q is implied by nothing", scope)
		}
		for _, name := range append(g.Scopes(), g.Presented()...) {
			require.True(t, g.HasScope(name))
		}
		again := m.Grant(c)
		require.Equal(t, g.Scopes(), again.Scopes())
		require.Equal(t, g.Roles(), again.Roles())
	})
}

func nonNil(m *map[string]bool) map[string]bool {
	if *m == nil {
		*m = make(map[string]bool)
	}
	return *m
}

// The closure is what a naive fixed point finds, for random tables with cycles.
func TestAUTHZ05_ClosureIsTheFixedPoint(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	pool := strings.Fields("a b c d e f g h i j k l m n")
	for range 300 {
		implies := make(map[string][]string)
		for range rnd.IntN(20) {
			from := pool[rnd.IntN(len(pool))]
			implies[from] = append(implies[from], pool[rnd.IntN(len(pool))])
		}
		start := randomNames(rnd, pool)
		want := make(map[string]bool)
		for _, name := range start {
			want[name] = true
		}
		for before := -1; before != len(want); {
			before = len(want)
			for from, to := range implies {
				for _, name := range to {
					if want[from] {
						want[name] = true
					}
				}
			}
		}
		m := compile(t, scopes.Mapper{ScopeImplies: implies, RoleImplies: implies, RoleClaims: []string{"/roles"}})
		array := make([]any, len(start))
		for i, name := range start {
			array[i] = name
		}
		g := m.Grant(map[string]any{"scope": strings.Join(start, " "), "roles": array})
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), g.Scopes())
		require.ElementsMatch(t, slices.Collect(maps.Keys(want)), g.Roles())
	}
}

// The administrators of one issuer are not those of another.
func TestRolePrefix(t *testing.T) {
	m, err := scopes.Mapper{
		RoleClaims: []string{"/roles"}, RoleKeys: []string{"/keys"}, RolePrefix: "acme/",
		SelectedRoles: []scopes.Selection{{Claim: "/tenants", By: "/tenant", Path: "/roles"}},
		RoleImplies:   map[string][]string{"acme/admin": {"editor"}},
	}.Compile()
	require.NoError(t, err)
	g := m.Grant(map[string]any{
		"roles": []any{"admin", ""}, "keys": map[string]any{"owner": true}, "tenant": "t",
		"tenants": map[string]any{"t": map[string]any{"roles": []any{"guest"}}},
	})
	require.Equal(t, []string{"acme/admin", "acme/owner", "acme/guest", "editor"}, g.Roles())
	require.False(t, g.HasRole("admin"))
	require.Equal(t, []string{"acme/x"}, m.Grant(map[string]any{"roles": "x"}).Roles())
	_, err = scopes.Mapper{RolePrefix: "a\n"}.Compile()
	require.ErrorContains(t, err, "RolePrefix")
}
