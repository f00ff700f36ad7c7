package mcpauth_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

const mfa = "urn:example:mfa"

func tool(name string) mcpauth.Operation { return mcpauth.Operation{Method: "tools/call", Name: name} }

// CH-26, W7: a tool that asks for a stronger or more recent sign-in.
func TestCH26_RequireLogin(t *testing.T) {
	is := newIssuer(t)
	var log audit
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.OnDecision = log.add })
	server := newServer(auth)
	auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa, "urn:example:hw"}, MaxAge: 5 * time.Minute})
	h := auth.Wrap(sdkHandler(server, true))
	ago := func(d time.Duration) int64 { return epoch.Add(-d).Unix() }
	for name, tt := range map[string]struct {
		claims claims
		ok     bool
	}{
		"both":                      {claims{"acr": mfa, "auth_time": ago(time.Minute)}, true},
		"the other acr":             {claims{"acr": "urn:example:hw", "auth_time": ago(time.Minute)}, true},
		"within the leeway":         {claims{"acr": mfa, "auth_time": ago(5*time.Minute + 30*time.Second)}, true},
		"beyond it":                 {claims{"acr": mfa, "auth_time": ago(5*time.Minute + 31*time.Second)}, false},
		"a little in the future":    {claims{"acr": mfa, "auth_time": ago(-30 * time.Second)}, true},
		"in the future":             {claims{"acr": mfa, "auth_time": ago(-31 * time.Second)}, false},
		"no acr":                    {claims{"auth_time": ago(0)}, false},
		"another acr":               {claims{"acr": "urn:example:pwd", "auth_time": ago(0)}, false},
		"another case":              {claims{"acr": "URN:example:mfa", "auth_time": ago(0)}, false},
		"acr of another type":       {claims{"acr": []string{mfa}, "auth_time": ago(0)}, false},
		"acr in a list":             {claims{"acr": mfa + " x", "auth_time": ago(0)}, false},
		"no auth_time":              {claims{"acr": mfa}, false},
		"auth_time of another type": {claims{"acr": mfa, "auth_time": "1"}, false},
		"auth_time out of range":    {claims{"acr": mfa, "auth_time": 1e300}, false},
	} {
		w := serve(h, post(call("whoami"), is.token(t, tt.claims)))
		d := log.take()
		require.Len(t, d, 1, name)
		if tt.ok {
			require.Equal(t, http.StatusOK, w.Code, name)
			require.Equal(t, mcpauth.ReasonAllowed, d[0].Reason)
			continue
		}
		require.Equal(t, http.StatusUnauthorized, w.Code, name)
		require.Equal(t, []string{`Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="urn:example:mfa urn:example:hw", max_age="300", resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp"`},
			w.Header()["Www-Authenticate"], name)
		require.Contains(t, w.Body.String(), `"id":7`)
		require.Equal(t, mcpauth.ReasonLogin, d[0].Reason)
		require.Equal(t, "acr urn:example:mfa or urn:example:hw and a sign-in no longer than 5m0s ago", d[0].Expected)
		require.NotEmpty(t, d[0].Got)
		require.NotEmpty(t, d[0].Cure)
	}
}

// CH-08: one sign-in brings what is missing of scopes as well; a missing role comes first, since no sign-in helps.
func TestRequireLogin_AndTheRule(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	auth.RequireLogin(tool("*"), mcpauth.Login{MaxAge: time.Minute})
	h := auth.Wrap(sdkHandler(server, true))
	w := serve(h, post(call("write"), is.token(t)))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `max_age="60"`)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="files:write"`)
	fresh := claims{"auth_time": epoch.Unix()}
	w = serve(h, post(call("write"), is.token(t, fresh)))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `error="insufficient_scope"`)
	w = serve(h, post(call("purge"), is.token(t)))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NotContains(t, w.Header(), "Www-Authenticate")
	require.Equal(t, http.StatusOK, serve(h, post(call("write"), is.token(t, fresh, claims{"scope": "files:write"}))).Code)
	w = serve(h, post(call("forgotten"), is.token(t, fresh)))
	require.Contains(t, w.Body.String(), "unknown tool", "a login is no rule")
}

// Every declaration that matches counts, and a challenge asks for all of them at once.
func TestRequireLogin_SeveralAddUp(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	auth.RequireLogin(tool("wh*"), mcpauth.Login{ACRValues: []string{"a", "b", mfa}})
	auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa, "b"}, MaxAge: time.Hour})
	auth.RequireLogin(tool("whoami"), mcpauth.Login{MaxAge: time.Minute})
	h := auth.Wrap(sdkHandler(server, true))
	w := serve(h, post(call("whoami"), is.token(t, claims{"acr": "b"})))
	require.Contains(t, w.Header().Get("Www-Authenticate"), `acr_values="urn:example:mfa b", max_age="60"`, "what is good enough is asked for, too")
	require.Equal(t, http.StatusUnauthorized, serve(h, post(call("whoami"), is.token(t, claims{"acr": "a", "auth_time": epoch.Unix()}))).Code)
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t, claims{"acr": "b", "auth_time": epoch.Unix()}))).Code)
	require.Equal(t, http.StatusOK, serve(h, post(rpc("ping", nil), is.token(t))).Code)
}

// Of several, the shortest age counts, whichever came first; where no acr value is good for all, nobody can bring it.
func TestRequireLogin_TheStrictestCounts(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	auth.RequireLogin(tool("short"), mcpauth.Login{MaxAge: time.Minute})
	auth.RequireLogin(tool("short"), mcpauth.Login{MaxAge: time.Hour})
	auth.RequireLogin(tool("short"), mcpauth.Login{MaxAge: 2 * time.Minute})
	auth.RequireLogin(tool("apart"), mcpauth.Login{ACRValues: []string{"a", "b"}})
	auth.RequireLogin(tool("apart"), mcpauth.Login{ACRValues: []string{"c"}})
	h := auth.Wrap(&spy{})
	ask := func(name string, c claims) (int, string) {
		w := serve(h, post(call(name), is.token(t, c)))
		return w.Code, w.Header().Get("Www-Authenticate")
	}
	code, line := ask("short", claims{"auth_time": epoch.Add(-2 * time.Minute).Unix()})
	require.Equal(t, http.StatusUnauthorized, code)
	require.Contains(t, line, `max_age="60"`)
	require.NotContains(t, line, "acr_values")
	for _, acr := range []string{"a", "c"} {
		code, line = ask("apart", claims{"acr": acr})
		require.Equal(t, http.StatusForbidden, code, "one acr cannot be both")
		require.Empty(t, line, "CH-23")
	}
}

// What a declaration is about: methods, names and patterns, and nothing besides.
func TestRequireLogin_What(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	login := mcpauth.Login{ACRValues: []string{mfa}}
	auth.RequireTool("*", scopes.Authenticated())
	auth.RequirePrompt("*", scopes.Authenticated())
	auth.RequireMethod("custom/x", scopes.Authenticated())
	h := auth.Wrap(&spy{})
	asked := func(body string) bool {
		t.Helper()
		w := serve(h, post(body, is.token(t)))
		require.Contains(t, []int{http.StatusOK, http.StatusUnauthorized}, w.Code)
		return w.Code == http.StatusUnauthorized
	}
	require.False(t, asked(call("both")), "nobody has asked for one yet")
	auth.RequireLogin(tool("both"), login)
	require.True(t, asked(call("both")), "one that is declared later counts as well")
	auth.RequireLogin(tool("pre*"), login)
	auth.RequireLogin(tool("prefix*"), login)
	auth.RequireLogin(tool("a{b}"), login)
	auth.RequireLogin(tool("%7Ex"), login)
	auth.RequireLogin(mcpauth.Operation{Method: "prompts/get", Name: "p"}, login)
	auth.RequireLogin(mcpauth.Operation{Method: "custom/x"}, login)
	auth.RequireLogin(mcpauth.Operation{Method: "ping"}, login)
	prompt := func(name string) string { return rpc("prompts/get", map[string]any{"name": name}) }
	for body, want := range map[string]bool{
		call("pre"): true, call("prefix"): true, call("prefixes"): true, call("pr"): false, call("x"): false,
		call("a{b}"): true, call("%7Ex"): true, call("~x"): false, call("ab"): false, call("a"): false, call("both/"): false, call("%62oth"): false, call("both?x"): false,
		call("p"): false, prompt("p"): true, prompt("both"): false, prompt("pre"): false,
		rpc("custom/x", nil): true, rpc("ping", nil): true, rpc("tools/list", nil): false,
	} {
		require.Equal(t, want, asked(body), body)
	}
}

// AUTHZ-03: whatever spelling a handler takes for the resource.
func TestRequireLogin_Resources(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireResource("*", scopes.Authenticated())
	read := func(uri string) mcpauth.Operation { return mcpauth.Operation{Method: "resources/read", Name: uri} }
	auth.RequireLogin(read("file:///secret"), mcpauth.Login{ACRValues: []string{mfa}})
	auth.RequireLogin(read("notes://*"), mcpauth.Login{ACRValues: []string{mfa}})
	auth.RequireLogin(read("mail://{user}/inbox"), mcpauth.Login{ACRValues: []string{mfa}})
	auth.RequireLogin(read("file:///%7Eada"), mcpauth.Login{ACRValues: []string{mfa}})
	auth.RequireLogin(read("WIKI://HOST/%7E*"), mcpauth.Login{ACRValues: []string{mfa}})
	h := auth.Wrap(&spy{})
	for uri, asked := range map[string]bool{
		"file:///secret": true, "file:///%73ecret": true, "file:///secret?x=1": true, "file:///secret/": true, "file:///secrets": false,
		"notes://a": true, "mail://ada/inbox": true, "mail://ada/outbox": false, "NOTES://a": true,
		"file:///~ada": true, "file:///%7eada": true, "wiki://host/~x": true, "wiki://host/x": false,
	} {
		for _, method := range []string{"resources/read", "resources/subscribe"} {
			w := serve(h, post(rpc(method, map[string]any{"uri": uri}), is.token(t)))
			require.Equal(t, asked, w.Code == http.StatusUnauthorized, "%s %s: %d", method, uri, w.Code)
		}
	}
}

// AUTHZ-14: with Conceal, what asks for another sign-in does not exist either.
func TestRequireLogin_Conceal(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Conceal = true })
	h := auth.Wrap(sdkHandler(newServer(auth), true))
	auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa}})
	hidden, unknown := serve(h, post(call("whoami"), is.token(t))), serve(h, post(call("nosuch"), is.token(t)))
	require.Equal(t, unknown.Code, hidden.Code)
	require.Equal(t, unknown.Header(), hidden.Header())
	require.Equal(t, strings.ReplaceAll(unknown.Body.String(), "nosuch", "whoami"), hidden.Body.String())
	require.Equal(t, http.StatusOK, serve(h, post(call("whoami"), is.token(t, claims{"acr": mfa}))).Code)
}

func TestRequireLogin_Lists(t *testing.T) {
	is := newIssuer(t)
	for listing, shown := range map[mcpauth.Listing]bool{mcpauth.ListObtainable: true, mcpauth.ListAllowed: false, mcpauth.ListAll: true} {
		auth, _ := newAuth(t, is, func(cfg *mcpauth.Config) { cfg.Listing = listing })
		server := newServer(auth)
		mcpauth.AddTool(auth, server, &mcp.Tool{Name: "alike"}, doNothing, scopes.Authenticated())
		auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa}})
		list := serve(auth.Wrap(sdkHandler(server, true)), post(rpc("tools/list", nil), is.token(t))).Body.String()
		require.Contains(t, list, `"alike"`, "its rule is the same, and it asks for no login")
		require.Equal(t, shown, strings.Contains(list, `"whoami"`), listing)
	}
}

// With DPoP, both lines say it; with credentials that no sign-in is behind, none.
func TestRequireLogin_Schemes(t *testing.T) {
	h, _, k, token, _ := boundServer(t, func(cfg *mcpauth.Config) { // a Policy can ask for it as well
		cfg.Policy = func(context.Context, *mcpauth.Call) error {
			return &mcpauth.Error{Status: 401, Code: "insufficient_user_authentication", Login: &mcpauth.Login{ACRValues: []string{mfa}}}
		}
	})
	w := serve(h, k.signed(post(call("whoami"), ""), token))
	require.Equal(t, http.StatusUnauthorized, w.Code, w.Body.String())
	lines := w.Header()["Www-Authenticate"]
	require.Len(t, lines, 2)
	for _, line := range lines {
		require.Contains(t, line, `error="insufficient_user_authentication"`)
		require.Contains(t, line, `acr_values="urn:example:mfa"`)
	}

	auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
		cfg.Authenticators = []mcpauth.Authenticator{signature(adas(), nil)}
	})
	server := newServer(auth)
	auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa}})
	w = serve(auth.Wrap(sdkHandler(server, true)), keyRequestFor("whoami"))
	require.Equal(t, http.StatusForbidden, w.Code)
	require.NotContains(t, w.Header(), "Www-Authenticate", "CH-23")
}

// A batch is refused for what is gravest in it, with everything that the cure has to bring.
func TestRequireLogin_Batches(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	server := newServer(auth)
	auth.RequireLogin(tool("whoami"), mcpauth.Login{ACRValues: []string{mfa}})
	h := auth.Wrap(sdkHandler(server, true))
	w := serve(h, atRevision("2025-03-26", post("["+call("write")+","+call("whoami")+"]", is.token(t))))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `acr_values="urn:example:mfa"`)
	require.Contains(t, w.Header().Get("Www-Authenticate"), `scope="files:write"`)
	w = serve(h, atRevision("2025-03-26", post("["+call("whoami")+","+call("purge")+"]", is.token(t))))
	require.Equal(t, http.StatusForbidden, w.Code)
}

func TestRequireLogin_Mistakes(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	for want, f := range map[string]func(){
		"set ACRValues or MaxAge": func() { auth.RequireLogin(tool("a"), mcpauth.Login{}) },
		"is no acr value":         func() { auth.RequireLogin(tool("a"), mcpauth.Login{ACRValues: []string{"a b"}}) },
		"whole seconds":           func() { auth.RequireLogin(tool("a"), mcpauth.Login{MaxAge: time.Millisecond}) },
		"is not whole seconds":    func() { auth.RequireLogin(tool("a"), mcpauth.Login{MaxAge: -time.Second}) },
		"the name is empty":       func() { auth.RequireLogin(tool(""), mcpauth.Login{MaxAge: time.Second}) },
		"asterisk may only stand": func() { auth.RequireLogin(tool("a*b"), mcpauth.Login{MaxAge: time.Second}) },
		"has no names": func() {
			auth.RequireLogin(mcpauth.Operation{Method: "ping", Name: "a"}, mcpauth.Login{MaxAge: time.Second})
		},
	} {
		func() {
			defer func() { require.Contains(t, fmt.Sprint(recover()), want) }()
			f()
		}()
	}
}

// What is declared stays as it was, and reads as a sentence in the log.
func TestLogin_ValuesAndWords(t *testing.T) {
	is := newIssuer(t)
	auth, _ := newAuth(t, is, nil)
	auth.RequireTool("*", scopes.Authenticated())
	values := []string{mfa}
	auth.RequireLogin(tool("a"), mcpauth.Login{ACRValues: values, MaxAge: 365 * 24 * time.Hour})
	values[0] = "anything"
	w := serve(auth.Wrap(&spy{}), post(call("a"), is.token(t, claims{"acr": "anything", "auth_time": epoch.Unix()})))
	require.Equal(t, http.StatusUnauthorized, w.Code)
	require.Panics(t, func() { auth.RequireLogin(tool("a"), mcpauth.Login{MaxAge: 365*24*time.Hour + time.Second}) })

	require.Equal(t, "acr a or b", mcpauth.Login{ACRValues: []string{"a", "b"}}.String())
	require.Equal(t, "a sign-in no longer than 1m0s ago", mcpauth.Login{MaxAge: time.Minute}.String())
	require.Empty(t, mcpauth.Login{}.String())
}

func doNothing(context.Context, *mcp.CallToolRequest, noInput) (*mcp.CallToolResult, any, error) {
	return &mcp.CallToolResult{}, nil, nil
}
