package ratelimit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

// A refused Take says how long, and which of the buckets takes that long; it takes nothing.
func TestWait(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := ratelimit.New(ratelimit.Config{Now: func() time.Time { return now }})
	b := ratelimit.Bucket{Key: [32]byte{1}, Rate: ratelimit.Rate{Events: 2, Per: time.Second}}
	full := ratelimit.Bucket{Key: [32]byte{2}, Rate: ratelimit.Rate{Events: 9, Per: time.Second}}
	slow := ratelimit.Bucket{Key: [32]byte{3}, Rate: ratelimit.Rate{Events: 1, Per: time.Minute}}
	take := func(buckets ...ratelimit.Bucket) (time.Duration, int) {
		wait, short, err := s.Take([32]byte{}, buckets)
		require.NoError(t, err)
		return wait, short
	}
	requireWait := func(want time.Duration, at int, buckets ...ratelimit.Bucket) {
		t.Helper()
		wait, short := take(buckets...)
		require.Equal(t, want, wait)
		require.Equal(t, at, short)
	}
	requireWait(0, 0, full, b)
	requireWait(0, 0, full, b)
	requireWait(500*time.Millisecond, 1, full, b)
	now = now.Add(200 * time.Millisecond)
	requireWait(300*time.Millisecond, 1, full, b)
	requireWait(300*time.Millisecond, 0, b)
	requireWait(0, 0, slow)
	requireWait(time.Minute, 2, full, b, slow)
	requireWait(time.Minute, 1, full, slow, b)
	requireWait(time.Minute, 0, slow, b)
	now = now.Add(300 * time.Millisecond)
	requireWait(0, 0, b)

	wait, short, err := s.Take([32]byte{}, []ratelimit.Bucket{b, {}})
	require.Error(t, err)
	require.NotZero(t, wait)
	require.Zero(t, short)
	var none *ratelimit.Store
	w, _, err := none.Take([32]byte{}, []ratelimit.Bucket{b})
	require.ErrorIs(t, err, ratelimit.ErrFull)
	require.NotZero(t, w)
	w, _, err = new(ratelimit.Store).Take([32]byte{}, []ratelimit.Bucket{b})
	require.ErrorIs(t, err, ratelimit.ErrFull, "one that New did not make")
	require.NotZero(t, w)
}

// Give makes up for one Take, and for no more.
func TestGive(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := ratelimit.New(ratelimit.Config{Now: func() time.Time { return now }})
	b := ratelimit.Bucket{Key: [32]byte{1}, Rate: ratelimit.Rate{Events: 2, Per: time.Second}}
	take := func() time.Duration {
		w, _, err := s.Take([32]byte{}, []ratelimit.Bucket{b})
		require.NoError(t, err)
		return w
	}
	s.Give(b) // of a bucket that nobody has taken from: nothing
	require.Zero(t, take())
	require.Zero(t, take())
	require.NotZero(t, take())
	s.Give(b)
	require.Zero(t, take())
	require.NotZero(t, take())
	now = now.Add(time.Hour)
	for range 5 {
		s.Give(b)
	}
	require.Zero(t, take())
	require.Zero(t, take())
	require.NotZero(t, take(), "never more than full")
	s.Give(ratelimit.Bucket{Key: b.Key})
	(*ratelimit.Store)(nil).Give(b)
}
