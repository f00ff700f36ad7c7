package redisstore_test

import (
	"context"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

func find(t testing.TB, s *redisstore.Store, ids ...mcpauth.RevocationID) []int64 {
	t.Helper()
	before, err := s.Find(t.Context(), ids)
	require.NoError(t, err)
	return before
}

// What one replica records all find at once, in the order in which they ask.
func revocationsCountEverywhereAtOnce(t *testing.T, new func() redis.UniversalClient) {
	a, b := newStore(t, new()), newStore(t, new())
	x, y, z := mcpauth.RevocationID(unique()), mcpauth.RevocationID(unique()), mcpauth.RevocationID(unique())
	require.Equal(t, []int64{0, 0, 0}, find(t, b, x, y, z))
	require.NoError(t, a.Put(t.Context(), z, 3, inAMinute()))
	require.NoError(t, a.Put(t.Context(), x, 1<<62, inAMinute()))
	require.Equal(t, []int64{1 << 62, 0, 3, 0}, find(t, b, x, y, z, y))
	require.Empty(t, find(t, b))
}

// Of several the latest of each counts, to the last bit of numbers that Lua cannot hold.
func TestTheLatestCounts(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	now := time.Now()
	for _, put := range [][]int64{
		{5, 3, 4}, {3, 5, 4}, {9, 10}, {10, 9}, {999, 1000, 99}, {1<<62 - 1, 1 << 62}, {1 << 62, 1<<62 - 1}, {1 << 53, 1<<53 + 1, 1 << 53}, {math.MaxInt64, 1}, {1, math.MaxInt64},
	} {
		id := mcpauth.RevocationID(unique())
		var most int64
		for i, before := range put {
			require.NoError(t, s.Put(t.Context(), id, before, now.Add(time.Duration(i+1)*time.Hour)))
			most = max(most, before)
			require.Equal(t, []int64{most}, find(t, s, id))
		}
	}
	// until, by itself
	id := mcpauth.RevocationID(unique())
	require.NoError(t, s.Put(t.Context(), id, 5, now.Add(time.Hour)))
	ends := expireTime(t, c, s.RevocationKey(id))
	require.WithinRange(t, ends, now.Add(time.Hour+redisstore.Margin-time.Second), time.Now().Add(time.Hour+redisstore.Margin+time.Second))
	for _, sooner := range []time.Time{now.Add(time.Minute), now, now.Add(-time.Hour), {}} {
		require.NoError(t, s.Put(t.Context(), id, 6, sooner))
		require.WithinRange(t, expireTime(t, c, s.RevocationKey(id)), ends.Add(-2*time.Millisecond), ends.Add(time.Second))
	}
	require.Equal(t, []int64{6}, find(t, s, id))
	require.NoError(t, s.Put(t.Context(), id, 1, now.Add(2*time.Hour)))
	require.WithinRange(t, expireTime(t, c, s.RevocationKey(id)), now.Add(2*time.Hour+redisstore.Margin-time.Second), time.Now().Add(2*time.Hour+redisstore.Margin+time.Second))
	require.Equal(t, []int64{6}, find(t, s, id))
	// Times that no clock of Redis holds are cut, and what somebody made permanent stays so.
	require.NoError(t, s.Put(t.Context(), id, 1, time.Unix(1<<40, 0)))
	require.Greater(t, time.Until(expireTime(t, c, s.RevocationKey(id))), 99*365*24*time.Hour)
	require.NoError(t, c.Persist(t.Context(), s.RevocationKey(id)).Err())
	require.NoError(t, s.Put(t.Context(), id, 7, now.Add(time.Hour)))
	require.Equal(t, time.Duration(-1), c.PTTL(t.Context(), s.RevocationKey(id)).Val())
	require.Equal(t, []int64{7}, find(t, s, id))
}

// At once from many replicas, the largest wins.
func TestRevocationsAtOnce(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	id := mcpauth.RevocationID(unique())
	until := inAMinute()
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 20 {
				_ = s.Put(context.Background(), id, int64(1+i+16*n), until)
			}
		})
	}
	wg.Wait()
	require.Equal(t, []int64{320}, find(t, s, id))
}

func TestBeforeMustBePositive(t *testing.T) {
	s := newStore(t, newClient(t, redistest.Start(t).Addr()))
	for _, before := range []int64{0, -1, math.MinInt64} {
		require.ErrorContains(t, s.Put(t.Context(), mcpauth.RevocationID(unique()), before, inAMinute()), "not positive")
	}
}
