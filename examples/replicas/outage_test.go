//go:build unix

package replicas_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// A load is clients that go on until it is stopped, with what they saw.
type load struct {
	s     *system
	ada   *prover
	taken string // a token that was revoked
	plain string

	phase atomic.Int32 // 0: Redis is there; 1: it is gone for certain; 2: it may be either
	ended atomic.Bool
	mu    sync.Mutex
	used  []string    // proofs that were answered 200, some of them
	bad   []string    // what must not be
	seen  [3][]int    // statuses of good requests, by phase
	sent  [2]int      // proofs in all, and those that were answered 200
	gone  map[int]int // statuses of the revoked token
}

func (l *load) complain(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bad = append(l.bad, fmt.Sprintf(format, args...))
}

// during is f, and the phase in which all of it fell, or 2.
func (l *load) during(f func()) int32 {
	before := l.phase.Load()
	f()
	if l.phase.Load() != before {
		return 2
	}
	return before
}

// prove sends one proof to both replicas at once, and some time later once more to either.
func (l *load) prove() {
	proof := l.ada.proof("")
	var answers [2]answer
	phase := l.during(func() {
		var wg sync.WaitGroup
		for at := range answers {
			wg.Go(func() { answers[at] = l.s.send(at, l.ada.token, proof) })
		}
		wg.Wait()
	})
	good := 0
	for _, a := range answers {
		switch a.status {
		case 200:
			good++
		case 401, 503:
		default:
			l.complain("a proof was answered %+v", a)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[0]++
	l.sent[1] += good
	switch {
	case good > 1:
		l.bad = append(l.bad, "a proof was good twice")
	case phase == 0 && good == 0:
		l.bad = append(l.bad, fmt.Sprintf("with Redis, a proof was good nowhere: %+v", answers))
	case phase == 1 && (answers[0].status != 503 || answers[1].status != 503):
		l.bad = append(l.bad, fmt.Sprintf("without Redis: %+v", answers))
	case good == 1:
		l.used = append(l.used, proof)
	}
	for _, a := range answers {
		l.seen[phase] = append(l.seen[phase], a.status)
	}
}

// replay sends a proof that was used before.
func (l *load) replay() {
	l.mu.Lock()
	proof := ""
	if len(l.used) > 0 {
		proof = l.used[rand.IntN(len(l.used))]
	}
	l.mu.Unlock()
	if proof == "" {
		return
	}
	if a := l.s.send(-1, l.ada.token, proof); a.status != 401 && a.status != 503 {
		l.complain("a used proof was answered %+v", a)
	}
}

func (l *load) revoked() {
	a := l.s.send(-1, l.taken, "")
	if a.status != 401 && a.status != 503 {
		l.complain("a revoked token was answered %+v", a)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone[a.status]++
}

func (l *load) bearer() {
	var a answer
	phase := l.during(func() { a = l.s.send(-1, l.plain, "") })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[phase] = append(l.seen[phase], a.status)
	want := []int{200, 503, 0}[phase]
	if a.status != 200 && a.status != 503 || want != 0 && a.status != want {
		l.bad = append(l.bad, fmt.Sprintf("in phase %d a good token was answered %+v", phase, a))
	}
}

// run runs all of it until stop, and fails for what must not be.
func (s *system) load() (l *load, stop func()) {
	l = &load{s: s, ada: s.prover("ada"), taken: s.token("eve", "taken", nil), plain: s.token("uma", "", nil), gone: make(map[int]int)}
	for at := range 2 {
		s.wants(200, s.send(at, l.taken, ""))
	}
	require.Equal(s, http.StatusNoContent, s.revoke(0, `{"jti":"taken"}`))
	var wg sync.WaitGroup
	for _, f := range []func(){l.prove, l.prove, l.replay, l.revoked, l.bearer} {
		wg.Go(func() {
			for !l.ended.Load() {
				f()
			}
		})
	}
	stop = func() {
		l.ended.Store(true)
		wg.Wait()
	}
	s.Cleanup(stop) // where the test fails before
	return l, stop
}

// until waits for a sum of what the load saw.
func (l *load) until(enough func() bool) {
	l.s.Helper()
	require.Eventually(l.s, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return enough() || len(l.bad) > 0
	}, patience, time.Millisecond)
}

func (l *load) verdict() {
	l.s.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Empty(l.s, l.bad)
}

// DPOP-13, DPOP-15: Redis dies in the middle, and nothing becomes less safe: no proof is good twice, revoked tokens are
// never accepted, and what cannot be told is 503. When it is back with what it had written down, everything works
// again without anybody's help.
func TestDPOP15_RedisDiesUnderLoad(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), plenty, "-redis-timeout=2s")
	l, stop := s.load()
	for range 2 {
		used := len(l.snapshot())
		l.until(func() bool { return len(l.used) > used+20 && l.gone[401] > 0 })

		l.phase.Store(2)
		s.redis.Stop()
		l.phase.Store(1)
		refused := len(l.seenIn(1))
		l.until(func() bool { return len(l.seen[1]) > refused+20 })
		require.Equal(t, http.StatusServiceUnavailable, s.revoke(1, `{"jti":"another"}`), "nobody can be told")
		for at := range 2 { // what a client is told
			got := s.wants(503, s.send(at, l.ada.token, l.ada.proof("")))
			require.NotEmpty(t, got.retryAfter)
			require.Empty(t, got.challenge, "so that it keeps its token")
		}

		l.phase.Store(2)
		s.redis.Restart()
		began := time.Now()
		for at := range 2 {
			require.Eventually(t, func() bool {
				return s.send(at, l.ada.token, l.ada.proof("")).status == 200 && s.send(at, l.plain, "").status == 200
			}, patience, 10*time.Millisecond)
		}
		t.Logf("both replicas work %v after Redis is back", time.Since(began).Round(time.Millisecond))
		for _, proof := range l.snapshot() { // all that were used before, and during
			s.wants(401, s.send(-1, l.ada.token, proof))
		}
		for at := range 2 {
			s.wants(401, s.send(at, l.taken, ""))
		}
		l.phase.Store(0)
	}
	stop()
	l.verdict()
	require.NotZero(t, l.gone[503])
	t.Logf("%d proofs, %d of them accepted; the revoked token: %v", l.sent[0], l.sent[1], l.gone)
}

func (l *load) snapshot() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.used...)
}

func (l *load) seenIn(phase int) []int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen[phase]
}

// DPOP-15: a Redis that hangs is one that is gone; what it does later, when it wakes up, makes no proof good twice.
func TestDPOP15_RedisHangsUnderLoad(t *testing.T) {
	s := newSystem(t, redistest.StartDurable(t), plenty, "-redis-timeout=1s")
	l, stop := s.load()
	l.until(func() bool { return len(l.used) > 20 })
	l.phase.Store(2) // what was asked for just before may be answered late
	s.redis.Pause()
	s.wants(503, s.send(0, l.ada.token, l.ada.proof("")))
	l.phase.Store(1)
	l.until(func() bool { return len(l.seen[1]) > 10 })
	l.phase.Store(2)
	s.redis.Resume()
	for at := range 2 {
		require.Eventually(t, func() bool { return s.send(at, l.ada.token, l.ada.proof("")).status == 200 }, patience, 10*time.Millisecond)
	}
	l.phase.Store(0)
	used := len(l.snapshot())
	l.until(func() bool { return len(l.used) > used+20 })
	stop()
	l.verdict()
	require.NotZero(t, l.gone[503])
}

// What a Redis costs that forgets: after its restart a proof that was used is good once more, at one replica, and a token
// that was revoked is good until it expires. This is why the server does not start with one unless told to.
func TestWhatARedisThatForgetsCosts(t *testing.T) {
	s := newSystem(t, redistest.Start(t), plenty, "-dangerously-let-redis-forget")
	require.Contains(t, s.replicas[0].said.text(), "Redis forgets everything when it restarts")
	ada := s.prover("ada")
	token, proof := s.token("eve", "taken", nil), ada.proof("")
	s.wants(200, s.send(0, ada.token, proof))
	require.Equal(t, http.StatusNoContent, s.revoke(0, `{"jti":"taken"}`))
	for at := range 2 {
		s.wants(401, s.send(at, ada.token, proof))
		s.wants(401, s.send(at, token, ""))
	}
	s.redis.Stop()
	for at := range 2 { // the outage itself is as safe as any
		s.wants(503, s.send(at, ada.token, proof))
		s.wants(503, s.send(at, token, ""))
	}
	s.redis.Restart()
	for at := range 2 {
		require.Eventually(t, func() bool { return s.send(at, s.token("uma", "", nil), "").status == 200 }, patience, 10*time.Millisecond)
	}
	s.wants(200, s.send(0, ada.token, proof))
	for at := range 2 {
		s.wants(401, s.send(at, ada.token, proof))
		s.wants(200, s.send(at, token, ""))
	}
	// Revocations have to be made anew then.
	require.Equal(t, http.StatusNoContent, s.revoke(1, `{"jti":"taken"}`))
	for at := range 2 {
		s.wants(401, s.send(at, token, ""))
	}
}
