package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
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

func TestOptionsReachTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"-opaque", "-dpop-nonce", "-no-registration", "-no-documents", "-agent", "a:s1", "-introspect", "r:s2"}, in, io.Discard)
		_ = in.Close()
	}()
	first, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	issuer := strings.TrimPrefix(strings.TrimSpace(first), "listening on ")
	post := func(path, id, secret string, form url.Values) (status int, body map[string]any) {
		req, err := http.NewRequestWithContext(t.Context(), "POST", issuer+path, strings.NewReader(form.Encode()))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth(id, secret)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer func() { _ = resp.Body.Close() }()
		_ = json.NewDecoder(resp.Body).Decode(&body)
		return resp.StatusCode, body
	}
	code, token := post("/token", "a", "s1", url.Values{"grant_type": {"client_credentials"}})
	require.Equal(t, http.StatusOK, code, token)
	require.NotContains(t, token["access_token"], ".")
	form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"a"}, "client_secret": {"s1"}}
	resp, err := http.PostForm(issuer+"/token", form) // client_secret_post, as the Go SDK's handler does
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	code, refused := post("/token", "a", "s1", form)
	require.Equal(t, http.StatusBadRequest, code)
	require.Equal(t, "invalid_request", refused["error"])
	_, info := post("/introspect", "r", "s2", url.Values{"token": {token["access_token"].(string)}})
	require.Equal(t, true, info["active"])
	require.Equal(t, "notes:read notes:write", info["scope"])
	code, _ = post("/register", "a", "s1", nil)
	require.Equal(t, http.StatusNotFound, code)
	cancel()
	require.Equal(t, 0, <-status)
}

// AS-06: an identity provider that is trusted, and a client that exchanges its assertions.
func TestAS06_OptionsForIdentityAssertions(t *testing.T) {
	idp := mcpauthtest.NewIssuer(t, "")
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	status := make(chan int, 1)
	go func() {
		status <- run(ctx, []string{"-trust-idp", idp.URL, "-enterprise", "editor:s1"}, in, io.Discard)
		_ = in.Close()
	}()
	first, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	issuer := strings.TrimPrefix(strings.TrimSpace(first), "listening on ")
	assertion := idp.Token(mcpauthtest.Claims{Subject: "U1", Client: "editor", Audience: []string{issuer}, Scope: "notes:read", Lifetime: 5 * time.Minute,
		Extra: map[string]any{"resource": "http://127.0.0.1:8080/mcp"}, Header: map[string]any{"typ": "oauth-id-jag+jwt"}})
	resp, err := http.PostForm(issuer+"/token", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion},
		"client_id": {"editor"}, "client_secret": {"s1"}})
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var token map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&token))
	require.Equal(t, http.StatusOK, resp.StatusCode, token)
	require.Equal(t, "notes:read", token["scope"])
	cancel()
	require.Equal(t, 0, <-status)
}

func TestHelpIsNoMistake(t *testing.T) {
	var stderr bytes.Buffer
	require.Zero(t, run(t.Context(), []string{"-help"}, io.Discard, &stderr))
	require.Contains(t, stderr.String(), "-scopes scopes")
}

func TestAS04_MistakesExitWithTwo(t *testing.T) {
	for _, args := range [][]string{
		{"-listen", "0.0.0.0:0"}, {"-listen", ":0"}, {"-listen", "example.com:80"}, {"-resource", "mcp"}, {"-scopes", `a"b`}, {"-unknown"}, {"argument"},
		{"-data", "state.json"}, {"-agent", "no-secret"}, {"-agent", "ada:s"}, {"-introspect", ":x"}, {"-enterprise", "a:b"}, {"-trust-idp", "https://idp.example"},
		{"-trust-idp", "http://idp.example", "-enterprise", "a:b"}, {"-data", "/no/such/folder/state", "-listen", "127.0.0.1:45999"},
	} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, 2, run(t.Context(), args, &stdout, &stderr), args)
		require.Empty(t, stdout.String())
		require.NotEmpty(t, stderr.String())
	}
}
