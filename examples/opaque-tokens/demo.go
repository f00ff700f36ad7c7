package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/go-mcpauth/sdk/examples/internal/demo"
	"github.com/go-mcpauth/sdk/examples/internal/notes"
	"github.com/go-mcpauth/sdk/mcpauth"
)

// demonstrate plays the client. now is the clock of the MCP server.
func demonstrate(ctx context.Context, client *demo.Client, as *authority, now *demo.Clock) error {
	asked := as.asked.Load()
	wantQuestions := func(n int64) error {
		got := as.asked.Load() - asked
		client.Note("questions to the authorization server so far: %d", got)
		if got != n {
			return fmt.Errorf("the authorization server was asked %d times, want %d", got, n)
		}
		return nil
	}

	client.Step("Sign in as uma")
	token, err := demo.Login(ctx, as.issuer, client.Resource, "uma", notes.ScopeRead)
	if err != nil {
		return err
	}
	client.Note("an access token of %d bytes", len(token))
	if strings.Contains(token, ".") {
		return errors.New("the token is no opaque one")
	}

	client.Step("Call a tool: the MCP server asks what the token is worth")
	if err := client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{Text: `"sub":"uma"`}); err != nil {
		return err
	}
	if err := wantQuestions(1); err != nil {
		return err
	}

	client.Step("Call another one: it remembers the answer")
	if err := client.Call(ctx, demo.Bearer(token), "read_notes", nil, demo.Want{Text: "no notes yet"}); err != nil {
		return err
	}
	if err := wantQuestions(1); err != nil {
		return err
	}

	client.Step("Ask for more than the token has: a step-up, as with any token")
	err = client.Call(ctx, demo.Bearer(token), "write_note", map[string]any{"text": "Deny first."}, demo.Want{
		Status: 403, Reason: mcpauth.ReasonInsufficientScope, Challenge: `error="insufficient_scope", scope="notes:read notes:write"`,
	})
	if err != nil {
		return err
	}

	client.Step(fmt.Sprintf("Revoke the token at the authorization server (RFC 7009). For up to %v, the MCP server does not notice", maxAge))
	if err := demo.Revoke(ctx, as.issuer, token); err != nil {
		return err
	}
	client.Note("revoked")
	if err := client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{}); err != nil {
		return err
	}
	if err := wantQuestions(1); err != nil {
		return err
	}

	client.Step(fmt.Sprintf("%v later, which is a matter of putting the clock forward", maxAge))
	now.Advance(maxAge)
	inactive := demo.Want{Status: 401, Reason: mcpauth.ReasonTokenInactive, Challenge: `error="invalid_token"`}
	if err := client.Call(ctx, demo.Bearer(token), "whoami", nil, inactive); err != nil {
		return err
	}
	if err := wantQuestions(2); err != nil {
		return err
	}

	client.Step("A token that nobody issued")
	if err := client.Call(ctx, demo.Bearer(rand.Text()), "whoami", nil, inactive); err != nil {
		return err
	}

	client.Step("A new token, while the authorization server is out of order: 503, since nobody can tell. A 401 would make clients throw it away")
	if token, err = demo.Login(ctx, as.issuer, client.Resource, "uma", notes.ScopeRead); err != nil {
		return err
	}
	as.down.Store(true)
	err = client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{Status: 503, Reason: mcpauth.ReasonIntrospection})
	as.down.Store(false)
	if err != nil {
		return err
	}

	client.Step("The same token, when the authorization server is back")
	now.Advance(maxAge) // the MCP server does not ask again at once
	if err := client.Call(ctx, demo.Bearer(token), "whoami", nil, demo.Want{Text: `"sub":"uma"`}); err != nil {
		return err
	}
	client.Done(fmt.Sprintf("tokens that only their issuer can read, and a revocation that takes effect within %v.", maxAge))
	return nil
}
