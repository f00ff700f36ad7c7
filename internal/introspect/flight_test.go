package introspect_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/introspect"
)

func TestINTRO08OneRequestForAllWhoAsk(t *testing.T) {
	for _, body := range []string{good, bad, `{}`} {
		synctest.Test(t, func(t *testing.T) {
			r := newRemote(says(200, body))
			c := newClient(t, introspect.Config{Fetch: r.client()})
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() {
					claims, refusal := ask(t, c, t.Context(), token)
					if (claims != nil) != (body == good) || (refusal != nil && refusal.Unavailable) != (body == `{}`) {
						t.Errorf("%s gave %v, %v", body, claims, refusal)
					}
				})
			}
			wg.Wait()
			require.Equal(t, 1, r.asked())
		})
	}
}

// A request may end between the look into the cache and the look for a request under way.
func TestINTRO08TheLastMomentIsNotMissed(t *testing.T) {
	r := quickRemote(says(200, good))
	var c *introspect.Client
	var looked atomic.Bool
	c = newClient(t, introspect.Config{Fetch: r.client(), Now: func() time.Time {
		if looked.CompareAndSwap(false, true) { // the first look at the clock is between the two
			_, err := c.Ask(t.Context(), token, hashOf(token))
			require.NoError(t, err)
		}
		return testNow
	}})
	_, refusal := ask(t, c, t.Context(), token)
	require.Nil(t, refusal)
	require.Equal(t, 1, r.asked())
}

func TestINTRO08TheEndOfOneCallerFailsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(says(200, good))
		c := newClient(t, introspect.Config{Fetch: r.client()})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { // the one whose request it is
			if _, refusal := ask(t, c, ctx, token); refusal == nil || !errors.Is(refusal, context.Canceled) || !refusal.Unavailable {
				t.Errorf("the canceled caller got %v", refusal)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() {
				if _, refusal := ask(t, c, t.Context(), token); refusal != nil {
					t.Errorf("got %v", refusal)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		_, refusal := ask(t, c, ctx, "another")
		require.ErrorIs(t, refusal, context.Canceled)
		require.Equal(t, 1, r.asked())

		// What nobody waits for any more is remembered all the same.
		ctx, cancel = context.WithTimeout(t.Context(), trip/2)
		defer cancel()
		_, refusal = ask(t, c, ctx, "third")
		require.ErrorIs(t, refusal, context.DeadlineExceeded)
		time.Sleep(trip)
		_, refusal = ask(t, c, t.Context(), "third")
		require.Nil(t, refusal)
		require.Equal(t, 2, r.asked())
	})
}

func TestRequestsAndCallersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(says(200, good))
		r.hold = make(chan struct{})
		c := newClient(t, introspect.Config{Fetch: r.client(), MaxInFlight: 2, MaxWaiting: 5})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var wg sync.WaitGroup
		wait := func(ctx context.Context, tok string, want error) {
			wg.Go(func() {
				_, refusal := ask(t, c, ctx, tok)
				if want == nil && refusal != nil || want != nil && !errors.Is(refusal, want) {
					t.Errorf("%s got %v", tok, refusal)
				}
			})
			synctest.Wait()
		}
		wait(t.Context(), "a", nil)
		wait(t.Context(), "b", nil)
		wait(t.Context(), "b", nil)
		require.Equal(t, 2, r.asked())
		wait(t.Context(), "c", nil) // waits for a place
		wait(ctx, "d", context.Canceled)
		require.Equal(t, 2, r.asked())

		began := time.Now()
		for _, tok := range []string{"a", "c", "e"} {
			_, refusal := ask(t, c, t.Context(), tok)
			require.ErrorIs(t, refusal, introspect.ErrBusy)
			require.Equal(t, introspect.ReasonUnavailable, refusal.Reason)
		}
		require.Zero(t, time.Since(began))

		// A caller who leaves gives his place back, and what has not begun never begins.
		goroutines := runtime.NumGoroutine()
		cancel()
		synctest.Wait()
		require.Less(t, runtime.NumGoroutine(), goroutines)
		for range 1000 {
			gone, stop := context.WithCancel(t.Context())
			wait(gone, "flood", context.Canceled)
			stop()
			synctest.Wait()
		}
		require.Less(t, runtime.NumGoroutine(), goroutines)
		wait(t.Context(), "f", nil)
		close(r.hold)
		wg.Wait()
		require.Equal(t, 4, r.asked())
	})
}

func TestNobodyWaitsForAPlaceForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(says(200, good))
		r.hold = make(chan struct{})
		defer close(r.hold)
		c := newClient(t, introspect.Config{Fetch: fetch.New(fetch.Config{Timeout: 2 * time.Second, HTTPClient: &http.Client{Transport: r}}), MaxInFlight: 1,
			Endpoint: func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }})
		began := time.Now()
		var wg sync.WaitGroup
		for _, tok := range []string{"a", "b"} {
			wg.Go(func() {
				if _, refusal := ask(t, c, t.Context(), tok); refusal == nil {
					t.Errorf("%s is active", tok)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
		time.Sleep(time.Minute)
	})
}

// TestForeignCodeThatMisbehavesEndsAsAnOutage runs what nobody else recovers.
func TestForeignCodeThatMisbehavesEndsAsAnOutage(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer func(string) (*http.Response, error)
		took   time.Duration
	}{
		{"a panic", func(string) (*http.Response, error) { panic("SECRET") }, trip},
		{"the end of its goroutine", func(string) (*http.Response, error) { runtime.Goexit(); return nil, nil }, trip},
		{"no end", func(string) (*http.Response, error) { time.Sleep(time.Hour); return nil, errors.New("SECRET") }, 21 * time.Second},
		{"an error that quotes", func(form string) (*http.Response, error) { return nil, errors.New("SECRET " + form) }, trip},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log logBuffer
				r := newRemote(tt.answer)
				c := newClient(t, introspect.Config{Fetch: r.client(), Logger: log.logger()})
				began := time.Now()
				_, refusal := ask(t, c, t.Context(), token)
				require.Equal(t, introspect.ReasonUnavailable, refusal.Reason)
				require.Equal(t, tt.took, time.Since(began))
				checkText(t, strings.ReplaceAll(log.String(), "\n", " "))
				r.set(says(200, good))
				_, refusal = ask(t, c, t.Context(), token)
				require.Nil(t, refusal, "it did not recover")
				time.Sleep(2 * time.Hour) // the goroutine without end has one
			})
		})
	}
}

// panicLog panics with every record.
type panicLog struct{ slog.Handler }

func (panicLog) Enabled(context.Context, slog.Level) bool  { return true }
func (panicLog) Handle(context.Context, slog.Record) error { panic("SECRET") }

func TestALogThatPanicsHarmsNobody(t *testing.T) {
	c := newClient(t, introspect.Config{Fetch: quickRemote(says(500, "")).client(), Logger: slog.New(panicLog{})})
	_, refusal := ask(t, c, t.Context(), token)
	require.True(t, refusal.Unavailable)
}

func TestTheServersPauseIsHonoredWithinBounds(t *testing.T) {
	for _, tt := range []struct {
		status int
		field  string
		pause  time.Duration
	}{
		{503, "7", 7 * time.Second},
		{429, "7", 7 * time.Second},
		{503, "0", time.Second},
		{503, "86400", 30 * time.Second},
		{503, "@date", 10 * time.Second},
		{503, "Thu, 01 Jan 1970 00:00:00 GMT", time.Second},
		{503, "Fri, 31 Dec 9999 23:59:59 GMT", 30 * time.Second},
		{503, "", 0},
		{503, "-5", 0},
		{503, "soon", 0},
		{503, "99999999999999999999", 0},
		{500, "7", 0},
		{401, "7", 0},
	} {
		t.Run(fmt.Sprint(tt.status, " ", tt.field), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				field := tt.field
				if field == "@date" {
					field = time.Now().Add(10 * time.Second).UTC().Format(http.TimeFormat)
				}
				r := newRemote(says(200, `{"active":true}`))
				c := newClient(t, introspect.Config{Fetch: r.client()})
				_, refusal := ask(t, c, t.Context(), "known")
				require.Nil(t, refusal)
				time.Sleep(time.Second - trip) // as whole seconds as the field
				r.set(says(tt.status, "", "Retry-After", field))
				if tt.field == "@date" {
					r.set(says(tt.status, "", "Retry-After", time.Now().Add(10*time.Second).UTC().Format(http.TimeFormat)))
				}
				_, refusal = ask(t, c, t.Context(), token)
				require.Equal(t, max(tt.pause, time.Second), refusal.RetryAfter)
				paused := time.Now()
				r.set(says(200, good))
				if tt.pause > 0 {
					time.Sleep(tt.pause - time.Millisecond)
					_, refusal = ask(t, c, t.Context(), "other")
					require.True(t, refusal.Unavailable)
					require.Equal(t, time.Second, refusal.RetryAfter)
					require.Equal(t, 2, r.asked())
					_, refusal = ask(t, c, t.Context(), "known")
					require.Nil(t, refusal, "what is known needs no request")
					time.Sleep(time.Until(paused.Add(tt.pause)))
				}
				_, refusal = ask(t, c, t.Context(), "other")
				require.Nil(t, refusal)
			})
		})
	}
}

func TestThePauseStopsWhatWaitsForAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRemote(says(503, "", "Retry-After", "9"))
		c := newClient(t, introspect.Config{Fetch: r.client(), MaxInFlight: 1})
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				if _, refusal := ask(t, c, t.Context(), fmt.Sprint(i)); refusal == nil || refusal.RetryAfter != 9*time.Second {
					t.Errorf("got %v", refusal)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 1, r.asked())
	})
}

func TestTheLogTellsAnOutageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		r := newRemote(says(500, ""))
		c := newClient(t, introspect.Config{Fetch: r.client(), Logger: log.logger(), MaxAge: -1})
		for range 100 {
			_, _ = ask(t, c, t.Context(), token)
		}
		require.Equal(t, 1, strings.Count(log.String(), "level=WARN"))
		require.Contains(t, log.String(), "status 500")
		r.set(says(200, good))
		for range 10 {
			_, _ = ask(t, c, t.Context(), token)
		}
		require.Equal(t, 1, strings.Count(log.String(), "level=INFO"))
		for range 100 { // somebody has found a token that the server chokes on
			r.set(says(500, ""))
			_, _ = ask(t, c, t.Context(), token)
			r.set(says(200, good))
			_, _ = ask(t, c, t.Context(), token)
		}
		require.LessOrEqual(t, strings.Count(log.String(), "\n"), 4)
	})
}

func TestManyCallersRace(t *testing.T) {
	r := newRemote(func(form string) (*http.Response, error) {
		if strings.Contains(form, "token=bad") {
			return says(200, bad)("")
		}
		return says(200, good)("")
	})
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, introspect.Config{Fetch: r.client(), MaxAge: trip, MaxNegativeAge: trip, MaxWaiting: 1000})
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				for j := range 20 {
					tok := fmt.Sprint([]string{"good", "bad"}[(i+j)%2], j%3)
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%4+1)*trip/2)
					claims, refusal := ask(t, c, ctx, tok)
					cancel()
					if refusal != nil && !refusal.Unavailable && !strings.HasPrefix(tok, "bad") || claims != nil && strings.HasPrefix(tok, "bad") {
						t.Errorf("%s: %v, %v", tok, claims, refusal)
					}
				}
			})
		}
		wg.Wait()
		time.Sleep(time.Minute)
	})
}

// INTRO-07: who asks while a request is under way shares it only where its answer may be used for him. The server may have
// made it before the token was revoked, and he has asked after that.
func TestINTRO07ARequestUnderWayMayBeTooOldToShare(t *testing.T) {
	for name, tt := range map[string]struct {
		maxAge, after time.Duration
		shared        bool
	}{
		"asked with every request":   {-1, time.Second, false},
		"and at once":                {-1, 0, false},
		"older than an answer lasts": {2 * time.Second, 2 * time.Second, false},
		"as old as an answer may be": {2 * time.Second, 2*time.Second - 1, true},
		"by default":                 {0, 9 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before, release := make(chan struct{}), make(chan struct{})
				r := newRemote(nil)
				r.set(func(string) (*http.Response, error) {
					<-before // the answer of before the revocation travels for a long time
					return says(200, good)("")
				})
				c := newClient(t, introspect.Config{Fetch: r.client(), MaxAge: tt.maxAge})
				early, late := make(chan *introspect.Error, 1), make(chan *introspect.Error, 3)
				go func() { _, refusal := ask(t, c, t.Context(), token); early <- refusal }()
				synctest.Wait()
				time.Sleep(tt.after)
				r.set(func(string) (*http.Response, error) {
					<-release
					return says(200, bad)("")
				})
				for range 3 {
					go func() { _, refusal := ask(t, c, t.Context(), token); late <- refusal }()
				}
				synctest.Wait()
				close(before)
				require.Nil(t, <-early)
				synctest.Wait()
				close(release)
				for range 3 {
					refusal := <-late
					require.Equal(t, tt.shared, refusal == nil)
				}
				if tt.shared {
					require.Equal(t, 1, r.asked())
				}
				// Whoever landed last, no flight is left behind.
				_, refusal := ask(t, c, t.Context(), token)
				require.Equal(t, tt.shared, refusal == nil)
			})
		})
	}
}
