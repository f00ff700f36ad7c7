package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExitStatuses(t *testing.T) {
	const good = "-resource https://mcp.example.com/mcp -issuer https://login.example.com -redis 127.0.0.1:1 "
	for args, want := range map[string]struct {
		status int
		says   string
	}{
		"-help":                      {0, "help"},
		"-nonsense":                  {2, "nonsense"},
		"":                           {2, "-resource, -issuer and -redis"},
		good + "extra":               {2, "unexpected argument"},
		good + "-rate often":         {2, "600/1m"},
		good + "-admin 0.0.0.0:9001": {2, "no loopback address"},
		good + "-redis-timeout 1h":   {2, "Options.Timeout"},
		good:                         {1, "refused"}, // nobody listens there
	} {
		var log bytes.Buffer
		err := run(t.Context(), strings.Fields(args), io.Discard, &log)
		require.ErrorContains(t, err, want.says, args)
		require.Equal(t, want.status, statusOf(err), args)
	}
	t.Setenv("NONCE_KEYS", "not base64!")
	require.Equal(t, 2, statusOf(run(t.Context(), strings.Fields(good), io.Discard, io.Discard)))
}
