package redisstore_test

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// What comes after a call has ended answers no other one, neither where time was up nor where the caller has given up: every fifth
// answer comes here after twice the time that calls wait.
func TestALateAnswerIsNobodyElses(t *testing.T) {
	const wait = 20 * time.Millisecond
	server := redistest.Start(t)
	late := newLate(t, server.Addr(), 2*wait)
	quick := newStore(t, newClient(t, server.Addr()))
	s := newStore(t, newClient(t, late, func(o *redis.Options) { o.PoolSize = 2 }), func(o *redisstore.Options) { o.Timeout = wait })
	var ids [8]mcpauth.RevocationID
	for i := range ids {
		ids[i] = unique()
		require.NoError(t, quick.Put(t.Context(), ids[i], int64(i+1), inAMinute()))
	}
	var wg sync.WaitGroup
	var right, failed, twice atomic.Int64
	for i := range ids {
		wg.Go(func() {
			for n := range 20 {
				ctx, cancel := context.WithCancel(t.Context())
				if n%3 == 0 {
					time.AfterFunc(wait/4, cancel)
				}
				before, err := s.Find(ctx, []mcpauth.RevocationID{ids[i]})
				cancel()
				switch {
				case err != nil:
					failed.Add(1)
				case before[0] != int64(i+1):
					t.Errorf("%v is the answer to another question", before)
				default:
					right.Add(1)
				}
				p, added := proof(), 0
				for range 3 {
					if ok, err := s.Add(t.Context(), p, inAMinute()); ok && err == nil {
						added++
					}
				}
				if added > 1 {
					twice.Add(1)
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, twice.Load(), "proofs were admitted twice")
	t.Logf("%d right, %d failed", right.Load(), failed.Load())
	require.NotZero(t, failed.Load())
}

// newLate returns the address of a proxy that hands every fifth answer on after a while.
func newLate(t *testing.T, target string, while time.Duration) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	var turn atomic.Int64
	serve := func(client net.Conn) {
		defer client.Close()
		server, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer server.Close()
		go func() { _, _ = io.Copy(server, client) }()
		answer := make([]byte, 1<<16)
		for {
			n, err := server.Read(answer)
			if err != nil {
				return
			}
			if turn.Add(1)%5 == 0 {
				time.Sleep(while)
			}
			if _, err := client.Write(answer[:n]); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go serve(client)
		}
	}()
	return l.Addr().String()
}
