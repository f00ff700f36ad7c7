package tokencache_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/tokencache"
)

var start = time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)

// A clock stands still until it is set. It is not for concurrent use.
type clock struct{ time.Time }

func (c *clock) now() time.Time          { return c.Time }
func (c *clock) advance(d time.Duration) { c.Time = c.Add(d) }

// key is the hash of the n-th token.
func key(n int) [32]byte {
	return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func hour(owner string) tokencache.Item {
	return tokencache.Item{Owner: owner, Expiry: start.Add(time.Hour)}
}

func TestGetReturnsWhatWasAdded(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[*int](tokencache.Config{Now: clk.now})
	require.Zero(t, c.Len())

	_, ok := c.Get(key(1))
	require.False(t, ok, "an empty cache")
	one, two := new(int), new(int)
	c.Add(key(1), hour("alice"), one)
	c.Add(key(2), hour("bob"), two)

	got, ok := c.Get(key(1))
	require.True(t, ok)
	require.Same(t, one, got, "nothing is copied")
	got, ok = c.Get(key(2))
	require.True(t, ok)
	require.Same(t, two, got)
	_, ok = c.Get(key(3))
	require.False(t, ok)
	require.Equal(t, 2, c.Len())
	require.NoError(t, c.Audit())
}

func TestSEC03_OnlyTheWholeKeyFindsAToken(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[int](tokencache.Config{MaxEntries: 1, Now: clk.now}) // one bucket: all keys meet
	c.Add(key(1), hour("alice"), 1)
	for bit := range 256 {
		k := key(1)
		k[bit/8] ^= 1 << (bit % 8)
		_, ok := c.Get(k)
		require.False(t, ok, "bit %d", bit)
	}
}

func TestSEC03_CachesShareNothing(t *testing.T) {
	clk := &clock{start}
	a := tokencache.New[int](tokencache.Config{Now: clk.now})
	b := tokencache.New[int](tokencache.Config{Now: clk.now})
	a.Add(key(1), hour("alice"), 1)
	_, ok := b.Get(key(1))
	require.False(t, ok)
}

func TestNoCacheAndZeroCacheHoldNothing(t *testing.T) {
	for name, c := range map[string]*tokencache.Cache[int]{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			c.Add(key(1), tokencache.Item{Expiry: time.Now().Add(time.Hour)}, 1)
			_, ok := c.Get(key(1))
			require.False(t, ok)
			c.Remove(key(1))
			require.Zero(t, c.RemoveFunc(func(int) bool { return true }))
			require.Zero(t, c.Len())
			require.Zero(t, c.Bytes())
		})
	}
}

func TestUnusedCacheAnswers(t *testing.T) {
	c := tokencache.New[int](tokencache.Config{})
	c.Remove(key(1))
	require.Zero(t, c.RemoveFunc(func(int) bool { return true }))
	require.Zero(t, c.Len())
	require.Zero(t, c.Bytes())
	require.NoError(t, c.Audit())
}

func TestNilClockIsTheRealOne(t *testing.T) {
	c := tokencache.New[int](tokencache.Config{})
	c.Add(key(1), tokencache.Item{Expiry: time.Now().Add(time.Hour)}, 1)
	c.Add(key(2), tokencache.Item{Expiry: time.Now().Add(-time.Hour)}, 2)
	_, ok := c.Get(key(1))
	require.True(t, ok)
	_, ok = c.Get(key(2))
	require.False(t, ok)
}

// RFC 9068, Section 4: the current time MUST be before exp.
func TestDeadAtExpiry(t *testing.T) {
	for _, tt := range []struct {
		name   string
		expiry time.Time
		at     time.Time
		alive  bool
	}{
		{"just added", start.Add(time.Minute), start, true},
		{"a millisecond before", start.Add(time.Minute), start.Add(time.Minute - time.Millisecond), true},
		{"at the moment of expiry", start.Add(time.Minute), start.Add(time.Minute), false},
		{"a nanosecond after", start.Add(time.Minute), start.Add(time.Minute + 1), false},
		{"a fraction of a millisecond is not given", start.Add(1500 * time.Microsecond), start.Add(time.Millisecond), false},
		{"never beyond a fraction", start.Add(1500 * time.Microsecond), start.Add(1500 * time.Microsecond), false},
		{"long after", start.Add(time.Minute), start.Add(1000 * time.Hour), false},
		{"expiry has come when added", start, start, false},
		{"expiry lies before", start.Add(-1), start, false},
		{"zero expiry", time.Time{}, start, false},
		{"year 9999", time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC), start.AddDate(100, 0, 0), true},
		// As milliseconds this would wrap around to a time far ahead.
		{"before all that milliseconds can count", time.Unix(math.MinInt64/1000-1_000_000, 0), start, false},
		{"in another zone", start.Add(time.Minute).In(time.FixedZone("", 9*3600)), start.Add(time.Minute), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clk := &clock{start}
			c := tokencache.New[int](tokencache.Config{Now: clk.now})
			c.Add(key(1), tokencache.Item{Expiry: tt.expiry}, 1)
			clk.Time = tt.at
			_, ok := c.Get(key(1))
			require.Equal(t, tt.alive, ok)
			require.NoError(t, c.Audit())
		})
	}
}

func TestAddReplaces(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{Now: clk.now})
	c.Add(key(1), tokencache.Item{Owner: "alice", Size: 500, Expiry: start.Add(time.Hour)}, "old")
	c.Add(key(1), tokencache.Item{Owner: "bob", Size: 100, Expiry: start.Add(time.Minute)}, "new")
	got, ok := c.Get(key(1))
	require.True(t, ok)
	require.Equal(t, "new", got)
	require.Equal(t, 1, c.Len())
	require.EqualValues(t, 100+tokencache.EntryBytes, c.Bytes())
	require.NoError(t, c.Audit())
	clk.advance(time.Minute)
	_, ok = c.Get(key(1))
	require.False(t, ok, "the old expiry is gone, too")

	for name, it := range map[string]tokencache.Item{
		"dead":      {Owner: "alice", Expiry: start},
		"too large": {Owner: "alice", Size: 1 << 30, Expiry: start.Add(time.Hour)},
		"negative":  {Owner: "alice", Size: -1, Expiry: start.Add(time.Hour)},
	} {
		c.Add(key(1), hour("alice"), "old")
		c.Add(key(1), it, "new")
		_, ok := c.Get(key(1))
		require.False(t, ok, "%s: what is not held leaves nothing older behind", name)
	}
}

func TestSizesThatAreNotHeld(t *testing.T) {
	const maxBytes = 1 << 20
	for _, tt := range []struct {
		name string
		size int
		held bool
	}{
		{"nothing", 0, true},
		{"a fair share", maxBytes/32 - tokencache.EntryBytes, true},
		{"more than a fair share", maxBytes/32 - tokencache.EntryBytes + 1, false},
		{"everything", maxBytes, false},
		{"as much as an int can say", math.MaxInt, false},
		{"less than nothing", -1, false},
		{"as little as an int can say", math.MinInt, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			clk := &clock{start}
			c := tokencache.New[int](tokencache.Config{MaxBytes: maxBytes, Now: clk.now})
			c.Add(key(1), tokencache.Item{Size: tt.size, Expiry: start.Add(time.Hour)}, 1)
			_, ok := c.Get(key(1))
			require.Equal(t, tt.held, ok)
			require.NoError(t, c.Audit())
		})
	}
}

func TestRemove(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[int](tokencache.Config{MaxEntries: 4, Now: clk.now}) // long chains
	for n := range 4 {
		c.Add(key(n), hour("alice"), n)
	}
	c.Remove(key(2))
	c.Remove(key(2))
	c.Remove(key(99))
	for n := range 4 {
		_, ok := c.Get(key(n))
		require.Equal(t, n != 2, ok, "%d", n)
	}
	require.Equal(t, 3, c.Len())
	require.NoError(t, c.Audit())
}

// Threat 89: a key that left the set ends what was verified with it.
func TestJWKS_RemoveFuncDropsTheTokensOfAKey(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[string](tokencache.Config{Now: clk.now})
	for n := range 1000 {
		c.Add(key(n), hour(fmt.Sprint(n%10)), []string{"gone", "kept"}[n%2])
	}
	require.Equal(t, 500, c.RemoveFunc(func(kid string) bool { return kid == "gone" }))
	for n := range 1000 {
		_, ok := c.Get(key(n))
		require.Equal(t, n%2 == 1, ok, "%d", n)
	}
	require.Equal(t, 500, c.Len())
	require.NoError(t, c.Audit())
}

func TestRemoveFuncMayUseTheCacheAndPanic(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[int](tokencache.Config{MaxEntries: 64, Now: clk.now})
	for n := range 10 {
		c.Add(key(n), hour("alice"), n)
	}
	// What is put in the place of a condemned value stays.
	require.Equal(t, 9, c.RemoveFunc(func(n int) bool {
		if n == 3 {
			c.Add(key(n), hour("alice"), 1000)
		}
		c.Len()
		return n < 1000
	}))
	got, ok := c.Get(key(3))
	require.True(t, ok)
	require.Equal(t, 1000, got)
	require.Panics(t, func() { c.RemoveFunc(func(int) bool { panic("of the caller") }) })
	c.Add(key(4), hour("alice"), 4)
	require.Equal(t, 2, c.Len())
	require.NoError(t, c.Audit())
}

func TestDeadEntriesAreGivenBackByLaterAdds(t *testing.T) {
	clk := &clock{start}
	c := tokencache.New[int](tokencache.Config{MaxEntries: 4096, Now: clk.now})
	for n := range 4000 {
		c.Add(key(n), tokencache.Item{Owner: fmt.Sprint(n), Expiry: start.Add(time.Minute)}, n)
	}
	require.Equal(t, 4000, c.Len())
	clk.advance(time.Minute)
	// An eighth of the buckets in number of Adds visits them all.
	for n := range 512 {
		c.Add(key(10_000+n), hour(fmt.Sprint(n)), n)
	}
	require.Equal(t, 512, c.Len())
	for n := range 512 {
		_, ok := c.Get(key(10_000 + n))
		require.True(t, ok, "%d", n)
	}
	require.NoError(t, c.Audit())
}

func TestBoundsHold(t *testing.T) {
	for _, tt := range []struct {
		entries int
		bytes   int64
		size    func(n int) int
	}{
		{1, 0, func(int) int { return 0 }},
		{2, 0, func(int) int { return 0 }},
		{3, 0, func(n int) int { return n % 7 }},
		{5, 3000, func(n int) int { return n % 700 }},
		{1000, 0, func(int) int { return 0 }},
		{8191, 0, func(int) int { return 0 }},
		{8192, 0, func(int) int { return 0 }},
		{20_000, 0, func(int) int { return 300 }},
		{0, 1 << 20, func(n int) int { return n * 37 % 3000 }},
		{0, 1 << 20, func(n int) int { return n * 7919 % (40 << 10) }}, // some too large
		{0, 9 << 20, func(n int) int { return n * 7919 % 5000 }},
		{1 << 40, 1 << 20, func(int) int { return 0 }}, // the table stays small
		{10, 1, func(int) int { return 0 }},            // room for nothing
		{10, tokencache.EntryBytes, func(int) int { return 0 }},
		{-1, -1, func(int) int { return 10_000 }},
	} {
		t.Run(fmt.Sprint(tt.entries, "_", tt.bytes), func(t *testing.T) {
			clk := &clock{start}
			c := tokencache.New[int](tokencache.Config{MaxEntries: tt.entries, MaxBytes: tt.bytes, Now: clk.now})
			entries, bytes := tt.entries, tt.bytes
			if entries <= 0 {
				entries = 65536
			}
			if bytes <= 0 {
				bytes = 64 << 20
			}
			most := 0
			for n := range 20_000 {
				c.Add(key(n), tokencache.Item{Owner: fmt.Sprint(n % 5000), Size: tt.size(n), Expiry: start.Add(time.Hour)}, n)
				if n%256 == 0 || n < 100 {
					require.LessOrEqual(t, c.Len(), entries)
					require.LessOrEqual(t, c.Bytes(), bytes)
					most = max(most, c.Len())
				}
			}
			require.NoError(t, c.Audit())
			if bytes > 10*(tokencache.EntryBytes+10_000) {
				require.Greater(t, c.Bytes(), int64(float64(min(bytes, int64(entries)*tokencache.EntryBytes, 20_000*tokencache.EntryBytes))*0.9), "the room is used")
			}
		})
	}
}
