package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// An ear hears everything that leaves the middleware: logs at every level in two forms, decisions in
// every format, answers, and errors.
type ear struct {
	mu    sync.Mutex
	heard bytes.Buffer
}

func (e *ear) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.Write(p)
}

func (e *ear) hear(values ...any) {
	for _, v := range values {
		asJSON, _ := json.Marshal(v)
		fmt.Fprintf(e, "%v %+v %#v %s %q\n", v, v, v, v, asJSON)
	}
}

func (e *ear) answer(w *httptest.ResponseRecorder) {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = w.Result().Header.Write(&e.heard)
	e.heard.Write(w.Body.Bytes())
}

func (e *ear) text() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.heard.String()
}

// logger writes text and JSON.
func (e *ear) logger() *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelDebug - 10}
	return slog.New(both{slog.NewTextHandler(e, options), slog.NewJSONHandler(e, options)})
}

// requireSilent looks for any piece of the secret that is long enough to be no coincidence.
func (e *ear) requireSilent(t testing.TB, what, secret string) {
	t.Helper()
	const piece = 12
	text := e.text()
	for i := 0; i+piece <= len(secret); i += piece / 2 {
		if at := strings.Index(text, secret[i:i+piece]); at >= 0 {
			require.Fail(t, "a piece of the secret got out", "%s: ...%s...", what, text[max(0, at-200):min(len(text), at+100)])
		}
	}
}

// SEC-02, CH-12, TOK-13, threats 14 and 93: after failures of every kind, no log line, decision, error, header or body
// holds a piece of what the client presented.
func TestSEC02_TokensNeverLeave(t *testing.T) {
	is, foreign := newIssuer(t), newIssuer(t)
	good := is.token(t, claims{"scope": "mcp:read", "email": "ada.lovelace@example.com", "roles": []string{"r"}})
	parts := strings.Split(good, ".")
	encode := base64.RawURLEncoding.EncodeToString
	header := func(h string) string { return encode([]byte(h)) + "." + parts[1] + "." + parts[2] }
	payload := func(p string) string { return parts[0] + "." + encode([]byte(p)) + "." + parts[2] }

	tokens := map[string]string{
		"good":                good,
		"opaque":              "opaque-0123456789-abcdefghijklmnopqrstuvwxyz",
		"expired":             is.token(t, claims{"exp": epoch.Add(-time.Hour).Unix()}),
		"no expiry":           is.token(t, claims{"exp": nil}),
		"expiry of no type":   is.token(t, claims{"exp": "tomorrow"}),
		"not yet":             is.token(t, claims{"nbf": epoch.Add(time.Hour).Unix()}),
		"issued later":        is.token(t, claims{"iat": epoch.Add(time.Hour).Unix()}),
		"audience":            is.token(t, claims{"aud": "https://other.example"}),
		"no audience":         is.token(t, claims{"aud": nil}),
		"audience, a number":  is.token(t, claims{"aud": 7}),
		"issuer":              is.token(t, claims{"iss": "https://evil.example"}),
		"no issuer":           is.token(t, claims{"iss": nil}),
		"no subject":          is.token(t, claims{"sub": "", "client_id": nil}),
		"bound":               is.token(t, claims{"cnf": claims{"jkt": "0123456789012345678901234567890123456789012"}}),
		"signed by another":   foreign.token(t, claims{"iss": is.URL}),
		"altered":             good[:len(good)-8] + "AAAAAAAA",
		"no signature":        parts[0] + "." + parts[1] + ".",
		"five parts":          good + ".AAAAAAAAAAAAAAAAAAAA.BBBBBBBBBBBBBBBBBBBB",
		"padding":             good + "==",
		"alg none":            header(`{"alg":"none","typ":"at+jwt"}`),
		"alg HS256":           header(`{"alg":"HS256","typ":"at+jwt","kid":"key-1"}`),
		"typ":                 header(`{"alg":"ES256","typ":"dpop+jwt","kid":"key-1"}`),
		"crit":                header(`{"alg":"ES256","typ":"at+jwt","kid":"key-1","crit":["x"]}`),
		"kid, hostile":        header(`{"alg":"ES256","typ":"at+jwt","kid":"../../etc/passwd\r\nX: y"}`),
		"kid, a number":       header(`{"alg":"ES256","typ":"at+jwt","kid":1}`),
		"header twice":        header(`{"alg":"ES256","alg":"ES256","typ":"at+jwt"}`),
		"header no JSON":      header(`{"alg":"ES256"`),
		"header UTF-8":        header("{\"alg\":\"ES256\",\"typ\":\"\xff\"}"),
		"claims no JSON":      payload(`{"iss":`),
		"claims twice":        payload(`{"iss":"a","iss":"b"}`),
		"claims, an array":    payload(`[]`),
		"header no base64url": "!!!" + good[3:],
		"too long":            good + strings.Repeat("x", 17<<10),
	}
	tokens["revoked"] = is.token(t, claims{"sub": "revoked"})
	tokens["revocation fails"] = is.token(t, claims{"sub": "unclear"})

	e := &ear{}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.BaseScopes = []string{"mcp:read"}
		cfg.Logger = e.logger()
		cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { e.hear(d, &d) }
		cfg.Revoked = func(_ context.Context, p *mcpauth.Principal) (bool, error) {
			e.hear(p)
			fmt.Fprintf(e, "%v %+v %#v\n", *p, *p, *p) // a copy has no methods
			if p.Subject() == "unclear" {
				return false, errors.New("no answer")
			}
			return p.Subject() == "revoked", nil
		}
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			e.hear(c, c.Header)
			return fmt.Errorf("refused: %v", c.Principal)
		}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	send := func(r *http.Request) {
		w := serve(h, r)
		require.NotContains(t, []int{0, 200, 500}, w.Code)
		e.answer(w)
	}
	for name, token := range tokens {
		for _, authorization := range [][]string{
			{"Bearer " + token}, {"DPoP " + token}, {"Basic " + token}, {"Token " + token}, {"Unknown " + token}, {token}, {"Bearer" + token},
			{"Bearer\t" + token}, {"Bearer " + token + " x"}, {"Bearer " + token + ",Bearer " + token}, {"Bearer " + token, "Bearer " + token},
			{"\"" + token}, {token + " " + token}, {"Bearer \u00e9" + token}, {"Digest token=\"" + token},
		} {
			send(with(post(call("whoami"), ""), "Authorization", authorization...))
		}
		r := post(call("whoami"), "")
		r.URL.RawQuery = "access_token=" + token
		send(r)
		r = post(call("whoami"), token)
		r.URL.RawQuery = "access_token=" + token
		send(r)
		send(with(post(call("whoami"), token), "DPoP", token))
		send(with(post(call("whoami"), token), "Proxy-Authorization", "Bearer "+token))
		r = post(call("whoami"), token)
		r.Method = "PATCH"
		send(r)
		send(with(post(call("whoami"), token), "Mcp-Name", "a", "b"))
		send(with(post(call("whoami"), token), "Content-Type", "text/plain"))
		send(with(post(call("whoami"), token), "Origin", "https://evil.example"))
		send(post("{", token))
		for _, body := range []string{call("write"), call("purge"), call("whoami"), `{"jsonrpc":"2.0","id":7,"id":8}`} {
			send(post(body, token))
		}
		e.requireSilent(t, name, token)
	}
	if at := strings.Index(e.text(), "ada.lovelace"); at >= 0 {
		require.Fail(t, "a claim is shown", "%s", e.text()[max(0, at-600):at+20])
	}
	// The same with nobody able to tell.
	is.rotate(t, "key-2")
	is.down.Store(true)
	late := is.token(t)
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Logger = e.logger() })
	h = auth.Wrap(http.NotFoundHandler())
	e.hear(auth.Ready(t.Context()))
	clock.advance(time.Minute)
	send(post(call("whoami"), late))
	e.requireSilent(t, "outage", late)

	// The ear works.
	require.Contains(t, e.text(), "token_expired")
	require.Contains(t, e.text(), "signature_invalid")
	require.Contains(t, e.text(), "Www-Authenticate")
	require.Contains(t, e.text(), "keys_unavailable")
	require.Contains(t, e.text(), "principal(")
	(&ear{}).requireSilent(t, "nothing", good)
}

// Operators put secrets into URLs. They stay there.
func TestSEC02_SecretsOfURLsStayOut(t *testing.T) {
	const secret = "hunter2-0123456789-abcdef"
	is := newIssuer(t)
	for name, breakdown := range map[string]func(){
		"status":  func() { is.down.Store(true) },
		"refused": func() { is.server.Close() },
	} {
		e := &ear{}
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
			cfg.Logger = e.logger()
			cfg.Issuers[0].JWKSURI = is.URL + "/jwks?api_key=" + secret
		})
		breakdown()
		err := auth.Ready(t.Context())
		require.Error(t, err)
		e.hear(err)
		e.answer(serve(auth.Wrap(http.NotFoundHandler()), post(call("whoami"), is.token(t))))
		e.requireSilent(t, name, secret)
	}
	_, err := mcpauth.New(mcpauth.Config{Resource: "https://user:" + secret + "@mcp.example.com/mcp", Issuers: []mcpauth.Issuer{
		{URL: "https://user:" + secret + "@login.example.com"}, {URL: "https://a.example", JWKSURI: "https://u:" + secret + "@b.example"},
	}})
	require.Error(t, err)
	require.NotContains(t, err.Error(), secret)
}

// Threat 94, CWE-117: whatever a client sends, a refusal is one line of printable ASCII.
func TestSEC_LogsHoldNoForeignControl(t *testing.T) {
	is := newIssuer(t)
	out := &ear{}
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		// A handler that quotes nothing.
		cfg.Logger = slog.New(bareHandler{out})
	})
	auth.RequireTool("*", scopes.All("x"))
	h := auth.Wrap(http.NotFoundHandler())
	const evil = "a\nlevel=ERROR msg=\"fake\"\r\x1b[31m\u202e\u2028\x00\u00e9"
	name, _ := json.Marshal(evil)
	serve(h, with(post(call("a"), ""), "Origin", evil))
	r := post(call("a"), "")
	r.Host = evil
	serve(h, r)
	serve(h, with(post(call("a"), ""), "Authorization", evil))
	serve(h, with(post(call("a"), is.token(t)), "Content-Type", evil))
	serve(h, with(post(call("a"), is.token(t)), "Traceparent", evil))
	serve(h, post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":`+string(name)+`}}`, is.token(t)))
	serve(h, post(`{"jsonrpc":"2.0","id":7,"method":`+string(name)+`}`, is.token(t)))
	serve(h, post(`{"jsonrpc":"2.0","id":`+string(name)+`,"method":"resources/read","params":{"uri":`+string(name)+`}}`, is.token(t)))
	serve(h, post(`{`+string(name)+`:1,`+string(name)+`:2}`, is.token(t)))
	for _, claim := range []string{"sub", "client_id", "aud", "iss", "scope"} {
		serve(h, post(call("a"), is.token(t, claims{claim: evil})))
	}
	r = post(call("a"), is.token(t))
	r.Method = "PA\nTCH"
	serve(h, r)
	lines := strings.Split(strings.TrimSuffix(out.text(), "\n"), "\n")
	require.Greater(t, len(lines), 10)
	for _, line := range lines {
		require.True(t, strings.HasPrefix(line, "mcpauth: ") || strings.HasPrefix(line, "keys "), "%q", line)
		for _, c := range []byte(line) {
			require.True(t, 0x20 <= c && c < 0x7f, "%q", line)
		}
		require.Less(t, len(line), 2000)
	}
}

// both writes each record twice.
type both [2]slog.Handler

func (b both) Enabled(context.Context, slog.Level) bool { return true }
func (b both) WithAttrs(a []slog.Attr) slog.Handler {
	return both{b[0].WithAttrs(a), b[1].WithAttrs(a)}
}
func (b both) WithGroup(name string) slog.Handler {
	return both{b[0].WithGroup(name), b[1].WithGroup(name)}
}
func (b both) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(b[0].Handle(ctx, r.Clone()), b[1].Handle(ctx, r))
}

type bareHandler struct{ w io.Writer }

func (h bareHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h bareHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h bareHandler) WithGroup(string) slog.Handler            { return h }
func (h bareHandler) Handle(_ context.Context, r slog.Record) error {
	line := r.Message
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.Key + "=" + a.Value.Resolve().String()
		return true
	})
	_, err := io.WriteString(h.w, line+"\n")
	return err
}
