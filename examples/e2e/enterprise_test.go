//go:build e2e && unix

package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/auth/extauth"
	"github.com/modelcontextprotocol/go-sdk/oauthex"
	"github.com/stretchr/testify/require"
	"golang.org/x/oauth2"
)

// An authorityOf is an authorization server with keys, in the two roles of Enterprise-Managed Authorization: the
// identity provider, which makes ID-JAGs of ID tokens (Section 4), and the authorization server of the resource,
// which makes access tokens of ID-JAGs (Section 5), as authserver does with -trust-idp. It checks what the SDK's client
// sends, and what a careful server would.
type authorityOf struct {
	t     *testing.T
	url   string
	key   *ecdsa.PrivateKey
	grant func(http.ResponseWriter, *http.Request)

	mu     sync.Mutex
	issued []string
}

var encode = base64.RawURLEncoding.EncodeToString

func newAuthority(t *testing.T) *authorityOf {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	a := &authorityOf{t: t, key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+pathServer, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{
			"issuer": a.url, "jwks_uri": a.url + "/jwks", "token_endpoint": a.url + pathToken, "authorization_endpoint": a.url + "/authorize",
			"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
			"authorization_grant_profiles_supported": []string{"urn:ietf:params:oauth:grant-profile:id-jag"},
		})
	})
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": encode(point[1:33]), "y": encode(point[33:]),
		}}})
	})
	mux.HandleFunc("POST "+pathToken, func(w http.ResponseWriter, r *http.Request) { a.grant(w, r) })
	web := httptest.NewServer(mux)
	t.Cleanup(web.Close)
	a.url = web.URL
	return a
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

// sign makes a JWT of a type, good for five minutes, and remembers it.
func (a *authorityOf) sign(typ string, claims map[string]any) string {
	now := time.Now()
	all := map[string]any{"iss": a.url, "jti": rand.Text(), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	maps.Copy(all, claims)
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": typ, "kid": "1"})
	require.NoError(a.t, err)
	payload, err := json.Marshal(all)
	require.NoError(a.t, err)
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, a.key, digest[:])
	require.NoError(a.t, err)
	signature := make([]byte, 64) // RFC 7518, Section 3.4
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	token := signed + "." + encode(signature)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.issued = append(a.issued, token)
	return token
}

// read verifies a JWT of this authority and its type.
func (a *authorityOf) read(token, typ string) (claims map[string]any, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, false
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(signature) != 64 {
		return nil, false
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(&a.key.PublicKey, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return nil, false
	}
	var header struct{ Typ string }
	for i, into := range []any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			return nil, false
		}
	}
	return claims, header.Typ == typ
}

// last is the newest token that was issued.
func (a *authorityOf) last() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.issued[len(a.issued)-1]
}

// ext-auth, Enterprise-Managed Authorization, Section 2.1, with the Go SDK's own handler and the program
// resource-server: the access token is accepted, the grant and the ID token are not.
func TestE2E01_EnterpriseManagedAuthorization(t *testing.T) {
	for _, c := range []struct {
		revision string
		flags    []string
	}{{"2026-07-28", nil}, {"2025-11-25", stateful}} {
		t.Run(c.revision, func(t *testing.T) {
			ctx := within(t)
			idp, as := newAuthority(t), newAuthority(t)
			sys := newSystem(t, func(t *testing.T, resource string) *process {
				idp.grant = exchangeAt(idp, as.url, resource)
				as.grant = redeemAt(as, idp, resource)
				return start(t, filepath.Join(programs, "authserver"), "-resource", resource) // the resource trusts it besides; without -trust-idp it has no such grant
			}, append([]string{"-issuer", as.url, "-issuer", idp.url}, c.flags...)...)

			client := &goClient{http: &recorder{}, endpoint: sys.resource, revision: c.revision}
			client.sends = &http.Client{Transport: client.http}
			idToken := idp.sign("JWT", map[string]any{"aud": "editor-at-idp", "sub": "U019488227", "nonce": "n"})
			handler, err := extauth.NewEnterpriseHandler(&extauth.EnterpriseHandlerConfig{
				IdPIssuerURL: idp.url, IdPCredentials: &oauthex.ClientCredentials{ClientID: "editor-at-idp", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: "s1"}},
				MCPAuthServerURL: as.url, MCPResourceURI: sys.resource, MCPScopes: []string{"notes:read"},
				MCPCredentials: &oauthex.ClientCredentials{ClientID: "editor", ClientSecretAuth: &oauthex.ClientSecretAuth{ClientSecret: "s2"}},
				IDTokenFetcher: func(context.Context) (*oauth2.Token, error) {
					return (&oauth2.Token{AccessToken: "x"}).WithExtra(map[string]any{"id_token": idToken}), nil
				},
				HTTPClient: client.sends,
			})
			require.NoError(t, err)
			client.handler = handler
			_, session, err := client.connect(ctx)
			require.NoError(t, err)
			require.Equal(t, c.flags != nil, session != "")
			requireWhoami(t, client, "U019488227", "notes:read")
			requireTools(t, client, "read_notes", "whoami", "write_note")
			requireCall(t, client, "read_notes", nil, "You have no notes yet.")

			// The handler of v1.8.0 asks for its configured scopes again, whatever the challenge says: the step-up is in vain, ends, and leaves
			// the session alone.
			_, err = client.call(ctx, "write_note", map[string]any{"text": "Never."})
			require.Error(t, err)
			requireCall(t, client, "read_notes", nil, "You have no notes yet.")
			require.NoError(t, client.close(ctx))

			for name, c := range map[string]struct {
				token  string
				status int
			}{"the access token": {as.last(), 200}, "the grant": {idp.last(), 401}, "the ID token": {idToken, 401}} {
				require.Equal(t, c.status, callWith(t, ctx, sys.resource, c.token), name)
			}
			for _, aud := range []any{sys.resource, []string{as.url, sys.resource}} {
				for who, a := range map[string]*authorityOf{"identity provider": idp, "authorization server": as} {
					require.Equal(t, 401, callWith(t, ctx, sys.resource, a.sign("oauth-id-jag+jwt", map[string]any{"aud": aud, "sub": "U019488227", "client_id": "editor", "resource": sys.resource, "scope": "notes:read"})), "%s for %v", who, aud)
				}
			}
			_, log := sys.decisions(t)
			for _, token := range []string{as.last(), idp.last(), idToken} {
				require.NotContains(t, log, strings.Split(token, ".")[1])
			}
		})
	}
}

// exchangeAt is the identity provider's side of Section 4.
func exchangeAt(idp *authorityOf, as, resource string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		form := func(name string) string { return r.PostFormValue(name) }
		assertion, ok := idp.read(form("subject_token"), "JWT")
		switch {
		case form("client_id") != "editor-at-idp" || form("client_secret") != "s1":
			answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		case form("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" || form("requested_token_type") != "urn:ietf:params:oauth:token-type:id-jag" ||
			form("subject_token_type") != "urn:ietf:params:oauth:token-type:id_token" || !ok || assertion["aud"] != form("client_id"):
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
		case form("audience") != as || form("resource") != resource: // Section 7.6.1
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_target"})
		default:
			answer(w, http.StatusOK, map[string]any{
				"issued_token_type": "urn:ietf:params:oauth:token-type:id-jag", "token_type": "N_A", "expires_in": 300, "scope": form("scope"),
				"access_token": idp.sign("oauth-id-jag+jwt", map[string]any{
					"aud": as, "resource": resource, "sub": assertion["sub"], "client_id": "editor", "scope": form("scope"),
				}),
			})
		}
	}
}

// redeemAt is the authorization server's side of Section 5.
func redeemAt(as, idp *authorityOf, resource string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		grant, ok := idp.read(r.PostFormValue("assertion"), "oauth-id-jag+jwt")
		switch {
		case r.PostFormValue("client_id") != "editor" || r.PostFormValue("client_secret") != "s2":
			answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		case r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || !ok || grant["iss"] != idp.url || grant["aud"] != as.url || grant["client_id"] != "editor" || grant["resource"] != resource:
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
		default:
			answer(w, http.StatusOK, map[string]any{
				"token_type": "Bearer", "expires_in": 300, "scope": grant["scope"],
				"access_token": as.sign("at+jwt", map[string]any{"aud": grant["resource"], "sub": grant["sub"], "client_id": "editor", "scope": grant["scope"]}),
			})
		}
	}
}

// callWith calls whoami with a token and returns the status.
func callWith(t *testing.T, ctx context.Context, resource, token string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, resource, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	res.Body.Close()
	return res.StatusCode
}
