package mcpauth_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func withClients(limits map[string]mcpauth.ClientLimit) func(*mcpauth.Config) {
	return func(cfg *mcpauth.Config) { cfg.Clients = limits }
}

// What an administrator has not granted to an application it cannot do, whatever the user's token says.
func TestClients_CapWhatTokensSay(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.Clients = map[string]mcpauth.ClientLimit{
			"reader":  {Scopes: []string{"files:read"}},
			"writer":  {Scopes: []string{"files:read", "files:write"}, Roles: []string{"user"}},
			"console": {Unlimited: true},
			"bare":    {},
		}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	as := func(client string) string {
		return is.token(t, claims{"client_id": client, "scope": "files:read files:write", "roles": []string{"admin", "user"}})
	}
	for _, tt := range []struct {
		client, tool string
		reason       mcpauth.Reason
	}{
		{"reader", "whoami", mcpauth.ReasonAllowed},
		{"reader", "write", mcpauth.ReasonClientLimit},
		{"reader", "purge", mcpauth.ReasonClientLimit},
		{"writer", "write", mcpauth.ReasonAllowed},
		{"writer", "purge", mcpauth.ReasonClientLimit},
		{"console", "write", mcpauth.ReasonAllowed},
		{"console", "purge", mcpauth.ReasonAllowed},
		{"bare", "whoami", mcpauth.ReasonAllowed},
		{"bare", "write", mcpauth.ReasonClientLimit},
		{"stranger", "whoami", mcpauth.ReasonClient},
		{"READER", "whoami", mcpauth.ReasonClient},
	} {
		w := serve(h, post(call(tt.tool), as(tt.client)))
		d := log.take()
		require.Len(t, d, 1, tt)
		require.Equal(t, tt.reason, d[0].Reason, tt)
		if tt.reason == mcpauth.ReasonAllowed {
			require.Equal(t, http.StatusOK, w.Code, tt)
			continue
		}
		require.Equal(t, http.StatusForbidden, w.Code, tt)
		require.NotContains(t, w.Header(), "Www-Authenticate", "CH-23: no token of this application would help")
		require.NotEmpty(t, d[0].Cure, tt)
	}
	w := serve(h, post(rpc("initialize", nil), as("stranger")))
	require.Equal(t, http.StatusForbidden, w.Code, "not even that")

	list := serve(h, post(rpc("tools/list", nil), as("reader"))).Body.String()
	require.Contains(t, list, `"whoami"`)
	require.NotContains(t, list, `"write"`, "LIST-04: a step-up cannot lead there")
	require.Contains(t, serve(h, post(rpc("tools/list", nil), as("writer"))).Body.String(), `"write"`)

	p := principalOf(t, auth, as("reader"))
	require.Equal(t, []string{"files:read"}, p.Grant().Scopes(), "tools see what counts")
	require.Empty(t, p.Grant().Roles())
}

// A scope within the limit is still to be had.
func TestClients_StepUpWithinTheLimit(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, withClients(map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:write"}}}))
	server := newServer(auth)
	auth.RequireMethod("custom/either", scopes.Any("files:purge", "files:write"))
	h := auth.Wrap(sdkHandler(server, true))
	w := serve(h, post(call("write"), is.token(t)))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `error="insufficient_scope", scope="files:write"`)
	require.Contains(t, serve(h, post(rpc("tools/list", nil), is.token(t))).Body.String(), `"write"`)

	w = serve(h, post(rpc("custom/either", nil), is.token(t)))
	require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="files:write"`, "a challenge asks for what can be had")
}

// What a limit implies by the issuer's hierarchy counts, and what the token implies is cut off by it.
func TestClients_Hierarchies(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Issuers[0].Grants.ScopeImplies = map[string][]string{"files:admin": {"files:write"}, "files:write": {"files:read"}}
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Scopes: []string{"files:write"}}}
	})
	p := principalOf(t, auth, is.scoped(t, "files:admin"))
	require.Equal(t, []string{"files:write", "files:read"}, p.Grant().Scopes())
	require.Empty(t, p.Grant().Presented())
}

func TestClients_AllOthersAndThoseWithoutAnID(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, withClients(map[string]mcpauth.ClientLimit{
		"app": {Unlimited: true}, "*": {Scopes: []string{"files:read"}},
	}))
	both := claims{"scope": "files:read files:write"}
	require.Len(t, principalOf(t, auth, is.token(t, both)).Grant().Scopes(), 2)
	require.Equal(t, []string{"files:read"}, principalOf(t, auth, is.token(t, both, claims{"client_id": "other"})).Grant().Scopes())
	require.Equal(t, []string{"files:read"}, principalOf(t, auth, is.token(t, both, claims{"client_id": nil})).Grant().Scopes())

	auth, _ = newAuth(t, is, withClients(map[string]mcpauth.ClientLimit{"app": {Unlimited: true}}))
	h := auth.Wrap(&spy{})
	require.Equal(t, http.StatusForbidden, serve(h, post(rpc("ping", nil), is.token(t, claims{"client_id": nil}))).Code)
	auth, _ = newAuth(t, is, withClients(map[string]mcpauth.ClientLimit{}))
	require.Equal(t, http.StatusForbidden, serve(auth.Wrap(&spy{}), post(rpc("ping", nil), is.token(t))).Code, "a list without an entry lets nobody in")
}

// A client id is unique within one issuer only (RFC 6749, Section 2.2).
func TestClients_OfOneIssuerOnly(t *testing.T) {
	here, there := newIssuer(t), newIssuer(t)
	both := func(cfg *mcpauth.Config) { cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: there.URL}) }
	auth, _ := newAuth(t, here, func(cfg *mcpauth.Config) {
		both(cfg)
		cfg.Clients = map[string]mcpauth.ClientLimit{
			"app":                        {Issuers: []string{here.URL}, Unlimited: true},
			"https://app.example/client": {Unlimited: true}, // CIMD: the same everywhere
		}
	})
	h := auth.Wrap(&spy{})
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), here.token(t))).Code)
	require.Equal(t, http.StatusForbidden, serve(h, post(rpc("ping", nil), there.token(t))).Code)
	everywhere := claims{"client_id": "https://app.example/client"}
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), here.token(t, everywhere))).Code)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), there.token(t, everywhere))).Code)

	cfg := mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: here.URL}}}
	both(&cfg)
	for _, id := range []string{"app", "http://app.example/client", "https:///client", "https://app.example", "https://app.example/", "https://app.example:port/client", "//app.example/client"} {
		cfg.Clients = map[string]mcpauth.ClientLimit{id: {Unlimited: true}}
		_, err := mcpauth.New(cfg)
		require.ErrorContains(t, err, fmt.Sprintf("Clients[%q].Issuers: is empty", id))
	}
	cfg.Clients = map[string]mcpauth.ClientLimit{"*": {Unlimited: true}, "https://app.example/c": {}, "app": {Issuers: []string{there.URL}}}
	_, err := mcpauth.New(cfg)
	require.NoError(t, err)
}

// An entry of one issuer's application does not stand for another issuer's of the same id, which is one of the others.
func TestClients_OfOneIssuerAndAllOthers(t *testing.T) {
	here, there := newIssuer(t), newIssuer(t)
	issuers := []string{here.URL}
	auth, _ := newAuth(t, here, func(cfg *mcpauth.Config) {
		cfg.Issuers = append(cfg.Issuers, mcpauth.Issuer{URL: there.URL})
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {Issuers: issuers, Unlimited: true}, "*": {Scopes: []string{"files:read"}}}
	})
	issuers[0] = there.URL // what New has read stays as it is
	both := claims{"scope": "files:read files:write"}
	require.Len(t, principalOf(t, auth, here.token(t, both)).Grant().Scopes(), 2)
	require.Equal(t, []string{"files:read"}, principalOf(t, auth, there.token(t, both)).Grant().Scopes())
}

func TestClients_Mistakes(t *testing.T) {
	is := newIssuer(t)
	for want, limits := range map[string]map[string]mcpauth.ClientLimit{
		`Clients[""]: has no client id`:                       {"": {}},
		`Clients["a"].Issuers[0]: "https://b"`:                {"a": {Issuers: []string{"https://b"}}},
		`Clients["a"].Unlimited: goes without`:                {"a": {Unlimited: true, Scopes: []string{"s"}}},
		`Clients["b"].Unlimited: goes without`:                {"b": {Unlimited: true, Roles: []string{"r"}}},
		`Clients["b"].Scopes: more than 1024 scopes or roles`: {"b": {Scopes: strings.Fields(strings.Repeat("s ", 1025))}},
		`Clients["a"].Scopes: "two words" is not a scope`:     {"a": {Scopes: []string{"two words"}}},
		`Clients["a"].Roles: "bad\x00" is not a role`:         {"a": {Roles: []string{"bad\x00"}}},
		`Clients["*"].Issuers: leave it out`:                  {"*": {Issuers: []string{is.URL}}},
		`Clients["a"].Scopes: more than 1024 scopes or roles`: {"a": {Roles: strings.Fields(strings.Repeat("r ", 1025))}},
	} {
		_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{{URL: is.URL}}, Clients: limits})
		require.ErrorContains(t, err, want)
	}
	most := strings.Fields(strings.Repeat("s ", 1024))
	newAuth(t, is, withClients(map[string]mcpauth.ClientLimit{"a": {Scopes: most, Roles: most}}))
	_, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{signature(adas(), nil)}, Clients: map[string]mcpauth.ClientLimit{}})
	require.ErrorContains(t, err, "Clients: leave it out")
}

// Callers for whom somebody else vouches are not concerned, unless they pass for callers of an issuer.
func TestClients_OtherCallers(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {}}
		cfg.Authenticators = []mcpauth.Authenticator{signature(adas("files:write"), nil)}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	require.Equal(t, http.StatusOK, serve(h, keyRequestFor("write")).Code)

	write := mcpauth.Operation{Method: "tools/call", Name: "write"}
	asUser := func(client string) error {
		p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: is.URL, Subject: "ada", ClientID: client, Grant: scopes.NewGrant([]string{"files:write"}, nil)})
		return auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: write})
	}
	var e *mcpauth.Error
	require.ErrorAs(t, asUser("app"), &e)
	require.Equal(t, mcpauth.ReasonClientLimit, e.Reason)
	require.ErrorAs(t, asUser("other"), &e)
	require.Equal(t, mcpauth.ReasonClient, e.Reason)
}

// Whoever keeps a Principal from an earlier request has the rights of now and not of then.
func TestClients_APrincipalThatWasKept(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	newServer(auth)
	load := func(text string) { require.NoError(t, auth.LoadPolicy([]byte(text))) }
	load(`{"version":1,"roles":{"boss":{"implies":["admin"],"scopes":["files:write"]},"admin":{}}}`)
	token := is.token(t, claims{"roles": []string{"boss"}, "scope": "files:read"})
	kept := principalOf(t, auth, token)
	allowed := func(name string) bool {
		err := auth.Check(t.Context(), &mcpauth.Call{Principal: kept, Operation: tool(name)})
		if name != "write" { // which a step-up could bring
			require.Equal(t, err == nil, auth.Visible(kept, tool(name)), name)
		}
		return err == nil
	}
	require.True(t, allowed("purge"))
	require.True(t, allowed("write"))
	load(`{"version":1}`)
	require.False(t, allowed("purge"), "the hierarchy is gone")
	require.False(t, allowed("write"))
	load(`{"version":1,"clients":{"other":{"unlimited":true}}}`)
	require.False(t, allowed("whoami"), "nobody has listed the application")
	load(`{"version":1,"clients":{"app":{"unlimited":true}},"roles":{"boss":{"implies":["admin"]},"admin":{}}}`)
	require.True(t, allowed("purge"))
	require.True(t, allowed("whoami"))
}

func keyRequestFor(tool string) *http.Request { return with(post(call(tool), ""), "X-Signature", "s") }

// AUTHZ-14: with Conceal, what the limit denies does not exist.
func TestClients_Conceal(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Conceal = true
		cfg.Clients = map[string]mcpauth.ClientLimit{"app": {}}
	})
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	limited := serve(h, post(call("write"), is.scoped(t, "files:write")))
	unknown := serve(h, post(call("nosuch"), is.scoped(t, "files:write")))
	require.Equal(t, unknown.Code, limited.Code)
	require.Equal(t, strings.ReplaceAll(unknown.Body.String(), "nosuch", "write"), limited.Body.String())
}

// TOK-22: who acts, and for whom, stands in the log and in the Principal.
func TestActorsAndApplications(t *testing.T) {
	is := newIssuer(t)
	var text logBuffer
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&text, nil)) })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	token := is.token(t, claims{"act": claims{"sub": "agent-7", "act": claims{"sub": "gateway"}}})
	require.Equal(t, http.StatusForbidden, serve(h, post(call("purge"), token)).Code)
	require.Contains(t, text.String(), "principal.subject=ada")
	require.Contains(t, text.String(), "principal.actor=agent-7")
	p := principalOf(t, auth, token)
	require.Equal(t, "agent-7", p.Actor())
	require.False(t, p.Application())
	require.True(t, principalOf(t, auth, is.token(t, claims{"sub": "app"})).Application())
	require.False(t, (*mcpauth.Principal)(nil).Application())

	text.Reset()
	serve(h, post(call("purge"), is.token(t)))
	require.NotContains(t, text.String(), "principal.actor")
}
