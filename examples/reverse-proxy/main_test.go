package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestRules_FromTheCommandLine(t *testing.T) {
	r := rules{}
	for _, good := range []string{"read=files:read", "write=files:write and role(editor)", "open=authenticated", "x=y=z"} {
		require.NoError(t, r.Set(good))
	}
	require.Len(t, r, 4)
	require.Equal(t, "files:write and role(editor)", r["write"].String())
	require.True(t, r["open"].Met(scopes.NewGrant(nil, nil)))
	for _, bad := range []string{"", "read", "=files:read", "read=other", "a=(", "b="} {
		require.Error(t, r.Set(bad), bad)
	}
}

func TestNewHandler_RefusesMistakes(t *testing.T) {
	good := mcpauth.Config{Resource: "https://mcp.example/mcp", Issuers: []mcpauth.Issuer{{URL: "https://as.example"}}}
	_, err := newHandler(good, "http://localhost:3000/mcp", nil)
	require.NoError(t, err)
	_, err = newHandler(good, "localhost:3000", nil)
	require.ErrorContains(t, err, "-upstream")
	_, err = newHandler(mcpauth.Config{}, "http://localhost:3000/mcp", nil)
	require.ErrorContains(t, err, "Resource")
}

func TestCommandLine(t *testing.T) {
	const both = "-issuer https://as.example -upstream http://127.0.0.1:3000/mcp "
	for args, want := range map[string]struct {
		code int
		text string
	}{
		"":                               {2, "-issuer"},
		"-issuer https://as.example":     {2, "-upstream"},
		both + "extra":                   {2, "nothing but flags"},
		both + "-tool read":              {2, "name=rule"},
		both + "-nonsense":               {2, "nonsense"},
		both + "-resource http://a/mcp":  {2, "Resource"},
		both + "-listen nowhere":         {1, "nowhere"},
		"-h":                             {0, "-upstream"},
		"-issuer https://as -upstream x": {2, "-upstream"},
	} {
		var log bytes.Buffer
		if !strings.Contains(args, "-listen") {
			args = "-listen 127.0.0.1:0 " + args
		}
		require.Equal(t, want.code, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.Contains(t, log.String(), want.text, args)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // a stop is no failure
	require.Zero(t, run(ctx, strings.Fields(both+"-listen 127.0.0.1:0"), io.Discard, io.Discard))
	require.Zero(t, run(ctx, strings.Fields(both+"-listen 127.0.0.1:0 -base-scopes files:read,files:list"), io.Discard, io.Discard))
	var log bytes.Buffer
	require.Equal(t, 2, run(ctx, strings.Fields(both+`-listen 127.0.0.1:0 -base-scopes files:read,"`), io.Discard, &log))
	require.Contains(t, log.String(), "BaseScopes")
}
