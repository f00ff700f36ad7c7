package ratelimit

import (
	"fmt"
	"time"
)

// A Rate is Events per Per on average, and Burst at once. The zero Rate is none, and refused.
type Rate struct {
	Events int           // how many there may be in each Per; 1 or more
	Per    time.Duration // at least 100 ns for each of Events

	// Burst is how many may come at once after a pause. Zero means Events. A bucket of that many
	// must be full again within 366 days.
	Burst int
}

const (
	// minInterval is the least time from one event to the next. Intervals are rounded up to whole
	// nanoseconds, so that a rate is kept to one per cent, and never exceeded.
	minInterval = 100 // ns
	// maxFill is the longest that a bucket may take to fill up. What waits for longer than that
	// never recovers, as people see it; and a hundred times as much is no overflow yet.
	maxFill = int64(366 * 24 * time.Hour)
)

// Valid returns nil if the Rate can be kept, and otherwise what to write instead.
func (r Rate) Valid() error {
	_, err := r.pace()
	return err
}

// A pace is a Rate as the algorithm needs it, in nanoseconds.
type pace struct {
	interval int64 // from one event to the next
	depth    int64 // what a bucket takes to fill up: an interval for each event of the burst
}

func (r Rate) pace() (pace, error) {
	events, per, burst := int64(r.Events), int64(r.Per), int64(r.Burst)
	switch {
	case events <= 0:
		return pace{}, fmt.Errorf("rate has Events %d; write how many there may be in each Per, 1 or more", events)
	case per <= 0:
		return pace{}, fmt.Errorf("rate has Per %v; write the time in which there may be as many as Events, such as time.Minute", r.Per)
	case burst < 0:
		return pace{}, fmt.Errorf("rate has Burst %d; write how many events may come at once, or 0 for as many as Events", burst)
	case per/events < minInterval:
		return pace{}, fmt.Errorf("%d events in %v are more than one in %v, which is no limit; write fewer Events or a longer Per",
			events, r.Per, time.Duration(minInterval))
	}
	if burst == 0 {
		burst = events
	}
	interval := (per-1)/events + 1
	if interval > maxFill/burst {
		return pace{}, fmt.Errorf("%d events at once, at %d in %v, would take more than 366 days to come back; write a smaller Burst, a shorter Per or more Events",
			burst, events, r.Per)
	}
	return pace{interval: interval, depth: burst * interval}, nil
}
