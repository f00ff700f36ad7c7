package redisstore_test

import (
	"bytes"
	"context"
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

// DPOP-13: of all that come at once, at whatever replica, one is the first.
func oneOfManyIsFirst(t *testing.T, new func() redis.UniversalClient) {
	const replicas, callers, proofs = 3, 8, 40
	var stores []*redisstore.Store
	for range replicas {
		stores = append(stores, newStore(t, new()))
	}
	var added [proofs]atomic.Int64
	var all []mcpauth.ProofID
	for range proofs {
		all = append(all, proof())
	}
	until := inAMinute()
	start := make(chan struct{})
	var wg sync.WaitGroup
	errs := make(chan error, replicas*callers*proofs)
	for i := range replicas * callers {
		wg.Go(func() {
			<-start
			for n, p := range all {
				ok, err := stores[i%replicas].Add(context.Background(), p, until)
				if err != nil {
					errs <- err
				}
				if ok {
					added[n].Add(1)
				}
			}
		})
	}
	close(start)
	wg.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	for n := range added {
		require.EqualValues(t, 1, added[n].Load())
	}
}

// Whatever time a replica believes it is, Redis remembers for as long as the replica asks, and the margin.
func TestProofsAreRememberedByTheClockOfRedis(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	for name, off := range map[string]time.Duration{"right": 0, "a year late": -365 * 24 * time.Hour, "a year ahead": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			now := time.Now().Add(off)
			s := newStore(t, c, func(o *redisstore.Options) { o.Now = func() time.Time { return now } })
			p := proof()
			before := serverTime(t, c)
			added, err := s.Add(t.Context(), p, now.Add(5*time.Minute+time.Nanosecond))
			require.NoError(t, err)
			require.True(t, added)
			after := serverTime(t, c)
			ends := expireTime(t, c, s.ProofKey(p))
			life := 5*time.Minute + redisstore.Margin
			require.False(t, ends.Before(before.Truncate(time.Millisecond).Add(life)), "forgotten too early")
			require.False(t, ends.After(after.Add(life+2*time.Millisecond)), "remembered too long")
			// A second one changes nothing.
			now = now.Add(time.Minute)
			added, err = s.Add(t.Context(), p, now.Add(5*time.Minute))
			require.NoError(t, err)
			require.False(t, added)
			require.Equal(t, ends, expireTime(t, c, s.ProofKey(p)))
			// What is over need not be remembered; only a clock that is not the middleware's asks for it.
			for _, until := range []time.Time{now, now.Add(-time.Hour), {}} {
				added, err = s.Add(t.Context(), proof(), until)
				require.ErrorContains(t, err, "Options.Now")
				require.False(t, added)
			}
		})
	}
}

func serverTime(t testing.TB, c *redis.Client) time.Time {
	t.Helper()
	now, err := c.Time(t.Context()).Result()
	require.NoError(t, err)
	return now
}

func expireTime(t testing.TB, c *redis.Client, key string) time.Time {
	t.Helper()
	d, err := c.PExpireTime(t.Context(), key).Result()
	require.NoError(t, err)
	require.Positive(t, d, "no expiry")
	return time.UnixMilli(d.Milliseconds())
}

// What is forgotten is new: nothing is kept for ever.
func TestProofsEnd(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	p := proof()
	_, err := s.Add(t.Context(), p, inAMinute())
	require.NoError(t, err)
	require.NoError(t, c.PExpireAt(t.Context(), s.ProofKey(p), time.Now().Add(-time.Second)).Err())
	added, err := s.Add(t.Context(), p, inAMinute())
	require.NoError(t, err)
	require.True(t, added)
}

// An answer that is lost says nothing: the error is one, and the proof counts as used. Where go-redis asks
// again, the same call learns that it was the first; another one never does.
func TestDPOP15_LostAnswers(t *testing.T) {
	server := redistest.Start(t)
	for name, retries := range map[string]int{"asked once": -1, "asked again": 3} {
		t.Run(name, func(t *testing.T) {
			lossy := newLossy(t, server.Addr(), "\r\nNX\r\n")
			s := newStore(t, newClient(t, lossy.addr, func(o *redis.Options) { o.MaxRetries = retries }))
			p := proof()
			lossy.lose.Store(1)
			added, err := s.Add(t.Context(), p, inAMinute())
			require.Zero(t, lossy.lose.Load(), "nothing was lost")
			if retries < 0 {
				require.Error(t, err)
				require.False(t, added)
			} else {
				require.NoError(t, err)
				require.True(t, added)
			}
			added, err = s.Add(t.Context(), p, inAMinute())
			require.NoError(t, err)
			require.False(t, added)
			// And one that was used before stays so, however often the answer is lost.
			lossy.lose.Store(1)
			added, err = s.Add(t.Context(), p, inAMinute())
			require.Equal(t, retries < 0, err != nil)
			require.False(t, added)
		})
	}
}

// A lossy proxy hands requests on, but closes the connection instead of handing on the answer to those that
// have a word in them, as often as lose says.
type lossy struct {
	addr string
	lose atomic.Int64
}

func newLossy(t *testing.T, target, word string) *lossy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	p := &lossy{addr: l.Addr().String()}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(client, target, []byte(word))
		}
	}()
	return p
}

func (p *lossy) serve(client net.Conn, target string, word []byte) {
	defer client.Close()
	server, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer server.Close()
	ask, answer := make([]byte, 1<<16), make([]byte, 1<<16)
	for { // a request is never larger than that here, and the client waits for its answer
		n, err := client.Read(ask)
		if err != nil {
			return
		}
		if _, err := server.Write(ask[:n]); err != nil {
			return
		}
		m, err := server.Read(answer)
		if err != nil {
			return
		}
		if bytes.Contains(ask[:n], word) && p.lose.Add(-1) >= 0 {
			return
		} else if bytes.Contains(ask[:n], word) {
			p.lose.Store(0)
		}
		if _, err := client.Write(answer[:m]); err != nil {
			return
		}
	}
}

// DPOP-15: a server that is full, and does not drop anything, makes errors of new proofs. Old ones are known.
func TestDPOP15_FullIsRefused(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	old := proof()
	_, err := s.Add(t.Context(), old, inAMinute())
	require.NoError(t, err)
	id := mcpauth.RevocationID(unique())
	require.NoError(t, s.Put(t.Context(), id, 9, inAMinute()))
	require.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "1").Err())
	failed := everything(s)
	for _, what := range []string{"Add", "Take", "Put"} {
		require.ErrorContains(t, failed[what], "OOM", what)
	}
	found, err := s.Find(t.Context(), []mcpauth.RevocationID{id})
	require.NoError(t, err)
	require.Equal(t, []int64{9}, found)
	require.NoError(t, c.ConfigSet(t.Context(), "maxmemory", "0").Err())
	added, err := s.Add(t.Context(), old, inAMinute())
	require.NoError(t, err)
	require.False(t, added)
}

// Something else under the key of a proof is no proof that it is new.
func TestForeignKeysAreErrors(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	s := newStore(t, c)
	p, group, key, id := proof(), unique(), unique(), mcpauth.RevocationID(unique())
	rate := []mcpauth.LimitBucket{{Key: key, Rate: mcpauth.Rate{Events: 1, Per: time.Second}}}
	for name, write := range map[string]func(key string) error{
		"a list": func(key string) error { return c.LPush(t.Context(), key, "x").Err() },
		"a text": func(key string) error { return c.Set(t.Context(), key, "x", time.Minute).Err() },
	} {
		for _, k := range []string{s.ProofKey(p), s.BucketKey(group, key), s.RevocationKey(id)} {
			require.NoError(t, c.Del(t.Context(), k).Err())
			require.NoError(t, write(k))
		}
		added, err := s.Add(t.Context(), p, inAMinute())
		require.False(t, added, name)
		require.Equal(t, name == "a list", err != nil, name)
		_, _, err = s.Take(t.Context(), group, rate)
		require.Error(t, err, name)
		require.Error(t, s.Put(t.Context(), id, 1, inAMinute()), name)
		if name == "a text" { // MGET takes lists for nothing
			_, err = s.Find(t.Context(), []mcpauth.RevocationID{id})
			require.ErrorContains(t, err, "cannot be read")
		}
	}
	for _, text := range []string{"", "5", "0000000000000000000", "-000000000000000005", "0000000000000000005x", "9999999999999999999", "00000000000000000005"} {
		require.NoError(t, c.Set(t.Context(), s.RevocationKey(id), text, time.Minute).Err())
		before, err := s.Find(t.Context(), []mcpauth.RevocationID{id})
		require.ErrorContains(t, err, "cannot be read", text)
		require.Nil(t, before)
	}
}
