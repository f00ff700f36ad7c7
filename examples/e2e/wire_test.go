//go:build e2e && unix

package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// A wire lies between a client and a resource server: its address is the resource's, and it writes down what passes through. So it is known what a
// client sent, whatever the client itself says, and that the server goes by its configured URL.
type wire struct {
	resource string
	server   atomic.Pointer[url.URL] // where it leads

	mu   sync.Mutex
	seen []passage
}

// A passage is one request to the resource and its answer.
type passage struct {
	method string
	sent   http.Header
	body   []byte
	status int
	answer http.Header
}

// newWire listens, so that the resource has its address before there is a server.
func newWire(t *testing.T) *wire {
	t.Helper()
	w := &wire{}
	type body struct{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(w.server.Load())
			r.Out.Host = r.In.Host
		},
		ModifyResponse: func(res *http.Response) error {
			if res.Request.URL.Path == pathMCP {
				w.mu.Lock()
				defer w.mu.Unlock()
				req := res.Request
				sent, _ := req.Context().Value(body{}).([]byte)
				w.seen = append(w.seen, passage{req.Method, req.Header.Clone(), sent, res.StatusCode, res.Header.Clone()})
			}
			return nil
		},
		ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) },
	}
	listener := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		sent, err := io.ReadAll(r.Body)
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		proxy.ServeHTTP(rw, r.WithContext(context.WithValue(r.Context(), body{}, sent)))
	}))
	t.Cleanup(func() {
		listener.CloseClientConnections() // streams have no end of their own
		listener.Close()
	})
	w.resource = listener.URL + pathMCP
	return w
}

// leadTo says where the resource server listens.
func (w *wire) leadTo(t *testing.T, address string) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	w.server.Store(u)
}

// metadata is the address of the resource's metadata.
func (w *wire) metadata() string { return strings.TrimSuffix(w.resource, pathMCP) + pathResource }

// passages returns what passed through so far.
func (w *wire) passages() []passage {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// credentials are the scheme, as the client spells it, and the token.
func (p passage) credentials() (scheme, token string) {
	scheme, token, _ = strings.Cut(p.sent.Get("Authorization"), " ")
	return scheme, token
}

func (p passage) String() string {
	scheme, _ := p.credentials()
	return fmt.Sprintf("%s with %q: %d %q", p.method, scheme, p.status, p.answer["Www-Authenticate"])
}

// challenges reads the WWW-Authenticate lines, of which each must hold one challenge.
func (p passage) challenges(t *testing.T) (all []challenge) {
	t.Helper()
	for _, line := range p.answer["Www-Authenticate"] {
		c := challenge{parameters: map[string]string{}}
		var rest string
		c.scheme, rest, _ = strings.Cut(line, " ")
		for _, pair := range parameter.FindAllStringSubmatch(rest, -1) {
			c.parameters[pair[1]] = pair[2]
		}
		require.Regexp(t, challengeLine, line)
		all = append(all, c)
	}
	return all
}

var (
	parameter     = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
	challengeLine = regexp.MustCompile(`^(Bearer|DPoP) [a-z_]+="[^"]*"(, [a-z_]+="[^"]*")*$`)
)

// A challenge is one WWW-Authenticate line.
type challenge struct {
	scheme     string
	parameters map[string]string
}

// A proof is what a DPoP header field holds (RFC 9449, Section 4.2).
type proof struct {
	Typ, Alg                  string
	JTI, HTM, HTU, ATH, Nonce string
	IAT                       float64
}

// proof reads the one proof of a request.
func (p passage) proof(t *testing.T) (read proof) {
	t.Helper()
	require.Len(t, p.sent["Dpop"], 1, "proofs of %s", p)
	parts := strings.Split(p.sent.Get("Dpop"), ".")
	require.Len(t, parts, 3)
	for _, part := range parts[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(text, &read))
	}
	return read
}
