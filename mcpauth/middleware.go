package mcpauth

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/internal/cors"
	"github.com/go-mcpauth/sdk/internal/envelope"
)

const (
	revision20250618 = "2025-06-18" // the first without batches
	revision20260728 = "2026-07-28" // stateless
)

// Wrap protects a handler of MCP requests, usually an *mcp.StreamableHTTPHandler. Requests without
// good credentials, and operations that a rule or the Policy refuses, are answered here and never
// reach next. What does reach it has its body as it came, no credentials in its headers, and the
// caller in its context: see [FromContext].
//
// Give the *mcp.Server behind next to [Middleware.Protect] as well: it filters lists and is the
// second guard. An *mcp.StreamableHTTPHandler whose server was not is answered 503. With handlers of
// other kinds, Wrap works alone: their lists are not filtered ([Middleware.Visible] helps), and
// subscriptions and calls are decided from the body.
//
// A session belongs to the caller whose answer was the first to name it in Mcp-Session-Id, and other
// callers are refused. Wrap knows the last 65,536 sessions of the last 24 hours, of each caller the last
// 1,024. What it does not know, such as a session that another replica saw begin, is left to the handler;
// replicas in front of handlers that bind no sessions themselves therefore need sticky routing. Requests
// of revision 2026-07-28, which has no sessions, reach the handler without that header.
//
// It does not serve the metadata document: mount [Middleware.Metadata] as well, or use
// [Middleware.Mount]. An unguarded server is found out by a ping of Wrap's own, which middleware inside
// sees, too; where getServer chooses among servers, give it to [Middleware.OnlyProtected] as well, or one
// that was forgotten is found out after its first request. [Middleware.Verify] tells before any.
//
// Wrap does not look at the request's path; mount it at the path of the resource only, as
// [Middleware.Mount] does. It is idempotent and never wraps the ResponseWriter.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	if next == nil {
		panic("mcpauth: Wrap: the handler is nil")
	}
	if m.stdioOnly {
		panic("mcpauth: Wrap: Config.StdioOnly is set; remove it to serve HTTP")
	}
	if h, ok := next.(*protected); ok && h.m == m {
		return next
	}
	isSDK := false
	switch next.(type) {
	case *mcp.StreamableHTTPHandler, *mcp.SSEHandler:
		isSDK = true // the latter never passes the probe: its sessions belong to nobody
	}
	return &protected{m: m, next: next, isSDK: isSDK}
}

// A protected handler is what Wrap returns.
type protected struct {
	m     *Middleware
	next  http.Handler
	isSDK bool
	probe probe

	behind atomic.Bool // the SDK's handler has been seen behind a handler of unknown kind
}

func (h *protected) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m := h.m
	inner, req := h.admit(w, r)
	if inner == nil {
		return
	}
	if req.standalone && !m.keepStreams {
		// OAuth 2.1, Section 5.2: the stream of a token that has ended ends. The context is made from the
		// caller's, so that a client that goes away ends it sooner.
		left := m.leftOf(req.principal)
		ctx, cancel := context.WithTimeoutCause(req.Context, left, errTokenEnded)
		defer cancel()
		req.Context = ctx
	}
	defer func() { m.answered(w.Header(), req) }() // after a panic too: the answer may have begun
	if !h.isSDK {
		req.unknown, req.outer, req.encodedName = h, r, isEncodedName(inner.Header)
	}
	if h.stopped(w, inner, req) {
		h.refuseUnprotected(w, r, req, nil)
		return
	}
	if (h.isSDK || req.asked.Load()) && req.guardExpected && !req.reached.Load() {
		h.probe.doubt(h, r, req)
	}
}

var errTokenEnded = errors.New("mcpauth: the access token of this stream has ended")

// admit makes every check and answers the request when one fails: then inner is nil. A panic in a check
// is a refusal. Nothing is allocated for a request without credentials.
func (h *protected) admit(w http.ResponseWriter, r *http.Request) (inner *http.Request, req *request) {
	m := h.m
	defer func() {
		if v := recover(); v != nil {
			inner, req = nil, nil
			m.reportPanic(r.Context(), v)
			a := unavailable(0)
			a.write(w, r, nil)
		}
	}()
	m.reportStart()
	m.origins.Expose(w.Header(), r)
	if !h.browserAllowed(w, r) {
		return nil, nil
	}
	if r.Method == http.MethodOptions {
		limitUnread(w, r)
		if cors.IsPreflight(r) {
			m.origins.Preflight(w, r)
			return nil, nil
		}
		w.Header().Set("Allow", allowedMethods)
		w.WriteHeader(http.StatusNoContent)
		return nil, nil
	}
	c := m.present(r.Header)
	look := m.look(r, &c)
	p, refused := m.identify(w.Header(), r, &c, look.wait)
	if look.limits != nil && !m.isFailure(r, refused) {
		look.good()
	}
	if refused != nil && refused == m.anonymous && len(m.guests) > 0 && m.credentialFields(r) == 0 {
		var ok bool
		if r, ok = m.admitGuest(w, r); ok {
			p = guest
		}
	}
	if p != nil {
		refused = m.limitRequest(r, p)
	}
	if refused != nil {
		m.refuseRequest(r, nil, refused.answer.status, &refused.why)
		refused.answer.write(w, r, peekRequestID(w, r))
		return nil, nil
	}
	req = &request{Context: r.Context(), m: m, known: known{of: m.mark, principal: p, http: summaryOf(r)}, hidesAddress: h.isSDK}
	return h.admitOperations(w, r, &c, req), req
}

const allowedMethods = "GET, POST, DELETE"

// browserAllowed checks Host and Origin, before anything that a page could learn from (Streamable
// HTTP, Security Warning). The answer holds no challenge: no token would help.
func (h *protected) browserAllowed(w http.ResponseWriter, r *http.Request) bool {
	m := h.m
	host := m.origins.Host(r)
	if host && m.origins.Origin(r) {
		return true
	}
	why := explanation{reason: ReasonHost, expected: "the host of the resource, or a loopback name", got: loggable(r.Host)}
	if host {
		why = explanation{reason: ReasonOrigin, expected: "no Origin, or one that is allowed", got: loggable(r.Header.Get("Origin"))}
	}
	a := answer{status: http.StatusForbidden}
	m.refuseRequest(r, nil, a.status, &why)
	limitUnread(w, r)
	a.write(w, r, nil)
	return false
}

// admitOperations decides what the request asks for, and returns nil when it has answered.
func (h *protected) admitOperations(w http.ResponseWriter, r *http.Request, c *presented, req *request) *http.Request {
	m := h.m
	revision := first(r.Header, "Mcp-Protocol-Version")
	var room [1]pending // batches are rare
	ops, body, ok := m.readOperations(w, r, c, req, revision, room[:0])
	if !ok {
		return nil
	}
	sessionless := revision >= revision20260728
	if !sessionless {
		if why := m.sessionRefused(req.principal, r); why.reason != "" {
			m.stop(w, r, req, answer{status: http.StatusForbidden}, why, ops[0].id) // no token would help
			return nil
		}
	}
	if (h.isSDK || h.behind.Load() || h.probe.mixed.Load()) && !h.probe.passed(h, r, req) {
		h.refuseUnprotected(w, r, req, ops[0].id)
		return nil
	}
	header := m.withoutCredentials(r.Header)
	if a := m.decide(r, req, header, ops, revision); a != nil {
		a.write(w, r, ops[0].id)
		return nil
	}
	if h.isSDK {
		decodeName(header)
	}
	withoutDetours(header)
	if sessionless {
		// HTTP-13: this revision has no sessions. A handler that knows them all the same must not find the
		// id of a session whose owner was not asked for.
		delete(header, "Mcp-Session-Id")
	}
	req.describe(r, ops)
	return req.inner(r, header, body)
}

// stop reports why a request goes no further, and answers it.
func (m *Middleware) stop(w http.ResponseWriter, r *http.Request, req *request, a answer, why explanation, id json.RawMessage) {
	m.refuseRequest(r, req, a.status, &why)
	a.write(w, r, id)
}

// readOperations appends to ops, which is empty, all that a request asks for: there is always something. It also returns
// the body of a POST. It reports false when it has refused the request for its form.
func (m *Middleware) readOperations(w http.ResponseWriter, r *http.Request, c *presented, req *request, revision string, ops []pending) (_ []pending, body []byte, ok bool) {
	for _, name := range singleHeaders {
		if len(r.Header[name]) > 1 {
			m.stop(w, r, req, answer{status: http.StatusBadRequest, rpc: &rpcError{Code: -32600, Message: "the header " + name + " is repeated"}},
				explanation{reason: ReasonRepeatedHeader, expected: "one field " + name, got: "several"}, peekRequestID(w, r))
			return nil, nil, false
		}
	}
	switch r.Method {
	case http.MethodPost:
		began := m.now()
		body, a, why := m.readBody(w, r)
		if why.reason != "" {
			m.stop(w, r, req, a, why, nil)
			return nil, nil, false
		}
		p, refused := m.outlived(r, c, req.principal, began)
		if refused != nil {
			m.stop(w, r, req, refused.answer, refused.why, envelope.RequestID(body))
			return nil, nil, false
		}
		req.principal = p
		env, err := envelope.Read(body, envelope.Options{AllowBatch: revision < revision20250618})
		if err != nil {
			a, why := refusedBody(r, err, revision)
			m.stop(w, r, req, a, why, envelope.RequestID(body))
			return nil, nil, false
		}
		return pendingOf(ops, env), body, true
	case http.MethodGet, http.MethodDelete:
		return append(ops, pending{op: Operation{Method: r.Method}}), nil, true
	}
	limitUnread(w, r)
	m.stop(w, r, req, answer{status: http.StatusMethodNotAllowed, allow: allowedMethods},
		explanation{reason: ReasonMethod, expected: allowedMethods, got: loggable(r.Method)}, nil)
	return nil, nil, false
}

// refusedBody is the answer to a body that cannot be authorized.
func refusedBody(r *http.Request, err error, revision string) (answer, explanation) {
	var bad *envelope.Error
	if !errors.As(err, &bad) {
		bad = envelope.ErrSyntax
	}
	a := answer{status: http.StatusBadRequest, rpc: &rpcError{Code: bad.Code, Message: bad.Error()}}
	if method := r.Header.Get("Mcp-Method"); bad == envelope.ErrTarget && revision >= revision20260728 && removed[method] {
		// Not what its params fail to name is unknown, but the method (HTTP-15).
		a = unknown(Operation{Method: method}, revision)
	}
	return a, explainBody(bad)
}

// removed are the methods that 2026-07-28 no longer has and whose params name something.
var removed = map[string]bool{"resources/subscribe": true, "resources/unsubscribe": true}

// singleHeaders select what the SDK does with a request. It reads the first of several fields; a proxy
// in front may have read another.
var singleHeaders = []string{"Mcp-Protocol-Version", "Mcp-Method", "Mcp-Name", "Mcp-Session-Id"}

const maxEchoedID = 256

// A pending operation waits for its decision.
type pending struct {
	op        Operation
	id        json.RawMessage // to be echoed; nil for none
	isCall    bool            // it has an id, whether that is echoed or not
	arguments json.RawMessage
	trace     string // traceparent of _meta, unchecked
}

// pendingOf appends to out, which is empty, all that a body asks for.
func pendingOf(out []pending, env *envelope.Envelope) []pending {
	for i := range env.Operations {
		o := &env.Operations[i]
		p := pending{op: Operation{Method: o.Method, Name: o.Name}, id: o.ID, isCall: o.Kind == envelope.Request, arguments: o.Arguments, trace: o.Traceparent}
		switch o.Target {
		case envelope.Tool:
			p.op.ref = toolTarget
		case envelope.Prompt:
			p.op.ref = promptTarget
		case envelope.Resource, envelope.Template:
			p.op.ref = resourceTarget
		}
		if env.Batch || len(p.id) > maxEchoedID {
			p.id = nil // the refusal of a batch is about no single message, and nobody needs an endless id echoed
		}
		out = append(out, p)
	}
	return out
}

// decide asks for every operation and returns the answer if any is refused: then none runs.
func (m *Middleware) decide(r *http.Request, req *request, header http.Header, ops []pending, revision string) *answer {
	var (
		first    = -1 // the refusal that is answered
		refusals = make([]*Error, 0, 4)
		rules    = make([]verdict, 0, 1)
		x        = m.rules.load()
		shown    http.Header
	)
	req.rules = x.serial
	if m.policy != nil {
		shown = header.Clone() // the handler's own changes further, and a Policy may keep what it got, or write there
	}
	for i, o := range ops {
		v := m.judge(x, req.principal, o.op)
		rules = append(rules, v)
		e := m.refusal(req.principal, v, o.op)
		if e == nil && m.policy != nil {
			e = m.askPolicy(r.Context(), &Call{
				Principal: req.principal, Operation: o.op, Arguments: o.arguments, Header: shown, RemoteAddr: r.RemoteAddr, Time: m.now(),
			})
		}
		refusals = append(refusals, e)
		if e != nil && (first < 0 || gravity(e) > gravity(refusals[first])) {
			first = i
		}
	}
	if first < 0 { // else nothing runs, so nothing counts
		if i, e := m.limitOperations(r, req.principal, ops); e != nil {
			refusals[i], first = e, i
		}
	}
	for i, o := range ops {
		m.reportOperation(r.Context(), req.http, req.principal, o, rules[i], refusals[i], first >= 0)
	}
	if first < 0 {
		return nil
	}
	e := refusals[first]
	if gravity(e) < incurable {
		for _, other := range refusals {
			if other != nil && other != e {
				e.Scopes = dedupe(slices.Concat(e.Scopes, other.Scopes)) // a Policy may return the same ones to others
			}
		}
	}
	if m.concealed(e.Reason) {
		a := unknown(ops[first].op, revision)
		return &a
	}
	a := m.refused(e, req.principal, revision)
	return &a
}

// concealed reports whether an operation that is refused for this reason is answered as one that does not exist.
func (m *Middleware) concealed(reason Reason) bool {
	switch reason {
	case ReasonNoRule, ReasonUnsafeURI:
		return true
	case ReasonInsufficientScope, ReasonFixedGrant, ReasonRole, ReasonClientLimit, ReasonLogin, ReasonNoLogin:
		return m.conceal
	}
	return false
}

const incurable = 2

// gravity says which of several refusals is answered: first what the client can do nothing about, then a missing
// sign-in, which can bring scopes as well.
func gravity(e *Error) int {
	switch e.Code {
	case codeInsufficientScope:
		return 0
	case codeInsufficientLogin:
		return 1
	}
	return incurable
}

// leftOf is how long the token of p still counts.
func (m *Middleware) leftOf(p *Principal) time.Duration {
	if p.expiry.IsZero() { // not over HTTP: a token without an expiry is refused
		return math.MaxInt64
	}
	return p.expiry.Add(p.leeway).Sub(m.now())
}
