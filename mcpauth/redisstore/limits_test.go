package redisstore_test

import (
	"context"
	"math"
	"math/big"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// A bucket is the model of one: how many events it holds, exactly, and when that was.
type bucket struct {
	held *big.Rat
	at   int64
}

// fill brings the model to a time in microseconds.
func (b *bucket) fill(r mcpauth.Rate, at int64) {
	burst := new(big.Rat).SetInt64(int64(r.Burst))
	if b.held == nil {
		b.held = burst
	} else {
		back := big.NewRat(at-b.at, r.Per.Nanoseconds())
		back.Mul(back, big.NewRat(1000*int64(r.Events), 1))
		if b.held.Add(b.held, back).Cmp(burst) > 0 {
			b.held = burst
		}
	}
	b.at = at
}

var anyRate = []func(*rand.Rand) mcpauth.Rate{
	func(r *rand.Rand) mcpauth.Rate { // what people write
		return mcpauth.Rate{Events: 1 + r.IntN(100), Per: []time.Duration{time.Second, time.Minute, time.Hour}[r.IntN(3)], Burst: 1 + r.IntN(20)}
	},
	func(r *rand.Rand) mcpauth.Rate { // thirds and sevenths of microseconds
		return mcpauth.Rate{Events: 1 + r.IntN(3000), Per: time.Millisecond + time.Duration(r.IntN(5_000_000)), Burst: 1 + r.IntN(5)}
	},
	func(r *rand.Rand) mcpauth.Rate { // the ends
		return mcpauth.Rate{Events: []int{1, 1_000_000_000}[r.IntN(2)], Per: []time.Duration{time.Millisecond, 366 * 24 * time.Hour}[r.IntN(2)], Burst: []int{1, 2, 1_000_000_000}[r.IntN(3)]}
	},
}

// Nothing is ever given that an exact bucket does not hold, all or none is taken, and what is said to be how
// long it takes is so: not a microsecond earlier. The script is the real one; its clock is the test's.
func TestNeverMoreThanTheRate(t *testing.T) {
	s := newStore(t, newClient(t, redistest.Start(t).Addr()))
	const seed = 7
	r := rand.New(rand.NewPCG(seed, seed))
	given, refused := 0, 0
	for range 60 {
		group := unique()
		buckets, models := make([]mcpauth.LimitBucket, 1+r.IntN(4)), make([]bucket, 4)
		for i := range buckets {
			buckets[i] = mcpauth.LimitBucket{Key: unique(), Rate: anyRate[r.IntN(len(anyRate))](r)}
		}
		now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro() + r.Int64N(1e15)
		for range 60 {
			chosen := r.Perm(len(buckets))[:1+r.IntN(len(buckets))]
			var asked []mcpauth.LimitBucket
			for _, i := range chosen {
				asked = append(asked, buckets[i])
				models[i].fill(buckets[i].Rate, now)
			}
			wait, short, err := s.TakeAt(t.Context(), now, group, asked)
			require.NoError(t, err)
			require.GreaterOrEqual(t, wait, time.Duration(0))
			if wait == 0 {
				given++
				for _, i := range chosen {
					models[i].held.Sub(models[i].held, big.NewRat(1, 1))
					require.GreaterOrEqual(t, models[i].held.Sign(), 0, "more than %+v was given", buckets[i].Rate)
				}
			} else {
				refused++
				// Nothing was taken from any, and a moment before it would be refused still, for want of that one bucket.
				for _, buckets := range [][]mcpauth.LimitBucket{asked, asked[short : short+1]} {
					early, _, err := s.TakeAt(t.Context(), now+wait.Microseconds()-1, group, buckets)
					require.NoError(t, err)
					require.Equal(t, time.Microsecond, early)
				}
			}
			switch r.IntN(4) {
			case 0:
				now += r.Int64N(100)
			case 1:
				now += r.Int64N(2_000_000)
			case 2:
				if most := wait.Microseconds(); most < 1e13 {
					now += most
				}
			}
		}
	}
	require.Greater(t, given, 500)
	require.Greater(t, refused, 500)
}

// Rounding costs at most a microsecond an event: this is what a bucket gives, to the event.
func TestTheWholeRateIsGiven(t *testing.T) {
	s := newStore(t, newClient(t, redistest.Start(t).Addr()))
	for _, rate := range []mcpauth.Rate{
		{Events: 10, Per: time.Second}, {Events: 60, Per: time.Minute, Burst: 3}, {Events: 7, Per: time.Second, Burst: 7}, {Events: 1, Per: 30 * 24 * time.Hour}, {Events: 1_000_000, Per: time.Second, Burst: 2},
	} {
		group, buckets := unique(), []mcpauth.LimitBucket{{Key: unique(), Rate: rate}}
		step, _, err := redisstore.Steps(rate)
		require.NoError(t, err)
		burst := max(rate.Burst, 1)
		if rate.Burst == 0 {
			burst = rate.Events
		}
		now := time.Now().UnixMicro()
		for range burst {
			wait, _, err := s.TakeAt(t.Context(), now, group, buckets)
			require.NoError(t, err)
			require.Zero(t, wait)
		}
		for range 5 {
			wait, _, err := s.TakeAt(t.Context(), now, group, buckets)
			require.NoError(t, err)
			require.Equal(t, time.Duration(step)*time.Microsecond, wait)
			now += step
			wait, _, err = s.TakeAt(t.Context(), now, group, buckets)
			require.NoError(t, err)
			require.Zero(t, wait)
		}
	}
}

func TestSteps(t *testing.T) {
	for _, c := range []struct {
		rate       mcpauth.Rate
		step, most int64
	}{
		{mcpauth.Rate{Events: 10, Per: time.Second}, 100_000, 1_000_000},
		{mcpauth.Rate{Events: 7, Per: time.Second, Burst: 2}, 142_858, 285_716},
		{mcpauth.Rate{Events: 3, Per: time.Millisecond + 1}, 334, 1002},
		{mcpauth.Rate{Events: 1_000_000_000, Per: time.Millisecond}, 1, 1_000_000_000},
		{mcpauth.Rate{Events: 1, Per: 30 * 24 * time.Hour, Burst: 1_000_000_000}, 2_592_000_000_000, 1929 * 2_592_000_000_000},
	} {
		step, most, err := redisstore.Steps(c.rate)
		require.NoError(t, err)
		require.Equal(t, []int64{c.step, c.most}, []int64{step, most}, c.rate)
		require.Less(t, time.Date(2096, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()+most+step, int64(1<<53))
	}
	s := newStore(t, newClient(t, "127.0.0.1:1")) // nothing is asked
	for _, bad := range []mcpauth.Rate{
		{}, {Events: 1}, {Per: time.Second}, {Events: -1, Per: time.Second}, {Events: 1, Per: -time.Second}, {Events: 1, Per: time.Second, Burst: -1},
		{Events: math.MaxInt, Per: time.Second}, {Events: 1, Per: math.MaxInt64}, {Events: 1, Per: time.Second, Burst: math.MaxInt}, {Events: 1, Per: 99 * time.Nanosecond},
	} {
		wait, _, err := s.Take(t.Context(), unique(), []mcpauth.LimitBucket{{Key: unique(), Rate: bad}})
		require.ErrorContains(t, err, "no rate", bad)
		require.Zero(t, wait)
	}
	_, _, err := s.Take(t.Context(), unique(), make([]mcpauth.LimitBucket, 1025))
	require.ErrorContains(t, err, "1025 buckets")
	wait, _, err := s.Take(t.Context(), unique(), nil)
	require.NoError(t, err)
	require.Zero(t, wait)
}

// The real clock: at once there is the burst, at whatever replica, and what has come back since, no more.
func manyReplicasOneRate(t *testing.T, new func() redis.UniversalClient) {
	const replicas, callers, tries = 3, 8, 20
	caller := mcpauth.LimitBucket{Key: unique(), Rate: mcpauth.Rate{Events: 36_000, Per: time.Hour, Burst: 25}} // one in 100 ms
	client := mcpauth.LimitBucket{Key: unique(), Rate: mcpauth.Rate{Events: 1_000_000, Per: time.Hour}}
	var stores []*redisstore.Store
	for range replicas {
		stores = append(stores, newStore(t, new()))
	}
	group := unique()
	var given, failed atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for i := range replicas * callers {
		wg.Go(func() {
			for range tries {
				switch wait, _, err := stores[i%replicas].Take(context.Background(), group, []mcpauth.LimitBucket{caller, client}); {
				case err != nil:
					failed.Add(1)
				case wait == 0:
					given.Add(1)
				}
			}
		})
	}
	wg.Wait()
	most := 25 + int64(time.Since(began)/(100*time.Millisecond)) + 1
	require.Zero(t, failed.Load())
	require.GreaterOrEqual(t, given.Load(), int64(25))
	require.LessOrEqual(t, given.Load(), most)
}

// One bucket that stands twice is taken from twice; a bucket ends when it is full again.
func TestBucketsTwiceAndTheirEnd(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	group := unique()
	b := mcpauth.LimitBucket{Key: unique(), Rate: mcpauth.Rate{Events: 3, Per: 3 * time.Hour}}
	before := serverTime(t, c)
	wait, _, err := s.Take(t.Context(), group, []mcpauth.LimitBucket{b, b})
	require.NoError(t, err)
	require.Zero(t, wait)
	ends := expireTime(t, c, s.BucketKey(group, b.Key))
	require.WithinRange(t, ends, before.Add(2*time.Hour-time.Millisecond), serverTime(t, c).Add(2*time.Hour+3*time.Millisecond))
	wait, _, err = s.Take(t.Context(), group, []mcpauth.LimitBucket{b, b})
	require.NoError(t, err)
	require.InDelta(t, time.Hour, wait, float64(time.Minute))
	wait, _, err = s.Take(t.Context(), group, []mcpauth.LimitBucket{b})
	require.NoError(t, err)
	require.Zero(t, wait, "the refusal before took something")
}

// A clock that is put back lets nobody wait for longer than an empty bucket does, nor gives anything away.
func TestClockPutBack(t *testing.T) {
	s := newStore(t, newClient(t, redistest.Start(t).Addr()))
	group, buckets := unique(), []mcpauth.LimitBucket{{Key: unique(), Rate: mcpauth.Rate{Events: 2, Per: 2 * time.Second}}}
	now := time.Now().UnixMicro()
	for range 2 {
		wait, _, err := s.TakeAt(t.Context(), now, group, buckets)
		require.NoError(t, err)
		require.Zero(t, wait)
	}
	wait, _, err := s.TakeAt(t.Context(), now-3600e6, group, buckets)
	require.NoError(t, err)
	require.Equal(t, time.Second, wait)
}

// What a clock that was put back made of a bucket is forgotten at once, or its caller would wait for as long as the
// clock was put back, told each time that a second is enough. A shorter Burst counts at once, too.
func TestClockPutBackAndRefilled(t *testing.T) {
	s := newStore(t, newClient(t, redistest.Start(t).Addr()))
	now := time.Now().UnixMicro()
	for name, tt := range map[string]struct {
		before mcpauth.Rate
		at     int64
	}{
		"a clock that was put back": {mcpauth.Rate{Events: 2, Per: 2 * time.Second}, now - 3600e6},
		"a rate with another burst": {mcpauth.Rate{Events: 2, Per: 2 * time.Second, Burst: 100}, now},
	} {
		group, key, spare := unique(), unique(), unique()
		rate := mcpauth.Rate{Events: 2, Per: 2 * time.Second}
		for i := range max(tt.before.Events, tt.before.Burst) {
			wait, _, err := s.TakeAt(t.Context(), now, group, []mcpauth.LimitBucket{{Key: key, Rate: tt.before}})
			require.NoError(t, err)
			require.Zero(t, wait, "%s %d", name, i)
		}
		// The other one of a refused call is left as it was.
		buckets := []mcpauth.LimitBucket{{Key: key, Rate: rate}, {Key: spare, Rate: rate}}
		for _, after := range []int64{0, 1e6 - 1, 1e6, 2e6} {
			wait, _, err := s.TakeAt(t.Context(), tt.at+after, group, buckets)
			require.NoError(t, err)
			require.Equal(t, time.Duration(max(0, 1e6-after))*time.Microsecond, wait, "%s, after %d", name, after)
		}
		wait, _, err := s.TakeAt(t.Context(), tt.at+2e6, group, buckets[1:])
		require.NoError(t, err)
		require.Zero(t, wait, name)
	}
}
