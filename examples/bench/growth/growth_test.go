package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Everything works, and is written: the figures of so short a run mean little, and none is judged here.
func TestQuickRun(t *testing.T) {
	folder := t.TempDir()
	var out, errs strings.Builder
	if err := run(t.Context(), []string{"-quick", "-rounds", "2", "-o", folder}, &out, &errs); err != nil {
		t.Fatal(err, errs.String())
	}
	t.Log(out.String())
	for _, c := range curves {
		t.Run(c.name, func(t *testing.T) {
			var p plot
			if err := json.Unmarshal(read(t, folder, c.name+".json"), &p); err != nil {
				t.Fatal(err)
			}
			if p.Name != c.name || p.Title == "" || p.X == "" || p.Unit == "" || len(p.Lines) == 0 {
				t.Errorf("something is missing in %+v", p)
			}
			picture := string(read(t, folder, c.name+".svg"))
			wellFormed(t, picture)
			rules := 0
			for _, l := range p.Lines {
				if !strings.Contains(out.String(), "\n  "+l.Name+" (") || !strings.Contains(picture, wrap(l.Name)[0]) {
					t.Errorf("%q is not in the table and the picture", l.Name)
				}
				if len(l.Points) < 2 {
					t.Errorf("%q has %d points", l.Name, len(l.Points))
				}
				for i, q := range l.Points {
					if q.Cost <= 0 || i > 0 && q.N <= l.Points[i-1].N {
						t.Errorf("%q: point %+v", l.Name, *q)
					}
				}
				for _, e := range l.Rules {
					rules++
					if e.Bound <= 0 || e.Measured <= 0 || e.Words == "" {
						t.Errorf("%q: expectation %+v", l.Name, e)
					}
				}
			}
			if rules == 0 {
				t.Error("nothing is expected")
			}
			if got, want := strings.Count(picture, "<polyline"), len(p.Lines); got != want {
				t.Errorf("%d lines are drawn, not %d", got, want)
			}
		})
	}
}

func read(t *testing.T, folder, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, args := range []string{"-rounds=-1", "-rounds=1001", "-only=nonsense", "-nonsense", "more"} {
		if err := run(t.Context(), strings.Fields(args), new(strings.Builder), new(strings.Builder)); err == nil {
			t.Errorf("%s was accepted", args)
		}
	}
}

// costing is a line whose costs are known.
func costing(counts []int, costs ...float64) *line {
	l := &line{Name: "costs"}
	for i, n := range counts {
		l.Points = append(l.Points, &point{N: n, Cost: costs[i], costs: []float64{costs[i]}})
	}
	return l
}

func TestExpectations(t *testing.T) {
	decades := []int{1, 10, 100}
	base := costing(decades, 2, 2, 2)
	for _, test := range []struct {
		name     string
		expected expectation
		costs    []float64
		want     float64
	}{
		{"flat", flat(2), []float64{2, 2, 3}, 1.5},
		{"flat, whatever comes between", flat(2), []float64{1, 9, 1}, 1},
		{"linear", linear(2), []float64{1, 10, 100}, 1},
		{"linear with a part that does not grow", linear(2), []float64{50, 50, 500}, 1},
		{"steeper at the end", linear(2), []float64{1, 1, 50}, 5},
		{"share", share(base, 2), []float64{1, 6, 1}, 3},
		{"share of one point", shareAt(base, 100, 2), []float64{9, 9, 1}, 0.5},
		{"share of a point that there is not", shareAt(base, 7, 2), []float64{9, 9, 1}, 0},
		{"ceiling", ceiling("at most", 2), []float64{1, 4, 2}, 4},
	} {
		if got := test.expected.measure(nil, costing(decades, test.costs...)); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, not %v", test.name, got, test.want)
		}
	}
}

func TestShapes(t *testing.T) {
	decades := []int{1, 10, 100}
	for _, test := range []struct {
		costs []float64
		want  string
	}{
		{[]float64{3, 3, 3}, "flat"},
		{[]float64{1, 3, 10}, "less than linear"},
		{[]float64{1, 10, 100}, "linear"},
		{[]float64{1, 100, 10_000}, "more than linear"},
	} {
		if got := shapeOf(costing(decades, test.costs...).Points); got != test.want {
			t.Errorf("%v is %s, not %s", test.costs, got, test.want)
		}
	}
}

// With -check, what is beyond its bound is an error; without, it is only said.
func TestCheck(t *testing.T) {
	steep := curve{"steep", func(settings) (*plot, error) {
		slow := func(n int) func() {
			return func() {
				for range 2000 * n {
					sink++
				}
			}
		}
		l := &line{Name: "work", Rules: []expectation{flat(2)}, Points: []*point{{N: 1, send: slow(1)}, {N: 100, send: slow(100)}}}
		return &plot{Title: "Work", X: "pieces", Lines: []*line{l}}, nil
	}}
	defer func(all []curve) { curves = all }(curves)
	curves = []curve{steep}
	var out strings.Builder
	if err := run(t.Context(), []string{"-quick"}, &out, &out); err != nil || !strings.Contains(out.String(), "BEYOND") {
		t.Errorf("%v\n%s", err, out.String())
	}
	if err := run(t.Context(), []string{"-quick", "-check"}, &out, &out); !errors.Is(err, errBeyond) {
		t.Errorf("%v, though a hundredfold was expected to cost twice as much at most", err)
	}
}

var sink int

// Names never cover each other, nor leave the picture.
func TestLabels(t *testing.T) {
	decades := []int{1, 10, 100}
	for _, ends := range [][4]float64{{1, 1, 1, 1}, {1, 10, 1, 10}, {100, 100, 99, 98}, {1, 1.01, 50, 50}} {
		p := &plot{X: "things"}
		for _, end := range ends {
			l := costing(decades, 1, 2, end)
			l.Name = "a name that is so long that it needs two rows"
			p.Lines = append(p.Lines, l)
		}
		wellFormed(t, string(p.svg()))
		y, last := scale{0, 2, height - bottom, top}, 0.0
		for _, d := range p.labels(y) {
			if d.top < last {
				t.Errorf("%v: a name begins at %v, where another ends at %v", ends, d.top, last)
			}
			last = d.top + float64(len(d.rows))*lineHeight
		}
		if last > height {
			t.Errorf("%v: the last name ends at %v", ends, last)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{100: "100", 10: "10", 1: "1", 0.1: "0.1", 0.001: "0.001", 0.0473: "0.047", 2.75: "2.8", 2600: "2600"} {
		if got := plain(v); got != want {
			t.Errorf("%v is written %s, not %s", v, got, want)
		}
	}
	p := new(plot)
	for n, want := range map[int]string{1: "1", 1000: "1,000", 1_000_000: "1,000,000"} {
		if got := p.count(n); got != want {
			t.Errorf("%d is written %s, not %s", n, got, want)
		}
	}
	for n, want := range map[int]string{100: "100 B", 1 << 10: "1 KB", 100 << 10: "100 KB", 1 << 20: "1 MB", 4<<20 - 1<<10: "4 MB"} {
		if got := size(n); got != want {
			t.Errorf("%d is written %s, not %s", n, got, want)
		}
	}
}

// The memory of proofs has as many as the axis says, give or take a tenth.
func TestMemoryStaysAsFull(t *testing.T) {
	m := &memory{live: 1000}
	for range 5 {
		m.fill(60)
		m.added += 60
		if m.added > 100 {
			t.Errorf("%d were added to 1000", m.added)
		}
	}
}
