package authheader

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

// MaxDescription bounds an error_description, in bytes.
const MaxDescription = 200

// manyScopes is where looking for a repeated scope turns from comparing with each earlier one to a map.
const manyScopes = 32

// Challenge is one challenge and renders as one WWW-Authenticate line; several go on a line each, Bearer first, because clients split on
// commas or read only a line that starts with Bearer. Without a Scheme it renders as nothing. An empty field is a parameter left out.
//
// Whatever the fields hold, the line is well formed and no value can end its quoted string: characters outside %x20-21 %x23-5B %x5D-7E are
// replaced, never escaped, since the parsers of clients are regular expressions that know no escapes (RFC 6750, Section 3).
type Challenge struct {
	Scheme           string // Bearer or DPoP, or another token
	Realm            string // a fixed string, never taken from a request
	Error            string // registered code; empty when no credentials were sent (RFC 6750, Section 3.1)
	ErrorDescription string // passes through Description; left out when Error is empty
	Scope            string // separated by SP; what is outside the grammar of RFC 6749, Section 3.3 is dropped, a repetition too
	ResourceMetadata string // RFC 9728, Section 5.1
	Algs             string // separated by SP (RFC 9449, Section 7.1); written on DPoP lines only, so one value can serve both lines
	ACRValues        string // separated by SP (RFC 9470, Section 3)
	MaxAge           string // seconds, decimal digits only, else left out (RFC 9470, Section 3)
}

// String returns the field value.
func (c Challenge) String() string {
	var room [512]byte
	return string(c.Append(room[:0]))
}

// Append appends the field value to dst, and nothing if Scheme is no token.
//
// The order of parameters is fixed. A missing scope (insufficient_scope) is named directly after the error and described last; everywhere
// else the description follows the error and the scope ends the line.
func (c Challenge) Append(dst []byte) []byte {
	if n := tokenLen(c.Scheme); n == 0 || n < len(c.Scheme) {
		return dst
	}
	w := paramWriter{buf: append(dst, c.Scheme...)}
	w.text("realm", c.Realm, -1)
	w.text("error", c.Error, -1)
	lacksScope := c.Error == "insufficient_scope"
	if lacksScope {
		w.scope(c.Scope)
	} else if c.Error != "" {
		w.text("error_description", c.ErrorDescription, MaxDescription)
	}
	w.value("acr_values", c.ACRValues)
	if isDigits(c.MaxAge) {
		w.value("max_age", c.MaxAge)
	}
	if isDPoP(c.Scheme) {
		w.value("algs", c.Algs)
	}
	w.value("resource_metadata", c.ResourceMetadata)
	if lacksScope {
		w.text("error_description", c.ErrorDescription, MaxDescription)
	} else {
		w.scope(c.Scope)
	}
	return w.buf
}

// Description reduces foreign text to what an error_description may hold, %x20-21 %x23-5B %x5D-7E (RFC 6750, Section 3), and cuts it to
// [MaxDescription] bytes. A double quote becomes an apostrophe, a backslash a slash, line breaks and tabs a space, anything else "?".
//
// "=" becomes ":" although the grammar has it. Clients search the whole line for scope=... and resource_metadata=..., quoted or not, so a
// description that holds such text in front of the real parameter would be read in its place.
func Description(s string) string {
	if len(s) <= MaxDescription && isPlain(s) && strings.IndexByte(s, '=') < 0 {
		return s
	}
	return string(appendText(nil, s, MaxDescription, true))
}

// ValidScope reports whether s is one scope-token: one or more of %x21 %x23-5B %x5D-7E (RFC 6749, Section 3.3).
func ValidScope(s string) bool {
	for i := 0; i < len(s); i++ {
		if class[s[i]]&nqchar == 0 {
			return false
		}
	}
	return s != ""
}

type paramWriter struct {
	buf []byte
	any bool
}

func (w *paramWriter) open(name string) {
	if w.any {
		w.buf = append(w.buf, ',')
	}
	w.any = true
	w.buf = append(w.buf, ' ')
	w.buf = append(w.buf, name...)
	w.buf = append(w.buf, '=', '"')
}

// text writes prose, which must not look like a parameter; value writes what has a syntax of its own, such as a URL.
func (w *paramWriter) text(name, s string, limit int) { w.param(name, s, limit, true) }
func (w *paramWriter) value(name, s string)           { w.param(name, s, -1, false) }

func (w *paramWriter) param(name, s string, limit int, prose bool) {
	if s == "" {
		return
	}
	w.open(name)
	w.buf = append(appendText(w.buf, s, limit, prose), '"')
}

func (w *paramWriter) scope(s string) {
	if s == "" {
		return
	}
	before, hadAny := len(w.buf), w.any
	w.open("scope")
	start := len(w.buf)
	var seen map[string]struct{}
	n := 0
	for s != "" {
		var tok string
		tok, s, _ = strings.Cut(s, " ")
		if !ValidScope(tok) {
			continue
		}
		if seen == nil && n == manyScopes {
			seen = make(map[string]struct{}, 2*manyScopes)
			for old := range bytes.SplitSeq(w.buf[start:], []byte{' '}) {
				seen[string(old)] = struct{}{}
			}
		}
		if seen != nil {
			if _, ok := seen[tok]; ok {
				continue
			}
			seen[tok] = struct{}{}
		} else if listed(w.buf[start:], tok) {
			continue
		}
		if n > 0 {
			w.buf = append(w.buf, ' ')
		}
		w.buf = append(w.buf, tok...)
		n++
	}
	if n == 0 { // scope="" is malformed (RFC 6749, Section 3.3)
		w.buf, w.any = w.buf[:before], hadAny
		return
	}
	w.buf = append(w.buf, '"')
}

// listed reports whether tok is one of the words of list, which single spaces separate.
func listed(list []byte, tok string) bool {
	for len(list) > 0 {
		end := bytes.IndexByte(list, ' ')
		if end < 0 {
			return string(list) == tok
		}
		if string(list[:end]) == tok {
			return true
		}
		list = list[end+1:]
	}
	return false
}

// appendText appends s reduced to what a quoted string may hold unescaped; prose loses its "=", too. A limit below zero is none. Every
// character becomes one byte, so the limit counts both.
func appendText(dst []byte, s string, limit int, prose bool) []byte {
	start := len(dst)
	for i := 0; i < len(s); {
		if limit >= 0 && len(dst)-start == limit {
			return append(dst[:start+limit-len("...")], "..."...)
		}
		b, size := s[i], 1
		switch {
		case b == '=' && prose:
			b = ':'
		case b == ' ' || class[b]&nqchar != 0:
		case b == '"':
			b = '\''
		case b == '\\':
			b = '/'
		case b == '\r' || b == '\n' || b == '\t':
			b = ' '
		case b >= utf8.RuneSelf:
			_, size = utf8.DecodeRuneInString(s[i:])
			b = '?'
		default:
			b = '?'
		}
		dst = append(dst, b)
		i += size
	}
	return dst
}

func isPlain(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] != ' ' && class[s[i]]&nqchar == 0 {
			return false
		}
	}
	return true
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
