package main

import (
	"fmt"
	"strings"
)

// document makes a file from bytes: where they end, it ends. Most of it is as the format wants it; now and then a value is of another kind, a
// member is unknown or stands twice, or a name is odd.
func document(data []byte) string {
	g := &generator{data: data}
	g.object(6, func() {
		switch g.pick(10) {
		case 0:
			g.member("$schema", func() { g.text("x", "") })
		case 1:
			g.member("scopes", func() {
				g.object(4, func() { g.member(g.scope(), func() { g.words("implies", g.scopes) }) })
			})
		case 2:
			g.member("roles", func() {
				g.object(4, func() {
					g.member(g.role(), func() {
						if g.odd(3) {
							g.words("scopes", g.scopes)
							return
						}
						g.words("implies", g.roles)
					})
				})
			})
		case 3:
			g.member("clients", func() {
				g.object(3, func() { g.member(g.one("app", "*", "https://a.example/c", "", "x"), g.client) })
			})
		case 4:
			g.member("annotated", func() {
				g.object(3, func() { g.member(g.one("readOnly", "destructive", "other", "readonly"), g.rule) })
			})
		case 5:
			g.rules("resources", "a://b", "a://*", "a://{x}", "a://{", "x", "*", "")
		case 6:
			g.rules("methods", "custom/a", "ping", "tools/list", "tools/call", "Ping", "tools/*", "*", "")
		case 7:
			g.rules("prompts", "a", "b*", "a*b", "*", "c", "")
		default:
			g.rules("tools", "a", "b", "c_*", "*", "a*b", "é", "", "d")
		}
	})
	return g.out.String()
}

type generator struct {
	data  []byte
	out   strings.Builder
	depth int
	comma bool
}

// pick is a number below n; 0 where the bytes have ended.
func (g *generator) pick(n int) int {
	if len(g.data) == 0 {
		return 0
	}
	b := g.data[0]
	g.data = g.data[1:]
	return int(b) % n
}

// odd is true once in n times.
func (g *generator) odd(n int) bool { return g.pick(n) == n-1 }

func (g *generator) one(names ...string) string { return names[g.pick(len(names))] }

// object writes up to n members. The outermost one has a version.
func (g *generator) object(n int, member func()) {
	g.depth++
	g.out.WriteByte('{')
	g.comma = false
	if g.depth == 1 && !g.odd(40) {
		g.member("version", func() {
			g.out.WriteString(g.one("1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1", "1.0", "2", `"1"`, "null"))
		})
	}
	for range g.pick(n + 1) {
		if g.odd(60) {
			g.member(g.one("version", "Tools", "extra", ""), g.anything)
			continue
		}
		member()
	}
	g.out.WriteByte('}')
	g.comma = true
	g.depth--
}

func (g *generator) member(name string, value func()) {
	if g.comma {
		g.out.WriteByte(',')
	}
	g.quote(name)
	g.out.WriteByte(':')
	if g.odd(60) {
		g.anything()
	} else {
		value()
	}
	g.comma = true
}

// quote writes a string, now and then in escapes.
func (g *generator) quote(s string) {
	if g.odd(20) {
		g.out.WriteByte('"')
		for _, r := range s {
			fmt.Fprintf(&g.out, `\u%04x`, r) // none is outside the basic plane
		}
		g.out.WriteByte('"')
		return
	}
	fmt.Fprintf(&g.out, "%q", s)
}

func (g *generator) text(choices ...string) { g.quote(g.one(choices...)) }

func (g *generator) anything() {
	g.out.WriteString(g.one("null", "true", "false", "0", "1", "-1", "1.5", "1e2", `""`, `"x"`, "[]", "[1]", `["x"]`, "{}", `{"rule":"x"}`, `{"x":{}}`))
}

func (g *generator) scope() string { return g.one("a", "b", "c:d", "a", "b", "c:d", "a b", "", "é") }
func (g *generator) role() string {
	return g.one("r", "s", "t", "r", "s", "two words", "", "é", "\x7f")
}

func (g *generator) array(n int, item func()) {
	g.out.WriteByte('[')
	for i := range g.pick(n + 1) {
		if i > 0 {
			g.out.WriteByte(',')
		}
		item()
	}
	g.out.WriteByte(']')
}

func (g *generator) scopes() { g.array(2, func() { g.quote(g.scope()) }) }
func (g *generator) roles()  { g.array(2, func() { g.quote(g.role()) }) }

// words is what a scope or role says of itself.
func (g *generator) words(name string, value func()) {
	g.object(2, func() {
		switch g.pick(4) {
		case 0:
			g.member("title", func() { g.text("A title", "") })
		case 1:
			g.member("description", func() { g.text("A sentence.", "") })
		default:
			g.member(name, value)
		}
	})
}

func (g *generator) client() {
	g.object(2, func() {
		switch g.pick(4) {
		case 0:
			g.member("issuers", func() { g.array(2, func() { g.text("https://issuer.example", "https://elsewhere.example", "") }) })
		case 1:
			g.member("scopes", g.scopes)
		case 2:
			g.member("roles", g.roles)
		default:
			g.member("unlimited", func() { g.out.WriteString(g.one("true", "false", "1")) })
		}
	})
}

func (g *generator) rule() {
	g.text("a", "b", "c:d", "role(r)", "a and role(s)", "authenticated", "never", "role(r, s) or (a and b)", "a or", "a and b or c", "", " ", "role()", "a")
}

func (g *generator) rules(kind string, names ...string) {
	g.member(kind, func() {
		g.object(3, func() {
			g.member(g.one(names...), func() {
				if !g.odd(3) {
					g.rule()
					return
				}
				g.object(1, func() { g.member("login", g.login) })
				// Beside login there has to be a rule; once in a while there is none.
				if s := g.out.String(); !g.odd(10) {
					g.out.Reset()
					g.out.WriteString(strings.TrimSuffix(s, "}"))
					g.comma = !strings.HasSuffix(s, "{}")
					g.member("rule", g.rule)
					g.out.WriteByte('}')
				}
			})
		})
	})
}

func (g *generator) login() {
	g.object(2, func() {
		if g.odd(2) {
			g.member("acr", func() { g.array(2, func() { g.text("x", "y", "a b", "x") }) })
			return
		}
		g.member("maxAge", func() { g.out.WriteString(g.one("1", "300", "31536000", "0", "31536001", "1.5", "-1", "3e2")) })
	})
}
