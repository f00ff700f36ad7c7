package introspect

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/jwks"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/strictjson"
)

const (
	answerType    = "token-introspection+jwt" // RFC 9701, Section 5
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
	maxHeader     = 4 << 10
	maxKeyID      = 1024
	maxCandidates = 8
)

// A KeySource finds the keys of the authorization server: in use, a *jwks.Set.
type KeySource interface {
	Lookup(ctx context.Context, kid, alg string) ([]*jwks.Key, error)
}

// A refresher is a KeySource that can look for keys that are newer than those it gave.
type refresher interface {
	LookupAgain(ctx context.Context, kid, alg string, tried []*jwks.Key) ([]*jwks.Key, error)
}

// Signed configures answers in the form of RFC 9701. Issuer, Audiences and Keys are required. Encrypted
// answers are refused.
type Signed struct {
	Issuer string // iss, compared byte for byte
	// Audiences are the names of this resource server of which aud must hold one: its client id, as a rule
	// (RFC 9701, Section 5), or the resource identifier.
	Audiences  []string
	Algorithms []string // accepted alg values; nil accepts every one in jws.Algorithms
	Keys       KeySource
	// Leeway is how far the clocks may differ. Zero means 30 s, a negative value none; more than 5 min is
	// refused by [New].
	Leeway time.Duration
}

// signed is a Signed made ready.
type signed struct {
	Signed
	leeway time.Duration
}

func (s *Signed) compile() (*signed, error) {
	var errs []error
	out := &signed{Signed: *s}
	if s.Issuer == "" {
		errs = append(errs, mistake("Signed.Issuer", "is empty; write the issuer exactly as it stands in iss"))
	}
	if len(s.Audiences) == 0 || slices.Contains(s.Audiences, "") {
		errs = append(errs, mistake("Signed.Audiences", "is empty or holds an empty string; write the client id of this resource server"))
	}
	if s.Keys == nil {
		errs = append(errs, mistake("Signed.Keys", "no source of keys; no answer could ever be verified"))
	}
	if s.Algorithms == nil {
		out.Algorithms = jws.Algorithms()
	} else if len(s.Algorithms) == 0 {
		errs = append(errs, mistake("Signed.Algorithms", "is an empty list; leave it nil for the default"))
	}
	for _, alg := range out.Algorithms {
		if jws.MethodOf(alg) == nil {
			errs = append(errs, mistake("Signed.Algorithms", "%q cannot be accepted; choose from %s", alg, strings.Join(jws.Algorithms(), ", ")))
		}
	}
	switch {
	case s.Leeway == 0:
		out.leeway = defaultLeeway
	case s.Leeway > maxLeeway:
		errs = append(errs, mistake("Signed.Leeway", "%v is more than %v; synchronize the clocks instead", s.Leeway, maxLeeway))
	case s.Leeway > 0:
		out.leeway = s.Leeway
	}
	return out, errors.Join(errs...)
}

// forged refuses a signed answer that cannot be believed. Whoever sent it, the token may be good.
func forged(expected, got string, err error) *Error {
	e := malformed(expected, got, err)
	e.Cure = "check that the authorization server signs its answers for this client, and the settings of Signed"
	return e
}

// open verifies a signed answer and returns its token_introspection (RFC 9701, Section 5).
func (s *signed) open(ctx context.Context, body []byte, asked, now time.Time) (map[string]any, *Error) {
	text := string(body)
	p := jws.Split(text)
	if !p.OK() {
		// Plain JSON above all: taking it would make the signature optional.
		return nil, forged("a signed JWT of three parts (RFC 9701)", "something else", nil)
	}
	h, refusal := s.readHeader(p.Header)
	if refusal != nil {
		return nil, refusal
	}
	signature, err := jws.Decode(p.Signature)
	if err != nil {
		return nil, forged("a signature in base64url", "other bytes", nil)
	}
	payload, err := jws.Decode(p.Payload)
	if err != nil {
		return nil, forged("claims in base64url", "other bytes", nil)
	}
	if refusal := s.verify(ctx, h, text[:len(p.Header)+1+len(p.Payload)], signature); refusal != nil {
		return nil, refusal
	}
	claims, err := strictjson.Object(payload, strictjson.Limits{MaxDepth: maxDepth})
	if err != nil {
		return nil, forged("claims that are one JSON object without duplicates", "something else", err)
	}
	return s.accept(claims, asked, now)
}

type header struct{ alg, kid, typ string }

var headerNames = []string{"alg", "typ", "kid", "crit", "b64", "zip", "enc"}

// readHeader reads the JOSE header. jwk, jku, x5u, x5c and unknown members are ignored: none of them may choose
// a key (RFC 8725, Section 3.10).
func (s *signed) readHeader(encoded string) (*header, *Error) {
	if len(encoded) > maxHeader {
		return nil, forged("a header of a few hundred bytes", "a longer one", nil)
	}
	text, err := jws.Decode(encoded)
	if err != nil {
		return nil, forged("a header in base64url", "other bytes", nil)
	}
	var h header
	sc := strictjson.NewScanner(text, strictjson.Limits{MaxDepth: maxDepth})
	err = sc.Object(func(name []byte) (err error) {
		switch string(name) {
		case "alg":
			h.alg, err = sc.String()
		case "kid":
			h.kid, err = sc.String()
		case "typ":
			h.typ, err = sc.String()
		case "crit", "b64", "zip", "enc": // RFC 7515, Section 4.1.11; RFC 7797, Section 7
			err = errors.New("an extension that is not understood")
		default:
			if jws.VariantOf(name, headerNames) != "" {
				err = errors.New("a member in other letters")
			}
		}
		return err
	})
	if err == nil {
		err = sc.End()
	}
	switch {
	case err != nil:
		return nil, forged("a header that is one JSON object, with strings for alg, typ and kid and without extensions", "something else", err)
	case len(h.kid) > maxKeyID:
		return nil, forged("a kid of at most 1024 bytes", "a longer one", nil)
	case !isAnswerType(h.typ):
		// RFC 9701, Section 8.1: no other kind of JWT, above all no access token, may pass for an answer.
		return nil, forged("typ "+answerType, "none, or another kind of JWT", nil)
	case !slices.Contains(s.Algorithms, h.alg):
		return nil, forged("an alg in Signed.Algorithms", "another one", nil)
	}
	return &h, nil
}

// isAnswerType compares as media types are: without case, application/ being optional (RFC 7515, Section
// 4.1.9). Lengths are compared as well, so that no letter outside ASCII folds onto one of ours.
func isAnswerType(typ string) bool {
	for _, want := range [...]string{answerType, "application/" + answerType} {
		if len(typ) == len(want) && strings.EqualFold(typ, want) {
			return true
		}
	}
	return false
}

func (s *signed) verify(ctx context.Context, h *header, input string, signature []byte) *Error {
	method := jws.MethodOf(h.alg)
	keys, err := s.Keys.Lookup(ctx, h.kid, h.alg)
	if err != nil && !errors.Is(err, jwks.ErrUnknownKey) {
		return unavailable("the keys of the authorization server", "none at the moment", "check that this server can reach its jwks_uri", err)
	}
	if anyVerifies(method, keys, input, signature) {
		return nil
	}
	if source, ok := s.Keys.(refresher); ok && len(keys) > 0 {
		// A new key may stand under an old kid.
		if fresh, err := source.LookupAgain(ctx, h.kid, h.alg, keys); err == nil && anyVerifies(method, fresh, input, signature) {
			return nil
		}
	}
	return forged("a signature by a key of the authorization server", "one that does not verify", err)
}

func anyVerifies(method *jws.Method, keys []*jwks.Key, input string, signature []byte) bool {
	for _, key := range keys[:min(len(keys), maxCandidates)] {
		if method.Verify(key, input, signature) {
			return true
		}
	}
	return false
}

var signedNames = []string{"iss", "aud", "iat", "exp", "nbf", "token_introspection"}

// accept checks the claims around the answer. Nothing in them names the token, so an old answer could stand
// for another token: it must have been made after we asked.
func (s *signed) accept(claims map[string]any, asked, now time.Time) (map[string]any, *Error) {
	for name := range claims {
		if known := jws.VariantOf(name, signedNames); known != "" {
			return nil, forged("claim "+known, "a spelling of it with other letters", nil)
		}
	}
	if iss, _ := claims["iss"].(string); iss != s.Issuer {
		return nil, forged("iss of Signed.Issuer", "another one, or none", nil)
	}
	if !s.isFor(claims["aud"]) {
		return nil, forged("aud with one of Signed.Audiences", "others, or none", nil)
	}
	made, ok := date(claims["iat"])
	switch {
	case !ok:
		return nil, forged("iat as a number", "none, or something else", nil)
	case made.After(now.Add(s.leeway)):
		return nil, forged("iat until now", "an answer from the future; synchronize the clocks", nil)
	case made.Before(asked.Add(-s.leeway).Truncate(time.Second)):
		return nil, forged("iat after the request", "an older answer; it is replayed or cached, or the clocks differ", nil)
	}
	if value, ok := claims["exp"]; ok { // RFC 9701, Section 5 advises against it
		if expiry, ok := date(value); !ok || !now.Add(-s.leeway).Before(expiry) {
			return nil, forged("exp in the future", "an answer that is over", nil)
		}
	}
	if value, ok := claims["nbf"]; ok {
		if begin, ok := date(value); !ok || begin.After(now.Add(s.leeway)) {
			return nil, forged("nbf in the past", "an answer that is not valid yet", nil)
		}
	}
	answer, ok := claims["token_introspection"].(map[string]any)
	if !ok {
		return nil, forged("token_introspection as an object", "none, or another type", nil)
	}
	return answer, nil
}

// isFor reports whether aud, a string or an array of strings, names this resource server.
func (s *signed) isFor(aud any) bool {
	switch aud := aud.(type) {
	case string:
		return slices.Contains(s.Audiences, aud)
	case []any:
		return slices.ContainsFunc(aud, func(member any) bool {
			name, ok := member.(string)
			return ok && slices.Contains(s.Audiences, name)
		})
	}
	return false
}
