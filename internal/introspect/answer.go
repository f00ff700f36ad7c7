package introspect

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

const (
	maxAnswer = 256 << 10 // as many groups as anybody has
	maxDepth  = 32
)

// answerNames are the members that decide something here. Another spelling of one is refused: what one
// decoder ignores replaces the real member in another.
var answerNames = []string{"active", "exp"}

// read turns the body of a 200 into an Answer, without claims where the token is inactive.
func (c *Client) read(ctx context.Context, body []byte, asked time.Time) (*Answer, *Error) {
	if len(body) > maxAnswer {
		return nil, malformed("an answer of at most "+strconv.Itoa(maxAnswer)+" bytes", strconv.Itoa(len(body))+" bytes", nil)
	}
	var claims map[string]any
	var refusal *Error
	if c.signed == nil {
		claims, refusal = parse(body)
	} else {
		claims, refusal = c.signed.open(ctx, body, asked, c.cfg.Now())
	}
	if refusal != nil {
		return nil, refusal
	}
	active, refusal := isActive(claims)
	if refusal != nil {
		return nil, refusal
	}
	if !active {
		// RFC 7662, Section 2.2: nothing else is to be said of an inactive token.
		return &Answer{asked: asked, Until: asked.Add(max(c.cfg.MaxNegativeAge, 0))}, nil
	}
	return &Answer{Claims: claims, asked: asked, Until: usableUntil(claims, asked, max(c.cfg.MaxAge, 0))}, nil
}

func parse(body []byte) (map[string]any, *Error) {
	claims, err := strictjson.Object(body, strictjson.Limits{MaxDepth: maxDepth})
	if err == nil {
		return claims, nil
	}
	refusal := malformed("one JSON object without duplicates", "something else", err)
	if p := jws.Split(string(body)); p.OK() {
		refusal.Got = "what may be a signed answer"
		refusal.Cure = "configure signed answers (RFC 9701), or have the authorization server send plain ones to this client"
	}
	return nil, refusal
}

// isActive reads active, the one member that must be there: a boolean, since "false" and 0 are true to some
// languages and "true" to none of the specification (RFC 7662, Section 2.2).
func isActive(claims map[string]any) (bool, *Error) {
	for name := range claims {
		if known := jws.VariantOf(name, answerNames); known != "" {
			return false, malformed("member "+known, "a spelling of it with other letters", nil)
		}
	}
	active, ok := claims["active"].(bool)
	if !ok {
		return false, malformed("active as a boolean", "none, or another type", nil)
	}
	return active, nil
}

// usableUntil is the end of an answer: after maxAge, and not past exp (RFC 7662, Section 4). Without a good
// exp where there is one, it is over at once: whoever judges the claims refuses it.
func usableUntil(claims map[string]any, asked time.Time, maxAge time.Duration) time.Time {
	until := asked.Add(maxAge)
	value, ok := claims["exp"]
	if !ok {
		return until
	}
	expiry, ok := date(value)
	if !ok {
		return asked
	}
	if expiry.Before(until) {
		return expiry
	}
	return until
}

// Dates outside the years 1 to 9999 are moved to the nearest end.
const (
	firstSecond = -62135596799
	lastSecond  = 253402300799
)

// date reads a NumericDate (RFC 7519, Section 2) in whole seconds, which is exact enough for a float64, and
// cut towards the past.
func date(value any) (time.Time, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, _ := strconv.ParseFloat(string(number), 64) // what is too large becomes an infinity
	return time.Unix(int64(min(max(f, firstSecond), lastSecond)), 0), true
}
