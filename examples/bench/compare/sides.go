//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// A side is one package of one commit, as a program.
type side struct {
	program string
	folder  string // where its tests expect to be run
}

// A pair is both sides of a suite.
type pair struct {
	suite
	before, after side
}

// build makes the programs of both sides. What cannot be built of the previous commit is not compared, and out
// says so; what cannot be built of the working tree is an error.
func build(ctx context.Context, h *history, folder string, suites []suite, out io.Writer) ([]*pair, error) {
	old := filepath.Join(folder, "before")
	if err := os.Mkdir(old, 0o700); err != nil {
		return nil, err
	}
	if err := h.checkout(ctx, old); err != nil {
		return nil, err
	}
	var pairs []*pair
	for i, s := range suites {
		p := &pair{
			suite:  s,
			before: side{filepath.Join(folder, fmt.Sprint("before-", i)), filepath.Join(old, s.folder)},
			after:  side{filepath.Join(folder, fmt.Sprint("after-", i)), filepath.Join(h.root, s.folder)},
		}
		if err := p.after.build(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", s.folder, err)
		}
		if err := p.before.build(ctx); err != nil {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			fmt.Fprintf(out, "%s: nothing to compare with: the previous commit cannot be built: %v\n", s.folder, err)
			continue
		}
		pairs = append(pairs, p)
	}
	return pairs, nil
}

func (s side) build(ctx context.Context) error {
	if _, err := os.Stat(s.folder); err != nil {
		return fmt.Errorf("there is no such package")
	}
	// Without -vet and the stamp of version control, neither of which a benchmark needs.
	if _, err := output(command(ctx, s.folder, "go", "test", "-c", "-vet=off", "-buildvcs=false", "-o", s.program, ".")); err != nil {
		return err
	}
	if _, err := os.Stat(s.program); err != nil {
		return fmt.Errorf("the package has no tests")
	}
	return nil
}

// A result is one run of one benchmark.
type result struct {
	nanoseconds float64 // per operation
	allocations float64 // the same; NaN: unknown
}

// patience is how long the benchmarks of one side may take in one round.
const patience = 2 * time.Minute

// run runs benchmarks once.
func (s side) run(ctx context.Context, benchmarks []string, benchtime time.Duration) (map[string]result, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	text, err := output(command(ctx, s.folder, s.program, "-test.run=^$", "-test.bench="+pattern(benchmarks), "-test.benchmem", "-test.benchtime="+benchtime.String()))
	if err != nil {
		return nil, err
	}
	return parse(text), nil
}

// pattern selects exactly these benchmarks.
func pattern(benchmarks []string) string {
	alternatives := make([]string, len(benchmarks))
	for i, name := range benchmarks {
		parts := strings.Split("Benchmark"+name, "/")
		for j, part := range parts {
			parts[j] = "^" + regexp.QuoteMeta(part) + "$"
		}
		alternatives[i] = strings.Join(parts, "/")
	}
	return strings.Join(alternatives, "|")
}

// parse reads lines such as "BenchmarkGet/miss-2  1000  92.3 ns/op  0 B/op  0 allocs/op".
func parse(text string) map[string]result {
	results := make(map[string]result)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		name := strings.TrimPrefix(fields[0], "Benchmark")
		if n := runtime.GOMAXPROCS(0); n > 1 {
			name = strings.TrimSuffix(name, "-"+strconv.Itoa(n))
		}
		r := result{allocations: math.NaN()}
		for i := 2; i+1 < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			switch {
			case err != nil:
			case fields[i+1] == "ns/op":
				r.nanoseconds = value
			case fields[i+1] == "allocs/op":
				r.allocations = value
			}
		}
		if r.nanoseconds > 0 {
			results[name] = r
		}
	}
	return results
}
