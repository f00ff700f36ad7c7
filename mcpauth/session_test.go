package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	sdkauth "github.com/modelcontextprotocol/go-sdk/auth"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const legacy = "2025-11-25"

// openSession opens a session of a stateful server and returns its id.
func openSession(t testing.TB, h http.Handler, token string) string {
	t.Helper()
	w := serve(h, post(rpc("initialize", map[string]any{
		"protocolVersion": legacy, "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "test", "version": "1"},
	}), token))
	require.Equal(t, http.StatusOK, w.Code, w.Body.String())
	id := w.Header().Get("Mcp-Session-Id")
	require.NotEmpty(t, id)
	w = serve(h, inSession(id, post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`, token)))
	require.Equal(t, http.StatusAccepted, w.Code, w.Body.String())
	return id
}

func inSession(id string, r *http.Request) *http.Request {
	r.Header.Set("Mcp-Session-Id", id)
	return atRevision(legacy, r)
}

// seen is what a tool can find out about its caller, each by another way.
func seen(ctx context.Context, req *mcp.CallToolRequest) string {
	var jti, fromExtra, fromSDK string
	p, _ := mcpauth.FromContext(ctx)
	if _, err := p.Claim("/jti", &jti); err != nil {
		return err.Error()
	}
	if req.Extra != nil && req.Extra.TokenInfo != nil {
		fromExtra = strings.Join(req.Extra.TokenInfo.Scopes, "+")
	}
	if info := sdkauth.TokenInfoFromContext(ctx); info != nil {
		fromSDK = strings.Join(info.Scopes, "+")
	}
	return fmt.Sprintf("jti=%s principal=%s extra=%s context=%s.", jti, strings.Join(p.Grant().Scopes(), "+"), fromExtra, fromSDK)
}

// newSeeing has a tool for everybody and one with a scope, which both tell whom they see.
func newSeeing(auth *mcpauth.Middleware) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	tell := func(ctx context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: seen(ctx, req)}}}, nil, nil
	}
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "tell"}, tell, scopes.Authenticated())
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "write"}, tell, scopes.All("files:write"))
	return server
}

// The request that opened a session decides nothing about later ones: COMPAT-04, threat 55.
func TestAUTHZ16_ToolsSeeTheTokenOfTheirOwnRequest(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	h := auth.Wrap(sdkHandler(newSeeing(auth), false))
	weak := is.token(t, claims{"jti": "weak", "scope": "files:read"})
	strong := is.token(t, claims{"jti": "strong", "scope": "files:read files:write"})
	list := func(id, token string) string {
		return serve(h, inSession(id, post(rpc("tools/list", nil), token))).Body.String()
	}

	t.Run("opened with little, called with more", func(t *testing.T) {
		id := openSession(t, h, weak)
		require.Equal(t, http.StatusForbidden, serve(h, inSession(id, post(call("write"), weak))).Code)
		w := serve(h, inSession(id, post(call("write"), strong)))
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), "jti=strong principal=files:read+files:write extra=files:read+files:write context=files:read+files:write.")
		require.Contains(t, list(id, strong), `"write"`)
		require.NotContains(t, list(id, weak), `"write"`)
	})
	t.Run("opened with much, called with less", func(t *testing.T) {
		id := openSession(t, h, strong)
		w := serve(h, inSession(id, post(call("write"), weak)))
		require.Equal(t, http.StatusForbidden, w.Code)
		require.Contains(t, w.Header().Get("Www-Authenticate"), "insufficient_scope")
		w = serve(h, inSession(id, post(call("tell"), weak)))
		require.Contains(t, w.Body.String(), "jti=weak principal=files:read extra=files:read context=files:read.")
		require.NotContains(t, list(id, weak), `"write"`)
		require.Contains(t, list(id, strong), `"write"`)
	})
	t.Run("without a token the session is worth nothing", func(t *testing.T) {
		id := openSession(t, h, strong)
		require.Equal(t, http.StatusUnauthorized, serve(h, inSession(id, post(call("tell"), ""))).Code)
	})
}

func TestLIST01_NoConnectionChangesAList(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	h := auth.Wrap(sdkHandler(newServer(auth), false))
	token := is.token(t)
	a, b := openSession(t, h, is.scoped(t, "files:write")), openSession(t, h, token)
	serve(h, inSession(a, post(call("write"), is.scoped(t, "files:write"))))
	inA := serve(h, inSession(a, post(rpc("tools/list", nil), token))).Body.String()
	inB := serve(h, inSession(b, post(rpc("tools/list", nil), token))).Body.String()
	require.Equal(t, inA, inB)
	require.NotContains(t, inA, `"write"`)
}

// Threats 70 and 71: issuer, subject and client together own a session.
func TestSEC07_SessionsOfOthers(t *testing.T) {
	is, other := newIssuer(t), newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
		c.Issuers = append(c.Issuers, mcpauth.Issuer{URL: other.URL})
	})
	h := auth.Wrap(sdkHandler(newSeeing(auth), false))
	for _, c := range []struct {
		name            string
		owner, intruder string
	}{
		{"another user", is.token(t), is.token(t, claims{"sub": "eve"})},
		{"the same user through another client", is.token(t), is.token(t, claims{"client_id": "evil"})},
		{"a user of the same name at another issuer", is.token(t), other.token(t)},
		{"a client without a user, and another such client", is.token(t, claims{"sub": nil, "client_id": "one"}), is.token(t, claims{"sub": nil, "client_id": "two"})},
		{"a client without a user, and a user", is.token(t, claims{"sub": nil}), is.token(t)},
		{"a client without a user, and a user with its name", is.token(t, claims{"sub": nil, "client_id": "app"}), is.token(t, claims{"sub": "app", "client_id": "web"})},
	} {
		t.Run(c.name, func(t *testing.T) {
			id := openSession(t, h, c.owner)
			for name, body := range map[string]string{
				"call":         call("tell"),
				"list":         rpc("tools/list", nil),
				"cancellation": `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`,
				"answer":       `{"jsonrpc":"2.0","id":1,"result":{}}`,
			} {
				w := serve(h, inSession(id, post(body, c.intruder)))
				require.Equal(t, http.StatusForbidden, w.Code, name)
				require.Empty(t, w.Header()["Www-Authenticate"], "no scope would help")
				require.NotContains(t, w.Body.String(), "insufficient_scope")
			}
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				r := post("", c.intruder)
				r.Method, r.Body = method, http.NoBody
				require.Equal(t, http.StatusForbidden, serve(h, inSession(id, r)).Code, method)
			}
			w := serve(h, inSession(id, post(call("tell"), c.owner)))
			require.Equal(t, http.StatusOK, w.Code, "the owner keeps the session")
		})
	}
	t.Run("another token of the same user and client", func(t *testing.T) {
		id := openSession(t, h, is.token(t))
		require.Equal(t, http.StatusOK, serve(h, inSession(id, post(call("tell"), is.token(t, claims{"jti": "2"})))).Code)
	})
}

// Threat 72: requests of one session that run at the same time, each with a token of its own.
func TestAUTHZ16_ConcurrentCallersOfOneSession(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	const callers = 24
	var together sync.WaitGroup
	together.Add(callers)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, nil)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "tell"}, func(ctx context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		before := seen(ctx, req)
		// Whatever a tool does to its TokenInfo is its own business.
		req.Extra.TokenInfo.Scopes = append(req.Extra.TokenInfo.Scopes, "injected")
		clear(req.Extra.TokenInfo.Extra)
		together.Done()
		together.Wait() // all calls are in flight
		var jti string
		p, _ := mcpauth.FromContext(ctx)
		_, err := p.Claim("/jti", &jti)
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: before + " still " + jti}}}, nil, err
	}, scopes.Authenticated())
	h := auth.Wrap(sdkHandler(server, false))
	id := openSession(t, h, is.token(t, claims{"jti": "opener", "scope": "opener"}))

	answers := make([]*httptest.ResponseRecorder, callers)
	var done sync.WaitGroup
	for i := range callers {
		token := is.token(t, claims{"jti": fmt.Sprint("t", i), "scope": fmt.Sprint("s", i)})
		body := strings.Replace(call("tell"), `"id":7`, fmt.Sprintf(`"id":%d`, i), 1)
		done.Go(func() { answers[i] = serve(h, inSession(id, post(body, token))) })
	}
	done.Wait()
	for i, w := range answers {
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		require.Contains(t, w.Body.String(), fmt.Sprintf("jti=t%d principal=s%d extra=s%d context=s%d. still t%d", i, i, i, i, i))
	}
}

// What one tool does to its TokenInfo reaches no other request, and no decision.
func TestTOK20_TokenInfoBelongsToOneRequest(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newSeeing(auth)
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "vandal"}, func(ctx context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		info := req.Extra.TokenInfo
		for i := range info.Scopes {
			info.Scopes[i] = "files:write"
		}
		info.Scopes = append(info.Scopes, "files:write", "admin")
		info.UserID = "root"
		info.Extra["roles"] = "admin"
		p, _ := mcpauth.FromContext(ctx)
		p.Grant().Scopes()[0] = "files:write"
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: fmt.Sprint(p.Grant().HasScope("files:write"))}}}, nil, nil
	}, scopes.Authenticated())
	token := is.scoped(t, "files:read")
	for _, stateless := range []bool{true, false} {
		h := auth.Wrap(sdkHandler(server, stateless))
		id := ""
		if !stateless {
			id = openSession(t, h, token)
		}
		send := func(tool string) *httptest.ResponseRecorder {
			r := post(call(tool), token)
			if id != "" {
				inSession(id, r)
			}
			return serve(h, r)
		}
		for range 2 {
			require.Contains(t, send("vandal").Body.String(), `"text":"false"`)
			require.Equal(t, http.StatusForbidden, send("write").Code)
			require.Contains(t, send("tell").Body.String(), "principal=files:read extra=files:read context=files:read.")
		}
	}
}

// Where the SDK's context key cannot be learned, everything works by way of its own middleware.
func TestCOMPAT02_WithoutTheSDKsKey(t *testing.T) {
	mcpauth.ForgetSDKKey(t)
	is := newIssuer(t)
	auth, clock := newAuth(t, is, nil)
	server := newSeeing(auth)
	var header http.Header
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "headers"}, func(_ context.Context, req *mcp.CallToolRequest, _ noInput) (*mcp.CallToolResult, any, error) {
		header = req.Extra.Header
		return &mcp.CallToolResult{}, nil, nil
	}, scopes.Authenticated())
	weak, strong := is.token(t, claims{"jti": "weak"}), is.token(t, claims{"jti": "strong", "scope": "files:write"})

	stateful := auth.Wrap(sdkHandler(server, false))
	id := openSession(t, stateful, weak)
	w := serve(stateful, inSession(id, post(call("write"), strong)))
	require.Contains(t, w.Body.String(), "jti=strong principal=files:write extra=files:write")
	require.Equal(t, http.StatusForbidden, serve(stateful, inSession(id, post(call("write"), weak))).Code)
	require.Equal(t, http.StatusForbidden, serve(stateful, inSession(id, post(call("tell"), is.token(t, claims{"sub": "eve"})))).Code)

	stateless := auth.Wrap(sdkHandler(server, true))
	require.Contains(t, serve(stateless, post(call("tell"), strong)).Body.String(), "jti=strong principal=files:write extra=files:write context=files:write.")
	require.Equal(t, http.StatusOK, serve(stateless, post(call("headers"), strong)).Code)
	require.NotContains(t, header, "Authorization")

	clock.advance(10*60e9 + 20e9) // COMPAT-03: within the leeway, which the SDK must not judge again
	require.Equal(t, http.StatusOK, serve(stateless, post(call("tell"), strong)).Code)
}
