package jwt

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-mcpauth/sdk/internal/explain"
)

// Reasons are stable codes for logs and metrics.
const (
	ReasonTooLong         = "token_too_long"
	ReasonNotJWT          = "token_not_jwt"
	ReasonEncrypted       = "token_encrypted"
	ReasonMalformed       = "token_malformed"
	ReasonAlgorithm       = "algorithm_not_allowed"
	ReasonType            = "type_not_allowed"
	ReasonCritical        = "critical_header"
	ReasonUnknownIssuer   = "unknown_issuer"
	ReasonUnknownKey      = "unknown_key"
	ReasonKeysUnavailable = "keys_unavailable"
	ReasonSignature       = "signature_invalid"
	ReasonNoExpiry        = "expiry_missing"
	ReasonExpired         = "token_expired"
	ReasonNotYetValid     = "token_not_yet_valid"
	ReasonIssuedInFuture  = "token_issued_in_future"
	ReasonNoAudience      = "audience_missing"
	ReasonAudience        = "audience_mismatch"
	ReasonIDToken         = "id_token"
	ReasonRefreshToken    = "refresh_token"
	ReasonSubject         = "subject_missing"
	ReasonClient          = "client_not_allowed"
	ReasonMissingClaim    = "claim_missing"
)

var descriptions = map[string]string{
	ReasonTooLong:         "The access token is too long",
	ReasonNotJWT:          "The access token is not a JWT",
	ReasonEncrypted:       "Encrypted access tokens are not accepted",
	ReasonMalformed:       "The access token is malformed",
	ReasonAlgorithm:       "The signature algorithm of the access token is not accepted",
	ReasonType:            "The token is not of an accepted type",
	ReasonCritical:        "The access token uses an extension that is not understood",
	ReasonUnknownIssuer:   "The issuer of the access token is not accepted",
	ReasonUnknownKey:      "The signature of the access token could not be verified",
	ReasonSignature:       "The signature of the access token could not be verified",
	ReasonKeysUnavailable: "The access token cannot be verified at the moment",
	ReasonNoExpiry:        "The access token has no expiry",
	ReasonExpired:         "The access token expired",
	ReasonNotYetValid:     "The access token is not valid yet",
	ReasonIssuedInFuture:  "The access token was issued in the future",
	ReasonNoAudience:      "The access token was not issued for this resource",
	ReasonAudience:        "The access token was not issued for this resource",
	ReasonIDToken:         "The token is an ID token",
	ReasonRefreshToken:    "The token is a refresh token",
	ReasonSubject:         "The access token names no subject",
	ReasonClient:          "The access token was issued to a client that is not accepted",
	ReasonMissingClaim:    "The access token lacks a required claim",
}

// An Error explains to an operator why a token was refused. No text of it holds a part of the encoded
// token. Expected, Got and Cure are for the log only: Got may hold decoded claims and header members,
// quoted as ASCII and cut. [Error.Description] is what may be told to the client.
type Error struct {
	Reason   string // one of the Reason constants
	Expected string // what would have been accepted
	Got      string // what came instead
	Cure     string // the setting that usually repairs it; may be empty

	// Unavailable means that nobody could tell whether the token is good: 503, not 401. RetryAfter is
	// then when to try again, or zero.
	Unavailable bool
	RetryAfter  time.Duration

	Err error // the cause, or nil
}

func (e *Error) Error() string {
	return explain.Text("access token refused", e.Reason, e.Expected, e.Got, e.Cure, e.Err)
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Description returns a constant sentence for error_description, in the characters that RFC 6750,
// Section 3 allows there.
func (e *Error) Description() string {
	if d, ok := descriptions[e.Reason]; ok {
		return d
	}
	return "The access token is not accepted"
}

const maxListed = 4 // members of one foreign list in a log line

func quote(s string) string { return explain.Quote(s) }

// quoteList quotes the strings of a list, or tells how many were left out.
func quoteList(list []string) string {
	var b strings.Builder
	b.WriteByte('[')
	for i, s := range list {
		if i == maxListed {
			fmt.Fprintf(&b, " and %d more", len(list)-i)
			break
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(s))
	}
	b.WriteByte(']')
	return b.String()
}

func countParts(dots int) string { return strconv.Itoa(dots+1) + " part(s)" }

// malformed is never given a cause that quotes its input.
func malformed(expected, got string, cause error) *Error {
	return &Error{Reason: ReasonMalformed, Expected: expected, Got: got, Err: cause}
}

func refuseEncrypted(got string) *Error {
	return &Error{
		Reason: ReasonEncrypted, Expected: "a signed JWT of three parts", Got: got,
		Cure: "turn off encryption of access tokens for this resource at the authorization server",
	}
}

func refuseOpaque(dots, length int) *Error {
	return &Error{
		Reason: ReasonNotJWT, Expected: "a JWT: three parts, the first a JSON header",
		Got: fmt.Sprintf("an opaque token: %s, %d bytes", countParts(dots), length),
		Cure: "have the authorization server issue JWTs for this resource (Auth0: turn on the Resource Parameter " +
			"Compatibility Profile or let the client name an audience; Logto: the client must ask for an API resource; Asgardeo, " +
			"WSO2 and ZITADEL: token type JWT of the application; Ory Hydra: strategies.access_token jwt)",
	}
}
