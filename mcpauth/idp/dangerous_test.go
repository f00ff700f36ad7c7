package idp_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/idp"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestTOK07_NoAudience(t *testing.T) {
	issuers := one(idp.CognitoClients("eu-central-1", "eu-central-1_EXAMPLE01", "1example23456789"))
	s := sample(t, "cognito")
	accepted(t, issuers, s, nil)
	accepted(t, issuers, s.with(map[string]any{"aud": []string{}}), nil)
	accepted(t, issuers, sample(t, "cognito-resource"), nil)
	refused(t, issuers, s.with(map[string]any{"aud": foreign}), mcpauth.ReasonAudience)
	refused(t, issuers, s.with(map[string]any{"aud": "1example23456789"}), mcpauth.ReasonAudience)
	refused(t, issuers, s.with(map[string]any{"aud": 1}), mcpauth.ReasonTokenMalformed)
	refused(t, issuers, s.with(map[string]any{"client_id": "1example2345678"}), mcpauth.ReasonClient)
	refused(t, issuers, s.with(map[string]any{"client_id": nil}), mcpauth.ReasonIDToken)
	refused(t, issuers, s.with(map[string]any{"token_use": "id"}), mcpauth.ReasonIDToken)
}

func TestTOK07_ClientAudience(t *testing.T) {
	in := idp.Asgardeo("acme")
	in.ClientIDs, in.DangerouslyAcceptClientAudience, in.TokenTypes = []string{"Wsoq8exampleclient"}, true, []string{"at+jwt", "JWT"}
	s := sample(t, "asgardeo").with(map[string]any{"aud": "Wsoq8exampleclient"})
	accepted(t, one(in), s, nil)
	accepted(t, one(in), s.with(map[string]any{"scope": nil}), nil) // at+jwt settles it
	accepted(t, one(in), s.typed("JWT"), nil)
	refused(t, one(in), s.typed("JWT").with(map[string]any{"scope": nil}), mcpauth.ReasonIDToken)
	refused(t, one(in), s.typed("JWT").with(map[string]any{"scope": nil, "azp": nil, "aud": []string{"Wsoq8exampleclient"}}), mcpauth.ReasonIDToken)
	refused(t, one(in), s.with(map[string]any{"aud": "another"}), mcpauth.ReasonAudience)
	refused(t, one(in), s.with(map[string]any{"aud": "another", "client_id": "another"}), mcpauth.ReasonClient)
	refused(t, one(in), s.with(map[string]any{"aud": nil}), mcpauth.ReasonNoAudience)
	off := in
	off.DangerouslyAcceptClientAudience = false
	refused(t, one(off), s, mcpauth.ReasonAudience)
}

func TestDangerousFieldsNeedClients(t *testing.T) {
	for _, spoil := range []func(*mcpauth.Issuer){
		func(in *mcpauth.Issuer) { in.DangerouslyAcceptNoAudience = true },
		func(in *mcpauth.Issuer) { in.DangerouslyAcceptClientAudience = true },
	} {
		in := idp.Asgardeo("acme")
		spoil(&in)
		_, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: one(in)})
		require.ErrorContains(t, err, "Issuers[0].ClientIDs: is empty, though Dangerously")
	}
}

// A role that could be among groups which the token leaves out is refused, and the log says why.
func TestUnknownGroupsAreLogged(t *testing.T) {
	s := sample(t, "entra-groups-overage")
	in := idp.Entra(entraTenant, entraAPI)
	in.JWKSURI = keyServer(t).URL + "/?kid=entra-kid-1&alg=RS256"
	var lines bytes.Buffer
	auth, err := mcpauth.New(mcpauth.Config{Resource: resource, Issuers: one(in), Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	require.NoError(t, err)
	auth.RequireTool("x", scopes.Role("g-1"))
	r := httptest.NewRequestWithContext(context.Background(), http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{}}}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+s.mint(t))
	w := httptest.NewRecorder()
	auth.Wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Empty(t, w.Header().Get("WWW-Authenticate"), "no scope helps")
	require.Contains(t, lines.String(), "reason=role_missing")
	require.Contains(t, lines.String(), "unknown: /groups")
	require.Contains(t, lines.String(), "too many groups")
}
