package policy

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/go-mcpauth/sdk/internal/strictjson"
	"github.com/go-mcpauth/sdk/mcpauth"
)

// Arguments decodes the arguments of a call, for a [Func] and for engines: objects as map[string]any, arrays
// as []any, numbers as json.Number, so that no digit is lost. Without arguments the map is empty.
//
// Arguments that are not one object, that hold a name twice, or two names of one object that differ in
// case alone, are an error, which quotes nothing. A name that stands there in another case alone is
// another name: decide by what is there, and not by what is missing.
func Arguments(call *mcpauth.Call) (map[string]any, error) {
	if noArguments(call.Arguments) {
		return map[string]any{}, nil
	}
	arguments, err := strictjson.Object(call.Arguments, strictjson.Limits{})
	if err != nil {
		return nil, errArguments
	}
	if foldsTwice(arguments) {
		return nil, errCase
	}
	return arguments, nil
}

// noArguments reports whether there are none. The Go SDK writes null for a prompt without any.
func noArguments(raw json.RawMessage) bool {
	text := bytes.Trim(raw, " \t\r\n")
	return len(text) == 0 || string(text) == "null"
}

// foldsTwice reports whether two names of one object differ in case alone.
func foldsTwice(v any) bool {
	switch v := v.(type) {
	case map[string]any:
		seen := make(map[string]bool, len(v))
		for name, member := range v {
			// Upper case first: it alone takes the long s for an s.
			folded := strings.ToLower(strings.ToUpper(name))
			if seen[folded] || foldsTwice(member) {
				return true
			}
			seen[folded] = true
		}
	case []any:
		for _, element := range v {
			if foldsTwice(element) {
				return true
			}
		}
	}
	return false
}
