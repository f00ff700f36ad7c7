package devas_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/devas"
	"github.com/go-mcpauth/sdk/examples/internal/process"
)

// restartable starts a server with a file, on an address that the next one can have.
func restartable(t *testing.T, file, addr string, options ...func(*devas.Config)) (*env, func()) {
	t.Helper()
	l, err := devas.Listen(addr)
	require.NoError(t, err)
	e := &env{t: t, issuer: devas.IssuerURL(l), clock: &clock{}, log: &process.Buffer{}}
	cfg := devas.Config{Issuer: e.issuer, Resources: []devas.Resource{notes()}, Clients: []devas.Client{{ID: rsID, Secret: rsSecret, MayIntrospect: true}},
		File: file, Now: e.clock.Now, Logger: slog.New(slog.NewTextHandler(e.log, nil))}
	for _, o := range options {
		o(&cfg)
	}
	e.srv, err = devas.New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.srv.Serve(ctx, l) }()
	e.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	stopped := false
	stop := func() {
		if !stopped {
			stopped = true
			cancel()
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(stop)
	return e, stop
}

func TestStateSurvivesARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	e, stop := restartable(t, file, "127.0.0.1:0", opaque)
	addr := strings.TrimPrefix(e.issuer, "http://")
	require.NoFileExists(t, file, "nothing has happened yet")

	public, a := e.tokens("dev")
	first := a.str("refresh_token")
	a = e.token(refresh(public, first))
	p := newProver(e)
	bound := e.post("/token", exchange(public, e.code(request(public, "scope", "notes:read"), asDev)), p.header())
	requireBoundOpaque(t, e, bound, p)
	r := e.register(`{"client_name":"With secret","redirect_uris":["` + callback + `"],"token_endpoint_auth_method":"client_secret_basic"}`)
	secretID, secret := r.str("client_id"), r.str("client_secret")
	require.NotEmpty(t, secret)
	pending := e.code(request(public), asDev)
	umas, uma := e.tokens("uma")
	require.Equal(t, 1, e.srv.RevokeGrants(ada, devas.GrantKey{User: "uma", Client: umas, Server: resource}))
	require.NoError(t, e.srv.SaveServer(ada, wiki()))
	require.NoError(t, e.srv.Permit(ada, public, wikiID, []string{"wiki:read"}))
	e.get("/jwks") // whatever changed is written at the end of a request
	before := struct {
		grants []devas.GrantRow
		events []devas.Event
		issued []devas.Issuance
	}{e.srv.Grants(), e.srv.Events(), e.srv.Issuances()}
	oldKeys := e.get("/jwks").Raw
	stop()

	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Len(t, left, 1, "no temporary file is left")
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	for name, s := range map[string]string{"refresh token": a.str("refresh_token"), "spent refresh token": first, "access token": a.str("access_token"),
		"client secret": secret, "code": pending, "configured secret": rsSecret} {
		require.NotContains(t, string(raw), s, name)
	}
	require.NotRegexp(t, regexp.MustCompile(`"d"\s*:`), string(raw), "a private key")

	e, _ = restartable(t, file, addr, opaque)
	require.NotEqual(t, oldKeys, e.get("/jwks").Raw, "AS-04: keys are fresh per start")
	require.Equal(t, len(before.events), len(e.srv.Events()))
	require.Equal(t, before.events[0].Kind, e.srv.Events()[0].Kind)
	require.Len(t, e.srv.Issuances(), len(before.issued))
	require.Len(t, e.srv.Grants(), len(before.grants))

	t.Run("opaque tokens live on, revoked ones stay dead", func(t *testing.T) {
		require.Equal(t, true, e.introspect(a.str("access_token")).JSON["active"])
		require.Equal(t, map[string]any{"jkt": p.thumbprint()}, e.introspect(bound.str("access_token")).JSON["cnf"])
		require.Equal(t, map[string]any{"active": false}, e.introspect(uma.str("access_token")).JSON)
	})
	t.Run("refresh tokens live on, with roles, scopes and key", func(t *testing.T) {
		b := e.token(refresh(public, a.str("refresh_token")))
		require.Equal(t, http.StatusOK, b.Status, b.Raw)
		i := e.introspect(b.str("access_token"))
		require.Equal(t, []any{"developer"}, i.JSON["roles"])
		require.Equal(t, "notes:read notes:write", i.str("scope"))
		requireError(t, e.token(refresh(public, bound.str("refresh_token"))), http.StatusBadRequest, "invalid_dpop_proof")
		requireBoundOpaque(t, e, e.post("/token", refresh(public, bound.str("refresh_token")), p.header()), p)
	})
	t.Run("AS-23 reuse is detected across the restart", func(t *testing.T) {
		requireError(t, e.token(refresh(public, first)), http.StatusBadRequest, "invalid_grant")
		require.Equal(t, map[string]any{"active": false}, e.introspect(a.str("access_token")).JSON)
	})
	t.Run("a code does not survive", func(t *testing.T) {
		requireError(t, e.token(exchange(public, pending)), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("clients, their secrets, servers and permissions", func(t *testing.T) {
		form := exchange(secretID, e.code(request(secretID), asDev), "client_id", "-")
		requireError(t, e.post("/token", form, basic(secretID, "wrong")), http.StatusUnauthorized, "invalid_client")
		require.Equal(t, http.StatusOK, e.post("/token", form, basic(secretID, secret)).Status)
		require.Equal(t, wikiID, e.srv.Servers()[1].Identifier)
		app, ok := e.srv.Application(public)
		require.True(t, ok)
		require.Equal(t, map[string][]string{wikiID: {"wiki:read"}}, app.Permissions)
		require.Equal(t, "wiki:read", e.wikiTokens(public, "ada", "wiki:read wiki:write").str("scope"))
	})
}

// requireBoundOpaque is requireBound for opaque tokens.
func requireBoundOpaque(t *testing.T, e *env, a answer, p *prover) {
	t.Helper()
	require.Equal(t, http.StatusOK, a.Status, a.Raw)
	require.Equal(t, "DPoP", a.str("token_type"))
	require.Equal(t, map[string]any{"jkt": p.thumbprint()}, e.introspect(a.str("access_token")).JSON["cnf"])
}

func TestAJWTFromBeforeARestartIsInactive(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	e, stop := restartable(t, file, "127.0.0.1:0")
	_, a := e.tokens("dev")
	stop()
	e, _ = restartable(t, file, strings.TrimPrefix(e.issuer, "http://"))
	require.Equal(t, map[string]any{"active": false}, e.introspect(a.str("access_token")).JSON)
}

func TestFilesThatAreNotUsed(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.json")
	e, stop := restartable(t, good, "127.0.0.1:0")
	e.newClient()
	stop()
	raw, err := os.ReadFile(good)
	require.NoError(t, err)

	config := func(file string) devas.Config {
		return devas.Config{Issuer: e.issuer, Resources: []devas.Resource{notes()}, File: file}
	}
	write := func(name, content string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), mode))
		require.NoError(t, os.Chmod(path, mode))
		return path
	}
	_, err = devas.New(config(good))
	require.NoError(t, err)
	for name, c := range map[string]struct{ file, want string }{
		"damaged":           {write("damaged", string(raw[:len(raw)/2]), 0o600), "damaged"},
		"something else":    {write("else", "hello", 0o600), "damaged"},
		"empty":             {write("empty", "", 0o600), "damaged"},
		"another version":   {write("version", strings.Replace(string(raw), `"Version":1`, `"Version":2`, 1), 0o600), "version 2"},
		"readable by all":   {write("public", string(raw), 0o644), "chmod 600"},
		"a folder":          {dir, "regular"},
		"of another issuer": {write("other", strings.Replace(string(raw), e.issuer, "http://127.0.0.1:1", 1), 0o600), "belongs to the issuer http://127.0.0.1:1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := devas.New(config(c.file))
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "Config.File")
			require.NotContains(t, err.Error(), "hello")
		})
	}
}

func TestAFileThatCannotBeWrittenIsLoggedAndHarmsNobody(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "folder")
	_, err := devas.New(devas.Config{Issuer: "http://127.0.0.1:1", Resources: []devas.Resource{notes()}, File: filepath.Join(folder, "state")})
	require.ErrorContains(t, err, "its folder")
	require.NoError(t, os.Mkdir(folder, 0o700))
	e, _ := restartable(t, filepath.Join(folder, "state"), "127.0.0.1:0")
	require.NoError(t, os.Remove(folder))
	e.tokens("dev")
	require.Contains(t, e.log.String(), "could not be written")
}

func TestServersOfAFileThatFitNoMoreAreLeftOut(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	e, stop := restartable(t, file, "127.0.0.1:0")
	require.NoError(t, e.srv.SaveServer(ada, wiki()))
	e.get("/jwks")
	stop()
	addr := strings.TrimPrefix(e.issuer, "http://")

	e, stop = restartable(t, file, addr, func(c *devas.Config) { c.Users = []devas.User{{Name: "ada", Roles: []string{devas.RoleAdmin}}} })
	require.Len(t, e.srv.Servers(), 1, "its owner is no user any more")
	stop()
	e, _ = restartable(t, file, addr, func(c *devas.Config) {
		w := wiki()
		w.Name = "Configured by now"
		c.Resources = append(c.Resources, w)
	})
	list := e.srv.Servers()
	require.Len(t, list, 2)
	require.Equal(t, "Configured by now", list[1].Name)
	require.True(t, list[1].Configured)
}
