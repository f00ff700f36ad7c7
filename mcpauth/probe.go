package mcpauth

import (
	"io"
	"net/http"
	"strings"
	"sync"
)

// A probe finds out whether the SDK server behind a handler was given to Protect, before any request
// reaches it: the handler does not say which server it serves. It sends a ping of its own through the
// handler; the guard notes it and answers, and without a guard nothing notes it.
type probe struct {
	mu sync.Mutex
	ok flag
}

// passed reports whether requests may go through. A failed probe is repeated with every request, so a
// server that is protected later recovers.
func (p *probe) passed(h *protected, r *http.Request, req *request) bool {
	if p.ok.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ok.Load() {
		return true
	}
	reached := h.ping(r, req)
	p.ok.Store(reached)
	return reached
}

// forget makes the next request probe again: getServer may choose another server for each request,
// and this one may not have been guarded.
func (p *probe) forget() { p.ok.Store(false) }

// ping plays the request r again, as far as getServer can see it, with a ping in its body.
func (h *protected) ping(r *http.Request, req *request) bool {
	const body = `{"jsonrpc":"2.0","id":"protected?","method":"ping"}`
	trial := &request{Context: r.Context(), m: h.m, http: r, principal: req.principal, isProbe: true}
	trial.info = trial.tokenInfo()
	out := r.WithContext(trial)
	out.Method = http.MethodPost
	out.Header = withoutCredentials(r.Header)
	for _, name := range []string{"Mcp-Session-Id", "Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-Id", "Content-Encoding"} {
		delete(out.Header, name)
	}
	out.Header.Set("Content-Type", "application/json")
	out.Header.Set("Accept", "application/json, text/event-stream")
	out.Body = io.NopCloser(strings.NewReader(body))
	out.ContentLength = int64(len(body))
	h.serveInner(&nowhere{header: make(http.Header)}, out, trial)
	return trial.reached.Load()
}

// nowhere is a ResponseWriter whose response nobody reads.
type nowhere struct{ header http.Header }

func (n *nowhere) Header() http.Header         { return n.header }
func (n *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (n *nowhere) WriteHeader(int)             {}
func (n *nowhere) Flush()                      {}
