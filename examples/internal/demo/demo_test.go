package demo_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
)

// What is not as announced stops the demonstration.
func TestAnswersAreCompared(t *testing.T) {
	const result = `{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"hello"}],"tools":[{"name":"a"},{"name":"b"}]}}`
	var log demo.Log
	log.OnDecision(t.Context(), mcpauth.Decision{Reason: mcpauth.ReasonRole})
	for _, c := range []struct {
		name   string
		answer http.HandlerFunc
		want   demo.Want
		err    string // empty: fine
	}{
		{"success", answer(200, result), demo.Want{}, ""},
		{"success with its text", answer(200, result), demo.Want{Text: "ell"}, ""},
		{"in a stream", answer(200, "event: message\ndata: {}\n\ndata: "+result+"\n\n", "Content-Type", "text/event-stream"), demo.Want{Text: "hello"}, ""},
		{"another text", answer(200, result), demo.Want{Text: "goodbye"}, "goodbye"},
		{"what must not be there", answer(200, result), demo.Want{Not: "hello"}, "must not be"},
		{"an error of the tool", answer(200, `{"result":{"isError":true,"content":[{"text":"hello"}]}}`), demo.Want{Text: "hello"}, "answers"},
		{"no result", answer(200, `{"error":{}}`), demo.Want{}, "no result"},
		{"no JSON", answer(200, `hello`), demo.Want{}, "no result"},
		{"a refusal", answer(403, ``), demo.Want{}, "got 403, want 200"},
		{"success where a refusal was wanted", answer(200, result), demo.Want{Status: 403}, "got 200, want 403"},
		{"a bare 403", answer(403, ``), demo.Want{Status: 403}, ""},
		{"a bare 403 for its reason", answer(403, ``), demo.Want{Status: 403, Reason: mcpauth.ReasonRole}, ""},
		{"a bare 403 for another reason", answer(403, ``), demo.Want{Status: 403, Reason: mcpauth.ReasonFixedGrant}, "the reason is"},
		{"a challenge where there must be none", answer(403, ``, "WWW-Authenticate", "Bearer"), demo.Want{Status: 403}, "WWW-Authenticate"},
		{"no challenge", answer(401, ``), demo.Want{Status: 401, Challenge: "Bearer"}, "WWW-Authenticate"},
		{"another challenge", answer(401, ``, "WWW-Authenticate", "ApiKey"), demo.Want{Status: 401, Challenge: "Bearer"}, "WWW-Authenticate"},
		{"503 with a time", answer(503, ``, "Retry-After", "1"), demo.Want{Status: 503}, ""},
		{"503 without one", answer(503, ``), demo.Want{Status: 503}, "Retry-After"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(c.answer)
			defer server.Close()
			client := demo.Client{Out: io.Discard, Resource: server.URL, Log: &log}
			err := client.Call(t.Context(), nil, "tool", nil, c.want)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
		})
	}
	server := httptest.NewServer(answer(200, result))
	client := demo.Client{Out: io.Discard, Resource: server.URL}
	require.NoError(t, client.List(t.Context(), nil, "a", "b"))
	require.ErrorContains(t, client.List(t.Context(), nil, "a"), "want [a]")
	require.ErrorContains(t, client.Call(t.Context(), nil, "tool", nil, demo.Want{Reason: mcpauth.ReasonRole}), "the reason is", "there is no log")
	server.Close()
	require.Error(t, client.List(t.Context(), nil))
}

// answer makes a handler; header is pairs of a name and a value.
func answer(status int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// SEC-02: credentials are printed as their length.
func TestCredentialsAreNotPrinted(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		answer(200, `{"result":{"content":[]}}`)(w, r)
	}))
	defer server.Close()
	var out bytes.Buffer
	client := demo.Client{Out: &out, Resource: server.URL}
	client.Step("first")
	for _, who := range []demo.Credentials{demo.Bearer("s3cret"), demo.Field("X-Key", "s3cret"), demo.Field("Authorization", "s3cret")} {
		require.NoError(t, client.Call(t.Context(), who, "tool", nil, demo.Want{}))
	}
	require.Equal(t, "s3cret", got.Get("Authorization"))
	client.Done("over")
	require.NotContains(t, out.String(), "s3cret")
	for _, want := range []string{"\n1. first\n", "> tools/call tool   Authorization: Bearer (6 bytes)\n", "X-Key: (6 bytes)", "Authorization: (6 bytes)", "\nDone: over\n"} {
		require.Contains(t, out.String(), want)
	}
}

func TestChallengesArePrintedOnce(t *testing.T) {
	server := httptest.NewServer(answer(401, "", "WWW-Authenticate", `Bearer realm="a"`))
	defer server.Close()
	var out bytes.Buffer
	client := demo.Client{Out: &out, Resource: server.URL}
	for range 2 {
		client.Step("try")
		require.NoError(t, client.Call(t.Context(), nil, "tool", nil, demo.Want{Status: 401, Challenge: "Bearer"}))
	}
	require.Equal(t, 1, strings.Count(out.String(), `realm="a"`))
	require.Contains(t, out.String(), "WWW-Authenticate: Bearer, as in step 1\n")
}

func TestProgram_ExitStatus(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name, args string
		start, run error
		want       int
	}{
		{"well", "", nil, nil, 0},
		{"help", "-h", nil, nil, 0},
		{"an unknown flag", "-nonsense", nil, nil, 2},
		{"an argument", "more", nil, nil, 2},
		{"no start", "", broken, nil, 1},
		{"a failure", "", nil, broken, 1},
		{"serving", "-serve", nil, broken, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			if c.args == "-serve" {
				cancel() // else it would wait
			}
			defer cancel()
			waited := false
			var out, log bytes.Buffer
			status := demo.Program{Name: "test", Start: func(context.Context, *slog.Logger) (*demo.System, error) {
				return &demo.System{
					Demonstrate:  func(context.Context, io.Writer) error { return c.run },
					Instructions: func(out io.Writer) { _, _ = io.WriteString(out, "instructions") },
					Wait:         func() { waited = true },
				}, c.start
			}}.Run(ctx, strings.Fields(c.args), &out, &log)
			require.Equal(t, c.want, status)
			require.Equal(t, status != 0 || c.args == "-h", log.Len() > 0, log.String())
			require.Equal(t, c.args == "-serve", out.String() == "instructions")
			require.Equal(t, status != 2 && c.args != "-h" && c.start == nil, waited)
		})
	}
}

func TestServeEndsWithItsContext(t *testing.T) {
	at, err := demo.Listen(2)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	wait := demo.Serve(ctx, slog.New(slog.DiscardHandler), demo.Site{Listener: at[0], Handler: answer(200, "a")}, demo.Site{Listener: at[1], Handler: answer(200, "b")})
	for i, want := range []string{"a", "b"} {
		res, err := http.Get("http://" + at[i].Addr().String())
		require.NoError(t, err)
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, want, string(text))
	}
	cancel()
	wait()
	for _, l := range at {
		_, err := net.Dial("tcp", l.Addr().String())
		require.Error(t, err)
	}
}

func TestLogin(t *testing.T) {
	const resource = "http://127.0.0.1/mcp"
	at, err := demo.Listen(1)
	require.NoError(t, err)
	issuer := "http://" + at[0].Addr().String()
	logger := slog.New(slog.DiscardHandler)
	server, err := demo.NewAuthorizationServer(issuer, resource, logger, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	wait := demo.Serve(ctx, logger, demo.Site{Listener: at[0], Handler: server})
	t.Cleanup(wait)
	t.Cleanup(cancel)

	token, err := demo.Login(ctx, issuer, resource, "uma", notes.ScopeRead)
	require.NoError(t, err)
	require.NotEmpty(t, token)
	require.NoError(t, demo.Revoke(ctx, issuer, token))
	for name, try := range map[string]func() (string, error){
		"an unknown user":     func() (string, error) { return demo.Login(ctx, issuer, resource, "nobody", notes.ScopeRead) },
		"an unknown scope":    func() (string, error) { return demo.Login(ctx, issuer, resource, "uma", "notes:burn") },
		"an unknown resource": func() (string, error) { return demo.Login(ctx, issuer, "http://127.0.0.1/x", "uma", notes.ScopeRead) },
	} {
		token, err := try()
		require.Error(t, err, name)
		require.Empty(t, token, name)
	}
	require.Error(t, demo.Revoke(ctx, issuer+"/nowhere", token))

	_, err = demo.NewAuthorizationServer(issuer, resource, logger, func(cfg *devas.Config) { cfg.Resources = nil })
	require.Error(t, err)
}

// What a demonstration wants otherwise than usual is otherwise, and nothing else.
func TestTokenWithHeader(t *testing.T) {
	is, err := demo.NewIssuer("https://issuer.example")
	require.NoError(t, err)
	token, err := is.TokenWithHeader(map[string]any{"typ": "JWT", "kid": nil}, "https://mcp.example/mcp", "uma", time.Minute, map[string]any{"aud": nil, "scope": "a"})
	require.NoError(t, err)
	var header, claims map[string]any
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, into))
	}
	require.Equal(t, map[string]any{"alg": "ES256", "typ": "JWT"}, header)
	require.ElementsMatch(t, []string{"iss", "sub", "jti", "iat", "exp", "scope"}, slices.Collect(maps.Keys(claims)))
	_, err = is.Token("https://mcp.example/mcp", "uma", time.Minute, map[string]any{"x": func() {}})
	require.Error(t, err)
}
