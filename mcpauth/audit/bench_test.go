package audit_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
)

func allowed() mcpauth.Decision {
	d := full()
	d.Allowed, d.Status, d.Reason, d.Arguments = true, 0, mcpauth.ReasonAllowed, nil
	d.Expected, d.Got, d.Cure = "", "", ""
	return d
}

// BenchmarkAnchor is what the others are measured against.
func BenchmarkAnchor(b *testing.B) {
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	b.ReportAllocs()
	for b.Loop() {
		log.Info("mcpauth: decision", "allowed", true, "reason", "allowed", "method", "tools/call", "name", "read", "rule", "files:read")
	}
}

type nowhere struct{ slog.Handler }

func (nowhere) Enabled(context.Context, slog.Level) bool  { return true }
func (nowhere) Handle(context.Context, slog.Record) error { return nil }

func BenchmarkLog(b *testing.B) {
	for _, bb := range []struct {
		name string
		h    slog.Handler
		opts audit.Options
	}{
		{"off", slog.DiscardHandler, audit.Options{}},
		{"record", nowhere{}, audit.Options{}},
		{"json", slog.NewJSONHandler(io.Discard, nil), audit.Options{}},
		{"pseudonyms", slog.NewJSONHandler(io.Discard, nil), audit.Options{PseudonymKey: make([]byte, 32)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			f, d := audit.Log(bb.h, bb.opts), allowed()
			b.ReportAllocs()
			for b.Loop() {
				f(context.Background(), d)
			}
		})
	}
}

func crowd(n int) []mcpauth.Decision {
	list := make([]mcpauth.Decision, n)
	for i := range list {
		list[i] = allowed()
		list[i].Principal = someone(fmt.Sprint("user", i), "desk")
	}
	return list
}

func BenchmarkUsage(b *testing.B) {
	for _, callers := range []int{1, 1000} {
		list := crowd(callers)
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			var u audit.Usage
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				u.Record(context.Background(), list[i%callers])
				i++
			}
		})
		b.Run(fmt.Sprint(callers, "/parallel"), func(b *testing.B) {
			var u audit.Usage
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					u.Record(context.Background(), list[i%callers])
				}
			})
		})
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	var u audit.Usage
	d := allowed()
	u.Record(t.Context(), d)
	require.Zero(t, testing.AllocsPerRun(100, func() { u.Record(context.Background(), d) }))
	off := audit.Log(slog.DiscardHandler, audit.Options{})
	require.Zero(t, testing.AllocsPerRun(100, func() { off(context.Background(), d) }))
}
