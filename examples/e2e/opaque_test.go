//go:build e2e && unix

package e2e

import (
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/examples/internal/browser"
)

const introspector = "resource-server:a secret with : and %"

// opaqueAuthorities issue tokens that only they can read.
var opaqueAuthorities = map[string]func(t *testing.T, resource string) *process{
	"authserver": func(t *testing.T, resource string) *process {
		return start(t, filepath.Join(programs, "authserver"), "-opaque", "-introspect", introspector, "-resource", resource)
	},
	"oidc-provider": func(t *testing.T, resource string) *process {
		return startOIDCProvider(t, "--opaque", introspector, resource)
	},
}

// Opaque tokens (RFC 7662), plain ones and such as are bound to a key: the same conversation as with JWTs, a step-up
// included, and thieves get nothing.
func TestE2E01_OpaqueTokens(t *testing.T) {
	for authority, open := range opaqueAuthorities {
		for _, bound := range []bool{false, true} {
			t.Run(authority+map[bool]string{false: "/bearer", true: "/bound"}[bound], func(t *testing.T) {
				w := newWire(t)
				auth := open(t, w.resource)
				issuer, err := auth.address()
				require.NoError(t, err)
				sys := &system{resource: w.resource, issuer: issuer, auth: auth}
				sys.server = start(t, filepath.Join(programs, "resource-server"), "-listen", "127.0.0.1:0", "-resource", w.resource, "-issuer", issuer,
					"-introspect", introspector, "-log")
				address, err := sys.server.address()
				require.NoError(t, err)
				w.leadTo(t, address)

				uma := newPerson("uma", browser.Decision{Scopes: []string{"notes:read"}})
				newClient := newGoClient
				if bound {
					newClient = newBoundGoClient
				}
				client := newClient(t, sys, uma, "2026-07-28")
				ctx := within(t)
				_, _, err = client.connect(ctx)
				require.NoError(t, err)
				requireWhoami(t, client, "uma", "notes:read")
				requireCall(t, client, "write_note", map[string]any{"text": "Nobody can read this token."}, "Noted.")
				requireWhoami(t, client, "uma", "notes:read", "notes:write")

				opaque := 0
				for _, p := range w.passages() {
					scheme, token := p.credentials()
					if token == "" {
						continue
					}
					opaque++
					require.Equal(t, map[bool]string{false: "Bearer", true: "DPoP"}[bound], scheme)
					require.NotContains(t, token, ".", "a JWT")
				}
				require.NotZero(t, opaque)
				if bound {
					requireThievesGetNothing(t, w, "optional")
				}

				// A token that nobody issued is refused, and none of it is in the log.
				r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.resource, strings.NewReader(`{}`))
				require.NoError(t, err)
				r.Header.Set("Authorization", "Bearer invented-by-somebody")
				res, err := http.DefaultClient.Do(r)
				require.NoError(t, err)
				res.Body.Close()
				require.Equal(t, http.StatusUnauthorized, res.StatusCode)
				require.Contains(t, res.Header.Get("WWW-Authenticate"), `error="invalid_token"`)
				require.NoError(t, client.close(ctx))
				events, log := sys.decisions(t)
				require.True(t, slices.ContainsFunc(events, func(d decision) bool { return d.Reason == "token_inactive" }))
				require.NotContains(t, log, "invented-by-somebody")
				require.NotContains(t, log, "a secret with")
				for _, secret := range client.secrets() {
					require.NotContains(t, log, secret)
				}
			})
		}
	}
}
