package ratelimit_test

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

const goroutines = 16

// Many callers share the bucket of their client; each Take has buckets of several shards, in any
// order. What is admitted is exactly what there is, and who was refused has lost nothing.
func TestConcurrentTakesAdmitExactlyTheBurst(t *testing.T) {
	for _, capacity := range []int{1000, 0} { // one shard, and 32
		c := newClock()
		s := newStore(c, capacity)
		client := bucket(0, ratelimit.Rate{Events: 1, Per: time.Hour, Burst: 1000})
		user := func(n int) ratelimit.Bucket {
			return bucket(100+n, ratelimit.Rate{Events: 1, Per: time.Hour, Burst: 90})
		}
		operation := func(n int) ratelimit.Bucket {
			return bucket(200+n, ratelimit.Rate{Events: 1, Per: time.Hour, Burst: 300})
		}
		var total atomic.Int64
		var users, operations [goroutines]atomic.Int64
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(g), 3))
				for i := range 500 {
					u, o := rnd.IntN(goroutines), rnd.IntN(4)
					buckets := []ratelimit.Bucket{client, user(u), operation(o), bucket(1000+g, once)}
					buckets = buckets[:3+i%2]
					if i > 1 { // the last one only once
						buckets = buckets[:3]
					}
					rnd.Shuffle(len(buckets), func(i, j int) { buckets[i], buckets[j] = buckets[j], buckets[i] })
					switch wait, _, err := s.Take(hashOf(u), buckets); {
					case err != nil:
						t.Error(err)
					case wait == 0:
						total.Add(1)
						users[u].Add(1)
						operations[o].Add(1)
					}
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1000, total.Load())
		require.Zero(t, drain(t, s, client))
		for n := range goroutines {
			require.EqualValues(t, 90, users[n].Load()+int64(drain(t, s, user(n))), "user %d", n)
		}
		for n := range 4 {
			require.EqualValues(t, 300, operations[n].Load()+int64(drain(t, s, operation(n))), "operation %d", n)
		}
		require.Empty(t, s.Check())
	}
}

// A clock that ticks with each reading is not seen to go back, and so not forward more often than it
// does, while goroutines overtake each other. Others come and go meanwhile.
func TestConcurrentTakesAgreeOnTheTime(t *testing.T) {
	const tick, interval, burst = time.Millisecond, 7 * time.Millisecond, 5
	var ticks atomic.Int64
	s := ratelimit.New(ratelimit.Config{Now: func() time.Time { return start.Add(time.Duration(ticks.Add(1)) * tick) }})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range 2000 {
				wait, _, err := s.Take(hashOf(g), []ratelimit.Bucket{bucket(0, ratelimit.Rate{Events: 1, Per: interval, Burst: burst})})
				switch {
				case err != nil:
					t.Error(err)
				case wait == 0:
					admitted.Add(1)
				}
				if err := takeOnce(s, g, 1+g*10_000+i, ratelimit.Rate{Events: 1, Per: 300 * tick}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	most := burst + ticks.Load()*int64(tick)/int64(interval)
	require.LessOrEqual(t, admitted.Load(), most)
	require.GreaterOrEqual(t, admitted.Load(), most*9/10)
	require.Empty(t, s.Check())
}

// Takes of the same buckets in opposite orders do not wait for each other.
func TestConcurrentTakesDoNotBlockEachOther(t *testing.T) {
	s := newStore(newClock(), 0)
	rate := ratelimit.Rate{Events: 250_000, Per: time.Hour}
	there := []ratelimit.Bucket{bucket(1, rate), bucket(2, rate), bucket(3, rate), bucket(4, rate)}
	back := []ratelimit.Bucket{there[3], there[2], there[1], there[0]}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 50_000 {
				buckets := there
				if g%2 == 0 {
					buckets = back
				}
				if wait, _, err := s.Take(hashOf(0), buckets); wait != 0 || err != nil {
					t.Error(wait, err)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, take(t, s, there...))
	require.Equal(t, 250_000-200_001, drain(t, s, there[0]))
}
