package mcpauth

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

// A request is one HTTP request that is being served. It is also the context of its inner handler:
// one allocation carries the caller, the SDK's TokenInfo, and the request that the inner handler gets. None
// of it is used again for another request: the SDK's tools may outlive this one, and one may append to the
// scopes of its TokenInfo.
type request struct {
	context.Context
	known
	m        *Middleware
	out      http.Request   // what the inner handler gets
	body     whole          // of out
	info     auth.TokenInfo // made when the SDK asks for it
	infoOnce sync.Once

	standalone    bool          // a stream of its own, not the answer to a call
	guardExpected bool          // the SDK will pass this request to its receiving middleware
	hidesAddress  bool          // the SDK's own check of Host is left out
	unknown       *protected    // a handler of unknown kind, told when somebody behind it asks for the TokenInfo; nil: no need to know
	outer         *http.Request // what it was given
	asked         atomic.Bool   // the SDK is behind, under whatever wrapper
}

// known is the part of a request that its TokenInfo leads to. The SDK hands that to tools, which may
// log it or send it on. So there is no way from here to the *http.Request, nor to its context, where
// net/http keeps the connection: both hold the token. Nor to the Middleware, which holds keys of nonces and
// remembers the claims of other callers.
type known struct {
	of        *mark
	principal *Principal
	http      summary
	rules     uint64      // the serial number of those by which Wrap has decided
	isProbe   bool        // made by probe.go
	reached   atomic.Bool // a guard has seen it
}

// String keeps a context or a TokenInfo that somebody prints from showing what it leads to: package fmt looks into
// unexported fields, and with some verbs behind pointers. There is the body, and for handlers of other kinds the
// request as it came, with its token.
func (*known) String() string { return "mcpauth.request" }

// Format implements [fmt.Formatter]: whatever the verb, it writes what String returns.
func (k *known) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, k.String()) }

// A mark tells one Middleware from others and leads to none.
type mark struct{ _ byte }

type requestKey struct{}

// Value implements context.Context.
func (r *request) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		if r.principal == nil {
			return nil
		}
		return r
	}
	if key == (principalKey{}) && r.principal != nil {
		return nil // a caller in the context around Wrap, such as that of the whole process, is not this one's
	}
	if sdkKey != nil && key == sdkKey && r.principal != nil {
		if r.unknown != nil {
			r.unknown.sdkAsks(r.outer, r)
		}
		return r.tokenInfo()
	}
	if r.hidesAddress && key == http.LocalAddrContextKey {
		// The SDK refuses every public Host on a loopback listener, where a proxy on the same machine may
		// well pass it on. Host has been checked, against the one name that is right.
		return nil
	}
	return r.Context.Value(key)
}

// describe notes what kind of request this is.
func (req *request) describe(r *http.Request, ops []pending) {
	req.standalone = r.Method == http.MethodGet
	for _, o := range ops {
		req.standalone = req.standalone || o.op.Method == "subscriptions/listen"
		// Notifications are answered before the guard sees them, and so may be what has no id.
		req.guardExpected = req.guardExpected || o.id != nil && o.op.Method != ""
	}
}

// inner is the request that the wrapped handler gets.
func (req *request) inner(r *http.Request, header http.Header, body []byte) *http.Request {
	out := &req.out
	*out = *r.WithContext(req)
	out.Header, out.Trailer = header, nil
	if r.Method == http.MethodPost {
		req.body.rest.Reset(body)
		out.Body = &req.body
	} else {
		// Nobody has looked at it, and a handler that does not look at the method may run what it says.
		out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, 0, nil
		delete(header, "Content-Length")
	}
	return out
}

// A whole body has been read already. Its zero value is empty. It lets go of the text at the end: a session of the SDK
// keeps the context of the request that opened it, of which this is a part.
type whole struct{ rest bytes.Reader }

// Read implements io.Reader.
func (b *whole) Read(p []byte) (int, error) {
	n, err := b.rest.Read(p)
	b.release()
	return n, err
}

// WriteTo implements io.WriterTo.
func (b *whole) WriteTo(w io.Writer) (int64, error) {
	n, err := b.rest.WriteTo(w)
	b.release()
	return n, err
}

func (b *whole) release() {
	if b.rest.Len() == 0 {
		b.rest.Reset(nil)
	}
}

// Close implements io.Closer.
func (*whole) Close() error { return nil }

// first is the first field of a name in its canonical spelling, which http.Header.Get would have to check.
func first(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

// withoutDetours removes what would make a handler, or a server behind it, take another request than
// the one that was decided: another method, another path (both by frameworks that honour such headers),
// or, by way of httputil.ReverseProxy, a connection of which nothing is decided any more.
func withoutDetours(header http.Header) {
	for _, name := range [...]string{
		"Upgrade", "Http2-Settings",
		"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Original-Url", "X-Rewrite-Url",
	} {
		delete(header, name)
	}
}

// withoutCredentials copies the header without what must never reach tool code or an upstream (MCP,
// Token Passthrough).
func (m *Middleware) withoutCredentials(h http.Header) http.Header {
	out := maps.Clone(h) // which costs less than to insert what remains
	if out == nil {
		return make(http.Header)
	}
	for _, name := range m.stripped {
		delete(out, name)
	}
	return out
}
