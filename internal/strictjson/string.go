package strictjson

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

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
