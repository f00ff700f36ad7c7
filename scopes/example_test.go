package scopes_test

import (
	"fmt"

	"github.com/go-mcpauth/sdk/scopes"
)

func Example() {
	// What a tool requires.
	rule := scopes.And(scopes.All("files:read", "files:write"), scopes.Role("editor", "owner"))

	// What the token of one caller grants.
	mapping, err := scopes.Mapper{RoleClaims: []string{"/realm_access/roles"}}.Compile()
	if err != nil {
		panic(err)
	}
	grant := mapping.Grant(map[string]any{
		"scope":        "openid files:read",
		"realm_access": map[string]any{"roles": []any{"editor"}},
	})

	fmt.Println("rule:", rule)
	fmt.Println("met:", rule.Met(grant))
	fmt.Println("more scopes would help:", rule.Obtainable(grant))
	fmt.Println("ask for:", rule.Challenge(grant))
	// Output:
	// rule: files:read and files:write and role(editor, owner)
	// met: false
	// more scopes would help: true
	// ask for: [files:read files:write]
}

func ExampleMapper_hierarchy() {
	mapping, err := scopes.Mapper{
		RoleClaims:  []string{"/roles"},
		RoleImplies: map[string][]string{"Admin": {"Developer"}, "Developer": {"User"}, "User": {"Read-only"}},
		RoleScopes:  map[string][]string{"Read-only": {"notes:read"}, "User": {"notes:write"}},
	}.Compile()
	if err != nil {
		panic(err)
	}
	developer := mapping.Grant(map[string]any{"roles": []any{"Developer"}})
	fmt.Println(developer.Roles())
	fmt.Println(developer.Scopes())
	fmt.Println(scopes.All("notes:write").Met(developer), scopes.Role("Admin").Met(developer))
	// Output:
	// [Developer User Read-only]
	// [notes:write notes:read]
	// true false
}

func ExampleMapper_claimNamedByURL() {
	_, err := scopes.Mapper{RoleClaims: []string{"https://acme.example/roles"}}.Compile()
	fmt.Println(err)
	// Output:
	// scopes: Mapper.RoleClaims[0]: "https://acme.example/roles" is a bare name: write the JSON Pointer "/https:~1~1acme.example~1roles"
}

func ExampleParse() {
	rule, err := scopes.Parse(`files:write and (files:admin or role("chief editor"))`)
	fmt.Println(rule, err)
	_, err = scopes.Parse("files:read and files:write or files:admin")
	fmt.Println(err)
	// Output:
	// files:write and (files:admin or role("chief editor")) <nil>
	// scopes: rule text, column 28: "or" after "and": put parentheses around the parts that belong together
}

// Several names in one Role are alternatives. This rule lets an editor in who is no reviewer.
func ExampleRole_incorrect() {
	editor := scopes.NewGrant(nil, []string{"editor"})
	fmt.Println(scopes.Role("editor", "reviewer").Met(editor))
	fmt.Println(scopes.And(scopes.Role("editor"), scopes.Role("reviewer")).Met(editor)) // both
	// Output:
	// true
	// false
}
