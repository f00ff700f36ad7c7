package mcpauth_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// SEC-01: a key from the environment is offered to each Authenticator in the first of its fields.
func TestStdio_KeysGoWhereTheirAuthenticatorLooks(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Header: "Authorization", Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n"}}})
	require.NoError(t, err)
	type mark struct{}
	var asked *http.Request
	answer := func() (*mcpauth.Principal, error) { return nil, mcpauth.ErrNoCredentials }
	custom := func(headers ...string) mcpauth.Authenticator {
		return mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			asked = r
			return answer()
		}, "", headers...)
	}
	start := func(t *testing.T, value string, all ...mcpauth.Authenticator) (context.Context, *mcpauth.Middleware, error) {
		asked = nil
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Authenticators = all })
		t.Setenv(variable, value)
		ctx, err := auth.StdioContext(context.WithValue(t.Context(), mark{}, "here"), mcpauth.Stdio{KeyVariable: variable})
		return ctx, auth, err
	}
	t.Run("a bearer token", func(t *testing.T) {
		ctx, _, err := start(t, key, custom("X-Other"), keys)
		require.NoError(t, err)
		p, _ := mcpauth.FromContext(ctx)
		require.Equal(t, "ada", p.Subject())
		require.Equal(t, []string{key}, asked.Header["X-Other"], "each is asked in its own way")
		require.Equal(t, "POST "+testResource, asked.Method+" "+asked.URL.String())
		require.Equal(t, "here", asked.Context().Value(mark{}))
	})
	t.Run("never a cookie", func(t *testing.T) {
		answer = func() (*mcpauth.Principal, error) { return adas(), nil }
		_, _, err := start(t, "session=1", custom("Cookie", "X-Other"))
		require.ErrorContains(t, err, "no Authenticator")
		require.Nil(t, asked)
	})
	t.Run("neither a caller nor an error", func(t *testing.T) {
		for _, p := range []*mcpauth.Principal{nil, {}} {
			answer = func() (*mcpauth.Principal, error) { return p, nil }
			_, _, err := start(t, "x", custom("X-Other"))
			require.ErrorContains(t, err, "neither")
		}
	})
	t.Run("an error of its own, before a later one is asked", func(t *testing.T) {
		answer = func() (*mcpauth.Principal, error) { return adas(), errors.New("locked") }
		_, _, err := start(t, key, custom("X-Other"), keys)
		require.ErrorContains(t, err, "locked")
	})
	t.Run("there is no step-up", func(t *testing.T) {
		answer = func() (*mcpauth.Principal, error) { return adas(), nil }
		ctx, auth, err := start(t, "x", custom("X-Other"))
		require.NoError(t, err)
		l, err := connectLocal(t, ctx, newServer(auth))
		require.NoError(t, err)
		require.Equal(t, "whoami", l.tools())
	})
	t.Run("nor for a caller without credentials", func(t *testing.T) {
		auth, _ := newAuth(t, is, nil)
		ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "me", Grant: scopes.NewGrant(nil, nil)}})
		require.NoError(t, err)
		l, err := connectLocal(t, ctx, newServer(auth))
		require.NoError(t, err)
		require.Equal(t, "whoami", l.tools())
	})
}

// An API key, or a caller with no credentials at all, ends at its Expiry while the program runs on.
func TestStdio_OtherCredentialsEnd(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n", Expiry: epoch.Add(time.Hour)}}})
	require.NoError(t, err)
	for name, in := range map[string]mcpauth.Stdio{
		"an API key": {KeyVariable: variable},
		"a name":     {Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "ada", Grant: scopes.NewGrant(nil, nil), Expiry: epoch.Add(time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			var log audit
			auth, clock := newAuth(t, is, func(cfg *mcpauth.Config) {
				cfg.Authenticators, cfg.OnDecision = []mcpauth.Authenticator{keys}, log.add
			})
			t.Setenv(variable, key)
			ctx, err := auth.StdioContext(t.Context(), in)
			require.NoError(t, err)
			l, err := connectLocal(t, ctx, newServer(auth))
			require.NoError(t, err)
			clock.advance(time.Hour - 1)
			require.Equal(t, "whoami ada", l.call("whoami"))
			clock.advance(1)
			log.take()
			require.Contains(t, l.call("whoami"), "Forbidden")
		})
	}
}

// A certificate cannot be shown without TLS, whatever the Config accepts over HTTP.
func TestStdio_TokensBoundToACertificate(t *testing.T) {
	_, thumbprint := clientCert(t)
	is := newIssuer(t)
	auth, _ := newAuth(t, is, withMutualTLS)
	t.Setenv(variable, is.token(t, claims{"cnf": claims{"x5t#S256": thumbprint}}))
	_, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
	require.ErrorContains(t, err, "bound to a key or a certificate")

	alone, err := mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{signature(adas(), nil)}})
	require.NoError(t, err)
	t.Setenv(variable, is.token(t))
	_, err = alone.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
	require.ErrorContains(t, err, "Config.Issuers")
}

// On standard input and output alone nobody is challenged, so nobody needs a challenge.
func TestStdioOnly_NeedsNoChallenge(t *testing.T) {
	silent := mcpauth.NewAuthenticator(func(*http.Request) (*mcpauth.Principal, error) { return adas(), nil }, "", "X-Other")
	auth, err := mcpauth.New(mcpauth.Config{StdioOnly: true, Authenticators: []mcpauth.Authenticator{silent}})
	require.NoError(t, err)
	t.Setenv(variable, "x")
	_, err = auth.StdioContext(t.Context(), mcpauth.Stdio{KeyVariable: variable})
	require.NoError(t, err)
	_, err = mcpauth.New(mcpauth.Config{Resource: testResource, Authenticators: []mcpauth.Authenticator{silent}})
	require.ErrorContains(t, err, "Challenge")
}

// AUTHZ-14: over a transport without HTTP, what is concealed does not exist either, and nobody is nobody.
func TestStdio_ConcealAndNobody(t *testing.T) {
	var e ear
	for _, conceal := range []bool{false, true} {
		auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) { cfg.Conceal, cfg.Logger = conceal, e.logger() })
		server := newServer(auth)
		ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{Local: &mcpauth.Identity{Issuer: "urn:local", Subject: "me", Grant: scopes.NewGrant(nil, nil)}})
		require.NoError(t, err)
		l, err := connectLocal(t, ctx, server)
		require.NoError(t, err)
		for _, tool := range []string{"write", "purge"} {
			require.Equal(t, conceal, strings.Contains(l.call(tool), "unknown tool"), "%s: %s", tool, l.call(tool))
			require.Equal(t, !conceal, strings.Contains(l.call(tool), "Forbidden"))
		}
		_, err = connectLocal(t, t.Context(), server)
		require.Error(t, err)
	}
	require.Contains(t, e.text(), "no_principal")
	require.NotContains(t, e.text(), "panic")
}

// DPOP-12: where a token alone is not enough over HTTP, it is not enough here; what is no token still is.
func TestStdio_WhereDPoPIsRequired(t *testing.T) {
	is := newIssuer(t)
	key, hash := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "ada", Name: "n"}}})
	require.NoError(t, err)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.DPoP.Mode, cfg.Authenticators = mcpauth.DPoPRequired, []mcpauth.Authenticator{keys}
	})
	for name, token := range map[string]string{"plain": is.token(t), "bound": newHolder(t, "").bound(t, is)} {
		t.Setenv(variable, token)
		ctx, err := auth.StdioContext(t.Context(), mcpauth.Stdio{TokenVariable: variable})
		require.ErrorContains(t, err, "DPoPRequired", name)
		require.Nil(t, ctx)
	}
	t.Setenv(variable, key)
	_, err = auth.StdioContext(t.Context(), mcpauth.Stdio{KeyVariable: variable})
	require.NoError(t, err)
}
