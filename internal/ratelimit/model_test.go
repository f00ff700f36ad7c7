package ratelimit_test

import (
	"errors"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

// model is the definition: a leaky bucket for each key, in numbers of any size, and nothing forgotten
// but what has run out.
type model struct {
	capacity int
	slot     func(owner int) int
	last     time.Time
	buckets  map[int]*leak
}

// A leak is what a bucket holds, in the nanoseconds that it takes to run out.
type leak struct {
	level big.Int
	slot  int
}

// request is a Take of some keys at some rates.
type request struct {
	owner int
	keys  []int
	rates []ratelimit.Rate
}

var errInvalid = errors.New("not to be asked like this")

func (m *model) take(r request, now time.Time) (wait time.Duration, err error) {
	for i, key := range r.keys {
		if r.rates[i].Valid() != nil {
			return 0, errInvalid
		}
		for _, earlier := range r.keys[:i] {
			if key == earlier {
				return 0, errInvalid
			}
		}
	}
	elapsed := big.NewInt(max(0, int64(now.Sub(m.last))))
	m.last = now
	for key, b := range m.buckets {
		if b.level.Sub(&b.level, elapsed); b.level.Sign() <= 0 {
			delete(m.buckets, key)
		}
	}
	for i, key := range r.keys {
		interval, burst := interval(r.rates[i])
		depth := new(big.Int).Mul(interval, burst)
		if b := m.buckets[key]; b != nil {
			if b.level.Cmp(depth) > 0 {
				b.level.Set(depth)
			}
			over := new(big.Int).Add(&b.level, interval)
			wait = max(wait, time.Duration(over.Sub(over, depth).Int64()))
		}
	}
	if wait > 0 {
		return wait, nil
	}
	var added []int
	for _, key := range r.keys {
		if m.buckets[key] != nil {
			continue
		}
		slot, mine := m.slot(r.owner), 0
		for _, b := range m.buckets {
			if b.slot == slot {
				mine++
			}
		}
		if n := len(m.buckets); n >= m.capacity || 2*n >= m.capacity && mine >= max(1, m.capacity/16) {
			for _, key := range added {
				delete(m.buckets, key)
			}
			return 0, ratelimit.ErrFull
		}
		m.buckets[key] = &leak{slot: slot}
		added = append(added, key)
	}
	for i, key := range r.keys {
		interval, _ := interval(r.rates[i])
		m.buckets[key].level.Add(&m.buckets[key].level, interval)
	}
	return 0, nil
}

// interval returns the nanoseconds between events, rounded up, and the burst.
func interval(r ratelimit.Rate) (interval, burst *big.Int) {
	interval, rest := new(big.Int).DivMod(big.NewInt(int64(r.Per)), big.NewInt(int64(r.Events)), new(big.Int))
	if rest.Sign() > 0 {
		interval.Add(interval, big.NewInt(1))
	}
	burst = big.NewInt(int64(r.Burst))
	if r.Burst == 0 {
		burst = big.NewInt(int64(r.Events))
	}
	return interval, burst
}

// player compares a store with the model.
type player struct {
	c *clock
	s *ratelimit.Store
	m *model
}

// newPlayer's capacity is either so small that the store knows exactly what is full, or so large that
// nothing is.
func newPlayer(capacity int) *player {
	p := &player{c: newClock()}
	p.s = newStore(p.c, capacity)
	known := map[int]int{}
	p.m = &model{capacity: capacity, last: start, buckets: map[int]*leak{}, slot: func(owner int) int {
		slot, ok := known[owner]
		if !ok {
			slot = p.s.Slots(hashOf(owner))[0]
			known[owner] = slot
		}
		return slot
	}}
	return p
}

func (p *player) play(t *testing.T, step int, move time.Duration, r request) (time.Duration, error) {
	p.c.advance(move)
	buckets := make([]ratelimit.Bucket, len(r.keys))
	for i, key := range r.keys {
		buckets[i] = bucket(key, r.rates[i])
	}
	want, wantErr := p.m.take(r, p.c.now())
	got, _, err := p.s.Take(hashOf(r.owner), buckets)
	switch {
	case wantErr == nil && (err != nil || got != want),
		wantErr != nil && (err == nil || got == 0),
		(wantErr == ratelimit.ErrFull) != (err == ratelimit.ErrFull):
		t.Fatalf("step %d, %+v: %v, %v, not %v, %v", step, r, got, err, want, wantErr)
	}
	if step%50 == 49 { // it is slow
		if wrong := p.s.Check(); wrong != "" {
			t.Fatalf("step %d: %s", step, wrong)
		}
	}
	return want, wantErr
}

func TestStoreAgreesWithAModel(t *testing.T) {
	full, refused, taken := 0, 0, 0
	for _, back := range []bool{false, true} {
		for seed := range uint64(60) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			p := newPlayer(1 + rnd.IntN(1+int(seed)*3))
			keys, owners := 1+rnd.IntN(300), 1+rnd.IntN(1+int(seed%20))
			for i := range 1000 {
				r := request{owner: rnd.IntN(owners)}
				for range 1 + rnd.IntN(4) {
					key := rnd.IntN(keys)
					r.keys = append(r.keys, key)
					// Mostly the key's own.
					n := key
					if rnd.IntN(10) == 0 {
						n = rnd.IntN(len(rates))
					}
					r.rates = append(r.rates, rates[n%len(rates)])
				}
				var move time.Duration
				switch rnd.IntN(20) {
				case 0:
					move = time.Duration(rnd.Int64N(int64(40 * time.Second)))
				case 1:
					if back {
						move = -time.Duration(rnd.Int64N(int64(30 * time.Second)))
					}
				case 2:
					move = time.Duration(rnd.IntN(100))
				default:
					move = time.Duration(rnd.Int64N(int64(300 * time.Millisecond)))
				}
				p.play(t, i, move, r)
				switch wait, err := p.play(t, i, move, r); {
				case err == ratelimit.ErrFull:
					full++
				case err != nil: // a key twice
				case wait > 0:
					refused++
				default:
					taken++
				}
			}
		}
	}
	require.Greater(t, min(full, refused, taken), 10_000, "%d, %d and %d", full, refused, taken)
}

var rates = []ratelimit.Rate{
	{Events: 60, Per: time.Minute, Burst: 3},
	{Events: 3, Per: time.Second, Burst: 1},
	{Events: 7, Per: 100 * time.Second},
	{Events: 1, Per: year},
	{Events: 10_000_000, Per: time.Second, Burst: 2},
	{Events: 1, Per: 10 * time.Second, Burst: 5},
	{Events: 1, Per: 10 * time.Second, Burst: 1},
	{Events: 999, Per: 7 * time.Minute, Burst: 20},
}

var invalid = []ratelimit.Rate{{}, {Events: 1}, {Events: 1, Per: 2 * year}}

var moves = []time.Duration{
	0, 0, 1, 99, 100, 101, time.Millisecond, 333_333_333, 333_333_334, 500 * time.Millisecond, time.Second - 1, time.Second,
	2 * time.Second, 10 * time.Second, time.Minute, time.Hour, year - 1, year, 100 * year, 290 * year,
	-1, -time.Second, -time.Hour, -10 * year, -290 * year,
}

// The steps are read from the input: owner, time, how many buckets, and for each a key and a rate.
func FuzzStore(f *testing.F) {
	f.Add([]byte{1, 11, 1, 5, 0, 1, 0, 1, 5, 0}, uint8(10))
	f.Add([]byte{1, 11, 2, 5, 0, 6, 3, 1, 0, 3, 6, 3, 5, 1, 7, 2}, uint8(1))
	rnd := rand.New(rand.NewPCG(1, 2))
	long := make([]byte, 1200)
	for i := range long {
		long[i] = byte(rnd.Uint32())
	}
	f.Add(long, uint8(60))
	f.Add(long, uint8(5))
	f.Fuzz(func(t *testing.T, data []byte, capacity uint8) {
		p := newPlayer(int(capacity)%200 + 1)
		for step := 0; len(data) >= 5 && step < 300; step++ {
			r := request{owner: int(data[0] % 16)}
			move := moves[int(data[1])%len(moves)]
			n := 1 + int(data[2]%4)
			for data = data[3:]; len(data) >= 2 && n > 0; data, n = data[2:], n-1 {
				r.keys = append(r.keys, int(data[0]))
				if i := int(data[1]); i > 250 {
					r.rates = append(r.rates, invalid[i%len(invalid)])
				} else {
					r.rates = append(r.rates, rates[i%len(rates)])
				}
			}
			p.play(t, step, move, r)
		}
	})
}
