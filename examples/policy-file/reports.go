package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// reports is a log that hands on what becomes of the policy while somebody waits for that.
type reports struct {
	slog.Handler // of the program

	mu sync.Mutex
	to chan<- slog.Record
}

// Enabled lets everything in: that a policy was loaded is said at level INFO.
func (r *reports) Enabled(context.Context, slog.Level) bool { return true }

func (r *reports) Handle(ctx context.Context, record slog.Record) error {
	if strings.HasPrefix(record.Message, "mcpauth: the policy ") {
		r.mu.Lock()
		to := r.to
		r.mu.Unlock()
		if to == nil {
			return r.Handler.Handle(ctx, record)
		}
		select {
		case to <- record:
		case <-ctx.Done():
		}
		return nil
	}
	if !r.Handler.Enabled(ctx, record.Level) {
		return nil
	}
	return r.Handler.Handle(ctx, record)
}

// open directs reports to a channel from now on.
func (r *reports) open() <-chan slog.Record {
	to := make(chan slog.Record)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.to = to
	return to
}
