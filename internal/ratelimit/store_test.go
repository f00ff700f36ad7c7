package ratelimit_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

func hashOf(n int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func newStore(c *clock, capacity int) *ratelimit.Store {
	return ratelimit.New(ratelimit.Config{Capacity: capacity, Now: c.now})
}

func bucket(n int, rate ratelimit.Rate) ratelimit.Bucket {
	return ratelimit.Bucket{Key: hashOf(n), Rate: rate}
}

// take takes from the buckets, for an owner of their own, and expects no error.
func take(t *testing.T, s *ratelimit.Store, buckets ...ratelimit.Bucket) time.Duration {
	t.Helper()
	wait, _, err := s.Take(hashOf(-1), buckets)
	require.NoError(t, err)
	return wait
}

// drain returns how many events there are to take.
func drain(t *testing.T, s *ratelimit.Store, b ratelimit.Bucket) (n int) {
	t.Helper()
	for take(t, s, b) == 0 {
		n++
	}
	return n
}

func TestTake(t *testing.T) {
	type step struct {
		move time.Duration
		rate ratelimit.Rate // zero: that of the step before
		wait time.Duration
	}
	const s = time.Second
	threeAtOnce := ratelimit.Rate{Events: 60, Per: time.Minute, Burst: 3}
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"burst, then the rate", []step{
			{0, threeAtOnce, 0}, {}, {}, {0, ratelimit.Rate{}, s}, {0, ratelimit.Rate{}, s},
			{move: s - 1, wait: 1}, {move: 1}, {wait: s}, {move: s / 2, wait: s / 2}, {move: s / 2}, {wait: s},
		}},
		{"what was not used comes back, up to the burst", []step{
			{0, threeAtOnce, 0}, {}, {}, {wait: s}, {move: 2 * s}, {}, {wait: s}, {move: time.Hour}, {}, {}, {wait: s},
		}},
		{"burst zero means events", []step{
			{0, ratelimit.Rate{Events: 2, Per: s}, 0}, {}, {wait: s / 2}, {move: s / 2}, {wait: s / 2},
		}},
		{"burst one", []step{
			{0, ratelimit.Rate{Events: 10, Per: s, Burst: 1}, 0}, {wait: s / 10}, {move: s/10 - 1, wait: 1}, {move: 1}, {move: s}, {wait: s / 10},
		}},
		{"a third of a second is rounded up", []step{
			{0, ratelimit.Rate{Events: 3, Per: s, Burst: 1}, 0}, {wait: 333_333_334}, {move: 333_333_333, wait: 1}, {move: 1},
		}},
		{"a year", []step{
			{0, ratelimit.Rate{Events: 1, Per: year}, 0}, {wait: year}, {move: year - 1, wait: 1}, {move: 1}, {wait: year}, {move: 3 * year}, {wait: year},
		}},
		{"a clock that is put back takes nothing away, and then goes on", []step{
			{0, threeAtOnce, 0}, {}, {move: -time.Hour}, {wait: s}, {move: s}, {wait: s}, {move: -10 * year, wait: s}, {move: s}, {wait: s},
		}},
		{"a clock that is put forward fills, once", []step{
			{0, threeAtOnce, 0}, {}, {}, {wait: s}, {move: 10 * year}, {}, {}, {wait: s}, {move: -10 * year, wait: s}, {move: s}, {wait: s},
		}},
		{"a clock before all time", []step{
			{0, threeAtOnce, 0}, {}, {}, {wait: s}, {move: -250 * year, wait: s}, {move: -250 * year, wait: s}, {move: s}, {wait: s},
			{move: 290 * year}, {move: 290 * year}, {}, {}, {wait: s},
		}},
		{"a smaller burst counts at once", []step{
			{0, ratelimit.Rate{Events: 1, Per: s, Burst: 100}, 0},
			{0, ratelimit.Rate{Events: 1, Per: s, Burst: 2}, 0}, {wait: s}, {move: s}, {wait: s}, {move: time.Hour}, {}, {wait: s},
		}},
		{"a smaller burst owes no more than itself", []step{
			{0, ratelimit.Rate{Events: 1, Per: s, Burst: 4}, 0}, {}, {}, {}, {wait: s},
			{0, ratelimit.Rate{Events: 1, Per: s, Burst: 2}, s}, {move: s - 1, wait: 1}, {move: 1}, {wait: s},
		}},
		{"a larger burst has its events from now on", []step{
			{0, ratelimit.Rate{Events: 1, Per: s, Burst: 1}, 0}, {wait: s},
			{0, ratelimit.Rate{Events: 1, Per: s, Burst: 3}, 0}, {}, {wait: s},
		}},
		{"a faster rate does not wait for the slow one", []step{
			{0, ratelimit.Rate{Events: 1, Per: 24 * time.Hour, Burst: 10}, 0}, {},
			{0, ratelimit.Rate{Events: 10, Per: s}, s / 10}, {move: s / 10}, {wait: s / 10},
		}},
		{"a slower rate", []step{
			{0, ratelimit.Rate{Events: 10, Per: s}, 0}, {},
			{0, ratelimit.Rate{Events: 1, Per: time.Hour}, 200 * time.Millisecond}, {move: s}, {wait: time.Hour}, {move: time.Hour}, {wait: time.Hour},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			s := newStore(c, 0)
			var rate ratelimit.Rate
			for i, st := range tt.steps {
				c.advance(st.move)
				if st.rate.Events > 0 {
					rate = st.rate
				}
				require.Equal(t, st.wait, take(t, s, bucket(1, rate)), "step %d", i)
			}
		})
	}
}

func TestBucketsAreKeptApart(t *testing.T) {
	s := newStore(newClock(), 0)
	once := ratelimit.Rate{Events: 1, Per: time.Hour}
	for i := range 20_000 {
		require.Zero(t, take(t, s, bucket(i, once)))
	}
	for i := range 20_000 {
		require.Equal(t, time.Hour, take(t, s, bucket(i, once)))
	}
}

func TestABucketIsSharedByOwners(t *testing.T) {
	s := newStore(newClock(), 0)
	rate := ratelimit.Rate{Events: 1000, Per: time.Hour, Burst: 4}
	for owner := range 4 {
		for i := range 5000 {
			wait, _, err := s.Take(hashOf(owner), []ratelimit.Bucket{bucket(i, rate)})
			require.NoError(t, err)
			require.Zero(t, wait)
		}
	}
	for i := range 5000 {
		require.NotZero(t, take(t, s, bucket(i, rate)))
	}
}

func TestAllOrNone(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	client := bucket(1, ratelimit.Rate{Events: 10, Per: time.Minute})
	user := bucket(2, ratelimit.Rate{Events: 2, Per: time.Minute})
	operation := bucket(3, ratelimit.Rate{Events: 1, Per: time.Hour})
	require.Zero(t, take(t, s, client, user, operation))
	for range 5 {
		require.Equal(t, time.Hour, take(t, s, client, user, operation))
		require.Equal(t, time.Hour, take(t, s, operation, bucket(4, client.Rate), user))
	}
	require.Zero(t, take(t, s, client, user), "nothing was taken from the others")
	require.Equal(t, 30*time.Second, take(t, s, client, user))
	require.Equal(t, time.Hour, take(t, s, user, operation, client), "the longest wait")
	require.Equal(t, time.Hour, take(t, s, operation, user))
	require.Equal(t, 8, drain(t, s, client))
	require.Equal(t, 10, drain(t, s, bucket(4, client.Rate)))
	c.advance(30 * time.Second)
	require.Zero(t, take(t, s, client, user))
}

func TestManyBuckets(t *testing.T) {
	s := newStore(newClock(), 0)
	var buckets []ratelimit.Bucket
	for i := range 100 {
		buckets = append(buckets, bucket(i, ratelimit.Rate{Events: 2, Per: time.Hour}))
	}
	require.Zero(t, take(t, s, buckets...))
	require.Zero(t, take(t, s, buckets[50]))
	require.Equal(t, 30*time.Minute, take(t, s, buckets...))
	require.Zero(t, take(t, s, buckets[:50]...))
}

func TestDoubtIsRefused(t *testing.T) {
	rate := ratelimit.Rate{Events: 1, Per: time.Hour}
	for _, s := range []*ratelimit.Store{nil, new(ratelimit.Store)} {
		for _, buckets := range [][]ratelimit.Bucket{nil, {bucket(1, rate)}} {
			wait, _, err := s.Take(hashOf(0), buckets)
			require.ErrorIs(t, err, ratelimit.ErrFull)
			require.NotZero(t, wait)
		}
	}
	s := newStore(newClock(), 0)
	wait, _, err := s.Take(hashOf(0), []ratelimit.Bucket{bucket(1, rate), bucket(2, rate), bucket(1, rate)})
	require.ErrorContains(t, err, "the same Key twice; give each limit")
	require.NotZero(t, wait)
	wait, _, err = s.Take(hashOf(0), []ratelimit.Bucket{bucket(1, rate), {Key: hashOf(2)}})
	require.ErrorContains(t, err, "rate has Events 0")
	require.NotZero(t, wait)
	require.Zero(t, take(t, s, bucket(1, rate)), "nothing was taken")
	require.Zero(t, take(t, s), "no bucket, no limit")
}

func TestTheTimeIsNowByDefault(t *testing.T) {
	s := ratelimit.New(ratelimit.Config{})
	b := bucket(1, ratelimit.Rate{Events: 1, Per: time.Hour})
	require.Zero(t, take(t, s, b))
	wait := take(t, s, b)
	require.Greater(t, wait, 50*time.Minute)
	require.LessOrEqual(t, wait, time.Hour)
}

// A computer that learns the time only after its start.
func TestAClockThatWasNeverSet(t *testing.T) {
	c := newClock()
	c.set(time.Time{})
	s := newStore(c, 0)
	b := bucket(1, ratelimit.Rate{Events: 3, Per: time.Hour})
	require.Equal(t, 3, drain(t, s, b))
	c.set(start)
	require.Equal(t, 3, drain(t, s, b))
	c.advance(20 * time.Minute)
	require.Equal(t, 1, drain(t, s, b))
	c.set(time.Time{})
	require.Equal(t, 0, drain(t, s, b))
	c.advance(20 * time.Minute)
	require.Equal(t, 1, drain(t, s, b))
}

// Time is the sum of all that the clock went forward, which can be more than there is room for.
func TestAClockThatIsPutForwardAgainAndAgain(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	b := bucket(1, ratelimit.Rate{Events: 4, Per: 4 * 80 * 24 * time.Hour})
	require.Equal(t, 4, drain(t, s, b))
	for i := range 2000 {
		c.advance(160 * 24 * time.Hour)
		require.Equal(t, 2, drain(t, s, b), "round %d", i)
		c.advance(-160 * 24 * time.Hour)
		require.Equal(t, 0, drain(t, s, b), "round %d", i)
		for other := range 100 { // some of which have filled up by the next round
			_ = take(t, s, bucket(2+other, ratelimit.Rate{Events: 1, Per: time.Duration(3*other+1) * 24 * time.Hour}))
		}
		require.Empty(t, s.Check(), "round %d", i)
	}
}

// A clock that panics, once, is a refusal, and no lock stays locked.
func TestAClockThatPanics(t *testing.T) {
	broken := false
	s := ratelimit.New(ratelimit.Config{Now: func() time.Time {
		if broken {
			panic("no time")
		}
		return start
	}})
	broken = true
	require.Panics(t, func() { _ = takeOnce(s, 1, 1, once) })
	broken = false
	require.Zero(t, take(t, s, bucket(1, once)), "nothing was taken")
}

// In any stretch of time there are at most the burst and what the rate gives, reckoned without
// rounding; and who asks all the time gets 99 % of that.
func TestNeverMoreThanTheRate(t *testing.T) {
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		rate := ratelimit.Rate{Events: 1 + rnd.IntN(1000), Per: time.Duration(1 + rnd.Int64N(1<<(20+seed%30))), Burst: 1 + rnd.IntN(20)}
		rate.Per = max(rate.Per, time.Duration(rate.Events)*100)
		each := max(int64(rate.Per)/int64(rate.Events), 1)
		eager := seed%3 == 0
		c := newClock()
		s := newStore(c, 10)
		var admitted []time.Time
		var others int
		for len(admitted) < 200 {
			wait := take(t, s, bucket(1, rate))
			switch {
			case wait == 0:
				admitted = append(admitted, c.now())
			case eager:
				c.advance(wait)
			default:
				c.advance(time.Duration(rnd.Int64N(each * 3)))
			}
			if rnd.IntN(4) == 0 { // others make the store forget what it may
				others++
				_, _, _ = s.Take(hashOf(others%3), []ratelimit.Bucket{bucket(2+others, rate)})
			}
		}
		for i := range admitted {
			for j := i; j < len(admitted); j++ {
				// events - burst <= rate * time
				left := new(big.Int).Mul(big.NewInt(int64(j-i+1-rate.Burst)), big.NewInt(int64(rate.Per)))
				right := new(big.Int).Mul(big.NewInt(int64(admitted[j].Sub(admitted[i]))), big.NewInt(int64(rate.Events)))
				if left.Cmp(right) > 0 {
					t.Fatalf("%+v: %d events in %v", rate, j-i+1, admitted[j].Sub(admitted[i]))
				}
			}
		}
		if eager {
			all := float64(admitted[199].Sub(start)) * float64(rate.Events) / float64(rate.Per)
			require.GreaterOrEqual(t, float64(200-rate.Burst), 0.99*all-1, "%+v", rate)
		}
	}
}

func TestNothingIsAllocated(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	rate := ratelimit.Rate{Events: 1_000_000, Per: time.Hour}
	buckets := []ratelimit.Bucket{bucket(1, rate), bucket(2, rate), bucket(3, rate), bucket(4, rate)}
	once := []ratelimit.Bucket{bucket(5, ratelimit.Rate{Events: 1, Per: time.Hour})}
	owner := hashOf(0)
	require.Zero(t, take(t, s, once...))
	require.Zero(t, take(t, s, buckets...))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		for n := 1; n <= 4; n++ {
			if wait, _, err := s.Take(owner, buckets[:n]); wait != 0 || err != nil {
				panic("refused")
			}
		}
		if wait, _, err := s.Take(owner, once); wait == 0 || err != nil {
			panic("admitted")
		}
	}))
}
