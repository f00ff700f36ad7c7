package policyfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/policyfile"
	"github.com/go-mcpauth/sdk/scopes"
)

const whole = `{
  "$schema": "policy.schema.json",
  "version": 1,
  "scopes": {
    "files:read": {"title": "Read", "description": "Reads files."},
    "files:write": {"implies": ["files:read"]}
  },
  "roles": {"admin": {"implies": ["editor"]}, "editor": {"title": "Editor", "scopes": ["files:write"]}},
  "clients": {"app": {"issuers": ["https://i"], "scopes": ["files:read"], "roles": ["editor"]}, "*": {}, "x": {"unlimited": true}},
  "tools": {"read": "files:read", "wire_*": {"rule": "role(admin)", "login": {"acr": ["mfa", "hw"], "maxAge": 300}}},
  "prompts": {"p": "authenticated"},
  "resources": {"notes://{id}": "files:read or role(editor)"},
  "methods": {"custom/x": "never"},
  "annotated": {"readOnly": "authenticated", "destructive": "role(admin)"}
}`

func TestParse(t *testing.T) {
	f, errs := policyfile.Parse([]byte(whole))
	require.Empty(t, errs)
	at := func(line, column int) policyfile.Position { return policyfile.Position{Line: line, Column: column} }
	require.Equal(t, []policyfile.Scope{
		{Name: "files:read", Title: "Read", Description: "Reads files.", At: at(5, 5)},
		{Name: "files:write", Implies: []string{"files:read"}, At: at(6, 5)},
	}, f.Scopes)
	require.Equal(t, []policyfile.Role{
		{Name: "admin", Implies: []string{"editor"}, At: at(8, 13)},
		{Name: "editor", Title: "Editor", Scopes: []string{"files:write"}, At: at(8, 47)},
	}, f.Roles)
	require.True(t, f.HasClients)
	require.Equal(t, []policyfile.Client{
		{ID: "app", Issuers: []string{"https://i"}, Scopes: []string{"files:read"}, Roles: []string{"editor"}, At: at(9, 15)},
		{ID: "*", At: at(9, 97)}, {ID: "x", Unlimited: true, At: at(9, 106)},
	}, f.Clients)
	tools := f.Rules[policyfile.Tools]
	require.Len(t, tools, 2)
	require.Equal(t, "files:read", tools[0].Rule.String())
	require.Nil(t, tools[0].Login)
	require.Equal(t, "wire_*", tools[1].Name)
	require.Equal(t, "role(admin)", tools[1].Rule.String())
	require.Equal(t, &policyfile.Login{ACR: []string{"mfa", "hw"}, MaxAge: 5 * time.Minute, At: at(10, 69)}, tools[1].Login)
	require.Equal(t, "authenticated", f.Rules[policyfile.Prompts][0].Rule.String())
	require.Equal(t, "notes://{id}", f.Rules[policyfile.Resources][0].Name)
	require.True(t, f.Rules[policyfile.Methods][0].Rule.IsZero())
	require.Equal(t, "authenticated", f.Annotated.ReadOnly.String())
	require.Nil(t, f.Annotated.Other)

	text := strings.Repeat("x", 16<<10)
	f, errs = policyfile.Parse([]byte(`{"version":1,"roles":{"a":{"description":"` + text + `"}},"tools":{"t":{"rule":"never","login":{"maxAge":31536000}}}}`))
	require.Empty(t, errs, "as much as there may be")
	require.Equal(t, text, f.Roles[0].Description)
	require.Equal(t, 365*24*time.Hour, f.Rules[policyfile.Tools][0].Login.MaxAge)

	f, errs = policyfile.Parse([]byte(`{"version":1}`))
	require.Empty(t, errs)
	require.False(t, f.HasClients)
}

// Each mistake is found where it is.
func TestParse_Mistakes(t *testing.T) {
	for _, tt := range []struct {
		text, where, what string // where: line:column path
	}{
		{``, "1:1 ", "no JSON"},
		{`[]`, "1:1 ", "write an object here, not an array"},
		{`{"version":1,}`, "1:14 ", "no JSON"},
		{`{"version":1} {}`, "1:15 ", "no JSON"},
		{"{\"version\":1,\n \"tools\": {\"a\": \"b\"\n", "3:1 ", "no JSON"},
		{"\xef\xbb\xbf{}", "1:1 ", "byte order mark"},
		{"{\"version\":1,\n\"tools\":{\"\xff\":\"a\"}}", "2:11 ", "not valid UTF-8"},
		{`{}`, "1:1 ", `there is no "version"`},
		{`{"version":2}`, "1:13 version", "another format"},
		{`{"version":"1"}`, "1:12 version", `write a number of seconds here, not the string "1"`},
		{`{"version":1,"Tools":{}}`, "1:14 Tools", "no such member"},
		{`{"version":1,"tools":{"a":"b","a":"c"}}`, "1:31 tools.a", "stands here twice"},
		{`{"version":1,"tools":{"a":"b","\u0061":"c"}}`, "1:31 tools.a", "stands here twice"},
		{`{"version":1,"tools":[1,{"a":[2]},3],"prompts":4}`, "1:22 tools", "write an object here, not an array"},
		{`{"version":1,"tools":{"a":null}}`, "1:27 tools.a", "write a string here, not null"},
		{`{"version":1,"tools":{"a":["b"]}}`, "1:27 tools.a", "write a string here, not an array"},
		{`{"version":1,"tools":{"a":""}}`, "1:28 tools.a", "the text is empty"},
		{`{"version":1,"tools":{"a":"b and (c or"}}`, "1:39 tools.a", "expected a scope"},
		{`{"version":1,"tools":{"a":"b and \u0028c or"}}`, "1:27 tools.a", "expected a scope"},
		{`{"version":1,"tools":{"a":{"login":{"maxAge":1}}}}`, "1:27 tools.a", `there is no "rule"`},
		{`{"version":1,"tools":{"a":{"rule":"b","roles":[]}}}`, "1:39 tools.a.roles", "no such member; there are rule and login"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{}}}}`, "1:39 tools.a.login", "it asks for nothing"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"maxAge":0}}}}`, "1:57 tools.a.login.maxAge", "whole seconds"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"maxAge":1.5}}}}`, "1:57 tools.a.login.maxAge", "whole seconds"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"maxAge":1e999}}}}`, "1:57 tools.a.login.maxAge", "whole seconds"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"acr":[],"maxAge":1}}}}`, "1:48 tools.a.login.acr", "the array is empty"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"acr":["a b"]}}}}`, "1:39 tools.a.login", "no acr value"},
		{`{"version":1,"scopes":{"a b":{}}}`, "1:24 scopes.a b", "is not a scope"},
		{`{"version":1,"scopes":{"a":{"implies":["b\""]}}}`, "1:39 scopes.a.implies", "is not a scope"},
		{`{"version":1,"scopes":{"a":{"implies":["a","a"]}}}`, "1:44 scopes.a.implies", "stands here twice"},
		{`{"version":1,"scopes":{"a":{}},"tools":{"t":"b"}}`, "1:45 tools.t", `the scope "b" is not among "scopes"`},
		{`{"version":1,"roles":{"a":{}},"tools":{"t":"role(b)"}}`, "1:44 tools.t", `the role "b" is not among "roles"`},
		{`{"version":1,"roles":{"a":{"implies":["b"]}}}`, "1:38 roles.a.implies", `the role "b" is not among "roles"`},
		{`{"version":1,"roles":{"":{}}}`, "1:23 roles.", "a role needs a name"},
		{`{"version":1,"clients":{"":{}}}`, "1:25 clients.", "the client id is empty"},
		{`{"version":1,"clients":{"a":{"unlimited":"yes"}}}`, "1:42 clients.a.unlimited", "write true or false here"},
		{`{"version":1,"clients":{"a":{"scopes":"files:read"}}}`, "1:39 clients.a.scopes", "write an array of strings here"},
		{`{"version":1,"clients":{"a":{"scopes":[1]}}}`, "1:40 clients.a.scopes", "write a string here, not the number 1"},
		{`{"version":1,"scopes":{"a":{"titel":"x"}}}`, "1:29 scopes.a.titel", "no such member; there are title, description and implies"},
		{`{"version":1,"roles":{"a":{"scope":[]}}}`, "1:28 roles.a.scope", "no such member; there are title, description, implies and scopes"},
		{`{"version":1,"clients":{"a":{"Unlimited":false}}}`, "1:30 clients.a.Unlimited", "no such member; there are issuers, scopes, roles and unlimited"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"acr":["x"],"maxage":1}}}}`, "1:60 tools.a.login.maxage", "no such member; there are acr and maxAge"},
		{`{"version":1,"tools":{"a":{"rule":"b","login":{"maxAge":31536001}}}}`, "1:57 tools.a.login.maxAge", "whole seconds from 1 to 31536000, not 31536001"},
		{`{"version":1,"tools":{"a":true}}`, "1:27 tools.a", "write a string here, not true"},
		{`{"version":1,"scopes":{"a":{}},"clients":{"x":{"scopes":["b"]}}}`, "1:57 clients.x.scopes", `the scope "b" is not among "scopes"`},
		{`{"version":1,"roles":{"a":{}},"clients":{"x":{"roles":["b"]}}}`, "1:55 clients.x.roles", `the role "b" is not among "roles"`},
		{`{"version":1,"clients":{"x":{"roles":["a\u0000"]}}}`, "1:38 clients.x.roles", "control character"},
		{`{"version":1,"clients":{"x":{"roles":[""]}}}`, "1:38 clients.x.roles", "a role needs a name"},
		{"{\"version\":1,\"\ufffd\xff\":1}", "1:18 ", "not valid UTF-8"},
		{`{"version":1,"annotated":{"readonly":"a"}}`, "1:27 annotated.readonly", "no such member"},
		{`{"version":1,"more":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`, "1:14 more", "no such member"},
		{`{"version":1,"tools":` + strings.Repeat(`[{"a":`, 4000) + "1" + strings.Repeat("}]", 4000) + `}`, "1:22 tools", "write an object here, not an array"},
		{`{"version":1,"more":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`, "1:10020 ", "exceeded max depth"},
		{`{"version":1,"annotated":{"other":"a b"}}`, "1:38 annotated.other", "expected"},
		{`{"version":1,"tools":{"a":"` + strings.Repeat("x", 16<<10+1) + `"}}`, "1:27 tools.a", "longer than 16384 bytes"},
	} {
		t.Run(tt.what, func(t *testing.T) {
			shown := tt.text[:min(len(tt.text), 200)]
			f, errs := policyfile.Parse([]byte(tt.text))
			require.Nil(t, f, shown)
			require.NotEmpty(t, errs, shown)
			e := errs[0]
			require.Equal(t, tt.where, fmt.Sprintf("%d:%d %s", e.Line, e.Column, e.Path), "%s: %s", shown, e.Msg)
			require.Contains(t, e.Msg, tt.what, shown)
		})
	}
}

func TestParse_AllMistakesAtOnce(t *testing.T) {
	_, errs := policyfile.Parse([]byte(`{"version":1,"tools":{"a":1,"b":"x or","c":{"rule":true},"d":"fine"},"extra":[[1]],"prompts":{"p":"a and b or c"}}`))
	var paths []string
	for _, e := range errs {
		paths = append(paths, e.Path)
	}
	require.Equal(t, []string{"tools.a", "tools.b", "tools.c.rule", "extra", "prompts.p"}, paths)
	paths = nil
	_, errs = policyfile.Parse([]byte(`{"version":0,"u":1,"v":{"w":[{}]},"x":"y","z":[],"tools":{"a":1}}`))
	for _, e := range errs {
		paths = append(paths, e.Path)
	}
	require.Equal(t, []string{"version", "u", "v", "x", "z", "tools.a"}, paths, "each once, whatever stands there")

	many := `{"version":1,"tools":{` + strings.Repeat(`"a":1,`, 1000) + `"b":"c"}}`
	_, errs = policyfile.Parse([]byte(many))
	require.Len(t, errs, 50)
	_, errs = policyfile.Parse(append([]byte(whole), bytes.Repeat([]byte{' '}, policyfile.MaxSize-len(whole))...))
	require.Empty(t, errs, "as much as there may be")
	_, errs = policyfile.Parse(append([]byte(whole), bytes.Repeat([]byte{' '}, policyfile.MaxSize)...))
	require.Len(t, errs, 1)
	require.Contains(t, errs[0].Msg, "longer than")
	_, errs = policyfile.Parse([]byte(`{"version":1,"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`))
	require.NotEmpty(t, errs)
}

// Foreign text in messages stays on its line.
func TestParse_MessagesAreForLogs(t *testing.T) {
	_, errs := policyfile.Parse([]byte(`{"version":1,"tools":{"a\u001b[31m\n\u202e` + strings.Repeat("x", 500) + `":1}}`))
	require.NotContains(t, errs[0].Path, "\n")
	require.NotContains(t, errs[0].Path, "\x1b")
	require.NotContains(t, errs[0].Path, "\u202e")
	require.Less(t, len(errs[0].Path), 100)

	path := func(c string) string {
		_, errs := policyfile.Parse([]byte(`{"version":1,"` + c + `":1}`))
		require.Len(t, errs, 1)
		return errs[0].Path
	}
	for _, c := range []rune{0x7f, 0x80, 0x9f, 0x2028, 0x202a, 0x202e, 0x2066, 0x2069, 0xfffd} {
		require.Equal(t, "a?b", path("a"+string(c)+"b"), "%U", c)
	}
	for _, c := range []rune{0x20, 0x7e, 0xa0, 0xe9, 0x2027, 0x202f, 0x2065, 0x206a, 0x4e00} {
		require.Equal(t, "a"+string(c)+"b", path("a"+string(c)+"b"), "%U", c)
	}
	require.Equal(t, strings.Repeat("x", 64), path(strings.Repeat("x", 64)))
	require.Equal(t, strings.Repeat("x", 64)+"...", path(strings.Repeat("x", 65)))
	_, errs = policyfile.Parse([]byte(`{"version":1,"tools":{"a":"b and (c or"}}`))
	require.NotContains(t, errs[0].Msg, "column", "line and column say where")
}

// Whatever comes: mistakes, each at a place in the file, or a policy whose parts are all valid and that says nothing
// that another reader of JSON would not find.
func FuzzParse(f *testing.F) {
	f.Add([]byte(whole))
	f.Add([]byte(`{"version":1,"tools":{"a":"b","a":"c"}}`))
	f.Add([]byte(`{"version":1,"clients":{"*":{"unlimited":true}}}`))
	f.Add([]byte(`{"version":1,"x":[{"a":[null,1e999,{}]}],"tools":[{"b":[]}],"prompts":{"a":{"rule":[[]],"login":{"acr":[{}]}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, errs := policyfile.Parse(data)
		if file == nil {
			require.NotEmpty(t, errs)
			lines := bytes.Count(data, []byte{'\n'}) + 1
			for _, e := range errs {
				require.True(t, 1 <= e.Line && e.Line <= lines && 1 <= e.Column && e.Column <= len(data)+1, "%d:%d", e.Line, e.Column)
				require.NotEmpty(t, e.Msg)
			}
			return
		}
		require.Empty(t, errs)
		var plain map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(data, &plain))
		require.Equal(t, "1", string(plain["version"]))
		for kind, rules := range file.Rules {
			var names map[string]json.RawMessage
			if text, ok := plain[policyfile.Kind(kind).String()]; ok {
				require.NoError(t, json.Unmarshal(text, &names))
			}
			require.Len(t, rules, len(names), "one rule for each member")
			for _, r := range rules {
				again, err := scopes.Parse(r.Rule.String())
				require.NoError(t, err)
				require.True(t, again.Equal(r.Rule))
			}
		}
		for _, s := range file.Scopes {
			require.NoError(t, scopes.CheckScope(s.Name))
		}
		for _, r := range file.Roles {
			require.NoError(t, scopes.CheckRole(r.Name))
		}
	})
}
