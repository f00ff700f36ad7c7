package mcpauth_test

import (
	"context"
	"errors"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func protectedWith(auth *mcpauth.Middleware, tools ...*mcp.Tool) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "files", Version: "1.0.0"}, nil)
	for _, tool := range tools {
		mcp.AddTool(server, tool, doNothing)
	}
	auth.Protect(server)
	return server
}

func saying(name string, a *mcp.ToolAnnotations) *mcp.Tool {
	return &mcp.Tool{Name: name, Annotations: a}
}

// may reports whether somebody with one role may call a tool.
func may(t *testing.T, auth *mcpauth.Middleware, role, name string) bool {
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant(nil, []string{role})})
	return auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: tool(name)}) == nil
}

var byAnnotation = mcpauth.Annotated{ReadOnly: scopes.Role("reader"), Other: scopes.Role("writer"), Destructive: scopes.Role("admin")}

// What is not said to be harmless is not taken for harmless.
func TestRequireAnnotated_WhatToolsSay(t *testing.T) {
	yes, no := true, false
	auth, _ := newAuth(t, newIssuer(t), nil)
	server := protectedWith(auth, saying("nothing", nil), saying("empty", &mcp.ToolAnnotations{}), saying("destroys", &mcp.ToolAnnotations{DestructiveHint: &yes}),
		saying("writes", &mcp.ToolAnnotations{DestructiveHint: &no}), saying("reads", &mcp.ToolAnnotations{ReadOnlyHint: true}),
		saying("idempotent", &mcp.ToolAnnotations{IdempotentHint: true, OpenWorldHint: &no}), saying("both", &mcp.ToolAnnotations{ReadOnlyHint: true, DestructiveHint: &yes}))
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, byAnnotation))
	for name, want := range map[string]string{
		"nothing": "admin", "empty": "admin", "destroys": "admin", "idempotent": "admin", "writes": "writer", "reads": "reader", "both": "reader",
	} {
		for _, role := range []string{"reader", "writer", "admin"} {
			require.Equal(t, role == want, may(t, auth, role, name), "%s %s", name, role)
		}
	}
}

// Several servers, and one that is asked again: the strictest of what a tool said counts, in whichever order.
func TestRequireAnnotated_TheStrictestCounts(t *testing.T) {
	no := false
	reads, writes := &mcp.ToolAnnotations{ReadOnlyHint: true}, &mcp.ToolAnnotations{DestructiveHint: &no}
	auth, _ := newAuth(t, newIssuer(t), nil)
	one := protectedWith(auth, saying("a", reads), saying("b", nil), saying("c", reads), saying("own", reads))
	two := protectedWith(auth, saying("a", nil), saying("b", reads), saying("c", writes))
	require.NoError(t, auth.RequireAnnotated(t.Context(), one, byAnnotation))
	require.True(t, may(t, auth, "reader", "a"))
	require.NoError(t, auth.RequireAnnotated(t.Context(), two, byAnnotation), "the same rules once more")
	for name, want := range map[string]string{"a": "admin", "b": "admin", "c": "writer", "own": "reader"} {
		for _, role := range []string{"reader", "writer", "admin"} {
			require.Equal(t, role == want, may(t, auth, role, name), "%s %s", name, role)
		}
	}
	require.NoError(t, auth.RequireAnnotated(t.Context(), one, mcpauth.Annotated{}), "no rules change none")
	require.True(t, may(t, auth, "reader", "own"))
}

// There is one set of rules; one that differs in a single rule is another.
func TestRequireAnnotated_OneSetOfRules(t *testing.T) {
	role := scopes.Role("r")
	for name, change := range map[string]func(*mcpauth.Annotated){
		"readOnly": func(a *mcpauth.Annotated) { a.ReadOnly = role }, "destructive": func(a *mcpauth.Annotated) { a.Destructive = role }, "other": func(a *mcpauth.Annotated) { a.Other = role },
	} {
		auth, _ := newAuth(t, newIssuer(t), nil)
		server := protectedWith(auth)
		require.NoError(t, auth.RequireAnnotated(t.Context(), server, byAnnotation))
		other := byAnnotation
		change(&other)
		require.Panics(t, func() { _ = auth.RequireAnnotated(t.Context(), server, other) }, name)
		require.NoError(t, auth.RequireAnnotated(t.Context(), server, byAnnotation))

		// One rule alone is a set, too, against which the file's is a second.
		alone := mcpauth.Annotated{}
		change(&alone)
		auth, _ = newAuth(t, newIssuer(t), nil)
		server = protectedWith(auth)
		require.NoError(t, auth.RequireAnnotated(t.Context(), server, alone))
		file := []byte(`{"version":1,"annotated":{"` + name + `":"role(r)"}}`)
		require.ErrorContains(t, auth.LoadPolicy(file), "the program has such rules", name)
		auth, _ = newAuth(t, newIssuer(t), nil)
		require.NoError(t, auth.LoadPolicy(file))
		require.Panics(t, func() { _ = auth.RequireAnnotated(t.Context(), protectedWith(auth), alone) }, name)
	}
}

// A rule that is missing opens nothing, nor does a prompt or a resource have what a tool of its name says.
func TestRequireAnnotated_OpensTheseToolsAlone(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	server := protectedWith(auth, saying("reads", &mcp.ToolAnnotations{ReadOnlyHint: true}), saying("nothing", nil))
	require.NoError(t, auth.RequireAnnotated(t.Context(), server, mcpauth.Annotated{ReadOnly: scopes.Role("reader")}))
	require.True(t, may(t, auth, "reader", "reads"))
	require.False(t, may(t, auth, "reader", "nothing"))
	p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant(nil, []string{"reader"})})
	for _, method := range []string{"prompts/get", "resources/read", "reads"} {
		require.Error(t, auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: mcpauth.Operation{Method: method, Name: "reads"}}), method)
	}
	auth.RequireTool("rea*", scopes.Role("owner"))
	require.False(t, may(t, auth, "reader", "reads"), "a pattern comes first")
	require.True(t, may(t, auth, "owner", "reads"))
}

// A kind of tools without a rule is as if nobody had asked: Unlisted counts, and what every rule holds opens nothing.
func TestRequireAnnotated_KindsWithoutARule(t *testing.T) {
	for _, unlisted := range []bool{false, true} {
		auth, _ := newAuth(t, newIssuer(t), func(cfg *mcpauth.Config) {
			cfg.BaseScopes = []string{"base"}
			if unlisted {
				cfg.Unlisted = scopes.Role("keeper")
			}
		})
		server := protectedWith(auth, saying("reads", &mcp.ToolAnnotations{ReadOnlyHint: true}), saying("nothing", nil))
		require.NoError(t, auth.RequireAnnotated(t.Context(), server, mcpauth.Annotated{ReadOnly: scopes.Role("reader")}))
		require.NoError(t, auth.LoadPolicy([]byte(`{"version":1}`)), "a file without such rules is in nobody's way")
		has := func(role, name string) mcpauth.Reason {
			p := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "urn:x", Subject: "ada", Grant: scopes.NewGrant([]string{"base"}, []string{role})})
			err := auth.Check(t.Context(), &mcpauth.Call{Principal: p, Operation: tool(name)})
			if err == nil {
				return mcpauth.ReasonAllowed
			}
			var e *mcpauth.Error
			require.ErrorAs(t, err, &e)
			return e.Reason
		}
		require.Equal(t, mcpauth.ReasonAllowed, has("reader", "reads"))
		require.False(t, may(t, auth, "reader", "reads"), "without the base scope")
		if unlisted {
			require.Equal(t, mcpauth.ReasonAllowed, has("keeper", "nothing"))
			require.Equal(t, mcpauth.ReasonRole, has("reader", "nothing"))
		} else {
			require.Equal(t, mcpauth.ReasonNoRule, has("keeper", "nothing"))
		}
		err := auth.LoadPolicy([]byte(`{"version":1, "annotated":{"other":"authenticated"}}`))
		require.ErrorContains(t, err, "line 1, column 15: annotated: the program has such rules")
	}
}

// A server that cannot be listed has said nothing.
func TestRequireAnnotated_ListsThatFail(t *testing.T) {
	auth, _ := newAuth(t, newIssuer(t), nil)
	server := protectedWith(auth, saying("reads", &mcp.ToolAnnotations{ReadOnlyHint: true}))
	server.AddReceivingMiddleware(func(next mcp.MethodHandler) mcp.MethodHandler {
		return func(ctx context.Context, method string, req mcp.Request) (mcp.Result, error) {
			if method == "tools/list" {
				return nil, errors.New("not now")
			}
			return next(ctx, method, req)
		}
	})
	require.ErrorContains(t, auth.RequireAnnotated(t.Context(), server, byAnnotation), "listing what the server offers")
	require.False(t, may(t, auth, "reader", "reads"))
	other, _ := newAuth(t, newIssuer(t), nil)
	require.ErrorContains(t, other.RequireAnnotated(t.Context(), server, byAnnotation), "not protected", "by this one")
}
