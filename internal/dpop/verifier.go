// Package dpop decides whether a DPoP proof is good for one request: RFC 9449, Section 4.3. Whether it was
// used before is for the caller to record, last of all and under [Proof.ID], with the thumbprint of
// [Proof.Key], until [Proof.Until].
//
// # Order
//
// What costs nothing comes first, the one signature nearly last: length, form, header, claims, key, the
// key's binding to the token, signature, nonce. So use_dpop_nonce is said only of a proof that is right in
// everything else, and a client that is told so repairs its proof with one more round trip.
//
// # Time
//
// Without nonces, iat must lie within Window of the clock, before or after, and nothing is added to that.
// With nonces the time at which the nonce was made takes the place of iat (RFC 9449, Section 11.1), which
// then only has to be a number: a client whose clock is wrong works all the same.
package dpop

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/explain"
	"github.com/go-mcpauth/sdk/internal/jws"
	"github.com/go-mcpauth/sdk/internal/nonce"
)

const (
	maxProof      = 8 << 10 // of the whole proof, checked before anything is decoded
	defaultWindow = 5 * time.Minute
)

// Config configures a [Verifier].
type Config struct {
	// URL of the resource, which htu must name. It is never taken from a request: Host and X-Forwarded-*
	// are the client's words. A query is dropped. Required.
	URL string

	// Algorithms that proofs may be signed with, in the order in which [Verifier.Algorithms] returns them.
	// Nil: ES256, ES384, PS256, RS256, EdDSA. "none" and the HMACs cannot be enabled.
	Algorithms []string

	// Window is how far iat may lie from the clock, before or after. Zero: 5 min.
	Window time.Duration

	// Nonces are asked for in every proof; nil: in none, and a nonce that is there is ignored.
	Nonces *nonce.Source

	// Issuance says that the proofs come with token requests (RFC 9449, Section 5): there is no access
	// token, so no ath, and [Request.Thumbprint] may be empty. Otherwise both are always needed.
	Issuance bool

	// Now is the clock; nil means [time.Now].
	Now func() time.Time
}

// A Verifier checks proofs for one URL. It is safe for concurrent use. The zero Verifier and a nil one
// refuse every proof.
type Verifier struct {
	plain, normal string // the URL without query: as configured, and normalized
	algorithms    []string
	methods       map[string]*jws.Method
	window        time.Duration
	nonces        *nonce.Source
	issuance      bool
	now           func() time.Time
}

// New returns a Verifier, or every mistake in cfg. It does no I/O.
func New(cfg Config) (*Verifier, error) {
	v := &Verifier{window: cfg.Window, nonces: cfg.Nonces, issuance: cfg.Issuance, now: cfg.Now, methods: map[string]*jws.Method{}}
	var errs []error
	refuse := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf(field+": "+format, args...))
	}
	var ok bool
	if v.normal, ok = normalizeURL(cfg.URL); !ok {
		refuse("URL", "must be an absolute http or https URL of at most %d bytes in the characters of RFC 3986, without user information", maxURL)
	}
	v.plain, _, _ = strings.Cut(cfg.URL, "?")
	if strings.Contains(cfg.URL, "#") {
		refuse("URL", "has a fragment; remove it")
	}
	algorithms := cfg.Algorithms
	if algorithms == nil {
		algorithms = []string{"ES256", "ES384", "PS256", "RS256", "EdDSA"}
	}
	if len(algorithms) == 0 {
		refuse("Algorithms", "is an empty list; leave it nil for the default")
	}
	for _, alg := range algorithms {
		method := jws.MethodOf(alg)
		switch {
		case method == nil:
			refuse("Algorithms", "%q cannot be accepted; choose from %s (names are case-sensitive, none and HMAC cannot be enabled)",
				alg, strings.Join(jws.Algorithms(), ", "))
		case v.methods[alg] != nil:
			refuse("Algorithms", "%q is there twice; remove one", alg)
		default:
			v.methods[alg] = method
			v.algorithms = append(v.algorithms, alg)
		}
	}
	if v.window < 0 {
		refuse("Window", "%v is negative; leave it 0 for %v", v.window, defaultWindow)
	}
	if v.window == 0 {
		v.window = defaultWindow
	}
	if v.now == nil {
		v.now = time.Now
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return v, nil
}

// Algorithms returns what is enforced, for algs in challenges and dpop_signing_alg_values_supported.
func (v *Verifier) Algorithms() []string {
	if v == nil {
		return nil
	}
	return append([]string(nil), v.algorithms...)
}

// A Request is what a proof is checked against.
type Request struct {
	Method string // of the request, with case

	// Proof is the value of the one DPoP field. The caller refuses a request with none or several; two that
	// were joined by a comma are refused here.
	Proof string

	TokenHash  [sha256.Size]byte // SHA-256 of the access token
	Thumbprint string            // cnf.jkt of the access token

	// Known is the key of an accepted proof for the same token, or nil. It only saves work: the proofs of
	// one client share the text of their header, which is then compared instead of parsed.
	Known *Key
}

// A Proof is one that was accepted, unless it was used before.
type Proof struct {
	Key   *Key              // remember it beside the token
	ID    [sha256.Size]byte // SHA-256 of jti
	Until time.Time         // the last moment at which this proof could be accepted again
	Renew bool              // its nonce will not be accepted for long: send a fresh DPoP-Nonce
}

// Verify checks one proof. Any error is an *[Error].
func (v *Verifier) Verify(req Request) (Proof, error) {
	proof, refusal := v.verify(&req)
	if refusal != nil {
		refusal.issuance = v != nil && v.issuance
		return Proof{}, refusal
	}
	return proof, nil
}

func (v *Verifier) verify(req *Request) (Proof, *Error) {
	var none Proof
	if v == nil || len(v.methods) == 0 {
		return none, invalid(ReasonUnready, "a Verifier made by New", "another", nil)
	}
	if len(req.Proof) > maxProof {
		return none, invalid(ReasonTooLong, "at most "+strconv.Itoa(maxProof)+" bytes", strconv.Itoa(len(req.Proof))+" bytes", nil)
	}
	parts := jws.Split(req.Proof)
	if !parts.OK() {
		return none, refuseForm(req.Proof, parts)
	}
	var head *header
	key := req.Known
	if key == nil || key.owner != v || key.header != parts.Header {
		key = nil
		var refusal *Error
		if head, refusal = v.readHeader(parts.Header); refusal != nil {
			return none, refusal
		}
	}
	signature, err := jws.Decode(parts.Signature)
	if err != nil {
		return none, malformed("a signature in canonical base64url", "other bytes", nil)
	}
	c, refusal := v.readClaims(parts.Payload)
	if refusal != nil {
		return none, refusal
	}
	until, refusal := v.acceptClaims(c, req)
	if refusal != nil {
		return none, refusal
	}
	if key == nil {
		if key, refusal = v.key(head); refusal != nil {
			return none, refusal
		}
	}
	// RFC 9449, Section 4.3, item 12, and Section 6.1. Whoever has the token without its key gets no
	// further than this.
	if key.thumbprint != req.Thumbprint && !(v.issuance && req.Thumbprint == "") {
		return none, &Error{
			Code: CodeInvalidToken, Reason: ReasonBinding, Expected: "a proof by the key " + explain.Quote(req.Thumbprint), Got: "one by " + key.thumbprint,
			Cure: "the client must keep the key that it got the token with, or get another token; if it does, somebody else is using its token",
		}
	}
	if !key.method.Verify(key.key, req.Proof[:len(parts.Header)+1+len(parts.Payload)], signature) {
		return none, invalid(ReasonSignature, "a signature by the key in jwk", "one that does not verify", nil)
	}
	proof := Proof{Key: key, ID: sha256.Sum256(c.jti), Until: until}
	if v.nonces != nil {
		if c.has&hasNonce == 0 {
			return none, &Error{Code: CodeUseNonce, Reason: ReasonNonceMissing, Expected: "a nonce of this server", Got: "none"}
		}
		verdict := v.nonces.Check(string(c.nonce))
		if !verdict.Accepted {
			return none, &Error{Code: CodeUseNonce, Reason: ReasonNonce, Expected: "a nonce of this server that is not too old", Got: "another",
				Cure: "if it happens often: replicas must share the keys of nonces, and their clocks must agree"}
		}
		proof.Until, proof.Renew = verdict.Until, verdict.Renew
	}
	return proof, nil
}

// refuseForm tells joined proofs from other malformed ones: a proxy may have merged two fields.
func refuseForm(proof string, parts jws.Parts) *Error {
	switch {
	case proof == "":
		return invalid(ReasonCount, "one proof", "an empty field", nil)
	case strings.Contains(proof, ","):
		return invalid(ReasonCount, "one proof", "several, joined by commas", nil)
	case parts.Dots != 2:
		return malformed("three parts separated by dots", strconv.Itoa(parts.Dots+1)+" part(s)", nil)
	}
	return malformed("base64url without padding", "a byte outside its alphabet", nil)
}

// acceptClaims compares the claims with the request, items 8, 9, 11 and 12 of RFC 9449, Section 4.3, and
// returns when iat ends. It leaves the nonce for later.
func (v *Verifier) acceptClaims(c *claims, req *Request) (until time.Time, _ *Error) {
	if len(c.jti) == 0 || len(c.jti) > maxID {
		return until, invalid(ReasonID, "a jti of 1 to "+strconv.Itoa(maxID)+" bytes", strconv.Itoa(len(c.jti))+" bytes", nil)
	}
	if string(c.htm) != req.Method || req.Method == "" {
		return until, invalid(ReasonMethod, "htm "+explain.Quote(req.Method), "htm "+explain.Quote(c.htm), nil)
	}
	if string(c.htu) != v.plain {
		if got, ok := normalizeURL(string(c.htu)); !ok || got != v.normal {
			refusal := invalid(ReasonURL, "htu "+explain.Quote(v.normal), "htu "+explain.Quote(withoutSecrets(string(c.htu))), nil)
			refusal.Cure = "configure the URL that clients use, or have them use the configured one; behind a proxy it is the URL outside"
			return until, refusal
		}
	}
	if !v.issuance {
		// ath is compared in its only spelling. A request without a token has none to prove.
		var ath [43]byte
		base64.RawURLEncoding.Encode(ath[:], req.TokenHash[:])
		if subtle.ConstantTimeCompare(c.ath, ath[:]) != 1 || req.TokenHash == [sha256.Size]byte{} {
			refusal := invalid(ReasonToken, "ath of the access token that was sent", "another", nil)
			refusal.Cure = "the client must make the proof for the token that it sends: after a refresh, for the new one"
			return until, refusal
		}
	}
	iat := parseTime(c.iat)
	if v.nonces == nil {
		now := v.now()
		if iat.Before(now.Add(-v.window)) || iat.After(now.Add(v.window)) {
			refusal := invalid(ReasonTime, "iat within "+v.window.String()+" of "+now.UTC().Format(time.RFC3339),
				"iat "+iat.UTC().Format(time.RFC3339), nil)
			refusal.Cure = "set the clock of the client, or of this server, or turn nonces on, which do not need the client's"
			return until, refusal
		}
	}
	return iat.Add(v.window), nil
}
