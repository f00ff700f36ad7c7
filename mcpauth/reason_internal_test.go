package mcpauth

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/dpop"
	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/jwt"
)

// The documentation shows the values, which are those of the packages that refuse.
func TestReasons_AreThoseOfTheChecks(t *testing.T) {
	for reason, value := range map[Reason]string{
		ReasonTokenTooLong:        jwt.ReasonTooLong,
		ReasonTokenOpaque:         jwt.ReasonNotJWT,
		ReasonTokenEncrypted:      jwt.ReasonEncrypted,
		ReasonTokenMalformed:      jwt.ReasonMalformed,
		ReasonTokenInactive:       introspect.ReasonInactive,
		ReasonIntrospection:       introspect.ReasonUnavailable,
		ReasonIntrospectionLogin:  introspect.ReasonRefused,
		ReasonIntrospectionAnswer: introspect.ReasonAnswer,
		ReasonAlgorithm:           jwt.ReasonAlgorithm,
		ReasonType:                jwt.ReasonType,
		ReasonCritical:            jwt.ReasonCritical,
		ReasonUnknownIssuer:       jwt.ReasonUnknownIssuer,
		ReasonUnknownKey:          jwt.ReasonUnknownKey,
		ReasonKeysUnavailable:     jwt.ReasonKeysUnavailable,
		ReasonSignature:           jwt.ReasonSignature,
		ReasonTokenNoExpiry:       jwt.ReasonNoExpiry,
		ReasonTokenExpired:        jwt.ReasonExpired,
		ReasonTokenNotYetValid:    jwt.ReasonNotYetValid,
		ReasonTokenIssuedInFuture: jwt.ReasonIssuedInFuture,
		ReasonNoAudience:          jwt.ReasonNoAudience,
		ReasonAudience:            jwt.ReasonAudience,
		ReasonIDToken:             jwt.ReasonIDToken,
		ReasonRefreshToken:        jwt.ReasonRefreshToken,
		ReasonSubject:             jwt.ReasonSubject,
		ReasonClient:              jwt.ReasonClient,
		ReasonMissingClaim:        jwt.ReasonMissingClaim,
		ReasonProofCount:          dpop.ReasonCount,
		ReasonProofTooLong:        dpop.ReasonTooLong,
		ReasonProofMalformed:      dpop.ReasonMalformed,
		ReasonProofCritical:       dpop.ReasonCritical,
		ReasonProofType:           dpop.ReasonType,
		ReasonProofAlgorithm:      dpop.ReasonAlgorithm,
		ReasonProofPrivateKey:     dpop.ReasonPrivateKey,
		ReasonProofKey:            dpop.ReasonKey,
		ReasonProofMethod:         dpop.ReasonMethod,
		ReasonProofURL:            dpop.ReasonURL,
		ReasonProofTime:           dpop.ReasonTime,
		ReasonProofToken:          dpop.ReasonToken,
		ReasonProofID:             dpop.ReasonID,
		ReasonProofKeyBinding:     dpop.ReasonBinding,
		ReasonProofSignature:      dpop.ReasonSignature,
		ReasonProofNonceMissing:   dpop.ReasonNonceMissing,
		ReasonProofNonce:          dpop.ReasonNonce,
	} {
		require.Equal(t, value, string(reason))
	}
}
