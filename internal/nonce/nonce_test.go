package nonce_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/nonce"
)

const label = "https://mcp.example.com/mcp"

var (
	key1 = []byte("0123456789abcdef0123456789abcdef")
	key2 = []byte("another secret of thirty-two bytes, and more")
	// start is the beginning of a period of 150 s.
	start = time.Unix(12_000_000*150, 0)
)

// clock is a time that tests set.
type clock struct{ unixNano atomic.Int64 }

func newClock(t time.Time) *clock {
	c := new(clock)
	c.set(t)
	return c
}

func (c *clock) set(t time.Time)         { c.unixNano.Store(t.UnixNano()) }
func (c *clock) advance(d time.Duration) { c.unixNano.Add(int64(d)) }
func (c *clock) now() time.Time          { return time.Unix(0, c.unixNano.Load()) }

func newSource(t testing.TB, c *clock, keys ...[]byte) *nonce.Source {
	s, err := nonce.New(nonce.Config{Keys: keys, Label: label, Now: c.now})
	require.NoError(t, err)
	return s
}

// expected is the nonce of a period by the definition, written a second time.
func expected(key []byte, label string, period, number int64) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("mcpauth DPoP nonce 1\x00"))
	for _, n := range []int64{period, number} {
		if err := binary.Write(mac, binary.BigEndian, n); err != nil {
			panic(err)
		}
	}
	mac.Write([]byte(label))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:24])
}

func TestDPOP17_NonceIsAKeyedHashOfItsPeriod(t *testing.T) {
	c := newClock(start)
	s := newSource(t, c, key1, key2)
	first := s.Current()
	require.Equal(t, expected(key1, label, 150, 12_000_000), first)
	c.advance(150*time.Second - 1)
	require.Equal(t, first, s.Current(), "one nonce for the whole period")
	c.advance(1)
	require.Equal(t, expected(key1, label, 150, 12_000_001), s.Current())
	c.set(time.Unix(-1, 0))
	require.Equal(t, expected(key1, label, 150, -1), s.Current())
	c.set(time.Unix(-150, 0))
	require.Equal(t, expected(key1, label, 150, -1), s.Current())
}

func TestDPOP17_NonceIsMadeOfNQCHAR(t *testing.T) {
	c := newClock(start)
	s := newSource(t, c)
	for range 200 {
		n := s.Current()
		require.Len(t, n, 32)
		for _, b := range []byte(n) { // RFC 9449, Section 8.1
			require.True(t, b == 0x21 || b >= 0x23 && b <= 0x5b || b >= 0x5d && b <= 0x7e, "%q", n)
		}
		c.advance(150 * time.Second)
	}
}

func TestDPOP18_LifeOfANonce(t *testing.T) {
	const period = 150 * time.Second
	until := start.Add(2*period + 10*time.Second)
	fresh := nonce.Verdict{Accepted: true, Until: until}
	previous := nonce.Verdict{Accepted: true, Renew: true, Until: until}
	for _, tt := range []struct {
		name string
		at   time.Duration // since its period began
		want nonce.Verdict
	}{
		{"long before its period", -period, nonce.Verdict{}},
		{"the whole period before its own, but for its last seconds", -10*time.Second - 1, nonce.Verdict{}},
		{"seconds before its period, from a replica whose clock is ahead", -10 * time.Second, fresh},
		{"just before its period", -1, fresh},
		{"at the beginning", 0, fresh},
		{"at the end of its period", period - 1, fresh},
		{"when the next period begins", period, previous},
		{"at the end of the next period", 2*period - 1, previous},
		{"when the period after that begins", 2 * period, nonce.Verdict{}},
		{"much later", 1000 * period, nonce.Verdict{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newClock(start)
			s := newSource(t, c, key1)
			n := s.Current()
			c.advance(tt.at)
			got := s.Check(n)
			require.True(t, tt.want.Until.Equal(got.Until), "%v", got.Until)
			got.Until = tt.want.Until
			require.Equal(t, tt.want, got)
		})
	}
}

func TestDPOP16_StrangersAreRefused(t *testing.T) {
	c := newClock(start)
	s := newSource(t, c, key1)
	n := s.Current()
	require.True(t, s.Check(n).Accepted)
	refused := map[string]string{
		"no nonce":                  "",
		"an extra character":        n + "A",
		"an extra NUL":              n + "\x00",
		"a character less":          n[:31],
		"two nonces":                n + n,
		"spaces":                    strings.Repeat(" ", 32),
		"NULs":                      strings.Repeat("\x00", 32),
		"the other case":            swapCase(n),
		"padding":                   n + "=",
		"a huge one":                strings.Repeat(n, 1<<16),
		"of another key":            newSource(t, c, key2).Current(),
		"of a random key":           newSource(t, c).Current(),
		"of another label":          expected(key1, "https://mcp.example.com/", 150, 12_000_000),
		"of another period":         expected(key1, label, 300, 6_000_000),
		"of the period before last": expected(key1, label, 150, 12_000_000-2),
		"of the next period":        expected(key1, label, 150, 12_000_000+1),
	}
	for i := range n { // every character counts
		refused["changed at "+string(rune('a'+i))] = n[:i] + string(n[i]^1) + n[i+1:]
	}
	for name, n := range refused {
		t.Run(name, func(t *testing.T) { require.Equal(t, nonce.Verdict{}, s.Check(n)) })
	}
}

func swapCase(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r ^ 0x20
		}
		return r
	}, s)
}

func TestDPOP17_ReplicasAndRestarts(t *testing.T) {
	t.Run("DPOP-17 a nonce survives a restart under the same key", func(t *testing.T) {
		c := newClock(start)
		n := newSource(t, c, key1).Current()
		c.advance(150 * time.Second)
		require.True(t, newSource(t, c, key1).Check(n).Accepted)
	})
	t.Run("two random keys are different", func(t *testing.T) {
		c := newClock(start)
		require.NotEqual(t, newSource(t, c).Current(), newSource(t, c).Current())
	})
	t.Run("no client goes in circles between replicas whose clocks differ by ten seconds", func(t *testing.T) {
		slow, fast := newClock(start), newClock(start.Add(10*time.Second))
		a, b := newSource(t, slow, key1), newSource(t, fast, key1)
		for range 1000 { // seconds
			require.True(t, b.Check(a.Current()).Accepted)
			require.True(t, a.Check(b.Current()).Accepted)
			slow.advance(time.Second)
			fast.advance(time.Second)
		}
	})
	t.Run("nobody accepts a nonce after Until, also where the clock is slow by ten seconds", func(t *testing.T) {
		slow, right := newClock(start), newClock(start)
		a, b := newSource(t, slow, key1), newSource(t, right, key1)
		n := b.Current()
		v := b.Check(n)
		right.set(v.Until)
		slow.set(v.Until.Add(-10 * time.Second))
		require.False(t, b.Check(n).Accepted)
		require.False(t, a.Check(n).Accepted)
	})
	t.Run("a rotation of keys refuses no nonce", func(t *testing.T) {
		c := newClock(start)
		// Each pair is a moment of the deployment at which two replicas differ.
		for _, pair := range [][2][][]byte{
			{{key1}, {key1, key2}},
			{{key1, key2}, {key2, key1}},
			{{key2, key1}, {key2}},
		} {
			a, b := newSource(t, c, pair[0]...), newSource(t, c, pair[1]...)
			require.True(t, b.Check(a.Current()).Accepted)
			require.True(t, a.Check(b.Current()).Accepted)
		}
		require.False(t, newSource(t, c, key2).Check(newSource(t, c, key1).Current()).Accepted, "a removed key is refused")
		v := newSource(t, c, key2, key1).Check(newSource(t, c, key1).Current())
		require.True(t, v.Accepted && v.Renew, "a nonce of the older key is replaced soon")
	})
	t.Run("a key given twice is the first key", func(t *testing.T) {
		s := newSource(t, newClock(start), key1, key1)
		require.Equal(t, nonce.Verdict{Accepted: true, Until: start.Add(310 * time.Second)}, s.Check(s.Current()))
	})
	t.Run("short periods have a shorter tolerance", func(t *testing.T) {
		c := newClock(start)
		s, err := nonce.New(nonce.Config{Period: time.Second, Now: c.now})
		require.NoError(t, err)
		n := s.Current()
		c.advance(-1)
		require.False(t, s.Check(n).Accepted)
	})
}

func TestConfigMistakesAreAllNamed(t *testing.T) {
	secret := []byte("short and secret")
	_, err := nonce.New(nonce.Config{
		Keys:   [][]byte{secret, make([]byte, 64), nil, key1, key1, key1, key1, key1, key1},
		Period: 1500 * time.Millisecond,
	})
	require.Error(t, err)
	for _, text := range []string{
		"Keys: 9: write at most 8", "Keys[0]: 16 bytes: write at least 32", "Keys[1]: all bytes are the same", "Keys[2]: 0 bytes",
		"Label: empty", "Period: 1.5s: write whole seconds",
	} {
		require.ErrorContains(t, err, text)
	}
	require.NotContains(t, err.Error(), string(secret))
	for _, d := range []time.Duration{-time.Second, -1, 1, time.Hour + time.Second} {
		_, err := nonce.New(nonce.Config{Period: d})
		require.ErrorContains(t, err, "Period", "%v", d)
	}
	for _, d := range []time.Duration{time.Second, time.Hour} {
		_, err := nonce.New(nonce.Config{Period: d})
		require.NoError(t, err)
	}
}

func TestKeysAreCopied(t *testing.T) {
	c := newClock(start)
	key := bytes.Clone(key1)
	s := newSource(t, c, key)
	clear(key)
	require.Equal(t, expected(key1, label, 150, 12_000_000), s.Current())
}

func TestZeroSourceRefuses(t *testing.T) {
	for _, s := range []*nonce.Source{nil, new(nonce.Source)} {
		require.Empty(t, s.Current())
		require.Equal(t, nonce.Verdict{}, s.Check(""))
		require.Equal(t, nonce.Verdict{}, s.Check(expected(nil, "", 0, 0)))
		require.Equal(t, nonce.Verdict{}, s.Check(strings.Repeat("\x00", 32)))
	}
}

// Goroutines that cross the border of a period together see whole epochs only.
func TestConcurrentUse(t *testing.T) {
	c := newClock(start.Add(-time.Second))
	s := newSource(t, c, key1, key2)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if !s.Check(s.Current()).Accepted {
					t.Error("refused what was current a moment ago")
					return
				}
				c.advance(10 * time.Millisecond)
			}
		})
	}
	wg.Wait()
}

func TestNothingIsAllocated(t *testing.T) {
	c := newClock(start)
	s := newSource(t, c, key1, key2)
	previous := s.Current()
	c.advance(150 * time.Second)
	current, wrong := s.Current(), strings.Repeat("A", 32)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_ = s.Current()
		if !s.Check(current).Accepted || !s.Check(previous).Accepted || s.Check(wrong).Accepted {
			panic("wrong verdict")
		}
	}))
}

// What is accepted at any time is what the definition says, whatever the Source
// was asked before.
func FuzzCheck(f *testing.F) {
	f.Add(expected(key1, label, 150, 12_000_000), int64(0), int64(0))
	f.Add(expected(key2, label, 150, 12_000_000), int64(150), int64(-10))
	f.Add(expected(key1, label, 150, 12_000_000), int64(-11), int64(300))
	f.Add(expected(key2, label, 150, 12_000_001), int64(140), int64(139))
	f.Add("", int64(-12_000_000*150-1), int64(0))
	f.Add(strings.Repeat("\x00", 32), int64(1), int64(1))
	f.Fuzz(func(t *testing.T, text string, at, before int64) {
		c := newClock(start)
		s := newSource(t, c, key1, key2)
		const century = 100 * 365 * 24 * 3600
		for _, sec := range []int64{before % century, at % century} {
			now := start.Unix() + sec
			c.set(time.Unix(now, 0))
			period := now / 150
			if now%150 < 0 {
				period--
			}
			offered := []string{text}
			for n := period - 3; n <= period+3; n++ {
				offered = append(offered, expected(key1, label, 150, n), expected(key2, label, 150, n))
			}
			for _, text := range offered {
				var want nonce.Verdict
				for i, key := range [][]byte{key1, key2} {
					for n := period - 1; n <= period+1; n++ {
						if text == expected(key, label, 150, n) && (n <= period || now+10 >= n*150) {
							want = nonce.Verdict{Accepted: true, Renew: i > 0 || n < period, Until: time.Unix(n*150+310, 0)}
						}
					}
				}
				require.Equal(t, want, s.Check(text))
			}
		}
	})
}

// A check costs a small part of the hash that it does without.
func BenchmarkCheck(b *testing.B) {
	s, err := nonce.New(nonce.Config{Keys: [][]byte{key1, key2}, Label: label})
	require.NoError(b, err)
	const rounds = 20_000
	began := time.Now()
	for range rounds {
		expected(key1, label, 150, 1)
	}
	anchor := float64(time.Since(began)) / rounds
	for _, bb := range []struct{ name, nonce string }{{"current", ""}, {"wrong", strings.Repeat("A", 32)}} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				n := bb.nonce
				if n == "" {
					n = s.Current()
				}
				s.Check(n)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-hmac")
		})
	}
}
