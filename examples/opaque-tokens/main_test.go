package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
)

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	// In this order.
	for rest, wants := out.String(), []string{
		"an access token of", "200 OK", "so far: 1\n", "200 OK", "so far: 1\n", "403 Forbidden", `error="insufficient_scope"`,
		"revoked\n", "200 OK", "so far: 1\n", "401 Unauthorized", `error="invalid_token"`, "token_inactive", "so far: 2\n",
		"nobody issued", "401 Unauthorized", "503 Service Unavailable", "Retry-After: ", "introspection_unavailable", "200 OK", "Done:",
	}; len(wants) > 0; wants = wants[1:] {
		_, after, found := strings.Cut(rest, wants[0])
		require.True(t, found, "no %s in what follows\n%s", wants[0], out.String())
		rest = after
	}
	require.NotRegexp(t, regexp.MustCompile(`Bearer [^("\s]{20}`), out.String()+log.String(), "a token was printed")
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
	urls := regexp.MustCompile(`http://\S+`).FindAllString(text, 2)
	require.Len(t, urls, 2, text)
	token, err := demo.Login(ctx, urls[1], urls[0], "ada", notes.ScopeRead)
	require.NoError(t, err)
	client := demo.Client{Out: io.Discard, Resource: urls[0]}
	require.NoError(t, client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{Text: `"sub":"ada"`}))
	res, err := http.Get(regexp.MustCompile(`http://\S+/account`).FindString(text))
	require.NoError(t, err)
	res.Body.Close()
	require.Less(t, res.StatusCode, 400, "where to take it back")
	stop()
	require.Zero(t, <-ended)
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for args, status := range map[string]int{"-no-such-flag": 2, "extra": 2, "-h": 0} {
		var log bytes.Buffer
		require.Equal(t, status, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.NotEmpty(t, log.String())
	}
}

// A service is both servers, with the test's clock in the MCP server.
type service struct {
	*testing.T
	resource string
	as       *authority
	ahead    atomic.Int64 // of the moment when the test began
	log      demo.Log
}

const (
	secret = "a secret with : and %"
	other  = "http://127.0.0.1/other" // another resource of the same authorization server
)

func (s *service) advance(d time.Duration) { s.ahead.Add(int64(d)) }

func newService(t *testing.T, password string, change func(*mcpauth.Config)) *service {
	s := &service{T: t, as: &authority{}}
	back := httptest.NewServer(s.as)
	t.Cleanup(back.Close)
	front := httptest.NewUnstartedServer(nil)
	t.Cleanup(front.Close)
	s.as.issuer, s.resource = back.URL, "http://"+front.Listener.Addr().String()+"/mcp"
	server, err := demo.NewAuthorizationServer(back.URL, s.resource, slog.New(slog.DiscardHandler), func(cfg *devas.Config) {
		cfg.Resources[0].OpaqueTokens = true
		cfg.Resources = append(cfg.Resources, devas.Resource{Identifier: other, OpaqueTokens: true,
			Scopes: []devas.Scope{{Name: notes.ScopeRead}}})
		cfg.Clients = append(cfg.Clients, devas.Client{ID: introspector, Secret: secret, MayIntrospect: true})
	})
	require.NoError(t, err)
	s.as.server = server
	front.Config.Handler, err = protect(s.resource, back.URL, mcpauth.Secret(password), func(cfg *mcpauth.Config) {
		began := time.Now() // and stands still, so that a slow machine changes nothing
		cfg.Now = func() time.Time { return began.Add(time.Duration(s.ahead.Load())) }
		cfg.OnDecision = s.log.OnDecision
		change(cfg)
	})
	require.NoError(t, err)
	front.Start()
	return s
}

func (s *service) login(resource, user string, scopes ...string) string {
	s.Helper()
	token, err := demo.Login(s.Context(), s.as.issuer, resource, user, scopes...)
	require.NoError(s, err)
	return token
}

func (s *service) call(token, tool string, want demo.Want) {
	s.Helper()
	var out bytes.Buffer
	client := demo.Client{Out: &out, Resource: s.resource, Log: &s.log}
	require.NoError(s, client.Call(s.Context(), demo.Bearer(token), tool, nil, want), out.String())
}

func (s *service) questions() int64 { return s.as.asked.Load() }

func same(*mcpauth.Config) {}

var inactive = demo.Want{Status: 401, Reason: mcpauth.ReasonTokenInactive, Challenge: `error="invalid_token"`}

// MaxAge is how late a revocation is noticed, and not a second more.
func TestRevocationIsNoticedAfterMaxAge(t *testing.T) {
	s := newService(t, secret, same)
	token := s.login(s.resource, "uma", notes.ScopeRead)
	s.call(token, "whoami", demo.Want{Text: `"sub":"uma"`})
	require.EqualValues(t, 1, s.questions())
	require.NoError(t, demo.Revoke(t.Context(), s.as.issuer, token))
	s.advance(maxAge - time.Second)
	s.call(token, "whoami", demo.Want{})
	require.EqualValues(t, 1, s.questions())
	s.advance(time.Second)
	s.call(token, "whoami", inactive)
	require.EqualValues(t, 2, s.questions())
}

// With a negative MaxAge, at once.
func TestRevocationIsNoticedAtOnce(t *testing.T) {
	s := newService(t, secret, func(cfg *mcpauth.Config) { cfg.Issuers[0].Introspection.MaxAge = -1 })
	token := s.login(s.resource, "uma", notes.ScopeRead)
	s.call(token, "whoami", demo.Want{})
	s.call(token, "whoami", demo.Want{})
	require.EqualValues(t, 2, s.questions())
	require.NoError(t, demo.Revoke(t.Context(), s.as.issuer, token))
	s.call(token, "whoami", inactive)
}

// What the authorization server says of a token is judged as claims are.
func TestAnswersAreJudged(t *testing.T) {
	s := newService(t, secret, same)
	token := s.login(other, "uma", notes.ScopeRead)
	s.call(token, "whoami", demo.Want{Status: 401, Reason: mcpauth.ReasonAudience, Challenge: `error="invalid_token"`})

	uma, ada := s.login(s.resource, "uma", notes.ScopeRead), s.login(s.resource, "ada", notes.ScopeRead)
	s.call(uma, "purge_notes", demo.Want{Status: 403, Reason: mcpauth.ReasonRole})
	s.call(ada, "purge_notes", demo.Want{Text: "All notes are gone."})
	list := func(token string, want ...string) {
		t.Helper()
		client := demo.Client{Out: io.Discard, Resource: s.resource}
		require.NoError(t, client.List(t.Context(), demo.Bearer(token), want...))
	}
	list(uma, "read_notes", "whoami", "write_note")
	list(ada, "purge_notes", "read_notes", "whoami", "write_note")

	s.advance(6 * time.Minute) // tokens live for five
	s.as.down.Store(true)
	s.call(uma, "whoami", demo.Want{Status: 503, Reason: mcpauth.ReasonIntrospection}) // its answer has ended with it
}

// CH-22: where nobody can tell, it is 503, without a challenge, so that clients keep their tokens.
func TestCH22_WhereNobodyCanTell(t *testing.T) {
	s := newService(t, secret, same)
	known, fresh := s.login(s.resource, "uma", notes.ScopeRead), s.login(s.resource, "uma", notes.ScopeRead)
	s.call(known, "whoami", demo.Want{})
	s.as.down.Store(true)
	s.call(known, "whoami", demo.Want{})
	s.call(fresh, "whoami", demo.Want{Status: 503, Reason: mcpauth.ReasonIntrospection})
	s.as.down.Store(false)
	s.advance(maxAge)
	s.call(fresh, "whoami", demo.Want{})

	s = newService(t, "wrong", same)
	s.call(s.login(s.resource, "uma", notes.ScopeRead), "whoami", demo.Want{Status: 503, Reason: mcpauth.ReasonIntrospectionLogin})
}

// INTRO-09: what has the form of a JWT is nobody's to ask about.
func TestINTRO09_JWTsAreNotSentAway(t *testing.T) {
	s := newService(t, secret, same)
	const forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEifQ."
	s.call(forged, "whoami", demo.Want{Status: 401, Challenge: `error="invalid_token"`})
	require.Zero(t, s.questions())
}

func TestFailsWhereTheTokenIsNotChecked(t *testing.T) {
	s := newService(t, secret, same)
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"\"sub\":\"uma\" no notes yet"}]}}`))
	}))
	defer open.Close()
	var clock demo.Clock
	client := &demo.Client{Out: io.Discard, Resource: open.URL}
	require.Error(t, demonstrate(t.Context(), client, s.as, &clock), "no such resource")
	client.Resource = s.resource
	s.as.server = http.NotFoundHandler()
	require.Error(t, demonstrate(t.Context(), client, s.as, &clock), "no login")
}
