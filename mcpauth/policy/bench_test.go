package policy_test

import (
	"crypto/sha256"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth/policy"
)

// The anchor is SHA-256 of 1 KB, which every machine knows.
func BenchmarkCheck(b *testing.B) {
	conditions := policy.For("tools/call send_*", policy.And(
		policy.During(policy.Hours{Zone: zone(b, "Europe/Berlin"), Days: policy.Workdays(), From: "08:00", To: "18:00"}),
		policy.Proxies{Trusted: prefixes("10.0.0.5/32")}.From(prefix("192.0.2.0/24"), prefix("2001:db8::/32")),
		policy.Claim("/tenant", "acme"),
		policy.Argument("amount", func(cents int64) bool { return cents <= 10_000 }),
		policy.Not(policy.Delegated()),
	))
	call := tool("send_money", `{"to":"DE02120300000000202051","amount":4711,"text":"for the books","urgent":false}`)
	call.Principal = caller(b, `{"tenant":"acme"}`)
	call.RemoteAddr = "10.0.0.5:33000"
	call.Header = map[string][]string{"X-Forwarded-For": {"192.0.2.7"}}
	call.Time = time.Date(2026, time.June, 1, 12, 0, 0, 0, time.UTC)
	refused := *call
	refused.Time = call.Time.Add(12 * time.Hour)

	b.Run("five-hold", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := conditions.Check(b.Context(), call); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("the-first-refuses", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := conditions.Check(b.Context(), &refused); err == nil {
				b.Fatal("allowed")
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		bare := *call
		bare.Arguments = nil
		b.ReportAllocs()
		for b.Loop() {
			if err := conditions.List(b.Context(), &bare); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sha256-1KB", func(b *testing.B) {
		var block [1024]byte
		for b.Loop() {
			sha256.Sum256(block[:])
		}
	})
	require.NoError(b, conditions.Check(b.Context(), call))
}
