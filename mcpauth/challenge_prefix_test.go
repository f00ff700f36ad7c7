package mcpauth_test

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// A client that has no token yet is told scopes under one name. Where its issuer has another one for them, it never gets
// in, so the log says so at the start.
func TestChallengePrefix_OfSeveralIssuers(t *testing.T) {
	one, two := newIssuer(t), newIssuer(t)
	for name, tt := range map[string]struct {
		base    []string
		prefix  string
		warning bool
	}{
		"another prefix":     {[]string{"mcp:read"}, "api://two/", true},
		"the same prefix":    {[]string{"mcp:read"}, "api://one/", false},
		"nothing to ask for": {nil, "api://two/", false},
		"no prefix there":    {[]string{"mcp:read"}, "", true},
	} {
		var text logBuffer
		auth, err := mcpauth.New(mcpauth.Config{
			Resource: testResource, BaseScopes: tt.base, Logger: slog.New(slog.NewTextHandler(&text, nil)), Now: newClock().Now,
			Issuers: []mcpauth.Issuer{
				{URL: one.URL, Grants: scopes.Mapper{ChallengePrefix: "api://one/"}}, {URL: two.URL, Grants: scopes.Mapper{ChallengePrefix: tt.prefix}},
			},
		})
		require.NoError(t, err, name)
		w := serve(auth.Wrap(http.NotFoundHandler()), post(call("read"), ""))
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		const warning = "Issuers[1].Grants.ChallengePrefix: who has no token yet is told to ask for"
		if tt.warning {
			require.Contains(t, text.String(), warning, name)
		} else {
			require.NotContains(t, text.String(), warning, name)
		}
		require.NotContains(t, text.String(), "Issuers[0].Grants.ChallengePrefix", name)
	}
}
