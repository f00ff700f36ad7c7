package devas_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/process"
)

const (
	resource    = "http://127.0.0.1:8000/mcp"
	callback    = "http://127.0.0.1:5555/callback"
	verifier    = "a-code-verifier-that-is-at-least-43-characters-long"
	rsID        = "resource-server"
	rsSecret    = "resource-server-secret"
	limitedID   = "reader"
	confID      = "confidential"
	confSecret  = "confidential-secret"
	secondRes   = "http://127.0.0.1:8001/mcp"
	secondScope = "files:read"
)

// env is a running server and a client of it.
type env struct {
	t      *testing.T
	srv    *devas.Server
	issuer string
	client *http.Client
	clock  *clock
	log    *process.Buffer
}

type clock struct {
	mu    sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

func notes() devas.Resource {
	return devas.Resource{Identifier: resource, Name: "Notes", Scopes: []devas.Scope{
		{Name: "notes:read", Text: "Read your notes"}, {Name: "notes:write", Text: "Write notes"}}}
}

// withSecond adds a second resource.
func withSecond(c *devas.Config) {
	c.Resources = append(c.Resources, devas.Resource{Identifier: secondRes, Scopes: []devas.Scope{{Name: secondScope}}})
}

func strict(c *devas.Config) { c.Strict = true }

func start(t *testing.T, options ...func(*devas.Config)) *env {
	t.Helper()
	l, err := devas.Listen("127.0.0.1:0")
	require.NoError(t, err)
	e := &env{t: t, issuer: devas.IssuerURL(l), clock: &clock{}, log: &process.Buffer{}}
	cfg := devas.Config{
		Issuer:    e.issuer,
		Resources: []devas.Resource{notes()},
		Clients: []devas.Client{
			{ID: rsID, Secret: rsSecret, MayIntrospect: true},
			{ID: limitedID, RedirectURIs: []string{callback}, Scopes: []string{"notes:read"}},
			{ID: confID, Secret: confSecret, RedirectURIs: []string{callback}, AllScopes: true},
		},
		Logger: slog.New(slog.NewTextHandler(e.log, nil)),
		Now:    e.clock.Now,
	}
	for _, o := range options {
		o(&cfg)
	}
	e.srv, err = devas.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.srv.Serve(ctx, l) }()
	e.client = &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	t.Cleanup(func() {
		e.client.CloseIdleConnections()
		cancel()
		require.NoError(t, <-done)
	})
	return e
}

// answer is a response with its JSON body, if it has one.
type answer struct {
	Status int
	Header http.Header
	Raw    string
	JSON   map[string]any
}

func (e *env) send(method, path string, header http.Header, body string) answer {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), method, e.issuer+path, strings.NewReader(body))
	require.NoError(e.t, err)
	for k, v := range header {
		req.Header[http.CanonicalHeaderKey(k)] = v
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
	}
	resp, err := e.client.Do(req)
	require.NoError(e.t, err)
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	require.NoError(e.t, err)
	a := answer{Status: resp.StatusCode, Header: resp.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &a.JSON)
	return a
}

func (e *env) get(path string) answer { e.t.Helper(); return e.send("GET", path, nil, "") }

func (e *env) post(path string, form url.Values, header http.Header) answer {
	e.t.Helper()
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	for k, v := range header {
		h[k] = v
	}
	return e.send("POST", path, h, form.Encode())
}

func (e *env) token(form url.Values) answer { e.t.Helper(); return e.post("/token", form, nil) }

func (e *env) register(body string) answer {
	e.t.Helper()
	return e.send("POST", "/register", http.Header{"Content-Type": {"application/json"}}, body)
}

// newClient registers a public client for callback.
func (e *env) newClient() string {
	e.t.Helper()
	a := e.register(`{"client_name":"Test client","redirect_uris":["` + callback + `"]}`)
	require.Equal(e.t, http.StatusCreated, a.Status, a.Raw)
	return a.JSON["client_id"].(string)
}

func challengeOf(v string) string {
	d := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// request makes the parameters of a good authorization request. Changes are pairs of name and value; the value "-" deletes.
func request(clientID string, changes ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {clientID}, "redirect_uri": {callback}, "state": {"st&te=1 ü"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}, "resource": {resource}, "scope": {"notes:read notes:write"},
	}
	change(q, changes)
	return q
}

func change(q url.Values, changes []string) {
	for i := 0; i < len(changes); i += 2 {
		if changes[i+1] == "-" {
			q.Del(changes[i])
		} else {
			q.Set(changes[i], changes[i+1])
		}
	}
}

func (e *env) authorize(q url.Values, d browser.Decision) (*browser.Result, error) {
	e.t.Helper()
	return browser.New().Authorize(e.t.Context(), e.issuer+"/authorize?"+q.Encode(), d)
}

// code runs the flow to a code.
func (e *env) code(q url.Values, d browser.Decision) string {
	e.t.Helper()
	res, err := e.authorize(q, d)
	require.NoError(e.t, err)
	require.Empty(e.t, res.Error, res.ErrorDescription)
	require.NotEmpty(e.t, res.Code)
	return res.Code
}

// exchange makes the form that redeems a code.
func exchange(clientID, code string, changes ...string) url.Values {
	q := url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "client_id": {clientID}, "code_verifier": {verifier}, "resource": {resource}}
	change(q, changes)
	return q
}

func refresh(clientID, token string, changes ...string) url.Values {
	q := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {clientID}}
	change(q, changes)
	return q
}

// tokens runs the whole flow as a user.
func (e *env) tokens(user string, changes ...string) (clientID string, a answer) {
	e.t.Helper()
	clientID = e.newClient()
	a = e.token(exchange(clientID, e.code(request(clientID, changes...), browser.Decision{User: user}), "resource", "-"))
	require.Equal(e.t, http.StatusOK, a.Status, a.Raw)
	return clientID, a
}

func (a answer) str(name string) string { s, _ := a.JSON[name].(string); return s }

func basic(id, secret string) http.Header {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(id, secret)
	return r.Header
}

func (e *env) introspect(token string) answer {
	e.t.Helper()
	return e.post("/introspect", url.Values{"token": {token}}, basic(rsID, rsSecret))
}

// decode reads a JWT without checking the signature.
func decode(t *testing.T, token string) (header, claims map[string]any) {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	for i, into := range []*map[string]any{&header, &claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(raw, into))
	}
	return header, claims
}

func requireError(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.Status, a.Raw)
	require.Equal(t, code, a.str("error"), a.Raw)
	require.Equal(t, "no-store", a.Header.Get("Cache-Control"))
	require.Equal(t, "application/json", a.Header.Get("Content-Type"))
}
