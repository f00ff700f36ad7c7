//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/go-mcpauth/sdk/examples/replicas/internal/issuer"
	"github.com/go-mcpauth/sdk/mcpauth/redisstore/redistest"
)

// A fault is something that goes wrong for a while, and what that explains.
type fault int

const (
	redisGone  fault = iota // 503 for everything that asks Redis
	issuerGone              // 503 for tokens whose key nobody knows, and for none else
	keyIsNew                // 401 and 503 for tokens of a key that was used as soon as it was published
)

// grace is added to the end of each fault. go-redis remembers for up to a second that nobody was there; the rest is
// for requests that began while it was so.
const grace = 3 * time.Second

// keyDelay is how long a replica may go without looking at the issuer's keys: 10 s between two fetches, and the fetch.
const keyDelay = 11 * time.Second

// A window is until when a fault explains what it does; to is zero while there is no end.
type window struct {
	fault fault
	kid   string // with keyIsNew
	to    time.Time
}

// faults make what goes wrong, and know afterwards what it explains. They are safe for concurrent use, but for run.
type faults struct {
	redis  *redistest.Server
	issuer *issuer.Issuer
	out    io.Writer
	began  time.Time

	mu        sync.Mutex
	windows   []*window
	withdrawn map[string]time.Time // keys, and when
}

// explain reports whether a fault of this kind overlaps the time from when a request was sent to now.
func (f *faults) explain(what fault, kid string, sent time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.windows {
		if w.fault == what && w.kid == kid && (w.to.IsZero() || sent.Before(w.to)) {
			return true // none begins later than now
		}
	}
	return false
}

// note notes that a fault begins, before it does. over is for when it has ended; what it explains lasts so much longer.
func (f *faults) note(what fault, kid string, lasts time.Duration) (over func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &window{fault: what, kid: kid}
	f.windows = append(f.windows, w)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		w.to = time.Now().Add(lasts + grace)
	}
}

// gone reports whether a key was withdrawn so long ago that every replica must know.
func (f *faults) gone(kid string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	when, ok := f.withdrawn[kid]
	return ok && time.Since(when) > keyDelay+grace
}

// isWithdrawn reports whether a key was withdrawn at all: some replicas may know, and others not yet.
func (f *faults) isWithdrawn(kid string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.withdrawn[kid]
	return ok
}

// An incident is something that goes wrong, or only changes, at some time of a cycle.
type incident struct {
	from, to   time.Duration // equal where begin is all of it
	what, then string
	begin      func() (end func())
}

// cycle is how long the incidents below take; after it, they begin anew. Nothing begins that would not be over
// recovery before the end of a run.
const (
	cycle    = 40 * time.Second
	recovery = 5 * time.Second
)

// incidents are those of one cycle. A run of 20 s sees Redis and the issuer break, one of 42 s all.
func (f *faults) incidents() []incident {
	var old, next string
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	return []incident{
		{ms(1500), ms(1500), "the issuer publishes a new key", "", func() func() {
			old, next = f.issuer.Signing(), f.issuer.Publish()
			return nil
		}},
		{ms(2000), ms(3500), "Redis is killed", "Redis is started again", func() func() {
			over := f.note(redisGone, "", 0)
			f.redis.Stop()
			return func() { f.redis.Restart(); over() }
		}},
		{ms(7500), ms(9500), "Redis hangs", "Redis goes on", func() func() {
			over := f.note(redisGone, "", 0)
			f.redis.Pause()
			return func() { f.redis.Resume(); over() }
		}},
		{ms(13000), ms(13000), "the issuer signs with the key that it published before", "", func() func() {
			f.issuer.Sign(next) // 11.5 s later: every replica has it
			return nil
		}},
		{ms(13100), ms(15000), "the issuer is down", "the issuer is up again", func() func() {
			over := f.note(issuerGone, "", keyDelay)
			f.issuer.SetDown(true)
			return func() { f.issuer.SetDown(false); over() }
		}},
		{ms(17000), ms(17000), "the issuer withdraws the old key", "", func() func() {
			f.withdraw(old)
			return nil
		}},
		{ms(22000), ms(37000), "the issuer signs with a key that it publishes only now", "the issuer withdraws the old key", func() func() {
			old = f.issuer.Signing()
			next = f.issuer.Publish()
			f.note(keyIsNew, next, keyDelay)()
			f.issuer.Sign(next)
			return func() { f.withdraw(old) }
		}},
	}
}

func (f *faults) withdraw(kid string) {
	f.issuer.Withdraw(kid)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.withdrawn[kid] = time.Now()
}

// run makes incidents until the run is over or ctx ends. What has begun ends.
func (f *faults) run(ctx context.Context, length time.Duration) error {
	for start := time.Duration(0); start < length; start += cycle {
		for _, i := range f.incidents() {
			if start+i.to+recovery > length {
				continue
			}
			if !f.wait(ctx, start+i.from) {
				return nil
			}
			f.say(i.what)
			var end func()
			if err := guard(func() { end = i.begin() }); err != nil || end == nil {
				if err != nil {
					return err
				}
				continue
			}
			f.wait(ctx, start+i.to)
			f.say(i.then)
			if err := guard(end); err != nil {
				return err
			}
		}
	}
	return nil
}

// wait reports whether the time has come, rather than the end.
func (f *faults) wait(ctx context.Context, at time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(time.Until(f.began.Add(at))):
		return true
	}
}

func (f *faults) say(what string) {
	fmt.Fprintf(f.out, "%6.1f s  %s\n", time.Since(f.began).Seconds(), what)
}
