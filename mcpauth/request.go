package mcpauth

import (
	"context"
	"math"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

// A request is one HTTP request that is being served. It is also the context of its inner handler:
// one allocation carries the caller and the SDK's TokenInfo. The TokenInfo belongs to this request
// alone, since a tool may append to its scopes.
type request struct {
	context.Context
	known
	info auth.TokenInfo

	standalone    bool // a stream of its own, not the answer to a call
	guardExpected bool // the SDK will pass this request to its receiving middleware
	hidesAddress  bool // the SDK's own check of Host is left out
	asked         flag // the SDK is behind, under whatever wrapper
}

// known is the part of a request that its TokenInfo leads to. The SDK hands that to tools, which may
// log it or send it on. So there is no way from here to the *http.Request, nor to its context, where
// net/http keeps the connection: both hold the token.
type known struct {
	m         *Middleware
	principal *Principal
	http      summary
	isProbe   bool // made by probe.go
	reached   flag // a guard has seen it
}

// A summary is what is left of an HTTP request, for logs and sessions. The zero value stands for none.
type summary struct{ method, remote, traceID, session string }

func summaryOf(r *http.Request) summary {
	return summary{method: r.Method, remote: r.RemoteAddr, traceID: traceID(r.Header), session: r.Header.Get("Mcp-Session-Id")}
}

type requestKey struct{}

// Value implements context.Context.
func (r *request) Value(key any) any {
	if _, ok := key.(requestKey); ok {
		if r.principal == nil {
			return nil
		}
		return r
	}
	if sdkKey != nil && key == sdkKey && r.principal != nil {
		r.asked.Store(true)
		return &r.info
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
		switch o.op.Method {
		case "subscriptions/listen":
			req.standalone = true
		}
		// Notifications are answered before the guard sees them, and so may be what has no id.
		req.guardExpected = req.guardExpected || o.id != nil && o.op.Method != ""
	}
}

// leftOf is how long the token of p still counts.
func (m *Middleware) leftOf(p *Principal) time.Duration {
	if p.expiry.IsZero() { // not over HTTP: a token without an expiry is refused
		return math.MaxInt64
	}
	return p.expiry.Add(p.leeway).Sub(m.now())
}
