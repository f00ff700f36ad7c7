package mcpauth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// sdkModes are all ways in which the SDK serves and its client speaks.
var sdkModes = []struct {
	name      string
	stateless bool
	json      bool
	asked     string // by the client; empty: the latest
	agreed    string
}{
	{"stateless, JSON, 2026-07-28", true, true, "", "2026-07-28"},
	{"stateless, event streams, 2026-07-28", true, false, "", "2026-07-28"},
	{"stateless, JSON, 2025-11-25", true, true, legacy, legacy},
	{"stateless, event streams, 2025-06-18", true, false, "2025-06-18", "2025-06-18"},
	{"sessions, JSON, 2025-11-25", false, true, legacy, legacy},
	{"sessions, event streams, 2025-11-25", false, false, legacy, legacy},
	{"sessions, a client of 2026-07-28", false, false, "", legacy},
}

// connectSDK connects the SDK's own client over real HTTP; token is asked for every request.
func connectSDK(t *testing.T, h http.Handler, revision string, token func() string) *mcp.ClientSession {
	t.Helper()
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	client := mcp.NewClient(&mcp.Implementation{Name: "client", Version: "1"}, nil)
	session, err := client.Connect(t.Context(), &mcp.StreamableClientTransport{
		Endpoint: web.URL, HTTPClient: &http.Client{Transport: bearerTransport(token)}, DisableStandaloneSSE: true,
	}, &mcp.ClientSessionOptions{ProtocolVersion: revision})
	require.NoError(t, err)
	t.Cleanup(func() { _ = session.Close() })
	return session
}

// A refusal fails one call; the session lives, and another token opens what was closed.
func TestSDKClient_RefusedCallsLeaveTheSessionAlone(t *testing.T) {
	is := newIssuer(t)
	weak, strong := is.token(t), is.token(t, claims{"scope": "files:write", "roles": []string{"admin"}})
	for _, mode := range sdkModes {
		t.Run(mode.name, func(t *testing.T) {
			log := &audit{}
			auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.OnDecision = log.add })
			server := newServer(auth)
			h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
				&mcp.StreamableHTTPOptions{Stateless: mode.stateless, JSONResponse: mode.json}))
			var token atomic.Value
			token.Store(weak)
			session := connectSDK(t, h, mode.asked, func() string { return token.Load().(string) })
			require.Equal(t, mode.agreed, session.InitializeResult().ProtocolVersion)

			use := func(tool string) (string, error) {
				res, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: map[string]any{}})
				if err != nil {
					return "", err
				}
				return res.Content[0].(*mcp.TextContent).Text, nil
			}
			refusedWith := func(tool string, code int64) {
				t.Helper()
				_, err := use(tool)
				var wire *jsonrpc.Error
				require.True(t, errors.As(err, &wire), "%v", err)
				require.Equal(t, code, wire.Code)
			}
			works := func(tool string) {
				t.Helper()
				text, err := use(tool)
				require.NoError(t, err)
				require.Equal(t, tool+" ada", text)
			}
			works("whoami")
			log.take()
			refusedWith("write", 403)
			require.Len(t, log.take(), 1)
			works("whoami")
			refusedWith("purge", 403)
			works("whoami")
			refusedWith("forgotten", -32602)
			works("whoami")
			token.Store(strong) // after a step-up
			works("write")
			works("purge")
			refusedWith("forgotten", -32602)
			token.Store(weak)
			refusedWith("write", 403)
			works("whoami")
			token.Store("junk")
			refusedWith("whoami", 401)
			token.Store(weak)
			works("whoami")
		})
	}
}

func TestLIST07_TheSDKsClientReadsAllPages(t *testing.T) {
	is := newIssuer(t)
	var token atomic.Value
	for _, mode := range sdkModes {
		for _, size := range []int{1, 2} {
			t.Run(fmt.Sprint(mode.name, " pages of ", size), func(t *testing.T) {
				auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
				server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{PageSize: size})
				auth.Protect(server)
				var open, all []string
				for i := range 9 {
					name := fmt.Sprintf("tool%d", i)
					offerTool(server, name)
					all = append(all, name)
					if i%4 == 1 {
						auth.RequireTool(name, scopes.Authenticated())
						open = append(open, name)
					} else {
						auth.RequireTool(name, scopes.All("more"))
					}
				}
				h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
					&mcp.StreamableHTTPOptions{Stateless: mode.stateless, JSONResponse: mode.json}))
				token.Store(is.token(t))
				session := connectSDK(t, h, mode.asked, func() string { return token.Load().(string) })
				list := func() (names []string) {
					for tool, err := range session.Tools(t.Context(), nil) {
						require.NoError(t, err)
						names = append(names, tool.Name)
					}
					return names
				}
				require.Equal(t, open, list())
				token.Store(is.scoped(t, "more"))
				require.Equal(t, all, list())
				token.Store(is.token(t))
				require.Equal(t, open, list())
			})
		}
	}
}

// Old revisions have batches: all elements are authorized, and one that fails stops all.
func TestAUTHZ10_BatchesReachTheSDKWholeOrNotAtAll(t *testing.T) {
	is := newIssuer(t)
	for _, json := range []bool{true, false} {
		for _, stateless := range []bool{true, false} {
			t.Run(fmt.Sprint("json=", json, " stateless=", stateless), func(t *testing.T) {
				auth, _ := newAuth(t, is, nil)
				server, runs := newCounting(auth)
				auth.Protect(server)
				h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
					&mcp.StreamableHTTPOptions{Stateless: stateless, JSONResponse: json}))
				token, id := is.token(t), ""
				if !stateless {
					id = openSession(t, h, token)
				}
				send := func(revision string, tools ...string) *httptest.ResponseRecorder {
					var bodies []string
					for i, tool := range tools {
						bodies = append(bodies, strings.Replace(call(tool), `"id":7`, fmt.Sprintf(`"id":%d`, i), 1))
					}
					r := post("["+strings.Join(bodies, ",")+"]", token)
					if id != "" {
						r.Header.Set("Mcp-Session-Id", id)
					}
					if revision != "" {
						atRevision(revision, r)
					}
					return serve(h, r)
				}
				for _, revision := range []string{"", "2025-03-26"} {
					runs.Store(0)
					w := send(revision, "open", "open", "open")
					require.Equal(t, http.StatusOK, w.Code, w.Body.String())
					require.EqualValues(t, 3, runs.Load())
					runs.Store(0)
					require.Equal(t, http.StatusForbidden, send(revision, "open", "purge").Code)
					require.Equal(t, http.StatusForbidden, send(revision, "purge", "open").Code)
					require.Equal(t, http.StatusBadRequest, send(revision, "open", "forgotten").Code)
					require.Zero(t, runs.Load())
				}
				for _, revision := range []string{"2025-06-18", legacy, "2026-07-28"} {
					require.Equal(t, http.StatusBadRequest, send(revision, "open").Code)
					require.Zero(t, runs.Load())
				}
			})
		}
	}
}

// Prompts, resources and templates are protected over the SDK's client as tools are.
func TestSDKClient_PromptsAndResources(t *testing.T) {
	is := newIssuer(t)
	for _, mode := range sdkModes[:6] {
		t.Run(mode.name, func(t *testing.T) {
			auth, _ := newAuth(t, is, nil)
			server := everything(auth)
			h := auth.Wrap(mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
				&mcp.StreamableHTTPOptions{Stateless: mode.stateless, JSONResponse: mode.json}))
			session := connectSDK(t, h, mode.asked, func() string { return is.token(t) })
			ctx := t.Context()

			prompts, err := session.ListPrompts(ctx, nil)
			require.NoError(t, err)
			require.Len(t, prompts.Prompts, 1)
			resources, err := session.ListResources(ctx, nil)
			require.NoError(t, err)
			require.Len(t, resources.Resources, 1)
			templates, err := session.ListResourceTemplates(ctx, nil)
			require.NoError(t, err)
			require.Len(t, templates.ResourceTemplates, 1)

			for _, uri := range []string{"open://x", "open://x/1"} {
				got, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
				require.NoError(t, err)
				require.Equal(t, "text", got.Contents[0].Text)
			}
			var wire *jsonrpc.Error
			for _, uri := range []string{"forgotten://x", "forgotten://x/1", "open://x/..", "none://"} {
				_, err := session.ReadResource(ctx, &mcp.ReadResourceParams{URI: uri})
				require.ErrorAs(t, err, &wire, uri)
				require.EqualValues(t, -32602, wire.Code)
			}
			_, err = session.GetPrompt(ctx, &mcp.GetPromptParams{Name: "open"})
			require.NoError(t, err)
			_, err = session.GetPrompt(ctx, &mcp.GetPromptParams{Name: "forgotten"})
			require.ErrorAs(t, err, &wire)
			require.EqualValues(t, -32602, wire.Code)
		})
	}
}

// The client may shut down while calls are refused; nothing of the server's is left.
func TestSDKClient_ClosesItsSession(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	session := connectSDK(t, auth.Wrap(sdkHandler(server, false)), legacy, func() string { return is.token(t) })
	require.Len(t, slices.Collect(server.Sessions()), 1)
	_, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "purge"})
	require.Error(t, err)
	require.NoError(t, session.Close())
	require.Empty(t, slices.Collect(server.Sessions()))
}
