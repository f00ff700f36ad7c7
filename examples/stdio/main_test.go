package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// converse runs the command with a client at its other end, and returns its exit status and log.
func converse(t *testing.T, args string, with func(*mcp.ClientSession)) (int, string) {
	t.Helper()
	near, far := mcp.NewInMemoryTransports()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, log bytes.Buffer
	status := make(chan int, 1)
	go func() { status <- run(ctx, strings.Fields(args), far, &out, &log) }()
	if with != nil {
		session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(ctx, near, nil)
		require.NoError(t, err)
		with(session)
		session.Close()
	}
	code := <-status
	require.Empty(t, out.String(), "standard output is the transport's")
	return code, log.String()
}

func tools(t *testing.T, session *mcp.ClientSession) string {
	res, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	var names []string
	for _, tool := range res.Tools {
		names = append(names, tool.Name)
	}
	return strings.Join(names, " ")
}

func TestLocalUser(t *testing.T) {
	code, log := converse(t, "-local -scopes notes:read", func(session *mcp.ClientSession) {
		require.Equal(t, "read_notes whoami", tools(t, session))
		res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "whoami"})
		require.NoError(t, err)
		require.Contains(t, res.Content[0].(*mcp.TextContent).Text, "local-user")
		_, err = session.CallTool(t.Context(), &mcp.CallToolParams{Name: "write_note", Arguments: map[string]any{"text": "x"}})
		require.ErrorContains(t, err, "Forbidden")
	})
	require.Zero(t, code, log)
	require.Contains(t, log, `"reason":"grant_fixed"`)
}

func TestAPIKey(t *testing.T) {
	key, hash := mcpauth.NewAPIKey(keyPrefix)
	t.Setenv(keyVariable, key)
	code, log := converse(t, "-scopes notes:write -key-hash "+hash, func(session *mcp.ClientSession) {
		require.Equal(t, "whoami write_note", tools(t, session))
	})
	require.Zero(t, code, log)
	require.NotContains(t, log, key)

	t.Setenv(keyVariable, key+"A")
	code, log = converse(t, "-key-hash "+hash, nil)
	require.Equal(t, 1, code)
	require.Contains(t, log, "not known")
	require.NotContains(t, log, key)
}

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"-nonsense":                         {2, "nonsense"},
		"-key-hash x":                       {1, "Hash"},
		"-issuer https://as.example":        {1, tokenVariable + " is empty"},
		"-issuer http://as.example":         {1, "Issuers[0]"},
		"-local -issuer https://as.example": {2, "one of -issuer, -key-hash and -local"},
		"-key-hash x -issuer https://as":    {2, "one of -issuer, -key-hash and -local"}, // the issuer would count for nothing
		"-local extra":                      {2, "unexpected argument"},
		"":                                  {2, "one of -issuer, -key-hash and -local"},
		"-h":                                {0, "-key-hash"},
	} {
		t.Setenv(tokenVariable, "")
		code, log := converse(t, args, nil)
		require.Equal(t, want.code, code, args)
		require.Contains(t, log, want.text, args)
	}
	var out bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-new-key"}, nil, &out, &out))
	require.Regexp(t, `key   notes_[\w-]{43}\nhash  sha256:[\w-]{43}\n`, out.String())
}
