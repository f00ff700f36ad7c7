package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"
)

// A plot is one picture: a few lines over one axis.
type plot struct {
	Name  string  `json:"name"`
	Title string  `json:"title"`
	X     string  `json:"x"`    // what is counted
	Unit  string  `json:"unit"` // of each cost
	Lines []*line `json:"lines"`
	bytes bool    // what is counted
	keep  []any   // alive until all has been measured
}

// A line is how the cost of one thing grows.
type line struct {
	Name   string        `json:"name"`
	Points []*point      `json:"points"`
	Shape  string        `json:"shape"`
	Rules  []expectation `json:"expected,omitempty"`
}

// A point is what one thing costs where there are N.
type point struct {
	N      int     `json:"n"`
	Cost   float64 `json:"cost"`   // median ratio to the anchor
	Allocs float64 `json:"allocs"` // of one request
	Bytes  float64 `json:"bytes"`  // allocated by one request

	send    func()
	less    func()          // what is not meant: its time is taken off; nil: nothing
	prepare func(calls int) // unmeasured, before each turn; nil: nothing to do
	calls   int
	costs   []float64 // of one call, by round
}

// An expectation is a rule for a line, with its bound.
type expectation struct {
	Words    string  `json:"words"`
	Bound    float64 `json:"bound"`
	Measured float64 `json:"measured"`
	Holds    bool    `json:"holds"`

	measure func(*plot, *line) float64
}

// flat says that the last point costs no more than so many times the first.
func flat(bound float64) expectation {
	return expectation{Words: "flat: the last point costs at most so many times the first", Bound: bound, measure: func(_ *plot, l *line) float64 {
		return over(l.Points[len(l.Points)-1], l.Points[0])
	}}
}

// linear says that no point costs more than so many times as much, for each one counted, as the point before it. A cost
// that does not depend on what is counted makes it less.
func linear(bound float64) expectation {
	return expectation{Words: "linear at most: no point costs more, for each one counted, than so many times the point before", Bound: bound, measure: func(_ *plot, l *line) float64 {
		worst := 0.0
		for i, p := range l.Points[1:] {
			before := l.Points[i]
			worst = max(worst, over(p, before)*float64(before.N)/float64(p.N))
		}
		return worst
	}}
}

// share says that each point costs no more than so many times that of another line.
func share(of *line, bound float64) expectation {
	return expectation{Words: "each point costs at most so many times that of the line “" + of.Name + "”", Bound: bound, measure: func(_ *plot, l *line) float64 {
		worst := 0.0
		for i, p := range l.Points {
			worst = max(worst, over(p, of.Points[i]))
		}
		return worst
	}}
}

// shareAt is share for one point alone.
func shareAt(of *line, n int, bound float64) expectation {
	e := expectation{Words: fmt.Sprintf("at %s at most so many times the line “%s”", size(n), of.Name), Bound: bound}
	e.measure = func(_ *plot, l *line) float64 {
		for i, p := range l.Points {
			if p.N == n {
				return over(p, of.Points[i])
			}
		}
		return 0
	}
	return e
}

// ceiling says that no point costs more than so many anchors.
func ceiling(words string, bound float64) expectation {
	return expectation{Words: words, Bound: bound, measure: func(_ *plot, l *line) float64 {
		worst := 0.0
		for _, p := range l.Points {
			worst = max(worst, p.Cost)
		}
		return worst
	}}
}

// over is the median over the rounds of what one point costs to what another does.
func over(a, b *point) float64 {
	ratios := make([]float64, len(a.costs))
	for i := range ratios {
		ratios[i] = a.costs[i] / b.costs[i]
	}
	return median(ratios)
}

func median(list []float64) float64 {
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

// heap is what the process holds besides, as a server does that has something to do: one that holds next to nothing
// collects its garbage all the time.
const heap = 64 << 20

// measure lets the points take turns, round by round, with a turn of the anchor before and after each: whatever else the
// machine does, it does to all.
func (p *plot) measure(ctx context.Context, s settings) error {
	p.Unit = "checks of one P-256 signature"
	verify := newAnchor()
	var all []*point
	for _, l := range p.Lines {
		all = append(all, l.Points...)
	}
	for _, q := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		q.calls = 1
		for q.turn(q.send) < s.length && q.calls < 1<<20 {
			q.calls *= 2
		}
		q.count()
	}
	anchor := &point{calls: 1 + int(s.length/(500*time.Microsecond))}
	check := func() float64 { return anchor.turn(verify).Seconds() / float64(anchor.calls) }
	random := mathrand.New(mathrand.NewPCG(1, 2))
	ballast := make([]byte, heap) // no collection passes over it
	runtime.GC()
	for range s.rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		before := check()
		// Not in the same order each time, or a collection of garbage could always meet the same point.
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		for _, q := range all {
			t := q.turn(q.send)
			if q.less != nil {
				t -= q.turn(q.less)
			}
			after := check()
			// What is less than one nanosecond cannot be told apart from none.
			q.costs = append(q.costs, max(t.Seconds()/float64(q.calls), 1e-9)*2/(before+after))
			before = after
		}
	}
	runtime.KeepAlive(ballast)
	runtime.KeepAlive(p.keep)
	p.keep = nil
	for _, l := range p.Lines {
		for _, q := range l.Points {
			q.Cost = median(q.costs)
		}
		l.Shape = shapeOf(l.Points)
		for i := range l.Rules {
			e := &l.Rules[i]
			e.Measured = e.measure(p, l)
			e.Holds = e.Measured <= e.Bound
		}
	}
	return nil
}

// turn is the processor time of so many calls.
func (q *point) turn(f func()) time.Duration {
	if q.prepare != nil {
		q.prepare(q.calls)
	}
	began := elapsed()
	for range q.calls {
		f()
	}
	return elapsed() - began
}

// count finds out what one call allocates.
func (q *point) count() {
	calls := min(q.calls, 100)
	one := func(f func()) (mallocs, bytes float64) {
		if q.prepare != nil {
			q.prepare(calls)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range calls {
			f()
		}
		runtime.ReadMemStats(&after)
		return math.Floor(float64(after.Mallocs-before.Mallocs) / float64(calls)), math.Floor(float64(after.TotalAlloc-before.TotalAlloc) / float64(calls))
	}
	q.Allocs, q.Bytes = one(q.send)
	if q.less != nil {
		mallocs, bytes := one(q.less)
		q.Allocs, q.Bytes = max(0, q.Allocs-mallocs), max(0, q.Bytes-bytes)
	}
}

// newAnchor is one check of a P-256 signature by Go's crypto.
func newAnchor() func() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	digest := sha256.Sum256([]byte("anchor"))
	sig, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		panic(err)
	}
	return func() {
		if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], sig) {
			panic("a good signature was refused")
		}
	}
}

// slope is the exponent k of the power n^k that fits the points best.
func slope(points []*point) float64 {
	var x, y, xx, xy, n float64
	for _, p := range points {
		a, b := math.Log(float64(p.N)), math.Log(p.Cost)
		x, y, xx, xy, n = x+a, y+b, xx+a*a, xy+a*b, n+1
	}
	return (n*xy - x*y) / (n*xx - x*x)
}

// shapeOf says in a word how a line grows over the whole axis. What is logarithmic looks flat over few decades.
func shapeOf(points []*point) string {
	if len(points) < 2 {
		return "one point"
	}
	switch k := slope(points); {
	case k < 0.1:
		return "flat"
	case k < 0.85:
		return "less than linear"
	case k < 1.15:
		return "linear"
	}
	return "more than linear"
}

func (p *plot) holds() bool {
	for _, l := range p.Lines {
		for _, e := range l.Rules {
			if !e.Holds {
				return false
			}
		}
	}
	return true
}

// print writes the table.
func (p *plot) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s\n", p.Name, p.Title)
	for _, l := range p.Lines {
		fmt.Fprintf(w, "  %s (%s, n^%.2f)\n", l.Name, l.Shape, slope(l.Points))
		for _, q := range l.Points {
			fmt.Fprintf(w, "    %10s  %10s x verify  %9.0f allocs  %12.0f B\n", p.count(q.N), ratio(q.Cost), q.Allocs, q.Bytes)
		}
		for _, e := range l.Rules {
			word := "holds "
			if !e.Holds {
				word = "BEYOND"
			}
			fmt.Fprintf(w, "    %s  %s: %s, bound %v\n", word, e.Words, ratio(e.Measured), e.Bound)
		}
	}
	fmt.Fprintln(w)
}

func ratio(x float64) string { return fmt.Sprintf("%.3g", x) }

// count writes a number as the axis has it.
func (p *plot) count(n int) string {
	if p.bytes {
		return size(n)
	}
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// size writes a number of bytes.
func size(n int) string {
	switch {
	case n >= 1<<20-1<<12:
		return fmt.Sprintf("%.0f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.0f KB", float64(n)/(1<<10))
	}
	return fmt.Sprint(n, " B")
}

// figures are what the picture shows, for programs. Three digits are more than two runs have in common.
func (p *plot) figures() ([]byte, error) {
	for _, l := range p.Lines {
		for _, q := range l.Points {
			q.Cost = digits(q.Cost)
		}
		for i := range l.Rules {
			l.Rules[i].Measured = digits(l.Rules[i].Measured)
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(p)
	return []byte(b.String()), err
}

func digits(x float64) float64 {
	if x <= 0 || math.IsInf(x, 0) {
		return 0
	}
	scale := math.Pow(10, 2-math.Floor(math.Log10(x)))
	return math.Round(x*scale) / scale
}
