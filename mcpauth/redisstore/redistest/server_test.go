//go:build unix

package redistest_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

func ping(addr string) error {
	c := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	return c.Ping(ctx).Err()
}

func answers(t *testing.T, addr string) {
	t.Helper()
	require.Eventually(t, func() bool { return ping(addr) == nil }, time.Minute, time.Millisecond)
}

func TestServer(t *testing.T) {
	s, other := redistest.Start(t), redistest.Start(t)
	require.NotEqual(t, s.Addr(), other.Addr())
	answers(t, s.Addr())
	s.Pause()
	require.Error(t, ping(s.Addr()))
	s.Resume()
	answers(t, s.Addr())
	addr := s.Addr()
	s.Stop()
	s.Stop()
	require.Error(t, ping(addr))
	require.Equal(t, addr, s.Addr())
	s.Restart()
	answers(t, addr)
	s.Restart() // a running one
	answers(t, addr)
	s.Pause()
	s.Stop() // a paused one
	require.Error(t, ping(addr))
	answers(t, other.Addr())
}

// One that is durable knows after a crash what it has answered; others know nothing.
func TestDurable(t *testing.T) {
	for name, s := range map[string]*redistest.Server{"1": redistest.StartDurable(t), "": redistest.Start(t)} {
		c := redis.NewClient(&redis.Options{Addr: s.Addr()})
		defer c.Close()
		answers(t, s.Addr())
		require.NoError(t, c.Set(t.Context(), "key", "1", 0).Err())
		s.Restart()
		answers(t, s.Addr())
		value, err := c.Get(t.Context(), "key").Result()
		require.Equal(t, name, value)
		require.Equal(t, name == "", err == redis.Nil)
	}
}

// Servers end with their test, and those of a cluster, too.
func TestNothingIsLeft(t *testing.T) {
	var addrs []string
	t.Run("inner", func(t *testing.T) {
		addrs = append(addrs, redistest.Start(t).Addr())
		for _, s := range redistest.StartCluster(t) {
			addrs = append(addrs, s.Addr())
		}
		redistest.Start(t).Pause()
	})
	require.Len(t, addrs, 4)
	for _, addr := range addrs {
		require.Error(t, ping(addr))
	}
}

// Without redis-server tests fail and say what to do. This test runs itself anew without a path.
func TestMissingServerFails(t *testing.T) {
	if os.Getenv("REDISTEST_WITHOUT") != "" {
		redistest.Start(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestMissingServerFails$", "-test.v")
	cmd.Env = append(os.Environ(), "REDISTEST_WITHOUT=1", "PATH="+t.TempDir())
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "--- FAIL")
	require.Contains(t, string(out), "apt-get install redis-server")
	require.False(t, strings.Contains(string(out), "--- SKIP"))
}
