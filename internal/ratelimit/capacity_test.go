package ratelimit_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

var once = ratelimit.Rate{Events: 1, Per: time.Minute}

// takeOnce takes the only event of a key, for an owner.
func takeOnce(s *ratelimit.Store, owner, key int, rate ratelimit.Rate) error {
	_, _, err := s.Take(hashOf(owner), []ratelimit.Bucket{bucket(key, rate)})
	return err
}

func TestCapacityIsAHardBound(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		capacity, least, max int // how many fit at least, and at most
	}{
		{"one", 1, 1, 1},
		{"two", 2, 2, 2},
		{"a small one, exactly", 1000, 1000, 1000},
		{"the largest of one shard", 65_535, 65_535, 65_535},
		{"two shards", 65_536, 63_900, 65_536},
		{"odd and in parts", 200_003, 193_000, 200_003},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock()
			s := newStore(c, tt.capacity)
			var in []int
			refused := 0
			for i := 0; refused < 2000; i++ {
				if i > 2*tt.capacity+10_000 {
					t.Fatal("there is no bound")
				}
				switch wait, _, err := s.Take(hashOf(i), []ratelimit.Bucket{bucket(i, once)}); {
				case err == nil && wait == 0:
					in = append(in, i)
				case err == ratelimit.ErrFull && wait > 0:
					refused++
				default:
					t.Fatal(wait, err)
				}
			}
			require.GreaterOrEqual(t, len(in), tt.least)
			require.LessOrEqual(t, len(in), tt.max)
			require.LessOrEqual(t, s.Table(), tt.capacity*5/4+64)
			for _, i := range in {
				if wait, _, err := s.Take(hashOf(i), []ratelimit.Bucket{bucket(i, once)}); wait != time.Minute || err != nil {
					t.Fatalf("a bucket that is not full was forgotten: %v, %v", wait, err)
				}
			}
			require.Empty(t, s.Check())
			c.advance(time.Minute)
			require.Zero(t, take(t, s, bucket(-1, once)), "there is room as soon as buckets fill up")
		})
	}
}

// A refusal for lack of room takes from none of the buckets, wherever in the list the one is.
func TestFullTakesFromNone(t *testing.T) {
	c := newClock()
	s := newStore(c, 8)
	twice := ratelimit.Rate{Events: 2, Per: time.Hour}
	known := bucket(0, twice)
	require.NoError(t, takeOnce(s, 50, 0, twice))
	for i := 1; i < 7; i++ {
		require.NoError(t, takeOnce(s, i, i, once))
	}
	for range 5 {
		wait, _, err := s.Take(hashOf(9), []ratelimit.Bucket{known, bucket(100, twice), bucket(101, twice)})
		require.ErrorIs(t, err, ratelimit.ErrFull)
		require.NotZero(t, wait)
	}
	require.Zero(t, take(t, s, known, bucket(100, twice)), "there was room for one, and there is still")
	require.Equal(t, 30*time.Minute, take(t, s, known))
	require.Equal(t, 1, drain(t, s, bucket(100, twice)))
	// A limit that is used up is said rather than that the store is full: who opens then must not open this.
	require.Equal(t, 30*time.Minute, take(t, s, bucket(102, twice), known))
}

func TestOneOwnerCannotShutOutOthers(t *testing.T) {
	const capacity = 4096
	c := newClock()
	s := newStore(c, capacity)
	greedy := -1
	got := 0
	for i := range 2 * capacity {
		if takeOnce(s, greedy, i, once) == nil {
			got++
		}
	}
	require.Equal(t, capacity/2, got, "alone it gets half")
	others := 0
	for owner := range 50 {
		if s.Slots(hashOf(owner))[0] == s.Slots(hashOf(greedy))[0] {
			continue
		}
		for j := range 10 {
			require.NoError(t, takeOnce(s, owner, 1_000_000+owner*100+j, once))
			others++
		}
	}
	require.Greater(t, others, 400)
	wait, _, err := s.Take(hashOf(greedy), []ratelimit.Bucket{bucket(1, once)})
	require.NoError(t, err, "what is there goes on")
	require.Equal(t, time.Minute, wait)
	second := 1000
	for s.Slots(hashOf(second))[0] == s.Slots(hashOf(greedy))[0] {
		second++
	}
	got = 0
	for i := range capacity {
		if takeOnce(s, second, 2_000_000+i, once) == nil {
			got++
		}
	}
	require.LessOrEqual(t, got, capacity/16)
	require.GreaterOrEqual(t, got, capacity/16-100, "its slot may be shared with some of the fifty")
	// When all have filled up, the greedy one is like anybody else.
	c.advance(time.Minute)
	require.NoError(t, takeOnce(s, greedy, -1, once))
	require.Empty(t, s.Check())
}

// An owner gets no more room by coming back to its old buckets when they have filled up.
func TestOldBucketsGiveNoMoreRoom(t *testing.T) {
	const capacity = 1024
	c := newClock()
	s := newStore(c, capacity)
	greedy := -1
	for i := range capacity / 2 {
		require.NoError(t, takeOnce(s, greedy, i, once))
	}
	long := ratelimit.Rate{Events: 1, Per: time.Hour}
	for i, n := 0, 0; n < capacity/2; i++ { // others, who keep the store half full
		if s.Slots(hashOf(i))[0] != s.Slots(hashOf(greedy))[0] {
			require.NoError(t, takeOnce(s, i, 1_000_000+i, long))
			n++
		}
	}
	c.advance(2 * time.Minute)
	got := 0
	for i := range capacity / 2 {
		if takeOnce(s, greedy, i, long) == nil {
			got++
		}
	}
	require.Equal(t, capacity/16, got)
}

// A bucket that has filled up is of whoever takes from it next.
func TestASharedBucketIsOfWhoCameFirst(t *testing.T) {
	const capacity = 160
	c := newClock()
	s := newStore(c, capacity)
	a, b := 0, 1
	for s.Slots(hashOf(a))[0] == s.Slots(hashOf(b))[0] {
		b++
	}
	for i := range capacity / 2 {
		require.NoError(t, takeOnce(s, a, i, once))
	}
	c.advance(time.Minute)
	for i := range capacity / 2 {
		require.NoError(t, takeOnce(s, b, i, once))
	}
	require.NoError(t, takeOnce(s, a, -1, once), "nothing is of the first owner any more")
	require.ErrorIs(t, takeOnce(s, b, -2, once), ratelimit.ErrFull)
	require.Empty(t, s.Check())
}

func TestAGreedyOwnerBlocksNobodyInAllShards(t *testing.T) {
	s := newStore(newClock(), 0)
	greedy := s.Slots(hashOf(0))
	require.Len(t, greedy, 32)
	different := map[int]bool{}
	for _, slot := range greedy {
		different[slot] = true
	}
	require.Greater(t, len(different), 24)
	for i := 1; i < 2000; i++ {
		shared := 0
		for shard, slot := range s.Slots(hashOf(i)) {
			if slot == greedy[shard] {
				shared++
			}
		}
		require.Less(t, shared, 6)
	}
}

// A bucket is not forgotten a nanosecond before it is full, however many come by meanwhile.
func TestNothingIsForgottenTooEarly(t *testing.T) {
	c := newClock()
	s := newStore(c, 8)
	twice := ratelimit.Rate{Events: 1, Per: time.Minute, Burst: 2}
	long := ratelimit.Rate{Events: 10_000, Per: time.Hour}
	for round := range 100 {
		key := bucket(round, once)
		require.NoError(t, takeOnce(s, 1, 1_000_000, long))
		require.Zero(t, take(t, s, key))
		require.Zero(t, take(t, s, bucket(-1-round, twice)))
		c.advance(time.Minute - 1)
		for i := range 20 { // more than once round the table, and all of it where there is no room
			require.NoError(t, takeOnce(s, 1, 1_000_000, long))
			if i%5 == 0 {
				_ = takeOnce(s, 1, 2_000_000+i, long)
			}
		}
		require.EqualValues(t, 1, take(t, s, key))
		require.Zero(t, take(t, s, bucket(-1-round, twice)))
		require.EqualValues(t, 1, take(t, s, bucket(-1-round, twice)))
		c.advance(24 * time.Hour)
	}
}

// There is room in a large store that is full soon after a few of its buckets have filled up, although
// no Take looks at all of them.
func TestAFullStoreFindsItsRoom(t *testing.T) {
	const capacity = 60_000
	c := newClock()
	s := newStore(c, capacity)
	for i := range capacity {
		rate := ratelimit.Rate{Events: 1, Per: 24 * time.Hour}
		if i%10 == 0 {
			rate = once
		}
		require.NoError(t, takeOnce(s, i, i, rate))
	}
	require.ErrorIs(t, takeOnce(s, -1, -1, once), ratelimit.ErrFull)
	c.advance(time.Minute)
	refused := 0
	for i := range capacity / 10 {
		for takeOnce(s, i, capacity+i, once) != nil {
			refused++
		}
	}
	require.Less(t, refused, capacity/10, "all of the room was found")
	require.ErrorIs(t, takeOnce(s, -1, -1, once), ratelimit.ErrFull)
}

// What was large once gives its memory back, while only known callers come.
func TestFullBucketsGiveTheirMemoryBack(t *testing.T) {
	c := newClock()
	s := newStore(c, 30_000)
	for i := range 15_000 {
		require.NoError(t, takeOnce(s, i, i, once))
	}
	require.Greater(t, s.Table(), 15_000)
	known := bucket(-1, ratelimit.Rate{Events: 1_000_000, Per: time.Hour})
	require.Zero(t, take(t, s, known))
	c.advance(time.Minute)
	for range 15_000 {
		require.Zero(t, take(t, s, known))
	}
	require.Equal(t, 16, s.Table())
	require.Equal(t, 1, s.Len())
}

// A flood of callers who come once each needs no more memory than those who are live, and moves
// nothing as it goes on.
func TestAFloodNeedsNoMoreThanTheLiving(t *testing.T) {
	c := newClock()
	s := newStore(c, 60_000)
	const live = 10_000
	next := 0
	flood := func() {
		for range live {
			c.advance(time.Minute / live)
			if wait, err := takeNumber(s, next, once); wait != 0 || err != nil {
				panic("refused")
			}
			next++
		}
	}
	for range 5 {
		flood()
	}
	require.LessOrEqual(t, s.Table()*ratelimit.EntrySize, 32*live)
	table := s.Table()
	require.Zero(t, testing.AllocsPerRun(3, flood))
	require.Equal(t, table, s.Table())
	require.Empty(t, s.Check())
}

// Nobody makes a store work by asking what is refused.
func TestAFullStoreRefusesWithoutMoving(t *testing.T) {
	c := newClock()
	s := newStore(c, 4096)
	for i := range 4096 {
		require.NoError(t, takeOnce(s, i, i, ratelimit.Rate{Events: 1, Per: time.Hour, Burst: 1}))
	}
	owner, stranger := hashOf(-1), []ratelimit.Bucket{bucket(-1, once)}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		c.advance(1)
		if _, _, err := s.Take(owner, stranger); err != ratelimit.ErrFull {
			panic("admitted")
		}
	}))
}

// Who is refused leaves nothing behind.
func TestRefusedTakesNeedNoMemory(t *testing.T) {
	s := newStore(newClock(), 0)
	require.Zero(t, take(t, s, bucket(0, once)))
	for i := range 1000 {
		require.NotZero(t, take(t, s, bucket(1+i, once), bucket(0, once)))
	}
	require.Equal(t, 1, s.Len())
}

func TestAMillionBucketsAreAllRemembered(t *testing.T) {
	const n = 1_000_000
	c := newClock()
	s := newStore(c, 0)
	hour := ratelimit.Rate{Events: 1, Per: time.Hour}
	for i := range n {
		if wait, err := takeNumber(s, i, hour); wait != 0 || err != nil {
			t.Fatal(i, wait, err)
		}
		if i > n/10 && i%1000 == 0 && s.Table()*ratelimit.EntrySize > 29*i {
			t.Fatalf("%d bytes for %d buckets", s.Table()*ratelimit.EntrySize, i)
		}
	}
	for i := range n {
		if wait, err := takeNumber(s, i, hour); wait != time.Hour || err != nil {
			t.Fatal(i, wait, err)
		}
	}
	require.Equal(t, n, s.Len())
	require.Empty(t, s.Check())
}

// Where a key belongs differs from process to process, so that nobody can aim at a shard.
func TestNobodyKnowsTheShardOfAKey(t *testing.T) {
	a, b := newStore(newClock(), 0), newStore(newClock(), 0)
	same := 0
	seen := map[int]bool{}
	for i := range 1000 {
		if a.Shard(hashOf(i)) == b.Shard(hashOf(i)) {
			same++
		}
		seen[a.Shard(hashOf(i))] = true
	}
	require.Less(t, same, 100)
	require.Len(t, seen, 32)
}
