package prm_test

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/prm"
)

// A world is a handler of one signed document, with its key and its clock in the test's hands.
type world struct {
	testing.TB
	http.Handler
	now    atomic.Int64 // after the epoch
	signed atomic.Int64 // how often the key was asked
	fail   atomic.Bool
	hold   atomic.Pointer[chan struct{}] // the key waits for it
	log    bytes.Buffer
}

func (w *world) Public() crypto.PublicKey { return keys()["ES256"].Public() }

func (w *world) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	w.signed.Add(1)
	if hold := w.hold.Load(); hold != nil {
		<-*hold
	}
	if w.fail.Load() {
		return nil, errors.New("the key service is out of order")
	}
	return keys()["ES256"].Sign(r, digest, opts)
}

// newWorld signs for two hours: anew after one.
func newWorld(t testing.TB, change func(*prm.Config)) *world {
	w := &world{TB: t}
	cfg := prm.Config{
		Resources: []*prm.Metadata{full()}, Signing: &prm.Signing{Key: w, Lifetime: 2 * time.Hour},
		Now: func() time.Time { return epoch.Add(time.Duration(w.now.Load())) }, Logger: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	if change != nil {
		change(&cfg)
	}
	h, err := prm.NewHandler(cfg)
	require.NoError(t, err)
	w.Handler = h
	return w
}

func (w *world) at(d time.Duration) { w.now.Store(int64(d)) }

// get fetches the document. A signature on it is always good at the moment, and so is everything a cache keeps of it.
func (w *world) get(header ...string) (r *httptest.ResponseRecorder, signed *prm.Signed) {
	w.Helper()
	r = serve(w, "GET", prefix+"/mcp", header...)
	if r.Code != 200 {
		return r, nil
	}
	now := epoch.Add(time.Duration(w.now.Load()))
	v := &prm.Verifier{Resource: full().Resource, Keys: []prm.VerificationKey{{Public: w.Public()}}, Leeway: -1, Now: func() time.Time { return now }}
	signed, err := v.Verify(r.Body.Bytes())
	if errors.Is(err, prm.ErrUnsigned) {
		require.Equal(w, fullText, r.Body.String())
		return r, nil
	}
	require.NoError(w, err)
	age, err := time.ParseDuration(strings.TrimPrefix(r.Header().Get("Cache-Control"), "public, max-age=") + "s")
	require.NoError(w, err)
	require.False(w, now.Truncate(time.Second).Add(age).After(signed.Expiry), "a cache keeps it beyond its exp")
	return r, signed
}

// PRM-14: signed when it is first asked for, then once for each half of its life, and not for each request.
func TestPRM14_SignedOncePerInterval(t *testing.T) {
	w := newWorld(t, nil)
	require.Zero(t, w.signed.Load(), "a constructor asks no key")
	var etag string
	for i, step := range []struct {
		at    time.Duration
		total int64
		from  time.Duration
	}{
		{0, 1, 0}, {time.Second, 1, 0}, {time.Hour - 1, 1, 0}, {time.Hour, 2, time.Hour}, {2*time.Hour - 1, 2, time.Hour}, {10*time.Hour + 17*time.Minute, 3, 10 * time.Hour},
		{10*time.Hour + 59*time.Minute, 3, 10 * time.Hour}, {9 * time.Hour, 4, 9 * time.Hour}, // the clock was put back
	} {
		w.at(step.at)
		for range 5 {
			r, signed := w.get()
			require.Equal(t, epoch.Add(step.from).Unix(), signed.IssuedAt.Unix(), "%d", i)
			require.Equal(t, epoch.Add(step.from+2*time.Hour).Unix(), signed.Expiry.Unix())
			require.Equal(t, step.total, w.signed.Load(), "%d", i)
			require.Equal(t, "public, max-age=300", r.Header().Get("Cache-Control"))
			if i == 0 {
				etag = r.Header().Get("ETag")
			}
			// PRM-23: one signature, one tag.
			require.Equal(t, step.from == 0, r.Header().Get("ETag") == etag)
			r, _ = w.get("If-None-Match", etag)
			require.Equal(t, map[bool]int{true: 304, false: 200}[step.from == 0], r.Code)
		}
	}
	require.Empty(t, w.log.String())
}

// PRM-23: replicas with one key write one document, whenever each of them started.
func TestPRM14_ReplicasAgree(t *testing.T) {
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		key := func(cfg *prm.Config) { cfg.Signing = &prm.Signing{Key: keys()[alg], Lifetime: 2 * time.Hour} }
		a, b := newWorld(t, key), newWorld(t, key)
		b.at(59 * time.Minute)
		first, second := serve(a, "GET", prefix+"/mcp"), serve(b, "GET", prefix+"/mcp")
		require.Equal(t, first.Body.String(), second.Body.String(), alg)
		require.Equal(t, first.Header().Get("ETag"), second.Header().Get("ETag"))
	}
}

// The last signature is served while it is good, then the document without one; never one that has expired. The key is asked once a minute.
func TestPRM14_WhileTheKeyFails(t *testing.T) {
	w := newWorld(t, nil)
	w.get()
	w.fail.Store(true)
	for _, step := range []struct {
		at     time.Duration
		total  int64
		signed bool
		age    string
	}{
		{59 * time.Minute, 1, true, "300"}, {time.Hour, 2, true, "300"}, {time.Hour + 59*time.Second, 2, true, "300"}, {time.Hour + time.Minute, 3, true, "300"},
		{2*time.Hour - 5*time.Minute, 4, true, "300"}, {2*time.Hour - 299*time.Second, 4, true, "299"}, {2*time.Hour - 1*time.Second, 5, true, "1"},
		{2 * time.Hour, 5, false, "60"}, {2*time.Hour + 58*time.Second, 5, false, "60"}, {2*time.Hour + 59*time.Second, 6, false, "60"}, {5 * time.Hour, 7, false, "60"},
	} {
		w.at(step.at)
		for range 3 {
			r, signed := w.get()
			require.Equal(t, step.signed, signed != nil, step.at)
			require.Equal(t, step.total, w.signed.Load(), step.at)
			require.Equal(t, "public, max-age="+step.age, r.Header().Get("Cache-Control"), step.at)
		}
	}
	require.Contains(t, w.log.String(), `err="prm: signing: the key service is out of order" served="the last signature, until it expires"`)
	require.Contains(t, w.log.String(), `served="the document without signed_metadata"`)
	require.Equal(t, 6, strings.Count(w.log.String(), "cannot be signed"), "a line for each attempt, not for each request")
	w.fail.Store(false)
	w.at(5*time.Hour + 59*time.Second)
	_, signed := w.get()
	require.Nil(t, signed)
	w.at(5*time.Hour + time.Minute)
	_, signed = w.get()
	require.NotNil(t, signed)
	require.Contains(t, w.log.String(), "signed again")
	w.fail.Store(true)
	w.at(6 * time.Hour)
	w.get()
	w.fail.Store(false)
	w.at(4 * time.Hour) // a clock that is put back does not prolong the wait
	_, signed = w.get()
	require.NotNil(t, signed)
}

func TestPRM14_AFailingKeyAtTheStart(t *testing.T) {
	w := newWorld(t, func(cfg *prm.Config) { cfg.MaxAge = 10 * time.Second })
	w.fail.Store(true)
	r, signed := w.get()
	require.Nil(t, signed)
	require.Equal(t, "public, max-age=10", r.Header().Get("Cache-Control"))
	w = newWorld(t, func(cfg *prm.Config) { cfg.MaxAge, cfg.Logger = -1, nil })
	w.fail.Store(true)
	r, _ = w.get()
	require.Equal(t, "public, max-age=0", r.Header().Get("Cache-Control"))
}

// One request signs. Others wait for it where there is nothing to serve, as long as their clients do, and else do not wait.
func TestPRM14_OneRequestSigns(t *testing.T) {
	w := newWorld(t, nil)
	hold := make(chan struct{})
	w.hold.Store(&hold)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if r := serve(w, "GET", prefix+"/mcp"); !strings.Contains(r.Body.String(), "signed_metadata") {
				w.Errorf("unsigned: %s", r.Body)
			}
		})
	}
	require.Eventually(t, func() bool { return w.signed.Load() == 1 }, 10*time.Second, time.Millisecond)
	gone, leave := context.WithCancel(t.Context())
	leave()
	r := httptest.NewRecorder()
	w.ServeHTTP(r, httptest.NewRequest("GET", prefix+"/mcp", nil).WithContext(gone))
	require.Equal(t, fullText, r.Body.String())
	close(hold)
	all.Wait()
	require.EqualValues(t, 1, w.signed.Load())

	slow := make(chan struct{})
	w.hold.Store(&slow)
	w.at(time.Hour)
	all.Go(func() { serve(w, "GET", prefix+"/mcp") })
	require.Eventually(t, func() bool { return w.signed.Load() == 2 }, 10*time.Second, time.Millisecond)
	_, signed := w.get()
	require.Equal(t, epoch.Unix(), signed.IssuedAt.Unix(), "the last signature, at once")
	close(slow)
	all.Wait()
	_, signed = w.get()
	require.Equal(t, epoch.Add(time.Hour).Unix(), signed.IssuedAt.Unix())
}

// A key that takes so long that the signature is of no use any more.
func TestPRM14_ASignatureThatComesTooLate(t *testing.T) {
	w := newWorld(t, nil)
	hold := make(chan struct{})
	w.hold.Store(&hold)
	done := make(chan string, 1)
	go func() { done <- serve(w, "GET", prefix+"/mcp").Body.String() }()
	require.Eventually(t, func() bool { return w.signed.Load() == 1 }, 10*time.Second, time.Millisecond)
	w.at(3 * time.Hour)
	close(hold)
	require.Equal(t, fullText, <-done)
}

// The root form and other resources are signed as well, each for itself.
func TestPRM14_EachDocumentHasItsSignature(t *testing.T) {
	signing := &prm.Signing{Key: keys()["EdDSA"], Issuer: "https://f.example"}
	now := func() time.Time { return epoch }
	h, err := prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least("https://h/a"), least("https://h/b")}, Signing: signing, Now: now})
	require.NoError(t, err)
	signing.Key = nil // the handler keeps no reference
	v := &prm.Verifier{Issuer: "https://f.example", Keys: []prm.VerificationKey{{Public: keys()["EdDSA"].Public()}}, Now: now}
	for _, name := range []string{"/a", "/b"} {
		v.Resource = "https://h" + name
		for _, slash := range []string{"", "/"} {
			_, err := v.Verify(serve(h, "GET", prefix+name+slash).Body.Bytes())
			require.NoError(t, err)
		}
		v.Resource = "https://h/c"
		_, err := v.Verify(serve(h, "GET", prefix+name).Body.Bytes())
		require.ErrorContains(t, err, "another resource")
	}
	signing.Key = keys()["EdDSA"]
	h, err = prm.NewHandler(prm.Config{Resources: []*prm.Metadata{least("https://h/a")}, RootMetadata: true, Signing: signing, Now: now})
	require.NoError(t, err)
	v.Resource = "https://h/a"
	_, err = v.Verify(serve(h, "GET", prefix).Body.Bytes())
	require.NoError(t, err)
	require.Equal(t, serve(h, "GET", prefix).Body.String(), serve(h, "GET", prefix+"/a").Body.String())
}

func TestServingASignatureAllocatesNothing(t *testing.T) {
	h := newWorld(t, nil)
	r := httptest.NewRequest("GET", prefix+"/mcp", nil)
	w := discard{http.Header{}}
	require.Zero(t, testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }))
}

// Those who waited for a key that failed do not ask it again, one after the other.
func TestPRM14_AFailureIsSharedByThoseWhoWait(t *testing.T) {
	w := newWorld(t, nil)
	hold := make(chan struct{})
	w.hold.Store(&hold)
	w.fail.Store(true)
	var started, all sync.WaitGroup
	for range 16 {
		started.Add(1)
		all.Go(func() {
			started.Done()
			serve(w, "GET", prefix+"/mcp")
		})
	}
	started.Wait()
	require.Eventually(t, func() bool { return w.signed.Load() == 1 }, 10*time.Second, time.Millisecond)
	close(hold)
	all.Wait()
	require.EqualValues(t, 1, w.signed.Load())
}
