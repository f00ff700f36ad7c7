//go:build unix

// Package replicas_test runs two processes of the server behind a balancer, with a real Redis.
package replicas_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/replicas/replica"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

const (
	plenty  = "-rate=1000000/1m"
	patient = "-redis-timeout=5s" // where the test is about something else
)

// DPOP-13: a proof is good once, at whichever replica.
func TestDPOP13_AProofIsGoodOnce(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), plenty, patient)
	ada := s.prover("ada")
	for first := range 2 {
		proof := ada.proof("")
		s.wants(200, s.send(first, ada.token, proof))
		for _, again := range []int{1 - first, first} {
			got := s.wants(401, s.send(again, ada.token, proof))
			require.Contains(t, got.challenge, `error="invalid_dpop_proof"`)
		}
	}
	// At both at once.
	for i := range 200 {
		proof := ada.proof("")
		var answers [2]answer
		var wg sync.WaitGroup
		for at := range answers {
			wg.Go(func() { answers[at] = s.send(at, ada.token, proof) })
		}
		wg.Wait()
		statuses := []int{answers[0].status, answers[1].status}
		require.ElementsMatch(t, []int{200, 401}, statuses, "proof %d: %+v", i, answers)
	}
}

// NONCE: what one replica hands out, the other accepts; and a proof with it is good once all the same.
func TestANonceIsGoodEverywhere(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), "nonces", plenty, patient)
	ada := s.prover("ada")
	for from := range 2 {
		got := s.wants(401, s.send(from, ada.token, ada.proof("")))
		require.Contains(t, got.challenge, `error="use_dpop_nonce"`)
		require.NotEmpty(t, got.nonce)
		proof := ada.proof(got.nonce)
		s.wants(200, s.send(1-from, ada.token, proof))
		got = s.wants(401, s.send(from, ada.token, proof))
		require.Contains(t, got.challenge, `error="invalid_dpop_proof"`)
	}
	s.wants(401, s.send(0, ada.token, ada.proof("a nonce of nobody")))
}

// A token that is revoked through one replica is refused by both within a second, although both remember it.
func TestARevocationCountsEverywhere(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), plenty, patient)
	for through := range 2 {
		id := "to be revoked " + strconv.Itoa(through)
		token, other := s.token("ada", id, nil), s.token("ada", "", nil)
		for _, at := range []int{0, 1, 0, 1} {
			s.wants(200, s.send(at, token, ""))
		}
		require.Equal(t, http.StatusNoContent, s.revoke(through, fmt.Sprintf(`{"jti":%q}`, id)))
		// Revoke has returned, so it counts already: the second is not used up.
		for _, at := range []int{1 - through, through} {
			got := s.wants(401, s.send(at, token, ""))
			require.Contains(t, got.challenge, `error="invalid_token"`)
			s.wants(200, s.send(at, other, ""))
		}
	}
	// All tokens of a user, bound ones included.
	eve, token := s.prover("eve"), s.token("eve", "", nil)
	for at := range 2 {
		s.wants(200, s.send(at, token, ""))
		s.wants(200, s.send(at, eve.token, eve.proof("")))
	}
	require.Equal(t, http.StatusNoContent, s.revoke(0, `{"sub":"eve"}`))
	for at := range 2 {
		s.wants(401, s.send(at, token, ""))
		s.wants(401, s.send(at, eve.token, eve.proof("")))
	}
	s.wants(200, s.send(1, s.token("ada", "", nil), ""))
}

// What the admin listener refuses.
func TestTheAdminListener(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), patient)
	for body, status := range map[string]int{
		`{}`: 400, `{"jti":"a","sub":"b"}`: 400, `nonsense`: 400, `{"jti":"` + strings.Repeat("a", 5000) + `"}`: 400, `{"client_id":"nobody"}`: 204,
	} {
		require.Equal(t, status, s.revoke(0, body), "%.40s", body)
	}
	for name, change := range map[string]func(*http.Request){
		"another host":        func(r *http.Request) { r.Host = "evil.example" },
		"a form":              func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
		"a page of elsewhere": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		req, err := http.NewRequest(http.MethodPost, s.replicas[0].admin.String()+"/revoke", strings.NewReader(`{"client_id":"nobody"}`))
		require.NoError(t, err)
		req.Header.Set("Content-Type", "application/json")
		change(req)
		res, err := s.client.Do(req)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, http.StatusForbidden, res.StatusCode, name)
	}
	res, err := s.client.Post(s.replicas[0].url.String()+"/revoke", "application/json", strings.NewReader(`{"client_id":"nobody"}`))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusNotFound, res.StatusCode, "where clients are")
}

// A rate is that of all replicas together.
func TestARateIsShared(t *testing.T) {
	const n = 20
	s := newSystem(t, redistest.StartDurable(t), fmt.Sprintf("-rate=%d/10h", n), patient) // none comes back in this test
	ada := s.prover("ada")
	token := s.token("ada", "", nil)
	var wg sync.WaitGroup
	answers := make([]answer, 3*n)
	for i := range answers {
		wg.Go(func() { answers[i] = s.send(-1, token, "") })
	}
	wg.Wait()
	passed := 0
	for _, a := range answers {
		if a.status == 200 {
			passed++
			continue
		}
		s.wants(429, a)
		seconds, err := strconv.Atoi(a.retryAfter)
		require.NoError(t, err)
		require.Positive(t, seconds)
	}
	require.Equal(t, n, passed)
	for at := range 2 {
		s.wants(429, s.send(at, ada.token, ada.proof("")))
		s.wants(200, s.send(at, s.token("uma", "", nil), ""))
	}
}

// Where only limits are asked for, they are closed by themselves while Redis is gone.
func TestLimitsAreClosed(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), plenty, patient)
	client := redis.NewClient(&redis.Options{Addr: s.redis.Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	var reason mcpauth.Reason
	r, err := replica.New(replica.Config{Resource: s.resource, Issuer: s.issuer.URL, Redis: client, Rate: mcpauth.Rate{Events: 1000, Per: time.Minute},
		Change: func(cfg *mcpauth.Config) {
			cfg.Revoked = nil
			cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { reason = d.Reason }
		}})
	require.NoError(t, err)
	send := func() int {
		req := httptest.NewRequest(http.MethodPost, s.resource, strings.NewReader(call))
		req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + s.token("ada", "", nil)}}
		w := httptest.NewRecorder()
		r.Handler.ServeHTTP(w, req)
		return w.Code
	}
	require.Equal(t, 200, send())
	s.redis.Stop()
	require.Equal(t, 503, send())
	require.Equal(t, mcpauth.ReasonLimitStore, reason)
	s.redis.Restart()
	require.Eventually(t, func() bool { return send() == 200 }, patience, 10*time.Millisecond)
}

// The server does not start where it could not keep its promises.
func TestTheServerRefusesToStart(t *testing.T) {
	forgetful, durable := redistest.Start(t), redistest.StartDurable(t)
	good := []string{"-resource", "http://127.0.0.1:1/mcp", "-issuer", "http://127.0.0.1:2", "-redis", durable.Addr()}
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"a Redis that forgets": {[]string{"-redis", forgetful.Addr()}, "set appendonly to yes"},
		"no Redis":             {[]string{"-redis", "127.0.0.1:1"}, "redisstore:"},
		"an open admin":        {[]string{"-admin", "0.0.0.0:0"}, "no loopback address"},
		"no rate":              {[]string{"-rate", "7"}, "600/1m"},
		"no issuer":            {[]string{"-issuer", ""}, "-resource, -issuer and -redis are needed"},
		"an argument":          {[]string{"more"}, "unexpected argument"},
		"a flag that is none":  {[]string{"-nonsense"}, "nonsense"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		command := exec.CommandContext(ctx, program, append(good, test.args...)...)
		command.SysProcAttr = dieWithParent()
		out, err := command.CombinedOutput()
		require.Error(t, err, name)
		require.NoError(t, ctx.Err(), "%s: it runs", name)
		require.Contains(t, string(out), test.says, name)
	}
	command := exec.Command(program, good...)
	command.Env = []string{"NONCE_KEYS=c2hvcnQ=,not base64 but secret"}
	out, err := command.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "NONCE_KEYS")
	require.NotContains(t, string(out), "secret,")
	require.NotContains(t, string(out), "not base64")
}
