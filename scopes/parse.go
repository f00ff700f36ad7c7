package scopes

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A SyntaxError says where the text of a rule goes wrong.
type SyntaxError struct {
	Offset int    // in bytes from the start of the text
	Msg    string // what was expected and what came
}

// Error says where and what.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("scopes: rule text, column %d: %s", e.Offset+1, e.Msg)
}

// Parse reads a rule from its text. Every error is a [*SyntaxError], and comes with the zero Rule.
//
//	files:read                          a scope
//	files:read and files:write          both
//	files:write or admin                either
//	role(editor)                        a role
//	role(editor, admin)                 either role
//	authenticated                       any verified caller
//	never                               no one: the zero Rule
//	files:write and (admin or role(editor))
//
// Words are separated by spaces, tabs or line ends. "and" and "or" do not mix without parentheses, so that no reader can take
// a rule for a stricter one. A scope that holds a parenthesis or comma, or that is one of the five words in any case, stands
// in double quotes. So does a role that holds anything that a scope could not; inside the quotes \", \\, \/ and \uXXXX mean
// what they mean in JSON (RFC 8259, Section 7). Text of more than 16 KiB, and of more than 32 levels, is refused.
func Parse(text string) (Rule, error) {
	if len(text) > maxText {
		return Rule{}, &SyntaxError{Offset: maxText, Msg: fmt.Sprintf("the text is %d bytes long, more than %d", len(text), maxText)}
	}
	p := parser{text: text}
	n, err := p.rule()
	if err != nil {
		return Rule{}, err
	}
	return Rule{node: n}, nil
}

type tokenKind uint8

const (
	tokenEnd tokenKind = iota
	tokenOpen
	tokenClose
	tokenComma
	tokenWord
	tokenQuoted
)

type token struct {
	kind tokenKind
	at   int
	text string // of a word, or what the quotes hold
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenOpen:
		return `"("`
	case tokenClose:
		return `")"`
	case tokenComma:
		return `","`
	}
	return strconv.Quote(cut(t.text))
}

func (t token) is(word string) bool { return t.kind == tokenWord && t.text == word }

// parser is a recursive descent over text with one token of look-ahead. Its nodes are nil for never.
type parser struct {
	text  string
	pos   int // behind tok
	tok   token
	depth int // of open parentheses
}

func failAt(at int, format string, args ...any) error {
	return &SyntaxError{Offset: at, Msg: fmt.Sprintf(format, args...)}
}

func (p *parser) rule() (*node, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.tok.kind == tokenEnd {
		return nil, failAt(p.tok.at, `the text is empty; write "never" for a rule that no one meets`)
	}
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, failAt(p.tok.at, `expected "and", "or" or the end, got %v`, p.tok)
	}
	return n, nil
}

// expression = factor *( "and" factor ) / factor *( "or" factor )
func (p *parser) expression() (*node, error) {
	start := p.tok.at
	first, err := p.factor()
	if err != nil {
		return nil, err
	}
	word, k := p.tok, kindAnd
	switch {
	case word.is(wordAnd):
	case word.is(wordOr):
		k = kindOr
	default:
		return first, nil
	}
	parts := []*node{first}
	for p.tok.is(word.text) {
		if err := p.next(); err != nil {
			return nil, err
		}
		part, err := p.factor()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	if p.tok.is(wordAnd) || p.tok.is(wordOr) {
		return nil, failAt(p.tok.at, `%q after %q: put parentheses around the parts that belong together`, p.tok.text, word.text)
	}
	return p.join(start, k, parts)
}

// factor = "(" expression ")" / "never" / "authenticated" / role / scope
func (p *parser) factor() (*node, error) {
	t := p.tok
	switch {
	case t.kind == tokenOpen:
		return p.parenthesis()
	case t.kind == tokenQuoted:
		return p.scope(t)
	case t.kind != tokenWord:
		return nil, failAt(t.at, `expected a scope, role(...), "authenticated", "never" or "(", got %v`, t)
	}
	switch word, clash := reserved(t.text); {
	case !clash:
		return p.scope(t)
	case t.text != word:
		return nil, failAt(t.at, `write %q in lower case, or put %v in double quotes for the scope of that name`, word, t)
	case word == wordNever:
		return nil, p.next()
	case word == wordAuthenticated:
		return authenticated, p.next()
	case word == wordRole:
		return p.role(t)
	}
	return nil, failAt(t.at, `expected a scope, role(...), "authenticated", "never" or "(", got %v`, t)
}

func (p *parser) parenthesis() (*node, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, failAt(p.tok.at, "more than %d parentheses inside each other", maxDepth)
	}
	if err := p.next(); err != nil {
		return nil, err
	}
	n, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenClose {
		return nil, failAt(p.tok.at, `expected "and", "or" or ")", got %v`, p.tok)
	}
	p.depth--
	return n, p.next()
}

func (p *parser) scope(t token) (*node, error) {
	n, err := leaf(kindScope, t.text)
	if err != nil {
		return nil, failAt(t.at, "%v", err)
	}
	return n, p.next()
}

// role = "role" "(" name *( "," name ) ")"
func (p *parser) role(word token) (*node, error) {
	if err := p.next(); err != nil {
		return nil, err
	}
	if p.tok.kind != tokenOpen {
		return nil, failAt(p.tok.at, `expected "(" after "role", got %v; the scope of that name stands in double quotes`, p.tok)
	}
	var parts []*node
	for {
		if err := p.next(); err != nil {
			return nil, err
		}
		if p.tok.kind != tokenWord && p.tok.kind != tokenQuoted {
			return nil, failAt(p.tok.at, "expected the name of a role, got %v", p.tok)
		}
		n, err := leaf(kindRole, p.tok.text)
		if err != nil {
			return nil, failAt(p.tok.at, "%v", err)
		}
		parts = append(parts, n)
		if err := p.next(); err != nil {
			return nil, err
		}
		switch p.tok.kind {
		case tokenComma:
		case tokenClose:
			if err := p.next(); err != nil {
				return nil, err
			}
			return p.join(word.at, kindOr, parts)
		default:
			return nil, failAt(p.tok.at, `expected "," or ")", got %v; a name with spaces stands in double quotes`, p.tok)
		}
	}
}

func (p *parser) join(at int, k kind, parts []*node) (*node, error) {
	n, err := join(k, parts)
	if err != nil {
		return nil, failAt(at, "%v", err)
	}
	return n, nil
}

// next reads one token.
func (p *parser) next() error {
	rest := strings.TrimLeft(p.text[p.pos:], " \t\r\n")
	p.tok = token{at: len(p.text) - len(rest)}
	p.pos = p.tok.at
	if rest == "" {
		return nil
	}
	switch rest[0] {
	case '(':
		p.tok.kind = tokenOpen
	case ')':
		p.tok.kind = tokenClose
	case ',':
		p.tok.kind = tokenComma
	case '"':
		return p.quoted()
	default:
		return p.word(rest)
	}
	p.pos++
	return nil
}

func (p *parser) word(rest string) error {
	end := strings.IndexAny(rest, " \t\r\n(),\"")
	if end < 0 {
		end = len(rest)
	}
	p.tok.kind, p.tok.text = tokenWord, rest[:end]
	p.pos += end
	for i := range end {
		if !onlyScopeBytes(rest[i : i+1]) {
			r, _ := utf8.DecodeRuneInString(rest[i:])
			return failAt(p.tok.at+i, "%q cannot stand here; a role that holds it is written in double quotes", r)
		}
	}
	return nil
}

// quoted reads a JSON string, without those escapes that only stand for control characters.
func (p *parser) quoted() error {
	p.tok.kind = tokenQuoted
	var b strings.Builder
	for i := p.tok.at + 1; i < len(p.text); {
		switch c := p.text[i]; {
		case c == '"':
			p.tok.text, p.pos = b.String(), i+1
			return nil
		case c == '\\':
			r, n := unescape(p.text[i:])
			if n == 0 {
				return failAt(i, `expected \", \\, \/ or \u and four hexadecimal digits; a character above U+FFFF is a pair of them`)
			}
			b.WriteRune(r)
			i += n
		default:
			b.WriteByte(c)
			i++
		}
	}
	return failAt(p.tok.at, "the quote is not closed")
}

// unescape decodes the escape that s begins with and returns its length, 0 if it is none. A surrogate alone is none.
func unescape(s string) (rune, int) {
	if len(s) < 2 {
		return 0, 0
	}
	switch s[1] {
	case '"', '\\', '/':
		return rune(s[1]), 2
	case 'u':
		r, ok := hex4(s)
		if !ok {
			return 0, 0
		}
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		if low, ok := hex4(s[6:]); ok {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
	}
	return 0, 0
}

// hex4 reads the \uXXXX that s begins with.
func hex4(s string) (rune, bool) {
	if len(s) < 6 || s[:2] != `\u` {
		return 0, false
	}
	v, err := strconv.ParseUint(s[2:6], 16, 16)
	return rune(v), err == nil
}
