package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// Editors and checks before a deployment read the schema, the server has a parser of its own. Both must mean the same files, but for what a
// schema cannot say: whatever the parser accepts, the schema accepts, so what the schema refuses, the parser refuses.

// A judge has both.
type judge struct {
	schema *jsonschema.Resolved
	auth   *mcpauth.Middleware
}

func newJudge(t testing.TB) judge {
	t.Helper()
	var schema jsonschema.Schema
	require.NoError(t, json.Unmarshal(mcpauth.PolicySchema(), &schema))
	require.Empty(t, schema.Extra, "a keyword that the validator does not know, and would pass over")
	resolved, err := schema.Resolve(nil)
	require.NoError(t, err)
	auth, err := mcpauth.New(mcpauth.Config{Resource: "https://mcp.example/mcp", Issuers: []mcpauth.Issuer{{URL: "https://issuer.example"}}})
	require.NoError(t, err)
	return judge{resolved, auth}
}

// bySchema is nil if the schema accepts a file.
func (j judge) bySchema(text string) error {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return err
	}
	return j.schema.Validate(value)
}

// byParser returns what the parser says, nothing if it accepts a file.
func (j judge) byParser(t testing.TB, text string) (messages []string) {
	t.Helper()
	err := j.auth.LoadPolicy([]byte(text))
	if err == nil {
		return nil
	}
	joined, ok := errors.Unwrap(err).(interface{ Unwrap() []error })
	require.True(t, ok, "%v", err)
	for _, e := range joined.Unwrap() {
		var p *mcpauth.PolicyError
		require.ErrorAs(t, e, &p)
		msg := p.Msg
		if strings.HasPrefix(p.Path, "resources.") && strings.Contains(p.Path, "{") {
			msg = "template: " + msg // the words of a library
		}
		messages = append(messages, msg)
	}
	require.NotEmpty(t, messages)
	return messages
}

// agree is the property. What the parser alone refuses, it refuses for a reason in onlyParser; other messages may be beside that, since a member
// that stands twice hides mistakes from the schema, and one mistake may lead to another.
func (j judge) agree(t testing.TB, text string) (schema, parser bool) {
	t.Helper()
	refused := j.bySchema(text)
	said := j.byParser(t, text)
	if said == nil {
		require.NoError(t, refused, "the parser accepts %s", text)
		return true, true
	}
	if refused != nil {
		return false, false
	}
	require.True(t, slices.ContainsFunc(said, onlyParserSays.MatchString), "the schema accepts %s\nthe parser says %q", text, said)
	return true, false
}

// good files, which both accept.
var good = []string{
	policy,
	`{"version":1}`,
	`{"version":1,"scopes":{},"roles":{},"clients":{},"tools":{},"prompts":{},"resources":{},"methods":{},"annotated":{}}`,
	`{"version":1,"scopes":{"files:read":{"title":"Read files"},"files:write":{"implies":["files:read"]}},
	  "roles":{"admin":{"implies":["editor"]},"editor":{"scopes":["files:write"]}},
	  "clients":{"https://app.example/client":{"scopes":["files:read"]},"*":{}},
	  "tools":{"read_file":"files:read","wire_*":{"rule":"role(admin)","login":{"acr":["mfa"],"maxAge":300}}},"resources":{"notes://{id}":"files:read"}}`,
	`{"version":1,"tools":{"*":"never","a":{"rule":"authenticated"},"b":{"rule":"x","login":{"acr":["y"]}},"c":{"rule":"x","login":{"maxAge":1}},"é":"x"}}`,
	`{"version":1,"tools":{"a":{"login":{"maxAge":31536000},"rule":"x and (y or role(z, \"two words\"))"}}}`,
	`{"version":1,"roles":{"Ärztin in Köln":{"title":"","description":""}},"tools":{"a":"role(\"Ärztin in Köln\")"}}`,
	`{"version":1,"scopes":{"!#[]~":{"implies":[]}},"clients":{"x":{"issuers":["https://issuer.example"],"scopes":[],"roles":[]},"y":{"unlimited":false},"z":{"unlimited":true}}}`,
	`{"version":1,"annotated":{"readOnly":"x","destructive":"never","other":"role(a)"},"methods":{"custom/a":"x","tools/list":"x"}}`,
	"\n\t {\"version\" : 1 , \"$schema\" : \"\" } \n",
	`{"version":1,"tools":{"\u0061\ud83d\ude00":"\u0078"}}`,
}

// bad files, which both refuse.
var bad = []string{
	`{"version":1,"clients":{"app":{"issuers":[]}}}`,
	``, `null`, `[]`, `1`, `"x"`, `{`, `{"version":1}}`, `{"version":1,}`, `{} {}`,
	`{}`, `{"version":2}`, `{"version":0}`, `{"version":"1"}`, `{"version":null}`, `{"version":1.5}`, `{"version":-1}`, `{"version":[1]}`, `{"Version":1}`,
	`{"version":1,"extra":1}`, `{"version":1,"Scopes":{}}`, `{"version":1,"Roles":{}}`, `{"version":1,"Clients":{}}`, `{"version":1,"Tools":{}}`, `{"version":1,"Prompts":{}}`, `{"version":1,"Resources":{}}`,
	`{"version":1,"Methods":{}}`, `{"version":1,"Annotated":{}}`, `{"version":1,"$schema":1}`, `{"version":1,"":{}}`,
	`{"version":1,"scopes":[]}`, `{"version":1,"scopes":null}`, `{"version":1,"scopes":{"a b":{}}}`, `{"version":1,"scopes":{"":{}}}`, `{"version":1,"scopes":{"a\\":{}}}`,
	`{"version":1,"scopes":{"é":{}}}`, `{"version":1,"scopes":{"a":"text"}}`, `{"version":1,"scopes":{"a":{"title":1}}}`, `{"version":1,"scopes":{"a":{"Title":"x"}}}`,
	`{"version":1,"scopes":{"a":{"implies":"a"}}}`, `{"version":1,"scopes":{"a":{"implies":["a","a"]}}}`, `{"version":1,"scopes":{"a":{"implies":["a\n"]}}}`, `{"version":1,"scopes":{"a":{"implies":[1]}}}`,
	`{"version":1,"scopes":{"a\n":{}}}`, `{"version":1,"scopes":{"a":{"implies":null}}}`, `{"version":1,"scopes":{"a":null}}`,
	`{"version":1,"roles":{"":{}}}`, `{"version":1,"roles":{"a":{"scopes":[""]}}}`, `{"version":1,"roles":{"a":{"implies":[""]}}}`, `{"version":1,"roles":{"a":{"role":"b"}}}`, `{"version":1,"roles":true}`,
	`{"version":1,"clients":{"":{}}}`, `{"version":1,"clients":{"a":[]}}`, `{"version":1,"clients":{"a":{"unlimited":"yes"}}}`, `{"version":1,"clients":{"a":{"unlimited":1}}}`, `{"version":1,"clients":{"a":{"unlimited":null}}}`,
	`{"version":1,"clients":{"a":{"issuers":["https://issuer.example","https://issuer.example"]}}}`, `{"version":1,"clients":{"a":{"issuers":[null]}}}`, `{"version":1,"clients":{"a":{"limit":1}}}`,
	`{"version":1,"tools":{"":"x"}}`, `{"version":1,"tools":{"a":""}}`, `{"version":1,"tools":{"a":null}}`, `{"version":1,"tools":{"a":1}}`, `{"version":1,"tools":{"a":true}}`, `{"version":1,"tools":{"a":["x"]}}`, `{"version":1,"tools":["a"]}`,
	`{"version":1,"tools":{"a":{}}}`, `{"version":1,"tools":{"a":{"login":{"maxAge":1}}}}`, `{"version":1,"tools":{"a":{"rule":"x","more":1}}}`, `{"version":1,"tools":{"a":{"rule":""}}}`, `{"version":1,"tools":{"a":{"rule":null}}}`,
	`{"version":1,"tools":{"a":{"rule":"x","login":{}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":null}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":"mfa"}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"acr":[]}}}}`,
	`{"version":1,"tools":{"a":{"rule":"x","login":{"acr":["a b"]}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"acr":["a","a"]}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"acr":"a"}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"acr":[],"maxAge":1}}}}`,
	`{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":0}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":-1}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":1.5}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":31536001}}}}`,
	`{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":"1"}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":null,"acr":["x"]}}}}`, `{"version":1,"tools":{"a":{"rule":"x","login":{"maxage":1}}}}`,
	`{"version":1,"prompts":{"":"x"}}`, `{"version":1,"resources":{"a://b":[]}}`, `{"version":1,"methods":{"x":{"rule":1}}}`,
	`{"version":1,"annotated":{"readonly":"x"}}`, `{"version":1,"annotated":{"readOnly":""}}`, `{"version":1,"annotated":{"other":{"rule":"x"}}}`, `{"version":1,"annotated":[]}`, `{"version":1,"annotated":{"destructive":null}}`,
	`{"version":1,"tools":{"a":"` + strings.Repeat("x", 16385) + `"}}`,
}

// onlyParser is what no schema can say, or JSON Schema's idea of JSON does not know: each is accepted by the schema and refused by the parser, with
// this message.
var onlyParser = []struct{ text, says string }{
	// The syntax of rules, which has a parser of its own.
	{`{"version":1,"tools":{"a":"x or"}}`, `^in the rule "`},
	{`{"version":1,"annotated":{"other":" "}}`, `^in the rule "`},
	// Names that the file does not declare, although it declares some.
	{`{"version":1,"scopes":{"a":{}},"tools":{"t":"b"}}`, `^the scope ".*" is not among "scopes"`},
	{`{"version":1,"roles":{},"clients":{"c":{"roles":["r"]}}}`, `^the role ".*" is not among "roles"`},
	// Members that stand twice. For JSON Schema the last one counts.
	{`{"version":1,"version":1}`, `^the member stands here twice`},
	{`{"version":1,"tools":{"a":"x","\u0061":"never"}}`, `^the member stands here twice`},
	// Names and patterns that match nothing, or that other rules govern.
	{`{"version":1,"tools":{"a*b":"x"}}`, `^an asterisk may only stand at the end`},
	{`{"version":1,"resources":{"a://{":"x"}}`, `^template: `},
	{`{"version":1,"methods":{"tools/call":"x"}}`, `^this method is governed by the rules of what it works on`},
	{`{"version":1,"methods":{"Ping":"x"}}`, `^methods are compared with case`},
	{`{"version":1,"methods":{"tools/*":"x"}}`, `^operations under this name are governed`},
	// Clients, some of it on this server.
	{`{"version":1,"clients":{"a":{"issuers":["https://elsewhere.example"]}}}`, `is the URL of none of Issuers$`},
	{`{"version":1,"clients":{"*":{"issuers":["https://login.example.com"]}}}`, `^Issuers: leave it out|Issuers.*leave it out`},
	{`{"version":1,"clients":{"a":{"unlimited":true,"scopes":["x"]}}}`, `goes without Scopes and Roles`},
	{`{"version":1,"clients":{"a":{"scopes":[` + list("s", scopes.MaxNames+1) + `]}}}`, `further ones would not count$`},
	// Roles may be any text that cannot imitate another in a log.
	{`{"version":1,"roles":{"a\u0007":{}}}`, `is not a role: it holds the control character`},
	{`{"version":1,"clients":{"a":{"roles":["\u009f"]}}}`, `is not a role: it holds the control character`},
	// Lengths in bytes: a schema counts characters, and says nothing of titles. Depth is bounded by the format, but for this.
	{`{"version":1,"tools":{"a":"role(\"` + strings.Repeat("é", 9000) + `\")"}}`, `^the text is longer than \d+ bytes`},
	{`{"version":1,"scopes":{"a":{"title":"` + strings.Repeat("x", 16385) + `"}}}`, `^the text is longer than \d+ bytes`},
	{`{"version":1}` + strings.Repeat(" ", 4<<20), `^the file is longer than \d+ bytes`},
	// Whole numbers in another spelling.
	{`{"version":1.0}`, `^write whole seconds from 1 to|^version .* is another format`},
	{`{"version":1,"tools":{"a":{"rule":"x","login":{"maxAge":3e2}}}}`, `^write whole seconds from 1 to`},
	// Encoding.
	{"{\"version\":1,\"tools\":{\"\xff\":\"x\"}}", `^the file is not valid UTF-8$`},
}

// onlyParserSays matches each of these messages, and nothing else.
var onlyParserSays = func() *regexp.Regexp {
	var all []string
	for _, c := range onlyParser {
		all = append(all, "(?:"+c.says+")")
	}
	return regexp.MustCompile(strings.Join(all, "|"))
}()

// list is n strings of a JSON array.
func list(prefix string, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%q", fmt.Sprint(prefix, i))
	}
	return strings.Join(all, ",")
}

func TestSchemaAndParserAgree(t *testing.T) {
	j := newJudge(t)
	for _, text := range good {
		require.NoError(t, j.bySchema(text), text)
		require.Empty(t, j.byParser(t, text), text)
	}
	for _, text := range bad {
		require.Error(t, j.bySchema(text), text)
		require.NotEmpty(t, j.byParser(t, text), text)
	}
	for _, c := range onlyParser {
		short := c.text[:min(len(c.text), 100)]
		require.NoError(t, j.bySchema(c.text), short)
		said := j.byParser(t, c.text)
		require.True(t, slices.ContainsFunc(said, regexp.MustCompile(c.says).MatchString), "%s\n%q", short, said)
	}
}

// What a file says again that the program has said is a clash, which only the program can know of.
func TestOnlyTheServerKnowsOfClashes(t *testing.T) {
	j := newJudge(t)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource: "https://mcp.example/mcp", Issuers: []mcpauth.Issuer{{URL: "https://issuer.example"}}, Clients: map[string]mcpauth.ClientLimit{"app": {}},
	})
	require.NoError(t, err)
	auth.RequireTool("a", scopes.Authenticated())
	server := newServer()
	auth.Protect(server)
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, mcpauth.Annotated{ReadOnly: scopes.Authenticated()}))
	for _, text := range []string{`{"version":1,"tools":{"a":"never"}}`, `{"version":1,"clients":{"app":{}}}`, `{"version":1,"annotated":{"readOnly":"x"}}`} {
		require.NoError(t, j.bySchema(text))
		require.Empty(t, j.byParser(t, text))
		require.Regexp(t, "cannot change (it|that|them); remove one of the two", judge{j.schema, auth}.byParser(t, text))
	}
}

// Generated files, of which many are good, many are bad for both, and many for the parser alone: else they would show nothing.
func TestSchemaAndParserAgree_Generated(t *testing.T) {
	j := newJudge(t)
	random := rand.NewChaCha8([32]byte{1})
	var both, neither, parser int
	for range 3000 {
		data := make([]byte, 400)
		_, _ = random.Read(data)
		switch schema, accepted := j.agree(t, document(data)); {
		case accepted:
			both++
		case schema:
			parser++
		default:
			neither++
		}
	}
	t.Logf("both accept %d, the parser alone refuses %d, both refuse %d", both, parser, neither)
	require.Greater(t, min(both, parser, neither), 300)
}

func FuzzSchemaAndParserAgree(f *testing.F) {
	random := rand.NewChaCha8([32]byte{2})
	for n := range 40 {
		data := make([]byte, 10*n)
		_, _ = random.Read(data)
		f.Add(data)
	}
	j := newJudge(f)
	f.Fuzz(func(t *testing.T, data []byte) { j.agree(t, document(data)) })
}

// The same for any bytes at all, which are hardly ever a policy: the corpus is where it begins.
func FuzzSchemaAndParserAgree_Bytes(f *testing.F) {
	for _, text := range append(append([]string{}, good...), bad...) {
		f.Add(text)
	}
	for _, c := range onlyParser {
		if len(c.text) < 1000 {
			f.Add(c.text)
		}
	}
	j := newJudge(f)
	f.Fuzz(func(t *testing.T, text string) { j.agree(t, text) })
}
