package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/audit"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

func full() mcpauth.Decision {
	return mcpauth.Decision{
		Time: noon, Status: 403, Reason: mcpauth.ReasonInsufficientScope,
		Principal: mcpauth.NewPrincipal(mcpauth.Identity{
			Issuer: "https://login.example.com", Subject: "uma", ClientID: "desk", Scheme: "DPoP",
			Claims: map[string]any{"act": map[string]any{"sub": "robot"}, "email": "uma@example.com"},
		}),
		Operation: mcpauth.Operation{Method: "tools/call", Name: "read"},
		Rule:      "files:read", Needed: []string{"files:read"}, Granted: []string{"mail"},
		RequestID: `"a-1"`, TraceID: "0af7651916cd43dd8448eb211c80319c",
		Arguments: map[string]json.RawMessage{"path": json.RawMessage(`"/etc"`), "depth": json.RawMessage(`[1]`)},
		Expected:  "e", Got: "g", Cure: "c",
	}
}

// logged is the line of a decision.
func logged(d mcpauth.Decision, opts audit.Options) string {
	var out bytes.Buffer
	audit.Log(slog.NewJSONHandler(&out, nil), opts)(context.Background(), d)
	return out.String()
}

// TestNames pins what the package comment lists: dashboards depend on it.
func TestNames(t *testing.T) {
	d := full()
	line := logged(d, audit.Options{})
	id := d.Principal.ID()
	require.Equal(t, `{"time":"2026-07-28T12:00:00Z","level":"INFO","msg":"mcpauth: decision","allowed":false,"reason":"insufficient_scope",`+
		`"status":403,"method":"tools/call","name":"read","rule":"files:read","needed":["files:read"],"granted":["mail"],`+
		`"principal":{"id":"`+id+`","issuer":"https://login.example.com","subject":"uma","client":"desk","actor":"robot","scheme":"DPoP"},`+
		`"request_id":"\"\\\"a-1\\\"\"","trace_id":"0af7651916cd43dd8448eb211c80319c","arguments":{"depth":"[1]","path":"\"/etc\""},`+
		`"expected":"e","got":"g","cure":"c"}`+"\n", line)
	require.NotContains(t, line, "example.com\"}", "no other claim")
	require.NotContains(t, line, "email")
	require.Equal(t, `{"level":"WARN","msg":"mcpauth: decision","allowed":false,"reason":""}`+"\n", logged(mcpauth.Decision{}, audit.Options{}), "what is empty is left out")
}

func TestLevels(t *testing.T) {
	for _, tt := range []struct {
		d    mcpauth.Decision
		want string
	}{
		{mcpauth.Decision{Allowed: true, Reason: mcpauth.ReasonAllowed}, "INFO"},
		{mcpauth.Decision{Status: 401, Reason: mcpauth.ReasonNoCredentials}, "INFO"},
		{mcpauth.Decision{Status: 403, Reason: mcpauth.ReasonInsufficientScope}, "INFO"},
		{mcpauth.Decision{Status: 401, Reason: mcpauth.ReasonProofNonceMissing}, "INFO"},
		{mcpauth.Decision{Status: 403, Reason: mcpauth.ReasonRole}, "WARN"},
		{mcpauth.Decision{Status: 429, Reason: "too_many"}, "WARN"},
		{mcpauth.Decision{Status: 503, Reason: mcpauth.ReasonKeysUnavailable}, "ERROR"},
		{mcpauth.Decision{Status: 403, Reason: mcpauth.ReasonPanic}, "ERROR"},
		{mcpauth.Decision{Reason: mcpauth.ReasonAllowed}, "WARN"}, // a policy may name its reasons as it likes
	} {
		require.Contains(t, logged(tt.d, audit.Options{}), `"level":"`+tt.want+`"`, tt.d.Reason)
	}
	var out bytes.Buffer
	log := audit.Log(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}), audit.Options{})
	log(t.Context(), mcpauth.Decision{Allowed: true, Reason: mcpauth.ReasonAllowed})
	require.Empty(t, out.String())
}

func TestPseudonyms(t *testing.T) {
	key := bytes.Repeat([]byte{7}, 32)
	who := func(subject, issuer, client string, key []byte) map[string]string {
		var line struct{ Principal map[string]string }
		d := mcpauth.Decision{Principal: mcpauth.NewPrincipal(mcpauth.Identity{Issuer: issuer, Subject: subject, ClientID: client,
			Claims: map[string]any{"act": map[string]any{"sub": "robot"}}})}
		require.NoError(t, json.Unmarshal([]byte(logged(d, audit.Options{PseudonymKey: key})), &line))
		return line.Principal
	}
	uma := who("uma", "https://a.example", "desk", key)
	require.Equal(t, uma, who("uma", "https://a.example", "desk", key))
	require.Equal(t, uma["subject"], who("uma", "https://a.example", "phone", key)["subject"], "one user, two applications")
	require.Equal(t, "desk", uma["client"])
	require.Equal(t, "https://a.example", uma["issuer"])
	others := []map[string]string{
		who("rio", "https://a.example", "desk", key), who("uma", "https://b.example", "desk", key), who("uma", "https://a.example", "desk", bytes.Repeat([]byte{8}, 32)),
	}
	for _, other := range others {
		require.NotEqual(t, uma["subject"], other["subject"])
		require.NotEqual(t, uma["id"], other["id"])
	}
	require.Equal(t, uma["actor"], others[0]["actor"])
	plain := who("uma", "https://a.example", "desk", nil)
	require.Equal(t, "uma", plain["subject"])
	for name, value := range uma {
		require.NotContains(t, value, "uma", name)
		require.NotContains(t, value, "robot", name)
		require.NotEqual(t, plain["id"], value, "a hash without a key can be guessed: %s", name)
	}
	require.NotContains(t, who("", "https://a.example", "desk", key), "client", "its hash would be explained beside it")
}

func TestOmit(t *testing.T) {
	line := logged(full(), audit.Options{Omit: []string{"principal.subject", "arguments", "got", "granted", "status", "name"}})
	for _, gone := range []string{"subject", "uma", "/etc", `"got"`, "mail", "403", `"read"`} {
		require.NotContains(t, line, gone)
	}
	require.Contains(t, line, `"client":"desk"`)
	require.NotContains(t, logged(full(), audit.Options{Omit: []string{"principal"}}), "desk")
}

func TestMistakes(t *testing.T) {
	h := slog.DiscardHandler
	require.PanicsWithValue(t, "audit: Log: the handler is nil", func() { audit.Log(nil, audit.Options{}) })
	require.Panics(t, func() { audit.Log(h, audit.Options{PseudonymKey: []byte("short")}) })
	require.Panics(t, func() { audit.Log(h, audit.Options{PseudonymKey: []byte{}}) }, "an empty variable must not mean plain names")
	require.Panics(t, func() { audit.Log(h, audit.Options{Omit: []string{"subject"}}) })
	require.Panics(t, func() { audit.Log(h, audit.Options{Omit: []string{"reason"}}) })
}

// TestHostileText is CWE-117: with any handler, one decision is one line of printable ASCII, and nothing in it
// can pass for an attribute.
func TestHostileText(t *testing.T) {
	for _, evil := range []string{
		"x\nlevel=INFO msg=\"mcpauth: decision\" allowed=true", "\r\n{\"allowed\":true}", "\x1b[2J\x1b]0;owned\a", "\x9b31m", "\u009b31m",
		"safe\u202Eexe.txt", "\u2028\u2029", "\xff\xfe\xc0\xaf", "\x00", `" allowed=true reason="allowed`, "a\" allowed=true", strings.Repeat("A", 1<<20), strings.Repeat("\n", 1<<20),
	} {
		d := mcpauth.Decision{
			Time: noon, Reason: mcpauth.Reason(evil), Rule: evil, RequestID: evil, TraceID: evil, Expected: evil, Got: evil, Cure: evil,
			Operation: mcpauth.Operation{Method: evil, Name: evil}, Needed: []string{"a", evil, "b"}, Granted: []string{evil},
			Arguments: map[string]json.RawMessage{evil: json.RawMessage(evil)},
			Principal: mcpauth.NewPrincipal(mcpauth.Identity{Issuer: evil, Subject: evil, ClientID: evil, Scheme: evil,
				Claims: map[string]any{"act": map[string]any{"sub": evil}}}),
		}
		var text bytes.Buffer
		audit.Log(slog.NewTextHandler(&text, nil), audit.Options{})(t.Context(), d)
		for _, line := range []string{text.String(), logged(d, audit.Options{})} {
			require.Equal(t, 1, strings.Count(line, "\n"), "%.80q", evil)
			require.Less(t, len(line), 160<<10)
			for i := range len(line) - 1 {
				require.True(t, line[i] >= 0x20 && line[i] < 0x7f, "byte %#x in %.200q", line[i], line)
			}
		}
		require.Equal(t, 1, strings.Count(" "+text.String(), " allowed=false "))
		require.NotRegexp(t, `^([^"]|"([^"\\]|\\.)*")* allowed=true`, text.String(), "outside of quotes")
		require.NotContains(t, text.String(), "\x1b")
		require.Equal(t, []string{"a", evil, "b"}, d.Needed, "a copy is changed, not the Decision")

		// A handler that does not quote gets nothing else either.
		var raw rawHandler
		audit.Log(&raw, audit.Options{})(t.Context(), d)
		require.NotRegexp(t, `[^ -~]`, raw.String())
	}
	many := mcpauth.Decision{Granted: make([]string, 1000)}
	require.Contains(t, logged(many, audit.Options{}), `"and 936 more"]`)
	require.Len(t, many.Granted, 1000)
}

// A rawHandler writes values as they are.
type rawHandler struct{ strings.Builder }

func (h *rawHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *rawHandler) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h *rawHandler) WithGroup(string) slog.Handler            { return h }
func (h *rawHandler) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		h.WriteString(a.String())
		return true
	})
	return nil
}

func FuzzText(f *testing.F) {
	f.Add("plain", 256)
	f.Add("\x1b[2J\n\xff", 3)
	f.Add(`"quoted"`, 100)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		limit = max(limit&1023, 1)
		out := audit.Text(s, limit)
		require.LessOrEqual(t, len(out), 10*limit+5)
		for i := range len(out) {
			require.True(t, out[i] >= 0x20 && out[i] < 0x7f)
		}
		if len(s) <= limit && out != s {
			require.Equal(t, byte('"'), out[0])
		}
		if out == s && s != "" {
			require.NotEqual(t, byte('"'), out[0], "what looks quoted is quoted")
		}
	})
}

// TestSecrets is AUTHZ-18: what clients send as tokens, proofs and keys is in no record, however they send it.
func TestSecrets(t *testing.T) {
	var out bytes.Buffer
	var usage audit.Usage
	apiKey, hash := mcpauth.NewAPIKey("files_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "bot", Name: "ci", Scopes: []string{"files:read"}}}})
	require.NoError(t, err)
	p := newPeer(t, audit.Tee(audit.Log(slog.NewJSONHandler(&out, nil), audit.Options{}), audit.Log(slog.NewTextHandler(&out, nil), audit.Options{}), usage.Record),
		func(cfg *mcpauth.Config) {
			cfg.Authenticators = []mcpauth.Authenticator{keys}
			cfg.AuditArguments = map[string][]string{"read": {"path"}}
		})
	key, err := mcpauthtest.NewDPoPKey("ES256")
	require.NoError(t, err)
	bound := p.token("uma", map[string]any{"cnf": map[string]any{"jkt": key.Thumbprint()}})
	proof := key.Proof("POST", resource, bound, "")
	good := p.token("uma", nil)
	p.secrets = append(p.secrets, apiKey, proof, "not-a-jwt-at-all-but-secret", "hunter2-argument", "c2VjcmV0OnBhc3M")

	body := call("read", `{"path":"/tmp/a","password":"hunter2-argument"}`)
	for _, tt := range []struct {
		header map[string]string
		want   int
	}{
		{bearer(good), 200}, {bearer(bound), 401},
		{map[string]string{"Authorization": "DPoP " + bound, "Dpop": proof}, 200},
		{map[string]string{"Authorization": "DPoP " + bound, "Dpop": proof}, 401}, // again
		{map[string]string{"Authorization": "DPoP " + good, "Dpop": proof}, 401},
		{map[string]string{"X-Api-Key": apiKey}, 200}, {map[string]string{"X-Api-Key": apiKey + "A"}, 401},
		{map[string]string{"Authorization": good}, 401}, {map[string]string{"Authorization": "Basic c2VjcmV0OnBhc3M"}, 401},
		{map[string]string{"Authorization": "Bearer " + good, "X-Api-Key": apiKey}, 400},
		{bearer("not-a-jwt-at-all-but-secret"), 401}, {bearer(good[:len(good)-8] + "AAAAAAAA"), 401},
		{bearer(p.token("uma", map[string]any{"exp": 1})), 401}, {bearer(p.token("uma", map[string]any{"aud": "https://x.example"})), 401},
	} {
		require.Equal(t, tt.want, p.send(body, tt.header), tt.header)
	}
	require.Equal(t, 403, p.send(call("purge", `{"password":"hunter2-argument"}`), bearer(good)))
	require.Equal(t, 30, strings.Count(out.String(), "\n"), "one record each")
	rows, err := json.Marshal(usage.Snapshot())
	require.NoError(t, err)
	all := out.String() + string(rows)
	require.Contains(t, all, `/tmp/a`, "an argument that was asked for")
	require.Contains(t, all, `"client":"ci"`)
	for _, secret := range p.secrets {
		require.NotContains(t, all, secret)
		for part := range strings.SplitSeq(secret, ".") {
			if len(part) > 12 {
				require.NotContains(t, all, part[:12], "a part of %s", secret)
			}
		}
	}
}

// TestNothingHappensUnwritten is what OnError is for.
func TestNothingHappensUnwritten(t *testing.T) {
	full := errors.New("disk full")
	var told []error
	p := newPeer(t, audit.Log(failing{slog.DiscardHandler, full}, audit.Options{OnError: func(_ context.Context, err error) { told = append(told, err) }}), nil)
	require.Equal(t, 200, p.send(call("read", "{}"), bearer(p.token("uma", nil))))
	require.Equal(t, []error{full}, told)
	require.Equal(t, 1, p.ran)

	p = newPeer(t, audit.Log(failing{slog.DiscardHandler, full}, audit.Options{OnError: func(_ context.Context, err error) { panic(err) }}), nil)
	require.Equal(t, http.StatusServiceUnavailable, p.send(call("read", "{}"), bearer(p.token("uma", nil))))
	require.Zero(t, p.ran)

	p = newPeer(t, audit.Log(failing{slog.DiscardHandler, full}, audit.Options{}), nil)
	require.Equal(t, 200, p.send(call("read", "{}"), bearer(p.token("uma", nil))), "errors are dropped")
}

type failing struct {
	slog.Handler
	err error
}

func (f failing) Enabled(context.Context, slog.Level) bool  { return true }
func (f failing) Handle(context.Context, slog.Record) error { return f.err }

func TestTee(t *testing.T) {
	var got []string
	note := func(name string) func(context.Context, mcpauth.Decision) {
		return func(context.Context, mcpauth.Decision) { got = append(got, name) }
	}
	throw := func(v any) func(context.Context, mcpauth.Decision) {
		return func(context.Context, mcpauth.Decision) { panic(v) }
	}
	audit.Tee()(t.Context(), mcpauth.Decision{})
	audit.Tee(nil, note("a"), nil, note("b"))(t.Context(), mcpauth.Decision{})
	require.Equal(t, []string{"a", "b"}, got)

	got = nil
	require.PanicsWithValue(t, "first", func() {
		audit.Tee(note("a"), throw("first"), note("b"), throw("second"), note("c"))(t.Context(), mcpauth.Decision{})
	})
	require.Equal(t, []string{"a", "b", "c"}, got)
	require.Panics(t, func() { audit.Tee(throw(nil), note("d"))(t.Context(), mcpauth.Decision{}) })

	// The middleware refuses then, and the others know what was decided.
	var usage audit.Usage
	p := newPeer(t, audit.Tee(throw("broken"), usage.Record), nil)
	require.Equal(t, http.StatusServiceUnavailable, p.send(call("read", "{}"), bearer(p.token("uma", nil))))
	require.Zero(t, p.ran)
	var allowed, refused uint64
	for _, row := range usage.Snapshot() {
		allowed, refused = allowed+row.Allowed, refused+row.Refused
	}
	require.Equal(t, []uint64{1, 1}, []uint64{allowed, refused}, "the decision, and that a hook panicked")
}

// TestWhatAReaderLearns takes records of the middleware itself.
func TestWhatAReaderLearns(t *testing.T) {
	var out bytes.Buffer
	p := newPeer(t, audit.Log(slog.NewJSONHandler(&out, nil), audit.Options{}), func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Grants = scopes.Mapper{RoleClaims: []string{"/roles"}}
	})
	const trace = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"
	header := bearer(p.token("uma", map[string]any{"scope": "mail", "act": map[string]any{"sub": "robot"}}))
	header["Traceparent"] = trace
	require.Equal(t, 403, p.send(call("read", "{}"), header))
	var line struct {
		Allowed                                         bool
		Reason, Method, Name, Rule, Expected, Got, Cure string
		Status                                          int
		Needed, Granted                                 []string
		Principal                                       map[string]string
		RequestID                                       string `json:"request_id"`
		TraceID                                         string `json:"trace_id"`
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	require.Equal(t, "insufficient_scope", line.Reason)
	require.Equal(t, "tools/call read", line.Method+" "+line.Name)
	require.Equal(t, []string{"files:read"}, line.Needed)
	require.Equal(t, []string{"mail"}, line.Granted)
	require.Equal(t, "uma desk robot Bearer "+p.issuer,
		strings.Join([]string{line.Principal["subject"], line.Principal["client"], line.Principal["actor"], line.Principal["scheme"], line.Principal["issuer"]}, " "))
	require.Equal(t, "7", line.RequestID)
	require.Equal(t, trace[3:35], line.TraceID)
	require.Contains(t, line.Expected, "files:read")
	require.NotEmpty(t, line.Got)
	require.NotEmpty(t, line.Cure)
}

// A sink is a handler that gives up with its context, as one does that writes to a database.
type sink struct {
	slog.Handler
	failed []error
}

func (s *sink) Handle(ctx context.Context, r slog.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.Handler.Handle(ctx, r)
}

// Whoever hangs up at the right moment must not keep what was decided out of the log.
func TestHangingUpLeavesATrace(t *testing.T) {
	var out bytes.Buffer
	s := &sink{Handler: slog.NewJSONHandler(&out, nil)}
	var hangUp context.CancelFunc
	seen := func(_ context.Context, err error) { s.failed = append(s.failed, err) }
	p := newPeer(t, audit.Log(s, audit.Options{OnError: seen}), func(cfg *mcpauth.Config) {
		cfg.Policy = func(context.Context, *mcpauth.Call) error { hangUp(); return nil }
	})
	r := httptest.NewRequest("POST", resource, strings.NewReader(call("read", "{}")))
	ctx, cancel := context.WithCancel(t.Context())
	hangUp = cancel
	for name, value := range bearer(p.token("uma", nil)) {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	p.handler.ServeHTTP(httptest.NewRecorder(), r.WithContext(ctx))
	require.Empty(t, s.failed)
	require.Contains(t, out.String(), `"allowed":true`)
	require.Contains(t, out.String(), `"name":"read"`)
}
