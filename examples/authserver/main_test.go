package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

func TestListensAndSaysWhere(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	out, in := io.Pipe()
	var stderr bytes.Buffer
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"-resource", "http://127.0.0.1:1/a", "-resource", "http://127.0.0.1:1/b", "-scopes", "x:read, x:write", "-strict"}, in, &stderr)
		_ = in.Close()
	}()
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	require.NoError(t, err)
	issuer, ok := strings.CutPrefix(strings.TrimSpace(first), "listening on ")
	require.True(t, ok, first)

	resp, err := http.Get(issuer + "/.well-known/oauth-authorization-server")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var m map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&m))
	require.Equal(t, issuer, m["issuer"])
	require.Equal(t, []any{"http://127.0.0.1:1/a", "http://127.0.0.1:1/b"}, m["protected_resources"])
	require.Equal(t, []any{"x:read", "x:write"}, m["scopes_supported"])

	cancel()
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	require.Empty(t, rest, "one line only")
	require.Equal(t, 0, <-status)
	require.Contains(t, stderr.String(), devas.Warning)
}

func TestAS04_MistakesExitWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"-listen", "0.0.0.0:0"}, {"-listen", ":0"}, {"-listen", "example.com:80"}, {"-resource", "mcp"}, {"-scopes", `a"b`}, {"-unknown"}, {"argument"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), args, &stdout, &stderr), args)
		require.Empty(t, stdout.String())
		require.NotEmpty(t, stderr.String())
	}
}
