package mcpauth_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

// everything has one open and one forgotten tool, prompt, resource and template.
func everything(auth *mcpauth.Middleware) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "everything", Version: "1"}, nil)
	auth.Protect(server)
	for _, name := range []string{"open", "forgotten"} {
		offerTool(server, name)
		offerPrompt(server, name)
		offerResource(server, name+"://x")
		offerTemplate(server, name+"://x/{id}")
	}
	auth.RequireTool("open", scopes.Authenticated())
	auth.RequirePrompt("open", scopes.Authenticated())
	auth.RequireResource("open://x", scopes.Authenticated())
	auth.RequireResource("open://x/{id}", scopes.Authenticated())
	return server
}

func offerTool(s *mcp.Server, name string) {
	mcp.AddTool(s, &mcp.Tool{Name: name}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{}, nil, nil
	})
}

func offerPrompt(s *mcp.Server, name string) {
	s.AddPrompt(&mcp.Prompt{Name: name}, func(context.Context, *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
		return &mcp.GetPromptResult{Messages: []*mcp.PromptMessage{}}, nil
	})
}

func readText(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
	return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{URI: r.Params.URI, Text: "text"}}}, nil
}

func offerResource(s *mcp.Server, uri string) {
	s.AddResource(&mcp.Resource{Name: uri, URI: uri}, readText)
}

func offerTemplate(s *mcp.Server, uri string) {
	s.AddResourceTemplate(&mcp.ResourceTemplate{Name: uri, URITemplate: uri}, readText)
}

// listNames reads all pages of a list. It checks each for what must hold on every page, and returns
// the names and the names inside the cursors.
func listNames(t *testing.T, h http.Handler, method, member, key, token string) (names, cursors []string) {
	t.Helper()
	cursor := ""
	for range 1000 {
		params := map[string]any{}
		if cursor != "" {
			params["cursor"] = cursor
		}
		w := serve(h, post(rpc(method, params), token))
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		var answer struct {
			Error  any
			Result map[string]json.RawMessage
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		require.Nil(t, answer.Error)
		require.JSONEq(t, `"private"`, string(answer.Result["cacheScope"]), "LIST-03: on every page")
		var items []map[string]any
		require.NoError(t, json.Unmarshal(answer.Result[member], &items))
		require.NotNil(t, items, "an empty list is [], not null")
		for _, item := range items {
			names = append(names, item[key].(string))
		}
		cursor = ""
		if raw := answer.Result["nextCursor"]; raw != nil {
			require.NoError(t, json.Unmarshal(raw, &cursor))
		}
		if cursor == "" {
			return names, cursors
		}
		require.NotEmpty(t, items, "LIST-07: an empty page before the end shows that something is hidden")
		cursors = append(cursors, decodeCursor(t, cursor))
		require.Equal(t, names[len(names)-1], cursors[len(cursors)-1], "LIST-07: the cursor names the last item shown")
	}
	require.Fail(t, "the list does not end")
	return nil, nil
}

// decodeCursor opens a cursor as anybody can.
func decodeCursor(t *testing.T, cursor string) string {
	t.Helper()
	raw, err := base64.URLEncoding.DecodeString(cursor)
	require.NoError(t, err)
	var token struct{ LastUID string }
	require.NoError(t, gob.NewDecoder(bytes.NewReader(raw)).Decode(&token))
	return token.LastUID
}

// A kindOfList is one of the four lists and the call that it is for.
type kindOfList struct {
	list, member, key string
	offer             func(*mcp.Server, string)
	require           func(*mcpauth.Middleware, string, scopes.Rule)
	name              func(i int) string
	call              func(name string) string
}

var kindsOfList = []kindOfList{
	{"tools/list", "tools", "name", offerTool, (*mcpauth.Middleware).RequireTool,
		func(i int) string { return fmt.Sprintf("tool%02d", i) }, call},
	{"prompts/list", "prompts", "name", offerPrompt, (*mcpauth.Middleware).RequirePrompt,
		func(i int) string { return fmt.Sprintf("prompt%02d", i) },
		func(name string) string { return rpc("prompts/get", map[string]any{"name": name}) }},
	{"resources/list", "resources", "uri", offerResource, (*mcpauth.Middleware).RequireResource,
		func(i int) string { return fmt.Sprintf("res://%02d", i) },
		func(name string) string { return rpc("resources/read", map[string]any{"uri": name}) }},
	{"resources/templates/list", "resourceTemplates", "uriTemplate", offerTemplate, (*mcpauth.Middleware).RequireResource,
		func(i int) string { return fmt.Sprintf("tmpl%02d://{id}", i) },
		func(name string) string {
			return rpc("resources/read", map[string]any{"uri": strings.Replace(name, "{id}", "7", 1)})
		}},
}

// randomRule picks a rule that some callers meet, some could and some never will.
func randomRule(rnd *rand.Rand, depth int) scopes.Rule {
	if depth > 0 && rnd.IntN(2) == 0 {
		parts := make([]scopes.Rule, 1+rnd.IntN(3))
		for i := range parts {
			parts[i] = randomRule(rnd, depth-1)
		}
		if rnd.IntN(2) == 0 {
			return scopes.And(parts...)
		}
		return scopes.Or(parts...)
	}
	switch rnd.IntN(6) {
	case 0:
		return scopes.Rule{}
	case 1:
		return scopes.Authenticated()
	case 2:
		return scopes.Role([]string{"admin", "user"}[rnd.IntN(2)])
	}
	return scopes.All([]string{"a", "b", "c"}[rnd.IntN(3)])
}

// LIST-02: what is listed is what can be called, or what a step-up would open, and nothing else; on
// pages of every size, with cursors that name nothing hidden, complete and in order.
func TestLIST02_ListedIffCallableOrObtainable(t *testing.T) {
	is := newIssuer(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	const items = 9
	for round := range 16 {
		listing := []mcpauth.Listing{mcpauth.ListObtainable, mcpauth.ListAllowed, mcpauth.ListAll}[round%3]
		kind := kindsOfList[round/4]
		t.Run(fmt.Sprintf("%d %s %s", round, kind.list, listing), func(t *testing.T) {
			auth, _ := newAuth(t, is, func(c *mcpauth.Config) {
				c.Listing = listing
				if round%2 == 1 {
					c.BaseScopes = []string{"base"}
				}
			})
			declared := make(map[string]bool)
			for i := range items {
				if rnd.IntN(5) > 0 {
					declared[kind.name(i)] = true
					kind.require(auth, kind.name(i), randomRule(rnd, 2))
				}
			}
			var handlers []http.Handler
			for _, size := range []int{1, 2, 3, 1000} {
				server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{PageSize: size})
				auth.Protect(server)
				for i := range items {
					kind.offer(server, kind.name(i))
				}
				handlers = append(handlers, auth.Wrap(sdkHandler(server, true)))
			}
			for _, caller := range []claims{
				{"scope": "base"}, {"scope": "base a b c"}, {"scope": "base b", "roles": []string{"user"}},
				{"scope": "base a c", "roles": []string{"admin", "user"}},
			} {
				token := is.token(t, caller)
				var want []string
				for i := range items {
					name := kind.name(i)
					w := serve(handlers[0], post(kind.call(name), token))
					callable := w.Code == http.StatusOK && !strings.Contains(w.Body.String(), `"error"`)
					stepUp := w.Code == http.StatusForbidden && strings.Contains(w.Header().Get("Www-Authenticate"), "insufficient_scope")
					switch {
					case callable, stepUp && listing != mcpauth.ListAllowed, listing == mcpauth.ListAll && w.Code == http.StatusForbidden:
						want = append(want, name)
					}
					require.Equal(t, !declared[name], strings.Contains(w.Body.String(), "-32602"), name)
				}
				for _, h := range handlers {
					names, cursors := listNames(t, h, kind.list, kind.member, kind.key, token)
					require.Equal(t, want, names)
					for _, name := range cursors {
						require.Contains(t, want, name)
					}
				}
			}
		})
	}
}

func TestVisible_IsTheRuleOfTheLists(t *testing.T) {
	is := newIssuer(t)
	for _, c := range []struct {
		listing mcpauth.Listing
		conceal bool
		want    []string
	}{
		{mcpauth.ListObtainable, false, []string{"whoami", "write"}},
		{mcpauth.ListAllowed, false, []string{"whoami"}},
		{mcpauth.ListAll, false, []string{"whoami", "write", "purge"}},
		{mcpauth.ListAll, true, []string{"whoami"}},
	} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Listing, cfg.Conceal = c.listing, c.conceal })
		newServer(auth)
		p := principalOf(t, auth, is.token(t))
		var visible []string
		for _, tool := range []string{"whoami", "write", "purge", "forgotten"} {
			if auth.Visible(p, mcpauth.Operation{Method: "tools/call", Name: tool}) {
				visible = append(visible, tool)
			}
		}
		require.Equal(t, c.want, visible, c.listing)
		require.False(t, auth.Visible(nil, mcpauth.Operation{Method: "tools/call", Name: "whoami"}), "nobody sees nothing")
		require.False(t, auth.Visible(&mcpauth.Principal{}, mcpauth.Operation{Method: "tools/call", Name: "whoami"}))
	}
}

func TestLIST01_LIST06_ListsFollowTheTokenOnly(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(c *mcpauth.Config) { c.Listing = mcpauth.ListAllowed })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	list := func(scope string) []string {
		names, _ := listNames(t, h, "tools/list", "tools", "name", is.scoped(t, scope))
		return names
	}
	require.Equal(t, []string{"whoami"}, list(""))
	require.Equal(t, []string{"whoami", "write"}, list("files:write"))
	serve(h, post(call("write"), is.scoped(t, "files:write")))
	require.Equal(t, []string{"whoami"}, list(""), "earlier calls change nothing")
}

func TestLIST05_TTLEndsWithTheToken(t *testing.T) {
	is := newIssuer(t)
	auth, clock := newAuth(t, is, nil)
	ttl := int(time.Hour / time.Millisecond)
	server := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{
		SetCacheable: func(_ context.Context, _ mcp.Request, c *mcp.Cacheable) { c.TTLMs, c.CacheScope = ttl, "public" },
	})
	mcpauth.AddTool(auth, server, &mcp.Tool{Name: "open"}, func(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
		return nil, nil, nil
	}, scopes.Authenticated())
	mcpauth.AddResource(auth, server, &mcp.Resource{Name: "r", URI: "notes://r"}, readText, scopes.Authenticated())
	h := auth.Wrap(sdkHandler(server, true))
	token := is.token(t) // ends in ten minutes, and counts 30 s more
	cacheable := func(r *http.Request) (scope string, ms int) {
		w := serve(h, r)
		require.Equal(t, http.StatusOK, w.Code, w.Body.String())
		var answer struct {
			Result struct {
				CacheScope string
				TTLMs      int
			}
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
		return answer.Result.CacheScope, answer.Result.TTLMs
	}
	for name, request := range map[string]func() *http.Request{
		"tools/list":      func() *http.Request { return post(rpc("tools/list", nil), token) },
		"resources/read":  func() *http.Request { return post(rpc("resources/read", map[string]any{"uri": "notes://r"}), token) },
		"server/discover": func() *http.Request { return modern("server/discover", "", nil, token) }, // LIST-09
	} {
		t.Run(name, func(t *testing.T) {
			clock.set(epoch)
			scope, ms := cacheable(request())
			require.Equal(t, "private", scope)
			require.Positive(t, ms)
			require.LessOrEqual(t, ms, int((10*time.Minute+30*time.Second)/time.Millisecond))
			clock.set(epoch.Add(10*time.Minute + 20*time.Second))
			_, ms = cacheable(request())
			require.LessOrEqual(t, ms, 10_000)
			require.GreaterOrEqual(t, ms, 0)
		})
	}
	clock.set(epoch)
	ttl = 1000
	_, ms := cacheable(post(rpc("tools/list", nil), token))
	require.Equal(t, 1000, ms, "a shorter time of the server's own stays")
	ttl = -5
	_, ms = cacheable(post(rpc("tools/list", nil), token))
	require.Zero(t, ms)
}

func TestLIST08_InvalidCursor(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(everything(auth), true))
	for _, kind := range kindsOfList {
		for _, cursor := range []string{"junk", "!!", "AAAA"} {
			w := serve(h, post(rpc(kind.list, map[string]any{"cursor": cursor}), is.token(t)))
			require.Contains(t, w.Body.String(), "-32602", kind.list)
		}
	}
}

// A cursor may name anything: it moves the start, and what is hidden stays hidden.
func TestLIST07_ForgedCursorsShowNothing(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	for _, name := range []string{"", "forgottem", "forgotten", "purgd", "purge", "zzz"} {
		var buf bytes.Buffer
		require.NoError(t, gob.NewEncoder(&buf).Encode(struct{ LastUID string }{name}))
		w := serve(h, post(rpc("tools/list", map[string]any{"cursor": base64.URLEncoding.EncodeToString(buf.Bytes())}), is.token(t)))
		require.Equal(t, http.StatusOK, w.Code)
		require.NotContains(t, w.Body.String(), `"name":"purge"`)
		require.NotContains(t, w.Body.String(), "forgotten")
	}
}

// The SDK shares its *mcp.Tool values between all callers, and a middleware of the server's own may
// keep a result: filtering for one must not change what another gets.
func TestFilteringChangesNothingShared(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	auth.Protect(server)
	var kept *mcp.ListToolsResult
	cached := mcp.NewServer(&mcp.Implementation{Name: "s", Version: "1"}, &mcp.ServerOptions{Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}}})
	cached.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method != "tools/list" {
				return next(ctx, method, req)
			}
			if kept == nil {
				kept = &mcp.ListToolsResult{Tools: []*mcp.Tool{{Name: "purge"}, {Name: "whoami"}, {Name: "write"}}}
			}
			return kept, nil
		}
	})
	auth.Protect(cached)
	h := auth.Wrap(sdkHandler(cached, true))
	admin := is.token(t, claims{"roles": []string{"admin"}})
	for range 2 {
		names, _ := listNames(t, h, "tools/list", "tools", "name", is.token(t))
		require.Equal(t, []string{"whoami", "write"}, names)
		names, _ = listNames(t, h, "tools/list", "tools", "name", admin)
		require.Equal(t, []string{"purge", "whoami", "write"}, names)
	}
	require.Len(t, kept.Tools, 3)
	require.Empty(t, kept.CacheScope)
	require.True(t, slices.IsSortedFunc(kept.Tools, func(a, b *mcp.Tool) int { return strings.Compare(a.Name, b.Name) }))
}
