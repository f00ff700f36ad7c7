package envelope_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/envelope"
)

var kinds = map[envelope.Kind]string{envelope.Request: "request", envelope.Notification: "notification", envelope.Response: "response"}

var targets = map[envelope.Target]string{envelope.Tool: "tool", envelope.Prompt: "prompt", envelope.Resource: "resource", envelope.Template: "template"}

// describe prints an operation as `kind method [target "name"] [id]`.
func describe(op envelope.Operation) string {
	text := kinds[op.Kind] + " " + op.Method
	if op.Target != envelope.NoTarget {
		text += fmt.Sprintf(" %s %q", targets[op.Target], op.Name)
	}
	if op.ID != nil {
		text += " " + string(op.ID)
	}
	return text
}

func describeAll(ops []envelope.Operation) (all []string) {
	for _, op := range ops {
		all = append(all, describe(op))
	}
	return all
}

// call is a tools/call with these params and the id 1.
func call(params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
}

// with is a request of another method.
func with(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
}

// withID is a ping with this id.
func withID(id string) string { return `{"jsonrpc":"2.0","id":` + id + `,"method":"ping"}` }

func nest(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func subscriptions(n int) string {
	return with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":[`+strings.TrimSuffix(strings.Repeat(`"file:///a",`, n), ",")+`]}}`)
}

func batch(n int) string {
	return "[" + strings.TrimSuffix(strings.Repeat(withID("1")+",", n), ",") + "]"
}

// long names a resource whose URI has 8 KiB.
func long(method string) string { return with(method, `{"uri":"`+strings.Repeat("a", 8<<10)+`"}`) }

var accepted = []struct {
	name  string
	body  string
	batch bool
	want  []string
}{
	{"AUTHZ-01 a tool call", call(`{"name":"admin"}`), false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-01 white space everywhere", " \r\n\t{ \"jsonrpc\" : \"2.0\" , \"id\" : 1 , \"method\" : \"tools/call\" , \"params\" : { \"name\" : \"admin\" } } \n", false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-01 params before the method", `{"params":{"name":"admin","arguments":{"a":1}},"method":"tools/call","id":1,"jsonrpc":"2.0"}`, false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-01 a call without an id is a call as well", `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"admin"}}`, false, []string{`notification tools/call tool "admin"`}},
	{"AUTHZ-01 a call with the id null", `{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"name":"admin"}}`, false, []string{`notification tools/call tool "admin"`}},
	{"AUTHZ-01 unknown members are ignored", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin","uri":"file:///x","task":{"ttl":1},"who":"x"},"x":[{}]}`, false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-01 members of the arguments are no members of the params", call(`{"arguments":{"name":"who","Name":"what","params":{},"METHOD":1},"name":"admin"}`), false, []string{`request tools/call tool "admin" 1`}},

	{"AUTHZ-03 a prompt", with("prompts/get", `{"name":"p","arguments":{"a":"b"}}`), false, []string{`request prompts/get prompt "p" 1`}},
	{"AUTHZ-03 a resource", with("resources/read", `{"uri":"file:///a/../b%2e"}`), false, []string{`request resources/read resource "file:///a/../b%2e" 1`}},
	{"AUTHZ-04 resources/subscribe", with("resources/subscribe", `{"uri":"file:///a"}`), false, []string{`request resources/subscribe resource "file:///a" 1`}},
	{"AUTHZ-04 resources/unsubscribe", with("resources/unsubscribe", `{"uri":"file:///a"}`), false, []string{`request resources/unsubscribe resource "file:///a" 1`}},
	{"AUTHZ-04 a completion for a prompt", with("completion/complete", `{"ref":{"type":"ref/prompt","name":"p","title":"P"},"argument":{"name":"a","value":""}}`), false, []string{`request completion/complete prompt "p" 1`}},
	{"AUTHZ-04 a completion for a resource", with("completion/complete", `{"argument":{"name":"a","value":""},"ref":{"uri":"file:///{a}","type":"ref/resource","name":""}}`), false, []string{`request completion/complete template "file:///{a}" 1`}},
	{"AUTHZ-04 every URI of subscriptions/listen", with("subscriptions/listen", `{"notifications":{"toolsListChanged":true,"resourceSubscriptions":["file:///a","file:///b"]}}`), false, []string{
		`request subscriptions/listen 1`, `request subscriptions/listen resource "file:///a" 1`, `request subscriptions/listen resource "file:///b" 1`,
	}},
	{"AUTHZ-04 subscriptions/listen without resources", with("subscriptions/listen", `{"notifications":{"toolsListChanged":true}}`), false, []string{`request subscriptions/listen 1`}},
	{"AUTHZ-04 subscriptions/listen with null for resources", with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":null}}`), false, []string{`request subscriptions/listen 1`}},
	{"AUTHZ-04 tasks are named by their method", with("tasks/result", `{"taskId":"t"}`), false, []string{`request tasks/result 1`}},
	{"AUTHZ-04 a custom method with members of other shapes", with("acme/search", `{"Name":1,"ref":"x","notifications":[],"arguments":7,"URI":null,"Cursor":1}`), false, []string{`request acme/search 1`}},

	{"AUTHZ-10 a batch", `[` + call(`{"name":"who"}`) + `,{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":"s","result":{}},` + call(`{"name":"admin"}`) + `]`, true, []string{
		`request tools/call tool "who" 1`, `notification notifications/initialized`, `response  "s"`, `request tools/call tool "admin" 1`,
	}},
	{"AUTHZ-10 a batch of one hundred", batch(100), true, describeN(100, `request ping 1`)},

	{"AUTHZ-11 escapes in the method", `{"jsonrpc":"2.0","id":1,"method":"\u0074ools\/call","params":{"name":"admin"}}`, false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-11 escapes in member names", `{"json\u0072pc":"2.\u0030","\u0069d":1,"m\u0065thod":"tools/call","par\u0061ms":{"na\u006de":"admin"}}`, false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-11 escapes in the name", call(`{"name":"\u0061dm\u0069n\ud83d\ude00\n"}`), false, []string{`request tools/call tool "admin😀\n" 1`}},
	{"AUTHZ-11 NUL in the method makes another method", `{"jsonrpc":"2.0","id":1,"method":"tools/call\u0000","params":{"name":"admin"}}`, false, []string{"request tools/call\x00 1"}},
	{"AUTHZ-11 NUL in the name makes another name", call(`{"name":"admin\u0000"}`), false, []string{`request tools/call tool "admin\x00" 1`}},
	{"AUTHZ-11 a member name with NUL is another member", call(`{"name\u0000":"who","name":"admin"}`), false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-11 letters that only look alike are other members", call(`{"nаme":"who","name":"admin","ｎame":"x"}`), false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-11 a method in another case is another method", with("Tools/Call", `{"name":"admin"}`), false, []string{`request Tools/Call 1`}},
	{"AUTHZ-11 a name in another case is another name", call(`{"name":"ADMIN "}`), false, []string{`request tools/call tool "ADMIN " 1`}},
	{"AUTHZ-11 a huge name", call(`{"name":"` + strings.Repeat("n", 1<<20) + `"}`), false, []string{`request tools/call tool "` + strings.Repeat("n", 1<<20) + `" 1`}},
	{"AUTHZ-11 depth at the limit", call(`{"name":"admin","arguments":` + nest(126) + `}`), false, []string{`request tools/call tool "admin" 1`}},
	{"AUTHZ-11 params null are none", `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}`, false, []string{`request tools/list 1`}},
	{"AUTHZ-11 a cursor and _meta null", with("tools/list", `{"cursor":"abc","_meta":null}`), false, []string{`request tools/list 1`}},
	{"AUTHZ-11 a revision that is no string is none", call(`{"name":"admin","_meta":{"io.modelcontextprotocol/protocolVersion":20260728}}`), false, []string{`request tools/call tool "admin" 1`}},

	{"AUTHZ-11 the id 0", withID(`0`), false, []string{`request ping 0`}},
	{"AUTHZ-11 the id -0", withID(`-0`), false, []string{`request ping -0`}},
	{"AUTHZ-11 the id 1.0", withID(`1.0`), false, []string{`request ping 1.0`}},
	{"AUTHZ-11 the id 1e2", withID(`1e2`), false, []string{`request ping 1e2`}},
	{"AUTHZ-11 the id 9007199254740993", withID(`9007199254740993`), false, []string{`request ping 9007199254740993`}},
	{"AUTHZ-11 the id that is a string", withID(`"1"`), false, []string{`request ping "1"`}},
	{"AUTHZ-11 the empty string as id", withID(`""`), false, []string{`request ping ""`}},

	{"AUTHZ-11 a result", `{"jsonrpc":"2.0","id":7,"result":{"Result":1}}`, false, []string{`response  7`}},
	{"AUTHZ-11 a result null", `{"jsonrpc":"2.0","id":7,"result":null}`, false, []string{`response  7`}},
	{"AUTHZ-11 a result beside an error null", `{"jsonrpc":"2.0","id":7,"result":{},"error":null}`, false, []string{`response  7`}},
	{"AUTHZ-11 an error", `{"jsonrpc":"2.0","id":"7","error":{"code":-1,"message":"m"}}`, false, []string{`response  "7"`}},
}

func describeN(n int, text string) (all []string) {
	for range n {
		all = append(all, text)
	}
	return all
}

var refused = []struct {
	name  string
	body  string
	batch bool
	want  error
}{
	{"AUTHZ-11 nothing", ``, false, envelope.ErrSyntax},
	{"AUTHZ-11 white space", ` `, true, envelope.ErrSyntax},
	{"AUTHZ-11 a byte order mark", "\ufeff" + withID("1"), false, envelope.ErrSyntax},
	{"AUTHZ-11 a word", `hello`, false, envelope.ErrSyntax},
	{"AUTHZ-11 null", `null`, true, envelope.ErrMessage},
	{"AUTHZ-11 a string", `"ping"`, true, envelope.ErrMessage},
	{"AUTHZ-11 garbage behind the message", withID("1") + ` garbage{`, false, envelope.ErrSyntax},
	{"AUTHZ-11 a second message behind the first", withID("1") + withID("2"), false, envelope.ErrSyntax},
	{"AUTHZ-11 a second message on the next line", withID("1") + "\n" + withID("2"), true, envelope.ErrSyntax},
	{"AUTHZ-11 NUL behind the message", withID("1") + "\x00", false, envelope.ErrSyntax},
	{"AUTHZ-11 a trailing comma", `{"jsonrpc":"2.0","id":1,"method":"ping",}`, false, envelope.ErrSyntax},
	{"AUTHZ-11 a body cut short", call(`{"name":"admin"}`)[:50], false, envelope.ErrSyntax},
	{"AUTHZ-11 single quotes", `{'jsonrpc':'2.0'}`, false, envelope.ErrSyntax},
	{"AUTHZ-11 invalid UTF-8 in the name", call("{\"name\":\"\xff\"}"), false, envelope.ErrUTF8},
	{"AUTHZ-11 invalid UTF-8 in the arguments", call("{\"name\":\"a\",\"arguments\":{\"x\":\"\xc0\xae\"}}"), false, envelope.ErrUTF8},
	{"AUTHZ-11 a lone surrogate", call(`{"name":"\ud800"}`), false, envelope.ErrUTF8},
	{"AUTHZ-11 UTF-16", "{\x00\"\x00", false, envelope.ErrSyntax},
	{"AUTHZ-11 depth beyond the limit", call(`{"name":"admin","arguments":` + nest(127) + `}`), false, envelope.ErrDepth},
	{"AUTHZ-11 depth beyond the limit in params that come first", `{"params":` + nest(200) + `}`, false, envelope.ErrType},
	{"AUTHZ-11 depth far beyond the limit", nest(100_000), true, envelope.ErrMessage},
	{"AUTHZ-11 depth far beyond the limit, in an object", strings.Repeat(`{"a":`, 100_000), false, envelope.ErrDepth},

	{"AUTHZ-11 two methods", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}`, false, envelope.ErrDuplicate},
	{"AUTHZ-11 two methods, one escaped", `{"jsonrpc":"2.0","id":1,"method":"ping","m\u0065thod":"tools/call"}`, false, envelope.ErrDuplicate},
	{"AUTHZ-11 two ids", `{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, false, envelope.ErrDuplicate},
	{"AUTHZ-11 two params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"who"},"params":{"name":"admin"}}`, false, envelope.ErrDuplicate},
	{"AUTHZ-11 two names", call(`{"name":"who","name":"admin"}`), false, envelope.ErrDuplicate},
	{"AUTHZ-11 two names in params that come first", `{"params":{"name":"who","name":"admin"},"jsonrpc":"2.0","id":1,"method":"tools/call"}`, false, envelope.ErrDuplicate},
	{"AUTHZ-11 duplicates deep in the arguments", call(`{"name":"admin","arguments":{"a":[{"b":{"c":1,"c":2}}]}}`), false, envelope.ErrDuplicate},
	{"AUTHZ-11 duplicates in _meta", call(`{"name":"admin","_meta":{"a":1,"a":1}}`), false, envelope.ErrDuplicate},
	{"AUTHZ-11 duplicates in a result", `{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":1}}`, false, envelope.ErrDuplicate},
	{"AUTHZ-11 duplicates in a member that nobody reads", `{"jsonrpc":"2.0","id":1,"method":"ping","x":{"a":1,"a":1}}`, false, envelope.ErrDuplicate},

	{"AUTHZ-11 Name beside name", call(`{"name":"admin","Name":"who"}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Name before name", call(`{"Name":"who","name":"admin"}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 NAME alone", call(`{"NAME":"admin"}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Name in params that come first", `{"params":{"name":"who","Name":"admin"},"jsonrpc":"2.0","id":1,"method":"tools/call"}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Arguments beside arguments", call(`{"name":"admin","arguments":{},"Arguments":{}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 a long s in arguments", call(`{"name":"admin","argument\u017f":{}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Method beside method", `{"jsonrpc":"2.0","id":1,"method":"tools/call","Method":"tools/list"}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Params beside params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"},"Params":{"name":"b"}}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 a long s in params", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"param\u017f\":{\"name\":\"b\"}}", false, envelope.ErrAmbiguous},
	{"AUTHZ-11 ID beside id", `{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 jsonRpc beside jsonrpc", `{"jsonrpc":"2.0","jsonRpc":"1.0","id":1,"method":"ping"}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Result beside a method", `{"jsonrpc":"2.0","id":1,"method":"ping","Result":{}}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 ERROR beside a method", `{"jsonrpc":"2.0","id":1,"method":"ping","ERROR":{}}`, false, envelope.ErrAmbiguous},
	{"AUTHZ-11 URI beside uri", with("resources/read", `{"uri":"file:///a","URI":"file:///b"}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Ref beside ref", with("completion/complete", `{"ref":{"type":"ref/prompt","name":"p"},"Ref":{}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Type in a ref", with("completion/complete", `{"ref":{"type":"ref/prompt","Type":"ref/resource","name":"p"}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Uri in a ref", with("completion/complete", `{"ref":{"type":"ref/prompt","Uri":"file:///a","name":"p"}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Notifications beside notifications", with("subscriptions/listen", `{"notifications":{},"Notifications":{}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 ResourceSubscriptions", with("subscriptions/listen", `{"notifications":{"ResourceSubscriptions":["file:///b"]}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 Cursor in a list", with("tools/list", `{"Cursor":"x"}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 _Meta", with("ping", `{"_Meta":{}}`), false, envelope.ErrAmbiguous},
	{"AUTHZ-11 the revision in another case", with("ping", `{"_meta":{"io.modelcontextprotocol/ProtocolVersion":"2026-07-28"}}`), false, envelope.ErrAmbiguous},

	{"AUTHZ-11 no jsonrpc", `{"id":1,"method":"ping"}`, false, envelope.ErrVersion},
	{"AUTHZ-11 jsonrpc 1.0", `{"jsonrpc":"1.0","id":1,"method":"ping"}`, false, envelope.ErrVersion},
	{"AUTHZ-11 jsonrpc as a number", `{"jsonrpc":2.0,"id":1,"method":"ping"}`, false, envelope.ErrVersion},
	{"AUTHZ-11 an empty object", `{}`, false, envelope.ErrVersion},
	{"AUTHZ-11 neither method nor result", `{"jsonrpc":"2.0","id":1}`, false, envelope.ErrMessage},
	{"AUTHZ-11 no id but a result", `{"jsonrpc":"2.0","result":{}}`, false, envelope.ErrMessage},
	{"AUTHZ-11 the id null and a result", `{"jsonrpc":"2.0","id":null,"result":{}}`, false, envelope.ErrMessage},
	{"AUTHZ-11 an error null alone", `{"jsonrpc":"2.0","id":1,"error":null}`, false, envelope.ErrMessage},
	{"AUTHZ-11 result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":""}}`, false, envelope.ErrMessage},
	{"AUTHZ-11 method and result", `{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}`, false, envelope.ErrMessage},
	{"AUTHZ-11 method and result null", `{"jsonrpc":"2.0","id":1,"method":"ping","result":null}`, false, envelope.ErrMessage},
	{"AUTHZ-11 method and error null", `{"jsonrpc":"2.0","id":1,"error":null,"method":"ping"}`, false, envelope.ErrMessage},
	{"AUTHZ-11 params and result", `{"jsonrpc":"2.0","id":1,"params":{},"result":{}}`, false, envelope.ErrMessage},
	{"AUTHZ-11 an empty method", with("", `{}`), false, envelope.ErrMessage},
	{"AUTHZ-11 a method null", `{"jsonrpc":"2.0","id":1,"method":null,"result":{}}`, false, envelope.ErrType},
	{"AUTHZ-11 a method in a list", `{"jsonrpc":"2.0","id":1,"method":["ping"]}`, false, envelope.ErrType},
	{"AUTHZ-11 params in a list", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["admin"]}`, false, envelope.ErrType},
	{"AUTHZ-11 params in a string", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":"{}"}`, false, envelope.ErrType},
	{"AUTHZ-11 an error that is no object", `{"jsonrpc":"2.0","id":1,"error":"x"}`, false, envelope.ErrType},
	{"AUTHZ-11 _meta in a list", call(`{"name":"admin","_meta":[]}`), false, envelope.ErrType},
	{"AUTHZ-11 a name in a list", call(`{"name":["admin"]}`), false, envelope.ErrType},
	{"AUTHZ-11 a name null", call(`{"name":null}`), false, envelope.ErrType},
	{"AUTHZ-11 a name true", call(`{"name":true}`), false, envelope.ErrType},
	{"AUTHZ-11 a uri as a number", with("resources/read", `{"uri":1}`), false, envelope.ErrType},
	{"AUTHZ-11 a ref in a string", with("completion/complete", `{"ref":"ref/prompt"}`), false, envelope.ErrType},
	{"AUTHZ-11 a subscription null", with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":["file:///a",null]}}`), false, envelope.ErrType},
	{"AUTHZ-11 subscriptions in a string", with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":"file:///a"}}`), false, envelope.ErrType},
	{"AUTHZ-11 notifications null", with("subscriptions/listen", `{"notifications":null}`), false, envelope.ErrType},

	{"AUTHZ-11 the id 1.5", withID(`1.5`), false, envelope.ErrID},
	{"AUTHZ-11 the id 1e400", withID(`1e400`), false, envelope.ErrID},
	{"AUTHZ-11 the id 1e19", withID(`1e19`), false, envelope.ErrID},
	{"AUTHZ-11 the id 9223372036854775807, which rounds beyond 64 bits", withID(`9223372036854775807`), false, envelope.ErrID},
	{"AUTHZ-11 the id true", withID(`true`), false, envelope.ErrID},
	{"AUTHZ-11 the id in a list", withID(`[1]`), false, envelope.ErrID},
	{"AUTHZ-11 the id in an object", withID(`{}`), false, envelope.ErrID},
	{"AUTHZ-11 the id 01", withID(`01`), false, envelope.ErrSyntax},

	{"AUTHZ-03 no name", call(`{"arguments":{}}`), false, envelope.ErrTarget},
	{"AUTHZ-03 an empty name", call(`{"name":""}`), false, envelope.ErrTarget},
	{"AUTHZ-03 no params", `{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, false, envelope.ErrTarget},
	{"AUTHZ-03 params null", call(`null`), false, envelope.ErrTarget},
	{"AUTHZ-03 no name of a prompt", with("prompts/get", `{"uri":"x"}`), false, envelope.ErrTarget},
	{"AUTHZ-03 no uri", with("resources/read", `{"name":"x"}`), false, envelope.ErrTarget},
	{"AUTHZ-04 no ref", with("completion/complete", `{}`), false, envelope.ErrTarget},
	{"AUTHZ-04 a ref of no type", with("completion/complete", `{"ref":{"name":"p"}}`), false, envelope.ErrTarget},
	{"AUTHZ-04 a ref of another type", with("completion/complete", `{"ref":{"type":"ref/tool","name":"p"}}`), false, envelope.ErrTarget},
	{"AUTHZ-04 a ref with name and uri", with("completion/complete", `{"ref":{"type":"ref/prompt","name":"p","uri":"file:///a"}}`), false, envelope.ErrTarget},
	{"AUTHZ-04 a ref with the member of the other type", with("completion/complete", `{"ref":{"type":"ref/resource","name":"p"}}`), false, envelope.ErrTarget},
	{"AUTHZ-04 a ref without a name", with("completion/complete", `{"ref":{"type":"ref/prompt"}}`), false, envelope.ErrTarget},
	{"AUTHZ-04 no notifications", with("subscriptions/listen", `{}`), false, envelope.ErrTarget},
	{"AUTHZ-04 an empty subscription", with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":[""]}}`), false, envelope.ErrTarget},
	{"AUTHZ-04 too many subscriptions", subscriptions(1001), false, envelope.ErrLimit},

	{"AUTHZ-10 a batch where there are none", `[` + withID("1") + `]`, false, envelope.ErrBatch},
	{"AUTHZ-10 an empty batch", `[]`, true, envelope.ErrMessage},
	{"AUTHZ-10 a batch with one bad message", `[` + withID("1") + `,{"jsonrpc":"2.0","id":1}]`, true, envelope.ErrMessage},
	{"AUTHZ-10 a batch with one ambiguous message", `[` + withID("1") + `,` + call(`{"name":"who","Name":"admin"}`) + `]`, true, envelope.ErrAmbiguous},
	{"AUTHZ-10 a batch with null in it", `[` + withID("1") + `,null]`, true, envelope.ErrMessage},
	{"AUTHZ-10 a batch in a batch", `[[` + withID("1") + `]]`, true, envelope.ErrMessage},
	{"AUTHZ-10 a batch of 101", batch(101), true, envelope.ErrLimit},
	{"AUTHZ-10 too many subscriptions in a batch", `[` + subscriptions(600) + `,` + subscriptions(401) + `]`, true, envelope.ErrLimit},
	{"AUTHZ-04 subscriptions that are too long together", with("subscriptions/listen", `{"notifications":{"resourceSubscriptions":[`+strings.Repeat(`"file:///`+strings.Repeat("a", 1<<10)+`",`, 64)+`"a"]}}`), false, envelope.ErrLimit},
	{"AUTHZ-10 reads in a batch whose URIs are too long together", `[` + strings.TrimSuffix(strings.Repeat(long("resources/read")+`,`, 9), ",") + `]`, true, envelope.ErrLimit},
	{"AUTHZ-10 a read and subscriptions in a batch that are too long together", `[` + strings.Repeat(long("resources/unsubscribe")+`,`, 8) + subscriptions(1) + `]`, true, envelope.ErrLimit},
	{"AUTHZ-10 completions in a batch that are too long together", `[` + strings.TrimSuffix(strings.Repeat(with("completion/complete", `{"ref":{"type":"ref/resource","uri":"`+strings.Repeat("a", 8<<10)+`"}}`)+`,`, 9), ",") + `]`, true, envelope.ErrLimit},
	{"AUTHZ-10 garbage behind a batch", `[` + withID("1") + `] ` + withID("2"), true, envelope.ErrSyntax},
}

func TestAUTHZ10_AsManyURIsAsTheBoundAllows(t *testing.T) {
	env, err := envelope.Read([]byte(`[`+strings.TrimSuffix(strings.Repeat(long("resources/read")+`,`, 8), ",")+`]`), envelope.Options{AllowBatch: true})
	require.NoError(t, err)
	require.Len(t, env.Operations, 8)
}

func TestRead(t *testing.T) {
	for _, tt := range accepted {
		t.Run(tt.name, func(t *testing.T) {
			env, err := envelope.Read([]byte(tt.body), envelope.Options{AllowBatch: tt.batch})
			require.NoError(t, err)
			require.Equal(t, tt.want, describeAll(env.Operations))
			require.Equal(t, strings.HasPrefix(tt.body, "["), env.Batch)
		})
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			env, err := envelope.Read([]byte(tt.body), envelope.Options{AllowBatch: tt.batch})
			require.Nil(t, env)
			require.Same(t, tt.want, err)
		})
	}
}

func TestAUTHZ11_ReadReportsWhatPoliciesNeed(t *testing.T) {
	env, err := envelope.Read([]byte(`[`+call(`{"_meta":{"progressToken":1,"traceparent":"00-a","Traceparent":2,"io.modelcontextprotocol/protocolVersion":"2026-07-28"},"name":"a","arguments": {"x":[1, 2]} }`)+`,`+
		with("prompts/get", `{"name":"p"}`)+`,`+with("resources/read", `{"uri":"u","arguments":{}}`)+`]`), envelope.Options{AllowBatch: true})
	require.NoError(t, err)
	require.True(t, env.Batch)
	require.Equal(t, []envelope.Operation{
		{Kind: envelope.Request, Target: envelope.Tool, Method: "tools/call", Name: "a", ID: json.RawMessage("1"), Arguments: json.RawMessage(`{"x":[1, 2]}`), ProtocolVersion: "2026-07-28", Traceparent: "00-a"},
		{Kind: envelope.Request, Target: envelope.Prompt, Message: 1, Method: "prompts/get", Name: "p", ID: json.RawMessage("1")},
		{Kind: envelope.Request, Target: envelope.Resource, Message: 2, Method: "resources/read", Name: "u", ID: json.RawMessage("1")},
	}, env.Operations)
}

func TestAUTHZ11_DepthIsAnOption(t *testing.T) {
	body := []byte(call(`{"name":"admin","arguments":` + nest(8) + `}`))
	_, err := envelope.Read(body, envelope.Options{MaxDepth: 10})
	require.NoError(t, err)
	_, err = envelope.Read(body, envelope.Options{MaxDepth: 9})
	require.Same(t, envelope.ErrDepth, err)
	_, err = envelope.Read([]byte(subscriptions(1000)), envelope.Options{})
	require.NoError(t, err)
}

// The texts go to clients and logs, so nothing of a body may be in them, and each must tell apart.
func TestAUTHZ11_ErrorsAreConstant(t *testing.T) {
	texts := map[string]bool{}
	for _, tt := range refused {
		var refusal *envelope.Error
		require.ErrorAs(t, tt.want, &refusal)
		require.NotEmpty(t, refusal.Reason)
		require.Contains(t, []int{-32700, -32600, -32602}, refusal.Code)
		texts[refusal.Error()] = true
	}
	require.Len(t, texts, 12)
}
