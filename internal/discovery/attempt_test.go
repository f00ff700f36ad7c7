package discovery_test

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

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// attemptLimit is what an attempt may take with the default timeout, and one
// second more.
const attemptLimit = 11 * time.Second

// DISC-04: no attempt follows one that does not end, so every attempt must,
// whatever a transport does.
func TestDISC04AnAttemptAlwaysEnds(t *testing.T) {
	for _, tt := range []struct {
		name      string
		misbehave func(release <-chan struct{})
		says      string
	}{
		{"a transport that ends its goroutine", func(<-chan struct{}) { runtime.Goexit() }, "without a result"},
		{"a transport that panics", func(<-chan struct{}) { panic("SECRET") }, "panic"},
		{"a transport that ignores its context", func(release <-chan struct{}) { <-release }, "ignores its deadline"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &transport{body: document(issuer, nil)}
				release := make(chan struct{})
				var bad atomic.Bool
				s := discovery.New(discovery.Config{Issuer: issuer, Fetch: fetch.New(fetch.Config{HTTPClient: &http.Client{
					Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
						resp, err := tr.RoundTrip(r)
						if bad.Load() {
							tt.misbehave(release)
						}
						return resp, err
					}),
				}})})
				bad.Store(true)
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				_, err := s.Metadata(ctx)
				require.ErrorContains(t, err, tt.says)
				require.NotContains(t, err.Error(), "SECRET")
				require.LessOrEqual(t, time.Since(began), attemptLimit)

				bad.Store(false)
				time.Sleep(time.Second)
				tr.set(document(issuer, map[string]any{"jwks_uri": issuer + "/moved"}), nil)
				m, err := s.Metadata(t.Context())
				require.NoError(t, err)
				require.Equal(t, issuer+"/moved", m.JWKSURI)
				// What an attempt gives after it was given up is not used.
				close(release)
				synctest.Wait()
				m, err = s.Metadata(t.Context())
				require.NoError(t, err)
				require.Equal(t, issuer+"/moved", m.JWKSURI)
				require.Equal(t, 2, tr.asked())
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

func TestABrokenLogHandlerDoesNotKillTheProcess(t *testing.T) {
	for name, breakIt := range map[string]func(){"panic": func() { panic("broken") }, "end of the goroutine": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logged := 0
				s, tr := newSource(discovery.Config{
					Resource: "https://mcp.example.com/mcp",
					Logger:   slog.New(brokenHandler{func() { logged++; breakIt() }}),
				})
				tr.set(document(issuer, map[string]any{"protected_resources": []string{}}), nil)
				_, err := s.Metadata(t.Context())
				require.NoError(t, err)
				synctest.Wait()
				require.Equal(t, 1, logged)
			})
		})
	}
}

// A clock that is set back does not stop the attempts until it has caught up.
func TestDISC04AClockThatIsSetBack(t *testing.T) {
	for name, first := range map[string]error{"with nothing yet": errors.New("down"), "with metadata": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var offset atomic.Int64
				s, tr := newSource(discovery.Config{Now: func() time.Time { return time.Unix(1_800_000_000, offset.Load()) }})
				tr.set(document(issuer, nil), first)
				_, err := s.Metadata(t.Context())
				require.Equal(t, first == nil, err == nil)
				require.Equal(t, 1, tr.asked())

				offset.Add(int64(-time.Hour))
				tr.set(document(issuer, map[string]any{"jwks_uri": issuer + "/moved"}), nil)
				_, err = s.Metadata(t.Context())
				require.NoError(t, err)
				time.Sleep(2 * trip) // with metadata, it is read in the background
				synctest.Wait()
				for range 100 {
					m, err := s.Metadata(t.Context())
					require.NoError(t, err)
					require.Equal(t, issuer+"/moved", m.JWKSURI)
				}
				synctest.Wait()
				require.Equal(t, 2, tr.asked(), "once")

				// Forget is answered by a new attempt, too.
				offset.Add(int64(-time.Hour))
				s.Forget()
				tr.set(document(issuer, nil), nil)
				m, err := s.Metadata(t.Context())
				require.NoError(t, err)
				require.Equal(t, issuer+"/keys", m.JWKSURI)
				require.Equal(t, 3, tr.asked())
			})
		})
	}
}
