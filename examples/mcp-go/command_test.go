package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommandLine(t *testing.T) {
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"":                                    {2, "-issuer"},
		"-issuer https://as.example extra":    {2, "nothing but flags"},
		"-nonsense":                           {2, "nonsense"},
		"-h":                                  {0, "authorization server"},
		"-listen 127.0.0.1:0 -issuer nowhere": {2, "Issuers[0].URL"},
		"-listen nowhere -issuer https://as":  {1, "nowhere"},
	} {
		var log bytes.Buffer
		require.Equal(t, want.code, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.Contains(t, log.String(), want.text, args)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a stop is no failure
	require.Zero(t, run(ctx, []string{"-listen", "127.0.0.1:0", "-issuer", "https://as.example"}, io.Discard, io.Discard))
}
