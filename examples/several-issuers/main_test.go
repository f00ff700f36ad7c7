package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
	"github.com/go-mcpauth/sdk/mcpauth"
)

func TestDemonstration(t *testing.T) {
	var out, log bytes.Buffer
	require.Zero(t, run(t.Context(), nil, &out, &log), "%s\n%s", out.String(), log.String())
	// In this order.
	for rest, wants := out.String(), []string{
		"authorization_servers: http://127.0.0.1:", "/realms/acme, http://127.0.0.1:", "/realms/globex\n", "purge_notes", "Noted.", `"sub":"ada"`, "no notes yet",
		"< read_notes, whoami, write_note\n", "403 Forbidden", "role_missing", "401 Unauthorized", "signature_invalid", "algorithm_not_allowed", "audience_mismatch",
		"unknown_issuer", "breaks down", "200 OK", "200 OK", "503 Service Unavailable", "keys_unavailable", "200 OK", "Done:",
	}; len(wants) > 0; wants = wants[1:] {
		_, after, found := strings.Cut(rest, wants[0])
		require.True(t, found, "no %s in what follows\n%s", wants[0], out.String())
		rest = after
	}
	require.NotRegexp(t, regexp.MustCompile(`eyJ[A-Za-z0-9_-]{20}`), out.String()+log.String(), "a token was printed")
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
	urls := regexp.MustCompile(`http://\S+`).FindAllString(text, 2)
	require.Len(t, urls, 2, text)
	client := demo.Client{Out: io.Discard, Resource: urls[0]}
	token, err := demo.Login(ctx, urls[1], urls[0], "rio", notes.ScopeRead)
	require.NoError(t, err)
	require.NoError(t, client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{Text: `"sub":"rio"`}))

	acme := regexp.MustCompile(`curl (\S+)`).FindStringSubmatch(text)[1]
	for url, status := range map[string]int{acme: 200, strings.Replace(acme, "acme", "initech", 1): 401, strings.Replace(acme, "acme", "umbrella", 1): 0} {
		res, err := http.Get(url)
		require.NoError(t, err)
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		res.Body.Close()
		if status == 0 {
			require.Equal(t, http.StatusNotFound, res.StatusCode)
			continue
		}
		want := demo.Want{Status: status}
		if status == 401 {
			want.Challenge = `error="invalid_token"`
		}
		require.NoError(t, client.Call(ctx, demo.Bearer(string(body)), "whoami", nil, want))
	}
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

const resource = "http://localhost:8080/mcp"

// A service is the protected server without a network, in front of a Keycloak and an issuer of staff tokens.
type service struct {
	*testing.T
	handler   http.Handler
	staff     *testissuer.Issuer
	customers *keycloak
	clock     demo.Clock
	log       demo.Log
}

// realmKeys take a while to make.
var realmKeys = sync.OnceValues(func() (*keycloak, error) { return newKeycloak("", "acme", "globex", "initech") })

func keycloakAt(t *testing.T, url string) *keycloak {
	withKeys, err := realmKeys()
	require.NoError(t, err)
	k, err := newKeycloak(url)
	require.NoError(t, err)
	k.keys = withKeys.keys
	return k
}

func newService(t *testing.T, tenants ...string) *service {
	s := &service{T: t, staff: testissuer.New(t), customers: keycloakAt(t, "")}
	server := httptest.NewServer(s.customers)
	t.Cleanup(server.Close)
	s.customers.URL = server.URL
	var err error
	s.handler, err = protect(resource, issuers(s.staff.URL, server.URL, tenants...), func(cfg *mcpauth.Config) {
		cfg.Now, cfg.OnDecision = s.clock.Now, s.log.OnDecision
	})
	require.NoError(t, err)
	return s
}

func (s *service) call(token, tool string) *httptest.ResponseRecorder {
	arguments := `{}`
	if tool == "write_note" {
		arguments = `{"text":"x"}`
	}
	r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"`+tool+`","arguments":`+arguments+`}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	r.Header.Set("Authorization", "Bearer "+token)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *service) allowed(token, tool string) {
	s.Helper()
	w := s.call(token, tool)
	require.Equal(s, http.StatusOK, w.Code, "%s %s", s.log.Reason(), w.Body)
	require.NotContains(s, w.Body.String(), `"isError":true`)
}

func (s *service) refused(token string, reason mcpauth.Reason) {
	s.Helper()
	w := s.call(token, "whoami")
	require.Equal(s, http.StatusUnauthorized, w.Code, w.Body)
	require.Equal(s, reason, s.log.Reason())
	require.Contains(s, w.Header().Get("Www-Authenticate"), `error="invalid_token"`)
}

func (s *service) of(realm, signer string, changes map[string]any) string {
	s.Helper()
	token, err := s.customers.token(realm, signer, changes)
	require.NoError(s, err)
	return token
}

func (s *service) employee(changes map[string]any) string {
	claims := map[string]any{"scope": "notes:read notes:write", "roles": []string{"admin"}}
	maps.Copy(claims, changes)
	return s.staff.Token(s, resource, "ada", claims)
}

// Each issuer has its own algorithm, type, audience and claims, and the other's are no good for it.
func TestEachIssuerHasItsOwnRules(t *testing.T) {
	s := newService(t, "acme", "globex")
	s.allowed(s.employee(nil), "purge_notes")
	s.allowed(s.of("acme", "acme", nil), "read_notes") // writing implies reading
	s.allowed(s.of("globex", "globex", nil), "write_note")

	for _, c := range []struct {
		name, token string
		reason      mcpauth.Reason
	}{
		{"acme's by globex", s.of("acme", "globex", nil), mcpauth.ReasonSignature},
		{"globex's by acme", s.of("globex", "acme", nil), mcpauth.ReasonSignature},
		{"globex's by acme, with the name of acme's key", s.of("acme", "acme", map[string]any{"iss": s.customers.issuer("globex")}), mcpauth.ReasonUnknownKey},
		{"a realm that is not on the list", s.of("initech", "initech", nil), mcpauth.ReasonUnknownIssuer},
		{"a realm above the realms", s.of("acme", "acme", map[string]any{"iss": s.customers.URL}), mcpauth.ReasonUnknownIssuer},
		{"a realm with a slash", s.of("acme", "acme", map[string]any{"iss": s.customers.issuer("acme") + "/"}), mcpauth.ReasonUnknownIssuer},
		{"acme's by the staff's key", s.employee(map[string]any{"iss": s.customers.issuer("acme"), "aud": audience}), mcpauth.ReasonAlgorithm},
		{"the staff's by acme's key", s.of("acme", "acme", map[string]any{"iss": s.staff.URL}), mcpauth.ReasonAlgorithm},
		{"the staff's with the audience of the realms", s.employee(map[string]any{"aud": audience}), mcpauth.ReasonAudience},
		{"the staff's of the type of the realms", s.staff.TokenOfType(t, "JWT", resource, "ada", map[string]any{"scope": "notes:read"}), mcpauth.ReasonType},
		{"acme's for another server", s.of("acme", "acme", map[string]any{"aud": []string{"billing", "account"}}), mcpauth.ReasonAudience},
		{"an ID token of acme's", s.of("acme", "acme", map[string]any{"typ": "ID"}), mcpauth.ReasonIDToken},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.T = t
			s.refused(c.token, c.reason)
		})
	}
}

// The roles of a realm are its administrators' to give, and open nothing here.
func TestRolesOfTenantsOpenNothing(t *testing.T) {
	s := newService(t, "acme")
	for _, changes := range []map[string]any{
		nil, {"roles": []string{"admin"}}, {"resource_access": map[string]any{"notes": map[string]any{"roles": []string{"admin"}}}},
	} {
		w := s.call(s.of("acme", "acme", changes), "purge_notes")
		require.Equal(t, http.StatusForbidden, w.Code, w.Body)
		require.Equal(t, mcpauth.ReasonRole, s.log.Reason())
		require.NotContains(t, w.Header(), "Www-Authenticate")
	}
	// As for scopes, a step-up.
	w := s.call(s.of("acme", "acme", map[string]any{"scope": "notes:read"}), "write_note")
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="notes:read notes:write"`)
}

// CH-22: what is wrong with one issuer is not the other's business.
func TestCH22_AnOutageStaysWhereItIs(t *testing.T) {
	s := newService(t, "acme", "globex")
	s.allowed(s.of("acme", "acme", nil), "whoami")
	s.customers.down.Store(true)
	s.allowed(s.of("acme", "acme", nil), "whoami")
	s.allowed(s.employee(nil), "whoami")
	for range 2 {
		w := s.call(s.of("globex", "globex", nil), "whoami")
		require.Equal(t, http.StatusServiceUnavailable, w.Code, w.Body)
		require.Equal(t, mcpauth.ReasonKeysUnavailable, s.log.Reason())
		require.NotEmpty(t, w.Header().Get("Retry-After"))
		require.NotContains(t, w.Header(), "Www-Authenticate")
		s.clock.Advance(10 * time.Second)
	}
	s.customers.down.Store(false)
	s.allowed(s.of("globex", "globex", nil), "whoami")
}

// The sample is what Keycloak writes: typ JWT in the header, and a key of the realm.
func TestTokensOfTheKeycloak(t *testing.T) {
	k := keycloakAt(t, "http://127.0.0.1")
	text, err := k.token("acme", "acme", nil)
	require.NoError(t, err)
	token, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return &k.keys["acme"].PublicKey, nil }, jwt.WithValidMethods([]string{"RS256"}))
	require.NoError(t, err)
	require.Equal(t, "JWT", token.Header["typ"])
}

func TestFailsWhereNothingIsChecked(t *testing.T) {
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(`{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"fine"}]}}`))
	}))
	defer open.Close()
	k := keycloakAt(t, open.URL)
	client := &demo.Client{Out: io.Discard, Resource: open.URL + "/mcp"}
	require.ErrorContains(t, demonstrate(t.Context(), client, "http://127.0.0.1:1", k, new(demo.Clock)), "the metadata lists")
	require.ErrorContains(t, forgeries(t.Context(), client, open.URL, k), "want 401")
}
