package introspect

import (
	"context"
	"crypto/sha256"
	"strconv"
	"time"

	"github.com/go-mcpauth/sdk/internal/fetch"
)

const logInterval = time.Minute

// A flight is one request that any number of callers share.
type flight struct {
	done    chan struct{} // closed when answer and refusal are final
	answer  *Answer
	refusal *Error

	abandoned chan struct{} // closed when the last caller left before it began
	// The rest is guarded by Client.mu.
	waiting int
	begun   bool
	asked   time.Time // when it began
}

// A pause is a time in which the authorization server wants to be left alone.
type pause struct {
	from, until time.Time
	refusal     *Error
}

// trouble is what the log was told last.
type trouble struct {
	failing bool
	at      time.Time
}

// await gets the answer from a request that is under way, or from one of its own.
func (c *Client) await(ctx context.Context, token string, hash [sha256.Size]byte) (*Answer, *Error) {
	switch {
	case token == "":
		return nil, inactive
	case len(token) > maxToken:
		return nil, &Error{Reason: ReasonTooLong, Expected: "at most " + strconv.Itoa(maxToken) + " bytes", Got: strconv.Itoa(len(token)) + " bytes"}
	}
	if err := ctx.Err(); err != nil {
		return nil, canceled(err)
	}
	now := c.cfg.Now()
	f, answer, refusal := c.join(hash, token, now)
	if f == nil {
		return answer, refusal
	}
	select {
	case <-f.done:
		c.leave(hash, f)
		return f.answer, f.refusal
	case <-ctx.Done():
		c.leave(hash, f)
		return nil, canceled(ctx.Err())
	}
}

func canceled(err error) *Error {
	return unavailable("an answer while the request lasts", "its end", "", err)
}

// join decides without I/O: it returns an answer, a refusal or a flight on which the caller now counts.
func (c *Client) join(hash [sha256.Size]byte, token string, now time.Time) (*flight, *Answer, *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.flights[hash]
	if f != nil && f.begun && !now.Before(f.asked.Add(max(c.cfg.MaxAge, 0))) {
		f = nil // what it will bring may be older already than an answer may be that is used
	}
	if f == nil {
		// A flight may have ended since the caller looked. Answers are remembered before.
		if a, refusal := c.remembered(hash); a != nil || refusal != nil {
			return nil, a, refusal
		}
		if refusal := c.pause.refuse(now); refusal != nil {
			return nil, nil, refusal
		}
	}
	if c.waiting >= c.cfg.MaxWaiting {
		return nil, nil, busy()
	}
	if f == nil {
		f = &flight{done: make(chan struct{}), abandoned: make(chan struct{})}
		c.flights[hash] = f
		go c.fly(f, token, hash)
	}
	f.waiting++
	c.waiting++
	return f, nil, nil
}

// refuse returns nil unless the pause lasts. A clock that was set back ends it.
func (p pause) refuse(now time.Time) *Error {
	if p.refusal == nil || now.Before(p.from) || !now.Before(p.until) {
		return nil
	}
	e := *p.refusal
	e.RetryAfter = max(p.until.Sub(now), time.Second)
	return &e
}

// leave takes a caller off a flight. One that nobody waits for and that has not begun is given up, so that
// what waits for a place is bounded by those who wait for an answer.
func (c *Client) leave(hash [sha256.Size]byte, f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f.waiting--
	c.waiting--
	if f.waiting == 0 && !f.begun {
		f.begun = true
		delete(c.flights, hash)
		close(f.abandoned)
	}
}

// begin reports whether somebody still waits for the flight, and why it may not begin all the same.
func (c *Client) begin(f *flight, now time.Time) (bool, *Error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wanted := !f.begun
	f.begun, f.asked = true, now
	return wanted, c.pause.refuse(now)
}

// fly makes one request on a context of its own: it belongs to all who wait, so the end of one caller must
// not end it.
func (c *Client) fly(f *flight, token string, hash [sha256.Size]byte) {
	limit := c.cfg.Fetch.Timeout()
	place := time.NewTimer(limit)
	defer place.Stop()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-f.abandoned:
		return
	case <-place.C:
		if wanted, _ := c.begin(f, time.Time{}); wanted {
			c.land(f, hash, outcome{refusal: busy()})
		}
		return
	}
	var now time.Time
	guard(func() { now = c.cfg.Now() })
	wanted, refusal := c.begin(f, now)
	if !wanted {
		return
	}
	if refusal != nil { // the server has asked for a pause meanwhile
		c.land(f, hash, outcome{refusal: refusal})
		return
	}
	// Endpoint may need as long as the request itself.
	out, err := fetch.Supervise(2*limit, func(ctx context.Context) (outcome, error) { return c.ask(ctx, token), nil })
	if err != nil {
		out = outcome{refusal: unavailable("an answer", "none", "check that this server can reach the introspection endpoint", err)}
	}
	c.land(f, hash, out)
}

// land publishes the result of a flight.
func (c *Client) land(f *flight, hash [sha256.Size]byte, out outcome) {
	var now time.Time
	guard(func() {
		now = c.cfg.Now()
		if out.answer != nil {
			c.remember(hash, out.answer, out.size)
		}
	})
	f.answer, f.refusal = out.answer, out.refusal
	if f.answer != nil && f.answer.Claims == nil {
		f.answer, f.refusal = nil, inactive
	}
	c.mu.Lock()
	if c.flights[hash] == f { // and not a later one, which somebody began for whom this one is too old
		delete(c.flights, hash)
	}
	if out.pause > 0 {
		c.pause = pause{from: now, until: now.Add(out.pause), refusal: out.refusal}
	}
	failing := out.answer == nil
	// One line per change of state, and not more than one a minute: whoever finds a token that the server
	// chokes on must not fill the log.
	changed := failing != c.trouble.failing && (!failing || c.trouble.at.IsZero() || now.Before(c.trouble.at) || now.Sub(c.trouble.at) >= logInterval)
	if changed {
		c.trouble.failing = failing
		if failing {
			c.trouble.at = now
		}
	}
	c.mu.Unlock()
	close(f.done)
	switch {
	case changed && failing:
		guard(func() {
			c.log.Warn("mcpauth: introspection failed", "reason", out.refusal.Reason, "error", printable(out.refusal.Error()), "retry_after", out.refusal.RetryAfter)
		})
	case changed:
		guard(func() { c.log.Info("mcpauth: introspection works again") })
	}
}

// guard calls code that may be foreign, such as a clock or the Handler of the Logger, where nobody else
// would recover: its panic is not worth the process.
func guard(f func()) {
	defer func() { _ = recover() }()
	f()
}

// printable makes text fit for one log line: short, printable ASCII.
func printable(s string) string {
	const longest = 600
	out := make([]byte, 0, min(len(s), longest))
	for _, r := range s {
		if len(out) == longest {
			break
		}
		if r < ' ' || r > '~' {
			r = '?'
		}
		out = append(out, byte(r))
	}
	return string(out)
}
