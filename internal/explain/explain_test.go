package explain_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/explain"
)

func TestText(t *testing.T) {
	require.Equal(t, "token refused: expired: expected a; got b; cause: c; cure: d", explain.Text("token refused", "expired", "a", "b", "d", errors.New("c")))
	require.Equal(t, "token refused: expired", explain.Text("token refused", "expired", "", "", "", nil))
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		"plain": `"plain"`, "a\r\nb\x1b\u202e\"": `"a\r\nb\x1b\u202e\""`, "\xff": `"\xff"`, "": `""`,
		strings.Repeat("a", 96):        `"` + strings.Repeat("a", 96) + `"`,
		strings.Repeat("a", 97):        `"` + strings.Repeat("a", 96) + `"... (97 bytes)`,
		strings.Repeat("a", 95) + "ü1": `"` + strings.Repeat("a", 95) + `"... (98 bytes)`,
	} {
		require.Equal(t, want, explain.Quote(in))
		require.Equal(t, want, explain.Quote([]byte(in)))
	}
}
