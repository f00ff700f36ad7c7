package devas

import (
	"slices"
	"sync"
)

const maxEvents = 1000 // of each sort

// journal keeps the latest events. Refusals and registrations have room of their own: anybody can cause them, and they must not push out what was granted.
type journal struct {
	mu       sync.Mutex
	seq      uint64
	accepted []numbered
	refused  []numbered
}

type numbered struct {
	Seq uint64
	Event
}

func (j *journal) add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.seq++
	into := &j.accepted
	if !e.OK || e.Kind == EventClientRegistered {
		into = &j.refused
	}
	if len(*into) >= maxEvents {
		*into = slices.Delete(*into, 0, len(*into)-maxEvents+1)
	}
	*into = append(*into, numbered{j.seq, e})
}

// all returns the events, newest first.
func (j *journal) all() []numbered {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := slices.Concat(j.accepted, j.refused)
	slices.SortFunc(out, func(a, b numbered) int {
		if a.Seq > b.Seq {
			return -1
		}
		return 1
	})
	return out
}

// restore puts events back that all returned.
func (j *journal) restore(events []numbered) {
	for _, e := range slices.Backward(events) {
		j.add(e.Event)
	}
}

// events lists the latest events, newest first.
func (s *Server) events() []Event {
	all := s.journal.all()
	out := make([]Event, len(all))
	for i, e := range all {
		out[i] = e.Event
	}
	return out
}

// log keeps an event, at the present time.
func (s *Server) log(e Event) {
	e.At = s.cfg.Now()
	e.Client, e.Detail = clean(e.Client, 300), clean(e.Detail, 300)
	s.journal.add(e)
	if e.OK {
		s.store.touch() // a refusal is written with the next change: nobody shall make this server write a file by being refused
	}
	s.cfg.Logger.Info("event", "kind", e.Kind, "ok", e.OK, "user", e.User, "client_id", e.Client, "server", e.Server, "scope", e.Scope, "detail", e.Detail)
}
