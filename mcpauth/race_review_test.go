package mcpauth_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// DPOP-15: a store that lets its time pass has not answered, whatever it says then: it may have forgotten the proof's first
// use meanwhile.
func TestDPOP15_AnAnswerThatComesTooLateIsNone(t *testing.T) {
	is, k := newIssuer(t), newHolder(t, "")
	store := &recorder{answer: func(context.Context) (bool, error) { time.Sleep(5*time.Second + time.Nanosecond); return true, nil }}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.DPoP.Replay = store })
	require.NoError(t, auth.Ready(t.Context()))
	token := k.bound(t, is)
	synctest.Test(t, func(t *testing.T) {
		reached := &spy{}
		require.Equal(t, http.StatusServiceUnavailable, serve(auth.Wrap(reached), k.signed(post(rpc("ping", nil), ""), token)).Code)
		require.Zero(t, reached.runs())
	})
}

// TOK-21: likewise a store of revocations, which may have looked before the token was taken back.
func TestTOK21_AnAnswerThatComesTooLateIsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for takes, want := range map[time.Duration]error{2*time.Second - 1: nil, 2*time.Second + 1: mcpauth.ErrUnavailable} {
			list := mcpauth.NewRevocations(slowRevocations{takes}, nil)
			gone, err := list.Revoked(t.Context(), mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://as.example", Subject: "ada"}))
			require.ErrorIs(t, err, want)
			require.False(t, gone)
		}
	})
}

// slowRevocations knows of nothing, and takes its time to say so.
type slowRevocations struct{ takes time.Duration }

func (slowRevocations) Put(context.Context, mcpauth.RevocationID, int64, time.Time) error { return nil }

func (s slowRevocations) Find(_ context.Context, ids []mcpauth.RevocationID) ([]int64, error) {
	time.Sleep(s.takes)
	return make([]int64, len(ids)), nil
}

// What a Policy writes into the header that it gets reaches nobody, values of fields included.
func TestPolicy_HeaderIsACopyInDepth(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			c.Header["X-Tenant"][0] = "other"
			return nil
		}
	})
	reached := &spy{}
	require.Equal(t, http.StatusOK, serve(auth.Wrap(reached), with(post(rpc("ping", nil), is.token(t)), "X-Tenant", "mine")).Code)
	require.Equal(t, "mine", reached.last.Header.Get("X-Tenant"))
}

// A Policy may return one error for all requests: what is added to it in a batch is for that batch alone.
func TestPolicy_AnErrorThatRequestsShare(t *testing.T) {
	is := newIssuer(t)
	needed := append(make([]string, 0, 4), "shared:scope")
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		refusal := &mcpauth.Error{Status: http.StatusForbidden, Code: "insufficient_scope", Scopes: needed}
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			if c.Name == "a" {
				return refusal
			}
			return nil
		}
	})
	auth.RequireTool("a", scopes.Authenticated())
	auth.RequireTool("b", scopes.All("of:b"))
	w := serve(auth.Wrap(&spy{}), post("["+call("a")+","+strings.Replace(call("b"), `"id":7`, `"id":8`, 1)+"]", is.token(t)))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Header().Get("WWW-Authenticate"), `scope="shared:scope of:b"`)
	require.Empty(t, needed[:2][1], "another request may be reading it")
}

// An Error of Check is the caller's: writing into it changes no rule.
func TestCheck_ItsErrorIsTheCallersOwn(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	op := mcpauth.Operation{Method: "tools/call", Name: "wire"}
	auth.RequireTool("wire", scopes.All("a"))
	auth.RequireLogin(op, mcpauth.Login{ACRValues: []string{"mfa"}})
	p := principalOf(t, auth, is.token(t))
	for range 2 {
		var refused *mcpauth.Error
		require.ErrorAs(t, auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: op}), &refused)
		require.Equal(t, []string{"mfa"}, refused.Login.ACRValues)
		require.Equal(t, []string{"a"}, refused.Scopes)
		refused.Login.ACRValues[0], refused.Scopes[0] = "pwd", "b"
	}
}

// A clock that is set back does not keep the log from hearing that nobody counts.
func TestLimits_OpenIsSaidAfterTheClockWasSetBack(t *testing.T) {
	var text logBuffer
	is := newIssuer(t)
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&text, nil))
		cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 1, Per: time.Minute}, Open: true, Store: &limitStore{err: errors.New("down")}}
	})
	h := auth.Wrap(&spy{})
	for range 2 {
		require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t))).Code)
		require.Equal(t, 1, strings.Count(text.take(), "nobody counts"))
		clock.advance(-20 * time.Second)
	}
}

// SEC-06: who hangs up before anybody can tell whether the credentials are good has had his look all the same, or he gets
// any number of them. That nobody can tell for another reason is not his fault.
func TestSEC06_WhoHangsUpIsCounted(t *testing.T) {
	for hangsUp, want := range map[bool]int64{true: 3, false: 10} {
		var looked atomic.Int64
		ctx, cancel := context.WithCancel(t.Context())
		keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Find: func(ctx context.Context, _ string) (*mcpauth.APIKey, error) {
			looked.Add(1)
			if hangsUp {
				cancel()
			}
			return nil, errors.New("down")
		}})
		require.NoError(t, err)
		auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
			cfg.Authenticators = []mcpauth.Authenticator{keys}
			cfg.Limits.Failures = mcpauth.Rate{Events: 3, Per: time.Hour}
		})
		h := auth.Wrap(&spy{})
		for range 10 {
			key, _ := mcpauth.NewAPIKey("")
			serve(h, with(post(rpc("ping", nil), "").WithContext(ctx), "X-Api-Key", key))
		}
		require.Equal(t, want, looked.Load())
	}
}

// The rules are compared with what the server offers at the first request. A list that hangs holds up that request, and no other.
func TestVerify_AListThatHangsHoldsUpNobodyElse(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	listing, goOn := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/list" && once.CompareAndSwap(false, true) {
				close(listing)
				<-goOn
			}
			return next(ctx, method, req)
		}
	})
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "whoami"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.Authenticated())
	h, token := auth.Wrap(sdkHandler(server, true)), is.token(t)
	answered := make(chan int, 2)
	go func() { answered <- serve(h, post(call("whoami"), token)).Code }()
	<-listing
	go func() { answered <- serve(h, post(call("whoami"), token)).Code }()
	select {
	case status := <-answered:
		require.Equal(t, http.StatusOK, status)
		close(goOn)
	case <-time.After(10 * time.Second):
		close(goOn)
		t.Error("a second request waited for the list of the first")
	}
	require.Equal(t, http.StatusOK, <-answered)
}

// Whether the server is protected is asked for by each request that comes before somebody knows. A server that hangs then
// costs each of them the time of its own question, and not that of all who came before.
func TestProbe_NobodyWaitsForTheQuestionsOfOthers(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	require.NoError(t, auth.Ready(t.Context()))
	token := is.token(t)
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { <-goOn; return nil }, &mcp.StreamableHTTPOptions{Stateless: true}))
		began := time.Now()
		answers := make(chan int, 10)
		for range 10 {
			go func() { answers <- serve(h, post(rpc("ping", nil), token)).Code }()
		}
		for range 10 {
			require.Equal(t, http.StatusServiceUnavailable, <-answers)
		}
		require.Equal(t, 5*time.Second, time.Since(began))
		close(goOn)
	})
}
