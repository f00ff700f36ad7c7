package mcpauth_test

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/scopes"
)

// A session of the SDK keeps the context of the request that opened it. The body of that request, which anybody with a token
// can make 4 MiB long, must not stay with it.
func TestSessions_KeepNoBody(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	var kept []any
	read := 0
	h := auth.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		kept = append(kept, r.Context())
		var text []byte
		if len(kept)%2 == 0 {
			text, _ = io.ReadAll(struct{ io.Reader }{r.Body})
		} else {
			var buf bytes.Buffer
			_, _ = io.Copy(&buf, r.Body)
			text = buf.Bytes()
		}
		read += len(text)
		n, err := r.Body.Read(make([]byte, 1))
		require.Zero(t, n)
		require.Equal(t, io.EOF, err)
	}))
	token, pad := is.scoped(t, "mcp:read"), strings.Repeat("a", 1<<20)
	heap := func() int {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap()
	const sessions = 16
	for range sessions {
		r := post(rpc("initialize", map[string]any{"pad": pad}), token)
		require.Equal(t, 200, serve(h, r).Code)
		r.Body = nil // that of net/http holds nothing at its end
	}
	require.Greater(t, read, sessions<<20)
	require.Less(t, heap()-before, sessions<<20/4)
	runtime.KeepAlive(kept)
}
