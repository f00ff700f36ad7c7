package mcpauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

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

// extraKey is where the SDK's TokenInfo holds what is known of the request that it belongs to. The value
// has a type of this package, so nothing else can stand there.
const extraKey = "github.com/go-mcpauth/sdk"

// tokenInfo is what the SDK gets to know: enough to bind sessions to a user (UserID) and to find the
// way back to this request. Rights are read from the Principal only.
func (req *request) tokenInfo() *auth.TokenInfo {
	req.infoOnce.Do(func() {
		p := req.principal
		req.info = auth.TokenInfo{
			Scopes:     p.grant.Scopes(),
			Expiration: p.expiry,
			UserID:     p.sessionOwner(req.m.perUser),
			Extra:      map[string]any{extraKey: &req.known},
		}
	})
	return &req.info
}

// sessionOwner is whom the SDK takes sessions to belong to. It is never empty: that would switch the
// binding off.
func (p *Principal) sessionOwner(perUser bool) string {
	// An application that acts for itself may have been given the name of a user (RFC 9068, Section 5).
	if perUser && p.hasSubject && !p.own.Application() {
		return principalID(p.issuer, p.subject, "")
	}
	return p.id
}

// knownOf is the reverse of tokenInfo.
func knownOf(info *auth.TokenInfo) *known {
	if info == nil {
		return nil
	}
	k, _ := info.Extra[extraKey].(*known)
	return k
}

// sdkKey is the context key under which go-sdk looks for a TokenInfo. The SDK does not export it and
// has no setter, so it is learned once, by watching which key auth.TokenInfoFromContext asks for. It
// is nil where that does not work; then [viaRequireBearerToken] does.
var sdkKey = learnKey()

// withTokenInfo makes auth.TokenInfoFromContext tell of this request. In a session of the SDK, the
// context of a tool derives from the request that opened the session.
func withTokenInfo(ctx context.Context, info *auth.TokenInfo) context.Context {
	if sdkKey == nil || auth.TokenInfoFromContext(ctx) == info {
		return ctx
	}
	return context.WithValue(ctx, sdkKey, info)
}

func learnKey() any {
	watch := &keyWatcher{Context: context.Background()}
	auth.TokenInfoFromContext(watch)
	if watch.key == nil {
		return nil
	}
	want := &auth.TokenInfo{UserID: "probe"}
	if auth.TokenInfoFromContext(context.WithValue(context.Background(), watch.key, want)) != want {
		return nil
	}
	return watch.key
}

type keyWatcher struct {
	context.Context
	key any
}

func (w *keyWatcher) Value(key any) any {
	w.key = key
	return nil
}

// serveInner hands the request to the wrapped handler, with its TokenInfo where the SDK looks for it.
func (h *protected) serveInner(w http.ResponseWriter, r *http.Request, req *request) {
	if sdkKey != nil {
		h.next.ServeHTTP(w, r)
		return
	}
	viaRequireBearerToken(h.next, req).ServeHTTP(w, r)
}

// viaRequireBearerToken stores the TokenInfo by way of the SDK's own middleware, which demands a
// Bearer header. It gets a placeholder: the real token must not come back into the request.
func viaRequireBearerToken(next http.Handler, req *request) http.Handler {
	inject := auth.RequireBearerToken(func(context.Context, string, *http.Request) (*auth.TokenInfo, error) {
		return req.tokenInfo(), nil
	}, &auth.RequireBearerTokenOptions{
		// The lifetime has been judged already, with leeway and on the configured clock.
		AllowMissingExpiration: true, ClockSkew: 100 * 365 * 24 * time.Hour,
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Authorization")
		next.ServeHTTP(w, r)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer verified")
		inject.ServeHTTP(w, r)
	})
}
