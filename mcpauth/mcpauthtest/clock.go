package mcpauthtest

import (
	"sync"
	"time"
)

// A Clock is a clock that a test moves. Give its Now to [mcpauth.Config].Now and to [Issuer.Now], so that
// server and issuer agree; a [Client] of the issuer then follows it, too. Make one with [NewClock]; the
// zero value stands at the year 1. It is safe for concurrent use and must not be copied.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at a time. The zero time means 1 January 2026, noon UTC.
func NewClock(at time.Time) *Clock {
	if at.IsZero() {
		at = time.Date(2026, time.January, 1, 12, 0, 0, 0, time.UTC)
	}
	return &Clock{now: at}
}

// Now returns the time at which the clock stands.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock, backwards if d is negative, and returns the new time.
func (c *Clock) Advance(d time.Duration) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
	return c.now
}
