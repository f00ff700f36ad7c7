package mcpauth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"errors"
	"reflect"
	"slices"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// tailor makes a result this caller's: it filters lists, and marks what depends on the caller as private to the caller
// (MCP 2026-07-28, Caching), where the SDK says "public" unless told otherwise.
func (g *guard) tailor(ctx context.Context, next mcp.MethodHandler, method string, req mcp.Request, p *Principal, res mcp.Result) (mcp.Result, error) {
	fetch := func(req mcp.Request) (mcp.Result, error) { return next(ctx, method, req) }
	if v := reflect.ValueOf(res); v.Kind() == reflect.Pointer && v.IsNil() {
		return res, nil // of other middleware: nothing to filter
	}
	switch r := res.(type) {
	case *mcp.ListToolsResult:
		return toolList.filter(ctx, g.m, p, req, r, fetch)
	case *mcp.ListPromptsResult:
		return promptList.filter(ctx, g.m, p, req, r, fetch)
	case *mcp.ListResourcesResult:
		return resourceList.filter(ctx, g.m, p, req, r, fetch)
	case *mcp.ListResourceTemplatesResult:
		return templateList.filter(ctx, g.m, p, req, r, fetch)
	case *mcp.ReadResourceResult:
		out := *r
		g.m.limitCache(&out.Cacheable, p)
		return &out, nil
	case *mcp.DiscoverResult:
		out := *r
		g.m.limitCache(&out.Cacheable, p)
		return &out, nil
	}
	return res, nil
}

// limitCache keeps a result from outliving the token, or reaching another caller, in a cache.
func (m *Middleware) limitCache(c *mcp.Cacheable, p *Principal) {
	c.CacheScope = "private"
	c.TTLMs = max(0, min(c.TTLMs, int(max(0, m.leftOf(p).Milliseconds()))))
}

// A list knows one of the SDK's four list results.
type list[S, T any, R interface {
	*S
	mcp.Result
}] struct {
	fields func(R) (items *[]T, cursor *string, cache *mcp.Cacheable)
	name   func(T) string
	page   func(req mcp.Request, cursor string) (mcp.Request, bool)
	method string // of the calls that the list is for
	ref    target
}

var (
	toolList = list[mcp.ListToolsResult, *mcp.Tool, *mcp.ListToolsResult]{
		fields: func(r *mcp.ListToolsResult) (*[]*mcp.Tool, *string, *mcp.Cacheable) {
			return &r.Tools, &r.NextCursor, &r.Cacheable
		},
		name: func(t *mcp.Tool) string { return t.Name },
		page: func(req mcp.Request, cursor string) (mcp.Request, bool) {
			return onward(req, func(p *mcp.ListToolsParams) { p.Cursor = cursor })
		},
		method: "tools/call", ref: toolTarget,
	}
	promptList = list[mcp.ListPromptsResult, *mcp.Prompt, *mcp.ListPromptsResult]{
		fields: func(r *mcp.ListPromptsResult) (*[]*mcp.Prompt, *string, *mcp.Cacheable) {
			return &r.Prompts, &r.NextCursor, &r.Cacheable
		},
		name: func(p *mcp.Prompt) string { return p.Name },
		page: func(req mcp.Request, cursor string) (mcp.Request, bool) {
			return onward(req, func(p *mcp.ListPromptsParams) { p.Cursor = cursor })
		},
		method: "prompts/get", ref: promptTarget,
	}
	resourceList = list[mcp.ListResourcesResult, *mcp.Resource, *mcp.ListResourcesResult]{
		fields: func(r *mcp.ListResourcesResult) (*[]*mcp.Resource, *string, *mcp.Cacheable) {
			return &r.Resources, &r.NextCursor, &r.Cacheable
		},
		name: func(r *mcp.Resource) string { return r.URI },
		page: func(req mcp.Request, cursor string) (mcp.Request, bool) {
			return onward(req, func(p *mcp.ListResourcesParams) { p.Cursor = cursor })
		},
		method: "resources/read", ref: resourceTarget,
	}
	templateList = list[mcp.ListResourceTemplatesResult, *mcp.ResourceTemplate, *mcp.ListResourceTemplatesResult]{
		fields: func(r *mcp.ListResourceTemplatesResult) (*[]*mcp.ResourceTemplate, *string, *mcp.Cacheable) {
			return &r.ResourceTemplates, &r.NextCursor, &r.Cacheable
		},
		name: func(t *mcp.ResourceTemplate) string { return t.URITemplate },
		page: func(req mcp.Request, cursor string) (mcp.Request, bool) {
			return onward(req, func(p *mcp.ListResourceTemplatesParams) { p.Cursor = cursor })
		},
		method: "resources/read", ref: resourceTarget,
	}
)

// onward is req with changed params, for the next page.
func onward[P any, R interface {
	*P
	mcp.Params
}](req mcp.Request, change func(*P)) (mcp.Request, bool) {
	in, ok := req.(*mcp.ServerRequest[R])
	if !ok {
		return nil, false
	}
	params := new(P)
	if in.Params != nil {
		*params = *in.Params
	}
	change(params)
	return &mcp.ServerRequest[R]{Session: in.Session, Params: params, Extra: in.Extra}, true
}

var errList = errors.New("mcpauth: the list cannot be filtered")

// filter leaves in a page what the caller may see. Anybody can make a cursor, so neither the size of a page nor
// whether there is another may depend on what is hidden: a page is filled up with what follows, up to one
// item more, and the cursor names the last item shown. Cursors that are not the SDK's are kept, and then
// pages are fetched on until one shows something.
func (l *list[S, T, R]) filter(ctx context.Context, m *Middleware, p *Principal, req mcp.Request, res R, fetch func(mcp.Request) (mcp.Result, error)) (mcp.Result, error) {
	out := *res // neither the result nor its slice may be changed: another middleware may keep them
	items, cursor, cache := l.fields(&out)
	size := max(1, len(*items)) // of a full page, where there is a cursor
	shown, last := make([]T, 0, len(*items)), ""
	x := m.rules.load()
	view := view{m: m, x: x, p: p, alike: x.alike[l.ref]}
	call := m.listCall(p, req)
	keep := func(page []T) {
		for _, item := range page {
			last = l.name(item)
			op := Operation{Method: l.method, Name: last, ref: l.ref}
			if view.shows(op) && (call == nil || m.listPolicy.shows(ctx, *call, op)) {
				shown = append(shown, item)
			}
		}
	}
	keep(*items)
	next, ours := *cursor, cursorName(*cursor) == last
	for next != "" && (len(shown) == 0 || ours && len(shown) <= size) {
		onward, ok := l.page(req, next)
		if !ok {
			return nil, errList
		}
		more, err := fetch(onward)
		if err != nil {
			return nil, err
		}
		if res, ok = more.(R); !ok || res == nil {
			return nil, errList
		}
		page := *res
		list, after, _ := l.fields(&page)
		keep(*list)
		if *after == next {
			return nil, errList // it would go on for ever
		}
		req, next = onward, *after
	}
	if ours && *cursor != "" && len(shown) > size {
		shown = slices.Clip(shown[:size])
		next = cursorFor(l.name(shown[size-1]))
	}
	*items, *cursor = shown, next
	m.limitCache(cache, p)
	return any(R(&out)).(mcp.Result), nil
}

// listCall is what Config.ListPolicy gets to see of a request for a list, but for the operation; nil
// without one.
func (m *Middleware) listCall(p *Principal, req mcp.Request) *Call {
	if m.listPolicy == nil {
		return nil
	}
	call := &Call{Principal: p, Time: m.now()}
	if extra := req.GetExtra(); extra != nil {
		call.Header = extra.Header.Clone()
		if st := knownOf(extra.TokenInfo); st != nil {
			call.RemoteAddr = st.http.remote
		}
	}
	return call
}

// shows asks about one item of a list. The policy may keep the Call.
func (p Policy) shows(ctx context.Context, call Call, op Operation) bool {
	call.Operation = op
	return p.ask(ctx, &call) == nil
}

// A view asks the rules for one caller and list, once for all items with equal rules.
type view struct {
	m     *Middleware
	x     *index
	p     *Principal
	alike map[string]uint32
	known [64]struct{ asked, shown bool } // by number: few rules differ
}

func (v *view) shows(op Operation) bool {
	number, ok := v.alike[op.Name]
	if !ok || number >= uint32(len(v.known)) {
		return v.m.visible(v.x, v.p, op)
	}
	k := &v.known[number]
	if !k.asked {
		k.asked, k.shown = true, v.m.visible(v.x, v.p, op)
	}
	return k.shown
}

// pageToken is what the SDK puts into a cursor: the base64 of its gob, which goes by field names.
type pageToken struct{ LastUID string }

func cursorName(cursor string) string {
	raw, err := base64.URLEncoding.DecodeString(cursor)
	if err != nil {
		return ""
	}
	var token pageToken
	if err := gob.NewDecoder(bytes.NewReader(raw)).Decode(&token); err != nil {
		return ""
	}
	return token.LastUID
}

func cursorFor(name string) string {
	var buf bytes.Buffer
	if err := gob.NewEncoder(&buf).Encode(pageToken{name}); err != nil {
		return "" // unreachable: the buffer takes everything
	}
	return base64.URLEncoding.EncodeToString(buf.Bytes())
}
