package ratelimit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

// Wait says what Take would, and takes nothing.
func TestWait(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := ratelimit.New(ratelimit.Config{Now: func() time.Time { return now }})
	b := ratelimit.Bucket{Key: [32]byte{1}, Rate: ratelimit.Rate{Events: 2, Per: time.Second}}
	wait := func() time.Duration {
		w, err := s.Wait(b)
		require.NoError(t, err)
		return w
	}
	for range 2 {
		require.Zero(t, wait())
		require.Zero(t, wait())
		taken, err := s.Take([32]byte{}, []ratelimit.Bucket{b})
		require.NoError(t, err)
		require.Zero(t, taken)
	}
	require.Equal(t, 500*time.Millisecond, wait())
	now = now.Add(200 * time.Millisecond)
	require.Equal(t, 300*time.Millisecond, wait())
	taken, err := s.Take([32]byte{}, []ratelimit.Bucket{b})
	require.NoError(t, err)
	require.Equal(t, wait(), taken)
	now = now.Add(300 * time.Millisecond)
	require.Zero(t, wait())

	_, err = s.Wait(ratelimit.Bucket{})
	require.Error(t, err)
	var none *ratelimit.Store
	w, err := none.Wait(b)
	require.ErrorIs(t, err, ratelimit.ErrFull)
	require.NotZero(t, w)
	w, err = new(ratelimit.Store).Wait(b)
	require.ErrorIs(t, err, ratelimit.ErrFull, "one that New did not make")
	require.NotZero(t, w)
}

// Give makes up for one Take, and for no more.
func TestGive(t *testing.T) {
	now := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	s := ratelimit.New(ratelimit.Config{Now: func() time.Time { return now }})
	b := ratelimit.Bucket{Key: [32]byte{1}, Rate: ratelimit.Rate{Events: 2, Per: time.Second}}
	take := func() time.Duration {
		w, err := s.Take([32]byte{}, []ratelimit.Bucket{b})
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
