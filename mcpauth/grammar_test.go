package mcpauth_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// A grammar makes bodies out of arbitrary bytes: every byte is a choice, and zero, which is also what
// comes after the last one, is the plain choice. What it makes is JSON-RPC, or nearly: it knows the
// methods and names of newTraps and everything that has ever made two parsers disagree.
type grammar struct {
	data     []byte
	revision string
	method   string // of the message made last
	name     string
	odd      bool // something unusual was chosen
}

func (g *grammar) pick(n int) int {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b) % n
}

func (g *grammar) one(of ...string) string { return of[g.pick(len(of))] }

// rarely is true for few bytes, and marks the body as unusual.
func (g *grammar) rarely() bool {
	if g.pick(24) != 23 {
		return false
	}
	g.odd = true
	return true
}

var grammarMethods = []string{
	"tools/call", "tools/list", "prompts/get", "prompts/list", "resources/read", "resources/list", "resources/templates/list",
	"resources/subscribe", "resources/unsubscribe", "subscriptions/listen", "completion/complete",
	"vendor/open", "vendor/scoped", "vendor/roled", "vendor/forgotten", "vendor/admin_all",
	"ping", "initialize", "server/discover", "logging/setLevel", "notifications/initialized", "notifications/cancelled",
	"notifications/progress", "notifications/roots/list_changed", "tasks/get", "GET", "unheard/of",
}

var grammarNames = []string{"open", "scoped", "roled", "forgotten", "admin_all", "unheard"}

// quoted writes a string in JSON, or in something that a lenient parser takes for it.
func (g *grammar) quoted(s string) string {
	b, _ := json.Marshal(s)
	plain := string(b)
	if !g.rarely() || s == "" {
		return plain
	}
	switch g.pick(9) {
	case 0: // the same in another spelling
		return fmt.Sprintf(`"\u%04x%s`, s[0], plain[2:])
	case 1:
		return `"` + strings.ToUpper(s[:1]) + plain[2:]
	case 2:
		return `" ` + plain[1:]
	case 3:
		return plain[:len(plain)-1] + `\u0000"`
	case 4:
		return "\"\xff" + plain[1:]
	case 5:
		return `"\ud800` + plain[1:]
	case 6:
		return strings.ReplaceAll(plain, "/", `\/`)
	case 7:
		return `["` + s + `"]`
	}
	return strings.ReplaceAll(strings.ReplaceAll(plain, "s", "ſ"), "k", "K") // folded by encoding/json
}

func (g *grammar) uri() string {
	name := grammarNames[g.pick(len(grammarNames))]
	switch g.pick(10) {
	case 0, 1, 2, 3:
		return "doc://" + name
	case 4, 5, 6:
		return name + "://7"
	case 7:
		return name + "://{id}"
	case 8:
		return "doc:///" + name + "/../" + g.one("open", "roled")
	}
	return g.one("DOC://", "doc:///", "doc://%6f", "open://%2e%2e/") + name
}

// object writes members in some order, with some of them twice or under nearly their names.
func (g *grammar) object(members ...[2]string) string {
	if g.rarely() {
		m := members[g.pick(len(members))]
		other := g.one(`"open"`, `"roled"`, `"doc://roled"`, `null`, `{}`, `7`, `{"name":"roled","uri":"doc://roled"}`, m[1])
		key := m[0]
		switch g.pick(6) {
		case 0:
			key = strings.ToUpper(key[:1]) + key[1:]
		case 1:
			key = strings.ToUpper(key)
		case 2:
			key = fmt.Sprintf(`\u%04x`, key[0]) + key[1:]
		case 3:
			key = strings.ReplaceAll(strings.ReplaceAll(key, "s", "ſ"), "k", "K")
		case 4:
			key = "x"
		}
		members = append(members, [2]string{key, other})
	}
	for i := range members {
		j := i + g.pick(len(members)-i)
		members[i], members[j] = members[j], members[i]
	}
	parts := make([]string, 0, len(members))
	for _, m := range members {
		if m[1] != "" {
			parts = append(parts, `"`+m[0]+`":`+m[1])
		}
	}
	return g.one("{", "{ ") + strings.Join(parts, g.one(",", " , ", ",\n")) + "}"
}

func (g *grammar) params(method string) string {
	shape := method
	if g.rarely() {
		shape = grammarMethods[g.pick(len(grammarMethods))]
	}
	meta := ""
	if g.revision >= "2026-07-28" || g.rarely() {
		meta = `{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
	}
	all := [][2]string{{"_meta", meta}}
	switch shape {
	case "tools/call", "prompts/get":
		g.name = grammarNames[g.pick(len(grammarNames))]
		all = append(all, [2]string{"name", g.quoted(g.name)}, [2]string{"arguments", g.one("", "{}", `{"name":"roled"}`, `{"a":{"name":"roled","name":"open"}}`)})
	case "resources/read", "resources/subscribe", "resources/unsubscribe":
		g.name = g.uri()
		all = append(all, [2]string{"uri", g.quoted(g.name)})
	case "completion/complete":
		g.name = grammarNames[g.pick(len(grammarNames))]
		kind, member := `"ref/prompt"`, "name"
		if g.pick(2) == 1 {
			kind, member, g.name = `"ref/resource"`, "uri", g.uri()
		}
		ref := [][2]string{{"type", kind}, {member, g.quoted(g.name)}}
		if g.rarely() {
			ref = append(ref, [2]string{g.one("name", "uri"), `"open"`})
		}
		all = append(all, [2]string{"ref", g.object(ref...)}, [2]string{"argument", `{"name":"a","value":"b"}`})
	case "subscriptions/listen":
		uris := make([]string, g.pick(3))
		for i := range uris {
			uris[i] = g.quoted(g.uri())
		}
		all = append(all, [2]string{"notifications", g.object([2]string{"toolsListChanged", g.one("false", "true")},
			[2]string{"resourceSubscriptions", "[" + strings.Join(uris, ",") + "]"})})
	case "initialize":
		all = append(all, [2]string{"protocolVersion", g.quoted(g.one("2025-11-25", "2025-06-18", "2026-07-28"))}, [2]string{"capabilities", "{}"}, [2]string{"clientInfo", `{"name":"c","version":"1"}`})
	case "logging/setLevel":
		all = append(all, [2]string{"level", `"debug"`})
	case "notifications/progress":
		all = append(all, [2]string{"progressToken", "1"}, [2]string{"progress", "1"})
	case "notifications/cancelled":
		all = append(all, [2]string{"requestId", "1"})
	case "tools/list", "prompts/list", "resources/list", "resources/templates/list":
		if g.rarely() {
			all = append(all, [2]string{"cursor", g.quoted(g.one("", "x"))})
		}
	}
	return g.object(all...)
}

func (g *grammar) message() string {
	g.method, g.name = grammarMethods[g.pick(len(grammarMethods))], ""
	id := "7"
	if strings.HasPrefix(g.method, "notifications/") {
		id = ""
	}
	if g.rarely() {
		id = g.one("", `"a"`, "null", "1.0", "1.5", "-1", "{}", `""`)
	}
	version, params := `"2.0"`, g.params(g.method)
	if g.rarely() {
		version = g.one("", `"1.0"`, "2.0", "null")
	}
	if g.rarely() {
		params = g.one("", "null", "[]", `"roled"`, strings.Repeat("[", 200)+strings.Repeat("]", 200))
	}
	members := [][2]string{{"jsonrpc", version}, {"id", id}, {"method", g.quoted(g.method)}, {"params", params}}
	if g.rarely() {
		members = append(members, [2]string{g.one("result", "error", "x"), g.one("{}", "null", `{"name":"roled"}`)})
	}
	return g.object(members...)
}

func (g *grammar) body() string {
	if g.pick(6) == 5 || g.rarely() {
		g.odd = true
		messages := make([]string, g.pick(4))
		for i := range messages {
			messages[i] = g.message()
		}
		return "[" + strings.Join(messages, ",") + "]"
	}
	body := g.message()
	if g.rarely() {
		body = g.one("\ufeff", " ", "", "x") + body + g.one("", " garbage{", body, "\x00", "]", "\n")
	}
	return body
}

// request makes a body and the header fields that select how the SDK reads it.
func (g *grammar) request() (body string, fields map[string]string) {
	g.revision = g.one("2025-11-25", "2026-07-28", "", "2025-03-26", "2025-06-18")
	if g.rarely() {
		g.revision = g.one("2026-07-29", "2024-11-05", "x", "2026-07-28 ")
	}
	fields = map[string]string{"Content-Type": "application/json", "Mcp-Protocol-Version": g.revision}
	body = g.body()
	if g.revision >= "2026-07-28" {
		fields["Mcp-Method"], fields["Mcp-Name"] = g.method, g.name
	}
	if g.rarely() {
		fields["Content-Type"] = g.one("application/json; charset=utf-8", "text/plain", "", "application/json; charset=utf-16", "APPLICATION/JSON")
	}
	if g.rarely() {
		fields["Mcp-Method"] = g.one("", "tools/list", "tools/call", "ping")
	}
	if g.rarely() {
		fields["Mcp-Name"] = g.one("", "open", "roled", "=?base64?"+base64.StdEncoding.EncodeToString([]byte(g.name))+"?=")
	}
	return body, fields
}
