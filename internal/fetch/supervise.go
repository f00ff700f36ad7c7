package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// grace is how long after its limit work may still end by itself.
const grace = time.Second

// Supervise does work on a goroutine of its own and returns what it gives. The context that work gets ends
// with the limit; a second later Supervise gives up, and what work gives after that is dropped.
//
// A Transport may be foreign code: it may panic, end its goroutine or ignore its context. A fetch ends all
// the same, with an error, since none follows one that does not.
func Supervise[T any](limit time.Duration, work func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		r := result{err: errors.New("the fetch ended without a result")}
		defer func() {
			// The value may quote anything: not logged.
			if recover() != nil {
				r.err = errors.New("panic while fetching")
			}
			done <- r
		}()
		r.value, r.err = work(ctx)
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-time.After(limit + grace):
		var none T
		return none, fmt.Errorf("%w: the transport ignores its deadline", ErrTimeout)
	}
}
