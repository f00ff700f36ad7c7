package mcpauth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/go-mcpauth/sdk/mcpauth"
	"github.com/go-mcpauth/sdk/scopes"
)

func TestNewPrincipal(t *testing.T) {
	require.Nil(t, mcpauth.NewPrincipal(mcpauth.Identity{}))
	require.Nil(t, mcpauth.NewPrincipal(mcpauth.Identity{Subject: "ada"}), "nobody vouches")
	require.Nil(t, mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "local"}), "nobody is named")

	given := map[string]any{"email": "ada@example.com", "list": []any{"a"}}
	p := mcpauth.NewPrincipal(mcpauth.Identity{
		Issuer: "local", Subject: "ada", ClientID: "app", Scheme: "environment", Expiry: epoch,
		Grant: scopes.NewGrant([]string{"x"}, []string{"r"}), Claims: given,
	})
	given["email"], given["list"].([]any)[0] = "eve@example.com", "b"
	var email string
	var list []string
	for pointer, v := range map[string]any{"/email": &email, "/list": &list} {
		ok, err := p.Claim(pointer, v)
		require.True(t, ok)
		require.NoError(t, err)
	}
	require.Equal(t, "ada@example.com", email)
	require.Equal(t, []string{"a"}, list)
	require.Equal(t, []string{"local", "ada", "app", "environment"}, []string{p.Issuer(), p.Subject(), p.ClientID(), p.Scheme()})
	require.Equal(t, epoch, p.Expiry())
	require.True(t, p.Grant().HasScope("x") && p.Grant().HasRole("r"))

	client := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "local", ClientID: "bot"})
	user := mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "local", Subject: "bot", ClientID: "bot"})
	require.Equal(t, "bot", client.Subject())
	require.NotEqual(t, client.ID(), user.ID())

	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
		for _, v := range []any{p, *p, []*mcpauth.Principal{p}, struct{ P mcpauth.Principal }{*p}} {
			text := fmt.Sprintf(verb, v)
			require.NotContains(t, text, "example.com", verb)
			require.NotContains(t, text, "ada", verb)
		}
	}
	require.Equal(t, "<nil>", fmt.Sprintf("%v", (*mcpauth.Principal)(nil)))
	require.NotContains(t, slog.AnyValue(p).Resolve().String(), "example.com")
}

// On a transport without HTTP, the context of the connection says who is calling.
func TestNewContext_LocalCaller(t *testing.T) {
	is := newIssuer(t)
	auth, clock := newAuth(t, is, nil)
	server := newServer(auth)
	connect := func(p *mcpauth.Principal) (*mcp.ClientSession, error) {
		near, far := mcp.NewInMemoryTransports()
		there, err := server.Connect(mcpauth.NewContext(t.Context(), p), far, nil)
		require.NoError(t, err)
		t.Cleanup(func() { there.Close() })
		return mcp.NewClient(&mcp.Implementation{Name: "c", Version: "1"}, nil).Connect(t.Context(), near, nil)
	}
	_, err := connect(nil)
	require.Error(t, err, "nobody")
	_, err = connect(mcpauth.NewPrincipal(mcpauth.Identity{Issuer: "local", Subject: "ada"}))
	require.Error(t, err, "the zero Grant is met by nothing")

	session, err := connect(mcpauth.NewPrincipal(mcpauth.Identity{
		Issuer: "local", Subject: "ada", Grant: scopes.NewGrant([]string{"files:write"}, nil), Expiry: epoch.Add(time.Hour),
	}))
	require.NoError(t, err)
	defer session.Close()
	call := func(tool string) (string, error) {
		res, err := session.CallTool(context.Background(), &mcp.CallToolParams{Name: tool})
		if err != nil {
			return "", err
		}
		return res.Content[0].(*mcp.TextContent).Text, nil
	}
	text, err := call("write")
	require.NoError(t, err)
	require.Equal(t, "write ada", text)
	var refused *jsonrpc.Error
	_, err = call("purge")
	require.True(t, errors.As(err, &refused))
	require.EqualValues(t, 403, refused.Code)
	_, err = call("forgotten")
	require.True(t, errors.As(err, &refused))
	require.EqualValues(t, -32602, refused.Code)
	list, err := session.ListTools(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, list.Tools, 2)

	clock.advance(2 * time.Hour)
	_, err = call("write")
	require.True(t, errors.As(err, &refused), "the credentials have ended")
}
