package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/mcpauth"
)

// begin starts the workshop until the test ends.
func begin(t *testing.T, text string) *workshop {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w, wait, err := open(ctx, slog.New(slog.DiscardHandler), text)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		wait()
		require.NoFileExists(t, w.path)
	})
	return w
}

// The ladder, whole: Admin (all tools and server settings), Developer (development tools and logs), User (common tools), Read-only
// (sees, runs nothing that writes).
func TestMatrixByRole(t *testing.T) {
	w := begin(t, policy)
	columns, err := w.byRole()
	require.NoError(t, err)
	rows, err := w.matrix(t.Context(), columns)
	require.NoError(t, err)
	requireMatrix(t, columns, rows, "admin developer user read-only", `
		whoami             yes      yes  yes  yes
		read_file          yes      yes  yes  yes
		search             yes      yes  yes  yes
		write_file         yes      yes  yes  -
		format_file        yes      yes  yes  -
		dev_run_tests      yes      yes  -    -
		dev_restart        yes      yes  -    -
		read_logs          yes      yes  -    -
		settings_get       yes      -    -    -
		settings_set       yes      -    -    -
		drop_index         yes      -    -    -
		wipe_disk          sign_in  -    -    -
		review_change      yes      yes  -    -
		docs://start       yes      yes  yes  yes
		logs://today       yes      yes  -    -
		settings://network yes      -    -    -
		logging/setLevel   yes      yes  -    -`)
}

func TestMatrixByClient(t *testing.T) {
	w := begin(t, policy)
	columns, err := w.byClient()
	require.NoError(t, err)
	rows, err := w.matrix(t.Context(), columns)
	require.NoError(t, err)
	requireMatrix(t, columns, rows, "console assistant some-app", `
		whoami             yes      yes  yes
		read_file          yes      yes  yes
		search             yes      yes  yes
		write_file         yes      yes  -
		format_file        yes      yes  -
		dev_run_tests      yes      -    -
		dev_restart        yes      -    -
		read_logs          yes      -    -
		settings_get       yes      -    -
		settings_set       yes      -    -
		drop_index         yes      -    -
		wipe_disk          sign_in  -    -
		review_change      yes      -    -
		docs://start       yes      yes  yes
		logs://today       yes      -    -
		settings://network yes      -    -
		logging/setLevel   yes      -    -`)
}

func requireMatrix(t *testing.T, columns []column, rows [][]string, titles, want string) {
	t.Helper()
	var got, wanted []string
	for _, c := range columns {
		got = append(got, c.title)
	}
	require.Equal(t, strings.Fields(titles), got)
	got = nil
	for i, o := range operations() {
		name := o.name
		if name == "" {
			name = o.method
		}
		got = append(got, name+" "+strings.ReplaceAll(strings.Join(rows[i], " "), "sign in", "sign_in"))
	}
	for line := range strings.Lines(strings.TrimSpace(want)) {
		wanted = append(wanted, strings.Join(strings.Fields(line), " "))
	}
	require.Equal(t, wanted, got)
	names := 0
	for _, o := range operations() {
		if o.method == "tools/call" {
			names++
		}
	}
	require.Equal(t, 12, names)
}

// A scope that nobody has granted opens nothing, whatever the role; and a name that is not there is no secret.
func TestScopesCountAsWell(t *testing.T) {
	w := begin(t, policy)
	token, err := w.token("admin", console, time.Minute, map[string]any{"scope": scopeRead})
	require.NoError(t, err)
	for name, want := range map[string]string{"read_file": allowed, "settings_set": allowed, "write_file": scopeLess, "dev_restart": scopeLess, "read_logs": scopeLess} {
		got, err := w.try(t.Context(), operation{"tools/call", name, `{"name":"` + name + `","arguments":{}}`}, token)
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	got, err := w.try(t.Context(), operation{"tools/call", "other", `{"name":"other"}`}, token)
	require.NoError(t, err)
	require.Equal(t, unknown, got)
	_, err = w.try(t.Context(), operation{"tools/call", "whoami", `{"name":"whoami"}`}, token+"x")
	require.ErrorContains(t, err, "401")
}

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	require.Empty(t, log.String())
	for _, want := range []string{
		"role developer    Developer: Development tools and logs.\n",
		"scope logs:read   Read logs: ",
		"acr_values=\"urn:example:mfa\", max_age=\"300\"",
		"the server logs: mcpauth: the policy was loaded anew\n",
		"the server logs: mcpauth: the policy could not be loaded; the earlier one stays in force\n",
		`line 30, column 19: tools.settings_*: the role "admn" is not among "roles"; is it misspelled?`,
		`line 28, column 34: tools.dev_*: in the rule "role(developer) and": expected a scope,`,
		"\nDone: ",
	} {
		require.Contains(t, out.String(), want)
	}
	require.NotRegexp(t, `eyJ[A-Za-z0-9_-]{10}`, out.String(), "a token was printed")
}

// The program stops where the policy is not what it announces.
func TestAnotherPolicyStopsTheDemonstration(t *testing.T) {
	for change, want := range map[[2]string]string{
		{`"write_file": "role(user) and files:write"`, `"write_file": "role(read-only)"`}: "the list shows",
		{`"maxAge": 300`, `"maxAge": 7200`}:                                               "wipe_disk: got 200, want 401",
	} {
		text, err := edited(change)
		require.NoError(t, err)
		require.ErrorContains(t, begin(t, text).demonstrate(t.Context(), io.Discard), want)
	}
	_, err := edited([2]string{"nowhere", ""})
	require.ErrorContains(t, err, "0 times")
}

// The file on disk is the one that was embedded, and fits the server: no tool lacks a rule, no rule lacks a tool.
func TestPolicyFitsTheServer(t *testing.T) {
	data, err := os.ReadFile("policy.json")
	require.NoError(t, err)
	require.Equal(t, policy, string(data))
	cfg := mcpauth.Config{Resource: "https://mcp.example/mcp", Issuers: []mcpauth.Issuer{{URL: "https://issuer.example"}}}
	path := filepath.Join(t.TempDir(), "policy.json")
	for change, want := range map[[2]string]string{
		{`"wipe_disk": {`, `"wipe_disc": {`}:                           "wipe_disc",
		{`"docs://{page}": "role(read-only)"`, `"x://y": "never"`}:     "docs://{page}",
		{`"annotated": {`, `"annoted": {`}:                             "annoted: no such member",
		{`"*": {"scopes": ["files:read"]`, `"*": {"scopes": ["read"]`}: `the scope "read" is not among "scopes"`,
	} {
		text, err := edited(change)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err = protect(t.Context(), cfg, newServer(), path)
		require.ErrorContains(t, err, want)
	}
}

func TestServe(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w, wait, err := open(ctx, slog.New(slog.DiscardHandler), policy)
	require.NoError(t, err)
	var out bytes.Buffer
	w.instructions(&out)
	require.Contains(t, out.String(), w.path)
	var token string
	for line := range strings.Lines(out.String()) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "eyJ") {
			token = line // the last one: read-only
		}
	}
	client := demo.Client{Out: io.Discard, Resource: w.resource}
	require.NoError(t, client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{Text: `"roles":["read-only"]`}))
	cancel()
	wait()
	_, err = http.Post(w.resource, "application/json", nil)
	require.Error(t, err)

	require.Equal(t, 2, run(t.Context(), []string{"-nonsense"}, io.Discard, io.Discard))
}

// Without somebody who waits, reports are in the program's log, also at a level that it does not show otherwise.
func TestReports(t *testing.T) {
	var log bytes.Buffer
	r := &reports{Handler: slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})}
	logger := slog.New(r)
	logger.Info("mcpauth: something else")
	require.Empty(t, log.String())
	logger.Warn("mcpauth: a refusal")
	logger.Info("mcpauth: the policy was loaded anew")
	require.Equal(t, 2, strings.Count(log.String(), "\n"))
	to := r.open()
	done := make(chan struct{})
	go func() { defer close(done); logger.Info("mcpauth: the policy was loaded anew") }()
	require.Equal(t, slog.LevelInfo, (<-to).Level)
	<-done
	require.Equal(t, 2, strings.Count(log.String(), "\n"))
}
