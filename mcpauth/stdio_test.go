package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A local is a client of a server over a transport without HTTP.
type local struct {
	t       testing.TB
	session *mcp.ClientSession
}

func connectLocal(t testing.TB, ctx context.Context, server *mcp.Server) (local, error) {
	t.Helper()
	near, far := mcp.NewInMemoryTransports()
	there, err := server.Connect(ctx, far, nil)
	require.NoError(t, err)
	t.Cleanup(func() { there.Close() })
	session, err := mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), near, nil)
	if err == nil {
		t.Cleanup(func() { session.Close() })
	}
	return local{t, session}, err
}

// call is what a tool says, or why it was refused.
func (l local) call(tool string) string {
	res, err := l.session.CallTool(l.t.Context(), &mcp.CallToolParams{Name: tool})
	if err != nil {
		return err.Error()
	}
	return res.Content[0].(*mcp.TextContent).Text
}

func (l local) tools() string {
	res, err := l.session.ListTools(l.t.Context(), nil)
	require.NoError(l.t, err)
	var names []string
	for _, tool := range res.Tools {
		names = append(names, tool.Name)
	}
	return strings.Join(names, " ")
}

const variable = "MCPAUTH_TEST_CREDENTIALS"

func TestStdio_TheSameRulesApply(t *testing.T) {
	is := newIssuer(t)
	full, fullHash := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: fullHash, Owner: "ada", Name: "n", Scopes: []string{"files:write"}}}})
	require.NoError(t, err)
	var audit []string
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{keys}
		cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) {
			if d.Operation.Name != "" {
				audit = append(audit, d.Principal.Subject()+" "+d.Operation.Name+" "+string(d.Reason))
			}
		}
		cfg.Policy = func(_ context.Context, c *mcpauth.Call) error {
			if c.Principal.Subject() == "barred" && c.Name == "whoami" {
				return &mcpauth.Error{}
			}
			return nil
		}
	})
	server := newServer(auth)
	for name, c := range map[string]struct {
		in          mcpauth.Stdio
		credentials string
		subject     string
		write       string
	}{
		"a token":              {mcpauth.Stdio{TokenVariable: variable}, is.scoped(t, "files:write"), "ada", "write ada"},
		"a token with less":    {mcpauth.Stdio{TokenVariable: variable}, is.scoped(t, ""), "ada", ""},
		"an API key":           {mcpauth.Stdio{KeyVariable: variable}, full, "ada", "write ada"},
		"nothing but a name":   {mcpauth.Stdio{Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "me", Grant: scopes.NewGrant([]string{"files:write"}, nil)}}, "", "me", "write me"},
		"a name with no right": {mcpauth.Stdio{Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "me"}}, "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			audit = nil
			t.Setenv(variable, c.credentials)
			ctx, err := auth.StdioContext(t.Context(), c.in)
			require.NoError(t, err)
			if c.credentials != "" {
				_, still := os.LookupEnv(variable)
				require.False(t, still, "tools could read it")
			}
			l, err := connectLocal(t, ctx, server)
			if c.subject == "" {
				require.Error(t, err, "the zero Grant meets no rule, not even that of initialize")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "whoami "+c.subject, l.call("whoami"))
			require.Contains(t, l.call("purge"), "Forbidden")
			if c.write == "" {
				require.Contains(t, l.call("write"), "Forbidden")
				require.Equal(t, "whoami", l.tools(), "there is no step-up, so what one would open is not shown")
				require.Contains(t, audit, c.subject+" write grant_fixed")
				return
			}
			require.Equal(t, c.write, l.call("write"))
			require.Equal(t, "whoami write", l.tools())
			require.Contains(t, audit, c.subject+" write allowed")
			require.Contains(t, audit, c.subject+" purge role_missing")
		})
	}
	t.Run("the Policy is asked", func(t *testing.T) {
		t.Setenv(variable, is.token(t, claims{"sub": "barred"}))
		ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
		require.NoError(t, err)
		l, err := connectLocal(t, ctx, server)
		require.NoError(t, err)
		require.Contains(t, l.call("whoami"), "Forbidden")
	})
	t.Run("nobody gets nothing", func(t *testing.T) {
		_, err := connectLocal(t, t.Context(), server)
		require.Error(t, err)
	})
}

func TestStdio_CredentialsThatEndWhileItRuns(t *testing.T) {
	is := newIssuer(t)
	var revoked bool
	auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return revoked, nil }
	})
	server := newServer(auth)
	start := func(t *testing.T, token string) local {
		t.Setenv(variable, token)
		ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
		require.NoError(t, err)
		l, err := connectLocal(t, ctx, server)
		require.NoError(t, err)
		require.Equal(t, "whoami ada", l.call("whoami"))
		return l
	}
	t.Run("it expires", func(t *testing.T) {
		l := start(t, is.scoped(t, ""))
		clock.advance(10*time.Minute + 31*time.Second)
		require.Contains(t, l.call("whoami"), "Forbidden")
		clock.set(epoch)
	})
	t.Run("it is revoked", func(t *testing.T) {
		l := start(t, is.scoped(t, ""))
		revoked = true
		require.Contains(t, l.call("whoami"), "Forbidden")
		revoked = false
		require.Equal(t, "whoami ada", l.call("whoami"))
	})
	t.Run("its key is withdrawn", func(t *testing.T) {
		l := start(t, is.token(t, claims{"exp": epoch.Add(10 * time.Hour).Unix()}))
		is.rotate(t, "key-2")
		clock.advance(2 * time.Hour)
		require.Eventually(t, func() bool { return strings.Contains(l.call("whoami"), "Forbidden") }, 10*time.Second, time.Millisecond)
	})
}

func TestStdio_BadCredentials(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n", Expiry: epoch}}})
	require.NoError(t, err)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{keys} })
	k := newHolder(t, "")
	for name, c := range map[string]struct {
		in    mcpauth.Stdio
		value string
		want  string
	}{
		"nothing said":       {mcpauth.Stdio{}, "", "exactly one"},
		"two things said":    {mcpauth.Stdio{TokenVariable: variable, KeyVariable: variable}, "x", "exactly one"},
		"empty":              {mcpauth.Stdio{TokenVariable: variable}, "", variable + " is empty"},
		"no token":           {mcpauth.Stdio{TokenVariable: variable}, "not-a-token", "token_not_jwt"},
		"expired":            {mcpauth.Stdio{TokenVariable: variable}, is.token(t, claims{"exp": epoch.Add(-time.Hour).Unix()}), "token_expired"},
		"another audience":   {mcpauth.Stdio{TokenVariable: variable}, is.token(t, claims{"aud": "https://other.example"}), "audience"},
		"bound to a key":     {mcpauth.Stdio{TokenVariable: variable}, k.bound(t, is), "bound to a key"},
		"an unknown key":     {mcpauth.Stdio{KeyVariable: variable}, key + "A", "not known"},
		"a key that ended":   {mcpauth.Stdio{KeyVariable: variable}, key, "expired"},
		"no key at all":      {mcpauth.Stdio{KeyVariable: variable}, "something", "no Authenticator"},
		"a token for a key":  {mcpauth.Stdio{KeyVariable: variable}, is.scoped(t, ""), "no Authenticator"},
		"a caller of nobody": {mcpauth.Stdio{Local: &mcpauth.Identity{}}, "", "Issuer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(variable, c.value)
			ctx, err := auth.StdioContext(t.Context(), c.in)
			require.ErrorContains(t, err, c.want)
			require.Nil(t, ctx)
			if len(c.value) > 10 {
				require.NotContains(t, err.Error(), c.value)
			}
		})
	}
	t.Run("the authorization server is away", func(t *testing.T) {
		is.down.Store(true)
		fresh, _ := newAuth(t, is, nil)
		t.Setenv(variable, is.scoped(t, ""))
		_, err := fresh.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
		require.ErrorContains(t, err, "keys_unavailable")
	})
}

// SEC-02: a panic ends the program, and what it says is printed.
func TestStdio_APanicWithTheCredentials(t *testing.T) {
	const secret = "s3cret-and-long-enough"
	careless := mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
		panic("no caller for " + r.Header.Get("X-Mine"))
	}, "", "X-Mine")
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{careless} })
	t.Setenv(variable, secret)
	defer func() {
		thrown := fmt.Sprint(recover())
		require.Contains(t, thrown, "no caller for")
		require.NotContains(t, thrown, secret)
	}()
	_, _ = auth.StdioContext(t.Context(), mcpauth.Stdio{KeyVariable: variable})
}

func TestStdioOnly(t *testing.T) {
	auth, err := mcpauth.New(mcpauth.Config{StdioOnly: true})
	require.NoError(t, err)
	require.Panics(t, func() { auth.Wrap(sdkHandler(newServer(auth), true)) })
	ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "me", Grant: scopes.NewGrant(nil, nil)}})
	require.NoError(t, err)
	l, err := connectLocal(t, ctx, newServer(auth))
	require.NoError(t, err)
	require.Equal(t, "whoami me", l.call("whoami"))
	_, err = auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
	require.Error(t, err)

	is := newIssuer(t)
	_, err = mcpauth.New(mcpauth.Config{StdioOnly: true, Issuers: []mcpauth.Issuer{{URL: is.URL}}})
	require.ErrorContains(t, err, "Resource", "tokens need an audience")
	_, err = mcpauth.New(mcpauth.Config{Issuers: []mcpauth.Issuer{{URL: is.URL}}})
	require.ErrorContains(t, err, "Resource")
}
