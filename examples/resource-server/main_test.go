package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

func TestCommandLine(t *testing.T) {
	for _, tt := range []struct {
		name, args, want string // empty: accepted
	}{
		{"the least that is needed", "-issuer https://as.example", ""},
		{"several issuers", "-issuer https://a.example -issuer https://b.example", ""},
		{"sessions", "-issuer https://a.example -stateless=false -listing allowed -log -dpop off", ""},
		{"no issuer", "", "-issuer"},
		{"keys of two issuers", "-issuer https://a.example -issuer https://b.example -jwks-url https://a.example/jwks", "single"},
		{"optional DPoP with nonces", "-issuer https://a.example -dpop optional -dpop-nonce", ""},
		{"required DPoP", "-issuer https://a.example -dpop required", ""},
		{"introspection", "-issuer https://a.example -introspect files:secret", ""},
		{"introspection without a secret", "-issuer https://a.example -introspect files", "INTROSPECTION_SECRET"},
		{"introspection of two issuers", "-issuer https://a.example -issuer https://b.example -introspect files:secret", "single"},
		{"nonces without DPoP", "-issuer https://a.example -dpop off -dpop-nonce", "goes with -dpop"},
		{"unknown DPoP mode", "-issuer https://a.example -dpop maybe", "off, optional or required"},
		{"unknown listing", "-issuer https://a.example -listing some", "obtainable, allowed or all"},
		{"an argument", "-issuer https://a.example extra", "unexpected"},
		{"an unknown flag", "-nonsense", "nonsense"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parse(strings.Fields(tt.args), io.Discard)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			var wrong usageError
			require.ErrorAs(t, err, &wrong, "exit status 2")
		})
	}
	_, err := parse([]string{"-h"}, io.Discard)
	require.ErrorIs(t, err, flag.ErrHelp)
}

func TestTheSecretOfIntrospectionComesFromTheEnvironment(t *testing.T) {
	t.Setenv(secretVariable, "from:the:environment")
	opt, err := parse(strings.Fields("-issuer https://a.example -introspect files"), io.Discard)
	require.NoError(t, err)
	in := config(opt, io.Discard).Issuers[0].Introspection
	require.Equal(t, "files", in.ClientID)
	require.Equal(t, mcpauth.Secret("from:the:environment"), in.ClientSecret)
}

func TestRun_RefusesWhatNewRefuses(t *testing.T) {
	for _, args := range []string{
		"-listen 127.0.0.1:0 -issuer http://as.example",
		"-listen 127.0.0.1:0 -issuer https://as.example -resource http://mcp.example/mcp",
		"-listen 127.0.0.1:0 -issuer https://as.example -upstream ftp://x",
	} {
		opt, err := parse(strings.Fields(args), io.Discard)
		require.NoError(t, err)
		var wrong usageError
		require.ErrorAs(t, run(t.Context(), opt, io.Discard, io.Discard), &wrong, args)
	}
}

func TestRun_SaysWhereItListensAndEnds(t *testing.T) {
	opt, err := parse([]string{"-listen", "127.0.0.1:0", "-issuer", "https://as.example", "-log"}, io.Discard)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read, write := io.Pipe()
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, opt, write, &log) }()
	line, err := bufio.NewReader(read).ReadString('\n')
	require.NoError(t, err)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	require.True(t, ok, line)

	res, err := http.Post(url+"/mcp", "application/json", strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Contains(t, res.Header.Get("WWW-Authenticate"), url+"/.well-known/oauth-protected-resource/mcp")

	res, err = http.Get(url + "/.well-known/oauth-protected-resource/mcp")
	require.NoError(t, err)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	res.Body.Close()
	require.Contains(t, string(body), `"scopes_supported":["notes:read","notes:write"]`)

	cancel()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), `"reason":"no_credentials"`)
}
