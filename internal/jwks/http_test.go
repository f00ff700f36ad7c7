package jwks_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/jwks"
)

// A clock that tests move, for sets on real servers.
type clock struct{ offset atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_800_000_000, 0).Add(time.Duration(c.offset.Load()))
}

func (c *clock) pass(d time.Duration) { c.offset.Add(int64(d)) }

// gzipBomb is 64 MiB of white space and a good set at the end.
var gzipBomb = sync.OnceValue(func() []byte {
	var bomb bytes.Buffer
	zw, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if err != nil {
		panic(err)
	}
	block := bytes.Repeat([]byte(" "), 1<<20)
	for range 64 {
		_, _ = zw.Write(block)
	}
	_, _ = zw.Write([]byte(setOf(jwkOf(ec256(), "k1", nil))))
	_ = zw.Close() // to a buffer: none of these can fail
	return bomb.Bytes()
})

// JWKS-02, over a real connection: whatever the server sends, the good set
// stays, the answer is not read into memory, and nothing waits for long.
func TestJWKS02HostileServers(t *testing.T) {
	good := setOf(jwkOf(ec256(), "k1", nil))
	bomb := gzipBomb() // here, not while bytes are counted
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, good) }))
	t.Cleanup(other.Close)

	for name, hostile := range map[string]http.HandlerFunc{
		"64 MB": func(w http.ResponseWriter, _ *http.Request) {
			chunk := bytes.Repeat([]byte(" "), 64<<10)
			for range 1024 {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
			fmt.Fprint(w, good)
		},
		"gzip bomb": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		},
		"redirect to another origin": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusFound)
		},
		"redirect loop": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/again", http.StatusFound)
		},
		"headers that never come": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"a body that never ends": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"keys":[`))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"a connection that breaks": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(good))
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var bad atomic.Bool
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if bad.Load() {
					hostile(w, r)
					return
				}
				fmt.Fprint(w, good)
			}))
			t.Cleanup(srv.Close)
			var c clock
			s := jwks.New(jwks.Config{
				URI:      func(context.Context) (string, error) { return srv.URL, nil },
				Fetch:    fetch.New(fetch.Config{Timeout: 2 * time.Second}),
				Now:      c.now,
				Cooldown: cooldown,
			})
			k1 := mustLookup(t, s, "k1", "ES256")
			bad.Store(true)
			c.pass(cooldown)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := s.Lookup(t.Context(), "unknown", "ES256")
			runtime.ReadMemStats(&after)
			requireUnavailable(t, err)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "bytes allocated")
			require.Same(t, k1, mustLookup(t, s, "k1", "ES256"))
			require.True(t, s.Current(k1))

			bad.Store(false)
			c.pass(cooldown)
			_, err = s.Lookup(t.Context(), "unknown", "ES256")
			require.ErrorIs(t, err, jwks.ErrUnknownKey, "it recovers")
		})
	}
}

// Target 8 over a real connection: 10,000 unknown kids, known ones beside them.
func TestJWKS04FloodOverLoopback(t *testing.T) {
	var fetches atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetches.Add(1)
		fmt.Fprint(w, setOf(jwkOf(ec256(), "k1", nil)))
	}))
	t.Cleanup(srv.Close)
	var c clock
	s := jwks.New(jwks.Config{
		URI:      func(context.Context) (string, error) { return srv.URL, nil },
		Fetch:    fetch.New(fetch.Config{}),
		Now:      c.now,
		Cooldown: cooldown,
	})
	require.NoError(t, s.Ready(t.Context()))
	const steps, perStep, step = 100, 100, time.Second
	for i := range steps {
		c.pass(step)
		var wg sync.WaitGroup
		for j := range perStep {
			wg.Go(func() {
				if _, err := s.Lookup(t.Context(), fmt.Sprint(i, j), "ES256"); err == nil {
					t.Error("a forged kid was found")
				}
				if _, err := s.Lookup(t.Context(), "k1", "ES256"); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	require.LessOrEqual(t, fetches.Load(), int64(1+steps*step/cooldown))
	require.GreaterOrEqual(t, fetches.Load(), int64(steps*step/cooldown))
}
