package mcpauth_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// "A Decision holds no credentials", and the log is never given one. An Authenticator whose error quotes what it got puts the
// key into both; it is known here which fields hold credentials, so they can be struck out.
func TestCause_HoldsNoCredentials(t *testing.T) {
	const key = "k-0123456789abcdef0123456789"
	var log audit
	var text logBuffer
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.OnDecision, cfg.Logger = log.add, slog.New(slog.NewTextHandler(&text, nil))
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			return nil, fmt.Errorf("no such key: %q", r.Header.Get("X-Signature"))
		}, "Signature", "X-Signature")}
	})
	serve(auth.Wrap(&spy{}), with(post(rpc("ping", nil), ""), "X-Signature", key))
	d := log.take()
	require.Len(t, d, 1)
	require.NotContains(t, d[0].Cause, key)
	require.NotContains(t, text.String(), key)
}

// IssuedBefore "spares tokens whose iat is this time or later". A token of the second in which it was revoked has an earlier
// iat, and whoever stole a refresh token has one from every second.
func TestRevocation_IssuedInTheSameSecond(t *testing.T) {
	is := newIssuer(t)
	list := mcpauth.NewRevocations(nil, func() time.Time { return epoch })
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Revoked = list.Revoked })
	require.NoError(t, list.Revoke(t.Context(), mcpauth.Revocation{
		Issuer: is.URL, Subject: "ada", IssuedBefore: epoch.Add(900 * time.Millisecond), Until: epoch.Add(time.Hour),
	}))
	w := serve(auth.Wrap(&spy{}), post(rpc("ping", nil), is.token(t))) // iat is epoch
	require.Equal(t, http.StatusUnauthorized, w.Code)
}

// What is audited must not be up to the caller: a number is as good with a thousand zeros, and then the audit says null, which is
// also what a caller can send. At least the two must be told apart.
func TestAuditArguments_LongOnesAreToldFromNull(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.OnDecision = log.add
		cfg.AuditArguments = map[string][]string{"whoami": {"amount"}}
	})
	auth.RequireTool("whoami", scopes.Authenticated())
	h := auth.Wrap(&spy{})
	audited := func(value string) string {
		body := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"whoami","arguments":{"amount":` + value + `}}}`
		require.Equal(t, http.StatusOK, serve(h, post(body, is.token(t))).Code)
		d := log.take()[0]
		return string(d.Arguments["amount"]) + strings.Join(d.WithheldArguments, " ")
	}
	require.NotEqual(t, audited("null"), audited("1000."+strings.Repeat("0", 1100)))
}
