package policyfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// reader walks through the tokens of a file that is JSON, see [check], and collects mistakes.
type reader struct {
	data  []byte
	lines []int // where each begins
	dec   *json.Decoder
	path  []string
	errs  []*Error
}

const maxErrors = 50

func newReader(data []byte) *reader {
	r := &reader{data: data, dec: newDecoder(data)}
	r.lines = append(r.lines, 0)
	for i, c := range data {
		if c == '\n' {
			r.lines = append(r.lines, i+1)
		}
	}
	return r
}

func newDecoder(data []byte) *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec
}

// check reports whether data is one JSON value of which a reader can read every token, and how far it is.
func check(data []byte) (at int, err error) {
	var whole json.RawMessage
	err = json.Unmarshal(data, &whole)
	for dec := newDecoder(data); err == nil; {
		_, err = dec.Token()
	}
	switch syntax := new(json.SyntaxError); {
	case err == io.EOF:
		return len(data), nil
	case errors.As(err, &syntax) && syntax.Error() != "unexpected end of JSON input":
		return max(0, int(syntax.Offset)-1), err // it counts the character that does not fit
	}
	return len(data), err
}

// fail notes a mistake at an offset.
func (r *reader) fail(at int, format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, &Error{Position: r.position(at), Path: strings.Join(r.path, "."), Msg: fmt.Sprintf(format, args...)})
	}
}

// position is the place of an offset.
func (r *reader) position(at int) Position {
	at = min(at, len(r.data))
	line, _ := slices.BinarySearch(r.lines, at+1) // how many begin at it or before
	return Position{Line: line, Column: at - r.lines[line-1] + 1}
}

// next returns the next token and where it begins.
func (r *reader) next() (json.Token, int) {
	at := r.start()
	tok, _ := r.dec.Token() // check has read them all
	return tok, at
}

// start is where the next token begins: behind white space and what separates values.
func (r *reader) start() int {
	at := int(r.dec.InputOffset())
	for at < len(r.data) && strings.IndexByte(" \t\r\n,:", r.data[at]) >= 0 {
		at++
	}
	return at
}

// object reads an object and calls member for each name, which must read its value.
func (r *reader) object(member func(name string, at int)) {
	tok, at := r.next()
	if tok != json.Delim('{') {
		r.mismatch(tok, at, "an object")
		return
	}
	seen := make(map[string]bool)
	for r.dec.More() {
		tok, at := r.next()
		name, _ := tok.(string) // as JSON has it
		r.path = append(r.path, Shown(name))
		if seen[name] {
			r.fail(at, "the member stands here twice; keep one")
		}
		seen[name] = true
		member(name, at)
		r.path = r.path[:len(r.path)-1]
	}
	r.next() // the end
}

// text reads a string. Raw reports whether it stands in the file as it is, without escapes.
func (r *reader) text() (s string, at int, raw, ok bool) {
	tok, at := r.next()
	s, ok = tok.(string)
	switch {
	case !ok:
		r.mismatch(tok, at, "a string")
	case len(s) > maxText:
		r.fail(at, "the text is longer than %d bytes", maxText)
		return "", at, false, false
	}
	end := at + 1 + len(s)
	return s, at, ok && end < len(r.data) && string(r.data[at+1:end]) == s, ok
}

func (r *reader) texts() (out []string) {
	tok, at := r.next()
	if tok != json.Delim('[') {
		r.mismatch(tok, at, "an array of strings")
		return nil
	}
	out = []string{}
	seen := make(map[string]bool)
	for r.dec.More() {
		s, at, _, ok := r.text()
		switch {
		case ok && seen[s]:
			r.fail(at, "%q stands here twice; keep one", Shown(s))
		case ok:
			seen[s] = true
			out = append(out, s)
		}
	}
	r.next()
	return out
}

func (r *reader) boolean() bool {
	tok, at := r.next()
	b, ok := tok.(bool)
	if !ok {
		r.mismatch(tok, at, "true or false")
	}
	return b
}

// seconds reads a positive whole number.
func (r *reader) seconds(most int64) int64 {
	tok, at := r.next()
	n, ok := tok.(json.Number)
	if !ok {
		r.mismatch(tok, at, "a number of seconds")
		return 0
	}
	v, err := n.Int64()
	if err != nil || v < 1 || v > most {
		r.fail(at, "write whole seconds from 1 to %d, not %s", most, Shown(n.String()))
		return 0
	}
	return v
}

// mismatch notes a token of another type, and passes over the rest of its value.
func (r *reader) mismatch(tok json.Token, at int, want string) {
	got := "null"
	switch t := tok.(type) {
	case string:
		got = "the string " + fmt.Sprintf("%q", Shown(t))
	case bool:
		got = fmt.Sprint(t)
	case json.Number:
		got = "the number " + Shown(t.String())
	case json.Delim:
		got = map[json.Delim]string{'{': "an object", '[': "an array"}[t]
		defer r.skip()
	}
	r.fail(at, "write %s here, not %s", want, got)
}

// skip passes over what is left of an object or array that was opened.
func (r *reader) skip() {
	for depth := 1; depth > 0; {
		switch tok, _ := r.next(); tok {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
	}
}

// skipValue passes over a value that nobody knows what to do with.
func (r *reader) skipValue() {
	if tok, _ := r.next(); tok == json.Delim('{') || tok == json.Delim('[') {
		r.skip()
	}
}

// Shown keeps a foreign name short and on one line in a message.
func Shown(s string) string { return line(s, 64) }

// Text does so for a message that holds such names.
func Text(s string) string { return line(s, 500) }

func line(s string, most int) string {
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || c == utf8.RuneError || c >= 0x80 && c < 0xa0 || c >= 0x2028 && c <= 0x202e || c >= 0x2066 && c <= 0x2069 {
			return '?'
		}
		return c
	}, s)
}
