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
type Reason string

// Reasons of decisions about an operation.
const (
	ReasonAllowed           Reason = "allowed"
	ReasonInsufficientScope Reason = "insufficient_scope" // 403 with a challenge: more scopes would help
	ReasonRole              Reason = "role_missing"       // bare 403: no scope would help
	ReasonFixedGrant        Reason = "grant_fixed"        // bare 403: a scope is missing, and these credentials cannot get it
	ReasonClientLimit       Reason = "client_limited"     // bare 403: Config.Clients keeps this application from it
	ReasonLogin             Reason = "login_insufficient" // 401 with a challenge: a stronger or more recent sign-in would help
	ReasonNoLogin           Reason = "login_impossible"   // bare 403: a sign-in is asked for that these credentials cannot bring, or none can
	ReasonNoRule            Reason = "no_rule"            // answered as unknown: nothing was declared for it
	ReasonUnsafeURI         Reason = "unsafe_uri"         // answered as unknown: a resource URI with dot segments
	ReasonPolicy            Reason = "policy_refused"
	ReasonRevoked           Reason = "token_revoked"
	ReasonUnavailable       Reason = "check_unavailable" // 503: a policy or revocation check failed
	ReasonNoPrincipal       Reason = "no_principal"      // an operation reached the SDK on a way that Wrap does not guard
	ReasonReadersDisagree   Reason = "readers_disagree"  // Wrap allowed what the SDK's own parser names otherwise
	ReasonUnprotected       Reason = "server_unprotected"
	ReasonRateLimit         Reason = "rate_limited"      // 429: the caller, its application or the operation has been asked too often
	ReasonLimitStore        Reason = "limit_unavailable" // 503: nobody can tell how often
	ReasonBatch             Reason = "batch_refused"     // another message of the same batch was refused
	ReasonPanic             Reason = "panic"
)

// Reasons of refusals before there is a principal.
const (
	ReasonHost                 Reason = "host_not_allowed"
	ReasonOrigin               Reason = "origin_not_allowed"
	ReasonNoCredentials        Reason = "no_credentials"
	ReasonUnsupportedScheme    Reason = "scheme_unsupported"
	ReasonMultipleCredentials  Reason = "credentials_multiple"
	ReasonMalformedCredentials Reason = "credentials_malformed"
	ReasonQueryToken           Reason = "token_in_query"
	ReasonCredentials          Reason = "credentials_refused" // by an Authenticator
	ReasonBoundToken           Reason = "token_bound"         // the token has a cnf claim that cannot be satisfied here

	ReasonFailures Reason = "failures_limited" // 429: too many bad credentials from this address

	ReasonTokenTooLong        Reason = "token_too_long"
	ReasonTokenOpaque         Reason = "token_not_jwt"
	ReasonTokenEncrypted      Reason = "token_encrypted"
	ReasonTokenMalformed      Reason = "token_malformed"
	ReasonTokenInactive       Reason = "token_inactive"            // says the authorization server of an opaque token
	ReasonIntrospection       Reason = "introspection_unavailable" // 503: no answer
	ReasonIntrospectionLogin  Reason = "introspection_refused"     // 503: the authorization server does not know this server
	ReasonIntrospectionAnswer Reason = "introspection_malformed"   // 503: an answer that is none
	ReasonAlgorithm           Reason = "algorithm_not_allowed"
	ReasonType                Reason = "type_not_allowed"
	ReasonCritical            Reason = "critical_header"
	ReasonUnknownIssuer       Reason = "unknown_issuer"
	ReasonUnknownKey          Reason = "unknown_key"
	ReasonKeysUnavailable     Reason = "keys_unavailable"
	ReasonSignature           Reason = "signature_invalid"
	ReasonTokenNoExpiry       Reason = "expiry_missing"
	ReasonTokenExpired        Reason = "token_expired"
	ReasonTokenNotYetValid    Reason = "token_not_yet_valid"
	ReasonTokenIssuedInFuture Reason = "token_issued_in_future"
	ReasonNoAudience          Reason = "audience_missing"
	ReasonAudience            Reason = "audience_mismatch"
	ReasonIDToken             Reason = "id_token"
	ReasonRefreshToken        Reason = "refresh_token"
	ReasonSubject             Reason = "subject_missing"
	ReasonClient              Reason = "client_not_allowed" // 401 by Issuer.ClientIDs, 403 by Config.Clients
	ReasonMissingClaim        Reason = "claim_missing"
)

// Reasons of refusals where possession of a key has to be proven (RFC 9449, RFC 8705).
const (
	ReasonDPoPRequired  Reason = "dpop_required"       // a bearer token where Config.DPoP.Mode is DPoPRequired
	ReasonDPoPDowngrade Reason = "dpop_downgrade"      // a bound token under the scheme Bearer
	ReasonNotBound      Reason = "token_not_bound"     // a token without cnf.jkt under the scheme DPoP
	ReasonCertificate   Reason = "certificate_binding" // another client certificate than the token's, or none
	ReasonProofReplayed Reason = "proof_replayed"
	ReasonReplayStore   Reason = "replay_unavailable" // 503: the replay store is full or out of reach

	ReasonProofCount        Reason = "proof_count"
	ReasonProofTooLong      Reason = "proof_too_long"
	ReasonProofMalformed    Reason = "proof_malformed"
	ReasonProofCritical     Reason = "proof_critical"
	ReasonProofType         Reason = "proof_type"
	ReasonProofAlgorithm    Reason = "proof_algorithm"
	ReasonProofPrivateKey   Reason = "proof_private_key"
	ReasonProofKey          Reason = "proof_key"
	ReasonProofMethod       Reason = "proof_htm"
	ReasonProofURL          Reason = "proof_htu"
	ReasonProofTime         Reason = "proof_iat"
	ReasonProofToken        Reason = "proof_ath"
	ReasonProofID           Reason = "proof_jti"
	ReasonProofKeyBinding   Reason = "proof_key_binding"
	ReasonProofSignature    Reason = "proof_signature"
	ReasonProofNonceMissing Reason = "proof_nonce_missing" // every client's first proof where Config.DPoP.Nonces is set
	ReasonProofNonce        Reason = "proof_nonce_refused"
)

// Reasons of refusals after authentication and before the rules.
const (
	ReasonMethod         Reason = "method_not_allowed"
	ReasonContentType    Reason = "content_type"
	ReasonRepeatedHeader Reason = "header_repeated"
	ReasonBodyTooLarge   Reason = "body_too_large"
	ReasonBodyUnread     Reason = "body_unread"

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
		return explanation{reason: ReasonTokenTooLong, expected: "a token of at most 16 KiB", got: "a longer one",
			cure: "have the authorization server put fewer groups or roles into the token"}
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
