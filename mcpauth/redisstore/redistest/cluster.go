//go:build unix

package redistest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

const slots = 1 << 14 // of every cluster

// StartCluster starts three servers that share the slots of a cluster, and returns when each of them knows so.
func StartCluster(t testing.TB) []*Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	servers := []*Server{start(t, true, false), start(t, true, false), start(t, true, false)}
	for i, s := range servers {
		c := redis.NewClient(&redis.Options{Addr: s.Addr()})
		defer c.Close()
		if err := c.ClusterAddSlotsRange(ctx, i*slots/len(servers), (i+1)*slots/len(servers)-1).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			first := servers[0]
			if err := c.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(first.port), strconv.Itoa(first.bus)).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, s := range servers {
		c := redis.NewClient(&redis.Options{Addr: s.Addr()})
		defer c.Close()
		for {
			info, err := c.ClusterInfo(ctx).Result()
			if err != nil {
				t.Fatalf("the cluster did not come up: %v", err)
			}
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3") && strings.Contains(info, "cluster_slots_ok:16384") {
				break
			}
			time.Sleep(20 * time.Millisecond) // the nodes tell each other, and nobody tells us
		}
	}
	return servers
}
