package mcpauth_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
)

// SEC-02: to take credentials out of an error costs work for each of their parts, and net/http lets anybody send a megabyte in
// a field. A key that nobody knows must not cost seconds.
func TestSEC02_TheWorkForHugeKeysIsBounded(t *testing.T) {
	var parts strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&parts, "%08d,", i)
	}
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: mcpauth.HashAPIKey("files_x"), Owner: "a", Name: "b"}}})
	require.NoError(t, err)
	own := mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
		return nil, errors.New("no such ticket: " + r.Header.Get("X-Ticket"))
	}, "", "X-Ticket")
	var log strings.Builder
	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{keys, own}
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	h := auth.Wrap(&spy{})
	for field, value := range map[string]string{"X-Api-Key": "files_" + parts.String(), "X-Ticket": parts.String()} {
		r := with(post(rpc("ping", nil), ""), field, value)
		require.Less(t, testing.AllocsPerRun(1, func() { require.Equal(t, http.StatusUnauthorized, serve(h, r).Code) }), 1000.0, field)
	}
	text := log.String()
	require.Contains(t, text, "the API key is not known")
	require.NotContains(t, text, "no such ticket")
	require.NotContains(t, text, "00000001", "nothing of what is too long to be taken out")
}

// Neither must a Content-Type, which is looked at for the sake of the id in a refusal.
func TestHugeHeaders_TheWorkForAHugeContentTypeIsBounded(t *testing.T) {
	var params strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&params, ";a%d*0*=b", i)
	}
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(&spy{})
	for token, status := range map[string]int{"": http.StatusUnauthorized, "x": http.StatusUnauthorized, is.token(t): http.StatusUnsupportedMediaType} {
		r := with(post(rpc("ping", nil), token), "Content-Type", "application/json"+params.String())
		require.Less(t, testing.AllocsPerRun(1, func() { require.Equal(t, status, serve(h, r).Code) }), 1000.0)
	}
	long := with(post(rpc("ping", nil), is.token(t)), "Content-Type", `application/json; charset=utf-8; profile="https://example.com/`+strings.Repeat("x", 500)+`"`)
	require.Equal(t, http.StatusOK, serve(h, long).Code)
}
