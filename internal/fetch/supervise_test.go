package fetch_test

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

func TestSupervise(t *testing.T) {
	own := errors.New("own")
	for _, tt := range []struct {
		name string
		work func(ctx context.Context, release <-chan struct{}) (int, error)
		want string // of the error; empty: 7
		took time.Duration
	}{
		{"a result", func(context.Context, <-chan struct{}) (int, error) { return 7, nil }, "", 0},
		{"an error", func(context.Context, <-chan struct{}) (int, error) { return 0, own }, "own", 0},
		{"a panic", func(context.Context, <-chan struct{}) (int, error) { panic("secret") }, "panic while fetching", 0},
		{"the end of its goroutine", func(context.Context, <-chan struct{}) (int, error) { runtime.Goexit(); return 7, nil }, "without a result", 0},
		{"its deadline", func(ctx context.Context, _ <-chan struct{}) (int, error) { <-ctx.Done(); return 0, ctx.Err() }, "deadline exceeded", time.Minute},
		{"no end at all", func(_ context.Context, release <-chan struct{}) (int, error) { <-release; return 7, nil }, "ignores its deadline", time.Minute + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				defer close(release)
				began := time.Now()
				got, err := fetch.Supervise(time.Minute, func(ctx context.Context) (int, error) { return tt.work(ctx, release) })
				require.Equal(t, tt.took, time.Since(began))
				if tt.want == "" {
					require.NoError(t, err)
					require.Equal(t, 7, got)
					return
				}
				require.ErrorContains(t, err, tt.want)
				require.NotContains(t, err.Error(), "secret")
				require.Zero(t, got)
			})
		})
	}
}
