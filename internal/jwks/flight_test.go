package jwks_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/jwks"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// flightLimit is what a fetch may take with the default timeout and cooldown,
// and one second more.
const flightLimit = 11 * time.Second

// newMisbehavingSet returns a Set whose transport calls what is stored in
// last, where that is not nil, between the answer of the server and its own.
func newMisbehavingSet(cfg jwks.Config) (s *jwks.Set, srv *server, last *atomic.Pointer[func()]) {
	last = new(atomic.Pointer[func()])
	cfg.Fetch = fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		resp, err := srv.RoundTrip(r)
		if f := last.Load(); f != nil {
			(*f)()
		}
		return resp, err
	})}})
	s, srv = newSet(cfg)
	return s, srv, last
}

// JWKS-06: no flight follows one that does not end, so every flight must,
// whatever a transport does.
func TestJWKS06AFlightAlwaysEnds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		misbehave func(release <-chan struct{})
		says      string
	}{
		{"a transport that ends its goroutine", func(<-chan struct{}) { runtime.Goexit() }, "without a result"},
		{"a transport that panics", func(<-chan struct{}) { panic("SECRET") }, "panic"},
		{"a transport that ignores its context", func(release <-chan struct{}) { <-release }, "ignores its deadline"},
	} {
		t.Run(tt.name+", first callers wait", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, last := newMisbehavingSet(jwks.Config{Cooldown: cooldown})
				release := make(chan struct{})
				defer close(release)
				misbehave := func() { tt.misbehave(release) }
				last.Store(&misbehave)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := s.Lookup(ctx, "k1", "ES256")
				ue := requireUnavailable(t, err)
				require.ErrorContains(t, err, tt.says)
				require.NotContains(t, err.Error(), "SECRET")
				require.LessOrEqual(t, time.Since(began), flightLimit)
				last.Store(nil)
				time.Sleep(ue.RetryAfter)
				mustLookup(t, s, "k1", "ES256")
			})
		})
		t.Run(tt.name+", nobody waits", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, srv, last := newMisbehavingSet(jwks.Config{Cooldown: cooldown, MaxAge: time.Minute})
				k1, k2 := mustLookup(t, s, "k1", "ES256"), mustLookup(t, s, "k2", "RS256")
				release := make(chan struct{})
				misbehave := func() { tt.misbehave(release) }
				last.Store(&misbehave)
				time.Sleep(time.Minute)
				requireAtOnce(t, func() { require.Same(t, k1, mustLookup(t, s, "k1", "ES256")) })
				synctest.Wait()
				require.Equal(t, 2, srv.count())
				time.Sleep(2 * trip) // the answer with k2 in it has been read
				last.Store(nil)
				srv.publish(jwkOf(ec256(), "k1", nil))
				// Known keys only: nothing but the age may cause the next fetch.
				for range flightLimit / time.Second {
					time.Sleep(time.Second)
					requireAtOnce(t, func() { require.True(t, s.Current(k1)) })
				}
				time.Sleep(trip)
				synctest.Wait()
				require.Equal(t, 3, srv.count())
				require.False(t, s.Current(k2))
				// What a fetch gives after it was given up is not used.
				close(release)
				synctest.Wait()
				require.False(t, s.Current(k2))
				require.True(t, s.Current(k1))
				require.Equal(t, 3, srv.count())
			})
		})
	}
}

type brokenHandler struct{ handle func() }

func (h brokenHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h brokenHandler) Handle(context.Context, slog.Record) error {
	h.handle()
	return nil
}
func (h brokenHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h brokenHandler) WithGroup(string) slog.Handler      { return h }

func TestForeignCodeAfterAFetchDoesNotKillTheProcess(t *testing.T) {
	for name, breakIt := range map[string]func(){"panic": func() { panic("broken") }, "end of the goroutine": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logged, told := 0, 0
				s, srv := newSet(jwks.Config{
					Cooldown: cooldown,
					Logger:   slog.New(brokenHandler{func() { logged++; breakIt() }}),
					Failing:  func() { told++; breakIt() },
				})
				ask := func() {
					_, _ = s.Lookup(t.Context(), "other", "ES256")
					synctest.Wait()
					time.Sleep(cooldown)
				}
				ask()
				require.Equal(t, 1, logged, "the first success")
				srv.fail(errors.New("down"))
				ask()
				require.Equal(t, 2, logged, "the first failure")
				ask()
				require.Equal(t, 1, told)
				srv.publish(jwkOf(ec256(), "k1", nil))
				ask()
				require.Equal(t, 3, logged, "the recovery")
				mustLookup(t, s, "k1", "ES256")
				require.Equal(t, 4, srv.count())
			})
		})
	}
}

// A clock that is set back does not stop the fetches until it has caught up.
func TestJWKS05AClockThatIsSetBack(t *testing.T) {
	newSet := func() (*jwks.Set, *server, *clock) {
		c := new(clock)
		s, srv := newSet(jwks.Config{Now: c.now, Cooldown: cooldown})
		return s, srv, c
	}
	synctest.Test(t, func(t *testing.T) { // an unknown kid
		s, srv, c := newSet()
		mustLookup(t, s, "k1", "ES256")
		c.pass(-time.Hour)
		srv.publish(jwkOf(ec384(), "new", nil))
		mustLookup(t, s, "new", "ES384")
		for range 100 {
			_, err := s.Lookup(t.Context(), "forged", "ES256")
			require.ErrorIs(t, err, jwks.ErrUnknownKey)
		}
		require.Equal(t, 2, srv.count(), "then the cooldown holds again")
		c.pass(cooldown)
		_, err := s.Lookup(t.Context(), "forged", "ES256")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
		require.Equal(t, 3, srv.count())
	})
	synctest.Test(t, func(t *testing.T) { // known kids only
		s, srv, c := newSet()
		k2 := mustLookup(t, s, "k2", "RS256")
		c.pass(-time.Hour)
		srv.publish(jwkOf(ec256(), "k1", nil))
		for range 100 {
			requireAtOnce(t, func() { mustLookup(t, s, "k1", "ES256") })
			requireAtOnce(t, func() { require.True(t, s.Current(k2)) })
		}
		time.Sleep(trip)
		synctest.Wait()
		require.Equal(t, 2, srv.count())
		require.False(t, s.Current(k2))
	})
	synctest.Test(t, func(t *testing.T) { // during a fetch that fails, and before the first
		s, srv, c := newSet()
		c.pass(-time.Hour)
		srv.fail(errors.New("down"))
		go func() {
			time.Sleep(trip / 2)
			c.pass(-time.Hour)
		}()
		ue := requireUnavailable(t, s.Ready(t.Context()))
		require.LessOrEqual(t, ue.RetryAfter, cooldown)
		require.Equal(t, 1, srv.count())
		requireUnavailable(t, s.Ready(t.Context()))
		require.Equal(t, 2, srv.count())
		requireAtOnce(t, func() { requireUnavailable(t, s.Ready(t.Context())) })
		require.Equal(t, 2, srv.count())
	})
}

// A clock that panics as a fetch fails is not worth the process, nor the next fetch.
func TestAClockThatPanicsDoesNotEndTheProcess(t *testing.T) {
	var bad atomic.Bool
	down := roundTrip(func(*http.Request) (*http.Response, error) {
		bad.Store(true)
		return nil, errors.New("down")
	})
	set := jwks.New(jwks.Config{
		URI:   func(context.Context) (string, error) { return keysURL, nil },
		Fetch: fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: down}}),
		Now: func() time.Time {
			if bad.CompareAndSwap(true, false) {
				panic("no time")
			}
			return time.Now()
		},
	})
	var outage *jwks.UnavailableError
	require.ErrorAs(t, set.Ready(t.Context()), &outage)
}
