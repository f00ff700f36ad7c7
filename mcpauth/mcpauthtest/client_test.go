package mcpauthtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/mcpauth/mcpauthtest"
	"github.com/go-mcpauth/sdk/scopes"
)

// always always returns this server.
func always(server *mcp.Server) func(*http.Request) *mcp.Server {
	return func(*http.Request) *mcp.Server { return server }
}

// The SDK's handlers of every kind, with answers as JSON and as streams.
func TestClient_EveryKindOfHandler(t *testing.T) {
	for name, opts := range map[string]mcp.StreamableHTTPOptions{
		"stateless": {Stateless: true}, "stateless, JSON": {Stateless: true, JSONResponse: true}, "sessions": {}, "sessions, JSON": {JSONResponse: true},
	} {
		t.Run(name, func(t *testing.T) {
			is, _ := withClock(t)
			auth, server := newFiles(t, is, nil)
			mux := http.NewServeMux()
			auth.Mount(mux, mcp.NewStreamableHTTPHandler(always(server), &opts))
			client := is.Client(mux, ada)
			client.Sessions = !opts.Stateless
			for range 2 {
				result, resp := client.CallTool("read_file", input{Path: "/etc/motd"})
				mcpauthtest.AssertAllowed(t, resp)
				require.NotNil(t, result)
				require.Equal(t, "/etc/motd for ada", result.Content[0].(*mcp.TextContent).Text)
			}
			names, resp := client.ListTools()
			mcpauthtest.AssertAllowed(t, resp)
			require.Len(t, names, 3)
			result, resp := client.CallTool("write_file", nil)
			require.Nil(t, result)
			if client.Sessions {
				mcpauthtest.AssertStepUp(t, resp, "files:read", "files:write") // revision 2025-11-25
			} else {
				mcpauthtest.AssertStepUp(t, resp, "files:write")
			}
			result, resp = client.CallTool("nothing", nil)
			require.Nil(t, result)
			mcpauthtest.AssertUnknown(t, resp)

			nobody := mcpauthtest.NewClient(t, mux, is.Resource, "")
			nobody.Sessions = client.Sessions
			result, resp = nobody.CallTool("read_file", nil)
			require.Nil(t, result)
			mcpauthtest.AssertUnauthorized(t, resp)
			mcpauthtest.AssertMetadata(t, mux, resp)
			names, resp = nobody.ListTools()
			require.Nil(t, names)
			mcpauthtest.AssertUnauthorized(t, resp)
			nobody.Token = is.Token(ada)
			_, resp = nobody.CallTool("read_file", nil)
			mcpauthtest.AssertAllowed(t, resp) // once there is a token, a session begins
		})
	}
}

// A bound token is good with the client's proofs, by the clock of the issuer or with nonces, and alone it is not.
func TestClient_DPoP(t *testing.T) {
	for _, nonces := range []bool{false, true} {
		t.Run(fmt.Sprintf("nonces %t", nonces), func(t *testing.T) { dpop(t, nonces) })
	}
}

func dpop(t *testing.T, nonces bool) {
	is, _ := withClock(t)
	auth, server := newFiles(t, is, func(c *mcpauth.Config) { c.DPoP = mcpauth.DPoP{Mode: mcpauth.DPoPRequired, Nonces: nonces} })
	handler := auth.Wrap(mcp.NewStreamableHTTPHandler(always(server), &mcp.StreamableHTTPOptions{Stateless: true}))
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	client := is.Client(handler, mcpauthtest.Claims{Subject: "ada", Scope: "files:read", Key: key})
	for range 2 {
		_, resp := client.CallTool("read_file", nil)
		mcpauthtest.AssertAllowed(t, resp)
	}
	_, resp := client.CallTool("write_file", nil)
	mcpauthtest.AssertStepUp(t, resp, "files:write")
	client.Key = nil
	_, resp = client.CallTool("read_file", nil)
	mcpauthtest.AssertUnauthorized(t, resp)
	client.Key, err = mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	_, resp = client.CallTool("read_file", nil)
	mcpauthtest.AssertUnauthorized(t, resp)
	mcpauthtest.AssertChallenge(t, resp, "DPoP", map[string]string{"error": "invalid_token"})
	_, resp = is.Client(handler, ada).CallTool("read_file", nil)
	mcpauthtest.AssertUnauthorized(t, resp)
}

// Fields of the client's own are sent, and what a handler sees is what a real client sends.
func TestClient_Requests(t *testing.T) {
	var got *http.Request
	var body map[string]any
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		body = nil
		require.NoError(t, json.NewDecoder(r.Body).Decode(&body))
		w.WriteHeader(http.StatusForbidden)
	})
	client := mcpauthtest.NewClient(t, handler, resource, "token")
	client.Header = http.Header{"X-Api-Key": {"k"}, "origin": {"https://app.example.com"}}
	_, resp := client.Do("resources/read", map[string]any{"uri": "file:///x"})
	mcpauthtest.AssertForbidden(t, resp)
	require.Equal(t, "mcp.example.com", got.Host)
	require.NotNil(t, got.TLS)
	require.Equal(t, "/mcp", got.URL.Path)
	for name, want := range map[string]string{
		"Authorization": "Bearer token", "X-Api-Key": "k", "Origin": "https://app.example.com", "Mcp-Protocol-Version": "2026-07-28",
		"Mcp-Method": "resources/read", "Mcp-Name": "file:///x", "Content-Type": "application/json",
	} {
		require.Equal(t, want, got.Header.Get(name), name)
	}
	require.Equal(t, float64(1), body["id"])
	require.Equal(t, "resources/read", body["method"])
	require.Contains(t, body["params"], "_meta")
	params := map[string]any{"_meta": map[string]any{"mine": true}}
	client.Do("notifications/x", params)
	require.NotContains(t, body, "id", "a notification has none")
	require.Equal(t, map[string]any{"mine": true}, body["params"].(map[string]any)["_meta"])
	params = map[string]any{"name": "x"}
	client.Do("tools/call", params)
	require.Len(t, params, 1, "they stay the caller's")
}

// An answer that is none ends the test, and the failure shows it.
func TestClient_BrokenAnswers(t *testing.T) {
	for name, tt := range map[string]struct{ body, says string }{
		"HTML":           {"<html>", "the body is no answer of JSON-RPC\ncame: 200 OK\n\t<html>"},
		"nothing":        {"", "no answer of JSON-RPC"},
		"both":           {`{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1}}`, "no answer of JSON-RPC"},
		"another result": {`{"jsonrpc":"2.0","id":1,"result":[]}`, "the result of tools/"},
		"a flood":        {strings.Repeat("x", 5<<20), "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(tt.body)) })
			require.Contains(t, watched(t, func(f testing.TB) { mcpauthtest.NewClient(f, handler, resource, "secret").CallTool("x", nil) }), tt.says)
			says := watched(t, func(f testing.TB) { mcpauthtest.NewClient(f, handler, resource, "secret").ListTools() })
			require.Contains(t, says, tt.says)
			require.NotContains(t, says, "secret")
		})
	}
	says := watched(t, func(f testing.TB) { mcpauthtest.NewClient(f, nil, "://", "").ListTools() })
	require.Contains(t, says, "a request to ://")
}

// The guard inside sees what the client sends: sessions and headers are those of real clients.
func TestClient_Policy(t *testing.T) {
	is, _ := withClock(t)
	var called []string
	auth, server := newFiles(t, is, func(c *mcpauth.Config) {
		c.Unlisted = scopes.Rule{}
		c.Policy = func(_ context.Context, call *mcpauth.Call) error {
			called = append(called, call.Operation.String()+" "+string(call.Arguments))
			return nil
		}
	})
	handler := auth.Wrap(mcp.NewStreamableHTTPHandler(always(server), &mcp.StreamableHTTPOptions{Stateless: true}))
	_, resp := is.Client(handler, ada).CallTool("read_file", map[string]any{"path": "x"})
	mcpauthtest.AssertAllowed(t, resp)
	require.Contains(t, called, `tools/call read_file {"path":"x"}`)
}

// The peer is that of the present request, with proofs of DPoP and without, for IPv6 as well.
func TestClient_Peer(t *testing.T) {
	var from []string
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from = append(from, r.RemoteAddr)
		w.WriteHeader(http.StatusForbidden)
	})
	key, err := mcpauthtest.NewDPoPKey("")
	require.NoError(t, err)
	for _, key := range []*mcpauthtest.DPoPKey{nil, key} {
		from = nil
		client := mcpauthtest.NewClient(t, handler, "https://mcp.example.com/mcp", "token")
		client.Key = key
		for _, peer := range []string{"", "198.51.100.7", "2001:db8::7"} {
			client.Peer, _ = netip.ParseAddr(peer)
			client.CallTool("x", nil)
		}
		require.Equal(t, []string{"192.0.2.1:1234", "198.51.100.7:1234", "[2001:db8::7]:1234"}, from)
	}
}
