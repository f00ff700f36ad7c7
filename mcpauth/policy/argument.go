package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// A Value is the type that [Argument] reads a JSON value as. An int64 is written without fraction and
// exponent; a float64 is rounded, so money is better an int64.
type Value interface {
	string | bool | int64 | float64 | []string
}

// Argument holds if the argument of a tool or prompt has this type and ok says so. It is named as it stands in
// the call, "amount", or by a JSON Pointer (RFC 6901), "/order/items/0".
//
// It cannot be told, and so the call is refused, if the argument is missing, null or of another type; if the
// arguments are not an object, or hold any name twice; or if a name on the way to the argument is there in
// another case as well, which lenient tools would take for it. Lists have no arguments and show what
// depends on them. Neither the value nor what ok panics with is logged.
//
// It panics if the name is empty or no pointer, or ok is nil.
func Argument[T Value](argument string, ok func(T) bool) Condition {
	path := parsePath("Argument", argument)
	if ok == nil {
		panic("policy: Argument: ok is nil")
	}
	var zero T
	return leaf(fmt.Sprintf("argument(%s %T)", argument, zero), func(q question) answer {
		if q.listing {
			return dependsOnArguments()
		}
		value, refused := argumentOf[T](q.call.Arguments, path)
		if refused != "" {
			return doubts(refused)
		}
		return answerOf(ok(value), "its value is not allowed")
	})
}

// OptionalArgument is [Argument] that also holds if there is no such argument.
func OptionalArgument[T Value](argument string, ok func(T) bool) Condition {
	return Or(Not(HasArgument(argument)), Argument(argument, ok))
}

// HasArgument holds if there is such an argument, null included. It is named as for [Argument], and as
// little can be told about arguments that are malformed.
func HasArgument(argument string) Condition {
	path := parsePath("HasArgument", argument)
	return leaf("has-argument("+argument+")", func(q question) answer {
		if q.listing {
			return dependsOnArguments()
		}
		raw, err := path.find(q.call.Arguments)
		if err != nil {
			return doubts(err.Error())
		}
		return answerOf(raw != nil, "there is no such argument")
	})
}

// ArgumentIsClaim holds if the argument is a string and is the caller's claim at the pointer, or an element
// of it if it is an array of strings: a call about the caller's own tenant, project or mailbox. The claim
// is read as by [Claim], without its values, and the argument as by [Argument]. Lists hide what is for
// callers with the claim from those without it.
func ArgumentIsClaim(argument, pointer string) Condition {
	path := parsePath("ArgumentIsClaim", argument)
	checkPointer("ArgumentIsClaim", pointer)
	return leaf("argument("+argument+") is claim("+pointer+")", func(q question) answer {
		var claim any
		if found, err := claimOf(q, pointer, &claim); err != nil || !found {
			return doubts("the caller has no such claim")
		}
		own, ok := []string(nil), false
		switch v := claim.(type) {
		case string:
			own, ok = []string{v}, true
		case []any:
			own, ok = stringsOf(v)
		}
		switch {
		case !ok:
			return doubts("the claim is neither a string nor an array of strings")
		case len(own) == 0:
			return fails("the claim is an empty array")
		case q.listing:
			return dependsOnArguments()
		}
		value, refused := argumentOf[string](q.call.Arguments, path)
		if refused != "" {
			return doubts(refused)
		}
		return answerOf(value != "" && slices.Contains(own, value), "they differ")
	})
}

// argumentOf reads one argument, or says why not.
func argumentOf[T Value](arguments json.RawMessage, path path) (value T, refused string) {
	raw, err := path.find(arguments)
	if err != nil {
		return value, err.Error()
	}
	if raw == nil {
		return value, "there is no such argument"
	}
	if err := decode(raw, &value); err != nil {
		return value, fmt.Sprintf("the argument is no %T", value)
	}
	return value, ""
}

var errType = errors.New("another type")

// decode reads a JSON value that was scanned before. It is strict: what T cannot hold is an error.
func decode(raw []byte, into any) (err error) {
	s := strictjson.NewScanner(raw, strictjson.Limits{})
	switch v := into.(type) {
	case *string:
		*v, err = s.String()
	case *bool:
		if s.Kind() != strictjson.BoolKind {
			return errType
		}
		*v = string(raw) == "true"
	case *int64: // a string stands in quotes and is no number to strconv
		*v, err = strconv.ParseInt(string(raw), 10, 64)
	case *float64:
		*v, err = strconv.ParseFloat(string(raw), 64)
	case *[]string:
		list := []string{}
		err = s.Array(func(int) error {
			element, err := s.String()
			list = append(list, element)
			return err
		})
		*v = list
	default:
		return errType
	}
	return err
}

// A path leads to an argument, by member names and array indexes.
type path []string

func parsePath(function, argument string) path {
	if argument == "" {
		panic(fmt.Sprintf("policy: %s: the name of the argument is empty", function))
	}
	checkPrintable(function, argument)
	if argument[0] != '/' {
		return path{argument}
	}
	if _, err := jsonpointer.Parse(argument); err != nil {
		panic(fmt.Sprintf("policy: %s: %v", function, err))
	}
	steps := strings.Split(argument[1:], "/")
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
	}
	return steps
}

var (
	errArguments = errors.New("the arguments are malformed")
	errCase      = errors.New("the arguments have such a name in another case")
)

// find returns the text of the argument, nil if there is none, or an error if two readers could see
// different ones. All of the arguments are validated, whatever the path.
func (p path) find(arguments json.RawMessage) (json.RawMessage, error) {
	if noArguments(arguments) {
		return nil, nil
	}
	s := strictjson.NewScanner(arguments, strictjson.Limits{})
	if s.Kind() != strictjson.ObjectKind {
		return nil, errArguments
	}
	raw, err := p.descend(s)
	if err == nil {
		err = s.End()
	}
	if err != nil && !errors.Is(err, errCase) {
		err = errArguments
	}
	return raw, err
}

// descend consumes one value and returns the text of what the path leads to in it.
func (p path) descend(s *strictjson.Scanner) (raw []byte, err error) {
	if len(p) == 0 {
		return s.Raw()
	}
	switch s.Kind() {
	case strictjson.ObjectKind:
		err = s.Object(func(name []byte) error {
			switch {
			case string(name) == p[0]:
				raw, err = p[1:].descend(s)
				return err
			case strictjson.EqualFold(name, p[0]):
				return errCase
			}
			return nil
		})
	case strictjson.ArrayKind:
		wanted, canonical := strconv.Atoi(p[0])
		if canonical != nil || strconv.Itoa(wanted) != p[0] {
			return nil, s.Skip() // leading zeros and signs name nothing (RFC 6901, Section 4)
		}
		err = s.Array(func(i int) error {
			if i == wanted {
				raw, err = p[1:].descend(s)
				return err
			}
			return nil
		})
	default:
		err = s.Skip()
	}
	return raw, err
}
