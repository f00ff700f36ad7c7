package introspect_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/introspect"
	"github.com/go-mcpauth/sdk/internal/tokencache"
)

// TestAWarmHitAllocatesNothing covers both answers that are remembered.
func TestAWarmHitAllocatesNothing(t *testing.T) {
	for _, body := range []string{good, bad} {
		c := newClient(t, introspect.Config{Fetch: quickRemote(says(200, body)).client(), Now: func() time.Time { return testNow }})
		ctx, hash := context.Background(), hashOf(token)
		_, _ = c.Ask(ctx, token, hash)
		require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = c.Ask(ctx, token, hash) }))
	}
}

// BenchmarkWarm compares a remembered answer with the bare cache: ratio is the quotient.
func BenchmarkWarm(b *testing.B) {
	const tokens = 1000
	hashes := make([][32]byte, tokens)
	for i := range hashes {
		hashes[i] = hashOf(fmt.Sprint(i))
	}
	anchor := tokencache.New[*int](tokencache.Config{})
	for _, h := range hashes {
		anchor.Add(h, tokencache.Item{Expiry: time.Now().Add(time.Hour)}, new(int))
	}
	began, n := time.Now(), 1_000_000
	for i := range n {
		if _, ok := anchor.Get(hashes[i%tokens]); !ok {
			b.Fatal("lost")
		}
	}
	bare := float64(time.Since(began).Nanoseconds()) / float64(n)
	for _, tt := range []struct{ name, body string }{{"active", good}, {"inactive", bad}} {
		b.Run(tt.name, func(b *testing.B) {
			c := newClient(b, introspect.Config{Fetch: quickRemote(says(200, tt.body)).client(), MaxAge: time.Hour, MaxNegativeAge: time.Minute})
			ctx := context.Background()
			_, _ = c.Ask(ctx, token, hashOf(token))
			hash := hashOf(token)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.Ask(ctx, token, hash)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/bare, "ratio")
		})
	}
}
