package dpop

import (
	"bytes"
	"math"
	"strconv"
	"time"

	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

// maxID bounds a jti. Real ones are UUIDs and random strings of a few dozen bytes.
const maxID = 256

// claims are the members of a proof that mean something here. Texts alias the payload.
type claims struct {
	jti, htm, htu, ath, nonce []byte
	iat                       []byte // a JSON number
	has                       uint8
}

const (
	hasID = 1 << iota
	hasMethod
	hasURL
	hasTime
	hasToken
	hasNonce
)

var claimNames = []string{"jti", "htm", "htu", "iat", "ath", "nonce"}

// readClaims checks the form of the payload: one strict JSON object with the members that RFC 9449,
// Section 4.2 wants, of the right types. All others are ignored.
func (v *Verifier) readClaims(encoded string) (*claims, *Error) {
	payload, err := jws.Decode(encoded)
	if err != nil {
		return nil, malformed("claims in canonical base64url", "other bytes", nil)
	}
	c := new(claims)
	var refusal *Error
	s := strictjson.NewScanner(payload, strictjson.Limits{MaxDepth: maxDepth})
	err = s.Object(func(name []byte) (err error) {
		switch string(name) {
		case "jti":
			c.has |= hasID
			c.jti, err = readText(s)
		case "htm":
			c.has |= hasMethod
			c.htm, err = readText(s)
		case "htu":
			c.has |= hasURL
			c.htu, err = readText(s)
		case "ath":
			c.has |= hasToken
			c.ath, err = readText(s)
		case "nonce":
			c.has |= hasNonce
			c.nonce, err = readText(s)
		case "iat":
			if s.Kind() != strictjson.NumberKind {
				return strictjson.ErrType
			}
			c.has |= hasTime
			c.iat, err = s.Raw()
		default:
			if known := jws.VariantOf(name, claimNames); known != "" && refusal == nil {
				refusal = malformed("claim "+known, "a spelling of it with other letters", nil)
			}
		}
		return err
	})
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return nil, malformed("claims that are one JSON object, with a number for iat and strings for the others", "something else", err)
	}
	if refusal != nil {
		return nil, refusal
	}
	need := uint8(hasID | hasMethod | hasURL | hasTime | hasToken)
	if v.issuance {
		need &^= hasToken // RFC 9449, Section 4.2: ath goes with an access token
	}
	for i, name := range [...]string{"jti", "htm", "htu", "iat", "ath"} {
		if need&^c.has&(1<<i) != 0 {
			return nil, malformed("claim "+name, "none", nil)
		}
	}
	return c, nil
}

// readText is Scanner.String that allocates only where there are escapes.
func readText(s *strictjson.Scanner) ([]byte, error) {
	if s.Kind() != strictjson.StringKind {
		return nil, strictjson.ErrType
	}
	raw, err := s.Raw()
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1], nil
	}
	text, err := strictjson.NewScanner(raw, strictjson.Limits{}).String()
	return []byte(text), err
}

// Dates outside the years 1 to 9999 are moved to the nearest end, where no window reaches.
const (
	firstSecond = -62135596799
	lastSecond  = 253402300799
)

// parseTime reads a NumericDate (RFC 7519, Section 2). Its grammar has been checked.
func parseTime(number []byte) time.Time {
	if sec, err := strconv.ParseInt(string(number), 10, 64); err == nil {
		return time.Unix(min(max(sec, firstSecond), lastSecond), 0)
	}
	// Fractions and exponents. A float64 of these years is exact to less than a microsecond; what is too
	// large for one becomes an infinity.
	f, _ := strconv.ParseFloat(string(number), 64)
	sec, fraction := math.Modf(min(max(f, firstSecond), lastSecond))
	return time.Unix(int64(sec), int64(fraction*1e9))
}
