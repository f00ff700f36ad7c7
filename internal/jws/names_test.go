package jws_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jws"
)

func TestVariantOf(t *testing.T) {
	names := []string{"alg", "kid", "jwks", "crit"}
	for name, want := range map[string]string{
		"": "", "alg": "", "crit": "", "algo": "", "Algo": "", "ALG": "alg", "aLg": "alg", "Kid": "kid",
		"\u212aid": "kid", "jwk\u017f": "jwks", "\u00e4lg": "", "al\u0261": "",
	} {
		require.Equal(t, want, jws.VariantOf(name, names), name)
		require.Equal(t, want, jws.VariantOf([]byte(name), names), name)
	}
}
