package mcpauth

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What has ended does not stay in memory, though nobody asks for it again, and what is in force is never swept.
func TestRevocationMemory_Forgets(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := &revocationMemory{now: func() time.Time { return now }, entries: make(map[RevocationID]revocationEntry)}
	n := uint64(0)
	put := func(count int, life time.Duration) {
		for range count {
			n++
			var id RevocationID
			binary.BigEndian.PutUint64(id[:], n)
			require.NoError(t, s.Put(t.Context(), id, everyToken, now.Add(life)))
		}
	}
	put(3000, time.Hour)
	require.Len(t, s.entries, 3000)
	for range 20 {
		put(1000, time.Minute)
		now = now.Add(2 * time.Minute)
	}
	require.LessOrEqual(t, len(s.entries), 2*4000, "twice what was left the last time, at most")
	require.GreaterOrEqual(t, len(s.entries), 3000)
	now = now.Add(time.Hour)
	for range 20 {
		put(1000, time.Minute)
		now = now.Add(2 * time.Minute)
	}
	require.LessOrEqual(t, len(s.entries), 2*1000+minSweep, "nor for ever at what it once was")
}
