package mcpauth_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// SEC-02: what the SDK tells tools leads neither to the keys of nonces nor to what is remembered of others.
func TestSEC02_TokenInfoLeadsToNoMemory(t *testing.T) {
	is := newIssuer(t)
	key := []byte("a secret of all replicas 0123456789")
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) {
		cfg.DPoP.Nonces, cfg.DPoP.NonceKeys = true, [][]byte{key}
		cfg.HTTPClient = &http.Client{Transport: inProcess(func(r *http.Request) *http.Response {
			return serve(is.server.Config.Handler, r).Result()
		})}
	})
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	var extra *mcp.RequestExtra
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "tell"}, func(_ context.Context, r *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		extra = r.Extra
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.Authenticated())
	h := auth.Wrap(sdkHandler(server, true))
	require.Equal(t, 200, serve(h, post(call("tell"), is.token(t, claims{"sub": "other", "email": "other@example.com"}))).Code)
	require.Equal(t, 200, serve(h, post(call("tell"), is.token(t, claims{"email": "ada@example.com"}))).Code)
	require.Empty(t, (&walk{secret: string(key)}).from(extra, "extra"))
	require.Empty(t, (&walk{secret: "other@example.com"}).from(extra, "extra"))
	require.NotEmpty(t, (&walk{secret: "ada@example.com"}).from(extra, "extra"), "else nothing was walked")
	require.NotEmpty(t, (&walk{secret: string(key)}).from(auth, "auth"), "else there is nothing to find")
}

// SEC-02: what clients put into htu by mistake does not get into the log.
func TestSEC02_SecretsInHtuAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	var got string
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) {
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		cfg.OnDecision = func(_ context.Context, d mcpauth.Decision) { got += d.Got }
	})
	for _, htu := range []string{
		"https://user:pa55w0rd@mcp.example.com/mcp", "https://mcp.example.com/other?api_key=pa55w0rd", "https://mcp.example.com/other#access_token=pa55w0rd",
	} {
		requireBadProof(t, serve(h, k.signed(post(call("whoami"), ""), token, claim("htu", htu))))
	}
	require.Contains(t, log.String(), "mcp.example.com/other")
	require.NotContains(t, log.String(), "pa55w0rd")
	require.NotContains(t, got, "pa55w0rd")
}

// What only an operator can know is said at the first request.
func TestDPoP_Warnings(t *testing.T) {
	key := []byte("a secret of all replicas 0123456789")
	for name, c := range map[string]struct {
		change func(*mcpauth.Config)
		want   string
	}{
		"keys that replicas share, and no store": {func(cfg *mcpauth.Config) { cfg.DPoP.Nonces, cfg.DPoP.NonceKeys = true, [][]byte{key} }, "DPoP.NonceKeys"},
		"a header that is trusted": {func(cfg *mcpauth.Config) {
			cfg.MutualTLS = mcpauth.MutualTLS{Enabled: true, DangerouslyTrustHeader: "Client-Cert"}
		}, "MutualTLS.DangerouslyTrustHeader"},
	} {
		for _, on := range []bool{false, true} {
			var log bytes.Buffer
			h, _, _ := newBased(t, newIssuer(t), func(cfg *mcpauth.Config) {
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
				if on {
					c.change(cfg)
				}
			})
			serve(h, post(call("whoami"), ""))
			require.Equal(t, on, bytes.Contains(log.Bytes(), []byte(c.want)), name)
		}
	}
}
