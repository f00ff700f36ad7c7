package redisstore_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// "A record that cannot be read always is" an error. MGET answers nil for a key of another type, as if there were none.
func TestSecondReview_ARecordOfAnotherTypeIsAnError(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	id := mcpauth.RevocationID(unique())
	require.NoError(t, c.RPush(t.Context(), s.RevocationKey(id), "x").Err())
	_, err := s.Find(t.Context(), []mcpauth.RevocationID{id})
	require.Error(t, err)
}
