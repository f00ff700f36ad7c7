//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/go-mcpauth/sdk/examples/bench/internal/estimate"
)

// A row is one benchmark, round by round.
type row struct {
	pair          *pair
	benchmark     string
	name          string // with its package
	before, after []result
	broken        error // why the previous commit has no results
}

// measure runs both sides of each pair in turn. In every second round the working tree has the first turn, so that
// none always runs on the warmer machine. No round begins when the limit has passed since began, but the first.
func measure(ctx context.Context, pairs []*pair, s settings, began time.Time) ([]*row, error) {
	var rows []*row
	of := make(map[*pair]map[string]*row)
	broken := make(map[*pair]bool)
	for _, p := range pairs {
		of[p] = make(map[string]*row)
		for _, b := range p.benchmarks {
			r := &row{pair: p, benchmark: b, name: p.folder + " " + b}
			rows, of[p][b] = append(rows, r), r
		}
	}
	for round := range s.rounds {
		if round > 0 && time.Since(began) > s.limit {
			break
		}
		for _, p := range pairs {
			if broken[p] {
				continue
			}
			var before, after map[string]result
			var errBefore, errAfter error
			turns := []func(){
				func() { before, errBefore = p.before.run(ctx, p.benchmarks, s.benchtime) },
				func() { after, errAfter = p.after.run(ctx, p.benchmarks, s.benchtime) },
			}
			if round%2 == 1 {
				slices.Reverse(turns)
			}
			for _, turn := range turns {
				turn()
			}
			switch {
			case ctx.Err() != nil:
				return nil, fmt.Errorf("ended early: %w", context.Cause(ctx))
			case errAfter != nil:
				return nil, fmt.Errorf("%s: %w", p.folder, errAfter)
			}
			broken[p] = errBefore != nil
			for name, r := range of[p] {
				b, hasBefore := before[name]
				a, hasAfter := after[name]
				if hasBefore {
					r.before = append(r.before, b)
				}
				if hasAfter {
					r.after = append(r.after, a)
				}
				if errBefore != nil {
					r.broken = errBefore
				}
			}
		}
	}
	return rows, nil
}

// comparable reports whether both sides have results of the same rounds.
func (r *row) comparable() bool {
	return r.broken == nil && len(r.before) > 0 && len(r.before) == len(r.after)
}

// ratio is how many times as long it takes now, each round by itself.
func (r *row) ratio() estimate.Estimate {
	ratios := make([]float64, len(r.after))
	for i := range ratios {
		ratios[i] = r.after[i].nanoseconds / r.before[i].nanoseconds
	}
	return estimate.Of(ratios)
}

// isTooSlow asks for more than the median, so that one bad round decides nothing.
func (r *row) isTooSlow() bool {
	if !r.comparable() || len(r.after) < leastJudge {
		return false
	}
	e := r.ratio()
	return e.Median > tooSlow && e.Low > tooSlow
}

func (r *row) typical(results []result, of func(result) float64) float64 {
	values := make([]float64, len(results))
	for i, one := range results {
		values[i] = of(one)
	}
	return estimate.Of(values).Median
}

func nanoseconds(r result) float64 { return r.nanoseconds }
func allocations(r result) float64 { return r.allocations }

func report(out io.Writer, rows []*row) {
	fmt.Fprintln(out)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "benchmark\tns before\tns now\tx before\tallocs before\tallocs now")
	rounds, confidence := math.MaxInt, 1.0
	for _, r := range rows {
		if r.comparable() {
			e := r.ratio()
			rounds, confidence = min(rounds, len(r.after)), min(confidence, e.Confidence)
			fmt.Fprintf(table, "%s\t%.4g\t%.4g\t%v\t%.4g\t%.4g\n", r.name, r.typical(r.before, nanoseconds), r.typical(r.after, nanoseconds), e,
				r.typical(r.before, allocations), r.typical(r.after, allocations))
		}
	}
	table.Flush()
	if rounds < math.MaxInt {
		fmt.Fprintf(out, "medians of %d rounds; ratios are taken within each, with an interval of %.1f %% confidence\n", rounds, 100*confidence)
	}
	if rounds < leastJudge {
		fmt.Fprintf(out, "so few rounds fit into the time that nothing is judged: %d would be needed\n", leastJudge)
	}
	for _, r := range rows {
		switch {
		case r.broken != nil:
			fmt.Fprintf(out, "%s: nothing to compare with: the previous commit failed: %v\n", r.name, r.broken)
		case len(r.before) == 0 && len(r.after) == 0:
			fmt.Fprintf(out, "%s: on neither side; take it out of the list\n", r.name)
		case len(r.before) == 0:
			fmt.Fprintf(out, "%s: new\n", r.name)
		case len(r.after) == 0:
			fmt.Fprintf(out, "%s: gone\n", r.name)
		case !r.comparable():
			fmt.Fprintf(out, "%s: not in every round, so not compared\n", r.name)
		}
	}
}
