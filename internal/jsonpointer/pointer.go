// Package jsonpointer reads one value out of decoded JSON by a JSON Pointer (RFC 6901).
package jsonpointer

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A Pointer names one value inside a JSON document. It is immutable. The zero Pointer is that of the empty text:
// it names the whole document (RFC 6901, Section 5).
type Pointer struct {
	text  string
	steps []string // unescaped
}

// Parse reads the text of a pointer: empty, or a sequence of steps that each begin with "/", in which "~1" stands for "/" and
// "~0" for "~" (RFC 6901, Section 3). Its work is linear in the text's length.
func Parse(text string) (Pointer, error) {
	if text == "" {
		return Pointer{}, nil
	}
	if text[0] != '/' {
		return Pointer{}, fmt.Errorf("jsonpointer: %q does not begin with a slash", text)
	}
	if !utf8.ValidString(text) {
		return Pointer{}, fmt.Errorf("jsonpointer: %q is not valid UTF-8", text)
	}
	steps := strings.Split(text[1:], "/")
	for i, step := range steps {
		name, ok := unescape(step)
		if !ok {
			return Pointer{}, fmt.Errorf("jsonpointer: %q: a ~ must be followed by 0 or 1", text)
		}
		steps[i] = name
	}
	return Pointer{text: text, steps: steps}, nil
}

// unescape undoes "~1" and "~0" in one pass, so that "~01" becomes "~1" and not "/" (RFC 6901, Section 4).
func unescape(step string) (string, bool) {
	at := strings.IndexByte(step, '~')
	if at < 0 {
		return step, true
	}
	var b strings.Builder
	for ; at >= 0; at = strings.IndexByte(step, '~') {
		b.WriteString(step[:at])
		switch rest := step[at+1:]; {
		case strings.HasPrefix(rest, "0"):
			b.WriteByte('~')
		case strings.HasPrefix(rest, "1"):
			b.WriteByte('/')
		default:
			return "", false
		}
		step = step[at+2:]
	}
	b.WriteString(step)
	return b.String(), true
}

// Escape writes a member name as one step, without the slash before it.
func Escape(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// String returns the text that was parsed.
func (p Pointer) String() string { return p.text }

// Covers reports whether q names the same value as p or one inside it.
func (p Pointer) Covers(q Pointer) bool {
	if len(p.steps) > len(q.steps) {
		return false
	}
	for i, step := range p.steps {
		if step != q.steps[i] {
			return false
		}
	}
	return true
}

// Get returns the value that p names in v, which is what a JSON decoder makes: map[string]any, []any, or a value without
// parts. A JSON null that is there is nil and true. Member names are compared whole and with case. It does not allocate.
func (p Pointer) Get(v any) (any, bool) {
	for _, step := range p.steps {
		switch part := v.(type) {
		case map[string]any:
			next, ok := part[step]
			if !ok {
				return nil, false
			}
			v = next
		case []any:
			i, ok := index(step)
			if !ok || i >= len(part) {
				return nil, false
			}
			v = part[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// index reads an array index: digits without leading zeros (RFC 6901, Section 4). "-" is the element after the last one,
// which never exists.
func index(step string) (int, bool) {
	if step == "" || len(step) > 1 && step[0] == '0' {
		return 0, false
	}
	for i := range len(step) {
		if step[i] < '0' || step[i] > '9' {
			return 0, false
		}
	}
	i, err := strconv.Atoi(step) // refuses what overflows
	return i, err == nil
}
