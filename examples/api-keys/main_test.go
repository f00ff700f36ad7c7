package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
	"github.com/go-mcpauth/sdk/mcpauth"
)

var secret = regexp.MustCompile(`notes_[A-Za-z0-9_-]{20}|eyJ[A-Za-z0-9_-]{20}|Notes-HMAC acme:`)

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	// In this order.
	for rest, wants := out.String(), []string{
		"sha256:", "X-Api-Key: (", "200 OK", "Authorization: Bearer (", "200 OK", "show_headers", "200 OK", "tools/list", "< read_notes, show_headers, whoami\n",
		"write_note", "403 Forbidden\n   the server's log gives the reason grant_fixed", `error="insufficient_scope"`, "Notes-HMAC (", "Noted.",
		"401 Unauthorized", `ApiKey header="X-Api-Key"`, `Notes-HMAC realm="notes"`, "no_credentials", "credentials_refused", "token_expired", "credentials_multiple", "Done:",
	}; len(wants) > 0; wants = wants[1:] {
		_, after, found := strings.Cut(rest, wants[0])
		require.True(t, found, "no %s in what follows\n%s", wants[0], out.String())
		rest = after
	}
	require.NotRegexp(t, secret, out.String()+log.String(), "a credential was printed")
}

func TestServe(t *testing.T) {
	read, write := io.Pipe()
	var log bytes.Buffer
	ended := make(chan int, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- run(ctx, []string{"-serve"}, write, &log) }()
	var text string
	for lines := bufio.NewScanner(read); !strings.Contains(text, "Ctrl+C") && lines.Scan(); {
		text += lines.Text() + "\n"
	}
	line := regexp.MustCompile(`http notes (\S+) --header "X-Api-Key: (\S+)"`).FindStringSubmatch(text)
	require.NotNil(t, line, text)
	client := demo.Client{Out: io.Discard, Resource: line[1]}
	require.NoError(t, client.Call(ctx, demo.Field("X-Api-Key", line[2]), "whoami", nil, demo.Want{Text: `"sub":"uma"`}))
	stop()
	require.Zero(t, <-ended)
}

func TestMistakesOnTheCommandLine(t *testing.T) {
	for args, status := range map[string]int{"-no-such-flag": 2, "extra": 2, "-h": 0} {
		var log bytes.Buffer
		require.Equal(t, status, run(t.Context(), strings.Fields(args), io.Discard, &log), args)
		require.NotEmpty(t, log.String())
	}
}

func TestFailsWhereNothingIsRefused(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"\"sub\":\"uma\" \"client_id\":\"laptop\" Content-Type"}]}}`))
	}))
	defer open.Close()
	c, keys, _ := invite(time.Now())
	require.Error(t, demonstrate(t.Context(), &demo.Client{Out: io.Discard, Resource: open.URL}, c, keys, "t"))
	require.ErrorContains(t, refusals(t.Context(), &demo.Client{Out: io.Discard, Resource: open.URL}, c, "t"), "want 401")
}

const resource = "http://localhost:8080/mcp"

// A service is the protected server without a network.
type service struct {
	*testing.T
	handler http.Handler
	callers callers
	issuer  *testissuer.Issuer
	clock   demo.Clock
	log     demo.Log
}

func newService(t *testing.T) *service {
	s := &service{T: t, issuer: testissuer.New(t)}
	c, keys, partners := invite(time.Now())
	s.callers = c
	partners["careless"] = partner{} // lets nobody in
	h, err := protect(resource, s.issuer.URL, keys, &signatures{Partners: partners, Now: s.clock.Now}, func(cfg *mcpauth.Config) {
		cfg.Now, cfg.OnDecision = s.clock.Now, s.log.OnDecision
	})
	require.NoError(t, err)
	s.handler = h
	return s
}

func body(method, tool string) string {
	b, _ := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 7, "method": method, "params": map[string]any{"name": tool, "arguments": map[string]any{}}})
	return string(b)
}

// post sends a body with header fields, which are pairs of a name and a value.
func (s *service) post(body string, fields ...string) *httptest.ResponseRecorder {
	return s.send(request(body), fields...)
}

func request(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	return r
}

func (s *service) send(r *http.Request, fields ...string) *httptest.ResponseRecorder {
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	require.NotRegexp(s, secret, w.Body.String(), "a credential came back")
	return w
}

// refused wants a refusal with all challenges of a 401, and none of another status.
func (s *service) refused(w *httptest.ResponseRecorder, status int, reason mcpauth.Reason) {
	s.Helper()
	require.Equal(s, status, w.Code, w.Body)
	require.Equal(s, reason, s.log.Reason())
	lines := strings.Join(w.Header().Values("Www-Authenticate"), "; ")
	if status != http.StatusUnauthorized {
		require.NotContains(s, lines, "insufficient_scope")
		return
	}
	for _, want := range []string{"Bearer ", "resource_metadata=", `ApiKey header="X-Api-Key"`, `Notes-HMAC realm="notes"`} {
		require.Contains(s, lines, want)
	}
}

// allowed wants whoami to name the caller.
func (s *service) allowed(w *httptest.ResponseRecorder, subject, client string) {
	s.Helper()
	require.Equal(s, http.StatusOK, w.Code, w.Body)
	for _, want := range []string{`\"sub\":\"` + subject + `\"`, `\"client_id\":\"` + client + `\"`} {
		require.Contains(s, w.Body.String(), want)
	}
}

func (s *service) tools(fields ...string) string {
	w := s.post(body("tools/list", ""), fields...)
	require.Equal(s, http.StatusOK, w.Code, w.Body)
	var names []string
	for _, m := range regexp.MustCompile(`"name":"([a-z_]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		names = append(names, m[1])
	}
	return strings.Join(names, " ")
}

func TestKeysAreAccepted(t *testing.T) {
	s := newService(t)
	whoami := body("tools/call", "whoami")
	s.allowed(s.post(whoami, "X-Api-Key", s.callers.reader), "uma", "laptop")
	s.allowed(s.post(whoami, "Authorization", "Bearer "+s.callers.reader), "uma", "laptop")
	s.allowed(s.post(whoami, "X-Api-Key", s.callers.admin), "ada", "backup")
	s.allowed(s.post(whoami, "Authorization", "Bearer "+s.issuer.Token(t, resource, "uma", map[string]any{"scope": "notes:read"})), "uma", "test")
}

func TestKeysAreRefused(t *testing.T) {
	s := newService(t)
	whoami := body("tools/call", "whoami")
	unknown, _ := mcpauth.NewAPIKey(keyPrefix)
	token := s.issuer.Token(t, resource, "uma", map[string]any{"scope": "notes:read"})
	hash := mcpauth.HashAPIKey(s.callers.reader)
	for _, c := range []struct {
		name   string
		fields []string
		status int
		reason mcpauth.Reason
	}{
		{"nothing", nil, 401, mcpauth.ReasonNoCredentials},
		{"an unknown key", []string{"X-Api-Key", unknown}, 401, mcpauth.ReasonCredentials},
		{"an unknown key as a bearer token", []string{"Authorization", "Bearer " + unknown}, 401, mcpauth.ReasonCredentials},
		{"a letter too few", []string{"X-Api-Key", s.callers.reader[:len(s.callers.reader)-1]}, 401, mcpauth.ReasonCredentials},
		{"what the server keeps", []string{"X-Api-Key", hash}, 401, mcpauth.ReasonNoCredentials},
		{"what the server keeps, with the prefix", []string{"X-Api-Key", keyPrefix + strings.TrimPrefix(hash, "sha256:")}, 401, mcpauth.ReasonCredentials},
		{"an expired key", []string{"X-Api-Key", s.callers.expired}, 401, mcpauth.ReasonTokenExpired},
		{"an expired key as a bearer token", []string{"Authorization", "Bearer " + s.callers.expired}, 401, mcpauth.ReasonTokenExpired},
		{"a token in the field of keys", []string{"X-Api-Key", token}, 401, mcpauth.ReasonNoCredentials},
		{"a key and a token", []string{"X-Api-Key", s.callers.reader, "Authorization", "Bearer " + token}, 400, mcpauth.ReasonMultipleCredentials},
		{"one key in both fields", []string{"X-Api-Key", s.callers.reader, "Authorization", "Bearer " + s.callers.reader}, 400, mcpauth.ReasonMultipleCredentials},
		{"two keys", []string{"X-Api-Key", s.callers.reader, "X-Api-Key", s.callers.admin}, 400, mcpauth.ReasonMultipleCredentials},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.T = t
			s.refused(s.post(whoami, c.fields...), c.status, c.reason)
		})
	}
}

// A key ends while the server runs.
func TestKeysEnd(t *testing.T) {
	s := newService(t)
	whoami := body("tools/call", "whoami")
	s.clock.Advance(85 * 24 * time.Hour)
	s.allowed(s.post(whoami, "X-Api-Key", s.callers.reader), "uma", "laptop")
	s.clock.Advance(10 * 24 * time.Hour)
	s.refused(s.post(whoami, "X-Api-Key", s.callers.reader), 401, mcpauth.ReasonTokenExpired)
	s.allowed(s.post(whoami, "X-Api-Key", s.callers.admin), "ada", "backup")
}

// CH-23: nobody could add to a key, so what it lacks is no reason to log in again, and lists do not show it.
func TestCH23_KeysCannotStepUp(t *testing.T) {
	s := newService(t)
	token := s.issuer.Token(t, resource, "uma", map[string]any{"scope": "notes:read"})
	for _, fields := range [][]string{{"X-Api-Key", s.callers.reader}, {"Authorization", "Bearer " + s.callers.reader}} {
		require.Equal(t, "read_notes show_headers whoami", s.tools(fields...))
		for tool, reason := range map[string]mcpauth.Reason{"write_note": mcpauth.ReasonFixedGrant, "purge_notes": mcpauth.ReasonRole} {
			w := s.post(body("tools/call", tool), fields...)
			s.refused(w, 403, reason)
			require.NotContains(t, w.Header(), "Www-Authenticate")
		}
	}
	require.Equal(t, "purge_notes read_notes show_headers whoami write_note", s.tools("X-Api-Key", s.callers.admin))
	require.Equal(t, "read_notes show_headers whoami write_note", s.tools("Authorization", "Bearer "+token))
	w := s.post(body("tools/call", "write_note"), "Authorization", "Bearer "+token)
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="notes:read notes:write"`)
}

// SEC-01: tools see no credentials, whatever field they came in.
func TestToolsSeeNoCredentials(t *testing.T) {
	s := newService(t)
	seen := func(w *httptest.ResponseRecorder) {
		t.Helper()
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.Contains(t, w.Body.String(), "X-Harmless: here", "fields are seen")
		require.NotContains(t, w.Body.String(), "X-Api-Key")
		require.NotContains(t, w.Body.String(), "Authorization")
	}
	call := body("tools/call", "show_headers")
	seen(s.post(call, "X-Harmless", "here", "X-Api-Key", s.callers.reader))
	seen(s.post(call, "X-Harmless", "here", "Authorization", "Bearer "+s.callers.reader))
	seen(s.send(s.signed(call), "X-Harmless", "here"))
}

// The owner of a key is not the user of an authorization server who has the same name.
func TestSEC07_OwnersAndUsersAreApart(t *testing.T) {
	s := newService(t)
	note := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"write_note","arguments":{"text":"by key"}}}`
	require.Contains(t, s.post(note, "X-Api-Key", s.callers.admin).Body.String(), "Noted.")
	require.Contains(t, s.post(body("tools/call", "read_notes"), "X-Api-Key", s.callers.admin).Body.String(), "by key")
	token := s.issuer.Token(t, resource, "ada", map[string]any{"scope": "notes:read"})
	require.Contains(t, s.post(body("tools/call", "read_notes"), "Authorization", "Bearer "+token).Body.String(), "no notes yet")
}
