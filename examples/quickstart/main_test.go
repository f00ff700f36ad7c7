package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDemo(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-demo"}, &out, &log), "%s\n%s", out.String(), log.String())
	for _, want := range []string{
		"401 Unauthorized", "resource_metadata=", "authorization_servers", "201 Created", "RFC 9207",
		`error="insufficient_scope", scope="notes:read notes:write"`, "Noted.", "Tidy up these notes", "resources/read", "Done:",
	} {
		require.Contains(t, out.String(), want)
	}
	require.NotRegexp(t, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}`), out.String()+log.String(), "a token was printed")
}

func TestDemoFailsWhereAnAnswerIsWrong(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	defer open.Close()
	var out bytes.Buffer
	require.ErrorContains(t, walk(t.Context(), &out, open.URL), "want 401")
}

func TestWaitsUntilInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, log bytes.Buffer
	require.Zero(t, run(ctx, nil, &out, &log))
	require.Contains(t, out.String(), "authorization server")
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for _, args := range []string{"-listen 0.0.0.0:0", "-no-such-flag", "extra"} {
		var out, log bytes.Buffer
		require.NotZero(t, run(t.Context(), strings.Fields(args), &out, &log), args)
		require.NotEmpty(t, log.String())
	}
}
