package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

// Claim holds if the caller's claim at a JSON Pointer (RFC 6901) such as "/email_verified" or
// "/realm_access/roles" is one of the values, or an array of strings with one of them. Strings are compared
// whole and with case, numbers as 64-bit integers. Without values it is the zero Condition.
//
// A claim that is missing or of another type, such as an array that holds anything but strings, gives
// nothing: it cannot be told. Nor can it of one that the token says is elsewhere, whatever part of it is there (OpenID
// Connect Core 1.0, Section 5.6.2). The same value from two issuers may mean two things; where several are
// configured, put Claim("/iss", ...) beside it. It panics if the pointer is none or names the whole token.
//
// Scopes and roles belong into the rule of a tool, since clients can then be told what they lack.
func Claim[T string | bool | int | int64](pointer string, values ...T) Condition {
	checkPointer("Claim", pointer)
	if len(values) == 0 {
		return Condition{}
	}
	var texts []string
	var flags []bool
	var numbers []int64
	for _, value := range values {
		switch v := any(value).(type) {
		case string:
			texts = append(texts, v)
		case bool:
			flags = append(flags, v)
		case int:
			numbers = append(numbers, int64(v))
		case int64:
			numbers = append(numbers, v)
		}
	}
	return leaf("claim("+pointer+" "+quoted(values)+")", func(q question) answer {
		var claim any
		if found, err := claimOf(q, pointer, &claim); err != nil || !found {
			return doubts("the caller has no such claim")
		}
		switch v := claim.(type) {
		case string:
			if texts != nil {
				if slices.Contains(texts, v) {
					return holds()
				}
				return fails("it is " + short(v))
			}
		case bool:
			if flags != nil {
				return answerOf(slices.Contains(flags, v), "it is the other one")
			}
		case json.Number:
			if n, err := v.Int64(); err == nil && numbers != nil {
				return answerOf(slices.Contains(numbers, n), "it is another number")
			}
		case []any:
			if list, ok := stringsOf(v); ok && texts != nil {
				return answerOf(slices.ContainsFunc(list, func(s string) bool { return slices.Contains(texts, s) }), "none of its elements is among them")
			}
		}
		return doubts("the claim has another type")
	})
}

// Tenant is [Claim] for a claim that says to which tenant a caller belongs, such as "/tid" or "/org_id".
// It must be a single string: of a caller with a list of tenants it cannot be told which one is meant.
// Where the call names a tenant, write [ArgumentIsClaim].
func Tenant(pointer string, tenants ...string) Condition {
	checkPointer("Tenant", pointer)
	if len(tenants) == 0 {
		return Condition{}
	}
	tenants = slices.Clone(tenants)
	return leaf("tenant("+pointer+" "+quoted(tenants)+")", func(q question) answer {
		var tenant string
		if found, err := claimOf(q, pointer, &tenant); err != nil || !found || tenant == "" {
			return doubts("the caller has no such claim, or it is no string")
		}
		if !slices.Contains(tenants, tenant) {
			return fails("it is " + short(tenant))
		}
		return holds()
	})
}

// Delegated holds if somebody acts for the subject, an agent say: the token has an act claim (RFC 8693,
// Section 4.1). Who it is says Claim("/act/sub", ...). Not(Delegated()) keeps agents out that act by token
// exchange, and not those to which a person gave a token of their own.
func Delegated() Condition {
	return leaf("delegated", func(q question) answer {
		var act any
		found, err := claimOf(q, "/act", &act)
		if q.call.Principal.ID() == "" || err != nil {
			return doubts("there is no caller, or the token says that the claim is elsewhere")
		}
		if !found {
			return fails("the token has no act claim")
		}
		if _, ok := act.(map[string]any); !ok {
			return doubts("the act claim is no object")
		}
		return holds()
	})
}

var errElsewhere = errors.New("the token says that the claim is elsewhere")

// claimOf is Principal.Claim for a claim that is not elsewhere.
func claimOf(q question, pointer string, v any) (found bool, err error) {
	var absent any
	if found, err := q.call.Principal.Claim("/_claim_names", &absent); err != nil || found {
		name, _, _ := strings.Cut(pointer[1:], "/")
		claim, _ := jsonpointer.Parse("/" + name) // the pointer was checked; what cannot be read would be elsewhere
		_, elsewhere := claim.Get(absent)
		if _, readable := absent.(map[string]any); elsewhere || !readable {
			return false, errElsewhere
		}
	}
	return q.call.Principal.Claim(pointer, v)
}

func checkPointer(function, pointer string) {
	if _, err := jsonpointer.Parse(pointer); err != nil || pointer == "" {
		panic(fmt.Sprintf("policy: %s: %q is no JSON Pointer to a claim; write it with a slash, such as /tenant", function, pointer))
	}
	checkPrintable(function, pointer)
}

// checkPrintable keeps the texts of conditions on one line.
func checkPrintable(function, s string) {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		panic(fmt.Sprintf("policy: %s: %q has a control character", function, s))
	}
}

// stringsOf is the array as strings, if it holds nothing else.
func stringsOf(array []any) ([]string, bool) {
	list := make([]string, len(array))
	for i, element := range array {
		s, ok := element.(string)
		if !ok {
			return nil, false
		}
		list[i] = s
	}
	return list, true
}
