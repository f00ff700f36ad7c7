package ratelimit_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

const million = 1_000_000

// owners of the benchmark's buckets, in turn.
const owners = 1000

// perHour is a rate that no benchmark gets to the end of, and that keeps each bucket from filling up.
var perHour = ratelimit.Rate{Events: 1_000, Per: time.Hour, Burst: 1_000_000}

// numbered is the key, or the owner, with a number. The store hashes it again, so it is as good as a hash.
func numbered(n int) (key [32]byte) {
	binary.LittleEndian.PutUint64(key[:], uint64(n))
	return key
}

func takeNumber(s *ratelimit.Store, n int, rate ratelimit.Rate) (time.Duration, error) {
	wait, _, err := s.Take(numbered(n%owners), []ratelimit.Bucket{{Key: numbered(n), Rate: rate}})
	return wait, err
}

// hashTime is the anchor: SHA-256 of 32 bytes in this run, about what a caller pays to make a key.
func hashTime() float64 {
	const rounds = 200_000
	var sum [32]byte
	best := time.Hour
	for range 5 {
		began := time.Now()
		for range rounds {
			sum = sha256.Sum256(sum[:])
		}
		best = min(best, time.Since(began))
	}
	runtime.KeepAlive(sum)
	return float64(best) / rounds
}

// heap returns the bytes in use after a collection, and how long the fastest of
// some collections took.
func heap() (used uint64, collection time.Duration) {
	runtime.GC() // the first after a lot of work sweeps as well
	collection = time.Hour
	for range 200 {
		began := time.Now()
		runtime.GC()
		collection = min(collection, time.Since(began))
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc, collection
}

// A Take of one bucket, of some that are all there.
func BenchmarkTake(b *testing.B) {
	for _, keys := range []int{1, 10_000, million} {
		b.Run(fmt.Sprintf("keys=%d", keys), func(b *testing.B) {
			anchor := hashTime()
			s := ratelimit.New(ratelimit.Config{})
			for i := range keys {
				if wait, err := takeNumber(s, i, perHour); wait != 0 {
					b.Fatal(i, wait, err)
				}
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				// In an order that the processor does not foresee.
				i = (i + 611_953) % keys
				if _, err := takeNumber(s, i, perHour); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
		})
	}
	b.Run("four", func(b *testing.B) {
		anchor := hashTime()
		s := ratelimit.New(ratelimit.Config{})
		buckets := make([]ratelimit.Bucket, 4)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n++
			for i := range buckets { // one for all, one for each of 1000 callers, two for their operations
				buckets[i] = ratelimit.Bucket{Key: numbered(i + min(i, 1)*10*(n%1000)), Rate: perHour}
			}
			if _, _, err := s.Take(numbered(n%1000), buckets); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
	})
	b.Run("refused", func(b *testing.B) {
		anchor := hashTime()
		s := ratelimit.New(ratelimit.Config{})
		once := ratelimit.Rate{Events: 1, Per: time.Hour}
		if wait, err := takeNumber(s, 0, once); wait != 0 {
			b.Fatal(wait, err)
		}
		b.ReportAllocs()
		for b.Loop() {
			if wait, _ := takeNumber(s, 0, once); wait == 0 {
				b.Fatal("admitted")
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
	})
	b.Run("parallel", func(b *testing.B) {
		anchor := hashTime()
		s := ratelimit.New(ratelimit.Config{})
		var goroutines atomic.Int64
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			n := int(goroutines.Add(1)) * 1000
			for i := n; pb.Next(); i = n + (i+1)%1000 {
				if _, err := takeNumber(s, i, perHour); err != nil {
					b.Error(err)
				}
			}
		})
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
	})
}

// On the way to a million buckets that are not full: the mean Take, the worst, what a bucket needs, and
// how much longer collections of garbage take than with an empty heap. What the machine does meanwhile
// for others only ever adds to the worst Take: that of the calmest million is reported.
func BenchmarkFill(b *testing.B) {
	b.Run("mean", func(b *testing.B) {
		anchor := hashTime()
		b.ReportAllocs()
		for b.Loop() {
			s := ratelimit.New(ratelimit.Config{})
			for i := range million {
				if wait, err := takeNumber(s, i, perHour); wait != 0 {
					b.Fatal(i, wait, err)
				}
			}
		}
		mean := float64(b.Elapsed()) / float64(b.N) / million
		b.ReportMetric(mean, "ns/take")
		b.ReportMetric(mean/anchor, "x-sha256")
	})
	b.Run("worst", func(b *testing.B) {
		best := time.Hour
		for b.Loop() {
			var worst time.Duration
			s := ratelimit.New(ratelimit.Config{})
			for i := range million {
				began := time.Now()
				if wait, err := takeNumber(s, i, perHour); wait != 0 {
					b.Fatal(i, wait, err)
				}
				worst = max(worst, time.Since(began))
			}
			best = min(best, worst)
		}
		b.ReportMetric(float64(best)/1e6, "ms-worst")
	})
	b.Run("heap", func(b *testing.B) {
		emptyUsed, emptyTime := heap()
		s := ratelimit.New(ratelimit.Config{})
		var used uint64
		var collection time.Duration
		for b.Loop() {
			for i := range million {
				if wait, err := takeNumber(s, i, perHour); wait != 0 {
					b.Fatal(i, wait, err)
				}
			}
			used, collection = heap()
		}
		if s.Len() != million {
			b.Fatal(s.Len())
		}
		b.ReportMetric(float64(used-emptyUsed)/million, "B/bucket")
		b.ReportMetric(float64(collection)/float64(emptyTime), "x-empty-gc")
	})
}

// A flood of callers who come once each, about a million of their buckets not having filled up yet.
func BenchmarkFlood(b *testing.B) {
	const life = 300 // seconds
	once := ratelimit.Rate{Events: 1, Per: life * time.Second}
	c := newClock()
	s := ratelimit.New(ratelimit.Config{Capacity: 2 * million, Now: c.now})
	next := 0
	take := func() {
		if next++; next%(million/life) == 0 {
			c.advance(time.Second)
		}
		if wait, err := takeNumber(s, next, once); wait != 0 {
			b.Fatal(next, wait, err)
		}
	}
	for range 2 * million {
		take()
	}
	b.Run("mean", func(b *testing.B) {
		anchor := hashTime()
		b.ReportAllocs()
		for b.Loop() {
			take()
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
		b.ReportMetric(float64(s.Table()*ratelimit.EntrySize)/million, "B/bucket")
	})
	b.Run("worst", func(b *testing.B) {
		best := time.Hour
		for b.Loop() {
			var worst time.Duration
			for range million {
				began := time.Now()
				take()
				worst = max(worst, time.Since(began))
			}
			best = min(best, worst)
		}
		b.ReportMetric(float64(best)/1e6, "ms-worst")
	})
}

// A store that is full refuses at once, and still serves those it knows.
func BenchmarkFull(b *testing.B) {
	c := newClock()
	s := ratelimit.New(ratelimit.Config{Now: c.now})
	refused := 0
	for i := 0; refused < 1<<16; i++ {
		if _, err := takeNumber(s, i, perHour); err == ratelimit.ErrFull {
			refused++
		}
	}
	b.Run("new", func(b *testing.B) {
		anchor := hashTime()
		b.ReportAllocs()
		full, n := 0, 1<<40
		for b.Loop() {
			n++
			if _, err := takeNumber(s, n, perHour); err == ratelimit.ErrFull {
				full++
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
		b.ReportMetric(float64(full)/float64(b.N), "refused")
	})
	b.Run("known", func(b *testing.B) {
		anchor := hashTime()
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			n = (n + 611_953) % 100_000
			if _, err := takeNumber(s, n, perHour); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed())/float64(b.N)/anchor, "x-sha256")
	})
}
