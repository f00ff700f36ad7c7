package tokencache_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/tokencache"
)

// replay runs a program of operations, three bytes each, on a cache and on a map
// without bounds: what the cache finds, the map must have, alive and the same;
// and while the cache never was near its bounds, also the other way round.
func replay(t *testing.T, cfg tokencache.Config, program []byte) {
	type entry struct {
		value  int
		expiry time.Time
		size   int64
	}
	clk := &clock{start}
	cfg.Now = clk.now
	c := tokencache.New[int](cfg)
	model := make(map[[32]byte]entry)
	pressed := false
	for step := 0; len(program) >= 3; step, program = step+1, program[3:] {
		op, a, b := program[0], int(program[1]), int(program[2])
		k := key(a)
		switch op % 8 {
		case 0, 1, 2:
			e := entry{step, clk.Add(time.Duration(b-16) * 500 * time.Microsecond), int64(b) * int64(op)}
			c.Add(k, tokencache.Item{Owner: fmt.Sprint(op / 8 % 5), Size: int(e.size), Expiry: e.expiry}, step)
			delete(model, k)
			if e.expiry.After(clk.Time) {
				model[k] = e
			}
			total := int64(0)
			for _, e := range model {
				total += e.size + tokencache.EntryBytes
			}
			pressed = pressed || len(model) >= cfg.MaxEntries || total > cfg.MaxBytes || e.size+tokencache.EntryBytes > cfg.MaxBytes/32
		case 3:
			c.Remove(k)
			delete(model, k)
		case 4:
			want := 0
			for k, e := range model {
				if e.value%16 == b%16 {
					delete(model, k)
					if clk.Before(e.expiry.Truncate(time.Millisecond)) { // as above: else it may have been given back
						want++
					}
				}
			}
			got := c.RemoveFunc(func(v int) bool { return v%16 == b%16 })
			if !pressed {
				require.GreaterOrEqual(t, got, want) // dead ones that are still there count
			}
		case 5:
			clk.advance(time.Duration(b) * 100 * time.Microsecond)
		default:
			got, ok := c.Get(k)
			want, has := model[k]
			has = has && clk.Before(want.expiry)
			if ok {
				require.True(t, has, "step %d: found what is not there", step)
				require.Equal(t, want.value, got, "step %d", step)
			}
			// Expiry is cut to milliseconds.
			if !pressed && has && clk.Before(want.expiry.Truncate(time.Millisecond)) {
				require.True(t, ok, "step %d: lost without need", step)
			}
		}
		require.LessOrEqual(t, c.Len(), cfg.MaxEntries)
		require.LessOrEqual(t, c.Bytes(), cfg.MaxBytes)
	}
	require.NoError(t, c.Audit())
}

var worlds = []tokencache.Config{
	{MaxEntries: 1, MaxBytes: 1 << 20},
	{MaxEntries: 7, MaxBytes: 1 << 20},
	{MaxEntries: 100, MaxBytes: 1 << 20},
	{MaxEntries: 1000, MaxBytes: 200_000},
	{MaxEntries: 1000, MaxBytes: 64 << 20},
	{MaxEntries: 1 << 14, MaxBytes: 64 << 20},
}

func TestCacheAgreesWithMap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for i, cfg := range worlds {
		for range 4 {
			program := make([]byte, 3*3000)
			for j := range program {
				program[j] = byte(rnd.Uint32())
			}
			t.Run(fmt.Sprint(i), func(t *testing.T) { replay(t, cfg, program) })
		}
	}
}

func FuzzCacheAgreesWithMap(f *testing.F) {
	for i := range worlds {
		f.Add(byte(i), []byte{0, 1, 100, 6, 1, 0, 5, 0, 200, 6, 1, 0})
		f.Add(byte(i), []byte{0, 1, 255, 1, 2, 255, 2, 3, 255, 3, 2, 0, 4, 0, 1, 6, 3, 0, 9, 1, 255, 17, 1, 255, 14, 1, 0})
	}
	f.Fuzz(func(t *testing.T, world byte, program []byte) {
		replay(t, worlds[int(world)%len(worlds)], program[:min(len(program), 3000)])
	})
}
