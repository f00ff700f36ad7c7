package replay_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/replay"
)

var start = time.Unix(1_800_000_000, 0)

// clock is a time that tests set.
type clock struct{ unixNano atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.set(start)
	return c
}

func (c *clock) set(t time.Time)         { c.unixNano.Store(t.UnixNano()) }
func (c *clock) advance(d time.Duration) { c.unixNano.Add(int64(d)) }
func (c *clock) now() time.Time          { return time.Unix(0, c.unixNano.Load()) }

func hashOf(n int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func newStore(c *clock, capacity int) *replay.Store {
	return replay.New(replay.Config{Capacity: capacity, Now: c.now})
}

func TestDPOP13_EachProofOnce(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	a, b, x, y := hashOf(1), hashOf(2), hashOf(3), hashOf(4)
	until := start.Add(300 * time.Second)
	require.NoError(t, s.Add(a, x, until))
	require.ErrorIs(t, s.Add(a, x, until), replay.ErrSeen)
	require.NoError(t, s.Add(b, x, until), "another key may use the same jti")
	require.NoError(t, s.Add(a, y, until))
	require.NoError(t, s.Add(x, a, until), "owner and id are not interchangeable")
	for _, d := range []time.Duration{0, time.Second, 299 * time.Second, 301 * time.Second, time.Hour} {
		require.ErrorIs(t, s.Add(a, x, start.Add(d)), replay.ErrSeen, "DPOP-13 whatever until says: %v", d)
	}
	c.set(until)
	require.ErrorIs(t, s.Add(a, x, until), replay.ErrSeen, "the last moment counts")
	c.advance(1)
	require.ErrorIs(t, s.Add(a, x, until), replay.ErrSeen, "until has passed")
	c.advance(time.Second)
	require.ErrorIs(t, s.Add(a, x, until), replay.ErrSeen)
	again := until.Add(300 * time.Second)
	require.NoError(t, s.Add(a, x, again), "another proof, long after, may use the jti again")
	require.ErrorIs(t, s.Add(a, x, again), replay.ErrSeen)
}

func TestDPOP13_OwnersAreKeptApart(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	for i := range 20_000 { // several for each slot
		require.NoError(t, s.Add(hashOf(i), hashOf(0), start.Add(time.Minute)))
	}
}

func TestDPOP13_FractionsOfSecondsAreKept(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	until := start.Add(10*time.Second + time.Millisecond)
	require.NoError(t, s.Add(hashOf(1), hashOf(1), until))
	c.set(until)
	for i := range 100 { // enough for a rebuild
		require.NoError(t, s.Add(hashOf(1), hashOf(i+2), until.Add(time.Minute)))
	}
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(1), until), replay.ErrSeen)
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(1), until.Add(time.Minute)), replay.ErrSeen)
}

func TestDPOP13_ProofsThatAreTooOldAreRefused(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	for _, until := range []time.Time{start.Add(-1), start.Add(-time.Hour), {}, time.Unix(math.MinInt64, 0)} {
		require.ErrorIs(t, s.Add(hashOf(1), hashOf(2), until), replay.ErrSeen)
	}
	require.Zero(t, s.Len())
	require.NoError(t, s.Add(hashOf(1), hashOf(2), start))
}

func TestDPOP15_WhatCannotBeKeptIsRefused(t *testing.T) {
	until := time.Now().Add(time.Minute)
	require.ErrorIs(t, (*replay.Store)(nil).Add([32]byte{}, [32]byte{}, until), replay.ErrFull)
	require.ErrorIs(t, new(replay.Store).Add([32]byte{}, [32]byte{}, until), replay.ErrFull)
	c := newClock()
	s := newStore(c, 0)
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(1), time.Unix(math.MaxUint32, 1)), replay.ErrFull, "no wrapping")
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(1), time.Unix(1<<33, 0)), replay.ErrFull)
	c.set(time.Unix(-100, 0))
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(1), start), replay.ErrFull, "a clock that was never set")
}

func TestDPOP15_CapacityIsAHardBound(t *testing.T) {
	for _, tt := range []struct {
		name                 string
		capacity, least, max int // how many fit at least, and at most
	}{
		{"one", 1, 1, 1},
		{"two", 2, 2, 2},
		{"a small one, exactly", 1000, 1000, 1000},
		{"the largest of one shard", 131_071, 131_071, 131_071},
		{"two shards", 131_072, 129_000, 131_072},
		{"odd and in parts", 200_003, 197_000, 200_003},
	} {
		t.Run("DPOP-15 "+tt.name, func(t *testing.T) {
			c := newClock()
			s := newStore(c, tt.capacity)
			until := start.Add(time.Minute)
			var in []int
			refused := 0
			for i := 0; refused < 2000; i++ {
				if i > 2*tt.capacity+10_000 {
					t.Fatal("there is no bound")
				}
				if err := s.Add(hashOf(i), hashOf(i), until); err != nil {
					require.ErrorIs(t, err, replay.ErrFull)
					refused++
					continue
				}
				in = append(in, i)
			}
			require.GreaterOrEqual(t, len(in), tt.least)
			require.LessOrEqual(t, len(in), tt.max)
			require.LessOrEqual(t, s.Table(), tt.capacity*5/4+64)
			for _, i := range in {
				if err := s.Add(hashOf(i), hashOf(i), until); err != replay.ErrSeen {
					t.Fatalf("a live entry was evicted: %v", err)
				}
			}
			c.set(until.Add(time.Second + 1))
			require.NoError(t, s.Add(hashOf(-1), hashOf(-1), c.now().Add(time.Minute)), "there is room as soon as entries die")
		})
	}
}

func TestDPOP15_OneClientCannotShutOutOthers(t *testing.T) {
	const capacity = 4096
	c := newClock()
	s := newStore(c, capacity)
	greedy := hashOf(1)
	until := start.Add(time.Minute)
	got := 0
	for i := range 2 * capacity {
		if s.Add(greedy, hashOf(i), until) == nil {
			got++
		}
	}
	require.Equal(t, capacity/2, got, "alone it gets half")
	others := 0
	for i := range 50 {
		owner := hashOf(-i)
		if s.Slots(owner)[0] == s.Slots(greedy)[0] {
			continue
		}
		for j := range 10 {
			require.NoError(t, s.Add(owner, hashOf(j), until))
			others++
		}
	}
	require.Greater(t, others, 400)
	require.ErrorIs(t, s.Add(greedy, hashOf(1), until), replay.ErrSeen, "what is full still knows what it has")
	n := -1000
	for s.Slots(hashOf(n))[0] == s.Slots(greedy)[0] {
		n--
	}
	second := hashOf(n)
	got = 0
	for i := range capacity {
		if s.Add(second, hashOf(i), until) == nil {
			got++
		}
	}
	require.LessOrEqual(t, got, capacity/16)
	require.GreaterOrEqual(t, got, capacity/16-100, "its slot may be shared with some of the fifty")
	// When all has died, the greedy one is like anybody else.
	c.set(until.Add(2 * time.Second))
	require.NoError(t, s.Add(greedy, hashOf(-1), until.Add(time.Minute)))
}

func TestDPOP15_OldIdentifiersGiveNoMoreRoom(t *testing.T) {
	const capacity = 1024
	c := newClock()
	s := newStore(c, capacity)
	greedy := hashOf(0)
	for i := range capacity / 2 {
		require.NoError(t, s.Add(greedy, hashOf(i), start.Add(10*time.Second)))
	}
	long := start.Add(time.Hour)
	n := 0
	for i := 1; n < capacity/2; i++ { // others, who keep the store half full
		if s.Slots(hashOf(i))[0] != s.Slots(greedy)[0] {
			require.NoError(t, s.Add(hashOf(i), hashOf(i), long))
			n++
		}
	}
	c.advance(20 * time.Second)
	got := 0
	for i := range capacity / 2 {
		if s.Add(greedy, hashOf(i), long) == nil {
			got++
		}
	}
	require.Equal(t, capacity/16, got)
}

func TestDPOP15_AGreedyOwnerBlocksNobodyInAllShards(t *testing.T) {
	s := newStore(newClock(), 1<<20)
	greedy := s.Slots(hashOf(0))
	require.Len(t, greedy, 16)
	for i := 1; i < 2000; i++ {
		shared := 0
		for shard, slot := range s.Slots(hashOf(i)) {
			if slot == greedy[shard] {
				shared++
			}
		}
		require.Less(t, shared, 5)
	}
}

func TestDPOP13_AClockThatIsSetBackAcceptsNothingTwice(t *testing.T) {
	c := newClock()
	s := newStore(c, 1000)
	until := start.Add(10 * time.Second)
	for i := range 200 {
		require.NoError(t, s.Add(hashOf(1), hashOf(i), until))
	}
	c.advance(time.Hour) // all are dropped
	later := c.now().Add(time.Minute)
	for i := range 200 {
		require.NoError(t, s.Add(hashOf(2), hashOf(i), later))
	}
	require.Equal(t, 200, s.Len())
	c.set(start) // the clock was wrong
	for i := range 200 {
		require.ErrorIs(t, s.Add(hashOf(1), hashOf(i), until), replay.ErrSeen)
		require.ErrorIs(t, s.Add(hashOf(2), hashOf(i), later), replay.ErrSeen)
	}
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(1000), until), replay.ErrSeen, "nobody knows whether it was there")
	require.NoError(t, s.Add(hashOf(1), hashOf(1000), until.Add(time.Second)), "what cannot have been dropped is accepted: no outage of an hour")

	// The same where an entry was replaced, not dropped in a rebuild.
	c = newClock()
	s = newStore(c, 1000)
	require.NoError(t, s.Add(hashOf(1), hashOf(1), start.Add(time.Hour)))
	require.NoError(t, s.Add(hashOf(1), hashOf(2), until))
	c.set(until.Add(2 * time.Second))
	require.NoError(t, s.Add(hashOf(1), hashOf(2), c.now().Add(time.Second)))
	require.Equal(t, 2, s.Len())
	c.advance(10 * time.Second)
	require.NoError(t, s.Add(hashOf(1), hashOf(2), c.now().Add(time.Minute)))
	c.set(start)
	require.ErrorIs(t, s.Add(hashOf(1), hashOf(2), until), replay.ErrSeen)
}

// Exactly one of many goroutines gets each proof, also while tables grow and
// while entries die around them.
func TestDPOP13_ConcurrentReplaysAdmitOne(t *testing.T) {
	const ids, goroutines = 3000, 16
	for _, capacity := range []int{4 * ids, 1 << 20} {
		c := newClock()
		s := newStore(c, capacity)
		until := start.Add(time.Hour)
		var admitted [ids]atomic.Int32
		var wg sync.WaitGroup
		for g := range goroutines {
			wg.Go(func() {
				for i := range ids {
					switch err := s.Add(hashOf(i%7), hashOf(i), until); err {
					case nil:
						admitted[i].Add(1)
					case replay.ErrSeen:
					default:
						t.Errorf("%v", err)
					}
					// Noise of its own that dies soon.
					if err := s.Add(hashOf(7+g), hashOf(i), c.now().Add(time.Second)); err == replay.ErrFull {
						t.Error(err)
					}
					if i%100 == 0 {
						c.advance(time.Second)
					}
				}
			})
		}
		wg.Wait()
		for i := range admitted {
			require.EqualValues(t, 1, admitted[i].Load(), "id %d", i)
		}
	}
}

func TestDPOP15_DeadEntriesGiveTheirMemoryBack(t *testing.T) {
	c := newClock()
	s := newStore(c, 30_000)
	for i := range 15_000 {
		require.NoError(t, s.Add(hashOf(i), hashOf(i), start.Add(time.Minute)))
	}
	require.Greater(t, s.Table(), 15_000)
	c.advance(time.Hour)
	require.NoError(t, s.Add(hashOf(0), hashOf(0), c.now().Add(time.Minute)))
	require.Equal(t, 32, s.Table())
	require.Equal(t, 1, s.Len())
}

func TestDPOP14_NothingIsAllocatedPerProof(t *testing.T) {
	c := newClock()
	s := newStore(c, 0)
	owner, id := hashOf(1), hashOf(2)
	until := start.Add(time.Minute)
	require.NoError(t, s.Add(owner, id, until))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if s.Add(owner, id, until) == nil {
			panic("admitted twice")
		}
	}))
}

// A full store refuses without moving its table each time: at most once per
// second, which is how fine entries die.
func TestDPOP15_AFullStoreRefusesAtOnce(t *testing.T) {
	c := newClock()
	s := newStore(c, 4096)
	stranger := hashOf(-100)
	for i := range 4096 {
		require.NoError(t, s.Add(hashOf(i), hashOf(i), start.Add(time.Duration(i/8)*time.Second)))
	}
	refused := func() {
		if s.Add(stranger, stranger, start.Add(time.Hour)) != replay.ErrFull {
			panic("accepted")
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, refused))
	c.advance(time.Second) // eight die
	for i := range 8 {
		require.NoError(t, s.Add(hashOf(-i-1), hashOf(-1), start.Add(time.Hour)))
	}
	require.Zero(t, testing.AllocsPerRun(100, refused))
}

// A table is not moved each time that something in it has died.
func TestDPOP13_ShortLivesCauseNoWork(t *testing.T) {
	c := newClock()
	s := newStore(c, 30_000)
	n := 0
	for ; n < 5000 || (n+1)*5 <= s.Table()*4; n++ {
		require.NoError(t, s.Add(hashOf(n), hashOf(n), start.Add(time.Hour)))
	}
	before := s.Table()
	require.NoError(t, s.Add(hashOf(n), hashOf(n), start.Add(time.Second)))
	n++
	require.Greater(t, s.Table(), before, "the last one made the table grow")
	table := s.Table()
	for i := range 100 {
		c.advance(2 * time.Second)
		require.NoError(t, s.Add(hashOf(1), hashOf(-i-1), c.now()))
	}
	require.Equal(t, n+100, s.Len(), "nothing was swept")
	require.Equal(t, table, s.Table())
}

func TestDPOP13_AMillionLiveProofsMissNoReplay(t *testing.T) {
	const n = 1_000_000
	c := newClock()
	s := newStore(c, 0)
	owner := hashOf(0) // proofs of one owner have the most in common
	add := func(i int) error {
		var id [32]byte
		binary.LittleEndian.PutUint64(id[:], uint64(i))
		return s.Add(owner, id, start.Add(300*time.Second))
	}
	for i := range n {
		if err := add(i); err != nil {
			t.Fatal(i, err)
		}
		if i > n/10 && i%1000 == 0 && s.Table()*replay.EntrySize > 24*i {
			t.Fatalf("target 6: %d bytes for %d proofs", s.Table()*replay.EntrySize, i)
		}
	}
	for i := range n {
		if err := add(i); err != replay.ErrSeen {
			t.Fatal(i, err)
		}
	}
	require.Equal(t, n, s.Len())
}

// model is the definition: a map that forgets nothing and is asked the slow way.
type model struct {
	capacity int
	slot     func(owner int) uint16
	live     map[[2]int]int64 // last second of owner and id
	all      map[[3]int64]bool
	latest   int64 // greatest now so far
}

// judge says what the answer to an Add is; and, for a clock that was set back,
// whether the store may have forgotten what it needs for that answer, and
// whether it may say ErrSeen because it may have forgotten the proof.
func (m *model) judge(owner, id int, now, until time.Time) (forgotten, wary bool, want error) {
	sec, last := now.Unix(), until.Add(time.Second-1).Unix()
	live, mine := 0, 0
	for k, l := range m.live {
		if l >= sec {
			live++
			if m.slot(k[0]) == m.slot(owner) {
				mine++
			}
		}
	}
	l, known := m.live[[2]int{owner, id}]
	forgotten, wary = known && l < m.latest, last < m.latest
	m.latest = max(m.latest, sec)
	switch {
	case until.Before(now):
		return false, false, replay.ErrSeen
	case known && l >= sec:
		return forgotten, wary, replay.ErrSeen
	case live >= m.capacity, 2*live >= m.capacity && mine >= max(1, m.capacity/16):
		return forgotten, wary, replay.ErrFull
	}
	return forgotten, wary, nil
}

// step is one Add, with the clock moved before.
type step struct {
	owner, id      int
	move, lifetime time.Duration
}

// play compares a store with the model, and sees that no proof is admitted
// twice: the same owner and id until the same second.
func play(t *testing.T, capacity int, steps []step) {
	c := newClock()
	s := newStore(c, capacity)
	require.Len(t, s.Slots(hashOf(0)), 1)
	slots := map[int]uint16{}
	m := &model{capacity: capacity, live: map[[2]int]int64{}, all: map[[3]int64]bool{}, slot: func(owner int) uint16 {
		slot, ok := slots[owner]
		if !ok {
			slot = s.Slots(hashOf(owner))[0]
			slots[owner] = slot
		}
		return slot
	}}
	back := false
	for i, st := range steps {
		c.advance(st.move)
		back = back || st.move < 0
		now, until := c.now(), c.now().Add(st.lifetime)
		forgotten, wary, want := m.judge(st.owner, st.id, now, until)
		got := s.Add(hashOf(st.owner), hashOf(st.id), until)
		last := until.Add(time.Second - 1).Unix()
		right := true
		switch {
		case !back:
			right = got == want
		case want == replay.ErrSeen:
			right = got == want || forgotten
		case got == replay.ErrSeen:
			right = wary
		case got == replay.ErrFull:
			right = want == got
		}
		if !right {
			t.Fatalf("step %d: %v, not %v", i, got, want)
		}
		if got == nil {
			key := [3]int64{int64(st.owner), int64(st.id), last}
			if m.all[key] {
				t.Fatalf("step %d: the same proof was admitted twice", i)
			}
			m.all[key] = true
			m.live[[2]int{st.owner, st.id}] = last
		}
		if s.Len() > capacity {
			t.Fatalf("step %d: %d entries", i, s.Len())
		}
	}
}

func TestDPOP13_StoreAgreesWithAModel(t *testing.T) {
	for _, back := range []bool{false, true} {
		for seed := range uint64(40) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			steps := make([]step, 1000)
			capacity := 1 + rnd.IntN(1+int(seed)*5)
			ids := 1 + rnd.IntN(400)
			for i := range steps {
				st := step{owner: rnd.IntN(1 + int(seed%20)), id: rnd.IntN(ids)}
				st.lifetime = time.Duration(rnd.Int64N(int64(60*time.Second))) - time.Second
				if rnd.IntN(3) == 0 {
					st.lifetime = st.lifetime.Truncate(time.Second)
				}
				switch rnd.IntN(20) {
				case 0:
					st.move = time.Duration(rnd.Int64N(int64(40 * time.Second)))
				case 1:
					if back {
						st.move = -time.Duration(rnd.Int64N(int64(30 * time.Second)))
					}
				default:
					st.move = time.Duration(rnd.Int64N(int64(300 * time.Millisecond)))
				}
				steps[i] = st
			}
			play(t, capacity, steps)
		}
	}
}

// The steps are read from the input, four bytes each.
func FuzzStore(f *testing.F) {
	f.Add([]byte{1, 2, 0, 10, 1, 2, 0, 10}, uint8(10))
	f.Add([]byte{1, 2, 0, 10, 1, 2, 20, 10, 1, 2, 240, 10}, uint8(0))
	rnd := rand.New(rand.NewPCG(1, 2))
	long := make([]byte, 1200)
	for i := range long {
		long[i] = byte(rnd.Uint32())
		if i%4 == 2 && i%40 > 4 {
			long[i] %= 16
		}
	}
	f.Add(long, uint8(60))
	f.Add(long, uint8(250))
	f.Fuzz(func(t *testing.T, data []byte, capacity uint8) {
		var steps []step
		for ; len(data) >= 4 && len(steps) < 300; data = data[4:] {
			steps = append(steps, step{
				owner:    int(data[0] % 16),
				id:       int(data[1]),
				move:     time.Duration(int8(data[2])) * 250 * time.Millisecond,
				lifetime: time.Duration(int(data[3])-8) * 500 * time.Millisecond,
			})
		}
		play(t, int(capacity)+1, steps)
	})
}
