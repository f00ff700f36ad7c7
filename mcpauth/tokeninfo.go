package mcpauth

import (
	"context"
	"net/http"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth"
)

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
