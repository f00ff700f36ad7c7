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
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"math/bits"
	"unicode/utf8"
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

// stringBytes reads a string. Without escapes the result aliases the data.
func (s *Scanner) stringBytes() ([]byte, error) {
	raw, escaped, err := s.stringSpan()
	if err != nil || !escaped {
		return raw, err
	}
	return unescape(raw), nil
}

// stringSpan passes over a string and returns what stands between the quotes. It validates
// escapes and UTF-8, so that unescape cannot fail.
//
// It takes eight bytes at a time, since the strings of a large body are nearly all of it.
func (s *Scanner) stringSpan() (raw []byte, escaped bool, err error) {
	data, i := s.data, s.pos+1 // the quote was seen by the caller
	start, ascii := i, true
	for {
		if i+8 <= len(data) {
			marks := special(binary.LittleEndian.Uint64(data[i:]))
			if marks == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(marks) / 8
		} else if i < len(data) && special(uint64(data[i])|fill) == 0 {
			i++
			continue
		}
		s.pos = i
		switch c := s.peek(); {
		case c == '"':
			raw = data[start:i:i]
			if !ascii && !utf8.Valid(raw) {
				return nil, false, s.fail(ErrUTF8)
			}
			s.pos++
			return raw, escaped, nil
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
			i = s.pos
		case c >= utf8.RuneSelf:
			ascii = false
			for i < len(data) && data[i] >= utf8.RuneSelf {
				i++
			}
		default:
			return nil, false, s.fail(ErrSyntax) // a control character, or the end
		}
	}
}

func (s *Scanner) escape() error {
	s.pos++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.pos++
		return nil
	case 'u':
	default:
		return s.fail(ErrSyntax)
	}
	r, ok := hex4(s.data, s.pos+1)
	if !ok {
		return s.fail(ErrSyntax)
	}
	s.pos += 5
	if !isSurrogate(r) {
		return nil
	}
	// RFC 8259, Section 8.2: a lone surrogate means different things to different parsers.
	if isHighSurrogate(r) && s.peek() == '\\' && s.pos+1 < len(s.data) && s.data[s.pos+1] == 'u' {
		if low, ok := hex4(s.data, s.pos+2); ok && isSurrogate(low) && !isHighSurrogate(low) {
			s.pos += 6
			return nil
		}
	}
	return s.fail(ErrUTF8)
}

// unescape undoes the escapes of a string that stringSpan has validated.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			next := bytes.IndexByte(raw[i:], '\\')
			if next < 0 {
				next = len(raw) - i
			}
			out = append(out, raw[i:i+next]...)
			i += next
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r, _ := hex4(raw, i+2)
			if isHighSurrogate(r) {
				low, _ := hex4(raw, i+8)
				r = 0x10000 + (r-0xD800)<<10 + (low - 0xDC00)
				i += 6
			}
			out = utf8.AppendRune(out, r)
			i += 4
		default:
			out = append(out, c)
		}
		i += 2
	}
	return out
}

func isSurrogate(r rune) bool     { return 0xD800 <= r && r <= 0xDFFF }
func isHighSurrogate(r rune) bool { return 0xD800 <= r && r <= 0xDBFF }

func hex4(data []byte, at int) (rune, bool) {
	if at+4 > len(data) {
		return 0, false
	}
	var r rune
	for _, c := range data[at : at+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
	fill  = ones * 'x' &^ 0xff // seven plain bytes above the one looked at
)

// special sets the highest bit of the lowest byte of x that needs a look: a control character, a
// quote, a backslash, or a byte outside ASCII. Bits above that one mean nothing, since the
// subtractions borrow; without such a byte there are none.
func special(x uint64) uint64 {
	quote, slash := x^(ones*'"'), x^(ones*'\\')
	return (x | (x - ones*0x20) | (quote - ones) | (slash - ones)) & highs
}

// few is how many names of one object are compared one by one before a nameSet takes over.
const few = 12

var seed = maphash.MakeSeed()

// keyOf stands for a name in comparisons. A name of up to seven bytes is its own key. The key of a
// longer one is a hash, marked by the highest bit: two such names with one key count as duplicates.
// The hash is keyed at random for each process, so nobody can aim for that, and among a million
// names it happens once in 10^7 bodies: doubt refuses.
func keyOf(name []byte) uint64 {
	n := len(name)
	key := uint64(n) << 56
	switch {
	case n > 7:
		return maphash.Bytes(seed, name) | 1<<63
	case n >= 4: // two halves that overlap where they agree
		key |= uint64(binary.LittleEndian.Uint32(name)) | uint64(binary.LittleEndian.Uint32(name[n-4:]))<<(8*(n-4))
	case n > 0:
		key |= uint64(name[0]) | uint64(name[n/2])<<(8*(n/2)) | uint64(name[n-1])<<(8*(n-1))
	}
	return key
}

// remember reports whether name is new in the object whose names begin at first.
func (s *Scanner) remember(name []byte, first int, seen *nameSet) bool {
	key := keyOf(name)
	if seen.used > 0 {
		return seen.add(key)
	}
	own := s.names[first:]
	for _, other := range own {
		if other == key {
			return false
		}
	}
	if len(own) < few {
		s.names = append(s.names, key)
		return true
	}
	for _, other := range own {
		seen.add(other)
	}
	return seen.add(key)
}

// A nameSet holds the keys of the names of one large object, eight bytes for each.
type nameSet struct {
	slots []uint64 // key + 1, since 0 marks a free slot; no key is the largest number but by chance
	used  int
}

func (n *nameSet) add(key uint64) bool {
	if 2*(n.used+1) > len(n.slots) {
		old := n.slots
		n.slots = make([]uint64, max(4*few, 2*len(old)))
		for _, k := range old {
			if k != 0 {
				n.insert(k)
			}
		}
	}
	if !n.insert(max(key+1, 1)) {
		return false
	}
	n.used++
	return true
}

func (n *nameSet) insert(slot uint64) bool {
	// The keys of short names can be chosen, so their places must not follow from them.
	i := maphash.Comparable(seed, slot) % uint64(len(n.slots))
	for n.slots[i] != 0 {
		if n.slots[i] == slot {
			return false
		}
		if i++; i == uint64(len(n.slots)) {
			i = 0
		}
	}
	n.slots[i] = slot
	return true
}
