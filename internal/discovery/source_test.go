package discovery_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/discovery"
	"github.com/go-mcpauth/sdk/internal/fetch"
)

const (
	issuer = "https://login.example.com"
	trip   = 50 * time.Millisecond
)

// transport answers the first well-known URL without a network.
type transport struct {
	mu    sync.Mutex
	body  string
	err   error
	count int
}

func (s *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	body, err := s.body, s.err
	if r.URL.Path == as {
		s.count++
	}
	s.mu.Unlock()
	time.Sleep(trip)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

func (s *transport) set(body string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.body, s.err = body, err
}

// asked is how many attempts have begun.
func (s *transport) asked() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count
}

func newSource(cfg discovery.Config) (*discovery.Source, *transport) {
	tr := &transport{body: document(issuer, nil)}
	cfg.Issuer = issuer
	cfg.Fetch = fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: tr}})
	return discovery.New(cfg), tr
}

func TestDISC04MetadataIsLazySharedAndKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tr := newSource(discovery.Config{})
		time.Sleep(time.Hour)
		require.Zero(t, tr.asked(), "New did I/O")

		// The first caller goes away; the others get the answer of its attempt.
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Metadata(ctx); !errors.Is(err, context.Canceled) {
				t.Errorf("the canceled caller got %v", err)
			}
		})
		synctest.Wait()
		for range 63 {
			wg.Go(func() {
				if m, err := s.Metadata(t.Context()); err != nil || m.JWKSURI != issuer+"/keys" {
					t.Errorf("got %v, %v", m, err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		cancel()
		synctest.Wait()
		wg.Go(func() {
			if _, err := s.Metadata(t.Context()); err != nil {
				t.Errorf("the place of the canceled caller was not free: %v", err)
			}
		})
		synctest.Wait()
		_, err := s.Metadata(t.Context())
		require.ErrorContains(t, err, "too many")
		require.Zero(t, time.Since(began))
		wg.Wait()
		require.Equal(t, 1, tr.asked())

		// Old metadata is read again in the background, and kept when that fails.
		tr.set("", errors.New("down"))
		for range 200 {
			time.Sleep(time.Minute)
			began = time.Now()
			m, err := s.Metadata(t.Context())
			require.NoError(t, err)
			require.Equal(t, issuer+"/keys", m.JWKSURI)
			require.Zero(t, time.Since(began), "it waited")
		}
		synctest.Wait() // an attempt in the background may have just begun
		require.InDelta(t, 1+140, tr.asked(), 2, "after an hour, once a minute")

		tr.set(document(issuer, map[string]any{"jwks_uri": issuer + "/moved"}), nil)
		time.Sleep(time.Minute)
		_, err = s.Metadata(t.Context())
		require.NoError(t, err)
		time.Sleep(2 * trip)
		synctest.Wait()
		m, err := s.Metadata(t.Context())
		require.NoError(t, err)
		require.Equal(t, issuer+"/moved", m.JWKSURI)
	})
}

func TestDISC04StartWhileTheIssuerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tr := newSource(discovery.Config{})
		tr.set("", errors.New("down"))
		_, err := s.Metadata(t.Context())
		var fe *fetch.Error
		require.ErrorAs(t, err, &fe)
		began := time.Now()
		for range 100 {
			_, err = s.Metadata(t.Context())
			require.ErrorAs(t, err, &fe, "the cause is remembered")
		}
		require.Zero(t, time.Since(began))
		require.Equal(t, 1, tr.asked())
		tr.set(document(issuer, nil), nil)
		time.Sleep(500 * time.Millisecond)
		_, err = s.Metadata(t.Context())
		require.NoError(t, err)
	})
}

func TestForgetReadsAgainAndFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tr := newSource(discovery.Config{})
		_, err := s.Metadata(t.Context())
		require.NoError(t, err)
		time.Sleep(time.Second)

		tr.set(document(issuer, map[string]any{"jwks_uri": issuer + "/moved"}), nil)
		s.Forget()
		m, err := s.Metadata(t.Context())
		require.NoError(t, err)
		require.Equal(t, issuer+"/moved", m.JWKSURI)
		require.Equal(t, 2, tr.asked())

		tr.set(document("https://evil.example", nil), nil)
		time.Sleep(time.Second)
		s.Forget()
		m, err = s.Metadata(t.Context())
		require.NoError(t, err)
		require.Equal(t, issuer+"/moved", m.JWKSURI)
		require.Equal(t, 3, tr.asked())
	})
}

func TestDISC05WarnsOnceThatTheResourceIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		s, tr := newSource(discovery.Config{Resource: "https://mcp.example.com/mcp", Logger: slog.New(slog.NewTextHandler(&out, nil))})
		read := func(resources any) string {
			doc := document(issuer, map[string]any{"protected_resources": resources})
			if resources == nil {
				doc = document(issuer, nil)
			}
			tr.set(doc, nil)
			time.Sleep(time.Second)
			s.Forget()
			_, err := s.Metadata(t.Context())
			require.NoError(t, err)
			synctest.Wait()
			text := out.String()
			out.Reset()
			return text
		}
		require.Empty(t, read(nil), "absent says nothing")
		require.Empty(t, read([]string{"https://mcp.example.com/mcp"}))
		require.Contains(t, read([]string{}), "protected_resources")
		require.Empty(t, read([]string{"https://mcp.example.com/mcp/"}), "said already")
		require.Empty(t, read([]string{"https://mcp.example.com/mcp"}))
		require.Contains(t, read([]string{"https://other.example.com"}), "level=WARN")
	})
}

type panicking struct{}

func (panicking) RoundTrip(*http.Request) (*http.Response, error) { panic("SECRET") }

func TestPanicInATransportIsAnError(t *testing.T) {
	s := discovery.New(discovery.Config{Issuer: issuer, Fetch: fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: panicking{}}})})
	_, err := s.Metadata(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "SECRET")
	_, err = new(discovery.Source).Metadata(t.Context())
	require.Error(t, err, "the zero Source")
}

// A clock that panics once is the misfortune of one caller.
func TestAClockThatPanicsLeavesNothingLocked(t *testing.T) {
	bad := true
	s := discovery.New(discovery.Config{Issuer: issuer, Fetch: fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: &transport{body: "{}"}}}), Now: func() time.Time {
		if bad {
			panic("no time")
		}
		return time.Unix(1, 0)
	}})
	require.Panics(t, func() { _, _ = s.Metadata(t.Context()) })
	bad = false
	done := make(chan error, 1)
	go func() { _, err := s.Metadata(t.Context()); done <- err }()
	select {
	case err := <-done:
		require.Error(t, err, "an empty document")
	case <-time.After(10 * time.Second):
		t.Fatal("the next caller waits for ever")
	}
}
