//go:build unix

package main

import (
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// A verdict is what one answer means.
type verdict int

const (
	wanted      verdict = iota // what this kind of request gets
	explained                  // what a fault that was under way explains
	unexplained                // neither
)

// A row counts one kind of request.
type row struct {
	sent, ok, unauthorized, forbidden, tooMany, unavailable, other, none int
	explained, unexplained                                               int
}

// A tally counts all of them, and remembers the first complaints. It is safe for concurrent use.
type tally struct {
	began time.Time

	mu         sync.Mutex
	kinds      []string // in the order of the table
	rows       map[string]*row
	complaints []string
	more       int // complaints that were not kept
}

// maxComplaints are kept about one kind.
const maxComplaints = 3

func newTally(kinds []string) *tally {
	t := &tally{began: time.Now(), kinds: kinds, rows: make(map[string]*row)}
	for _, k := range kinds {
		t.rows[k] = new(row)
	}
	return t
}

// add counts one answer; status 0 stands for none.
func (t *tally) add(kind string, status int, v verdict, why string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.rows[kind]
	r.sent++
	switch status {
	case 0:
		r.none++
	case 200:
		r.ok++
	case 401:
		r.unauthorized++
	case 403:
		r.forbidden++
	case 429:
		r.tooMany++
	case 503:
		r.unavailable++
	default:
		r.other++
	}
	switch v {
	case explained:
		r.explained++
	case unexplained:
		if r.unexplained++; r.unexplained > maxComplaints {
			t.more++
			return
		}
		t.complainLocked(fmt.Sprintf("%s: answered %d: %s", kind, status, why))
	}
}

// complain notes what must not be and is no answer. There are few of these.
func (t *tally) complain(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.complainLocked(fmt.Sprintf(format, args...))
}

func (t *tally) complainLocked(what string) {
	t.complaints = append(t.complaints, fmt.Sprintf("at %v: %s", time.Since(t.began).Round(time.Millisecond), what))
}

// of returns what was counted of one kind.
func (t *tally) of(kind string) row {
	t.mu.Lock()
	defer t.mu.Unlock()
	return *t.rows[kind]
}

// print writes the table, and reports whether there is nothing to complain about.
func (t *tally) print(w io.Writer) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "kind\tsent\t200\t401\t403\t429\t503\tother\tno answer\tby a fault\tunexplained\t")
	var sum row
	line := func(kind string, r row) {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", kind, r.sent, r.ok, r.unauthorized, r.forbidden, r.tooMany, r.unavailable, r.other, r.none, r.explained, r.unexplained)
	}
	for _, kind := range t.kinds {
		r := *t.rows[kind]
		line(kind, r)
		sum.sent, sum.ok, sum.unauthorized, sum.forbidden = sum.sent+r.sent, sum.ok+r.ok, sum.unauthorized+r.unauthorized, sum.forbidden+r.forbidden
		sum.tooMany, sum.unavailable, sum.other, sum.none = sum.tooMany+r.tooMany, sum.unavailable+r.unavailable, sum.other+r.other, sum.none+r.none
		sum.explained, sum.unexplained = sum.explained+r.explained, sum.unexplained+r.unexplained
	}
	line("all", sum)
	table.Flush()
	for _, c := range t.complaints {
		fmt.Fprintln(w, "WRONG", c)
	}
	if t.more > 0 {
		fmt.Fprintf(w, "WRONG and %d more\n", t.more)
	}
	return len(t.complaints) == 0
}
