package policyfile

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-mcpauth/sdk/scopes"
)

// Parse reads a policy. Unless there is none, the mistakes come in the order of the file, 50 at most, and no File.
//
// Each member stands once and is spelled as here. Scopes and roles are optional; where there are any, every scope or role that
// the file names elsewhere must be among them, which finds misspelled ones.
func Parse(data []byte) (*File, []*Error) {
	r := newReader(data)
	switch {
	case len(data) > MaxSize:
		r.fail(MaxSize, "the file is longer than %d bytes", MaxSize)
		return nil, r.errs
	case !utf8.Valid(data):
		at := 0
		for rest := data; len(rest) > 0; {
			c, n := utf8.DecodeRune(rest)
			if c == utf8.RuneError && n == 1 {
				break
			}
			rest, at = rest[n:], at+n
		}
		r.fail(at, "the file is not valid UTF-8")
		return nil, r.errs
	case bytes.HasPrefix(data, []byte("\xef\xbb\xbf")):
		r.fail(0, "the file begins with a byte order mark; save it without")
		return nil, r.errs
	}
	if at, err := check(data); err != nil {
		r.fail(at, "no JSON: %s", Shown(err.Error()))
		return nil, r.errs
	}
	p := parser{reader: r, file: &File{Sum: fmt.Sprintf("%x", sha256.Sum256(data))}}
	p.policy()
	if len(r.errs) == 0 {
		p.checkNames()
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return p.file, nil
}

type parser struct {
	*reader
	file  *File
	names []named // every scope and role that the file names, besides where it declares them
}

type named struct {
	role bool
	name string
	at   int
	path string
}

func (p *parser) policy() {
	version := false
	p.object(func(name string, at int) {
		switch name {
		case "$schema":
			p.text()
		case "version":
			version = true
			p.version()
		case "scopes":
			p.file.HasScopes = true
			p.object(p.scope)
		case "roles":
			p.file.HasRoles = true
			p.object(p.role)
		case "clients":
			p.file.HasClients = true
			p.object(p.client)
		case "tools":
			p.object(func(name string, at int) { p.rule(Tools, name, at) })
		case "prompts":
			p.object(func(name string, at int) { p.rule(Prompts, name, at) })
		case "resources":
			p.object(func(name string, at int) { p.rule(Resources, name, at) })
		case "methods":
			p.object(func(name string, at int) { p.rule(Methods, name, at) })
		case "annotated":
			p.annotated(at)
		default:
			p.unknown(at, "$schema, version, scopes, roles, clients, tools, prompts, resources, methods and annotated")
		}
	})
	if !version {
		p.fail(0, `there is no "version"; write "version": %d`, Version)
	}
}

func (p *parser) version() {
	if n := p.seconds(1 << 31); n != Version && n != 0 {
		p.fail(p.start(), "version %d is another format than this one, which is %d", n, Version)
	}
}

// unknown refuses a member: what is misspelled must not be passed over.
func (p *parser) unknown(at int, known string) {
	p.fail(at, "no such member; there are %s", known)
	p.skipValue()
}

func (p *parser) scope(name string, at int) {
	s := Scope{Name: name, At: p.position(at)}
	p.checkScope(name, at)
	p.object(func(member string, at int) {
		switch member {
		case "title":
			s.Title, _, _, _ = p.text()
		case "description":
			s.Description, _, _, _ = p.text()
		case "implies":
			s.Implies = p.scopeList()
		default:
			p.unknown(at, "title, description and implies")
		}
	})
	p.file.Scopes = append(p.file.Scopes, s)
}

func (p *parser) role(name string, at int) {
	role := Role{Name: name, At: p.position(at)}
	p.checkRole(name, at)
	p.object(func(member string, at int) {
		switch member {
		case "title":
			role.Title, _, _, _ = p.text()
		case "description":
			role.Description, _, _, _ = p.text()
		case "implies":
			role.Implies = p.roleList()
		case "scopes":
			role.Scopes = p.scopeList()
		default:
			p.unknown(at, "title, description, implies and scopes")
		}
	})
	p.file.Roles = append(p.file.Roles, role)
}

func (p *parser) client(id string, at int) {
	c := Client{ID: id, At: p.position(at)}
	if id == "" {
		p.fail(at, `the client id is empty; write "*" for all that have no entry`)
	}
	p.object(func(member string, at int) {
		switch member {
		case "issuers":
			c.Issuers = p.texts()
		case "scopes":
			c.Scopes = p.scopeList()
		case "roles":
			c.Roles = p.roleList()
		case "unlimited":
			c.Unlimited = p.boolean()
		default:
			p.unknown(at, "issuers, scopes, roles and unlimited")
		}
	})
	p.file.Clients = append(p.file.Clients, c)
}

// rule reads "name": "text", or "name": {"rule": "text", "login": {...}}.
func (p *parser) rule(kind Kind, name string, at int) {
	out := Rule{Name: name, At: p.position(at)}
	if at := p.start(); at < len(p.data) && p.data[at] == '{' {
		has := false
		p.object(func(member string, at int) {
			switch member {
			case "rule":
				has = true
				out.Rule = p.ruleText()
			case "login":
				out.Login = p.login(at)
			default:
				p.unknown(at, "rule and login")
			}
		})
		if !has {
			p.fail(at, `there is no "rule"; write "authenticated" where any caller will do`)
		}
	} else {
		out.Rule = p.ruleText()
	}
	p.file.Rules[kind] = append(p.file.Rules[kind], out)
}

func (p *parser) ruleText() scopes.Rule {
	text, at, raw, ok := p.text()
	if !ok {
		return scopes.Rule{}
	}
	rule, err := scopes.Parse(text)
	if err != nil {
		var syntax *scopes.SyntaxError
		where := at
		if errors.As(err, &syntax) {
			if raw {
				where = at + 1 + syntax.Offset
			}
			err = errors.New(syntax.Msg)
		}
		p.fail(where, "in the rule %q: %v", Shown(text), err)
		return scopes.Rule{}
	}
	for _, s := range rule.Scopes() {
		p.note(false, s, at)
	}
	for _, r := range rule.Roles() {
		p.note(true, r, at)
	}
	return rule
}

func (p *parser) login(at int) *Login {
	l := &Login{At: p.position(at)}
	before := len(p.errs)
	p.object(func(member string, at int) {
		switch member {
		case "acr":
			if l.ACR = p.texts(); l.ACR != nil && len(l.ACR) == 0 {
				p.fail(at, "the array is empty; leave acr out where any sign-in will do")
			}
		case "maxAge":
			l.MaxAge = time.Duration(p.seconds(365*24*60*60)) * time.Second
		default:
			p.unknown(at, "acr and maxAge")
		}
	})
	if len(l.ACR) == 0 && l.MaxAge == 0 && len(p.errs) == before {
		p.fail(at, "it asks for nothing; write acr or maxAge")
	}
	for _, v := range l.ACR {
		if scopes.CheckScope(v) != nil { // the same characters
			p.fail(at, "%q is no acr value", Shown(v))
		}
	}
	return l
}

func (p *parser) annotated(at int) {
	p.file.Annotated.At = p.position(at)
	p.object(func(member string, at int) {
		rule := func() *scopes.Rule { r := p.ruleText(); return &r }
		switch member {
		case "readOnly":
			p.file.Annotated.ReadOnly = rule()
		case "destructive":
			p.file.Annotated.Destructive = rule()
		case "other":
			p.file.Annotated.Other = rule()
		default:
			p.unknown(at, "readOnly, destructive and other")
		}
	})
}

func (p *parser) scopeList() []string {
	at := p.start()
	list := p.texts()
	for _, s := range list {
		p.checkScope(s, at)
		p.note(false, s, at)
	}
	return list
}

func (p *parser) roleList() []string {
	at := p.start()
	list := p.texts()
	for _, s := range list {
		p.checkRole(s, at)
		p.note(true, s, at)
	}
	return list
}

func (p *parser) checkScope(name string, at int) {
	if err := scopes.CheckScope(name); err != nil {
		p.fail(at, "%v", err)
	}
}

func (p *parser) checkRole(name string, at int) {
	if err := scopes.CheckRole(name); err != nil {
		p.fail(at, "%v", err)
	}
}

func (p *parser) note(role bool, name string, at int) {
	p.names = append(p.names, named{role, name, at, strings.Join(p.path, ".")})
}

// checkNames finds what is named and not declared, where the file declares any.
func (p *parser) checkNames() {
	scopes, roles := make(map[string]bool), make(map[string]bool)
	for _, s := range p.file.Scopes {
		scopes[s.Name] = true
	}
	for _, r := range p.file.Roles {
		roles[r.Name] = true
	}
	for _, n := range p.names {
		p.path = append(p.path[:0], n.path)
		switch {
		case n.role && p.file.HasRoles && !roles[n.name]:
			p.fail(n.at, `the role %q is not among "roles"; is it misspelled?`, Shown(n.name))
		case !n.role && p.file.HasScopes && !scopes[n.name]:
			p.fail(n.at, `the scope %q is not among "scopes"; is it misspelled?`, Shown(n.name))
		}
	}
}
