package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/testissuer"
	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const resource = "http://localhost:8080/mcp"

type system struct {
	*testing.T
	issuer  *testissuer.Issuer
	handler http.Handler
}

func newSystem(t *testing.T) *system {
	is := testissuer.New(t)
	h, err := newHandler(mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{{URL: is.URL, Grants: scopes.Mapper{RoleClaims: []string{"/roles"}}}},
	})
	require.NoError(t, err)
	return &system{t, is, h}
}

func (s *system) token(subject, scope string, roles ...string) string {
	return s.issuer.Token(s, resource, subject, map[string]any{"scope": scope, "roles": roles})
}

// send sends a JSON-RPC message, in a session where there is one.
func (s *system) send(method, body, token, session string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, resource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

func (s *system) post(body, token, session string) *httptest.ResponseRecorder {
	return s.send(http.MethodPost, body, token, session)
}

func (s *system) open(token string) string {
	s.Helper()
	w := s.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, token, "")
	require.Equal(s, http.StatusOK, w.Code, w.Body)
	id := w.Header().Get("Mcp-Session-Id")
	require.NotEmpty(s, id)
	require.Equal(s, http.StatusAccepted, s.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, token, id).Code)
	return id
}

func call(tool string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":%q,"arguments":{"path":"x"}}}`, tool)
}

func (s *system) tools(token, session string) []string {
	w := s.post(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`, token, session)
	var answer struct {
		Result struct{ Tools []struct{ Name string } }
	}
	require.NoError(s, json.Unmarshal(w.Body.Bytes(), &answer), w.Body)
	names := []string{}
	for _, t := range answer.Result.Tools {
		names = append(names, t.Name)
	}
	slices.Sort(names)
	return names
}

func TestMCPGo_CallsAreDecided(t *testing.T) {
	s := newSystem(t)
	plain, reader, admin := s.token("ada", ""), s.token("ada", "files:read"), s.token("root", "", "admin")
	id := s.open(plain)

	w := s.post(call("whoami"), "", id)
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Equal(t, `Bearer resource_metadata="http://localhost:8080/.well-known/oauth-protected-resource/mcp"`, w.Header().Get("Www-Authenticate"))

	w = s.post(call("read_file"), plain, id)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `error="insufficient_scope", scope="files:read"`)
	require.NotContains(t, w.Body.String(), "ran")
	require.Contains(t, s.post(call("read_file"), reader, id).Body.String(), "read_file ran", "stepped up, in the same session")

	w = s.post(call("purge_disk"), reader, id)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Empty(t, w.Header()["Www-Authenticate"], "no scope helps")
	require.Contains(t, s.post(call("purge_disk"), admin, s.open(admin)).Body.String(), "purge_disk ran")

	for _, tool := range []string{"forgotten", "missing"} {
		w = s.post(call(tool), admin, "")
		require.JSONEq(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"unknown tool \"%s\""}}`, tool), w.Body.String())
	}

	// encoding/json, with which mcp-go reads, would run read_file here.
	w = s.post(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","Name":"read_file"}}`, plain, id)
	require.Equal(t, http.StatusBadRequest, w.Code)
}

func TestMCPGo_ListsAreFiltered(t *testing.T) {
	s := newSystem(t)
	plain, admin := s.token("ada", ""), s.token("root", "", "admin")
	require.Equal(t, []string{"read_file", "whoami"}, s.tools(plain, s.open(plain)), "what a step-up opens is shown")
	id := s.open(admin)
	require.Equal(t, []string{"purge_disk", "read_file", "whoami"}, s.tools(admin, id))
	require.Equal(t, []string{"read_file", "whoami"}, s.tools(s.token("root", ""), id), "by the token of this request")
}

func TestMCPGo_ToolsSeeTheCallerOfTheirRequest(t *testing.T) {
	s := newSystem(t)
	id := s.open(s.token("ada", "opener"))
	answers := make([]string, 16)
	var all sync.WaitGroup
	for i := range answers {
		token := s.token("ada", fmt.Sprint("s", i))
		all.Go(func() { answers[i] = s.post(call("whoami"), token, id).Body.String() })
	}
	all.Wait()
	for i, answer := range answers {
		require.Contains(t, answer, fmt.Sprintf(`"ada with s%d"`, i))
	}
}

func TestMCPGo_SessionsBelongToTheirOpener(t *testing.T) {
	s := newSystem(t)
	ada, eve := s.token("ada", ""), s.token("eve", "files:read")
	id := s.open(ada)
	w := s.post(call("read_file"), eve, id)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.JSONEq(t, `{"jsonrpc":"2.0","id":7,"error":{"code":403,"message":"Forbidden"}}`, w.Body.String())
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		require.Equal(t, http.StatusForbidden, s.send(method, "", eve, id).Code)
	}
	require.Contains(t, s.post(call("whoami"), ada, id).Body.String(), "ada with")
	require.Equal(t, http.StatusOK, s.send(http.MethodDelete, "", ada, id).Code)
}
