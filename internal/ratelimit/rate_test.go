package ratelimit_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/ratelimit"
)

const year = 366 * 24 * time.Hour

func TestRateValid(t *testing.T) {
	for _, tt := range []struct {
		name    string
		rate    ratelimit.Rate
		message string // part of it; empty: valid
	}{
		{"the zero value", ratelimit.Rate{}, "rate has Events 0; write how many"},
		{"negative events", ratelimit.Rate{Events: -1, Per: time.Second}, "rate has Events -1; write"},
		{"the least number", ratelimit.Rate{Events: math.MinInt, Per: time.Second, Burst: 1}, "rate has Events -9"},
		{"no time", ratelimit.Rate{Events: 1}, "rate has Per 0s; write"},
		{"negative time", ratelimit.Rate{Events: 1, Per: -time.Second}, "rate has Per -1s; write"},
		{"the least time", ratelimit.Rate{Events: 1, Per: math.MinInt64}, "rate has Per -"},
		{"negative burst", ratelimit.Rate{Events: 1, Per: time.Second, Burst: -1}, "rate has Burst -1; write"},
		{"plain", ratelimit.Rate{Events: 60, Per: time.Minute, Burst: 10}, ""},
		{"burst larger than events", ratelimit.Rate{Events: 1, Per: time.Minute, Burst: 1000}, ""},
		{"ten million a second", ratelimit.Rate{Events: 10_000_000, Per: time.Second}, ""},
		{"more", ratelimit.Rate{Events: 10_000_001, Per: time.Second}, "10000001 events in 1s are more than one in 100ns, which is no limit; write fewer"},
		{"as many as can be written", ratelimit.Rate{Events: math.MaxInt, Per: math.MaxInt64}, "which is no limit"},
		{"thousands of millions a day", ratelimit.Rate{Events: 10_000_000_000, Per: 24 * time.Hour}, ""},
		{"one a year", ratelimit.Rate{Events: 1, Per: year}, ""},
		{"less than one a year", ratelimit.Rate{Events: 1, Per: year + 1}, "1 events at once, at 1 in 8784h0m0.000000001s, would take more than 366 days to come back; write a smaller Burst"},
		{"one in as long as can be written", ratelimit.Rate{Events: 1, Per: math.MaxInt64}, "more than 366 days"},
		{"some in as long as can be written", ratelimit.Rate{Events: 1000, Per: math.MaxInt64, Burst: 1}, ""},
		{"a burst that takes a year", ratelimit.Rate{Events: 1, Per: 24 * time.Hour, Burst: 366}, ""},
		{"one that takes longer", ratelimit.Rate{Events: 1, Per: 24 * time.Hour, Burst: 367}, "more than 366 days"},
		{"the greatest burst", ratelimit.Rate{Events: 10_000_000, Per: time.Second, Burst: math.MaxInt}, "more than 366 days"},
		{"a product that wraps to something small", ratelimit.Rate{Events: 1, Per: 1 << 32, Burst: 1<<32 + 1}, "more than 366 days"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ratelimit.New(ratelimit.Config{})
			err := tt.rate.Valid()
			wait, _, takeErr := s.Take(hashOf(0), []ratelimit.Bucket{{Key: hashOf(1), Rate: tt.rate}})
			require.Equal(t, err, takeErr, "Take never works with a Rate that is not valid")
			if tt.message == "" {
				require.NoError(t, err)
				require.Zero(t, wait)
				return
			}
			require.ErrorContains(t, err, tt.message)
			require.NotZero(t, wait)
			require.Zero(t, s.Len())
		})
	}
}
