package main

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
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
	for _, args := range []string{"-listen 0.0.0.0:0", "-no-such-flag", "extra", "-data state.json", "-data state.json -listen 127.0.0.1:8000"} {
		var out, log bytes.Buffer
		require.NotZero(t, run(t.Context(), strings.Fields(args), &out, &log), args)
		require.NotEmpty(t, log.String())
	}
}

// The consent page lists what the rules of the server open for this user and these scopes, and nothing else.
func TestToolsOfTheConsentPage(t *testing.T) {
	sys := &system{resource: "http://127.0.0.1:8000/mcp", issuer: "http://127.0.0.1:9000"}
	handler, tools, err := protect(t.Context(), sys, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	for _, c := range []struct{ user, scopes, want string }{
		{"ada", "notes:read notes:write", "purge_notes read_notes whoami write_note"},
		{"uma", "notes:read notes:write", "read_notes whoami write_note"},
		{"uma", "notes:read", "read_notes whoami"},
		{"ada", "notes:write", ""}, // notes:read is the base of everything here
		{"uma", "", ""},
	} {
		var names []string
		for _, user := range devas.DefaultUsers() {
			if user.Name == c.user {
				for _, tool := range tools(user, strings.Fields(c.scopes)) {
					require.NotEmpty(t, tool.Title)
					require.NotEmpty(t, tool.Description)
					names = append(names, tool.Name)
				}
			}
		}
		require.Equal(t, c.want, strings.Join(names, " "), "%s with %s", c.user, c.scopes)
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8000/", nil))
	require.Equal(t, http.StatusNotFound, w.Code)
	require.Contains(t, w.Body.String(), sys.resource)
}
