package audit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const resource = "https://mcp.example.com/mcp"

var noon = time.Date(2026, 7, 28, 12, 0, 0, 0, time.UTC)

// A peer is a protected server with two tools, and the issuer of the tokens for it.
type peer struct {
	t       testing.TB
	issuer  string
	key     *ecdsa.PrivateKey
	handler http.Handler
	ran     int // tools that ran
	secrets []string
}

var encode = base64.RawURLEncoding.EncodeToString

func newPeer(t testing.TB, onDecision func(context.Context, mcpauth.Decision), change func(*mcpauth.Config)) *peer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	point, err := key.PublicKey.Bytes()
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1", "x": encode(point[1:33]), "y": encode(point[33:]),
		}}})
	}))
	t.Cleanup(server.Close)
	p := &peer{t: t, issuer: server.URL, key: key}
	cfg := mcpauth.Config{
		Resource: resource, Issuers: []mcpauth.Issuer{{URL: server.URL, JWKSURI: server.URL + "/jwks"}},
		OnDecision: onDecision,
	}
	if change != nil {
		change(&cfg)
	}
	auth, err := mcpauth.New(cfg)
	require.NoError(t, err)
	tools := mcp.NewServer(&mcp.Implementation{Name: "t", Version: "1"}, nil)
	tool := func(context.Context, *mcp.CallToolRequest, map[string]any) (*mcp.CallToolResult, any, error) {
		p.ran++
		return &mcp.CallToolResult{}, nil, nil
	}
	mcpauth.AddTool(auth, tools, &mcp.Tool{Name: "read"}, tool, scopes.All("files:read"))
	mcpauth.AddTool(auth, tools, &mcp.Tool{Name: "purge"}, tool, scopes.Role("admin"))
	p.handler = auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return tools }, &mcp.StreamableHTTPOptions{Stateless: true}))
	return p
}

// token is an access token (RFC 9068), kept so that a test can look for it where it must not be.
func (p *peer) token(subject string, claims map[string]any) string {
	now := time.Now()
	all := map[string]any{
		"iss": p.issuer, "aud": resource, "sub": subject, "client_id": "desk", "jti": rand.Text(),
		"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(), "scope": "files:read",
	}
	maps.Copy(all, claims)
	header, err := json.Marshal(map[string]string{"alg": "ES256", "typ": "at+jwt", "kid": "1"})
	require.NoError(p.t, err)
	payload, err := json.Marshal(all)
	require.NoError(p.t, err)
	signed := encode(header) + "." + encode(payload)
	digest := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	require.NoError(p.t, err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	token := signed + "." + encode(signature)
	p.secrets = append(p.secrets, token)
	return token
}

func call(tool string, arguments string) string {
	name, _ := json.Marshal(tool)
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":` + string(name) + `,"arguments":` + arguments + `}}`
}

// send posts a body and returns the status of the answer.
func (p *peer) send(body string, header map[string]string) int {
	r := httptest.NewRequest("POST", resource, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	for name, value := range header {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, r)
	res := w.Result()
	_, err := io.Copy(io.Discard, res.Body)
	require.NoError(p.t, err)
	return res.StatusCode
}

func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}

func someone(subject, client string) *mcpauth.Principal {
	return mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "https://login.example.com", Subject: subject, ClientID: client, Scheme: "Bearer"})
}
