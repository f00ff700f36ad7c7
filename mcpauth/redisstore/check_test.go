package redisstore_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// leastACL is what the package comment says that the Store needs.
var leastACL = []any{"ACL", "SETUSER", "mcp", "on", ">secret", "~mcpauth:*", "-@all", "+set", "+get", "+mget", "+pttl", "+time", "+eval", "+evalsha"}

func TestCheck(t *testing.T) {
	server := redistest.Start(t)
	c := newClient(t, server.Addr())
	s := newStore(t, c)
	require.ErrorIs(t, s.Check(t.Context()), redisstore.ErrForgets, "servers of redistest write no file")
	require.NoError(t, c.ConfigSet(t.Context(), "appendonly", "yes").Err())
	require.NoError(t, s.Check(t.Context()))
	require.NoError(t, s.Check(t.Context()), "once more")

	for _, policy := range []string{"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"} {
		require.NoError(t, c.ConfigSet(t.Context(), "maxmemory-policy", policy).Err())
		err := s.Check(t.Context())
		require.ErrorIs(t, err, redisstore.ErrEvicts)
		require.ErrorContains(t, err, policy)
		require.NotErrorIs(t, err, redisstore.ErrForgets)
	}
	require.NoError(t, c.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())

	// What is forbidden is named: the settings, or what the Store needs.
	require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "-info").Err())
	err := s.Check(t.Context())
	require.ErrorContains(t, err, "nobody knows whether it is safe")
	require.ErrorContains(t, err, "NOPERM")
	require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "+info", "-mget").Err())
	require.ErrorContains(t, s.Check(t.Context()), "redisstore: revocations: NOPERM")
	require.NoError(t, c.Do(t.Context(), "ACL", "SETUSER", "default", "+mget").Err())

	// The commands that the package comment names are enough.
	require.NoError(t, c.Do(t.Context(), leastACL...).Err())
	least := newStore(t, newClient(t, server.Addr(), func(o *redis.Options) { o.Username, o.Password = "mcp", "secret" }))
	for what, err := range everything(least) {
		require.NoError(t, err, what)
	}
}

func TestCheckKnowsReplicas(t *testing.T) {
	first, second := redistest.Start(t), redistest.Start(t)
	c := newClient(t, second.Addr())
	host, port := "127.0.0.1", first.Addr()[len("127.0.0.1:"):]
	require.NoError(t, c.SlaveOf(t.Context(), host, port).Err())
	s := newStore(t, c)
	// A replica that has not heard from its primary yet says LOADING or MASTERDOWN instead.
	require.Eventually(t, func() bool { return c.Ping(context.Background()).Err() == nil }, time.Minute, 10*time.Millisecond)
	err := s.Check(t.Context())
	require.ErrorIs(t, err, redisstore.ErrReplica)
	added, err := s.Add(t.Context(), proof(), inAMinute())
	require.Error(t, err)
	require.False(t, added)
}

func TestCheckLooksAtEveryNode(t *testing.T) {
	servers := redistest.StartCluster(t)
	s := newStore(t, cluster(t, redis.ClusterOptions{Addrs: []string{servers[0].Addr()}}))
	for i, server := range servers {
		c := newClient(t, server.Addr())
		require.ErrorIs(t, newStore(t, c).Check(t.Context()), redisstore.ErrClient)
		require.NoError(t, c.ConfigSet(t.Context(), "appendonly", "yes").Err())
		if err := s.Check(t.Context()); i < len(servers)-1 {
			require.ErrorIs(t, err, redisstore.ErrForgets)
			require.NotErrorIs(t, err, redisstore.ErrClient)
		} else {
			require.NoError(t, err)
		}
	}
	require.NoError(t, newClient(t, servers[2].Addr()).ConfigSet(t.Context(), "maxmemory-policy", "allkeys-lru").Err())
	require.ErrorIs(t, s.Check(t.Context()), redisstore.ErrEvicts)

	// The commands that the package comment names are enough.
	for _, server := range servers {
		require.NoError(t, newClient(t, server.Addr()).Do(t.Context(), append(leastACL, "+cluster|slots")...).Err())
	}
	least := newStore(t, cluster(t, redis.ClusterOptions{Addrs: []string{servers[0].Addr()}, Username: "mcp", Password: "secret"}))
	for what, err := range everything(least) {
		require.NoError(t, err, what)
	}
}
