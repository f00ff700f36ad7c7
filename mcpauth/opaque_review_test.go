package mcpauth_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestINTRO07_AClockThatIsPutBack(t *testing.T) {
	h, _, o, clock := opaqueServer(t, nil)
	require.Equal(t, 200, serve(h, post(call("whoami"), opaque)).Code)
	o.answer = func(string) (int, any) { return 200, claims{"active": false} }
	clock.advance(-time.Hour)
	require.Equal(t, 401, serve(h, post(call("whoami"), opaque)).Code)
}

func TestAuthenticator_OddAnswersLetNobodyIn(t *testing.T) {
	h, _, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{mcpauth.NewAuthenticator(func(r *http.Request) (*mcpauth.Principal, error) {
			switch r.Header.Get("X-Sig") {
			case "panic":
				panic(http.ErrAbortHandler)
			case "both":
				return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "u", Subject: "x", Grant: scopes.NewGrant([]string{"mcp:read"}, nil)}), mcpauth.ErrNoCredentials
			case "zero":
				return &mcpauth.Principal{}, nil
			case "err401":
				return nil, &mcpauth.Error{Status: 401, Code: "insufficient_scope", Scopes: []string{"files:write"}}
			case "err403":
				return nil, &mcpauth.Error{Status: 403, Code: "insufficient_scope", Scopes: []string{"files:write"}, Description: "x\r\nSet-Cookie: a"}
			case "err429":
				return nil, &mcpauth.Error{Status: 429}
			case "nilerr":
				var e *mcpauth.Error
				return nil, e
			}
			return nil, nil
		}, "Sig", "X-Sig")}
	})
	for _, v := range []string{"panic", "both", "zero", "err401", "err403", "err429", "nilerr", "none"} {
		w := serve(h, with(post(call("whoami"), ""), "X-Sig", v))
		require.NotEqual(t, 200, w.Code)
	}
}

func TestINTRO06_OddAnswersLetNobodyIn(t *testing.T) {
	h, is, o, _ := opaqueServer(t, nil)
	for name, c := range map[string]claims{
		"dpop":         {"token_type": "DPoP", "cnf": claims{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
		"no type":      {"token_type": nil, "cnf": claims{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
		"access_token": {"token_type": "access_token", "cnf": claims{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
		"cnf null":     {"cnf": []any{}},
		"CNF":          {"CNF": claims{"jkt": "x"}},
		"cnf empty":    {"cnf": claims{}},
		"dpop no cnf":  {"token_type": "DPoP"},
		"N_A":          {"token_type": "N_A"},
		"Active":       {"Active": false},
		"sub empty":    {"sub": ""},
		"exp string":   {"exp": "9999999999"},
		"exp huge":     {"exp": 1e300},
	} {
		o.answer = func(string) (int, any) { return 200, active(is, c) }
		require.NotEqual(t, 200, serve(h, post(call("whoami"), opaque+strings.ReplaceAll(name, " ", "_"))).Code, name)
	}
}

// SEC-05: guests come without credentials; whoever shows some is judged by them.
func TestGuests_WithBadKeys(t *testing.T) {
	key, hash := mcpauth.NewAPIKey("files_")
	h, _, _ := keyServer(t, mcpauth.APIKeys{Prefix: "files_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "bob", Name: "ci", Scopes: []string{"mcp:read"}}}},
		func(cfg *mcpauth.Config) { cfg.Guests = []string{"tools/list"} })
	for name, k := range map[string]string{"empty": "", "another prefix": "Files_" + key[6:], "cut": key[:40]} {
		require.Equal(t, 401, serve(h, with(post(rpc("tools/list", nil), ""), "X-Api-Key", k)).Code, name)
	}
	require.Equal(t, 200, serve(h, with(post(rpc("tools/list", nil), ""), "X-Api-Key", key)).Code)
	require.Equal(t, 200, serve(h, post(rpc("tools/list", nil), "")).Code)
}
