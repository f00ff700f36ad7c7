package jwks_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/jwks"
)

func TestLookupAndCurrentDoNotAllocate(t *testing.T) {
	s, _ := newSet(jwks.Config{})
	k := mustLookup(t, s, "k1", "ES256")
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if keys, err := s.Lookup(t.Context(), "k1", "ES256"); err != nil || keys[0] != k || !s.Current(k) {
			panic("not found")
		}
	}))
}
