package jwks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/jwks"
)

const (
	keysURL  = "https://login.example.com/keys"
	cooldown = 10 * time.Second
	trip     = 50 * time.Millisecond
)

// A server answers fetches without a network, so that a synctest bubble can
// own the clock. Each answer takes one trip.
type server struct {
	mu      sync.Mutex
	status  int
	body    string
	header  http.Header
	err     error
	hang    bool
	fetches []time.Time
}

func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.fetches = append(s.fetches, time.Now())
	status, body, header, err, hang := s.status, s.body, s.header.Clone(), s.err, s.hang
	s.mu.Unlock()
	if hang {
		<-r.Context().Done()
		return nil, r.Context().Err()
	}
	time.Sleep(trip)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

func (s *server) publish(keys ...string) { s.answer(200, setOf(keys...)) }

func (s *server) answer(status int, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body, s.err, s.hang = status, body, nil, false
}

func (s *server) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *server) stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hang = true
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fetches)
}

// newSet returns a Set on a server that publishes keys k1 and k2.
func newSet(cfg jwks.Config) (*jwks.Set, *server) {
	srv := &server{header: http.Header{}}
	srv.publish(jwkOf(ec256(), "k1", nil), jwkOf(rsa2048(), "k2", nil))
	if cfg.Fetch == nil {
		cfg.Fetch = fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: srv}})
	}
	if cfg.URI == nil {
		cfg.URI = func(context.Context) (string, error) { return keysURL, nil }
	}
	return jwks.New(cfg), srv
}

func mustLookup(t *testing.T, s *jwks.Set, kid, alg string) *jwks.Key {
	t.Helper()
	keys, err := s.Lookup(t.Context(), kid, alg)
	require.NoError(t, err)
	require.Len(t, keys, 1)
	return keys[0]
}

func requireUnavailable(t *testing.T, err error) *jwks.UnavailableError {
	t.Helper()
	var ue *jwks.UnavailableError
	require.ErrorAs(t, err, &ue)
	require.NotErrorIs(t, err, jwks.ErrUnknownKey)
	require.GreaterOrEqual(t, ue.RetryAfter, time.Second)
	require.Error(t, ue.Err)
	return ue
}

// requireAtOnce fails if f takes any of the bubble's time.
func requireAtOnce(t *testing.T, f func()) {
	t.Helper()
	began := time.Now()
	f()
	require.Zero(t, time.Since(began), "it waited")
}

func TestDISC04NewDoesNoIO(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := false
		s, srv := newSet(jwks.Config{URI: func(context.Context) (string, error) { called = true; return keysURL, nil }})
		time.Sleep(time.Hour)
		require.False(t, called)
		require.Zero(t, srv.count())
		mustLookup(t, s, "k1", "ES256")
		require.True(t, called)
		require.Equal(t, 1, srv.count())
	})
}

func TestASetWithoutConfigurationIsUnavailable(t *testing.T) {
	for _, s := range []*jwks.Set{jwks.New(jwks.Config{}), new(jwks.Set)} {
		_, err := s.Lookup(t.Context(), "k", "ES256")
		requireUnavailable(t, err)
		requireUnavailable(t, s.Ready(t.Context()))
		require.False(t, s.Current(new(jwks.Key)))
		require.False(t, s.Current(nil))
	}
}

func TestJWKS03SelectionByKidThenByAlgorithm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{})
		srv.publish(
			jwkOf(ec256(), "shared", nil),
			jwkOf(rsa2048(), "shared", nil),
			jwkOf(ec384(), "p384", nil),
			jwkOf(rsa2048(), "enc", members{"use": "enc"}),
			jwkOf(rsa2048(), "pss", members{"alg": "PS256"}),
			jwkOf(edKey(), "", nil),
			`{"kty":"oct","kid":"hmac","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`,
		)
		require.NoError(t, s.Ready(t.Context()))
		for _, tt := range []struct {
			kid, alg string
			want     int
		}{
			{"shared", "ES256", 1},
			{"shared", "RS256", 1},
			{"shared", "PS512", 1},
			{"shared", "ES384", 0},
			{"shared", "EdDSA", 0},
			{"p384", "ES384", 1},
			{"p384", "ES256", 0},
			{"enc", "RS256", 0},
			{"pss", "PS256", 1},
			{"pss", "RS256", 0},
			{"hmac", "HS256", 0},
			{"hmac", "RS256", 0},
			{"Shared", "ES256", 0},
			{"shared ", "ES256", 0},
			{"", "ES256", 1},
			{"", "RS256", 1},
			{"", "PS256", 2},
			{"", "EdDSA", 1},
			{"", "Ed25519", 1},
			{"", "ES512", 0},
			{"shared", "none", 0},
			{"", "HS256", 0},
			{"", "", 0},
		} {
			keys, err := s.Lookup(t.Context(), tt.kid, tt.alg)
			require.Len(t, keys, tt.want, "%q %q", tt.kid, tt.alg)
			if tt.want == 0 {
				require.ErrorIs(t, err, jwks.ErrUnknownKey)
			}
			for _, k := range keys {
				require.True(t, k.Fits(tt.alg))
			}
		}
	})
}

func TestJWKS03CandidatesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{})
		var keys []string
		for range 20 {
			keys = append(keys, jwkOf(newEd(), "same", nil))
		}
		srv.publish(keys...)
		for _, kid := range []string{"", "same"} {
			got, err := s.Lookup(t.Context(), kid, "EdDSA")
			require.NoError(t, err)
			require.Len(t, got, 8)
		}
	})
}

func TestJWKS04ManyFirstCallersShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{})
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				keys, err := s.Lookup(t.Context(), "k1", "ES256")
				if err != nil || len(keys) != 1 {
					t.Errorf("got %d keys, %v", len(keys), err)
				}
			})
		}
		synctest.Wait()
		// The 65th does not wait.
		requireAtOnce(t, func() {
			_, err := s.Lookup(t.Context(), "k1", "ES256")
			requireUnavailable(t, err)
			require.ErrorIs(t, err, jwks.ErrBusy)
		})
		wg.Wait()
		require.Equal(t, 1, srv.count())
	})
}

func TestJWKS10CancellationOfOneCallerDoesNotFailTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{MaxWaiting: 2})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := s.Lookup(ctx, "k1", "ES256")
			var ue *jwks.UnavailableError
			if !errors.As(err, &ue) || !errors.Is(err, context.Canceled) {
				t.Errorf("the canceled caller got %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if _, err := s.Lookup(t.Context(), "k1", "ES256"); err != nil {
				t.Errorf("the other caller got %v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		// The canceled caller gave its place back.
		wg.Go(func() {
			if _, err := s.Lookup(t.Context(), "k2", "RS256"); err != nil {
				t.Errorf("the third caller got %v", err)
			}
		})
		wg.Wait()
		require.Equal(t, 1, srv.count())

		_, err := s.Lookup(ctx, "unknown", "ES256")
		requireUnavailable(t, err)
		require.Equal(t, 1, srv.count(), "a caller that is gone caused a fetch")
	})
}

func TestJWKS05RotationUnderAFloodOfUnknownKids(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{Cooldown: cooldown})
		mustLookup(t, s, "k1", "ES256")
		began := time.Now()

		// 10,000 random kids over 25 s, each from a goroutine of its own.
		const total = 10_000
		const every = 2500 * time.Microsecond
		var mu sync.Mutex
		waiting, mostWaiting, busy, unknown := 0, 0, 0, 0
		var wg sync.WaitGroup
		rotatedAt, acceptedAt := time.Time{}, time.Time{}
		for i := range total {
			wg.Go(func() {
				mu.Lock()
				waiting++
				mostWaiting = max(mostWaiting, waiting)
				mu.Unlock()
				_, err := s.Lookup(t.Context(), fmt.Sprint("forged-", i), "ES256")
				mu.Lock()
				defer mu.Unlock()
				waiting--
				var ue *jwks.UnavailableError
				switch {
				case errors.Is(err, jwks.ErrUnknownKey):
					unknown++
				case errors.As(err, &ue):
					busy++
				default:
					t.Errorf("a forged kid got %v", err)
				}
			})
			requireAtOnce(t, func() { mustLookup(t, s, "k1", "ES256") })
			if i == 1000 { // 2.5 s
				srv.publish(jwkOf(ec256(), "k1", nil), jwkOf(ec384(), "new", nil))
				rotatedAt = time.Now()
			}
			if i > 1000 && acceptedAt.IsZero() && i%10 == 0 {
				if _, err := s.Lookup(t.Context(), "new", "ES384"); err == nil {
					acceptedAt = time.Now()
				}
			}
			time.Sleep(every)
		}
		wg.Wait()
		elapsed := time.Since(began)
		require.LessOrEqual(t, srv.count(), 1+int(elapsed/cooldown)+0, "fetches in %v", elapsed)
		require.LessOrEqual(t, mostWaiting, 64)
		require.Equal(t, total, unknown+busy)
		require.False(t, acceptedAt.IsZero(), "the new key was never accepted")
		require.LessOrEqual(t, acceptedAt.Sub(rotatedAt), cooldown+trip+100*time.Millisecond)

		// JWKS-05: the key that left is gone.
		_, err := s.Lookup(t.Context(), "k2", "RS256")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
	})
}

func TestJWKS04ABurstOfUnknownKidsWaitsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{Cooldown: cooldown})
		mustLookup(t, s, "k1", "ES256")
		time.Sleep(cooldown)
		results := make(chan error, 10_000)
		for i := range 10_000 {
			go func() {
				_, err := s.Lookup(t.Context(), fmt.Sprint(i), "ES256")
				results <- err
			}()
		}
		synctest.Wait() // no time passes, so those who wait still do
		require.Len(t, results, 10_000-64)
		require.Equal(t, 2, srv.count())
		requireAtOnce(t, func() { mustLookup(t, s, "k1", "ES256") })
		time.Sleep(trip)
		synctest.Wait()
		require.Len(t, results, 10_000)
		unknown := 0
		for range 10_000 {
			if errors.Is(<-results, jwks.ErrUnknownKey) {
				unknown++
			}
		}
		require.Equal(t, 64, unknown)
		require.Equal(t, 2, srv.count())
		requireAtOnce(t, func() {
			_, err := s.Lookup(t.Context(), "forged", "ES256")
			require.ErrorIs(t, err, jwks.ErrUnknownKey)
		})
	})
}

func TestKeysThatStayKeepTheirIdentity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{Cooldown: cooldown})
		k1, k2 := mustLookup(t, s, "k1", "ES256"), mustLookup(t, s, "k2", "RS256")
		require.True(t, s.Current(k1))
		require.True(t, s.Current(k2))
		copied, err := jwks.ParseKey([]byte(jwkOf(ec256(), "k1", nil)))
		require.NoError(t, err)
		require.False(t, s.Current(copied), "a key that the set did not give")
		other, _ := newSet(jwks.Config{})
		require.False(t, s.Current(mustLookup(t, other, "k1", "ES256")), "RFC 8725, Section 3.8: a key of another issuer")

		// k1 stays, with members that do not matter and in another place; k2 is replaced.
		srv.publish(jwkOf(newEC(ec256().Curve), "k3", nil), jwkOf(rsaOfBits(2048), "k2", nil), jwkOf(ec256(), "k1", members{"use": "sig", "x5t": "abc"}))
		time.Sleep(cooldown)
		k3 := mustLookup(t, s, "k3", "ES256")
		require.Same(t, k1, mustLookup(t, s, "k1", "ES256"))
		require.True(t, s.Current(k1))
		require.True(t, s.Current(k3))
		require.False(t, s.Current(k2), "a key that changed under its kid")
		require.NotSame(t, k2, mustLookup(t, s, "k2", "RS256"))

		// The same key for another algorithm is another key.
		srv.publish(jwkOf(ec256(), "k1", members{"alg": "ES256"}))
		time.Sleep(cooldown)
		_, err = s.Lookup(t.Context(), "unknown", "ES256")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
		require.False(t, s.Current(k1))
		require.False(t, s.Current(k3))
	})
}

func TestJWKS05RemovedKeyStopsAfterItsAgeWithRememberedTokensOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{})
		srv.header.Set("Cache-Control", "public, max-age=120")
		k2 := mustLookup(t, s, "k2", "RS256")
		srv.publish(jwkOf(ec256(), "k1", nil))
		time.Sleep(119 * time.Second)
		require.True(t, s.Current(k2))
		synctest.Wait()
		require.Equal(t, 1, srv.count())
		time.Sleep(time.Second)
		requireAtOnce(t, func() { require.True(t, s.Current(k2)) }) // starts the refresh
		time.Sleep(trip)
		synctest.Wait()
		require.Equal(t, 2, srv.count())
		require.False(t, s.Current(k2))
	})
}

func TestJWKS09AgeFollowsCacheControlWithinBounds(t *testing.T) {
	for _, tt := range []struct {
		name   string
		header http.Header
		want   time.Duration
	}{
		{"nothing said", http.Header{}, 5 * time.Minute},
		{"max-age", http.Header{"Cache-Control": {"max-age=600"}}, 10 * time.Minute},
		{"quoted, other case, among others", http.Header{"Cache-Control": {"public, Max-Age=\"600\", must-revalidate"}}, 10 * time.Minute},
		{"second field", http.Header{"Cache-Control": {"public", "max-age=600"}}, 10 * time.Minute},
		{"less the time in a shared cache", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"300"}}, 5 * time.Minute},
		{"under the minimum", http.Header{"Cache-Control": {"max-age=1"}}, time.Minute},
		{"zero", http.Header{"Cache-Control": {"max-age=0"}}, time.Minute},
		{"no-store", http.Header{"Cache-Control": {"no-store, max-age=600"}}, time.Minute},
		{"no-cache", http.Header{"Cache-Control": {"max-age=600, no-cache"}}, time.Minute},
		{"over the maximum", http.Header{"Cache-Control": {"max-age=31536000"}}, time.Hour},
		{"beyond 64 bits", http.Header{"Cache-Control": {"max-age=99999999999999999999999"}}, time.Hour},
		{"negative", http.Header{"Cache-Control": {"max-age=-5"}}, time.Minute},
		{"no number", http.Header{"Cache-Control": {"max-age=1h"}}, time.Minute},
		{"Age greater than max-age", http.Header{"Cache-Control": {"max-age=600"}, "Age": {"99999999999999999999"}}, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, srv := newSet(jwks.Config{})
				srv.header = tt.header
				mustLookup(t, s, "k1", "ES256")
				time.Sleep(tt.want - trip - time.Millisecond)
				mustLookup(t, s, "k1", "ES256")
				synctest.Wait()
				require.Equal(t, 1, srv.count(), "refreshed too early")
				time.Sleep(time.Millisecond)
				requireAtOnce(t, func() {
					for range 100 {
						mustLookup(t, s, "k1", "ES256")
					}
				})
				synctest.Wait()
				require.Equal(t, 2, srv.count(), "not refreshed, or more than once")
				time.Sleep(trip)
				synctest.Wait()
			})
		})
	}
}

func TestJWKS06LastGoodSetSurvivesAnOutageUpToMaxStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age, stale = time.Minute, time.Hour
		s, srv := newSet(jwks.Config{Cooldown: cooldown, MinAge: age, MaxAge: age, MaxStale: stale})
		k1 := mustLookup(t, s, "k1", "ES256")
		began := time.Now().Add(-trip)
		srv.fail(errors.New("down"))
		for time.Since(began) < age+stale-time.Second {
			requireAtOnce(t, func() { require.Same(t, k1, mustLookup(t, s, "k1", "ES256")) })
			require.True(t, s.Current(k1))
			time.Sleep(time.Second)
		}
		outage := time.Since(began) - age
		require.LessOrEqual(t, srv.count(), 2+int(outage/cooldown), "retries are a cooldown apart")
		require.GreaterOrEqual(t, srv.count(), int(outage/cooldown)-1, "and go on")

		time.Sleep(2 * time.Second)
		require.False(t, s.Current(k1), "91: keys that cannot be had are not good")
		_, err := s.Lookup(t.Context(), "k1", "ES256")
		ue := requireUnavailable(t, err)
		require.LessOrEqual(t, ue.RetryAfter, cooldown)
		requireUnavailable(t, s.Ready(t.Context()))

		srv.publish(jwkOf(ec256(), "k1", nil))
		back := time.Now()
		for {
			if _, err := s.Lookup(t.Context(), "k1", "ES256"); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, time.Since(back), cooldown+trip+100*time.Millisecond)
		require.True(t, s.Current(k1), "the same key")
	})
}

func TestJWKS06UnknownKidsInAnOutageAreUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{Cooldown: cooldown})
		mustLookup(t, s, "k1", "ES256")
		time.Sleep(cooldown)
		srv.answer(503, "")
		_, err := s.Lookup(t.Context(), "perhaps-new", "ES256")
		ue := requireUnavailable(t, err)
		require.NotErrorIs(t, err, jwks.ErrBusy, "an outage")
		require.Equal(t, cooldown-trip, ue.RetryAfter)
		requireAtOnce(t, func() {
			_, err = s.Lookup(t.Context(), "perhaps-new", "ES256")
			requireUnavailable(t, err)
			mustLookup(t, s, "k1", "ES256")
		})
		require.Equal(t, 2, srv.count())
		time.Sleep(ue.RetryAfter)
		srv.publish(jwkOf(ec256(), "k1", nil))
		_, err = s.Lookup(t.Context(), "perhaps-new", "ES256")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
	})
}

func TestDISC04StartWhileTheIssuerIsDown(t *testing.T) {
	for name, breakIt := range map[string]func(*server){
		"refused": func(s *server) { s.fail(errors.New("refused")) },
		"hanging": func(s *server) { s.stall() },
		"500":     func(s *server) { s.answer(500, "") },
		"no keys": func(s *server) { s.answer(200, `{"keys":[]}`) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, down := range []time.Duration{500 * time.Millisecond, 3 * time.Second, 30 * time.Second, 10 * time.Minute} {
				synctest.Test(t, func(t *testing.T) {
					s, srv := newSet(jwks.Config{Cooldown: cooldown})
					breakIt(srv)
					began := time.Now()
					stop := make(chan struct{})
					var client sync.WaitGroup
					defer client.Wait() // a bubble's time stands still once its test is over
					defer close(stop)
					client.Go(func() { // a client that asks all the time
						for {
							select {
							case <-stop:
								return
							default:
								_, _ = s.Lookup(t.Context(), "k1", "ES256")
								time.Sleep(5 * time.Millisecond)
							}
						}
					})
					time.Sleep(down)
					require.LessOrEqual(t, srv.count(), 5+int(down/cooldown))
					srv.publish(jwkOf(ec256(), "k1", nil))
					srv.mu.Lock()
					srv.hang = false
					srv.mu.Unlock()
					back := time.Now()
					for {
						_, err := s.Lookup(t.Context(), "k1", "ES256")
						if err == nil {
							break
						}
						requireUnavailable(t, err)
						time.Sleep(5 * time.Millisecond)
					}
					require.LessOrEqual(t, time.Since(back), cooldown+trip+100*time.Millisecond, "down for %v from %v", down, began)
				})
			}
		})
	}
}

func TestBadRefreshesNeverReplaceAGoodSet(t *testing.T) {
	whole := setOf(jwkOf(ec256(), "other", nil))
	for name, breakIt := range map[string]func(*server){
		"empty body":   func(s *server) { s.answer(200, "") },
		"empty object": func(s *server) { s.answer(200, "{}") },
		"no keys":      func(s *server) { s.answer(200, `{"keys":[]}`) },
		"null":         func(s *server) { s.answer(200, "null") },
		"HTML":         func(s *server) { s.answer(200, "<html>login</html>") },
		"truncated":    func(s *server) { s.answer(200, whole[:len(whole)-2]) },
		"all keys bad": func(s *server) {
			s.answer(200, setOf(jwkOf(rsa1024(), "k1", nil), `{"kty":"oct","k":"AA","kid":"k1"}`))
		},
		"too many keys":    func(s *server) { s.answer(200, setOf(strings.Split(strings.Repeat("1,", 2000)+"1", ",")...)) },
		"too large":        func(s *server) { s.answer(200, whole+strings.Repeat(" ", 1<<20)) },
		"204":              func(s *server) { s.answer(204, "") },
		"203 with keys":    func(s *server) { s.answer(203, whole) },
		"404 with keys":    func(s *server) { s.answer(404, whole) },
		"500 with keys":    func(s *server) { s.answer(500, whole) },
		"broken transport": func(s *server) { s.fail(errors.New("reset")) },
		"hanging":          func(s *server) { s.stall() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, srv := newSet(jwks.Config{Cooldown: cooldown})
				k1 := mustLookup(t, s, "k1", "ES256")
				breakIt(srv)
				for range 3 {
					time.Sleep(cooldown)
					_, err := s.Lookup(t.Context(), "other", "ES256")
					requireUnavailable(t, err)
				}
				require.Equal(t, 4, srv.count())
				requireAtOnce(t, func() { require.Same(t, k1, mustLookup(t, s, "k1", "ES256")) })
				mustLookup(t, s, "k2", "RS256")
				require.True(t, s.Current(k1))
				require.NoError(t, s.Ready(t.Context()))
				time.Sleep(2 * cooldown) // lets a fetch that hangs end
			})
		})
	}
	t.Run("one bad key among good ones", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, srv := newSet(jwks.Config{Cooldown: cooldown})
			mustLookup(t, s, "k1", "ES256")
			srv.publish(jwkOf(ec256(), "k1", nil), jwkOf(rsa1024(), "weak", nil), jwkOf(edKey(), "new", nil))
			time.Sleep(cooldown)
			mustLookup(t, s, "new", "EdDSA")
			mustLookup(t, s, "k1", "ES256")
			_, err := s.Lookup(t.Context(), "weak", "RS256")
			require.ErrorIs(t, err, jwks.ErrUnknownKey)
		})
	})
}

func TestPanicInForeignCodeIsAFailedFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet(jwks.Config{URI: func(context.Context) (string, error) { panic("SECRET") }})
		_, err := s.Lookup(t.Context(), "k1", "ES256")
		requireUnavailable(t, err)
		require.NotContains(t, err.Error(), "SECRET")
	})
}

func TestForeignTextInTheLogIsShortAndPrintable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s, _ := newSet(jwks.Config{
			Logger: slog.New(slog.NewTextHandler(&out, nil)),
			URI: func(context.Context) (string, error) {
				return "", errors.New("first\r\nsecond\u202e" + strings.Repeat("x", 10_000))
			},
		})
		requireUnavailable(t, s.Ready(t.Context()))
		synctest.Wait()
		require.Contains(t, out.String(), "first??second?xxx")
		require.Less(t, out.Len(), 1000)
	})
}

func TestAFetchThatHangsEndsWithTheCooldown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newSet(jwks.Config{Cooldown: cooldown, URI: func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		}})
		began := time.Now()
		requireUnavailable(t, s.Ready(t.Context()))
		require.Equal(t, cooldown, time.Since(began))
	})
}

func TestJWKS01URIIsChecked(t *testing.T) {
	for _, uri := range []string{"http://login.example.com/keys", "keys", "", "file:///keys", "https://user@login.example.com/"} {
		synctest.Test(t, func(t *testing.T) {
			s, srv := newSet(jwks.Config{URI: func(context.Context) (string, error) { return uri, nil }})
			_, err := s.Lookup(t.Context(), "k1", "ES256")
			requireUnavailable(t, err)
			require.ErrorIs(t, err, fetch.ErrURL)
			require.Zero(t, srv.count())
		})
	}
}

func TestFailingIsToldFromTheSecondFailureOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told, uriErr := 0, error(nil)
		s, srv := newSet(jwks.Config{
			Cooldown: cooldown,
			URI:      func(context.Context) (string, error) { return keysURL, uriErr },
			Failing:  func() { told++ },
		})
		mustLookup(t, s, "k1", "ES256")
		ask := func() {
			time.Sleep(cooldown)
			_, _ = s.Lookup(t.Context(), "other", "ES256")
			synctest.Wait()
		}
		srv.answer(404, "")
		ask()
		require.Equal(t, 0, told)
		ask()
		require.Equal(t, 1, told)
		ask()
		require.Equal(t, 2, told)
		uriErr = errors.New("no metadata")
		ask()
		require.Equal(t, 2, told, "then the keys are not to blame")
	})
}

func TestLookupAgainFindsAKeyUnderAnOldKidOrNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{Cooldown: cooldown})
		tried, err := s.Lookup(t.Context(), "", "ES256")
		require.NoError(t, err)
		requireAtOnce(t, func() {
			_, err = s.LookupAgain(t.Context(), "", "ES256", tried)
			require.ErrorIs(t, err, jwks.ErrUnknownKey)
		})
		time.Sleep(cooldown)
		fresh := newEC(ec256().Curve)
		srv.publish(jwkOf(ec256(), "k1", nil), jwkOf(fresh, "k1", nil))
		for _, kid := range []string{"", "k1"} {
			keys, err := s.LookupAgain(t.Context(), kid, "ES256", tried)
			require.NoError(t, err)
			require.Len(t, keys, 1)
			require.True(t, fresh.Equal(keys[0].Public))
		}
		require.Equal(t, 2, srv.count())
		_, err = s.LookupAgain(t.Context(), "", "HS256", nil)
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
	})
}

func TestInjectedClockDecides(t *testing.T) {
	var mu sync.Mutex
	now := time.Unix(1_800_000_000, 0)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	pass := func(d time.Duration) { mu.Lock(); defer mu.Unlock(); now = now.Add(d) }
	synctest.Test(t, func(t *testing.T) {
		s, srv := newSet(jwks.Config{Now: clock, Cooldown: cooldown})
		mustLookup(t, s, "k1", "ES256")
		time.Sleep(time.Hour) // of another clock
		_, err := s.Lookup(t.Context(), "x", "ES256")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
		require.Equal(t, 1, srv.count())
		pass(cooldown)
		_, err = s.Lookup(t.Context(), "x", "ES256")
		require.ErrorIs(t, err, jwks.ErrUnknownKey)
		require.Equal(t, 2, srv.count())
		srv.fail(errors.New("down"))
		pass(5*time.Minute + 24*time.Hour - time.Second)
		mustLookup(t, s, "k1", "ES256")
		synctest.Wait()
		time.Sleep(trip)
		pass(time.Second)
		_, err = s.Lookup(t.Context(), "k1", "ES256")
		requireUnavailable(t, err)
	})
}

func TestLogHasOneLinePerChangeOfState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s, srv := newSet(jwks.Config{Cooldown: cooldown, MaxStale: time.Hour, Logger: slog.New(slog.NewTextHandler(&out, nil))})
		lines := func() []string {
			synctest.Wait()
			text := strings.TrimSpace(out.String())
			out.Reset()
			if text == "" {
				return nil
			}
			return strings.Split(text, "\n")
		}
		flood := func(d time.Duration) {
			for range int(d / time.Second) {
				_, _ = s.Lookup(t.Context(), "forged\r\n\x1b[31m\u202e", "ES256")
				time.Sleep(time.Second)
			}
		}
		srv.publish(jwkOf(ec256(), "k1", nil), jwkOf(rsa1024(), "weak\nkey", nil))
		mustLookup(t, s, "k1", "ES256")
		first := lines()
		require.Len(t, first, 1)
		require.Contains(t, first[0], `msg="mcpauth: keys refreshed"`, "as all lines of the library")
		require.Contains(t, first[0], "added=1 removed=0 ignored=1")
		require.Contains(t, first[0], "2048")

		flood(time.Minute)
		require.Empty(t, lines(), "nothing changed")

		srv.answer(200, "<html>\nSECRET")
		flood(time.Minute)
		failed := lines()
		require.Len(t, failed, 1)
		require.Contains(t, failed[0], `level=WARN msg="mcpauth: key refresh failed"`)
		require.Contains(t, failed[0], "keys_still_good=true")
		require.NotContains(t, failed[0], "SECRET")

		flood(2 * time.Hour)
		failed = lines()
		require.Len(t, failed, 1)
		require.Contains(t, failed[0], "keys_still_good=false")

		srv.publish(jwkOf(ec384(), "k2", nil))
		flood(time.Minute)
		recovered := lines()
		require.Len(t, recovered, 1)
		require.Contains(t, recovered[0], "recovered=true keys=1 added=1 removed=1")
	})
}
