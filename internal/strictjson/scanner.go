// Package strictjson reads JSON that decides something: token headers and claims, key sets,
// metadata and request bodies. It accepts exactly one RFC 8259 text and refuses everything that
// two parsers could read differently: a duplicate member in any object, invalid UTF-8, a lone
// surrogate escape, a byte order mark, data after the text, and nesting beyond a limit.
//
// Member names are compared byte for byte after unescaping. encoding/json folds case, so that an
// "EXP" beside "exp" wins; here they are two members, and [EqualFold] tells a caller that the one
// could be mistaken for the other.
//
// A [Scanner] makes one pass over the text and allocates only what it returns. Its callers bound
// the size of the text; the scanner bounds depth and does work linear in the size.
package strictjson

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Every error of this package wraps one of these. Their texts never quote the input.
var (
	ErrSyntax    = errors.New("not a JSON text")
	ErrDuplicate = errors.New("duplicate member name")
	ErrUTF8      = errors.New("invalid UTF-8")
	ErrDepth     = errors.New("nested too deeply")
	ErrType      = errors.New("unexpected JSON type")
)

// defaultDepth is far beyond anything that a token, a key set or an MCP message needs.
const defaultDepth = 64

// Limits bound the work on hostile input.
type Limits struct {
	MaxDepth int // arrays and objects open at once; zero means 64
}

// Kind is the type of a JSON value.
type Kind byte

// The zero Kind stands for the end of the text and for anything that begins no JSON value.
const (
	InvalidKind Kind = iota
	ObjectKind
	ArrayKind
	StringKind
	NumberKind
	BoolKind
	NullKind
)

// A Scanner reads one JSON text from its beginning to its end. The first error is final: every
// later call returns it again. A Scanner is not safe for concurrent use.
type Scanner struct {
	data  []byte
	pos   int
	depth int
	max   int
	err   error

	// The names of all open objects as keys, innermost last. Each object remembers where its own
	// begin.
	names []uint64
	inner [32]uint64
}

// NewScanner returns a Scanner over data, which must not change while the Scanner or anything that
// [Scanner.Raw] returned is in use.
func NewScanner(data []byte, lim Limits) *Scanner {
	s := &Scanner{data: data, max: lim.MaxDepth}
	if s.max <= 0 {
		s.max = defaultDepth
	}
	s.names = s.inner[:0]
	return s
}

// Object decodes data, which must be one JSON object and nothing else, the way [Scanner.Any] does.
func Object(data []byte, lim Limits) (map[string]any, error) {
	s := NewScanner(data, lim)
	if s.Kind() != ObjectKind {
		return nil, s.unexpected()
	}
	v, err := s.Any()
	if err != nil {
		return nil, err
	}
	if err := s.End(); err != nil {
		return nil, err
	}
	return v.(map[string]any), nil
}

// Kind tells the type of the next value and consumes nothing but white space.
func (s *Scanner) Kind() Kind {
	switch c := s.next(); c {
	case '{':
		return ObjectKind
	case '[':
		return ArrayKind
	case '"':
		return StringKind
	case 't', 'f':
		return BoolKind
	case 'n':
		return NullKind
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return NumberKind
		}
		return InvalidKind
	}
}

// Object reads an object and calls member for each of its members, in order. The callback consumes
// the value with one call on the Scanner; when it consumes nothing, the value is validated and
// skipped. The name is unescaped and valid only during the call. An error of the callback ends the
// scan and is returned as it is.
func (s *Scanner) Object(member func(name []byte) error) error {
	if err := s.open(ObjectKind); err != nil {
		return err
	}
	first := len(s.names)
	var seen nameSet
	if s.next() == '}' {
		return s.close(first)
	}
	for {
		if s.next() != '"' {
			return s.fail(ErrSyntax)
		}
		name, err := s.stringBytes()
		if err != nil {
			return err
		}
		if !s.remember(name, first, &seen) {
			return s.fail(ErrDuplicate)
		}
		if s.next() != ':' {
			return s.fail(ErrSyntax)
		}
		s.pos++
		s.next()
		before := s.pos
		if member != nil {
			if err := member(name); err != nil {
				return s.stop(err)
			}
		}
		if s.pos == before {
			if err := s.Skip(); err != nil {
				return err
			}
		}
		switch s.next() {
		case ',':
			s.pos++
		case '}':
			return s.close(first)
		default:
			return s.fail(ErrSyntax)
		}
	}
}

// Array reads an array and calls element for each of its values, in order. As with
// [Scanner.Object], an element that the callback leaves alone is validated and skipped.
func (s *Scanner) Array(element func(i int) error) error {
	if err := s.open(ArrayKind); err != nil {
		return err
	}
	if s.next() == ']' {
		return s.close(len(s.names))
	}
	for i := 0; ; i++ {
		s.next()
		before := s.pos
		if element != nil {
			if err := element(i); err != nil {
				return s.stop(err)
			}
		}
		if s.pos == before {
			if err := s.Skip(); err != nil {
				return err
			}
		}
		switch s.next() {
		case ',':
			s.pos++
		case ']':
			return s.close(len(s.names))
		default:
			return s.fail(ErrSyntax)
		}
	}
}

// String reads a string and returns it unescaped. Another kind of value is [ErrType].
func (s *Scanner) String() (string, error) {
	if s.Kind() != StringKind {
		return "", s.unexpected()
	}
	b, err := s.stringBytes()
	return string(b), err
}

// Skip validates the next value, whatever it is, and passes over it.
func (s *Scanner) Skip() error {
	switch c := s.next(); c {
	case '{':
		return s.Object(nil)
	case '[':
		return s.Array(nil)
	case '"':
		_, _, err := s.stringSpan()
		return err
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		if c == '-' || '0' <= c && c <= '9' {
			return s.number()
		}
		return s.fail(ErrSyntax)
	}
}

// Raw is [Scanner.Skip] that returns the text of the value. The result aliases the scanned data.
func (s *Scanner) Raw() ([]byte, error) {
	s.next()
	start := s.pos
	if err := s.Skip(); err != nil {
		return nil, err
	}
	return s.data[start:s.pos:s.pos], nil
}

// Any decodes the next value: an object as map[string]any, an array as []any, a number as
// [json.Number], so that no digit is lost, and string, bool and nil. Nothing of the result aliases
// the scanned data.
func (s *Scanner) Any() (any, error) {
	switch s.Kind() {
	case ObjectKind:
		m := make(map[string]any, 8)
		err := s.Object(func(name []byte) error {
			key := string(name)
			v, err := s.Any()
			m[key] = v
			return err
		})
		if err != nil {
			return nil, err
		}
		return m, nil
	case ArrayKind:
		list := []any{}
		err := s.Array(func(int) error {
			v, err := s.Any()
			list = append(list, v)
			return err
		})
		if err != nil {
			return nil, err
		}
		return list, nil
	case StringKind:
		return s.String()
	case NumberKind:
		raw, err := s.Raw()
		if err != nil {
			return nil, err
		}
		return json.Number(raw), nil
	case BoolKind:
		v := s.data[s.pos] == 't'
		return v, s.Skip()
	default:
		return nil, s.Skip()
	}
}

// End reports whether the text is over: nothing but white space may follow the value.
func (s *Scanner) End() error {
	s.next()
	if s.err == nil && s.pos != len(s.data) {
		return s.fail(ErrSyntax)
	}
	return s.err
}

// Offset returns how many bytes have been read. After an [ErrSyntax] it equals the length of the
// data when the text merely ended too early.
func (s *Scanner) Offset() int { return s.pos }

func (s *Scanner) fail(cause error) error {
	if s.err == nil {
		_ = s.stop(fmt.Errorf("offset %d: %w", s.pos, cause))
	}
	return s.err
}

// stop makes err final, unless another error is. Cutting the data off here makes every later call
// find the end of the text where it expects more, and so fail with the final error.
func (s *Scanner) stop(err error) error {
	if s.err == nil {
		s.err = err
		s.data = s.data[:s.pos]
	}
	return err
}

// unexpected is the error for a value that is well begun but of another type than asked for.
func (s *Scanner) unexpected() error {
	if s.Kind() == InvalidKind {
		return s.fail(ErrSyntax)
	}
	return s.fail(ErrType)
}

func (s *Scanner) open(want Kind) error {
	if s.Kind() != want {
		return s.unexpected()
	}
	if s.depth == s.max {
		return s.fail(ErrDepth)
	}
	s.depth++
	s.pos++
	return nil
}

func (s *Scanner) close(first int) error {
	s.names = s.names[:first]
	s.depth--
	s.pos++
	return nil
}

// next passes over white space and returns the byte behind it, or 0 at the end of the text, which
// no production of the grammar begins with.
func (s *Scanner) next() byte {
	if s.pos < len(s.data) && s.data[s.pos] > ' ' {
		return s.data[s.pos]
	}
	return s.space()
}

func (s *Scanner) space() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// peek returns the next byte, or 0 at the end of the text.
func (s *Scanner) peek() byte {
	if s.pos < len(s.data) {
		return s.data[s.pos]
	}
	return 0
}

func (s *Scanner) literal(word string) error {
	if len(s.data)-s.pos < len(word) || string(s.data[s.pos:s.pos+len(word)]) != word {
		return s.fail(ErrSyntax)
	}
	s.pos += len(word)
	return nil
}

// number passes over a number of RFC 8259, Section 6: no leading zeros, no plus sign, digits on
// both sides of the point. Its size is not judged here.
func (s *Scanner) number() error {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return s.fail(ErrSyntax)
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return s.fail(ErrSyntax)
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		if !s.digits() {
			return s.fail(ErrSyntax)
		}
	}
	return nil
}

func (s *Scanner) digits() bool {
	start, i := s.pos, s.pos
	for i < len(s.data) && s.data[i]-'0' <= 9 {
		i++
	}
	s.pos = i
	return i > start
}
