package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strconv"

	"github.com/go-mcpauth/sdk/internal/strictjson"
)

const (
	maxPrefix = 64 << 10 // of a body that is read for the sake of its id only
	maxID     = 256      // bytes of an id that is sent back
)

// errDoubt ends the search for an id.
var errDoubt = errors.New("envelope: no certain id")

// RequestID returns the id of the single request in body, for the answer that refuses it: the Go
// client closes its whole session on a refusal without the id. It looks at the first 64 KiB, and
// body may end anywhere.
//
// The result is a JSON string or number of at most 256 bytes, not shared with body. It is nil
// whenever there is doubt: a notification, a response, a batch, a member of the message twice or in
// another case, an id of another type, text that is no JSON, or an end before both id and method.
func RequestID(body []byte) json.RawMessage {
	if len(body) > maxPrefix {
		body = body[:maxPrefix]
	}
	s := strictjson.NewScanner(body, strictjson.Limits{MaxDepth: defaultDepth})
	var id []byte
	var request bool
	err := s.Object(func(name []byte) error {
		kind := s.Kind()
		switch string(name) {
		case "jsonrpc":
			if version, err := s.String(); err != nil || version != "2.0" {
				return errDoubt
			}
			return nil
		case "id":
			raw, err := s.Raw()
			if err != nil {
				return err
			}
			// A number that the text ends with may have had more digits.
			if kind == strictjson.NumberKind && s.Offset() == len(body) {
				return errDoubt
			}
			if len(raw) > maxID || !validID(raw) {
				return errDoubt
			}
			id = raw
			return nil
		case "method":
			if method, err := s.String(); err != nil || method == "" {
				return errDoubt
			}
			request = true
			return nil
		case "params":
			return nil
		case "result", "error":
			return errDoubt
		}
		return foreign(name, messageMembers)
	})
	switch {
	case err == nil && s.End() != nil:
		return nil
	case err != nil && !(errors.Is(err, strictjson.ErrSyntax) && s.Offset() == len(body)):
		return nil // not just an early end
	case !request:
		return nil
	}
	return bytes.Clone(id)
}

// validID reports whether go-sdk takes raw, one JSON value, for an id and answers with its value:
// a string, or a number that is integral and fits 64 bits. go-sdk cuts 1.5 down to 1, which would
// be the id of another request.
func validID(raw []byte) bool {
	switch c := raw[0]; {
	case c == '"':
		return true
	case c != '-' && (c < '0' || '9' < c):
		return false
	}
	if len(raw) <= 15 && bytes.IndexFunc(raw[1:], notDigit) < 0 {
		return true
	}
	v, err := strconv.ParseFloat(string(raw), 64)
	return err == nil && v == math.Trunc(v) && math.Abs(v) < 1<<63
}

func notDigit(r rune) bool { return r < '0' || '9' < r }
