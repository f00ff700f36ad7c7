package mcpauth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-mcpauth/sdk/internal/jsonpointer"
)

// Claim stores the claim at a JSON Pointer (RFC 6901) such as "/email" or "/realm_access/roles" in
// the variable that v points to and reports whether the claim exists. v is a *string, *bool,
// *int64, *float64, *[]string, *time.Time (a NumericDate) or *any; what is stored shares nothing
// with the Principal. A claim of another JSON type, or a number that does not fit, is an error.
func (p *Principal) Claim(pointer string, v any) (bool, error) {
	ptr, err := jsonpointer.Parse(pointer)
	if err != nil {
		return false, fmt.Errorf("mcpauth: claim pointer: %w", err)
	}
	claims := p.fields().claims
	if claims == nil {
		return false, nil
	}
	found, ok := ptr.Get(claims)
	if !ok {
		return false, nil
	}
	if err := assign(v, found); err != nil {
		return true, fmt.Errorf("mcpauth: claim %s: %w", pointer, err)
	}
	return true, nil
}

// assign stores a decoded claim in the variable that target points to, if it is of the right type.
func assign(target, claim any) error {
	switch v := target.(type) {
	case *string:
		s, ok := claim.(string)
		if !ok {
			return errClaimType(target)
		}
		*v = s
	case *bool:
		b, ok := claim.(bool)
		if !ok {
			return errClaimType(target)
		}
		*v = b
	case *int64:
		n, ok := claim.(json.Number)
		if !ok {
			return errClaimType(target)
		}
		i, err := n.Int64()
		if err != nil {
			return errors.New("the number is no 64-bit integer")
		}
		*v = i
	case *float64:
		n, ok := claim.(json.Number)
		if !ok {
			return errClaimType(target)
		}
		f, err := n.Float64()
		if err != nil {
			return errors.New("the number is too large")
		}
		*v = f
	case *time.Time:
		n, ok := claim.(json.Number)
		if !ok {
			return errClaimType(target)
		}
		f, err := n.Float64()
		if err != nil || math.Abs(f) > 1<<53 {
			return errors.New("the number is no date")
		}
		whole, fraction := math.Modf(f)
		*v = time.Unix(int64(whole), int64(fraction*1e9)).UTC()
	case *[]string:
		list, ok := claim.([]any)
		if !ok {
			return errClaimType(target)
		}
		out := make([]string, len(list))
		for i, e := range list {
			if out[i], ok = e.(string); !ok {
				return errClaimType(target)
			}
		}
		*v = out
	case *any:
		*v = clone(claim)
	default:
		return fmt.Errorf("cannot store a claim in a %T", target)
	}
	return nil
}

func errClaimType(target any) error { return fmt.Errorf("its JSON type does not fit a %T", target) }

// clone copies a decoded JSON value, so that no caller can change a Principal.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = clone(e)
		}
		return out
	case []any:
		out := slices.Clone(v)
		for i, e := range out {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

// Actor is the subject of the act claim (RFC 8693, Section 4.1): who acts for the subject now, or
// empty. Earlier actors, nested inside it, say how the token came about and decide nothing; Claim reads them.
func (p *Principal) Actor() string {
	var sub string
	if ok, err := p.Claim("/act/sub", &sub); !ok || err != nil {
		return ""
	}
	return sub
}

// text is a claim that is a string, or empty.
func (p *Principal) text(claim string) string {
	s, _ := p.fields().claims[claim].(string)
	return s
}

// signedIn is the auth_time claim: when the user signed in. It is zero where the token does not say.
func (p *Principal) signedIn() (at time.Time) {
	if ok, err := p.Claim("/auth_time", &at); !ok || err != nil {
		return time.Time{}
	}
	return at
}
