package mcpauth

import (
	"strings"

	"github.com/go-mcpauth/sdk/internal/authheader"
	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/envelope"
)

// Reason says why a request or an operation was allowed or refused. Reasons are stable: dashboards
// and alerts may compare them. Besides those below, a body that cannot be authorized is refused
// with a reason that begins with "body_".
//
// The comment beside each says what the answer is: its status, the error of its challenge where there is one, and what
// that means. "unknown" is answered as what does not exist, and "guard" by a JSON-RPC error. The table in
// docs/refusals.md is made from these comments.
type Reason string

// Reasons of decisions about an operation.
const (
	ReasonAllowed           Reason = "allowed"            // it went on to the server
	ReasonInsufficientScope Reason = "insufficient_scope" // 403 insufficient_scope: more scopes would help
	ReasonRole              Reason = "role_missing"       // 403: a role is missing; no scope would help
	ReasonFixedGrant        Reason = "grant_fixed"        // 403: a scope is missing, and these credentials cannot get it
	ReasonClientLimit       Reason = "client_limited"     // 403: Config.Clients or the policy file keeps this application from it
	ReasonLogin             Reason = "login_insufficient" // 401 insufficient_user_authentication: a stronger or more recent sign-in would help
	ReasonNoLogin           Reason = "login_impossible"   // 403: a sign-in is asked for that these credentials cannot bring, or that nobody can
	ReasonNoRule            Reason = "no_rule"            // unknown: nothing was declared for it
	ReasonUnsafeURI         Reason = "unsafe_uri"         // unknown: a resource URI with dot segments, or of more than 8 KiB
	ReasonPolicy            Reason = "policy_refused"     // 403: Config.Policy said no; an Error of its own may say 401, 429 or 503 instead
	ReasonRevoked           Reason = "token_revoked"      // 401 invalid_token: Config.Revoked says that the credentials were taken back
	ReasonUnavailable       Reason = "check_unavailable"  // 503: a Policy, an Authenticator or Config.Revoked could not tell
	ReasonNoPrincipal       Reason = "no_principal"       // guard: an operation reached the SDK on a way that Wrap does not guard
	ReasonReadersDisagree   Reason = "readers_disagree"   // guard: Wrap allowed what the SDK's own parser names otherwise
	ReasonUnprotected       Reason = "server_unprotected" // 503: the server behind the handler was never given to Protect
	ReasonRateLimit         Reason = "rate_limited"       // 429: the caller, its application or the operation has been asked too often
	ReasonLimitStore        Reason = "limit_unavailable"  // 503: nobody can tell how often
	ReasonBatch             Reason = "batch_refused"      // 403: another message of the same batch was refused, and its answer is that of the batch
	ReasonPanic             Reason = "panic"              // 503: a hook panicked; 403 where it was the Policy
)

// Reasons of refusals before there is a principal.
const (
	ReasonHost                 Reason = "host_not_allowed"      // 403: on loopback, Host is neither a loopback name nor that of Config.Resource
	ReasonOrigin               Reason = "origin_not_allowed"    // 403: a page of another origin
	ReasonNoCredentials        Reason = "no_credentials"        // 401: how every login begins
	ReasonUnsupportedScheme    Reason = "scheme_unsupported"    // 401: Authorization has a scheme that is not accepted
	ReasonMultipleCredentials  Reason = "credentials_multiple"  // 400 invalid_request: two credentials, of which two readers could pick different ones
	ReasonMalformedCredentials Reason = "credentials_malformed" // 400 invalid_request: Authorization is not a scheme, one space and one token
	ReasonQueryToken           Reason = "token_in_query"        // 401: a token in the URL, and none in the header
	ReasonCredentials          Reason = "credentials_refused"   // 401: an Authenticator refused, with invalid_token where they came as a bearer token; an Error of its own may say 403, 429 or 503 instead
	ReasonBoundToken           Reason = "token_bound"           // 401 invalid_token: the token has a cnf claim that cannot be satisfied here

	ReasonFailures Reason = "failures_limited" // 429: too many bad credentials from this address

	ReasonTokenTooLong        Reason = "token_too_long"            // 401 invalid_token: the token has more than 16 KiB
	ReasonTokenOpaque         Reason = "token_not_jwt"             // 401 invalid_token: no JWT, and nobody to ask about it
	ReasonTokenEncrypted      Reason = "token_encrypted"           // 401 invalid_token: a JWE
	ReasonTokenMalformed      Reason = "token_malformed"           // 401 invalid_token: a JWT that is cut off, or that two parsers would read differently
	ReasonTokenInactive       Reason = "token_inactive"            // 401 invalid_token: says the authorization server of an opaque token
	ReasonIntrospection       Reason = "introspection_unavailable" // 503: the introspection endpoint did not answer
	ReasonIntrospectionLogin  Reason = "introspection_refused"     // 503: the authorization server does not know this server
	ReasonIntrospectionAnswer Reason = "introspection_malformed"   // 503: the introspection endpoint gave an answer that is none
	ReasonAlgorithm           Reason = "algorithm_not_allowed"     // 401 invalid_token: alg is not among Issuer.Algorithms
	ReasonType                Reason = "type_not_allowed"          // 401 invalid_token: typ is not among Issuer.TokenTypes
	ReasonCritical            Reason = "critical_header"           // 401 invalid_token: the header has crit
	ReasonUnknownIssuer       Reason = "unknown_issuer"            // 401 invalid_token: iss is none of Config.Issuers
	ReasonUnknownKey          Reason = "unknown_key"               // 401 invalid_token: the issuer publishes no such key
	ReasonKeysUnavailable     Reason = "keys_unavailable"          // 503: the keys of the issuer cannot be had
	ReasonSignature           Reason = "signature_invalid"         // 401 invalid_token: the signature does not verify
	ReasonTokenNoExpiry       Reason = "expiry_missing"            // 401 invalid_token: there is no exp
	ReasonTokenExpired        Reason = "token_expired"             // 401 invalid_token: exp has passed
	ReasonTokenNotYetValid    Reason = "token_not_yet_valid"       // 401 invalid_token: nbf is still to come
	ReasonTokenIssuedInFuture Reason = "token_issued_in_future"    // 401 invalid_token: iat is still to come
	ReasonNoAudience          Reason = "audience_missing"          // 401 invalid_token: there is no aud
	ReasonAudience            Reason = "audience_mismatch"         // 401 invalid_token: aud names neither Config.Resource nor one of Issuer.Audiences
	ReasonIDToken             Reason = "id_token"                  // 401 invalid_token: an ID token, which is for the client alone
	ReasonRefreshToken        Reason = "refresh_token"             // 401 invalid_token: a refresh token, which is for the authorization server alone
	ReasonSubject             Reason = "subject_missing"           // 401 invalid_token: neither a user nor a client can be told
	ReasonClient              Reason = "client_not_allowed"        // 401 invalid_token: the client is not among Issuer.ClientIDs; a bare 403 where it is not in Config.Clients
	ReasonMissingClaim        Reason = "claim_missing"             // 401 invalid_token: Issuer.Strict is set, and a claim that it requires is missing
)

// Reasons of refusals where possession of a key has to be proven (RFC 9449, RFC 8705).
const (
	ReasonDPoPRequired  Reason = "dpop_required"       // 401 invalid_token: a bearer token where Config.DPoP.Mode is DPoPRequired
	ReasonDPoPDowngrade Reason = "dpop_downgrade"      // 401 invalid_token: a bound token under the scheme Bearer
	ReasonNotBound      Reason = "token_not_bound"     // 401 invalid_token: a token without cnf.jkt under the scheme DPoP
	ReasonCertificate   Reason = "certificate_binding" // 401 invalid_token: another client certificate than the token's, or none
	ReasonProofReplayed Reason = "proof_replayed"      // 401 invalid_dpop_proof: the proof was used before
	ReasonReplayStore   Reason = "replay_unavailable"  // 503: the replay store is full or out of reach

	ReasonProofCount        Reason = "proof_count"         // 401 invalid_dpop_proof: no DPoP field, or several
	ReasonProofTooLong      Reason = "proof_too_long"      // 401 invalid_dpop_proof: the proof is longer than any good one
	ReasonProofMalformed    Reason = "proof_malformed"     // 401 invalid_dpop_proof: no JWT, or one that two parsers would read differently
	ReasonProofCritical     Reason = "proof_critical"      // 401 invalid_dpop_proof: the header has crit
	ReasonProofType         Reason = "proof_type"          // 401 invalid_dpop_proof: typ is not dpop+jwt
	ReasonProofAlgorithm    Reason = "proof_algorithm"     // 401 invalid_dpop_proof: alg is not among Config.DPoP.Algorithms
	ReasonProofPrivateKey   Reason = "proof_private_key"   // 401 invalid_dpop_proof: jwk holds a private key
	ReasonProofKey          Reason = "proof_key"           // 401 invalid_dpop_proof: jwk is no key for alg
	ReasonProofMethod       Reason = "proof_htm"           // 401 invalid_dpop_proof: htm is another method
	ReasonProofURL          Reason = "proof_htu"           // 401 invalid_dpop_proof: htu is another URL than Config.Resource
	ReasonProofTime         Reason = "proof_iat"           // 401 invalid_dpop_proof: iat is too far from now
	ReasonProofToken        Reason = "proof_ath"           // 401 invalid_dpop_proof: ath is not the hash of the token
	ReasonProofID           Reason = "proof_jti"           // 401 invalid_dpop_proof: jti is missing, empty or too long
	ReasonProofKeyBinding   Reason = "proof_key_binding"   // 401 invalid_token: the proof is by another key than cnf.jkt names
	ReasonProofSignature    Reason = "proof_signature"     // 401 invalid_dpop_proof: the signature does not verify
	ReasonProofNonceMissing Reason = "proof_nonce_missing" // 401 use_dpop_nonce: every client's first proof where Config.DPoP.Nonces is set
	ReasonProofNonce        Reason = "proof_nonce_refused" // 401 use_dpop_nonce: the nonce is none of ours, or too old
)

// Reasons of refusals after authentication and before the rules.
const (
	ReasonMethod         Reason = "method_not_allowed" // 405: neither POST, GET nor DELETE
	ReasonContentType    Reason = "content_type"       // 415: not application/json in UTF-8, or with a Content-Encoding
	ReasonRepeatedHeader Reason = "header_repeated"    // 400: a header that selects what is done stands there twice
	ReasonBodyTooLarge   Reason = "body_too_large"     // 413: more than Config.MaxBodyBytes
	ReasonBodyUnread     Reason = "body_unread"        // 400: the body ended early

	ReasonSessionOfAnother Reason = "session_of_another" // 403: the Mcp-Session-Id is that of another caller
)

// Registered error codes (RFC 6750, Section 3.1; RFC 9449, Section 12.2).
const (
	codeInvalidRequest    = "invalid_request"
	codeInvalidToken      = "invalid_token"
	codeInsufficientScope = "insufficient_scope"
	codeInvalidProof      = dpop.CodeInvalidProof
	codeUseNonce          = dpop.CodeUseNonce
)

// explanation is what the log says about a refusal, never the client.
type explanation struct {
	reason              Reason
	expected, got, cure string
	caller              *Principal // whom a token names that is good by itself, where its bearer is not
	err                 error
}

func explainCredentials(err error) explanation {
	switch err {
	case authheader.ErrNone:
		return explanation{reason: ReasonNoCredentials, expected: "an Authorization header", got: "none"}
	case authheader.ErrMultiple:
		return explanation{reason: ReasonMultipleCredentials, expected: "one Authorization field", got: "several",
			cure: "find the client or proxy that adds a second one; two readers could pick different callers"}
	case authheader.ErrTooLong:
		return explanation{reason: ReasonTokenTooLong, expected: "a token of at most 16 KiB", got: "a longer one"}
	default:
		return explanation{reason: ReasonMalformedCredentials, expected: "Bearer or DPoP, one space, one token", got: "other bytes"}
	}
}

func explainBody(err *envelope.Error) explanation {
	return explanation{reason: Reason(err.Reason), expected: "a body that every parser reads alike", got: err.Error(),
		cure: "send one JSON-RPC message, each member once and spelled as the specification does"}
}

// schemeName names an authentication scheme for the log, if it is one: a client that leaves the scheme
// out sends a secret in its place.
func schemeName(s string) string {
	for _, known := range [...]string{"Basic", "Digest", "DPoP", "GNAP", "Negotiate", "Token"} {
		if strings.EqualFold(s, known) {
			return known
		}
	}
	return "something else"
}
