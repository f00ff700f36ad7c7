package devas_test

import (
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
)

// publisher is the web site of an application with a client ID metadata document.
type publisher struct {
	*httptest.Server
	roots   *x509.CertPool
	fetched atomic.Int64

	mu     sync.Mutex
	status int
	doc    map[string]any
}

func newPublisher(t *testing.T) *publisher {
	t.Helper()
	p := &publisher{roots: x509.NewCertPool(), status: http.StatusOK}
	p.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		p.fetched.Add(1)
		p.mu.Lock()
		defer p.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "max-age=60")
		w.WriteHeader(p.status)
		_ = json.NewEncoder(w).Encode(p.doc)
	}))
	t.Cleanup(p.Close)
	p.roots.AddCert(p.Certificate())
	p.doc = map[string]any{"client_id": p.id(), "client_name": "Published app", "redirect_uris": []string{callback}}
	return p
}

func (p *publisher) id() string { return p.URL + "/client.json" }

func (p *publisher) set(name string, value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doc[name] = value
}

func (p *publisher) fail(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

func (p *publisher) trusted(c *devas.Config) { c.DangerouslyFetchLoopback = p.roots }

func TestAS30_ClientIDMetadataDocument(t *testing.T) {
	p := newPublisher(t)
	e := start(t, p.trusted)
	require.Equal(t, true, e.get("/.well-known/oauth-authorization-server").JSON["client_id_metadata_document_supported"])

	a := e.token(exchange(p.id(), e.code(request(p.id()), asDev)))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	_, claims := decode(t, a.str("access_token"))
	require.Equal(t, p.id(), claims["client_id"])
	require.Equal(t, "notes:read notes:write", claims["scope"])
	b := e.token(refresh(p.id(), a.str("refresh_token")))
	require.Equal(t, http.StatusOK, b.Status, b.Raw)
	require.EqualValues(t, 1, p.fetched.Load(), "AS-32: the cache serves the whole flow")

	app, ok := e.srv.Application(p.id())
	require.True(t, ok)
	require.Equal(t, devas.OriginDocument, app.Origin)
	require.Equal(t, "Published app", app.Name)

	t.Run("AS-12 loopback port is free, everything else exact", func(t *testing.T) {
		res, err := e.authorize(request(p.id(), "redirect_uri", "http://127.0.0.1:49152/callback"), asDev)
		require.NoError(t, err)
		require.NotEmpty(t, res.Code)
		_, err = e.authorize(request(p.id(), "redirect_uri", "https://evil.example/cb"), asDev)
		var page *browser.PageError
		require.ErrorAs(t, err, &page)
		require.Equal(t, http.StatusBadRequest, page.Status)
	})
	t.Run("AS-60 a redirect URI that leaves the document is refused at the decision", func(t *testing.T) {
		br, page := e.consentPage(p.id(), "dev")
		p.set("redirect_uris", []string{"https://elsewhere.example/cb"})
		e.clock.Advance(2 * time.Minute)
		after, err := br.Submit(t.Context(), page, decisionForm(t, page), approve)
		require.NoError(t, err)
		require.Equal(t, http.StatusBadRequest, after.Status)
		require.Equal(t, "The application redirect URL is no longer valid.", after.Title())
		p.set("redirect_uris", []string{callback})
		e.clock.Advance(2 * time.Minute)
	})
	t.Run("AS-35 a public client with a secret, and one document is no other", func(t *testing.T) {
		code := e.code(request(p.id()), asDev)
		requireError(t, e.token(exchange(p.id(), code, "client_secret", "x")), http.StatusUnauthorized, "invalid_client")
		requireError(t, e.token(exchange(p.URL+"/other.json", code)), http.StatusUnauthorized, "invalid_client")
	})
}

func TestAS30_DocumentWithPrivateKeyJWT(t *testing.T) {
	p := newPublisher(t)
	e := start(t, p.trusted)
	key := newProver(e)
	p.set("token_endpoint_auth_method", "private_key_jwt")
	p.set("jwks", map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "x": key.jwk["x"], "y": key.jwk["y"], "kid": "k", "use": "sig", "alg": "ES256"}}})

	code := e.code(request(p.id()), asDev)
	requireError(t, e.token(exchange(p.id(), code)), http.StatusUnauthorized, "invalid_client")
	requireError(t, e.token(assert(t, newProver(e).key, exchange(p.id(), code), p.id(), e.issuer)), http.StatusUnauthorized, "invalid_client")
	// RFC 7521, Section 4.2: client_id may be left out beside an assertion.
	a := e.token(assert(t, key.key, exchange(p.id(), code, "client_id", "-"), p.id(), e.issuer))
	require.Equal(t, http.StatusOK, a.Status, a.Raw)

	t.Run("a private key in the document", func(t *testing.T) {
		other := newPublisher(t)
		e := start(t, other.trusted)
		other.set("token_endpoint_auth_method", "private_key_jwt")
		other.set("jwks", map[string]any{"keys": []any{map[string]string{"kty": "EC", "crv": "P-256", "x": key.jwk["x"], "y": key.jwk["y"], "d": "AQAB", "kid": "k"}}})
		_, err := e.authorize(request(other.id()), asDev)
		require.Error(t, err)
	})
}

// TestAS33_UnusableDocuments: a page that names the host, and never a redirect.
func TestAS33_UnusableDocuments(t *testing.T) {
	p := newPublisher(t)
	page := func(t *testing.T, e *env, id string) string {
		t.Helper()
		a := e.get("/authorize?" + request(id).Encode())
		require.Equal(t, http.StatusBadRequest, a.Status)
		require.Empty(t, a.Header.Get("Location"))
		require.Contains(t, a.Raw, "Application information could not be loaded")
		return a.Raw
	}
	host := strings.TrimPrefix(p.URL, "https://")
	t.Run("AS-64 the host is named, the reason is ours, nothing of the answer is shown", func(t *testing.T) {
		e := start(t, p.trusted)
		p.set("client_id", "https://evil.example/<script>")
		raw := page(t, e, p.id())
		require.Contains(t, raw, host)
		require.NotContains(t, raw, "evil.example")
		p.set("client_id", p.id())
		e.code(request(p.id()), asDev)
	})
	t.Run("AS-31 without the test option this machine is not asked", func(t *testing.T) {
		before := p.fetched.Load()
		require.Contains(t, page(t, start(t), p.id()), "not public")
		require.Equal(t, before, p.fetched.Load())
	})
	t.Run("AS-33 listed hosts only", func(t *testing.T) {
		e := start(t, p.trusted, func(c *devas.Config) { c.DocumentHosts = []string{"app.example.com"} })
		require.Contains(t, page(t, e, p.id()), "does not accept")
		e = start(t, p.trusted, func(c *devas.Config) { c.DocumentHosts = []string{host} })
		e.code(request(p.id()), asDev)
	})
	t.Run("AS-33 switched off", func(t *testing.T) {
		e := start(t, func(c *devas.Config) { c.NoDocuments = true })
		require.Equal(t, false, e.get("/.well-known/oauth-authorization-server").JSON["client_id_metadata_document_supported"])
		page(t, e, p.id())
	})
	t.Run("AS-30 URLs that cannot be client IDs", func(t *testing.T) {
		e := start(t, p.trusted)
		for _, id := range []string{p.URL, p.URL + "/", p.URL + "/a/../client.json", p.id() + "#f", "https://u@" + host + "/client.json"} {
			page(t, e, id)
		}
		a := e.get("/authorize?" + request("http://"+host+"/client.json").Encode())
		require.Equal(t, http.StatusBadRequest, a.Status)
		require.Contains(t, a.Raw, "Unknown application")
	})
	t.Run("AS-32 a document that is away for a moment does not cost the client its tokens", func(t *testing.T) {
		e := start(t, p.trusted)
		a := e.token(exchange(p.id(), e.code(request(p.id()), asDev)))
		e.clock.Advance(2 * time.Minute)
		p.fail(http.StatusBadGateway)
		b := e.token(refresh(p.id(), a.str("refresh_token")))
		requireError(t, b, http.StatusServiceUnavailable, "temporarily_unavailable")
		require.NotEmpty(t, b.Header.Get("Retry-After"))
		p.fail(http.StatusNotFound)
		requireError(t, e.token(refresh(p.id(), a.str("refresh_token"))), http.StatusUnauthorized, "invalid_client")
		p.fail(http.StatusOK)
		require.Equal(t, http.StatusOK, e.token(refresh(p.id(), a.str("refresh_token"))).Status)
	})
	t.Run("a configured client may have a URL for its ID", func(t *testing.T) {
		before := p.fetched.Load()
		e := start(t, p.trusted, func(c *devas.Config) {
			c.Clients = append(c.Clients, devas.Client{ID: p.id(), RedirectURIs: []string{callback}, AllScopes: true})
		})
		e.code(request(p.id()), asDev)
		require.Equal(t, before, p.fetched.Load())
	})
	t.Run("the log names the refusal", func(t *testing.T) {
		e := start(t)
		page(t, e, p.id())
		ev := e.srv.Events()[0]
		require.Equal(t, devas.EventClientRefused, ev.Kind)
		require.False(t, ev.OK)
		require.Contains(t, ev.Detail, host)
	})
	t.Run("mistakes in the configuration", func(t *testing.T) {
		_, err := devas.New(devas.Config{Issuer: "http://127.0.0.1:1", Resources: []devas.Resource{notes()}, DocumentHosts: []string{"https://x"}})
		require.ErrorContains(t, err, "Hosts")
	})
}
