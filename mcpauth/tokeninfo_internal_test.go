package mcpauth

import (
	"context"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/stretchr/testify/require"
)

// ForgetSDKKey makes a test run as with an SDK whose context key cannot be learned.
func ForgetSDKKey(t testing.TB) {
	old := sdkKey
	sdkKey = nil
	t.Cleanup(func() { sdkKey = old })
}

func TestLearnKey(t *testing.T) {
	require.NotNil(t, sdkKey, "this version of the SDK still asks its context for the key")
	want := &auth.TokenInfo{UserID: "ada"}
	require.Same(t, want, auth.TokenInfoFromContext(context.WithValue(t.Context(), sdkKey, want)))
	require.Same(t, want, auth.TokenInfoFromContext(withTokenInfo(t.Context(), want)))
}

func TestWithTokenInfo_WithoutTheKeyChangesNothing(t *testing.T) {
	ForgetSDKKey(t)
	ctx := t.Context()
	require.Equal(t, ctx, withTokenInfo(ctx, &auth.TokenInfo{}))
}
