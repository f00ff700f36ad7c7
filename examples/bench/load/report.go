//go:build unix

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/go-mcpauth/sdk/examples/bench/internal/estimate"
)

// paired is the estimate of the ratio of two rows, each round by itself.
func paired(a, b []turn, of func(turn) float64) estimate.Estimate {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = of(a[i]) / of(b[i])
	}
	return estimate.Of(ratios)
}

func each(turns []turn, of func(turn) float64) []float64 {
	values := make([]float64, len(turns))
	for i, t := range turns {
		values[i] = of(t)
	}
	return values
}

// The targets of a call with a token that is known.
var targets = []struct {
	what, row, anchor string
	of                func(turn) float64
	bound             float64
	atMost            bool
}{
	{"bearer, server CPU per request", mcpauthBearer, unprotected, turn.perRequest, 1.05, true},
	{"bearer, throughput", mcpauthBearer, unprotected, turn.throughput, 0.95, false},
	{"DPoP, throughput", mcpauthDPoP, unprotected, turn.throughput, 0.70, false},
	{"DPoP, throughput", mcpauthDPoP, sdkBearer, turn.throughput, 1, false},
}

func report(w io.Writer, turns map[string][]turn) {
	base := turns[unprotected]
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "server\tCPU/request\tx unprotected\trequests/s\tx unprotected\tp50\tp99\tKB/request\tallocs/request\tGC/1000\tloader CPU")
	for _, r := range rows {
		all := turns[r.name]
		typical := func(of func(turn) float64) float64 { return estimate.Of(each(all, of)).Median }
		duration := func(of func(turn) float64) time.Duration { return time.Duration(typical(of)).Round(time.Microsecond) }
		fmt.Fprintf(table, "%s\t%v\t%v\t%.0f\t%v\t%v\t%v\t%.0f\t%.0f\t%.0f\t%v\n", r.name,
			duration(turn.perRequest), paired(all, base, turn.perRequest), typical(turn.throughput), paired(all, base, turn.throughput),
			duration(func(t turn) float64 { return t.latency(0.50) }), duration(func(t turn) float64 { return t.latency(0.99) }),
			typical(func(t turn) float64 { return float64(t.server.Bytes) / 1024 / t.requests() }),
			typical(func(t turn) float64 { return float64(t.server.Objects) / t.requests() }),
			typical(func(t turn) float64 { return 1000 * float64(t.server.Cycles) / t.requests() }),
			duration(func(t turn) float64 { return float64(t.CPU) / t.requests() }))
	}
	table.Flush()
	fmt.Fprintf(w, "\nMedians over the rounds; ratios are taken within each round, with an interval of %.1f %% confidence.\n\n", 100*paired(base, base, turn.throughput).Confidence)
	table = tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range targets {
		e := paired(turns[t.row], turns[t.anchor], t.of)
		sign, met, reached := ">=", e.Median >= t.bound, e.High >= t.bound
		if t.atMost {
			sign, met, reached = "<=", e.Median <= t.bound, e.Low <= t.bound
		}
		verdict := "missed"
		switch {
		case met:
			verdict = "met"
		case reached:
			verdict = "met: the interval reaches it"
		}
		fmt.Fprintf(table, "%s\t%s %.2f x %s\t%v\t%s\n", t.what, sign, t.bound, t.anchor, e, verdict)
	}
	table.Flush()
}
