package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/mcpauth"
)

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	for rest, wants := out.String(), []string{ // in this order
		"in French", "signed by http://127.0.0.1:", "with ES256", "401 Unauthorized", `/mail/mcp", scope="mail:read"`, "401 Unauthorized", `/code/mcp", scope="code:read"`,
		"< list_mail, send_mail\n", "list_mail of Mail for ada", "401 Unauthorized", "audience_mismatch", "read_code of Code for ada", "403 Forbidden", "insufficient_scope",
		"401 Unauthorized", "audience_mismatch", "Done:",
	}; len(wants) > 0; wants = wants[1:] {
		_, after, found := strings.Cut(rest, wants[0])
		require.True(t, found, "no %s in what follows\n%s", wants[0], out.String())
		rest = after
	}
	require.NotRegexp(t, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}`), out.String()+log.String(), "a token was printed")
}

func TestServe(t *testing.T) {
	read, write := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- run(ctx, []string{"-serve"}, write, &log) }()
	var text string
	for lines := bufio.NewScanner(read); !strings.Contains(text, "Ctrl+C") && lines.Scan(); {
		text += lines.Text() + "\n"
	}
	urls := regexp.MustCompile(`http://\S+`).FindAllString(text, 3)
	require.Len(t, urls, 3, text)
	client := demo.Client{Out: io.Discard, Resource: urls[1]}
	token, err := demo.Login(ctx, urls[2], urls[1], "ada", "code:read")
	require.NoError(t, err)
	require.NoError(t, client.Call(ctx, demo.Bearer(token), "read_code", nil, demo.Want{Text: "for ada"}))
	stop()
	require.Zero(t, <-ended)
}

func TestMistakesOfTheCommandLine(t *testing.T) {
	for args, status := range map[string]int{"-nonsense": 2, "more": 2, "-h": 0} {
		require.Equal(t, status, run(t.Context(), strings.Fields(args), io.Discard, io.Discard), args)
	}
}

// The demonstration fails where nothing is checked, or the metadata is signed by somebody else.
func TestFailsWhereNothingIsChecked(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	var handler http.Handler
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	defer server.Close()
	mux := http.NewServeMux()
	require.NoError(t, mount(mux, server.URL, mcpauth.Config{Issuers: []mcpauth.Issuer{{URL: "https://issuer.example"}}}, key))
	handler = mux
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	require.ErrorContains(t, demonstrate(t.Context(), io.Discard, server.URL, "http://127.0.0.1:1", other.Public(), new(demo.Log)), "signed by none of the keys")

	handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			mux.ServeHTTP(w, r)
			return
		}
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"fine"}]}}`))
	})
	require.ErrorContains(t, demonstrate(t.Context(), io.Discard, server.URL, "http://127.0.0.1:1", key.Public(), new(demo.Log)), "want 401")
	require.Error(t, mount(http.NewServeMux(), "http://mcp.example.com", mcpauth.Config{}, key), "a Config that New refuses")
}
