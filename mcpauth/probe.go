package mcpauth

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// A probe finds out whether the SDK server behind a handler was given to Protect, before any request
// reaches it: the handler does not say which server it serves. It sends a ping of its own through the
// handler; the guard notes it and answers, and without a guard nothing notes it.
type probe struct {
	ok    atomic.Bool
	mixed atomic.Bool // getServer chooses among servers, and one of them is unguarded
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
	// Requests that meet here ping each for itself: behind the handler is foreign code, which nobody should wait for twice,
	// and the failure of one caller's ping says nothing about another's.
	reached := h.ping(r, req, false) == guarded
	if reached {
		p.ok.Store(true)
	}
	return reached
}

// doubt is called when a request passed and no guard has seen it: either the SDK refused it for reasons
// of its own, or getServer chose a server that is unguarded. From then on, every request is probed.
func (p *probe) doubt(h *protected, r *http.Request, req *request) {
	if h.ping(r, req, true) == unguarded && p.mixed.CompareAndSwap(false, true) {
		h.m.log.WarnContext(r.Context(), "mcpauth: a server that was never protected has answered a request", "reason", string(ReasonUnprotected),
			"cure", "call auth.Protect(server) for every server that getServer returns; until then they are refused")
	}
}

// errUnprotected ends a request in the middle of the SDK's handler, before it has dispatched anything.
var errUnprotected = errors.New("mcpauth: the server behind the handler was never protected")

// sdkAsks is called when somebody behind a handler of unknown kind asks for the TokenInfo. If it is the
// SDK's handler, other middleware stands in front of it, and the server must be protected all the same.
// Nothing of the body has been dispatched yet, though a session may have been opened.
func (h *protected) sdkAsks(r *http.Request, req *request) {
	if req.encodedName && insideSDK() {
		decodeName(req.out.Header) // it asks before it compares
	}
	if h.probe.ok.Load() || h.probe.mixed.Load() {
		req.asked.Store(true)
		return
	}
	if !insideSDK() {
		return // code of the user's that wants to know the caller
	}
	req.asked.Store(true)
	h.behind.Store(true) // the next ones are probed before they come so far: a session may have been opened
	if !h.probe.passed(h, r, req) {
		panic(errUnprotected)
	}
}

// insideSDK reports whether the SDK's HTTP handler is on the stack of this goroutine. Tools run on others.
func insideSDK() bool {
	var callers [128]uintptr
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers[:])])
	for {
		frame, more := frames.Next()
		if frame.Function == sdkServeHTTP {
			return true
		}
		if !more {
			return false
		}
	}
}

const sdkServeHTTP = "github.com/modelcontextprotocol/go-sdk/mcp.(*StreamableHTTPHandler).ServeHTTP"

// OnlyProtected wraps a getServer of mcp.NewStreamableHTTPHandler that chooses among servers. A server that was
// never given to Protect of this Middleware, or was given to that of another one, is then not chosen: the request is
// answered 503, and Config.Logger is told, before anything of it has reached that server. Without this, Wrap finds
// such a server out only after its first request, since the SDK's handler does not say whom it has chosen.
//
//	mcp.NewStreamableHTTPHandler(auth.OnlyProtected(getServer), nil)
//
// Where getServer returns nil, so does this, and the SDK answers 400. It panics for nil.
func (m *Middleware) OnlyProtected(getServer func(*http.Request) *mcp.Server) func(*http.Request) *mcp.Server {
	if getServer == nil {
		panic("mcpauth: OnlyProtected: getServer is nil")
	}
	return func(r *http.Request) *mcp.Server {
		server := getServer(r)
		if server == nil || protectedServers.owner(server) == m {
			return server
		}
		if req, _ := r.Context().Value(requestKey{}).(*request); req != nil && req.m == m {
			panic(errUnprotected) // for Wrap, which answers
		}
		return nil
	}
}

// stopped serves the request and reports whether it was ended before it reached an unguarded server.
func (h *protected) stopped(w http.ResponseWriter, r *http.Request, req *request) (stopped bool) {
	defer func() {
		if v := recover(); v != nil {
			if v != any(errUnprotected) {
				panic(v)
			}
			stopped = true
		}
	}()
	h.serveInner(w, r, req)
	return false
}

// refuseUnprotected answers a request that would reach an unguarded server.
func (h *protected) refuseUnprotected(w http.ResponseWriter, r *http.Request, req *request, id json.RawMessage) {
	a := unavailable(0)
	h.m.refuseRequest(r, req, a.status, &explanation{reason: ReasonUnprotected, expected: "a server that was given to Protect", got: "another server"})
	a.write(w, r, id)
}

// A finding is what a ping finds.
type finding byte

const (
	refusedBySDK finding = iota // with a status that it gives itself: no such session, or a request that it does not take
	guarded
	unguarded  // the ping was answered, by nobody of ours
	unanswered // nothing, or an error: of other middleware, another guard, a session that ends; proves nothing
)

// aboutTheBody are fields that say something about the body of the client's request, which is not that of a ping.
var aboutTheBody = []string{
	"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Last-Event-Id", "Content-Encoding",
	"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Signature", "Signature-Input", // RFC 9530, RFC 9421
}

const pingDeadline = 5 * time.Second

// ping plays the request r again, as far as getServer can see it, with a ping in its body; within the
// session and at the revision of r, or as one that opens a session of its own.
func (h *protected) ping(r *http.Request, req *request, session bool) finding {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), pingDeadline)
	defer cancel()
	trial := &request{Context: ctx, m: h.m, known: known{of: h.m.mark, principal: req.principal, http: req.http, isProbe: true}, hidesAddress: true}
	out := h.pingRequest(r, trial, session)
	found := make(chan finding, 1)
	go func() { // the SDK's handler waits for middleware that hangs, whatever its context says
		result := unanswered
		defer func() {
			if v := recover(); v == any(errUnprotected) {
				result = unguarded
			} else if v != nil {
				h.m.reportPanic(ctx, v)
			}
			found <- result
		}()
		w := &nowhere{header: make(http.Header)}
		h.serveInner(w, out, trial)
		switch {
		case trial.reached.Load():
			result = guarded
		case w.status == http.StatusBadRequest || w.status == http.StatusNotFound:
			result = refusedBySDK
		case bytes.Contains(w.body, []byte(`"result"`)):
			result = unguarded
		}
	}()
	select {
	case result := <-found:
		return result
	case <-ctx.Done():
		return unanswered
	}
}

// pingRequest is r with a ping in its body, and without what is about the body that r has.
func (h *protected) pingRequest(r *http.Request, trial *request, session bool) *http.Request {
	revision := ""
	if session {
		revision = r.Header.Get("Mcp-Protocol-Version")
	}
	body, method := pingBody(revision)
	out := r.WithContext(trial)
	out.Method = http.MethodPost
	out.Header = h.m.withoutCredentials(r.Header)
	withoutDetours(out.Header)
	for _, name := range aboutTheBody {
		delete(out.Header, name)
	}
	if revision != "" {
		out.Header.Set("Mcp-Protocol-Version", revision)
	}
	if revision >= revision20260728 {
		out.Header.Set("Mcp-Method", method)
	}
	if !session || revision >= revision20260728 {
		delete(out.Header, "Mcp-Session-Id")
	}
	out.Header.Set("Content-Type", "application/json")
	out.Header.Set("Accept", "application/json, text/event-stream")
	out.Body = io.NopCloser(strings.NewReader(body))
	out.ContentLength = int64(len(body))
	return out
}

// pingBody is the cheapest request that a server of this revision answers. From 2026-07-28 on that is
// server/discover, since there is no ping.
func pingBody(revision string) (body, method string) {
	// Pings of one session must not share an id while they are in flight.
	id := `{"jsonrpc":"2.0","id":"protected?` + rand.Text() + `","method":`
	if revision < revision20260728 {
		return id + `"ping"}`, "ping"
	}
	meta, _ := json.Marshal(map[string]any{
		mcp.MetaKeyProtocolVersion: revision, mcp.MetaKeyClientCapabilities: struct{}{},
		mcp.MetaKeyClientInfo: mcp.Implementation{Name: "mcpauth-probe", Version: "1"},
	})
	return id + `"server/discover","params":{"_meta":` + string(meta) + `}}`, "server/discover"
}

// nowhere is a ResponseWriter whose response nobody reads.
type nowhere struct {
	header http.Header
	status int
	body   []byte // its beginning
}

func (n *nowhere) Header() http.Header { return n.header }
func (n *nowhere) Write(p []byte) (int, error) {
	n.body = append(n.body, p[:min(len(p), 1024-len(n.body))]...)
	return len(p), nil
}
func (n *nowhere) WriteHeader(status int) { n.status = status }
func (n *nowhere) Flush()                 {}
