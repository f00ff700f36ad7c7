package redisstore_test

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// Each call beside its anchor, a PING over the same connection in the same run, one after the other.
func BenchmarkCalls(b *testing.B) {
	c := newClient(b, redistest.Start(b).Addr())
	s := newStore(b, c)
	ctx := context.Background()
	until := time.Now().Add(5 * time.Minute)
	used := proof()
	_, err := s.Add(ctx, used, until)
	require.NoError(b, err)
	group := unique()
	var buckets []mcpauth.LimitBucket
	for range 3 {
		buckets = append(buckets, mcpauth.LimitBucket{Key: unique(), Rate: mcpauth.Rate{Events: 1_000_000, Per: time.Second}})
	}
	var ids []mcpauth.RevocationID
	for range 5 {
		ids = append(ids, unique())
	}
	require.NoError(b, s.Put(ctx, ids[0], 5, until))
	for _, call := range []struct {
		name string
		f    func() error
	}{
		{"Add/new", func() error { _, err := s.Add(ctx, proof(), until); return err }},
		{"Add/used", func() error { _, err := s.Add(ctx, used, until); return err }},
		{"Take/1", func() error { _, _, err := s.Take(ctx, group, buckets[:1]); return err }},
		{"Take/3", func() error { _, _, err := s.Take(ctx, group, buckets); return err }},
		{"Put", func() error { return s.Put(ctx, ids[1], 5, until) }},
		{"Find/5", func() error { _, err := s.Find(ctx, ids); return err }},
	} {
		b.Run(call.name, func(b *testing.B) {
			b.ReportAllocs()
			var anchor, own time.Duration
			for b.Loop() {
				began := time.Now()
				if err := c.Ping(ctx).Err(); err != nil {
					b.Fatal(err)
				}
				pinged := time.Now()
				if err := call.f(); err != nil {
					b.Fatal(err)
				}
				anchor, own = anchor+pinged.Sub(began), own+time.Since(pinged)
			}
			b.ReportMetric(float64(own)/float64(b.N), "ns/call")
			b.ReportMetric(float64(own)/float64(anchor), "x-ping")
		})
	}
}

// Many callers at once, beside as many PINGs.
func BenchmarkParallel(b *testing.B) {
	server := redistest.Start(b)
	c := newClient(b, server.Addr())
	s := newStore(b, c)
	until := time.Now().Add(5 * time.Minute)
	rate := func(f func() error) float64 {
		const callers, each = 16, 1000
		began := time.Now()
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					if err := f(); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return callers * each / time.Since(began).Seconds()
	}
	ctx := context.Background()
	var pings, adds float64
	for b.Loop() {
		pings += rate(func() error { return c.Ping(ctx).Err() })
		adds += rate(func() error { _, err := s.Add(ctx, proof(), until); return err })
	}
	b.ReportMetric(adds/float64(b.N), "adds/s")
	b.ReportMetric(pings/adds, "x-ping")
}

// What one of each costs Redis in memory.
func BenchmarkMemory(b *testing.B) {
	const n, callers = 50_000, 10
	for _, what := range []struct {
		name string
		add  func(s *redisstore.Store) error
	}{
		{"proof", func(s *redisstore.Store) error {
			_, err := s.Add(context.Background(), proof(), inAMinute())
			return err
		}},
		{"bucket", func(s *redisstore.Store) error {
			_, _, err := s.Take(context.Background(), unique(), []mcpauth.LimitBucket{{Key: unique(), Rate: mcpauth.Rate{Events: 1, Per: time.Hour}}})
			return err
		}},
		{"revocation", func(s *redisstore.Store) error {
			return s.Put(context.Background(), mcpauth.RevocationID(unique()), 1<<62, inAMinute())
		}},
	} {
		b.Run(what.name, func(b *testing.B) {
			var bytes float64
			for b.Loop() {
				c := newClient(b, redistest.Start(b).Addr())
				s := newStore(b, c)
				require.NoError(b, what.add(s)) // connections and scripts are there
				before := usedMemory(b, c)
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for range n / callers {
							if err := what.add(s); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				bytes += float64(usedMemory(b, c)-before) / n
			}
			b.ReportMetric(bytes/float64(b.N), "B/each")
		})
	}
}

func usedMemory(b *testing.B, c *redis.Client) int {
	info, err := c.Info(context.Background(), "memory").Result()
	require.NoError(b, err)
	for line := range strings.Lines(info) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			n, err := strconv.Atoi(text)
			require.NoError(b, err)
			return n
		}
	}
	b.Fatal("no used_memory")
	return 0
}
