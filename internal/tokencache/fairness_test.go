package tokencache_test

import (
	"container/list"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/tokencache"
)

const (
	honestKeys  = 0
	hostileKeys = 1 << 32
)

// census counts what each owner has, when values are the names of owners.
func census(c *tokencache.Cache[string]) map[string]int {
	held := make(map[string]int)
	c.Each(func(_ [32]byte, owner string) { held[owner]++ })
	return held
}

func TestFairnessOneOwnerCannotTurnEvictionAgainstOthers(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cfg     tokencache.Config
		size    int // of a hostile value
		hostile int // tokens that the attacker adds
	}{
		{"small tokens", tokencache.Config{MaxEntries: 8192}, 0, 30_000},
		{"large tokens", tokencache.Config{MaxEntries: 8192}, 60_000, 10_000},
		{"one shard", tokencache.Config{MaxEntries: 500}, 0, 5_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clk := &clock{start}
			tt.cfg.Now = clk.now
			c := tokencache.New[string](tt.cfg)
			for n := range 2 * tt.cfg.MaxEntries { // full in every shard
				c.Add(key(honestKeys+n), hour(fmt.Sprint(n)), fmt.Sprint(n))
			}
			before := len(census(c))
			require.Equal(t, tt.cfg.MaxEntries, before)
			it := hour("mallory")
			it.Size = tt.size
			for n := range tt.hostile {
				c.Add(key(hostileKeys+n), it, "mallory")
				c.Get(key(hostileKeys + n)) // used at once, to look valuable
				c.Get(key(hostileKeys + n/2))
			}
			held := census(c)
			require.NotZero(t, held["mallory"])
			require.LessOrEqual(t, held["mallory"], c.Fair())
			lost := before - (len(held) - 1)
			require.LessOrEqual(t, lost, held["mallory"], "no more than a fair share changed hands")
			require.LessOrEqual(t, held["mallory"]*(tt.size+tokencache.EntryBytes), 64<<20/32, "of bytes as well")
			require.NoError(t, c.Audit())
		})
	}
}

func TestFairnessWhoTookAllGivesItBack(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{MaxEntries: 16384, Now: clk.now})
	for n := range 40_000 {
		c.Add(key(hostileKeys+n), hour("mallory"), "mallory")
		c.Get(key(hostileKeys + n))
	}
	require.Equal(t, 16384, c.Len(), "what nobody else needs may be used")
	for n := range 12_000 {
		c.Add(key(honestKeys+n), hour(fmt.Sprint(n)), fmt.Sprint(n))
		if n%3 == 0 {
			c.Add(key(hostileKeys+50_000+n), hour("mallory"), "mallory")
		}
	}
	for n := range 12_000 {
		_, ok := c.Get(key(honestKeys + n))
		require.True(t, ok, "%d was never to be dropped: there was mallory", n)
	}
	require.NoError(t, c.Audit())
}

// A gateway that calls for many users under one name may well have more than a fair
// share. It loses nothing to one who has still more.
func TestFairnessTheHeaviestGives(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{MaxEntries: 4096, Now: clk.now})
	for n := range 1000 {
		c.Add(key(honestKeys+n), hour("gateway"), "gateway")
	}
	for n := range 10_000 {
		c.Add(key(hostileKeys+n), hour("mallory"), "mallory")
	}
	require.Equal(t, map[string]int{"gateway": 1000, "mallory": 3096}, census(c))
	for n := range 5000 {
		c.Add(key(n+5000), hour(fmt.Sprint(n)), "others")
	}
	held := census(c)
	require.LessOrEqual(t, held["mallory"], c.Fair())
	require.LessOrEqual(t, held["gateway"], c.Fair(), "in need it has to give as well")
	require.NoError(t, c.Audit())
}

// TestFairnessBytesCount: an owner of few and large values is heavy as well.
func TestFairnessBytesCount(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{MaxBytes: 4 << 20, Now: clk.now})
	big := hour("mallory")
	big.Size = 100 << 10
	for n := range 41 {
		c.Add(key(hostileKeys+n), big, "mallory")
	}
	require.Greater(t, c.Bytes(), int64(3900<<10))
	for n := range 3000 {
		it := hour(fmt.Sprint(n))
		it.Size = 1000
		c.Add(key(honestKeys+n), it, it.Owner)
	}
	held := census(c)
	require.Equal(t, 3000, len(held)-1, "all others are there")
	require.LessOrEqual(t, held["mallory"], 5)
}

// With fewer entries than fair shares, owners still replace one another.
func TestFairnessInVerySmallCaches(t *testing.T) {
	for _, entries := range []int{1, 2, 3, 4, 5, 10} {
		clk := &clock{start}
		c := tokencache.New[string](tokencache.Config{MaxEntries: entries, Now: clk.now})
		for n := range 1000 {
			owner := fmt.Sprint(n % 50)
			c.Add(key(n), hour(owner), owner)
			_, ok := c.Get(key(n))
			require.True(t, ok, "who was added last is there")
		}
		require.Equal(t, entries, c.Len())
		require.NoError(t, c.Audit())
	}
}

func TestEvictionTakesWhatIsDeadFirst(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{MaxEntries: 1024, Now: clk.now})
	for n := range 512 {
		c.Add(key(n), hour(fmt.Sprint(n)), "live")
		c.Add(key(n+512), tokencache.Item{Owner: fmt.Sprint(n + 512), Expiry: start.Add(time.Minute)}, "dies")
	}
	clk.advance(time.Minute)
	for n := range 512 {
		c.Add(key(5000+n), hour(fmt.Sprint(5000+n)), "live")
	}
	lost := 0
	for n := range 512 {
		if _, ok := c.Get(key(n)); !ok {
			lost++
		}
	}
	require.LessOrEqual(t, lost, 10, "half of all was dead")
}

// An lru is the plain cache that ours is compared with.
type lru struct {
	order *list.List
	at    map[[32]byte]*list.Element
	room  int
}

func (l *lru) use(k [32]byte) (hit bool) {
	if el := l.at[k]; el != nil {
		l.order.MoveToFront(el)
		return true
	}
	l.at[k] = l.order.PushFront(k)
	if l.order.Len() > l.room {
		delete(l.at, l.order.Remove(l.order.Back()).([32]byte))
	}
	return false
}

// TestUseIsForgotten: tokens that were in steady use once give way to those that are now.
func TestUseIsForgotten(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{MaxEntries: 512, Now: clk.now})
	rnd := rand.New(rand.NewPCG(1, 2))
	for shift := range 3 {
		hits := 0
		for step := range 20_000 {
			k := key(shift*1000 + rnd.IntN(400))
			if _, ok := c.Get(k); !ok {
				c.Add(k, hour(fmt.Sprint(k)), "")
			} else if step >= 10_000 {
				hits++
			}
		}
		require.Greater(t, hits, 9900, "shift %d", shift)
	}
}

// TestUseCounts simulates requests of active users beside a flood of tokens that
// are used once and never again, each of an owner of its own: the attack that
// fair shares cannot see, and what a morning with many visitors looks like.
func TestUseCounts(t *testing.T) {
	const room = 512
	for _, tt := range []struct {
		name    string
		users   int
		devices int  // tokens of each
		renew   int  // requests that one token serves
		flood   int  // new tokens for 100 requests of users
		alone   bool // all tokens are of one owner, as behind a gateway
		least   float64
	}{
		{"half of the room is in use", 250, 1, 1e9, 100, false, 0.98},
		{"users with three tokens each", 88, 3, 1e9, 100, false, 0.98},
		{"ten new tokens to each request", 38, 1, 1e9, 1000, false, 0.99},
		{"nearly all of the room is in use", 450, 1, 1e9, 20, false, 0.97},
		{"no strangers but old tokens", 250, 1, 50, 0, false, 0.95},
		{"tokens that are renewed", 250, 1, 50, 50, false, 0.95},
		{"one owner has half of the room in use", 250, 1, 1e9, 100, true, 0.95},
		{"one owner renews tokens", 250, 1, 50, 50, true, 0.90},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owner := func(kind string, n int) string {
				if tt.alone {
					return "gateway"
				}
				return fmt.Sprint(kind, n)
			}
			rnd := rand.New(rand.NewPCG(1, 2))
			clk := &clock{start}
			c := tokencache.New[string](tokencache.Config{MaxEntries: room, Now: clk.now})
			plain := &lru{order: list.New(), at: make(map[[32]byte]*list.Element), room: room}
			requests := make([]int, tt.users*tt.devices)
			var hits, plainHits, asked, strangers, debt int
			for step := range 20_000 {
				n := rnd.IntN(len(requests))
				k := key(requests[n]/tt.renew*len(requests) + n)
				requests[n]++
				_, ok := c.Get(k)
				if !ok {
					c.Add(k, hour(owner("user", n/tt.devices)), "")
				}
				plainOK := plain.use(k)
				if step > 7_000 {
					asked++
					if ok {
						hits++
					}
					if plainOK {
						plainHits++
					}
				}
				for debt += tt.flood; debt >= 100; debt -= 100 {
					strangers++
					k := key(hostileKeys + strangers)
					c.Add(k, hour(owner("stranger", strangers)), "")
					plain.use(k)
				}
			}
			ratio, plainRatio := float64(hits)/float64(asked), float64(plainHits)/float64(asked)
			t.Logf("hit ratio %.4f, of plain LRU %.4f", ratio, plainRatio)
			require.Greater(t, ratio, tt.least)
			require.Greater(t, ratio, plainRatio-0.01)
			require.NoError(t, c.Audit())
		})
	}
}
