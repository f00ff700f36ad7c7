package redisstore_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// What go-redis would wait by itself in these tests, so that one who waits for that shows.
const ages = 10 * time.Minute

func slow(o *redis.Options) {
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.PoolSize = ages, ages, ages, ages, 2
}

func briefly(o *redisstore.Options) { o.Timeout = 50 * time.Millisecond }

// prompt fails the test if f takes as long as go-redis would.
func prompt(t testing.TB, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("it hangs")
	}
}

func refusesAll(t testing.TB, s *redisstore.Store) {
	t.Helper()
	for what, err := range everything(s) {
		require.Error(t, err, what)
		require.ErrorContains(t, err, "redisstore: ", what)
		require.NotContains(t, err.Error(), "mcpauth:p:")
		require.NotContains(t, err.Error(), "spite", what)
	}
}

// A server that accepts connections and never says a word.
func TestATimeoutIsKept_SilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		var kept []net.Conn
		for {
			c, err := l.Accept()
			if err != nil {
				for _, c := range kept {
					_ = c.Close()
				}
				return
			}
			kept = append(kept, c)
		}
	}()
	for name, client := range map[string]redis.UniversalClient{
		"one server": newClient(t, l.Addr().String(), slow),
		"cluster":    cluster(t, redis.ClusterOptions{Addrs: []string{l.Addr().String()}, DialTimeout: ages, ReadTimeout: ages, WriteTimeout: ages, PoolTimeout: ages, PoolSize: 2}),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, client, briefly)
			prompt(t, func() { refusesAll(t, s) })
			prompt(t, func() { require.Error(t, s.Check(context.Background())) })
		})
	}
}

// A server that hangs while connections are open, with more callers than connections; the context's own
// time counts, too; and everything works again when the server does.
func TestATimeoutIsKept_Hang(t *testing.T) {
	server := redistest.Start(t)
	c := newClient(t, server.Addr(), slow)
	s := newStore(t, c, briefly)
	once := newStore(t, newClient(t, server.Addr(), func(o *redis.Options) { o.MaxRetries = -1 }), briefly)
	steady := newStore(t, c)
	for what, err := range everything(steady) {
		require.NoError(t, err, what)
	}
	p, until := proof(), inAMinute()
	server.Pause()
	prompt(t, func() {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for _, err := range everything([]*redisstore.Store{s, once}[i%2]) {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("no sign of the time in %v", err)
					}
				}
			})
		}
		wg.Wait()
	})
	prompt(t, func() {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		added, err := steady.Add(ctx, p, until) // Redis will do it when it wakes up, or not
		require.ErrorContains(t, err, "no answer in time")
		require.False(t, added)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		_, err = steady.Find(ctx, []mcpauth.RevocationID{unique()})
		require.ErrorIs(t, err, context.Canceled)
	})
	server.Resume()
	for what, err := range everything(steady) {
		require.NoError(t, err, what)
	}
}

// Nobody there: errors. There again: no errors, without anybody's help; what the crash took is gone, which is
// why Check asks for an append-only file.
func TestRedisGoesAndComesBack(t *testing.T) {
	server := redistest.Start(t)
	s := newStore(t, newClient(t, server.Addr()))
	p := proof()
	added, err := s.Add(t.Context(), p, inAMinute())
	require.NoError(t, err)
	require.True(t, added)
	for range 3 {
		server.Stop()
		short := newStore(t, newClient(t, server.Addr()), briefly)
		refusesAll(t, short)
		server.Restart()
		// go-redis remembers for up to a second that nobody was there.
		require.Eventually(t, func() bool {
			for _, err := range everything(short) {
				if err != nil {
					return false
				}
			}
			return true
		}, time.Minute, 10*time.Millisecond)
		for what, err := range everything(s) {
			require.NoError(t, err, what)
		}
	}
	added, err = s.Add(t.Context(), p, inAMinute())
	require.NoError(t, err)
	require.True(t, added)
}

// The choice: with the switch, nothing is revoked while nobody can tell. All else stays refused, and what Redis
// does say counts.
func TestDangerouslySkipRevocations(t *testing.T) {
	server := redistest.Start(t)
	var told []error
	c := newClient(t, server.Addr())
	skip := func(o *redisstore.Options) {
		o.DangerouslySkipRevocations, o.OnError = true, func(err error) { told = append(told, err) }
	}
	s := newStore(t, c, skip)
	id := mcpauth.RevocationID(unique())
	require.NoError(t, s.Put(t.Context(), id, 5, inAMinute()))
	require.Equal(t, []int64{5}, find(t, s, id))
	require.Empty(t, told)

	server.Stop()
	s = newStore(t, c, skip, briefly)
	require.Equal(t, []int64{0, 0}, find(t, s, id, mcpauth.RevocationID(unique())))
	require.Len(t, told, 1, "nobody would know")
	require.ErrorContains(t, told[0], "redisstore: revocations: ")
	failed := everything(s)
	for _, what := range []string{"Add", "Take", "Put"} {
		require.Error(t, failed[what], what)
	}
	require.NoError(t, failed["Find"])
	require.Error(t, s.Check(t.Context()))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Find(ctx, []mcpauth.RevocationID{id})
	require.ErrorIs(t, err, context.Canceled)
}

// Servers repeat what they were asked; errors do not. The cause can be had all the same.
func TestErrorsHoldNoKeys(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	for _, user := range [][]any{
		{"ACL", "SETUSER", "default", "resetkeys", "~other:*"},
		{"ACL", "SETUSER", "default", "allkeys", "-@all", "+acl", "+info"},
	} {
		require.NoError(t, c.Do(t.Context(), user...).Err())
		for what, err := range everything(s) {
			require.ErrorContains(t, err, "NOPERM", what)
			require.NotContains(t, err.Error(), "mcpauth:", what)
			var reply redis.Error
			require.ErrorAs(t, err, &reply, what)
		}
	}
	// One that does not know the command repeats all of it: here a server that knows none.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 1<<16)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					words := slices.DeleteFunc(slices.Clone(b[:n]), func(b byte) bool { return b < ' ' })
					if _, err := c.Write([]byte("-ERR unknown command: " + string(words) + "\r\n")); err != nil {
						return
					}
				}
			}()
		}
	}()
	foolish := newStore(t, newClient(t, l.Addr().String(), func(o *redis.Options) { o.Protocol, o.DisableIdentity = 2, true }))
	for what, err := range everything(foolish) {
		require.ErrorContains(t, err, "ERR", what)
		require.NotContains(t, err.Error(), "mcpauth:", what)
	}
}
