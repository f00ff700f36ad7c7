package tokencache_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/tokencache"
)

// TestHammer lets all operations meet in a small and in a sharded cache: a value
// must never be found under another key, nor after its expiry, nor beyond bounds.
func TestHammer(t *testing.T) {
	for _, cfg := range []tokencache.Config{{MaxEntries: 8}, {MaxEntries: 100, MaxBytes: 10_000}, {MaxEntries: 8192}} {
		t.Run(fmt.Sprint(cfg.MaxEntries), func(t *testing.T) {
			const keys = 200
			var now atomic.Int64
			cfg.Now = func() time.Time { return start.Add(time.Duration(now.Load())) }
			type value struct {
				key    [32]byte
				expiry int64
			}
			c := tokencache.New[*value](cfg)
			all := make([][32]byte, keys)
			for n := range all {
				all[n] = key(n)
			}
			var wg sync.WaitGroup
			for g := range 8 {
				wg.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(g), 1))
					for range 4000 {
						k := all[rnd.IntN(keys)]
						switch op := rnd.IntN(100); {
						case op < 60:
							before := now.Load()
							if v, ok := c.Get(k); ok && (v.key != k || v.expiry <= before) {
								t.Errorf("found %+v at %d", v, before)
								return
							}
						case op < 90:
							expiry := now.Load() + int64(time.Millisecond)*(1+rnd.Int64N(50))
							c.Add(k, tokencache.Item{Owner: fmt.Sprint(rnd.IntN(20)), Size: rnd.IntN(300), Expiry: start.Add(time.Duration(expiry))}, &value{k, expiry})
						case op < 95:
							c.Remove(k)
						case op < 97:
							now.Add(int64(time.Millisecond))
						case op < 98:
							c.RemoveFunc(func(v *value) bool { return v.key[0]&3 == 0 })
						default:
							if c.Len() > cfg.MaxEntries || cfg.MaxBytes > 0 && c.Bytes() > cfg.MaxBytes {
								t.Error("out of bounds")
								return
							}
						}
					}
				})
			}
			wg.Wait()
			require.NoError(t, c.Audit())
		})
	}
}

// TestReadersNeverMissWhatStays: entries before and behind it in its chain come and
// go, and a reader who stands on one of them still finds the way.
func TestReadersNeverMissWhatStays(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[int](tokencache.Config{MaxEntries: 256, Now: clk.now})
	stays := key(0)
	var chain [][32]byte
	for n := 1; len(chain) < 24; n++ {
		if c.Bucket(key(n)) == c.Bucket(stays) {
			chain = append(chain, key(n))
		}
	}
	for _, k := range chain[:12] {
		c.Add(k, hour("others"), 0)
	}
	c.Add(stays, hour("stays"), 101)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for range 100 {
					if v, ok := c.Get(stays); !ok || v != 101 {
						t.Error("missed")
						return
					}
				}
			}
		})
	}
	for n := range 30_000 {
		c.Add(chain[n%24], hour("others"), n)
		c.Remove(chain[(n+12)%24])
	}
	close(done)
	wg.Wait()
	require.NoError(t, c.Audit())
}

// TestRemoveFuncSeesWhatStays: a value that is there for the whole call does not escape.
func TestRemoveFuncSeesWhatStays(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[int](tokencache.Config{MaxEntries: 64, Now: clk.now})
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				return
			default:
				c.Add(key(n%40), hour("others"), 0)
				c.Remove(key((n + 20) % 40))
			}
		}
	})
	for n := range 500 {
		c.Add(key(1000+n), hour("revoked"), 1)
		if got := c.RemoveFunc(func(v int) bool { return v == 1 }); got != 1 {
			t.Errorf("removed %d", got)
		}
		_, ok := c.Get(key(1000 + n))
		require.False(t, ok)
	}
	close(done)
	wg.Wait()
	require.NoError(t, c.Audit())
}

// TestReadersNeverMissWhileItGrows: each new cache grows many times under its readers.
func TestReadersNeverMissWhileItGrows(t *testing.T) {
	clk := &clock{start}
	for range 60 {
		c := tokencache.New[int](tokencache.Config{MaxEntries: 1 << 12, Now: clk.now})
		for n := range 8 {
			c.Add(key(n), hour("stays"), n)
		}
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for n := 0; ; n = (n + 1) % 8 {
					if v, ok := c.Get(key(n)); !ok || v != n {
						t.Error("missed")
						return
					}
					select {
					case <-done:
						return
					default:
					}
				}
			})
		}
		for n := range 2000 {
			c.Add(key(100+n), hour(fmt.Sprint(n)), n)
		}
		close(done)
		wg.Wait()
		require.NoError(t, c.Audit())
		require.Equal(t, 2008, c.Len())
	}
}
