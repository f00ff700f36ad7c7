package redisstore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// patient is for tests that are about something else than timeouts: the machine may be busy.
const patient = 5 * time.Second

// quiet keeps go-redis from writing to standard error that nobody is there, which is what these tests are about.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	redis.SetLogger(quiet{})
	os.Exit(m.Run())
}

// newClient is a client of one server, closed when the test ends.
func newClient(t testing.TB, addr string, change ...func(*redis.Options)) *redis.Client {
	t.Helper()
	o := &redis.Options{Addr: addr, ContextTimeoutEnabled: true}
	for _, f := range change {
		f(o)
	}
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func newStore(t testing.TB, client redis.UniversalClient, change ...func(*redisstore.Options)) *redisstore.Store {
	t.Helper()
	o := redisstore.Options{Client: client, Timeout: patient}
	for _, f := range change {
		f(&o)
	}
	s, err := redisstore.New(o)
	require.NoError(t, err)
	return s
}

// One server and a cluster of three do the same. new makes a client of its own, as each replica has.
func TestOneServerAndCluster(t *testing.T) {
	conform := func(t *testing.T, new func() redis.UniversalClient) {
		t.Run("keys", func(t *testing.T) { keys(t, new) })
		t.Run("DPOP-13: one of many proofs is first", func(t *testing.T) { oneOfManyIsFirst(t, new) })
		t.Run("many replicas have one rate", func(t *testing.T) { manyReplicasOneRate(t, new) })
		t.Run("revocations count everywhere at once", func(t *testing.T) { revocationsCountEverywhereAtOnce(t, new) })
	}
	t.Run("one server", func(t *testing.T) {
		server := redistest.Start(t)
		conform(t, func() redis.UniversalClient { return newClient(t, server.Addr()) })
	})
	t.Run("cluster", func(t *testing.T) {
		var addrs []string
		for _, s := range redistest.StartCluster(t) {
			addrs = append(addrs, s.Addr())
		}
		conform(t, func() redis.UniversalClient { return cluster(t, redis.ClusterOptions{Addrs: addrs}) })
	})
}

var names atomic.Int64

// unique is a name that no other test uses.
func unique() [32]byte { return sha256.Sum256(fmt.Append(nil, names.Add(1))) }

func proof() mcpauth.ProofID { return mcpauth.ProofID{Thumbprint: unique(), JTI: unique()} }

func inAMinute() time.Time { return time.Now().Add(time.Minute) }

func TestNewNamesEveryMistake(t *testing.T) {
	good := newClient(t, "127.0.0.1:1")
	var nobody *redis.Client
	for name, c := range map[string]struct {
		options redisstore.Options
		want    []string
	}{
		"nothing":                    {redisstore.Options{}, []string{"Options.Client is nil"}},
		"a nil client":               {redisstore.Options{Client: nobody}, []string{"Options.Client is a nil"}},
		"a nil cluster":              {redisstore.Options{Client: (*redis.ClusterClient)(nil)}, []string{"Options.Client is a nil"}},
		"a client that does not end": {redisstore.Options{Client: newClient(t, "x:1", func(o *redis.Options) { o.ContextTimeoutEnabled = false })}, []string{"ContextTimeoutEnabled"}},
		"reads that do not end":      {redisstore.Options{Client: newClient(t, "x:1", func(o *redis.Options) { o.ReadTimeout = -2 })}, []string{"ReadTimeout"}},
		"writes that do not end":     {redisstore.Options{Client: newClient(t, "x:1", func(o *redis.Options) { o.WriteTimeout = -2 })}, []string{"WriteTimeout"}},
		"a ring":                     {redisstore.Options{Client: redis.NewRing(&redis.RingOptions{})}, []string{"redis.Ring"}},
		"a cluster's replicas":       {redisstore.Options{Client: cluster(t, redis.ClusterOptions{ReadOnly: true})}, []string{"from replicas"}},
		"the nearest replica":        {redisstore.Options{Client: cluster(t, redis.ClusterOptions{RouteByLatency: true})}, []string{"from replicas"}},
		"any replica":                {redisstore.Options{Client: cluster(t, redis.ClusterOptions{RouteRandomly: true})}, []string{"from replicas"}},
		"a cluster that hangs":       {redisstore.Options{Client: redis.NewClusterClient(&redis.ClusterOptions{})}, []string{"ContextTimeoutEnabled"}},
		"a tag in the prefix":        {redisstore.Options{Client: good, Prefix: "a{b}:"}, []string{"Options.Prefix"}},
		"a space inside the prefix":  {redisstore.Options{Client: good, Prefix: "a b"}, []string{"Options.Prefix"}},
		"a long prefix":              {redisstore.Options{Client: good, Prefix: strings.Repeat("a", 65)}, []string{"Options.Prefix"}},
		"a short timeout":            {redisstore.Options{Client: good, Timeout: time.Microsecond}, []string{"Options.Timeout"}},
		"a negative timeout":         {redisstore.Options{Client: good, Timeout: -1}, []string{"Options.Timeout"}},
		"a long timeout":             {redisstore.Options{Client: good, Timeout: time.Minute}, []string{"Options.Timeout"}},
		"all at once":                {redisstore.Options{Prefix: "{", Timeout: -1}, []string{"Options.Client", "Options.Prefix", "Options.Timeout"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := redisstore.New(c.options)
			require.Nil(t, s)
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
	// New does no I/O: nothing listens there.
	for _, o := range []redisstore.Options{{Client: good}, {Client: good, Prefix: strings.Repeat("a", 64), Timeout: time.Millisecond}, {Client: cluster(t, redis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}})}} {
		_, err := redisstore.New(o)
		require.NoError(t, err)
	}
}

func cluster(t testing.TB, o redis.ClusterOptions) *redis.ClusterClient {
	o.ContextTimeoutEnabled = true
	c := redis.NewClusterClient(&o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestTheZeroStoreRefuses(t *testing.T) {
	for _, s := range []*redisstore.Store{nil, {}} {
		for what, err := range everything(s) {
			require.ErrorContains(t, err, "not made by New", what)
		}
		require.Error(t, s.Check(t.Context()))
	}
}

// everything calls each method and returns what failed. It complains of an answer beside an error.
func everything(s *redisstore.Store) map[string]error {
	ctx := context.Background()
	out := make(map[string]error)
	added, err := s.Add(ctx, proof(), inAMinute())
	if err != nil && added {
		err = errors.New("added in spite of an error")
	}
	out["Add"] = err
	_, _, out["Take"] = s.Take(ctx, unique(), []mcpauth.LimitBucket{{Key: unique(), Rate: mcpauth.Rate{Events: 1, Per: time.Second}}})
	out["Put"] = s.Put(ctx, mcpauth.RevocationID(unique()), 1, inAMinute())
	found, err := s.Find(ctx, []mcpauth.RevocationID{unique()})
	if err != nil && found != nil {
		err = errors.New("found in spite of an error")
	}
	out["Find"] = err
	return out
}

// All keys have the prefix, so that an ACL can be about it; what one command needs lies in one slot.
func keys(t *testing.T, new func() redis.UniversalClient) {
	c := new()
	s := newStore(t, c, func(o *redisstore.Options) { o.Prefix = "one/server:" })
	slot := func(key string) int64 {
		n, err := c.ClusterKeySlot(t.Context(), key).Result()
		if err != nil { // one server without cluster support
			return -1
		}
		return n
	}
	group := unique()
	seen := make(map[string]bool)
	for range 100 {
		p, key, id := s.ProofKey(proof()), s.BucketKey(group, unique()), s.RevocationKey(unique())
		require.Equal(t, slot(s.BucketKey(group, unique())), slot(key))
		require.Equal(t, slot(s.RevocationKey(unique())), slot(id))
		for _, k := range []string{p, key, id, s.BucketKey(unique(), unique())} {
			require.Regexp(t, `^one/server:[plr]:(\{[A-Za-z0-9_-]+\})?[A-Za-z0-9_-]{22,43}$`, k)
			require.False(t, seen[k], "two have one key")
			seen[k] = true
		}
	}
	// Every byte of a name counts.
	for i := range 32 {
		a, b := proof(), unique()
		x, y := a, a
		x.JTI[i]++
		y.Thumbprint[i]++
		require.NotEqual(t, s.ProofKey(a), s.ProofKey(x))
		require.NotEqual(t, s.ProofKey(a), s.ProofKey(y))
		require.NotEqual(t, s.ProofKey(x), s.ProofKey(y))
		c := b
		c[i]++
		require.NotEqual(t, s.BucketKey(group, b), s.BucketKey(group, c))
		require.NotEqual(t, s.BucketKey(b, group), s.BucketKey(c, group))
		require.NotEqual(t, s.RevocationKey(b), s.RevocationKey(c))
	}
}

// Two servers with two prefixes do not know of each other.
func TestPrefixesKeepServersApart(t *testing.T) {
	c := newClient(t, redistest.Start(t).Addr())
	a, b := newStore(t, c), newStore(t, c, func(o *redisstore.Options) { o.Prefix = "b:" })
	p, id, until := proof(), mcpauth.RevocationID(unique()), inAMinute()
	rate := []mcpauth.LimitBucket{{Key: unique(), Rate: mcpauth.Rate{Events: 1, Per: time.Hour}}}
	require.NoError(t, a.Put(t.Context(), id, 7, until))
	for _, s := range []*redisstore.Store{a, b} {
		added, err := s.Add(t.Context(), p, until)
		require.NoError(t, err)
		require.True(t, added)
		wait, _, err := s.Take(t.Context(), unique(), rate)
		require.NoError(t, err)
		require.Zero(t, wait)
	}
	found, err := b.Find(t.Context(), []mcpauth.RevocationID{id})
	require.NoError(t, err)
	require.Equal(t, []int64{0}, found)
}
