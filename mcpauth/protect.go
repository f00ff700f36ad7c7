package mcpauth

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/go-mcpauth/sdk/scopes"
)

// Protect makes a server enforce the rules itself: on every transport, on what the SDK has parsed, and
// for each request of a session. It puts the caller of that request into the context of tools,
// filters lists, and marks them as private to the caller.
//
// Call it once the server exists, after adding receiving middleware of your own that should see only
// allowed requests: middleware added later runs before the guard. Protect is idempotent and does not
// keep the server alive. One server belongs to one Middleware; it panics for a server of another, and for
// nil.
//
// A request that comes neither through [Middleware.Wrap] nor over a connection whose context carries a
// caller ([NewContext]) is refused, initialize included.
func (m *Middleware) Protect(server *mcp.Server) {
	if server == nil {
		panic("mcpauth: Protect: the server is nil")
	}
	if !protectedServers.add(server, m) {
		return
	}
	g := &guard{m: m}
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			return g.handle(ctx, next, method, req)
		}
	})
}

// AddTool adds a tool to the server, as mcp.AddTool does, together with the rule for calling it. It
// also protects the server. It panics as [Middleware.RequireTool] does, and for a name that ends in an
// asterisk, which a rule could only take for a pattern.
func AddTool[In, Out any](m *Middleware, server *mcp.Server, t *mcp.Tool, h mcp.ToolHandlerFor[In, Out], r scopes.Rule) {
	m.Protect(server)
	requireLiteral(toolTarget, t.Name)
	m.RequireTool(t.Name, r)
	mcp.AddTool(server, t, h)
}

// AddPrompt adds a prompt together with its rule; see [AddTool].
func AddPrompt(m *Middleware, server *mcp.Server, p *mcp.Prompt, h mcp.PromptHandler, r scopes.Rule) {
	m.Protect(server)
	requireLiteral(promptTarget, p.Name)
	m.RequirePrompt(p.Name, r)
	server.AddPrompt(p, h)
}

// AddResource adds a resource together with its rule; see [AddTool].
func AddResource(m *Middleware, server *mcp.Server, res *mcp.Resource, h mcp.ResourceHandler, r scopes.Rule) {
	m.Protect(server)
	requireLiteral(resourceTarget, res.URI)
	m.RequireResource(res.URI, r)
	server.AddResource(res, h)
}

// AddResourceTemplate adds a resource template together with its rule; see [AddTool].
func AddResourceTemplate(m *Middleware, server *mcp.Server, t *mcp.ResourceTemplate, h mcp.ResourceHandler, r scopes.Rule) {
	m.Protect(server)
	m.RequireResource(t.URITemplate, r)
	server.AddResourceTemplate(t, h)
}

// requireLiteral panics if the name of one thing would be read as a pattern for many.
func requireLiteral(kind target, name string) {
	if strings.HasSuffix(name, "*") {
		panic(fmt.Sprintf("mcpauth: %s %q: the rule would stand for every name that begins so; add the %[1]s and declare its rule apart", kind, name))
	}
}

// guards remembers to whom the protected servers belong, without keeping a server alive.
type guards struct {
	mu      sync.Mutex
	servers map[weak.Pointer[mcp.Server]]*Middleware
}

var protectedServers guards

// add reports whether the server is new.
func (g *guards) add(server *mcp.Server, m *Middleware) bool {
	key := weak.Make(server)
	g.mu.Lock()
	defer g.mu.Unlock()
	if owner, ok := g.servers[key]; ok {
		if owner != m {
			panic("mcpauth: Protect: the server was given to another Middleware before; make one and share it")
		}
		return false
	}
	if g.servers == nil {
		g.servers = make(map[weak.Pointer[mcp.Server]]*Middleware)
	}
	g.servers[key] = m
	runtime.AddCleanup(server, g.remove, key)
	return true
}

func (g *guards) remove(key weak.Pointer[mcp.Server]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.servers, key)
}

func (g *guards) owner(server *mcp.Server) *Middleware {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.servers[weak.Make(server)]
}

// A guard is the second reader of every operation: it judges what the SDK itself parsed and trusts
// nothing that Wrap read.
type guard struct {
	m    *Middleware
	seen atomic.Bool // a request
}

func (g *guard) handle(ctx context.Context, next mcp.MethodHandler, method string, req mcp.Request) (mcp.Result, error) {
	if req.GetExtra() == nil && ctx.Value(verifyKey{}) == g.m {
		return next(ctx, method, req) // a listing by Verify, over a transport of its own
	}
	ctx, p, err := g.admit(ctx, next, method, req)
	if err != nil {
		return nil, err
	}
	res, err := next(ctx, method, req)
	if err != nil {
		return nil, err
	}
	return g.tailorSafely(ctx, next, method, req, p, res)
}

// tailorSafely is tailor, where a panic in a check refuses as in admit.
func (g *guard) tailorSafely(ctx context.Context, next mcp.MethodHandler, method string, req mcp.Request, p *Principal, res mcp.Result) (out mcp.Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			out, err = nil, forbidden
			g.m.reportPanic(ctx, v)
		}
	}()
	return g.tailor(ctx, next, method, req, p, res)
}

// admit makes every check. A panic in one of them, or in a hook, is a refusal: nothing else stands
// between it and the end of the process.
func (g *guard) admit(ctx context.Context, next mcp.MethodHandler, method string, req mcp.Request) (_ context.Context, p *Principal, err error) {
	m := g.m
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, forbidden
			m.reportPanic(ctx, v)
		}
	}()
	extra := req.GetExtra()
	caller := &known{of: m.mark}
	local := extra == nil
	if local {
		// Without HTTP, the context of the connection says who is calling. It must be NewContext that
		// put the caller there: a handler without Extra may also be behind Wrap (the SDK's SSEHandler),
		// and then the context is that of another request.
		caller.principal, _ = ctx.Value(principalKey{}).(*Principal)
	} else if st := knownOf(extra.TokenInfo); st != nil && st.of == m.mark {
		st.reached.Store(true)
		if st.isProbe {
			return nil, nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "probe"}
		}
		caller = st
	}
	if caller.principal == nil {
		m.reportRefusal(ctx, nil, pending{op: Operation{Method: method}}, http.StatusForbidden, &explanation{
			reason: ReasonNoPrincipal, expected: "a request by way of Wrap, or a connection whose context has a caller", got: "neither",
		}, summary{})
		return nil, nil, forbidden
	}
	if local {
		now, why := m.stdioNow(ctx, caller.principal)
		if why.reason != "" {
			m.reportRefusal(ctx, caller.principal, pending{op: Operation{Method: method}}, http.StatusForbidden, &why, summary{})
			return nil, nil, forbidden
		}
		caller.principal = m.shaped(now)
	}
	if g.seen.CompareAndSwap(false, true) { // nobody else waits: the lists are foreign code
		g.verifyOnce(ctx, next, req)
	}

	ops, ok := operationsOf(method, req)
	if !ok {
		return nil, nil, m.guardRefuses(ctx, caller, pending{op: Operation{Method: method}}, verdict{reason: ReasonNoRule}, local)
	}
	x := m.rules.load()
	for _, o := range ops {
		v := m.judge(x, caller.principal, o.op)
		if local {
			o.trace = metaTrace(req)
		}
		if v.reason != ReasonAllowed {
			return nil, nil, m.guardRefuses(ctx, caller, o, v, local)
		}
		if local {
			if err := m.checkLocal(ctx, caller, o, v); err != nil {
				return nil, nil, err
			}
		}
	}
	ctx = NewContext(ctx, caller.principal)
	if !local {
		ctx = withTokenInfo(ctx, extra.TokenInfo)
	}
	return ctx, caller.principal, nil
}

// metaTrace is the traceparent of a request without HTTP.
func metaTrace(req mcp.Request) string {
	params := req.GetParams()
	if v := reflect.ValueOf(params); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return "" // GetMeta of the SDK's params wants a receiver
	}
	trace, _ := params.GetMeta()["traceparent"].(string)
	return trace
}

var forbidden = &jsonrpc.Error{Code: http.StatusForbidden, Message: http.StatusText(http.StatusForbidden)}

// guardRefuses reports a refusal and returns what the caller is told. Over HTTP, Wrap has allowed the
// same request, so the two readers disagree about it, unless the rules have changed in between.
func (m *Middleware) guardRefuses(ctx context.Context, caller *known, o pending, v verdict, local bool) error {
	e := m.refusal(caller.principal, v, o.op)
	if !local && caller.rules == m.rules.load().serial {
		m.reportRefusal(ctx, caller.principal, o, http.StatusForbidden, &explanation{
			reason: ReasonReadersDisagree, expected: "the operation that Wrap allowed", got: "one that is refused: " + string(v.reason),
		}, caller.http)
	} else {
		m.reportOperation(ctx, summary{}, caller.principal, o, v, e, false)
	}
	if e.Reason == ReasonNoRule || e.Reason == ReasonUnsafeURI || m.conceal {
		a := unknown(o.op, "")
		out := &jsonrpc.Error{Code: int64(a.rpc.Code), Message: a.rpc.Message}
		if a.rpc.Data != nil {
			out.Data, _ = json.Marshal(a.rpc.Data)
		}
		return out
	}
	return forbidden
}

// checkLocal does what Wrap does for HTTP, once per operation: the Policy and the report.
func (m *Middleware) checkLocal(ctx context.Context, caller *known, o pending, v verdict) error {
	e := m.askPolicy(ctx, &Call{Principal: caller.principal, Operation: o.op, Arguments: o.arguments, Time: m.now()})
	if e == nil {
		e = m.limitLocal(ctx, caller.principal, o.op)
	}
	m.reportOperation(ctx, summary{}, caller.principal, o, v, e, false)
	if e != nil {
		return forbidden
	}
	return nil
}

// operationsOf reads the operations from what the SDK parsed. A method whose params have another type
// than this version of the SDK gives them is not understood.
func operationsOf(method string, req mcp.Request) ([]pending, bool) {
	one := func(name string, ref target, arguments json.RawMessage) ([]pending, bool) {
		return []pending{{op: Operation{Method: method, Name: name, ref: ref}, arguments: arguments}}, name != ""
	}
	switch method {
	case "tools/call":
		if r, ok := req.(*mcp.CallToolRequest); ok && r.Params != nil {
			return one(r.Params.Name, toolTarget, r.Params.Arguments)
		}
		return nil, false
	case "prompts/get":
		if r, ok := req.(*mcp.GetPromptRequest); ok && r.Params != nil {
			arguments, _ := json.Marshal(r.Params.Arguments)
			return one(r.Params.Name, promptTarget, arguments)
		}
		return nil, false
	case "resources/read":
		if r, ok := req.(*mcp.ReadResourceRequest); ok && r.Params != nil {
			return one(r.Params.URI, resourceTarget, nil)
		}
		return nil, false
	case "resources/subscribe":
		if r, ok := req.(*mcp.SubscribeRequest); ok && r.Params != nil {
			return one(r.Params.URI, resourceTarget, nil)
		}
		return nil, false
	case "resources/unsubscribe":
		if r, ok := req.(*mcp.UnsubscribeRequest); ok && r.Params != nil {
			return one(r.Params.URI, resourceTarget, nil)
		}
		return nil, false
	case methodComplete:
		r, ok := req.(*mcp.CompleteRequest)
		if !ok || r.Params == nil || r.Params.Ref == nil {
			return nil, false
		}
		switch r.Params.Ref.Type {
		case "ref/prompt":
			return one(r.Params.Ref.Name, promptTarget, nil)
		case "ref/resource":
			return one(r.Params.Ref.URI, resourceTarget, nil)
		}
		return nil, false
	case "subscriptions/listen":
		// The SDK subscribes to each URI itself, outside of its middleware.
		r, ok := req.(*mcp.SubscriptionsListenRequest)
		if !ok || r.Params == nil {
			return nil, false
		}
		ops := []pending{{op: Operation{Method: method}}}
		if n := r.Params.Notifications; n != nil {
			for _, uri := range n.ResourceSubscriptions {
				ops = append(ops, pending{op: Operation{Method: method, Name: uri, ref: resourceTarget}})
			}
		}
		return ops, true
	}
	return []pending{{op: Operation{Method: method}}}, true
}
