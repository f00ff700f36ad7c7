package docs

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

const (
	resource = "https://mcp.example.com/mcp"
	call     = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%s","arguments":{}}}`
)

// An authority issues tokens for the resource.
type authority struct {
	url string
	key *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	public, err := key.PublicKey.Bytes() // 4, x, y
	require.NoError(t, err)
	part := base64.RawURLEncoding.EncodeToString
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": part(public[1:33]), "y": part(public[33:]),
	}}})
	require.NoError(t, err)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set) }))
	t.Cleanup(web.Close)
	return &authority{web.URL, key}
}

// token is good, but for the changes.
func (a *authority) token(t *testing.T, changes jwt.MapClaims) string {
	t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": a.url, "aud": resource, "sub": "ada", "client_id": "desk", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "jti": rand.Text(),
	}
	maps.Copy(claims, changes)
	token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	token.Header["kid"], token.Header["typ"] = "1", "at+jwt"
	if typ, ok := changes["typ"]; ok {
		token.Header["typ"] = typ
		delete(claims, "typ")
	}
	signed, err := token.SignedString(a.key)
	require.NoError(t, err)
	return signed
}

// TestRefusals_AreAnsweredSo sends requests and holds the answers against the rows of docs/refusals.md.
func TestRefusals_AreAnsweredSo(t *testing.T) {
	as := newAuthority(t)
	proofKey, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	type change = func(*mcpauth.Config)
	type asked = func(*http.Request)
	bearer := func(changes jwt.MapClaims) asked {
		return func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+as.token(t, changes)) }
	}
	set := func(name, value string) asked { return func(r *http.Request) { r.Header.Set(name, value) } }
	good := bearer(nil)
	both := func(all ...asked) asked {
		return func(r *http.Request) {
			for _, one := range all {
				one(r)
			}
		}
	}
	bound := jwt.MapClaims{"cnf": map[string]any{"jkt": proofKey.Thumbprint()}}
	dpop := func(edit func(claims map[string]any)) asked {
		return func(r *http.Request) {
			token := as.token(t, bound)
			proof := proofKey.NewProof(http.MethodPost, resource, token, "")
			edit(proof.Claims)
			r.Header.Set("Authorization", "DPoP "+token)
			r.Header.Set("DPoP", proofKey.Sign(proof))
		}
	}
	key, hash := mcpauth.NewAPIKey("k_")
	keys, err := mcpauth.NewAPIKeys(mcpauth.APIKeys{Prefix: "k_", Keys: []mcpauth.APIKey{{Hash: hash, Owner: "job", Name: "job"}}})
	require.NoError(t, err)
	withKeys := func(cfg *mcpauth.Config) { cfg.Authenticators = []mcpauth.Authenticator{keys} }
	policy := func(p mcpauth.Policy) change { return func(cfg *mcpauth.Config) { cfg.Policy = p } }
	down := errors.New("down")
	body := func(text string) asked {
		return both(good, func(r *http.Request) {
			again := httptest.NewRequest(r.Method, resource, strings.NewReader(text))
			r.Body, r.ContentLength = again.Body, again.ContentLength
		})
	}

	rows := documented(t)
	for _, tt := range []struct {
		reason string
		tool   string
		cfg    change
		asks   asked
	}{
		{"no_credentials", "read", nil, func(*http.Request) {}},
		{"scheme_unsupported", "read", nil, set("Authorization", "Basic eDp5")},
		{"credentials_malformed", "read", nil, set("Authorization", "Bearer a b")},
		{"credentials_multiple", "read", withKeys, both(good, set("X-Api-Key", key))},
		{"credentials_refused", "read", withKeys, set("X-Api-Key", key+"x")},
		{"token_in_query", "read", nil, func(r *http.Request) { r.URL.RawQuery = "access_token=x" }},
		{"token_not_jwt", "read", nil, set("Authorization", "Bearer opaque")},
		{"token_too_long", "read", nil, set("Authorization", "Bearer "+strings.Repeat("x", 17<<10))},
		{"unknown_issuer", "read", nil, bearer(jwt.MapClaims{"iss": "https://elsewhere.example"})},
		{"type_not_allowed", "read", nil, bearer(jwt.MapClaims{"typ": "JWT"})},
		{"audience_mismatch", "read", nil, bearer(jwt.MapClaims{"aud": resource + "/"})},
		{"token_expired", "read", nil, bearer(jwt.MapClaims{"exp": 1})},
		{"token_not_yet_valid", "read", nil, bearer(jwt.MapClaims{"nbf": time.Now().Add(time.Hour).Unix()})},
		{"client_not_allowed", "read", func(cfg *mcpauth.Config) { cfg.Issuers[0].ClientIDs = []string{"other"} }, good},
		{"keys_unavailable", "read", func(cfg *mcpauth.Config) { cfg.Issuers[0].JWKSURI = "http://127.0.0.1:1/" }, good},
		{"token_bound", "read", func(cfg *mcpauth.Config) { cfg.DPoP.Mode = mcpauth.DPoPOff }, bearer(bound)},
		{"dpop_required", "read", func(cfg *mcpauth.Config) { cfg.DPoP.Mode = mcpauth.DPoPRequired }, good},
		{"dpop_downgrade", "read", nil, bearer(bound)},
		{"proof_htu", "read", nil, dpop(func(c map[string]any) { c["htu"] = "https://elsewhere.example/mcp" })},
		{"proof_iat", "read", nil, dpop(func(c map[string]any) { c["iat"] = 1 })},
		{"proof_nonce_missing", "read", func(cfg *mcpauth.Config) { cfg.DPoP.Nonces = true }, dpop(func(map[string]any) {})},
		{"token_revoked", "read", func(cfg *mcpauth.Config) {
			cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return true, nil }
		}, good},
		{"check_unavailable", "read", func(cfg *mcpauth.Config) {
			cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { return false, down }
		}, good},
		{"panic", "read", func(cfg *mcpauth.Config) {
			cfg.Revoked = func(context.Context, *mcpauth.Principal) (bool, error) { panic("x") }
		}, good},
		{"rate_limited", "read", func(cfg *mcpauth.Config) {
			cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 1, Per: time.Hour}, Store: counts(func() (time.Duration, error) { return time.Hour, nil })}
		}, good},
		{"limit_unavailable", "read", func(cfg *mcpauth.Config) {
			cfg.Limits = mcpauth.Limits{Caller: mcpauth.Rate{Events: 1, Per: time.Hour}, Store: counts(func() (time.Duration, error) { return 0, down })}
		}, good},
		{"insufficient_scope", "write", nil, good},
		{"grant_fixed", "write", withKeys, set("X-Api-Key", key)},
		{"role_missing", "purge", nil, good},
		{"no_rule", "nothing", nil, good},
		{"login_insufficient", "wire", nil, good},
		{"client_limited", "write", func(cfg *mcpauth.Config) { cfg.Clients = map[string]mcpauth.ClientLimit{"*": {}} }, bearer(jwt.MapClaims{"scope": "files:write"})},
		{"policy_refused", "read", policy(func(context.Context, *mcpauth.Call) error { return down }), good},
		{"origin_not_allowed", "read", nil, both(good, set("Origin", "https://elsewhere.example"))},
		{"method_not_allowed", "read", nil, both(good, func(r *http.Request) { r.Method = http.MethodPut })},
		{"content_type", "read", nil, both(good, set("Content-Type", "text/plain"))},
		{"header_repeated", "read", nil, both(good, func(r *http.Request) { r.Header["Mcp-Method"] = []string{"a", "b"} })},
		{"body_too_large", "read", func(cfg *mcpauth.Config) { cfg.MaxBodyBytes = 10 }, good},
		{"body_syntax", "read", nil, body(`{`)},
		{"body_duplicate_member", "read", nil, body(`{"jsonrpc":"2.0","id":1,"id":1,"method":"ping"}`)},
		{"body_ambiguous_member", "read", nil, body(`{"jsonrpc":"2.0","id":1,"Method":"ping"}`)},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			var last mcpauth.Decision
			cfg := mcpauth.Config{
				Resource: resource, Issuers: []mcpauth.Issuer{{URL: as.url, JWKSURI: as.url}},
				OnDecision: func(_ context.Context, d mcpauth.Decision) { last = d },
			}
			if tt.cfg != nil {
				tt.cfg(&cfg)
			}
			auth, err := mcpauth.New(cfg)
			require.NoError(t, err)
			auth.RequireTools(map[string]scopes.Rule{
				"read": scopes.Authenticated(), "write": scopes.All("files:write"), "purge": scopes.Role("admin"), "wire": scopes.Authenticated(),
			})
			auth.RequireLogin(mcpauth.Operation{Method: "tools/call", Name: "wire"}, mcpauth.Login{ACRValues: []string{"mfa"}, MaxAge: time.Minute})
			r := httptest.NewRequest(http.MethodPost, resource, strings.NewReader(fmt.Sprintf(call, tt.tool)))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
			tt.asks(r)
			w := httptest.NewRecorder()
			auth.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it went through") })).ServeHTTP(w, r)

			require.Equal(t, tt.reason, string(last.Reason), "%s: %s", last.Expected, last.Got)
			row, ok := rows[tt.reason]
			require.True(t, ok, "no row")
			require.Equal(t, row.status, strconv.Itoa(last.Status))
			if row.seen == "what it would get if this did not exist" {
				require.Equal(t, http.StatusOK, w.Code)
				require.Contains(t, w.Body.String(), "-32602")
				return
			}
			require.Equal(t, row.status, strconv.Itoa(w.Code))
			challenge := strings.Join(w.Header()["Www-Authenticate"], "\n")
			for _, name := range []string{"acr_values", "max_age"} {
				require.Equal(t, strings.Contains(row.seen, name), strings.Contains(challenge, name), challenge)
			}
			require.Equal(t, strings.Contains(row.seen, "DPoP-Nonce"), w.Header().Get("DPoP-Nonce") != "")
			require.Equal(t, strings.Contains(row.seen, "Retry-After"), w.Header().Get("Retry-After") != "")
			require.Equal(t, strings.Contains(row.seen, "Allow"), w.Header().Get("Allow") != "")
			require.Equal(t, strings.HasPrefix(row.seen, "a challenge"), challenge != "", challenge)
			_, code, _ := strings.Cut(row.seen, "a challenge with `")
			code, _, _ = strings.Cut(code, "`")
			require.Equal(t, code != "", strings.Contains(challenge, "error="), challenge)
			require.Contains(t, challenge, code)
		})
	}
}

// counts is a store of limits with one answer.
type counts func() (time.Duration, error)

func (c counts) Take(context.Context, [32]byte, []mcpauth.LimitBucket) (time.Duration, int, error) {
	wait, err := c()
	return wait, 0, err
}

// documented are the rows of docs/refusals.md.
func documented(t *testing.T) map[string]answer {
	t.Helper()
	f, err := os.Open(filepath.Join(root, "docs/refusals.md"))
	require.NoError(t, err)
	defer f.Close()
	out := make(map[string]answer)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		cells := strings.Split(lines.Text(), " | ")
		if reason, ok := strings.CutPrefix(cells[0], "| `"); ok {
			out[strings.TrimSuffix(reason, "`")] = answer{status: cells[1], meaning: cells[2], seen: strings.TrimSuffix(cells[3], " |")}
		}
	}
	require.Greater(t, len(out), 80)
	return out
}
