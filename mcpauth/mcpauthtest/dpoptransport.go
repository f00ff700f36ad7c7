package mcpauthtest

import (
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what a transport remembers. What was not used for longest is forgotten first.
const (
	maxTokens   = 4096
	maxNonces   = 256
	maxNonceLen = 1024
)

// A DPoPTransport is an [http.RoundTripper] that adds a DPoP proof (RFC 9449) to each request that needs
// one, and otherwise sends what it is given:
//
//   - A token request (a posted form with a grant_type) gets a proof. If the answer says that the token is
//     of type DPoP, the transport remembers it as bound to Key.
//   - A request with such a token, or with one given to [DPoPTransport.Bind], is sent under the scheme DPoP
//     with a proof for that token, even if it says Bearer: many clients know no other scheme, the Go
//     SDK's among them. So is a request that says DPoP itself, in any case, as golang.org/x/oauth2 does.
//   - Every other request, with an unbound bearer token for example, goes without a proof.
//   - A request that has a DPoP field already is sent as it is.
//
// The nonces that servers hand out in DPoP-Nonce fields are taken from all answers and kept by origin,
// those of token endpoints apart from those of resources (RFC 9449, Sections 8.2 and 9). A request that
// is refused for want of a nonce (use_dpop_nonce: 400 from a token endpoint, 401 from a resource) is sent
// once more with the nonce of the refusal and a proof of its own. Where that does not help, or the body
// has no GetBody to send it again, or the refusal names the nonce that was used already, the caller gets
// the refusal.
//
// When http.Client follows a redirect to another origin, another port included, the request goes there
// without a proof and without the bound token. One that stays on the origin gets a proof of its own.
//
// Response.Request is the request as it was sent, proof included. Nothing is logged. A DPoPTransport is safe
// for concurrent use and must not be copied after first use. The zero value, having no Key, makes every
// request fail.
type DPoPTransport struct {
	// Key signs the proofs. Required.
	Key *DPoPKey
	// Base sends the requests. Nil means http.DefaultTransport.
	Base http.RoundTripper
	// Now is the client's clock, from which iat comes. Nil means time.Now.
	Now func() time.Time
	// Edit, if not nil, may change every proof before it is signed, to see what a server refuses. It may be
	// called concurrently, and must leave the request alone.
	Edit func(*http.Request, *DPoPProof)

	mu     sync.Mutex
	tokens recent[[sha256.Size]byte, struct{}] // bound to Key
	nonces recent[nonceKey, string]
}

// A nonceKey says whose nonce it is.
type nonceKey struct {
	origin        string
	tokenEndpoint bool
}

// A need is what a request needs. The zero value needs nothing.
type need struct {
	proof         bool
	token         string // for ath; none at a token endpoint
	tokenEndpoint bool   // whether or not a proof is ours to make
}

// Bind tells the transport that an access token is bound to Key, for one whose token response it has not
// seen: minted by a test, or kept from an earlier run. An empty token is ignored.
func (t *DPoPTransport) Bind(token string) {
	if token == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tokens.put(sha256.Sum256([]byte(token)), struct{}{}, maxTokens)
}

func (t *DPoPTransport) bound(token string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := t.tokens.get(sha256.Sum256([]byte(token)))
	return ok
}

// CloseIdleConnections passes the call of the same name of http.Client on to Base.
func (t *DPoPTransport) CloseIdleConnections() {
	if base, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

func (t *DPoPTransport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return http.DefaultTransport
}

// RoundTrip sends one request, twice if the server asks for a nonce, as described at [DPoPTransport].
func (t *DPoPTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.Key == nil || t.Key.signer == nil {
		closeBody(req)
		return nil, errors.New("mcpauthtest: DPoPTransport.Key is empty; set it to a key from NewDPoPKey")
	}
	if req.URL == nil || req.Header == nil {
		return t.base().RoundTrip(req) // which says what is missing
	}
	first := req.Clone(req.Context()) // the caller's own must not change, and its header goes along with redirects
	n, err := t.prepare(first)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	who, nonce := nonceKey{originOf(first), n.tokenEndpoint}, ""
	if n.proof {
		nonce = t.nonce(who)
		t.prove(first, n.token, nonce)
	}
	res, err := t.send(first)
	if err != nil {
		return nil, err
	}
	wanted := t.learn(res, who, n)
	if wanted == "" || wanted == nonce {
		return res, nil
	}
	second, err := again(first)
	if err != nil {
		return res, nil // it cannot be sent again, and its answer says what was missing
	}
	t.prove(second, n.token, wanted)
	discard(res)
	if res, err = t.send(second); err != nil {
		return nil, err
	}
	t.learn(res, who, n)
	return res, nil
}

func (t *DPoPTransport) send(r *http.Request) (*http.Response, error) {
	res, err := t.base().RoundTrip(r)
	if err == nil {
		res.Request = r // leftOrigin looks for it, whatever Base says
	}
	return res, err
}

// prepare finds out what a request needs, and puts its token under the scheme DPoP where it is bound.
func (t *DPoPTransport) prepare(r *http.Request) (need, error) {
	values := r.Header["Authorization"]
	if leftOrigin(r) {
		// What was meant for one server is none of another's business. http.Client takes Authorization
		// away by itself only where the host name changes, and lets subdomains keep it.
		r.Header.Del("DPoP")
		if slices.ContainsFunc(values, func(v string) bool { return t.mine(v) != "" }) {
			r.Header.Del("Authorization")
		}
		return need{}, nil
	}
	token := ""
	if len(values) == 1 {
		token = t.mine(values[0])
	}
	_, proved := r.Header["Dpop"]
	if token != "" {
		if !proved {
			r.Header.Set("Authorization", "DPoP "+token)
		}
		return need{proof: !proved, token: token}, nil
	}
	posted, err := isTokenRequest(r)
	return need{proof: posted && !proved, tokenEndpoint: posted}, err
}

// mine returns the token of an Authorization field if it needs a proof.
func (t *DPoPTransport) mine(field string) string {
	scheme, token, _ := strings.Cut(strings.Trim(field, " \t"), " ")
	token = strings.TrimLeft(token, " ")
	if token != "" && (strings.EqualFold(scheme, "DPoP") || strings.EqualFold(scheme, "Bearer") && t.bound(token)) {
		return token
	}
	return ""
}

// prove puts a new proof into the header.
func (t *DPoPTransport) prove(r *http.Request, token, nonce string) {
	proof := t.Key.NewProof(r.Method, target(r), token, nonce)
	if r.Method == "" {
		proof.Claims["htm"] = http.MethodGet // what net/http sends for it
	}
	if t.Now != nil {
		proof.Claims["iat"] = t.Now().Unix()
	}
	if t.Edit != nil {
		t.Edit(r, proof)
	}
	r.Header.Set("DPoP", t.Key.Sign(proof))
}

// learn takes from an answer the nonce and, at a token endpoint, the token. It returns the nonce with
// which the request is to be sent again, or nothing if that is not asked for.
func (t *DPoPTransport) learn(res *http.Response, who nonceKey, n need) (wanted string) {
	nonce := nonceOf(res.Header)
	if nonce != "" {
		t.mu.Lock()
		t.nonces.put(who, nonce, maxNonces)
		t.mu.Unlock()
	}
	switch {
	case !n.proof: // not ours: the token may be bound to another key
		return ""
	case n.tokenEndpoint:
		answer := readTokenAnswer(res)
		if res.StatusCode == http.StatusOK && strings.EqualFold(answer.tokenType, "DPoP") {
			t.Bind(answer.accessToken)
		}
		// RFC 9449, Section 8.
		if res.StatusCode == http.StatusBadRequest && answer.error == "use_dpop_nonce" {
			return nonce
		}
	case res.StatusCode == http.StatusUnauthorized:
		// RFC 9449, Section 9.
		for _, ch := range challenges(res.Header["Www-Authenticate"]) {
			if ch.scheme == "dpop" && ch.params["error"] == "use_dpop_nonce" {
				return nonce
			}
		}
	}
	return ""
}

func (t *DPoPTransport) nonce(who nonceKey) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	nonce, _ := t.nonces.get(who)
	return nonce
}

// nonceOf returns the one nonce of an answer, if it is well formed: 1*NQCHAR (RFC 9449, Section 8.1).
func nonceOf(h http.Header) string {
	values := h["Dpop-Nonce"]
	if len(values) != 1 || len(values[0]) > maxNonceLen {
		return ""
	}
	for _, b := range []byte(values[0]) {
		if b <= 0x20 || b >= 0x7f || b == '"' || b == '\\' {
			return ""
		}
	}
	return values[0]
}

// leftOrigin reports whether redirects have led http.Client away from the origin of its first request,
// even if the last one led back: whoever was in between has chosen where the request goes.
func leftOrigin(r *http.Request) bool {
	here := originOf(r)
	for res := r.Response; res != nil; {
		before := res.Request
		if before == nil || before.URL == nil || originOf(before) != here || !sameTarget(before.URL, r.URL) {
			return true
		}
		res = before.Response
	}
	return false
}

// sameTarget reports whether both URLs lead to the same origin, whatever Request.Host calls it.
func sameTarget(a, b *url.URL) bool {
	return originOf(&http.Request{URL: a}) == originOf(&http.Request{URL: b})
}

// originOf returns scheme, host and port of the request's target in one spelling.
func originOf(r *http.Request) string {
	u := url.URL{Scheme: strings.ToLower(r.URL.Scheme), Host: strings.ToLower(host(r))}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + u.Hostname() + ":" + port
}

// target returns the URL that the server sees without query and fragment: htu (RFC 9449, Section 4.2).
func target(r *http.Request) string {
	path := r.URL.EscapedPath()
	if path == "" {
		path = "/" // what net/http sends for it
	}
	return r.URL.Scheme + "://" + host(r) + path
}

// host returns what goes into the Host field: Request.Host if set.
func host(r *http.Request) string {
	if r.Host != "" {
		return r.Host
	}
	return r.URL.Host
}

// again returns a copy of a request with its body as it was at first.
func again(r *http.Request) (*http.Request, error) {
	second := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return second, nil
	}
	if r.GetBody == nil {
		return nil, errors.New("no GetBody")
	}
	var err error
	second.Body, err = r.GetBody()
	return second, err
}

// discard closes an answer that nobody will see, and reads it first if it is short, so that its connection
// can be used again.
func discard(res *http.Response) {
	if res.Body == nil {
		return
	}
	if res.ContentLength >= 0 && res.ContentLength <= maxTokenBody {
		_, _ = io.CopyN(io.Discard, res.Body, maxTokenBody)
	}
	_ = res.Body.Close()
}

// closeBody does what RoundTrip owes even where it fails.
func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
