package dpop

import "github.com/go-mcpauth/sdk/internal/explain"

// Error codes for the challenge.
const (
	CodeInvalidProof = "invalid_dpop_proof" // RFC 9449, Section 7.1
	CodeUseNonce     = "use_dpop_nonce"     // RFC 9449, Section 9
	// CodeInvalidToken says that the proof is by another key than the one in the token's cnf. RFC 9449,
	// Section 7.1 shows this case with this code.
	CodeInvalidToken = "invalid_token"
)

// Reasons are stable codes for logs and metrics.
const (
	ReasonCount        = "proof_count"          // none, or several
	ReasonTooLong      = "proof_too_long"       // the whole, or its header
	ReasonMalformed    = "proof_malformed"      // no JWT, or a member that is missing or of another type
	ReasonCritical     = "proof_critical"       // an extension that changes what is signed or what it means
	ReasonType         = "proof_type"           // typ
	ReasonAlgorithm    = "proof_algorithm"      // alg
	ReasonPrivateKey   = "proof_private_key"    // jwk with private or symmetric members
	ReasonKey          = "proof_key"            // jwk that cannot verify this signature
	ReasonMethod       = "proof_htm"            // another method
	ReasonURL          = "proof_htu"            // another URL
	ReasonTime         = "proof_iat"            // outside the window
	ReasonToken        = "proof_ath"            // for another token
	ReasonID           = "proof_jti"            // empty or too long
	ReasonBinding      = "proof_key_binding"    // good, perhaps, but not by the key of the token
	ReasonSignature    = "proof_signature"      // does not verify with jwk
	ReasonNonceMissing = "proof_nonce_missing"  // none, where nonces are asked for
	ReasonNonce        = "proof_nonce_refused"  // too old, or not from here
	ReasonUnready      = "proof_verifier_unset" // a Verifier that was not made by New
)

var descriptions = map[string]string{
	ReasonCount:        "Exactly one proof is needed",
	ReasonTooLong:      "The proof is too long",
	ReasonMalformed:    "The proof is malformed",
	ReasonCritical:     "The proof uses an extension that is not understood",
	ReasonType:         "typ is not dpop+jwt",
	ReasonAlgorithm:    "alg is not accepted",
	ReasonPrivateKey:   "jwk holds a private or symmetric key",
	ReasonKey:          "jwk is not accepted",
	ReasonMethod:       "htm does not match",
	ReasonURL:          "htu does not match",
	ReasonTime:         "iat is not within the accepted window",
	ReasonToken:        "ath does not match",
	ReasonID:           "jti is empty or too long",
	ReasonBinding:      "Invalid DPoP key binding",
	ReasonSignature:    "The signature of the proof does not verify",
	ReasonNonceMissing: "Resource server requires nonce in DPoP proof",
	ReasonNonce:        "Resource server requires nonce in DPoP proof",
}

// An Error explains to an operator why a proof was refused. No text of it holds a part of the encoded
// proof, a hash of the token or a nonce. Expected, Got and Cure are for the log only: Got may hold decoded
// members, quoted as ASCII and cut. [Error.Description] is what may be told to the client.
type Error struct {
	Code     string // one of the Code constants
	Reason   string // one of the Reason constants
	Expected string // what would have been accepted
	Got      string // what came instead
	Cure     string // what usually repairs it; may be empty
	Err      error  // the cause, or nil

	issuance bool
}

func (e *Error) Error() string {
	return explain.Text("DPoP proof refused", e.Reason, e.Expected, e.Got, e.Cure, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Description returns a constant sentence for error_description, in the characters that RFC 6750,
// Section 3 allows there.
func (e *Error) Description() string {
	if e.issuance && e.Code == CodeUseNonce {
		return "Authorization server requires nonce in DPoP proof" // RFC 9449, Section 8
	}
	if d, ok := descriptions[e.Reason]; ok {
		return d
	}
	return "The proof is not accepted"
}

// invalid is never given a cause that quotes its input.
func invalid(reason, expected, got string, cause error) *Error {
	return &Error{Code: CodeInvalidProof, Reason: reason, Expected: expected, Got: got, Err: cause}
}

func malformed(expected, got string, cause error) *Error {
	return invalid(ReasonMalformed, expected, got, cause)
}
