package idp_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/scopes"
)

var update = flag.Bool("update", false, "rewrite presets.md")

func fact(p idp.Preset, about idp.About) idp.Fact {
	i := slices.IndexFunc(p.Facts, func(f idp.Fact) bool { return f.About == about })
	return p.Facts[i]
}

func TestUnverifiedFactsLoosenNothing(t *testing.T) {
	for _, p := range idp.Presets() {
		t.Run(p.Provider, func(t *testing.T) {
			var about []idp.About
			for _, f := range p.Facts {
				about = append(about, f.About)
				require.NotEmpty(t, f.Says)
				require.Equal(t, f.Verified, f.Source != "", "%s: a source, or unverified", f.About)
			}
			require.Equal(t, []idp.About{idp.AboutIssuer, idp.AboutKeys, idp.AboutType, idp.AboutAudience, idp.AboutScopes, idp.AboutRoles,
				idp.AboutFormat, idp.AboutClients, idp.AboutResource}, about)
			for _, in := range p.Issuers {
				if !fact(p, idp.AboutType).Verified {
					require.Nil(t, in.TokenTypes, "at+jwt alone")
				}
				if !fact(p, idp.AboutAudience).Verified {
					require.Empty(t, in.Audiences, "the resource alone")
				}
				value := reflect.ValueOf(in)
				for i := range value.NumField() {
					if name := value.Type().Field(i).Name; strings.HasPrefix(name, "Dangerously") &&
						(name != "DangerouslyAcceptNoAudience" || !strings.HasPrefix(p.Call, "idp.CognitoClients(")) {
						require.True(t, value.Field(i).IsZero(), name)
					}
				}
				require.Empty(t, in.Grants.DangerouslyDefaultScopes)
			}
		})
	}
}

// Presets lists every function that returns issuers, with the call that returns what stands beside it.
func TestPresetsAreComplete(t *testing.T) {
	called := make(map[string]bool)
	for _, p := range idp.Presets() {
		expr, err := parser.ParseExpr(p.Call)
		require.NoError(t, err, p.Call)
		called[expr.(*ast.CallExpr).Fun.(*ast.SelectorExpr).Sel.Name] = true
	}
	for _, file := range []string{"entra.go", "hosted.go", "selfhosted.go"} {
		f, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, decl := range f.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok && d.Name.IsExported() {
				require.True(t, called[d.Name.Name], d.Name.Name)
			}
		}
	}
	require.True(t, slices.IsSortedFunc(idp.Presets(), func(a, b idp.Preset) int {
		return strings.Compare(strings.ToLower(strings.Fields(a.Provider)[0]), strings.ToLower(strings.Fields(b.Provider)[0]))
	}))
	idp.Presets()[0].Issuers[0].TokenTypes[0] = "evil"
	require.Equal(t, "at+jwt", idp.Presets()[0].Issuers[0].TokenTypes[0])
}

func TestTableIsThatOfTheData(t *testing.T) {
	got := table()
	if *update {
		require.NoError(t, os.WriteFile("presets.md", []byte(got), 0o666))
	}
	want, err := os.ReadFile("presets.md")
	require.NoError(t, err)
	if string(want) != got { // without the two, which are long
		t.Error("presets.md is not what the data say; run go generate, or this test with -update")
	}
}

// table writes presets.md.
func table() string {
	var b strings.Builder
	b.WriteString("# Presets for identity providers\n\n" +
		"Generated from `idp.Presets()`; `go generate ./mcpauth/idp` writes it anew.\n\n" +
		"The first table shows what each preset sets, for the example in it; an empty cell means: keys by discovery, no audience\n" +
		"but the resource, no roles, scopes from `scope` and `scp`.\n\n" +
		"| Provider | Call | iss | Keys | typ | aud, besides the resource | Roles | Scopes |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, p := range idp.Presets() {
		var urls, keys []string
		for _, in := range p.Issuers {
			urls, keys = append(urls, in.URL), append(keys, in.JWKSURI)
		}
		in := p.Issuers[0]
		row(&b, p.Provider, code(p.Call), codes(urls), codes(slices.Compact(keys)), types(in), audiences(in), roles(in.Grants), scopesOf(in.Grants))
	}
	b.WriteString("\nThe second table shows what that rests on. What is marked *unverified* is general knowledge, for which no source was read; it\n" +
		"never makes a preset accept another typ or audience.\n\n| Provider | About | What tokens look like | Source |\n| --- | --- | --- | --- |\n")
	for _, p := range idp.Presets() {
		for _, f := range p.Facts {
			source := f.Source
			if !f.Verified {
				source = "*unverified*"
			}
			row(&b, p.Provider, string(f.About), strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(f.Says), source)
		}
	}
	return b.String()
}

func row(b *strings.Builder, cells ...string) {
	b.WriteString("|")
	for _, cell := range cells {
		b.WriteString(strings.TrimRight(" "+strings.ReplaceAll(cell, "|", `\|`), " ") + " |")
	}
	b.WriteString("\n")
}

func code(s string) string {
	if s == "" {
		return ""
	}
	return "`" + s + "`"
}

func codes(list []string) string {
	var out []string
	for _, s := range list {
		if s != "" {
			out = append(out, code(s))
		}
	}
	return strings.Join(out, ", ")
}

func audiences(in mcpauth.Issuer) string {
	if in.DangerouslyAcceptNoAudience {
		return "or none, from " + codes(in.ClientIDs)
	}
	return codes(in.Audiences)
}

func types(in mcpauth.Issuer) string {
	if in.TokenTypes == nil {
		return "at+jwt"
	}
	var out []string
	for _, typ := range in.TokenTypes {
		if typ == "" {
			typ = "none"
		}
		out = append(out, typ)
	}
	return strings.Join(out, ", ")
}

func roles(m scopes.Mapper) string {
	out := []string{codes(m.RoleClaims)}
	for _, claim := range m.RoleKeys {
		out = append(out, "names in "+code(claim))
	}
	for _, s := range m.SelectedRoles {
		out = append(out, fmt.Sprintf("%s of the member of %s that %s names", code(s.Path), code(s.Claim), code(s.By)))
	}
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), ", ")
}

func scopesOf(m scopes.Mapper) string {
	text := codes(m.ScopeClaims)
	if m.ChallengePrefix != "" {
		text += "asked for with " + code(m.ChallengePrefix) + " before them"
	}
	return text
}
