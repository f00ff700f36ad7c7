package mcpauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A probe finds out whether the SDK server behind a handler was given to Protect, before any request
// reaches it: the handler does not say which server it serves. It sends a ping of its own through the
// handler; the guard notes it and answers, and without a guard nothing notes it.
type probe struct {
	mu    sync.Mutex
	ok    flag
	mixed flag // getServer chooses among servers, and one of them is unguarded
}

// passed reports whether requests may go through. A failed probe is repeated with every request, so a
// server that is protected later recovers.
func (p *probe) passed(h *protected, r *http.Request, req *request) bool {
	if p.mixed.Load() {
		found := h.ping(r, req, true)
		return found == guarded || found == refusedBySDK // whose own answer says more: 404 for a session that ended
	}
	if p.ok.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ok.Load() {
		return true
	}
	reached := h.ping(r, req, false) == guarded
	p.ok.Store(reached)
	return reached
}

// doubt is called when a request passed and no guard has seen it: either the SDK refused it for reasons
// of its own, or getServer chose a server that is unguarded. From then on, every request is probed.
func (p *probe) doubt(h *protected, r *http.Request, req *request) {
	if h.ping(r, req, true) == unguarded {
		p.mixed.Store(true)
	}
}

// What a ping finds.
type finding byte

const (
	refusedBySDK finding = iota
	guarded
	unguarded  // the ping was answered, by nobody of ours
	unanswered // nothing, or an error: of other middleware, another guard, a session that ends; proves nothing
)

const pingDeadline = 5 * time.Second

// ping plays the request r again, as far as getServer can see it, with a ping in its body; within the
// session, or as one that opens its own.
func (h *protected) ping(r *http.Request, req *request, session bool) finding {
	// Pings of one session must not share an id while they are in flight.
	body := `{"jsonrpc":"2.0","id":"protected?` + rand.Text() + `","method":"ping"}`
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), pingDeadline)
	defer cancel()
	trial := &request{Context: ctx, m: h.m, http: r, principal: req.principal, isProbe: true, hidesAddress: true}
	trial.info = trial.tokenInfo()
	out := r.WithContext(trial)
	out.Method = http.MethodPost
	out.Header = withoutCredentials(r.Header)
	for _, name := range []string{"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-Id", "Content-Encoding"} {
		delete(out.Header, name)
	}
	if !session {
		delete(out.Header, "Mcp-Session-Id")
	}
	out.Header.Set("Content-Type", "application/json")
	out.Header.Set("Accept", "application/json, text/event-stream")
	out.Body = io.NopCloser(strings.NewReader(body))
	out.ContentLength = int64(len(body))
	w := &nowhere{header: make(http.Header)}
	h.serveInner(w, out, trial)
	switch {
	case trial.reached.Load():
		return guarded
	case w.refused:
		return refusedBySDK
	case bytes.Contains(w.body, []byte(`"result"`)):
		return unguarded
	}
	return unanswered
}

// nowhere is a ResponseWriter whose response nobody reads.
type nowhere struct {
	header  http.Header
	refused bool
	body    []byte // its beginning
}

func (n *nowhere) Header() http.Header { return n.header }
func (n *nowhere) Write(p []byte) (int, error) {
	n.body = append(n.body, p[:min(len(p), 1024-len(n.body))]...)
	return len(p), nil
}
func (n *nowhere) WriteHeader(status int) { n.refused = status >= http.StatusBadRequest }
func (n *nowhere) Flush()                 {}
