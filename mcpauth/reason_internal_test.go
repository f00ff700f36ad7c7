package mcpauth

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
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

// Every reason has a cure, so that no reader of a log is left with a question.
func TestReasons_HaveCures(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "reason.go", nil, 0)
	require.NoError(t, err)
	found := 0
	for _, decl := range file.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			continue
		}
		for _, spec := range gen.Specs {
			v := spec.(*ast.ValueSpec)
			if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Reason" || v.Names[0].Name == "ReasonAllowed" {
				continue
			}
			value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			require.NoError(t, err)
			require.NotEmpty(t, cures[Reason(value)], v.Names[0].Name)
			found++
		}
	}
	require.Equal(t, len(cures), found)
	require.Greater(t, found, 70)
}
