package introspect_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/internal/fetch"
	"github.com/go-mcpauth/sdk/internal/introspect"
)

const (
	token    = "2YotnFZFEjr1zCsicMWpAA"
	clientID = "rs:1"
	secret   = "s:e%c+ret/ü"
	endpoint = "https://as.example.com/introspect"
	trip     = 50 * time.Millisecond
	good     = `{"active":true,"sub":"ada","client_id":"app","aud":"https://mcp.example.com/mcp","exp":4102444800}`
	bad      = `{"active":false}`
)

// testNow is what a fixed clock shows.
var testNow = time.Unix(1767225700, 0)

func hashOf(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func fixed(url string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return url, nil }
}

func basicAuth() introspect.Auth {
	return introspect.Auth{Basic: &introspect.ClientSecret{ClientID: clientID, Secret: secret}}
}

// newClient fills in what cfg leaves out.
func newClient(t testing.TB, cfg introspect.Config) *introspect.Client {
	t.Helper()
	if cfg.Endpoint == nil {
		cfg.Endpoint = fixed(endpoint)
	}
	if a := cfg.Auth; a.Basic == nil && a.Post == nil && a.PrivateKey == nil && a.MutualTLS == nil && a.Bearer == nil {
		cfg.Auth = basicAuth()
	}
	if cfg.Fetch == nil {
		cfg.Fetch = fetch.New(fetch.Config{})
	}
	c, err := introspect.New(cfg)
	require.NoError(t, err)
	return c
}

// serve returns a client of an authorization server on loopback.
func serve(t testing.TB, cfg introspect.Config, h http.HandlerFunc) *introspect.Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	cfg.Endpoint = fixed(srv.URL + "/introspect")
	return newClient(t, cfg)
}

func answer(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
}

// ask introspects and returns the refusal, which must be an *Error that is safe to log.
func ask(t testing.TB, c *introspect.Client, ctx context.Context, tok string) (map[string]any, *introspect.Error) {
	t.Helper()
	answer, err := c.Ask(ctx, tok, hashOf(tok))
	if err == nil {
		if answer == nil || answer.Claims == nil {
			t.Fatal("neither claims nor an error")
		}
		return answer.Claims, nil
	}
	var refusal *introspect.Error
	if answer != nil || !errors.As(err, &refusal) {
		t.Errorf("answer %v, error %T", answer, err)
		return nil, &introspect.Error{}
	}
	checkText(t, refusal.Error())
	if refusal.Unavailable == (refusal.Reason == introspect.ReasonInactive || refusal.Reason == introspect.ReasonTooLong) {
		t.Errorf("reason %s, unavailable %v", refusal.Reason, refusal.Unavailable)
	}
	if refusal.Unavailable != (refusal.RetryAfter >= time.Second) {
		t.Errorf("unavailable %v, retry after %v", refusal.Unavailable, refusal.RetryAfter)
	}
	return nil, refusal
}

// checkText fails where a text holds a secret or what breaks a log line (threats 93 and 94).
func checkText(t testing.TB, text string) {
	t.Helper()
	for _, s := range []string{token, "s:e%c", "s%3Ae%25c", "SECRET"} {
		if strings.Contains(text, s) {
			t.Errorf("%q in %q", s, text)
		}
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			t.Errorf("byte %#x in %q", text[i], text)
			return
		}
	}
}

// A remote is an authorization server without a network, for tests with a fake clock.
type remote struct {
	mu     sync.Mutex
	answer func(form string) (*http.Response, error)
	count  int
	trip   time.Duration
	hold   chan struct{} // where not nil, answers wait for it to be closed
}

func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	form, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.count++
	answer, hold := r.answer, r.hold
	r.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	}
	time.Sleep(r.trip)
	return answer(string(form))
}

func (r *remote) set(answer func(string) (*http.Response, error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

func (r *remote) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

func (r *remote) client() *fetch.Client {
	return fetch.New(fetch.Config{HTTPClient: &http.Client{Transport: r}})
}

func says(status int, body string, fields ...string) func(string) (*http.Response, error) {
	return func(string) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i+1 < len(fields); i += 2 {
			h.Set(fields[i], fields[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
	}
}

// newRemote is for tests with a fake clock, quickRemote for others.
func newRemote(answer func(string) (*http.Response, error)) *remote {
	return &remote{answer: answer, trip: trip}
}
func quickRemote(answer func(string) (*http.Response, error)) *remote { return &remote{answer: answer} }

// A logBuffer is a log that several goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func (b *logBuffer) stdlog() *log.Logger { return log.New(b, "", 0) }
